//! Any bytes as a snapshot: judged without panic, quickly, in little memory.
#![no_main]

use keystow_rdb::{Limits, verify};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let limits = Limits {
        max_blob_bytes: 1 << 20,
        ..Limits::default()
    };
    let _ = verify(bytes, limits);
});
