//! Answers field by field, with the JSON types that the strict SDKs want.

use keystow_dialects::{
    BackupRow, BackupState, Dialect, InstanceRow, LinkRow, Policy, ProjectRow, RegionRow, Reply, ShardRow,
    Topology, ucloud::Ucloud,
};
use serde_json::{Value, json};

use crate::shared::{self, at, exchange, get};

fn told(query: &str, reply: Reply) -> Value {
    let request = get(&format!("PublicKey=x&Signature=y&Action={query}"));
    let response = Ucloud.encode(&request, &exchange(), &Ok(reply));
    assert_eq!(response.status(), 200);
    shared::json(&response)
}

fn backup() -> BackupRow {
    BackupRow {
        id: "b-1".to_owned(),
        name: "nightly".to_owned(),
        instance: "uredis-1".to_owned(),
        instance_name: "cache".to_owned(),
        region: "cn-bj2".to_owned(),
        zone: "cn-bj2-04".to_owned(),
        state: BackupState::Available,
        version: "7.0.15".to_owned(),
        shards: 3,
        memory_bytes: (5 << 30) + 1,
        size_bytes: 1234,
        started_at: at(1_772_698_150),
        ..BackupRow::default()
    }
}

fn backups(rows: Vec<BackupRow>) -> Reply {
    Reply::Backups { total: rows.len() as u64, full_bytes: 0, rows }
}

fn link(public: Option<&str>, intranet: Option<&str>) -> LinkRow {
    let owned = |url: &str| url.to_owned();
    LinkRow { public_url: public.map(owned), intranet_url: intranet.map(owned), ..LinkRow::default() }
}

#[test]
fn one_link_is_a_text() {
    let asked = "DescribeURedisBackupURL&Region=r&BackupId=b-1";
    let answer = told(asked, Reply::Links(vec![link(Some("https://p/?a=1&b=2"), Some("http://i/"))]));
    let expected = json!({
        "RetCode": 0,
        "Action": "DescribeURedisBackupURLResponse",
        "BackupPath": "https://p/?a=1&b=2",
        "BackupURL": "https://p/?a=1&b=2",
        "InnerBackupPath": "http://i/",
    });
    assert_eq!(answer, expected);
    let inner = told(asked, Reply::Links(vec![link(None, Some("http://i/"))]));
    let expected = json!({
        "RetCode": 0, "Action": "DescribeURedisBackupURLResponse", "InnerBackupPath": "http://i/",
    });
    assert_eq!(inner, expected);
    for rows in [vec![], vec![link(Some("a"), None), link(Some("b"), None)]] {
        let refused = told(asked, Reply::Links(rows));
        assert_eq!(refused["RetCode"], 230, "a text cannot hold several: {refused}");
    }
}

#[test]
fn links_of_shards_are_a_list_of_texts() {
    let asked = "DescribeUMemBackupURL&Region=r&Zone=z&SpaceId=s&BackupId=b";
    let rows = vec![link(Some("https://p/0"), Some("http://i/0")), link(None, Some("http://i/1"))];
    let answer = told(asked, Reply::Links(rows));
    let expected = json!({
        "RetCode": 0, "Action": "DescribeUMemBackupURLResponse", "BackupURL": ["https://p/0", "http://i/1"],
    });
    assert_eq!(answer, expected);
    let one = told(asked, Reply::Links(vec![link(Some("https://p/0"), None)]));
    assert_eq!(one["BackupURL"], json!(["https://p/0"]));
    let none = told(asked, Reply::Links(Vec::new()));
    assert_eq!(none["Message"], "Params [BackupId] not available: no such backup");
    let no_shard = told(&format!("{asked}&BlockId=x"), Reply::Links(Vec::new()));
    assert_eq!(no_shard["Message"], "Params [BlockId] not available: the backup has no such shard");
}

