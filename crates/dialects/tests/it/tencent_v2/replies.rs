//! Answers, word for word.

use keystow_dialects::{
    BackupRow, BackupState, Dialect, Fault, InstanceRow, JobKind, JobRow, JobState, LinkRow, Reply, Topology,
    tencent_v2::TencentV2,
};
use serde_json::{Value, json};

use crate::shared::{at, every_reply, exchange, json};

fn answer(query: &str, reply: Reply) -> Value {
    let request = http::Request::get(format!("/v2/index.php?{query}")).body(bytes::Bytes::new()).unwrap();
    json(&TencentV2.encode(&request, &exchange(), &Ok(reply)))
}

fn success(data: &Value) -> Value {
    json!({"code": 0, "message": "", "codeDesc": "Success", "data": data})
}

fn page(total: u64, data: &Value) -> Value {
    json!({"code": 0, "message": "", "codeDesc": "Success", "totalCount": total, "data": data})
}

#[test]
fn a_link_is_one_text_for_each_network() {
    let row = LinkRow {
        public_url: Some("https://d/1".to_owned()),
        intranet_url: Some("http://i/1".to_owned()),
        ..LinkRow::default()
    };
    let ask = "Action=GetBackupDownloadUrl&redisId=r&backupId=b";
    let expected = success(&json!({"intranet": "http://i/1", "extranet": "https://d/1"}));
    assert_eq!(answer(ask, Reply::Links(vec![row.clone()])), expected);
    let intranet_only = Reply::Links(vec![LinkRow { public_url: None, ..row.clone() }]);
    assert_eq!(answer(ask, intranet_only)["data"], json!({"intranet": "http://i/1", "extranet": ""}));
    let several = answer(ask, Reply::Links(vec![row.clone(), row]));
    assert_eq!((&several["code"], &several["data"]), (&json!(6100), &Value::Null));
    let none = answer(ask, Reply::Links(Vec::new()));
    assert_eq!(
        (&none["code"], &none["message"]),
        (&json!(10711), &json!("(10711)The backup b is not available."))
    );
}

#[test]
fn lists_have_their_shapes() {
    let backup = BackupRow {
        id: "b".to_owned(),
        state: BackupState::Available,
        automated: true,
        remark: "r".to_owned(),
        started_at: at(1_767_225_600),
        ..BackupRow::default()
    };
    let failed = BackupRow { state: BackupState::Failed, automated: false, ..backup.clone() };
    let shown = answer("", Reply::Backups { total: 9, full_bytes: 0, rows: vec![backup, failed] });
    let expected = page(
        9,
        &json!({"redisBackupSet": [
            {"startTime": "2026-01-01 08:00:00", "backupId": "b", "backupType": "systemBackupInstance", "status": 2,
                "remark": "r", "locked": 0},
            {"startTime": "2026-01-01 08:00:00", "backupId": "b", "backupType": "manualBackupInstance", "status": -1,
                "remark": "r", "locked": 0},
        ]}),
    );
    assert_eq!(shown, expected);
    let instance = InstanceRow {
        id: "r".to_owned(),
        name: "web".to_owned(),
        region: "ap-beijing".to_owned(),
        zone: "800001".to_owned(),
        project: "7".to_owned(),
        topology: Topology::Cluster,
        host: "10.0.0.1".to_owned(),
        port: 6379,
        memory_bytes: 1 << 30,
        used_bytes: 1,
        created_at: at(1_767_225_600),
        ..InstanceRow::default()
    };
    let shown = answer("", Reply::Instances { total: 1, rows: vec![instance] });
    let expected = page(
        1,
        &json!({"redisSet": [{
            "redisName": "web", "redisId": "r", "appid": 0, "projectId": 7, "regionId": 8, "zoneId": 800_001,
            "vpcId": 0, "unVpcId": "", "subnetId": 0, "unSubnetId": "", "status": 2, "statusDesc": "Running",
            "wanIp": "10.0.0.1", "port": 6379, "createtime": "2026-01-01 08:00:00", "size": 1024, "sizeUsed": 1,
            "typeId": 1, "typeIddesc": "Cluster", "autoRenewFlag": 0, "deadlineTime": "",
        }]}),
    );
    assert_eq!(shown, expected);
}

#[test]
fn tasks_have_a_shape_alone_and_one_in_a_list() {
    let row = JobRow {
        number: 7,
        kind: JobKind::Backup,
        state: JobState::Done,
        percent: 100,
        instance: "r".to_owned(),
        instance_name: "web".to_owned(),
        project: "named".to_owned(),
        created_at: at(1_767_225_600),
        ..JobRow::default()
    };
    let reply = Reply::Jobs { total: 1, rows: vec![row] };
    let one = "Action=DescribeTaskInfo&requestId=7";
    assert_eq!(answer(one, reply.clone()), success(&json!({"status": 2})));
    let expected = page(
        1,
        &json!({"redisTaskSet": [{
            "startTime": "2026-01-01 08:00:00", "taskName": "backupInstance", "redisName": "web", "redisId": "r",
            "projectId": 0, "status": 2, "progress": 1,
        }]}),
    );
    assert_eq!(answer("Action=GetRedisTaskList", reply), expected);
    let nothing = answer(one, Reply::Jobs { total: 0, rows: Vec::new() });
    assert_eq!((&nothing["code"], &nothing["message"]), (&json!(11201), &json!("(11201)No such job: 7.")));
    let started = Reply::Started { job: 8, backup: "b".to_owned() };
    assert_eq!(answer("Action=ManualBackupInstance", started), success(&json!({"requestId": 8})));
}

#[test]
fn an_answer_that_the_vendor_has_no_form_for_is_an_error() {
    for reply in every_reply() {
        let formless = matches!(
            reply,
            Reply::Shards(_)
                | Reply::Regions(_)
                | Reply::Projects(_)
                | Reply::Account(_)
                | Reply::Policy(_)
                | Reply::Restriction(_)
                | Reply::Token(_)
        );
        assert_eq!(answer("Action=DescribeRedis", reply.clone())["code"] == 6000, formless, "{reply:?}");
    }
    let fault = Err(Fault::Internal);
    let request = http::Request::get("/v2/index.php").body(bytes::Bytes::new()).unwrap();
    assert_eq!(json(&TencentV2.encode(&request, &exchange(), &fault))["code"], 6000);
}
