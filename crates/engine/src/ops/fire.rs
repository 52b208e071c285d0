//! Has policies do what is due: each fire once, whoever looks and however often.

use jiff::Timestamp;

use super::Engine;
use crate::crash::{CrashPoint, crash_point};
use crate::error::Result;
use crate::model::{BackupId, FireOutcome, Firing, FiringKind, KeptPolicy, Span};

/// Policies that are read at once.
const AT_ONCE: u64 = 200;
/// A start that is no later than this is in time, whatever the window says meanwhile.
const IN_TIME: Span = Span::of_seconds(300);

impl Engine {
    /// Fires every policy that is due. Returns how many backups were started.
    pub async fn fire_due(&self) -> Result<u64> {
        if !self.knows_the_time() {
            return Ok(0);
        }
        let now = self.clock.now();
        let mut started = 0;
        loop {
            let mut due = self.catalog.due_policies(now, AT_ONCE).await?;
            let first = self.first_of(due.len());
            due.rotate_left(first);
            let mut failed = 0;
            for kept in &due {
                match self.fire(kept, now).await {
                    Ok(Some(has_backup)) => started += u64::from(has_backup),
                    // Another node is at work on these: what is left for this one?
                    Ok(None) => break,
                    Err(error) => {
                        tracing::error!(instance = %kept.instance, %error, "a policy could not be followed");
                        failed += 1;
                    }
                }
            }
            // What failed is still due, and is looked at again the next time.
            if due.len() == failed {
                return Ok(started);
            }
        }
    }

    /// Where this node begins with so many due policies. Nodes that follow them side by side begin at different places,
    /// so that they seldom want the same one.
    fn first_of(&self, due: usize) -> usize {
        let own = self.node.get(..8).and_then(|digits| usize::from_str_radix(digits, 16).ok());
        own.filter(|_| self.catalog.is_shared()).unwrap_or(0) % due.max(1)
    }

    /// Does what is due of one policy; `true` if a backup was asked for, `None` if somebody else was faster.
    async fn fire(&self, kept: &KeptPolicy, now: Timestamp) -> Result<Option<bool>> {
        let Some(what) = what_is_due(kept, now)? else { return Ok(Some(false)) };
        let is_put_off = matches!(what, FiringKind::Postponed(_));
        let firing = Firing { kept: kept.clone(), what, backup: BackupId::mint(now) };
        crash_point(CrashPoint::PolicyDue);
        let Some((outcome, backup)) = self.catalog.fire_policy(&firing, now).await? else {
            return Ok(is_put_off.then_some(false));
        };
        crash_point(CrashPoint::PolicyFired);
        match &backup {
            Some(backup) => {
                tracing::info!(instance = %kept.instance, backup = %backup.id, "a policy takes a backup");
                self.job_written.notify_one();
            }
            None => {
                tracing::warn!(instance = %kept.instance, outcome = outcome.as_str(), "a policy takes no backup");
            }
        }
        Ok(Some(outcome == FireOutcome::Started && backup.is_some()))
    }
}

