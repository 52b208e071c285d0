//! Jobs, leases and fences.

use std::collections::BTreeSet;

use tokio::task::JoinSet;

use super::*;
use crate::catalog::AttemptOutcome;
use crate::model::{
    DrillOrder, DrillOutcome, Failure, JobFilter, JobKind, JobState, Lease, NewJob, Order, Outcome, Page,
    Phase, Place, Progress, RestoreOutcome,
};

pub(super) async fn run(open: &impl AsyncFn() -> Arc<dyn Catalog>) {
    a_claim_raises_the_fence(&fixture(open).await).await;
    a_job_is_not_due_before_its_time(&fixture(open).await).await;
    copies_and_scrubs_come_after_the_rest(&fixture(open).await).await;
    a_heartbeat_holds_the_lease(&fixture(open).await).await;
    a_lost_lease_writes_nothing(&fixture(open).await).await;
    an_ended_job_writes_nothing_more(&fixture(open).await).await;
    a_sealed_backup_is_available_with_its_parts(&fixture(open).await).await;
    a_quarantined_backup_says_why(&fixture(open).await).await;
    a_failed_attempt_ends_the_backup(&fixture(open).await).await;
    a_waiting_job_is_cancelled_at_once(&fixture(open).await).await;
    a_running_job_is_told_at_its_next_heartbeat(&fixture(open).await).await;
    a_handed_back_job_starts_anew(&fixture(open).await).await;
    surrendered_leases_are_due_at_once(&fixture(open).await).await;
    a_death_is_counted_whoever_finds_it(&fixture(open).await).await;
    jobs_are_listed_by_project(&fixture(open).await).await;
    jobs_are_found_by_every_filter(&fixture(open).await).await;
    a_job_in_doubt_is_done_or_failed_as_asked(&fixture(open).await).await;
    a_backup_that_a_job_needs_does_not_expire(&fixture(open).await).await;
    a_waiting_restore_that_had_begun_is_cancelled_by_a_worker(&fixture(open).await).await;
    a_target_has_one_restore_at_a_time(&fixture(open).await).await;
    a_restore_keeps_its_order_and_outcome(&fixture(open).await).await;
    a_drill_is_shown_with_its_backup(&fixture(open).await).await;
    no_job_is_claimed_twice(&fixture(open).await).await;
}

fn failure(code: &str) -> Failure {
    Failure { code: code.to_owned(), message: format!("it was {code}"), hint: Some("look".to_owned()) }
}

async fn sealed(catalog: &Fixture, state: BackupState, failure: Option<Failure>) -> SealedBackup {
    let number = catalog.mint_numbers(1).await.unwrap()[0];
    SealedBackup { state, parts: vec![(number, part(0, 100))], failure, ..nothing() }
}

fn on(backup: &Backup, kind: JobKind) -> NewJob {
    NewJob {
        account: backup.account.clone(),
        backup: backup.id,
        instance: backup.instance.clone(),
        kind,
        order: None,
        target: None,
    }
}

/// A job of that kind on an available backup of `crs-1`, claimed.
async fn at_work(catalog: &Fixture, kind: JobKind) -> (Backup, Job) {
    let backup = catalog.available(acme(), "crs-1", 0, 1).await;
    let order = Some(Order::Drill(DrillOrder { server: Some("x".to_owned()) }));
    let new = NewJob { order, ..on(&backup, kind) };
    let asked = catalog.request_job(&new, at(10)).await.unwrap();
    let job = catalog.claim(11).await.unwrap();
    assert_eq!((job.number, job.kind, job.backup, job.attempt), (asked.number, kind, backup.id, 1));
    assert!(matches!(&job.order, Some(Order::Drill(drill)) if drill.server.as_deref() == Some("x")));
    assert_eq!(catalog.row(&acme(), backup.id).await.state, BackupState::Available, "it is only read");
    (backup, job)
}

