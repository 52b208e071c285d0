//! Exports hold what the files hold, and never half of it.

use std::io::{self, BufReader, Write};

use keystow_rdb::{ExportOptions, Filter, Form, Kind, Limits, export};
use serde_json::{Value, json};

use super::{
    check, fixture, fixture_names,
    writer::{Rdb, listpack, string},
};

const FORMS: [Form; 3] = [Form::JsonLines, Form::Commands, Form::Csv];

fn exported(bytes: &[u8], form: Form) -> Vec<u8> {
    let mut out = Vec::new();
    let options = ExportOptions { form, ..ExportOptions::default() };
    export(bytes, Limits::default(), &options, &mut out).unwrap();
    out
}

fn lines(bytes: &[u8]) -> Vec<Value> {
    let out = exported(bytes, Form::JsonLines);
    out.split_inclusive(|byte| *byte == b'\n').map(|line| serde_json::from_slice(line).unwrap()).collect()
}

fn values(record: Rdb) -> Value {
    lines(&record.end())[0]["value"].clone()
}

/// The commands in a stream of them.
pub(crate) fn commands(mut bytes: &[u8]) -> Vec<Vec<Vec<u8>>> {
    fn number(bytes: &mut &[u8], mark: u8) -> usize {
        assert_eq!(bytes[0], mark);
        let end = bytes.iter().position(|byte| *byte == b'\r').unwrap();
        let number = std::str::from_utf8(&bytes[1..end]).unwrap().parse().unwrap();
        *bytes = &bytes[end + 2..];
        number
    }
    let mut commands = Vec::new();
    while !bytes.is_empty() {
        let words = (0..number(&mut bytes, b'*')).map(|_| {
            let length = number(&mut bytes, b'$');
            let (word, rest) = bytes.split_at(length);
            bytes = rest.strip_prefix(b"\r\n").unwrap();
            word.to_vec()
        });
        commands.push(words.collect());
    }
    commands
}

fn spoken(bytes: &[u8]) -> Vec<String> {
    let words = commands(&exported(bytes, Form::Commands));
    words.iter().map(|words| String::from_utf8_lossy(&words.join(&b' ')).into_owned()).collect()
}

#[test]
fn every_sound_file_is_written_whole_in_every_form() {
    for name in fixture_names() {
        let bytes = fixture(&name);
        let Ok(report) = check(&bytes) else { continue };
        let lines = lines(&bytes);
        let keys = lines.iter().filter(|line| line.get("key").is_some());
        assert_eq!(keys.count() as u64, report.keys + report.empty_keys, "{name}");
        let functions = lines.iter().filter(|line| line.get("function").is_some());
        assert_eq!(functions.count() as u64, report.functions, "{name}");
        commands(&exported(&bytes, Form::Commands));
        for form in FORMS {
            let mut again = Vec::new();
            let options = ExportOptions { form, ..ExportOptions::default() };
            let drip = BufReader::with_capacity(7, &bytes[..]);
            export(drip, Limits::default(), &options, &mut again).unwrap();
            assert_eq!(again, exported(&bytes, form), "{name}: {form:?}");
        }
    }
}

#[test]
fn elements_are_as_many_as_the_file_says() {
    let bytes = fixture("srv-redis-7.0.15-all.rdb");
    let mut expected = Vec::new();
    keystow_rdb::export::for_each_key(&bytes[..], Limits::default(), &Filter::default(), |entry| {
        expected.push((String::from_utf8_lossy(entry.key).into_owned(), entry.kind, entry.elements));
        Ok(())
    })
    .unwrap();
    let lines = lines(&bytes);
    let lines = lines.iter().filter(|line| line.get("key").is_some());
    for (line, (key, kind, elements)) in lines.zip(&expected) {
        let value = &line["value"];
        let counted = match kind {
            Kind::String => 1,
            Kind::Stream => value["entries"].as_array().unwrap().len(),
            _ => value.as_array().unwrap().len(),
        };
        assert_eq!((line["type"].as_str(), counted as u64), (Some(kind.name()), *elements), "{key}");
    }
}

