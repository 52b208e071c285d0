//! Which backups stay and which go. A pure function of the backups and the moment, so that a dry run is the real run.

use std::collections::{HashMap, HashSet};
use std::fmt::Write as _;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

use super::{Backup, BackupId, BackupState, Mode, Span};
use crate::error::Error;

/// What a policy keeps. A backup stays if any rule wants it; without any rule, everything stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Retention {
    /// The last so many.
    pub last: u32,
    /// All that are no older.
    pub within: Span,
    /// The newest of each of so many days that have one.
    pub daily: u32,
    /// The newest of each of so many weeks (Monday first) that have one.
    pub weekly: u32,
    /// The newest of each of so many months that have one.
    pub monthly: u32,
    /// The newest of each of so many years that have one.
    pub yearly: u32,
    /// So many good ones stay whatever else is said. At least one does.
    pub minimum: u32,
    /// Whether the rules are for backups by hand as well. Else those stay until their own expiry.
    pub include_manual: bool,
}

impl Default for Retention {
    fn default() -> Self {
        Self {
            last: 0,
            within: Span::ZERO,
            daily: 0,
            weekly: 0,
            monthly: 0,
            yearly: 0,
            minimum: 1,
            include_manual: false,
        }
    }
}

/// How long failed ones are listed where no age is set, and others that are not good stay after a good one.
const USUAL_AGE: Span = Span::of_seconds(30 * 86_400);
/// Most of anything that is counted.
const MOST: u32 = 10_000;

impl Retention {
    /// Refuses what makes no sense.
    pub(super) fn check(&self) -> Result<(), Error> {
        let counts = [self.last, self.daily, self.weekly, self.monthly, self.yearly, self.minimum];
        if counts.into_iter().any(|count| count > MOST) {
            return Err(Error::invalid(format!("no more than {MOST} backups are kept by count")));
        }
        Ok(())
    }

    /// Whether it lets nothing go.
    pub fn keeps_everything(&self) -> bool {
        self.within.is_zero()
            && [self.last, self.daily, self.weekly, self.monthly, self.yearly]
                .into_iter()
                .all(|count| count == 0)
    }

    /// When a backup goes, as far as its age alone decides; `None` = never by itself, or by counts.
    pub fn ends(&self, backup: &Backup) -> Option<Timestamp> {
        let counted = [self.last, self.daily, self.weekly, self.monthly, self.yearly];
        let by_age = !self.within.is_zero() && counted.into_iter().all(|count| count == 0);
        let is_ours = backup.mode == Mode::Automated || self.include_manual;
        let decides = by_age && is_ours && backup.state == BackupState::Available;
        (decides && !backup.protected).then(|| self.within.after(backup.created_at))
    }

    /// How old a backup that is not good gets.
    fn age_of_others(&self) -> Span {
        if self.within.is_zero() { USUAL_AGE } else { self.within }
    }
}

/// What becomes of a backup, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// The backup.
    pub backup: BackupId,
    /// Whether it stays.
    pub keep: bool,
    /// Why, in words for people.
    pub reasons: Vec<String>,
}

/// Judges every backup of one instance, in the order given. `policy` is its retention with the zone of its days;
/// without one, only expiries that somebody set act.
pub fn retain(now: Timestamp, backups: &[Backup], policy: Option<(&Retention, &TimeZone)>) -> Vec<Verdict> {
    let mut newest: Vec<&Backup> = backups.iter().collect();
    newest.sort_by_key(|backup| std::cmp::Reverse((backup.created_at, backup.number)));
    let mut wanted: HashMap<BackupId, Vec<String>> = HashMap::new();
    if let Some((rules, zone)) = policy.filter(|(rules, _)| !rules.keeps_everything()) {
        for (backup, why) in by_rules(now, &newest, rules, zone) {
            wanted.entry(backup).or_default().push(why);
        }
    }
    let minimum = policy.map_or(1, |(rules, _)| rules.minimum.max(1));
    let good = newest.iter().filter(|backup| backup.state == BackupState::Available);
    for backup in good.take(usize::try_from(minimum).unwrap_or(usize::MAX)) {
        let why = if minimum == 1 {
            "last good one".to_owned()
        } else {
            format!("one of the last {minimum} good ones")
        };
        wanted.entry(backup.id).or_default().push(why);
    }
    let last_good = newest.iter().find(|backup| backup.state == BackupState::Available);
    let last_good = last_good.map(|backup| backup.created_at);
    let judge = |backup: &Backup| {
        let reasons = wanted.get(&backup.id).cloned().unwrap_or_default();
        judge(now, backup, policy.map(|(rules, _)| rules), reasons, last_good)
    };
    backups.iter().map(judge).collect()
}

