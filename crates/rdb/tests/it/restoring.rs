//! Commands that restore files say what the files say, whatever the size of values and of the source's pieces.

use std::io::{self, BufRead, BufReader};

use keystow_rdb::{
    Changes, Filter, Format, Kind, Limits, Pattern, Prefix, Record, RestoreEntry, RestoreError,
    RestoreOptions, RestoreSink, Restored, RewriteOptions, Ttl, Unwritable, Value, Whole, Writer,
    dump::Payload, model::HashField, restore, rewrite, slot,
};

use super::{check, export::commands, fixture, fixture_names, values::file};

/// What was handed out, one behind the other.
#[derive(Default)]
pub(crate) struct Taken {
    pub(crate) bytes: Vec<u8>,
    /// Keys with the sizes that were told, in order.
    keys: Vec<(u64, Vec<u8>, u64)>,
    databases: Vec<u64>,
    functions: Vec<Vec<u8>>,
    /// The key whose commands are not whole yet.
    open: Option<Vec<u8>>,
    pub(crate) most_bytes: usize,
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

pub(crate) fn restored(
    source: impl BufRead,
    options: &RestoreOptions,
) -> Result<(Taken, Restored), RestoreError> {
    let mut taken = Taken::default();
    let restored = restore(source, &mut taken, options)?;
    assert_eq!(taken.open, None, "every key is whole");
    Ok((taken, restored))
}

pub(crate) fn to(format: Format) -> RestoreOptions {
    RestoreOptions::new(format)
}

/// Options under which every value, or every one over so many bytes, is made in pieces.
pub(crate) fn pieces(format: Format, max_value_bytes: u64) -> RestoreOptions {
    RestoreOptions { replace: true, max_value_bytes, ..RestoreOptions::new(format) }
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
pub(crate) fn check_payloads(taken: &Taken, format: Format, name: &str) {
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
    let filter = Filter { names: vec![Pattern::new(b"[oc][^t]*"), Pattern::new(b"c")], ..Filter::default() };
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
