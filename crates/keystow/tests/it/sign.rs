//! `keystow sign` against the requests that were recorded from the vendors' own SDKs.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use base64::Engine as _;
use serde_json::Value;
use tempfile::TempDir;

use crate::lab::{Said, program, run};

const DIALECTS: [&str; 5] = ["alibaba", "huawei", "tencent_v2", "tencent_v3", "ucloud"];

/// One recorded request and what is known of it.
struct Recorded {
    dialect: &'static str,
    name: String,
    method: String,
    target: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    access_key_id: String,
    secret: String,
    string_to_sign: String,
    signature: String,
    /// Whether the secret is the one that it was signed with.
    valid: bool,
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// The first of these members that is a text: vendors name the same thing differently.
fn first(of: &Value, names: &[&str]) -> String {
    names.iter().find_map(|name| of[*name].as_str()).unwrap_or_else(|| panic!("{names:?} in {of}")).to_owned()
}

/// Every signed request of a vendor's recordings.
fn recorded(dialect: &'static str) -> Vec<Recorded> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../dialects/tests/captures").join(dialect);
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let record: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        let several = record["requests"].as_array().cloned();
        for request in several.unwrap_or_else(|| vec![record["request"].clone()]) {
            let derived = [&request["derived"], &record["derived"], &record["expected"]];
            let Some(derived) = derived.into_iter().find(|derived| derived.is_object()) else { continue };
            let headers = request["headers"].as_array().unwrap().iter();
            let keys = &record["credentials"];
            found.push(Recorded {
                dialect,
                name: path.display().to_string(),
                method: text(&request["method"]),
                target: text(&request["target"]),
                headers: headers.map(|pair| (text(&pair[0]), text(&pair[1]))).collect(),
                body: match request["body_base64"].as_str() {
                    Some(encoded) => base64::engine::general_purpose::STANDARD.decode(encoded).unwrap(),
                    None => text(&request["body"]).into_bytes(),
                },
                access_key_id: first(keys, &["access_key_id", "access_key", "secret_id", "public_key"]),
                secret: first(keys, &["access_key_secret", "secret_key", "private_key"]),
                string_to_sign: text(&derived["string_to_sign"]),
                signature: text(&derived["signature"]),
                valid: record["expect"] != "invalid-signature",
            });
        }
    }
    assert!(found.len() > 8, "{dialect} has {} recordings", found.len());
    found
}

impl Recorded {
    /// The request as it goes over the wire.
    fn raw(&self) -> Vec<u8> {
        let mut raw = format!("{} {} HTTP/1.1\r\n", self.method, self.target);
        for (name, value) in &self.headers {
            raw.push_str(&[name, ": ", value, "\r\n"].concat());
        }
        if !self.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-length")) {
            raw.push_str(&["Content-Length: ", &self.body.len().to_string(), "\r\n"].concat());
        }
        raw.push_str("\r\n");
        [raw.into_bytes(), self.body.clone(), b"the next request".to_vec()].concat()
    }

    /// The same as curl's flags.
    fn flags(&self, folder: &TempDir) -> Vec<String> {
        // A host that fits into a URL goes there; tccli's, with a scheme, does not.
        let is_host = |name: &str, value: &str| name.eq_ignore_ascii_case("host") && !value.contains('/');
        let host = self.headers.iter().find(|(name, value)| is_host(name, value));
        let host = host.map_or("127.0.0.1", |(_, host)| host);
        let mut words = vec!["-X".to_owned(), self.method.clone()];
        for (name, value) in self.headers.iter().filter(|(name, value)| !is_host(name, value)) {
            words.extend(["-H".to_owned(), format!("{name}: {value}")]);
        }
        if !self.body.is_empty() {
            let data = file(folder, "body", &self.body);
            words.extend(["-d".to_owned(), format!("@{}", data.display())]);
        }
        words.push(format!("http://{host}{}", self.target));
        words
    }
}

fn file(folder: &TempDir, name: &str, bytes: &[u8]) -> PathBuf {
    let path = folder.path().join(name);
    std::fs::write(&path, bytes).unwrap();
    path
}

fn sign(dialect: &str, words: &[String], secret: &Path, more: &[&str]) -> Said {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let fixed = ["sign", dialect, "--secret-file", secret.to_str().unwrap()];
    run(&[&fixed, words.as_slice(), more].concat())
}