async fn a_backup_that_a_job_needs_does_not_expire(catalog: &Fixture) {
    for (kind, instance) in [(JobKind::Restore, "crs-1"), (JobKind::Drill, "crs-2")] {
        let backup = catalog.available(acme(), instance, 0, 1).await;
        let other = catalog.available(acme(), instance, 0, 1).await;
        let new = on(&backup, kind);
        let refused = async |job: &Job| {
            let error = catalog.expire_backup(&acme(), backup.id, at(3)).await.unwrap_err();
            assert!(is_conflict(&error) && error.message.contains(&job.number.to_string()), "{error}");
        };
        let asked = catalog.request_job(&new, at(1)).await.unwrap();
        refused(&asked).await;
        let job = catalog.claim(2).await.unwrap();
        refused(&job).await;
        catalog.expire_backup(&acme(), other.id, at(3)).await.unwrap();
        let removal = catalog.claim(3).await.unwrap();
        catalog.finish_job(&removal.lease(), at(3)).await.unwrap();
        catalog.finish_job(&job.lease(), at(4)).await.unwrap();
        catalog.expire_backup(&acme(), backup.id, at(5)).await.unwrap();
        let removal = catalog.claim(5).await.unwrap();
        catalog.finish_job(&removal.lease(), at(5)).await.unwrap();
        assert!(is_missing(&catalog.request_job(&new, at(6)).await.unwrap_err()), "its objects go");
    }
}

async fn a_waiting_restore_that_had_begun_is_cancelled_by_a_worker(catalog: &Fixture) {
    let (_, job) = at_work(catalog, JobKind::Restore).await;
    let outcome = Outcome::Restore(RestoreOutcome { changed: true, ..RestoreOutcome::default() });
    catalog.record_outcome(&job.lease(), &outcome).await.unwrap();
    catalog.surrender_leases().await.unwrap();
    let told = catalog.cancel_job(&acme(), job.number, at(12)).await.unwrap();
    assert_eq!((told.state, told.cancel_requested, told.ended_at), (JobState::Queued, true, None));
    let again = catalog.claim(12).await.unwrap();
    assert_eq!(
        (again.number, again.cancel_requested, again.outcome.clone()),
        (job.number, true, Some(outcome))
    );
    catalog.fail_attempt(&again.lease(), &AttemptOutcome::Cancelled, at(13)).await.unwrap();
    let row = catalog.job(&acme(), job.number).await.unwrap().unwrap();
    assert_eq!((row.state, row.ended_at), (JobState::Cancelled, Some(at(13))));

    let (_, fresh) = at_work(catalog, JobKind::Restore).await;
    catalog.fail_attempt(&fresh.lease(), &AttemptOutcome::HandedBack, at(14)).await.unwrap();
    let told = catalog.cancel_job(&acme(), fresh.number, at(15)).await.unwrap();
    assert_eq!(told.state, JobState::Cancelled, "it had changed nothing");
}

async fn a_target_has_one_restore_at_a_time(catalog: &Fixture) {
    let ours = catalog.available(acme(), "crs-1", 0, 1).await;
    let theirs = catalog.available(rival(), "crs-1", 0, 1).await;
    let to = |backup: &Backup, target: &str| NewJob {
        target: Some(target.to_owned()),
        ..on(backup, JobKind::Restore)
    };
    let first = catalog.request_job(&to(&ours, "a"), at(1)).await.unwrap();
    let named = first.number.to_string();
    let again = catalog.request_job(&to(&ours, "a"), at(1)).await.unwrap_err();
    assert!(is_conflict(&again) && again.message.contains(&named), "{again}");
    let foreign = catalog.request_job(&to(&theirs, "a"), at(1)).await.unwrap_err();
    assert!(is_conflict(&foreign) && !format!("{foreign:?}").contains(&named), "{foreign:?}");
    // Other targets, and jobs without any, are in nobody's way.
    catalog.request_job(&to(&theirs, "b"), at(2)).await.unwrap();
    for _ in 0..2 {
        catalog.request_job(&on(&ours, JobKind::Drill), at(2)).await.unwrap();
    }
    let job = catalog.claim(3).await.unwrap();
    assert_eq!(job.number, first.number);
    assert!(is_conflict(&catalog.request_job(&to(&ours, "a"), at(4)).await.unwrap_err()), "it runs");
    catalog.finish_job(&job.lease(), at(4)).await.unwrap();
    catalog.request_job(&to(&theirs, "a"), at(5)).await.unwrap();
    // Of whatever kind they are; each is told what is in its way.
    let judge = |kind| NewJob { target: Some("bytes".to_owned()), ..on(&ours, kind) };
    catalog.request_job(&judge(JobKind::Scrub), at(6)).await.unwrap();
    let refused = catalog.request_job(&judge(JobKind::Repair), at(6)).await.unwrap_err();
    assert!(is_conflict(&refused) && refused.message.contains("at work on the bytes"), "{refused}");
}

