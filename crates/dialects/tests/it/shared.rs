//! What the tests of every vendor use: faults of all kinds, calls and rows of all kinds, and both ways
//! through a dialect.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use keystow_dialects::{
    AccountRow, AddressLimit, BackupRow, BackupState, Call, CreateBackup, Credentials, Dialect, Endpoint,
    Exchange, Fault, InstanceRow, IssuedToken, JobRow, LinkBackup, LinkRow, ListBackups, ListInstances,
    Networks, Page, Place, Policy, ProjectRow, ReadError, RegionRow, Reply, Request, Response, Restriction,
    Secret, ShardRow, Topology, recognise,
};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use serde_json::Value;

use crate::capture;

pub(crate) const REQUEST_ID: &str = "0b9d8ba8-3a4f-4f1c-9d2a-3c1f6b0d7e11";

pub(crate) fn at(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(seconds)
}

pub(crate) const NOW: u64 = 1_767_225_600;

pub(crate) fn text(text: &str) -> String {
    text.to_owned()
}

pub(crate) fn decode(name: &str) -> Result<Call, Fault> {
    let request = capture::one(name).request();
    recognise(&request).unwrap().decode(&request)
}

pub(crate) fn get(query: &str) -> Request {
    http::Request::get(format!("/?{query}")).body(bytes::Bytes::new()).unwrap()
}

pub(crate) fn bad_parameter(outcome: Result<Call, Fault>) -> String {
    match outcome {
        Err(Fault::BadParameter { name, .. }) => name,
        other => panic!("{other:?}"),
    }
}

/// One fault of each kind.
pub(crate) fn every_fault() -> Vec<Fault> {
    let text = || "r-1 <&>:\"\u{0} 中".to_owned();
    vec![
        Fault::Unsigned("AccessKeyId"),
        Fault::MalformedSignature(text()),
        Fault::UnknownKey,
        Fault::BadToken,
        Fault::TokenOver,
        Fault::BadSignature { string_to_sign: "GET&%2F&Action%3Dx".to_owned() },
        Fault::Stale,
        Fault::MalformedTime,
        Fault::Replayed,
        Fault::WrongPassword,
        Fault::ActionDenied,
        Fault::InstanceDenied,
        Fault::AddressDenied,
        Fault::NotAllowListed,
        Fault::ClusterOnly,
        Fault::DownloadClosed,
        Fault::Throttled,
        Fault::UnknownAction(text()),
        Fault::NotSupported(text()),
        Fault::UnknownVersion(text()),
        Fault::UnsupportedRegion(text()),
        Fault::MissingParameter(text()),
        Fault::UnknownParameter(text()),
        Fault::BadParameter { name: text(), why: text() },
        Fault::MalformedRequest(text()),
        Fault::TooLarge,
        Fault::NoSuchInstance(text()),
        Fault::NoSuchBackup(text()),
        Fault::NoSuchJob(text()),
        Fault::NoSuchProject(text()),
        Fault::BackupNotReady(text()),
        Fault::BackupBusy(text()),
        Fault::InstanceBusy(text()),
        Fault::InstanceAbnormal(text()),
        Fault::BackupProtected(text()),
        Fault::Unavailable(text()),
        Fault::Internal,
    ]
}

/// One reply of each kind, with something in it.
pub(crate) fn every_reply() -> Vec<Reply> {
    let token = IssuedToken {
        token: Secret::new("t"),
        issued_at: at(NOW),
        expires_at: at(NOW),
        access_key_id: String::new(),
        role: String::new(),
        account: AccountRow::default(),
        project: None,
    };
    vec![
        Reply::Instances { total: 1, rows: vec![InstanceRow::default()] },
        Reply::Shards(vec![ShardRow::default()]),
        Reply::Regions(vec![RegionRow::default()]),
        Reply::Projects(vec![ProjectRow::default()]),
        Reply::Account(AccountRow::default()),
        Reply::Backups { total: 1, full_bytes: 0, rows: vec![BackupRow::default()] },
        Reply::Started { job: 1, backup: String::new() },
        Reply::Done { job: None },
        Reply::Links(vec![LinkRow::default()]),
        Reply::Jobs { total: 1, rows: vec![JobRow::default()] },
        Reply::Policy(Policy::default()),
        Reply::Restriction(Restriction { networks: Networks::Both, limit: AddressLimit::None }),
        Reply::Token(token),
    ]
}

pub(crate) fn exchange() -> Exchange<'static> {
    Exchange { request_id: REQUEST_ID, now: UNIX_EPOCH }
}

pub(crate) fn content_type(response: &Response) -> &str {
    response.headers()["content-type"].to_str().unwrap()
}

pub(crate) fn json(response: &Response) -> Value {
    serde_json::from_slice(response.body()).unwrap()
}

pub(crate) fn encode(dialect: &dyn Dialect, request: &Request, fault: Fault) -> Response {
    dialect.encode(request, &exchange(), &Err(fault))
}

pub(crate) fn credentials(token: Option<String>) -> Credentials {
    Credentials {
        access_key_id: "AKIDFAKEKEYSTOW".to_owned(),
        secret: Secret::new("FakeKeystowSecretKey000000000001"),
        session_token: token,
    }
}

pub(crate) fn endpoint() -> Endpoint {
    Endpoint { scheme: "http".to_owned(), authority: "127.0.0.1:7360".to_owned(), region: String::new() }
}