/// What is to be done of a policy at `now`.
fn what_is_due(kept: &KeptPolicy, now: Timestamp) -> Result<Option<FiringKind>> {
    let calendar = kept.policy.calendar(&kept.account, &kept.instance)?;
    let opens = calendar.in_window(now);
    let Some(next) = kept.next.filter(|next| next.start <= now) else {
        let is_due = kept.retry_at.is_some_and(|at| at <= now);
        let missed = (opens > now).then(|| "another try, but its window is closed".to_owned());
        return Ok(is_due.then_some(FiringKind::Retry { missed }));
    };
    let due = calendar.due(next.fire, now);
    // A start that was put off by hand of the window stands in the row, not in the calendar.
    let start = if due.last == next.fire { next.start } else { due.start };
    let is_late = IN_TIME.after(start) < now;
    let mut missed = None;
    if is_late && !kept.policy.catch_up {
        missed = Some(format!("nobody looked until {}", now.strftime("%Y-%m-%d %H:%M:%SZ")));
    } else if is_late && opens > now {
        return Ok(Some(FiringKind::Postponed(opens)));
    }
    let mut notes = Vec::new();
    if is_late && missed.is_none() {
        let late = now.duration_since(start).as_secs();
        notes.push(format!("{} min late", late / 60));
    }
    if due.missed > 0 {
        notes.push(format!("stands for {} missed before it", due.missed));
    }
    let note = (!notes.is_empty()).then(|| notes.join("; "));
    Ok(Some(FiringKind::Scheduled { at: due.last, missed, note, next: due.next }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Planned, Policy, Schedule};

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn kept(cron: &str, change: impl FnOnce(&mut Policy)) -> KeptPolicy {
        let mut policy = Policy { schedules: vec![Schedule { cron: cron.to_owned() }], ..Policy::default() };
        change(&mut policy);
        let (account, instance) = ("acme".parse().unwrap(), "i".parse().unwrap());
        let calendar = policy.check(&account, &instance).unwrap();
        KeptPolicy {
            next: calendar.next(at("2026-03-01T00:00:00Z")),
            account,
            instance,
            version: 1,
            policy,
            changed_at: Timestamp::UNIX_EPOCH,
            changed_by: "k".to_owned(),
            retry_at: None,
            tries: 0,
            upkeep_at: Timestamp::UNIX_EPOCH,
            drilled_at: None,
        }
    }

    fn scheduled(what: Option<FiringKind>) -> (Timestamp, Option<String>, Option<String>, Option<Planned>) {
        match what {
            Some(FiringKind::Scheduled { at, missed, note, next }) => (at, missed, note, next),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn nothing_is_due_before_its_time_and_one_fire_is_at_it() {
        let kept = kept("0 3 * * *", |_| ());
        assert_eq!(what_is_due(&kept, at("2026-03-01T02:59:59Z")).unwrap(), None);
        let (fire, missed, note, next) = scheduled(what_is_due(&kept, at("2026-03-01T03:00:01Z")).unwrap());
        assert_eq!((fire, missed, note), (at("2026-03-01T03:00:00Z"), None, None));
        assert_eq!(next.unwrap().start, at("2026-03-02T03:00:00Z"));
    }

    #[test]
    fn after_a_rest_one_backup_stands_for_all_that_were_missed() {
        let kept = kept("0 3 * * *", |_| ());
        let (fire, missed, note, next) = scheduled(what_is_due(&kept, at("2026-03-11T09:00:00Z")).unwrap());
        assert_eq!((fire, missed), (at("2026-03-11T03:00:00Z"), None));
        assert_eq!(note.unwrap(), "360 min late; stands for 10 missed before it");
        assert_eq!(next.unwrap().fire, at("2026-03-12T03:00:00Z"));
    }

    #[test]
    fn without_catching_up_a_missed_fire_is_written_down_as_that() {
        let kept = kept("0 3 * * *", |policy| policy.catch_up = false);
        let (_, missed, _, _) = scheduled(what_is_due(&kept, at("2026-03-01T03:10:00Z")).unwrap());
        assert!(missed.unwrap().starts_with("nobody looked until 2026-03-01 03:10"));
        // A minute late is no rest.
        let (_, missed, _, _) = scheduled(what_is_due(&kept, at("2026-03-01T03:01:00Z")).unwrap());
        assert_eq!(missed, None);
    }

    #[test]
    fn a_late_start_waits_for_its_window() {
        let mut kept = kept("0 3 * * *", |policy| policy.windows = vec!["02:00-05:00".parse().unwrap()]);
        let late = what_is_due(&kept, at("2026-03-01T06:00:00Z")).unwrap();
        assert_eq!(late, Some(FiringKind::Postponed(at("2026-03-02T02:00:00Z"))));
        kept.next = kept.next.map(|next| Planned { start: at("2026-03-02T02:00:00Z"), ..next });
        assert_eq!(what_is_due(&kept, at("2026-03-02T01:59:00Z")).unwrap(), None);
        let (fire, missed, note, _) = scheduled(what_is_due(&kept, at("2026-03-02T02:00:01Z")).unwrap());
        assert_eq!((fire, missed, note), (at("2026-03-01T03:00:00Z"), None, None));
        // The window's last second is in it, whenever the scheduler comes round.
        kept.policy.windows = vec!["02:00-03:00".parse().unwrap()];
        kept.next = kept.next.map(|next| Planned { start: at("2026-03-02T02:59:59Z"), ..next });
        scheduled(what_is_due(&kept, at("2026-03-02T03:00:01Z")).unwrap());
    }

    #[test]
    fn another_try_comes_when_it_is_due_and_not_outside_its_window() {
        let mut kept = kept("0 3 * * *", |_| ());
        kept.retry_at = Some(at("2026-03-01T01:00:00Z"));
        assert_eq!(what_is_due(&kept, at("2026-03-01T00:59:00Z")).unwrap(), None);
        let due = what_is_due(&kept, at("2026-03-01T01:00:00Z")).unwrap();
        assert_eq!(due, Some(FiringKind::Retry { missed: None }));
        kept.policy.windows = vec!["02:00-05:00".parse().unwrap()];
        let due = what_is_due(&kept, at("2026-03-01T01:00:00Z")).unwrap();
        assert!(matches!(due, Some(FiringKind::Retry { missed: Some(_) })));
    }
}
