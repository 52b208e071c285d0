//! Values as `DUMP` gives them. The files crashed, hung or misled a server once.

use std::{fs, path::PathBuf};

use keystow_rdb::{
    Flavour, Format, Kind, Limits,
    dump::{Payload, seal},
};

use super::{
    fixture,
    writer::{Element, length, listpack, string},
};

/// What refuses each file.
const REFUSED: [(&str, &str); 47] = [
    ("3080-quicklist", "RDB_ZIPLIST"),
    ("OOM-in-rdbGenericLoadStringObject", "RDB_TOO_LARGE"),
    ("fuzzer-findings-NPD-in-quicklistIndex", "RDB_ZIPLIST"),
    ("fuzzer-findings-OOM-in-dictExpand", "RDB_TRUNCATED"),
    ("fuzzer-findings-dict-init-to-huge-size", "RDB_TRUNCATED"),
    ("fuzzer-findings-empty-intset", "RDB_LENGTH"),
    ("fuzzer-findings-empty-quicklist", "RDB_LENGTH"),
    ("fuzzer-findings-empty-zset", "RDB_LENGTH"),
    ("fuzzer-findings-encoded-entry-header-reach-outside-the-allocation", "RDB_ZIPLIST"),
    ("fuzzer-findings-hash-listpack-first-element-too-long-entry-len", "RDB_LISTPACK"),
    ("fuzzer-findings-huge-string", "RDB_TRUNCATED"),
    ("fuzzer-findings-infinite-loop", "RDB_LISTPACK"),
    ("fuzzer-findings-invalid-read-in-lzf-decompress", "RDB_TRUNCATED"),
    ("fuzzer-findings-invalid-ziplist-encoding", "RDB_ZIPLIST"),
    ("fuzzer-findings-listpack-NPD-on-invalid-stream", "RDB_LISTPACK"),
    ("fuzzer-findings-lpFind-invalid-access", "RDB_LISTPACK"),
    ("fuzzer-findings-negative-reply-length", "RDB_LISTPACK"),
    ("fuzzer-findings-quicklist-ziplist-tail-followed-by-extra-data-which-start-with-0xff", "RDB_ZIPLIST"),
    ("fuzzer-findings-stream-PEL-without-consumer", "RDB_STREAM"),
    ("fuzzer-findings-stream-double-free-listpack-when-insert-dup-node-to-rax-returns-0", "RDB_STREAM"),
    ("fuzzer-findings-stream-integrity-check-issue", "RDB_STREAM"),
    ("fuzzer-findings-stream-listpack-valgrind-issue", "RDB_LISTPACK"),
    ("fuzzer-findings-stream-with-bad-lpFirst", "RDB_LISTPACK"),
    ("fuzzer-findings-stream-with-non-integer-entry-id", "RDB_STREAM"),
    ("fuzzer-findings-streamLastValidID-panic", "RDB_LENGTH"),
    ("fuzzer-findings-valgrind-bad-rdbLoadDoubleValue", "RDB_TRUNCATED"),
    ("fuzzer-findings-valgrind-fishy-value-warning", "RDB_LENGTH"),
    ("fuzzer-findings-valgrind-negative-malloc", "RDB_TOO_LARGE"),
    ("fuzzer-findings-valgrind-ziplist-prev-too-big", "RDB_ZIPLIST"),
    ("fuzzer-findings-zset-ziplist-entry-lensize-is-0", "RDB_ZIPLIST"),
    ("fuzzer-findings-zset-zslInsert-with-a-NAN-score", "RDB_SCORE"),
    ("hash-duplicate-records", "RDB_DUPLICATE"),
    ("hash-with-valid-zip-list-header-invalid-entry-len", "RDB_ZIPLIST"),
    ("invalid-zlbytes-header", "RDB_ZIPLIST"),
    ("listpack-invalid-size-header", "RDB_LISTPACK"),
    ("listpack-too-long-entry-prev-len", "RDB_LISTPACK"),
    ("listpack-very-long-entry-len", "RDB_LISTPACK"),
    ("quicklist-encoded-len-is-0", "RDB_QUICKLIST"),
    ("quicklist-listpack-entry-start-with-EOF", "RDB_LISTPACK"),
    ("quicklist-with-empty-ziplist", "RDB_EMPTY"),
    ("quicklist-ziplist-wrong-count", "RDB_ZIPLIST"),
    ("stream-listpack-live-and-deleted-counts-do-not-match-the-records", "RDB_STREAM"),
    ("stream-listpack-with-negative-deleted-count", "RDB_STREAM"),
    ("stream-with-duplicate-consumer-PEL-entry", "RDB_STREAM"),
    ("stream-with-duplicate-consumers", "RDB_DUPLICATE"),
    ("zipmap-value-length-integer-overflow", "RDB_ZIPMAP"),
    ("zset-ziplist-with-NAN-score", "RDB_SCORE"),
];

