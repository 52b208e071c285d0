//! Commands that restore files say what the files say, whatever the size of values and of the source's pieces.

use std::io::{self, BufRead, BufReader};

use keystow_rdb::{
    Changes, ExportOptions, Filter, Form, Format, Kind, Limits, Prefix, Record, RestoreEntry, RestoreError,
    RestoreOptions, RestoreSink, Restored, RewriteOptions, StreamHistory, StreamId, Ttl, Unwritable, Value,
    Whole, Writer, dump::Payload, export, model::*, restore, rewrite, slot,
};
use proptest::prelude::*;

use super::{
    check,
    export::commands,
    fixture, fixture_names,
    generated::{format, plain_value},
    values::file,
    writer::{Rdb, length, listpack, lzf_string, string},
};

/// What was handed out, one behind the other.
#[derive(Default)]
struct Taken {
    bytes: Vec<u8>,
    /// Keys with the sizes that were told, in order.
    keys: Vec<(u64, Vec<u8>, u64)>,
    databases: Vec<u64>,
    functions: Vec<Vec<u8>>,
    /// The key whose commands are not whole yet.
    open: Option<Vec<u8>>,
    most_bytes: usize,
}

impl RestoreSink for Taken {
    fn database(&mut self, index: u64) -> io::Result<()> {
        self.databases.push(index);
        Ok(())
    }

    fn entry(&mut self, entry: RestoreEntry<'_>) -> io::Result<()> {
        assert_eq!(count(entry.command), entry.replies as usize, "whole commands, a reply each");
        assert_eq!(entry.slot, slot(entry.key));
        assert_eq!(self.databases.last(), Some(&entry.database));
        assert!(self.open.as_ref().is_none_or(|open| open == entry.key), "one key after another");
        assert_eq!(entry.size > 0, entry.is_last);
        self.open = Some(entry.key.to_vec()).filter(|_| !entry.is_last);
        if entry.is_last {
            self.keys.push((entry.database, entry.key.to_vec(), entry.size));
        }
        self.most_bytes = self.most_bytes.max(entry.command.len());
        self.bytes.extend_from_slice(entry.command);
        Ok(())
    }

    fn function(&mut self, code: &[u8]) -> io::Result<()> {
        self.functions.push(code.to_vec());
        Ok(())
    }
}

/// How many commands these are; the last one must be whole.
fn count(mut bytes: &[u8]) -> usize {
    fn line(bytes: &mut &[u8]) -> usize {
        let end = bytes.iter().position(|byte| *byte == b'\r').unwrap();
        let number = std::str::from_utf8(&bytes[1..end]).unwrap().parse().unwrap();
        *bytes = &bytes[end + 2..];
        number
    }
    let mut commands = 0;
    while !bytes.is_empty() {
        for _ in 0..line(&mut bytes) {
            let length = line(&mut bytes);
            bytes = &bytes[length + 2..];
        }
        commands += 1;
    }
    commands
}

fn restored(source: impl BufRead, options: &RestoreOptions) -> Result<(Taken, Restored), RestoreError> {
    let mut taken = Taken::default();
    let restored = restore(source, &mut taken, options)?;
    assert_eq!(taken.open, None, "every key is whole");
    Ok((taken, restored))
}

fn to(format: Format) -> RestoreOptions {
    RestoreOptions::new(format)
}

/// Options under which every value, or every one over so many bytes, is made in pieces.
fn pieces(format: Format, max_value_bytes: u64) -> RestoreOptions {
    RestoreOptions { replace: true, max_value_bytes, ..RestoreOptions::new(format) }
}

type Words = Vec<Vec<u8>>;

/// The commands of an export, without those that choose a database.
fn exported(file: &[u8]) -> Vec<Words> {
    let mut out = Vec::new();
    let filter = Filter { kinds: Kind::ALL[..6].to_vec(), ..Filter::default() };
    let options = ExportOptions { form: Form::Commands, filter, without_header: false };
    export(file, Limits::default(), &options, &mut out).unwrap();
    commands(&out).into_iter().filter(|words| words[0] != b"SELECT").collect()
}

