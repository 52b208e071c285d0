//! Copies of backups in other repositories.

use super::*;
use crate::catalog::{AttemptOutcome, SealedCopy};
use crate::model::{
    BackupCopy, BackupFilter, CopyOrder, CopyState, Failure, InstanceId, JobKind, JobState, KeptPolicy,
    NewCopy, NewJob, NoticeKind, Order, Page, Policy, ScrubOutcome, Whole,
};

pub(super) async fn run(open: &impl AsyncFn() -> Arc<dyn Catalog>) {
    a_copy_goes_from_asked_for_to_available(&fixture(open).await).await;
    what_failed_is_due_again_later_and_what_was_stopped_is_not(&fixture(open).await).await;
    a_lost_lease_makes_no_copy(&fixture(open).await).await;
    a_removed_backup_gets_no_copy(&fixture(open).await).await;
    a_policy_asks_in_the_same_transaction(&fixture(open).await).await;
    a_broken_copy_is_made_again_and_a_found_one_is_taken_in(&fixture(open).await).await;
    a_repaired_backup_is_what_it_was(&fixture(open).await).await;
}

fn far(backup: &Backup) -> NewCopy {
    NewCopy {
        account: backup.account.clone(),
        backup: backup.id,
        instance: backup.instance.clone(),
        repository: "far".to_owned(),
    }
}

fn failure(code: &str) -> Failure {
    Failure { code: code.to_owned(), message: "it was so".to_owned(), hint: None }
}

async fn only(catalog: &Fixture, backup: &Backup) -> BackupCopy {
    let mut copies = catalog.copies(backup.id).await.unwrap();
    assert_eq!(copies.len(), 1, "{copies:?}");
    copies.remove(0)
}

fn sealed(attempt: u32) -> SealedCopy {
    SealedCopy { repository: "far".to_owned(), attempt, bytes: 100 }
}

/// A copy of a new backup, claimed and begun in that second.
async fn begun(catalog: &Fixture, second: i64) -> (Backup, Job) {
    let backup = catalog.available(acme(), "crs-1", second, 1).await;
    catalog.request_copy(&far(&backup), at(second)).await.unwrap();
    let job = catalog.claim(second).await.unwrap();
    assert_eq!(catalog.begin_copy(&job.lease(), "far").await.unwrap(), 1);
    (backup, job)
}

async fn a_copy_goes_from_asked_for_to_available(catalog: &Fixture) {
    let backup = catalog.available(acme(), "crs-1", 1, 2).await;
    assert_eq!(catalog.copies(backup.id).await.unwrap(), []);
    let job = catalog.request_copy(&far(&backup), at(2)).await.unwrap();
    assert_eq!((job.kind, job.backup), (JobKind::Copy, backup.id));
    assert!(matches!(&job.order, Some(Order::Copy(order)) if *order == CopyOrder { to: "far".to_owned() }));
    assert!(is_conflict(&catalog.request_copy(&far(&backup), at(2)).await.unwrap_err()));
    let asked = only(catalog, &backup).await;
    assert_eq!(
        (asked.state, asked.job, asked.tried, asked.asked_at),
        (CopyState::Queued, job.number, 0, at(2))
    );
    let counted = catalog.vitals(None, None).await.unwrap().copies;
    assert_eq!(counted, [("far".to_owned(), "queued".to_owned(), 1)]);
    assert_eq!(catalog.vitals(Some(&rival()), None).await.unwrap().copies, []);
    assert_eq!(catalog.vitals(Some(&acme()), Some(&id("shop"))).await.unwrap().copies, []);
    let claimed = catalog.claim(3).await.unwrap();
    assert!(catalog.is_at_work(backup.id, JobKind::Copy).await.unwrap());
    assert!(!catalog.is_at_work(backup.id, JobKind::Repair).await.unwrap());
    assert_eq!(catalog.begin_copy(&claimed.lease(), "far").await.unwrap(), 1);
    assert_eq!(only(catalog, &backup).await.state, CopyState::Running);
    catalog.seal_copy(&claimed.lease(), &sealed(1), at(4)).await.unwrap();
    let made = only(catalog, &backup).await;
    assert!(made.is_whole());
    assert_eq!(
        (made.attempt, made.bytes, made.stored_at, made.verified_at),
        (1, 100, Some(at(4)), Some(at(4)))
    );
    assert_eq!(catalog.job(&acme(), job.number).await.unwrap().unwrap().state, JobState::Done);
    assert!(is_conflict(&catalog.request_copy(&far(&backup), at(5)).await.unwrap_err()));
    assert_eq!(catalog.copies_of(&acme(), &id("crs-1")).await.unwrap(), [made]);
    assert_eq!(catalog.copies_of(&rival(), &id("crs-1")).await.unwrap(), []);
    let listed = async |names: &[&str]| {
        let copied_to = names.iter().map(|&name| name.to_owned()).collect();
        let filter = BackupFilter { copied_to, ..BackupFilter::default() };
        catalog.backups(&acme(), &filter).await.unwrap().total
    };
    catalog.available(acme(), "crs-1", 9, 1).await;
    assert_eq!((listed(&["far", "x"]).await, listed(&["x"]).await, listed(&[]).await), (1, 0, 2));
    catalog.forget_copy(backup.id, "far").await.unwrap();
    assert_eq!(catalog.copies(backup.id).await.unwrap(), []);
}

