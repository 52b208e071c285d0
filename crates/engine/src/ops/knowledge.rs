//! What a node knows without asking the catalog again: bounded in number and in age.

use std::borrow::Borrow;
use std::hash::Hash;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use quick_cache::Equivalent;
use quick_cache::sync::Cache;

/// How long a node may go on with what it knows. A revocation holds everywhere after it.
const FRESH: Duration = Duration::from_secs(2);
/// Things that were looked up a moment ago.
pub(super) struct Knowledge<K, V>(Cache<K, (Arc<V>, Timestamp)>);

impl<K: Hash + Eq, V> Knowledge<K, V> {
    /// Room for that many things at once.
    pub(super) fn new(most: usize) -> Self {
        Self(Cache::new(most))
    }

    /// What is known of it, if that is fresh.
    pub(super) fn get<Q>(&self, key: &Q, now: Timestamp) -> Option<Arc<V>>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + Equivalent<K> + ?Sized,
    {
        let (value, at) = self.0.get(key)?;
        (now.duration_since(at).unsigned_abs() < FRESH).then_some(value)
    }

    /// Remembers it, as it was found at `now`.
    pub(super) fn insert(&self, key: K, value: V, now: Timestamp) -> Arc<V> {
        let value = Arc::new(value);
        self.0.insert(key, (value.clone(), now));
        value
    }

    /// Forgets it, because it has changed.
    pub(super) fn forget<Q: Hash + Equivalent<K> + ?Sized>(&self, key: &Q) {
        self.0.remove(key);
    }

    /// Forgets everything.
    pub(super) fn clear(&self) {
        self.0.clear();
    }
}
