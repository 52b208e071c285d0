//! Work that outlives a request: workers claim jobs, hold their leases and do them; the scheduler has policies do what
//! is due; debts to sources are settled, the access log is written, nodes are kept known, webhooks are told.

mod copies;
mod debts;
mod journal;
mod nodes;
mod notifier;
mod scheduler;
mod worker;

pub use copies::keep_copies;
pub use debts::collect_debts;
pub use journal::write_access_log;
pub use nodes::{keep_seen, keep_swept};
pub use notifier::run_notifier;
pub use scheduler::run_scheduler;
pub use worker::{WorkerSettings, run_worker};
