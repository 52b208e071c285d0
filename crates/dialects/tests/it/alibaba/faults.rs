//! Every fault has a code of the vendor's, in the form that the request wants.

use std::time::{Duration, UNIX_EPOCH};

use keystow_dialects::{BackupRow, BackupState, Dialect, Fault, LinkRow, Reply, Topology, alibaba::Alibaba};
use quick_xml::Reader;
use quick_xml::events::Event;

use crate::capture;
use crate::shared::{REQUEST_ID, content_type, encode, every_fault, exchange, json};

/// The text of an XML element, after reading the whole document.
fn xml_text(body: &[u8], wanted: &str) -> Option<String> {
    let mut reader = Reader::from_reader(body);
    let (mut inside, mut found, mut buffer) = (String::new(), None, Vec::new());
    loop {
        match reader.read_event_into(&mut buffer).expect("well-formed XML") {
            Event::Start(start) => start.name().as_ref().clone_into(&mut inside),
            Event::Text(text) if inside == wanted && found.is_none() => {
                found = Some(text.to_string());
            }
            Event::End(_) => inside.clear(),
            Event::Eof => return found,
            _ => {}
        }
    }
}

#[test]
fn every_fault_has_a_code_in_alibabas_json() {
    let upper = REQUEST_ID.to_uppercase();
    for name in ["alibaba/01", "alibaba/08", "alibaba/11"] {
        let request = capture::one(name).request();
        for fault in every_fault() {
            let response = encode(&Alibaba, &request, fault.clone());
            assert!(response.status().as_u16() >= 400, "{fault:?}");
            assert_eq!(content_type(&response), "application/json;charset=utf-8");
            assert_eq!(response.headers()["x-acs-request-id"], upper.as_str());
            let error = json(&response);
            assert_eq!(error["RequestId"], upper.as_str());
            assert_eq!(error["HostId"], "127.0.0.1:18480");
            assert!(
                error["Code"].as_str().is_some_and(|code| !code.is_empty() && code.is_ascii()),
                "{fault:?}"
            );
            assert!(error["Message"].as_str().is_some_and(|message| message.len() > 5), "{fault:?}");
        }
    }
}

#[test]
fn every_fault_has_a_code_in_alibabas_xml() {
    for name in ["alibaba/03", "alibaba/04"] {
        let request = capture::one(name).request();
        for fault in every_fault() {
            let response = encode(&Alibaba, &request, fault.clone());
            assert_eq!(content_type(&response), "text/xml;charset=utf-8");
            let body = String::from_utf8(response.body().to_vec()).unwrap();
            assert!(body.starts_with("<?xml version=\"1.0\" encoding=\"UTF-8\"?><Error>"), "{body}");
            assert!(!body.contains('\u{0}'));
            for element in ["Code", "Message", "RequestId", "HostId"] {
                assert!(xml_text(body.as_bytes(), element).is_some(), "{element} of {fault:?} in {body}");
            }
        }
    }
}

#[test]
fn codes_are_the_vendors() {
    let request = capture::one("alibaba/01").request();
    let bad = |name: &str| Fault::BadParameter { name: name.to_owned(), why: "no".to_owned() };
    for (fault, status, code) in [
        (Fault::Unsigned("SignatureNonce"), 400, "MissingSignatureNonce"),
        (Fault::UnknownKey, 404, "InvalidAccessKeyId.NotFound"),
        (Fault::Stale, 400, "InvalidTimeStamp.Expired"),
        (Fault::MalformedTime, 400, "InvalidTimeStamp.Format"),
        (Fault::Replayed, 400, "SignatureNonceUsed"),
        (Fault::BadToken, 400, "MissingSecurityToken"),
        (Fault::TokenOver, 400, "InvalidSecurityToken.Expired"),
        (Fault::AddressDenied, 403, "NoPermission"),
        (Fault::UnknownAction("x".to_owned()), 404, "InvalidAction.NotFound"),
        (Fault::MissingParameter("InstanceId".to_owned()), 400, "MissingInstanceId"),
        (bad("EndTime"), 400, "InvalidEndTime.Malformed"),
        (bad("PageSize"), 400, "InvalidPageSize"),
        (bad("SignatureMethod"), 400, "InvalidSignatureMethod"),
        (Fault::NoSuchInstance("x".to_owned()), 404, "InvalidInstanceId.NotFound"),
        (Fault::NoSuchBackup("x".to_owned()), 404, "InvalidBackupId.NotFound"),
        (Fault::InstanceBusy("x".to_owned()), 403, "OperationDenied.BackupJobExists"),
        (Fault::ActionDenied, 403, "Forbidden.RAM"),
        (Fault::Throttled, 400, "Throttling.User"),
        (Fault::NotSupported("x".to_owned()), 400, "UnsupportedOperation"),
        (bad("PreferredBackupTime"), 400, "InvalidPreferredBackupTime.Malformed"),
        (bad("PreferredBackupPeriod"), 400, "InvalidPreferredBackupPeriod.Malformed"),
        (bad("BackupRetentionPeriod"), 400, "InvalidBackupRetentionPeriod.Malformed"),
        (bad("ExpectExpireTime"), 400, "InvalidExpectExpireTime.Malformed"),
        (Fault::Internal, 500, "InternalError"),
        (Fault::Unavailable("x".to_owned()), 503, "ServiceUnavailable"),
    ] {
        let response = encode(&Alibaba, &request, fault);
        assert_eq!((response.status().as_u16(), json(&response)["Code"].as_str()), (status, Some(code)));
    }
    for action in ["DeleteBackup", "ModifyBackupPolicy", "RestoreInstance", "ModifyBackupExpireTime"] {
        let request =
            crate::shared::get(&format!("Version=2015-01-01&Format=JSON&AccessKeyId=x&Action={action}"));
        let busy = encode(&Alibaba, &request, Fault::InstanceBusy("x".to_owned()));
        assert_eq!((busy.status().as_u16(), &json(&busy)["Code"]), (403, &"IncorrectDBInstanceState".into()));
    }
    let end_time = json(&encode(&Alibaba, &request, bad("EndTime")));
    assert_eq!(end_time["Message"], "The Specified parameter EndTime is not valid.");
    let policy = capture::one("alibaba/11").request();
    let missing = encode(&Alibaba, &policy, Fault::NoSuchInstance("x".to_owned()));
    assert_eq!(json(&missing)["Code"], "InvalidDBInstance.NotFound");
    let with_token = capture::one("alibaba/09").request();
    let mismatch = json(&encode(&Alibaba, &with_token, Fault::BadToken));
    assert_eq!(mismatch["Code"], "InvalidSecurityToken.MismatchWithAccessKey");
}

