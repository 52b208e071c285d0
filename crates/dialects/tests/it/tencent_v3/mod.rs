//! Tencent Cloud API 3.0.

mod decoding;
mod faults;
mod round_trip;
pub(crate) mod signatures;
