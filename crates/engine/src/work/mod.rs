//! Work that outlives a request: workers claim jobs, hold their leases and do them; debts to sources are settled.

mod debts;
mod worker;

pub use debts::collect_debts;
pub use worker::{WorkerSettings, run_worker};
