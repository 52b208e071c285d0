//! Webhooks: what is written down for them, who sends it, and that it is told once.

use super::*;
use crate::catalog::AttemptOutcome;
use crate::model::{
    DeliveryState, DeliveryTry, Failure, FireOutcome, Firing, FiringKind, JobKind, KeptPolicy, NewJob,
    Notice, NoticeKind, Outcome, Page, Planned, Policy, ScrubOutcome, WatchedInstance, Webhook,
    WebhookDelivery, Whole,
};

pub(super) async fn run(open: &impl AsyncFn() -> Arc<dyn Catalog>) {
    webhooks_are_kept_by_account(&fixture(open).await).await;
    what_happens_is_written_down_for_those_who_want_it(&fixture(open).await).await;
    a_failure_that_is_tried_again_is_told_at_the_last_try(&fixture(open).await).await;
    a_failure_is_told_when_the_next_fire_comes_before_another_try(&fixture(open).await).await;
    a_failure_is_told_when_the_other_try_is_given_up(&fixture(open).await).await;
    damage_is_told_once_and_its_end_too(&fixture(open).await).await;
    a_webhook_is_sent_one_at_a_time_and_all_in_turn(&fixture(open).await).await;
    a_try_that_is_over_late_changes_nothing(&fixture(open).await).await;
    an_old_backup_is_told_once_and_its_end_by_the_next_good_one(&fixture(open).await).await;
    what_was_told_is_pruned(&fixture(open).await).await;
}

pub(super) fn webhook(account: AccountId, name: &str, kinds: &[NoticeKind]) -> Webhook {
    Webhook {
        id: name.to_owned(),
        account,
        project: None,
        instance: None,
        url: "https://example.test/hook".to_owned(),
        sealed_secret: vec![7, 0, 255],
        kinds: kinds.to_vec(),
        paused: false,
        created_at: at(0),
        created_by: "AK1".to_owned(),
        last_ok_at: None,
        last_failed_at: None,
        last_error: None,
    }
}

fn failure(code: &str) -> Failure {
    Failure { code: code.to_owned(), message: "it is so".to_owned(), hint: Some("do this".to_owned()) }
}

fn done() -> DeliveryTry {
    DeliveryTry { status: Some(204), error: None, again: None }
}

impl Fixture {
    async fn hook(&self, webhook: Webhook) {
        self.add_webhook(&webhook, 20).await.unwrap();
    }

    /// What a webhook was told, oldest first.
    async fn told(&self, account: &AccountId, webhook: &str) -> Vec<WebhookDelivery> {
        let mut rows = self.webhook_deliveries(account, webhook, Page::default()).await.unwrap().rows;
        rows.reverse();
        rows
    }

    async fn kinds_told(&self, webhook: &str) -> Vec<NoticeKind> {
        self.told(&acme(), webhook).await.iter().map(|delivery| delivery.notice.kind).collect()
    }

    async fn next(&self, second: i64) -> Option<(Webhook, WebhookDelivery)> {
        self.claim_webhook_delivery(at(second), HOLD).await.unwrap()
    }

    /// A backup that is sealed so.
    async fn seals(&self, second: i64, sealed: SealedBackup) -> Backup {
        let asked = self.request(acme(), "crs-1", second).await;
        let job = self.claim(second).await.unwrap();
        self.seal_backup(&job.lease(), &sealed, at(second)).await.unwrap();
        asked
    }

    /// A backup by a policy's word that fails.
    async fn fails(&self, second: i64, mode: Mode) {
        let new = NewBackup { mode, ..order(acme(), "crs-1") };
        self.request_backup(BackupId::mint(at(second)), &new, at(second)).await.unwrap();
        let job = self.claim(second).await.unwrap();
        let outcome = AttemptOutcome::Failed(failure("SOURCE_UNREACHABLE"));
        self.fail_attempt(&job.lease(), &outcome, at(second)).await.unwrap();
    }

