//! Files rewritten for other servers hold the same.

use std::collections::BTreeMap;

use keystow_rdb::{
    Event, Filter, Flavour, Format, Head, Kind, Limits, Moves, Part, Pattern, Reader, Record, RewriteError,
    RewriteOptions, Rewritten, Unwritable, Value, Visitor, Want, Writer, rewrite,
};
use proptest::prelude::*;

use super::{
    check, fixture, fixture_names,
    generated::{Keys, as_known_to, expiring_format, expiring_hash, format, plain_value},
    values::{file, read},
    writer::{Element, Rdb, length, listpack, string},
};

fn rewrite_with(file: &[u8], options: &RewriteOptions) -> Result<(Vec<u8>, Rewritten), RewriteError> {
    let mut out = Vec::new();
    let rewritten = rewrite(file, &mut out, options)?;
    assert_eq!((rewritten.to, rewritten.bytes_written), (options.to, out.len() as u64));
    let report = check(&out).unwrap();
    assert_eq!(report.magic, options.to.magic());
    assert_eq!(report.checksum, keystow_rdb::Checksum::Ok);
    Ok((out, rewritten))
}

fn rewrite_to(file: &[u8], to: Format) -> Result<(Vec<u8>, Rewritten), RewriteError> {
    rewrite_with(file, &RewriteOptions::new(to))
}

/// Sets, hashes and sorted sets in one order, and streams without what older formats do not tell.
fn comparable(keys: Keys) -> Keys {
    let one = |(key, value): (_, Value)| {
        let value = match as_known_to(&value, Format::REDIS_9) {
            Value::Set(mut members) => {
                members.sort();
                Value::Set(members)
            }
            Value::Hash(mut fields) => {
                fields.sort_by(|a, b| a.field.cmp(&b.field));
                Value::Hash(fields)
            }
            Value::SortedSet(mut members) => {
                members.sort_by(|a, b| a.member.cmp(&b.member));
                Value::SortedSet(members)
            }
            other => other,
        };
        (key, value)
    };
    keys.into_iter().map(one).collect()
}

proptest! {
    #[test]
    fn rewritten_files_hold_the_same(
        values in proptest::collection::vec(plain_value(), 1..6),
        from in format(),
        to in format(),
    ) {
        let original = file(&values, from);
        let (rewritten, counts) = rewrite_to(&original, to).unwrap();
        prop_assert_eq!(counts.keys(), values.len() as u64);
        prop_assert_eq!(comparable(read(&rewritten)), comparable(read(&original)));
    }

    #[test]
    fn fields_expire_in_both_families_alike(
        value in expiring_hash(),
        from in expiring_format(),
        to in expiring_format(),
    ) {
        let original = file(&[value], from);
        prop_assert_eq!(read(&rewrite_to(&original, to).unwrap().0), read(&original));
    }
}

/// Why fixtures cannot be rewritten: by file and target, all that cannot.
#[test]
fn every_sound_fixture_is_rewritten_or_refused_for_its_reason() {
    let mut refused = BTreeMap::new();
    let mut rewritten = 0;
    for name in fixture_names() {
        let original = fixture(&name);
        if check(&original).is_err() {
            continue;
        }
        for to in Format::WRITTEN {
            match rewrite_to(&original, to) {
                Ok((bytes, counts)) => {
                    assert_eq!(comparable(read(&bytes)), comparable(read(&original)), "{name} to {to}");
                    assert!(counts.bytes_read <= original.len() as u64);
                    rewritten += 1;
                }
                Err(RewriteError::Impossible(impossible)) => {
                    let why = match impossible.why {
                        Unwritable::Function(_) => "function",
                        Unwritable::FieldExpiry(_) => "field expiry",
                        Unwritable::Producers(_) => "producers",
                        other => panic!("{name} to {to}: {other}"),
                    };
                    let refusals: &mut Vec<_> = refused.entry(why).or_default();
                    refusals.push((name.clone(), to.version));
                }
                Err(other) => panic!("{name} to {to}: {other}"),
            }
        }
    }
    assert!(rewritten > 350, "only {rewritten}");
    // Functions came with RDB 10, so there is one refusal per file with one.
    assert!(refused["function"].iter().all(|(_, version)| *version == 9));
    assert!(refused["field expiry"].iter().all(|(_, version)| matches!(version, 9..=11)));
    assert_eq!(refused["producers"].len(), Format::WRITTEN.len());
}

#[test]
fn unsound_fixtures_are_not_rewritten() {
    for name in fixture_names() {
        let original = fixture(&name);
        let Err(failure) = check(&original) else { continue };
        for to in [Format::REDIS_9, Format::VALKEY_80] {
            match rewrite_to(&original, to) {
                Err(RewriteError::Unsound(fault)) => assert_eq!(fault, failure.fault, "{name}"),
                Err(RewriteError::Impossible(_)) => {}
                other => panic!("{name}: {other:?}"),
            }
        }
    }
}

