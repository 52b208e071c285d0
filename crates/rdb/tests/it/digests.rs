//! What a value holds decides its digest, and nothing else does.

use std::collections::BTreeMap;

use keystow_rdb::{Digest, DigestKey, Digester, Event, Format, Limits, Reader, dump};
use proptest::prelude::*;

use super::{
    fixture,
    writer::{Element, length, listpack, lzf_string, string},
};

/// The digests of a file's values by database and key.
fn digests(name: &str, key: DigestKey) -> BTreeMap<(u64, Vec<u8>), Digest> {
    let bytes = fixture(name);
    let mut reader = Reader::new(&bytes[..], Limits::default());
    let mut digester = Digester::new(key);
    let mut digests = BTreeMap::new();
    while let Some(event) = reader.next_event_with(&mut digester).unwrap() {
        if let Event::Entry(entry) = event {
            digests.insert((entry.database, entry.key.to_vec()), digester.digest());
        }
    }
    digests
}

/// The keys of two files whose values do not agree.
fn different(one: &str, other: &str) -> Vec<String> {
    let key = DigestKey::random();
    let (one, other) = (digests(one, key), digests(other, key));
    assert!(one.keys().eq(other.keys()), "the same keys");
    let pairs = one.iter().zip(other.values());
    let different = pairs.filter(|((_, one), other)| !one.agrees_with(other));
    different.map(|(((_, key), _), _)| key.escape_ascii().to_string()).collect()
}

#[test]
fn same_data_set_of_other_servers_has_the_same_digests() {
    let reference = "srv-redis-7.0.15-all.rdb";
    for other in [
        "srv-redis-6.2.14-all.rdb",
        "srv-redis-7.0.15-nocompress.rdb",
        "srv-redis-7.0.15-nochecksum.rdb",
        "srv-redict-7.3.6-all.rdb",
        "srv-valkey-8.1.1-all.rdb",
    ] {
        assert_eq!(different(reference, other), STREAM, "{other}");
    }
    for other in ["srv-redis-8.0.6-all.rdb", "srv-redis-8.2.3-all.rdb", "srv-valkey-9.1.2-all.rdb"] {
        assert_eq!(different("srv-redis-7.4.1-all.rdb", other), STREAM, "{other}");
    }
    assert_eq!(different("srv-redis-7.4.1-cluster.rdb", "srv-valkey-8.1.1-cluster.rdb"), [""; 0]);
    assert_eq!(different("redis--hash-ziplist.rdb", "redis--hash-zipmap.rdb"), [""; 0]);
}

/// Its consumers were seen at another time by each server.
const STREAM: [&str; 1] = ["stream:a"];

#[test]
fn flipped_bit_changes_one_digest() {
    let changed = different("srv-redis-7.0.15-nochecksum.rdb", "flip-undetectable-nochecksum.rdb");
    assert_eq!(changed.len(), 1, "{changed:?}");
}

/// The digest of a value as it is written.
fn digest_of(key: DigestKey, encoding: u8, value: &[u8]) -> Digest {
    let mut payload = [&[encoding], value].concat();
    dump::seal(&mut payload, Format::redis(13));
    let mut digester = Digester::new(key);
    let payload = dump::Payload::open(&payload).unwrap();
    payload.visit(Limits::default(), &mut digester).unwrap();
    digester.digest()
}

fn count(members: usize) -> Vec<u8> {
    length(members)
}

/// Members as a plain set and as a listpack.
fn set(members: &[Vec<u8>]) -> [(u8, Vec<u8>); 2] {
    let plain = members.iter().map(|member| string(member));
    let plain = [count(members.len())].into_iter().chain(plain).collect::<Vec<_>>().concat();
    let packed: Vec<_> = members.iter().cloned().map(Element::Text).collect();
    [(2, plain), (20, lzf_string(&listpack(&packed)))]
}

