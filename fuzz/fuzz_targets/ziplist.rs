//! Any bytes as a ziplist.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| keystow_fuzz::packed::ziplist(bytes));
