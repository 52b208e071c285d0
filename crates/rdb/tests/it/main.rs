//! Real and crafted snapshots through the public interface.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod changes;
mod chunking;
mod contents;
mod corpus;
mod crafted;
mod damage;
mod digests;
mod dumping;
mod encodings;
mod export;
mod fuzz_corpus;
mod generated;
mod in_pieces;
mod inspect;
mod payloads;
mod restoring;
mod rewriting;
mod streams;
mod values;
mod writer;

use std::{
    fs,
    path::{Path, PathBuf},
};

use keystow_rdb::{Failure, Limits, Report, verify};

/// The bytes of a fixture.
fn fixture(name: &str) -> Vec<u8> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name);
    fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The names of all fixtures.
fn fixture_names() -> Vec<String> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    let mut names: Vec<String> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| Path::new(name).extension().is_some_and(|extension| extension == "rdb"))
        .collect();
    names.sort();
    names
}

fn check(bytes: &[u8]) -> Result<Report, Failure> {
    verify(bytes, Limits::default())
}

/// The code of the fault that a file must have.
fn fault_code(bytes: &[u8]) -> &'static str {
    check(bytes).unwrap_err().fault.reason.code()
}