async fn what_failed_is_due_again_later_and_what_was_stopped_is_not(catalog: &Fixture) {
    let names = ["far".to_owned(), "other".to_owned()];
    catalog.add_webhook(&super::webhooks::webhook(acme(), "wh", &[]), 9).await.unwrap();
    let backup = catalog.available(acme(), "crs-1", 0, 1).await;
    for (second, wait) in [(10, 60), (100, 300), (500, 900), (2000, 3600)] {
        catalog.request_copy(&far(&backup), at(second)).await.unwrap();
        let job = catalog.claim(second).await.unwrap();
        catalog.begin_copy(&job.lease(), "far").await.unwrap();
        let outcome = AttemptOutcome::Failed(failure("REPOSITORY_UNREACHABLE"));
        catalog.fail_attempt(&job.lease(), &outcome, at(second)).await.unwrap();
        let row = only(catalog, &backup).await;
        assert_eq!((row.state, row.retry_at), (CopyState::Failed, Some(at(second + wait))));
        assert_eq!(row.failure.unwrap().code, "REPOSITORY_UNREACHABLE");
        assert!(catalog.due_copies(&names, at(second + wait - 1), 9).await.unwrap().is_empty());
        let due = catalog.due_copies(&names, at(second + wait), 9).await.unwrap();
        assert_eq!((due.len(), due[0].backup, &due[0].instance), (1, backup.id, &id::<InstanceId>("crs-1")));
        assert!(catalog.due_copies(&[], at(9999), 9).await.unwrap().is_empty());
        assert!(catalog.due_copies(&names[1..], at(9999), 9).await.unwrap().is_empty());
    }
    catalog.hasten_copies("other", at(2001)).await.unwrap();
    assert!(catalog.due_copies(&names, at(2001), 9).await.unwrap().is_empty());
    catalog.hasten_copies("far", at(2001)).await.unwrap();
    assert_eq!(catalog.due_copies(&names, at(2001), 9).await.unwrap().len(), 1, "it answers again");
    let told = catalog.webhook_deliveries(&acme(), "wh", Page::default()).await.unwrap().rows;
    let told: Vec<_> = told.iter().map(|told| (told.notice.kind, told.notice.at)).collect();
    assert_eq!(told, [(NoticeKind::CopyFailed, at(10))], "told once");
    // Handed back, it waits for another worker; stopped, it waits for nobody.
    catalog.request_copy(&far(&backup), at(6000)).await.unwrap();
    let job = catalog.claim(6000).await.unwrap();
    catalog.begin_copy(&job.lease(), "far").await.unwrap();
    catalog.fail_attempt(&job.lease(), &AttemptOutcome::HandedBack, at(6000)).await.unwrap();
    assert_eq!(only(catalog, &backup).await.state, CopyState::Queued);
    catalog.cancel_job(&acme(), job.number, at(6001)).await.unwrap();
    let row = only(catalog, &backup).await;
    assert_eq!((row.state, row.retry_at, row.tried), (CopyState::Failed, None, 5));
    assert_eq!(row.failure.unwrap().code, "CANCELLED");
    assert!(catalog.due_copies(&names, at(99_999), 9).await.unwrap().is_empty());
}