    async fn policy_with_next(&self, second: i64) {
        let next = Planned { fire: at(second), start: at(second) };
        let kept = KeptPolicy {
            account: acme(),
            instance: id("crs-1"),
            version: 1,
            policy: Policy::usual(&acme(), &id("crs-1")),
            changed_at: at(0),
            changed_by: "AK1".to_owned(),
            next: Some(next),
            retry_at: None,
            tries: 0,
            upkeep_at: at(second),
            drilled_at: None,
        };
        self.set_policy(&kept, 0).await.unwrap();
    }
}

async fn webhooks_are_kept_by_account(catalog: &Fixture) {
    let first = Webhook {
        project: Some(id("web")),
        instance: Some(id("crs-1")),
        ..webhook(acme(), "wh-1", &[NoticeKind::BackupFailed, NoticeKind::DrillFailed])
    };
    catalog.hook(first.clone()).await;
    assert_eq!(catalog.webhook("wh-1").await.unwrap(), Some(first.clone()));
    assert_eq!(catalog.webhook("wh-2").await.unwrap(), None);
    let second = Webhook { created_at: at(1), ..webhook(acme(), "wh-2", &[]) };
    assert!(is_conflict(&catalog.add_webhook(&second, 1).await.unwrap_err()), "no more than one");
    catalog.add_webhook(&second, 2).await.unwrap();
    catalog.hook(webhook(rival(), "wh-3", &[])).await;
    assert_eq!(catalog.webhooks(&acme()).await.unwrap(), [first, second]);
    assert_eq!(catalog.webhooks(&rival()).await.unwrap().len(), 1);
    assert!(is_missing(&catalog.add_webhook(&webhook(id("nobody"), "wh-4", &[]), 9).await.unwrap_err()));

    assert!(is_missing(&catalog.pause_webhook(&rival(), "wh-1", true).await.unwrap_err()));
    catalog.pause_webhook(&acme(), "wh-1", true).await.unwrap();
    assert!(catalog.webhook("wh-1").await.unwrap().unwrap().paused);
    assert!(is_missing(&catalog.delete_webhook(&rival(), "wh-1").await.unwrap_err()));
    catalog.delete_webhook(&acme(), "wh-1").await.unwrap();
    assert_eq!(catalog.webhook("wh-1").await.unwrap(), None);
}

