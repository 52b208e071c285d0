//! Spares callers the wait for a store that is down: after some calls that it did not answer, the next ones fail at once,
//! until one that is let through now and then is answered.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::error::{Error, Kind, Result};

/// Calls in a row, each tried several times, after which the store counts as down.
const MOST_FAILURES: u32 = 3;
/// How long nobody asks it then.
const PAUSE: Duration = Duration::from_secs(5);

/// Whether the store is up, as far as is known.
#[derive(Default)]
pub(super) struct Breaker(Mutex<State>);

#[derive(Default)]
struct State {
    failures: u32,
    down_until: Option<Instant>,
}

impl Breaker {
    /// Lets a call through, or not. Of those after the pause, one goes first.
    pub(super) fn admit(&self) -> Result<()> {
        self.admit_at(Instant::now())
    }

    fn admit_at(&self, now: Instant) -> Result<()> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match state.down_until {
            Some(until) if now < until => Err(Error::new(
                Kind::Unreachable,
                "REPOSITORY_UNREACHABLE",
                "the object store does not answer",
            )
            .because(format!("its last {} calls failed; it is asked again soon", state.failures))
            .hint("check the store and the network to it; Keystow goes on by itself")),
            Some(_) => {
                state.down_until = Some(now + PAUSE);
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// Learns from the outcome of a call.
    pub(super) fn learn(&self, outcome: Option<&Error>) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if outcome.is_some_and(|error| error.code == "REPOSITORY_UNREACHABLE") {
            state.failures = state.failures.saturating_add(1);
            if state.failures >= MOST_FAILURES {
                state.down_until = Some(Instant::now() + PAUSE);
            }
        } else {
            *state = State::default();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_that_is_down_is_asked_by_one_caller_now_and_then() {
        let breaker = Breaker::default();
        let lost = Error::new(Kind::Unreachable, "REPOSITORY_UNREACHABLE", "x");
        for _ in 0..MOST_FAILURES {
            breaker.admit().unwrap();
            breaker.learn(Some(&lost));
        }
        assert_eq!(breaker.admit().unwrap_err().code, "REPOSITORY_UNREACHABLE");
        let later = Instant::now() + PAUSE;
        breaker.admit_at(later).unwrap();
        assert!(breaker.admit_at(later).is_err(), "the first one has not come back yet");
        breaker.learn(None);
        breaker.admit().unwrap();
    }

    #[test]
    fn an_answer_is_an_answer_though_it_be_no() {
        let breaker = Breaker::default();
        for _ in 0..10 {
            breaker.learn(Some(&Error::new(Kind::Denied, "REPOSITORY_DENIED", "x")));
            breaker.admit().unwrap();
        }
    }
}