proptest! {
    #[test]
    fn order_and_encoding_of_a_set_say_nothing(
        members in proptest::collection::btree_set(proptest::collection::vec(any::<u8>(), 0..20), 1..30),
        more in proptest::collection::vec(any::<u8>(), 21..30),
        shuffled in any::<prop::sample::Index>(),
    ) {
        let key = DigestKey::random();
        let mut members: Vec<_> = members.into_iter().collect();
        let [(plain, value), (packed, packed_value)] = set(&members);
        let digest = digest_of(key, plain, &value);
        prop_assert_eq!(digest, digest_of(key, packed, &packed_value));
        let middle = shuffled.index(members.len());
        members.rotate_left(middle);
        for (encoding, value) in set(&members) {
            prop_assert_eq!(digest, digest_of(key, encoding, &value));
        }
        members.push(more);
        for (encoding, value) in set(&members) {
            prop_assert_ne!(digest, digest_of(key, encoding, &value));
        }
    }

    #[test]
    fn order_of_a_list_counts(
        elements in proptest::collection::vec(0i64..100, 2..20),
        at in any::<prop::sample::Index>(),
    ) {
        let key = DigestKey::random();
        let list = |elements: &[i64]| {
            let packed: Vec<_> = elements.iter().copied().map(Element::Integer).collect();
            [vec![1, 2], string(&listpack(&packed))].concat()
        };
        let plain: Vec<_> = elements.iter().map(|number| string(number.to_string().as_bytes())).collect();
        let plain = [count(elements.len()), plain.concat()].concat();
        let digest = digest_of(key, 18, &list(&elements));
        prop_assert_eq!(digest, digest_of(key, 1, &plain));
        let mut swapped = elements.clone();
        swapped.swap(0, at.index(elements.len()));
        prop_assert_eq!(digest == digest_of(key, 18, &list(&swapped)), swapped == elements);
    }
}

#[test]
fn values_of_fields_may_not_be_exchanged() {
    let key = DigestKey::random();
    let hash = |texts: [&str; 4]| digest_of(key, 16, &string(&listpack(&texts.map(Element::from))));
    assert_eq!(hash(["a", "1", "b", "2"]), hash(["b", "2", "a", "1"]));
    assert_ne!(hash(["a", "1", "b", "2"]), hash(["a", "2", "b", "1"]));
    assert_ne!(hash(["a", "1", "b", "2"]), hash(["1", "a", "2", "b"]));
}

#[test]
fn scores_count_as_numbers() {
    let key = DigestKey::random();
    let binary = |score: f64| [&[1][..], &string(b"m"), &score.to_le_bytes()].concat();
    let packed = |score: Element| string(&listpack(&["m".into(), score]));
    assert_eq!(digest_of(key, 5, &binary(1.5)), digest_of(key, 17, &packed("1.5".into())));
    assert_eq!(digest_of(key, 5, &binary(3.0)), digest_of(key, 17, &packed(3.into())));
    assert_eq!(digest_of(key, 5, &binary(-0.0)), digest_of(key, 17, &packed(0.into())));
    assert_ne!(digest_of(key, 5, &binary(1.5)), digest_of(key, 5, &binary(1.25)));
}

#[test]
fn expiries_of_fields_count_unless_asked_not_to() {
    let key = DigestKey::random();
    let hash = |expiry: i64| string(&listpack(&["f".into(), "v".into(), expiry.into()]));
    let digest = |expiry, digester: &mut Digester| {
        let mut payload = [&[23], &hash(expiry)[..]].concat();
        dump::seal(&mut payload, Format::REDIS_12);
        dump::Payload::open(&payload).unwrap().visit(Limits::default(), digester).unwrap();
        digester.digest()
    };
    let (mut with, mut without) = (Digester::new(key), Digester::new(key).without_expiries());
    assert_ne!(digest(1000, &mut with), digest(2000, &mut with));
    assert_eq!(digest(1000, &mut without), digest(2000, &mut without));
    let plain = string(&listpack(&["f".into(), "v".into()]));
    assert_eq!(digest(1000, &mut without), digest_of(key, 16, &plain));
}

#[test]
fn modules_count_byte_by_byte() {
    let key = DigestKey::random();
    let module = |text: &[u8]| [&[0x81][..], &[0; 8], &[5], &string(text), &[0]].concat();
    let digest = |text: &[u8]| digest_of(key, 7, &module(text));
    assert_eq!(digest(b"abc"), digest(b"abc"));
    for (one, other) in [("", "a"), ("abc", "abd"), ("12345678", "123456789"), ("\0", "\0\0")] {
        assert_ne!(digest(one.as_bytes()), digest(other.as_bytes()));
    }
}
