//! Where `export` and `relabel` write: standard output, and files that appear only when they are whole.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::process::{Output, Stdio};

use crate::lab::program;

const BOTH: [&[&str]; 2] = [&["export", "-"], &["relabel", "-", "--to", "11"]];

fn fixture() -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../rdb/tests/fixtures");
    fs::read(folder.join("srv-redis-7.0.15-all.rdb")).unwrap()
}

/// Runs a command on a sound file as its standard input.
fn run_into(words: &[&str], stdout: Stdio) -> Output {
    let mut child =
        program().args(words).stdin(Stdio::piped()).stdout(stdout).stderr(Stdio::piped()).spawn().unwrap();
    // Whoever reads nothing is gone before the first byte.
    drop(child.stdout.take());
    // A command that ends early reads no further.
    let _ = child.stdin.take().unwrap().write_all(&fixture());
    child.wait_with_output().unwrap()
}

#[test]
fn output_that_nobody_reads_any_more_is_no_failure() {
    for words in BOTH {
        let output = run_into(words, Stdio::piped());
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!((output.status.code(), said.as_ref()), (Some(0), ""), "{words:?}");
    }
}

#[test]
fn output_that_has_no_room_is_a_failure() {
    for words in BOTH {
        let output = run_into(words, File::options().write(true).open("/dev/full").unwrap().into());
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(9), "{words:?}: {said}");
        assert!(said.contains("error[DISK_FULL]"), "{words:?}: {said}");
    }
}

#[test]
fn hyphen_is_standard_output_and_no_name() {
    let folder = tempfile::tempdir().unwrap();
    let in_folder = |words: &[&str]| {
        let mut child = program()
            .args(words)
            .current_dir(&folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(&fixture()).unwrap();
        child.wait_with_output().unwrap()
    };
    for words in BOTH {
        let printed = in_folder(words);
        assert_eq!(in_folder(&[words, &["-o", "-", "--force"]].concat()).stdout, printed.stdout, "{words:?}");
        assert!(!printed.stdout.is_empty());
    }
    let said = in_folder(&["relabel", "-", "--to", "11", "-o", "."]);
    assert_eq!(said.status.code(), Some(2), "{said:?}");
    assert!(String::from_utf8_lossy(&said.stderr).contains("-o ./dump.rdb"), "{said:?}");
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 0);
}
