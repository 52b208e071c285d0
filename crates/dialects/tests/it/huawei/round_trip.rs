//! What the client's half writes the server's half reads, and the other way round.

use keystow_dialects::{
    AddressLimit, BackupRow, BackupState, Call, CreateBackup, DeleteBackups, Dialect, Endpoint, Fault,
    InstanceRow, JobKind, JobRow, JobState, LinkBackup, LinkRow, ListBackups, ListInstances, ListJobs,
    Networks, Page, Place, ReadError, Reply, Response, Topology, huawei::Huawei,
};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use super::PROJECT;
use crate::shared::{
    NOW, REQUEST_ID, answer, ask, at, backup, credentials, endpoint, instance, link, second, text, token,
    word,
};

fn place() -> Place {
    Place { project: Some(text(PROJECT)), ..Place::default() }
}

/// An id as it may stand in a path.
fn id() -> impl Strategy<Value = String> {
    "[a-zA-Z0-9 +&=*~'()!é缓😀._-]{1,20}"
}

fn list_backups() -> ListBackups {
    ListBackups { place: place(), page: Page { offset: 0, limit: 100 }, ..ListBackups::default() }
}

fn state() -> impl Strategy<Value = BackupState> {
    prop_oneof![Just(BackupState::Running), Just(BackupState::Available), Just(BackupState::Failed)]
}

fn backups() -> impl Strategy<Value = Call> {
    let texts = (option::of(word()), option::of(word()), option::of(word()), option::of(word()));
    let times = option::of((second(), 0_u64..1_000_000));
    (texts, times, vec(state(), 0..2), option::of(any::<bool>()), any::<bool>(), 0_u64..9999, 1_u64..=100)
        .prop_map(
            |(
                (instance, instance_search, backup, search),
                times,
                states,
                automated,
                oldest_first,
                offset,
                limit,
            )| {
                Call::ListBackups(ListBackups {
                    instance,
                    instance_search,
                    backup,
                    search,
                    since: times.map(|(since, _)| since),
                    until: times.map(|(since, seconds)| since + std::time::Duration::from_secs(seconds)),
                    states,
                    automated,
                    oldest_first,
                    page: Page { offset, limit },
                    ..list_backups()
                })
            },
        )
}

fn jobs() -> impl Strategy<Value = Call> {
    let states = prop::sample::select(vec![
        vec![],
        vec![JobState::Waiting, JobState::Running],
        vec![JobState::Done],
        vec![JobState::Failed],
    ]);
    let kinds = prop::sample::select(vec![
        vec![],
        vec![JobKind::Backup],
        vec![JobKind::RemoveBackup],
        vec![JobKind::Restore],
    ]);
    let limit = prop::sample::select(vec![10, 20, 50]);
    (option::of(any::<u64>()), kinds, states, option::of(second()), 0_u64..9999, limit).prop_map(
        |(job, kinds, states, since, offset, limit)| {
            let (place, page) = (place(), Page { offset, limit });
            Call::ListJobs(ListJobs { place, job, kinds, states, since, page, ..ListJobs::default() })
        },
    )
}

fn call() -> impl Strategy<Value = Call> {
    let search = option::of((any::<bool>(), "[a-zé%+&][a-z *]{0,9}"));
    let instances =
        (option::of(word()), search, 0_u64..9999, 1_u64..=100).prop_map(|(id, search, offset, limit)| {
            let (exact, search) = search.map_or((true, None), |(exact, search)| (exact, Some(search)));
            let (name, search) = if exact { (search, None) } else { (None, search) };
            let (ids, page) = (id.into_iter().collect(), Page { offset, limit });
            Call::ListInstances(ListInstances {
                place: place(),
                ids,
                name,
                search,
                page,
                ..ListInstances::default()
            })
        });
    let create = (word(), "[a-zA-Z][a-zA-Z0-9_-]{3,63}", option::of("[a-z é备]{1,40}")).prop_map(
        |(instance, name, remark)| {
            let (place, name) = (place(), Some(name));
            Call::CreateBackup(CreateBackup { place, instance, name, remark, keep_days: None })
        },
    );
    let link = (word(), word())
        .prop_map(|(instance, backup)| Call::LinkBackup(LinkBackup::new(place(), Some(instance), backup)));
    let delete = vec(id(), 1..=10)
        .prop_map(|backups| Call::DeleteBackups(DeleteBackups { place: place(), instance: None, backups }));
    prop_oneof![backups(), jobs(), instances, create, link, delete]
}

/// A backup as this vendor can show it: kilobytes, seconds.
fn shown_backup() -> impl Strategy<Value = BackupRow> {
    (backup(), state(), option::of(second()), (word(), word(), word(), word()), 1_u64..1 << 40).prop_map(
        |(row, state, ended_at, (id, name, remark, instance), kilobytes)| BackupRow {
            id,
            name,
            remark,
            instance: instance.clone(),
            instance_name: instance,
            state,
            automated: row.automated,
            logical: row.logical,
            version: row.version,
            topology: row.topology,
            size_bytes: if state == BackupState::Available { kilobytes << 10 } else { 0 },
            started_at: row.started_at,
            ended_at,
            ..BackupRow::default()
        },
    )
}