async fn a_lost_lease_makes_no_copy(catalog: &Fixture) {
    let (backup, first) = begun(catalog, 0).await;
    // Its lease has run out, and another worker has the job.
    let second = catalog.claim(60).await.unwrap();
    assert_eq!(second.number, first.number);
    assert_eq!(catalog.begin_copy(&first.lease(), "far").await.unwrap_err().code, "LEASE_LOST");
    assert_eq!(catalog.seal_copy(&first.lease(), &sealed(1), at(61)).await.unwrap_err().code, "LEASE_LOST");
    assert_eq!(catalog.begin_copy(&second.lease(), "far").await.unwrap(), 2, "a number of its own");
    catalog.seal_copy(&second.lease(), &sealed(2), at(62)).await.unwrap();
    assert_eq!(only(catalog, &backup).await.attempt, 2);
}

async fn a_removed_backup_gets_no_copy(catalog: &Fixture) {
    catalog.add_webhook(&super::webhooks::webhook(acme(), "wh", &[]), 9).await.unwrap();
    let (backup, job) = begun(catalog, 0).await;
    assert_eq!(catalog.vitals(None, None).await.unwrap().copies.len(), 1);
    catalog.expire_backup(&acme(), backup.id, at(1)).await.unwrap();
    assert_eq!(catalog.vitals(None, None).await.unwrap().copies, [], "nobody waits for it");
    assert!(is_conflict(&catalog.seal_copy(&job.lease(), &sealed(1), at(2)).await.unwrap_err()));
    assert_eq!(catalog.job(&acme(), job.number).await.unwrap().unwrap().state, JobState::Running);
    assert!(!only(catalog, &backup).await.is_whole());
    let outcome = AttemptOutcome::Failed(failure("BACKUP_NOT_AVAILABLE"));
    catalog.fail_attempt(&job.lease(), &outcome, at(3)).await.unwrap();
    let told = catalog.webhook_deliveries(&acme(), "wh", Page::default()).await.unwrap();
    assert_eq!(told.rows, [], "nobody misses it");
    assert!(is_missing(&catalog.request_copy(&far(&backup), at(3)).await.unwrap_err()));
    assert!(catalog.due_copies(&["far".to_owned()], at(99_999), 9).await.unwrap().is_empty());
}

async fn a_policy_asks_in_the_same_transaction(catalog: &Fixture) {
    let kept = KeptPolicy {
        account: acme(),
        instance: id("crs-1"),
        version: 1,
        policy: Policy { copies: vec!["far".to_owned(), "further".to_owned()], ..Policy::default() },
        changed_at: at(0),
        changed_by: "AK".to_owned(),
        next: None,
        retry_at: None,
        tries: 0,
        upkeep_at: at(0),
        drilled_at: None,
    };
    catalog.set_policy(&kept, 0).await.unwrap();
    let backup = catalog.available(acme(), "crs-1", 1, 1).await;
    let copies = catalog.copies(backup.id).await.unwrap();
    let told: Vec<_> = copies.iter().map(|copy| (copy.repository.as_str(), copy.state)).collect();
    assert_eq!(told, [("far", CopyState::Queued), ("further", CopyState::Queued)]);
    let claimed = [catalog.claim(2).await.unwrap(), catalog.claim(2).await.unwrap()];
    assert!(claimed.iter().all(|job| job.kind == JobKind::Copy && job.backup == backup.id));
    // What cannot be vouched for is copied by hand only.
    catalog.request(acme(), "crs-1", 3).await;
    let job = catalog.claim(3).await.unwrap();
    let doubted = SealedBackup { state: BackupState::Quarantined, ..nothing() };
    catalog.seal_backup(&job.lease(), &doubted, at(3)).await.unwrap();
    assert_eq!(catalog.copies(job.backup).await.unwrap(), []);
}

