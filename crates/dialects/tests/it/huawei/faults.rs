//! Every fault has a code of the vendor's, in the shape of the service asked.

use http::Method;
use keystow_dialects::{Dialect, Fault, Request, Secret, huawei::Huawei};

use super::{get, refusal, request, request_id, unsigned};
use crate::capture;
use crate::shared::{REQUEST_ID, at, content_type, encode, every_fault, json, text};

const ID: &str = "0b9d8ba83a4f4f1c9d2a3c1f6b0d7e11";

fn links() -> Request {
    get("/v3/{p}/backups/download-file")
}

fn dcs() -> Request {
    get("/v2/{p}/instances/i/backups")
}

#[test]
fn every_fault_has_a_code() {
    assert_eq!(REQUEST_ID.replace('-', ""), ID);
    let requests =
        [links(), dcs(), get("/v3/projects"), unsigned("13"), get("/v3/nothing"), get("/v3/%zz/backups")];
    for request in requests {
        for fault in every_fault() {
            let response = encode(&Huawei, &request, fault.clone());
            assert!(response.status().as_u16() >= 400, "{fault:?}");
            assert_eq!(content_type(&response), "application/json");
            assert_eq!(request_id(&response), ID);
            let body = json(&response);
            let said = |code: &str, message: &str| {
                let known = |value: &serde_json::Value| {
                    value.as_str().is_some_and(|text| !text.is_empty()) || value.is_u64()
                };
                known(&body[code]) && known(&body[message])
            };
            let identity = &body["error"];
            assert!(
                said("error_code", "error_msg")
                    || (identity["code"] == response.status().as_u16()
                        && identity["message"].as_str().is_some_and(|text| text.len() > 5)
                        && identity["title"].is_string()),
                "{fault:?}: {body}"
            );
        }
    }
}

#[test]
fn codes_and_texts_of_dds_and_geminidb_are_the_vendors() {
    let x = || text("x");
    for (fault, status, code, message) in [
        (Fault::NoSuchInstance(x()), 404, "DBS.200002", "The DB instance does not exist."),
        (Fault::NoSuchBackup(x()), 400, "DBS.201214", "The backup file does not exist."),
        (
            Fault::BackupNotReady(x()),
            400,
            "DBS.201204",
            "Operation cannot be executed in current state of the DB instance.",
        ),
        (Fault::DownloadClosed, 403, "DBS.280042", "Invalid request."),
        (Fault::NoSuchJob(x()), 400, "DBS.280016", "Resource not found."),
        (Fault::Unavailable(x()), 500, "DBS.200998", "The system is busy."),
        (Fault::Internal, 500, "DBS.280005", "Server error. Try again later."),
    ] {
        assert_eq!(refusal(&links(), fault), (status, text(code), text(message)));
    }
    for (fault, status, code) in [
        (Fault::ActionDenied, 403, "DBS.280032"),
        (Fault::InstanceDenied, 400, "DBS.200010"),
        (Fault::InstanceBusy(x()), 403, "DBS.200019"),
        (Fault::BackupProtected(x()), 403, "DBS.200011"),
        (Fault::NotSupported(x()), 400, "DBS.280343"),
        (Fault::MissingParameter(x()), 400, "DBS.200001"),
        (Fault::NoSuchProject(x()), 400, "DBS.280408"),
    ] {
        let (found_status, found, _) = refusal(&links(), fault);
        assert_eq!((found_status, found.as_str()), (status, code));
    }
    let (_, _, message) = refusal(&links(), Fault::MissingParameter(text("backup_id")));
    assert_eq!(message, "Parameter error. backup_id is missing.");
    let delete = request(&Method::DELETE, "/v3/{p}/backups/{b}", "");
    let (status, code, _) = refusal(&delete, Fault::BackupNotReady(x()));
    assert_eq!((status, code.as_str()), (403, "DBS.200019"), "one that is being taken is not deleted");
    let (status, code, message) = refusal(&delete, Fault::InstanceBusy(x()));
    assert_eq!((status, code.as_str()), (400, "DBS.201319"), "nor one that is restored from");
    assert_eq!(message, "Deleting backup file is not allowed because a restoration task is in progress");
    let (_, _, message) = refusal(&links(), Fault::NoSuchProject(text("{project_id}")));
    assert!(message.starts_with("Invalid project id. ") && message.contains("placeholder"), "{message}");
}

#[test]
fn codes_of_dcs_are_the_vendors() {
    let x = || text("x");
    for (fault, status, code) in [
        (Fault::NoSuchInstance(x()), 404, "DCS.3022"),
        (Fault::NoSuchBackup(x()), 400, "DCS.4062"),
        (Fault::BackupNotReady(x()), 400, "DCS.4087"),
        (Fault::InstanceBusy(x()), 400, "DCS.4096"),
        (Fault::NotSupported(x()), 400, "DCS.4095"),
        (Fault::NoSuchProject(x()), 401, "DCS.1004"),
        (Fault::ActionDenied, 403, "DCS.2003"),
        (Fault::Internal, 500, "DCS.5000"),
    ] {
        let (found_status, found, _) = refusal(&dcs(), fault);
        assert_eq!((found_status, found.as_str()), (status, code));
    }
    for busy in [
        request(&Method::DELETE, "/v2/{p}/instances/i/backups/b", ""),
        request(&Method::POST, "/v2/{p}/instances/i/restores", "{}"),
    ] {
        let (status, code, message) = refusal(&busy, Fault::InstanceBusy(x()));
        assert_eq!((status, code.as_str(), message.as_str()), (400, "DCS.4097", "A restore is running."));
    }
    let (_, _, message) = refusal(&dcs(), Fault::NoSuchBackup(x()));
    assert_eq!(message, "Invalid parameter. backup_id is not a backup of the instance.");
    let body = json(&encode(&Huawei, &dcs(), Fault::Internal));
    assert!(body.as_object().unwrap().contains_key("error_ext_msg") && body["error_ext_msg"].is_null());
}

