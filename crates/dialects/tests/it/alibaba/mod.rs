//! Alibaba Cloud.

mod decoding;
mod faults;
mod round_trip;
pub(crate) mod signatures;
