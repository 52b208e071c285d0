//! Work that outlives a request: workers claim jobs, hold their leases and do them; debts to sources are settled.

mod copies;
mod debts;
mod worker;

pub use copies::keep_copies;
pub use debts::collect_debts;
pub use worker::{WorkerSettings, run_worker};
