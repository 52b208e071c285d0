//! Values that are too large for one command are made by many, which say the same.

use std::io::BufReader;

use keystow_rdb::{
    ExportOptions, Filter, Form, Format, Kind, Limits, RestoreError, RestoreOptions, RewriteOptions,
    StreamHistory, StreamId, Value, Whole, export,
    model::{Consumer, Group, HashField, Pending, Scored, Stream, StreamEntry},
    rewrite,
};
use proptest::prelude::*;

use super::{
    check,
    export::commands,
    fixture, fixture_names,
    generated::{format, plain_value},
    restoring::{Taken, check_payloads, pieces, restored, to},
    values::file,
    writer::{Rdb, length, listpack, lzf_string, string},
};

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
        let (max_value_bytes, max_module_bytes) = (1000, 1000);
        let options = RestoreOptions { max_value_bytes, max_module_bytes, replace, ..to(Format::REDIS_9) };
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
