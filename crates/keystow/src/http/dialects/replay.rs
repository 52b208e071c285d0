//! One-time values of signed requests, remembered for as long as a copy of the request would still be accepted.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use keystow_dialects::Fault;

/// Values kept of one key: more than 50 requests a second for half an hour. A key that sends more waits, the others
/// do not.
const MOST_OF_A_KEY: usize = 100_000;
/// How often all values are looked through for those that are over.
const SWEEP: Duration = Duration::from_mins(1);
/// How often those of a key that has no more room are.
const HASTY_SWEEP: Duration = Duration::from_secs(1);

/// The one-time values in use, by access key.
#[derive(Default)]
pub(super) struct Replays(Mutex<Keys>);

#[derive(Default)]
struct Keys {
    seen: HashMap<String, Seen>,
    swept_at: Option<Timestamp>,
}

/// Those of one key.
#[derive(Default)]
struct Seen {
    until: HashMap<String, Timestamp>,
    swept_at: Option<Timestamp>,
}

impl Replays {
    /// Takes a value in; a second time is a replay. Only for requests whose signature is right.
    pub(super) fn admit(&self, key: &str, nonce: String, ttl: Duration, now: Timestamp) -> Result<(), Fault> {
        let mut keys = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        keys.sweep(now);
        keys.seen.entry(key.to_owned()).or_default().admit(nonce, ttl, now)
    }
}

impl Keys {
    /// Frees what is over, also of keys that nobody uses any more.
    fn sweep(&mut self, now: Timestamp) {
        if is_due(self.swept_at, SWEEP, now) {
            self.seen.retain(|_, seen| {
                seen.sweep(now);
                !seen.until.is_empty()
            });
            self.swept_at = Some(now);
        }
    }
}

impl Seen {
    fn admit(&mut self, nonce: String, ttl: Duration, now: Timestamp) -> Result<(), Fault> {
        if self.until.len() >= MOST_OF_A_KEY && is_due(self.swept_at, HASTY_SWEEP, now) {
            self.sweep(now);
        }
        if self.until.len() >= MOST_OF_A_KEY {
            return Err(Fault::Throttled);
        }
        match self.until.insert(nonce, now + ttl) {
            Some(until) if until >= now => Err(Fault::Replayed),
            _ => Ok(()),
        }
    }

    fn sweep(&mut self, now: Timestamp) {
        self.until.retain(|_, until| *until >= now);
        if self.until.len() < self.until.capacity() / 4 {
            self.until.shrink_to_fit();
        }
        self.swept_at = Some(now);
    }
}

fn is_due(swept_at: Option<Timestamp>, pause: Duration, now: Timestamp) -> bool {
    swept_at.is_none_or(|at| now.duration_since(at).unsigned_abs() >= pause)
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

    #[test]
    fn a_key_without_room_waits_and_the_others_do_not() {
        let replays = Replays::default();
        let start = Timestamp::from_second(1_795_309_200).unwrap();
        let ttl = Duration::from_mins(10);
        for count in 0..MOST_OF_A_KEY {
            assert_eq!(replays.admit("busy", count.to_string(), ttl, start), Ok(()));
        }
        assert_eq!(replays.admit("busy", "one more".to_owned(), ttl, start), Err(Fault::Throttled));
        assert_eq!(replays.admit("other", "one".to_owned(), ttl, start), Ok(()));
        let later = start + ttl + Duration::from_secs(1);
        assert_eq!(replays.admit("busy", "one more".to_owned(), ttl, later), Ok(()));
    }

    #[test]
    fn keys_that_went_quiet_are_forgotten() {
        let replays = Replays::default();
        let start = Timestamp::from_second(1_795_309_200).unwrap();
        let kept = || replays.0.lock().unwrap().seen.len();
        for key in 0..1000 {
            let ttl = Duration::from_mins(if key == 0 { 30 } else { 5 });
            assert_eq!(replays.admit(&key.to_string(), "n".to_owned(), ttl, start), Ok(()));
        }
        assert_eq!(kept(), 1000);
        let later = start + Duration::from_mins(6);
        assert_eq!(replays.admit("other", "n".to_owned(), Duration::from_mins(5), later), Ok(()));
        assert_eq!(kept(), 2, "the new one, and the one whose request would still be accepted");
        assert_eq!(replays.admit("0", "n".to_owned(), SWEEP, later), Err(Fault::Replayed));
    }
}
