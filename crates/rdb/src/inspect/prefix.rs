//! Keys by what their names begin with, however many different beginnings there are.

use std::collections::HashMap;

use super::Sums;
use crate::fingerprint::Keyed;

/// How many prefixes are counted without loss. The table grows to twice as many before the smaller half is given up.
const PREFIXES: usize = 10_000;
/// Longer prefixes are not told apart.
const PREFIX_BYTES: usize = 256;

/// The keys by prefix, those that take the most memory first.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Prefixes {
    /// Prefixes with their separator, such as `user:`.
    pub rows: Vec<(Vec<u8>, Sums)>,
    /// Keys without a separator.
    pub none: Sums,
    /// All others.
    pub other: Sums,
    /// Whether the rows are exact. With more than 10,000 prefixes they are lower bounds, and what is missing is among
    /// the others.
    pub is_exact: bool,
}

/// Counts keys by prefix in bounded memory.
pub(super) struct PrefixTable<'o> {
    separator: &'o [u8],
    depth: usize,
    rows: HashMap<Box<[u8]>, Sums, Keyed>,
    none: Sums,
    other: Sums,
    is_exact: bool,
}

impl<'o> PrefixTable<'o> {
    pub(super) fn new(separator: &'o [u8], depth: usize) -> Self {
        let (none, other) = (Sums::default(), Sums::default());
        Self { separator, depth, rows: HashMap::with_hasher(Keyed::random()), none, other, is_exact: true }
    }

    pub(super) fn add(&mut self, key: &[u8], sums: &Sums) {
        let Some(prefix) = prefix(key, self.separator, self.depth) else {
            return self.none.add(sums);
        };
        if let Some(row) = self.rows.get_mut(prefix) {
            return row.add(sums);
        }
        if prefix.len() > PREFIX_BYTES {
            return self.other.add(sums);
        }
        if self.rows.len() >= 2 * PREFIXES {
            self.shrink();
        }
        self.rows.insert(prefix.into(), *sums);
    }

    /// The `most` prefixes with the most memory.
    pub(super) fn finish(mut self, most: usize) -> Prefixes {
        let mut rows: Vec<(Vec<u8>, Sums)> =
            self.rows.into_iter().map(|(prefix, sums)| (prefix.into_vec(), sums)).collect();
        rows.sort_unstable_by(|(a, x), (b, y)| y.memory_bytes.cmp(&x.memory_bytes).then_with(|| a.cmp(b)));
        for (_, sums) in rows.drain(most.min(rows.len())..) {
            self.other.add(&sums);
        }
        Prefixes { rows, none: self.none, other: self.other, is_exact: self.is_exact }
    }

    /// Gives up the half with the least memory. What is large by the end has been among the larger half each time,
    /// unless all of it came late.
    #[cold]
    fn shrink(&mut self) {
        let mut sizes: Vec<u64> = self.rows.values().map(|sums| sums.memory_bytes).collect();
        let (_, median, _) = sizes.select_nth_unstable(PREFIXES);
        let median = *median;
        let other = &mut self.other;
        self.rows.retain(|_, sums| {
            let stays = sums.memory_bytes > median;
            if !stays {
                other.add(sums);
            }
            stays
        });
        self.is_exact = false;
    }
}

/// The first `depth` levels of a name, or as many as it has, with the separator behind the last one.
fn prefix<'k>(key: &'k [u8], separator: &[u8], depth: usize) -> Option<&'k [u8]> {
    let mut end = 0;
    for _ in 0..depth {
        match find(&key[end..], separator) {
            Some(at) => end += at + separator.len(),
            None => break,
        }
    }
    (end > 0).then(|| &key[..end])
}

fn find(bytes: &[u8], separator: &[u8]) -> Option<usize> {
    match separator {
        [] => None,
        [single] => bytes.iter().position(|byte| byte == single),
        _ => bytes.windows(separator.len()).position(|window| window == separator),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(memory_bytes: u64) -> Sums {
        Sums { keys: 1, memory_bytes, ..Sums::default() }
    }

    #[test]
    fn prefix_has_as_many_levels_as_asked_for() {
        for (key, depth, expected) in [
            ("a:b:c", 1, Some("a:")),
            ("a:b:c", 2, Some("a:b:")),
            ("a:b:c", 9, Some("a:b:")),
            ("a:b:c", 0, None),
            ("abc", 1, None),
            (":", 1, Some(":")),
        ] {
            assert_eq!(prefix(key.as_bytes(), b":", depth), expected.map(str::as_bytes), "{key} {depth}");
        }
        assert_eq!(prefix(b"a::b", b"::", 1), Some(&b"a::"[..]));
        assert_eq!(prefix(b"ab", b"", 3), None);
    }

    #[test]
    fn rest_is_summed_up() {
        let mut table = PrefixTable::new(b":", 1);
        for (key, memory) in [("a:1", 10), ("b:1", 50), ("c:1", 30), ("a:2", 25), ("plain", 7)] {
            table.add(key.as_bytes(), &of(memory));
        }
        table.add(&[&[b'x'; 300][..], b":1"].concat(), &of(3));
        let found = table.finish(2);
        assert_eq!(found.rows[0], (b"b:".to_vec(), of(50)));
        assert_eq!(found.rows[1], (b"a:".to_vec(), Sums { keys: 2, ..of(35) }));
        assert_eq!((found.none, found.other), (of(7), Sums { keys: 2, ..of(33) }));
        assert!(found.is_exact);
    }

    #[test]
    fn what_is_large_stays_however_many_prefixes_there_are() {
        let mut table = PrefixTable::new(b":", 1);
        for number in 0..100_000u32 {
            table.add(format!("{number}:x").as_bytes(), &of(1));
            if number % 100 == 0 {
                table.add(b"large:x", &of(5));
            }
        }
        assert!(table.rows.len() <= 2 * PREFIXES);
        let found = table.finish(1);
        assert_eq!(found.rows, [(b"large:".to_vec(), Sums { keys: 1000, ..of(5000) })]);
        assert_eq!((found.other.keys, found.other.memory_bytes), (100_000, 100_000));
        assert!(!found.is_exact);
    }
}
