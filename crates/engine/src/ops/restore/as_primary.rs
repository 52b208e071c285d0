//! A restore by being the target's primary: it loads the snapshot as a replica would.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::sync::Mutex;

use keystow_rdb::{Format, RewriteError, RewriteOptions, RewriteSource, Rewritten, rewrite_all};

use super::at_target;
use super::attempt::{Attempt, Owed, lock};
use super::survey::Survey;
use super::wanted::impossible;
use crate::crash::{CrashPoint, crash_point};
use crate::error::{Error, Kind, Result};
use crate::model::{Part, Phase, RestoreOutcome};
use crate::ops::part_reader::PartReader;
use crate::redis::{Follower, Keyspace, Payload, Step, Trace, probe};

/// What the target's databases hold.
type Found = BTreeMap<u64, Keyspace>;

impl Attempt {
    /// Restores the only part. `as_it_is`: the file goes as it is; else it is rewritten on the way.
    pub(super) fn as_primary(
        &self,
        survey: &Survey,
        as_it_is: bool,
        outcome: &mut RestoreOutcome,
    ) -> Result<()> {
        let (Some(part), primary) = (self.backup.parts.first(), survey.first()) else {
            return Err(Error::internal("a backup without parts", self.backup.id));
        };
        let mut reader = self.parts().open(part)?;
        let door = self.door(&primary.node);
        let begun = outcome.changed;
        // Whoever comes after this attempt must know that it has to let the target go.
        self.touch(outcome)?;
        let owed = Owed { attempt: self, outcome: Mutex::new(outcome.clone()) };
        let follower = Follower {
            door: &door,
            is_empty: survey.is_empty(),
            advertise: self.advertise.as_deref(),
            ledger: &owed,
        };
        let total = part.sealed.size_bytes;
        let watch = |step| self.tell(step, total);
        let mut trace = Trace::default();
        let rewritten = Mutex::new(None);
        let loaded = if as_it_is {
            let mut begun = false;
            let mut next = |buffer: &mut [u8]| {
                if std::mem::replace(&mut begun, true) {
                    crash_point(CrashPoint::RestoreUnderWay);
                }
                reader.read_full(buffer)
            };
            let payload = Payload::Whole { size_bytes: total, next: &mut next };
            let check = |found: &Found| compare(&part.sealed.report.databases, found);
            follower.load(payload, &check, &watch, &self.cancel, &mut trace)
        } else {
            let options = self.rewrite_options(part, survey)?;
            let mut make = |out: &mut dyn Write| {
                *lock(&rewritten) = Some(rewrite(&mut reader, part, &options, out)?);
                Ok(())
            };
            let check =
                |found: &Found| lock(&rewritten).as_ref().map_or(Ok(()), |made| compare_total(made, found));
            follower.load(Payload::Made(&mut make), &check, &watch, &self.cancel, &mut trace)
        };
        (outcome.borrowed, outcome.followed) = owed.left();
        outcome.changed = begun || trace.changed;
        outcome.warnings.append(&mut trace.warnings);
        let loaded = loaded.map_err(at_target)?;
        self.check_promoted(&door)?;
        outcome.followed = None;

        outcome.restored = loaded.values().map(|space| space.keys).sum();
        outcome.with_expiry = loaded.values().map(|space| space.expires).sum();
        outcome.functions =
            if self.order.choice.without_functions { 0 } else { part.sealed.report.functions };
        if let Some(made) = lock(&rewritten).as_ref() {
            account(made, outcome);
        }
        Ok(())
    }

    fn tell(&self, step: Step, total: u64) {
        let (phase, bytes) = match step {
            Step::Sent(bytes) => (Phase::Restoring, bytes),
            Step::Loaded(bytes) => (Phase::Loading, bytes),
        };
        self.meter.enter(phase);
        self.meter.set_bytes(bytes, total);
    }

    fn rewrite_options(&self, part: &Part, survey: &Survey) -> Result<RewriteOptions> {
        let to = survey
            .format()
            .ok_or_else(|| Error::internal("a target of no known version", "it was planned for"))?;
        let changes = self.parts().changes(part)?;
        let functions = to.version >= Format::REDIS_10.version;
        Ok(RewriteOptions { changes, functions, ..RewriteOptions::new(to) })
    }

    fn check_promoted(&self, door: &crate::redis::Door) -> Result<()> {
        let facts = door.open(&self.cancel).and_then(|mut control| probe(&mut control)).map_err(at_target)?;
        if facts.role == "slave" {
            return Err(Error::new(
                Kind::Conflict,
                "TARGET_REFUSED",
                "the target has all data, but is a replica of another server already",
            )
            .hint("look who told it to follow another one"));
        }
        Ok(())
    }
}

/// Rewrites a part on its way out, and reads it to the end that proves it.
fn rewrite(
    reader: &mut PartReader,
    part: &Part,
    options: &RewriteOptions,
    out: &mut dyn Write,
) -> Result<Rewritten> {
    let made = rewrite_all([RewriteSource { bytes: &mut *reader, slots: None }], out, options);
    let ended = matches!(made, Ok(_) | Err(RewriteError::Unsound(_)));
    let drained = ended.then(|| io::copy(reader, &mut io::sink()));
    if let Some(failure) = reader.failure() {
        return Err(failure);
    }
    if let Some(Err(error)) = drained {
        return Err(Error::io("cannot read a part", &error));
    }
    made.map_err(|error| match error {
        RewriteError::Unsound(fault) => {
            let name = &part.sealed.file_name;
            Error::new(Kind::Corrupt, "RESTORE_UNSOUND", format!("{name} is not sound")).because(fault)
        }
        // The link has the reason; this is not shown.
        RewriteError::Output(_) => Error::cancelled(),
        RewriteError::Impossible(why) => impossible(&part.sealed.file_name, why),
    })
}

/// What became of the keys that are not in the target.
fn account(made: &Rewritten, outcome: &mut RestoreOutcome) {
    let changes = &made.changes;
    outcome.with_expiry = changes.with_expiry;
    outcome.expired = changes.dropped_expired;
    outcome.left_out = changes.filtered_out + changes.other_slots;
    outcome.functions = made.functions;
}

/// The target follows, so that it has dropped nothing yet: it must hold just what is in the file.
fn compare(expected: &BTreeMap<u64, u64>, found: &Found) -> Result<()> {
    let expected: BTreeMap<u64, u64> =
        expected.iter().filter(|(_, keys)| **keys > 0).map(|(index, keys)| (*index, *keys)).collect();
    let found: BTreeMap<u64, u64> = found.iter().map(|(index, space)| (*index, space.keys)).collect();
    if expected == found {
        return Ok(());
    }
    let databases = expected.keys().chain(found.keys());
    let differs = databases.copied().find(|index| expected.get(index) != found.get(index)).unwrap_or(0);
    let count = |keys: &BTreeMap<u64, u64>| keys.get(&differs).copied().unwrap_or(0);
    Err(incomplete(&format!("database {differs} of the backup"), count(&expected), count(&found)))
}

fn compare_total(made: &Rewritten, found: &Found) -> Result<()> {
    let found = found.values().map(|space| space.keys).sum();
    // Servers leave empty collections out when they load a file.
    let expected = made.keys() - made.empty.min(made.keys());
    if expected == found { Ok(()) } else { Err(incomplete("the backup", expected, found)) }
}

fn incomplete(what: &str, expected: u64, found: u64) -> Error {
    Error::new(
        Kind::Internal,
        "RESTORE_INCOMPLETE",
        format!("{what} has {expected} keys, and the target loaded {found}"),
    )
    .hint("look at the target's own log; keys of the backup may be missing there")
}
