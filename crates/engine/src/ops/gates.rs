//! How many downloads may be under way at once, and how fast: for each limited link, and for each client. What counts is
//! counted on each node by itself.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use crate::model::Throughput;

/// How much may go at once: what may go in this time.
const BURST: Duration = Duration::from_millis(100);
/// The least that goes at once, however low the limit.
const LEAST_STEP: u64 = 1024;
/// Gates kept before those that nobody uses are looked for.
const TIDY_FROM: usize = 1024;

/// The gates that somebody is in.
pub(super) struct Gates {
    client: Throughput,
    links: Mutex<HashMap<String, Weak<Gate>>>,
    clients: Mutex<HashMap<IpAddr, Weak<Gate>>>,
}

/// As many as may be are under way.
#[derive(Debug)]
pub(super) struct Busy;

/// What all downloads of a link, or of a client, share.
#[derive(Debug)]
struct Gate {
    limits: Throughput,
    open: AtomicU32,
    /// When all that was sent is paid for.
    paid_at: Mutex<Option<Instant>>,
}

/// Leave to transfer, until it is dropped.
#[derive(Debug, Default)]
pub struct Passage(Vec<Arc<Gate>>);

impl Gates {
    /// Gates that let each client have that much.
    pub(super) fn new(client: Throughput) -> Self {
        Self { client, links: Mutex::default(), clients: Mutex::default() }
    }

    /// Lets a transfer of a client begin, of a link with its own limits if that has some.
    pub(super) fn enter(&self, link: Option<(&str, Throughput)>, client: IpAddr) -> Result<Passage, Busy> {
        let mut passage = Passage::default();
        if let Some((link, limits)) = link.filter(|(_, limits)| limits.is_limited()) {
            passage.enter(gate(&self.links, link.to_owned(), limits))?;
        }
        if self.client.is_limited() {
            passage.enter(gate(&self.clients, client, self.client))?;
        }
        Ok(passage)
    }
}

/// The gate of that name; a new one if nobody is in it.
fn gate<K: Hash + Eq>(gates: &Mutex<HashMap<K, Weak<Gate>>>, key: K, limits: Throughput) -> Arc<Gate> {
    let mut gates = gates.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(gate) = gates.get(&key).and_then(Weak::upgrade) {
        return gate;
    }
    if gates.len() >= TIDY_FROM && gates.len() == gates.capacity() {
        gates.retain(|_, gate| gate.strong_count() > 0);
    }
    let gate = Arc::new(Gate { limits, open: AtomicU32::new(0), paid_at: Mutex::default() });
    gates.insert(key, Arc::downgrade(&gate));
    gate
}

impl Passage {
    fn enter(&mut self, gate: Arc<Gate>) -> Result<(), Busy> {
        let most = gate.limits.connections.unwrap_or(u32::MAX);
        let entered = gate
            .open
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |open| (open < most).then_some(open + 1));
        entered.map_err(|_| Busy)?;
        self.0.push(gate);
        Ok(())
    }

    /// How many of so many bytes to send at once.
    pub fn step(&self, wanted: u64) -> u64 {
        let rates = self.0.iter().filter_map(|gate| gate.limits.bytes_per_second);
        let burst = |rate: u64| (rate / 10).max(LEAST_STEP);
        rates.map(burst).fold(wanted, u64::min)
    }

    /// Pays for bytes that were sent; says how long to wait before the next. Time that passed unused counts for one
    /// burst at most.
    pub fn pay(&self, bytes: u64, now: Instant) -> Duration {
        self.0.iter().map(|gate| gate.pay(bytes, now)).max().unwrap_or_default()
    }

    /// Whether it never waits.
    pub fn is_free(&self) -> bool {
        self.0.iter().all(|gate| gate.limits.bytes_per_second.is_none())
    }
}

impl Drop for Passage {
    fn drop(&mut self) {
        for gate in &self.0 {
            gate.open.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

impl Gate {
    fn pay(&self, bytes: u64, now: Instant) -> Duration {
        let Some(rate) = self.limits.bytes_per_second else { return Duration::ZERO };
        let nanos = u128::from(bytes) * 1_000_000_000 / u128::from(rate.max(1));
        let cost = Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX));
        let mut paid_at = self.paid_at.lock().unwrap_or_else(PoisonError::into_inner);
        let earliest = now.checked_sub(BURST).unwrap_or(now);
        let paid = paid_at.map_or(earliest, |at| at.max(earliest)) + cost;
        *paid_at = Some(paid);
        paid.saturating_duration_since(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLIENT: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(203, 0, 113, 9));
    const OTHER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(203, 0, 113, 10));

    fn limits(bytes_per_second: Option<u64>, connections: Option<u32>) -> Throughput {
        Throughput { bytes_per_second, connections }
    }

    #[test]
    fn no_more_than_allowed_are_in_and_a_way_out_makes_room() {
        let gates = Gates::new(limits(None, Some(3)));
        let link = Some(("lnk-1", limits(None, Some(2))));
        let first = gates.enter(link, CLIENT).unwrap();
        let _second = gates.enter(link, CLIENT).unwrap();
        assert!(gates.enter(link, OTHER).is_err(), "of the link");
        assert!(gates.enter(Some(("lnk-2", limits(None, Some(2)))), CLIENT).is_ok());
        let _third = gates.enter(None, CLIENT).unwrap();
        assert!(gates.enter(None, CLIENT).is_err(), "of the client");
        assert!(gates.enter(None, OTHER).is_ok());
        drop(first);
        assert!(gates.enter(link, CLIENT).is_ok(), "those who were refused hold no place");
    }

    #[test]
    fn all_who_are_in_share_the_rate() {
        let gates = Gates::new(Throughput::default());
        let link = Some(("lnk-1", limits(Some(100_000), None)));
        let passages = [gates.enter(link, CLIENT).unwrap(), gates.enter(link, OTHER).unwrap()];
        let start = Instant::now();
        let mut now = start;
        let mut sent = 0;
        while now < start + Duration::from_secs(10) {
            for passage in &passages {
                let step = passage.step(1 << 20);
                assert_eq!(step, 10_000);
                now += passage.pay(step, now);
                sent += step;
            }
        }
        assert!((990_000..=1_040_000).contains(&sent), "{sent}");
        assert!(!passages[0].is_free() && gates.enter(None, CLIENT).unwrap().is_free());
    }

    #[test]
    fn a_pause_is_worth_one_burst_only() {
        let gates = Gates::new(limits(Some(10_000), None));
        let passage = gates.enter(None, CLIENT).unwrap();
        let start = Instant::now();
        let later = start + Duration::from_hours(1);
        assert_eq!(passage.pay(1000, start), Duration::ZERO);
        assert_eq!(passage.pay(1000, later), Duration::ZERO);
        assert_eq!(passage.pay(1000, later), Duration::from_millis(100));
    }

    #[test]
    fn gates_that_nobody_is_in_are_forgotten() {
        let gates = Gates::new(Throughput::default());
        for number in 0..100_000 {
            drop(gates.enter(Some((&number.to_string(), limits(None, Some(1)))), CLIENT).unwrap());
        }
        assert!(gates.links.lock().unwrap().len() <= 2 * TIDY_FROM);
    }
}
