//! Talking to a Redis or Valkey server: where it is, what it is, and its snapshot over the replication protocol.
//!
//! Everything here blocks, on a thread that a capture owns: the socket must be read at full speed.

mod address;
mod connection;
mod door;
mod follow;
mod login;
mod pipeline;
mod primary;
mod probe;
mod snapshot;

pub use address::{Address, HostPort, Node};
pub use connection::{Connection, Reply, Timeouts, encode};
pub use door::{Door, Info, Keyspace};
pub use follow::{Follower, Ledger, Step, Trace, release};
pub use login::{Credentials, Login, TlsOptions};
pub use pipeline::{Counts, Fleet, Gauge, Order, Pipeline, Route, WhenBusy};
pub use primary::{Guest, Payload, Primary, Served};
pub use probe::probe;
pub use snapshot::{Snapshot, request_snapshot};
