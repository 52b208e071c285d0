//! What recorded and hand-made requests ask for.

use keystow_dialects::{
    BackupState, Call, CreateBackup, DeleteBackups, Dialect, Fault, JobKind, JobState, ListBackups,
    ListInstances, ListJobs, Page, Place, PolicyChange, Restore, RestoreFrom, SetExpiry, SetPolicy,
    ShowPolicy, Topology, Unit, alibaba::Alibaba,
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
    for filter in ["Tag.1.Key=a", "InstanceStatus=Normal", "InstanceType=Memcache", "EngineVersion=7.0"] {
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
fn instances_are_filtered_by_zone_and_architecture() {
    let list = |filter: &str| match alibaba(&format!("Action=DescribeInstances&{filter}")) {
        Ok(Call::ListInstances(list)) => (list.place.zone, list.topologies),
        other => panic!("{other:?}"),
    };
    assert_eq!(list("ZoneId=z"), (Some(text("z")), Vec::new()));
    assert_eq!(list("ArchitectureType=cluster").1, [Topology::Cluster]);
    assert_eq!(list("ArchitectureType=standard").1, [Topology::Standalone, Topology::Sentinel]);
    let refused = alibaba("Action=DescribeInstances&ArchitectureType=rwsplit");
    assert_eq!(refused, Err(Fault::UnknownParameter(text("ArchitectureType"))));
    assert_eq!(bad_parameter(alibaba("Action=DescribeInstances&ArchitectureType=x")), "ArchitectureType");
    let attribute = alibaba("Action=DescribeInstanceAttribute&InstanceId=r-1,r-2&RegionId=r");
    let expected = ListInstances {
        place: Place::in_region(Some(text("r"))),
        ids: vec![text("r-1"), text("r-2")],
        page: Page { offset: 0, limit: 2 },
        ..ListInstances::default()
    };
    assert_eq!(attribute, Ok(Call::ListInstances(expected)));
    let many = format!("Action=DescribeInstanceAttribute&InstanceId={}", "r,".repeat(11));
    assert_eq!(bad_parameter(alibaba(&many)), "InstanceId");
    assert_eq!(alibaba("Action=DescribeRegions&AcceptLanguage=en-US"), Ok(Call::ListRegions));
}

#[test]
fn clusters_backups_are_listed_as_sets() {
    let expected = ListBackups {
        place: Place::in_region(Some(text("cn-hangzhou"))),
        instance: Some(text("r-keystow0003")),
        since: Some(at(1_772_323_200)),
        until: Some(at(1_772_697_600)),
        unit: Unit::Set,
        links: true,
        page: Page { offset: 0, limit: 30 },
        ..ListBackups::default()
    };
    assert_eq!(decode("alibaba/10"), Ok(Call::ListBackups(expected)));
    let list = "Action=DescribeClusterBackupList&InstanceId=r&RegionId=c&StartTime=2026-03-01T00:00Z\
                &EndTime=2026-03-02T00:00Z";
    let asked = |more: &str| match alibaba(&format!("{list}&{more}")) {
        Ok(Call::ListBackups(list)) => (list.backup, list.links),
        other => panic!("{other:?}"),
    };
    assert_eq!(asked("ClusterBackupId=cb-42&NoShardBackup=true"), (Some(text("42")), false));
    assert_eq!(asked("ClusterBackupId=cb-4x2&NoShardBackup=False"), (Some(text("cb-4x2")), true));
    let id = "0196c5a7-9d3e-7cc1-8a25-9a1f3b1f0001";
    assert_eq!(asked(&format!("ClusterBackupId={id}")), (Some(text(id)), true));
    assert_eq!(bad_parameter(alibaba(&format!("{list}&NoShardBackup=1"))), "NoShardBackup");
    assert_eq!(bad_parameter(alibaba(&format!("{list}&PageSize=20"))), "PageSize");
    let nowhere = alibaba("Action=DescribeClusterBackupList&InstanceId=r");
    assert_eq!(nowhere, Err(Fault::MissingParameter(text("RegionId"))));
}

#[test]
fn single_backups_are_changed_by_id_or_number() {
    let place = || Place::in_region(Some(text("r")));
    let delete = |backup: &str| DeleteBackups {
        place: place(),
        instance: Some(text("r-1")),
        backups: vec![text(backup)],
    };
    for (given, meant) in [("7", "7"), ("cb-7", "7"), ("b-7", "b-7"), ("cb-", "cb-")] {
        let asked = alibaba(&format!("Action=DeleteBackup&RegionId=r&InstanceId=r-1&BackupId={given}"));
        assert_eq!(asked, Ok(Call::DeleteBackups(delete(meant))));
    }
    let expiry = "Action=ModifyBackupExpireTime&RegionId=r&InstanceId=r-1&BackupId=7";
    let expected =
        SetExpiry { place: place(), instance: text("r-1"), backup: text("7"), expires_at: at(1_772_323_200) };
    let asked = alibaba(&format!("{expiry}&ExpectExpireTime=2026-03-01T00:00Z"));
    assert_eq!(asked, Ok(Call::SetExpiry(expected)));
    assert_eq!(bad_parameter(alibaba(&format!("{expiry}&ExpectExpireTime=soon"))), "ExpectExpireTime");
    let missing = |name: &str| Err(Fault::MissingParameter(text(name)));
    assert_eq!(alibaba(expiry), missing("ExpectExpireTime"));
    assert_eq!(alibaba("Action=ModifyBackupExpireTime&InstanceId=r-1"), missing("BackupId"));
    assert_eq!(alibaba("Action=DeleteBackup&InstanceId=r-1"), missing("BackupId"));
    assert_eq!(alibaba("Action=DeleteBackup"), missing("InstanceId"));
}

#[test]
fn tasks_are_listed() {
    let expected = ListJobs {
        instance: Some(text("r-1")),
        kinds: vec![JobKind::Backup],
        states: vec![JobState::Waiting, JobState::Running, JobState::Done],
        page: Page { offset: 0, limit: 300 },
        ..ListJobs::default()
    };
    let tasks = "Action=DescribeBackupTasks&InstanceId=r-1";
    assert_eq!(alibaba(tasks), Ok(Call::ListJobs(expected.clone())));
    let one = ListJobs { job: Some(10001), automated: Some(false), ..expected.clone() };
    assert_eq!(alibaba(&format!("{tasks}&BackupJobId=10001&JobMode=Manual")), Ok(Call::ListJobs(one)));
    let automated = ListJobs { automated: Some(true), ..expected };
    assert_eq!(alibaba(&format!("{tasks}&JobMode=Automated")), Ok(Call::ListJobs(automated)));
    assert_eq!(bad_parameter(alibaba(&format!("{tasks}&JobMode=manual"))), "JobMode");
    assert_eq!(bad_parameter(alibaba(&format!("{tasks}&BackupJobId=x"))), "BackupJobId");
    let missing = Err(Fault::MissingParameter(text("InstanceId")));
    assert_eq!(alibaba("Action=DescribeBackupTasks"), missing);
}

#[test]
fn policies_are_shown_and_set() {
    let change = PolicyChange {
        enabled: Some(true),
        weekdays: Some([true, false, true, false, false, false, true]),
        start_minute: Some(60),
        keep_days: Some(7),
    };
    let set = SetPolicy { place: Place::default(), instance: text("r-keystow0001"), change };
    assert_eq!(decode("alibaba/11"), Ok(Call::SetPolicy(set)));
    let show = ShowPolicy { place: Place::default(), instance: text("r-1") };
    assert_eq!(alibaba("Action=DescribeBackupPolicy&InstanceId=r-1"), Ok(Call::ShowPolicy(show)));
    let modify = "Action=ModifyBackupPolicy&InstanceId=r-1";
    let day = "PreferredBackupPeriod=Friday";
    let late = format!("{modify}&{day}&PreferredBackupTime=23:00Z-00:00Z");
    let Ok(Call::SetPolicy(set)) = alibaba(&late) else { panic!() };
    assert_eq!((set.change.start_minute, set.change.keep_days), (Some(23 * 60), None));
    for (given, name) in [
        ("PreferredBackupPeriod=Fri&PreferredBackupTime=01:00Z-02:00Z", "PreferredBackupPeriod"),
        ("PreferredBackupPeriod=Friday,&PreferredBackupTime=01:00Z-02:00Z", "PreferredBackupPeriod"),
        (&format!("{day}&PreferredBackupTime=01:00Z-03:00Z"), "PreferredBackupTime"),
        (&format!("{day}&PreferredBackupTime=01:30Z-02:30Z"), "PreferredBackupTime"),
        (&format!("{day}&PreferredBackupTime=24:00Z-01:00Z"), "PreferredBackupTime"),
        (&format!("{day}&PreferredBackupTime=1:00Z-2:00Z"), "PreferredBackupTime"),
        (&format!("{day}&PreferredBackupTime=%2B1:00Z-02:00Z"), "PreferredBackupTime"),
        (
            &format!("{day}&PreferredBackupTime=01:00Z-02:00Z&BackupRetentionPeriod=6"),
            "BackupRetentionPeriod",
        ),
        (&format!("{day}&PreferredBackupTime=01:00Z-02:00Z&EnableBackupLog=2"), "EnableBackupLog"),
    ] {
        assert_eq!(bad_parameter(alibaba(&format!("{modify}&{given}"))), name, "{given}");
    }
    let log = alibaba(&format!("{late}&EnableBackupLog=1"));
    assert_eq!(log, Err(Fault::NotSupported(text("ModifyBackupPolicy with EnableBackupLog"))));
    let missing = |name: &str| Err(Fault::MissingParameter(text(name)));
    assert_eq!(alibaba(modify), missing("PreferredBackupPeriod"));
    assert_eq!(alibaba(&format!("{modify}&{day}")), missing("PreferredBackupTime"));
    assert_eq!(alibaba("Action=DescribeBackupPolicy"), missing("InstanceId"));
}

#[test]
fn restores_are_asked_for() {
    let restore = |from: RestoreFrom| {
        Ok(Call::Restore(Restore { place: Place::default(), instance: text("r-1"), from, password: None }))
    };
    let asked = |more: &str| alibaba(&format!("Action=RestoreInstance&InstanceId=r-1&{more}"));
    assert_eq!(asked("BackupId=7"), restore(RestoreFrom::Backup(text("7"))));
    assert_eq!(asked("BackupId=cb-7&RestoreType=0&FilterKey="), restore(RestoreFrom::Backup(text("7"))));
    let moment = RestoreFrom::Moment { instance: None, at: at(1_772_323_200) };
    assert_eq!(asked("RestoreType=1&RestoreTime=2026-03-01T00:00Z"), restore(moment));
    assert_eq!(bad_parameter(asked("RestoreType=2&BackupId=7")), "RestoreType");
    assert_eq!(asked(""), Err(Fault::MissingParameter(text("BackupId"))));
    assert_eq!(asked("RestoreType=1"), Err(Fault::MissingParameter(text("RestoreTime"))));
    for name in ["alibaba/06", "alibaba/12"] {
        assert_eq!(decode(name), Err(Fault::NotSupported(text("RestoreInstance with FilterKey"))));
    }
    let shifted = asked("BackupId=7&TimeShift=2026-03-01T00:00Z");
    assert_eq!(shifted, Err(Fault::NotSupported(text("RestoreInstance with TimeShift"))));
}

#[test]
fn other_actions_and_versions_are_unknown() {
    assert_eq!(alibaba("Action=MakeCoffee"), Err(Fault::UnknownAction("MakeCoffee".to_owned())));
    let other = Alibaba.decode(&get("Action=DescribeBackups&Version=2014-01-01&AccessKeyId=x"));
    assert_eq!(other, Err(Fault::UnknownVersion("2014-01-01".to_owned())));
}
