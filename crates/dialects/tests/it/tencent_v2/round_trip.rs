//! What the client's half writes the server's half reads, and the other way round, as far as the
//! vendor's format goes.

use std::time::Duration;

use keystow_dialects::{
    AddressLimit, BackupRow, BackupState, Call, CreateBackup, Dialect, ExportBackup, Fault, InstanceRow,
    JobKind, JobRow, JobState, LinkBackup, LinkRow, ListBackups, ListInstances, ListJobs, Page, Place,
    ReadError, Reply, Response, Topology, tencent_v2::TencentV2,
};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use crate::shared::{
    NOW, answer, ask, at, create_backup, credentials, endpoint, instance, link, link_backup, second, token,
    word,
};

/// Never one of the old short codes, which are read as today's names.
fn region() -> impl Strategy<Value = Option<String>> {
    option::of("ap-[a-z]{3,9}")
}

fn page() -> impl Strategy<Value = Page> {
    (0_u64..10_000, 1_u64..=1000).prop_map(|(offset, limit)| Page { offset, limit })
}

fn states() -> impl Strategy<Value = JobState> {
    prop::sample::select(vec![JobState::Waiting, JobState::Running, JobState::Done, JobState::Failed])
}

fn tencent_call() -> impl Strategy<Value = Call> {
    let range = (option::of(second()), 0_u64..2_592_000);
    let backups = (region(), word(), range, page()).prop_map(|(region, instance, (since, span), page)| {
        Call::ListBackups(ListBackups {
            place: Place::in_region(region),
            instance: Some(instance),
            since,
            until: since.map(|since| since + Duration::from_secs(span)),
            oldest_first: true,
            page,
            ..ListBackups::default()
        })
    });
    let links = (region(), word(), word()).prop_map(|(region, instance, backup)| {
        Call::LinkBackup(LinkBackup::new(Place::in_region(region), Some(instance), backup))
    });
    let exports = (region(), word(), word()).prop_map(|(region, instance, backup)| {
        Call::ExportBackup(ExportBackup { place: Place::in_region(region), instance, backup })
    });
    let creates = (region(), word(), option::of(word())).prop_map(|(region, instance, remark)| {
        let place = Place::in_region(region);
        Call::CreateBackup(CreateBackup { place, instance, remark, ..CreateBackup::default() })
    });
    let instances = (region(), option::of(word()), option::of(word()), page());
    let instances = instances.prop_map(|(region, id, search, page)| {
        let (place, ids) = (Place::in_region(region), id.into_iter().collect());
        Call::ListInstances(ListInstances { place, ids, search, page, ..ListInstances::default() })
    });
    prop_oneof![backups, links, exports, creates, instances, jobs()]
}

fn jobs() -> impl Strategy<Value = Call> {
    let kinds = prop::sample::subsequence(vec![JobKind::Backup, JobKind::Restore], 1..=2);
    let all = vec![JobState::Waiting, JobState::Running, JobState::Done, JobState::Failed];
    let filters = (option::of(word()), option::of(word()), option::of(second()));
    let list = (filters, kinds, prop::sample::subsequence(all, 0..=4), page()).prop_map(
        |((instance, instance_search, since), kinds, states, page)| {
            let place = Place::default();
            let list = ListJobs {
                place,
                instance,
                instance_search,
                kinds,
                states,
                since,
                page,
                ..ListJobs::default()
            };
            Call::ListJobs(list)
        },
    );
    let one =
        (0_u64..1 << 40).prop_map(|job| Call::ListJobs(ListJobs { job: Some(job), ..ListJobs::default() }));
    prop_oneof![list, one]
}

/// A backup as the vendor can show it.
fn backup() -> impl Strategy<Value = BackupRow> {
    let state = prop::sample::select(vec![BackupState::Running, BackupState::Available, BackupState::Failed]);
    ("b[0-9a-f-]{36}", state, any::<bool>(), option::of(word()), second()).prop_map(
        |(id, state, automated, remark, started_at)| BackupRow {
            id,
            instance: "r-1".to_owned(),
            state,
            automated,
            remark: remark.unwrap_or_default(),
            started_at,
            ..BackupRow::default()
        },
    )
}

/// A job as a list of the vendor can show it.
fn job() -> impl Strategy<Value = JobRow> {
    let kinds = prop::sample::select(vec![JobKind::Backup, JobKind::Restore]);
    (kinds, states(), any::<bool>(), word(), word(), second()).prop_map(
        |(kind, state, done, instance, instance_name, created_at)| JobRow {
            kind,
            state,
            percent: if done { 100 } else { 0 },
            instance,
            instance_name,
            project: "7".to_owned(),
            created_at,
            started_at: (state != JobState::Waiting).then_some(created_at),
            ..JobRow::default()
        },
    )
}

fn list_backups() -> Call {
    let page = Page { offset: 0, limit: 30 };
    Call::ListBackups(ListBackups { instance: Some("r-1".to_owned()), page, ..ListBackups::default() })
}

