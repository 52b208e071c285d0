//! Policies: versions, fires that come once, other tries, upkeep.

use super::*;
use crate::catalog::AttemptOutcome;
use crate::model::{
    Failure, FireOutcome, Firing, FiringKind, KeptPolicy, Page, Planned, Policy, ScrubOutcome, Whole,
};

pub(super) async fn run(open: &impl AsyncFn() -> Arc<dyn Catalog>) {
    a_policy_is_written_over_the_version_that_was_seen(&fixture(open).await).await;
    policies_are_listed_by_their_next_fire(&fixture(open).await).await;
    a_fire_comes_once(&fixture(open).await).await;
    a_moment_has_one_fire_whatever_the_clock_does(&fixture(open).await).await;
    a_fire_during_a_backup_is_written_down_as_skipped(&fixture(open).await).await;
    a_missed_and_a_postponed_fire_take_no_backup(&fixture(open).await).await;
    a_failed_backup_is_tried_again_three_times(&fixture(open).await).await;
    the_last_hundred_fires_are_kept(&fixture(open).await).await;
    upkeep_is_done_by_one(&fixture(open).await).await;
    the_last_good_backup_does_not_retire(&fixture(open).await).await;
    expiries_are_found(&fixture(open).await).await;
    a_scrub_decides_whether_a_backup_is_damaged(&fixture(open).await).await;
    two_schedulers_fire_two_thousand_policies_once(&fixture(open).await).await;
}

#[expect(clippy::unnecessary_wraps, reason = "as a row holds it")]
fn planned(second: i64) -> Option<Planned> {
    Some(Planned { fire: at(second), start: at(second) })
}

fn new(account: AccountId, instance: &str, second: i64) -> KeptPolicy {
    let (policy, instance) = (Policy::usual(&account, &id(instance)), id(instance));
    KeptPolicy {
        account,
        instance,
        version: 1,
        policy,
        changed_at: at(0),
        changed_by: "AK1".to_owned(),
        next: planned(second),
        retry_at: None,
        tries: 0,
        upkeep_at: at(second),
        drilled_at: None,
    }
}

fn scheduled(kept: &KeptPolicy, next: i64) -> Firing {
    let at = kept.next.unwrap().fire;
    let what = FiringKind::Scheduled { at, missed: None, note: None, next: planned(next) };
    Firing { kept: kept.clone(), what, backup: BackupId::mint(at) }
}

impl Fixture {
    async fn policy_of(&self, instance: &str) -> KeptPolicy {
        self.policy(&acme(), &id(instance)).await.unwrap().unwrap()
    }

    async fn all_fires(&self, instance: &str) -> Vec<(Timestamp, FireOutcome)> {
        let fires = self.fires(&acme(), &id(instance), 1000).await.unwrap();
        fires.iter().map(|fire| (fire.at, fire.outcome)).collect()
    }
}

async fn a_policy_is_written_over_the_version_that_was_seen(catalog: &Fixture) {
    let first = new(acme(), "crs-1", 100);
    assert_eq!(catalog.policy(&acme(), &first.instance).await.unwrap(), None);
    assert_eq!(catalog.set_policy(&first, 0).await.unwrap(), first);
    assert!(is_conflict(&catalog.set_policy(&first, 0).await.unwrap_err()), "there is one by now");
    let mut second = KeptPolicy { next: None, changed_by: "AK2".to_owned(), ..first.clone() };
    second.policy.paused = true;
    assert!(is_conflict(&catalog.set_policy(&second, 7).await.unwrap_err()));
    let written = catalog.set_policy(&second, 1).await.unwrap();
    assert_eq!(written, KeptPolicy { version: 2, ..second });
    assert_eq!(catalog.policy_of("crs-1").await, written);
    assert!(is_conflict(&catalog.set_policy(&first, 1).await.unwrap_err()), "it was version 1 before");
    assert!(is_missing(&catalog.set_policy(&new(acme(), "crs-9", 100), 0).await.unwrap_err()));
    assert_eq!(catalog.policy(&rival(), &id("crs-1")).await.unwrap(), None, "another account's");
    assert!(!catalog.delete_policy(&rival(), &id("crs-1"), at(1)).await.unwrap());
    assert!(catalog.delete_policy(&acme(), &id("crs-1"), at(1)).await.unwrap());
    assert!(!catalog.delete_policy(&acme(), &id("crs-1"), at(1)).await.unwrap());
    catalog.set_policy(&first, 0).await.unwrap();
    catalog.delete_instance(&acme(), &id("crs-1")).await.unwrap();
    assert_eq!(catalog.policy(&acme(), &id("crs-1")).await.unwrap(), None, "gone with its instance");
}