async fn what_happens_is_written_down_for_those_who_want_it(catalog: &Fixture) {
    catalog.hook(webhook(acme(), "wh-all", &[])).await;
    catalog.hook(webhook(acme(), "wh-partial", &[NoticeKind::BackupPartial])).await;
    catalog.hook(Webhook { instance: Some(id("crs-2")), ..webhook(acme(), "wh-crs-2", &[]) }).await;
    catalog.hook(Webhook { project: Some(id("web")), ..webhook(acme(), "wh-web", &[]) }).await;
    catalog.hook(Webhook { project: Some(id("shop")), ..webhook(acme(), "wh-shop", &[]) }).await;
    catalog.hook(Webhook { paused: true, ..webhook(acme(), "wh-paused", &[]) }).await;
    catalog.hook(webhook(rival(), "wh-rival", &[])).await;

    let bad = |state, code: &str| SealedBackup { state, failure: Some(failure(code)), ..nothing() };
    catalog.seals(1, bad(BackupState::Partial, "PARTIAL")).await;
    catalog.seals(2, bad(BackupState::Quarantined, "QUARANTINED")).await;
    catalog.seals(3, nothing()).await;
    let small = SealedBackup { small: Some(failure("TOO_SMALL")), ..nothing() };
    let backup = catalog.seals(4, small).await;
    catalog.fails(5, Mode::Manual).await;

    let told = catalog.told(&acme(), "wh-all").await;
    let codes: Vec<_> = told.iter().map(|told| (told.notice.kind, told.notice.code.as_str())).collect();
    assert_eq!(
        codes,
        [
            (NoticeKind::BackupPartial, "PARTIAL"),
            (NoticeKind::BackupQuarantined, "QUARANTINED"),
            (NoticeKind::BackupTooSmall, "TOO_SMALL"),
            (NoticeKind::BackupFailed, "SOURCE_UNREACHABLE"),
        ]
    );
    let notice = &told[2].notice;
    assert_eq!((notice.at, &notice.account, &notice.project), (at(4), &acme(), &Some(id("web"))));
    let (of, noticed) = (notice.backup.as_ref().unwrap(), notice.instance.as_ref().unwrap());
    assert_eq!((of.id, of.number), (backup.id, backup.number));
    assert_eq!((noticed.id.as_str(), noticed.name.as_str()), ("crs-1", "name of crs-1"));
    assert_eq!((told[2].state, told[2].tries, told[2].created_at), (DeliveryState::Pending, 0, at(4)));
    assert_eq!(catalog.kinds_told("wh-web").await.len(), 4);
    assert_eq!(catalog.kinds_told("wh-partial").await, [NoticeKind::BackupPartial]);
    for nothing in ["wh-crs-2", "wh-shop", "wh-paused"] {
        assert_eq!(catalog.kinds_told(nothing).await, [], "{nothing}");
    }
    assert!(catalog.told(&rival(), "wh-rival").await.is_empty());
    assert!(catalog.told(&rival(), "wh-all").await.is_empty(), "another account's");
    assert_eq!(catalog.pending_webhook_deliveries(None).await.unwrap(), 9);
    assert_eq!(catalog.pending_webhook_deliveries(Some(&rival())).await.unwrap(), 0);
    catalog.delete_webhook(&acme(), "wh-all").await.unwrap();
    assert_eq!(catalog.pending_webhook_deliveries(Some(&acme())).await.unwrap(), 5);
}

async fn a_failure_that_is_tried_again_is_told_at_the_last_try(catalog: &Fixture) {
    catalog.hook(webhook(acme(), "wh-1", &[])).await;
    catalog.policy_with_next(100_000).await;
    for second in [10, 70, 370] {
        catalog.fails(second, Mode::Automated).await;
        assert_eq!(catalog.kinds_told("wh-1").await, [], "it is tried again");
    }
    catalog.fails(1270, Mode::Automated).await;
    assert_eq!(catalog.kinds_told("wh-1").await, [NoticeKind::BackupFailed]);
    catalog.fails(1300, Mode::Manual).await;
    assert_eq!(catalog.kinds_told("wh-1").await.len(), 2, "one by hand is not tried again");
}

async fn a_failure_is_told_when_the_next_fire_comes_before_another_try(catalog: &Fixture) {
    catalog.hook(webhook(acme(), "wh-1", &[])).await;
    catalog.policy_with_next(30).await;
    catalog.fails(1, Mode::Automated).await;
    assert_eq!(catalog.kinds_told("wh-1").await, [NoticeKind::BackupFailed]);
    catalog.delete_policy(&acme(), &id("crs-1"), at(2)).await.unwrap();
    assert_eq!(catalog.kinds_told("wh-1").await.len(), 1, "told once");
}

