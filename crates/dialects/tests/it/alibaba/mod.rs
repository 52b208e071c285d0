//! Alibaba Cloud.

mod decoding;
mod faults;
mod replies;
mod round_trip;
pub(crate) mod signatures;
