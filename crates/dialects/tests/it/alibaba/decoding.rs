//! What recorded and hand-made requests ask for.

use keystow_dialects::{
    BackupState, Call, CreateBackup, Dialect, Fault, ListBackups, ListInstances, Page, Place, Unit,
    alibaba::Alibaba,
};

use crate::shared::{at, bad_parameter, decode, get, text};

fn alibaba(query: &str) -> Result<Call, Fault> {
    Alibaba.decode(&get(&format!("Version=2015-01-01&AccessKeyId=x&{query}")))
}

#[test]
fn backups_are_listed_part_by_part_with_links() {
    let expected = ListBackups {
        place: Place::in_region(Some(text("cn-hangzhou"))),
        instance: Some(text("r-keystow0001")),
        backup: None,
        job: None,
        since: Some(at(1_772_323_200)),
        until: Some(at(1_772_697_600)),
        states: vec![BackupState::Available, BackupState::Failed],
        incremental: true,
        unit: Unit::Part,
        links: true,
        page: Page { offset: 30, limit: 30 },
        ..ListBackups::default()
    };
    assert_eq!(decode("alibaba/01"), Ok(Call::ListBackups(expected.clone())));
    let first = Page { offset: 0, limit: 30 };
    let one =
        ListBackups { backup: Some(text("775661111")), incremental: false, page: first, ..expected.clone() };
    assert_eq!(decode("alibaba/02"), Ok(Call::ListBackups(one)));
    let page = Page { offset: 0, limit: 100 };
    let job =
        ListBackups { place: Place::in_region(None), job: Some(10001), incremental: false, page, ..expected };
    assert_eq!(decode("alibaba/08"), Ok(Call::ListBackups(job)));
}

#[test]
fn backups_are_taken() {
    let forever = CreateBackup {
        place: Place::in_region(Some(text("cn-shanghai"))),
        instance: "r-keystow0002".to_owned(),
        remark: None,
        keep_days: Some(36_500),
        ..CreateBackup::default()
    };
    assert_eq!(decode("alibaba/05"), Ok(Call::CreateBackup(forever)));
    let by_form = CreateBackup {
        place: Place::in_region(Some(text("cn-hangzhou"))),
        instance: "r-keystow 0001+".to_owned(),
        remark: None,
        keep_days: Some(30),
        ..CreateBackup::default()
    };
    assert_eq!(decode("alibaba/13"), Ok(Call::CreateBackup(by_form)));
}

#[test]
fn parameters_are_checked() {
    let list = "Action=DescribeBackups&InstanceId=r-1";
    let range = "StartTime=2026-03-01T00:00Z&EndTime=2026-03-02T00:00Z";
    assert!(alibaba(&format!("{list}&{range}")).is_ok());
    assert!(alibaba(&format!("{list}&StartTime=2026-03-01T00:00:00Z&EndTime=2026-03-01T00:00:01Z")).is_ok());
    for (query, name) in [
        ("StartTime=2026-03-01T00:00Z&EndTime=2026-03-01T00:00Z", "EndTime"),
        ("StartTime=2026-03-01T00:00Z&EndTime=2026-02-30T00:00Z", "EndTime"),
        ("StartTime=2026-03-01&EndTime=2026-03-02T00:00Z", "StartTime"),
        (&format!("{range}&PageSize=31"), "PageSize"),
        (&format!("{range}&PageSize=-30"), "PageSize"),
        (&format!("{range}&PageNumber=0"), "PageNumber"),
        (&format!("{range}&PageNumber=99999999999"), "PageNumber"),
        (&format!("{range}&NeedAof=2"), "NeedAof"),
        (&format!("{range}&BackupId=0"), "BackupId"),
        (&format!("{range}&BackupId=abc"), "BackupId"),
        (&format!("{range}&BackupJobId=1,2"), "BackupJobId"),
    ] {
        assert_eq!(bad_parameter(alibaba(&format!("{list}&{query}"))), name, "{query}");
    }
    for size in [30, 50, 100, 200, 300] {
        assert!(alibaba(&format!("{list}&{range}&PageSize={size}")).is_ok());
    }
    let missing = |name: &str| Err(Fault::MissingParameter(name.to_owned()));
    assert_eq!(alibaba("Action=DescribeBackups"), missing("InstanceId"));
    assert_eq!(alibaba("Action=DescribeBackups&InstanceId="), missing("InstanceId"));
    assert_eq!(alibaba(list), missing("StartTime"));
    assert_eq!(alibaba(&format!("{list}&StartTime=2026-03-01T00:00Z")), missing("EndTime"));
    for days in ["6", "731", "0", "-2"] {
        let create = format!("Action=CreateBackup&InstanceId=r-1&BackupRetentionPeriod={days}");
        assert_eq!(bad_parameter(alibaba(&create)), "BackupRetentionPeriod");
    }
}

#[test]
fn instances_are_listed_without_filters_that_cannot_be_kept() {
    let expected = ListInstances {
        place: Place::in_region(Some(text("cn-hangzhou"))),
        ids: vec!["r-1".to_owned(), "r-2".to_owned()],
        search: Some(text("café")),
        page: Page { offset: 50, limit: 50 },
        ..ListInstances::default()
    };
    let query = "Action=DescribeInstances&RegionId=cn-hangzhou&InstanceIds=r-1,r-2&SearchKey=caf%C3%A9\
                 &PageSize=50&PageNumber=2&InstanceType=Redis&Unheard=of";
    assert_eq!(alibaba(query), Ok(Call::ListInstances(expected)));
    for filter in ["Tag.1.Key=a", "InstanceStatus=Normal", "InstanceType=Memcache", "ZoneId=z"] {
        let name = filter.split('=').next().unwrap().to_owned();
        assert_eq!(
            alibaba(&format!("Action=DescribeInstances&{filter}")),
            Err(Fault::UnknownParameter(name))
        );
    }
    assert_eq!(bad_parameter(alibaba("Action=DescribeInstances&PageSize=51")), "PageSize");
    assert_eq!(bad_parameter(alibaba("Action=DescribeInstances&InstanceIds=,")), "InstanceIds");
}

#[test]
fn actions_are_served_not_yet_served_or_unknown() {
    for (name, action) in [
        ("alibaba/06", "RestoreInstance"),
        ("alibaba/10", "DescribeClusterBackupList"),
        ("alibaba/11", "ModifyBackupPolicy"),
    ] {
        assert_eq!(decode(name), Err(Fault::NotSupported(action.to_owned())));
    }
    assert_eq!(alibaba("Action=MakeCoffee"), Err(Fault::UnknownAction("MakeCoffee".to_owned())));
    let other = Alibaba.decode(&get("Action=DescribeBackups&Version=2014-01-01&AccessKeyId=x"));
    assert_eq!(other, Err(Fault::UnknownVersion("2014-01-01".to_owned())));
}
