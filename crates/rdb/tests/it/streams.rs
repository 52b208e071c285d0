//! Streams whose parts do not agree.

use super::{
    check, fault_code,
    writer::{Element, Rdb, listpack, string},
};

/// One node with live entries 5-1, 5-2 … and a deleted one, and what stands behind the nodes.
struct Stream {
    head: [i64; 2],
    flags: Vec<i64>,
    entries: u8,
    groups: Vec<u8>,
}

impl Stream {
    fn new() -> Self {
        Self { head: [2, 1], flags: vec![2, 3, 2], entries: 2, groups: vec![0] }
    }

    fn value(&self) -> Vec<u8> {
        let mut node: Vec<Element> = vec![self.head[0].into(), self.head[1].into(), 1.into()];
        node.extend(["field".into(), 0.into()]);
        for (place, flags) in (0i64..).zip(&self.flags) {
            node.extend([(*flags).into(), 0.into(), place.into()]);
            if flags & 2 == 0 {
                node.extend([1.into(), "other".into(), "value".into(), 6.into()]);
            } else {
                node.extend(["value".into(), 4.into()]);
            }
        }
        [vec![1], string(&id(1)), string(&listpack(&node)), vec![self.entries, 5, 9], self.groups.clone()]
            .concat()
    }

    fn file(&self) -> Vec<u8> {
        Rdb::new().record(15, &self.value()).end()
    }
}

fn id(sequence: u8) -> [u8; 16] {
    let mut id = [0; 16];
    (id[7], id[15]) = (5, sequence);
    id
}

/// One group with these pending entries, and consumers with theirs.
fn group(pending: &[u8], consumers: &[(&str, &[u8])]) -> Vec<u8> {
    let count = |length: usize| vec![u8::try_from(length).unwrap()];
    let mut bytes = [vec![1], string(b"group"), vec![5, 9], count(pending.len())].concat();
    for sequence in pending {
        bytes.extend(id(*sequence));
        bytes.extend([0, 0, 0, 0, 0, 0, 0, 0, 1]);
    }
    bytes.extend(count(consumers.len()));
    for (name, owned) in consumers {
        bytes.extend(string(name.as_bytes()));
        bytes.extend([0; 8]);
        bytes.extend(count(owned.len()));
        for sequence in *owned {
            bytes.extend(id(*sequence));
        }
    }
    bytes
}

#[test]
fn sound_streams_pass() {
    assert_eq!(check(&Stream::new().file()).unwrap().keys, 1);
    let own_fields = Stream { flags: vec![0, 1, 2], ..Stream::new() };
    assert_eq!(check(&own_fields.file()).unwrap().keys, 1);
    let groups = group(&[1, 2, 3], &[("a", &[2]), ("b", &[1, 3]), ("c", &[])]);
    assert_eq!(check(&Stream { groups, ..Stream::new() }.file()).unwrap().keys, 1);
}

#[test]
fn length_too_high_passes_but_not_too_low_or_without_entries() {
    assert!(check(&Stream { entries: 4, ..Stream::new() }.file()).is_ok());
    assert_eq!(fault_code(&Stream { entries: 1, ..Stream::new() }.file()), "RDB_STREAM");
    let all_deleted = Stream { head: [0, 3], flags: vec![3, 3, 3], ..Stream::new() };
    assert_eq!(fault_code(&all_deleted.file()), "RDB_STREAM");
}

#[test]
fn counts_of_a_node_must_be_those_of_its_entries() {
    for head in [[3, 0], [1, 2], [2, 0], [2, -1], [-2, 1]] {
        let stream = Stream { head, ..Stream::new() };
        assert_eq!(fault_code(&stream.file()), "RDB_STREAM", "{head:?}");
    }
}

#[test]
fn nodes_come_in_order() {
    let value = Stream::new().value();
    let (node, rest) = value[1..].split_at(value.len() - 1 - 4);
    let twice = [&[2], node, node, &[4], &rest[1..]].concat();
    assert_eq!(fault_code(&Rdb::new().record(15, &twice).end()), "RDB_STREAM");
}

#[test]
fn pending_entry_belongs_to_exactly_one_consumer() {
    let wrong = [
        group(&[1, 2], &[("a", &[1])]),
        group(&[1], &[("a", &[1, 2])]),
        group(&[1], &[("a", &[2])]),
        group(&[1, 2], &[("a", &[1]), ("b", &[1])]),
        group(&[1], &[("a", &[1]), ("b", &[1])]),
        group(&[1, 1], &[("a", &[1]), ("b", &[1])]),
        group(&[1], &[]),
    ];
    for (case, groups) in wrong.into_iter().enumerate() {
        assert_eq!(fault_code(&Stream { groups, ..Stream::new() }.file()), "RDB_STREAM", "case {case}");
    }
}

#[test]
fn consumers_and_groups_are_named_once() {
    let groups = group(&[1, 2], &[("a", &[1]), ("a", &[2])]);
    assert_eq!(fault_code(&Stream { groups, ..Stream::new() }.file()), "RDB_DUPLICATE");
    let one = group(&[], &[]);
    let groups = [&[2], &one[1..], &one[1..]].concat();
    assert_eq!(fault_code(&Stream { groups, ..Stream::new() }.file()), "RDB_DUPLICATE");
}

#[test]
fn module_data_without_its_end_is_not_skipped() {
    let sound = [vec![0x81], vec![0; 8], vec![2, 7, 5, 1, b'x', 0]].concat();
    let report = check(&Rdb::new().record(7, &sound).end()).unwrap();
    assert_eq!(report.modules.into_iter().collect::<Vec<_>>(), ["AAAAAAAAA"]);
    let endless = &sound[..sound.len() - 1];
    assert!(check(&Rdb::new().record(7, endless).end()).is_err());
}