/// The same for one value, as bytes.
fn one_exported(file: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let options = ExportOptions { form: Form::Commands, ..ExportOptions::default() };
    export(file, Limits::default(), &options, &mut out).unwrap();
    out.split_off(b"*2\r\n$6\r\nSELECT\r\n$1\r\n0\r\n".len())
}

/// The commands of one value in pieces, under the key `0`.
fn one_in_pieces(taken: &Taken) -> &[u8] {
    taken.bytes.strip_prefix(b"*2\r\n$6\r\nUNLINK\r\n$1\r\n0\r\n").unwrap()
}

/// The commands of values in pieces, without those that remove what is there.
fn in_pieces(taken: &Taken) -> Vec<Words> {
    commands(&taken.bytes).into_iter().filter(|words| words[0] != b"UNLINK").collect()
}

#[test]
fn every_sound_fixture_is_restored_or_refused_for_its_reason() {
    let mut restored_files = 0;
    for name in fixture_names() {
        let original = fixture(&name);
        let Ok(report) = check(&original) else { continue };
        for format in Format::WRITTEN {
            let mut whole = Vec::new();
            let options = RewriteOptions { functions: false, ..RewriteOptions::new(format) };
            let rewritten = rewrite(&original[..], &mut whole, &options);
            match restored(&original[..], &to(format)) {
                Ok((taken, counts)) => {
                    assert_eq!((counts.keys, counts.empty), (report.keys, report.empty_keys), "{name}");
                    assert_eq!(taken.keys.len() as u64, report.keys);
                    assert_eq!(counts.functions + counts.not_restored.functions, report.functions);
                    check_payloads(&taken, format, &name);
                    restored_files += 1;
                }
                Err(RestoreError::Impossible(why)) => {
                    assert!(rewritten.is_err(), "{name} to {format}: {why}");
                }
                Err(other) => panic!("{name} to {format}: {other}"),
            }
        }
    }
    assert!(restored_files > 350, "only {restored_files}");
}

/// Every payload is sound, and sealed for the target.
fn check_payloads(taken: &Taken, format: Format, name: &str) {
    for words in commands(&taken.bytes) {
        assert_eq!(words[0], b"RESTORE");
        let payload = Payload::open(&words[3]).unwrap();
        payload.check_sum().unwrap();
        assert_eq!(payload.format(), format);
        payload.check(Limits::default()).unwrap_or_else(|fault| panic!("{name}: {fault}"));
    }
}

#[test]
fn unsound_fixtures_end_with_their_fault() {
    for name in fixture_names() {
        let original = fixture(&name);
        let Err(failure) = check(&original) else { continue };
        for options in [to(Format::VALKEY_80), pieces(Format::VALKEY_80, 1)] {
            match restored(&original[..], &options) {
                Err(RestoreError::Unsound(fault)) => assert_eq!(fault, failure.fault, "{name}"),
                other => panic!("{name}: {:?}", other.map(|(_, restored)| restored)),
            }
        }
    }
}

#[test]
fn pieces_of_the_source_make_no_difference() {
    for name in fixture_names() {
        let original = fixture(&name);
        if check(&original).is_err() {
            continue;
        }
        for options in [to(Format::REDIS_9), pieces(Format::REDIS_10, 100)] {
            let Ok((whole, counts)) = restored(&original[..], &options) else { continue };
            let drip = BufReader::with_capacity(7, &original[..]);
            let (dripped, again) = restored(drip, &options).unwrap();
            assert!(whole.bytes == dripped.bytes, "{name}");
            assert_eq!((counts, whole.keys), (again, dripped.keys), "{name}");
        }
    }
}

