//! What is changed on the way is changed as asked, and nothing else is.

use std::collections::BTreeMap;

use keystow_rdb::{
    ChangeCounts, Changes, Event, Filter, Format, Limits, ModuleId, ModuleWhen, Pattern, Prefix, Reader,
    Record, RewriteError, RewriteOptions, RewriteSource, Rewritten, SlotSet, Ttl, Unwritable, Value, Writer,
    model::HashField, rewrite, rewrite_all, slot,
};
use proptest::prelude::*;

use super::{
    check,
    generated::{expiring_format, expiring_hash},
    values::{file, read},
    writer::{Element, Rdb, listpack, string},
};

const NOW: i64 = 1_700_000_000_000;

fn rewritten(file: &[u8], to: Format, changes: &Changes) -> Result<(Vec<u8>, Rewritten), RewriteError> {
    let mut out = Vec::new();
    let options = RewriteOptions { changes: changes.clone(), ..RewriteOptions::new(to) };
    let rewritten = rewrite(file, &mut out, &options)?;
    assert_eq!(rewritten.bytes_written, out.len() as u64);
    assert_eq!(rewritten.keys(), check(&out).unwrap().keys);
    Ok((out, rewritten))
}

fn with(ttl: Ttl) -> Changes {
    Changes { ttl, now_ms: Some(NOW), ..Changes::default() }
}

/// Names and expiries.
fn expiries(file: &[u8]) -> BTreeMap<String, Option<i64>> {
    let mut reader = Reader::new(file, Limits::default());
    let mut found = BTreeMap::new();
    while let Some(event) = reader.next_event().unwrap() {
        if let Event::Entry(entry) = event {
            found.insert(String::from_utf8(entry.key.to_vec()).unwrap(), entry.expires_ms);
        }
    }
    found
}

/// A string for each expiry, under its number.
fn expiring_keys(format: Format, keys: &[Option<i64>]) -> Vec<u8> {
    let mut writer = Writer::new(Vec::new(), format).unwrap();
    for (number, expires_ms) in keys.iter().enumerate() {
        let name = number.to_string();
        let record = Record { expires_ms: *expires_ms, ..Record::new(name.as_bytes()) };
        writer.value(&record, &Value::String(b"v".to_vec())).unwrap();
    }
    writer.end().unwrap()
}

/// A hash with a field for each expiry, 0 for none, in every encoding that has expiries: with its format.
fn expiring_hashes(fields: &[i64]) -> Vec<(Format, Vec<u8>)> {
    let field = |(number, ms): (usize, &i64)| HashField {
        field: format!("f{number}").into_bytes(),
        value: b"v".to_vec(),
        expires_ms: Some(*ms).filter(|ms| *ms != 0),
    };
    let value = [Value::Hash(fields.iter().enumerate().map(field).collect())];
    let mut files: Vec<_> = [Format::REDIS_12, Format::VALKEY_80].map(|to| (to, file(&value, to))).into();
    let packed: Vec<Element> = fields
        .iter()
        .enumerate()
        .flat_map(|(number, ms)| [format!("f{number}").as_str().into(), "v".into(), (*ms).into()])
        .collect();
    let earliest = fields.iter().copied().find(|ms| *ms != 0).unwrap_or(1 << 48);
    let with_earliest = [&earliest.to_le_bytes()[..], &string(&listpack(&packed))].concat();
    for (encoding, value) in [(23, string(&listpack(&packed))), (25, with_earliest)] {
        let mut file = Rdb::new().record(encoding, &value).end();
        file[5..9].copy_from_slice(b"0012");
        files.push((Format::REDIS_12, file));
    }
    files
}

/// The fields of the only key, with their expiries.
fn fields(file: &[u8]) -> Vec<(String, Option<i64>)> {
    let mut keys = read(file);
    let Some((_, Value::Hash(fields))) = keys.pop_first() else { panic!("no hash") };
    let text = |field: HashField| (String::from_utf8(field.field).unwrap(), field.expires_ms);
    let mut fields: Vec<_> = fields.into_iter().map(text).collect();
    fields.sort();
    fields
}

fn named(fields: &[(&str, Option<i64>)]) -> Vec<(String, Option<i64>)> {
    fields.iter().map(|(name, ms)| ((*name).to_owned(), *ms)).collect()
}