async fn a_failure_is_told_when_the_other_try_is_given_up(catalog: &Fixture) {
    catalog.hook(webhook(acme(), "wh-1", &[])).await;
    catalog.policy_with_next(100_000).await;
    catalog.fails(10, Mode::Automated).await;
    let kept = catalog.due_policies(at(100), 9).await.unwrap().remove(0);
    let what = FiringKind::Retry { missed: Some("its window is closed".to_owned()) };
    let firing = Firing { kept: kept.clone(), what, backup: BackupId::mint(at(100)) };
    assert_eq!(catalog.fire_policy(&firing, at(100)).await.unwrap().unwrap().0, FireOutcome::Missed);
    assert_eq!(catalog.kinds_told("wh-1").await, [NoticeKind::BackupFailed]);
    catalog.fails(200, Mode::Automated).await;
    assert_eq!(catalog.kinds_told("wh-1").await.len(), 1);
    let changed = KeptPolicy { changed_at: at(210), ..kept };
    catalog.set_policy(&changed, changed.version).await.unwrap();
    assert_eq!(catalog.kinds_told("wh-1").await.len(), 2);
    catalog.set_policy(&changed, changed.version + 1).await.unwrap();
    assert_eq!(catalog.kinds_told("wh-1").await.len(), 2, "told once");

    // One by hand is under way when the time of the other try comes.
    catalog.fails(300, Mode::Automated).await;
    let kept = catalog.due_policies(at(400), 9).await.unwrap().remove(0);
    let by_hand = catalog.request(acme(), "crs-1", 400).await;
    let what = FiringKind::Retry { missed: None };
    let firing = Firing { kept, what, backup: BackupId::mint(at(400)) };
    assert_eq!(catalog.fire_policy(&firing, at(400)).await.unwrap().unwrap().0, FireOutcome::Skipped);
    assert_eq!(catalog.kinds_told("wh-1").await.len(), 3);
    let job = catalog.claim(401).await.unwrap();
    assert_eq!(job.backup, by_hand.id);
    catalog.seal_backup(&job.lease(), &nothing(), at(402)).await.unwrap();

    // Nobody tries again what no policy wants any more.
    catalog.fails(500, Mode::Automated).await;
    assert_eq!(catalog.kinds_told("wh-1").await.len(), 3);
    assert!(catalog.delete_policy(&acme(), &id("crs-1"), at(510)).await.unwrap());
    assert_eq!(catalog.kinds_told("wh-1").await.len(), 4);
    assert!(!catalog.delete_policy(&acme(), &id("crs-1"), at(511)).await.unwrap());
    assert_eq!(catalog.kinds_told("wh-1").await.len(), 4);
}

async fn damage_is_told_once_and_its_end_too(catalog: &Fixture) {
    catalog.hook(webhook(acme(), "wh-1", &[])).await;
    let backup = catalog.available(acme(), "crs-1", 1, 1).await;
    for (second, ok) in [(10, true), (20, false), (30, false), (40, true), (50, true)] {
        let new = NewJob {
            account: acme(),
            backup: backup.id,
            instance: backup.instance.clone(),
            kind: JobKind::Scrub,
            order: None,
            target: None,
        };
        catalog.request_job(&new, at(second)).await.unwrap();
        let job = catalog.claim(second).await.unwrap();
        let scrub = ScrubOutcome {
            at: at(second),
            ok,
            bytes: 1,
            took_ms: 1,
            broken: Vec::new(),
            failure: (!ok).then(|| failure("OBJECT_DAMAGED")),
            before: Some(Whole { state: BackupState::Available, failure: None, until: None }),
        };
        catalog.record_outcome(&job.lease(), &Outcome::Scrub(scrub)).await.unwrap();
        catalog.finish_job(&job.lease(), at(second)).await.unwrap();
    }
    let told = catalog.told(&acme(), "wh-1").await;
    let told: Vec<_> = told.iter().map(|told| (told.notice.kind, told.notice.at)).collect();
    assert_eq!(told, [(NoticeKind::BackupDamaged, at(20)), (NoticeKind::BackupRestoredWhole, at(40))]);
}

