//! Huawei Cloud: DDS, `GeminiDB`, DCS and IAM.

mod answers;
mod decoding;
mod decoding_dcs;
mod decoding_iam;
mod faults;
mod hostile;
mod round_trip;
pub(crate) mod signatures;

use std::path::Path;

use bytes::Bytes;
use http::Method;
use keystow_dialects::{Call, Dialect, Fault, Request, Response, Secret, huawei::Huawei};
use serde_json::Value;

use crate::capture::{Capture, Parts};
use crate::shared::at;

/// The moment of every recorded request, 2026-11-21T08:00:00Z.
pub(crate) const MOMENT: u64 = 1_795_248_000;
const PROJECT: &str = "0123456789abcdef0123456789abcdef";
const INSTANCE: &str = "11111111222233334444555566667777in12";
const BACKUP: &str = "aaaabbbbccccddddeeeeffff00001111br12";

fn text(value: &Value) -> String {
    value.as_str().expect("a text").to_owned()
}

/// Every recorded request.
fn recorded() -> Vec<Capture> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/captures/huawei");
    let mut files: Vec<_> = std::fs::read_dir(root).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert_eq!(files.len(), 13, "files of recorded requests");
    let mut captures = Vec::new();
    for path in files {
        let record: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        assert_eq!(record["clock_utc"], "2026-11-21T08:00:00Z");
        let credentials = &record["credentials"];
        for request in record["requests"].as_array().unwrap() {
            let headers = request["headers"].as_array().unwrap().iter();
            let known = |name: &str| credentials[name].as_str().unwrap_or_default().to_owned();
            captures.push(Capture {
                dialect: "huawei",
                name: format!("huawei/{}", path.file_stem().unwrap().display()),
                parts: Parts {
                    method: text(&request["method"]).parse().unwrap(),
                    target: text(&request["target"]).into_bytes(),
                    headers: headers.map(|pair| (text(&pair[0]), text(&pair[1]).into_bytes())).collect(),
                    body: text(&request["body"]).into_bytes(),
                },
                access_key_id: known("access_key"),
                secret: Secret::new(known("secret_key")),
                token: credentials["security_token"].as_str().map(str::to_owned),
                signed_at: at(MOMENT),
                valid: true,
                expected: request["derived"].clone(),
            });
        }
    }
    captures
}

/// The recorded requests that are signed.
pub(crate) fn signed() -> Vec<Capture> {
    recorded().into_iter().filter(|capture| !capture.expected.is_null()).collect()
}

/// The recorded request of a number that is not signed.
fn unsigned(number: &str) -> Request {
    let start = format!("huawei/{number}");
    let found = recorded().into_iter().find(|capture| capture.name.starts_with(&start)).unwrap();
    assert!(found.expected.is_null());
    found.request()
}

/// A request without credentials; `{p}`, `{i}` and `{b}` in the target stand for the known ids.
fn request(method: &Method, target: &str, body: &str) -> Request {
    let target = target.replace("{p}", PROJECT).replace("{i}", INSTANCE).replace("{b}", BACKUP);
    let request =
        http::Request::builder().method(method).uri(target).header("content-type", "application/json");
    request.body(Bytes::from(body.to_owned())).unwrap()
}

fn get(target: &str) -> Request {
    request(&Method::GET, target, "")
}

fn decode(request: &Request) -> Result<Call, Fault> {
    Huawei.decode(request)
}

/// What a fault is answered with: status, code, message.
fn refusal(request: &Request, fault: Fault) -> (u16, String, String) {
    let response = crate::shared::encode(&Huawei, request, fault);
    let error = crate::shared::json(&response);
    let text = |name: &str| error[name].as_str().unwrap_or_default().to_owned();
    (response.status().as_u16(), text("error_code"), text("error_msg"))
}

/// The code that a request is refused with when it is decoded.
fn refused(request: &Request) -> String {
    match decode(request) {
        Err(fault) => refusal(request, fault).1,
        Ok(call) => panic!("{call:?}"),
    }
}

fn request_id(response: &Response) -> &str {
    response.headers()["x-request-id"].to_str().unwrap()
}
