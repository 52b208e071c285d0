//! Backups and their parts.

use tokio::task::JoinSet;

use super::*;
use crate::model::{BackupFilter, Failure, JobFilter, JobKind, JobState, Number, Page, Place, Unit};

pub(super) async fn run(open: &impl AsyncFn() -> Arc<dyn Catalog>) {
    a_request_makes_the_row_and_its_job(&fixture(open).await).await;
    one_backup_of_an_instance_is_under_way(&fixture(open).await).await;
    of_two_requests_at_once_one_wins(&fixture(open).await).await;
    numbers_are_one_sequence(&fixture(open).await).await;
    a_foreign_account_sees_nothing(&fixture(open).await).await;
    a_list_of_sets_and_a_list_of_parts(&fixture(open).await).await;
    backups_are_found_by_name_mode_and_place(&fixture(open).await).await;
    an_expiry_is_set_and_taken_back(&fixture(open).await).await;
    lists_are_filtered(&fixture(open).await).await;
    a_protected_or_active_backup_does_not_expire(&fixture(open).await).await;
}

async fn a_request_makes_the_row_and_its_job(catalog: &Fixture) {
    let new = NewBackup {
        mode: Mode::Automated,
        remark: Some("before the move".to_owned()),
        expires_at: Some(at(1000)),
        ..order(acme(), "crs-1")
    };
    let wanted = BackupId::mint(at(5));
    let asked = catalog.request_backup(wanted, &new, at(5)).await.unwrap();
    let read = catalog.row(&acme(), wanted).await;
    assert_eq!(format!("{asked:?}"), format!("{read:?}"), "the answer is what is kept");
    assert_eq!((read.state, read.mode, read.attempt), (BackupState::Queued, Mode::Automated, 0));
    assert_eq!((read.instance_name.as_str(), read.region.as_deref()), ("name of crs-1", Some("north")));
    assert_eq!((read.project, read.remark.as_deref()), (Some(id("web")), Some("before the move")));
    assert_eq!((read.created_at, read.started_at, read.expires_at), (at(5), None, Some(at(1000))));
    let job = catalog.job(&acme(), read.job).await.unwrap().unwrap();
    assert_eq!((job.kind, job.state, job.backup), (JobKind::TakeBackup, JobState::Queued, wanted));
    let missing =
        catalog.request_backup(BackupId::mint(at(6)), &order(acme(), "crs-9"), at(6)).await.unwrap_err();
    assert!(is_missing(&missing));
}

async fn one_backup_of_an_instance_is_under_way(catalog: &Fixture) {
    catalog.request(acme(), "crs-1", 0).await;
    let again = async || {
        let new = order(acme(), "crs-1");
        catalog.request_backup(BackupId::mint(at(1)), &new, at(1)).await
    };
    assert!(is_conflict(&again().await.unwrap_err()));
    // Neither the other instance nor the other account's of the same id is in the way.
    catalog.request(acme(), "crs-2", 1).await;
    catalog.request(rival(), "crs-1", 1).await;
    let job = catalog.claim(1).await.unwrap();
    assert!(is_conflict(&again().await.unwrap_err()));
    catalog.fail_attempt(&job.lease(), &crate::catalog::AttemptOutcome::Cancelled, at(2)).await.unwrap();
    again().await.unwrap();
    let jobs = catalog.jobs(&acme(), &JobFilter::default()).await.unwrap();
    assert_eq!(jobs.total, 3, "a refused request leaves no job");
}

async fn of_two_requests_at_once_one_wins(catalog: &Fixture) {
    let mut asking = JoinSet::new();
    for _ in 0..8 {
        let catalog = catalog.catalog.clone();
        asking.spawn(async move {
            catalog.request_backup(BackupId::mint(at(0)), &order(acme(), "crs-1"), at(0)).await
        });
    }
    let answers = asking.join_all().await;
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 1);
    assert!(answers.iter().filter_map(|answer| answer.as_ref().err()).all(is_conflict));
    assert_eq!(catalog.backups(&acme(), &BackupFilter::default()).await.unwrap().total, 1);
}

