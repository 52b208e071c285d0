//! What the client's half writes the server's half reads, and the other way round, as far as the
//! vendor's format goes.

use std::time::Duration;

use keystow_dialects::{
    BackupState, Call, DeleteBackups, Dialect, Endpoint, Fault, InstanceRow, JobKind, JobRow, JobState,
    ListBackups, ListInstances, ListJobs, Page, Place, ReadError, Reply, Response, Topology, Unit,
    alibaba::Alibaba,
};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use crate::shared::{
    NOW, REQUEST_ID, answer, ask, at, backup, create, create_backup, credentials, endpoint, instance,
    instances, link_backup, list_backups, list_instances, minute, numbered_page, region, second, token, word,
};

fn alibaba_call() -> impl Strategy<Value = Call> {
    let sizes = prop::sample::select(vec![30_u64, 50, 100, 200, 300]);
    let backups = (
        (region(), word(), option::of(1_u32..=0x7fff_ffff), option::of(1_u64..=0x7fff_ffff)),
        (minute(), 1_u64..100_000, any::<bool>(), numbered_page(sizes)),
    );
    let backups =
        backups.prop_map(|((region, instance, backup, job), (since, minutes, incremental, page))| {
            Call::ListBackups(ListBackups {
                place: Place::in_region(region),
                instance: Some(instance),
                backup: backup.map(|number| number.to_string()),
                job,
                since: Some(since),
                until: Some(since + Duration::from_mins(minutes)),
                states: vec![BackupState::Available, BackupState::Failed],
                incremental,
                unit: Unit::Part,
                links: true,
                page,
                ..ListBackups::default()
            })
        });
    let tasks = (region(), word(), option::of(1_u64..=0x7fff_ffff), option::of(any::<bool>()));
    let tasks = tasks.prop_map(|(region, instance, job, automated)| {
        Call::ListJobs(list_jobs(region, instance, job, automated))
    });
    let delete = (region(), word(), word()).prop_map(|(region, instance, backup)| {
        let (place, instance) = (Place::in_region(region), Some(instance));
        Call::DeleteBackups(DeleteBackups { place, instance, backups: vec![backup] })
    });
    let filters = prop::sample::select(vec![
        vec![],
        vec![Topology::Cluster],
        vec![Topology::Standalone, Topology::Sentinel],
    ]);
    let instances = (instances(numbered_page(1_u64..=50)), filters, option::of(word()));
    let instances = instances.prop_map(|(list, topologies, zone)| {
        let place = Place { zone, ..list.place };
        Call::ListInstances(ListInstances { place, topologies, ..list })
    });
    prop_oneof![backups, create().prop_map(Call::CreateBackup), instances, tasks, delete]
}

fn list_jobs(
    region: Option<String>,
    instance: String,
    job: Option<u64>,
    automated: Option<bool>,
) -> ListJobs {
    ListJobs {
        place: Place::in_region(region),
        job,
        instance: Some(instance),
        kinds: vec![JobKind::Backup],
        states: vec![JobState::Waiting, JobState::Running, JobState::Done],
        automated,
        page: Page { offset: 0, limit: 300 },
        ..ListJobs::default()
    }
}

fn job() -> impl Strategy<Value = JobRow> {
    let state = prop_oneof![Just(JobState::Waiting), Just(JobState::Running), Just(JobState::Done)];
    (1_u64..1 << 31, state, 0_u8..=100, any::<bool>(), second()).prop_map(
        |(number, state, percent, automated, at)| JobRow {
            number,
            state,
            percent,
            automated,
            instance: "r-1".to_owned(),
            created_at: at,
            started_at: (state != JobState::Waiting).then_some(at),
            ..JobRow::default()
        },
    )
}

proptest! {
    #[test]
    fn tasks_come_back(rows in vec(job(), 0..4), automated in option::of(any::<bool>())) {
        let call = Call::ListJobs(list_jobs(None, "r-1".to_owned(), None, automated));
        let reply = Reply::Jobs { total: rows.len() as u64, rows };
        prop_assert_eq!(answer(&Alibaba, &call, &Ok(reply.clone())), Ok(reply));
    }

    #[test]
    fn it_reads_what_it_asks(call in alibaba_call(), token in token()) {
        prop_assert_eq!(ask(&Alibaba, &call, token), call);
    }

    #[test]
    fn backups_come_back(rows in vec(backup(), 0..4), total in 0_u64..1 << 31, full_bytes in 0_u64..1 << 50) {
        let reply = Reply::Backups { total, full_bytes, rows };
        prop_assert_eq!(answer(&Alibaba, &list_backups(), &Ok(reply.clone())), Ok(reply));
    }

    #[test]
    fn instances_come_back(rows in vec(instance(), 0..4), total in 0_u64..1 << 31) {
        let reply = Reply::Instances { total, rows: rows.clone() };
        let rows = rows.into_iter().map(|row| InstanceRow {
            project: String::new(),
            valkey: false,
            password: false,
            used_bytes: 0,
            ..row
        });
        let shown = Reply::Instances { total, rows: rows.collect() };
        prop_assert_eq!(answer(&Alibaba, &list_instances(), &Ok(reply)), Ok(shown));
    }

    #[test]
    fn jobs_come_back(job in 1_u64..1 << 31) {
        let reply = Reply::Started { job, backup: String::new() };
        prop_assert_eq!(answer(&Alibaba, &create_backup(), &Ok(reply.clone())), Ok(reply));
    }
}

