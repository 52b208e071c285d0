//! What recorded and hand-made requests ask for.

use http::Method;
use keystow_dialects::{
    AddressLimit, BackupState, Call, CreateBackup, DeleteBackups, Dialect, Fault, IssueToken, JobKind,
    JobState, LinkBackup, ListBackups, ListInstances, ListJobs, ListProjects, Networks, Page, Place,
    PolicyChange, Restore, RestoreFrom, Restriction, Secret, SetPolicy, SetRestriction, ShowPolicy,
    ShowRestriction, StopBackup, huawei::Huawei, recognise,
};
use std::time::Duration;

use super::{BACKUP, INSTANCE, MOMENT, PROJECT, decode, get, recorded, refused, request};
use crate::shared::{at, text};

const DAY: u64 = 86_400;

pub(super) fn place() -> Place {
    Place { project: Some(text(PROJECT)), ..Place::default() }
}

pub(super) fn page(offset: u64, limit: u64) -> Page {
    Page { offset, limit }
}

pub(super) fn put(target: &str, body: &str) -> keystow_dialects::Request {
    request(&Method::PUT, target, body)
}

pub(super) fn post(target: &str, body: &str) -> keystow_dialects::Request {
    request(&Method::POST, target, body)
}

fn link() -> Call {
    Call::LinkBackup(LinkBackup::new(place(), Some(text(INSTANCE)), text(BACKUP)))
}

/// What the recorded lists ask for, by the number of their file.
fn recorded_lists() -> Vec<(&'static str, Call)> {
    let backups = ListBackups { place: place(), instance: Some(text(INSTANCE)), ..ListBackups::default() };
    let midnight = MOMENT - 8 * 3600;
    let older = Call::ListBackups(ListBackups {
        backup: Some(text(BACKUP)),
        automated: Some(false),
        since: Some(at(midnight - 20 * DAY)),
        until: Some(at(MOMENT)),
        page: page(0, 10),
        ..backups.clone()
    });
    let yesterday = ListBackups { since: Some(at(midnight - DAY)), until: Some(at(midnight)), ..backups };
    let newer = Call::ListBackups(ListBackups { page: page(2, 2), ..yesterday.clone() });
    let points = Call::ListBackups(ListBackups {
        states: vec![BackupState::Available],
        page: page(0, 1000),
        ..yesterday
    });
    let instances = Call::ListInstances(ListInstances {
        place: place(),
        search: Some(text("my inst~é/α(1)!'&=%")),
        page: page(0, 100),
        ..ListInstances::default()
    });
    vec![("01", older), ("02", newer), ("04", instances), ("05", points)]
}

/// What the other recorded requests ask for, by the number of their file.
fn recorded_others() -> Vec<(&'static str, Call)> {
    let create = Call::CreateBackup(CreateBackup {
        place: place(),
        instance: text(INSTANCE),
        name: Some(text("nightly-01")),
        remark: Some(text("před upgradem / 备份 ✓")),
        keep_days: None,
    });
    let change = PolicyChange {
        enabled: Some(true),
        weekdays: Some([true; 7]),
        start_minute: Some(60),
        keep_days: Some(7),
    };
    let policy = Call::SetPolicy(SetPolicy { place: place(), instance: text(INSTANCE), change });
    let delete = |ids: &[&str]| {
        let backups = ids.iter().map(|id| text(id)).collect();
        Call::DeleteBackups(DeleteBackups { place: place(), instance: None, backups })
    };
    let instance = text("5560df16-cebf-4473-95c4-d1b573c16e79");
    let cache = LinkBackup::new(place(), Some(instance), text("4631832a-14c6-45b0-a0b3-3abd8f591ad1"));
    let cache = Call::LinkBackup(LinkBackup { ttl: Some(Duration::from_mins(30)), ..cache });
    let token = IssueToken {
        account: Some(text("keystow-domain")),
        project: Some(text("cn-north-4")),
        ..IssueToken::default()
    };
    vec![
        ("03", create),
        ("06", link()),
        ("07", link()),
        ("08", policy),
        ("09", delete(&[BACKUP])),
        ("10", delete(&[BACKUP, "bbbbbbbbccccddddeeeeffff00001111br12"])),
        ("11", cache),
        ("12", Call::ListProjects(ListProjects { one_for: Some(text("cn-north-4")) })),
        ("12", link()),
        ("13", Call::IssueToken(token)),
    ]
}

