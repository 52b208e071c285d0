//! What recorded and hand-made requests ask for.

use keystow_dialects::{
    Call, CopyEnd, CreateBackup, Fault, LinkBackup, ListBackups, ListInstances, ListProjects, ListShards,
    Page, Place, PolicyChange, SetPolicy, Topology,
};

use super::query;
use crate::shared::{bad_parameter, decode, text};

const BACKUP: &str = "a75b24a9-d9e1-4d38-9dc1-aecad4640001";
const GROUP: &str = "uredis-keystow1";

fn place() -> Place {
    Place { region: Some(text("cn-bj2")), project: Some(text("org-keystow1")), ..Place::default() }
}

fn zoned() -> Place {
    Place { zone: Some(text("cn-bj2-04")), ..place() }
}

fn missing(name: &str) -> Result<Call, Fault> {
    Err(Fault::MissingParameter(name.to_owned()))
}

#[test]
fn recorded_links_are_asked_for() {
    let link = LinkBackup::new(zoned(), Some(text(GROUP)), text(BACKUP));
    let other_region = LinkBackup { other_region: true, ..link.clone() };
    assert_eq!(decode("ucloud/01"), Ok(Call::LinkBackup(other_region.clone())));
    assert_eq!(decode("ucloud/11"), Ok(Call::LinkBackup(LinkBackup { place: place(), ..other_region })));
    let Ok(Call::LinkBackup(go)) = decode("ucloud/13") else { panic!() };
    assert_eq!((go.backup.as_str(), go.instance.as_deref()), ("go-backup-1", Some("uredis a+b&c=缓")));
    let shard = Some(text("block-2"));
    let space = LinkBackup { shard, ..LinkBackup::new(zoned(), Some(text("umem-keystow1")), text("sb-1")) };
    assert_eq!(decode("ucloud/05"), Ok(Call::LinkBackup(space)));
}

#[test]
fn recorded_backups_are_listed_and_taken() {
    let page = Page { offset: 20, limit: 10 };
    let list = ListBackups { place: place(), instance: Some(text(GROUP)), page, ..ListBackups::default() };
    assert_eq!(decode("ucloud/02"), Ok(Call::ListBackups(list.clone())));
    let page = Page { offset: 0, limit: 10 };
    assert_eq!(decode("ucloud/12"), Ok(Call::ListBackups(ListBackups { page, ..list.clone() })));
    let page = Page { offset: 0, limit: 20 };
    let go = ListBackups { instance: Some(text("uredis-go")), page, ..list };
    assert_eq!(decode("ucloud/14"), Ok(Call::ListBackups(go)));
    let create = |instance: &str, name: &str| {
        let (instance, name) = (text(instance), Some(text(name)));
        Ok(Call::CreateBackup(CreateBackup { place: zoned(), instance, name, ..CreateBackup::default() }))
    };
    assert_eq!(decode("ucloud/03"), create("uredis-keystow1", "nightly_backup-01"));
    assert_eq!(decode("ucloud/08"), create("umem-keystow1", "dist-backup_7"));
}

#[test]
fn other_recorded_requests_are_read() {
    assert_eq!(decode("ucloud/06"), Ok(Call::ListProjects(ListProjects::default())));
    let page = Page { offset: 0, limit: 20 };
    let list = ListInstances { place: place(), page, ..ListInstances::default() };
    assert_eq!(decode("ucloud/10"), Ok(Call::ListInstances(list)));
    assert_eq!(decode("ucloud/07"), Err(Fault::UnknownAction(text("KeystowSignatureProbe"))));
    assert_eq!(decode("ucloud/09"), Err(Fault::NotSupported(text("CreateURedisGroup"))));
    let other_region = Err(Fault::NotSupported(text("UpdateURedisBackupStrategy with OperationType modify")));
    assert_eq!(decode("ucloud/04"), other_region);
}

