//! One attempt of a restore job, on a thread of its own.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use super::plan::{Planning, refused};
use super::survey::{Reach, count_keys, survey};
use super::wanted::Parts;
use super::{Meter, at_target};
use crate::catalog::Catalog;
use crate::crash::{CrashPoint, crash_point};
use crate::error::{Error, Kind, Result};
use crate::model::{
    Backup, Job, OnConflict, Outcome, Phase, RestoreMethod, RestoreOrder, RestoreOutcome, TtlPolicy,
};
use crate::ops::parts::Parts as Store;
use crate::redis::{Address, Door, Info, Ledger, Node, leader, let_go};

/// One attempt of a restore job.
pub(super) struct Attempt {
    pub(super) store: Store,
    pub(super) catalog: Arc<dyn Catalog>,
    pub(super) runtime: Handle,
    pub(super) job: Job,
    pub(super) backup: Backup,
    pub(super) order: RestoreOrder,
    pub(super) reach: Reach,
    /// The address under which a target finds us, if it is not that of our connections.
    pub(super) advertise: Option<String>,
    pub(super) meter: Arc<Meter>,
    pub(super) cancel: CancellationToken,
    /// Whether a command has changed the target, or may have.
    pub(super) wrote: AtomicBool,
}

impl Attempt {
    /// What an attempt before this one did, if it began to change the target.
    pub(super) fn earlier(&self) -> RestoreOutcome {
        match &self.job.outcome {
            Some(Outcome::Restore(outcome)) if outcome.changed => {
                // Whatever was odd then is found again.
                RestoreOutcome { warnings: Vec::new(), ..outcome.clone() }
            }
            _ => RestoreOutcome::default(),
        }
    }

    /// Does it all. Blocks. `outcome` tells what was done also when it fails.
    pub(super) fn run(mut self, outcome: &mut RestoreOutcome) -> Result<()> {
        self.meter.enter(Phase::Connecting);
        let was_begun = outcome.changed;
        let goes_on = was_begun && self.pick_up(outcome)?;
        let result = self.restore(goes_on, outcome);
        // Whatever became of this attempt, the one before may have thrown the target's data away.
        if result.as_ref().is_err_and(|error| error.kind != Kind::Cancelled) && !goes_on {
            outcome.changed |= was_begun;
        }
        result
    }

    /// Whether this goes on with what an attempt before it began. If not, it is planned as if it were the first.
    fn pick_up(&mut self, outcome: &mut RestoreOutcome) -> Result<bool> {
        if outcome.method == RestoreMethod::Primary && !self.tidy_up(outcome)? {
            let RestoreOutcome { mut warnings, borrowed, took_ms, .. } = std::mem::take(outcome);
            warnings
                .push("the target does not follow Keystow as an attempt before this one left it".to_owned());
            *outcome = RestoreOutcome { took_ms, warnings, borrowed, ..RestoreOutcome::default() };
            return Ok(false);
        }
        // What was begun in one way can only be gone on with in the same.
        self.order.method = outcome.method;
        Ok(true)
    }

    fn restore(&self, goes_on: bool, outcome: &mut RestoreOutcome) -> Result<()> {
        let survey = survey(&self.reach, &self.cancel)?;
        let address = self.reach.address.clone();
        let (backup, order) = (self.backup.clone(), self.order.clone());
        let planning =
            Planning { backup: &backup, order: &order, address: &address, survey: &survey, goes_on };
        let plan = planning.plan();
        if let Some(error) = refused(&plan) {
            return Err(error);
        }
        outcome.method = plan.method;
        outcome.warnings.extend(plan.warnings);
        if !goes_on {
            outcome.keys_before = survey.keys();
        }
        // Before a wipe it is tried in any case.
        let wipes =
            plan.method == RestoreMethod::Commands && self.order.wipe && !goes_on && !survey.is_empty();
        if planning.needs_trial(plan.method) && !wipes {
            self.parts().try_all(plan.method, survey.format(), &self.cancel)?;
        }
        let done = match plan.method {
            RestoreMethod::Primary => self.as_primary(&survey, planning.goes_as_it_is(), outcome).map(|()| 0),
            _ => self.by_commands(&survey, goes_on, outcome),
        };
        crash_point(CrashPoint::RestoreEnded);
        let counted = self.count_afterwards(outcome);
        let mended = match done {
            Ok(mended) => mended,
            Err(error) => return Err(self.settle(error, goes_on, outcome)),
        };
        self.balance(outcome)?;
        if counted { self.compare_with_target(mended, outcome) } else { Ok(()) }
    }

