//! A restore by `RESTORE` commands, for targets that are clusters, hold other keys, or follow nobody.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;
use std::time::Duration;

use keystow_rdb::{NotRestored, Restored};

use super::at_target;
use super::attempt::Attempt;
use super::pour::Pour;
use super::survey::{Primary, Survey};
use crate::error::{Error, Result};
use crate::model::{OnConflict, Part, Phase, RestoreMethod, RestoreOutcome};
use crate::redis::{Fleet, Pipeline, Reply, WhenBusy};

/// How long a target is looked for that has died, fails over or moves slots.
const PATIENCE: Duration = Duration::from_mins(1);

impl Attempt {
    /// Restores every part. `goes_on`: an attempt before this one has begun to. Tells how often the target was lost and
    /// found again.
    pub(super) fn by_commands(
        &self,
        survey: &Survey,
        goes_on: bool,
        outcome: &mut RestoreOutcome,
    ) -> Result<u64> {
        let mut safe = if goes_on { self.job.progress.safe.clone() } else { Vec::new() };
        let run_ids = survey.run_ids();
        if goes_on && outcome.run_ids.iter().any(|run_id| !run_ids.contains(run_id)) {
            let text = "a primary of the target was started anew or replaced since the attempt before this one: every \
                        key is sent again";
            outcome.warnings.push(text.to_owned());
            // The old ids stay: until the progress is noted anew, the next attempt has to see this as well.
            safe.clear();
        } else {
            outcome.run_ids = run_ids;
        }
        safe.resize(self.backup.parts.len(), 0);
        // An attempt that died may not have come to throw anything away.
        if !goes_on || (self.order.wipe && safe.iter().all(|keys| *keys == 0)) {
            self.prepare(survey, outcome)?;
        }
        self.meter.enter(Phase::Restoring);
        self.meter.resume(safe.clone());
        // Counted anew, with what is safe as the start.
        let kept = RestoreOutcome {
            keys_before: outcome.keys_before,
            method: outcome.method,
            borrowed: std::mem::take(&mut outcome.borrowed),
            run_ids: std::mem::take(&mut outcome.run_ids),
            ..RestoreOutcome::default()
        };
        *outcome = RestoreOutcome { changed: true, warnings: std::mem::take(&mut outcome.warnings), ..kept };
        let mut functions = BTreeSet::new();
        let (mut lost, mut mended) = (NotRestored::default(), 0);
        for (index, part) in self.backup.parts.iter().enumerate() {
            self.check_cancel()?;
            mended +=
                self.pour(survey, (index, part, safe[index]), goes_on, &mut functions, outcome, &mut lost)?;
        }
        outcome.functions = functions.len() as u64;
        tell_losses(&lost, outcome);
        if goes_on && self.order.on_conflict == OnConflict::Skip {
            let text = "an attempt before this one died: of the skipped keys some may be of the backup";
            outcome.warnings.push(text.to_owned());
        }
        Ok(mended)
    }

    /// Makes room, or makes sure that there is some. Nothing was changed when this fails before the wipe.
    fn prepare(&self, survey: &Survey, outcome: &mut RestoreOutcome) -> Result<()> {
        if survey.keys() > 0 && self.order.on_conflict == OnConflict::Fail && !self.order.wipe {
            self.meter.enter(Phase::Checking);
            self.look_for_conflicts(survey)?;
        }
        if self.order.wipe && !survey.is_empty() {
            // What is thrown away for a backup that turns out to be damaged is lost.
            self.meter.enter(Phase::Checking);
            self.parts().try_all(RestoreMethod::Commands, survey.format(), &self.cancel)?;
        }
        self.touch(outcome)?;
        if self.order.wipe {
            survey.primaries.iter().try_for_each(|primary| self.wipe(primary))?;
        }
        Ok(())
    }

