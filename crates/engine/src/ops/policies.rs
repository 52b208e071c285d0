//! Sets, shows and removes policies, and says what they will do.

use std::cmp::Reverse;
use std::collections::hash_map::Entry;
use std::collections::{BinaryHeap, HashMap};

use jiff::Timestamp;
use serde_json::{Value, json};

use super::Engine;
use super::audit::Deed;
use crate::access::{Principal, Scope};
use crate::error::{Error, Kind, Result};
use crate::model::{
    AccountId, Fire, InstanceId, KeptPolicy, Page, Planned, Policy, Right, Schedule, Span, Window,
};

/// What of a policy is to be different; `None` stays as it is, or is as usual where there was no policy.
#[derive(Debug, Clone, Default)]
pub struct PolicyChange {
    /// The version that the caller has seen; `None` = whatever there is.
    pub version: Option<u64>,
    /// Cron lines.
    pub schedules: Option<Vec<String>>,
    /// Time zone.
    pub time_zone: Option<String>,
    /// Jitter.
    pub jitter: Option<Span>,
    /// Windows of the day.
    pub windows: Option<Vec<Window>>,
    /// What is kept.
    pub keep: RetentionChange,
    /// How often each backup is read again; zero = never.
    pub verify_every: Option<Span>,
    /// How often the newest backup is drilled; zero = never.
    pub drill_every: Option<Span>,
    /// Other repositories that get a copy of each available backup.
    pub copies: Option<Vec<String>>,
    /// Whether a missed fire is caught up.
    pub catch_up: Option<bool>,
    /// Whether no backups are taken.
    pub paused: Option<bool>,
}

/// What of a retention is to be different.
#[derive(Debug, Clone, Copy, Default)]
pub struct RetentionChange {
    /// The last so many.
    pub last: Option<u32>,
    /// All that are no older.
    pub within: Option<Span>,
    /// One a day.
    pub daily: Option<u32>,
    /// One a week.
    pub weekly: Option<u32>,
    /// One a month.
    pub monthly: Option<u32>,
    /// One a year.
    pub yearly: Option<u32>,
    /// Good ones that stay in any case.
    pub minimum: Option<u32>,
    /// Whether backups by hand go as well.
    pub include_manual: Option<bool>,
}

/// A backup that a policy will take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ComingBackup {
    /// The instance.
    pub instance: InstanceId,
    /// When, and what fire it is for.
    pub planned: Planned,
}

/// A policy's backups are looked through so long after it was changed.
const FIRST_UPKEEP: Span = Span::ZERO;
/// Most coming backups of one answer.
const MOST_COMING: usize = 1000;

impl PolicyChange {
    fn apply(self, policy: &mut Policy) {
        fn set<T>(place: &mut T, value: Option<T>) {
            if let Some(value) = value {
                *place = value;
            }
        }
        let lines = |lines: Vec<String>| lines.into_iter().map(|cron| Schedule { cron }).collect();
        set(&mut policy.schedules, self.schedules.map(lines));
        set(&mut policy.time_zone, self.time_zone);
        set(&mut policy.jitter, self.jitter);
        set(&mut policy.windows, self.windows);
        set(&mut policy.copies, self.copies);
        set(&mut policy.catch_up, self.catch_up);
        set(&mut policy.paused, self.paused);
        let some = |span: Span| (!span.is_zero()).then_some(span);
        set(&mut policy.verify_every, self.verify_every.map(some));
        set(&mut policy.drill_every, self.drill_every.map(some));
        let (keep, change) = (&mut policy.keep, self.keep);
        set(&mut keep.last, change.last);
        set(&mut keep.within, change.within);
        set(&mut keep.daily, change.daily);
        set(&mut keep.weekly, change.weekly);
        set(&mut keep.monthly, change.monthly);
        set(&mut keep.yearly, change.yearly);
        set(&mut keep.minimum, change.minimum.map(|minimum| minimum.max(1)));
        set(&mut keep.include_manual, change.include_manual);
    }
}

