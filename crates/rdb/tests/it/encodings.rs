//! Strings and packed collections, built here byte by byte.

use keystow_rdb::{Event, Limits, Reader, verify};
use proptest::prelude::*;

use super::{
    check, fault_code,
    writer::{Element, Rdb, length, listpack, lzf_string, string},
};

/// The key and the number of elements of the only entry.
fn only_entry(bytes: &[u8]) -> (Vec<u8>, u64) {
    let mut reader = Reader::new(bytes, Limits::default());
    let mut found = None;
    while let Some(event) = reader.next_event().unwrap() {
        if let Event::Entry(entry) = event {
            found = Some((entry.key.to_vec(), entry.elements));
        }
    }
    found.unwrap()
}

fn key_written_as(key: &[u8]) -> Vec<u8> {
    let file = Rdb::new().raw(&[0]).raw(key).raw(&string(b"v")).end();
    only_entry(&file).0
}

fn element() -> impl Strategy<Value = Element> {
    prop_oneof![
        any::<i64>().prop_map(Element::Integer),
        (-5000i64..70_000).prop_map(Element::Integer),
        proptest::collection::vec(any::<u8>(), 0..200).prop_map(Element::Text),
        proptest::collection::vec(any::<u8>(), 4000..4200).prop_map(Element::Text),
    ]
}

proptest! {
    #[test]
    fn compressed_key_reads_as_it_was(
        key in proptest::collection::vec(prop_oneof![Just(b'a'), Just(b'b'), any::<u8>()], 1..600),
        copies in 1usize..4,
    ) {
        let key = key.repeat(copies);
        prop_assert_eq!(key_written_as(&lzf_string(&key)), key);
    }

    #[test]
    fn listpack_of_any_elements_is_sound(elements in proptest::collection::vec(element(), 0..40)) {
        let node = [vec![1, 2], string(&listpack(&elements))].concat();
        let file = Rdb::new().record(18, &node).end();
        prop_assert_eq!(only_entry(&file).1, elements.len() as u64);
    }

    #[test]
    fn packed_and_compressed_is_the_same(elements in proptest::collection::vec(element(), 0..2)) {
        let node = [vec![1, 2], lzf_string(&listpack(&elements))].concat();
        let file = Rdb::new().record(18, &node).end();
        prop_assert_eq!(only_entry(&file).1, elements.len() as u64);
    }

    #[test]
    fn listpack_with_a_byte_changed_is_refused_or_still_whole(
        elements in proptest::collection::vec(element(), 1..10),
        at: prop::sample::Index,
        byte: u8,
    ) {
        let mut bytes = listpack(&elements);
        let at = at.index(bytes.len());
        bytes[at] = byte;
        let file = Rdb::new().record(20, &string(&bytes)).end();
        let _ = check(&file);
    }
}

#[test]
fn integer_keys_read_as_their_decimal_text() {
    assert_eq!(key_written_as(&[0xc0, 0xf4]), b"-12");
    assert_eq!(key_written_as(&[0xc1, 0x48, 0xf4]), b"-3000");
    assert_eq!(key_written_as(&[0xc2, 0xff, 0xff, 0xff, 0x7f]), b"2147483647");
    assert_eq!(key_written_as(&[0x81, 0, 0, 0, 0, 0, 0, 0, 1, b'x']), b"x");
}

#[test]
fn large_back_lengths_are_sound() {
    for size in [126, 127, 128, 16_380, 16_382, 16_383, 2_097_140, 2_097_151] {
        let elements = [Element::Text(vec![b'x'; size]), 1.into()];
        let file = Rdb::new().record(16, &string(&listpack(&elements))).end();
        assert_eq!(only_entry(&file).1, 1, "value of {size} bytes");
    }
}

#[test]
fn listpack_that_does_not_know_its_count_is_walked() {
    let mut bytes = listpack(&["a".into(), "b".into()]);
    bytes[4..6].copy_from_slice(&[0xff, 0xff]);
    assert_eq!(only_entry(&Rdb::new().record(20, &string(&bytes)).end()).1, 2);
    bytes[4..6].copy_from_slice(&[3, 0]);
    assert_eq!(fault_code(&Rdb::new().record(20, &string(&bytes)).end()), "RDB_LISTPACK");
}

#[test]
fn same_member_twice_is_refused_in_every_encoding() {
    let packed = |elements: &[Element]| string(&listpack(elements));
    let plain = |members: &[&[u8]]| {
        let mut bytes = length(members.len());
        for member in members {
            bytes.extend(string(member));
        }
        bytes
    };
    let cases = [
        (20, packed(&["a".into(), "b".into(), "a".into()])),
        (16, packed(&["a".into(), 1.into(), "a".into(), 2.into()])),
        (17, packed(&["a".into(), 1.into(), "a".into(), 2.into()])),
        (20, packed(&[7.into(), "7".into()])),
        (2, plain(&[b"a", b"b", b"a"])),
        (2, [vec![2, 0xc0, 7], string(b"7")].concat()),
        (2, [vec![2], string(&[b'x'; 40]), lzf_string(&[b'x'; 40])].concat()),
        (5, [vec![2], string(b"a"), vec![0; 8], string(b"a"), vec![0; 8]].concat()),
        (9, b"\x0b\x02\x01a\x01\x00x\x01a\x01\x00y\xff".to_vec()),
    ];
    for (encoding, value) in cases {
        let file = Rdb::new().record(encoding, &value).end();
        assert_eq!(fault_code(&file), "RDB_DUPLICATE", "type {encoding}");
    }
    // As a value, the same text may stand as often as it likes.
    let file = Rdb::new().record(16, &packed(&["a".into(), 1.into(), "b".into(), 1.into()])).end();
    assert_eq!(check(&file).unwrap().keys, 1);
}

#[test]
fn score_must_be_a_number() {
    for score in ["nan", "x", ""] {
        let packed = string(&listpack(&["m".into(), score.into()]));
        assert_eq!(fault_code(&Rdb::new().record(17, &packed).end()), "RDB_SCORE", "{score:?}");
    }
    let nan = [vec![1], string(b"m"), f64::NAN.to_le_bytes().to_vec()].concat();
    assert_eq!(fault_code(&Rdb::new().record(5, &nan).end()), "RDB_SCORE");
    let old_nan = [vec![1], string(b"m"), vec![253]].concat();
    assert_eq!(fault_code(&Rdb::new().record(3, &old_nan).end()), "RDB_SCORE");
    let old = [vec![3], string(b"a"), vec![254], string(b"b"), vec![255], string(b"c"), b"\x031.5".to_vec()];
    assert_eq!(only_entry(&Rdb::new().record(3, &old.concat()).end()).1, 3);
}

#[test]
fn key_over_the_limit_is_refused_but_a_value_is_not() {
    let limits = Limits { max_blob_bytes: 100, ..Limits::default() };
    let code = |bytes: &[u8]| verify(bytes, limits).map_err(|failure| failure.fault.reason.code());
    let long = string(&[b'x'; 101]);
    assert!(code(&Rdb::new().record(0, &long).end()).is_ok());
    assert!(code(&Rdb::new().record(2, &[vec![1], long.clone()].concat()).end()).is_ok());
    let keyed = Rdb::new().raw(&[0]).raw(&long).raw(&string(b"v")).end();
    assert_eq!(code(&keyed).unwrap_err(), "RDB_TOO_LARGE");
    let expanded = [vec![1, 2], lzf_string(&[b'x'; 101])].concat();
    assert_eq!(code(&Rdb::new().record(18, &expanded).end()).unwrap_err(), "RDB_TOO_LARGE");
}