#[test]
fn fixtures_in_pieces_are_what_they_are_as_commands() {
    let mut compared = 0;
    for name in fixture_names() {
        let original = fixture(&name);
        if check(&original).is_err() {
            continue;
        }
        for format in Format::WRITTEN {
            let mut options = pieces(format, 0);
            options.changes.filter.kinds = Kind::ALL[..6].to_vec();
            let mut as_known = Vec::new();
            let rewriting = RewriteOptions { functions: false, ..RewriteOptions::new(format) };
            if rewrite(&original[..], &mut as_known, &rewriting).is_err() {
                continue;
            }
            let (taken, counts) = restored(&original[..], &options).unwrap();
            assert_eq!(counts.in_pieces, counts.keys, "{name}");
            assert!(in_pieces(&taken) == exported(&as_known), "{name} to {format}");
            compared += 1;
        }
    }
    assert!(compared > 350, "only {compared}");
}

proptest! {
    #[test]
    fn values_in_pieces_are_what_they_are_as_commands(
        values in proptest::collection::vec(plain_value(), 1..6),
        from in format(),
        format in format(),
        max_value_bytes in 0u64..2000,
    ) {
        let original = file(&values, from);
        let mut options = pieces(format, max_value_bytes);
        options.changes.filter.kinds = Kind::ALL[..6].to_vec();
        let mut as_known = Vec::new();
        rewrite(&original[..], &mut as_known, &RewriteOptions::new(format)).unwrap();
        let (taken, counts) = restored(&original[..], &options).unwrap();
        let modules = values.iter().filter(|value| value.kind() == Kind::Module).count() as u64;
        prop_assert_eq!(counts.keys + modules, values.len() as u64);
        // Of each key either its one command, or those of the export.
        let mut expected = exported(&as_known);
        let mut whole = Vec::new();
        for words in commands(&taken.bytes) {
            match &words[0][..] {
                b"RESTORE" => whole.push(words[1].clone()),
                b"UNLINK" => {}
                _ => prop_assert_eq!(&words, &expected.remove(
                    expected.iter().position(|other| !is_of(other, &whole)).unwrap())),
            }
        }
        prop_assert!(expected.iter().all(|words| is_of(words, &whole)));
        prop_assert_eq!(counts.in_pieces + whole.len() as u64, counts.keys);
    }
}

/// Whether a command is about one of the keys.
fn is_of(words: &Words, keys: &[Vec<u8>]) -> bool {
    let key = if words[0] == b"XGROUP" { &words[2] } else { &words[1] };
    keys.contains(key)
}

/// A large value of each kind but modules, of some megabytes.
fn large_values() -> Vec<Value> {
    let text = |number: u64| format!("{number}{}", "x".repeat(90)).into_bytes();
    let all = || (0..32_000u64).map(text);
    let id = |ms| StreamId { ms, seq: 0 };
    let entries =
        (1..12_000).map(|ms| StreamEntry { id: id(ms), fields: vec![(text(ms), text(ms))] }).collect();
    let group = |name: u8| {
        let consumer = |name: u64| Consumer {
            name: text(name),
            seen_ms: 5,
            active_ms: Some(6),
            pending: (1..10_000)
                .map(|ms| Pending { id: id(2 * ms + name), delivered_ms: 7, deliveries: 8 })
                .collect(),
        };
        let consumers = vec![consumer(0), consumer(1)];
        Group { name: vec![name; 9], last_id: id(99_999), entries_read: Some(5), consumers }
    };
    let history = StreamHistory { first_id: id(1), max_deleted_id: id(0), entries_added: 20_000 };
    vec![
        Value::List(all().collect()),
        Value::Set(all().collect()),
        Value::SortedSet(all().map(|member| Scored { member, score: 1.5 }).collect()),
        Value::Hash(all().map(|field| HashField { value: field.clone(), field, expires_ms: None }).collect()),
        Value::Stream(Box::new(Stream {
            entries,
            last_id: id(100_000),
            history: Some(history),
            groups: (b'a'..b'f').map(group).collect(),
            idempotence: None,
        })),
    ]
}