#[test]
fn values_of_each_type_have_their_shape() {
    let text = |bytes: &[u8]| string(bytes);
    assert_eq!(values(Rdb::new().record(0, &text(b"a\"b"))), "a\"b");
    assert_eq!(values(Rdb::new().record(0, &text(b"\xff\x00"))), json!({"base64": "/wA="}));
    assert_eq!(values(Rdb::new().record(0, &[0xc0, 0xf9])), "-7");
    let list = [&[2][..], &text(b"x"), &text(b"y")].concat();
    assert_eq!(values(Rdb::new().record(1, &list)), json!(["x", "y"]));
    let scores = [&[2][..], &text(b"x"), &1.5f64.to_le_bytes(), &text(b"y"), &f64::INFINITY.to_le_bytes()];
    assert_eq!(values(Rdb::new().record(5, &scores.concat())), json!([["x", 1.5], ["y", "inf"]]));
    let hash = text(&listpack(&["f".into(), 7.into(), "g".into(), "v".into()]));
    assert_eq!(values(Rdb::new().record(16, &hash)), json!([["f", "7"], ["g", "v"]]));
    assert_eq!(values(Rdb::new().record(2, &[0])), json!([]));
    assert_eq!(values(Rdb::new().record(4, &[0])), json!([]));
}

#[test]
fn head_of_a_line_has_what_the_file_has() {
    let file = Rdb::new().raw(b"\xfe\x03\xfc\x88\x13\0\0\0\0\0\0\xf9\x07\x00\x02\xc3\xbc\x01v").end();
    let line = lines(&file).remove(0);
    let expected = json!({"db": 3, "key": "ü", "type": "string", "encoding": "string", "expires_at_ms": 5000,
        "frequency": 7, "value": "v"});
    assert_eq!(line, expected);
}

#[test]
fn field_expiries_follow_their_fields() {
    let lines = lines(&fixture("librdb--hash_with_expire_v12.rdb"));
    let fields: Vec<&Value> = lines.iter().flat_map(|line| line["value"].as_array().unwrap()).collect();
    assert!(fields.iter().any(|field| field.as_array().unwrap().len() == 3 && field[2].is_i64()));
    let spoken = spoken(&fixture("librdb--hash_with_expire_v12.rdb"));
    assert!(spoken.iter().any(|line| line.starts_with("HPEXPIREAT ") && line.contains(" FIELDS 1 ")));
}

#[test]
fn streams_are_complete() {
    let lines = lines(&fixture("librdb--stream_v13_idmp.rdb"));
    let streams: Vec<&Value> = lines.iter().filter(|line| line["type"] == "stream").collect();
    assert!(!streams.is_empty());
    assert!(streams.iter().any(|line| line["value"]["idempotence"]["producers"].is_array()));
    let lines = self::lines(&fixture("srv-redis-8.2.3-all.rdb"));
    let value = |line: &&Value| line["type"] == "stream" && line["value"]["groups"][0]["name"].is_string();
    let group = &lines.iter().find(value).unwrap()["value"]["groups"][0];
    let pending = |at: &Value| at["pending"].as_array().unwrap().len();
    let owned: usize = group["consumers"].as_array().unwrap().iter().map(pending).sum();
    assert_eq!(pending(group), owned, "{group}");
}

#[test]
fn commands_come_in_batches() {
    let elements: Vec<u8> = (0..1000u32).flat_map(|number| string(&number.to_be_bytes())).collect();
    let record = [&[0x43, 0xe8][..], &elements].concat();
    let spoken = commands(&exported(&Rdb::new().record(2, &record).end(), Form::Commands));
    let lengths: Vec<usize> = spoken.iter().map(Vec::len).collect();
    assert_eq!(spoken[0], [b"SELECT".to_vec(), b"0".to_vec()]);
    assert_eq!(lengths, [2, 2 + 512, 2 + 488]);
    assert_eq!(spoken[2][..2], [b"SADD".to_vec(), b"k".to_vec()]);
}