fn judge(
    now: Timestamp,
    backup: &Backup,
    rules: Option<&Retention>,
    wanted: Vec<String>,
    last_good: Option<Timestamp>,
) -> Verdict {
    let keep = |why: &str| Verdict { backup: backup.id, keep: true, reasons: vec![why.to_owned()] };
    let go = |why: String| Verdict { backup: backup.id, keep: false, reasons: vec![why] };
    if backup.state.is_active() {
        return keep("under way");
    }
    if backup.protected {
        return keep("protected");
    }
    if !wanted.is_empty() {
        return Verdict { backup: backup.id, keep: true, reasons: wanted };
    }
    // What somebody said of this very backup goes before what is said of all.
    match backup.expires_at {
        Some(end) if end > now => return keep(&format!("its own expiry is {}", whole(end))),
        Some(end) => return go(format!("its own expiry was {}", whole(end))),
        None => {}
    }
    let Some(rules) = rules else { return keep("no policy") };
    if rules.keeps_everything() {
        return keep("the policy keeps everything");
    }
    let ours = backup.mode == Mode::Automated || rules.include_manual;
    match backup.state {
        BackupState::Available if ours => go("no rule keeps it".to_owned()),
        BackupState::Available => keep("taken by hand"),
        state => {
            let age = rules.age_of_others();
            // A damaged one is given the time to be found whole again, whatever its age.
            let found = backup.last_scrub.as_ref().filter(|scrub| !scrub.ok && state == BackupState::Damaged);
            let since =
                found.map(|scrub| scrub.before.as_ref().and_then(|whole| whole.until).unwrap_or(scrub.at));
            let is_old = age.after(since.unwrap_or(backup.created_at)) <= now;
            let replaced = last_good.is_some_and(|good| good > backup.created_at);
            match state {
                BackupState::Failed if is_old => go(format!("failed, older than {age}")),
                BackupState::Failed => keep(&format!("failed, listed for {age}")),
                _ if is_old && replaced => {
                    go(format!("{state}, older than {age}, and there is a good one since"))
                }
                _ => keep(&format!("{state}, until it is older than {age} and there is a good one since")),
            }
        }
    }
}

/// A rule by the calendar: its name, how many rounds it keeps, and the round that a day is in.
type Round = (&'static str, u32, fn(Date) -> String);

/// What the rules want of the good ones, newest first. One whose expiry somebody set is none of theirs.
fn by_rules(
    now: Timestamp,
    newest: &[&Backup],
    rules: &Retention,
    zone: &TimeZone,
) -> Vec<(BackupId, String)> {
    let theirs: Vec<&Backup> = newest
        .iter()
        .copied()
        .filter(|backup| backup.state == BackupState::Available && backup.expires_at.is_none())
        .filter(|backup| backup.mode == Mode::Automated || rules.include_manual)
        .collect();
    let mut wanted = Vec::new();
    for (place, backup) in theirs.iter().enumerate() {
        if u32::try_from(place).is_ok_and(|place| place < rules.last) {
            wanted.push((backup.id, format!("one of the last {}", rules.last)));
        }
        if !rules.within.is_zero() && rules.within.after(backup.created_at) > now {
            wanted.push((backup.id, format!("not older than {}", rules.within)));
        }
    }
    let rounds: [Round; 4] = [
        ("daily", rules.daily, |day| day.to_string()),
        ("weekly", rules.weekly, |day| {
            let week = day.iso_week_date();
            format!("{}-W{:02}", week.year(), week.week())
        }),
        ("monthly", rules.monthly, |day| day.strftime("%Y-%m").to_string()),
        ("yearly", rules.yearly, |day| day.year().to_string()),
    ];
    for (name, count, round_of) in rounds {
        let mut seen = HashSet::new();
        for backup in &theirs {
            let round = round_of(zone.to_datetime(backup.created_at).date());
            if seen.len() == usize::try_from(count).unwrap_or(usize::MAX) {
                break;
            }
            if !seen.contains(&round) {
                let mut why = name.to_owned();
                let _ = write!(why, " {round}");
                seen.insert(round);
                wanted.push((backup.id, why));
            }
        }
    }
    wanted
}

fn whole(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M:%SZ").to_string()
}

#[cfg(test)]
mod tests;
