//! What recorded and hand-made requests ask for.

use keystow_dialects::{
    AddressLimit, BackupState, Call, CreateBackup, Dialect, Fault, InstanceOrder, LinkBackup, ListBackups,
    ListInstances, Networks, Page, Place, Unit, tencent_v3::TencentV3,
};

use crate::shared::{at, bad_parameter, decode, text};

pub(super) fn tencent(action: &str, body: &str) -> Result<Call, Fault> {
    let request = http::Request::post("/")
        .header("content-type", "application/json")
        .header("x-tc-action", action)
        .header("x-tc-version", "2018-04-12");
    TencentV3.decode(&request.body(body.to_owned().into()).unwrap())
}

#[test]
fn links_are_asked_for_in_every_form() {
    let plain = LinkBackup::new(
        Place::in_region(Some(text("ap-guangzhou"))),
        Some(text("crs-ks000001")),
        text("251005863-1001463-1551952863"),
    );
    assert_eq!(decode("tencent_v3/01"), Ok(Call::LinkBackup(plain.clone())));
    let vpc = |id: &str, region: &str| (id.to_owned(), region.to_owned());
    let limited = AddressLimit::Custom {
        except: true,
        addresses: vec!["10.1.0.13".to_owned(), "10.1.0.14".to_owned()],
        vpcs: vec![
            vpc("vpc-aaaa0001", "ap-guangzhou"),
            vpc("vpc-aaaa0002", "ap-guangzhou"),
            vpc("vpc-bbbb0001", "ap-shanghai"),
        ],
    };
    assert_eq!(decode("tencent_v3/02"), Ok(Call::LinkBackup(LinkBackup { limit: limited, ..plain.clone() })));
    let flattened = AddressLimit::Custom {
        except: false,
        addresses: vec!["10.1.0.13".to_owned()],
        vpcs: vec![vpc("vpc-aaaa0001", "ap-guangzhou"), vpc("vpc-aaaa0002", "ap-guangzhou")],
    };
    assert_eq!(
        decode("tencent_v3/07"),
        Ok(Call::LinkBackup(LinkBackup { limit: flattened, ..plain.clone() }))
    );
    assert_eq!(
        decode("tencent_v3/16"),
        Ok(Call::LinkBackup(LinkBackup { limit: AddressLimit::None, ..plain }))
    );
    assert!(matches!(
        decode("tencent_v3/11"),
        Ok(Call::LinkBackup(link)) if link.place == Place::in_region(Some(text("ap-shanghai-fsi")))
    ));
}

