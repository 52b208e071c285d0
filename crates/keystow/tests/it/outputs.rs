//! Where `export` and `relabel` write: standard output, and files that appear only when they are whole.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use crate::lab::{program, until};

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
        // Who needs no input may be gone before it comes.
        let _ = child.stdin.take().unwrap().write_all(&fixture());
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

/// What a command that was writing a file said when it got a signal; nothing of the file is left. The start of the
/// command comes from a shell, which may set it up.
fn stopped(words: &[&str], setup: &str, signals: &[&str]) -> (Option<i32>, String) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("out");
    let names = || fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name()).collect::<Vec<_>>();
    // Whoever runs the tests in the background may have them ignore signals; a command would go on to ignore them.
    let mut shell = Command::new("env");
    let program = program();
    for (name, value) in program.get_envs() {
        assert!(value.is_none());
        shell.env_remove(name);
    }
    let mut child = shell
        .args(["--default-signal=HUP,INT,TERM", "sh", "-c", &format!("{setup} exec \"$@\""), "sh"])
        .arg(program.get_program())
        .args(words)
        .arg("-o")
        .arg(&file)
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut source = child.stdin.take().unwrap();
    source.write_all(&fixture()[..20]).unwrap();
    until("the file in the making", || (!names().is_empty()).then_some(()));
    for signal in signals {
        let done = Command::new("kill").args([*signal, &child.id().to_string()]).status().unwrap();
        assert!(done.success());
    }
    let output = child.wait_with_output().unwrap();
    assert!(names().is_empty(), "{words:?} {signals:?}: {:?}", names());
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

#[test]
fn command_that_is_stopped_leaves_nothing_behind() {
    for words in BOTH {
        for (signal, exit) in [("-INT", 130), ("-HUP", 130), ("-TERM", 143)] {
            let (code, said) = stopped(words, "", &[signal]);
            assert_eq!(code, Some(exit), "{words:?} {signal}: {said}");
            assert!(said.contains("error[INTERRUPTED]"), "{words:?} {signal}: {said}");
        }
        assert_eq!(stopped(words, "trap '' HUP;", &["-HUP", "-TERM"]).0, Some(143), "as nohup starts it");
    }
}