async fn a_restore_keeps_its_order_and_outcome(catalog: &Fixture) {
    let (backup, job) = at_work(catalog, JobKind::Restore).await;
    let progress = Progress { phase: Phase::Restoring, safe: vec![7, 0], ..Progress::default() };
    catalog.renew_lease(&job.lease(), &progress, at(12), HOLD).await.unwrap();
    let outcome =
        Outcome::Restore(RestoreOutcome { restored: 7, changed: true, ..RestoreOutcome::default() });
    catalog.record_outcome(&job.lease(), &outcome).await.unwrap();
    let stale = Lease { job: job.number, fence: 0 };
    assert_eq!(catalog.record_outcome(&stale, &outcome).await.unwrap_err().code, "LEASE_LOST");
    catalog.fail_attempt(&job.lease(), &AttemptOutcome::Failed(failure("X")), at(13)).await.unwrap();
    let row = catalog.job(&acme(), job.number).await.unwrap().unwrap();
    assert_eq!((row.state, row.progress, row.outcome), (JobState::Failed, progress, Some(outcome)));
    assert_eq!(catalog.row(&acme(), backup.id).await.state, BackupState::Available, "it is only read");
}

async fn a_drill_is_shown_with_its_backup(catalog: &Fixture) {
    let (backup, job) = at_work(catalog, JobKind::Drill).await;
    let drill = DrillOutcome {
        at: at(12),
        ok: false,
        server: "redis 7.0.15".to_owned(),
        took_ms: 5,
        parts: Vec::new(),
        failure: Some(failure("DRILL")),
    };
    catalog.record_outcome(&job.lease(), &Outcome::Drill(drill.clone())).await.unwrap();
    assert_eq!(catalog.row(&acme(), backup.id).await.last_drill, Some(drill));
    catalog.cancel_job(&acme(), job.number, at(13)).await.unwrap();
    catalog.finish_job(&job.lease(), at(14)).await.unwrap();
    let row = catalog.job(&acme(), job.number).await.unwrap().unwrap();
    assert_eq!(row.state, JobState::Done);
}

async fn a_claim_raises_the_fence(catalog: &Fixture) {
    let asked = catalog.request(acme(), "crs-1", 0).await;
    let first = catalog.claim(1).await.unwrap();
    assert_eq!((first.number, first.attempt, first.state), (asked.job, 1, JobState::Running));
    assert_eq!(first.started_at, Some(at(1)));
    let row = catalog.row(&acme(), asked.id).await;
    assert_eq!((row.state, row.started_at), (BackupState::Running, Some(at(1))));
    assert!(catalog.claim(31).await.is_none(), "the lease still holds in its last second");
    let second = catalog.claim(32).await.unwrap();
    assert_eq!((second.number, second.attempt), (asked.job, 2));
    assert_eq!(
        catalog.row(&acme(), asked.id).await.started_at,
        Some(at(1)),
        "the first attempt's moment stays"
    );
}

async fn a_job_is_not_due_before_its_time(catalog: &Fixture) {
    let later = catalog.request(acme(), "crs-1", 20).await;
    let sooner = catalog.request(acme(), "crs-2", 10).await;
    assert!(catalog.claim(9).await.is_none());
    assert_eq!(catalog.claim(30).await.unwrap().number, sooner.job, "the one that waits longest");
    assert_eq!(catalog.claim(30).await.unwrap().number, later.job);
    assert!(catalog.claim(30).await.is_none());
}

