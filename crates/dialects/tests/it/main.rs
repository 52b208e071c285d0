//! What the dialects promise, vendor by vendor: recorded requests, faults, round trips, hostile input.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod alibaba;
mod capture;
mod every_dialect;
mod fuzz_corpus;
mod hostile;
mod huawei;
mod shared;
mod signatures;
mod tencent_v2;
mod tencent_v3;
mod ucloud;