#[test]
fn long_elements_end_their_command() {
    let long = vec![b'x'; 100_000];
    let record = [&[3][..], &string(b"a"), &string(&long), &string(b"b")].concat();
    let spoken = commands(&exported(&Rdb::new().record(1, &record).end(), Form::Commands));
    assert_eq!(spoken[1], [b"RPUSH".to_vec(), b"k".to_vec(), b"a".to_vec(), long]);
    assert_eq!(spoken[2], [b"RPUSH".to_vec(), b"k".to_vec(), b"b".to_vec()]);
}

#[test]
fn negative_expiry_is_none() {
    let expiring = |ms: i64| {
        let file = Rdb::new().raw(&[252]).raw(&ms.to_le_bytes()).record(0, &string(b"v")).end();
        spoken(&file)
    };
    assert_eq!(expiring(-1), ["SELECT 0", "SET k v"], "the command would remove the key");
    assert_eq!(expiring(0), ["SELECT 0", "SET k v", "PEXPIREAT k 0"]);
}

#[test]
fn empty_stream_is_made() {
    // No nodes, no entries, last ID 5-0, version 2 facts, no groups.
    let record = [0, 0, 5, 0, 0, 0, 4, 0, 9, 0];
    let expected = ["SELECT 0", "XADD k MAXLEN 0 0-1 x y", "XSETID k 5-0 ENTRIESADDED 9 MAXDELETEDID 4-0"];
    assert_eq!(spoken(&Rdb::new().record(19, &record).end()), expected);
}

#[test]
fn module_values_are_restored() {
    let spoken = commands(&exported(&fixture("librdb--module.rdb"), Form::Commands));
    let restore = spoken.iter().find(|words| words[0] == b"RESTORE").unwrap();
    let payload = keystow_rdb::dump::Payload::open(&restore[3]).unwrap();
    payload.check_sum().unwrap();
    assert_eq!(payload.check(Limits::default()).unwrap().kind, Kind::Module);
}

#[test]
fn what_comes_before_a_fault_is_written_in_whole_records() {
    let bytes = fixture("srv-redis-7.0.15-all.rdb");
    for form in FORMS {
        let whole = exported(&bytes, form);
        for cut in (0..bytes.len()).step_by(97) {
            let mut out = Vec::new();
            let options = ExportOptions { form, ..ExportOptions::default() };
            let fault = export(&bytes[..cut], Limits::default(), &options, &mut out).unwrap_err();
            assert_eq!(fault.reason.code(), "RDB_TRUNCATED");
            assert!(whole.starts_with(&out), "{form:?}, cut at {cut}");
            match form {
                Form::Commands => drop(commands(&out)),
                Form::JsonLines | Form::Csv => assert!(out.is_empty() || out.ends_with(b"\n")),
            }
        }
    }
}

#[test]
fn full_disk_is_told_from_a_bad_file() {
    struct Full;
    impl Write for Full {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::StorageFull.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    for form in FORMS {
        let options = ExportOptions { form, ..ExportOptions::default() };
        let bytes = fixture("srv-redis-7.0.15-all.rdb");
        let fault = export(&bytes[..], Limits::default(), &options, Full).unwrap_err();
        assert_eq!(fault.reason.code(), "RDB_OUTPUT", "{form:?}");
    }
}

#[test]
fn rows_have_as_many_fields_as_the_header() {
    let text = String::from_utf8(exported(&fixture("srv-redis-7.0.15-all.rdb"), Form::Csv)).unwrap();
    assert!(text.starts_with("db,key,type,encoding,elements,"));
    let plain = text.split("\r\n").filter(|row| !row.is_empty() && !row.contains('"'));
    assert!(plain.clone().count() > 30);
    assert!(plain.clone().all(|row| row.split(',').count() == 11), "{text}");
}

#[test]
fn only_chosen_keys_are_written() {
    let bytes = fixture("srv-redis-7.0.15-all.rdb");
    let filter = Filter { kinds: vec![Kind::Hash], ..Filter::default() };
    for form in FORMS {
        let options = ExportOptions { form, filter: filter.clone(), without_header: true };
        let mut out = Vec::new();
        let done = export(&bytes[..], Limits::default(), &options, &mut out).unwrap();
        assert_eq!(done.keys, check(&bytes).unwrap().kinds[&Kind::Hash].keys, "{form:?}");
        assert_eq!(done.functions, 0);
    }
}