async fn copies_and_scrubs_come_after_the_rest(catalog: &Fixture) {
    let backup = catalog.available(acme(), "crs-1", 0, 1).await;
    for (kind, second) in [(JobKind::Scrub, 1), (JobKind::Copy, 2), (JobKind::Drill, 3)] {
        catalog.request_job(&on(&backup, kind), at(second)).await.unwrap();
    }
    catalog.request(acme(), "crs-2", 4).await;
    catalog.request_job(&on(&backup, JobKind::Drill), at(90)).await.unwrap();
    for kind in [JobKind::Drill, JobKind::TakeBackup, JobKind::Scrub] {
        assert_eq!(catalog.claim(10).await.unwrap().kind, kind);
    }
    assert_eq!(catalog.claim(11).await.unwrap().kind, JobKind::Copy);
    assert!(catalog.claim(12).await.is_none(), "the last drill is not due yet");
    // The workers have died, and all are due again.
    for kind in [JobKind::Drill, JobKind::TakeBackup, JobKind::Drill, JobKind::Scrub, JobKind::Copy] {
        assert_eq!(catalog.claim(90).await.unwrap().kind, kind);
    }
}

async fn a_heartbeat_holds_the_lease(catalog: &Fixture) {
    let asked = catalog.request(acme(), "crs-1", 0).await;
    let job = catalog.claim(0).await.unwrap();
    let progress =
        Progress { phase: Phase::Receiving, bytes: 7, total_bytes: Some(9), keys: 3, safe: vec![5, 0] };
    assert!(!catalog.renew_lease(&job.lease(), &progress, at(20), HOLD).await.unwrap());
    assert!(catalog.claim(45).await.is_none());
    assert_eq!(catalog.job(&acme(), asked.job).await.unwrap().unwrap().progress, progress);
    assert!(catalog.claim(51).await.is_some());
}

/// Every write that names a lease, with whether it was refused as it should be.
async fn assert_refused(catalog: &Fixture, lease: &Lease) {
    let lost = |result: Result<(), Error>| result.unwrap_err().code == "LEASE_LOST";
    let progress = Progress { bytes: 999, ..Progress::default() };
    assert!(lost(catalog.renew_lease(lease, &progress, at(500), HOLD).await.map(drop)));
    let attempt = sealed(catalog, BackupState::Available, None).await;
    assert!(lost(catalog.seal_backup(lease, &attempt, at(500)).await));
    for outcome in
        [AttemptOutcome::Failed(failure("X")), AttemptOutcome::Cancelled, AttemptOutcome::HandedBack]
    {
        assert!(lost(catalog.fail_attempt(lease, &outcome, at(500)).await));
    }
    assert!(lost(catalog.finish_job(lease, at(500)).await));
}

async fn a_lost_lease_writes_nothing(catalog: &Fixture) {
    let asked = catalog.request(acme(), "crs-1", 0).await;
    let late = catalog.claim(0).await.unwrap().lease();
    let newest = catalog.claim(40).await.unwrap();
    let show = async || {
        let job = catalog.job(&acme(), asked.job).await.unwrap();
        format!("{:?} {job:?}", catalog.row(&acme(), asked.id).await)
    };
    let before = show().await;
    assert_refused(catalog, &late).await;
    assert_refused(catalog, &Lease { job: newest.number, fence: 3 }).await;
    assert_refused(catalog, &Lease { job: 999_999, fence: 1 }).await;
    assert_eq!(show().await, before);
    let attempt = sealed(catalog, BackupState::Available, None).await;
    catalog.seal_backup(&newest.lease(), &attempt, at(50)).await.unwrap();
    let row = catalog.row(&acme(), asked.id).await;
    assert_eq!((row.state, row.attempt, row.parts.len()), (BackupState::Available, 2, 1));
}

async fn an_ended_job_writes_nothing_more(catalog: &Fixture) {
    let backup = catalog.available(acme(), "crs-1", 0, 1).await;
    let lease = Lease { job: backup.job, fence: 1 };
    assert_refused(catalog, &lease).await;
    assert_eq!(catalog.row(&acme(), backup.id).await.state, BackupState::Available);
    assert!(catalog.claim(1000).await.is_none());
}