#[test]
fn keys_expire_as_asked() {
    let original = expiring_keys(Format::REDIS_9, &[None, Some(NOW), Some(NOW + 1), Some(-1)]);
    let (kept, counts) = rewritten(&original, Format::REDIS_9, &with(Ttl::Keep)).unwrap();
    assert_eq!(kept, original);
    assert_eq!((counts.changes.with_expiry, counts.changes.expired), (2, 1));
    let after = |ttl| {
        let (file, counts) = rewritten(&original, Format::REDIS_11, &with(ttl)).unwrap();
        (expiries(&file).into_values().collect::<Vec<_>>(), counts.changes)
    };
    let (moved, counts) = after(Ttl::Shift { by_ms: 10 });
    assert_eq!(moved, [None, Some(NOW + 10), Some(NOW + 11), None]);
    assert_eq!((counts.shifted, counts.expired), (2, 0));
    assert_eq!(after(Ttl::Strip).0, [None; 4]);
    let (left, counts) = after(Ttl::DropExpired { now_ms: NOW });
    assert_eq!(left, [None, Some(NOW + 1), None]);
    assert_eq!((counts.dropped_expired, counts.expired), (1, 0));
}

#[test]
fn values_without_fields_that_expire_pass_through() {
    let original = super::fixture("srv-redis-7.0.15-all.rdb");
    for ttl in [Ttl::Shift { by_ms: 1 }, Ttl::Strip, Ttl::DropExpired { now_ms: NOW }] {
        let (_, counts) = rewritten(&original, Format::REDIS_10, &with(ttl)).unwrap();
        assert!(counts.kinds.values().all(|moves| moves.converted == 0), "{ttl:?}");
    }
}

#[test]
fn fields_expire_as_asked_in_every_encoding() {
    let written = [NOW, NOW + 5, 0];
    for (from, original) in expiring_hashes(&written) {
        for to in [Format::REDIS_12, Format::VALKEY_80] {
            let after = |ttl| {
                let (file, counts) = rewritten(&original, to, &with(ttl)).unwrap();
                (fields(&file), counts.changes)
            };
            let (moved, counts) = after(Ttl::Shift { by_ms: -10 });
            let expected = named(&[("f0", Some(NOW - 10)), ("f1", Some(NOW - 5)), ("f2", None)]);
            assert_eq!((moved, counts.fields_with_expiry, counts.dropped_fields), (expected, 2, 0), "{from}");
            let (left, counts) = after(Ttl::DropExpired { now_ms: NOW });
            let expected = named(&[("f1", Some(NOW + 5)), ("f2", None)]);
            assert_eq!((left, counts.fields_with_expiry, counts.dropped_fields), (expected, 2, 1), "{from}");
        }
        for to in Format::WRITTEN {
            let (plain, _) = rewritten(&original, to, &with(Ttl::Strip)).unwrap();
            assert_eq!(fields(&plain), named(&[("f0", None), ("f1", None), ("f2", None)]), "{from} to {to}");
        }
    }
}

#[test]
fn hashes_lose_fields_until_nothing_is_left_of_them() {
    let all = with(Ttl::DropExpired { now_ms: NOW });
    for (from, original) in expiring_hashes(&[NOW - 1, NOW]) {
        for to in Format::WRITTEN {
            let (file, counts) = rewritten(&original, to, &all).unwrap();
            assert_eq!(read(&file).len(), 0, "{from} to {to}");
            let ChangeCounts { dropped_expired, dropped_fields, .. } = counts.changes;
            assert_eq!((dropped_expired, dropped_fields, counts.keys()), (1, 2, 0));
        }
    }
    // What has no place for expiries holds what is left without one, and nothing else.
    for (from, original) in expiring_hashes(&[NOW, 0]) {
        let (file, _) = rewritten(&original, Format::REDIS_9, &all).unwrap();
        assert_eq!(fields(&file), named(&[("f1", None)]), "{from}");
    }
    for (from, original) in expiring_hashes(&[NOW, NOW + 1]) {
        let Err(RewriteError::Impossible(why)) = rewritten(&original, Format::REDIS_11, &all) else {
            panic!("{from}")
        };
        assert_eq!(why.why, Unwritable::FieldExpiry(Format::REDIS_11));
        assert!(why.place.is_some());
    }
}

