//! Files of real servers and other projects hold what an independent scan and a real server found in them.

use std::{collections::BTreeMap, mem};

use keystow_rdb::{Checksum, Event, Kind, Limits, Reader};
use serde_json::Value;

use super::{check, fixture};

fn expectations() -> BTreeMap<String, Value> {
    serde_json::from_slice(&fixture("expected.json")).unwrap()
}

fn counts(value: &Value) -> BTreeMap<String, u64> {
    serde_json::from_value(value.clone()).unwrap()
}

fn encodings(bytes: &[u8]) -> BTreeMap<String, u64> {
    let mut found = BTreeMap::new();
    let mut reader = Reader::new(bytes, Limits::default());
    while let Some(event) = reader.next_event().unwrap() {
        if let Event::Entry(entry) = event {
            *found.entry(entry.encoding.number.to_string()).or_default() += 1;
        }
    }
    found
}

#[test]
fn every_supported_file_holds_what_was_found_in_it() {
    let mut files = 0;
    for (name, expected) in expectations() {
        if expected.get("refused").is_some() {
            continue;
        }
        let bytes = fixture(&name);
        let report = check(&bytes).unwrap_or_else(|failure| panic!("{name}: {failure}"));
        assert_eq!(u64::from(report.rdb_version), expected["version"], "{name}: version");
        assert_eq!(report.keys + report.empty_keys, expected["keys_stored"], "{name}: keys");
        assert_eq!(encodings(&bytes), counts(&expected["encodings"]), "{name}: encodings");
        assert_eq!(report.functions, expected["functions"], "{name}: functions");
        assert_eq!(serde_json::json!(report.modules), expected["modules"], "{name}: modules");
        let checksum = match report.checksum {
            Checksum::Ok => "ok",
            Checksum::Absent => "absent",
            Checksum::Bad { .. } => "bad",
        };
        assert_eq!(checksum, expected["checksum"], "{name}: checksum");
        assert_eq!(report.bytes, bytes.len() as u64, "{name}: bytes");
        if let Some(databases) = expected.get("databases") {
            let found = report.databases.iter();
            let found: BTreeMap<_, _> = found.map(|(db, report)| (db.to_string(), report.keys)).collect();
            assert_eq!(found, counts(databases), "{name}: keys by database");
        }
        if let Some(kinds) = expected.get("kinds") {
            let found = report.kinds.iter();
            let found: BTreeMap<_, _> = found.map(|(kind, report)| (kind.to_string(), report.keys)).collect();
            assert_eq!(found, counts(kinds), "{name}: keys by kind");
        }
        files += 1;
    }
    assert!(files > 60, "only {files} files were looked at");
}

#[test]
fn every_unsupported_file_is_refused_by_name_and_its_checksum_still_checked() {
    for (name, expected) in expectations() {
        let Some(code) = expected.get("refused") else {
            continue;
        };
        let bytes = fixture(&name);
        let mut reader = Reader::new(&bytes[..], Limits::default());
        let fault = loop {
            match reader.next_event() {
                Ok(event) => assert!(event.is_some(), "{name} must be refused"),
                Err(fault) => break fault,
            }
        };
        assert_eq!(fault.reason.code(), code, "{name}: {fault}");
        assert!(fault.reason.is_unvouched(), "{name}");
        assert_eq!(reader.next_event().unwrap_err(), fault, "{name}: the fault stays");
        let checksum = reader.finish_unparsed().unwrap();
        let is_bad =
            mem::discriminant(&checksum) == mem::discriminant(&Checksum::Bad { stored: 0, computed: 0 });
        assert_eq!(is_bad, name == "librdb--future_v19.rdb", "{name}: {checksum:?}");
    }
}

#[test]
fn entries_carry_their_attributes() {
    let attributes = |name| {
        let bytes = fixture(name);
        let mut reader = Reader::new(&bytes[..], Limits::default());
        let mut found = Vec::new();
        while let Some(event) = reader.next_event().unwrap() {
            if let Event::Entry(entry) = event {
                found.push((entry.expires_ms, entry.idle_seconds, entry.frequency));
            }
        }
        found
    };
    let lfu = attributes("replicator--dump-lfu.rdb");
    assert_eq!(lfu.len(), 2);
    assert!(lfu.iter().all(|(_, idle, frequency)| idle.is_none() && frequency.is_some()));
    assert_eq!(lfu.iter().filter(|(expiry, ..)| expiry.is_some()).count(), 1);
    assert!(attributes("librdb--mem_policy_lru.rdb")[0].1.is_some());
}

#[test]
fn report_names_the_server_and_the_largest_key() {
    let report = check(&fixture("srv-redis-7.0.15-nocompress.rdb")).unwrap();
    assert_eq!(report.magic, "REDIS0010");
    assert_eq!(report.aux["redis-ver"], "7.0.15");
    assert_eq!(report.databases[&0].with_expiry + report.databases[&9].with_expiry, 2);
    let (key, bytes) = report.largest_key.unwrap();
    assert_eq!(key, b"list:big");
    assert!(bytes > 18_000);
    let all: u64 = report.kinds.values().map(|kind| kind.bytes).sum();
    assert!(all < report.bytes && report.bytes - all < 500, "{all} of {}", report.bytes);
    assert_eq!(report.kinds[&Kind::Stream].keys, 2);
}