proptest! {
    #[test]
    fn it_reads_what_it_asks(call in tencent_call(), token in token()) {
        prop_assert_eq!(ask(&TencentV2, &call, token), call);
    }

    #[test]
    fn backups_come_back(rows in vec(backup(), 0..4), total in 0_u64..1 << 31) {
        let reply = Reply::Backups { total, full_bytes: 0, rows };
        prop_assert_eq!(answer(&TencentV2, &list_backups(), &Ok(reply.clone())), Ok(reply));
    }

    #[test]
    fn instances_come_back(rows in vec(instance(), 0..4), total in 0_u64..1 << 31) {
        let rows = rows.into_iter().map(|row| InstanceRow {
            region: "ap-beijing".to_owned(),
            version: String::new(),
            valkey: false,
            password: false,
            replicas: 0,
            shards: u32::from(row.topology != Topology::Cluster),
            ..row
        });
        let reply = Reply::Instances { total, rows: rows.collect() };
        let list = Call::ListInstances(ListInstances::default());
        prop_assert_eq!(answer(&TencentV2, &list, &Ok(reply.clone())), Ok(reply));
    }

    #[test]
    fn links_and_jobs_come_back(link in link(), number in 1_u64..1 << 31, rows in vec(job(), 0..4), state in states()) {
        let reply = Reply::Links(vec![LinkRow { file_name: String::new(), size_bytes: 0, ..link }]);
        prop_assert_eq!(answer(&TencentV2, &link_backup(), &Ok(reply.clone())), Ok(reply));
        let reply = Reply::Started { job: number, backup: String::new() };
        prop_assert_eq!(answer(&TencentV2, &create_backup(), &Ok(reply.clone())), Ok(reply));
        let reply = Reply::Jobs { total: number, rows };
        let list = Call::ListJobs(ListJobs::default());
        prop_assert_eq!(answer(&TencentV2, &list, &Ok(reply.clone())), Ok(reply));
        let one = Call::ListJobs(ListJobs { job: Some(number), ..ListJobs::default() });
        let reply = Reply::Jobs { total: 1, rows: vec![JobRow { number, state, ..JobRow::default() }] };
        prop_assert_eq!(answer(&TencentV2, &one, &Ok(reply.clone())), Ok(reply));
    }
}

#[test]
fn a_refusal_comes_back_with_the_vendors_code() {
    let refused = answer(&TencentV2, &list_backups(), &Err(Fault::UnknownKey)).unwrap_err();
    let ReadError::Refused { status, code, message, request_id } = refused else { panic!() };
    assert_eq!((status, code.as_str(), message.as_str()), (200, "4104", "(4104)Unknown access key."));
    assert_eq!(request_id, None);
}

#[test]
fn what_the_vendor_cannot_ask_is_refused() {
    let asked = |call: &Call| TencentV2.ask(call, &endpoint(), &credentials(None), at(NOW), "n");
    let bad = |call: Call| assert!(matches!(asked(&call), Err(Fault::BadParameter { .. })), "{call:?}");
    let Call::ListBackups(list) = list_backups() else { panic!() };
    bad(Call::ListBackups(ListBackups { states: vec![BackupState::Available], ..list.clone() }));
    bad(Call::ListBackups(ListBackups { backup: Some("b".to_owned()), ..list.clone() }));
    let Call::CreateBackup(create) = create_backup() else { panic!() };
    bad(Call::CreateBackup(CreateBackup { keep_days: Some(7), ..create.clone() }));
    bad(Call::CreateBackup(CreateBackup { instance: "@r".to_owned(), ..create.clone() }));
    let Call::LinkBackup(link) = link_backup() else { panic!() };
    bad(Call::LinkBackup(LinkBackup { limit: AddressLimit::None, ..link.clone() }));
    let anywhere = Call::LinkBackup(LinkBackup { instance: None, ..link });
    assert!(matches!(asked(&anywhere), Err(Fault::MissingParameter(_))));
    assert!(matches!(asked(&Call::ShowAccount), Err(Fault::NotSupported(_))));
    let remark = CreateBackup { remark: Some("@x".to_owned()), ..create };
    let Call::CreateBackup(signed) = ask(&TencentV2, &Call::CreateBackup(remark), None) else { panic!() };
    assert_eq!(signed.remark.as_deref(), Some(" @x"), "a value that begins with @ would not be signed");
}

#[test]
fn answers_of_other_servers_are_read() {
    let response = |body: &str| Response::new(body.to_owned().into());
    let quoted = response(
        r#"{"code":"0","message":"","codeDesc":"Success","totalCount":"1","data":{"redisSet":[{"redisId":"crs-1",
            "port":"6379","size":"1024","typeId":"1","createtime":"2020-01-01 00:00:00","unheard":null}]}}"#,
    );
    let list = Call::ListInstances(ListInstances::default());
    let Ok(Reply::Instances { total, rows }) = TencentV2.read(&list, &quoted) else { panic!() };
    assert_eq!((total, rows[0].port, rows[0].memory_bytes), (1, 6379, 1 << 30));
    let nothing = response(r#"{"code":0,"message":"","codeDesc":"Success","totalCount":0,"data":[]}"#);
    let empty = Reply::Backups { total: 0, full_bytes: 0, rows: Vec::new() };
    assert_eq!(TencentV2.read(&list_backups(), &nothing), Ok(empty));
    let html = TencentV2.read(&list_backups(), &response("<html>"));
    assert!(matches!(html, Err(ReadError::Malformed(_))));
}