/// Every server takes this one: it is sound but for its checksum.
const SOUND: &str = "fuzzer-findings-hash-crash";

fn payload(name: &str) -> Vec<u8> {
    fixture(&format!("payloads/{name}.dump"))
}

/// The code of the fault that a payload's value has, if any.
fn fault_code(payload: &[u8]) -> Option<&'static str> {
    let outcome = Payload::open(payload).and_then(|payload| payload.check(Limits::default()));
    outcome.err().map(|fault| fault.reason.code())
}

/// A payload with a sound footer.
fn sealed(format: Format, encoding: u8, value: &[u8]) -> Vec<u8> {
    let mut payload = [&[encoding], value].concat();
    seal(&mut payload, format);
    payload
}

#[test]
fn every_payload_that_broke_a_server_is_refused() {
    for (name, code) in REFUSED {
        assert_eq!(fault_code(&payload(name)), Some(code), "{name}");
    }
    assert_eq!(fault_code(&payload(SOUND)), None);
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/payloads");
    let files = fs::read_dir(folder).unwrap().count();
    assert_eq!(files, REFUSED.len() + 1, "every file has its line above");
}

#[test]
fn wrong_checksum_is_refused_and_zero_is_wrong() {
    for (name, is_right) in [
        ("hash-duplicate-records", true),
        ("quicklist-listpack-entry-start-with-EOF", true),
        (SOUND, false),
        ("fuzzer-findings-empty-zset", false),
        // Zero, which in a file stands for none.
        ("zset-ziplist-with-NAN-score", false),
        ("stream-with-duplicate-consumer-PEL-entry", false),
    ] {
        let bytes = payload(name);
        let checked = Payload::open(&bytes).unwrap().check_sum();
        assert_eq!(checked.is_ok(), is_right, "{name}");
        if let Err(fault) = checked {
            assert_eq!(fault.reason.code(), "RDB_CHECKSUM", "{name}");
        }
    }
}

#[test]
fn every_cut_and_every_flipped_bit_is_found() {
    let whole = sealed(Format::REDIS_11, 20, &string(&listpack(&["a".into(), 7.into(), "b".into()])));
    let is_sound = |bytes: &[u8]| {
        Payload::open(bytes).is_ok_and(|payload| {
            let _ = payload.check(Limits::default());
            payload.check_sum().is_ok()
        })
    };
    assert!(is_sound(&whole));
    for end in 0..whole.len() {
        assert!(!is_sound(&whole[..end]), "cut at {end}");
    }
    for bit in 0..whole.len() * 8 {
        let mut bytes = whole.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        assert!(!is_sound(&bytes), "bit {bit}");
    }
}

#[test]
fn count_that_a_listpack_does_not_keep_is_refused() {
    let mut packed = listpack(&["a".into(), 1.into(), "b".into(), 2.into()]);
    for encoding in [16, 17, 20] {
        assert_eq!(fault_code(&sealed(Format::REDIS_12, encoding, &string(&packed))), None);
    }
    packed[4] = 12;
    for encoding in [16, 17, 20] {
        let payload = sealed(Format::REDIS_12, encoding, &string(&packed));
        assert_eq!(fault_code(&payload), Some("RDB_LISTPACK"), "type {encoding}");
    }
}

/// A field, its value and its expiry each, as a listpack of type 23 or 25.
fn expiring(fields: &[i64]) -> Vec<u8> {
    let elements: Vec<Element> = (0..)
        .zip(fields)
        .flat_map(|(place, expiry)| [Element::from(place), "value".into(), (*expiry).into()])
        .collect();
    string(&listpack(&elements))
}

#[test]
fn fields_expire_in_order_and_in_time() {
    const LATEST: i64 = (1 << 48) - 1;
    let earliest = 1000i64.to_le_bytes();
    for (fields, is_sound) in [
        (&[1000, 1000, LATEST, 0, 0][..], true),
        (&[0, 1000], false),
        (&[2000, 1000], false),
        (&[LATEST + 1], false),
        (&[-1], false),
        (&[i64::MAX], false),
    ] {
        let expected = if is_sound { None } else { Some("RDB_FIELD_EXPIRY") };
        let pre_ga = expiring(fields);
        let ga = [&earliest[..], &pre_ga].concat();
        assert_eq!(fault_code(&sealed(Format::REDIS_12, 23, &pre_ga)), expected, "23: {fields:?}");
        assert_eq!(fault_code(&sealed(Format::REDIS_12, 25, &ga)), expected, "25: {fields:?}");
    }
}

