//! Links that were found good a moment ago: most are used many times, by ranges and resumes.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use quick_cache::Equivalent;
use quick_cache::sync::Cache;

use super::LinkClaims;

/// Links remembered at once.
const MOST: usize = 4096;
/// Longest link that is remembered, in bytes of its path and query. Who has a good link can make it longer at will, by
/// parameters that nobody asked for.
const LONGEST: usize = 2048;

/// Good signatures, by the exact text of the link. A link's expiry is looked at anew each time.
pub(super) struct GoodLinks(Cache<Text, Arc<LinkClaims>>);

impl GoodLinks {
    pub(super) fn new() -> Self {
        Self(Cache::new(MOST))
    }

    pub(super) fn get(&self, path: &str, query: &str) -> Option<Arc<LinkClaims>> {
        self.0.get(&Halves(path, query))
    }

    pub(super) fn insert(&self, path: &str, query: &str, claims: &Arc<LinkClaims>) {
        if path.len() + query.len() > LONGEST {
            return;
        }
        self.0.insert(Text { path: path.into(), query: query.into() }, claims.clone());
    }
}

/// The text of a link.
#[derive(PartialEq, Eq)]
struct Text {
    path: Box<str>,
    query: Box<str>,
}

impl Hash for Text {
    fn hash<H: Hasher>(&self, state: &mut H) {
        Halves(&self.path, &self.query).hash(state);
    }
}

/// The text of a link that is looked up.
#[derive(Hash)]
struct Halves<'a>(&'a str, &'a str);

impl Equivalent<Text> for Halves<'_> {
    fn equivalent(&self, text: &Text) -> bool {
        *self.0 == *text.path && *self.1 == *text.query
    }
}
