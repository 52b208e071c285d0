//! Values that are written and read again are the same.

use keystow_rdb::{
    Collector, Encoding, Event, Flavour, Format, Limits, ModuleId, ModuleWhen, Reader, Reason, Record,
    StreamId, Unwritable, Value, WriteError, Writer,
    model::{Consumer, Group, HashField, Idempotence, Pending, Producer, Scored, Stream, StreamEntry},
};
use proptest::prelude::*;

use super::{
    check,
    generated::{Keys, as_known_to, expiring_format, expiring_hash, format, plain_value},
};

const ENOUGH_BYTES: u64 = 64 << 20;

/// All keys of a file.
pub(crate) fn read(file: &[u8]) -> Keys {
    let mut reader = Reader::new(file, Limits::default());
    let mut collector = Collector::new(ENOUGH_BYTES);
    let mut found = Keys::new();
    while let Some(event) = reader.next_event_with(&mut collector).unwrap() {
        if let Event::Entry(entry) = event {
            found.insert((entry.database, entry.key.to_vec()), collector.take().unwrap());
        }
    }
    found
}

/// A file with these values under the keys `0`, `1` and so on.
pub(crate) fn file(values: &[Value], format: Format) -> Vec<u8> {
    let mut writer = Writer::new(Vec::new(), format).unwrap();
    for (number, value) in values.iter().enumerate() {
        writer.value(&Record::new(number.to_string().as_bytes()), value).unwrap();
    }
    writer.end().unwrap()
}

fn keys(values: &[Value], format: Format) -> Keys {
    let key =
        |(number, value): (usize, &Value)| ((0, number.to_string().into_bytes()), as_known_to(value, format));
    values.iter().enumerate().map(key).collect()
}

proptest! {
    #[test]
    fn values_read_as_they_were_written(
        values in proptest::collection::vec(plain_value(), 1..6),
        format in format(),
    ) {
        let file = file(&values, format);
        prop_assert_eq!(check(&file).unwrap().bytes, file.len() as u64);
        prop_assert_eq!(read(&file), keys(&values, format));
    }

    #[test]
    fn fields_that_expire_read_as_they_were_written(value in expiring_hash(), format in expiring_format()) {
        let values = [value];
        prop_assert_eq!(read(&file(&values, format)), keys(&values, format));
    }

    #[test]
    fn what_stands_around_values_reads_as_it_was_written(
        record in (any::<Option<i64>>(), any::<Option<u64>>(), any::<Option<u8>>()),
        key: Vec<u8>,
        database in 0u64..60_000,
        hint: (u64, u64),
        note: (Vec<u8>, Vec<u8>),
        format in format(),
    ) {
        let mut writer = Writer::new(Vec::new(), format).unwrap();
        writer.aux(&note.0, &note.1).unwrap();
        writer.database(database).unwrap();
        writer.size_hint(hint.0, hint.1).unwrap();
        let (expires_ms, idle_seconds, frequency) = record;
        let record = Record { key: &key, expires_ms, idle_seconds, frequency };
        writer.value(&record, &Value::String(b"v".to_vec())).unwrap();
        writer.module_aux(ModuleId(77), ModuleWhen::AfterKeys).unwrap();
        writer.raw(&[0]).unwrap();
        let written = writer.bytes();
        let file = writer.end().unwrap();
        prop_assert_eq!(written + 9, file.len() as u64);

        let mut reader = Reader::new(&file[..], Limits::default());
        prop_assert_eq!(reader.next_event().unwrap(), Some(Event::Header(format)));
        prop_assert_eq!(reader.next_event().unwrap(), Some(Event::Aux { name: &note.0, value: &note.1 }));
        prop_assert_eq!(reader.next_event().unwrap(), Some(Event::Database { index: database }));
        prop_assert_eq!(
            reader.next_event().unwrap(),
            Some(Event::SizeHint { keys: hint.0, with_expiry: hint.1 })
        );
        let Some(Event::Entry(entry)) = reader.next_event().unwrap() else { panic!("no entry") };
        prop_assert_eq!((entry.database, entry.key), (database, &key[..]));
        prop_assert_eq!((entry.expires_ms, entry.idle_seconds, entry.frequency), (expires_ms, idle_seconds, frequency));
        let aux = Event::ModuleAux { module: ModuleId(77), when: ModuleWhen::AfterKeys };
        prop_assert_eq!(reader.next_event().unwrap(), Some(aux));
        let ends = matches!(reader.next_event().unwrap(), Some(Event::End { .. }));
        prop_assert!(ends);
    }
}

