//! What requests in the words of DCS ask for.

use http::Method;
use keystow_dialects::{
    Call, CreateBackup, DeleteBackups, JobKind, ListBackups, ListInstances, ListJobs, PolicyChange, Restore,
    RestoreFrom,
};

use super::decoding::{page, place, post, put};
use super::{MOMENT, decode, get, refused, request};
use crate::shared::{at, text};

#[test]
fn dcs_is_spoken_too() {
    let create = |remark: Option<&str>| {
        let remark = remark.map(text);
        Ok(Call::CreateBackup(CreateBackup {
            place: place(),
            instance: text("i"),
            remark,
            ..CreateBackup::default()
        }))
    };
    assert_eq!(decode(&post("/v2/{p}/instances/i/backups", "")), create(None));
    assert_eq!(
        decode(&post("/v2/{p}/instances/i/backups", r#"{"remark":"r","backup_format":"rdb"}"#)),
        create(Some("r"))
    );
    let list = ListBackups {
        place: place(),
        instance: Some(text("i")),
        since: Some(at(MOMENT)),
        page: page(0, 10),
        ..ListBackups::default()
    };
    assert_eq!(
        decode(&get("/v2/{p}/instances/i/backups?begin_time=20261121080000")),
        Ok(Call::ListBackups(list))
    );
    let delete = DeleteBackups { place: place(), instance: Some(text("i")), backups: vec![text("b")] };
    let target = "/v2/{p}/instances/i/backups/b";
    assert_eq!(decode(&request(&Method::DELETE, target, "")), Ok(Call::DeleteBackups(delete)));
    let from = RestoreFrom::Backup(text("b"));
    let restore = Restore { place: place(), instance: text("i"), from, password: None };
    assert_eq!(
        decode(&post("/v2/{p}/instances/i/restores", r#"{"backup_id":"b","remark":"r"}"#)),
        Ok(Call::Restore(restore))
    );
    let jobs = ListJobs {
        place: place(),
        instance: Some(text("i")),
        kinds: vec![JobKind::Restore],
        page: page(0, 1000),
        ..ListJobs::default()
    };
    assert_eq!(decode(&get("/v2/{p}/instances/i/restores?limit=1000")), Ok(Call::ListJobs(jobs)));
    let one = ListInstances { place: place(), ids: vec![text("i")], ..ListInstances::default() };
    assert_eq!(decode(&get("/v2/{p}/instances/i")), Ok(Call::ListInstances(one.clone())));
    let named = ListInstances { ids: Vec::new(), name: Some(text("n")), page: page(0, 10), ..one };
    let query = "name=n&name_equal=true&status=RUNNING&include_failure=true&include_delete=false";
    assert_eq!(decode(&get(&format!("/v2/{{p}}/instances?{query}"))), Ok(Call::ListInstances(named.clone())));
    let search = ListInstances { name: None, search: Some(text("n")), ..named };
    assert_eq!(decode(&get("/v2/{p}/instances?name=n")), Ok(Call::ListInstances(search)));
}

#[test]
fn dcs_links_live_as_long_as_asked() {
    let links = |body: &str| post("/v2/{p}/instances/i/backups/b/links", body);
    for (seconds, good) in [
        ("300", true),
        ("86400", true),
        ("299", false),
        ("86401", false),
        ("\"300\"", false),
        ("300.5", false),
    ] {
        let request = links(&format!(r#"{{"expiration":{seconds}}}"#));
        assert_eq!(decode(&request).is_ok(), good, "{seconds}");
        if !good {
            assert_eq!(refused(&request), "DCS.4062");
        }
    }
    assert_eq!(refused(&links("{}")), "DCS.4062");
    assert_eq!(refused(&links("")), "DCS.4004");
    assert_eq!(refused(&links("x")), "DCS.4005");
}

#[test]
fn dcs_policies_are_read_in_their_zone() {
    let set = |policy: &str| put("/v2/{p}/instances/i", &format!(r#"{{"instance_backup_policy":{policy}}}"#));
    let plan = |plan: &str| {
        set(&format!(r#"{{"backup_type":"auto","save_days":7,"periodical_backup_plan":{plan}}}"#))
    };
    let change = |request| match decode(&request) {
        Ok(Call::SetPolicy(set)) => set.change,
        other => panic!("{other:?}"),
    };
    assert_eq!(change(set(r#"{"backup_type":"manual"}"#)).enabled, Some(false));
    let monday_in_china =
        r#"{"backup_at":[1],"period_type":"weekly","begin_at":"00:00-01:00","timezone_offset":"+0800"}"#;
    let expected = PolicyChange {
        enabled: Some(true),
        weekdays: Some([false, false, false, false, false, false, true]),
        start_minute: Some(16 * 60),
        keep_days: Some(7),
    };
    assert_eq!(change(plan(monday_in_china)), expected);
    for (request, code) in [
        (set(r#"{"backup_type":"x"}"#), "DCS.4072"),
        (set(r#"{"backup_type":"auto","save_days":8}"#), "DCS.4073"),
        (plan(r#"{"backup_at":[8],"period_type":"weekly","begin_at":"00:00-01:00"}"#), "DCS.4074"),
        (plan(r#"{"backup_at":[],"period_type":"weekly","begin_at":"00:00-01:00"}"#), "DCS.4074"),
        (plan(r#"{"backup_at":[1],"period_type":"daily","begin_at":"00:00-01:00"}"#), "DCS.4075"),
        (plan(r#"{"backup_at":[1],"period_type":"weekly","begin_at":"00:00-02:00"}"#), "DCS.4076"),
        (put("/v2/{p}/instances/i", r#"{"name":"new"}"#), "DCS.4062"),
        (post("/v2/{p}/instances/i/backups", &format!(r#"{{"remark":"{}"}}"#, "é".repeat(129))), "DCS.4098"),
        (post("/v2/{p}/instances/i/backups", r#"{"backup_format":"aof"}"#), "DCS.4062"),
        (get("/v2/{p}/instances?status=ERROR"), "DCS.4062"),
        (get("/v2/{p}/instances?ip=10.0.0.1"), "DCS.4062"),
    ] {
        assert_eq!(refused(&request), code);
    }
}
