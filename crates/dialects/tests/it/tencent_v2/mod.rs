//! Tencent Cloud's older API, v2.

mod decoding;
mod faults;
mod replies;
mod round_trip;
pub(crate) mod signatures;
