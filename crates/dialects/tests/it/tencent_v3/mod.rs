//! Tencent Cloud API 3.0.

mod around_backups;
mod decoding;
mod faults;
mod replies;
mod round_trip;
pub(crate) mod signatures;
