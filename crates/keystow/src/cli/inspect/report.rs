//! What was found in an RDB file, as programs and people read it.

mod text;

use keystow_rdb::inspect::{
    BigKey, ExpiryHistogram, FREQUENCIES, LARGE_BYTES, LARGE_ELEMENTS, SPANS_S, SlotSums, Sums,
};
use keystow_rdb::{Checksum, Inspection, SLOTS};
use serde::Serialize;

use crate::cli::output::Name;

/// What `inspect --json` prints: a contract.
#[derive(Debug, Serialize)]
pub(super) struct Figures {
    name: String,
    rdb_version: u16,
    magic: String,
    /// The server that wrote the file, such as `redis 7.0.15`.
    server: Option<String>,
    checksum: &'static str,
    bytes: u64,
    #[serde(flatten)]
    all: Counted,
    /// Empty collections, which servers leave out; not counted elsewhere.
    empty_keys: u64,
    types: Vec<TypeRow>,
    encodings: Vec<EncodingRow>,
    databases: Vec<DatabaseRow>,
    prefixes: PrefixRows,
    slots: Slots,
    biggest: Vec<KeyRow>,
    most_elements: Vec<KeyRow>,
    large: Large,
    expiry: Expiry,
    idle: Option<Vec<SpanRow>>,
    frequency: Option<Vec<FrequencyRow>>,
    expiring_fields: ExpiringFields,
    functions: u64,
    modules: Vec<String>,
    not_compared: NotCompared,
}

/// The parts of one backup.
#[derive(Debug, Serialize)]
pub(super) struct FiguresOfAll {
    pub(super) parts: Vec<Figures>,
}

#[derive(Debug, Clone, Copy, Serialize)]
struct Counted {
    keys: u64,
    with_expiry: u64,
    elements: u64,
    stored_bytes: u64,
    memory_bytes: u64,
}

#[derive(Debug, Serialize)]
struct TypeRow {
    r#type: &'static str,
    #[serde(flatten)]
    counted: Counted,
}

#[derive(Debug, Serialize)]
struct EncodingRow {
    r#type: &'static str,
    encoding: &'static str,
    #[serde(flatten)]
    counted: Counted,
}

#[derive(Debug, Serialize)]
struct DatabaseRow {
    db: u64,
    #[serde(flatten)]
    counted: Counted,
}

#[derive(Debug, Serialize)]
struct PrefixRows {
    top: Vec<PrefixRow>,
    /// Keys without a separator.
    none: Counted,
    other: Counted,
    /// If not, the rows are lower bounds.
    exact: bool,
}

#[derive(Debug, Serialize)]
struct PrefixRow {
    prefix: Name,
    #[serde(flatten)]
    counted: Counted,
}

#[derive(Debug, Serialize)]
struct Slots {
    used: usize,
    /// The fullest slot's memory over the mean of all used ones.
    skew: Option<f64>,
    /// Those with the most memory.
    top: Vec<SlotRow>,
    /// All that have keys, if asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    all: Option<Vec<SlotRow>>,
}

#[derive(Debug, Clone, Copy, Serialize)]
struct SlotRow {
    slot: usize,
    keys: u64,
    memory_bytes: u64,
}

#[derive(Debug, Serialize)]
struct KeyRow {
    db: u64,
    key: Name,
    r#type: &'static str,
    encoding: &'static str,
    elements: u64,
    stored_bytes: u64,
    memory_bytes: u64,
    expires_at_ms: Option<i64>,
}

#[derive(Debug, Serialize)]
struct Large {
    memory_bytes: u64,
    keys_over_memory: u64,
    elements: u64,
    keys_over_elements: u64,
}

#[derive(Debug, Serialize)]
struct Expiry {
    relative_to_ms: i64,
    never: Counted,
    expired: Counted,
    within: Vec<ExpiryRow>,
}

#[derive(Debug, Serialize)]
struct ExpiryRow {
    /// The upper bound; none in the last row.
    seconds: Option<u64>,
    #[serde(flatten)]
    counted: Counted,
}

#[derive(Debug, Serialize)]
struct SpanRow {
    seconds: Option<u64>,
    keys: u64,
}

#[derive(Debug, Serialize)]
struct FrequencyRow {
    below: Option<u8>,
    keys: u64,
}