#[test]
fn actions_that_are_not_there_are_named() {
    for action in ["ModifyURedisBackupStrategy", "RestoreURedisGroup", "describeumem", "GetRegion "] {
        let asked = query(&format!("Action={}&Region=r", action.replace(' ', "+")));
        assert_eq!(asked, Err(Fault::UnknownAction(action.to_owned())));
    }
    assert_eq!(query("Action=CreateUMemSpace"), Err(Fault::NotSupported(text("CreateUMemSpace"))));
    assert_eq!(query("Region=r"), Err(Fault::Unsigned("Action")));
}

#[test]
fn required_parameters_are_asked_for() {
    let region = "Region=r";
    for (action, given, name) in [
        ("DescribeURedisBackupURL", "BackupId=b", "Region"),
        ("DescribeURedisBackupURL", region, "BackupId"),
        ("DescribeURedisBackup", region, "GroupId"),
        ("DescribeURedisBackup", "GroupId=g", "Region"),
        ("CreateURedisBackup", region, "GroupId"),
        ("CreateURedisBackup", "Region=r&GroupId=g", "BackupName"),
        ("DescribeURedisBackupState", "Region=r&GroupId=g&BackupId=b", "Zone"),
        ("DescribeURedisBackupState", "Region=r&Zone=z&BackupId=b", "GroupId"),
        ("DescribeURedisBackupState", "Region=r&Zone=z&GroupId=g", "BackupId"),
        ("UpdateURedisBackupStrategy", region, "GroupId"),
        ("DescribeURedisGroup", "GroupId=g", "Region"),
        ("DescribeUMemBackupURL", "Region=r&SpaceId=s&BackupId=b", "Zone"),
        ("DescribeUMemBackupURL", "Region=r&Zone=z&BackupId=b", "SpaceId"),
        ("DescribeUMemBackupURL", "Region=r&Zone=z&SpaceId=s", "BackupId"),
        ("DescribeUMemBackup", "Region=r&Zone=z", "SpaceId"),
        ("CreateUMemBackup", "Region=r&Zone=z&SpaceId=s", "BackupName"),
        ("CreateUMemBackup", "Region=r&SpaceId=s&BackupName=nightly", "Zone"),
        ("DescribeUMemBlockInfo", "Region=r&Zone=z&SpaceId=s&Limit=1", "Offset"),
        ("DescribeUMemBlockInfo", "Region=r&Zone=z&SpaceId=s&Offset=0", "Limit"),
        ("DescribeUMemSpace", "Zone=z", "Region"),
        ("DescribeUMem", region, "Protocol"),
        ("DescribeUMem", "Protocol=redis", "Region"),
    ] {
        assert_eq!(query(&format!("Action={action}&{given}")), missing(name), "{action} {given}");
    }
    assert_eq!(query("Action=DescribeURedisBackupURL&Region=&BackupId=b"), missing("Region"));
}

