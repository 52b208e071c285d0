//! Answers field by field, in JSON and in XML.

use keystow_dialects::{
    BackupRow, BackupState, Dialect, Exchange, InstanceRow, JobKind, JobRow, JobState, LinkRow, Policy,
    RegionRow, Reply, Response, Topology, alibaba::Alibaba,
};
use serde_json::{Value, json};

use crate::shared::{self, NOW, REQUEST_ID, at, exchange, get};

fn encode(format: &str, query: &str, reply: &Reply) -> Response {
    let request = get(&format!("Version=2015-01-01&AccessKeyId=x&Format={format}&Action={query}"));
    let exchange = Exchange { request_id: REQUEST_ID, now: at(NOW) };
    Alibaba.encode(&request, &exchange, &Ok(reply.clone()))
}

fn told(query: &str, reply: &Reply) -> Value {
    let response = encode("JSON", query, reply);
    let mut answer = shared::json(&response);
    assert_eq!(answer["RequestId"], REQUEST_ID.to_uppercase());
    assert!(response.status() != 200 || answer.get("Code").is_none(), "an SDK takes it for an error");
    answer.as_object_mut().unwrap().remove("RequestId");
    answer
}

fn xml(query: &str, reply: &Reply) -> String {
    let response = encode("XML", query, reply);
    assert_eq!(shared::content_type(&response), "text/xml;charset=utf-8");
    let body = String::from_utf8(response.body().to_vec()).unwrap();
    let action = query.split('&').next().unwrap();
    let start = format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?><{action}Response>");
    assert!(body.starts_with(&start), "{body}");
    body
}

fn cluster() -> BackupRow {
    let part = |number: u64, node: &str| LinkRow {
        number,
        node: node.to_owned(),
        file_name: format!("{node}.rdb"),
        size_bytes: 5,
        public_url: Some(format!("http://p/{number}")),
        intranet_url: Some(format!("http://i/{number}")),
        ..LinkRow::default()
    };
    BackupRow {
        id: "0196c5a7".to_owned(),
        number: 40,
        instance: "r-1".to_owned(),
        state: BackupState::Available,
        version: "7.0.15".to_owned(),
        topology: Topology::Cluster,
        shards: 2,
        memory_bytes: 3 << 30,
        size_bytes: 10,
        started_at: at(0),
        ended_at: Some(at(61)),
        expires_at: Some(at(120)),
        parts: vec![part(41, "r-1-db-0"), part(42, "r-1-db-1")],
        ..BackupRow::default()
    }
}

#[test]
fn clusters_backups_have_their_shards_inside() {
    let running = BackupRow {
        number: 50,
        state: BackupState::Running,
        automated: true,
        ended_at: None,
        expires_at: None,
        parts: Vec::new(),
        ..cluster()
    };
    let failed = BackupRow { number: 60, state: BackupState::Failed, parts: Vec::new(), ..cluster() };
    let reply = Reply::Backups { total: 9, full_bytes: 77, rows: vec![cluster(), running, failed] };
    let answer = told("DescribeClusterBackupList&PageSize=50&PageNumber=2", &reply);
    let shard = |number: u64, node: &str| {
        json!({
            "BackupId": number.to_string(),
            "BackupName": format!("{node}.rdb"),
            "InstanceName": node,
            "BackupStatus": "OK",
            "BackupStartTime": "1970-01-01T00:00:00Z",
            "BackupEndTime": "1970-01-01T00:01:01Z",
            "BackupSize": "5",
            "BackupDownloadURL": format!("http://p/{number}"),
            "BackupIntranetDownloadURL": format!("http://i/{number}"),
            "Engine": "redis",
            "IsAvail": "1",
            "ExtraInfo": {"CustinsDbVersion": "7.0"},
        })
    };
    let first = json!({
        "ClusterBackupId": "cb-40",
        "ClusterBackupStatus": "OK",
        "ClusterBackupMode": "Manual",
        "ClusterBackupStartTime": "1970-01-01T00:00:00Z",
        "ClusterBackupEndTime": "1970-01-01T00:01:01Z",
        "ClusterBackupSize": "10",
        "ExpectExpireTime": "1970-01-01T00:02Z",
        "IsAvail": 1,
        "ShardClassMemory": 1536,
        "Backups": [shard(41, "r-1-db-0"), shard(42, "r-1-db-1")],
    });
    let rows = answer["ClusterBackups"].as_array().unwrap();
    assert_eq!(rows[0], first);
    let states =
        rows.iter().map(|row| (row["ClusterBackupStatus"].as_str().unwrap(), row["IsAvail"].as_i64()));
    let expected = [("OK", Some(1)), ("RUNNING", Some(0)), ("FAILED", Some(0))];
    assert_eq!(states.collect::<Vec<_>>(), expected);
    assert_eq!(
        (&rows[1]["ClusterBackupMode"], rows[1].get("ClusterBackupEndTime")),
        (&json!("Automated"), None)
    );
    let mut rest = answer.clone();
    rest.as_object_mut().unwrap().remove("ClusterBackups");
    let expected = json!({
        "PageNumber": 2, "PageSize": 50, "MaxResults": 3, "FullStorageSize": 77, "LogStorageSize": 0,
    });
    assert_eq!(rest, expected, "without TotalCount");
    let bare = told("DescribeClusterBackupList&NoShardBackup=true", &reply);
    assert_eq!(bare["ClusterBackups"][0]["Backups"], json!([]));
}

