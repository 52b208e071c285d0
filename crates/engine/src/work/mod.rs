//! Work that outlives a request: workers claim jobs, hold their leases and do them.

mod worker;

pub use worker::{WorkerSettings, run_worker};
