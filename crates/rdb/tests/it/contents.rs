//! What a file holds, value by value, is what a real server answered after loading it.

use std::{collections::BTreeMap, fmt::Write, io};

use keystow_rdb::{
    Entry, Event, Head, Kind, Limits, Part, Reader, StreamFacts, Visitor, Want,
    packed::{Digits, Item},
};
use serde_json::{Value, json};

use super::fixture;

/// Longer texts are told by length and SHA-256.
const WHOLE_BYTES: usize = 120;
/// Collections are compared by their size and their first members.
const FIRST_MEMBERS: usize = 12;
/// And streams by their first entries.
const FIRST_ENTRIES: usize = 2;
/// When servers were asked what the files hold.
const LOADED_MS: i64 = 1_795_219_200_000;

#[test]
fn every_file_holds_what_a_server_found_in_it() {
    let expected: BTreeMap<String, Value> = serde_json::from_slice(&fixture("contents.json")).unwrap();
    for (name, databases) in &expected {
        // A name stands for the contents of that file.
        let databases = databases.as_str().map_or(databases, |same| &expected[same]);
        compare(name, databases);
    }
    assert!(expected.len() > 80, "only {} files were looked at", expected.len());
}

fn compare(name: &str, expected: &Value) {
    let found = databases(&fixture(name));
    let numbers: Vec<_> = found.keys().map(u64::to_string).collect();
    assert!(expected.as_object().unwrap().keys().eq(&numbers), "{name}: databases {numbers:?}");
    for (number, keys) in &found {
        let expected = &expected[number.to_string()];
        assert_eq!(expected["dbsize"], keys.len(), "{name}: keys of database {number}");
        // Of many keys only the number is known.
        let Some(expected) = expected.get("keys").and_then(Value::as_object) else { continue };
        for key in expected.keys() {
            assert!(keys.contains_key(key), "{name}: key {key:?} is missing");
        }
        for (key, value) in keys {
            match expected.get(key) {
                Some(expected) => assert_eq!(value, expected, "{name}: key {key:?}"),
                // Servers hide what has expired.
                None => assert!(has_expired(value), "{name}: key {key:?} should not be there"),
            }
        }
    }
}

fn has_expired(value: &Value) -> bool {
    value["pexpireat"].as_i64().is_some_and(|expiry| expiry < LOADED_MS)
}

/// The keys of a file by database, in the form of `contents.json`.
fn databases(bytes: &[u8]) -> BTreeMap<u64, BTreeMap<String, Value>> {
    let mut reader = Reader::new(bytes, Limits::default());
    let mut collected = Collected::default();
    let mut databases: BTreeMap<u64, BTreeMap<_, _>> = BTreeMap::new();
    while let Some(event) = reader.next_event_with(&mut collected).unwrap() {
        if let Event::Entry(entry) = event
            && !entry.is_skipped_by_servers()
        {
            let keys = databases.entry(entry.database).or_default();
            let before = keys.insert(latin1(entry.key), collected.value(&entry));
            assert_eq!(before, None, "each key comes once");
        }
    }
    databases
}

/// The parts of the value at hand.
#[derive(Default)]
struct Collected {
    /// All texts, in order: fields and values, members, elements.
    texts: Vec<Vec<u8>>,
    scores: Vec<f64>,
    field_expiries: BTreeMap<String, i64>,
    /// Stream entries, each with where its fields begin in `texts`.
    entries: Vec<(String, usize)>,
    facts: StreamFacts,
    groups: Vec<Group>,
    idempotence: Option<Value>,
}

#[derive(Default)]
struct Group {
    name: String,
    last_id: String,
    entries_read: Option<u64>,
    pending: u64,
    consumers: u64,
    pending_of_consumers: u64,
}

impl Visitor for Collected {
    fn begin(&mut self, _: &Head<'_>) -> Want {
        *self = Self::default();
        Want::Parts
    }

    fn part(&mut self, part: Part<'_>) -> io::Result<()> {
        match part {
            Part::Text(item)
            | Part::Element(item)
            | Part::Member(item)
            | Part::Field(item)
            | Part::Value(item) => self.texts.push(bytes(item)),
            // Servers take a minus zero for a zero.
            Part::Score(score) => self.scores.push(score + 0.0),
            Part::FieldExpiry(expiry) => {
                let field = &self.texts[self.texts.len() - 2];
                self.field_expiries.insert(latin1(field), expiry);
            }
            Part::StreamEntry { id, .. } => self.entries.push((id.to_string(), self.texts.len())),
            Part::StreamFacts(facts) => self.facts = facts,
            stream => self.stream_part(stream),
        }
        Ok(())
    }
}

