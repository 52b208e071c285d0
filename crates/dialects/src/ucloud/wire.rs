//! What calls and replies look like on `UCloud`'s wire.

pub(super) mod action;
mod answer;
pub(super) mod ask;
pub(super) mod read;
pub(super) mod reply;
pub(super) mod request;

use std::time::{SystemTime, UNIX_EPOCH};

use crate::vocabulary::Fault;

const MEGABYTE: u64 = 1 << 20;
const GIGABYTE: u64 = 1 << 30;

/// Names of backups: 6 to 63 of `A-Z a-z 0-9 - _` (`CreateURedisBackup`, `CreateUMemBackup`).
fn is_backup_name(name: &str) -> bool {
    (6..=63).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
}

fn bad(name: &str, why: &str) -> Fault {
    Fault::BadParameter { name: name.to_owned(), why: why.to_owned() }
}

/// Times are whole seconds of Unix time.
fn seconds(at: SystemTime) -> u64 {
    at.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}
