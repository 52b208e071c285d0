//! Answers, word for word: clients written in Go and Java take no other type.

use keystow_dialects::{
    AddressLimit, BackupRow, BackupState, Dialect, JobKind, JobRow, JobState, Networks, Policy, Reply,
    Request, Restriction, ShardRow, Topology, tencent_v3::TencentV3,
};
use serde_json::{Value, json};

use crate::shared::{REQUEST_ID, at, every_reply, exchange, json};

fn request(action: &str, body: &str, language: &str) -> Request {
    let request = http::Request::post("/")
        .header("content-type", "application/json")
        .header("x-tc-action", action)
        .header("x-tc-language", language)
        .header("x-tc-version", "2018-04-12");
    request.body(body.to_owned().into()).unwrap()
}

fn answer(action: &str, body: &str, reply: Reply) -> Value {
    let response = TencentV3.encode(&request(action, body, "en-US"), &exchange(), &Ok(reply));
    let mut envelope = json(&response)["Response"].take();
    assert_eq!(envelope.as_object_mut().unwrap().remove("RequestId"), Some(REQUEST_ID.into()));
    envelope
}

#[test]
fn a_backup_alone_has_its_own_shape() {
    let row = BackupRow {
        id: "b".to_owned(),
        state: BackupState::Available,
        automated: true,
        remark: "r".to_owned(),
        version: "7.0.15".to_owned(),
        topology: Topology::Cluster,
        shards: 3,
        valkey: true,
        replicas: 1,
        memory_bytes: 3 << 30,
        size_bytes: 7,
        started_at: at(1_767_225_600),
        ended_at: Some(at(1_767_225_660)),
        ..BackupRow::default()
    };
    let detail = r#"{"InstanceId":"i","BackupId":"b"}"#;
    let reply = Reply::Backups { total: 1, full_bytes: 0, rows: vec![row] };
    let expected = json!({
        "BackupId": "b", "StartTime": "2026-01-01 08:00:00", "EndTime": "2026-01-01 08:01:00",
        "BackupType": "1", "Status": 2, "Remark": "r", "Locked": 0, "BackupSize": 7, "InstanceType": 20,
        "MemSize": 1024, "ShardNum": 3, "ReplicasNum": 1,
        "Encrypted": false, "DecryptKey": "", "KmsKeyId": "", "KeyAlgorithm": "",
    });
    assert_eq!(answer("DescribeBackupDetail", detail, reply), expected);
    let nothing = Reply::Backups { total: 0, full_bytes: 0, rows: Vec::new() };
    let refused = answer("DescribeBackupDetail", detail, nothing);
    assert_eq!(refused["Error"]["Code"], "InvalidParameterValue.BackupNotExists");
    assert_eq!(refused["Error"]["Message"], "No such backup: b.");
}

#[test]
fn tasks_have_a_shape_alone_and_one_in_a_list() {
    let row = JobRow {
        number: 7,
        kind: JobKind::Backup,
        state: JobState::Failed,
        percent: 50,
        automated: true,
        instance: "i".to_owned(),
        instance_name: "web".to_owned(),
        project: "12".to_owned(),
        created_at: at(1_767_225_600),
        started_at: Some(at(1_767_225_601)),
        ended_at: Some(at(1_767_225_602)),
        failure: "no route".to_owned(),
        ..JobRow::default()
    };
    let one = Reply::Jobs { total: 1, rows: vec![row] };
    let body = r#"{"TaskId":7}"#;
    let alone = json!({
        "Status": "failed", "StartTime": "2026-01-01 08:00:01", "TaskType": "Automatic backup",
        "InstanceId": "i", "TaskMessage": "no route",
    });
    assert_eq!(answer("DescribeTaskInfo", body, one.clone()), alone);
    let in_chinese =
        json(&TencentV3.encode(&request("DescribeTaskInfo", body, "zh-CN"), &exchange(), &Ok(one.clone())));
    assert_eq!(in_chinese["Response"]["TaskType"], "自动备份");
    let listed = json!({ "TotalCount": 1, "Tasks": [{
        "TaskId": 7, "StartTime": "2026-01-01 08:00:01", "TaskType": "017", "InstanceName": "web",
        "InstanceId": "i", "ProjectId": 12, "Progress": 0.5, "EndTime": "2026-01-01 08:00:02", "Result": 4,
    }]});
    assert_eq!(answer("DescribeTaskList", "{}", one), listed);
    let nothing = Reply::Jobs { total: 0, rows: Vec::new() };
    assert_eq!(answer("DescribeTaskList", "{}", nothing.clone()), json!({"TotalCount": 0, "Tasks": []}));
    let refused = answer("DescribeTaskInfo", body, nothing);
    assert_eq!(refused["Error"]["Code"], "InvalidParameter.InvalidParameter");
}