#[test]
fn large_values_go_through_whatever_their_size() {
    let sizes = [16 << 10, (16 << 10) - 1, 128 << 10, 300_000, 5 << 20];
    let values = sizes.map(|size| Value::String(vec![b'x'; size]));
    let file = file(&values, Format::REDIS_11);
    assert_eq!(read(&file), keys(&values, Format::REDIS_11));
}

#[test]
fn formats_that_are_not_written_are_refused() {
    for format in [Format::redis(8), Format::redis(13), Format { flavour: Flavour::Valkey, version: 81 }] {
        assert_eq!(Writer::new(Vec::new(), format).err(), Some(Unwritable::Format(format)));
        assert_eq!(Value::String(Vec::new()).encode(format), Err(Unwritable::Format(format)));
    }
}

fn expiring(ms: i64) -> Value {
    let field = HashField { field: b"f".to_vec(), value: b"v".to_vec(), expires_ms: Some(ms) };
    Value::Hash(vec![field])
}

fn with_stream(change: impl FnOnce(&mut Stream)) -> Value {
    let entry =
        |ms| StreamEntry { id: StreamId { ms, seq: 0 }, fields: vec![(b"f".to_vec(), b"v".to_vec())] };
    let mut stream = Stream {
        entries: vec![entry(1), entry(2)],
        last_id: StreamId { ms: 2, seq: 0 },
        ..Stream::default()
    };
    change(&mut stream);
    Value::Stream(Box::new(stream))
}

#[test]
fn what_a_format_has_no_words_for_is_refused() {
    let twice = |stream: &mut Stream| {
        let pending = vec![Pending::default()];
        let consumer =
            |name: &[u8]| Consumer { name: name.to_vec(), pending: pending.clone(), ..Consumer::default() };
        stream.groups = vec![Group { consumers: vec![consumer(b"a"), consumer(b"b")], ..Group::default() }];
    };
    let produced = |stream: &mut Stream| {
        stream.idempotence =
            Some(Idempotence { producers: vec![Producer::default()], ..Idempotence::default() });
    };
    let r11 = Format::REDIS_11;
    let (r12, v80) = (Format::REDIS_12, Format::VALKEY_80);
    let nan = Value::SortedSet(vec![Scored { member: b"m".to_vec(), score: f64::NAN }]);
    for (value, format, why) in [
        (expiring(1), r11, Unwritable::FieldExpiry(r11)),
        (expiring(-2), v80, Unwritable::FieldExpiryRange(-2, v80)),
        (expiring(1 << 48), r12, Unwritable::FieldExpiryRange(1 << 48, r12)),
        (nan, r11, Unwritable::Score),
        (with_stream(|stream| stream.entries.reverse()), r11, Unwritable::StreamOrder),
        (with_stream(|stream| stream.last_id.ms = 1), r11, Unwritable::StreamOrder),
        (with_stream(twice), r11, Unwritable::StreamOrder),
        (with_stream(produced), r11, Unwritable::Producers(r11)),
    ] {
        assert_eq!(value.encode(format), Err(why), "{value:?}");
    }
    assert!(expiring(1 << 48).encode(v80).is_ok());

    let mut writer = Writer::new(Vec::new(), Format::REDIS_9).unwrap();
    let listpack = Encoding { number: 16, flavour: Flavour::Redis };
    let refused = |result| matches!(result, Err(WriteError::Unwritable(_)));
    assert!(refused(writer.entry(&Record::new(b"k"), listpack)));
    assert!(refused(writer.function(b"#!lua name=f")));
    assert_eq!(check(&writer.end().unwrap()).unwrap().keys, 0, "nothing was written of what was refused");
}

#[test]
fn values_larger_than_wanted_are_not_held() {
    let file = file(&[Value::List(vec![b"some element".to_vec(); 1000])], Format::REDIS_9);
    let mut reader = Reader::new(&file[..], Limits::default());
    let mut collector = Collector::new(10_000);
    let fault = loop {
        match reader.next_event_with(&mut collector) {
            Ok(event) => assert!(event.is_some(), "the list was held"),
            Err(fault) => break fault,
        }
    };
    assert!(matches!(fault.reason, Reason::Output { .. }), "{fault}");
}