async fn a_broken_copy_is_made_again_and_a_found_one_is_taken_in(catalog: &Fixture) {
    let (backup, job) = begun(catalog, 0).await;
    catalog.seal_copy(&job.lease(), &sealed(1), at(1)).await.unwrap();
    let whole = only(catalog, &backup).await;
    catalog.judge_copy(&whole, Some(&failure("OBJECT_DAMAGED")), at(2)).await.unwrap();
    let broken = only(catalog, &backup).await;
    assert_eq!(
        (broken.state, broken.retry_at, broken.verified_at),
        (CopyState::Damaged, Some(at(2)), Some(at(1)))
    );
    assert_eq!(catalog.due_copies(&["far".to_owned()], at(2), 9).await.unwrap().len(), 1);
    catalog.judge_copy(&BackupCopy { attempt: 9, ..whole.clone() }, None, at(3)).await.unwrap();
    assert_eq!(only(catalog, &backup).await.state, CopyState::Damaged, "that was another attempt");
    catalog.judge_copy(&whole, None, at(3)).await.unwrap();
    let again = only(catalog, &backup).await;
    assert_eq!((again.state, again.failure, again.verified_at), (CopyState::Available, None, Some(at(3))));
    catalog.adopt_copy(&BackupCopy { attempt: 7, ..whole.clone() }).await.unwrap();
    assert_eq!(only(catalog, &backup).await.attempt, 1, "one that is known stays");
    catalog.forget_copy(backup.id, "far").await.unwrap();
    let found = BackupCopy { job: 0, attempt: 7, tried: 7, verified_at: None, ..whole };
    catalog.adopt_copy(&found).await.unwrap();
    assert_eq!(only(catalog, &backup).await, found);
}

async fn a_repaired_backup_is_what_it_was(catalog: &Fixture) {
    let backup = catalog.available(acme(), "crs-1", 0, 1).await;
    let work = async |kind, second| {
        let new = NewJob {
            account: acme(),
            backup: backup.id,
            instance: id("crs-1"),
            kind,
            order: None,
            target: None,
        };
        catalog.request_job(&new, at(second)).await.unwrap();
        catalog.claim(second).await.unwrap()
    };
    let scrub = work(JobKind::Scrub, 1).await;
    let whole = Whole { state: BackupState::Available, failure: None, until: None };
    let broken = ScrubOutcome {
        at: at(1),
        ok: false,
        bytes: 1,
        took_ms: 1,
        broken: vec![0],
        failure: Some(failure("OBJECT_DAMAGED")),
        before: Some(whole.clone()),
    };
    catalog.record_outcome(&scrub.lease(), &crate::model::Outcome::Scrub(broken)).await.unwrap();
    catalog.finish_job(&scrub.lease(), at(1)).await.unwrap();
    assert_eq!(catalog.row(&acme(), backup.id).await.state, BackupState::Damaged);
    let repair = work(JobKind::Repair, 2).await;
    let found = ScrubOutcome {
        at: at(3),
        ok: true,
        bytes: 100,
        took_ms: 1,
        broken: Vec::new(),
        failure: None,
        before: Some(whole),
    };
    let refused = catalog.seal_repair(&repair.lease(), backup.attempt, &found, at(3)).await.unwrap_err();
    assert!(is_conflict(&refused), "it must be a later attempt");
    catalog.seal_repair(&repair.lease(), backup.attempt + 1, &found, at(3)).await.unwrap();
    let row = catalog.row(&acme(), backup.id).await;
    assert_eq!((row.state, row.attempt, row.failure), (BackupState::Available, backup.attempt + 1, None));
    assert_eq!(row.last_scrub, Some(found));
    assert_eq!(catalog.job(&acme(), repair.number).await.unwrap().unwrap().state, JobState::Done);
}