async fn a_sealed_backup_is_available_with_its_parts(catalog: &Fixture) {
    let backup = catalog.available(acme(), "crs-1", 3, 3).await;
    assert_eq!((backup.state, backup.attempt, backup.ended_at), (BackupState::Available, 1, Some(at(3))));
    assert_eq!(backup.parts.iter().map(|part| part.sealed.shard).collect::<Vec<_>>(), [0, 1, 2]);
    assert_eq!(backup.size_bytes(), 300);
    assert_eq!(backup.parts[0].sealed.report.keys, 3);
    let job = catalog.job(&acme(), backup.job).await.unwrap().unwrap();
    assert_eq!((job.state, job.ended_at), (JobState::Done, Some(at(3))));
}

async fn a_quarantined_backup_says_why(catalog: &Fixture) {
    let asked = catalog.request(acme(), "crs-1", 0).await;
    let job = catalog.claim(0).await.unwrap();
    let attempt = sealed(catalog, BackupState::Quarantined, Some(failure("QUARANTINED"))).await;
    catalog.seal_backup(&job.lease(), &attempt, at(1)).await.unwrap();
    let row = catalog.row(&acme(), asked.id).await;
    assert_eq!((row.state, row.failure.unwrap().code.as_str()), (BackupState::Quarantined, "QUARANTINED"));
    assert_eq!(catalog.available_bytes(&acme(), &id("crs-1")).await.unwrap(), 0);
}

async fn a_failed_attempt_ends_the_backup(catalog: &Fixture) {
    let asked = catalog.request(acme(), "crs-1", 0).await;
    let job = catalog.claim(0).await.unwrap();
    catalog.fail_attempt(&job.lease(), &AttemptOutcome::Failed(failure("SOURCE_LOST")), at(9)).await.unwrap();
    let row = catalog.row(&acme(), asked.id).await;
    assert_eq!((row.state, row.ended_at, row.parts.len()), (BackupState::Failed, Some(at(9)), 0));
    assert_eq!(row.failure.unwrap().hint.as_deref(), Some("look"));
    let job = catalog.job(&acme(), asked.job).await.unwrap().unwrap();
    assert_eq!((job.state, job.failure.unwrap().code.as_str()), (JobState::Failed, "SOURCE_LOST"));
    assert!(catalog.claim(1000).await.is_none());
}

async fn a_waiting_job_is_cancelled_at_once(catalog: &Fixture) {
    let asked = catalog.request(acme(), "crs-1", 0).await;
    let job = catalog.cancel_job(&acme(), asked.job, at(4)).await.unwrap();
    assert_eq!((job.state, job.ended_at), (JobState::Cancelled, Some(at(4))));
    let row = catalog.row(&acme(), asked.id).await;
    assert_eq!((row.state, row.failure.unwrap().code.as_str()), (BackupState::Failed, "CANCELLED"));
    assert!(catalog.claim(100).await.is_none());
    assert!(is_conflict(&catalog.cancel_job(&acme(), asked.job, at(5)).await.unwrap_err()));
    assert!(is_missing(&catalog.cancel_job(&acme(), 999_999, at(5)).await.unwrap_err()));
}

async fn a_running_job_is_told_at_its_next_heartbeat(catalog: &Fixture) {
    let asked = catalog.request(acme(), "crs-1", 0).await;
    let job = catalog.claim(0).await.unwrap();
    let told = catalog.cancel_job(&acme(), asked.job, at(1)).await.unwrap();
    assert_eq!((told.state, told.cancel_requested), (JobState::Running, true));
    assert!(catalog.renew_lease(&job.lease(), &Progress::default(), at(2), HOLD).await.unwrap());
    catalog.fail_attempt(&job.lease(), &AttemptOutcome::Cancelled, at(3)).await.unwrap();
    let row = catalog.row(&acme(), asked.id).await;
    assert_eq!((row.state, row.failure.unwrap().code.as_str()), (BackupState::Failed, "CANCELLED"));
    let job = catalog.job(&acme(), asked.job).await.unwrap().unwrap();
    assert_eq!(job.state, JobState::Cancelled);
}

