//! Any bytes as a file in the age format, or as keys of it.
#![no_main]

#[path = "../src/age.rs"]
mod invariants;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| invariants::age(bytes));