#[test]
fn every_recorded_request_is_understood() {
    let mut expected = [recorded_lists(), recorded_others()].concat();
    expected.sort_by_key(|(number, _)| *number);
    let names = [
        "ListBackups",
        "ListBackups",
        "CreateBack",
        "ListInstances",
        "ListRestoreTime",
        "ShowBackupDownloadLink",
        "ShowBackupDownloadLink",
        "SetBackupPolicy",
        "DeleteBackup",
        "BatchDeleteBackup",
        "ListBackupFileLinks",
        "KeystoneListProjects",
        "ShowBackupDownloadLink",
        "KeystoneCreateUserTokenByPassword",
    ];
    let captures = recorded();
    assert_eq!((captures.len(), expected.len()), (names.len(), names.len()));
    for ((capture, (number, call)), name) in captures.iter().zip(expected).zip(names) {
        assert!(capture.name.starts_with(&format!("huawei/{number}-")), "{}", capture.name);
        assert_eq!(decode(&capture.request()), Ok(call), "{}", capture.name);
        assert_eq!(Huawei.action(&capture.request()).as_deref(), Some(name));
    }
}

#[test]
fn requests_are_recognised_by_path_or_header() {
    let name = |path: &str| recognise(&get(path)).map(Dialect::name);
    for path in
        ["/v3", "/v3/", "/v3/x", "/v3.1/x", "/v4/x", "/v2/x", "/v3.0/x", "/v3/projects", "/v3/auth/tokens"]
    {
        assert_eq!(name(path), Some("huawei"), "{path}");
    }
    assert_eq!(name("/v2/index.php"), Some("tencent_v2"));
    for path in ["/", "/v2", "/v5/x", "/api/v1/x", "/v33", "/x/v3/"] {
        assert_eq!(name(path), None, "{path}");
    }
    let marked = |header: &str, value: &str, path: &str| {
        let mut request = get(path);
        request.headers_mut().insert(header.parse::<http::HeaderName>().unwrap(), value.parse().unwrap());
        recognise(&request).map(Dialect::name)
    };
    for (header, value) in [
        ("authorization", "SDK-HMAC-SHA256 x"),
        ("authorization", "V11-HMAC-SHA256 x"),
        ("x-auth-token", "x"),
        ("x-sdk-date", "x"),
    ] {
        assert_eq!(marked(header, value, "/"), Some("huawei"));
        assert_eq!(marked(header, value, "/v2/index.php"), Some("tencent_v2"), "another vendor's path");
        assert_eq!(marked(header, value, "/api/v1/x"), None, "the server's own API");
    }
    assert_eq!(marked("authorization", "Basic eDp5", "/"), None);
}

