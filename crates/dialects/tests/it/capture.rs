//! Reads the recorded requests of `tests/captures`.

use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::Method;
use keystow_dialects::{Request, Secret};
use serde_json::Value;

/// A request in pieces that can be changed byte by byte.
#[derive(Debug, Clone)]
pub(crate) struct Parts {
    pub(crate) method: Method,
    pub(crate) target: Vec<u8>,
    pub(crate) headers: Vec<(String, Vec<u8>)>,
    pub(crate) body: Vec<u8>,
}

impl Parts {
    /// The request, unless no HTTP server would hand it on.
    pub(crate) fn request(&self) -> Option<Request> {
        let mut request = http::Request::builder().method(self.method.clone()).uri(&self.target[..]);
        for (name, value) in &self.headers {
            request = request.header(name, &value[..]);
        }
        request.body(self.body.clone().into()).ok()
    }
}

/// One recorded request and what is known of it.
pub(crate) struct Capture {
    pub(crate) dialect: &'static str,
    pub(crate) name: String,
    pub(crate) parts: Parts,
    pub(crate) access_key_id: String,
    pub(crate) secret: Secret,
    pub(crate) token: Option<String>,
    pub(crate) signed_at: SystemTime,
    pub(crate) valid: bool,
    /// `canonical_request`, `string_to_sign`, `signature` and, for Tencent, `signed_host`.
    pub(crate) expected: Value,
}

impl Capture {
    pub(crate) fn request(&self) -> Request {
        self.parts.request().expect("a recorded request is a request")
    }
}

fn text(value: &Value) -> String {
    value.as_str().expect("a text").to_owned()
}

fn read(dialect: &'static str, path: &Path) -> Capture {
    let record: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    // Alibaba's, Tencent's and UCloud's word for the same.
    let pick = |words: [&'static str; 3]| match dialect {
        "alibaba" => words[0],
        "ucloud" => words[2],
        _ => words[1],
    };
    let credentials = &record["credentials"];
    let request = &record["request"];
    let headers = request["headers"].as_array().unwrap().iter();
    Capture {
        dialect,
        name: format!("{dialect}/{}", path.file_stem().unwrap().display()),
        parts: Parts {
            method: text(&request["method"]).parse().unwrap(),
            target: text(&request["target"]).into_bytes(),
            headers: headers.map(|pair| (text(&pair[0]), text(&pair[1]).into_bytes())).collect(),
            body: STANDARD.decode(text(&request["body_base64"])).unwrap(),
        },
        access_key_id: text(&credentials[pick(["access_key_id", "secret_id", "public_key"])]),
        secret: Secret::new(text(&credentials[pick(["access_key_secret", "secret_key", "private_key"])])),
        token: credentials[pick(["security_token", "token", "security_token"])].as_str().map(str::to_owned),
        signed_at: UNIX_EPOCH
            + Duration::from_secs(
                record[pick(["timestamp_unix", "clock_unix", "timestamp_unix"])].as_u64().unwrap(),
            ),
        valid: record.get("expect").is_none_or(|expect| expect == "valid"),
        expected: without_secret(record[pick(["expected", "derived", "expected"])].clone(), dialect),
    }
}

/// `UCloud`'s signed text ends in the private key, which is never shown.
fn without_secret(mut expected: Value, dialect: &str) -> Value {
    if dialect == "ucloud" {
        let signed = text(&expected["string_to_sign"]);
        let signed = signed.strip_suffix("fakePrivateKeyKeystow0001").expect("the key at the end");
        expected["string_to_sign"] = format!("{signed}<secret>").into();
    }
    expected
}

/// Every recorded request.
pub(crate) fn all() -> Vec<Capture> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/captures");
    let mut captures = Vec::new();
    for (dialect, count) in [("alibaba", 13), ("tencent_v2", 14), ("tencent_v3", 17), ("ucloud", 14)] {
        let files = std::fs::read_dir(root.join(dialect)).unwrap().map(|entry| entry.unwrap().path());
        let mut files: Vec<_> =
            files.filter(|path| path.extension().is_some_and(|end| end == "json")).collect();
        files.sort();
        assert_eq!(files.len(), count, "recorded requests of {dialect}");
        captures.extend(files.iter().map(|path| read(dialect, path)));
    }
    captures.extend(crate::huawei::signed());
    captures
}

/// The recorded request whose name starts so, such as `alibaba/01`.
pub(crate) fn one(start: &str) -> Capture {
    all().into_iter().find(|capture| capture.name.starts_with(start)).expect("a recorded request")
}