    /// Says of a failure whether it has changed anything.
    fn settle(&self, error: Error, goes_on: bool, outcome: &mut RestoreOutcome) -> Error {
        let nothing = !goes_on && !self.wrote.load(Ordering::Relaxed);
        let refused = matches!(error.kind, Kind::Invalid | Kind::Denied | Kind::Conflict | Kind::NoSpace);
        // Everything that was sent was refused.
        if outcome.method == RestoreMethod::Commands && nothing && refused {
            outcome.changed = false;
        }
        error
    }

    pub(super) fn parts(&self) -> Parts<'_> {
        Parts {
            store: &self.store,
            runtime: &self.runtime,
            backup: &self.backup,
            order: &self.order,
            now: self.job.created_at,
            cancel: &self.cancel,
        }
    }

    /// Notes in the catalog that the target is about to be changed: an attempt after this one goes on from there.
    pub(super) fn touch(&self, outcome: &mut RestoreOutcome) -> Result<()> {
        outcome.changed = true;
        let noted = Outcome::Restore(outcome.clone());
        self.runtime.block_on(self.catalog.record_outcome(&self.job.lease(), &noted))?;
        crash_point(CrashPoint::RestoreNoted);
        Ok(())
    }

    /// Keys of all parts.
    pub(super) fn keys(&self) -> u64 {
        self.backup.parts.iter().map(|part| part.sealed.report.keys).sum()
    }

    pub(super) fn check_cancel(&self) -> Result<()> {
        if self.cancel.is_cancelled() { Err(Error::cancelled()) } else { Ok(()) }
    }

    /// Whether the target's keys could be counted.
    fn count_afterwards(&self, outcome: &mut RestoreOutcome) -> bool {
        // Also of a restore that was stopped.
        let never = CancellationToken::new();
        let counted = self.reach.route(&never).and_then(|route| count_keys(&self.reach, &route, &never));
        match counted {
            Ok(keys) => outcome.keys_after = keys,
            Err(error) => {
                outcome.warnings.push(format!("the target's keys cannot be counted: {error}"));
                return false;
            }
        }
        true
    }

    /// Whether every key of the backup is accounted for.
    fn balance(&self, outcome: &mut RestoreOutcome) -> Result<()> {
        let told = outcome.restored + outcome.skipped + outcome.expired + outcome.left_out;
        // More than there are: keys without a member are not counted in the backup, but may be among those left out.
        if told < self.keys() {
            return Err(Error::new(
                Kind::Internal,
                "RESTORE_INCOMPLETE",
                format!("the backup has {} keys, and {told} are accounted for", self.keys()),
            )
            .hint("look into the target, and restore again with --on-conflict replace"));
        }
        if outcome.expired > 0 && self.order.ttl == TtlPolicy::Keep {
            outcome.warnings.push(format!(
                "the time of {} keys was over: the target dropped them (see --ttl)",
                outcome.expired
            ));
        }
        Ok(())
    }

    /// Whether the target holds what it was given. `mended`: how often it was lost and found again. A replica that took
    /// over, or a server that was started anew, may be without keys that were acknowledged.
    fn compare_with_target(&self, mended: u64, outcome: &mut RestoreOutcome) -> Result<()> {
        let given = outcome.restored + outcome.skipped;
        let is_short = outcome.keys_after + outcome.with_expiry < given && self.order.choice.prefix.is_none();
        if mended > 0 && is_short {
            return Err(Error::new(
                Kind::Conflict,
                "RESTORE_INCOMPLETE",
                format!("the target was given {given} keys and holds {}", outcome.keys_after),
            )
            .because("it was lost in the middle, and has come back without some")
            .hint("restore again with --on-conflict replace"));
        }
        let before = if self.order.wipe { 0 } else { outcome.keys_before };
        // Where none of the keys was there before, all of them must have come on top.
        let (adds, expected) = (self.order.on_conflict == OnConflict::Fail, before + outcome.restored);
        if (before == 0 && outcome.keys_after != expected) || (adds && outcome.keys_after < expected) {
            outcome.warnings.push(format!(
                "{} keys were restored on top of {before}, and the target holds {}: others write to it, or keys expired \
                 or were evicted",
                outcome.restored, outcome.keys_after
            ));
        }
        Ok(())
    }

    /// Puts right what an attempt that died left behind: settings, and a target that follows nobody. Whether it was so:
    /// a target that somebody uses meanwhile is left as it is.
    pub(super) fn tidy_up(&self, outcome: &mut RestoreOutcome) -> Result<bool> {
        let Address::Server(node) = &self.reach.address else { return Ok(false) };
        if outcome.method != RestoreMethod::Primary {
            return Ok(false);
        }
        let door = self.door(node);
        let mut control = door.open(&self.cancel).map_err(at_target)?;
        let info = Info::ask(&mut control).map_err(at_target)?;
        let follows = info.as_ref().and_then(leader);
        let follows_us = follows.is_some() && follows == outcome.followed;
        if follows_us {
            let_go(&door, &mut control).map_err(at_target)?;
            outcome.followed = None;
        } else if let Some(other) = follows {
            outcome.warnings.push(format!("the target follows {other}: it is left as it is"));
            return Ok(false);
        }
        // A refused attempt to let it go has ended the connection.
        let mut control = door.open(&self.cancel).map_err(at_target)?;
        // Forgotten one by one, each when it was put back.
        for (setting, value) in outcome.borrowed.clone() {
            if control.set(&setting, value.as_bytes()).map_err(at_target)? {
                outcome.borrowed.retain(|(name, _)| *name != setting);
            } else {
                outcome.warnings.push(format!("the target's {setting} could not be put back to \"{value}\""));
            }
        }
        Ok(follows_us)
    }

    pub(super) fn door(&self, node: &Node) -> Door {
        self.reach.door(node)
    }
}

