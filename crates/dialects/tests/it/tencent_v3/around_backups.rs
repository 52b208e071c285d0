//! What requests around backups ask for: details, tasks, policies, restores, limits, shards.

use keystow_dialects::{
    AddressLimit, Call, Fault, JobKind, JobState, ListBackups, ListJobs, ListShards, Networks, Page, Place,
    PolicyChange, Restore, RestoreFrom, Restriction, Secret, SetPolicy, SetRestriction, ShowPolicy,
    ShowRestriction,
};

use super::decoding::tencent;
use crate::shared::{at, bad_parameter, decode, text};

fn guangzhou() -> Place {
    Place::in_region(Some(text("ap-guangzhou")))
}

fn missing(name: &str) -> Result<Call, Fault> {
    Err(Fault::MissingParameter(name.to_owned()))
}

#[test]
fn one_backup_is_shown() {
    let detail = ListBackups { instance: Some(text("i")), backup: Some(text("b")), ..ListBackups::default() };
    let asked = tencent("DescribeBackupDetail", r#"{"InstanceId":"i","BackupId":"b"}"#);
    assert_eq!(asked, Ok(Call::ListBackups(detail)));
    assert_eq!(tencent("DescribeBackupDetail", r#"{"InstanceId":"i"}"#), missing("BackupId"));
    let empty = tencent("DescribeBackupDetail", r#"{"InstanceId":"i","BackupId":""}"#);
    assert_eq!(bad_parameter(empty), "BackupId");
}

#[test]
fn backups_are_put_back() {
    let restore = Restore {
        place: guangzhou(),
        instance: text("crs-ks000001"),
        from: RestoreFrom::Backup(text("251005863-1001463-1551952863")),
        password: Some(Secret::new(r#"Fake-Pass_01"<>"#)),
    };
    assert_eq!(decode("tencent_v3/10"), Ok(Call::Restore(restore)));
    let Ok(Call::Restore(open)) = tencent("RestoreInstance", r#"{"InstanceId":"i","BackupId":"b"}"#) else {
        panic!()
    };
    assert_eq!(open.password, None);
    assert_eq!(tencent("RestoreInstance", r#"{"BackupId":"b"}"#), missing("InstanceId"));
}

#[test]
fn tasks_are_shown_and_listed() {
    let one = ListJobs { place: guangzhou(), job: Some(18215), ..ListJobs::default() };
    assert_eq!(decode("tencent_v3/15"), Ok(Call::ListJobs(one)));
    assert_eq!(tencent("DescribeTaskInfo", "{}"), missing("TaskId"));
    assert_eq!(bad_parameter(tencent("DescribeTaskInfo", r#"{"TaskId":-1}"#)), "TaskId");
    assert_eq!(bad_parameter(tencent("DescribeTaskInfo", r#"{"TaskId":"1"}"#)), "TaskId");
    let list = |body: &str| tencent("DescribeTaskList", body);
    let expected = ListJobs {
        instance: Some(text("i")),
        instance_search: Some(text("web")),
        kinds: vec![JobKind::Backup],
        automated: Some(false),
        states: vec![JobState::Done, JobState::Failed],
        since: Some(at(1_767_225_600)),
        until: Some(at(1_767_225_601)),
        page: Page { offset: 20, limit: 100 },
        ..ListJobs::default()
    };
    let body = r#"{"InstanceId":"i","InstanceName":"web","TaskTypes":["012","009"],"Result":[2,4],"Limit":100,
        "Offset":20,"BeginTime":"2026-01-01 08:00:00","EndTime":"2026-01-01 08:00:01","ProjectIds":[]}"#;
    assert_eq!(list(body), Ok(Call::ListJobs(expected)));
    let everything = ListJobs { page: Page { offset: 0, limit: 20 }, ..ListJobs::default() };
    assert_eq!(list("{}"), Ok(Call::ListJobs(everything)));
    let kinds = |types: &str| match list(&format!(r#"{{"TaskTypes":{types}}}"#)) {
        Ok(Call::ListJobs(list)) => (list.kinds, list.automated),
        other => panic!("{other:?}"),
    };
    assert_eq!(kinds(r#"["012","017"]"#), (vec![JobKind::Backup], None));
    assert_eq!(kinds(r#"["017"]"#), (vec![JobKind::Backup], Some(true)));
    assert_eq!(kinds(r#"["046","010"]"#), (vec![JobKind::RemoveBackup, JobKind::Restore], None));
    assert_eq!(kinds(r#"["012","010"]"#), (vec![JobKind::Backup, JobKind::Restore], Some(false)));
    let nothing = |types: &str| match list(&format!(r#"{{"TaskTypes":{types}}}"#)) {
        Ok(Call::ListJobs(list)) => list.nothing,
        other => panic!("{other:?}"),
    };
    assert!(nothing(r#"["009","026"]"#) && !nothing(r#"["009","012"]"#) && !nothing("[]"));
    for (body, name) in [
        (r#"{"TaskTypes":["backup"]}"#, "TaskTypes"),
        (r#"{"Result":[3]}"#, "Result"),
        (r#"{"TaskStatus":[3]}"#, "TaskStatus"),
        (r#"{"TaskStatus":[1],"Result":[2]}"#, "TaskStatus"),
        (r#"{"Limit":101}"#, "Limit"),
        (r#"{"ProjectIds":[1]}"#, "ProjectIds"),
        (r#"{"OperatorUin":["1"]}"#, "OperatorUin"),
        (r#"{"BeginTime":"2026-01-02 00:00:00","EndTime":"2026-01-01 00:00:00"}"#, "EndTime"),
    ] {
        assert_eq!(bad_parameter(list(body)), name, "{body}");
    }
}

#[test]
fn a_policy_is_in_beijings_time() {
    let show = ShowPolicy { instance: text("i"), ..ShowPolicy::default() };
    assert_eq!(tencent("DescribeAutoBackupConfig", r#"{"InstanceId":"i"}"#), Ok(Call::ShowPolicy(show)));
    // One o'clock on Monday and Friday is 17:00 UTC on Sunday and Thursday.
    let expected = SetPolicy {
        place: guangzhou(),
        instance: text("crs-ks000001"),
        change: PolicyChange {
            enabled: Some(true),
            weekdays: Some([false, false, false, true, false, false, true]),
            start_minute: Some(17 * 60),
            keep_days: None,
        },
    };
    assert_eq!(decode("tencent_v3/09"), Ok(Call::SetPolicy(expected)));
    let set = |rest: &str| tencent("ModifyAutoBackupConfig", &format!(r#"{{"InstanceId":"i",{rest}}}"#));
    let change = |rest: &str| match set(rest) {
        Ok(Call::SetPolicy(set)) => set.change,
        other => panic!("{other:?}"),
    };
    let late = change(r#""WeekDays":["Sunday"],"TimePeriod":"23:00-00:00","BackupStorageDays":7"#);
    let sunday = [false, false, false, false, false, false, true];
    assert_eq!((late.weekdays, late.start_minute, late.keep_days), (Some(sunday), Some(15 * 60), Some(7)));
    let kept = change(r#""BackupStorageDays":30"#);
    assert_eq!(kept, PolicyChange { keep_days: Some(30), ..PolicyChange::default() });
    for (rest, name) in [
        (r#""WeekDays":["Monday","Mon"],"TimePeriod":"01:00-02:00""#, "WeekDays"),
        (r#""WeekDays":["Monday"],"TimePeriod":"01:00-03:00""#, "TimePeriod"),
        (r#""WeekDays":["Monday"],"TimePeriod":"24:00-01:00""#, "TimePeriod"),
        (r#""AutoBackupType":2"#, "AutoBackupType"),
        (r#""BackupStorageDays":0"#, "BackupStorageDays"),
    ] {
        assert_eq!(bad_parameter(set(rest)), name, "{rest}");
    }
    assert_eq!(set(r#""WeekDays":["Monday"]"#), missing("TimePeriod"));
    assert_eq!(set(r#""TimePeriod":"01:00-02:00""#), missing("WeekDays"));
}

#[test]
fn limits_of_links_are_kept_for_later_calls() {
    assert_eq!(decode("tencent_v3/04"), Ok(Call::ShowRestriction(ShowRestriction { place: guangzhou() })));
    let set = |body: &str| tencent("ModifyBackupDownloadRestriction", body);
    let stored = |networks, limit| {
        let restriction = Restriction { networks, limit };
        Ok(Call::SetRestriction(SetRestriction { place: Place::default(), restriction }))
    };
    assert_eq!(set(r#"{"LimitType":"NoLimit"}"#), stored(Networks::Both, AddressLimit::None));
    let intranet = set(r#"{"LimitType":"LimitOnlyIntranet"}"#);
    assert_eq!(intranet, stored(Networks::Intranet, AddressLimit::None));
    let custom = AddressLimit::Custom {
        except: true,
        addresses: vec![text("10.0.0.0/8")],
        vpcs: vec![(text("vpc-1"), text("ap-guangzhou"))],
    };
    let body = r#"{"LimitType":"Customize","IpComparisonSymbol":"NotIn","LimitIp":["10.0.0.0/8"],
        "VpcComparisonSymbol":"In","LimitVpc":[{"Region":"ap-guangzhou","VpcList":["vpc-1"]}]}"#;
    assert_eq!(set(body), stored(Networks::Both, custom));
    assert_eq!(set("{}"), missing("LimitType"));
    assert_eq!(bad_parameter(set(r#"{"LimitType":"Customize"}"#)), "LimitType");
    assert_eq!(set(r#"{"InstanceId":"i"}"#), Err(Fault::UnknownParameter(text("InstanceId"))));
}

#[test]
fn shards_and_nodes_are_listed() {
    let shards = ListShards { place: guangzhou(), instance: text("crs-ks000003"), primaries_only: true };
    assert_eq!(decode("tencent_v3/08"), Ok(Call::ListShards(shards.clone())));
    let all = ListShards { place: Place::default(), instance: text("i"), primaries_only: false };
    assert_eq!(
        tencent("DescribeInstanceNodeInfo", r#"{"InstanceId":"i","Limit":1,"Offset":0}"#),
        Ok(Call::ListShards(all.clone()))
    );
    let body = r#"{"InstanceId":"i","FilterSlave":false}"#;
    assert_eq!(tencent("DescribeInstanceShards", body), Ok(Call::ListShards(all)));
    let text_for_flag = tencent("DescribeInstanceShards", r#"{"InstanceId":"i","FilterSlave":"true"}"#);
    assert_eq!(bad_parameter(text_for_flag), "FilterSlave");
}
