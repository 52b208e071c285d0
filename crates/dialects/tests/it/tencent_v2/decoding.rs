//! What recorded and hand-made requests ask for.

use keystow_dialects::{
    Call, CreateBackup, Dialect, ExportBackup, Fault, InstanceOrder, JobKind, JobState, LinkBackup,
    ListBackups, ListInstances, ListJobs, Page, Place, Restore, RestoreFrom, Secret, tencent_v2::TencentV2,
};

use crate::shared::{at, bad_parameter, decode, text};

fn ask(query: &str) -> Result<Call, Fault> {
    let request = http::Request::get(format!("/v2/index.php?{query}")).body(bytes::Bytes::new()).unwrap();
    TencentV2.decode(&request)
}

fn guangzhou() -> Place {
    Place::in_region(Some(text("ap-guangzhou")))
}

fn missing(name: &str) -> Result<Call, Fault> {
    Err(Fault::MissingParameter(name.to_owned()))
}

#[test]
fn links_are_asked_for() {
    let link = |place| {
        let backup = text("19266626-eddb-11e6-890a-525400394272");
        Ok(Call::LinkBackup(LinkBackup::new(place, Some(text("crs-ks000001")), backup)))
    };
    assert_eq!(decode("tencent_v2/01"), link(guangzhou()));
    assert_eq!(decode("tencent_v2/02"), link(guangzhou()));
    assert_eq!(decode("tencent_v2/13"), link(Place::default()), "an empty region is none");
    assert_eq!(ask("Action=GetBackupDownloadUrl&redisId=r"), missing("backupId"));
    assert_eq!(ask("Action=GetBackupDownloadUrl&redisId=&backupId=b"), missing("redisId"));
}

#[test]
fn backups_are_listed_oldest_first() {
    let list = |since, until| {
        Ok(Call::ListBackups(ListBackups {
            place: guangzhou(),
            instance: Some(text("crs-ks000001")),
            since: Some(at(since)),
            until: Some(at(until)),
            oldest_first: true,
            page: Page { offset: 0, limit: 10 },
            ..ListBackups::default()
        }))
    };
    // 2025-12-20 16:46:34 to 2026-01-01 19:09:26 in Beijing.
    assert_eq!(decode("tencent_v2/03"), list(1_766_220_394, 1_767_265_766));
    assert_eq!(decode("tencent_v2/14"), list(1_766_160_000, 1_767_196_800));
    let backups = |rest: &str| ask(&format!("Action=GetRedisBackupList&redisId=r&{rest}"));
    assert_eq!(backups("limit=1"), missing("offset"));
    assert_eq!(backups("offset=0"), missing("limit"));
    assert_eq!(ask("Action=GetRedisBackupList&limit=1&offset=0"), missing("redisId"));
    for (rest, name) in [
        ("limit=0&offset=0", "limit"),
        ("limit=1001&offset=0", "limit"),
        ("limit=%2B1&offset=0", "limit"),
        ("limit=1&offset=-1", "offset"),
        ("limit=1&offset=0&beginTime=2026-01-01", "beginTime"),
        ("limit=1&offset=0&beginTime=2026-01-02+00:00:00&endTime=2026-01-01+00:00:00", "endTime"),
    ] {
        assert_eq!(bad_parameter(backups(rest)), name, "{rest}");
    }
}

#[test]
fn instances_are_listed_without_filters_that_cannot_be_kept() {
    assert_eq!(bad_parameter(decode("tencent_v2/04")), "unVpcIds");
    assert_eq!(decode("tencent_v2/09"), Err(Fault::UnknownParameter(text("zone"))));
    let expected = ListInstances {
        place: Place::in_region(Some(text("na-toronto"))),
        ids: vec![text("r")],
        search: Some(text("web")),
        order: InstanceOrder::Created,
        page: Page { offset: 110, limit: 40 },
        ..ListInstances::default()
    };
    let query = "Action=DescribeRedis&Region=ca&limit=40&offset=110&redisId=r&redisName=web&orderBy=createtime\
                 &orderType=0";
    assert_eq!(ask(query), Ok(Call::ListInstances(expected)));
    let Ok(Call::ListInstances(last_first)) = ask("Action=DescribeRedis&limit=1&offset=0&orderBy=redisId")
    else {
        panic!()
    };
    assert_eq!((last_first.order, last_first.descending), (InstanceOrder::Id, true));
    for (rest, name) in [
        ("projectIds.0=1", "projectIds"),
        ("vpcIds.1=1", "vpcIds"),
        ("orderBy=size", "orderBy"),
        ("orderType=2", "orderType"),
    ] {
        assert_eq!(bad_parameter(ask(&format!("Action=DescribeRedis&limit=1&offset=0&{rest}"))), name);
    }
}

