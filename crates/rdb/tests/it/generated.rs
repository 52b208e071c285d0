//! Values of every kind, made at random, and what is left of them in each format.

use std::collections::{BTreeMap, BTreeSet};

use keystow_rdb::{
    Flavour, Format, StreamHistory, StreamId, Value,
    model::{Consumer, Group, HashField, Pending, Scored, Stream, StreamEntry},
};
use proptest::{collection, option, prelude::*};

/// The latest expiry of a field that Redis takes.
const LATEST_EXPIRY: i64 = (1 << 48) - 1;

/// A short text, often a number, sometimes one that only looks like it.
fn text() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        4 => collection::vec(any::<u8>(), 0..20),
        3 => (any::<i64>(), 0u32..64).prop_map(|(number, shift)| (number >> shift).to_string().into_bytes()),
        1 => "[-+ 0]?[0-9]{1,21}".prop_map(String::into_bytes),
        1 => collection::vec(any::<u8>(), 60..70),
        1 => (collection::vec(any::<u8>(), 1..40), 1usize..300).prop_map(|(piece, times)| piece.repeat(times)),
    ]
}

fn distinct() -> impl Strategy<Value = BTreeSet<Vec<u8>>> {
    collection::btree_set(text(), 1..20)
}

fn score() -> impl Strategy<Value = f64> {
    prop_oneof![
        any::<f64>().prop_filter("a number", |score| !score.is_nan()),
        Just(f64::INFINITY),
        Just(f64::NEG_INFINITY),
        (-1000i32..1000).prop_map(f64::from),
    ]
}

fn hash(expiries: impl Strategy<Value = Option<i64>>) -> impl Strategy<Value = Value> {
    collection::btree_map(text(), (text(), expiries), 1..20).prop_map(|fields| {
        let field = |(field, (value, expires_ms))| HashField { field, value, expires_ms };
        Value::Hash(fields.into_iter().map(field).collect())
    })
}

fn id() -> impl Strategy<Value = StreamId> {
    prop_oneof![
        (1u64..50, 0u64..5).prop_map(|(ms, seq)| StreamId { ms, seq }),
        (any::<u64>(), any::<u64>()).prop_map(|(ms, seq)| StreamId { ms, seq }),
    ]
}

/// Few different names, so that entries often have the same fields.
fn entry_fields() -> impl Strategy<Value = Vec<(Vec<u8>, Vec<u8>)>> {
    let name = prop_oneof![3 => Just(b"name".to_vec()), 1 => text()];
    collection::vec((name, text()), 1..4)
}

fn group(name: Vec<u8>) -> impl Strategy<Value = Group> {
    // Each pending entry belongs to one of the consumers.
    let pending =
        collection::btree_map(id(), (any::<i64>(), any::<u32>(), any::<prop::sample::Index>()), 0..20);
    let consumers = collection::btree_map(text(), (any::<i64>(), option::of(0i64..1 << 50)), 1..4);
    (Just(name), id(), option::of(0u64..1 << 60), pending, consumers).prop_map(
        |(name, last_id, entries_read, pending, consumers)| {
            let mut consumers: Vec<Consumer> = consumers
                .into_iter()
                .map(|(name, (seen_ms, active_ms))| Consumer {
                    name,
                    seen_ms,
                    active_ms,
                    pending: Vec::new(),
                })
                .collect();
            for (id, (delivered_ms, deliveries, owner)) in pending {
                let pending = Pending { id, delivered_ms, deliveries: deliveries.into() };
                owner.get_mut(&mut consumers).pending.push(pending);
            }
            Group { name, last_id, entries_read, consumers }
        },
    )
}

fn stream() -> impl Strategy<Value = Value> {
    let entries = collection::btree_map(id(), entry_fields(), 0..250);
    let groups = collection::btree_set(text(), 0..3)
        .prop_flat_map(|names| names.into_iter().map(group).collect::<Vec<_>>());
    (entries, groups, option::of((id(), any::<u64>()))).prop_map(|(entries, groups, history)| {
        let entries: Vec<_> = entries.into_iter().map(|(id, fields)| StreamEntry { id, fields }).collect();
        let first_id = entries.first().map(|entry| entry.id).unwrap_or_default();
        let history = history.map(|(max_deleted_id, entries_added)| StreamHistory {
            first_id,
            max_deleted_id,
            entries_added,
        });
        let last_id = entries.last().map(|entry| entry.id).unwrap_or_default();
        Value::Stream(Box::new(Stream { entries, last_id, history, groups, idempotence: None }))
    })
}

/// A module's value: its identity and one string, as they stand in a file.
fn module() -> impl Strategy<Value = Value> {
    collection::vec(any::<u8>(), 0..60).prop_map(|text| {
        let length = u8::try_from(text.len()).unwrap();
        Value::Module([&[1, 5, length][..], &text, &[0]].concat())
    })
}

/// Any value without fields that expire, which every format has words for.
pub(crate) fn plain_value() -> impl Strategy<Value = Value> {
    prop_oneof![
        text().prop_map(Value::String),
        collection::vec(text(), 1..40).prop_map(Value::List),
        distinct().prop_map(|members| Value::Set(members.into_iter().collect())),
        collection::btree_map(text(), score(), 1..20).prop_map(|members| {
            let scored = |(member, score)| Scored { member, score };
            Value::SortedSet(members.into_iter().map(scored).collect())
        }),
        hash(Just(None)),
        stream(),
        module(),
    ]
}

/// A hash of which some fields may expire.
pub(crate) fn expiring_hash() -> impl Strategy<Value = Value> {
    hash(prop_oneof![Just(None), Just(Some(0)), Just(Some(LATEST_EXPIRY)), option::of(0..LATEST_EXPIRY)])
}

/// Any format that is written.
pub(crate) fn format() -> impl Strategy<Value = Format> {
    prop::sample::select(Format::WRITTEN.to_vec())
}

/// Any that knows fields that expire.
pub(crate) fn expiring_format() -> impl Strategy<Value = Format> {
    prop::sample::select(vec![Format::REDIS_12, Format::VALKEY_80])
}

/// What is left of a value in a file of that format.
pub(crate) fn as_known_to(value: &Value, format: Format) -> Value {
    let mut value = value.clone();
    if let Value::Stream(stream) = &mut value {
        let has_consumer_activity = format.version >= 11 || format.flavour == Flavour::Valkey;
        let has_history = format.version >= 10;
        if has_history {
            let first_id = stream.entries.first().map(|entry| entry.id).unwrap_or_default();
            let entries_added = stream.entries.len() as u64;
            let guessed = StreamHistory { first_id, max_deleted_id: StreamId::default(), entries_added };
            stream.history.get_or_insert(guessed);
        } else {
            stream.history = None;
        }
        for group in &mut stream.groups {
            group.entries_read = group.entries_read.filter(|_| has_history);
            for consumer in &mut group.consumers {
                consumer.active_ms = consumer.active_ms.filter(|_| has_consumer_activity);
            }
        }
    }
    value
}

/// Keys with values, as they are to be found.
pub(crate) type Keys = BTreeMap<(u64, Vec<u8>), Value>;
