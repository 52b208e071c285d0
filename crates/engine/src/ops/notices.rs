//! What webhooks are told: finds what no job says by itself, and sends what is written down.

use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use tokio::task::JoinSet;
use uuid::Uuid;

use super::Engine;
use super::webhooks::{origin, webhook_place};
use crate::error::Result;
use crate::model::{
    AccountId, AddressRange, Backup, BackupFilter, BackupState, DeliveryTry, Failure, InstanceId, Notice,
    NoticeKind, NoticedInstance, Page, SealedPart, WatchedInstance, Webhook, WebhookDelivery,
};
use crate::notify::{PATIENCE, Post, Refused};

/// Receivers that are told at once by one node.
const AT_ONCE: usize = 16;
/// How long a node has a webhook for itself: a try, and time to write down what became of it.
const HOLD: Duration = PATIENCE.saturating_mul(3);
/// How often it looks for more while it sends.
const POLL: Duration = Duration::from_secs(1);
/// Pauses between tries. The last one comes again and again.
const PAUSES: [Duration; 6] = [
    Duration::from_secs(10),
    Duration::from_mins(1),
    Duration::from_mins(5),
    Duration::from_mins(30),
    Duration::from_hours(2),
    Duration::from_hours(6),
];
/// No try comes later than this after what it tells.
const GIVEN_UP: SignedDuration = SignedDuration::from_hours(24);
/// How long it is shown what was told, and how much of it.
const KEPT: (SignedDuration, u64) = (SignedDuration::from_hours(30 * 24), 10_000);
/// Instances that are read at once.
const STEP: u64 = 500;
/// Time that the backup of a fire gets before its instance counts as without one.
const GRACE: SignedDuration = SignedDuration::from_hours(1);
/// Good backups before one that it is held against.
const BEFORE: u64 = 5;
/// Fewer keys, and fewer bytes, come and go for no reason.
const SMALL: (u64, u64) = (100, 64 * 1024);

/// What an operator may set about notices.
#[derive(Debug, Clone)]
pub struct NotifySettings {
    /// How old the last good backup of an instance may be; `None` = its policy says.
    pub too_old: Option<Duration>,
    /// A good backup with less than this percentage of the keys or bytes of those before it is too small; 0 = none is.
    pub too_small_percent: u32,
    /// Addresses that webhooks may not reach, beside those that nobody may.
    pub deny: Vec<AddressRange>,
    /// This host's name, for receivers.
    pub host: String,
}

impl Default for NotifySettings {
    fn default() -> Self {
        Self { too_old: None, too_small_percent: 50, deny: Vec::new(), host: String::new() }
    }
}

/// A notice as it is posted.
#[derive(Serialize)]
struct Told<'a> {
    #[serde(flatten)]
    notice: &'a Notice,
    node: &'a str,
    server: &'a str,
}

impl Engine {
    /// Sends every notice that is due, each webhook one at a time and many webhooks side by side. Returns how many tries
    /// that were, when none is due and none is under way.
    pub async fn tell_due(self: &Arc<Self>) -> Result<u64> {
        // Each on a task of its own: one that is in the middle of a transaction must go on while this waits for another.
        let (mut sending, mut tries) = (JoinSet::new(), 0);
        loop {
            while sending.len() < AT_ONCE {
                match self.catalog.claim_webhook_delivery(self.clock.now(), HOLD).await {
                    Ok(Some((webhook, delivery))) => {
                        let engine = self.clone();
                        sending.spawn(async move { engine.send(webhook, delivery).await });
                    }
                    Ok(None) => break,
                    Err(error) if sending.is_empty() => return Err(error),
                    Err(error) => {
                        tracing::warn!(%error, "cannot look for what is to be told");
                        break;
                    }
                }
            }
            if sending.is_empty() {
                return Ok(tries);
            }
            tokio::select! {
                Some(_) = sending.join_next() => tries += 1,
                () = tokio::time::sleep(POLL) => {}
            }
        }
    }

