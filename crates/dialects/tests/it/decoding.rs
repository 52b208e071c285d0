//! What recorded and hand-made requests ask for.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::Method;
use keystow_dialects::{
    ALL, AddressLimit, BackupState, Call, CreateBackup, Dialect, Fault, LinkBackup, ListBackups,
    ListInstances, Networks, Page, Request, Unit, alibaba::Alibaba, recognise, tencent_v3::TencentV3,
};

use crate::capture;

fn text(text: &str) -> String {
    text.to_owned()
}

fn at(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(seconds)
}

fn decode(name: &str) -> Result<Call, Fault> {
    let request = capture::one(name).request();
    recognise(&request).unwrap().decode(&request)
}

fn get(query: &str) -> Request {
    http::Request::get(format!("/?{query}")).body(bytes::Bytes::new()).unwrap()
}

fn alibaba(query: &str) -> Result<Call, Fault> {
    Alibaba.decode(&get(&format!("Version=2015-01-01&AccessKeyId=x&{query}")))
}

fn tencent(action: &str, body: &str) -> Result<Call, Fault> {
    let request = http::Request::post("/")
        .header("content-type", "application/json")
        .header("x-tc-action", action)
        .header("x-tc-version", "2018-04-12");
    TencentV3.decode(&request.body(body.to_owned().into()).unwrap())
}

fn bad_parameter(outcome: Result<Call, Fault>) -> String {
    match outcome {
        Err(Fault::BadParameter { name, .. }) => name,
        other => panic!("{other:?}"),
    }
}