    /// Throws away what a primary has: functions first, for whoever may not do that has lost nothing then.
    fn wipe(&self, primary: &Primary) -> Result<()> {
        let mut control = self.door(&primary.node).open(&self.cancel).map_err(at_target)?;
        match control.call(&[b"FUNCTION", b"FLUSH"]).map_err(at_target)? {
            // Servers before 7.0 have none, and say that they do not know the command.
            Reply::Error(text) if primary.functions > 0 => {
                let action = "throw its functions away (FUNCTION FLUSH)";
                return Err(at_target(control.refusal(action, &text)));
            }
            _ => self.wrote.fetch_or(primary.functions > 0, Ordering::Relaxed),
        };
        if let Reply::Error(text) = control.call(&[b"FLUSHALL", b"ASYNC"]).map_err(at_target)? {
            return Err(at_target(control.refusal("throw its keys away (FLUSHALL)", &text)));
        }
        self.wrote.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// Restores one part, from the key on that comes behind those that are safe. Tells how often the target was lost.
    fn pour(
        &self,
        survey: &Survey,
        (index, part, safe): (usize, &Part, u64),
        goes_on: bool,
        functions: &mut BTreeSet<Vec<u8>>,
        outcome: &mut RestoreOutcome,
        lost: &mut NotRestored,
    ) -> Result<u64> {
        let to = survey
            .format()
            .ok_or_else(|| Error::internal("a target of no known version", "it was planned for"))?;
        let when_busy = match self.order.on_conflict {
            OnConflict::Skip => WhenBusy::Skip,
            OnConflict::Fail if !goes_on => WhenBusy::Fail,
            // It was made sure before the first key was written that none of them was there.
            OnConflict::Fail | OnConflict::Replace => WhenBusy::Ours,
        };
        let (reach, cancel) = (self.reach.clone(), self.cancel.clone());
        let fleet = Fleet {
            login: self.reach.login.clone(),
            timeouts: self.reach.timeouts,
            find: Box::new(move || reach.route(&cancel)),
            patience: PATIENCE,
        };
        let pipeline = Pipeline::open(fleet, when_busy, self.cancel.clone()).map_err(at_target)?;
        let gauge = pipeline.gauge();
        self.meter.follow(index, Box::new(move || safe + gauge.safe()));
        let mut pour =
            Pour::new(self, pipeline, functions, (index, safe), outcome.restored + outcome.skipped, goes_on);
        let options = self.parts().options(part, to)?;
        let read = self.parts().read(part, &options, &mut pour, Pour::failure);
        let (finished, counts) = pour.finish();
        self.wrote.fetch_or(counts.wrote, Ordering::Relaxed);
        // What was safe before was counted then, and is counted as restored now.
        let passed = safe.min(read.as_ref().map_or(safe, |restored| restored.keys));
        outcome.restored += counts.done + passed;
        outcome.skipped += counts.skipped;
        if counts.ours > 0 {
            outcome.warnings.push(format!(
                "{} keys were there that may be of an attempt before this one, and are taken for it; they stay as they are",
                counts.ours
            ));
        }
        if counts.mended > 0 {
            outcome.warnings.push(format!(
                "the target was lost and found again {} times; every key that was not answered was sent again",
                counts.mended
            ));
        }
        finished.map_err(at_target)?;
        let read = read?;
        add(&read, outcome, lost);
        Ok(counts.mended)
    }
}

/// Adds what reading a part came to. Of the keys sent, those whose time is over were dropped by the target.
fn add(read: &Restored, outcome: &mut RestoreOutcome, lost: &mut NotRestored) {
    let changes = &read.changes;
    let dropped = changes.expired.min(outcome.restored);
    outcome.restored -= dropped;
    outcome.expired += dropped + changes.dropped_expired;
    outcome.with_expiry += changes.with_expiry;
    outcome.left_out += changes.filtered_out + changes.other_slots;
    if read.empty > 0 {
        let text = format!("{} keys without a member were left out, as servers do", read.empty);
        outcome.warnings.push(text);
    }
    lost.functions += read.not_restored.functions;
    lost.module_aux += read.not_restored.module_aux;
    lost.key_meta += read.not_restored.key_meta;
    lost.usage += read.not_restored.usage;
    lost.member_expiries += read.not_restored.member_expiries;
}

fn tell_losses(lost: &NotRestored, outcome: &mut RestoreOutcome) {
    for (count, what) in [
        (lost.functions, "function libraries: the target has no functions"),
        (lost.module_aux, "records of modules outside of keys: no command carries them"),
        (lost.key_meta, "notes of modules at keys: no command carries them"),
        (lost.usage, "idle times or access counters of keys too large for one command"),
        (lost.member_expiries, "expiries of single members, which only KeyDB knows"),
    ] {
        if count > 0 {
            outcome.warnings.push(format!("not restored: {count} {what}"));
        }
    }
}
