//! Alibaba Cloud.

mod decoding;
mod faults;
mod round_trip;
mod signatures;
