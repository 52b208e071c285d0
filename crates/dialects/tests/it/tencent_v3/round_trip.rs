//! What the client's half writes the server's half reads, and the other way round, as far as the
//! vendor's format goes.

use std::time::Duration;

use keystow_dialects::{
    AddressLimit, BackupRow, BackupState, Call, CreateBackup, Dialect, Endpoint, Fault, JobKind, JobRow,
    JobState, LinkBackup, ListBackups, ListJobs, Networks, Page, Place, ReadError, Reply, Response, Topology,
    Unit, tencent_v3::TencentV3,
};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use crate::shared::{
    self, NOW, REQUEST_ID, answer, ask, at, create, create_backup, credentials, endpoint, instance,
    instances, link, link_backup, list_backups, list_instances, region, second, token, word,
};

fn address_limit() -> impl Strategy<Value = (Networks, AddressLimit)> {
    let address = prop::sample::select(vec!["10.0.0.1", "10.0.0.0/8", "::1", "2001:db8::/32"]);
    let vpc = ("vpc-[a-z0-9]{1,8}", "ap-[a-z]{1,3}");
    let custom = (any::<bool>(), vec(address.prop_map(str::to_owned), 1..4), vec(vpc, 0..4));
    prop_oneof![
        Just((Networks::Both, AddressLimit::Default)),
        Just((Networks::Both, AddressLimit::None)),
        Just((Networks::Intranet, AddressLimit::None)),
        custom.prop_map(|(except, addresses, vpcs)| {
            (Networks::Both, AddressLimit::Custom { except, addresses, vpcs })
        }),
    ]
}

fn tencent_call() -> impl Strategy<Value = Call> {
    let page = |most: u64| (0_u64..10_000, 1..=most).prop_map(|(offset, limit)| Page { offset, limit });
    let states = prop::sample::subsequence(
        vec![BackupState::Running, BackupState::Available, BackupState::Failed],
        1..=3,
    );
    let range = (option::of(second()), 0_u64..2_592_000);
    let backups = (region(), option::of(word()), range, states, page(100));
    let backups = backups.prop_map(|(region, instance, (since, span), states, page)| {
        Call::ListBackups(ListBackups {
            place: Place::in_region(region),
            instance,
            backup: None,
            job: None,
            since,
            until: since.map(|since| since + Duration::from_secs(span)),
            states,
            incremental: false,
            unit: Unit::Set,
            links: false,
            page,
            ..ListBackups::default()
        })
    });
    let links = (region(), word(), word(), address_limit());
    let links = links.prop_map(|(region, instance, backup, (networks, limit))| {
        let place = Place::in_region(region);
        Call::LinkBackup(LinkBackup { networks, limit, ..LinkBackup::new(place, Some(instance), backup) })
    });
    let create = (create(), option::of(word()), option::of(1_u32..=1825));
    let create = create.prop_map(|(create, remark, keep_days)| {
        Call::CreateBackup(CreateBackup { remark, keep_days, ..create })
    });
    prop_oneof![
        links,
        backups,
        detail(),
        create,
        instances(page(1000)).prop_map(Call::ListInstances),
        one_job(),
        jobs(page(100)),
    ]
}

fn detail() -> impl Strategy<Value = Call> {
    (region(), word(), word()).prop_map(|(region, instance, backup)| {
        let place = Place::in_region(region);
        let (instance, backup) = (Some(instance), Some(backup));
        Call::ListBackups(ListBackups { place, instance, backup, ..ListBackups::default() })
    })
}

fn one_job() -> impl Strategy<Value = Call> {
    (region(), 0_u64..1 << 40).prop_map(|(region, job)| {
        Call::ListJobs(ListJobs { place: Place::in_region(region), job: Some(job), ..ListJobs::default() })
    })
}

