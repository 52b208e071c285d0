//! Talking to Redis and Valkey servers: where an instance is, which servers it has, what they are, how they are, and
//! a snapshot over the replication protocol.
//!
//! Everything here blocks, on a thread that a capture owns: the socket must be read at full speed.

mod address;
mod cluster;
mod connection;
mod discover;
mod door;
mod follow;
mod health;
mod info;
mod keys;
mod layout;
mod login;
mod pace;
mod pipeline;
mod primary;
mod probe;
pub mod programs;
mod rights;
mod sentinel;
mod settings;
mod snapshot;
mod standing;
pub mod throwaway;
mod together;
mod version;

pub use address::{Address, HostPort, Node};
pub use connection::{Connection, Reply, Timeouts, encode};
pub use discover::discover;
pub use door::{Door, Keyspace};
pub use follow::{Follower, Ledger, Step, Trace, leader, let_go};
pub use health::{Advice, Condition, Severity, look};
pub use info::Info;
pub use keys::{Dumped, KeyPace, databases, dump, functions, read_at_replica, scan, select};
pub use layout::{Choice, Layout, Member, Shard};
pub use login::{Credentials, Login, TlsOptions};
pub use pipeline::{Counts, Fleet, Gauge, Order, Pipeline, Route, WhenBusy};
pub use primary::{Guest, Payload, Primary, Served};
pub use probe::probe;
pub use rights::{RESTORE_RULE, check_replication};
pub use settings::{read_setting, write_setting};
pub use snapshot::{Snapshot, Started, begin_snapshot};
pub use version::Version;
