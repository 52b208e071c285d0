//! The signature of every form of request, and what it does not cover.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use keystow_dialects::{Dialect, Fault, Secret, ucloud::Ucloud};
use serde_json::Value;

use crate::capture::{self, Capture, Parts};
use crate::shared::get;
use crate::signatures::{Rules, accepted, changes_are_refused, decoded, header};

/// No time is signed; the path and the headers are not either.
pub(crate) const RULES: Rules =
    Rules { window: Duration::MAX, signs_header, signs_body: |_| true, says_the_same };

/// Covered by nothing; but a body that is read as another type says something else.
fn signs_header(_: &Capture, _: &str) -> bool {
    false
}

fn says_the_same(capture: &Capture, changed: &Parts) -> bool {
    signed(changed) == signed(&capture.parts)
}

/// The signed text and the signature, worked out apart from the code under test.
fn signed(parts: &Parts) -> Option<(String, String)> {
    let mut all = BTreeMap::new();
    let query = parts.target.iter().position(|byte| *byte == b'?').map(|at| &parts.target[at + 1..]);
    let form = header(parts, "content-type").is_some_and(|kind| kind.ends_with(b"urlencoded"));
    for source in [query, form.then_some(&parts.body[..])].into_iter().flatten() {
        for (name, value) in decoded(source) {
            all.insert(String::from_utf8(name).ok()?, String::from_utf8(value).ok()?);
        }
    }
    if !form {
        let Value::Object(members) = serde_json::from_slice(&parts.body).ok()? else { return None };
        all.extend(members.into_iter().map(|(name, value)| (name, flat(&value))));
    }
    let signature = all.remove("Signature")?;
    Some((all.into_iter().map(|(name, value)| name + &value).collect(), signature))
}

fn flat(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(flat).collect(),
        Value::Object(members) => {
            let sorted: BTreeMap<_, _> = members.iter().collect();
            sorted.into_iter().map(|(name, value)| name.clone() + &flat(value)).collect()
        }
        Value::Number(number) => {
            number.as_i64().map_or_else(|| number.as_f64().unwrap().to_string(), |whole| whole.to_string())
        }
        Value::Bool(flag) => flag.to_string(),
    }
}

#[test]
fn any_changed_signed_byte_is_refused() {
    changes_are_refused("ucloud");
}

#[test]
fn exchanged_bytes_are_refused() {
    for capture in capture::all().into_iter().filter(|capture| capture.dialect == "ucloud") {
        let mut parts = capture.parts.clone();
        for at in 0..parts.body.len() {
            for step in [1, 2, 3, 5, 8] {
                let other = (at + step) % parts.body.len();
                parts.body.swap(at, other);
                let good = accepted(&capture, &parts, capture.signed_at);
                assert!(!good || says_the_same(&capture, &parts), "{}: {parts:?}", capture.name);
                parts.body.swap(at, other);
            }
        }
    }
}

/// `Zone=x`, `Zonex=` and `Zo=nex` have the same signature.
#[test]
fn a_parameter_cannot_vanish_by_moving_its_name() {
    let mut moved = 0;
    for capture in capture::all().into_iter().filter(|capture| capture.dialect == "ucloud") {
        let request = capture.request();
        if matches!(Ucloud.decode(&request), Err(Fault::UnknownAction(_) | Fault::NotSupported(_))) {
            continue;
        }
        let body = String::from_utf8(capture.parts.body.clone()).unwrap();
        if body.starts_with('{') {
            continue;
        }
        for pair in body.split('&') {
            let (name, value) = pair.split_once('=').unwrap();
            let grown = [1, 2, 3].into_iter().filter_map(|at| value.split_at_checked(at));
            let grown = grown.map(|(more, rest)| format!("{name}{more}={rest}"));
            let shrunk = (0..name.len()).map(|at| format!("{}={}{value}", &name[..at], &name[at..]));
            for grown in grown.chain(shrunk) {
                let mut parts = capture.parts.clone();
                parts.body = body.replace(pair, &grown).into_bytes();
                let request = parts.request().unwrap();
                let taken = accepted(&capture, &parts, capture.signed_at) && Ucloud.decode(&request).is_ok();
                assert!(!taken, "{}: {grown}", capture.name);
                moved += 1;
            }
        }
    }
    assert!(moved > 500, "only {moved}");
}

#[test]
fn the_vendors_published_example_is_reproduced() {
    let key = "ucloudsomeone@example.com1296235120854146120";
    let secret = Secret::new("46f09bb9fab4f12dfc160dae12273d5332b5debe");
    let request = get(&format!(
        "Action=DescribeUHostInstance&Limit=10&Region=cn-bj2&PublicKey={key}\
         &Signature=cba5cf5ec4d4233d206b1b54951e3787350a642f"
    ));
    let verified = Ucloud.verify(&request, &secret, SystemTime::UNIX_EPOCH).unwrap();
    assert_eq!((verified.nonce, verified.nonce_ttl), (None, Duration::ZERO));
    assert_eq!(Ucloud.claim(&request).unwrap().access_key_id, key);
}

#[test]
fn a_request_stays_good_for_ever() {
    let capture = capture::one("ucloud/01");
    for at in [0, 1_000_000_000, 100_000_000_000] {
        let at = SystemTime::UNIX_EPOCH + Duration::from_secs(at);
        assert!(Ucloud.verify(&capture.request(), &capture.secret, at).is_ok());
    }
}

#[test]
fn a_shown_text_blanks_the_secret() {
    let capture = capture::one("ucloud/01");
    let [workings] = &Ucloud.workings(&capture.request(), &capture.secret).unwrap()[..] else { panic!() };
    assert!(workings.string_to_sign.ends_with("Zonecn-bj2-04<secret>"), "{}", workings.string_to_sign);
    let other = Secret::new("anotherSecret");
    let fault = Ucloud.verify(&capture.request(), &other, capture.signed_at).unwrap_err();
    assert!(!format!("{fault:?}").contains("anotherSecret"));
}

#[test]
fn the_signature_is_lower_case_and_whole() {
    let capture = capture::one("ucloud/01");
    let body = String::from_utf8(capture.parts.body.clone()).unwrap();
    let (rest, signature) = body.split_once("Signature=").unwrap();
    for other in [signature.to_uppercase(), signature[..39].to_owned(), format!("{signature}0")] {
        let parts = Parts { body: format!("{rest}Signature={other}").into_bytes(), ..capture.parts.clone() };
        assert!(!accepted(&capture, &parts, capture.signed_at), "{other}");
    }
}