    /// One try, and what became of it.
    async fn send(&self, webhook: Webhook, delivery: WebhookDelivery) {
        let (to, kind) = (origin(&webhook.url), delivery.notice.kind.as_str());
        let answer = self.post(&webhook, &delivery.notice).await;
        let answer = answer.unwrap_or_else(|error| Err(Refused { status: None, why: error.to_string() }));
        let now = self.clock.now();
        let outcome = match answer {
            Ok(status) => DeliveryTry { status: Some(status), error: None, again: None },
            Err(Refused { status, why }) => DeliveryTry {
                status,
                error: Some(why),
                again: pause(delivery.tries, now.duration_since(delivery.created_at)),
            },
        };
        let (id, webhook) = (delivery.notice.id, &webhook.id);
        match (&outcome.error, outcome.again) {
            (None, _) => tracing::info!(webhook, to, notice = %id, kind, "told"),
            (Some(why), Some(_)) => {
                tracing::warn!(webhook, to, notice = %id, kind, why, "a webhook does not take a notice; again later");
            }
            (Some(why), None) => {
                tracing::error!(webhook, to, notice = %id, kind, why, "a webhook never took a notice; given up");
            }
        }
        self.tally.notice_tried(&outcome);
        if let Err(error) = self.catalog.end_webhook_try(&delivery, &outcome, now).await {
            // It is claimed again when nobody holds it any more, and told twice at worst.
            tracing::error!(%error, notice = %id, "cannot write down what became of a notice");
        }
    }

    /// Posts a notice to a webhook, once. The outer error says that its secret cannot be read.
    pub(super) async fn post(&self, webhook: &Webhook, notice: &Notice) -> Result<Result<u16, Refused>> {
        let secret = self.sealer.open(&webhook_place(&webhook.id), &webhook.sealed_secret)?;
        let told = Told { notice, node: &self.settings.notify.host, server: &self.settings.public_url };
        let body = serde_json::to_string(&told)
            .map_err(|error| crate::error::Error::internal("a notice has no JSON", error))?;
        let id = notice.id.to_string();
        let post = Post {
            url: &webhook.url,
            event: notice.kind.as_str(),
            id: &id,
            body,
            secret: &secret,
            at: self.clock.now().as_second(),
        };
        Ok(self.poster.post(post).await)
    }

    /// Forgets what was told long ago.
    pub async fn prune_notices(&self) -> Result<u64> {
        if !self.knows_the_time() {
            return Ok(0);
        }
        let before = self.clock.now().saturating_sub(KEPT.0).unwrap_or(Timestamp::MIN);
        self.catalog.prune_webhook_deliveries(before, KEPT.1).await
    }

    /// Tells of every instance whose last good backup has become too old, once each. Returns of how many.
    pub async fn look_for_old(&self) -> Result<u64> {
        if !self.knows_the_time() {
            return Ok(0);
        }
        let (now, mut told) = (self.clock.now(), 0);
        let mut after: Option<(AccountId, InstanceId)> = None;
        loop {
            let found = self.catalog.watched_instances(after.as_ref(), STEP).await?;
            let Some(last) = found.last() else { return Ok(told) };
            after = Some((last.account.clone(), last.id.clone()));
            for instance in &found {
                let setting = self.settings.notify.too_old;
                if limit(instance, setting).is_none_or(|limit| now <= limit) {
                    continue;
                }
                let notice = old_notice(instance, now);
                if self.catalog.tell_too_old(instance, &notice, now).await? {
                    tracing::warn!(instance = %instance.id, "{}", notice.message);
                    told += 1;
                }
            }
        }
    }

    /// Why a good backup looks too small beside those before it, if it does. Not to know says nothing against it.
    pub(super) async fn too_small(&self, backup: &Backup, parts: &[SealedPart]) -> Option<Failure> {
        let filter = BackupFilter {
            instance: Some(backup.instance.clone()),
            states: vec![BackupState::Available],
            page: Page { offset: 0, limit: BEFORE },
            ..BackupFilter::default()
        };
        let before = match self.catalog.backups(&backup.account, &filter).await {
            Ok(listed) => listed.rows,
            Err(error) => {
                tracing::warn!(backup = %backup.id, %error, "cannot compare a backup with those before it");
                return None;
            }
        };
        let before: Vec<_> =
            before.iter().map(|before| sizes(before.parts.iter().map(|part| &part.sealed))).collect();
        let why = smaller(sizes(parts.iter()), &before, self.settings.notify.too_small_percent)?;
        tracing::warn!(backup = %backup.id, instance = %backup.instance, "{why}");
        Some(Failure {
            code: "TOO_SMALL".to_owned(),
            message: why,
            hint: Some(
                "if nothing was meant to be deleted, compare with an earlier one: keystow diff".to_owned(),
            ),
        })
    }
}

