//! Answers have the vendor's names and types: strict clients fail on any other.

use http::Method;
use keystow_dialects::{
    AccountRow, AddressLimit, BackupRow, BackupState, Dialect, InstanceRow, IssuedToken, JobKind, JobRow,
    JobState, LinkRow, Networks, Policy, ProjectRow, Reply, Request, Response, Restriction, Secret, Topology,
    huawei::Huawei,
};
use serde_json::{Value, json};

use super::{MOMENT, PROJECT, get, refusal, request, request_id, unsigned};
use crate::shared::{at, exchange, text};

fn answer(request: &Request, reply: Reply) -> Response {
    let response = Huawei.encode(request, &exchange(), &Ok(reply));
    assert_eq!(request_id(&response), "0b9d8ba83a4f4f1c9d2a3c1f6b0d7e11");
    response
}

fn body(request: &Request, reply: Reply) -> Value {
    let response = answer(request, reply);
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["content-type"], "application/json");
    serde_json::from_slice(response.body()).unwrap()
}

fn backup() -> BackupRow {
    BackupRow {
        id: text("b-1"),
        name: text("nightly"),
        remark: text("note"),
        instance: text("i-1"),
        instance_name: text("cache"),
        state: BackupState::Available,
        version: text("7.0.15"),
        topology: Topology::Cluster,
        size_bytes: 1025,
        started_at: at(MOMENT),
        ended_at: Some(at(MOMENT + 1)),
        ..BackupRow::default()
    }
}

fn backups(rows: Vec<BackupRow>) -> Reply {
    Reply::Backups { total: 7, full_bytes: 0, rows }
}

#[test]
fn backups_of_v3_have_times_without_a_zone() {
    let running =
        BackupRow { state: BackupState::Running, ended_at: None, size_bytes: 0, automated: true, ..backup() };
    let answer = body(&get("/v3/{p}/backups"), backups(vec![backup(), running]));
    let expected = json!({"id": "b-1", "name": "nightly", "description": "note", "instance_id": "i-1",
        "instance_name": "cache", "datastore": {"type": "redis", "version": "7.0"}, "type": "Manual",
        "begin_time": "2026-11-21 08:00:00", "end_time": "2026-11-21 08:00:01", "status": "COMPLETED",
        "size": 2, "instance_mode": "Sharding", "backup_method": "Physical"});
    assert_eq!(answer["total_count"], 7);
    assert_eq!(answer["backups"][0], expected);
    let running = &answer["backups"][1];
    assert_eq!(
        (&running["status"], &running["size"], &running["type"]),
        (&json!("BUILDING"), &json!(0), &json!("Auto"))
    );
    assert!(running.get("end_time").is_none(), "absent rather than null");
}

#[test]
fn backups_of_newer_versions_have_times_with_one() {
    for target in ["/v3.1/{p}/backups", "/v4/{p}/backups"] {
        let row = BackupRow { state: BackupState::Failed, ..backup() };
        let answer = body(&get(target), backups(vec![row]));
        let expected = json!({"id": "b-1", "name": "nightly", "description": "note", "instance_id": "i-1",
            "instance_name": "cache", "datastore": {"type": "redis", "version": "7.0"}, "type": "Manual",
            "begin_time": "2026-11-21T08:00:00+0000", "end_time": "2026-11-21T08:00:01+0000",
            "status": "FAILED", "size": 0, "database_tables": []});
        assert_eq!(answer["backups"][0], expected);
    }
}

#[test]
fn completed_backups_are_points_in_time() {
    let points = json!([{"start_time": 1_795_248_000_000_u64, "end_time": 1_795_248_000_000_u64}]);
    let answer = body(&get("/v3/{p}/instances/i/backups/restorable-time-periods"), backups(vec![backup()]));
    assert_eq!(answer, json!({"total_count": 7, "restorable_time_periods": points}));
    let answer = body(&get("/v3/{p}/instances/i/restore-time?date=2026-11-21"), backups(vec![backup()]));
    assert_eq!(answer, json!({ "restore_time": points }));
}