impl Collected {
    fn stream_part(&mut self, part: Part<'_>) {
        match part {
            Part::Group { name, last_id, entries_read } => self.groups.push(Group {
                name: latin1(name),
                last_id: last_id.to_string(),
                entries_read,
                ..Group::default()
            }),
            Part::Pending { .. } => self.group().pending += 1,
            Part::Consumer { .. } => self.group().consumers += 1,
            Part::ConsumerPending(_) => self.group().pending_of_consumers += 1,
            Part::Idempotence { seconds, max_entries } => {
                self.idempotence =
                    Some(json!({"duration": seconds, "max_entries": max_entries, "producers": []}));
            }
            Part::Producer(name) => self.producers().push(json!([latin1(name), []])),
            Part::Produced { iid, id } => {
                let produced = self.producers().last_mut().unwrap()[1].as_array_mut().unwrap();
                produced.push(json!([latin1(iid), id.to_string()]));
            }
            other => panic!("{other:?} is not known here"),
        }
    }

    fn group(&mut self) -> &mut Group {
        self.groups.last_mut().unwrap()
    }

    fn producers(&mut self) -> &mut Vec<Value> {
        self.idempotence.as_mut().unwrap()["producers"].as_array_mut().unwrap()
    }

    /// The whole value once its entry has come.
    fn value(&mut self, entry: &Entry<'_>) -> Value {
        let mut value = match entry.kind {
            Kind::String => json!({"value": text(&self.texts[0])}),
            Kind::List => json!({"len": self.texts.len(), "head": first(&self.texts)}),
            Kind::Set => {
                self.texts.sort();
                json!({"len": self.texts.len(), "sorted_head": first(&self.texts)})
            }
            Kind::SortedSet => self.sorted_set(),
            Kind::Hash => self.hash(),
            Kind::Stream => self.stream(),
            Kind::Module => json!({}),
        };
        value["type"] = entry.kind.name().into();
        if let Some(expiry) = entry.expires_ms {
            value["pexpireat"] = expiry.into();
        }
        if !self.field_expiries.is_empty() {
            value["field_pexpireat"] = json!(self.field_expiries);
        }
        value
    }

    fn sorted_set(&self) -> Value {
        assert_eq!(self.texts.len(), self.scores.len(), "each member has its score");
        let mut members: Vec<_> = self.texts.iter().zip(&self.scores).collect();
        members.sort_by(|(a, a_score), (b, b_score)| a_score.total_cmp(b_score).then(a.cmp(b)));
        let head = members.iter().take(FIRST_MEMBERS);
        let head: Vec<_> = head.map(|(member, score)| json!([text(member), score.to_string()])).collect();
        json!({"len": members.len(), "head": head})
    }

    fn hash(&self) -> Value {
        let (pairs, rest) = self.texts.as_chunks::<2>();
        assert!(rest.is_empty(), "each field has its value");
        let mut pairs = pairs.to_vec();
        pairs.sort();
        let head = pairs.iter().take(FIRST_MEMBERS);
        let head: Vec<_> = head.map(|[field, value]| json!([text(field), text(value)])).collect();
        json!({"len": pairs.len(), "sorted_head": head})
    }

    fn stream(&self) -> Value {
        let ends = self.entries.iter().skip(1).map(|(_, start)| *start).chain([self.texts.len()]);
        let entries = self.entries.iter().zip(ends).take(FIRST_ENTRIES);
        let entries: Vec<_> = entries
            .map(|((id, start), end)| {
                let texts: Vec<_> = self.texts[*start..end].iter().map(|each| text(each)).collect();
                json!([id, texts])
            })
            .collect();
        let mut value = json!({
            "len": self.facts.length,
            "last_id": self.facts.last_id.to_string(),
            "first_entries": entries,
        });
        if let Some(history) = self.facts.history {
            value["entries_added"] = history.entries_added.into();
            value["max_deleted_id"] = history.max_deleted_id.to_string().into();
        }
        value["groups"] = self.groups.iter().map(|group| self.group_value(group)).collect();
        if let Some(idempotence) = &self.idempotence {
            value["idmp"] = idempotence.clone();
        }
        value
    }

    fn group_value(&self, group: &Group) -> Value {
        assert_eq!(group.pending, group.pending_of_consumers, "each pending entry has one consumer");
        let mut value = json!({
            "name": group.name,
            "last-delivered-id": group.last_id,
            "pending": group.pending,
            "consumers": group.consumers,
        });
        if self.facts.history.is_some() {
            value["entries-read"] = json!(group.entries_read);
        }
        value
    }
}

fn first(texts: &[Vec<u8>]) -> Vec<Value> {
    texts.iter().take(FIRST_MEMBERS).map(|each| text(each)).collect()
}

fn bytes(item: Item<'_>) -> Vec<u8> {
    item.bytes(&mut Digits::default()).to_vec()
}

/// A text as JSON: one character per byte, a long one by length and SHA-256.
fn text(bytes: &[u8]) -> Value {
    if bytes.len() <= WHOLE_BYTES {
        return latin1(bytes).into();
    }
    let sum = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes);
    let mut hex = String::new();
    for byte in sum.as_ref() {
        write!(hex, "{byte:02x}").unwrap();
    }
    json!({"len": bytes.len(), "sha256": hex})
}

fn latin1(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| char::from(*byte)).collect()
}
