//! Exit codes, and what is said.

use super::*;

fn problem(status: u16, code: &str) -> Failure {
    Problem {
        kind: "about:blank".into(),
        title: "x".into(),
        status,
        detail: "it does not work".into(),
        code: code.into(),
        cause: None,
        hint: None,
        request_id: "r-1".into(),
    }
    .into()
}

#[test]
fn the_exit_code_follows_the_code_first_and_the_status_then() {
    for (status, code, exit) in [
        (400, "INVALID_VALUE", Exit::Usage),
        (401, "BAD_CREDENTIALS", Exit::Auth),
        (403, "ROLE_DENIED", Exit::Auth),
        (502, "SOURCE_AUTH", Exit::Auth),
        (502, "SOURCE_DENIED", Exit::Auth),
        (404, "BACKUP_NOT_FOUND", Exit::NotFound),
        (409, "BACKUP_NOT_AVAILABLE", Exit::Conflict),
        (500, "OBJECT_DAMAGED", Exit::Integrity),
        (502, "RDB_CHECKSUM", Exit::Integrity),
        (502, "SOURCE_LOADING", Exit::Unreachable),
        (503, "SOMETHING_NEW", Exit::Unreachable),
        (507, "DISK_FULL", Exit::NoSpace),
        (404, "NOT_INITIALISED", Exit::NotInitialised),
        (500, "INTERNAL", Exit::Failure),
        (418, "TEAPOT", Exit::Failure),
    ] {
        assert_eq!(problem(status, code).exit, exit, "{status} {code}");
    }
}

#[test]
fn an_engine_error_keeps_its_kind() {
    for (kind, exit) in [
        (Kind::Invalid, Exit::Usage),
        (Kind::Unauthenticated, Exit::Auth),
        (Kind::Denied, Exit::Auth),
        (Kind::NotFound, Exit::NotFound),
        (Kind::Conflict, Exit::Conflict),
        (Kind::Corrupt, Exit::Integrity),
        (Kind::Unreachable, Exit::Unreachable),
        (Kind::NoSpace, Exit::NoSpace),
        (Kind::Cancelled, Exit::Interrupted),
        (Kind::Internal, Exit::Failure),
    ] {
        assert_eq!(Failure::from(Error::new(kind, "X", "x")).exit, exit, "{kind:?}");
    }
    assert_eq!(Failure::from(Error::new(Kind::NotFound, "NOT_INITIALISED", "x")).exit as u8, 10);
}

#[test]
fn failed_work_of_the_server_is_never_a_usage_error() {
    let note = |code: &str| FailureNote { code: code.into(), message: "x".into(), hint: None };
    assert_eq!(Failure::from(note("SOURCE_NOT_REDIS")).exit, Exit::Failure);
    assert_eq!(Failure::from(note("CANCELLED")).exit, Exit::Failure);
    assert_eq!(Failure::from(note("QUARANTINED")).exit, Exit::Integrity);
    assert_eq!(Failure::from(note("SOURCE_CLOSED")).exit, Exit::Unreachable);
}

/// Codes whose exit code says more than their kind, or less.
const OTHERWISE: &[(&str, Option<Exit>)] = &[
    ("NOT_INITIALISED", Some(Exit::NotInitialised)),
    ("RESTORE_HALF_DONE", Some(Exit::Partial)),
    ("RESTORE_STRANGER", Some(Exit::Failure)),
    // Of several kinds.
    ("CATALOG_FAILED", None),
];

/// The kinds and codes of the errors that a Rust source makes.
fn errors_of(text: &str) -> Vec<(Kind, String)> {
    let kinds = [
        ("Unauthenticated", Kind::Unauthenticated),
        ("Denied", Kind::Denied),
        ("NotFound", Kind::NotFound),
        ("Corrupt", Kind::Corrupt),
        ("Unreachable", Kind::Unreachable),
        ("NoSpace", Kind::NoSpace),
    ];
    let pieces = text.split("Kind::").skip(1).filter_map(|piece| {
        let (name, rest) = piece.split_once(',')?;
        let (code, _) = rest.trim_start().strip_prefix('"')?.split_once('"')?;
        let kind = kinds.iter().find(|(known, _)| *known == name)?.1;
        let is_code = code.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_');
        is_code.then(|| (kind, code.to_owned()))
    });
    pieces.collect()
}

#[test]
fn every_error_of_the_engine_ends_alike_however_it_comes() {
    let mut folders = vec![concat!(env!("CARGO_MANIFEST_DIR"), "/../engine/src").into()];
    let mut found = Vec::new();
    while let Some(folder) = folders.pop() {
        let folder: std::path::PathBuf = folder;
        for entry in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if entry.is_dir() {
                folders.push(entry);
            } else {
                found.extend(errors_of(&std::fs::read_to_string(entry).unwrap()));
            }
        }
    }
    assert!(found.len() > 60, "{}", found.len());
    for (kind, code) in found {
        let other = OTHERWISE.iter().find(|(other, _)| *other == code);
        let expected = other.map_or(Some(exit_of_kind(kind)), |(_, exit)| *exit);
        assert_eq!(exit_of_code(&code), expected, "{kind:?} {code}: a line in exit_of_code, or in OTHERWISE");
    }
}

#[test]
fn an_error_has_three_lines_or_one_object() {
    let failure = Failure::new(Exit::Unreachable, "SERVER_UNREACHABLE", "cannot reach it")
        .because("connection\nrefused\x1b[2J")
        .hint("keystow serve");
    let expected =
        "error[SERVER_UNREACHABLE]: cannot reach it\n  cause: connection refused[2J\n  try: keystow serve\n";
    assert_eq!(as_text(&failure, false), expected);
    let value: serde_json::Value = serde_json::from_str(&as_json(&failure)).unwrap();
    assert_eq!(value["error"]["code"], "SERVER_UNREACHABLE");
    assert_eq!(value["error"]["hint"], "keystow serve");
}