#[test]
fn values_that_the_target_knows_pass_through_byte_by_byte() {
    let original = fixture("srv-redis-7.0.15-all.rdb");
    let (same, counts) = rewrite_to(&original, Format::REDIS_10).unwrap();
    assert_eq!(same, original);
    assert!(counts.kinds.values().all(|moves| moves.converted == 0));
    // Only the magic and the checksum differ.
    let (newer, _) = rewrite_to(&original, Format::REDIS_12).unwrap();
    let body = 9..original.len() - 8;
    assert_eq!(newer[body.clone()], original[body]);
}

#[test]
fn counts_say_what_became_of_the_keys() {
    let original = fixture("srv-redis-7.0.15-all.rdb");
    let mut options = RewriteOptions::new(Format::REDIS_9);
    options.functions = false;
    options.changes.filter.kinds = vec![Kind::String, Kind::List, Kind::Stream];
    let (rewritten, counts) = rewrite_with(&original, &options).unwrap();
    assert_eq!(counts.kinds[&Kind::String], Moves { kept: 24, ..Moves::default() });
    assert_eq!(counts.kinds[&Kind::List], Moves { converted: 3, ..Moves::default() });
    assert_eq!(counts.kinds[&Kind::Stream], Moves { converted: 2, ..Moves::default() });
    assert_eq!(counts.kinds[&Kind::Hash].left_out, 3);
    assert_eq!((counts.functions, counts.dropped.functions), (0, 1));
    assert_eq!(check(&rewritten).unwrap().keys, 29);
}

#[test]
fn databases_without_a_chosen_key_are_not_named() {
    let mut writer = Writer::new(Vec::new(), Format::REDIS_11).unwrap();
    for database in [0, 7, 9] {
        writer.database(database).unwrap();
        writer.size_hint(1, 0).unwrap();
        writer.value(&Record::new(format!("key:{database}").as_bytes()), &Value::String(vec![])).unwrap();
    }
    let original = writer.end().unwrap();
    let mut options = RewriteOptions::new(Format::REDIS_11);
    options.changes.filter = Filter { names: vec![Pattern::new(b"*:7")], ..Filter::default() };
    let (rewritten, _) = rewrite_with(&original, &options).unwrap();
    let mut reader = Reader::new(&rewritten[..], Limits::default());
    let mut selected = Vec::new();
    while let Some(event) = reader.next_event().unwrap() {
        match event {
            Event::Database { index } => selected.push(index),
            Event::SizeHint { .. } => panic!("a hint that is wrong now"),
            _ => {}
        }
    }
    assert_eq!(selected, [7]);
}

#[test]
fn notes_on_the_file_stay_and_notes_on_keys_go() {
    let aux =
        |name: &str, value: &str| [&[250][..], &string(name.as_bytes()), &string(value.as_bytes())].concat();
    let key = |key: u8| [0, 1, key, 1, b'v'];
    let file = Rdb::new()
        .raw(&aux("mvcc-tstamp", "1"))
        .raw(&key(b'a'))
        .raw(&aux("keydb-subexpire-key", "m"))
        .raw(&aux("keydb-subexpire-when", "99"))
        .raw(&aux("slot-info", "1,2,3"))
        .raw(&aux("repl-id", "0123"))
        .raw(&aux("lua", "return 1"))
        .raw(&[244, 1, 2, 3])
        .raw(&key(b'b'))
        .end();
    let (rewritten, counts) = rewrite_to(&file, Format::REDIS_11).unwrap();
    let mut reader = Reader::new(&rewritten[..], Limits::default());
    let mut notes = Vec::new();
    while let Some(event) = reader.next_event().unwrap() {
        if let Event::Aux { name, .. } = event {
            notes.push(String::from_utf8(name.to_vec()).unwrap());
        }
    }
    assert_eq!(notes, ["repl-id", "lua"]);
    assert_eq!((counts.dropped.aux, counts.dropped.member_expiries, counts.dropped.slot_infos), (1, 1, 2));
}

#[test]
fn nodes_of_lists_stay_nodes() {
    let packed = |elements: &[Element]| [vec![2], string(&listpack(elements))].concat();
    let value = [
        vec![3],
        packed(&["a".into(), 7.into(), (-70_000).into()]),
        [vec![1], string(&[b'x'; 9000])].concat(),
        packed(&[i64::MIN.into(), "".into()]),
    ]
    .concat();
    let file = Rdb::new().record(18, &value).end();
    let (rewritten, counts) = rewrite_to(&file, Format::REDIS_9).unwrap();
    assert_eq!(counts.kinds[&Kind::List].converted, 1);
    assert_eq!(read(&rewritten), read(&file));
    // The type, the key, and as many nodes as before.
    assert!(rewritten.windows(4).any(|bytes| bytes == [14, 1, b'k', 3]));
}

#[test]
fn hash_whose_fields_no_longer_expire_goes_anywhere() {
    let persisted = [vec![0; 8], string(&listpack(&["f".into(), "v".into(), 0.into()]))].concat();
    let mut file = Rdb::new().record(25, &persisted).end();
    file[5..9].copy_from_slice(b"0012");
    let (rewritten, _) = rewrite_to(&file, Format::REDIS_9).unwrap();
    assert_eq!(read(&rewritten), read(&file));
}