#[test]
fn plain_lists_are_repeated_in_xml() {
    let reply = Reply::Backups { total: 2, full_bytes: 0, rows: vec![cluster(), cluster()] };
    let body = xml("DescribeClusterBackupList", &reply);
    let counts = ["<ClusterBackups>", "<Backups>", "<ExtraInfo>"].map(|tag| body.matches(tag).count());
    assert_eq!(counts, [2, 4, 4], "{body}");
    assert!(body.contains("<ExtraInfo><CustinsDbVersion>7.0</CustinsDbVersion></ExtraInfo>"), "{body}");
    let none = Reply::Backups { total: 0, full_bytes: 0, rows: Vec::new() };
    assert!(!xml("DescribeClusterBackupList", &none).contains("<ClusterBackups"));
    let jobs = Reply::Jobs { total: 1, rows: vec![job(JobState::Running)] };
    let body = xml("DescribeBackupTasks&InstanceId=r-1", &jobs);
    assert!(body.contains("<BackupJobs><BackupJobID>7</BackupJobID>"), "{body}");
    assert_eq!(body.matches("<BackupJobs>").count(), 1);
}

fn job(state: JobState) -> JobRow {
    JobRow {
        number: 7,
        kind: JobKind::Backup,
        state,
        percent: 40,
        instance: "r-1".to_owned(),
        created_at: at(NOW - 60),
        started_at: Some(at(NOW - 30)),
        ..JobRow::default()
    }
}

#[test]
fn tasks_are_a_plain_list_of_what_is_not_long_over() {
    let over = |seconds: u64| JobRow { ended_at: Some(at(NOW - seconds)), ..job(JobState::Done) };
    let waiting = JobRow { percent: 0, started_at: None, automated: true, ..job(JobState::Waiting) };
    let preparing = JobRow { percent: 0, ..job(JobState::Running) };
    let rows =
        vec![waiting, preparing, job(JobState::Running), over(86_400), over(86_401), job(JobState::Failed)];
    let reply = Reply::Jobs { total: 6, rows };
    let answer = told("DescribeBackupTasks&InstanceId=r-1", &reply);
    assert_eq!(answer["InstanceId"], "r-1");
    let rows = answer["BackupJobs"].as_array().unwrap();
    let words: Vec<_> = rows.iter().map(|row| row["BackupProgressStatus"].as_str().unwrap()).collect();
    assert_eq!(words, ["NoStart", "Preparing", "Uploading", "Finished"]);
    let third = json!({
        "BackupJobID": 7,
        "BackupProgressStatus": "Uploading",
        "JobMode": "Manual",
        "Process": "40",
        "Progress": "40",
        "StartTime": "2025-12-31T23:59:30Z",
        "TaskAction": "TempBackupTask",
    });
    assert_eq!(rows[2], third);
    assert_eq!(
        (&rows[0]["JobMode"], &rows[0]["TaskAction"]),
        (&json!("Automated"), &json!("NormalBackupTask"))
    );
    assert_eq!(rows[0]["StartTime"], "2025-12-31T23:59:00Z");
    let one = told("DescribeBackupTasks&InstanceId=r-1&BackupJobId=7", &reply);
    assert_eq!(one["BackupJobs"].as_array().unwrap().len(), 5, "who asks by id may be late");
    let none = told("DescribeBackupTasks&InstanceId=r-1", &Reply::Jobs { total: 0, rows: Vec::new() });
    assert_eq!(none, json!({"InstanceId": "r-1", "BackupJobs": []}));
}

#[test]
fn policies_have_the_vendors_types() {
    let policy = Policy {
        enabled: true,
        weekdays: [true, false, false, false, false, true, true],
        start_minute: 23 * 60,
        keep_days: 7,
        next_at: Some(at(NOW)),
    };
    let answer = told("DescribeBackupPolicy&InstanceId=r-1", &Reply::Policy(policy.clone()));
    let expected = json!({
        "BackupRetentionPeriod": "7",
        "PreferredBackupPeriod": "Monday,Saturday,Sunday",
        "PreferredBackupTime": "23:00Z-00:00Z",
        "PreferredNextBackupTime": "2026-01-01T00:00Z",
        "EnableBackupLog": 0,
        "DbsInstance": "0",
    });
    assert_eq!(answer, expected);
    let off = Policy { next_at: None, start_minute: 90, ..policy.clone() };
    let answer = told("DescribeBackupPolicy&InstanceId=r-1", &Reply::Policy(off));
    assert_eq!(
        (answer.get("PreferredNextBackupTime"), &answer["PreferredBackupTime"]),
        (None, &json!("01:30Z-02:30Z"))
    );
    for action in ["ModifyBackupPolicy", "ModifyBackupExpireTime", "DeleteBackup", "RestoreInstance"] {
        for reply in [Reply::Done { job: None }, Reply::Policy(policy.clone())] {
            assert_eq!(told(action, &reply), json!({}));
            assert!(xml(action, &reply).ends_with(&format!("</RequestId></{action}Response>")));
        }
    }
    let started = Reply::Started { job: 7, backup: "b".to_owned() };
    assert_eq!(told("CreateBackup", &started), json!({"BackupJobID": "7"}));
    assert_eq!(told("RestoreInstance", &started), json!({}));
}