#[test]
fn key_of_which_fields_are_lost_keeps_the_rest() {
    let value = Value::Hash(
        [(NOW, "gone"), (NOW + 9, "there")]
            .map(|(ms, name)| HashField { field: name.into(), value: b"v".to_vec(), expires_ms: Some(ms) })
            .into(),
    );
    let mut writer = Writer::new(Vec::new(), Format::REDIS_12).unwrap();
    writer.database(3).unwrap();
    let record =
        Record { key: b"a:k", expires_ms: Some(NOW + 99), idle_seconds: Some(7), frequency: Some(9) };
    writer.value(&record, &value).unwrap();
    let original = writer.end().unwrap();
    let prefix = Some(Prefix { from: b"a:".to_vec(), to: b"b:".to_vec() });
    let changes = Changes { prefix, ..with(Ttl::DropExpired { now_ms: NOW }) };
    let (file, counts) = rewritten(&original, Format::VALKEY_80, &changes).unwrap();
    assert_eq!(counts.changes.renamed, 1);
    let mut reader = Reader::new(&file[..], Limits::default());
    let entry = loop {
        match reader.next_event().unwrap().unwrap() {
            Event::Entry(entry) => break entry,
            _ => continue,
        }
    };
    assert_eq!((entry.database, entry.key, entry.elements), (3, &b"b:k"[..], 1));
    assert_eq!((entry.expires_ms, entry.idle_seconds, entry.frequency), (Some(NOW + 99), Some(7), Some(9)));
}

#[test]
fn hash_that_would_have_to_be_held_is_bounded() {
    let fields = (0..1000).map(|number| HashField {
        field: format!("field:{number}").into_bytes(),
        value: vec![b'v'; 100],
        expires_ms: Some(NOW + number),
    });
    let original = file(&[Value::Hash(fields.collect())], Format::REDIS_12);
    let mut options = RewriteOptions::new(Format::REDIS_12);
    options.limits.max_blob_bytes = 50_000;
    options.changes.ttl = Ttl::DropExpired { now_ms: NOW + 900 };
    assert_eq!(rewrite(&original[..], Vec::new(), &options).unwrap().changes.dropped_fields, 901);
    options.changes.ttl = Ttl::DropExpired { now_ms: NOW };
    let Err(RewriteError::Impossible(why)) = rewrite(&original[..], Vec::new(), &options) else { panic!() };
    assert_eq!(why.why, Unwritable::HeldHash(50_000));
    // Others pass through whatever their size.
    options.changes.ttl = Ttl::Shift { by_ms: 1 };
    assert!(rewrite(&original[..], Vec::new(), &options).is_ok());
}

proptest! {
    #[test]
    fn changed_fields_are_those_of_the_values(
        value in expiring_hash(),
        from in expiring_format(),
        to in expiring_format(),
        by_ms in -(1i64 << 48)..1 << 48,
        now_ms in 0i64..1 << 48,
    ) {
        let original = file(std::slice::from_ref(&value), from);
        let Value::Hash(fields) = value else { unreachable!() };
        let as_read = |fields: Vec<HashField>| read(&file(&[Value::Hash(fields)], to));
        let moved = fields.iter().cloned().map(|mut field| {
            field.expires_ms = field.expires_ms.map(|ms| (ms + by_ms).clamp(1, (1 << 48) - 1));
            field
        });
        let shifted = rewritten(&original, to, &with(Ttl::Shift { by_ms })).unwrap().0;
        prop_assert_eq!(read(&shifted), as_read(moved.collect()));
        let left: Vec<_> =
            fields.into_iter().filter(|field| field.expires_ms.is_none_or(|ms| ms > now_ms)).collect();
        let thinned = rewritten(&original, to, &with(Ttl::DropExpired { now_ms })).unwrap().0;
        if left.is_empty() {
            prop_assert_eq!(read(&thinned).len(), 0);
        } else {
            prop_assert_eq!(read(&thinned), as_read(left));
        }
    }
}

#[test]
fn position_in_the_stream_stays_only_with_the_same_data() {
    let mut writer = Writer::new(Vec::new(), Format::REDIS_11).unwrap();
    for name in ["redis-ver", "repl-stream-db", "repl-id", "repl-offset"] {
        writer.aux(name.as_bytes(), b"1").unwrap();
    }
    writer.value(&Record::new(b"k"), &Value::String(vec![])).unwrap();
    let original = writer.end().unwrap();
    let names = |changes: &Changes| {
        check(&rewritten(&original, Format::REDIS_12, changes).unwrap().0).unwrap().aux.into_keys()
    };
    assert_eq!(names(&Changes { now_ms: Some(1), ..Changes::default() }).count(), 4);
    assert!(names(&with(Ttl::Strip)).eq(["redis-ver"]));
    let filter = Filter { names: vec![Pattern::new(b"k")], ..Filter::default() };
    assert!(names(&Changes { filter, ..Changes::default() }).eq(["redis-ver"]));
}