#[test]
fn backups_have_each_editions_words() {
    let automated = BackupRow { automated: true, state: BackupState::Running, ..backup() };
    let failed = BackupRow { state: BackupState::Failed, ..backup() };
    let rows = || backups(vec![backup(), automated.clone(), failed.clone()]);
    let group = told("DescribeURedisBackup&Region=r&GroupId=g", rows());
    let expected = json!({
        "BackupId": "b-1",
        "BackupName": "nightly",
        "BackupTime": 1_772_698_150,
        "BackupSize": 1234,
        "BackupType": "Manual",
        "State": "Success",
        "GroupId": "uredis-1",
        "GroupName": "cache",
        "Zone": "cn-bj2-04",
        "MemorySize": 6,
        "RedisVersion": "7.0",
        "SrcRegionName": "cn-bj2",
    });
    assert_eq!((&group["TotalCount"], &group["DataSet"][0]), (&json!(3), &expected));
    let words = |answer: &Value| {
        let rows = answer["DataSet"].as_array().unwrap().iter();
        rows.map(|row| format!("{} {}", row["State"], row["BackupType"])).collect::<Vec<_>>().join(", ")
    };
    let quoted = r#""Success" "Manual", "Backuping" "Auto", "Error" "Manual""#;
    assert_eq!(words(&group), quoted);
    let space = told("DescribeUMemBackup&Region=r&Zone=z&SpaceId=s", rows());
    assert_eq!(words(&space), r#""Done" "manual", "Starting" "auto", "Error" "manual""#);
    let expected = json!({
        "BackupId": "b-1",
        "BackupName": "nightly",
        "BackupType": "manual",
        "State": "Done",
        "CreateTime": 1_772_698_150,
        "BlockCount": 3,
        "BlockSize": 2,
        "SpaceId": "uredis-1",
        "Protocol": "redis",
    });
    assert_eq!(space["DataSet"][0], expected);
}

#[test]
fn one_backup_has_a_state_or_is_unknown() {
    let asked = "DescribeURedisBackupState&Region=r&Zone=z&GroupId=g&BackupId=b-1";
    let answer = told(asked, backups(vec![backup()]));
    let expected = json!({"RetCode": 0, "Action": "DescribeURedisBackupStateResponse", "State": "Success"});
    assert_eq!(answer, expected);
    let list = "DescribeURedisBackup&Region=r&GroupId=g";
    for asked in [asked, &format!("{list}&BackupId=b-1")] {
        let unknown = told(asked, backups(Vec::new()));
        assert_eq!(unknown["Message"], "Params [BackupId] not available: no such backup");
    }
    let empty = told(list, backups(Vec::new()));
    assert_eq!((&empty["TotalCount"], &empty["DataSet"]), (&json!(0), &json!([])));
}

#[test]
fn changes_answer_little() {
    let started = || Reply::Started { job: 7, backup: "b-1".to_owned() };
    let answer = told("CreateURedisBackup", started());
    assert_eq!(answer, json!({"RetCode": 0, "Action": "CreateURedisBackupResponse", "BackupId": "b-1"}));
    assert_eq!(told("CreateUMemBackup", started())["BackupId"], "b-1");
    for reply in [Reply::Done { job: None }, Reply::Policy(keystow_dialects::Policy::default())] {
        let answer = told("UpdateURedisBackupStrategy", reply);
        assert_eq!(answer, json!({"RetCode": 0, "Action": "UpdateURedisBackupStrategyResponse"}));
    }
}

fn instance() -> InstanceRow {
    InstanceRow {
        id: "i-1".to_owned(),
        name: "cache".to_owned(),
        zone: "cn-bj2-04".to_owned(),
        replica_zone: "cn-bj2-05".to_owned(),
        version: "6.2.14".to_owned(),
        topology: Topology::Cluster,
        shards: 3,
        replicas: 1,
        host: "10.0.0.1".to_owned(),
        port: 6379,
        memory_bytes: 4 << 30,
        used_bytes: (7 << 20) + 1,
        password: true,
        created_at: at(1_700_000_000),
        ..InstanceRow::default()
    }
}

/// Names of the fields that are of a type, in order.
fn fields(row: &Value, is: fn(&Value) -> bool) -> Vec<&str> {
    row.as_object().unwrap().iter().filter(|(_, value)| is(value)).map(|(name, _)| name.as_str()).collect()
}

#[test]
fn instances_have_the_vendors_types() {
    let list = |asked: &str| told(asked, Reply::Instances { total: 1, rows: vec![instance()] });
    let umem = list("DescribeUMem&Region=r&Protocol=redis");
    let row = &umem["DataSet"][0];
    assert_eq!(row["ResourceType"], "distributed");
    let texts = (&row["Type"], &row["State"], &row["Role"], &row["Version"], &row["OwnSlave"]);
    assert_eq!(texts, (&"double".into(), &"Running".into(), &"master".into(), &"6.2".into(), &"No".into()));
    assert_eq!(row["Address"], json!([{"IP": "10.0.0.1", "Port": 6379}]));
    assert_eq!((&row["Size"], &row["UsedSize"]), (&json!(4), &json!(8)));
    let numbers = ["BackupTime", "CreateTime", "ExpireTime", "RewriteTime", "Size", "UsedSize"];
    assert_eq!(fields(row, Value::is_number), numbers);
    assert_eq!(row["HasPassword"], true);
    assert_eq!(fields(row, Value::is_boolean).len(), 7);
    assert_eq!(fields(row, Value::is_null), [""; 0]);
    let single = InstanceRow { topology: Topology::Sentinel, replicas: 0, ..instance() };
    let single = Reply::Instances { total: 1, rows: vec![single] };
    let single = &told("DescribeUMem&Region=r&Protocol=redis", single)["DataSet"][0];
    assert_eq!((&single["ResourceType"], &single["Type"]), (&json!("single"), &json!("single")));
    let group = &list("DescribeURedisGroup&Region=r")["DataSet"][0];
    assert_eq!(
        (&group["GroupId"], &group["GroupName"], &group["Name"]),
        (&"i-1".into(), &"cache".into(), &"cache".into())
    );
    assert_eq!((&group["Role"], &group["RewriteTime"]), (&json!("master"), &json!(0)));
    assert_eq!((&group["VirtualIP"], &group["SlaveZone"]), (&json!("10.0.0.1"), &json!("cn-bj2-05")));
    assert_eq!(fields(group, Value::is_boolean), ["IsHighPerformance", "SSLEnable", "UDACEnable"]);
    assert_eq!((&group["AutoBackup"], &group["BackupTime"]), (&json!("disable"), &json!(0)));
    let policy =
        Policy { enabled: true, weekdays: [true; 7], start_minute: 20 * 60, keep_days: 7, next_at: None };
    let daily = InstanceRow { policy: Some(policy), ..instance() };
    let daily = Reply::Instances { total: 1, rows: vec![daily] };
    let daily = &told("DescribeURedisGroup&Region=r", daily)["DataSet"][0];
    assert_eq!((&daily["AutoBackup"], &daily["BackupTime"]), (&json!("enable"), &json!(4)), "Beijing's hour");
    let space = &list("DescribeUMemSpace&Region=r")["DataSet"][0];
    assert_eq!((&space["SpaceId"], &space["Tag"]), (&json!("i-1"), &json!("Default")));
    assert_eq!(space["Address"][0]["IP"], "10.0.0.1");
    for (action, id) in [
        ("DescribeUMem", "Protocol=redis&ResourceId"),
        ("DescribeUMemSpace", "SpaceId"),
        ("DescribeURedisGroup", "GroupId"),
    ] {
        let none = || Reply::Instances { total: 0, rows: Vec::new() };
        assert_eq!(told(&format!("{action}&Region=r&{id}=x"), none())["RetCode"], 230);
        assert_eq!(told(&format!("{action}&Region=r&Protocol=redis"), none())["DataSet"], json!([]));
    }
}

#[test]
fn blocks_are_cut_to_the_page() {
    let shard = |shard: u32| ShardRow {
        node: format!("s-db-{shard}"),
        shard,
        primary: true,
        slots: vec![(0, 99), (300, 5460)],
        host: "10.0.0.1".to_owned(),
        port: 7000,
        memory_bytes: 2 << 30,
        used_bytes: 3 << 20,
        connected: shard == 1,
        zone: String::new(),
    };
    let rows = || Reply::Shards((0..3).map(shard).collect());
    let answer = told("DescribeUMemBlockInfo&Region=r&Zone=z&SpaceId=s&Offset=1&Limit=1", rows());
    let expected = json!([{
        "BlockId": "s-db-1",
        "BlockName": "s-db-1",
        "BlockVip": "10.0.0.1",
        "BlockPort": 7000,
        "BlockSize": 2,
        "BlockUsedSize": 3,
        "BlockSlotBegin": 0,
        "BlockSlotEnd": 5460,
        "BlockReadWeight": 0,
        "BlockState": "Running",
        "BlockType": "master",
    }]);
    assert_eq!((&answer["DataSet"], &answer["TotalCount"]), (&expected, &json!(3)));
    let beyond = told("DescribeUMemBlockInfo&Region=r&Zone=z&SpaceId=s&Offset=9&Limit=10", rows());
    assert_eq!(beyond["DataSet"], json!([]));
    let whole = ShardRow { slots: Vec::new(), ..shard(0) };
    let whole =
        told("DescribeUMemBlockInfo&Region=r&Zone=z&SpaceId=s&Offset=0&Limit=1", Reply::Shards(vec![whole]));
    assert_eq!(whole["DataSet"][0]["BlockSlotEnd"], 16383);
}

#[test]
fn projects_and_regions_have_the_vendors_types() {
    let project = ProjectRow {
        id: "org-1".to_owned(),
        account: "acme".to_owned(),
        name: "main".to_owned(),
        is_default: true,
        instances: 2,
        members: 3,
        created_at: at(5),
    };
    let answer = told("GetProjectList", Reply::Projects(vec![project]));
    let expected = json!({
        "RetCode": 0,
        "Action": "GetProjectListResponse",
        "ProjectCount": 1,
        "ProjectSet": [{
            "ProjectId": "org-1", "ProjectName": "main", "CreateTime": 5, "MemberCount": 3, "ResourceCount": 2,
            "IsDefault": true,
        }],
    });
    assert_eq!(answer, expected);
    let region = |id: &str, zones: &[&str]| RegionRow {
        id: id.to_owned(),
        zones: zones.iter().map(|zone| (*zone).to_owned()).collect(),
    };
    let rows = vec![region("cn-bj2", &["cn-bj2-04", "cn-bj2-05"]), region("cn-sh2", &[])];
    let answer = told("GetRegion", Reply::Regions(rows));
    let zone = |region: &str, zone: &str, id: u32, is_default: bool| {
        json!({
            "Region": region, "Zone": zone, "RegionName": region, "BitMaps": "", "RegionId": id,
            "IsDefault": is_default,
        })
    };
    let expected = json!([
        zone("cn-bj2", "cn-bj2-04", 1, true),
        zone("cn-bj2", "cn-bj2-05", 1, false),
        zone("cn-sh2", "", 2, false),
    ]);
    assert_eq!(answer["Regions"], expected);
}