#[test]
fn one_instance_has_other_types_than_the_list() {
    let row = InstanceRow {
        id: "r-1".to_owned(),
        version: "7.0.15".to_owned(),
        topology: Topology::Cluster,
        shards: 2,
        host: "10.0.0.1".to_owned(),
        port: 6379,
        memory_bytes: 1 << 30,
        busy: true,
        restoring: true,
        ..InstanceRow::default()
    };
    let reply = Reply::Instances { total: 1, rows: vec![row] };
    let listed = &told("DescribeInstances", &reply)["Instances"]["KVStoreInstance"][0];
    let answer = told("DescribeInstanceAttribute&InstanceId=r-1", &reply);
    assert_eq!(answer.as_object().unwrap().len(), 1, "neither pages nor a count");
    let shown = &answer["Instances"]["DBInstanceAttribute"][0];
    assert_eq!((&listed["ReadOnlyCount"], &shown["ReadOnlyCount"]), (&json!("0"), &json!(0)));
    let (in_list, alone) = (&listed["HasRenewChangeOrder"], &shown["HasRenewChangeOrder"]);
    assert_eq!((in_list, alone), (&json!(false), &json!("false")));
    assert_eq!((&shown["Engine"], listed.get("Engine")), (&json!("Redis"), None));
    for (name, value) in [
        ("InstanceId", json!("r-1")),
        ("EngineVersion", json!("7.0")),
        ("ArchitectureType", json!("cluster")),
        ("Port", json!(6379)),
        ("Capacity", json!(1024)),
        ("ShardCount", json!(2)),
        ("InstanceStatus", json!("BackupRecovering")),
        ("IsRds", json!(false)),
        ("Tags", json!({"Tag": []})),
    ] {
        assert_eq!((&listed[name], &shown[name]), (&value, &value), "{name}");
    }
    assert!(
        xml("DescribeInstanceAttribute&InstanceId=r-1", &reply).contains("<Instances><DBInstanceAttribute>")
    );
    let none = encode(
        "JSON",
        "DescribeInstanceAttribute&InstanceId=r-1",
        &Reply::Instances { total: 0, rows: Vec::new() },
    );
    assert_eq!(
        (none.status().as_u16(), &shared::json(&none)["Code"]),
        (404, &json!("InvalidInstanceId.NotFound"))
    );
}

#[test]
fn regions_have_their_zones_twice() {
    let zones = ["cn-a-1", "cn-a-2"].map(str::to_owned).to_vec();
    let rows = vec![
        RegionRow { id: "cn-a".to_owned(), zones },
        RegionRow { id: "cn-b".to_owned(), zones: Vec::new() },
    ];
    let reply = Reply::Regions(rows);
    let request = http::Request::get("/?Version=2015-01-01&Format=JSON&Action=DescribeRegions&AccessKeyId=x");
    let request = request.header("host", "127.0.0.1:7360").body(bytes::Bytes::new()).unwrap();
    let answer = shared::json(&Alibaba.encode(&request, &exchange(), &Ok(reply.clone())));
    let expected = json!([
        {
            "RegionId": "cn-a", "LocalName": "cn-a", "RegionEndpoint": "127.0.0.1:7360",
            "ZoneIds": "cn-a-1,cn-a-2", "ZoneIdList": {"ZoneId": ["cn-a-1", "cn-a-2"]},
        },
        {
            "RegionId": "cn-b", "LocalName": "cn-b", "RegionEndpoint": "127.0.0.1:7360",
            "ZoneIds": "", "ZoneIdList": {"ZoneId": []},
        },
    ]);
    assert_eq!(answer["RegionIds"]["KVStoreRegion"], expected);
    let body = xml("DescribeRegions", &reply);
    assert!(body.contains("<RegionIds><KVStoreRegion>"), "{body}");
    assert!(
        body.contains("<ZoneIdList><ZoneId>cn-a-1</ZoneId><ZoneId>cn-a-2</ZoneId></ZoneIdList>"),
        "{body}"
    );
}

#[test]
fn a_reply_without_a_form_is_the_servers_own_fault() {
    for (action, reply) in [
        ("DescribeBackups", Reply::Done { job: None }),
        ("DescribeRegions", Reply::Shards(Vec::new())),
        ("MakeCoffee", Reply::Regions(Vec::new())),
    ] {
        assert_eq!(encode("JSON", action, &reply).status(), 500, "{action}");
        assert_eq!(encode("XML", action, &reply).status(), 500, "{action}");
    }
}
