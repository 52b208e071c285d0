//! What the dialects promise, vendor by vendor: recorded requests, faults, round trips, hostile input.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod capture;
mod decoding;
mod faults;
mod hostile;
mod round_trip;
mod signatures;