#[test]
fn large_values_turn_to_pieces_at_any_element() {
    for value in large_values() {
        let kind = value.kind();
        for format in [Format::REDIS_9, Format::REDIS_11] {
            let original = file(std::slice::from_ref(&value), format);
            let expected = one_exported(&original);
            // Between the first megabyte and the last.
            for max_value_bytes in [1, 1_100_000, 2_000_000] {
                let source = BufReader::with_capacity(10_000, &original[..]);
                let (taken, counts) = restored(source, &pieces(format, max_value_bytes)).unwrap();
                assert_eq!((counts.keys, counts.in_pieces), (1, 1));
                assert!(one_in_pieces(&taken) == expected, "{kind} in {format}, over {max_value_bytes}");
                assert!(taken.most_bytes < 400_000, "{kind}: {} bytes at once", taken.most_bytes);
            }
            let (taken, counts) = restored(&original[..], &to(format)).unwrap();
            assert_eq!((counts.keys, counts.in_pieces), (1, 0));
            check_payloads(&taken, format, kind.name());
        }
    }
}

#[test]
fn large_values_that_are_written_anew_turn_as_well() {
    let packed =
        |elements: Vec<&str>| string(&listpack(&elements.into_iter().map(Into::into).collect::<Vec<_>>()));
    let node: Vec<u8> = [vec![2], packed(vec!["a", "b", "c"])].concat();
    let quicklist = [length(1000), node.repeat(1000)].concat();
    let mut expiring = [5000i64.to_le_bytes().to_vec(), length(3000)].concat();
    for number in 0..3000 {
        expiring.extend([[0].as_slice(), &string(format!("f{number}").as_bytes()), &string(b"v")].concat());
    }
    let Some(Value::Stream(mut stream)) = large_values().pop() else { panic!() };
    stream.entries.truncate(500);
    stream.groups.truncate(2);
    let mut file_of_hash = Rdb::new().record(24, &expiring).end();
    file_of_hash[5..9].copy_from_slice(b"0012");
    for (original, format) in [
        (Rdb::new().record(18, &quicklist).end(), Format::REDIS_9),
        (file_of_hash.clone(), Format::VALKEY_80),
        (file_of_hash, Format::REDIS_9),
        (file(&[Value::Stream(stream)], Format::REDIS_11), Format::REDIS_9),
    ] {
        let mut as_known = Vec::new();
        rewrite(&original[..], &mut as_known, &RewriteOptions::new(format)).unwrap();
        let expected = exported(&as_known);
        for max_value_bytes in [0, 77, 5000] {
            let (taken, counts) = restored(&original[..], &pieces(format, max_value_bytes)).unwrap();
            assert_eq!((counts.keys, counts.in_pieces, counts.converted), (1, 1, 1));
            assert!(in_pieces(&taken) == expected, "{format}, over {max_value_bytes}");
        }
    }
}

#[test]
fn long_strings_are_added_to() {
    let long: Vec<u8> = (0..5_000_000u32).flat_map(u32::to_le_bytes).take(5_000_000).collect();
    for (value, max_value_bytes) in
        [(string(&long), 1_500_000), (string(&long), 4_999_999), (lzf_string(&vec![b'x'; 3_000_000]), 1000)]
    {
        let original = Rdb::new().raw(b"\xfc\x88\x13\0\0\0\0\0\0").record(0, &value).end();
        let source = BufReader::with_capacity(10_000, &original[..]);
        let (taken, counts) = restored(source, &pieces(Format::REDIS_9, max_value_bytes)).unwrap();
        assert_eq!((counts.in_pieces, counts.keys), (1, 1));
        let spoken = commands(&taken.bytes);
        let names: Vec<&[u8]> = spoken.iter().map(|words| &words[0][..]).collect();
        assert_eq!(names[..3], [&b"UNLINK"[..], b"SET", b"APPEND"]);
        assert_eq!(spoken.last().unwrap()[..], [b"PEXPIREAT".to_vec(), b"k".to_vec(), b"5000".to_vec()]);
        let text: Vec<u8> =
            spoken[1..spoken.len() - 1].iter().flat_map(|words| words[2].iter().copied()).collect();
        assert!(text == exported(&original)[0][2], "over {max_value_bytes}");
        assert!(taken.most_bytes < 1_200_000);
    }
}