#[test]
fn alibaba_backups_are_listed_part_by_part_with_links() {
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
fn alibaba_backups_are_taken() {
    let forever = CreateBackup {
        place: Place::in_region(Some(text("cn-shanghai"))),
        instance: "r-keystow0002".to_owned(),
        remark: None,
        keep_days: Some(36_500),
    };
    assert_eq!(decode("alibaba/05"), Ok(Call::CreateBackup(forever)));
    let by_form = CreateBackup {
        place: Place::in_region(Some(text("cn-hangzhou"))),
        instance: "r-keystow 0001+".to_owned(),
        remark: None,
        keep_days: Some(30),
    };
    assert_eq!(decode("alibaba/13"), Ok(Call::CreateBackup(by_form)));
}

#[test]
fn alibaba_parameters_are_checked() {
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
fn alibaba_instances_are_listed_without_filters_that_cannot_be_kept() {
    let expected = ListInstances {
        place: Place::in_region(Some(text("cn-hangzhou"))),
        ids: vec!["r-1".to_owned(), "r-2".to_owned()],
        search: Some(text("café")),
        page: Page { offset: 50, limit: 50 },
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
fn tencent_links_are_asked_for_in_every_form() {
    let plain = LinkBackup {
        place: Place::in_region(Some(text("ap-guangzhou"))),
        instance: "crs-ks000001".to_owned(),
        backup: "251005863-1001463-1551952863".to_owned(),
        networks: Networks::Both,
        limit: AddressLimit::Default,
    };
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
        Ok(Call::LinkBackup(LinkBackup { region: Some(region), .. })) if region == "ap-shanghai-fsi"
    ));
}

#[test]
fn tencent_links_are_never_less_limited_than_asked() {
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
    ] {
        assert_eq!(bad_parameter(link(rest)), name, "{rest}");
    }
    assert_eq!(link(r#""Password":"x""#), Err(Fault::UnknownParameter("Password".to_owned())));
    let Ok(Call::LinkBackup(intranet)) = link(r#""LimitType":"LimitOnlyIntranet""#) else { panic!() };
    assert_eq!((intranet.networks, intranet.limit), (Networks::Intranet, AddressLimit::None));
}

#[test]
fn tencent_backups_are_listed_as_sets() {
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
        (r#"{"Status":[3]}"#, "Status"),
        (r#"{"BeginTime":"2026-01-01"}"#, "BeginTime"),
        (r#"{"BeginTime":"2026-01-02 00:00:00","EndTime":"2026-01-01 00:00:00"}"#, "EndTime"),
        (r#"{"BeginTime":"2026-01-01 00:00:00","EndTime":"2026-01-31 00:00:01"}"#, "EndTime"),
    ] {
        assert_eq!(bad_parameter(tencent("DescribeInstanceBackups", body)), name, "{body}");
    }
}

#[test]
fn tencent_backups_are_taken() {
    let expected = CreateBackup {
        place: Place::in_region(Some(text("ap-guangzhou"))),
        instance: "crs-ks000002".to_owned(),
        remark: Some(text("夜间备份 a=1&b=2+3%")),
        keep_days: Some(7),
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
}

#[test]
fn tencent_instances_are_listed() {
    let expected = ListInstances {
        place: Place::in_region(Some(text("ap-guangzhou"))),
        ids: vec!["crs-ks000001".to_owned(), "crs-ks000002".to_owned()],
        search: None,
        page: Page { offset: 0, limit: 2 },
    };
    assert_eq!(decode("tencent_v3/13"), Ok(Call::ListInstances(expected)));
    let list = |body| tencent("DescribeInstances", body);
    let Ok(Call::ListInstances(one)) = list(r#"{"InstanceId":"a","SearchKey":"s","Status":[]}"#) else {
        panic!()
    };
    assert_eq!((one.ids, one.search), (vec!["a".to_owned()], Some(text("s"))));
    assert_eq!(bad_parameter(list(r#"{"Status":[2]}"#)), "Status");
    assert_eq!(bad_parameter(list(r#"{"InstanceId":"a","InstanceIds":["b"]}"#)), "InstanceId");
    assert_eq!(bad_parameter(list(r#"{"SearchKeys":["a","b"]}"#)), "SearchKey");
    assert!(matches!(list("[]"), Err(Fault::MalformedRequest(_))));
}

#[test]
fn actions_are_served_not_yet_served_or_unknown() {
    for (name, action) in [
        ("alibaba/06", "RestoreInstance"),
        ("alibaba/10", "DescribeClusterBackupList"),
        ("alibaba/11", "ModifyBackupPolicy"),
        ("tencent_v3/04", "DescribeBackupDownloadRestriction"),
        ("tencent_v3/08", "DescribeInstanceShards"),
        ("tencent_v3/09", "ModifyAutoBackupConfig"),
    ] {
        assert_eq!(decode(name), Err(Fault::NotSupported(action.to_owned())));
    }
    let unknown = Err(Fault::UnknownAction("MakeCoffee".to_owned()));
    assert_eq!(alibaba("Action=MakeCoffee"), unknown);
    assert_eq!(tencent("MakeCoffee", "{}"), unknown);
    let other = Alibaba.decode(&get("Action=DescribeBackups&Version=2014-01-01&AccessKeyId=x"));
    assert_eq!(other, Err(Fault::UnknownVersion("2014-01-01".to_owned())));
}

#[test]
fn requests_are_recognised_by_their_marks_signed_or_not() {
    let name = |request: &Request| recognise(request).map(Dialect::name);
    for (query, expected) in [
        ("Action=DescribeBackups&Version=2015-01-01", Some("alibaba")),
        ("AccessKeyId=x&SignatureVersion=1.0", Some("alibaba")),
        ("AccessKeyId=x", None),
        ("Action=DescribeBackupUrl&Version=2018-04-12", Some("tencent_v3")),
        ("SecretId=x", Some("tencent_v3")),
        ("Action=DescribeBackupUrl", None),
        ("PublicKey=x&Signature=y", None),
        ("", None),
    ] {
        assert_eq!(name(&get(query)), expected, "{query}");
    }
    let with = |header: &str, value: &str, path: &str| {
        let request = http::Request::builder().method(Method::POST).uri(path).header(header, value);
        request.body(bytes::Bytes::new()).unwrap()
    };
    assert_eq!(name(&with("authorization", "ACS3-RSA-SHA256 x", "/")), Some("alibaba"));
    assert_eq!(name(&with("x-acs-version", "2015-01-01", "/")), Some("alibaba"));
    assert_eq!(name(&with("x-tc-action", "X", "/")), Some("tencent_v3"));
    assert_eq!(name(&with("authorization", "TC3-HMAC-SHA256 x", "/")), Some("tencent_v3"));
    assert_eq!(name(&with("authorization", "Basic eDp5", "/")), None);
    assert_eq!(name(&with("x-tc-action", "X", "/v2/index.php?SecretId=x")), None, "the older API's own path");
    assert_eq!(name(&with("x-tc-action", "X", "/api/v1/backups")), None);
}

#[test]
fn unsigned_requests_name_what_is_missing() {
    let claim = |query: &str| recognise(&get(query)).unwrap().claim(&get(query));
    let alibaba = "Action=DescribeBackups&Version=2015-01-01";
    assert_eq!(claim(alibaba), Err(Fault::Unsigned("AccessKeyId")));
    assert_eq!(claim(&format!("{alibaba}&AccessKeyId=x")), Err(Fault::Unsigned("Signature")));
    assert_eq!(claim("AccessKeyId=x&SignatureVersion=1.0"), Err(Fault::Unsigned("Action")));
    assert_eq!(claim("Action=DescribeBackupUrl&Version=2018-04-12"), Err(Fault::Unsigned("SecretId")));
    let v1 = "Action=a&Version=2018-04-12&SecretId=x&Timestamp=1";
    assert_eq!(claim(v1), Err(Fault::Unsigned("Nonce")));
    for dialect in ALL {
        assert!(dialect.claim(&get("")).is_err());
    }
    let skipped = http::Request::post("/").header("authorization", "SKIP").header("x-tc-action", "a");
    let skipped = TencentV3.claim(&skipped.body(bytes::Bytes::new()).unwrap());
    assert!(matches!(skipped, Err(Fault::MalformedSignature(_))));
}
