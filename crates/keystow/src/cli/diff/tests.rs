//! Random edits of a data set are found, and nothing else, in memory as in files.

use std::collections::BTreeMap;
use std::sync::Arc;

use keystow_rdb::{Digest, Kind};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::compare::compare;
use super::record::Record;
use super::report::{Report, Style};
use super::side::{Parting, Side};

/// What is known of a key.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Fact {
    kind: Kind,
    value: u128,
    expires_ms: Option<i64>,
}

type Keys = BTreeMap<(u64, Vec<u8>), Fact>;

fn side(keys: &Keys, parting: &Arc<Parting>) -> Side {
    let mut side = Side::new(Arc::clone(parting));
    for ((database, key), fact) in keys {
        let record = Record {
            database: *database,
            key,
            kind: fact.kind,
            expires_ms: fact.expires_ms,
            digest: Digest { contents: fact.value, history: None, activity: None },
        };
        side.add(&record).unwrap();
    }
    side
}

/// All lines of the report, and whether it says that something differs.
fn diff(before: &Keys, after: &Keys, parting: Parting, ignore_ttl: bool) -> (Vec<Value>, bool) {
    let parting = Arc::new(parting);
    let mut text = Vec::new();
    let style = Style { json: true, summary_only: false };
    let mut report = Report::new(style, ignore_ttl, |bytes| {
        text.extend_from_slice(bytes);
        Ok(())
    });
    compare(side(before, &parting), side(after, &parting), &mut |pair| report.add(pair)).unwrap();
    let differs = report.finish().unwrap();
    let lines = text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    (lines.map(|line| serde_json::from_slice(line).unwrap()).collect(), differs)
}

/// Every key with its ways to differ, found by looking at each of both maps.
fn expected(before: &Keys, after: &Keys) -> BTreeMap<(u64, String), Vec<String>> {
    let mut expected = BTreeMap::new();
    for name @ (database, key) in before.keys().chain(after.keys()) {
        let what = match (before.get(name), after.get(name)) {
            (None, _) => vec!["added".to_owned()],
            (_, None) => vec!["removed".to_owned()],
            (Some(before), Some(after)) => {
                let ways = [
                    ("type", before.kind != after.kind),
                    ("value", before.kind == after.kind && before.value != after.value),
                    ("expiry", before.expires_ms != after.expires_ms),
                ];
                ways.into_iter().filter(|(_, differs)| *differs).map(|(way, _)| way.to_owned()).collect()
            }
        };
        if !what.is_empty() {
            expected.insert((*database, String::from_utf8_lossy(key).into_owned()), what);
        }
    }
    expected
}

fn found(lines: &[Value]) -> BTreeMap<(u64, String), Vec<String>> {
    let found = lines.iter().map(|line| {
        let what = match line["what"].as_array() {
            Some(what) => what.iter().map(|way| way.as_str().unwrap().to_owned()).collect(),
            None => vec![line["change"].as_str().unwrap().to_owned()],
        };
        ((line["db"].as_u64().unwrap(), line["key"].as_str().unwrap().to_owned()), what)
    });
    found.collect()
}

fn fact() -> impl Strategy<Value = Fact> {
    (prop::sample::select(&Kind::ALL[..2]), 0u128..3, prop::option::of(1i64..3))
        .prop_map(|(kind, value, expires_ms)| Fact { kind, value, expires_ms })
}

fn keys() -> impl Strategy<Value = Keys> {
    proptest::collection::btree_map((0u64..2, "[a-e]{0,2}".prop_map(String::into_bytes)), fact(), 0..40)
}

proptest! {
    #[test]
    fn exactly_the_edits_are_found(before in keys(), after in keys(), most_bytes in 1u64..4000) {
        let expected = expected(&before, &after);
        for (bytes, most_bytes) in [(None, u64::MAX), (Some(9), most_bytes), (Some(3000), most_bytes)] {
            let (lines, differs) = diff(&before, &after, Parting::new(bytes, most_bytes, None), false);
            prop_assert_eq!(differs, !expected.is_empty());
            let (summary, lines) = lines.split_last().unwrap();
            let found = found(lines);
            prop_assert_eq!(lines.len(), found.len(), "each key once");
            prop_assert_eq!(&found, &expected);
            let summary = &summary["summary"];
            let changed = summary["changed"].as_u64().unwrap();
            let both = changed + summary["same"].as_u64().unwrap();
            prop_assert_eq!(both + summary["removed"].as_u64().unwrap(), before.len() as u64);
            prop_assert_eq!(both + summary["added"].as_u64().unwrap(), after.len() as u64);
        }
    }
}

fn one(name: &[u8], fact: Fact) -> Keys {
    [((3, name.to_vec()), fact)].into()
}

const FACT: Fact = Fact { kind: Kind::Hash, value: 1, expires_ms: Some(5) };

#[test]
fn expiry_makes_no_difference_if_asked() {
    let (before, after) = (one(b"k", FACT), one(b"k", Fact { expires_ms: None, ..FACT }));
    assert!(diff(&before, &after, Parting::for_files(None, None), false).1);
    assert!(!diff(&before, &after, Parting::for_files(None, None), true).1);
}

#[test]
fn lines_have_their_shape() {
    let before = one(b"k\xff", FACT);
    let after = one(b"k\xff", Fact { kind: Kind::Set, expires_ms: None, ..FACT });
    let (lines, _) = diff(&before, &after, Parting::for_files(None, None), false);
    let expected = [
        json!({
            "change": "changed", "db": 3, "key": {"base64": "a/8="}, "what": ["type", "expiry"],
            "type": "set", "type_before": "hash", "expires_at_ms": null, "expires_at_ms_before": 5,
        }),
        json!({"summary": {
            "added": 0, "removed": 0, "changed": 1, "same": 0,
            "changed_type": 1, "changed_value": 0, "changed_expiry": 1,
        }}),
    ];
    assert_eq!(lines, expected);
    let (lines, _) = diff(&Keys::new(), &one(b"k", FACT), Parting::for_files(None, None), false);
    assert_eq!(lines[0], json!({"change": "added", "db": 3, "key": "k", "type": "hash", "expires_at_ms": 5}));
}

#[test]
fn folder_that_is_not_there_is_named() {
    let parting = Arc::new(Parting::new(None, 1, Some("/nowhere/at all".into())));
    let record =
        Record { database: 0, key: b"k", kind: Kind::Set, expires_ms: None, digest: Digest::default() };
    let failure = Side::new(parting).add(&record).unwrap_err();
    assert!(failure.message.contains("/nowhere/at all"), "{failure}");
}

#[test]
fn parts_of_small_keys_are_held_as_they_are_and_take_no_spare_room() {
    const KEYS: u32 = 400_000;
    // As in a file: type, length and key, then a number of one byte.
    let file_bytes = u64::from(KEYS) * (1 + 1 + 6 + 2);
    let parting = Arc::new(Parting::for_files(Some(file_bytes), None));
    let mut side = Side::new(Arc::clone(&parting));
    for key in 0..KEYS {
        let key = format!("{key:06}").into_bytes();
        let (kind, digest) = (Kind::String, Digest::default());
        side.add(&Record { database: 0, key: &key, kind, expires_ms: None, digest }).unwrap();
    }
    let parts = side.settle().unwrap().into_parts().unwrap();
    assert!(parts.len() > 1);
    for part in parts {
        assert!(parting.below(part.bytes()).is_none(), "{} bytes in one of the parts", part.bytes());
        let bytes = part.read(&parting).unwrap();
        assert_eq!(bytes.capacity(), bytes.len());
    }
}