#[test]
fn what_cannot_be_made_in_pieces_is_refused_with_its_size() {
    let module = [&[1, 5][..], &string(&[b'x'; 5000]), &[0]].concat();
    let list = [length(100), string(&[b'x'; 95]).repeat(100)].concat();
    let node = [vec![2], string(&listpack(&["x".repeat(4000).as_str().into()]))].concat();
    let quicklist = [length(2), node.repeat(2)].concat();
    for (encoding, value, replace, why, bytes) in [
        (7, &module, true, Whole::Module, module.len()),
        (7, &module, false, Whole::Module, module.len()),
        (1, &list, false, Whole::NotReplacing, list.len()),
        // As it would be for the target, whose nodes have other heads.
        (18, &quicklist, false, Whole::NotReplacing, 8033),
    ] {
        let original = Rdb::new().raw(&[254, 2]).record(encoding, value).end();
        let options = RestoreOptions { max_value_bytes: 1000, replace, ..to(Format::REDIS_9) };
        for capacity in [100, 100_000] {
            let Err(RestoreError::TooLarge(refused)) =
                restored(BufReader::with_capacity(capacity, &original[..]), &options)
            else {
                panic!("{why:?}")
            };
            assert_eq!((refused.why, refused.bytes, refused.limit), (why, bytes as u64, 1000));
            assert_eq!((&refused.place.key[..], refused.place.database), (&b"k"[..], 2));
            assert!(refused.to_string().ends_with(", database 2)"), "{refused}");
        }
    }
}

#[test]
fn string_of_a_value_in_pieces_that_would_have_to_be_held_is_refused() {
    let list = [length(2), string(&[b'x'; 3000]), lzf_string(&[b'x'; 9000])].concat();
    let original = Rdb::new().record(1, &list).end();
    let mut options = pieces(Format::REDIS_9, 100);
    options.limits.max_blob_bytes = 5000;
    let Err(RestoreError::TooLarge(refused)) = restored(&original[..], &options) else { panic!() };
    assert_eq!((refused.why, refused.bytes, refused.limit), (Whole::Piece, 9000, 5000));
}