async fn a_webhook_is_sent_one_at_a_time_and_all_in_turn(catalog: &Fixture) {
    for name in ["wh-1", "wh-2"] {
        catalog.hook(webhook(acme(), name, &[])).await;
    }
    catalog.fails(1, Mode::Manual).await;
    catalog.fails(2, Mode::Manual).await;
    assert!(catalog.next(0).await.is_none(), "not before it is due");
    let (hook, first) = catalog.next(10).await.unwrap();
    assert_eq!((hook.id.as_str(), hook.sealed_secret.as_slice()), ("wh-1", &[7, 0, 255][..]));
    assert_eq!(first.notice.at, at(1), "the oldest first");
    let (hook, second) = catalog.next(11).await.unwrap();
    assert_eq!(hook.id, "wh-2");
    assert_eq!(second.notice.id, first.notice.id, "one notice, whoever gets it");
    assert!(catalog.next(12).await.is_none(), "both are busy");

    let again = DeliveryTry {
        status: Some(503),
        error: Some("answered 503".to_owned()),
        again: Some(Duration::from_mins(1)),
    };
    catalog.end_webhook_try(&first, &again, at(13)).await.unwrap();
    catalog.end_webhook_try(&second, &done(), at(14)).await.unwrap();
    let hook = catalog.webhook("wh-1").await.unwrap().unwrap();
    assert_eq!((hook.last_failed_at, hook.last_error.as_deref()), (Some(at(13)), Some("answered 503")));
    let hook = catalog.webhook("wh-2").await.unwrap().unwrap();
    assert_eq!((hook.last_ok_at, hook.last_error), (Some(at(14)), None));

    let (hook, other) = catalog.next(15).await.unwrap();
    assert_eq!((hook.id.as_str(), other.notice.at), ("wh-1", at(2)), "its first one waits a minute");
    catalog.end_webhook_try(&other, &done(), at(16)).await.unwrap();
    assert_eq!(catalog.next(17).await.unwrap().0.id, "wh-2");
    assert!(catalog.next(18).await.is_none());
    // Whoever was to send it has died.
    assert_eq!(catalog.next(17 + 31).await.unwrap().0.id, "wh-2");
    let (_, late) = catalog.next(100).await.unwrap();
    assert_eq!((late.notice.id, late.tries, late.status), (first.notice.id, 1, Some(503)));
    let no_more = DeliveryTry { again: None, ..again };
    catalog.end_webhook_try(&late, &no_more, at(101)).await.unwrap();
    let told = catalog.told(&acme(), "wh-1").await;
    let ends: Vec<_> = told.iter().map(|told| (told.state, told.tries, told.ended_at)).collect();
    assert_eq!(ends, [(DeliveryState::GivenUp, 2, Some(at(101))), (DeliveryState::Done, 1, Some(at(16)))]);
}

async fn a_try_that_is_over_late_changes_nothing(catalog: &Fixture) {
    catalog.hook(webhook(acme(), "wh-1", &[])).await;
    catalog.fails(1, Mode::Manual).await;
    let (_, slow) = catalog.next(10).await.unwrap();
    let (_, quick) = catalog.next(50).await.unwrap();
    assert_eq!(slow, quick, "claimed again, for the first sender was lost");
    catalog.end_webhook_try(&quick, &done(), at(51)).await.unwrap();
    let failed = DeliveryTry { status: None, error: Some("timeout".to_owned()), again: None };
    catalog.end_webhook_try(&slow, &failed, at(52)).await.unwrap();
    let told = catalog.told(&acme(), "wh-1").await;
    assert_eq!((told[0].state, told[0].tries), (DeliveryState::Done, 1));
    catalog.pause_webhook(&acme(), "wh-1", true).await.unwrap();
    catalog.fails(60, Mode::Manual).await;
    assert_eq!(catalog.told(&acme(), "wh-1").await.len(), 1, "nothing while it is paused");
}