async fn policies_are_listed_by_their_next_fire(catalog: &Fixture) {
    catalog.set_policy(&new(acme(), "crs-1", 200), 0).await.unwrap();
    catalog.set_policy(&new(acme(), "crs-2", 100), 0).await.unwrap();
    catalog.set_policy(&new(rival(), "crs-1", 50), 0).await.unwrap();
    let names = async |project: Option<&str>, page: Page| {
        let project = project.map(id);
        let found = catalog.policies(&acme(), project.as_ref(), page).await.unwrap();
        found.into_iter().map(|kept| kept.instance.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(names(None, Page::default()).await, ["crs-2", "crs-1"]);
    assert_eq!(names(None, Page { offset: 1, limit: 1 }).await, ["crs-1"]);
    assert_eq!(names(Some("web"), Page::default()).await, ["crs-1"]);
    let paused = KeptPolicy { next: None, ..catalog.policy_of("crs-2").await };
    catalog.set_policy(&paused, 1).await.unwrap();
    assert_eq!(names(None, Page::default()).await, ["crs-1", "crs-2"], "what rests comes last");
}

async fn a_fire_comes_once(catalog: &Fixture) {
    catalog.set_policy(&new(acme(), "crs-1", 100), 0).await.unwrap();
    assert!(catalog.due_policies(at(99), 10).await.unwrap().is_empty());
    let due = catalog.due_policies(at(100), 10).await.unwrap();
    assert_eq!(due.len(), 1);
    let firing = scheduled(&due[0], 200);
    let (outcome, backup) = catalog.fire_policy(&firing, at(101)).await.unwrap().unwrap();
    let backup = backup.unwrap();
    assert_eq!((outcome, backup.id, backup.mode), (FireOutcome::Started, firing.backup, Mode::Automated));
    assert_eq!(catalog.row(&acme(), backup.id).await.state, BackupState::Queued);
    let other = Firing { backup: BackupId::mint(at(102)), ..firing };
    assert!(catalog.fire_policy(&other, at(102)).await.unwrap().is_none(), "the other node was faster");
    assert!(catalog.due_policies(at(150), 10).await.unwrap().is_empty());
    assert_eq!(catalog.policy_of("crs-1").await.next, planned(200));
    assert_eq!(catalog.claim(103).await.unwrap().backup, backup.id);
    let fires = catalog.fires(&acme(), &id("crs-1"), 9).await.unwrap();
    assert_eq!((fires.len(), fires[0].at, fires[0].seen_at), (1, at(100), at(101)));
    assert_eq!(fires[0].backup, Some(backup.id));
}

async fn a_moment_has_one_fire_whatever_the_clock_does(catalog: &Fixture) {
    let kept = catalog.set_policy(&new(acme(), "crs-1", 100), 0).await.unwrap();
    catalog.fire_policy(&scheduled(&kept, 200), at(100)).await.unwrap().unwrap();
    // The clock goes back, and the policy is set again: 100 is its next fire once more.
    let again = catalog.set_policy(&new(acme(), "crs-1", 100), 1).await.unwrap();
    assert!(catalog.fire_policy(&scheduled(&again, 200), at(100)).await.unwrap().is_none());
    assert_eq!(catalog.policy_of("crs-1").await.next, planned(200), "it goes on all the same");
    assert_eq!(catalog.all_fires("crs-1").await.len(), 1);
    // A policy that was changed between the look and the fire is not fired as it was.
    let seen = catalog.policy_of("crs-1").await;
    catalog.set_policy(&new(acme(), "crs-1", 300), 2).await.unwrap();
    assert!(catalog.fire_policy(&scheduled(&seen, 400), at(200)).await.unwrap().is_none());
}

async fn a_fire_during_a_backup_is_written_down_as_skipped(catalog: &Fixture) {
    let busy = catalog.request(acme(), "crs-1", 90).await;
    let kept = catalog.set_policy(&new(acme(), "crs-1", 100), 0).await.unwrap();
    let (outcome, backup) = catalog.fire_policy(&scheduled(&kept, 200), at(100)).await.unwrap().unwrap();
    assert_eq!((outcome, backup.is_none()), (FireOutcome::Skipped, true));
    let fires = catalog.fires(&acme(), &id("crs-1"), 9).await.unwrap();
    assert!(fires[0].note.as_ref().unwrap().contains(&busy.number.to_string()));
}

async fn a_missed_and_a_postponed_fire_take_no_backup(catalog: &Fixture) {
    let kept = catalog.set_policy(&new(acme(), "crs-1", 100), 0).await.unwrap();
    let later = Firing { what: FiringKind::Postponed(at(150)), ..scheduled(&kept, 200) };
    assert!(catalog.fire_policy(&later, at(101)).await.unwrap().is_none());
    let kept = catalog.policy_of("crs-1").await;
    assert_eq!(kept.next, Some(Planned { fire: at(100), start: at(150) }));
    assert!(catalog.due_policies(at(149), 10).await.unwrap().is_empty());
    let what = FiringKind::Scheduled {
        at: at(100),
        missed: Some("too late".to_owned()),
        note: None,
        next: planned(200),
    };
    let firing = Firing { what, ..scheduled(&kept, 200) };
    let (outcome, backup) = catalog.fire_policy(&firing, at(160)).await.unwrap().unwrap();
    assert_eq!((outcome, backup.is_none()), (FireOutcome::Missed, true));
    assert_eq!(catalog.all_fires("crs-1").await, [(at(100), FireOutcome::Missed)]);
    assert!(catalog.claim(170).await.is_none());
}

async fn a_failed_backup_is_tried_again_three_times(catalog: &Fixture) {
    let kept = catalog.set_policy(&new(acme(), "crs-1", 100), 0).await.unwrap();
    catalog.fire_policy(&scheduled(&kept, 9000), at(100)).await.unwrap().unwrap();
    let failure = Failure { code: "SOURCE_LOST".to_owned(), message: "gone".to_owned(), hint: None };
    let mut now = 100;
    for wait in [60, 300, 900] {
        let job = catalog.claim(now).await.unwrap();
        let outcome = AttemptOutcome::Failed(failure.clone());
        catalog.fail_attempt(&job.lease(), &outcome, at(now)).await.unwrap();
        assert!(catalog.due_policies(at(now + wait - 1), 10).await.unwrap().is_empty());
        now += wait;
        let due = catalog.due_policies(at(now), 10).await.unwrap();
        assert_eq!((due.len(), due[0].next), (1, planned(9000)));
        let again = FiringKind::Retry { missed: None };
        let firing = Firing { kept: due[0].clone(), what: again, backup: BackupId::mint(at(now)) };
        let (outcome, _) = catalog.fire_policy(&firing, at(now)).await.unwrap().unwrap();
        assert_eq!(outcome, FireOutcome::Started);
        let other = Firing { backup: BackupId::mint(at(now)), ..firing };
        assert!(catalog.fire_policy(&other, at(now)).await.unwrap().is_none());
    }
    let job = catalog.claim(now).await.unwrap();
    catalog.fail_attempt(&job.lease(), &AttemptOutcome::Failed(failure.clone()), at(now)).await.unwrap();
    assert!(catalog.due_policies(at(8999), 10).await.unwrap().is_empty(), "then the next fire");
    // A good one ends the counting, and lets the instance be looked through.
    let due = catalog.due_policies(at(9000), 10).await.unwrap().remove(0);
    assert_eq!(due.tries, 3);
    catalog.fire_policy(&scheduled(&due, 19_000), at(9000)).await.unwrap().unwrap();
    assert_eq!(catalog.policy_of("crs-1").await.tries, 0);
    let job = catalog.claim(9001).await.unwrap();
    catalog.seal_backup(&job.lease(), &nothing(), at(9002)).await.unwrap();
    assert_eq!(catalog.policy_of("crs-1").await.upkeep_at, at(9002));
    // One by hand is nothing to the policy.
    catalog.request(acme(), "crs-1", 9100).await;
    let job = catalog.claim(9100).await.unwrap();
    catalog.fail_attempt(&job.lease(), &AttemptOutcome::Failed(failure), at(9100)).await.unwrap();
    assert_eq!(catalog.policy_of("crs-1").await.retry_at, None);
}

async fn the_last_hundred_fires_are_kept(catalog: &Fixture) {
    catalog.request(acme(), "crs-1", 0).await;
    catalog.set_policy(&new(acme(), "crs-1", 1), 0).await.unwrap();
    for second in 1..=105 {
        let kept = catalog.policy_of("crs-1").await;
        catalog.fire_policy(&scheduled(&kept, second + 1), at(second)).await.unwrap().unwrap();
    }
    let fires = catalog.all_fires("crs-1").await;
    assert_eq!((fires.len(), fires[0].0, fires[99].0), (100, at(105), at(6)));
}

async fn upkeep_is_done_by_one(catalog: &Fixture) {
    catalog.set_policy(&new(acme(), "crs-1", 100), 0).await.unwrap();
    assert!(catalog.due_upkeep(at(99), 10).await.unwrap().is_empty());
    let due = catalog.due_upkeep(at(100), 10).await.unwrap().remove(0);
    assert!(catalog.begin_upkeep(&due, at(500)).await.unwrap());
    assert!(!catalog.begin_upkeep(&due, at(500)).await.unwrap());
    assert!(catalog.due_upkeep(at(499), 10).await.unwrap().is_empty());
    catalog.note_drill(&acme(), &id("crs-1"), at(7)).await.unwrap();
    assert_eq!(catalog.policy_of("crs-1").await.drilled_at, Some(at(7)));
}

async fn the_last_good_backup_does_not_retire(catalog: &Fixture) {
    let older = catalog.available(acme(), "crs-1", 10, 1).await;
    let newer = catalog.available(acme(), "crs-1", 20, 1).await;
    catalog.available(acme(), "crs-2", 30, 1).await;
    catalog.set_expiry(&acme(), newer.id, Some(at(900))).await.unwrap();
    assert!(is_conflict(&catalog.retire_backup(&newer, at(39)).await.unwrap_err()), "judged before that");
    let newer = catalog.settled_backup(newer.id).await.unwrap().unwrap();
    catalog.retire_backup(&newer, at(40)).await.unwrap();
    assert!(is_conflict(&catalog.retire_backup(&older, at(41)).await.unwrap_err()));
    catalog.expire_backup(&acme(), older.id, at(42)).await.unwrap();
}

async fn expiries_are_found(catalog: &Fixture) {
    let one = catalog.available(acme(), "crs-1", 10, 1).await;
    let other = catalog.available(acme(), "crs-2", 20, 1).await;
    catalog.set_expiry(&acme(), one.id, Some(at(100))).await.unwrap();
    catalog.set_expiry(&acme(), other.id, Some(at(100))).await.unwrap();
    catalog.protect_backup(&acme(), other.id, true).await.unwrap();
    assert!(catalog.instances_with_expired(at(99)).await.unwrap().is_empty());
    assert_eq!(catalog.instances_with_expired(at(100)).await.unwrap(), [(acme(), id("crs-1"))]);
    catalog.expire_backup(&acme(), one.id, at(101)).await.unwrap();
    assert!(catalog.instances_with_expired(at(200)).await.unwrap().is_empty());
}

async fn a_scrub_decides_whether_a_backup_is_damaged(catalog: &Fixture) {
    let backup = catalog.available(acme(), "crs-1", 10, 1).await;
    let whole = Whole { state: BackupState::Available, failure: None, until: None };
    let failure = Failure { code: "OBJECT_DAMAGED".to_owned(), message: "bad".to_owned(), hint: None };
    let outcome = |ok: bool| ScrubOutcome {
        at: at(20),
        ok,
        bytes: 100,
        took_ms: 1,
        broken: if ok { Vec::new() } else { vec![0] },
        failure: (!ok).then(|| failure.clone()),
        before: Some(whole.clone()),
    };
    for (ok, state) in
        [(false, BackupState::Damaged), (false, BackupState::Damaged), (true, BackupState::Available)]
    {
        let new = crate::model::NewJob {
            account: acme(),
            backup: backup.id,
            instance: backup.instance.clone(),
            kind: crate::model::JobKind::Scrub,
            order: None,
            target: Some("scrub".to_owned()),
        };
        catalog.request_job(&new, at(20)).await.unwrap();
        assert!(is_conflict(&catalog.request_job(&new, at(20)).await.unwrap_err()));
        let job = catalog.claim(20).await.unwrap();
        let outcome = outcome(ok);
        catalog.record_outcome(&job.lease(), &crate::model::Outcome::Scrub(outcome.clone())).await.unwrap();
        catalog.finish_job(&job.lease(), at(20)).await.unwrap();
        let row = catalog.row(&acme(), backup.id).await;
        assert_eq!((row.state, row.failure.is_some()), (state, !ok));
        assert_eq!(row.last_scrub, Some(outcome));
    }
}

async fn two_schedulers_fire_two_thousand_policies_once(catalog: &Fixture) {
    for number in 0..2000 {
        let name = format!("many-{number}");
        catalog.add_instance(&instance(acme(), &name)).await.unwrap();
        catalog.set_policy(&new(acme(), &name, 100), 0).await.unwrap();
    }
    let scheduler = async |mark: i64| {
        let mut fired = 0;
        loop {
            let due = catalog.due_policies(at(100), 200).await.unwrap();
            if due.is_empty() {
                return fired;
            }
            for kept in due {
                let firing = Firing { backup: BackupId::mint(at(mark)), ..scheduled(&kept, 200) };
                fired += u32::from(catalog.fire_policy(&firing, at(100)).await.unwrap().is_some());
            }
        }
    };
    let (one, other) = tokio::join!(scheduler(1), scheduler(2));
    assert_eq!(one + other, 2000);
    let filter = crate::model::BackupFilter {
        mode: Some(Mode::Automated),
        page: Page { offset: 0, limit: 5000 },
        ..Default::default()
    };
    let backups = catalog.backups(&acme(), &filter).await.unwrap();
    let instances: std::collections::HashSet<_> =
        backups.rows.iter().map(|row| row.instance.clone()).collect();
    assert_eq!((backups.total, instances.len()), (2000, 2000));
}