/// What the command says of a request, in either form.
fn check(request: &Recorded, words: &[String], secret: &Path) {
    let said = sign(request.dialect, words, secret, &["--json"]);
    let shown: Value =
        serde_json::from_str(&said.out).unwrap_or_else(|e| panic!("{}: {e}: {said:?}", request.name));
    assert_eq!(said.code, if request.valid { 0 } else { 4 }, "{}: {said:?}", request.name);
    assert_eq!(shown["dialect"], request.dialect);
    assert_eq!(shown["access_key_id"], request.access_key_id, "{}", request.name);
    assert_eq!(shown["matches"], request.valid, "{}", request.name);
    if request.valid {
        let at = usize::try_from(shown["carried"].as_u64().unwrap()).unwrap();
        let reading = &shown["readings"][at];
        assert_eq!(reading["signature"], request.signature, "{}", request.name);
        // UCloud's text ends in the private key, which is not shown.
        let shown_text = reading["string_to_sign"].as_str().unwrap();
        if request.dialect != "ucloud" {
            assert_eq!(shown_text, request.string_to_sign, "{}", request.name);
        }
    } else {
        assert!(said.err.contains("SIGNATURE_DIFFERS"), "{said:?}");
    }
    assert!(!said.out.contains(&request.secret), "{}: the secret is shown", request.name);
}

#[test]
fn every_recorded_request_is_signed_as_its_sdk_did() {
    let folder = tempfile::tempdir().unwrap();
    for request in DIALECTS.iter().flat_map(|dialect| recorded(dialect)) {
        let secret = file(&folder, "secret", request.secret.as_bytes());
        let raw = file(&folder, "request", &request.raw());
        check(&request, &["--request".to_owned(), raw.to_str().unwrap().to_owned()], &secret);
        check(&request, &request.flags(&folder), &secret);
    }
}

#[test]
fn another_secret_gives_another_signature() {
    let folder = tempfile::tempdir().unwrap();
    let secret = file(&folder, "secret", b"not-the-secret");
    for request in DIALECTS.iter().flat_map(|dialect| recorded(dialect).into_iter().take(3)) {
        let said = sign(request.dialect, &request.flags(&folder), &secret, &[]);
        assert_eq!(said.code, 4, "{}: {said:?}", request.name);
        assert!(said.err.contains("error[SIGNATURE_DIFFERS]"), "{}: {said:?}", request.name);
        assert!(said.out.contains("the request carries another one"), "{}: {said:?}", request.name);
    }
}

#[test]
fn a_body_without_a_type_is_a_form_as_with_curl() {
    let folder = tempfile::tempdir().unwrap();
    let request = recorded("ucloud").into_iter().find(|request| request.name.contains("/01-")).unwrap();
    let secret = file(&folder, "secret", request.secret.as_bytes());
    let body = String::from_utf8(request.body).unwrap();
    let words = ["-d".to_owned(), body, "http://127.0.0.1:7360/".to_owned()];
    let said = sign("ucloud", &words, &secret, &[]);
    assert_eq!(said.code, 0, "{said:?}");
}

#[test]
fn the_steps_are_shown_for_people() {
    let folder = tempfile::tempdir().unwrap();
    let request = &recorded("tencent_v3").into_iter().find(|request| request.name.contains("/01-")).unwrap();
    let secret = file(&folder, "secret", request.secret.as_bytes());
    let said = sign(request.dialect, &request.flags(&folder), &secret, &[]);
    assert_eq!(said.code, 0, "{said:?}");
    for line in [&request.access_key_id, &format!("  |{}|", request.signature), "  |TC3-HMAC-SHA256|"] {
        assert!(said.out.contains(line), "{line} in {said:?}");
    }
    assert!(said.out.ends_with("the request carries it\n"), "{said:?}");
}

#[test]
fn the_request_may_come_on_standard_input_and_the_secret_from_the_environment() {
    let request = recorded("ucloud").swap_remove(0);
    let mut child = program()
        .args(["sign", "ucloud", "--request", "-"])
        .env("KEYSTOW_ACCESS_KEY_SECRET", &request.secret)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(&request.raw()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stdout).contains(&request.signature));
}

#[test]
fn what_is_no_request_is_a_usage_error() {
    let folder = tempfile::tempdir().unwrap();
    let secret = file(&folder, "secret", b"secret");
    let words = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect::<Vec<_>>();
    let binary = file(&folder, "binary", &[0, 255, 10, 13]);
    let cut = file(&folder, "cut", b"POST / HTTP/1.1\r\nHost: h\r\n");
    for wrong in [
        words(&["--request", binary.to_str().unwrap()]),
        words(&["--request", cut.to_str().unwrap()]),
        words(&["http://[:"]),
        words(&["-H", "no colon", "http://h/"]),
        words(&["-H", "a b: c", "http://h/"]),
        words(&["-X", "G E T", "http://h/"]),
        words(&["http://h/"]),
        words(&[]),
    ] {
        for dialect in ["alibaba", "huawei", "tencent_v3"] {
            let said = sign(dialect, &wrong, &secret, &[]);
            assert_eq!(said.code, 2, "{dialect} {wrong:?}: {said:?}");
        }
    }
    assert_eq!(sign("aws", &words(&["http://h/"]), &secret, &[]).code, 2);
    assert_eq!(run(&["sign", "alibaba", "http://h/"]).code, 2, "no secret");
}