#[test]
fn values_are_checked() {
    let backups = "DescribeURedisBackup&Region=r&GroupId=g";
    let create = "CreateURedisBackup&Region=r&GroupId=g";
    let strategy = "UpdateURedisBackupStrategy&Region=r&GroupId=g";
    let link = "DescribeURedisBackupURL&Region=cn-bj2&BackupId=b";
    let long = format!("BackupName={}", "a".repeat(64));
    for (action, value, name) in [
        (backups, "Limit=0", "Limit"),
        (backups, "Limit=-1", "Limit"),
        (backups, "Limit=1.5", "Limit"),
        (backups, "Offset=-1", "Offset"),
        (backups, "Offset=x", "Offset"),
        (backups, "RegionType=other", "RegionType"),
        (create, "BackupName=short", "BackupName"),
        (create, "BackupName=with+blank", "BackupName"),
        (create, "BackupName=%E7%BC%93%E5%AD%98", "BackupName"),
        (create, &long, "BackupName"),
        (strategy, "AutoBackup=yes", "AutoBackup"),
        (strategy, "BackupTime=24", "BackupTime"),
        (strategy, "BackupTime=3:00", "BackupTime"),
        (strategy, "OperationType=open", "OperationType"),
        (strategy, "SaveDays=7", "SaveDays"),
        (strategy, "DstRegion=cn-sh2", "DstRegion"),
        (link, "RegionFlag=1", "RegionFlag"),
        (link, "IsCrossRegion=True", "IsCrossRegion"),
        (link, "Zone=z&SlaveZone=z", "SlaveZone"),
        (link, "Zone=cn-bj2-04&SlaveZone=cn-sh2-02", "SlaveZone"),
        (link, "SlaveZone=cn-sh2-02", "SlaveZone"),
        ("DescribeUMem&Region=r", "Protocol=memcache", "Protocol"),
        ("DescribeUMem&Region=r", "Protocol=mysql", "Protocol"),
        ("DescribeUMem&Region=r&Protocol=redis", "ResourceType=performance", "ResourceType"),
        ("DescribeUMem&Region=r&Protocol=redis", "ResourceType=x", "ResourceType"),
        ("DescribeUMemSpace&Region=r", "Protocol=memcache", "Protocol"),
        ("GetProjectList", "IsFinance=Yes", "IsFinance"),
        ("GetProjectList", "IsFinance=maybe", "IsFinance"),
    ] {
        assert_eq!(bad_parameter(query(&format!("Action={action}&{value}"))), name, "{action} {value}");
    }
    for name in ["nightl", &"a".repeat(63), "A-Z_0-9"] {
        assert!(query(&format!("Action={create}&BackupName={name}")).is_ok(), "{name}");
    }
}

#[test]
fn zones_of_one_region_go_together() {
    let link =
        |zones: &str| query(&format!("Action=DescribeURedisBackupURL&Region=cn-bj2&BackupId=b&{zones}"));
    for zones in [
        "Zone=cn-bj2-04&SlaveZone=cn-bj2-05",
        "SlaveZone=cn-bj2-05",
        "Zone=here-01&SlaveZone=here-02",
        "Zone=room1&SlaveZone=room2",
    ] {
        let Ok(Call::LinkBackup(link)) = link(&format!("{zones}&RegionFlag=true")) else { panic!("{zones}") };
        assert!(link.place.spans_zones && link.place.replica_zone.is_some());
    }
}

#[test]
fn pages_have_the_vendors_defaults_and_an_end() {
    let page = |parameters: &str| match query(parameters) {
        Ok(Call::ListBackups(list)) => list.page,
        Ok(Call::ListInstances(list)) => list.page,
        other => panic!("{other:?}"),
    };
    let first = |limit| Page { offset: 0, limit };
    assert_eq!(page("Action=DescribeURedisBackup&Region=r&GroupId=g"), first(10));
    assert_eq!(page("Action=DescribeUMemBackup&Region=r&Zone=z&SpaceId=s"), first(10));
    assert_eq!(page("Action=DescribeURedisGroup&Region=r"), first(20));
    assert_eq!(page("Action=DescribeUMemSpace&Region=r"), first(20));
    assert_eq!(page("Action=DescribeUMem&Region=r&Protocol=redis&Limit=1000"), first(100));
    let third = Page { offset: 40, limit: 20 };
    assert_eq!(page("Action=DescribeUMem&Region=r&Protocol=redis&Limit=20&Offset=40"), third);
}

