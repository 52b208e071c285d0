//! Takes the commands of a part and pours them into the target.

use std::collections::BTreeSet;
use std::io;
use std::sync::atomic::Ordering;

use aws_lc_rs::digest::{SHA256, digest};
use keystow_rdb::{RestoreEntry, RestoreSink};

use super::at_target;
use super::attempt::Attempt;
use crate::crash::{CrashPoint, crash_point};
use crate::error::{Error, Kind, Result};
use crate::model::OnConflict;
use crate::redis::{Counts, Gauge, Order, Pipeline, Reply};

/// How often, in keys, the meter is told how far it is.
const TELL_EVERY: u64 = 256;

/// Takes the commands of a part and pours them into the target.
pub(super) struct Pour<'a> {
    attempt: &'a Attempt,
    pipeline: Pipeline,
    gauge: Gauge,
    /// Digests of the function libraries that were loaded, of whatever part.
    functions: &'a mut BTreeSet<Vec<u8>>,
    /// Keys to pass over, since they are safe already.
    pass: u64,
    /// Whole keys seen.
    keys: u64,
    /// Whether the entry before was the last of its key.
    at_start: bool,
    /// Bytes of the parts before this one and of this one, and of all of them.
    bytes: u64,
    total: u64,
    keys_before: u64,
    /// Whether an attempt before this one has begun.
    goes_on: bool,
    failure: Option<Error>,
}

impl<'a> Pour<'a> {
    pub(super) fn new(
        attempt: &'a Attempt,
        pipeline: Pipeline,
        functions: &'a mut BTreeSet<Vec<u8>>,
        (index, safe): (usize, u64),
        keys_before: u64,
        goes_on: bool,
    ) -> Self {
        let sizes = attempt.backup.parts.iter().map(|part| part.sealed.size_bytes);
        Self {
            gauge: pipeline.gauge(),
            attempt,
            pipeline,
            functions,
            pass: safe,
            keys: 0,
            at_start: true,
            bytes: sizes.take(index).sum(),
            total: attempt.backup.size_bytes(),
            keys_before,
            goes_on,
            failure: None,
        }
    }

    /// Why it stopped.
    pub(super) fn failure(&mut self) -> Option<Error> {
        self.failure.take()
    }

    /// Waits until everything is answered.
    pub(super) fn finish(self) -> (Result<()>, Counts) {
        self.pipeline.finish()
    }

    fn pour(&mut self, entry: &RestoreEntry<'_>) -> Result<()> {
        let is_whole = self.at_start && entry.is_last && entry.replies == 1;
        self.pipeline.push(Order {
            command: entry.command,
            replies: entry.replies,
            slot: entry.slot,
            database: entry.database,
            repeatable: is_whole,
            is_last: entry.is_last,
        })
    }

    fn tell(&self) {
        if self.gauge.answered() > 0 {
            crash_point(CrashPoint::RestoreUnderWay);
        }
        self.attempt.meter.set_bytes(self.bytes, self.total);
        self.attempt.meter.set_keys(self.keys_before + self.pass + self.gauge.answered());
    }

    fn load_function(&mut self, code: &[u8]) -> Result<()> {
        if self.attempt.order.choice.without_functions
            || !self.functions.insert(digest(&SHA256, code).as_ref().to_vec())
        {
            return Ok(());
        }
        for node in self.pipeline.route().primaries() {
            let mut control = self.attempt.door(node).open(&self.attempt.cancel).map_err(at_target)?;
            let reply = match self.attempt.order.on_conflict {
                OnConflict::Skip | OnConflict::Fail => control.call(&[b"FUNCTION", b"LOAD", code]),
                OnConflict::Replace => control.call(&[b"FUNCTION", b"LOAD", b"REPLACE", code]),
            };
            let Reply::Error(text) = reply.map_err(at_target)? else {
                self.attempt.wrote.store(true, Ordering::Relaxed);
                continue;
            };
            let is_there = text.contains("already exists");
            if is_there && (self.attempt.order.on_conflict == OnConflict::Skip || self.goes_on) {
                continue;
            }
            if is_there {
                return Err(Error::new(
                    Kind::Conflict,
                    "RESTORE_CONFLICT",
                    format!("{node} has a function library of that name already"),
                )
                .because(text)
                .hint("choose with --on-conflict replace or skip, or leave functions out with --without-functions"));
            }
            return Err(at_target(control.refusal("load a function library (FUNCTION LOAD)", &text)));
        }
        Ok(())
    }

    fn or_keep<T>(&mut self, result: Result<T>) -> io::Result<T> {
        result.map_err(|error| {
            self.failure = Some(error);
            io::Error::other("the target")
        })
    }
}

impl RestoreSink for Pour<'_> {
    fn database(&mut self, _: u64) -> io::Result<()> {
        Ok(())
    }

    fn entry(&mut self, entry: RestoreEntry<'_>) -> io::Result<()> {
        if self.keys >= self.pass {
            let poured = self.pour(&entry);
            self.or_keep(poured)?;
        } else if self.attempt.cancel.is_cancelled() {
            self.or_keep(Err(Error::cancelled()))?;
        }
        self.at_start = entry.is_last;
        self.keys += u64::from(entry.is_last);
        self.bytes += entry.size;
        if self.keys.is_multiple_of(TELL_EVERY) {
            self.tell();
        }
        Ok(())
    }

    fn function(&mut self, code: &[u8]) -> io::Result<()> {
        let loaded = self.load_function(code);
        self.or_keep(loaded)
    }
}