/// A shard's file: its keys, its database, a library of functions.
fn shard(version: &str, database: u64, keys: &[&str], code: &str) -> Vec<u8> {
    let mut writer = Writer::new(Vec::new(), Format::REDIS_10).unwrap();
    writer.aux(b"redis-ver", version.as_bytes()).unwrap();
    writer.aux(b"lua", version.as_bytes()).unwrap();
    writer.aux(b"repl-id", b"0123").unwrap();
    writer.module_aux(ModuleId(7), ModuleWhen::BeforeKeys).unwrap();
    writer.raw(&[0]).unwrap();
    writer.function(code.as_bytes()).unwrap();
    if database > 0 {
        writer.database(database).unwrap();
    }
    writer.size_hint(keys.len() as u64, 0).unwrap();
    for key in keys {
        writer.value(&Record::new(key.as_bytes()), &Value::String(version.into())).unwrap();
    }
    writer.end().unwrap()
}

fn merged(shards: &[(Vec<u8>, Option<SlotSet>)]) -> Result<(Vec<u8>, Rewritten), RewriteError> {
    let mut out = Vec::new();
    let sources =
        shards.iter().map(|(bytes, slots)| RewriteSource { bytes: &bytes[..], slots: slots.clone() });
    let options = RewriteOptions::new(Format::REDIS_11);
    let rewritten = rewrite_all(sources, &mut out, &options)?;
    assert_eq!(rewritten.bytes_written, out.len() as u64);
    Ok((out, rewritten))
}

#[test]
fn shards_become_one_file() {
    const LIBRARY: &str = "#!lua name=one\nreturn 1";
    let of = |key: &str| Some([slot(key.as_bytes())..=slot(key.as_bytes())].into_iter().collect());
    // The key `b` is on its way from the second shard to the first, which owns it.
    let shards = [
        (shard("7.0.1", 0, &["a", "b"], LIBRARY), None),
        (shard("7.0.2", 0, &["b", "c"], LIBRARY), of("c")),
        (shard("7.0.3", 2, &["d"], "#!lua name=two\nreturn 2"), None),
        (shard("7.0.4", 0, &["e"], LIBRARY), None),
    ];
    let (file, counts) = merged(&shards).unwrap();
    let report = check(&file).unwrap();
    assert_eq!((report.keys, report.functions), (5, 2));
    assert_eq!((report.databases[&0].keys, report.databases[&2].keys), (4, 1));
    assert_eq!(report.aux.into_iter().collect::<Vec<_>>(), [("redis-ver".into(), "7.0.1".into())]);
    let values = read(&file);
    assert_eq!(values[&(0, b"b".to_vec())], Value::String(b"7.0.1".to_vec()));
    assert_eq!(values[&(0, b"e".to_vec())], Value::String(b"7.0.4".to_vec()), "back in database 0");
    assert_eq!(file.windows(4).filter(|bytes| bytes == b"\x03lua").count(), shards.len());
    assert_eq!((counts.functions, counts.keys(), counts.changes.other_slots), (2, 5, 1));
    assert_eq!(counts.dropped.module_aux, 3);
    assert_eq!(counts.bytes_read, shards.iter().map(|(bytes, _)| bytes.len() as u64).sum::<u64>());
    assert_eq!(file.iter().filter(|byte| **byte == 251).count(), 0, "a hint that is wrong");
}

#[test]
fn libraries_that_differ_under_one_name_are_refused() {
    let shards =
        ["return 1", "return 2"].map(|body| (shard("7", 0, &[], &format!("#!lua name=x\n{body}")), None));
    let Err(RewriteError::Impossible(why)) = merged(&shards) else { panic!() };
    assert_eq!(why.to_string(), "there are two libraries of functions named \"x\", and they differ");
}

#[test]
fn one_of_several_files_that_is_not_sound_ends_it() {
    let good = shard("7", 0, &["a"], "#!lua name=x\n");
    let cut = shard("7", 0, &["b"], "#!lua name=x\n");
    let shards = [(good, None), (cut[..cut.len() - 1].to_vec(), None)];
    assert!(matches!(merged(&shards), Err(RewriteError::Unsound(_))));
    let (empty, counts) = merged(&[]).unwrap();
    assert_eq!((check(&empty).unwrap().keys, counts.keys()), (0, 0));
}
