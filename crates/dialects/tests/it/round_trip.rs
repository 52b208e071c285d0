//! What the client's half writes the server's half reads, and the other way round, as far as each
//! vendor's format goes.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use keystow_dialects::{
    AddressLimit, BackupRow, BackupState, Call, CreateBackup, Credentials, Dialect, Endpoint, Exchange,
    Fault, InstanceRow, LinkBackup, LinkRow, ListBackups, ListInstances, Networks, Page, Place, ReadError,
    Reply, Response, Secret, Topology, Unit, alibaba::Alibaba, recognise, tencent_v3::TencentV3,
};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

const REQUEST_ID: &str = "0b9d8ba8-3a4f-4f1c-9d2a-3c1f6b0d7e11";
const NOW: u64 = 1_767_225_600;

fn at(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(seconds)
}

fn credentials(token: Option<String>) -> Credentials {
    Credentials {
        access_key_id: "AKIDFAKEKEYSTOW".to_owned(),
        secret: Secret::new("FakeKeystowSecretKey000000000001"),
        session_token: token,
    }
}

fn endpoint() -> Endpoint {
    Endpoint { scheme: "http".to_owned(), authority: "127.0.0.1:7360".to_owned(), region: String::new() }
}

/// Signs a call, has the server take it, and returns what the server understood.
fn ask(dialect: &dyn Dialect, call: &Call, token: Option<String>) -> Call {
    let credentials = credentials(token);
    let request = dialect.ask(call, &endpoint(), &credentials, at(NOW), "nonce-0001").unwrap();
    assert_eq!(recognise(&request).map(Dialect::name), Some(dialect.name()));
    let claim = dialect.claim(&request).unwrap();
    assert_eq!(claim.access_key_id, credentials.access_key_id);
    assert_eq!(claim.session_token, credentials.session_token);
    let verified = dialect.verify(&request, &credentials.secret, at(NOW)).unwrap();
    assert!(verified.nonce.is_none_or(|nonce| nonce == "nonce-0001"));
    dialect.decode(&request).unwrap()
}

/// Writes a reply to a call, and returns what the client understood.
fn answer(dialect: &dyn Dialect, call: &Call, outcome: &Result<Reply, Fault>) -> Result<Reply, ReadError> {
    let request = dialect.ask(call, &endpoint(), &credentials(None), at(NOW), "nonce-0001").unwrap();
    let exchange = Exchange { request_id: REQUEST_ID, now: at(NOW) };
    dialect.read(call, &dialect.encode(&request, &exchange, outcome))
}

fn word() -> impl Strategy<Value = String> {
    "[a-zA-Z0-9 +&=%/*~'()!é缓😀._-]{1,20}"
}

fn region() -> impl Strategy<Value = Option<String>> {
    option::of("[a-z0-9-]{1,12}")
}

fn token() -> impl Strategy<Value = Option<String>> {
    option::of("[a-zA-Z0-9/+=~*]{1,40}")
}

fn minute() -> impl Strategy<Value = SystemTime> {
    (0_u64..60_000_000).prop_map(|minutes| at(minutes * 60))
}

fn second() -> impl Strategy<Value = SystemTime> {
    (0_u64..4_000_000_000).prop_map(at)
}

fn create() -> impl Strategy<Value = CreateBackup> {
    (region(), word(), option::of(7_u32..=730)).prop_map(|(region, instance, keep_days)| CreateBackup {
        place: Place::in_region(region),
        instance,
        keep_days,
        ..CreateBackup::default()
    })
}

fn instances(pages: impl Strategy<Value = Page>) -> impl Strategy<Value = ListInstances> {
    (region(), vec("[a-z0-9-]{1,12}", 0..5), option::of(word()), pages).prop_map(
        |(region, ids, search, page)| ListInstances {
            place: Place::in_region(region),
            ids,
            search,
            page,
            name: None,
        },
    )
}

fn numbered_page(sizes: impl Strategy<Value = u64>) -> impl Strategy<Value = Page> {
    (sizes, 0_u64..1000).prop_map(|(limit, number)| Page { offset: number * limit, limit })
}

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
    prop_oneof![
        backups,
        create().prop_map(Call::CreateBackup),
        instances(numbered_page(1_u64..=50)).prop_map(Call::ListInstances),
    ]
}

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
    prop_oneof![links, backups, create, instances(page(1000)).prop_map(Call::ListInstances)]
}

fn topology() -> impl Strategy<Value = Topology> {
    prop_oneof![Just(Topology::Standalone), Just(Topology::Cluster)]
}

fn version() -> impl Strategy<Value = String> {
    prop::sample::select(vec!["4.0", "5.0", "6.2", "7.0", "7.2"]).prop_map(str::to_owned)
}