#[test]
fn plain_fields_expire_in_time() {
    // The expiry's length in its 64-bit form, a field and a value.
    let field =
        |expiry: u64| [&[0x81][..], &expiry.to_be_bytes(), &string(b"field"), &string(b"value")].concat();
    for (written, earliest, is_sound) in [
        (1 << 47, 1000u64, true),
        ((1 << 48) + 1, 0, false),
        (1 << 48, 1000, false),
        (u64::MAX, 1000, false),
        (1, 1 << 49, false),
        (1, u64::MAX, false),
    ] {
        let expected = if is_sound { None } else { Some("RDB_FIELD_EXPIRY") };
        let value = [&earliest.to_le_bytes()[..], &[1], &field(written)].concat();
        assert_eq!(fault_code(&sealed(Format::REDIS_12, 24, &value)), expected, "{written} {earliest}");
    }
    let pre_ga = [&[1][..], &field(1 << 48)].concat();
    assert_eq!(fault_code(&sealed(Format::REDIS_12, 22, &pre_ga)), Some("RDB_FIELD_EXPIRY"));
}

#[test]
fn fields_of_valkey_expire_not_before_the_epoch() {
    let value =
        |expiry: i64| [&[1][..], &string(b"field"), &string(b"value"), &expiry.to_le_bytes()].concat();
    for (expiry, expected) in [(-1, None), (0, None), (5, None), (-2, Some("RDB_FIELD_EXPIRY"))] {
        assert_eq!(fault_code(&sealed(Format::VALKEY_80, 22, &value(expiry))), expected, "{expiry}");
    }
    // Type 22 of Redis is another one.
    assert_eq!(fault_code(&sealed(Format::REDIS_12, 22, &value(5))), Some("RDB_TRUNCATED"));
}

#[test]
fn module_value_needs_its_end() {
    let sound = [&[0x81][..], &[0; 8], &[2, 7, 5, 1, b'x', 0]].concat();
    assert_eq!(fault_code(&sealed(Format::REDIS_12, 7, &sound)), None);
    assert_eq!(fault_code(&sealed(Format::REDIS_12, 7, &sound[..sound.len() - 1])), Some("RDB_TRUNCATED"));
    assert_eq!(
        fault_code(&sealed(Format::REDIS_12, 7, &[&sound[..9], &[9, 0]].concat())),
        Some("RDB_MODULE")
    );
}

#[test]
fn nodes_without_a_byte_and_collections_without_an_element_are_refused() {
    for empty in [&[0][..], &[0x80, 0, 0, 0, 0]] {
        let plain_node = [&[1, 1], empty].concat();
        assert_eq!(fault_code(&sealed(Format::REDIS_10, 18, &plain_node)), Some("RDB_QUICKLIST"));
    }
    for encoding in [1, 2, 3, 4, 5, 14, 18] {
        assert_eq!(fault_code(&sealed(Format::REDIS_10, encoding, &[0])), Some("RDB_EMPTY"), "{encoding}");
    }
    for encoding in [16, 17, 20] {
        let payload = sealed(Format::REDIS_11, encoding, &string(&listpack(&[])));
        assert_eq!(fault_code(&payload), Some("RDB_EMPTY"), "{encoding}");
    }
}

#[test]
fn lengths_up_to_the_largest_are_refused_before_memory_is_taken() {
    for claimed in [1 << 31, 1 << 32, 1 << 40, i64::MAX.cast_unsigned(), u64::MAX] {
        let claim = [&[0x81][..], &claimed.to_be_bytes()].concat();
        for encoding in 0..=26 {
            let value = [&claim[..], &[0; 32]].concat();
            assert!(
                fault_code(&sealed(Format::redis(13), encoding, &value)).is_some(),
                "{encoding}: {claimed}"
            );
        }
    }
}

#[test]
fn footer_tells_who_takes_the_payload() {
    let bytes = sealed(Format::VALKEY_80, 0, &string(b"v"));
    let payload = Payload::open(&bytes).unwrap();
    assert_eq!((payload.format(), payload.value()), (Format::VALKEY_80, &string(b"v")[..]));
    let checked = payload.check(Limits::default()).unwrap();
    assert_eq!((checked.kind, checked.elements, checked.module), (Kind::String, 1, None));
    for (version, flavour) in [(14, Flavour::Redis), (79, Flavour::Redis), (81, Flavour::Valkey)] {
        let bytes = sealed(Format { flavour, version }, 0, &string(b"v"));
        assert_eq!(Payload::open(&bytes).unwrap().format().flavour, flavour);
        assert_eq!(fault_code(&bytes), Some("RDB_VERSION"), "{version}");
    }
    let trailing = sealed(Format::REDIS_11, 0, &[string(b"v"), length(1)].concat());
    assert_eq!(fault_code(&trailing), Some("RDB_TRAILING"));
    // Data of modules at the key, which only Redis 8.6 writes.
    assert_eq!(fault_code(&sealed(Format::redis(13), 243, &[0, 0, 0])), Some("RDB_OPCODE"));
    assert_eq!(fault_code(&[0; 10]), Some("RDB_TRUNCATED"));
}