fn link(size_bytes: u64) -> LinkRow {
    LinkRow {
        number: 1,
        node: text("i-1-db-0"),
        file_name: text("b-1.rdb"),
        size_bytes,
        public_url: Some(text("https://d/1?a=b&c")),
        intranet_url: Some(text("https://i/1")),
        expires_at: at(MOMENT + 900),
    }
}

#[test]
fn links_are_public_ones_with_kilobytes() {
    let target = "/v3/{p}/backups/download-file?instance_id=i-1&backup_id=b-1";
    let answer = body(&get(target), Reply::Links(vec![link(1025), link(0)]));
    let expected = json!({"name": "b-1.rdb", "size": 2, "download_link": "https://d/1?a=b&c",
        "link_expired_time": "2026-11-21T08:15:00+0000", "group_id": "i-1-db-0", "group_name": "i-1-db-0"});
    assert_eq!(answer["files"][0], expected);
    assert_eq!(answer["files"][1]["size"], 1, "at least one");
    assert!(answer["bucket"].is_string());
    let twin = body(&get("/v3/{p}/backup-files?backup_id=b-1"), Reply::Links(vec![link(1024)]));
    assert_eq!((&twin["files"][0]["size"], &twin["files"][0]["database_name"]), (&json!(1), &json!("")));
    let closed = LinkRow { public_url: None, ..link(1) };
    for (request, code) in [(get(target), "DBS.280042"), (cache_links(), "DCS.2003")] {
        let response = answer_of(&request, vec![link(1), closed.clone()]);
        assert_eq!((response.0, response.1["error_code"].as_str()), (403, Some(code)));
        assert_eq!(answer_of(&request, Vec::new()).0, 500, "a backup without files is never a success");
    }
}

