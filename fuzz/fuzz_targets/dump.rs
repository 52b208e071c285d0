//! Any bytes as the argument of a `RESTORE`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| keystow_fuzz::whole::dump(bytes));
