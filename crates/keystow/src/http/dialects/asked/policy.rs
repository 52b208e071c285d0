//! Vendors' backup policies: days of the week, an hour, days to keep. What they cannot express is said as near as it can
//! be.

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use keystow_dialects::{Policy as Shown, PolicyChange as Asked, Reply, SetPolicy, ShowPolicy, Weekdays};
use keystow_engine::model::{Calendar, InstanceId, KeptPolicy, Planned, Policy, Retention, Right, Span};
use keystow_engine::ops::{PolicyChange, RetentionChange};
use keystow_engine::{Error, Kind};

use super::Asking;
use crate::http::dialects::Refused;

/// Fires of a week that are looked at; days are known after far fewer.
const MOST_FIRES: usize = 2000;
/// How often a change is tried that others get ahead of.
const TRIES: usize = 3;
/// The hour in which a vendor's backups start.
const HOUR: Span = Span::HOUR;

impl Asking<'_> {
    pub(super) async fn policy(&self, call: ShowPolicy) -> Result<Reply, Refused> {
        self.who.with(Right::View)?;
        let instance = self.instance(&call.instance).await?;
        Ok(Reply::Policy(self.shown_policy(&instance.id).await?.unwrap_or_default()))
    }

    /// The policy of an instance, if it has one.
    pub(super) async fn shown_policy(&self, instance: &InstanceId) -> Result<Option<Shown>, Error> {
        let kept = self.engine().policy(self.who, instance).await?;
        kept.map(|kept| self.shown(&kept)).transpose()
    }

    /// Days that an instance's policy keeps backups; none if that is for ever.
    pub(super) async fn policy_days(&self, instance: &InstanceId) -> Result<Option<u32>, Error> {
        let kept = self.engine().policy(self.who, instance).await?;
        Ok(kept.map(|kept| keep_days(&kept.policy.keep)).filter(|days| *days > 0))
    }

    pub(super) async fn set_policy(&self, call: SetPolicy) -> Result<Reply, Refused> {
        self.who.with(Right::Operate)?;
        let instance = self.instance(&call.instance).await?;
        let mut tries = 1;
        loop {
            let kept = self.engine().policy(self.who, &instance.id).await?;
            let present = match &kept {
                Some(kept) => self.shown(kept)?,
                None => Shown::default(),
            };
            let mut change = ours(&call.change, &present, kept.as_ref().map(|kept| &kept.policy));
            change.version = Some(kept.as_ref().map_or(0, |kept| kept.version));
            match self.engine().set_policy(self.who, &instance.id, change).await {
                Ok(kept) => return Ok(Reply::Policy(self.shown(&kept)?)),
                Err(error) if error.kind == Kind::Conflict && tries < TRIES => tries += 1,
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn shown(&self, kept: &KeptPolicy) -> Result<Shown, Error> {
        let calendar = kept.policy.calendar(&kept.account, &kept.instance)?;
        let now = self.engine().clock().now();
        let (weekdays, start_minute) = week(&calendar, now);
        Ok(Shown {
            enabled: !kept.policy.paused && !kept.policy.schedules.is_empty(),
            weekdays,
            start_minute,
            keep_days: keep_days(&kept.policy.keep),
            next_at: kept.next.map(|next| next.start.into()),
        })
    }
}

/// The days of the coming week, in UTC, on which backups start, and the minute of the day of the first; those of the next
/// backup if none does.
fn week(calendar: &Calendar, now: Timestamp) -> (Weekdays, u16) {
    let end = now.saturating_add(SignedDuration::from_hours(7 * 24)).unwrap_or(Timestamp::MAX);
    let (mut days, mut first) = (Weekdays::default(), None);
    let mut next = calendar.next(now);
    for _ in 0..MOST_FIRES {
        let Some(Planned { fire, start }) = next.filter(|next| next.start < end || first.is_none()) else {
            break;
        };
        let at = TimeZone::UTC.to_datetime(start);
        let day = usize::try_from(at.weekday().to_monday_zero_offset()).unwrap_or(0);
        if let Some(day) = days.get_mut(day) {
            *day = true;
        }
        let minute = u16::try_from(i32::from(at.hour()) * 60 + i32::from(at.minute())).unwrap_or(0);
        first.get_or_insert(minute);
        next = calendar.next(fire);
    }
    (days, first.unwrap_or(0))
}

/// Days that age alone keeps a backup, else as many as are kept of days or in all; 0 = for ever.
fn keep_days(keep: &Retention) -> u32 {
    let days = u32::try_from(keep.within.seconds().div_euclid(86_400)).unwrap_or(u32::MAX);
    [days, keep.daily, keep.last].into_iter().find(|days| *days > 0).unwrap_or(0)
}

/// A vendor's change in our words. What it leaves open stays as it is shown.
fn ours(asked: &Asked, present: &Shown, policy: Option<&Policy>) -> PolicyChange {
    let moved = asked.weekdays.is_some() || asked.start_minute.is_some();
    let never = present.weekdays == Weekdays::default();
    let starts = moved || (asked.enabled == Some(true) && never && policy.is_some());
    let mut change =
        PolicyChange { paused: asked.enabled.map(|enabled| !enabled), ..PolicyChange::default() };
    if starts {
        let weekdays = asked.weekdays.unwrap_or(if never { [true; 7] } else { present.weekdays });
        let minute = asked.start_minute.unwrap_or(present.start_minute);
        change.schedules = Some(vec![line(weekdays, minute)]);
        change.time_zone = Some("UTC".to_owned());
        change.windows = Some(Vec::new());
        // It starts within the hour that the vendor's client named.
        change.jitter = policy.map(|policy| policy.jitter.min(HOUR));
    }
    let keep = |days: u32| Span::days(days);
    change.keep = RetentionChange { within: asked.keep_days.map(keep), ..RetentionChange::default() };
    change
}

/// Such as `0 17 * * 1,3`.
fn line(weekdays: Weekdays, minute: u16) -> String {
    let days: Vec<String> =
        weekdays.iter().zip(1..).filter(|(on, _)| **on).map(|(_, day): (_, u32)| day.to_string()).collect();
    let days = if days.len() == 7 || days.is_empty() { "*".to_owned() } else { days.join(",") };
    format!("{} {} * * {days}", minute % 60, minute / 60 % 24)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(cron: &str, zone: &str) -> Policy {
        let schedule = keystow_engine::model::Schedule { cron: cron.to_owned() };
        Policy { schedules: vec![schedule], time_zone: zone.to_owned(), ..Policy::default() }
    }

    fn shown(policy: &Policy) -> (Weekdays, u16) {
        let (account, instance) = (keystow_engine::model::AccountId::default(), "i".parse().unwrap());
        // A Monday.
        week(&policy.calendar(&account, &instance).unwrap(), "2026-11-16T00:00:00Z".parse().unwrap())
    }

    #[test]
    fn what_a_vendor_sets_is_what_it_is_shown() {
        let monday_wednesday = [true, false, true, false, false, false, false];
        for (days, minute, cron) in [([true; 7], 1020, "0 17 * * *"), (monday_wednesday, 5, "5 0 * * 1,3")] {
            assert_eq!(line(days, minute), cron);
            assert_eq!(shown(&policy(cron, "UTC")), (days, minute));
        }
    }

    #[test]
    fn other_zones_and_rarer_backups_are_shown_as_near_as_can_be() {
        // 01:30 on Monday in Shanghai is Sunday, 17:30 UTC.
        let sunday = [false, false, false, false, false, false, true];
        assert_eq!(shown(&policy("30 1 * * 1", "Asia/Shanghai")), (sunday, 1050));
        // The first of December 2026 is a Tuesday, beyond this week.
        let tuesday = [false, true, false, false, false, false, false];
        assert_eq!(shown(&policy("0 4 1 * *", "UTC")), (tuesday, 240));
        assert_eq!(shown(&Policy::default()), (Weekdays::default(), 0));
    }

    #[test]
    fn what_is_not_said_stays() {
        let present =
            Shown { enabled: true, weekdays: [true; 7], start_minute: 60, keep_days: 7, next_at: None };
        let daily = policy("0 1 * * *", "UTC");
        let days = ours(&Asked { keep_days: Some(30), ..Asked::default() }, &present, Some(&daily));
        assert_eq!((days.schedules, days.keep.within, days.paused), (None, Some(Span::days(30)), None));
        let hour = ours(&Asked { start_minute: Some(120), ..Asked::default() }, &present, Some(&daily));
        assert_eq!(hour.schedules.unwrap(), ["0 2 * * *"]);
        let off = ours(&Asked { enabled: Some(false), ..Asked::default() }, &present, Some(&daily));
        assert_eq!((off.paused, off.schedules), (Some(true), None));
    }
}
