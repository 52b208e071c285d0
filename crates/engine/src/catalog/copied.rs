//! What a copy of the catalog holds: the rows that the manifests of the repository do not tell.
//!
//! A copy is lines of JSON with logical names, not SQL: it is read back into either database, and by later versions.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::model::{BackupId, Number};

/// How a column's value is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// A number.
    Integer,
    /// A text.
    Text,
    /// Bytes, as base64.
    Bytes,
}

/// A table of which copies hold the rows.
pub(super) struct Table {
    pub(super) name: &'static str,
    pub(super) columns: &'static [(&'static str, Form)],
    /// Which rows, as SQL; `$1` is the present moment.
    pub(super) only: &'static str,
}

use Form::{Bytes, Integer, Text};

/// Every such table, those that others refer to first. What is not here is told by manifests and events, or is
/// worthless after a loss; `catalog::contract` holds this list against the schema.
pub(super) const TABLES: &[Table] = &[
    Table {
        name: "note",
        columns: &[("name", Text), ("value", Text)],
        only: "name IN ('root_key_generation', 'root_key_retired')",
    },
    Table { name: "account", columns: &[("id", Text), ("name", Text), ("created_at", Integer)], only: "" },
    Table {
        name: "project",
        columns: &[("account", Text), ("id", Text), ("name", Text), ("created_at", Integer)],
        only: "",
    },
    Table {
        name: "access_key",
        columns: &[
            ("id", Text),
            ("account", Text),
            ("project", Text),
            ("role", Text),
            ("sealed_secret", Bytes),
            ("sealed_session_token", Bytes),
            ("created_at", Integer),
            ("expires_at", Integer),
            ("revoked_at", Integer),
            ("sealed_previous", Bytes),
            ("previous_until", Integer),
            ("addresses", Text),
        ],
        only: "",
    },
    Table {
        name: "instance",
        columns: &[
            ("account", Text),
            ("id", Text),
            ("project", Text),
            ("name", Text),
            ("url", Text),
            ("username", Text),
            ("sealed_password", Bytes),
            ("region", Text),
            ("zone", Text),
            ("created_at", Integer),
            ("facts", Text),
            ("replica_zone", Text),
            ("sealed_login", Bytes),
            ("capture", Text),
        ],
        only: "",
    },
    Table {
        name: "policy",
        columns: &[
            ("account", Text),
            ("instance", Text),
            ("version", Integer),
            ("policy", Text),
            ("changed_at", Integer),
            ("changed_by", Text),
            ("next_fire", Integer),
            ("next_at", Integer),
            ("retry_at", Integer),
            ("tries", Integer),
            ("upkeep_at", Integer),
            ("drilled_at", Integer),
        ],
        only: "",
    },
    Table {
        name: "link_restriction",
        columns: &[("account", Text), ("region", Text), ("restriction", Text)],
        only: "",
    },
    Table {
        name: "link_revocation",
        columns: &[("account", Text), ("scope", Text), ("before", Integer)],
        only: "",
    },
    // A counted link is left out: how much of it was used since the copy is not known, so it ends with the catalog.
    Table {
        name: "link",
        columns: &[
            ("id", Text),
            ("account", Text),
            ("backup", Text),
            ("part", Integer),
            ("file_name", Text),
            ("network", Text),
            ("access_key", Text),
            ("created_at", Integer),
            ("expires_at", Integer),
            ("addresses", Text),
            ("size_bytes", Integer),
            ("bytes_per_second", Integer),
            ("connections", Integer),
        ],
        only: "revoked_at IS NULL AND deliveries IS NULL AND expires_at > $1",
    },
    Table {
        name: "webhook",
        columns: &[
            ("id", Text),
            ("account", Text),
            ("project", Text),
            ("instance", Text),
            ("url", Text),
            ("sealed_secret", Bytes),
            ("kinds", Text),
            ("paused", Integer),
            ("created_at", Integer),
            ("created_by", Text),
            ("tried_at", Integer),
            ("claimed_until", Integer),
            ("last_ok_at", Integer),
            ("last_failed_at", Integer),
            ("last_error", Text),
        ],
        only: "",
    },
];

/// Tables that copies leave out, each for a reason.
#[cfg(test)]
pub(super) const LEFT_OUT: &[(&str, &str)] = &[
    ("sequence", "its last number stands beside the rows"),
    ("backup", "told by manifests and events"),
    ("part", "told by manifests"),
    ("backup_copy", "told by the other repositories themselves"),
    ("job", "what was under way is lost with the catalog"),
    ("nonce", "over within minutes"),
    ("fire", "of the past"),
    ("debt", "of captures that were under way"),
    ("audit", "too long, and of no use without its own past"),
    ("access", "too long"),
    ("log_head", "of the two logs"),
    ("node", "of processes that run"),
    ("turn", "of captures that were under way"),
    ("promise", "of downloads that were under way"),
    ("backup_tally", "counted by the database"),
    ("job_tally", "counted by the database"),
    ("webhook_delivery", "told already, or no longer to be told"),
    ("too_old", "found out again"),
];

/// Columns that change with every contact or look and are worth no copy of their own.
const PASSING: [(&str, &str); 12] = [
    ("instance", "facts"),
    ("policy", "next_fire"),
    ("policy", "next_at"),
    ("policy", "retry_at"),
    ("policy", "tries"),
    ("policy", "upkeep_at"),
    ("policy", "drilled_at"),
    ("webhook", "tried_at"),
    ("webhook", "claimed_until"),
    ("webhook", "last_ok_at"),
    ("webhook", "last_failed_at"),
    ("webhook", "last_error"),
];

/// A row of a copy.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CopiedRow {
    /// Its table's logical name.
    pub table: String,
    /// Its columns by name; what a version does not write is absent.
    pub row: Map<String, Value>,
}

/// What a copy holds.
#[derive(Debug, Clone, Default)]
pub struct CopiedRows {
    /// The last number of the one sequence.
    pub last_number: Number,
    /// The rows, those that others refer to first.
    pub rows: Vec<CopiedRow>,
}

impl CopiedRow {
    /// The backup that a link is to.
    pub fn backup(&self) -> Option<BackupId> {
        self.row.get("backup")?.as_str()?.parse().ok()
    }

    /// The row without what changes with every contact.
    #[must_use]
    pub fn lasting(&self) -> Self {
        let mut lasting = self.clone();
        for (table, column) in PASSING {
            if self.table == table {
                lasting.row.remove(column);
            }
        }
        lasting
    }
}