async fn an_old_backup_is_told_once_and_its_end_by_the_next_good_one(catalog: &Fixture) {
    assert!(catalog.watched_instances(None, 10).await.unwrap().is_empty(), "nobody listens");
    catalog.hook(webhook(acme(), "wh-0", &[NoticeKind::BackupFailed])).await;
    assert!(catalog.watched_instances(None, 10).await.unwrap().is_empty(), "nor for that");
    catalog.hook(webhook(acme(), "wh-1", &[NoticeKind::InstanceTooOld, NoticeKind::InstanceRecovered])).await;
    catalog.available(acme(), "crs-1", 5, 1).await;
    catalog.policy_with_next(100).await;
    let watched = catalog.watched_instances(None, 10).await.unwrap();
    let of = |found: &[WatchedInstance]| found.iter().map(|found| found.id.to_string()).collect::<Vec<_>>();
    assert_eq!(of(&watched), ["crs-1", "crs-2"]);
    assert_eq!((watched[0].last_good, watched[0].added_at), (Some(at(5)), at(0)));
    assert_eq!(watched[0].policy.as_ref().unwrap().1, at(0));
    assert_eq!((watched[1].last_good, watched[1].policy.is_none()), (None, true));
    assert_eq!(of(&catalog.watched_instances(None, 1).await.unwrap()), ["crs-1"]);
    let behind = (acme(), id("crs-1"));
    assert_eq!(of(&catalog.watched_instances(Some(&behind), 9).await.unwrap()), ["crs-2"]);

    let notice = Notice::new(NoticeKind::InstanceTooOld, acme(), failure("TOO_OLD"), at(500));
    assert!(catalog.tell_too_old(&watched[0], &notice, at(500)).await.unwrap());
    assert!(!catalog.tell_too_old(&watched[0], &notice, at(501)).await.unwrap(), "told before");
    assert_eq!(of(&catalog.watched_instances(None, 9).await.unwrap()), ["crs-2"]);
    let partial = SealedBackup { state: BackupState::Partial, ..nothing() };
    catalog.seals(600, partial).await;
    catalog.available(acme(), "crs-1", 700, 1).await;
    catalog.available(acme(), "crs-1", 800, 1).await;
    let told = catalog.told(&acme(), "wh-1").await;
    let told: Vec<_> = told.iter().map(|told| (told.notice.kind, told.notice.at)).collect();
    assert_eq!(told, [(NoticeKind::InstanceTooOld, at(500)), (NoticeKind::InstanceRecovered, at(700))]);
    assert!(!catalog.tell_too_old(&watched[0], &notice, at(900)).await.unwrap(), "a good one came meanwhile");
    assert_eq!(of(&catalog.watched_instances(None, 9).await.unwrap()), ["crs-1", "crs-2"]);
}

async fn what_was_told_is_pruned(catalog: &Fixture) {
    catalog.hook(webhook(acme(), "wh-1", &[])).await;
    let ended = |second: i64| WebhookDelivery {
        webhook: "wh-1".to_owned(),
        notice: Notice::new(NoticeKind::WebhookTest, acme(), failure("WEBHOOK_TEST"), at(second)),
        created_at: at(second),
        due_at: at(second),
        tries: 1,
        state: DeliveryState::Done,
        status: Some(200),
        error: None,
        ended_at: Some(at(second)),
    };
    for second in 0..10 {
        catalog.record_webhook_delivery(&ended(second)).await.unwrap();
    }
    catalog.fails(1, Mode::Manual).await;
    assert_eq!(catalog.told(&acme(), "wh-1").await.len(), 11);
    assert_eq!(catalog.prune_webhook_deliveries(at(3), 100).await.unwrap(), 3);
    assert_eq!(catalog.prune_webhook_deliveries(at(3), 2).await.unwrap(), 5);
    let left = catalog.told(&acme(), "wh-1").await;
    let left: Vec<_> = left.iter().map(|told| (told.notice.at, told.state)).collect();
    assert_eq!(
        left,
        [(at(1), DeliveryState::Pending), (at(8), DeliveryState::Done), (at(9), DeliveryState::Done)]
    );
    let lost = WebhookDelivery { webhook: "wh-9".to_owned(), ..ended(1) };
    assert!(is_missing(&catalog.record_webhook_delivery(&lost).await.unwrap_err()));
}