fn shown_link() -> impl Strategy<Value = LinkRow> {
    (link(), word(), 1_u64..1 << 40, second()).prop_map(|(row, node, kilobytes, expires_at)| LinkRow {
        node,
        file_name: row.file_name,
        size_bytes: kilobytes << 10,
        public_url: row.intranet_url,
        expires_at,
        ..LinkRow::default()
    })
}

fn shown_job() -> impl Strategy<Value = JobRow> {
    let kind = prop_oneof![Just(JobKind::Backup), Just(JobKind::RemoveBackup), Just(JobKind::Restore)];
    let state = prop_oneof![Just(JobState::Running), Just(JobState::Done), Just(JobState::Failed)];
    (any::<u64>(), kind, state, 0_u8..=100, (word(), word(), word()), (second(), option::of(second())))
        .prop_map(
            |(number, kind, state, percent, (instance, instance_name, failure), (created_at, ended_at))| {
                JobRow {
                    number,
                    kind,
                    state,
                    percent: match state {
                        JobState::Done => 100,
                        JobState::Failed => 0,
                        _ => percent,
                    },
                    instance,
                    instance_name,
                    failure,
                    created_at,
                    ended_at,
                    ..JobRow::default()
                }
            },
        )
}

proptest! {
    #[test]
    fn huawei_reads_what_it_asks(call in call(), token in token()) {
        prop_assert_eq!(ask(&Huawei, &call, token), call);
    }

    #[test]
    fn backups_come_back(rows in vec(shown_backup(), 0..4), total in 0_u64..1 << 40) {
        let reply = Reply::Backups { total, full_bytes: 0, rows };
        prop_assert_eq!(answer(&Huawei, &Call::ListBackups(list_backups()), &Ok(reply.clone())), Ok(reply));
    }

    #[test]
    fn links_come_back(rows in vec(shown_link(), 1..4)) {
        let call = Call::LinkBackup(LinkBackup::new(place(), Some(text("i")), text("b")));
        let reply = Reply::Links(rows);
        prop_assert_eq!(answer(&Huawei, &call, &Ok(reply.clone())), Ok(reply));
    }

    #[test]
    fn jobs_come_back(rows in vec(shown_job(), 1..4), total in 0_u64..1 << 40, one in any::<bool>()) {
        let page = Page { offset: 0, limit: 10 };
        let job = one.then(|| rows[0].number);
        let call = Call::ListJobs(ListJobs { place: place(), job, page, ..ListJobs::default() });
        let reply = Reply::Jobs { total, rows };
        prop_assert_eq!(answer(&Huawei, &call, &Ok(reply.clone())), Ok(reply));
    }

    #[test]
    fn instances_come_back(rows in vec(instance(), 0..4), total in 0_u64..1 << 40) {
        let page = Page { offset: 0, limit: 10 };
        let call = Call::ListInstances(ListInstances { place: place(), page, ..ListInstances::default() });
        let shown = |row: &InstanceRow| InstanceRow {
            project: String::new(),
            shards: 1,
            replicas: 0,
            memory_bytes: 0,
            used_bytes: 0,
            password: false,
            ..row.clone()
        };
        let expected = Reply::Instances { total, rows: rows.iter().map(shown).collect() };
        prop_assert_eq!(answer(&Huawei, &call, &Ok(Reply::Instances { total, rows })), Ok(expected));
    }

    #[test]
    fn started_and_deleted_come_back(job in any::<u64>(), backup in word()) {
        let name = Some(text("nightly"));
        let create = Call::CreateBackup(CreateBackup { place: place(), instance: text("i"), name, ..CreateBackup::default() });
        let reply = Reply::Started { job, backup };
        prop_assert_eq!(answer(&Huawei, &create, &Ok(reply.clone())), Ok(reply));
        let delete = Call::DeleteBackups(DeleteBackups { place: place(), instance: None, backups: vec![text("b")] });
        for reply in [Reply::Done { job: None }, Reply::Done { job: Some(job) }] {
            prop_assert_eq!(answer(&Huawei, &delete, &Ok(reply.clone())), Ok(reply));
        }
    }
}

