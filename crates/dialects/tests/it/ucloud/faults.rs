//! Every fault has a code of the vendor's, with HTTP 200.

use http::Method;
use keystow_dialects::{Dialect, Fault, Reply, Request, recognise, ucloud::Ucloud};

use crate::capture;
use crate::shared::{REQUEST_ID, content_type, encode, every_fault, exchange, get, json, text};

fn asked(action: &str) -> Request {
    get(&format!("PublicKey=x&Signature=y&Action={action}"))
}

fn told(action: &str, fault: Fault) -> (i64, String) {
    let answer = json(&encode(&Ucloud, &asked(action), fault));
    (answer["RetCode"].as_i64().unwrap(), answer["Message"].as_str().unwrap().to_owned())
}

#[test]
fn every_fault_has_a_code() {
    for name in ["ucloud/01", "ucloud/05", "ucloud/07", "ucloud/11", "ucloud/14"] {
        let request = capture::one(name).request();
        for fault in every_fault() {
            let response = encode(&Ucloud, &request, fault.clone());
            assert_eq!(response.status(), 200);
            assert_eq!(content_type(&response), "application/json");
            assert_eq!(response.headers()["X-UCLOUD-REQUEST-UUID"], REQUEST_ID);
            let answer = json(&response);
            let code = answer["RetCode"].as_u64().unwrap();
            assert!(code > 0, "{fault:?}");
            let action = format!("{}Response", Ucloud.action(&request).unwrap());
            assert_eq!(answer["Action"], action.as_str());
            assert!(answer["Message"].as_str().is_some_and(|message| message.len() > 5), "{fault:?}");
            // Only what may pass by itself is repeated by the SDKs.
            let passes = matches!(
                fault,
                Fault::InstanceBusy(_) | Fault::InstanceAbnormal(_) | Fault::Unavailable(_) | Fault::Internal
            );
            assert!(code < 2000 || passes, "{fault:?} is {code}");
        }
    }
}

#[test]
fn codes_and_messages_are_the_vendors() {
    let bad = |name: &str| Fault::BadParameter { name: name.to_owned(), why: "no".to_owned() };
    let x = || text("x");
    for (fault, code, message) in [
        (Fault::Unsigned("Action"), 160, "Missing Action"),
        (Fault::UnknownAction(x()), 161, "Action [x] not exists"),
        (Fault::NotSupported(x()), 161, "Action [x] is not supported by this server"),
        (Fault::Unsigned("Signature"), 170, "Missing signature"),
        (Fault::BadSignature { string_to_sign: x() }, 171, "Signature VerifyAC Error"),
        (Fault::UnknownKey, 172, "User Not Exists"),
        (Fault::MissingParameter(text("Region")), 220, "Missing params [Region]"),
        (bad("SlaveZone"), 230, "Params [SlaveZone] not available: no"),
        (Fault::NoSuchBackup(x()), 230, "Params [BackupId] not available: no such backup"),
    ] {
        assert_eq!(told("DescribeURedisBackupURL", fault), (code, message.to_owned()));
    }
    let code = |action: &str, fault: Fault| told(action, fault).0;
    for (fault, expected) in [
        (Fault::MalformedSignature(x()), 171),
        (Fault::BadToken, 174),
        (Fault::TokenOver, 174),
        (Fault::AddressDenied, 294),
        (Fault::Throttled, 153),
        (Fault::ActionDenied, 299),
        (Fault::InstanceDenied, 299),
        (Fault::DownloadClosed, 299),
        (Fault::NoSuchProject(x()), 292),
        (Fault::TooLarge, 240),
        (Fault::UnsupportedRegion(x()), 230),
        (Fault::BackupNotReady(x()), 230),
        (Fault::InstanceBusy(x()), 20203),
    ] {
        assert_eq!(code("CreateURedisBackup", fault), expected);
    }
    for (action, expected) in [
        ("DescribeURedisBackup", 20206),
        ("DescribeUMemBackupURL", 20206),
        ("CreateURedisBackup", 20203),
        ("CreateUMemBackup", 20203),
        ("UpdateURedisBackupStrategy", 20204),
        ("GetRegion", 150),
        ("Other", 150),
    ] {
        assert_eq!(code(action, Fault::Internal), expected, "{action}");
        assert_eq!(code(action, Fault::Unavailable(x())), expected, "{action}");
    }
    for (action, name) in [
        ("DescribeURedisBackup", "GroupId"),
        ("DescribeUMemBackup", "SpaceId"),
        ("DescribeUMem", "ResourceId"),
    ] {
        let expected = format!("Params [{name}] not available: no such instance");
        assert_eq!(told(action, Fault::NoSuchInstance(x())), (230, expected));
    }
}

#[test]
fn signing_in_fails_with_the_vendors_codes() {
    let capture = capture::one("ucloud/01");
    let code = |parts: &capture::Parts| {
        let request = parts.request().unwrap();
        let dialect = recognise(&request).unwrap();
        let fault = dialect
            .claim(&request)
            .and_then(|_| dialect.verify(&request, &capture.secret, capture.signed_at))
            .unwrap_err();
        json(&encode(dialect, &request, fault))["RetCode"].as_i64().unwrap()
    };
    let without = |name: &str| {
        let body = String::from_utf8(capture.parts.body.clone()).unwrap();
        let pairs: Vec<_> = body.split('&').filter(|pair| !pair.starts_with(name)).collect();
        capture::Parts { body: pairs.join("&").into_bytes(), ..capture.parts.clone() }
    };
    assert_eq!(code(&without("Signature")), 170);
    assert_eq!(code(&without("Action")), 160);
    assert_eq!(code(&without("Zone")), 171);
    let mut twice = capture.parts.clone();
    twice.target = b"/?Action=GetRegion".to_vec();
    assert_eq!(code(&twice), 171);
    let mut get = capture.parts.clone();
    get.method = Method::GET;
    get.target = [b"/?", &get.body[..]].concat();
    assert_eq!(code(&get), 230, "GET has no body");
    get.body.clear();
    assert!(Ucloud.verify(&get.request().unwrap(), &capture.secret, capture.signed_at).is_ok());
}

#[test]
fn the_answer_to_an_unreadable_request_names_what_it_can() {
    let request = http::Request::post("/").header("content-type", "application/json");
    let request = request.body(r#"{"PublicKey":"x","Action":"#.into()).unwrap();
    assert_eq!(recognise(&request).unwrap().name(), "ucloud");
    let fault = Ucloud.claim(&request).unwrap_err();
    let answer = json(&encode(&Ucloud, &request, fault));
    assert_eq!((answer["RetCode"].as_i64(), answer["Action"].as_str()), (Some(230), Some("Response")));
    let long = asked(&"A".repeat(1000));
    let answer = json(&encode(&Ucloud, &long, Fault::UnknownKey));
    assert_eq!(answer["Action"].as_str().unwrap().len(), 64 + "Response".len());
}

#[test]
fn a_reply_without_a_form_is_the_servers_own_fault() {
    for (action, reply) in [
        ("GetRegion", Reply::Done { job: None }),
        ("DescribeUMem", Reply::Regions(Vec::new())),
        ("Nothing", Reply::Regions(Vec::new())),
    ] {
        let answer = json(&Ucloud.encode(&asked(action), &exchange(), &Ok(reply)));
        assert!(answer["RetCode"].as_i64().unwrap() > 0, "{action}: {answer}");
    }
}
