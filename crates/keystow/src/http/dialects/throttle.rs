//! How often an account may call an action: the generic cell rate algorithm, so that a burst of one second's worth
//! passes and the rest is spread evenly.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use keystow_dialects::Fault;

/// Accounts and actions kept at once; the ones that are not in debt are forgotten first.
const MOST: usize = 100_000;

/// The debts of accounts, by dialect and action.
#[derive(Default)]
pub(super) struct Throttle(Mutex<HashMap<(&'static str, String, String), Timestamp>>);

impl Throttle {
    /// Takes one request in; `rate` requests a second, 0 = no limit.
    pub(super) fn admit(
        &self,
        dialect: &'static str,
        action: &str,
        account: &str,
        rate: u32,
        now: Timestamp,
    ) -> Result<(), Fault> {
        if rate == 0 {
            return Ok(());
        }
        let mut debts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if debts.len() >= MOST {
            debts.retain(|_, paid_at| *paid_at > now);
        }
        if debts.len() >= MOST {
            return Err(Fault::Throttled);
        }
        let paid_at = debts.entry((dialect, action.to_owned(), account.to_owned())).or_insert(now);
        let cell = Duration::from_secs(1) / rate;
        let next = (*paid_at).max(now) + cell;
        if next.duration_since(now).unsigned_abs() > Duration::from_secs(1) {
            return Err(Fault::Throttled);
        }
        *paid_at = next;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_seconds_worth_passes_at_once_and_then_one_at_a_time() {
        let throttle = Throttle::default();
        let start = Timestamp::from_second(1_795_309_200).unwrap();
        let admitted =
            |now, count| (0..count).filter(|_| throttle.admit("d", "A", "acme", 20, now).is_ok()).count();
        assert_eq!(admitted(start, 50), 20);
        assert_eq!(admitted(start + Duration::from_millis(49), 5), 0);
        assert_eq!(admitted(start + Duration::from_millis(50), 5), 1);
        assert_eq!(admitted(start + Duration::from_millis(550), 50), 10);
        assert_eq!(admitted(start + Duration::from_mins(5), 50), 20);
    }

    #[test]
    fn actions_and_accounts_do_not_pay_for_each_other() {
        let throttle = Throttle::default();
        let now = Timestamp::from_second(1_795_309_200).unwrap();
        assert!(throttle.admit("d", "A", "acme", 1, now).is_ok());
        assert_eq!(throttle.admit("d", "A", "acme", 1, now), Err(Fault::Throttled));
        assert!(throttle.admit("d", "B", "acme", 1, now).is_ok());
        assert!(throttle.admit("d", "A", "rival", 1, now).is_ok());
        assert!((0..1000).all(|_| throttle.admit("d", "A", "acme", 0, now).is_ok()));
    }
}
