//! Any bytes as a compressed string.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| keystow_fuzz::packed::lzf(bytes));
