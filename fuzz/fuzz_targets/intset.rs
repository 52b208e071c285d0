//! Any bytes as an intset.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| keystow_fuzz::packed::intset(bytes));
