//! What calls and replies look like on Alibaba's wire.

pub(super) mod ask;
mod backups;
mod instances;
mod jobs;
mod parameters;
pub(super) mod read;
pub(super) mod reply;
pub(super) mod request;
pub(super) mod xml;

use std::time::SystemTime;

use jiff::tz::Offset;

use crate::canonical::write_calendar;

const MEGABYTE: u64 = 1 << 20;

/// The days of a week as the vendor writes them.
const WEEKDAYS: [&str; 7] = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];

fn second(at: SystemTime) -> String {
    write_calendar(at, Offset::UTC, "%Y-%m-%dT%H:%M:%SZ")
}

fn minute(at: SystemTime) -> String {
    write_calendar(at, Offset::UTC, "%Y-%m-%dT%H:%MZ")
}