async fn a_handed_back_job_starts_anew(catalog: &Fixture) {
    let asked = catalog.request(acme(), "crs-1", 0).await;
    let job = catalog.claim(0).await.unwrap();
    catalog.fail_attempt(&job.lease(), &AttemptOutcome::HandedBack, at(1)).await.unwrap();
    let row = catalog.row(&acme(), asked.id).await;
    assert_eq!((row.state, row.ended_at, row.failure.is_none()), (BackupState::Queued, None, true));
    let again = catalog.claim(1).await.unwrap();
    assert_eq!((again.number, again.attempt), (asked.job, 2));
    assert_eq!(again.deaths, 0, "its worker did not die");
    assert_refused(catalog, &job.lease()).await;
}

async fn a_death_is_counted_whoever_finds_it(catalog: &Fixture) {
    catalog.request(acme(), "crs-1", 0).await;
    assert_eq!(catalog.claim(0).await.unwrap().deaths, 0);
    let expired = catalog.claim(60).await.unwrap();
    assert_eq!((expired.attempt, expired.deaths), (2, 1), "its lease ran out");
    catalog.surrender_leases().await.unwrap();
    let surrendered = catalog.claim(61).await.unwrap();
    assert_eq!((surrendered.attempt, surrendered.deaths), (3, 2), "its server was found dead");
}

async fn surrendered_leases_are_due_at_once(catalog: &Fixture) {
    let asked = catalog.request(acme(), "crs-1", 0).await;
    catalog.request(acme(), "crs-2", 0).await;
    let job = catalog.claim(0).await.unwrap();
    assert_eq!(catalog.surrender_leases().await.unwrap(), 1);
    assert_eq!(catalog.row(&acme(), asked.id).await.state, BackupState::Queued);
    assert_refused(catalog, &job.lease()).await;
    assert_eq!(catalog.claim(1).await.unwrap().attempt, 2);
    assert_eq!(catalog.claim(1).await.unwrap().attempt, 1);
}

async fn jobs_are_found_by_every_filter(catalog: &Fixture) {
    let first = catalog.request(acme(), "crs-1", 0).await;
    let second = catalog.request(acme(), "crs-2", 10).await;
    catalog.claim(10).await.unwrap();
    let found = async |filter: JobFilter| {
        let listed = catalog.jobs(&acme(), &filter).await.unwrap();
        assert_eq!(listed.total, listed.rows.len() as u64);
        listed.rows.iter().map(|listed| listed.job.number).collect::<Vec<_>>()
    };
    let all = JobFilter::default;
    assert_eq!(found(JobFilter { number: Some(second.job), ..all() }).await, [second.job]);
    assert_eq!(found(JobFilter { instance: Some(id("crs-1")), ..all() }).await, [first.job]);
    assert_eq!(found(JobFilter { instance_search: Some("-2".to_owned()), ..all() }).await, [second.job]);
    assert_eq!(found(JobFilter { states: vec![JobState::Queued], ..all() }).await, [second.job]);
    assert_eq!(
        found(JobFilter { states: vec![JobState::Queued, JobState::Running], ..all() }).await.len(),
        2
    );
    assert_eq!(found(JobFilter { kinds: vec![JobKind::RemoveBackup], ..all() }).await, [] as [u64; 0]);
    assert_eq!(found(JobFilter { mode: Some(Mode::Automated), ..all() }).await, [] as [u64; 0]);
    assert_eq!(found(JobFilter { since: Some(at(5)), ..all() }).await, [second.job]);
    assert_eq!(found(JobFilter { until: Some(at(5)), mode: Some(Mode::Manual), ..all() }).await, [first.job]);
    let elsewhere = Place { regions: vec!["south".to_owned()], ..Place::default() };
    assert_eq!(found(JobFilter { place: elsewhere, ..all() }).await, [second.job], "it has no region");
    let listed = catalog.jobs(&acme(), &JobFilter { instance: Some(id("crs-1")), ..all() }).await.unwrap();
    assert_eq!(listed.rows[0].project, Some(id("web")));
    assert_eq!(listed.rows[0].instance_name, first.instance_name);
}