#[test]
fn a_policy_is_shown_in_beijings_time() {
    let policy = Policy {
        enabled: true,
        weekdays: [false, false, false, true, false, false, true],
        start_minute: 17 * 60,
        keep_days: 7,
        next_at: None,
    };
    let expected = json!({
        "AutoBackupType": 1, "WeekDays": ["Monday", "Friday"], "TimePeriod": "01:00-02:00",
        "BackupStorageDays": 7,
    });
    let modified = answer("ModifyAutoBackupConfig", "{}", Reply::Policy(policy.clone()));
    assert_eq!(modified, expected);
    let shown = answer("DescribeAutoBackupConfig", "{}", Reply::Policy(policy.clone()));
    assert_eq!((&shown["WeekDays"], &shown["BinlogStorageDays"]), (&expected["WeekDays"], &json!(0)));
    let off = Reply::Policy(Policy { enabled: false, ..policy });
    assert_eq!(answer("DescribeAutoBackupConfig", "{}", off)["WeekDays"], json!([]));
}

#[test]
fn a_stored_limit_is_shown() {
    let show = |networks, limit| {
        answer("DescribeBackupDownloadRestriction", "{}", Reply::Restriction(Restriction { networks, limit }))
    };
    let open = json!({
        "LimitType": "NoLimit", "VpcComparisonSymbol": "In", "IpComparisonSymbol": "In", "LimitVpc": [],
        "LimitIp": [],
    });
    assert_eq!(show(Networks::Both, AddressLimit::None), open);
    assert_eq!(show(Networks::Intranet, AddressLimit::None)["LimitType"], "LimitOnlyIntranet");
    let vpc = |id: &str, region: &str| (id.to_owned(), region.to_owned());
    let custom = AddressLimit::Custom {
        except: true,
        addresses: vec!["10.0.0.1".to_owned()],
        vpcs: vec![vpc("v1", "r1"), vpc("v2", "r1"), vpc("v3", "r2")],
    };
    let expected = json!({
        "LimitType": "Customize", "VpcComparisonSymbol": "In", "IpComparisonSymbol": "NotIn",
        "LimitVpc": [{"Region": "r1", "VpcList": ["v1", "v2"]}, {"Region": "r2", "VpcList": ["v3"]}],
        "LimitIp": ["10.0.0.1"],
    });
    assert_eq!(show(Networks::Both, custom), expected);
    let done = Reply::Done { job: None };
    assert_eq!(answer("ModifyBackupDownloadRestriction", r#"{"LimitType":"NoLimit"}"#, done), json!({}));
}

#[test]
fn shards_and_nodes_have_their_shapes() {
    let row = ShardRow {
        node: "i-db-1".to_owned(),
        shard: 1,
        primary: true,
        slots: vec![(0, 99), (300, 16383)],
        host: "10.0.0.1".to_owned(),
        port: 6379,
        memory_bytes: 20,
        used_bytes: 9,
        connected: true,
        zone: "100003".to_owned(),
    };
    let replica = ShardRow { primary: false, slots: Vec::new(), port: 6380, ..row.clone() };
    let reply = Reply::Shards(vec![row, replica]);
    let shards = answer("DescribeInstanceShards", "{}", reply.clone());
    assert_eq!(shards["TotalCount"], 2);
    let expected = json!({
        "ShardName": "i-db-1", "ShardId": "10.0.0.1:6379", "Role": 0, "Keys": 0, "Slots": "[\"0-99\",\"300-16383\"]",
        "Storage": 9, "StorageSlope": 0.0, "Runid": "", "RunId": "", "Connected": 1, "ZoneId": "100003",
        "ReplicasNodeId": 0,
    });
    assert_eq!(shards["InstanceShards"][0], expected);
    assert_eq!(
        (&shards["InstanceShards"][1]["Role"], &shards["InstanceShards"][1]["Slots"]),
        (&json!(1), &json!("[]"))
    );
    let expected = json!({
        "ProxyCount": 0, "Proxy": [], "RedisCount": 2, "TendisCount": 0, "Tendis": [],
        "Redis": [
            {"NodeId": "10.0.0.1:6379", "NodeRole": "master", "ClusterId": 1, "ZoneId": 100_003},
            {"NodeId": "10.0.0.1:6380", "NodeRole": "slave", "ClusterId": 1, "ZoneId": 100_003},
        ],
    });
    assert_eq!(answer("DescribeInstanceNodeInfo", "{}", reply), expected);
}

#[test]
fn an_answer_that_the_vendor_has_no_form_for_is_an_error() {
    for reply in every_reply() {
        let formless =
            matches!(reply, Reply::Regions(_) | Reply::Projects(_) | Reply::Account(_) | Reply::Token(_));
        let shown = answer("DescribeInstances", "{}", reply.clone());
        assert_eq!(shown["Error"]["Code"] == "InternalError.InternalError", formless, "{reply:?}");
    }
}