#[test]
fn backups_are_taken_put_back_and_exported() {
    let create = |remark: &str| {
        Ok(Call::CreateBackup(CreateBackup {
            place: guangzhou(),
            instance: text("crs-ks000002"),
            remark: Some(text(remark)),
            ..CreateBackup::default()
        }))
    };
    assert_eq!(decode("tencent_v2/06"), create("夜间 a=1&b=2+3% \"q\""));
    assert_eq!(decode("tencent_v2/07"), create("@nightly"));
    assert_eq!(decode("tencent_v2/08"), create("@nightly"));
    let restore = Restore {
        place: guangzhou(),
        instance: text("crs-ks000001"),
        from: RestoreFrom::Backup(text("e824aecc-ef5e-11e6-a2c7-525400082493")),
        password: Some(Secret::new("12D3E@!r5ed")),
    };
    assert_eq!(decode("tencent_v2/10"), Ok(Call::Restore(restore)));
    assert_eq!(ask("Action=RestoreInstance&redisId=r&backupId=b"), missing("password"));
    let export = ExportBackup { place: Place::default(), instance: text("r"), backup: text("b") };
    assert_eq!(ask("Action=ExportRedisBackup&redisId=r&backupId=b"), Ok(Call::ExportBackup(export)));
}

#[test]
fn tasks_are_shown_and_listed() {
    assert_eq!(decode("tencent_v2/11"), Err(Fault::UnknownParameter(text("filters.0.name"))));
    let one = ListJobs { job: Some(375_062), ..ListJobs::default() };
    assert_eq!(ask("Action=DescribeTaskInfo&requestId=375062"), Ok(Call::ListJobs(one)));
    assert_eq!(bad_parameter(ask("Action=DescribeTaskInfo&requestId=x")), "requestId");
    assert_eq!(bad_parameter(decode("tencent_v2/05")), "taskType");
    let list = |rest: &str| ask(&format!("Action=GetRedisTaskList&limit=10&offset=0&{rest}"));
    let expected = ListJobs {
        instance: Some(text("r")),
        instance_search: Some(text("web")),
        kinds: vec![JobKind::Restore, JobKind::Backup],
        states: vec![JobState::Done, JobState::Failed],
        since: Some(at(1_767_225_600)),
        page: Page { offset: 0, limit: 10 },
        ..ListJobs::default()
    };
    let rest = "redisId=r&redisName=web&taskType.0=task_restoreBackup&taskType.1=task_backupInstance\
                &taskType.2=task_cleanInstance&taskStatus.0=2&taskStatus.1=3&taskStatus.2=-1\
                &beginTime=2026-01-01%2008:00:00";
    assert_eq!(list(rest), Ok(Call::ListJobs(expected)));
    let Ok(Call::ListJobs(all)) = list("") else { panic!() };
    assert_eq!(all.kinds, [JobKind::Backup, JobKind::Restore], "a removal has no name here");
    let Ok(Call::ListJobs(none)) = list("taskType.0=task_importRdb") else { panic!() };
    assert!(none.nothing && !all.nothing);
    for (rest, name) in [
        ("taskType.1=task_backupInstance", "taskType"),
        ("taskType.00=task_backupInstance", "taskType"),
        ("taskStatus.0=4", "taskStatus"),
    ] {
        assert_eq!(bad_parameter(list(rest)), name, "{rest}");
    }
    assert_eq!(list("taskType_0=x"), Err(Fault::UnknownParameter(text("taskType_0"))));
    assert_eq!(list("taskType=x"), Err(Fault::UnknownParameter(text("taskType"))));
}

#[test]
fn old_regions_have_new_names() {
    let region = |code: &str| match ask(&format!("Action=ManualBackupInstance&redisId=r&Region={code}")) {
        Ok(Call::CreateBackup(create)) => create.place.region.unwrap(),
        other => panic!("{other:?}"),
    };
    for (code, name) in [
        ("gz", "ap-guangzhou"),
        ("shjr", "ap-shanghai-fsi"),
        ("usw", "na-siliconvalley"),
        ("use", "na-ashburn"),
        ("ap-guangzhou", "ap-guangzhou"),
        ("moon", "moon"),
    ] {
        assert_eq!(region(code), name);
    }
}

#[test]
fn other_actions_are_unknown() {
    for action in ["MakeCoffee", "DescribeAutoBackupConfig", "getBackupDownloadUrl"] {
        assert_eq!(ask(&format!("Action={action}")), Err(Fault::UnknownAction(action.to_owned())));
    }
    assert_eq!(ask("redisId=r"), missing("Action"));
    assert!(matches!(ask("Action=a&Action=b"), Err(Fault::MalformedRequest(_))));
}