/// Signs a call, has the server take it, and returns what the server understood.
pub(crate) fn ask(dialect: &dyn Dialect, call: &Call, token: Option<String>) -> Call {
    let credentials = credentials(token);
    let request = dialect.ask(call, &endpoint(), &credentials, at(NOW), "nonce-0001").unwrap();
    assert_eq!(recognise(&request).map(Dialect::name), Some(dialect.name()));
    let claim = dialect.claim(&request).unwrap();
    assert_eq!(claim.access_key_id, credentials.access_key_id);
    assert_eq!(claim.session_token, credentials.session_token);
    let verified = dialect.verify(&request, &credentials.secret, at(NOW)).unwrap();
    assert!(verified.nonce.is_none_or(|nonce| !nonce.is_empty()));
    dialect.decode(&request).unwrap()
}

/// Writes a reply to a call, and returns what the client understood.
pub(crate) fn answer(
    dialect: &dyn Dialect,
    call: &Call,
    outcome: &Result<Reply, Fault>,
) -> Result<Reply, ReadError> {
    let request = dialect.ask(call, &endpoint(), &credentials(None), at(NOW), "nonce-0001").unwrap();
    let exchange = Exchange { request_id: REQUEST_ID, now: at(NOW) };
    dialect.read(call, &dialect.encode(&request, &exchange, outcome))
}

pub(crate) fn word() -> impl Strategy<Value = String> {
    "[a-zA-Z0-9 +&=%/*~'()!é缓😀._-]{1,20}"
}

pub(crate) fn region() -> impl Strategy<Value = Option<String>> {
    option::of("[a-z0-9-]{1,12}")
}

pub(crate) fn token() -> impl Strategy<Value = Option<String>> {
    option::of("[a-zA-Z0-9/+=~*]{1,40}")
}

pub(crate) fn minute() -> impl Strategy<Value = SystemTime> {
    (0_u64..60_000_000).prop_map(|minutes| at(minutes * 60))
}

pub(crate) fn second() -> impl Strategy<Value = SystemTime> {
    (0_u64..4_000_000_000).prop_map(at)
}

pub(crate) fn create() -> impl Strategy<Value = CreateBackup> {
    (region(), word(), option::of(7_u32..=730)).prop_map(|(region, instance, keep_days)| CreateBackup {
        place: Place::in_region(region),
        instance,
        keep_days,
        ..CreateBackup::default()
    })
}

pub(crate) fn instances(pages: impl Strategy<Value = Page>) -> impl Strategy<Value = ListInstances> {
    (region(), vec("[a-z0-9-]{1,12}", 0..5), option::of(word()), pages).prop_map(
        |(region, ids, search, page)| ListInstances {
            place: Place::in_region(region),
            ids,
            search,
            page,
            ..ListInstances::default()
        },
    )
}

pub(crate) fn numbered_page(sizes: impl Strategy<Value = u64>) -> impl Strategy<Value = Page> {
    (sizes, 0_u64..1000).prop_map(|(limit, number)| Page { offset: number * limit, limit })
}

pub(crate) fn topology() -> impl Strategy<Value = Topology> {
    prop_oneof![Just(Topology::Standalone), Just(Topology::Cluster)]
}

pub(crate) fn version() -> impl Strategy<Value = String> {
    prop::sample::select(vec!["4.0", "5.0", "6.2", "7.0", "7.2"]).prop_map(str::to_owned)
}

pub(crate) fn link() -> impl Strategy<Value = LinkRow> {
    (word(), 0..u64::MAX >> 1, "https://[a-z]{1,9}/[a-z?&=]{0,20}", option::of("http://[a-z]{1,9}/"))
        .prop_map(|(file_name, size_bytes, intranet, public_url)| LinkRow {
            file_name,
            size_bytes,
            public_url,
            intranet_url: Some(intranet),
            ..LinkRow::default()
        })
}

/// A backup as a vendor that lists parts can show it.
pub(crate) fn backup() -> impl Strategy<Value = BackupRow> {
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

/// An instance as both can show it, but for what each leaves out.
pub(crate) fn instance() -> impl Strategy<Value = InstanceRow> {
    let texts = (word(), word(), "[a-z0-9-]{0,12}", version());
    let numbers = (1_u32..100, 0_u32..5, any::<u16>(), 0_u64..1 << 40, 0_u64..1 << 40);
    (texts, numbers, topology(), any::<(bool, bool, bool)>(), second()).prop_map(
        |((id, name, region, version), numbers, topology, (valkey, password, busy), created_at)| {
            let (shards, replicas, port, megabytes, used) = numbers;
            InstanceRow {
                id,
                name,
                region,
                zone: "100001".to_owned(),
                replica_zone: String::new(),
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
                ..InstanceRow::default()
            }
        },
    )
}

pub(crate) fn list_backups() -> Call {
    Call::ListBackups(ListBackups {
        instance: Some("r-1".to_owned()),
        since: Some(at(NOW)),
        until: Some(at(NOW + 60)),
        states: vec![BackupState::Available],
        page: Page { offset: 30, limit: 30 },
        ..ListBackups::default()
    })
}

pub(crate) fn list_instances() -> Call {
    let page = Page { offset: 0, limit: 20 };
    Call::ListInstances(ListInstances { page, ..ListInstances::default() })
}

pub(crate) fn create_backup() -> Call {
    Call::CreateBackup(CreateBackup { instance: "r-1".to_owned(), ..CreateBackup::default() })
}

pub(crate) fn link_backup() -> Call {
    Call::LinkBackup(LinkBackup::new(Place::default(), Some("r-1".to_owned()), "b-1".to_owned()))
}
