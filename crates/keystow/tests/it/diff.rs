//! `keystow diff`: what two files do not share, and the exit code that says so.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use crate::lab::{program, run};

fn fixture(name: &str) -> String {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../rdb/tests/fixtures");
    folder.join(name).to_str().unwrap().to_owned()
}

#[test]
fn same_data_of_other_servers_and_encodings_is_the_same() {
    let plain = fixture("srv-redis-7.0.15-nocompress.rdb");
    let said = run(&["diff", &plain, &fixture("srv-redis-7.0.15-nocompress.rdb")]);
    assert_eq!((said.code, said.out.trim()), (0, "0 added, 0 removed, 0 changed, 40 the same"));
    // Consumers of the stream were seen at another time by each server.
    for other in ["srv-redis-6.2.14-all.rdb", "srv-redict-7.3.6-all.rdb", "srv-valkey-8.1.1-all.rdb"] {
        let said = run(&["diff", &plain, &fixture(other)]);
        let expected = "~ 0 \"stream:a\": value\n0 added, 0 removed, 1 changed (value 1), 39 the same\n";
        assert_eq!((said.code, said.out.as_str()), (1, expected), "{other}");
        assert!(!said.err.contains("error"), "{said:?}");
        assert_eq!(run(&["diff", &plain, &fixture(other), "--type", "hash"]).code, 0, "{other}");
    }
}

#[test]
fn changed_value_is_found_and_can_be_filtered_out() {
    let (before, after) =
        (fixture("srv-redis-7.0.15-nochecksum.rdb"), fixture("flip-undetectable-nochecksum.rdb"));
    let said = run(&["diff", &before, &after, "--json"]);
    assert_eq!(said.code, 1);
    let lines: Vec<serde_json::Value> =
        said.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 2, "{said:?}");
    assert_eq!((&lines[0]["change"], &lines[0]["what"][0]), (&"changed".into(), &"value".into()));
    assert_eq!(lines[1]["summary"]["same"], 39);
    assert_eq!(run(&["diff", &before, &after, "--db", "9"]).code, 0);
}

/// Version 4 has no checksum. The keys from the first number on, each with its number as the value.
fn numbered(path: &Path, keys: std::ops::Range<u32>) {
    let mut bytes = b"REDIS0004\xfe\x00".to_vec();
    for key in keys {
        bytes.extend(format!("\0\x0ckey:{key:08}\x0a").into_bytes());
        bytes.extend(format!("v{key:09}").into_bytes());
    }
    bytes.push(0xff);
    fs::write(path, bytes).unwrap();
}

#[test]
fn more_than_fits_into_memory_is_parted() {
    let folder = tempfile::tempdir().unwrap();
    let [before, after] = ["before.rdb", "after.rdb"].map(|name| folder.path().join(name));
    numbered(&before, 0..300_000);
    numbered(&after, 3..300_005);
    let [before, after, folder] = [&before, &after, folder.path()].map(|path| path.to_str().unwrap());
    let said = run(&["diff", before, after, "--summary", "--temp-dir", folder]);
    assert_eq!((said.code, said.out.trim()), (1, "5 added, 3 removed, 0 changed, 299,997 the same"));
    let said = run(&["diff", before, after, "--temp-dir", folder]);
    assert_eq!(said.out.lines().filter(|line| line.starts_with("+ 0 \"key:00300")).count(), 5);
    assert_eq!(said.out.lines().count(), 9);
    assert_eq!(fs::read_dir(folder).unwrap().count(), 2, "nothing stays behind");
    let said = run(&["diff", before, after, "--temp-dir", "/nowhere/at/all"]);
    assert_eq!(said.code, 5, "{said:?}");
}

#[test]
fn unsound_file_is_refused() {
    let said = run(&["diff", &fixture("srv-redis-7.0.15-all.rdb"), &fixture("trunc-half.rdb")]);
    assert_eq!(said.code, 7);
    assert!(said.err.contains("RDB_TRUNCATED"), "{said:?}");
}

#[test]
fn stream_is_not_read_twice() {
    let sound = fixture("srv-redis-7.0.15-all.rdb");
    let diff = |before: &str, after: &str, input: Stdio| {
        let output = program().args(["diff", before, after]).stdin(input).output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let names = ["-", "/dev/stdin", "/proc/self/fd/0"];
    for before in names {
        for after in names {
            let (code, said) = diff(before, after, Stdio::piped());
            assert_eq!(code, Some(2), "{before} {after}: {said}");
            assert!(said.contains("the same stream"), "{before} {after}: {said}");
        }
    }
    let file = || Stdio::from(fs::File::open(&sound).unwrap());
    assert_eq!(diff("-", "-", file()).0, Some(2));
    for (before, after) in [("-", "/dev/stdin"), ("-", sound.as_str()), (&sound, &sound)] {
        assert_eq!(
            diff(before, after, file()),
            (Some(0), String::new()),
            "a file by its name is another stream"
        );
    }
}

#[test]
fn failure_is_never_taken_for_a_difference() {
    let sound = fixture("srv-redis-7.0.15-all.rdb");
    // Its first read fails.
    let unreadable = "/proc/self/mem";
    for words in [["diff", unreadable, &sound], ["diff", &sound, unreadable]] {
        let said = run(&words);
        assert_eq!(said.code, 2, "{said:?}");
        assert!(said.err.contains("error[RDB_IO]"), "{said:?}");
    }
    assert_eq!(run(&["inspect", unreadable]).code, 1);
}