/// How long after a failed try the next one comes; `None` = it would come too late. `age`: since it was written down.
fn pause(tries: u32, age: SignedDuration) -> Option<Duration> {
    let place = usize::try_from(tries).unwrap_or(usize::MAX).min(PAUSES.len() - 1);
    // Up to a tenth more, so that what failed together is not sent together.
    let tenth = Uuid::new_v4().as_u128() % 101;
    let more = PAUSES[place].as_millis() * tenth / 1000;
    let pause = PAUSES[place] + Duration::from_millis(u64::try_from(more).unwrap_or(0));
    let then = SignedDuration::try_from(pause).ok()?.checked_add(age)?;
    (then <= GIVEN_UP).then_some(pause)
}

/// Until when the last good backup of an instance is not too old: by the setting, or until two fires of its policy have
/// come to nothing. `None` = nothing says.
fn limit(instance: &WatchedInstance, setting: Option<Duration>) -> Option<Timestamp> {
    let since = instance.last_good.unwrap_or(instance.added_at);
    if let Some(most) = setting {
        return Some(since.saturating_add(most).unwrap_or(Timestamp::MAX));
    }
    let (policy, changed_at) = instance.policy.as_ref().filter(|(policy, _)| !policy.paused)?;
    let calendar = match policy.calendar(&instance.account, &instance.id) {
        Ok(calendar) => calendar,
        Err(error) => {
            tracing::error!(instance = %instance.id, %error, "a policy cannot be read");
            return None;
        }
    };
    let first = calendar.next(since.max(*changed_at))?;
    let second = calendar.next(first.fire)?;
    let grace = second.start.duration_since(first.start).min(GRACE);
    Some(second.start.saturating_add(grace).unwrap_or(Timestamp::MAX))
}

fn old_notice(instance: &WatchedInstance, now: Timestamp) -> Notice {
    let moment = |at: Timestamp| at.strftime("%Y-%m-%d %H:%M:%SZ").to_string();
    let id = &instance.id;
    let message = match instance.last_good {
        Some(at) => {
            let hours = now.duration_since(at).as_hours();
            format!("the last good backup of {id} is {hours} h old: it was begun at {}", moment(at))
        }
        None => format!("{id} has no good backup; it was added at {}", moment(instance.added_at)),
    };
    let what = Failure {
        code: "TOO_OLD".to_owned(),
        message,
        hint: Some(format!("see why: keystow backup list --instance {id}; keystow policy show {id}")),
    };
    Notice {
        project: instance.project.clone(),
        instance: Some(NoticedInstance { id: id.clone(), name: instance.name.clone() }),
        ..Notice::new(NoticeKind::InstanceTooOld, instance.account.clone(), what, now)
    }
}

/// Keys and plain bytes.
fn sizes<'a>(parts: impl Iterator<Item = &'a SealedPart>) -> (u64, u64) {
    parts.fold((0, 0), |(keys, bytes), part| (keys + part.report.keys, bytes + part.size_bytes))
}

