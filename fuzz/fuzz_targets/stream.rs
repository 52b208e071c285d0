//! Any bytes as the value of a stream.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| keystow_fuzz::whole::stream(bytes));