impl PolicyChange {
    /// What is to be different, in the words of the API.
    fn parameters(&self) -> Value {
        let span = |span: Option<Span>| span.map(|span| span.to_string());
        let windows = self.windows.as_ref().map(|all| all.iter().map(Window::to_string).collect::<Vec<_>>());
        let keep = &self.keep;
        let keep = given(json!({
            "last": keep.last,
            "within": span(keep.within),
            "daily": keep.daily,
            "weekly": keep.weekly,
            "monthly": keep.monthly,
            "yearly": keep.yearly,
            "minimum": keep.minimum,
            "include_manual": keep.include_manual,
        }));
        given(json!({
            "version": self.version,
            "schedules": self.schedules,
            "time_zone": self.time_zone,
            "jitter": span(self.jitter),
            "windows": windows,
            "keep": keep.as_object().filter(|keep| !keep.is_empty()),
            "verify_every": span(self.verify_every),
            "drill_every": span(self.drill_every),
            "copies": self.copies,
            "catch_up": self.catch_up,
            "paused": self.paused,
        }))
    }
}

/// An object without what was not given.
fn given(mut object: Value) -> Value {
    if let Some(fields) = object.as_object_mut() {
        fields.retain(|_, value| !value.is_null());
    }
    object
}

impl Engine {
    /// Changes the policy of an instance, or gives it one. `CONFLICT` if it is not the version that the caller has seen.
    pub async fn set_policy(
        &self,
        who: &Principal,
        instance: &InstanceId,
        change: PolicyChange,
    ) -> Result<KeptPolicy> {
        let deed = Deed::new(Right::Operate, "policy.set", "instance", instance).with(change.parameters());
        self.audited(who, deed, self.change_policy(who, instance, change)).await
    }

    async fn change_policy(
        &self,
        who: &Principal,
        instance: &InstanceId,
        change: PolicyChange,
    ) -> Result<KeptPolicy> {
        let scope = who.with(Right::Operate)?;
        self.visible_instance(&scope, instance).await?;
        for name in change.copies.iter().flatten() {
            self.others.check(name)?;
        }
        let found = self.catalog.policy(&scope.account, instance).await?;
        let seen = found.as_ref().map_or(0, |kept| kept.version);
        if change.version.is_some_and(|version| version != seen) {
            let message = format!("the policy of {instance} is version {seen} by now");
            return Err(Error::new(Kind::Conflict, "CONFLICT", message)
                .hint(format!("look at it again: keystow policy show {instance}")));
        }
        let pending = found.as_ref().and_then(|kept| kept.next);
        let mut policy = found.map_or_else(|| Policy::usual(&scope.account, instance), |kept| kept.policy);
        change.apply(&mut policy);
        self.write_policy(&scope.account, instance, policy, who.key_id(), (seen, pending)).await
    }

    /// Writes a policy over the version `seen`, with its next fire. `pending` is the one that it had.
    pub(super) async fn write_policy(
        &self,
        account: &AccountId,
        instance: &InstanceId,
        policy: Policy,
        by: &str,
        (seen, pending): (u64, Option<Planned>),
    ) -> Result<KeptPolicy> {
        let now = self.clock.now();
        let calendar = policy.check(account, instance)?;
        // A fire whose moment has come, but not its start, is still to be done.
        let pending = pending.filter(|pending| pending.fire <= now).map(|pending| {
            let start = if pending.start > now { calendar.in_window(pending.start) } else { pending.start };
            Planned { start, ..pending }
        });
        let next = calendar.next(now).filter(|_| !policy.paused).map(|next| pending.unwrap_or(next));
        let new = KeptPolicy {
            account: account.clone(),
            instance: instance.clone(),
            version: seen + 1,
            policy,
            changed_at: now,
            changed_by: by.to_owned(),
            next,
            retry_at: None,
            tries: 0,
            upkeep_at: FIRST_UPKEEP.after(now),
            drilled_at: None,
        };
        let kept = self.catalog.set_policy(&new, seen).await?;
        self.policies.clear();
        Ok(kept)
    }

    /// The policy of an instance; `None` if it has none.
    pub async fn policy(&self, who: &Principal, instance: &InstanceId) -> Result<Option<KeptPolicy>> {
        let scope = who.with(Right::View)?;
        self.visible_instance(&scope, instance).await?;
        self.catalog.policy(&scope.account, instance).await
    }

    /// The last fires of a policy, newest first.
    pub async fn fires(&self, who: &Principal, instance: &InstanceId, most: u64) -> Result<Vec<Fire>> {
        let scope = who.with(Right::View)?;
        self.visible_instance(&scope, instance).await?;
        self.catalog.fires(&scope.account, instance, most).await
    }