/// Says what is less than so many percent of the median before.
fn smaller(now: (u64, u64), before: &[(u64, u64)], percent: u32) -> Option<String> {
    if before.is_empty() {
        return None;
    }
    let median = |of: fn(&(u64, u64)) -> u64| {
        let mut all: Vec<u64> = before.iter().map(of).collect();
        all.sort_unstable();
        all[all.len() / 2]
    };
    let (keys, bytes) = (median(|sizes| sizes.0), median(|sizes| sizes.1));
    let is_less =
        |now: u64, usual: u64| u128::from(now) * 100 < u128::from(usual) * u128::from(percent.min(100));
    let of = before.len();
    if keys >= SMALL.0 && is_less(now.0, keys) {
        return Some(format!("it has {} keys, where {keys} are usual (median of the last {of})", now.0));
    }
    if bytes >= SMALL.1 && is_less(now.1, bytes) {
        return Some(format!("it has {} bytes, where {bytes} are usual (median of the last {of})", now.1));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Policy, Schedule};

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn tries_come_ever_later_and_end_within_a_day() {
        let (mut age, mut tries) = (SignedDuration::ZERO, 0);
        let mut pauses = Vec::new();
        while let Some(pause) = pause(tries, age) {
            pauses.push(pause.as_secs());
            age += SignedDuration::try_from(pause).unwrap();
            tries += 1;
            assert!(tries < 20, "{pauses:?}");
        }
        assert_eq!(pauses.len(), 8, "{pauses:?}");
        for (pause, least) in pauses.iter().zip([10, 60, 300, 1800, 7200, 21_600, 21_600, 21_600]) {
            assert!((least..=least + least / 10).contains(pause), "{pauses:?}");
        }
        assert!(age <= GIVEN_UP);
        // A webhook that was paused for long gets one try, and no more.
        assert_eq!(super::pause(0, SignedDuration::from_hours(40)), None);
    }

    fn watched(last_good: Option<&str>, policy: Option<(&str, &str)>) -> WatchedInstance {
        let policy = policy.map(|(cron, changed_at)| {
            let schedules = vec![Schedule { cron: cron.to_owned() }];
            (Policy { schedules, ..Policy::default() }, at(changed_at))
        });
        WatchedInstance {
            account: AccountId::default(),
            id: "crs-1".parse().unwrap(),
            name: "x".to_owned(),
            project: None,
            added_at: at("2026-03-01T12:00:00Z"),
            last_good: last_good.map(at),
            policy,
        }
    }

    #[test]
    fn a_backup_is_too_old_when_two_fires_have_come_to_nothing() {
        let long_ago = "2026-01-01T00:00:00Z";
        let daily = Some(("0 3 * * *", long_ago));
        for (last_good, policy, expected) in [
            (Some("2026-03-10T03:00:05Z"), daily, Some("2026-03-12T04:00:00Z")),
            (None, daily, Some("2026-03-03T04:00:00Z")),
            // Over a weekend.
            (Some("2026-03-06T03:00:05Z"), Some(("0 3 * * 1-5", long_ago)), Some("2026-03-10T04:00:00Z")),
            (Some("2026-03-10T03:00:05Z"), Some(("*/10 * * * *", long_ago)), Some("2026-03-10T03:30:00Z")),
            // A policy is not too late for what was before it.
            (
                Some("2026-03-10T03:00:05Z"),
                Some(("0 3 * * *", "2026-03-20T00:00:00Z")),
                Some("2026-03-21T04:00:00Z"),
            ),
            (Some("2026-03-10T03:00:05Z"), None, None),
        ] {
            assert_eq!(limit(&watched(last_good, policy), None), expected.map(at), "{last_good:?}");
        }
        let mut paused = watched(None, daily);
        if let Some((policy, _)) = &mut paused.policy {
            policy.paused = true;
        }
        assert_eq!(limit(&paused, None), None);
        let setting = Some(Duration::from_hours(26));
        assert_eq!(limit(&paused, setting), Some(at("2026-03-02T14:00:00Z")));
        let last = watched(Some("2026-03-10T03:00:00Z"), None);
        assert_eq!(limit(&last, setting), Some(at("2026-03-11T05:00:00Z")));
    }

    #[test]
    fn a_notice_of_age_says_how_old_and_has_no_secret() {
        let notice = old_notice(&watched(Some("2026-03-10T03:00:05Z"), None), at("2026-03-12T04:10:00Z"));
        assert_eq!((notice.kind, notice.code.as_str()), (NoticeKind::InstanceTooOld, "TOO_OLD"));
        assert!(notice.message.contains("is 49 h old: it was begun at 2026-03-10 03:00:05Z"), "{notice:?}");
        let notice = old_notice(&watched(None, None), at("2026-03-12T04:10:00Z"));
        assert!(notice.message.contains("no good backup"));
    }

    #[test]
    fn small_is_what_has_less_than_the_share_of_what_is_usual() {
        let usual = [(1000, 1_000_000), (900, 900_000), (5, 2000), (1100, 1_100_000), (1000, 1_000_000)];
        let says = |now| smaller(now, &usual, 50);
        assert_eq!(says((500, 500_000)), None, "half is not less than half");
        assert!(says((499, 1_000_000)).unwrap().contains("499 keys, where 1000 are usual"));
        assert!(says((1000, 499_999)).unwrap().contains("499999 bytes"));
        assert_eq!(says((0, 0)).map(|_| ()), Some(()), "an empty server");
        assert_eq!(smaller((0, 0), &usual, 0), None, "switched off");
        assert_eq!(smaller((0, 0), &[], 50), None, "the first one");
        assert_eq!(smaller((10, 1000), &[(99, 65_535)], 50), None, "little comes and goes");
        assert!(smaller((0, 0), &[(100, 0)], 50).is_some());
    }
}