#[test]
fn the_gateway_refuses_who_is_not_known() {
    for request in [links(), dcs(), get("/v3/projects")] {
        for fault in [Fault::UnknownKey, Fault::BadToken, Fault::Stale, Fault::MalformedTime, Fault::Replayed]
        {
            let body = json(&encode(&Huawei, &request, fault.clone()));
            assert_eq!(body["error_code"], "APIGW.0301", "{fault:?}");
            assert_eq!(body["request_id"], ID);
            let message = body["error_msg"].as_str().unwrap();
            assert!(message.starts_with("Incorrect IAM authentication information: "), "{message}");
        }
    }
    let gate = "The client IP address is not authorized to access the API.";
    for request in [links(), dcs()] {
        assert_eq!(refusal(&request, Fault::AddressDenied), (403, text("APIGW.0402"), text(gate)));
    }
    let message = |request: &Request, fault| refusal(request, fault).2;
    let known = |text: &str| format!("Incorrect IAM authentication information: {text}");
    assert_eq!(message(&links(), Fault::Unsigned("X-Auth-Token")), known("x-auth-token not found"));
    assert_eq!(message(&links(), Fault::BadToken), known("decrypt token fail"));
    let signed = capture::one("huawei/01").request();
    assert_eq!(message(&signed, Fault::UnknownKey), known("ak KEYSTOWFAKEAK0000001 not exist"));
    assert_eq!(
        message(&signed, Fault::Stale),
        known("signature expired, signature time:20261121T080000Z,server time:19700101T000000Z")
    );
    assert_eq!(
        refusal(&links(), Fault::UnknownAction(text("x"))),
        (
            404,
            text("APIGW.0101"),
            text("The API does not exist or has not been published in the environment.")
        )
    );
}

#[test]
fn a_mismatch_shows_the_servers_canonical_request_without_the_token() {
    let capture = capture::one("huawei/04");
    let fault = Huawei.verify(&capture.request(), &Secret::new("other"), at(super::MOMENT)).unwrap_err();
    let (status, _, message) = refusal(&capture.request(), fault);
    assert_eq!(status, 401);
    let canonical = capture.expected["canonical_request"].as_str().unwrap().replace('\n', "|");
    let canonical = canonical.replace("keystow-fake-sts-token/AAAA+BBBB==", "***");
    assert_eq!(
        message,
        format!(
            "Incorrect IAM authentication information: verify aksk signature fail, canonicalRequest:{canonical}"
        )
    );
}

#[test]
fn a_throttled_client_is_told_to_wait() {
    let response = encode(&Huawei, &links(), Fault::Throttled);
    assert_eq!(response.status(), 429);
    assert_eq!(response.headers()["retry-after"], "1");
    assert_eq!(json(&response)["error_code"], "APIGW.0308");
    assert_eq!(json(&response)["error_msg"], "The throttling threshold has been reached.");
}

#[test]
fn iam_does_not_tell_an_unknown_user_from_a_wrong_password() {
    let login = unsigned("13");
    let body = |fault| json(&encode(&Huawei, &login, fault));
    assert_eq!(body(Fault::UnknownKey), body(Fault::WrongPassword));
    assert_eq!(body(Fault::WrongPassword)["error"]["code"], 401);
    assert_eq!(body(Fault::WrongPassword)["error"]["title"], "Unauthorized");
    for (fault, status) in [
        (Fault::MissingParameter(text("user.name")), 400),
        (Fault::MalformedRequest(text("x")), 400),
        (Fault::ActionDenied, 403),
        (Fault::NoSuchProject(text("x")), 401),
    ] {
        assert_eq!(encode(&Huawei, &login, fault).status(), status);
    }
    let temporary = request(&Method::POST, "/v3.0/OS-CREDENTIAL/securitytokens", "{}");
    let fault = Huawei.decode(&temporary).unwrap_err();
    let response = encode(&Huawei, &temporary, fault);
    assert_eq!((response.status().as_u16(), &json(&response)["error"]["code"]), (501, &501.into()));
}

#[test]
fn messages_are_chinese_where_that_is_asked_for() {
    let message = |language: &str, fault| {
        let mut request = links();
        request.headers_mut().insert("x-language", language.parse().unwrap());
        refusal(&request, fault).2
    };
    assert_eq!(message("zh-cn", Fault::NoSuchBackup(text("x"))), "备份文件不存在。");
    assert_eq!(message("zh-cn", Fault::MissingParameter(text("backup_id"))), "参数错误。 缺少 backup_id。");
    for language in ["en-us", "fr-fr"] {
        assert_eq!(message(language, Fault::NoSuchBackup(text("x"))), "The backup file does not exist.");
    }
}