    /// Removes the policy of an instance: nothing is taken or removed by itself any more, but for backups with an expiry
    /// of their own.
    pub async fn delete_policy(&self, who: &Principal, instance: &InstanceId) -> Result<()> {
        self.audited(who, Deed::new(Right::Operate, "policy.delete", "instance", instance), async {
            let scope = who.with(Right::Operate)?;
            self.visible_instance(&scope, instance).await?;
            let was_there = self.catalog.delete_policy(&scope.account, instance, self.clock.now()).await?;
            self.policies.clear();
            if was_there { Ok(()) } else { Err(no_policy(instance)) }
        })
        .await
    }

    /// The next backups that policies will take, in order: of one instance, or of all that the caller sees.
    pub async fn coming_backups(
        &self,
        who: &Principal,
        instance: Option<&InstanceId>,
        most: usize,
    ) -> Result<Vec<ComingBackup>> {
        let scope = who.with(Right::View)?;
        let most = most.min(MOST_COMING);
        let mut policies: Vec<KeptPolicy> = match instance {
            Some(id) => {
                self.visible_instance(&scope, id).await?;
                self.catalog.policy(&scope.account, id).await?.into_iter().collect()
            }
            None => self.all_policies(&scope).await?,
        };
        policies.sort_by(|one, other| one.instance.cmp(&other.instance));
        // The next fire of each policy; only those whose turn comes are asked for another.
        let mut pending: BinaryHeap<Reverse<(Timestamp, usize, Timestamp)>> = BinaryHeap::new();
        let waiting = |next: Option<Planned>, at| next.map(|next| Reverse((next.start, at, next.fire)));
        pending.extend(policies.iter().enumerate().filter_map(|(at, kept)| waiting(kept.next, at)));
        let mut calendars = HashMap::new();
        let mut coming = Vec::new();
        while let Some(Reverse((start, at, fire))) = pending.pop().filter(|_| coming.len() < most) {
            let kept = &policies[at];
            coming.push(ComingBackup { instance: kept.instance.clone(), planned: Planned { fire, start } });
            let calendar = match calendars.entry(at) {
                Entry::Occupied(known) => known.into_mut(),
                Entry::Vacant(new) => new.insert(kept.policy.calendar(&kept.account, &kept.instance)?),
            };
            pending.extend(waiting(calendar.next(fire), at));
            // A line that rarely fires takes long to look through.
            tokio::task::yield_now().await;
        }
        Ok(coming)
    }

    /// The policies of an account's instances that the caller sees.
    pub(super) async fn all_policies(&self, scope: &Scope) -> Result<Vec<KeptPolicy>> {
        let mut all = Vec::new();
        loop {
            let page = Page { offset: all.len() as u64, limit: 1000 };
            let found = self.catalog.policies(&scope.account, scope.project.as_ref(), page).await?;
            let is_last = (found.len() as u64) < page.limit;
            all.extend(found);
            if is_last {
                return Ok(all);
            }
        }
    }

    /// The policy of an instance, as the catalog had it a moment ago.
    pub(super) async fn known_policy(
        &self,
        account: &AccountId,
        instance: &InstanceId,
        now: Timestamp,
    ) -> Result<std::sync::Arc<Option<Policy>>> {
        let place = [account.as_str(), "/", instance.as_str()].concat();
        if let Some(known) = self.policies.get(&place, now) {
            return Ok(known);
        }
        let found = self.catalog.policy(account, instance).await?.map(|kept| kept.policy);
        Ok(self.policies.insert(place, found, now))
    }
}

/// The answer where an instance has no policy.
pub fn no_policy(instance: &InstanceId) -> Error {
    Error::new(Kind::NotFound, "POLICY_NOT_FOUND", format!("{instance} has no policy"))
        .hint(format!("give it the usual one with: keystow policy set {instance}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_audit_log_gets_a_change_in_the_words_of_the_api() {
        assert_eq!(PolicyChange::default().parameters(), json!({}));
        let change = PolicyChange {
            schedules: Some(vec!["30 3 * * *".to_owned()]),
            windows: Some(vec!["22:00-06:00".parse().unwrap()]),
            jitter: Some("10m".parse().unwrap()),
            keep: RetentionChange { within: Some("7d".parse().unwrap()), ..RetentionChange::default() },
            copies: Some(vec!["far".to_owned()]),
            paused: Some(false),
            ..PolicyChange::default()
        };
        let expected = json!({
            "schedules": ["30 3 * * *"],
            "windows": ["22:00-06:00"],
            "jitter": "10m",
            "keep": {"within": "7d"},
            "copies": ["far"],
            "paused": false,
        });
        assert_eq!(change.parameters(), expected);
    }
}
