//! One-time values of signed requests, remembered for as long as a copy of the request would still be accepted.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use keystow_dialects::Fault;

/// Values kept at once. 20 requests a second for half an hour, of 27 keys at the same time.
const MOST: usize = 1_000_000;

/// The one-time values in use, by access key.
#[derive(Default)]
pub(super) struct Replays(Mutex<Seen>);

#[derive(Default)]
struct Seen {
    until: HashMap<(String, String), Timestamp>,
    swept_at: Option<Timestamp>,
}

impl Replays {
    /// Takes a value in; a second time is a replay. Only for requests whose signature is right.
    pub(super) fn admit(&self, key: &str, nonce: String, ttl: Duration, now: Timestamp) -> Result<(), Fault> {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let sweep =
            seen.swept_at.is_none_or(|at| now.duration_since(at).unsigned_abs() > Duration::from_mins(1));
        if sweep || seen.until.len() >= MOST {
            seen.until.retain(|_, until| *until >= now);
            seen.swept_at = Some(now);
        }
        if seen.until.len() >= MOST {
            return Err(Fault::Throttled);
        }
        match seen.until.insert((key.to_owned(), nonce), now + ttl) {
            Some(until) if until >= now => Err(Fault::Replayed),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nonce_is_good_once_for_each_key_until_it_is_forgotten() {
        let replays = Replays::default();
        let start = Timestamp::from_second(1_795_309_200).unwrap();
        let ttl = Duration::from_mins(30);
        let admit = |key: &str, at| replays.admit(key, "n".to_owned(), ttl, at);
        assert_eq!(admit("a", start), Ok(()));
        assert_eq!(admit("b", start), Ok(()));
        assert_eq!(admit("a", start), Err(Fault::Replayed));
        assert_eq!(admit("a", start + Duration::from_secs(5000)), Ok(()));
    }
}