#[test]
fn backups_are_asked_for_in_both_editions() {
    let in_region = || Place::in_region(Some(text("r")));
    let in_zone = || Place { zone: Some(text("z")), ..in_region() };
    let page = Page { offset: 0, limit: 10 };
    for (kind, copies) in
        [("normal", None), ("source", Some(CopyEnd::Source)), ("target", Some(CopyEnd::Target))]
    {
        let list = ListBackups { place: in_region(), copies, page, ..ListBackups::default() };
        let asked = query(&format!("Action=DescribeURedisBackup&Region=r&RegionType={kind}"));
        assert_eq!(asked, Ok(Call::ListBackups(list)));
    }
    let state = ListBackups {
        place: in_zone(),
        instance: Some(text("g")),
        backup: Some(text("b")),
        ..ListBackups::default()
    };
    let asked = query("Action=DescribeURedisBackupState&Region=r&Zone=z&GroupId=g&BackupId=b");
    assert_eq!(asked, Ok(Call::ListBackups(state)));
    let list = ListBackups { place: in_zone(), instance: Some(text("s")), page, ..ListBackups::default() };
    let asked = query("Action=DescribeUMemBackup&Region=r&Zone=z&SpaceId=s");
    assert_eq!(asked, Ok(Call::ListBackups(list)));
    let shards = ListShards { place: in_zone(), instance: text("s"), primaries_only: true };
    let asked = query("Action=DescribeUMemBlockInfo&Region=r&Zone=z&SpaceId=s&Offset=0&Limit=20");
    assert_eq!(asked, Ok(Call::ListShards(shards)));
    assert_eq!(query("Action=GetRegion"), Ok(Call::ListRegions));
}

#[test]
fn instances_are_told_apart_by_edition() {
    let topologies = |parameters: &str| match query(parameters) {
        Ok(Call::ListInstances(ListInstances { topologies, ids, .. })) => (topologies, ids),
        other => panic!("{other:?}"),
    };
    let primaries = vec![Topology::Standalone, Topology::Sentinel];
    let id = || vec![text("i")];
    assert_eq!(topologies("Action=DescribeURedisGroup&Region=r&GroupId=i"), (primaries.clone(), id()));
    assert_eq!(topologies("Action=DescribeUMemSpace&Region=r&SpaceId=i"), (vec![Topology::Cluster], id()));
    let list = "Action=DescribeUMem&Region=r&Protocol=redis";
    assert_eq!(topologies(&format!("{list}&ResourceId=i")), (Vec::new(), id()));
    assert_eq!(topologies(&format!("{list}&ResourceType=single")), (primaries, Vec::new()));
    let clusters = (vec![Topology::Cluster], Vec::new());
    assert_eq!(topologies(&format!("{list}&ResourceType=distributed")), clusters);
}

#[test]
fn strategies_have_the_vendors_defaults_and_beijings_hours() {
    for (given, enabled, start_minute) in [
        ("", true, 16 * 60),
        ("&AutoBackup=disable&OperationType=normal", false, 16 * 60),
        ("&BackupTime=3", true, 19 * 60),
        ("&BackupTime=8&AutoBackup=enable", true, 0),
        ("&BackupTime=23", true, 15 * 60),
    ] {
        let start_minute = Some(start_minute);
        let weekdays = Some([true; 7]);
        let change = PolicyChange { enabled: Some(enabled), weekdays, start_minute, keep_days: None };
        let place = Place::in_region(Some(text("r")));
        let policy = Call::SetPolicy(SetPolicy { place, instance: text("g"), change });
        let asked = query(&format!("Action=UpdateURedisBackupStrategy&Region=r&GroupId=g{given}"));
        assert_eq!(asked, Ok(policy), "{given}");
    }
    let close = query("Action=UpdateURedisBackupStrategy&Region=r&GroupId=g&OperationType=close");
    assert!(matches!(close, Err(Fault::NotSupported(_))));
}

#[test]
fn pieces_of_names_are_refused_and_foreign_names_ignored() {
    let link = "Action=DescribeURedisBackupURL&Region=r&BackupId=b";
    for name in
        ["Zonecn", "IsCrossRegiontrue", "GroupIdx", "SecurityTokenx", "Z", "Zon", "IsCross", "Zone.0", ""]
    {
        assert_eq!(query(&format!("{link}&{name}=x")), Err(Fault::UnknownParameter(name.to_owned())));
    }
    assert!(query(&format!("{link}&Tags.0=a&Rate=1&RegionType=normal&Disks.0.Zone=x")).is_ok());
}