#[test]
fn links_are_never_less_limited_than_asked() {
    let link =
        |rest: &str| tencent("DescribeBackupUrl", &format!(r#"{{"InstanceId":"i","BackupId":"b",{rest}}}"#));
    for (rest, name) in [
        (r#""LimitIp":["10.0.0.1"]"#, "LimitType"),
        (r#""LimitType":"Customize""#, "LimitType"),
        (r#""LimitType":"Customise""#, "LimitType"),
        (r#""LimitType":"Customize","LimitIp":["10.0.0.1/33"]"#, "LimitIp"),
        (r#""LimitType":"Customize","LimitIp":["example.org"]"#, "LimitIp"),
        (r#""LimitType":"Customize","LimitIp":"10.0.0.1""#, "LimitIp"),
        (
            r#""LimitType":"Customize","LimitIp":["10.0.0.1"],"IpComparisonSymbol":"Not""#,
            "IpComparisonSymbol",
        ),
        (
            r#""LimitType":"Customize","LimitIp":["10.0.0.1"],"VpcComparisonSymbol":"NotIn""#,
            "VpcComparisonSymbol",
        ),
        (r#""LimitType":"Customize","LimitVpc":[{"Region":"r"}]"#, "LimitVpc"),
        (r#""LimitType":"NoLimit","LimitIp":["10.0.0.1"]"#, "LimitType"),
        (r#""LimitType":"LimitOnlyIntranet","LimitVpc":[{"Region":"r","VpcList":["v"]}]"#, "LimitType"),
    ] {
        assert_eq!(bad_parameter(link(rest)), name, "{rest}");
    }
    assert_eq!(link(r#""Password":"x""#), Err(Fault::UnknownParameter("Password".to_owned())));
    let Ok(Call::LinkBackup(intranet)) = link(r#""LimitType":"LimitOnlyIntranet""#) else { panic!() };
    assert_eq!((intranet.networks, intranet.limit), (Networks::Intranet, AddressLimit::None));
}

#[test]
fn backups_are_listed_as_sets() {
    let expected = ListBackups {
        place: Place::in_region(Some(text("ap-guangzhou"))),
        instance: Some(text("crs-ks000001")),
        backup: None,
        job: None,
        // 2025-12-20 00:00:00 and 2026-01-01 08:00:00 in Beijing.
        since: Some(at(1_766_160_000)),
        until: Some(at(1_767_225_600)),
        states: vec![BackupState::Running, BackupState::Available, BackupState::Failed],
        incremental: false,
        unit: Unit::Set,
        links: false,
        page: Page { offset: 40, limit: 20 },
        ..ListBackups::default()
    };
    assert_eq!(decode("tencent_v3/03"), Ok(Call::ListBackups(expected.clone())));
    let page = Page { offset: 0, limit: 100 };
    let states = vec![BackupState::Available];
    let by_form = ListBackups { until: None, states: states.clone(), page, ..expected.clone() };
    assert_eq!(decode("tencent_v3/05"), Ok(Call::ListBackups(by_form)));
    let page = Page { offset: 0, limit: 20 };
    let all = ListBackups {
        place: Place::in_region(None),
        instance: None,
        since: None,
        until: None,
        states,
        page,
        ..expected
    };
    assert_eq!(tencent("DescribeInstanceBackups", "{}"), Ok(Call::ListBackups(all)));
    for (body, name) in [
        (r#"{"Limit":0}"#, "Limit"),
        (r#"{"Limit":101}"#, "Limit"),
        (r#"{"Limit":"20"}"#, "Limit"),
        (r#"{"Offset":-1}"#, "Offset"),
        (r#"{"Status":[9]}"#, "Status"),
        (r#"{"BeginTime":"2026-01-01"}"#, "BeginTime"),
        (r#"{"BeginTime":"2026-01-02 00:00:00","EndTime":"2026-01-01 00:00:00"}"#, "EndTime"),
        (r#"{"BeginTime":"2026-01-01 00:00:00","EndTime":"2026-01-31 00:00:01"}"#, "EndTime"),
    ] {
        assert_eq!(bad_parameter(tencent("DescribeInstanceBackups", body)), name, "{body}");
    }
    for (status, nothing) in [("[3]", true), ("[4,-2]", true), ("[3,2]", false), ("[]", false)] {
        let body = format!(r#"{{"Status":{status}}}"#);
        let Ok(Call::ListBackups(list)) = tencent("DescribeInstanceBackups", &body) else { panic!() };
        assert_eq!(list.nothing, nothing, "{status}");
    }
}

#[test]
fn backups_are_taken() {
    let expected = CreateBackup {
        place: Place::in_region(Some(text("ap-guangzhou"))),
        instance: "crs-ks000002".to_owned(),
        remark: Some(text("夜间备份 a=1&b=2+3%")),
        keep_days: Some(7),
        ..CreateBackup::default()
    };
    assert_eq!(decode("tencent_v3/06"), Ok(Call::CreateBackup(expected)));
    assert_eq!(decode("tencent_v3/12"), Err(Fault::UnknownParameter("Tags".to_owned())));
    let days = |days: &str| {
        tencent("ManualBackupInstance", &format!(r#"{{"InstanceId":"i","StorageDays":{days}}}"#))
    };
    assert!(matches!(days("0"), Ok(Call::CreateBackup(CreateBackup { keep_days: None, .. }))));
    assert_eq!(bad_parameter(days("1826")), "StorageDays");
    assert_eq!(bad_parameter(tencent("ManualBackupInstance", r#"{"InstanceId":""}"#)), "InstanceId");
    let missing = Err(Fault::MissingParameter("InstanceId".to_owned()));
    assert_eq!(tencent("ManualBackupInstance", r#"{"InstanceId":null}"#), missing);
    let Ok(Call::ListBackups(by_name)) = tencent("DescribeInstanceBackups", r#"{"InstanceName":"web"}"#)
    else {
        panic!()
    };
    assert_eq!(by_name.instance_search.as_deref(), Some("web"));
}

#[test]
fn instances_are_listed() {
    let expected = ListInstances {
        place: Place::in_region(Some(text("ap-guangzhou"))),
        ids: vec!["crs-ks000001".to_owned(), "crs-ks000002".to_owned()],
        search: None,
        order: InstanceOrder::Created,
        descending: true,
        page: Page { offset: 0, limit: 2 },
        ..ListInstances::default()
    };
    assert_eq!(decode("tencent_v3/13"), Ok(Call::ListInstances(expected)));
    let list = |body: &str| tencent("DescribeInstances", body);
    let Ok(Call::ListInstances(one)) = list(r#"{"InstanceId":"a","SearchKey":"s","Status":[]}"#) else {
        panic!()
    };
    assert_eq!((one.ids, one.search), (vec!["a".to_owned()], Some(text("s"))));
    assert_eq!(bad_parameter(list(r#"{"Status":[2]}"#)), "Status");
    assert_eq!(bad_parameter(list(r#"{"InstanceId":"a","InstanceIds":["b"]}"#)), "InstanceId");
    assert_eq!(bad_parameter(list(r#"{"InstanceName":"a","SearchKey":"b"}"#)), "SearchKey");
    let Ok(Call::ListInstances(any)) = list(r#"{"InstanceId":"a","SearchKeys":["s","10.0.0.1"]}"#) else {
        panic!()
    };
    assert_eq!((any.ids, any.any_of), (vec![text("a")], vec![text("s"), text("10.0.0.1")]));
    let order = |body: &str| match list(body) {
        Ok(Call::ListInstances(list)) => (list.order, list.descending),
        other => panic!("{other:?}"),
    };
    assert_eq!(order("{}"), (InstanceOrder::Id, false));
    assert_eq!(order(r#"{"OrderBy":"createtime "}"#), (InstanceOrder::Created, true));
    assert_eq!(order(r#"{"OrderBy":"instancename","OrderType":0}"#), (InstanceOrder::Name, false));
    assert_eq!(order(r#"{"OrderBy":"projectId","OrderType":1}"#), (InstanceOrder::Project, true));
    assert_eq!(bad_parameter(list(r#"{"OrderBy":"size"}"#)), "OrderBy");
    assert_eq!(bad_parameter(list(r#"{"OrderType":2}"#)), "OrderType");
    assert!(matches!(list("[]"), Err(Fault::MalformedRequest(_))));
}

#[test]
fn actions_are_served_not_yet_served_or_unknown() {
    for action in ["CloneInstances", "ModifyInstanceBackupMode", "DescribeSecondLevelBackupInfo"] {
        assert_eq!(tencent(action, "{}"), Err(Fault::NotSupported(action.to_owned())));
    }
    assert_eq!(tencent("MakeCoffee", "{}"), Err(Fault::UnknownAction("MakeCoffee".to_owned())));
}