#[test]
fn entries_come_as_they_are_to_be() {
    let mut writer = Writer::new(Vec::new(), Format::REDIS_11).unwrap();
    writer.function(b"#!lua name=x\n").unwrap();
    let value = Value::String(b"v".to_vec());
    let record = |key| Record { key, expires_ms: Some(99), idle_seconds: Some(3), frequency: None };
    writer.value(&record(b"old:a"), &value).unwrap();
    writer.database(7).unwrap();
    writer.value(&record(b"old:b"), &Value::List(vec![])).unwrap();
    writer.database(9).unwrap();
    writer.value(&Record { frequency: Some(4), idle_seconds: None, ..record(b"c") }, &value).unwrap();
    writer.value(&record(b"other"), &value).unwrap();
    let original = writer.end().unwrap();
    let filter = Filter {
        names: vec![keystow_rdb::Pattern::new(b"[oc][^t]*"), keystow_rdb::Pattern::new(b"c")],
        ..Filter::default()
    };
    let prefix = Some(Prefix { from: b"old:".to_vec(), to: b"new:".to_vec() });
    let changes =
        Changes { filter, prefix, ttl: Ttl::Shift { by_ms: 1 }, now_ms: Some(100), ..Changes::default() };
    let options = RestoreOptions { replace: true, changes, ..to(Format::REDIS_10) };
    let (taken, counts) = restored(&original[..], &options).unwrap();
    let spoken: Vec<String> = commands(&taken.bytes)
        .into_iter()
        .map(|mut words| {
            words.remove(3);
            String::from_utf8(words.join(&b' ')).unwrap()
        })
        .collect();
    assert_eq!(
        spoken,
        ["RESTORE new:a 100 REPLACE ABSTTL IDLETIME 3", "RESTORE c 100 REPLACE ABSTTL FREQ 4"]
    );
    // A database of which no key goes is not chosen.
    assert_eq!(taken.databases, [0, 9]);
    assert_eq!(taken.functions, [b"#!lua name=x\n"]);
    assert_eq!(taken.keys.iter().map(|(_, key, _)| &key[..]).collect::<Vec<_>>(), [&b"new:a"[..], b"c"]);
    assert_eq!((counts.keys, counts.empty, counts.kinds[&Kind::String]), (2, 1, 2));
    let sums = counts.changes;
    assert_eq!((sums.filtered_out, sums.shifted, sums.expired), (1, 3, 3));
    assert!(counts.is_complete());
}

#[test]
fn what_no_command_carries_is_counted() {
    let (_, counts) = restored(&fixture("srv-redis-7.0.15-all.rdb")[..], &to(Format::REDIS_9)).unwrap();
    assert_eq!((counts.functions, counts.not_restored.functions), (0, 1));
    let (_, counts) = restored(&fixture("librdb--module_aux.rdb")[..], &to(Format::REDIS_11)).unwrap();
    assert!(counts.not_restored.module_aux > 0);
    let (_, counts) = restored(&fixture("librdb--script.rdb")[..], &to(Format::REDIS_11)).unwrap();
    assert!(counts.not_restored.scripts > 0 && !counts.is_complete());
    let lru = fixture("librdb--mem_policy_lru.rdb");
    assert!(restored(&lru[..], &to(Format::REDIS_11)).unwrap().1.is_complete());
    let (_, counts) = restored(&lru[..], &pieces(Format::REDIS_11, 0)).unwrap();
    assert_eq!(counts.not_restored.usage, counts.keys);
}

#[test]
fn fields_that_expire_are_refused_where_they_have_no_place() {
    let field = |number: u64, expires_ms| HashField {
        field: number.to_string().into_bytes(),
        value: b"v".to_vec(),
        expires_ms,
    };
    let fields =
        (0..500).map(|number| field(number, Some(1000 + number.cast_signed()).filter(|_| number == 450)));
    let original = file(&[Value::Hash(fields.collect())], Format::REDIS_12);
    for options in [to(Format::REDIS_11), pieces(Format::REDIS_11, 100)] {
        let Err(RestoreError::Impossible(why)) = restored(&original[..], &options) else { panic!() };
        assert_eq!(why.why, Unwritable::FieldExpiry(Format::REDIS_11));
        for (ttl, lost) in [(Ttl::Strip, 0), (Ttl::DropExpired { now_ms: 1450 }, 1)] {
            let changes = Changes { ttl, ..Changes::default() };
            let (taken, counts) =
                restored(&original[..], &RestoreOptions { changes, ..options.clone() }).unwrap();
            assert_eq!((counts.keys, counts.changes.dropped_fields), (1, lost), "{ttl:?}");
            let dropped = commands(&taken.bytes).iter().filter(|words| words[0] == b"HDEL").count() as u64;
            assert_eq!(dropped, if options.replace { lost } else { 0 });
        }
    }
    // What is left of it is held, but not of one that is refused.
    let changes = Changes { ttl: Ttl::DropExpired { now_ms: 1450 }, ..Changes::default() };
    let options = RestoreOptions { max_value_bytes: 100, changes, ..to(Format::REDIS_12) };
    let Err(RestoreError::TooLarge(refused)) = restored(&original[..], &options) else { panic!() };
    // Five bytes for each field but the lost one, six for those over 127; the last one is still held.
    assert_eq!((refused.why, refused.bytes), (Whole::NotReplacing, 499 * 5 + 371 - 6));
    // Nothing is left of it, and so it is not counted.
    let all = file(&[Value::Hash((0..500).map(|number| field(number, Some(7))).collect())], Format::REDIS_12);
    for options in [to(Format::VALKEY_80), pieces(Format::VALKEY_80, 100)] {
        let prefix = Some(Prefix { from: vec![], to: b"p:".to_vec() });
        let changes = Changes { ttl: Ttl::DropExpired { now_ms: 7 }, prefix, ..Changes::default() };
        let (_, counts) = restored(&all[..], &RestoreOptions { changes, ..options }).unwrap();
        let changes = counts.changes;
        assert_eq!((counts.keys, changes.renamed), (0, 0));
        assert_eq!((changes.dropped_expired, changes.dropped_fields), (1, 500));
    }
}