fn jobs(pages: impl Strategy<Value = Page>) -> impl Strategy<Value = Call> {
    let all = vec![JobKind::Backup, JobKind::RemoveBackup, JobKind::Restore];
    let kinds = prop_oneof![
        prop::sample::subsequence(all, 0..=3).prop_map(|kinds| (kinds, None)),
        any::<bool>().prop_map(|automated| (vec![JobKind::Backup], Some(automated))),
    ];
    let states = vec![JobState::Waiting, JobState::Running, JobState::Done, JobState::Failed];
    let states = prop::sample::subsequence(states, 0..=4);
    let filters = (region(), option::of(word()), option::of(word()), option::of(second()));
    (filters, kinds, states, pages).prop_map(
        |((region, instance, instance_search, since), (kinds, automated), states, page)| {
            Call::ListJobs(ListJobs {
                place: Place::in_region(region),
                instance,
                instance_search,
                kinds,
                automated,
                states,
                since,
                page,
                ..ListJobs::default()
            })
        },
    )
}

/// A job as a list of the vendor can show it.
fn job() -> impl Strategy<Value = JobRow> {
    let kinds = prop::sample::select(vec![JobKind::Backup, JobKind::RemoveBackup, JobKind::Restore]);
    let states =
        prop::sample::select(vec![JobState::Waiting, JobState::Running, JobState::Done, JobState::Failed]);
    let facts = (0_u64..1 << 40, 0_u8..=100, any::<bool>(), word(), word());
    (kinds, states, facts, second(), option::of(second())).prop_map(
        |(kind, state, (number, percent, automated, instance, instance_name), created_at, ended_at)| JobRow {
            number,
            kind,
            state,
            percent,
            automated: automated && kind == JobKind::Backup,
            instance,
            instance_name,
            project: "7".to_owned(),
            created_at,
            started_at: (state != JobState::Waiting).then_some(created_at),
            ended_at,
            ..JobRow::default()
        },
    )
}

/// A backup as Tencent can show it.
fn backup() -> impl Strategy<Value = BackupRow> {
    let state =
        prop_oneof![Just(BackupState::Running), Just(BackupState::Available), Just(BackupState::Failed)];
    let texts = ("b[0-9a-f-]{36}", word(), word(), option::of(word()));
    (shared::backup(), state, texts, option::of(second())).prop_map(
        |(row, state, (id, instance, instance_name, remark), expires_at)| BackupRow {
            id,
            number: 0,
            job: 0,
            instance,
            instance_name,
            region: "ap-guangzhou".to_owned(),
            node: String::new(),
            state,
            logical: false,
            incremental: false,
            remark: remark.unwrap_or_default(),
            expires_at,
            parts: Vec::new(),
            ..row
        },
    )
}