async fn numbers_are_one_sequence(catalog: &Fixture) {
    let asked = catalog.request(acme(), "crs-1", 0).await;
    let mut minting = JoinSet::new();
    for _ in 0..8 {
        let catalog = catalog.catalog.clone();
        minting.spawn(async move { catalog.mint_numbers(10).await.unwrap() });
    }
    let mut numbers: Vec<Number> = minting.join_all().await.concat();
    numbers.extend([asked.number, asked.job]);
    numbers.sort_unstable();
    numbers.dedup();
    assert_eq!(numbers.len(), 82);
    assert!(numbers.iter().all(|&number| number > 0 && number < 1 << 31));
    assert!(catalog.mint_numbers(0).await.unwrap().is_empty());
}

async fn a_foreign_account_sees_nothing(catalog: &Fixture) {
    let backup = catalog.available(acme(), "crs-1", 0, 2).await;
    let part = backup.parts[1].number;
    for which in [BackupRef::Id(backup.id), BackupRef::Number(backup.number), BackupRef::Number(part)] {
        let own = catalog.backup(&acme(), which).await.unwrap().unwrap();
        assert_eq!((own.id, own.parts.len()), (backup.id, 2));
        assert!(catalog.backup(&rival(), which).await.unwrap().is_none());
        for unit in [Unit::Set, Unit::Part] {
            let filter = BackupFilter { backup: Some(which), unit, ..BackupFilter::default() };
            assert_eq!(catalog.backups(&rival(), &filter).await.unwrap().total, 0);
        }
    }
    assert_eq!(catalog.backups(&rival(), &BackupFilter::default()).await.unwrap().total, 0);
    assert!(is_missing(&catalog.protect_backup(&rival(), backup.id, true).await.unwrap_err()));
    assert!(is_missing(&catalog.expire_backup(&rival(), backup.id, at(1)).await.unwrap_err()));
    assert!(is_missing(&catalog.cancel_job(&rival(), backup.job, at(1)).await.unwrap_err()));
    assert!(catalog.job(&rival(), backup.job).await.unwrap().is_none());
    assert_eq!(catalog.jobs(&rival(), &JobFilter::default()).await.unwrap().total, 0);
    assert_eq!(catalog.available_bytes(&rival(), &id("crs-1")).await.unwrap(), 0);
    assert_eq!(catalog.available_bytes(&acme(), &id("crs-1")).await.unwrap(), 200);
    let (owner, found) = catalog.part(part).await.unwrap().unwrap();
    assert_eq!((owner.account, owner.id, found.sealed.shard), (acme(), backup.id, 1));
    assert!(catalog.part(backup.number).await.unwrap().is_none(), "a backup's number is no part's");
}

fn pages(unit: Unit, offset: u64, limit: u64) -> BackupFilter {
    BackupFilter { unit, page: Page { offset, limit }, ..BackupFilter::default() }
}

async fn a_list_of_sets_and_a_list_of_parts(catalog: &Fixture) {
    let old = catalog.available(acme(), "crs-1", 0, 3).await;
    let new = catalog.available(acme(), "crs-1", 10, 2).await;
    let waiting = catalog.request(acme(), "crs-1", 20).await;
    let sets = catalog.backups(&acme(), &pages(Unit::Set, 0, 10)).await.unwrap();
    let shown: Vec<_> = sets.rows.iter().map(|backup| (backup.id, backup.parts.len())).collect();
    assert_eq!((sets.total, shown), (3, vec![(waiting.id, 0), (new.id, 2), (old.id, 3)]), "newest first");
    let parts = catalog.backups(&acme(), &pages(Unit::Part, 0, 10)).await.unwrap();
    let shards = |rows: &[Backup]| {
        rows.iter().map(|row| (row.id, row.parts.first().map(|part| part.sealed.shard))).collect::<Vec<_>>()
    };
    let all =
        [(waiting.id, None), (new.id, Some(0)), (new.id, Some(1)), (old.id, Some(0)), (old.id, Some(1))];
    assert_eq!((parts.total, &shards(&parts.rows)[..5]), (6, &all[..]));
    assert!(parts.rows.iter().all(|row| row.parts.len() <= 1));
    let page = catalog.backups(&acme(), &pages(Unit::Part, 2, 2)).await.unwrap();
    assert_eq!((page.total, shards(&page.rows)), (6, all[2..4].to_vec()));
    let page = catalog.backups(&acme(), &pages(Unit::Set, 2, 2)).await.unwrap();
    assert_eq!((page.total, page.rows.len()), (3, 1));

    // In a list of parts a part's number means that part, a backup's number all of its parts.
    let named = |number, unit| BackupFilter {
        backup: Some(BackupRef::Number(number)),
        unit,
        ..BackupFilter::default()
    };
    let second = old.parts[1].number;
    let one = catalog.backups(&acme(), &named(second, Unit::Part)).await.unwrap();
    assert_eq!((one.total, one.rows[0].parts[0].number), (1, second));
    assert_eq!(catalog.backups(&acme(), &named(old.number, Unit::Part)).await.unwrap().total, 3);
    let set = catalog.backups(&acme(), &named(second, Unit::Set)).await.unwrap();
    assert_eq!((set.total, set.rows[0].id, set.rows[0].parts.len()), (1, old.id, 3));
}