#[test]
fn refusal_names_the_key_and_its_database() {
    let value = [string(&listpack(&["f".into(), "v".into(), 5.into()]))].concat();
    let mut file = Rdb::new().raw(&[254, 3]).record(23, &value).end();
    file[5..9].copy_from_slice(b"0012");
    let Err(RewriteError::Impossible(impossible)) = rewrite_to(&file, Format::REDIS_11) else { panic!() };
    let place = impossible.place.as_ref().unwrap();
    assert_eq!((&place.key[..], place.database, place.kind), (&b"k"[..], 3, Kind::Hash));
    assert_eq!(
        impossible.to_string(),
        "fields of a hash that expire have no place in RDB version 11 of Redis, in key \"k\" (hash, database 3)"
    );
}

#[test]
fn fields_that_expire_beyond_what_redis_takes_stay_in_valkey() {
    let mut value = [length(1), string(b"f"), string(b"v")].concat();
    value.extend((1i64 << 48).to_le_bytes());
    let mut file = Rdb::new().record(22, &value).end();
    file[..9].copy_from_slice(b"VALKEY080");
    assert!(rewrite_to(&file, Format::VALKEY_80).is_ok());
    let Err(RewriteError::Impossible(impossible)) = rewrite_to(&file, Format::REDIS_12) else { panic!() };
    assert!(matches!(impossible.why, Unwritable::FieldExpiryRange(..)));
}

#[test]
fn output_that_fails_is_an_error_of_the_output() {
    /// Takes so many bytes and no more.
    struct Full(usize);

    impl std::io::Write for Full {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0 = self.0.checked_sub(bytes.len()).ok_or(std::io::ErrorKind::StorageFull)?;
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    let values = vec![Value::String(vec![b'x'; 100_000]); 20];
    let original = file(&values, Format::REDIS_11);
    for room in [0, 5, 50_000, 1_000_000, original.len() - 1] {
        let result = rewrite(&original[..], Full(room), &RewriteOptions::new(Format::REDIS_9));
        let Err(RewriteError::Output(error)) = result else { panic!("{room}") };
        assert_eq!(error.kind(), std::io::ErrorKind::StorageFull);
    }
    assert!(rewrite(&original[..], Full(original.len()), &RewriteOptions::new(Format::REDIS_9)).is_ok());
}

#[test]
fn formats_that_are_not_written_are_no_target() {
    let refused = rewrite(&b""[..], Vec::new(), &RewriteOptions::new(Format::redis(13)));
    assert!(matches!(refused, Err(RewriteError::Impossible(_))));
    assert_eq!(Format::redis(13).flavour, Flavour::Redis);
}

/// Sees how a value's bytes come.
#[derive(Default)]
struct Pieces(Vec<usize>);

impl Visitor for Pieces {
    fn begin(&mut self, _: &Head<'_>) -> Want {
        Want::Raw
    }

    fn part(&mut self, _: Part<'_>) -> std::io::Result<()> {
        Ok(())
    }

    fn raw(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.0.push(bytes.len());
        Ok(())
    }
}

#[test]
fn bytes_of_a_value_come_in_steps_also_from_one_buffer() {
    let list = [length(5000), string(&[b'e'; 1000]).repeat(5000)].concat();
    let set = [length(2), string(&vec![b's'; 3_000_000]), string(b"t")].concat();
    for (encoding, value) in [(1, &list), (2, &set), (0, &string(&vec![b's'; 5_000_000]))] {
        let file = Rdb::new().record(encoding, value).end();
        let mut pieces = Pieces::default();
        let mut reader = Reader::new(&file[..], Limits::default());
        while reader.next_event_with(&mut pieces).unwrap().is_some() {}
        assert_eq!(pieces.0.iter().sum::<usize>(), value.len(), "type {encoding}");
        assert!(pieces.0.iter().all(|bytes| *bytes < 1_100_000), "type {encoding}: {:?}", pieces.0);
    }
}

#[test]
fn blob_of_the_largest_size_passes_whatever_comes_before_it() {
    let node = |elements: usize| [vec![2], string(&listpack(&vec![Element::from(7); elements]))].concat();
    let (before, largest) = (node(400_000), node(900_000));
    let limits = Limits { max_blob_bytes: largest.len() as u64, ..Limits::default() };
    let file = Rdb::new().record(18, &[length(2), before, largest].concat()).end();
    let options = RewriteOptions { limits, ..RewriteOptions::new(Format::REDIS_11) };
    assert!(keystow_rdb::verify(&file[..], limits).is_ok());
    for capacity in [10_000, 1_500_000, 5_000_000] {
        let source = std::io::BufReader::with_capacity(capacity, &file[..]);
        assert!(rewrite(source, Vec::new(), &options).is_ok(), "{capacity}");
    }
}