fn link() -> impl Strategy<Value = LinkRow> {
    (word(), 0..u64::MAX >> 1, "https://[a-z]{1,9}/[a-z?&=]{0,20}", option::of("http://[a-z]{1,9}/"))
        .prop_map(|(file_name, size_bytes, intranet, public_url)| LinkRow {
            file_name,
            size_bytes,
            public_url,
            intranet_url: Some(intranet),
            ..LinkRow::default()
        })
}

/// A backup as Alibaba can show it.
fn alibaba_backup() -> impl Strategy<Value = BackupRow> {
    let flags = (any::<bool>(), any::<bool>(), any::<bool>(), any::<bool>());
    let facts = (1_u64..=0x7fff_ffff, 1_u64..=0x7fff_ffff, topology(), version(), 0..u64::MAX >> 1);
    let times = (second(), option::of(second()), option::of(minute()));
    (flags, facts, times, link()).prop_map(|(flags, facts, (started_at, ended_at, expires_at), link)| {
        let (available, automated, logical, incremental) = flags;
        let (number, job, topology, version, size_bytes) = facts;
        let node = if topology == Topology::Cluster { "r-1-db-0" } else { "r-1" };
        let link = LinkRow { file_name: String::new(), size_bytes, ..link };
        BackupRow {
            id: number.to_string(),
            number,
            job,
            instance: "r-1".to_owned(),
            instance_name: String::new(),
            region: String::new(),
            node: node.to_owned(),
            state: if available { BackupState::Available } else { BackupState::Failed },
            automated,
            logical,
            incremental,
            remark: String::new(),
            version,
            topology,
            size_bytes,
            started_at,
            ended_at,
            expires_at,
            parts: if available { vec![link] } else { Vec::new() },
            ..BackupRow::default()
        }
    })
}

/// A backup as Tencent can show it.
fn tencent_backup() -> impl Strategy<Value = BackupRow> {
    let state =
        prop_oneof![Just(BackupState::Running), Just(BackupState::Available), Just(BackupState::Failed)];
    let texts = ("b[0-9a-f-]{36}", word(), word(), option::of(word()));
    (alibaba_backup(), state, texts, option::of(second())).prop_map(
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
            ..BackupRow::default()..row
        },
    )
}

/// An instance as both can show it, but for what each leaves out.
fn instance() -> impl Strategy<Value = InstanceRow> {
    let texts = (word(), word(), "[a-z0-9-]{0,12}", version());
    let numbers = (1_u32..100, 0_u32..5, any::<u16>(), 0_u64..1 << 40, 0_u64..1 << 40);
    (texts, numbers, topology(), any::<(bool, bool, bool)>(), second()).prop_map(
        |((id, name, region, version), numbers, topology, (valkey, password, busy), created_at)| {
            let (shards, replicas, port, megabytes, used) = numbers;
            InstanceRow {
                id,
                name,
                place: Place::in_region(region),
                zone: "100001".to_owned(),
                project: "7".to_owned(),
                version,
                valkey,
                topology,
                shards,
                replicas,
                host: "10.0.0.1".to_owned(),
                port,
                memory_bytes: megabytes << 20,
                used_bytes: used << 20,
                password,
                busy,
                created_at,
            }
        },
    )
}

fn list_backups() -> Call {
    Call::ListBackups(ListBackups {
        region: None,
        instance: Some("r-1".to_owned()),
        backup: None,
        job: None,
        since: Some(at(NOW)),
        until: Some(at(NOW + 60)),
        states: vec![BackupState::Available],
        incremental: false,
        unit: Unit::Set,
        links: false,
        page: Page { offset: 30, limit: 30 },
    })
}

fn list_instances() -> Call {
    let page = Page { offset: 0, limit: 20 };
    Call::ListInstances(ListInstances { region: None, ids: Vec::new(), search: None, page })
}

fn create_backup() -> Call {
    let instance = "r-1".to_owned();
    Call::CreateBackup(CreateBackup { region: None, instance, remark: None, keep_days: None })
}

fn link_backup() -> Call {
    let (instance, backup) = ("r-1".to_owned(), "b-1".to_owned());
    let (networks, limit) = (Networks::Both, AddressLimit::Default);
    Call::LinkBackup(LinkBackup { region: None, instance, backup, networks, limit })
}

