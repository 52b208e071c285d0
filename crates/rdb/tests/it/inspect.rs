//! Figures of real files agree with each other and with what is known of the files.

use keystow_rdb::{Filter, InspectOptions, Inspection, Kind, Limits, Pattern, SLOTS, inspect, inspect::Sums};

use super::{check, fixture, fixture_names, writer};

fn figures(bytes: &[u8]) -> Inspection {
    inspect(bytes, Limits::default(), &InspectOptions::default()).unwrap()
}

fn keys(sums: impl IntoIterator<Item = Sums>) -> u64 {
    sums.into_iter().map(|sums| sums.keys).sum()
}

#[test]
fn every_measure_counts_the_same_keys() {
    let mut files = 0;
    for name in fixture_names() {
        let bytes = fixture(&name);
        let Ok(mut expected) = check(&bytes) else { continue };
        let found = figures(&bytes);
        (expected.trailing_bytes, expected.trailing_end_mark) = (0, false);
        assert_eq!(found.report, expected, "{name}");
        let prefixes = &found.prefixes;
        let by_prefix =
            keys(prefixes.rows.iter().map(|(_, sums)| *sums)) + keys([prefixes.none, prefixes.other]);
        let expiry = &found.expiry;
        for (measure, counted) in [
            ("all", found.all.keys),
            ("kinds", keys(found.kinds.values().copied())),
            ("encodings", keys(found.encodings.iter().map(|(_, sums)| *sums))),
            ("databases", keys(found.databases.values().copied())),
            ("slots", found.slots.iter().map(|slot| slot.keys).sum()),
            ("prefixes", by_prefix),
            ("expiry", keys([expiry.never, expiry.expired]) + keys(expiry.within)),
        ] {
            assert_eq!(counted, expected.keys, "{name}: {measure}");
        }
        assert_eq!(found.slots.len(), SLOTS);
        assert!(found.biggest.is_sorted_by(|a, b| a.memory_bytes >= b.memory_bytes), "{name}");
        assert!(found.most_elements.is_sorted_by(|a, b| a.elements >= b.elements), "{name}");
        files += 1;
    }
    assert!(files > 60, "only {files} files were looked at");
}

#[test]
fn compression_makes_no_difference_to_the_memory() {
    let plain = figures(&fixture("srv-redis-7.0.15-nocompress.rdb"));
    let compressed = figures(&fixture("srv-redis-7.0.15-all.rdb"));
    assert!(compressed.all.stored_bytes * 10 < plain.all.stored_bytes * 9, "it is compressed");
    for (kind, sums) in &plain.kinds {
        let (expected, found) = (sums.memory_bytes, compressed.kinds[kind].memory_bytes);
        assert!(found.abs_diff(expected) * 100 <= expected, "{kind}: {found}, not {expected}");
    }
}

#[test]
fn expiring_fields_are_counted() {
    for name in ["librdb--hash_with_expire_v12.rdb", "hdt3213--valkey_hash2_with_hfe.rdb"] {
        let found = figures(&fixture(name));
        assert!(found.hashes_with_expiring_fields > 0 && found.expiring_fields > 0, "{name}");
        let fields = found.kinds[&Kind::Hash].elements;
        assert!(found.expiring_fields <= fields, "{name}: {} of {fields}", found.expiring_fields);
    }
}

#[test]
fn usage_is_shown_where_the_file_has_it() {
    let lfu = figures(&fixture("replicator--dump-lfu.rdb"));
    assert_eq!(lfu.frequency.map(|counters| counters.iter().sum::<u64>()), Some(lfu.all.keys));
    assert_eq!(lfu.idle, None);
    assert!(figures(&fixture("librdb--mem_policy_lru.rdb")).idle.is_some());
}

#[test]
fn only_chosen_keys_are_counted() {
    let bytes = fixture("srv-redis-7.0.15-all.rdb");
    let all = figures(&bytes);
    let filter = Filter { names: vec![Pattern::new(b"list:*")], ..Filter::default() };
    let options = InspectOptions { filter, ..InspectOptions::default() };
    let lists = inspect(&bytes[..], Limits::default(), &options).unwrap();
    assert!(lists.all.keys > 0 && lists.all.keys < all.all.keys);
    assert!(lists.biggest.iter().all(|key| key.key.starts_with(b"list:")));
    assert_eq!(lists.report, all.report, "the report is of the whole file");
}

#[test]
fn expiry_counts_from_the_files_own_time() {
    // Made at second 1000, with keys that expire one second before, an hour less a second after, and never.
    let record = |expiry: i64, key: u8| [&[0xfc][..], &expiry.to_le_bytes(), &[0, 1, key, 1, b'v']].concat();
    let file = writer::Rdb::new()
        .raw(b"\xfa\x05ctime\x041000")
        .raw(&record(999_000, b'a'))
        .raw(&record(1_000_000 + 3_599_000, b'b'))
        .raw(b"\x00\x01c\x01v")
        .end();
    let found = figures(&file).expiry;
    assert_eq!(found.relative_to_ms, 1_000_000);
    assert_eq!((found.never.keys, found.expired.keys, found.within[0].keys), (1, 1, 1));
}

#[test]
fn broken_file_is_a_fault() {
    let fault = inspect(&fixture("trunc-half.rdb")[..], Limits::default(), &InspectOptions::default());
    assert_eq!(fault.unwrap_err().reason.code(), "RDB_TRUNCATED");
}