/// Keeps with the job what must be put back at the target: an attempt after this one would do it.
pub(super) struct Owed<'a> {
    pub(super) attempt: &'a Attempt,
    /// The outcome, as it is noted with every change.
    pub(super) outcome: Mutex<RestoreOutcome>,
}

impl Owed<'_> {
    /// What was not put back, and where the target was told to find us.
    pub(super) fn left(&self) -> (Vec<(String, String)>, Option<String>) {
        let outcome = lock(&self.outcome);
        (outcome.borrowed.clone(), outcome.followed.clone())
    }
}

impl Ledger for Owed<'_> {
    fn owe(&self, setting: &str, value: &str) -> Result<()> {
        let mut outcome = lock(&self.outcome);
        outcome.borrowed.push((setting.to_owned(), value.to_owned()));
        self.attempt.touch(&mut outcome)
    }

    /// Noted with the end of the attempt. To put a setting back twice does no harm.
    fn settle(&self, setting: &str, _: &str) {
        lock(&self.outcome).borrowed.retain(|(name, _)| name != setting);
    }

    fn lead(&self, us: &str) -> Result<()> {
        let mut outcome = lock(&self.outcome);
        outcome.followed = Some(us.to_owned());
        self.attempt.touch(&mut outcome)
    }

    fn is_lost(&self) -> bool {
        self.attempt.meter.is_lost()
    }
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