proptest! {
    #[test]
    fn it_reads_what_it_asks(call in tencent_call(), token in token()) {
        prop_assert_eq!(ask(&TencentV3, &call, token), call);
    }

    #[test]
    fn backups_come_back(rows in vec(backup(), 0..4), total in 0_u64..1 << 31) {
        let reply = Reply::Backups { total, full_bytes: 0, rows };
        prop_assert_eq!(answer(&TencentV3, &list_backups(), &Ok(reply.clone())), Ok(reply));
    }

    #[test]
    fn instances_come_back(rows in vec(instance(), 0..4), total in 0_u64..1 << 31) {
        let reply = Reply::Instances { total, rows };
        prop_assert_eq!(answer(&TencentV3, &list_instances(), &Ok(reply.clone())), Ok(reply));
    }

    #[test]
    fn jobs_come_back(rows in vec(job(), 0..4), total in 0_u64..1 << 31, failure in word()) {
        let one = rows.first().cloned().map(|row| {
            let (instance_name, project) = (String::new(), String::new());
            JobRow { failure, percent: 0, instance_name, project, ended_at: None, ..row }
        });
        let reply = Reply::Jobs { total, rows };
        let list = Call::ListJobs(ListJobs::default());
        prop_assert_eq!(answer(&TencentV3, &list, &Ok(reply.clone())), Ok(reply));
        if let Some(one) = one {
            let alone = Call::ListJobs(ListJobs { job: Some(one.number), ..ListJobs::default() });
            let reply = Reply::Jobs { total: 1, rows: vec![one] };
            prop_assert_eq!(answer(&TencentV3, &alone, &Ok(reply.clone())), Ok(reply));
        }
    }

    #[test]
    fn a_backup_alone_comes_back(row in backup(), counts in (1_u32..100, 0_u32..5, 0_u64..1 << 30)) {
        let (shards, replicas, megabytes) = counts;
        let row = BackupRow {
            instance_name: String::new(),
            region: String::new(),
            version: String::new(),
            topology: Topology::Cluster,
            shards,
            replicas,
            memory_bytes: (megabytes << 20) * u64::from(shards),
            expires_at: None,
            ..row
        };
        let (instance, backup) = (Some(row.instance.clone()), Some(row.id.clone()));
        let detail = Call::ListBackups(ListBackups { instance, backup, ..ListBackups::default() });
        let reply = Reply::Backups { total: 1, full_bytes: 0, rows: vec![row] };
        prop_assert_eq!(answer(&TencentV3, &detail, &Ok(reply.clone())), Ok(reply));
    }

    #[test]
    fn links_and_started_jobs_come_back(links in vec(link(), 0..4), job in 1_u64..1 << 31) {
        let reply = Reply::Links(links);
        prop_assert_eq!(answer(&TencentV3, &link_backup(), &Ok(reply.clone())), Ok(reply));
        let reply = Reply::Started { job, backup: String::new() };
        prop_assert_eq!(answer(&TencentV3, &create_backup(), &Ok(reply.clone())), Ok(reply));
    }
}

#[test]
fn a_refusal_comes_back_with_the_vendors_code() {
    let refused = answer(&TencentV3, &list_backups(), &Err(Fault::UnknownKey)).unwrap_err();
    let ReadError::Refused { status, code, request_id, .. } = refused else { panic!() };
    assert_eq!((status, code.as_str()), (200, "AuthFailure.SecretIdNotFound"));
    assert_eq!(request_id.as_deref(), Some(REQUEST_ID));
}

#[test]
fn what_the_vendor_cannot_ask_is_refused() {
    let asked = |call: &Call| TencentV3.ask(call, &endpoint(), &credentials(None), at(NOW), "n");
    let Call::ListBackups(list) = list_backups() else { panic!() };
    let by_job = Call::ListBackups(ListBackups { job: Some(1), ..list });
    assert!(matches!(asked(&by_job), Err(Fault::BadParameter { .. })));
    let nowhere = Endpoint { authority: "not a host".to_owned(), ..endpoint() };
    let asked = TencentV3.ask(&create_backup(), &nowhere, &credentials(None), at(NOW), "n");
    assert!(matches!(asked, Err(Fault::BadParameter { .. })));
}

#[test]
fn real_answers_of_other_servers_are_read() {
    let response = |body: &str| Response::new(body.to_owned().into());
    let lists_only = response(
        r#"{"Response":{"DownloadUrl":["https://d/1"],"InnerDownloadUrl":["https://i/1"],"Filenames":null,
            "BackupInfos":null,"RequestId":"r"}}"#,
    );
    let Ok(Reply::Links(links)) = TencentV3.read(&link_backup(), &lists_only) else { panic!() };
    assert_eq!(links[0].public_url.as_deref(), Some("https://d/1"));
    let floats = response(
        r#"{"Response":{"TotalCount":1,"InstanceSet":[{"InstanceId":"crs-1","Size":1024.0,"SizeUsed":1.5,
            "Createtime":"2020-01-01 00:00:00","InstanceTags":null,"Unheard":{}}]}}"#,
    );
    let Ok(Reply::Instances { rows, .. }) = TencentV3.read(&list_instances(), &floats) else { panic!() };
    assert_eq!(rows[0].memory_bytes, 1 << 30);
}