async fn lists_are_filtered(catalog: &Fixture) {
    let first = catalog.available(acme(), "crs-1", 0, 1).await;
    let second = catalog.available(acme(), "crs-2", 10, 1).await;
    let third = catalog.request(acme(), "crs-1", 20).await;
    let job = catalog.claim(25).await.unwrap();
    let found = async |filter: BackupFilter| {
        let listed = catalog.backups(&acme(), &filter).await.unwrap();
        assert_eq!(listed.total, listed.rows.len() as u64);
        listed.rows.iter().map(|backup| backup.id).collect::<Vec<_>>()
    };
    let all = BackupFilter::default;
    let between = |since, until| BackupFilter { since: Some(at(since)), until: Some(at(until)), ..all() };
    assert_eq!(found(between(0, 10)).await, [second.id, first.id], "both ends belong to it");
    assert_eq!(found(between(1, 9)).await, []);
    assert_eq!(found(between(20, 24)).await, [], "once it started, that is its time");
    assert_eq!(found(between(25, 25)).await, [third.id]);
    assert_eq!(found(BackupFilter { instance: Some(id("crs-2")), ..all() }).await, [second.id]);
    assert_eq!(found(BackupFilter { project: Some(id("web")), ..all() }).await, [third.id, first.id]);
    let south =
        BackupFilter { place: Place { regions: vec!["south".to_owned()], ..Place::default() }, ..all() };
    assert_eq!(found(south).await, [second.id], "no region is every region");
    assert_eq!(found(BackupFilter { job: Some(third.job), ..all() }).await, [third.id]);
    let states = |states: &[BackupState]| BackupFilter { states: states.to_vec(), ..all() };
    assert_eq!(found(states(&[BackupState::Running])).await, [third.id]);
    let failure = Failure { code: "X".to_owned(), message: "x".to_owned(), hint: None };
    catalog
        .fail_attempt(&job.lease(), &crate::catalog::AttemptOutcome::Failed(failure), at(30))
        .await
        .unwrap();
    catalog.expire_backup(&acme(), first.id, at(31)).await.unwrap();
    assert_eq!(found(all()).await, [third.id, second.id], "all but the expired");
    let both = states(&[BackupState::Expired, BackupState::Failed]);
    assert_eq!(found(both).await, [third.id, first.id]);
    let rows = catalog.backups(&acme(), &states(&[BackupState::Failed])).await.unwrap().rows;
    assert_eq!(rows[0].failure.as_ref().unwrap().code, "X");
}

