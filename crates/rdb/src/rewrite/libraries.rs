//! Function libraries of several files: a cluster's shards each have all of them.

use std::collections::HashMap;

use crate::{fingerprint::Key, packed::Item};

/// More libraries are not remembered: a server has few, and refuses a file with two of one name.
const MOST: usize = 65_536;

/// The libraries so far, as fingerprints.
pub(super) struct Libraries {
    key: Key,
    by_name: HashMap<u64, u64>,
}

/// What a library is to those before.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Library {
    New,
    Known,
    /// There was another one of this name.
    Differs(Vec<u8>),
}

impl Libraries {
    pub(super) fn new() -> Self {
        Self { key: Key::random(), by_name: HashMap::new() }
    }

    pub(super) fn add(&mut self, code: &[u8]) -> Library {
        let name = name(code).unwrap_or(code);
        let fingerprint = |bytes| self.key.of_item(Item::Text(bytes));
        let (of_name, of_code) = (fingerprint(name), fingerprint(code));
        match self.by_name.get(&of_name) {
            Some(known) if *known == of_code => Library::Known,
            Some(_) => Library::Differs(name.to_vec()),
            None => {
                if self.by_name.len() < MOST {
                    self.by_name.insert(of_name, of_code);
                }
                Library::New
            }
        }
    }
}

/// The name in a library's first line, such as `#!lua name=mylib` (`functionExtractLibMetaData` in Redis
/// `src/functions.c`).
fn name(code: &[u8]) -> Option<&[u8]> {
    const NAME: &[u8] = b"name=";
    let line = code.split(|byte| *byte == b'\n').next()?.strip_prefix(b"#!")?;
    let words = line.split(u8::is_ascii_whitespace).map(|word| {
        let word = word.strip_prefix(b"\"").unwrap_or(word);
        word.strip_suffix(b"\"").unwrap_or(word)
    });
    words
        .filter_map(|word| word.split_at_checked(NAME.len()))
        .find(|(name, _)| name.eq_ignore_ascii_case(NAME))
        .map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_where_servers_find_them() {
        for (code, expected) in [
            (&b"#!lua name=one\nreturn 1"[..], Some(&b"one"[..])),
            (b"#!lua \"NAME=two\"\r\n", Some(b"two")),
            (b"#!js x=y  name=three", Some(b"three")),
            (b"#!lua\nname=four", None),
            (b"return 1", None),
            (b"", None),
        ] {
            assert_eq!(name(code), expected, "{}", code.escape_ascii());
        }
    }

    #[test]
    fn a_library_is_kept_once_and_another_of_its_name_is_told() {
        let mut libraries = Libraries::new();
        assert_eq!(libraries.add(b"#!lua name=a\n1"), Library::New);
        assert_eq!(libraries.add(b"#!lua name=b\n1"), Library::New);
        assert_eq!(libraries.add(b"#!lua name=a\n1"), Library::Known);
        assert_eq!(libraries.add(b"#!lua name=a\n2"), Library::Differs(b"a".to_vec()));
        assert_eq!((libraries.add(b"nameless"), libraries.add(b"nameless")), (Library::New, Library::Known));
    }
}