#[derive(Debug, Serialize)]
struct ExpiringFields {
    hashes: u64,
    fields: u64,
}

#[derive(Debug, Serialize)]
struct NotCompared {
    keys: u64,
    members: u64,
}

impl Figures {
    /// From what was found in a file; `every_slot` puts all slots in.
    pub(super) fn of(name: &str, found: &Inspection, every_slot: bool) -> Self {
        let report = &found.report;
        Self {
            name: name.to_owned(),
            rdb_version: report.rdb_version,
            magic: report.magic.clone(),
            server: ["redis", "valkey"].into_iter().find_map(|family| {
                report.aux.get(&format!("{family}-ver")).map(|version| format!("{family} {version}"))
            }),
            checksum: if report.checksum == Checksum::Ok { "ok" } else { "absent" },
            bytes: report.bytes,
            all: found.all.into(),
            empty_keys: report.empty_keys,
            types: (found.kinds.iter())
                .map(|(kind, sums)| TypeRow { r#type: kind.name(), counted: sums.into() })
                .collect(),
            encodings: (found.encodings.iter())
                .map(|(encoding, sums)| EncodingRow {
                    r#type: encoding.kind().map_or("", keystow_rdb::Kind::name),
                    encoding: encoding.name().unwrap_or_default(),
                    counted: sums.into(),
                })
                .collect(),
            databases: (found.databases.iter())
                .map(|(db, sums)| DatabaseRow { db: *db, counted: sums.into() })
                .collect(),
            prefixes: PrefixRows::of(found),
            slots: Slots::of(&found.slots, found.biggest.len().max(1), every_slot),
            biggest: found.biggest.iter().map(KeyRow::of).collect(),
            most_elements: found.most_elements.iter().map(KeyRow::of).collect(),
            large: Large {
                memory_bytes: LARGE_BYTES,
                keys_over_memory: found.over_large_bytes,
                elements: LARGE_ELEMENTS,
                keys_over_elements: found.over_large_elements,
            },
            expiry: Expiry::of(&found.expiry),
            idle: found.idle.map(|idle| {
                bounds(&SPANS_S).zip(idle).map(|(seconds, keys)| SpanRow { seconds, keys }).collect()
            }),
            frequency: found.frequency.map(|counters| {
                bounds(&FREQUENCIES).zip(counters).map(|(below, keys)| FrequencyRow { below, keys }).collect()
            }),
            expiring_fields: ExpiringFields {
                hashes: found.hashes_with_expiring_fields,
                fields: found.expiring_fields,
            },
            functions: report.functions,
            modules: report.modules.iter().cloned().collect(),
            not_compared: NotCompared {
                keys: report.not_compared.keys,
                members: report.not_compared.members,
            },
        }
    }
}

/// The upper bounds of a histogram's rows; the last row has none.
fn bounds<T: Copy>(bounds: &[T]) -> impl Iterator<Item = Option<T>> {
    bounds.iter().copied().map(Some).chain([None])
}

impl From<&Sums> for Counted {
    fn from(sums: &Sums) -> Self {
        (*sums).into()
    }
}

impl From<Sums> for Counted {
    fn from(Sums { keys, with_expiry, elements, stored_bytes, memory_bytes }: Sums) -> Self {
        Self { keys, with_expiry, elements, stored_bytes, memory_bytes }
    }
}

impl PrefixRows {
    fn of(found: &Inspection) -> Self {
        let prefixes = &found.prefixes;
        let row = |(prefix, sums): &(Vec<u8>, Sums)| PrefixRow {
            prefix: Name(prefix.clone()),
            counted: sums.into(),
        };
        Self {
            top: prefixes.rows.iter().map(row).collect(),
            none: prefixes.none.into(),
            other: prefixes.other.into(),
            exact: prefixes.is_exact,
        }
    }
}

impl Slots {
    fn of(slots: &[SlotSums], most: usize, every_slot: bool) -> Self {
        let used: Vec<SlotRow> = (slots.iter().enumerate())
            .filter(|(_, sums)| sums.keys > 0)
            .map(|(slot, sums)| SlotRow { slot, keys: sums.keys, memory_bytes: sums.memory_bytes })
            .collect();
        let mut top = used.clone();
        top.sort_by_key(|row| (std::cmp::Reverse(row.memory_bytes), row.slot));
        top.truncate(most);
        let total: u64 = used.iter().map(|row| row.memory_bytes).fold(0, u64::saturating_add);
        debug_assert!(used.len() <= SLOTS, "one row per slot");
        #[expect(clippy::cast_precision_loss, reason = "a ratio for people, rounded")]
        let skew = top.first().map(|fullest| {
            let ratio = fullest.memory_bytes as f64 * used.len() as f64 / total.max(1) as f64;
            (ratio * 100.0).round() / 100.0
        });
        Self { used: used.len(), skew, top, all: every_slot.then_some(used) }
    }
}

impl KeyRow {
    fn of(key: &BigKey) -> Self {
        Self {
            db: key.database,
            key: Name(key.key.clone()),
            r#type: key.kind.name(),
            encoding: key.encoding.name().unwrap_or_default(),
            elements: key.elements,
            stored_bytes: key.stored_bytes,
            memory_bytes: key.memory_bytes,
            expires_at_ms: key.expires_ms,
        }
    }
}

impl Expiry {
    fn of(histogram: &ExpiryHistogram) -> Self {
        Self {
            relative_to_ms: histogram.relative_to_ms,
            never: histogram.never.into(),
            expired: histogram.expired.into(),
            within: bounds(&SPANS_S)
                .zip(&histogram.within)
                .map(|(seconds, sums)| ExpiryRow { seconds, counted: sums.into() })
                .collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use keystow_rdb::{InspectOptions, Limits, inspect};
    use serde_json::json;

    use super::*;

    /// Version 4 has no checksum. The first key expires at 5 s past the epoch.
    const SMALL: &[u8] =
        b"REDIS0004\xfe\x00\xfc\x88\x13\0\0\0\0\0\0\x00\x03a:1\x01b\x01\x02\xff:\x02\x01c\x01d\xff";

    fn figures(every_slot: bool) -> Figures {
        let found = inspect(SMALL, Limits::default(), &InspectOptions::default()).unwrap();
        Figures::of("x.rdb", &found, every_slot)
    }

    #[test]
    fn the_json_has_its_shape() {
        let value = serde_json::to_value(figures(true)).unwrap();
        for (pointer, expected) in [
            ("/magic", json!("REDIS0004")),
            ("/keys", json!(2)),
            ("/with_expiry", json!(1)),
            ("/types/0/type", json!("string")),
            ("/types/1/elements", json!(2)),
            ("/encodings/1/encoding", json!("linkedlist")),
            ("/databases/0/keys", json!(2)),
            ("/prefixes/top/1/prefix", json!("a:")),
            ("/prefixes/top/0/prefix/base64", json!("/zo=")),
            ("/prefixes/exact", json!(true)),
            ("/slots/used", json!(2)),
            ("/slots/all/1/keys", json!(1)),
            ("/biggest/0/type", json!("list")),
            ("/expiry/never/keys", json!(1)),
            ("/expiry/within/0/seconds", json!(3600)),
            ("/expiry/within/0/keys", json!(1)),
            ("/expiry/within/5/seconds", json!(null)),
            ("/not_compared/keys", json!(0)),
        ] {
            assert_eq!(value.pointer(pointer), Some(&expected), "{pointer}: {value:#}");
        }
    }

    #[test]
    fn the_text_is_short_and_names_what_matters() {
        let text = figures(false).describe();
        assert!(text.lines().count() <= 60, "{text}");
        for part in ["a:*", "\\xff:*", "list", "TYPE", "PREFIX", "EXPIRES"] {
            assert!(text.contains(part), "{part} in\n{text}");
        }
    }

    #[test]
    fn the_text_has_every_slot_only_if_asked_for() {
        let rows: Vec<_> = figures(true).slots.all.unwrap().iter().map(|row| row.slot).collect();
        let lines = |every_slot| figures(every_slot).describe().lines().count();
        assert_eq!(lines(true), lines(false) + 1 + 1 + rows.len(), "a blank line and a header more");
        let text = figures(true).describe();
        for slot in rows {
            assert!(text.lines().any(|line| line.starts_with(&format!("{slot} "))), "{slot} in\n{text}");
        }
    }
}