#[test]
fn a_refusal_comes_back_with_the_vendors_code() {
    let refused = answer(&Alibaba, &list_backups(), &Err(Fault::UnknownKey)).unwrap_err();
    let ReadError::Refused { status, code, request_id, .. } = refused else { panic!() };
    assert_eq!((status, code.as_str()), (404, "InvalidAccessKeyId.NotFound"));
    assert_eq!(request_id.unwrap(), REQUEST_ID.to_uppercase());
}

#[test]
fn what_the_vendor_cannot_ask_is_refused() {
    let asked = |call: &Call| Alibaba.ask(call, &endpoint(), &credentials(None), at(NOW), "n");
    assert!(matches!(asked(&link_backup()), Err(Fault::NotSupported(_))));
    let Call::ListBackups(list) = list_backups() else { panic!() };
    let open = Call::ListBackups(ListBackups { since: None, ..list.clone() });
    assert!(matches!(asked(&open), Err(Fault::MissingParameter(_))));
    let odd = Call::ListBackups(ListBackups { page: Page { offset: 7, limit: 30 }, ..list });
    assert!(matches!(asked(&odd), Err(Fault::BadParameter { .. })));
    let Call::ListInstances(list) = list_instances() else { panic!() };
    let sentinel = Call::ListInstances(ListInstances { topologies: vec![Topology::Sentinel], ..list });
    assert!(matches!(asked(&sentinel), Err(Fault::BadParameter { .. })));
    let everywhere = Call::ListJobs(ListJobs::default());
    assert!(matches!(asked(&everywhere), Err(Fault::BadParameter { .. })));
    let two = vec!["1".to_owned(), "2".to_owned()];
    let two = DeleteBackups { instance: Some("r-1".to_owned()), backups: two, ..DeleteBackups::default() };
    assert!(matches!(asked(&Call::DeleteBackups(two)), Err(Fault::BadParameter { .. })));
    let nowhere = Endpoint { authority: "not a host".to_owned(), ..endpoint() };
    let asked = Alibaba.ask(&create_backup(), &nowhere, &credentials(None), at(NOW), "n");
    assert!(matches!(asked, Err(Fault::BadParameter { .. })));
}

#[test]
fn seconds_are_rounded_away_from_what_is_asked() {
    let Call::ListBackups(list) = list_backups() else { panic!() };
    let half = ListBackups {
        since: Some(at(61)),
        until: Some(at(121)),
        states: vec![BackupState::Available, BackupState::Failed],
        unit: Unit::Part,
        links: true,
        ..list
    };
    let Call::ListBackups(asked) = ask(&Alibaba, &Call::ListBackups(half), None) else { panic!() };
    assert_eq!((asked.since, asked.until), (Some(at(60)), Some(at(180))));
}

#[test]
fn real_answers_of_other_servers_are_read() {
    let response = |body: &str| Response::new(body.to_owned().into());
    let jobs = response(r#"{"BackupJobID":"10000,10001","RequestId":"r"}"#);
    let started = Reply::Started { job: 10000, backup: String::new() };
    assert_eq!(Alibaba.read(&create_backup(), &jobs), Ok(started));
    let call = Call::ListJobs(list_jobs(None, "r-1".to_owned(), None, None));
    let tasks = response(
        r#"{"InstanceId":"r-1","BackupJobs":[{"BackupJobID":"7","BackupProgressStatus":"Checking","Process":"99%",
            "StartTime":"2026-03-01T00:00Z","NodeId":null}]}"#,
    );
    let Ok(Reply::Jobs { rows, .. }) = Alibaba.read(&call, &tasks) else { panic!() };
    assert_eq!((rows[0].number, rows[0].percent, rows[0].state), (7, 99, JobState::Running));
    let deleted = Call::DeleteBackups(DeleteBackups::default());
    assert_eq!(Alibaba.read(&deleted, &response(r#"{"RequestId":"r"}"#)), Ok(Reply::Done { job: None }));
    let html = response("<html>");
    assert!(matches!(Alibaba.read(&create_backup(), &html), Err(ReadError::Malformed(_))));
}