proptest! {
    #[test]
    fn alibaba_reads_what_it_asks(call in alibaba_call(), token in token()) {
        prop_assert_eq!(ask(&Alibaba, &call, token), call);
    }

    #[test]
    fn tencent_reads_what_it_asks(call in tencent_call(), token in token()) {
        prop_assert_eq!(ask(&TencentV3, &call, token), call);
    }

    #[test]
    fn alibabas_backups_come_back(rows in vec(alibaba_backup(), 0..4), total in 0_u64..1 << 31, full_bytes in 0_u64..1 << 50) {
        let reply = Reply::Backups { total, full_bytes, rows };
        prop_assert_eq!(answer(&Alibaba, &list_backups(), &Ok(reply.clone())), Ok(reply));
    }

    #[test]
    fn tencents_backups_come_back(rows in vec(tencent_backup(), 0..4), total in 0_u64..1 << 31) {
        let reply = Reply::Backups { total, full_bytes: 0, rows };
        prop_assert_eq!(answer(&TencentV3, &list_backups(), &Ok(reply.clone())), Ok(reply));
    }

    #[test]
    fn instances_come_back(rows in vec(instance(), 0..4), total in 0_u64..1 << 31) {
        let reply = Reply::Instances { total, rows: rows.clone() };
        prop_assert_eq!(answer(&TencentV3, &list_instances(), &Ok(reply.clone())), Ok(reply.clone()));
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
    fn links_and_jobs_come_back(links in vec(link(), 0..4), job in 1_u64..1 << 31) {
        let reply = Reply::Links(links);
        prop_assert_eq!(answer(&TencentV3, &link_backup(), &Ok(reply.clone())), Ok(reply));
        for dialect in [&Alibaba as &dyn Dialect, &TencentV3] {
            let reply = Reply::Started { job };
            prop_assert_eq!(answer(dialect, &create_backup(), &Ok(reply.clone())), Ok(reply));
        }
    }

    #[test]
    fn any_answer_is_read_without_panic(body in r#"(\{|\}|\[|\]|"Response":|"Error":|"Code":|"BackupSet":|"Backups":|:|,|1|1.5|-1|null|"x"){0,30}"#, status in 200_u16..600) {
        let mut response = Response::new(body.into());
        *response.status_mut() = http::StatusCode::from_u16(status).unwrap();
        for call in [list_backups(), list_instances(), create_backup(), link_backup()] {
            for dialect in [&Alibaba as &dyn Dialect, &TencentV3] {
                let _ = dialect.read(&call, &response);
            }
        }
    }
}

#[test]
fn a_refusal_comes_back_with_the_vendors_code() {
    let refused =
        |dialect: &dyn Dialect| answer(dialect, &list_backups(), &Err(Fault::UnknownKey)).unwrap_err();
    let ReadError::Refused { status, code, request_id, .. } = refused(&Alibaba) else { panic!() };
    assert_eq!((status, code.as_str()), (404, "InvalidAccessKeyId.NotFound"));
    assert_eq!(request_id.unwrap(), REQUEST_ID.to_uppercase());
    let ReadError::Refused { status, code, request_id, .. } = refused(&TencentV3) else { panic!() };
    assert_eq!((status, code.as_str()), (200, "AuthFailure.SecretIdNotFound"));
    assert_eq!(request_id.as_deref(), Some(REQUEST_ID));
}

#[test]
fn what_a_vendor_cannot_ask_is_refused() {
    let asked =
        |dialect: &dyn Dialect, call: &Call| dialect.ask(call, &endpoint(), &credentials(None), at(NOW), "n");
    assert!(matches!(asked(&Alibaba, &link_backup()), Err(Fault::NotSupported(_))));
    let Call::ListBackups(list) = list_backups() else { panic!() };
    let open = Call::ListBackups(ListBackups { since: None, ..list.clone() });
    assert!(matches!(asked(&Alibaba, &open), Err(Fault::MissingParameter(_))));
    let odd = Call::ListBackups(ListBackups { page: Page { offset: 7, limit: 30 }, ..list.clone() });
    assert!(matches!(asked(&Alibaba, &odd), Err(Fault::BadParameter { .. })));
    let by_job = Call::ListBackups(ListBackups { job: Some(1), ..list });
    assert!(matches!(asked(&TencentV3, &by_job), Err(Fault::BadParameter { .. })));
    let nowhere = Endpoint { authority: "not a host".to_owned(), ..endpoint() };
    for dialect in [&Alibaba as &dyn Dialect, &TencentV3] {
        let asked = dialect.ask(&create_backup(), &nowhere, &credentials(None), at(NOW), "n");
        assert!(matches!(asked, Err(Fault::BadParameter { .. })));
    }
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
    let jobs = response(r#"{"BackupJobID":"10000,10001","RequestId":"r"}"#);
    assert_eq!(Alibaba.read(&create_backup(), &jobs), Ok(Reply::Started { job: 10000 }));
    let html = response("<html>");
    assert!(matches!(Alibaba.read(&create_backup(), &html), Err(ReadError::Malformed(_))));
}