#[test]
fn the_region_is_that_of_a_vendors_host_name() {
    let region = |host: &str| {
        let mut request = get("/v3/{p}/instances");
        request.headers_mut().insert("host", host.parse().unwrap());
        match decode(&request) {
            Ok(Call::ListInstances(list)) => list.place.region,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(region("dds.cn-north-4.myhuaweicloud.com").as_deref(), Some("cn-north-4"));
    assert_eq!(region("127.0.0.1:7360"), None);
}

#[test]
fn the_project_of_the_path_counts() {
    let with = |project: &str, target: &str| {
        let mut request = get(target);
        request.headers_mut().insert("x-project-id", project.parse().unwrap());
        decode(&request)
    };
    assert!(with(PROJECT, "/v3/{p}/backups").is_ok());
    assert!(with("other", "/v3/projects").is_ok());
    assert_eq!(with("other", "/v3/{p}/backups"), Err(Fault::NoSuchProject(text(PROJECT))));
    let Ok(Call::ListInstances(list)) = decode(&get("/v3/my%20project/instances")) else { panic!() };
    assert_eq!(list.place.project.as_deref(), Some("my project"), "any id will do");
    assert_eq!(refused(&get("/v3/%7Bproject_id%7D/backups")), "DBS.280408");
    assert_eq!(refused(&get("/v2/%7Bproject_id%7D/instances")), "DCS.1004");
}

#[test]
fn backups_are_listed_by_many_filters() {
    let list = |query: &str| decode(&get(&format!("/v3/{{p}}/backups?{query}")));
    let all = ListBackups { place: place(), page: page(0, 100), ..ListBackups::default() };
    assert_eq!(list(""), Ok(Call::ListBackups(all.clone())));
    assert_eq!(list("backup_id&instance_id="), Ok(Call::ListBackups(all.clone())), "empty is absent");
    let asked = ListBackups {
        automated: Some(true),
        instance_search: Some(text("na")),
        search: Some(text("x")),
        states: vec![BackupState::Failed],
        oldest_first: true,
        page: page(3, 1),
        ..all.clone()
    };
    let query = "backup_type=auto&instance_name=na&backup_name=x&backup_status=FAILED&order_field=beginTime\
                 &order_rule=asc&offset=3&limit=1&datastore_type=DDS-Community&type=Instance";
    assert_eq!(list(query), Ok(Call::ListBackups(asked.clone())));
    assert_eq!(list(&query.replace("backup_name", "backup_description")), Ok(Call::ListBackups(asked)));
    for times in [
        "begin_time=2026-11-21%2008:00:00&end_time=2026-11-21T16:00:00%2B0800",
        "begin_time=2026-11-21T08:00:00+0000&end_time=2026-11-21T08:00:00Z",
        "begin_time=2026-11-21+08:00:00&end_time=20261121080000",
    ] {
        let times_read = ListBackups { since: Some(at(MOMENT)), until: Some(at(MOMENT)), ..all.clone() };
        assert_eq!(list(times), Ok(Call::ListBackups(times_read)), "{times}");
    }
    for target in ["/v3.1/{p}/backups", "/v4/{p}/backups"] {
        assert_eq!(decode(&get(target)), Ok(Call::ListBackups(all.clone())));
    }
}

#[test]
fn filters_that_do_not_fit_are_refused() {
    for (query, code) in [
        ("limit=0", "DBS.280439"),
        ("limit=101", "DBS.280439"),
        ("limit=x", "DBS.280439"),
        ("limit=%2B1", "DBS.280439"),
        ("offset=-1", "DBS.280440"),
        ("offset=99999999999999999999", "DBS.280440"),
        ("begin_time=2026-11-21%2008:00:00", "DBS.280068"),
        ("end_time=2026-11-21%2008:00:00", "DBS.280067"),
        ("begin_time=x&end_time=2026-11-21%2008:00:00", "DBS.280067"),
        ("begin_time=2026-11-21%2008:00:00&end_time=2026-02-30%2008:00:00", "DBS.280068"),
        ("begin_time=2026-11-21%2008:00:00&end_time=2026-11-20%2008:00:00", "DBS.280068"),
        ("backup_type=Incremental", "DBS.200001"),
        ("type=DatabaseTable", "DBS.200001"),
        ("datastore_type=cassandra", "DBS.200001"),
        ("mode=Single", "DBS.200001"),
        ("order_field=name", "DBS.200001"),
        ("order_rule=up", "DBS.200001"),
        ("backup_status=DISABLED", "DBS.200001"),
        ("backup_name=a&backup_description=b", "DBS.200001"),
        ("unheard=1", "DBS.200001"),
        ("limit=1&limit=1", "DBS.280439"),
        ("a=%zz", "DBS.200001"),
    ] {
        assert_eq!(refused(&get(&format!("/v3/{{p}}/backups?{query}"))), code, "{query}");
    }
}

#[test]
fn links_need_both_ids_or_the_backups() {
    let target = "/v3/{p}/backups/download-file?instance_id={i}&backup_id={b}";
    assert_eq!(decode(&get(target)), Ok(link()));
    assert_eq!(refused(&get("/v3/{p}/backups/download-file?instance_id={i}")), "DBS.200001");
    assert_eq!(refused(&get("/v3/{p}/backups/download-file?backup_id={b}&instance_id=")), "DBS.200001");
    let twin = Call::LinkBackup(LinkBackup::new(place(), None, text(BACKUP)));
    assert_eq!(decode(&get("/v3/{p}/backup-files?backup_id={b}")), Ok(twin));
}

#[test]
fn backups_are_taken_in_two_forms() {
    let create = |name: &str, remark: Option<&str>| {
        Ok(Call::CreateBackup(CreateBackup {
            place: place(),
            instance: text(INSTANCE),
            name: Some(text(name)),
            remark: remark.map(text),
            keep_days: None,
        }))
    };
    let gemini = |body: &str| post("/v3/{p}/instances/{i}/backups", body);
    let dds = |body: &str| post("/v3/{p}/backups", &body.replace("{i}", INSTANCE));
    assert_eq!(
        decode(&gemini(r#"{"name":"nigh","description":"d","database_tables":[]}"#)),
        create("nigh", Some("d"))
    );
    assert_eq!(decode(&gemini(r#"{"name":"n_-9","description":null}"#)), create("n_-9", None));
    assert_eq!(decode(&dds(r#"{"backup":{"instance_id":"{i}","name":"nightly"}}"#)), create("nightly", None));
    let long = "x".repeat(65);
    for name in ["abc", "1abc", "ab c", "abcé", &long] {
        assert_eq!(refused(&gemini(&format!(r#"{{"name":"{name}"}}"#))), "DBS.280277", "{name}");
    }
    let long = "é".repeat(257);
    for description in ["a>b", "a!", "<", "&", "'", "=", &long] {
        let body = format!(r#"{{"name":"nightly","description":"{description}"}}"#);
        assert_eq!(refused(&gemini(&body)), "DBS.280127", "{description}");
    }
    for body in [
        "",
        "[]",
        "{",
        "{}",
        r#"{"name":"nightly","unheard":1}"#,
        r#"{"name":"nightly","database_tables":[{"database_name":"a"}]}"#,
    ] {
        assert_eq!(refused(&gemini(body)), "DBS.200001", "{body}");
    }
    for body in
        [r#"{"instance_id":"{i}","name":"nightly"}"#, r#"{"backup":1}"#, r#"{"backup":{"name":"nightly"}}"#]
    {
        assert_eq!(refused(&dds(body)), "DBS.200001", "{body}");
    }
}

#[test]
fn backups_are_deleted_and_stopped() {
    let several = |body: &str| request(&Method::DELETE, "/v3/{p}/instances/backups", body);
    let eleven = format!(r#"{{"backup_ids":[{}"x"]}}"#, r#""x","#.repeat(10));
    for body in ["", "{}", r#"{"backup_ids":[]}"#, r#"{"backup_ids":[1]}"#, r#"{"backup_ids":[""]}"#, &eleven]
    {
        assert_eq!(refused(&several(body)), "DBS.200001", "{body}");
    }
    let stop = Call::StopBackup(StopBackup { place: place(), backup: text(BACKUP) });
    assert_eq!(decode(&put("/v3/{p}/backups/{b}", r#"{"action":"stop"}"#)), Ok(stop));
    assert_eq!(refused(&put("/v3/{p}/backups/{b}", r#"{"action":"start"}"#)), "DBS.200001");
}

#[test]
fn policies_are_shown_and_set() {
    let show = Call::ShowPolicy(ShowPolicy { place: place(), instance: text(INSTANCE) });
    for target in
        ["/v3/{p}/instances/{i}/backups/policy", "/v3.1/{p}/instances/{i}/backups/policy?type=Instance"]
    {
        assert_eq!(decode(&get(target)), Ok(show.clone()));
    }
    let set = |policy: &str| {
        put("/v3/{p}/instances/{i}/backups/policy", &format!(r#"{{"backup_policy":{policy}}}"#))
    };
    let change = |policy: &str| match decode(&set(policy)) {
        Ok(Call::SetPolicy(set)) => set.change,
        other => panic!("{other:?}"),
    };
    let off = PolicyChange { enabled: Some(false), ..PolicyChange::default() };
    assert_eq!(change(r#"{"keep_days":0}"#), off);
    assert_eq!(change(r#"{"keep_days":"0","enable_incremental_backup":false}"#), off);
    let on = PolicyChange {
        enabled: Some(true),
        weekdays: Some([true, false, false, false, false, false, true]),
        start_minute: Some(23 * 60 + 15),
        keep_days: Some(732),
    };
    assert_eq!(change(r#"{"keep_days":"732","start_time":"23:15-00:15","period":"7,1"}"#), on);
    let default = change(r#"{"keep_days":1,"period":"1,2,3,4,5,6,7"}"#);
    assert_eq!((default.start_minute, default.keep_days), (Some(0), Some(1)));
    for (policy, code) in [
        (r#"{"keep_days":733,"period":"1"}"#, "DBS.280214"),
        (r#"{"keep_days":-1,"period":"1"}"#, "DBS.280214"),
        (r#"{"keep_days":7.5,"period":"1"}"#, "DBS.280214"),
        (r#"{"keep_days":7,"period":"8"}"#, "DBS.280215"),
        (r#"{"keep_days":7,"period":"0"}"#, "DBS.280215"),
        (r#"{"keep_days":7,"period":"1,,2"}"#, "DBS.280215"),
        (r#"{"keep_days":6,"period":"1"}"#, "DBS.280251"),
        (r#"{"keep_days":7,"period":"1","start_time":"01:00-03:00"}"#, "DBS.280216"),
        (r#"{"keep_days":7,"period":"1","start_time":"01:10-02:10"}"#, "DBS.280216"),
        (r#"{"keep_days":7}"#, "DBS.200001"),
        (r#"{"start_time":"01:00-02:00"}"#, "DBS.200001"),
        (r#"{"keep_days":7,"period":"1","enable_incremental_backup":true}"#, "DBS.200001"),
        (r#"{"keep_days":7,"period":"1","incremental_period":"5"}"#, "DBS.200001"),
        ("7", "DBS.200001"),
    ] {
        assert_eq!(refused(&set(policy)), code, "{policy}");
    }
}

#[test]
fn downloads_are_opened_and_closed() {
    let target = "/v3/{p}/backups/download-policy";
    assert_eq!(decode(&get(target)), Ok(Call::ShowRestriction(ShowRestriction { place: place() })));
    let set = |networks| {
        let restriction = Restriction { networks, limit: AddressLimit::None };
        Ok(Call::SetRestriction(SetRestriction { place: place(), restriction }))
    };
    assert_eq!(decode(&post(target, r#"{"action":"open"}"#)), set(Networks::Both));
    assert_eq!(decode(&put(target, r#"{"id":"x","action":"close"}"#)), set(Networks::Intranet));
    for body in [r#"{"action":"close"}"#, r#"{"id":"x","action":"shut"}"#] {
        assert_eq!(refused(&put(target, body)), "DBS.200001");
    }
}

#[test]
fn restores_have_many_forms() {
    let restore = |from: RestoreFrom, password: Option<&str>| {
        let password = password.map(Secret::new);
        Ok(Call::Restore(Restore { place: place(), instance: text(INSTANCE), from, password }))
    };
    let backup = || RestoreFrom::Backup(text(BACKUP));
    let existing = |body: &str| post("/v3/{p}/instances/{i}/recovery", &body.replace("{b}", BACKUP));
    assert_eq!(decode(&existing(r#"{"backup_id":"{b}"}"#)), restore(backup(), None));
    assert_eq!(decode(&existing(r#"{"backup_id":"{b}","password":"p"}"#)), restore(backup(), Some("p")));
    assert_eq!(refused(&existing(r#"{"backup_id":7}"#)), "DBS.301024");
    let original = |source: &str| {
        let body = format!(r#"{{"source":{source},"target":{{"instance_id":"{{i}}"}}}}"#);
        post("/v3/{p}/instances/recovery", &body.replace("{i}", INSTANCE).replace("{b}", BACKUP))
    };
    assert_eq!(decode(&original(r#"{"instance_id":"{i}","backup_id":"{b}"}"#)), restore(backup(), None));
    for time in ["1795248000000", "\"1795248000000\""] {
        let moment =
            |instance: Option<&str>| RestoreFrom::Moment { instance: instance.map(text), at: at(MOMENT) };
        let source =
            |id: &str| format!(r#"{{"instance_id":"{id}","type":"timestamp","restore_time":{time}}}"#);
        assert_eq!(decode(&original(&source("{i}"))), restore(moment(None), None));
        assert_eq!(decode(&original(&source("other"))), restore(moment(Some("other")), None));
    }
    for (source, code) in [
        (r#"{"instance_id":"other","backup_id":"{b}"}"#, "DBS.301024"),
        (r#"{"instance_id":"{i}","type":"x"}"#, "DBS.301024"),
        (r#"{"instance_id":"{i}","type":"timestamp","restore_time":"x"}"#, "DBS.201215"),
        (r#"{"instance_id":"{i}","type":"timestamp","restore_time":[]}"#, "DBS.201215"),
        (r#"{"instance_id":"{i}","type":"timestamp"}"#, "DBS.200001"),
        (r#"{"instance_id":"{i}"}"#, "DBS.200001"),
    ] {
        assert_eq!(refused(&original(source)), code, "{source}");
    }
    assert_eq!(refused(&post("/v3/{p}/instances", "{}")), "DBS.280042", "no instance is created here");
}

#[test]
fn completed_backups_are_what_can_be_restored() {
    let points = |target: &str| match decode(&get(target)) {
        Ok(Call::ListBackups(list)) => {
            assert_eq!(list.states, [BackupState::Available]);
            (list.since, list.until, list.page)
        }
        other => panic!("{other:?}"),
    };
    let day = points("/v3/{p}/instances/{i}/restore-time?date=2026-11-21");
    let start = MOMENT - 8 * 3600;
    assert_eq!(day, (Some(at(start)), Some(at(start + DAY - 1)), page(0, 1000)));
    assert_eq!(
        points("/v3/{p}/instances/{i}/backups/restorable-time-periods?limit=0"),
        (None, None, page(0, 0))
    );
    assert_eq!(refused(&get("/v3/{p}/instances/{i}/restore-time?date=21.11.2026")), "DBS.280409");
    assert_eq!(refused(&get("/v3/{p}/instances/{i}/restore-time")), "DBS.200001");
}

#[test]
fn instances_are_listed_by_id_or_name() {
    let list = |query: &str| decode(&get(&format!("/v3/{{p}}/instances?{query}")));
    let all = ListInstances { place: place(), page: page(0, 100), ..ListInstances::default() };
    assert_eq!(
        list("id=i-1"),
        Ok(Call::ListInstances(ListInstances { ids: vec![text("i-1")], ..all.clone() }))
    );
    assert_eq!(
        list("name=a"),
        Ok(Call::ListInstances(ListInstances { name: Some(text("a")), ..all.clone() }))
    );
    assert_eq!(list("name=*a"), Ok(Call::ListInstances(ListInstances { search: Some(text("a")), ..all })));
    for query in ["name=*", "mode=Cluster", "vpc_id=x", "subnet_id=x", "tags=x", "datastore_type=mysql"] {
        assert_eq!(refused(&get(&format!("/v3/{{p}}/instances?{query}"))), "DBS.200001", "{query}");
    }
}

#[test]
fn jobs_are_listed_or_one_is_shown() {
    let list = |query: &str| decode(&get(&format!("/v3/{{p}}/jobs?{query}")));
    let all = ListJobs { place: place(), page: page(0, 50), ..ListJobs::default() };
    assert_eq!(list("id=42"), Ok(Call::ListJobs(ListJobs { job: Some(42), ..all.clone() })));
    let asked = ListJobs {
        states: vec![JobState::Waiting, JobState::Running],
        kinds: vec![JobKind::RemoveBackup],
        since: Some(at(MOMENT - 30 * DAY)),
        until: Some(at(MOMENT)),
        page: page(10, 10),
        ..all
    };
    let query = "status=Running&name=DeleteBackup&offset=10&limit=10\
                 &start_time=2026-10-22T08:00:00%2B0000&end_time=2026-11-21T08:00:00%2B0000";
    assert_eq!(list(query), Ok(Call::ListJobs(asked)));
    for (query, code) in [
        ("id=4b3e04cb-3e4a-4f7c-9c1b-000000000000", "DBS.280016"),
        ("id=%2B4", "DBS.280016"),
        ("id=99999999999999999999", "DBS.280016"),
        ("limit=30", "DBS.280439"),
        ("status=Waiting", "DBS.200001"),
        ("name=RebootInstance", "DBS.200001"),
        ("start_time=2026-10-22T07:59:59Z&end_time=2026-11-21T08:00:00Z", "DBS.280068"),
    ] {
        assert_eq!(refused(&get(&format!("/v3/{{p}}/jobs?{query}"))), code, "{query}");
    }
}
