//! Any bytes as a listpack.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| keystow_fuzz::packed::listpack(bytes));