async fn a_job_in_doubt_is_done_or_failed_as_asked(catalog: &Fixture) {
    let backup = catalog.request(acme(), "crs-1", 0).await;
    let job = catalog.claim(1).await.unwrap();
    let doubted = sealed(catalog, BackupState::Quarantined, Some(failure("PART_UNSOUND"))).await;
    catalog.seal_backup(&job.lease(), &doubted, at(2)).await.unwrap();
    let found = async |filter: JobFilter| {
        let listed = catalog.jobs(&acme(), &filter).await.unwrap();
        assert_eq!(listed.total, listed.rows.len() as u64);
        listed.rows.iter().map(|listed| listed.job.number).collect::<Vec<_>>()
    };
    for (states, is_done, is_failed) in [
        (vec![JobState::Done], true, false),
        (vec![JobState::Failed, JobState::Cancelled], false, true),
        (vec![JobState::Done, JobState::Failed], true, true),
        (vec![JobState::Queued], false, false),
    ] {
        for (doubted_failed, is_found) in [(false, is_done), (true, is_failed)] {
            let filter = JobFilter { states: states.clone(), doubted_failed, ..JobFilter::default() };
            assert_eq!(found(filter.clone()).await.contains(&backup.job), is_found, "{filter:?}");
        }
    }
    let removal = catalog.expire_backup(&acme(), backup.id, at(3)).await.unwrap();
    let of_policies = JobFilter { mode: Some(Mode::Automated), ..JobFilter::default() };
    assert_eq!(found(of_policies.clone()).await, [removal], "it takes no backup");
    assert_eq!(found(JobFilter { since: Some(at(0)), ..of_policies }).await, [removal]);
}

async fn jobs_are_listed_by_project(catalog: &Fixture) {
    let web = catalog.request(acme(), "crs-1", 0).await;
    let none = catalog.request(acme(), "crs-2", 1).await;
    catalog.request(rival(), "crs-1", 2).await;
    let numbers = async |project: Option<&str>, page| {
        let project = project.map(id);
        let listed =
            catalog.jobs(&acme(), &JobFilter { project, page, ..JobFilter::default() }).await.unwrap();
        (listed.total, listed.rows.iter().map(|listed| listed.job.number).collect::<Vec<_>>())
    };
    assert_eq!(numbers(None, Page::default()).await, (2, vec![none.job, web.job]), "newest first");
    assert_eq!(numbers(Some("web"), Page::default()).await, (1, vec![web.job]));
    assert_eq!(numbers(Some("shop"), Page::default()).await, (0, vec![]));
    assert_eq!(numbers(None, Page { offset: 1, limit: 1 }).await, (2, vec![web.job]));
}

async fn no_job_is_claimed_twice(catalog: &Fixture) {
    const JOBS: usize = 300;
    for number in 0..JOBS {
        let name = format!("many-{number}");
        catalog.add_instance(&instance(acme(), &name)).await.unwrap();
        catalog.request(acme(), &name, 0).await;
    }
    let mut workers = JoinSet::new();
    for worker in 0..8 {
        let catalog = catalog.catalog.clone();
        workers.spawn(async move {
            let mut claimed = Vec::new();
            while let Some(job) = catalog.claim_job(&format!("w{worker}"), at(1), HOLD).await.unwrap() {
                let parts =
                    catalog.mint_numbers(1).await.unwrap().into_iter().map(|n| (n, part(0, 1))).collect();
                let attempt = SealedBackup { state: BackupState::Available, parts, ..nothing() };
                catalog.seal_backup(&job.lease(), &attempt, at(2)).await.unwrap();
                claimed.push(job.number);
            }
            claimed
        });
    }
    let claimed = workers.join_all().await.concat();
    assert_eq!(claimed.len(), JOBS);
    assert_eq!(claimed.into_iter().collect::<BTreeSet<_>>().len(), JOBS);
}