#[test]
fn sink_ends_a_restore_with_its_own_error() {
    /// Fails at its n-th call.
    struct Failing(usize);

    impl Failing {
        fn call(&mut self) -> io::Result<()> {
            self.0 = self.0.checked_sub(1).ok_or(io::ErrorKind::BrokenPipe)?;
            Ok(())
        }
    }

    impl RestoreSink for Failing {
        fn database(&mut self, _: u64) -> io::Result<()> {
            self.call()
        }
        fn entry(&mut self, _: RestoreEntry<'_>) -> io::Result<()> {
            self.call()
        }
        fn function(&mut self, _: &[u8]) -> io::Result<()> {
            self.call()
        }
    }

    let original = fixture("srv-redis-7.0.15-all.rdb");
    for options in [to(Format::REDIS_10), pieces(Format::REDIS_10, 100)] {
        let mut calls = 0;
        loop {
            match restore(&original[..], &mut Failing(calls), &options) {
                Ok(_) => break,
                Err(RestoreError::Sink(error)) => assert_eq!(error.kind(), io::ErrorKind::BrokenPipe),
                Err(other) => panic!("{other}"),
            }
            calls += 1;
        }
        assert!(calls > 30);
    }
}

#[test]
fn formats_that_are_not_written_are_no_target() {
    let refused = restored(&b""[..], &to(Format::redis(13)));
    assert!(matches!(refused, Err(RestoreError::Impossible(_))));
}

#[test]
fn damaged_files_end_as_they_do_when_they_are_verified() {
    let original = fixture("srv-redis-7.0.15-nochecksum.rdb");
    let mut damaged = original.clone();
    let (mut sound, mut unsound) = (0, 0);
    for at in (9..original.len()).step_by(97) {
        for mask in [1, 0x80, 0xff] {
            damaged[at] ^= mask;
            let verdict = check(&damaged);
            for options in [to(Format::REDIS_12), pieces(Format::REDIS_9, 0), pieces(Format::VALKEY_80, 40)] {
                match (&verdict, restored(BufReader::with_capacity(50, &damaged[..]), &options)) {
                    (Ok(report), Ok((_, counts))) => {
                        assert_eq!(counts.keys, report.keys, "{at}");
                        sound += 1;
                    }
                    (Err(_), Err(RestoreError::Unsound(_))) => unsound += 1,
                    // Whatever comes first.
                    (_, Err(RestoreError::Impossible(_) | RestoreError::TooLarge(_))) => {}
                    (verdict, Err(other)) => panic!("{at}: {verdict:?}, {other}"),
                    (Err(failure), Ok(_)) => panic!("{at}: {failure}"),
                }
            }
            damaged[at] ^= mask;
        }
    }
    assert!(sound > 200 && unsound > 200, "{sound} {unsound}");
}
