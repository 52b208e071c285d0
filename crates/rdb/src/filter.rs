//! Which keys are meant: by name, kind and database.

use crate::{
    event::{Entry, Kind},
    part::Head,
};

/// A choice of keys. An empty list chooses all; of several patterns one is enough.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// What keys may be called.
    pub names: Vec<Pattern>,
    /// What their values may be.
    pub kinds: Vec<Kind>,
    /// Which databases they may be in.
    pub databases: Vec<u64>,
}

impl Filter {
    /// Whether a key is meant.
    #[inline]
    pub fn wants(&self, head: &Head<'_>) -> bool {
        self.wants_key(head.kind, head.database, head.key)
    }

    /// The same for a key whose value was read.
    #[inline]
    pub fn wants_entry(&self, entry: &Entry<'_>) -> bool {
        self.wants_key(entry.kind, entry.database, entry.key)
    }

    #[inline]
    fn wants_key(&self, kind: Kind, database: u64, key: &[u8]) -> bool {
        (self.kinds.is_empty() || self.kinds.contains(&kind))
            && (self.databases.is_empty() || self.databases.contains(&database))
            && (self.names.is_empty() || self.names.iter().any(|pattern| pattern.matches(key)))
    }

    /// Whether every key is meant.
    pub fn is_all(&self) -> bool {
        self.names.is_empty() && self.kinds.is_empty() && self.databases.is_empty()
    }
}

/// A pattern as `KEYS` and `SCAN` take it (`stringmatchlen` in Redis `src/util.c`): `*`, `?`, `[a-c]`, `[^x]`, and
/// a backslash before what stands for itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern(Vec<Token>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    /// Any bytes, or none.
    Star,
    /// Any byte.
    Any,
    /// This byte.
    Byte(u8),
    /// A byte in one of the ranges, or in none of them.
    Class { ranges: Vec<(u8, u8)>, negated: bool },
}

impl Pattern {
    /// Takes a pattern apart. Everything is one: an unclosed class ends with the pattern, as in servers.
    pub fn new(pattern: &[u8]) -> Self {
        let mut tokens = Vec::new();
        let mut rest = pattern;
        while let Some((&byte, tail)) = rest.split_first() {
            rest = tail;
            match byte {
                b'*' if tokens.last() == Some(&Token::Star) => {}
                b'*' => tokens.push(Token::Star),
                b'?' => tokens.push(Token::Any),
                b'[' => tokens.push(class(&mut rest)),
                b'\\' => tokens.push(Token::Byte(take(&mut rest).unwrap_or(b'\\'))),
                byte => tokens.push(Token::Byte(byte)),
            }
        }
        Self(tokens)
    }

    /// Whether a text is of the pattern, in time proportional to both lengths multiplied at most.
    pub fn matches(&self, text: &[u8]) -> bool {
        let (mut token, mut at) = (0, 0);
        // Where to go on when what followed the latest star did not fit: one byte further.
        let mut retry: Option<(usize, usize)> = None;
        loop {
            match (self.0.get(token), text.get(at)) {
                (None, None) => return true,
                (Some(Token::Star), _) => {
                    retry = Some((token, at));
                    token += 1;
                }
                (Some(wanted), Some(byte)) if wanted.fits(*byte) => {
                    (token, at) = (token + 1, at + 1);
                }
                _ => match retry {
                    Some((star, from)) if from < text.len() => {
                        retry = Some((star, from + 1));
                        (token, at) = (star + 1, from + 1);
                    }
                    _ => return false,
                },
            }
        }
    }
}

impl Token {
    fn fits(&self, byte: u8) -> bool {
        match self {
            Self::Star | Self::Any => true,
            Self::Byte(wanted) => *wanted == byte,
            Self::Class { ranges, negated } => {
                ranges.iter().any(|(low, high)| (*low..=*high).contains(&byte)) != *negated
            }
        }
    }
}

/// What stands between brackets; the opening one was taken.
fn class(rest: &mut &[u8]) -> Token {
    let negated = rest.first() == Some(&b'^');
    if negated {
        *rest = &rest[1..];
    }
    let mut ranges = Vec::new();
    loop {
        match **rest {
            [] => break,
            [b']', ref tail @ ..] => {
                *rest = tail;
                break;
            }
            [b'\\', byte, ref tail @ ..] => {
                ranges.push((byte, byte));
                *rest = tail;
            }
            [low, b'-', high, ref tail @ ..] => {
                ranges.push((low.min(high), low.max(high)));
                *rest = tail;
            }
            [byte, ref tail @ ..] => {
                ranges.push((byte, byte));
                *rest = tail;
            }
        }
    }
    Token::Class { ranges, negated }
}

fn take(rest: &mut &[u8]) -> Option<u8> {
    let (&byte, tail) = rest.split_first()?;
    *rest = tail;
    Some(byte)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn matches(pattern: &str, text: &str) -> bool {
        Pattern::new(pattern.as_bytes()).matches(text.as_bytes())
    }

    #[test]
    fn patterns_match_as_in_servers() {
        for (pattern, text) in [
            ("*", ""),
            ("user:*", "user:"),
            ("user:*:name", "user:1:2:name"),
            ("h?llo", "hello"),
            ("h[ae]llo", "hallo"),
            ("h[^e]llo", "hbllo"),
            ("h[a-b]llo", "hbllo"),
            ("h[b-a]llo", "hallo"),
            ("a\\*b", "a*b"),
            ("[\\]]", "]"),
            ("[abc", "b"),
            ("a**b", "ab"),
        ] {
            assert!(matches(pattern, text), "{pattern} {text}");
        }
        for (pattern, text) in
            [("", "a"), ("a", ""), ("h?llo", "hllo"), ("h[^e]llo", "hello"), ("*a", "ab"), ("a\\*b", "axb")]
        {
            assert!(!matches(pattern, text), "{pattern} {text}");
        }
    }

    #[test]
    fn hostile_pattern_ends_soon() {
        assert!(!matches(
            &"a*".repeat(200),
            &"a".repeat(5000).replace("aaaaa", "aaaab")[..4999].replace('a', "b")
        ));
    }

    proptest! {
        #[test]
        fn text_matches_itself_escaped(text in ".*") {
            let escaped: String = text.chars().flat_map(|letter| ['\\', letter]).collect();
            prop_assert!(matches(&escaped, &text) || !text.is_ascii());
        }
    }
}