#[test]
fn mismatch_shows_the_servers_string_to_sign_after_a_colon() {
    let capture = capture::one("alibaba/01");
    let verdict =
        Alibaba.verify(&capture.request(), &keystow_dialects::Secret::new("other"), capture.signed_at);
    let response = encode(&Alibaba, &capture.request(), verdict.unwrap_err());
    assert_eq!(response.status(), 400);
    let error = json(&response);
    assert_eq!(error["Code"], "SignatureDoesNotMatch");
    let expected = format!(
        "Specified signature is not matched with our calculation. server string to sign is:{}",
        capture.expected["string_to_sign"].as_str().unwrap()
    );
    assert_eq!(error["Message"], expected);
    assert_eq!(expected.split(':').count(), 2, "the SDK takes what stands between the first two colons");
}

#[test]
fn xml_keeps_both_levels_of_a_list() {
    let row = BackupRow {
        id: "b".to_owned(),
        number: 775_661_111,
        job: 10001,
        instance: "r-1".to_owned(),
        node: "r-1".to_owned(),
        state: BackupState::Available,
        automated: true,
        version: "7.0.15".to_owned(),
        topology: Topology::Standalone,
        size_bytes: 7,
        started_at: UNIX_EPOCH,
        ended_at: Some(UNIX_EPOCH + Duration::from_secs(61)),
        expires_at: Some(UNIX_EPOCH + Duration::from_secs(61)),
        parts: vec![LinkRow {
            file_name: "dump.rdb".to_owned(),
            size_bytes: 7,
            public_url: Some("http://h/f?a=1&b=2".to_owned()),
            ..LinkRow::default()
        }],
        ..BackupRow::default()
    };
    let request = capture::one("alibaba/03").request();
    let failed = BackupRow { state: BackupState::Failed, parts: Vec::new(), ..row.clone() };
    let reply = Reply::Backups { total: 2, full_bytes: 7, rows: vec![row, failed] };
    let response = Alibaba.encode(&request, &exchange(), &Ok(reply));
    let body = String::from_utf8(response.body().to_vec()).unwrap();
    assert_eq!(content_type(&response), "text/xml;charset=utf-8");
    assert!(
        body.starts_with("<?xml version=\"1.0\" encoding=\"UTF-8\"?><DescribeBackupsResponse>"),
        "{body}"
    );
    assert_eq!(body.matches("<Backups>").count(), 1);
    assert_eq!(body.matches("<Backup>").count(), 2);
    assert_eq!(body.matches("<BackupDownloadURL>").count(), 1, "a failed backup has no link");
    assert!(body.contains("<BackupDownloadURL>http://h/f?a=1&amp;b=2</BackupDownloadURL>"), "{body}");
    for (element, text) in [
        ("BackupId", "775661111"),
        ("BackupStatus", "Success"),
        ("BackupStartTime", "1970-01-01T00:00:00Z"),
        ("BackupEndTime", "1970-01-01T00:01:01Z"),
        ("ExpectExpireTime", "1970-01-01T00:01Z"),
        ("EngineVersion", "7.0"),
        ("PageSize", "30"),
        ("TotalCount", "2"),
    ] {
        assert_eq!(xml_text(body.as_bytes(), element).as_deref(), Some(text), "{element}");
    }
    let empty = Reply::Backups { total: 0, full_bytes: 0, rows: Vec::new() };
    let empty = Alibaba.encode(&request, &exchange(), &Ok(empty));
    assert!(String::from_utf8_lossy(empty.body()).contains("<Backups></Backups>"));
}