async fn a_protected_or_active_backup_does_not_expire(catalog: &Fixture) {
    let asked = catalog.request(acme(), "crs-2", 0).await;
    assert!(is_conflict(&catalog.expire_backup(&acme(), asked.id, at(1)).await.unwrap_err()));
    catalog.cancel_job(&acme(), asked.job, at(1)).await.unwrap();
    let backup = catalog.available(acme(), "crs-1", 2, 1).await;
    catalog.protect_backup(&acme(), backup.id, true).await.unwrap();
    assert!(catalog.row(&acme(), backup.id).await.protected);
    assert!(is_conflict(&catalog.expire_backup(&acme(), backup.id, at(3)).await.unwrap_err()));
    assert!(catalog.claim(3).await.is_none(), "a refusal adds no job");
    catalog.protect_backup(&acme(), backup.id, false).await.unwrap();
    catalog.expire_backup(&acme(), backup.id, at(4)).await.unwrap();
    assert_eq!(catalog.row(&acme(), backup.id).await.state, BackupState::Expired);
    assert_eq!(catalog.available_bytes(&acme(), &id("crs-1")).await.unwrap(), 0);
    assert!(is_missing(&catalog.expire_backup(&acme(), backup.id, at(5)).await.unwrap_err()));
    assert!(is_missing(&catalog.protect_backup(&acme(), backup.id, true).await.unwrap_err()));
    let job = catalog.claim(5).await.unwrap();
    assert_eq!((job.kind, job.backup, &job.instance), (JobKind::RemoveBackup, backup.id, &id("crs-1")));
    assert!(is_conflict(&catalog.cancel_job(&acme(), job.number, at(5)).await.unwrap_err()));
    catalog.finish_job(&job.lease(), at(6)).await.unwrap();
    assert_eq!(catalog.row(&acme(), backup.id).await.state, BackupState::Expired);
    assert_eq!(catalog.job(&acme(), job.number).await.unwrap().unwrap().state, JobState::Done);
}

async fn backups_are_found_by_name_mode_and_place(catalog: &Fixture) {
    let named = NewBackup { name: Some("before-move".to_owned()), ..order(acme(), "crs-1") };
    let first = catalog.request_backup(BackupId::mint(at(0)), &named, at(0)).await.unwrap();
    let noted =
        NewBackup { remark: Some("by night".to_owned()), mode: Mode::Automated, ..order(acme(), "crs-2") };
    let second = catalog.request_backup(BackupId::mint(at(1)), &noted, at(1)).await.unwrap();
    let found = async |filter: BackupFilter| {
        let listed = catalog.backups(&acme(), &filter).await.unwrap();
        listed.rows.iter().map(|backup| backup.number).collect::<Vec<_>>()
    };
    let all = BackupFilter::default;
    let place = |place| BackupFilter { place, ..all() };
    let text = |text: &str| Some(text.to_owned());
    assert_eq!(found(BackupFilter { oldest_first: true, ..all() }).await, [first.number, second.number]);
    assert_eq!(found(BackupFilter { search: text("move"), ..all() }).await, [first.number]);
    assert_eq!(found(BackupFilter { search: text("night"), ..all() }).await, [second.number]);
    assert_eq!(found(BackupFilter { instance_search: text("s-2"), ..all() }).await, [second.number]);
    assert_eq!(found(BackupFilter { mode: Some(Mode::Automated), ..all() }).await, [second.number]);
    let beyond = Place { beyond: vec!["north".to_owned()], ..Place::default() };
    assert_eq!(found(place(beyond)).await, [second.number], "the other one has no region");
    let zone = Place { zone: text("north-9"), ..Place::default() };
    assert_eq!(found(place(zone)).await, [] as [u64; 0]);
    let both = Place { replica_zone: text("north-2"), spans_zones: true, ..Place::default() };
    assert_eq!(found(place(both)).await.len(), 2);
    let read = catalog.row(&acme(), first.id).await;
    assert_eq!((read.name, read.zone, read.replica_zone), (first.name, first.zone, first.replica_zone));
}

async fn an_expiry_is_set_and_taken_back(catalog: &Fixture) {
    let backup = catalog.request(acme(), "crs-1", 0).await;
    catalog.set_expiry(&acme(), backup.id, Some(at(99))).await.unwrap();
    assert_eq!(catalog.row(&acme(), backup.id).await.expires_at, Some(at(99)));
    catalog.set_expiry(&acme(), backup.id, None).await.unwrap();
    assert_eq!(catalog.row(&acme(), backup.id).await.expires_at, None);
    assert!(is_missing(&catalog.set_expiry(&rival(), backup.id, None).await.unwrap_err()));
}