#[test]
fn what_the_vendor_cannot_be_asked_is_refused() {
    let refused = |call: Call| Huawei.ask(&call, &endpoint(), &credentials(None), at(NOW), "n").unwrap_err();
    let list = list_backups();
    let bad = |call: Call| assert!(matches!(refused(call), Fault::BadParameter { .. }));
    bad(Call::ListBackups(ListBackups { job: Some(1), ..list.clone() }));
    bad(Call::ListBackups(ListBackups { page: Page { offset: 0, limit: 101 }, ..list.clone() }));
    bad(Call::ListBackups(ListBackups {
        states: vec![BackupState::Running, BackupState::Failed],
        ..list.clone()
    }));
    bad(Call::ListBackups(ListBackups {
        place: Place { region: Some(text("r")), ..place() },
        ..list.clone()
    }));
    bad(Call::ListBackups(ListBackups { place: Place { zone: Some(text("z")), ..place() }, ..list.clone() }));
    let half = ListBackups { since: Some(at(NOW)), ..list.clone() };
    assert_eq!(refused(Call::ListBackups(half)), Fault::MissingParameter(text("end_time")));
    let nowhere = ListBackups { place: Place::default(), ..list };
    assert_eq!(refused(Call::ListBackups(nowhere)), Fault::MissingParameter(text("project_id")));
    let link = LinkBackup::new(place(), Some(text("i")), text("b"));
    bad(Call::LinkBackup(LinkBackup { networks: Networks::Intranet, ..link.clone() }));
    bad(Call::LinkBackup(LinkBackup { limit: AddressLimit::None, ..link.clone() }));
    bad(Call::LinkBackup(LinkBackup { ttl: Some(std::time::Duration::from_mins(10)), ..link.clone() }));
    assert!(matches!(
        refused(Call::LinkBackup(LinkBackup { instance: None, ..link })),
        Fault::MissingParameter(_)
    ));
    bad(Call::DeleteBackups(DeleteBackups { place: place(), instance: None, backups: vec![text("a/b")] }));
    assert!(matches!(refused(Call::ListRegions), Fault::NotSupported(_)));
    let list = Call::ListBackups(list_backups());
    let odd = Endpoint { authority: text("not a host"), ..endpoint() };
    let odd = Huawei.ask(&list, &odd, &credentials(None), at(NOW), "n");
    assert!(matches!(odd, Err(Fault::BadParameter { .. })));
    assert!(
        !format!("{:?}", Huawei.ask(&list, &endpoint(), &credentials(None), at(NOW), "n"))
            .contains("FakeKeystowSecret")
    );
}

#[test]
fn a_refusal_comes_back_with_the_vendors_code() {
    let list = Call::ListBackups(list_backups());
    let Err(ReadError::Refused { status, code, request_id, .. }) =
        answer(&Huawei, &list, &Err(Fault::NoSuchInstance(text("i"))))
    else {
        panic!()
    };
    assert_eq!((status, code.as_str()), (404, "DBS.200002"));
    assert_eq!(request_id, Some(REQUEST_ID.replace('-', "")));
}

#[test]
fn real_answers_of_other_servers_are_read() {
    let response = |status: u16, body: &str| {
        let mut response = Response::new(body.to_owned().into());
        *response.status_mut() = http::StatusCode::from_u16(status).unwrap();
        response
    };
    let list = Call::ListBackups(list_backups());
    let gemini = r#"{"total_count":1,"backups":[{"id":"b","name":"n","description":null,"instance_id":"i",
        "datastore":{"type":"redis","version":"5.0"},"type":"Manual","begin_time":"2026-11-21T08:00:00+0800",
        "end_time":"","status":"COMPLETED","size":2.5,"database_tables":null,"unheard":{}}]}"#;
    let Ok(Reply::Backups { rows, .. }) = Huawei.read(&list, &response(200, gemini)) else { panic!() };
    assert_eq!((rows[0].size_bytes, rows[0].ended_at, rows[0].topology), (2048, None, Topology::Standalone));
    let jobs = Call::ListJobs(ListJobs { place: place(), ..ListJobs::default() });
    let dds = r#"{"job":{"id":"5","name":"Unheard","status":"Running","created":"2026-11-21T08:00:00+0000",
        "ended":"","progress":"60%","instance":{"id":"i","name":"n"},"fail_reason":null}}"#;
    let Ok(Reply::Jobs { total, rows }) = Huawei.read(&jobs, &response(200, dds)) else { panic!() };
    assert_eq!((total, rows[0].number, rows[0].percent), (1, 5, 60));
    let create = Call::CreateBackup(CreateBackup::default());
    let uuid = r#"{"job_id":"4b3e04cb-3e4a-4f7c-9c1b-000000000000","backup_id":"b"}"#;
    assert_eq!(Huawei.read(&create, &response(202, uuid)), Ok(Reply::Started { job: 0, backup: text("b") }));
    let iam = r#"{"error":{"code":401,"message":"no","title":"Unauthorized"}}"#;
    let Err(ReadError::Refused { code, message, .. }) = Huawei.read(&list, &response(401, iam)) else {
        panic!()
    };
    assert_eq!((code.as_str(), message.as_str()), ("401", "no"));
    for (status, body) in [(302, ""), (200, "<html>"), (200, "[]")] {
        assert!(matches!(Huawei.read(&list, &response(status, body)), Err(ReadError::Malformed(_))));
    }
    let Err(ReadError::Refused { code, .. }) = Huawei.read(&list, &response(502, "<html>")) else { panic!() };
    assert_eq!(code, "502");
}
