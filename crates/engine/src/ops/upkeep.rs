//! Looks through the backups of an instance: what is to be removed, read again, or drilled.

use jiff::Timestamp;

use super::Engine;
use crate::error::{Kind, Result};
use crate::model::{Backup, BackupState, KeptPolicy, Span};

/// Policies that are read at once.
const AT_ONCE: u64 = 100;
/// How often an instance is looked through, besides after each backup that its policy took.
const ROUND: Span = Span::of_seconds(86_400);
/// When it is looked through again if that failed, or if there was more to do than is asked for at once.
const SOON: Span = Span::of_seconds(600);
/// Scrubs that are asked for at once: they share the workers with backups.
const MOST_SCRUBS: usize = 10;

impl Engine {
    /// Looks through every instance that is due. Returns how many those were.
    pub async fn keep_up(&self) -> Result<u64> {
        if !self.knows_the_time() {
            return Ok(0);
        }
        let now = self.clock.now();
        let mut done = 0;
        loop {
            let due = self.catalog.due_upkeep(now, AT_ONCE).await?;
            if due.is_empty() {
                return Ok(done);
            }
            for kept in due {
                let next = ROUND.after(now);
                if !self.catalog.begin_upkeep(&kept, next).await? {
                    continue;
                }
                done += 1;
                let kept = KeptPolicy { upkeep_at: next, ..kept };
                let has_more = self.look_through(&kept, now).await.unwrap_or_else(|error| {
                    tracing::error!(instance = %kept.instance, %error, "the upkeep of backups failed");
                    true
                });
                if has_more {
                    self.catalog.begin_upkeep(&kept, SOON.after(now)).await?;
                }
            }
        }
    }

    /// Removes the backups whose own expiry has passed, also where no policy is. Returns how many.
    pub async fn remove_expired(&self) -> Result<usize> {
        if !self.knows_the_time() {
            return Ok(0);
        }
        let mut removed = 0;
        for (account, instance) in self.catalog.instances_with_expired(self.clock.now()).await? {
            match self.prune_instance(&account, &instance).await {
                Ok(gone) => removed += gone.len(),
                Err(error) => tracing::error!(%instance, %error, "expired backups could not be removed"),
            }
        }
        Ok(removed)
    }

    /// `true` if there is more to do than was asked for.
    async fn look_through(&self, kept: &KeptPolicy, now: Timestamp) -> Result<bool> {
        self.prune_instance(&kept.account, &kept.instance).await?;
        let backups = self.backups_of(&kept.account, &kept.instance).await?;
        let mut has_more = self.ask_missing_copies(kept, &backups).await?;
        if let Some(every) = kept.policy.verify_every {
            let mut due: Vec<&Backup> =
                backups.iter().filter(|backup| scrub_due(backup, every) <= now).collect();
            due.sort_by_key(|backup| scrub_due(backup, every));
            has_more |= due.len() > MOST_SCRUBS;
            for backup in due.into_iter().take(MOST_SCRUBS) {
                unless_busy(self.ask_scrub(backup).await.map(drop))?;
            }
        }
        if let Some(every) = kept.policy.drill_every
            && kept.drilled_at.is_none_or(|at| every.after(at) <= now)
            && let Some(newest) = backups.iter().find(|backup| backup.state == BackupState::Available)
        {
            match self.ask_drill(newest, None, Some(format!("drill:{}", newest.id))).await {
                Ok(_) => self.catalog.note_drill(&kept.account, &kept.instance, now).await?,
                Err(error) => {
                    tracing::error!(instance = %kept.instance, code = error.code, %error, "no drill by policy");
                }
            }
        }
        Ok(has_more)
    }
}

/// When a backup's bytes are to be read again.
fn scrub_due(backup: &Backup, every: Span) -> Timestamp {
    if !backup.state.keeps_objects() {
        return Timestamp::MAX;
    }
    let last = backup.last_scrub.as_ref().map(|scrub| scrub.at);
    every.after(last.or(backup.ended_at).unwrap_or(backup.created_at))
}

/// A job for it that waits or runs already is as good.
fn unless_busy(asked: Result<()>) -> Result<()> {
    match asked {
        Err(error) if matches!(error.kind, Kind::Conflict | Kind::NotFound) => Ok(()),
        other => other,
    }
}