fn cache_links() -> Request {
    request(&Method::POST, "/v2/{p}/instances/i-1/backups/b-1/links", r#"{"expiration":300}"#)
}

fn answer_of(request: &Request, rows: Vec<LinkRow>) -> (u16, Value) {
    let response = answer(request, Reply::Links(rows));
    (response.status().as_u16(), serde_json::from_slice(response.body()).unwrap())
}

#[test]
fn instances_have_texts_for_ports_and_no_ssl() {
    let row = InstanceRow {
        id: text("i-1"),
        name: text("cache"),
        region: text("cn-north-4"),
        zone: text("z1"),
        version: text("7.0.15"),
        topology: Topology::Standalone,
        host: text("10.0.0.1"),
        port: 6379,
        memory_bytes: (1 << 30) + 1,
        used_bytes: 1,
        busy: true,
        created_at: at(MOMENT),
        ..InstanceRow::default()
    };
    let reply = || Reply::Instances { total: 1, rows: vec![row.clone()] };
    let answer = body(&get("/v3/{p}/instances"), reply());
    let expected = json!({"id": "i-1", "name": "cache", "status": "normal", "port": "6379", "mode": "Replication",
        "region": "cn-north-4", "engine": "redis", "created": "2026-11-21T08:00:00", "vpc_id": "",
        "datastore": {"type": "redis", "version": "7.0", "patch_available": false, "whole_version": "7.0.15"},
        "subnet_id": "", "security_group_id": "", "pay_mode": "0", "enterprise_project_id": "0",
        "time_zone": "UTC", "actions": ["BACKUP"], "lb_ip_address": "10.0.0.1", "lb_port": "6379",
        "availability_zone": "z1", "groups": [{"id": "i-1", "status": "normal",
        "volume": {"size": "2", "used": "1"}, "nodes": [{"id": "i-1", "name": "cache", "status": "normal",
        "role": "Primary", "subnet_id": "", "private_ip": "10.0.0.1", "public_ip": "", "spec_code": "",
        "availability_zone": "z1", "support_reduce": false}]}]});
    assert_eq!(answer, json!({"total_count": 1, "instances": [expected]}));
    let expected = json!({"instance_id": "i-1", "name": "cache", "engine": "Redis", "engine_version": "7.0.15",
        "ip": "10.0.0.1", "port": 6379, "status": "RUNNING", "capacity": 2, "max_memory": 1025,
        "used_memory": 1, "created_at": "2026-11-21T08:00:00.000Z"});
    assert_eq!(body(&get("/v2/{p}/instances"), reply()), json!({"instance_num": 1, "instances": [expected]}));
    assert_eq!(body(&get("/v2/{p}/instances/i-1"), reply()), expected);
    let policy = Policy { enabled: true, weekdays: [true; 7], start_minute: 60, keep_days: 7, next_at: None };
    let row = InstanceRow { restoring: true, policy: Some(policy), ..row.clone() };
    let reply = || Reply::Instances { total: 1, rows: vec![row.clone()] };
    let shown = &body(&get("/v3/{p}/instances"), reply())["instances"][0];
    assert_eq!(shown["backup_strategy"], json!({"start_time": "01:00-02:00", "keep_days": 7}));
    assert_eq!(shown["actions"], json!(["RESTORE"]));
    let shown = body(&get("/v2/{p}/instances/i-1"), reply());
    assert_eq!(shown["status"], "RESTORING");
    let plan = json!({"backup_at": [1, 2, 3, 4, 5, 6, 7], "period_type": "weekly",
        "begin_at": "01:00-02:00", "timezone_offset": "+0000"});
    assert_eq!(
        shown["instance_backup_policy"]["policy"],
        json!({"backup_type": "auto", "save_days": 7, "periodical_backup_plan": plan})
    );
    let none = answer_status(&get("/v2/{p}/instances/i-1"), Reply::Instances { total: 0, rows: Vec::new() });
    assert_eq!(none, 404);
}

fn answer_status(request: &Request, reply: Reply) -> u16 {
    answer(request, reply).status().as_u16()
}

#[test]
fn a_job_answers_both_services() {
    let row = JobRow {
        number: 42,
        kind: JobKind::Backup,
        state: JobState::Running,
        percent: 60,
        instance: text("i-1"),
        instance_name: text("cache"),
        backup: text("b-1"),
        created_at: at(MOMENT),
        ..JobRow::default()
    };
    let jobs = |row: &JobRow| Reply::Jobs { total: 1, rows: vec![row.clone()] };
    let instance = json!({"id": "i-1", "name": "cache"});
    let both = body(&get("/v3/{p}/jobs?id=42"), jobs(&row));
    let dds = json!({"id": "42", "name": "CreateBackup", "status": "Running", "progress": "60%",
        "created": "2026-11-21T08:00:00+0000", "instance": instance});
    let gemini = json!({"id": "42", "name": "CreateBackup", "status": "Running", "progress": "60%",
        "start_time": "2026-11-21T08:00:00+0000", "instance": instance});
    assert_eq!(both, json!({"total_count": 1, "jobs": [gemini], "job": dds}));
    let failed = JobRow {
        state: JobState::Failed,
        ended_at: Some(at(MOMENT + 60)),
        failure: text("why"),
        ..row.clone()
    };
    let one = body(&get("/v3/{p}/jobs"), jobs(&failed));
    assert!(one.get("job").is_none());
    let one = &one["jobs"][0];
    assert_eq!(
        (&one["status"], &one["progress"], &one["fail_reason"]),
        (&json!("Failed"), &json!(""), &json!("why"))
    );
    assert_eq!(one["end_time"], "2026-11-21T08:01:00+0000");
    let none = answer(&get("/v3/{p}/jobs?id=42"), Reply::Jobs { total: 0, rows: Vec::new() });
    let none: Value = serde_json::from_slice(none.body()).unwrap();
    assert_eq!(none["error_code"], "DBS.280016");
    let restore =
        body(&get("/v2/{p}/instances/i-1/restores"), jobs(&JobRow { kind: JobKind::Restore, ..row }));
    let expected = json!({"restore_id": "42", "backup_id": "b-1", "restore_name": "restore_20261121080000",
        "created_at": "2026-11-21T08:00:00.000Z", "updated_at": "2026-11-21T08:00:00.000Z",
        "progress": "60.00", "status": "restoring"});
    assert_eq!(restore, json!({"total_num": 1, "restore_record_response": [expected]}));
}

#[test]
fn policies_are_written_as_hours_and_days() {
    let show = get("/v3/{p}/instances/i/backups/policy");
    let mut weekdays = [true; 7];
    weekdays[1] = false;
    let policy = Policy { enabled: true, weekdays, start_minute: 23 * 60 + 30, keep_days: 7, next_at: None };
    let expected = json!({"keep_days": 7, "start_time": "23:30-00:30", "period": "1,3,4,5,6,7"});
    assert_eq!(body(&show, Reply::Policy(policy.clone())), json!({ "backup_policy": expected }));
    let for_ever = Policy { keep_days: 0, ..policy.clone() };
    let shown = body(&show, Reply::Policy(for_ever));
    assert_eq!(shown["backup_policy"]["keep_days"], 732, "0 would say that it is off");
    let off = body(&show, Reply::Policy(Policy::default()));
    assert_eq!(off, json!({"backup_policy": {"keep_days": 0}}));
    for set in [
        request(&Method::PUT, "/v3/{p}/instances/i/backups/policy", "{}"),
        request(&Method::PUT, "/v2/{p}/instances/i", "{}"),
    ] {
        for reply in [Reply::Policy(policy.clone()), Reply::Done { job: None }] {
            let response = answer(&set, reply);
            assert_eq!((response.status().as_u16(), response.body().len()), (204, 0));
            assert!(response.headers().get("content-type").is_none());
        }
    }
    let target = "/v3/{p}/backups/download-policy";
    for (networks, action) in [(Networks::Both, "open"), (Networks::Intranet, "close")] {
        let reply = Reply::Restriction(Restriction { networks, limit: AddressLimit::None });
        assert_eq!(body(&get(target), reply), json!({"id": PROJECT, "action": action}));
    }
    assert!(body(&request(&Method::POST, target, "{}"), Reply::Done { job: None }).is_string());
}

#[test]
fn what_was_begun_has_the_ids_of_each_service() {
    let started = || Reply::Started { job: 42, backup: text("b-1") };
    let both = json!({"job_id": "42", "backup_id": "b-1"});
    let job = json!({"job_id": "42"});
    let put = Method::PUT;
    for (method, target, reply, status, expected) in [
        (Method::POST, "/v3/{p}/instances/i/backups", started(), 202, both.clone()),
        (Method::POST, "/v3/{p}/backups", started(), 202, both),
        (Method::POST, "/v2/{p}/instances/i/backups", started(), 200, json!({"backup_id": "b-1"})),
        (Method::POST, "/v2/{p}/instances/i/restores", started(), 200, json!({"restore_id": "42"})),
        (Method::POST, "/v3/{p}/instances/i/recovery", started(), 202, job.clone()),
        (Method::POST, "/v3/{p}/instances/recovery", started(), 202, job.clone()),
        (Method::DELETE, "/v3/{p}/backups/b", Reply::Done { job: Some(42) }, 202, job.clone()),
        (Method::DELETE, "/v3/{p}/backups/b", Reply::Done { job: None }, 202, json!({})),
        (put, "/v3/{p}/backups/b", Reply::Done { job: Some(42) }, 202, job),
        (Method::DELETE, "/v3/{p}/instances/backups", Reply::Done { job: Some(42) }, 200, json!({})),
    ] {
        let response = answer(&request(&method, target, "{}"), reply);
        assert_eq!(response.status(), status, "{target}");
        assert_eq!(serde_json::from_slice::<Value>(response.body()).unwrap(), expected, "{target}");
    }
    let deleted = request(&Method::DELETE, "/v2/{p}/instances/i/backups/b", "");
    assert_eq!(answer_status(&deleted, Reply::Done { job: None }), 204);
}

#[test]
fn backups_of_dcs_have_bytes_and_milliseconds() {
    let request = get("/v2/{p}/instances/i-1/backups");
    let nameless = BackupRow { name: String::new(), ..backup() };
    let answer = body(&request, backups(vec![nameless]));
    let expected = json!({"backup_id": "b-1", "backup_name": "backup_20261121080000", "instance_id": "i-1",
        "size": 1025, "backup_type": "manual", "backup_format": "rdb", "status": "succeed",
        "progress": "100.00", "is_support_restore": "TRUE", "remark": "note",
        "created_at": "2026-11-21T08:00:00.000Z", "updated_at": "2026-11-21T08:00:01.000Z",
        "execution_at": "2026-11-21T08:00:00.000Z"});
    assert_eq!(answer, json!({"total_num": 7, "backup_record_response": [expected]}));
    let none = body(&request, Reply::Backups { total: 0, full_bytes: 0, rows: Vec::new() });
    assert_eq!(none, json!({"total_num": 0, "backup_record_response": []}));
    let links = body(&cache_links(), Reply::Links(vec![link(1)]));
    let expected = json!([{"file_name": "b-1.rdb", "link": "https://d/1?a=b&c"}]);
    assert_eq!(links, json!({"file_path": "i-1/b-1", "bucket_name": "keystow", "links": expected}));
}

#[test]
fn iam_answers_as_sdks_read_it() {
    let (id, account, name) = (text("p-1"), text("acme"), text("cn-north-4"));
    let row = ProjectRow { id, account, name, ..ProjectRow::default() };
    let answer = body(&get("/v3/projects?name=cn-north-4"), Reply::Projects(vec![row.clone()]));
    let project = json!({"id": "p-1", "name": "cn-north-4", "domain_id": "acme", "parent_id": "acme",
        "is_domain": false, "enabled": true,
        "description": "", "links": {"self": "/v3/projects/p-1"}});
    let links = json!({"self": "/v3/projects", "next": null, "previous": null});
    assert_eq!(answer, json!({"projects": [project], "links": links}));
    let account = AccountRow { id: text("a-1"), name: text("main") };
    let domains = body(&get("/v3/auth/domains"), Reply::Account(account.clone()));
    assert_eq!(domains["domains"][0]["id"], "a-1");
    assert_eq!(domains["domains"][0]["enabled"], true);

    let issued = IssuedToken {
        token: Secret::new("ksw.token"),
        issued_at: at(MOMENT),
        expires_at: at(MOMENT + 86_400),
        access_key_id: text("backup-user"),
        role: text("operator"),
        account,
        project: Some(row),
    };
    let response = answer_token(&unsigned("13"), &issued);
    let domain = json!({"id": "a-1", "name": "main"});
    let user =
        json!({"id": "backup-user", "name": "backup-user", "password_expires_at": "", "domain": domain});
    let expected = json!({"expires_at": "2026-11-22T08:00:00.000000Z", "issued_at": "2026-11-21T08:00:00.000000Z",
        "methods": ["password"], "roles": [{"id": "0", "name": "operator"}],
        "project": {"id": "p-1", "name": "cn-north-4", "domain": domain}, "user": user});
    assert_eq!(response, json!({ "token": expected }), "nocatalog leaves the catalog out");
    let whole = IssuedToken { project: None, ..issued };
    let response = answer_token(&request(&Method::POST, "/v3/auth/tokens", "{}"), &whole);
    assert_eq!((&response["token"]["catalog"], &response["token"]["domain"]), (&json!([]), &domain));
    assert!(response["token"].get("project").is_none());
}

fn answer_token(request: &Request, issued: &IssuedToken) -> Value {
    let response = answer(request, Reply::Token(issued.clone()));
    assert_eq!(response.status(), 201);
    assert_eq!(response.headers()["x-subject-token"], "ksw.token");
    serde_json::from_slice(response.body()).unwrap()
}

#[test]
fn anybody_may_ask_for_the_versions() {
    let version = json!({"id": "v3", "links": [], "status": "CURRENT", "version": "", "min_version": "",
        "updated": "2017-02-07T17:34:02Z"});
    for (path, expected) in [
        ("/", json!({"versions": [version]})),
        ("/v3", json!({"version": version})),
        ("/v3/", json!({"version": version})),
    ] {
        let response = Huawei.open_answer(&get(path), &exchange()).unwrap();
        assert_eq!(serde_json::from_slice::<Value>(response.body()).unwrap(), expected);
    }
    for target in ["/v3/projects", "/v3/{p}/backups", "/nothing"] {
        assert!(Huawei.open_answer(&get(target), &exchange()).is_none());
    }
}

#[test]
fn an_answer_that_the_vendor_has_no_form_for_is_no_success() {
    for reply in [Reply::Regions(Vec::new()), Reply::Shards(Vec::new())] {
        assert_eq!(answer_status(&get("/v3/{p}/backups"), reply), 500);
    }
    let (status, code, _) = refusal(&get("/v3/{p}/backups"), keystow_dialects::Fault::Internal);
    assert_eq!((status, code.as_str()), (500, "DBS.280005"));
}
