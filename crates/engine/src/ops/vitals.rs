//! How the service does: what it has counted since it started, and how things stand now.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::Engine;
use crate::access::Principal;
use crate::error::{Error, Kind, Result};
use crate::model::{CatalogVitals, DeliveryTry, JobKind, Right};

/// Longest time that a catalog or a store has to answer a look at it.
const PATIENCE: Duration = Duration::from_secs(2);

/// What was counted since the process started.
#[derive(Debug, Default)]
pub struct Tally {
    jobs: Mutex<BTreeMap<EndedJob, u64>>,
    captured_bytes: AtomicU64,
    leases_lost: AtomicU64,
    /// Tries that told a webhook, that did not, and after which nothing more was tried.
    notices: [AtomicU64; 3],
}

/// How attempts at jobs end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct EndedJob {
    /// The kind of job.
    pub kind: &'static str,
    /// `done`, `failed`, `cancelled` or `handed_back`.
    pub outcome: &'static str,
    /// The code of the error, if there was one.
    pub code: Option<&'static str>,
}

impl Tally {
    /// An attempt at a job has ended.
    pub(crate) fn job_ended(&self, kind: JobKind, outcome: &'static str, code: Option<&'static str>) {
        let ended = EndedJob { kind: kind.as_str(), outcome, code };
        *self.jobs.lock().unwrap_or_else(PoisonError::into_inner).entry(ended).or_default() += 1;
    }

    /// So many bytes came from sources.
    pub(crate) fn captured(&self, bytes: u64) {
        self.captured_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// A lease was lost, or could not be renewed.
    pub(crate) fn lease_lost(&self) {
        self.leases_lost.fetch_add(1, Ordering::Relaxed);
    }

    /// A notice was sent, or was to be.
    pub(crate) fn notice_tried(&self, outcome: &DeliveryTry) {
        let place = match (&outcome.error, outcome.again) {
            (None, _) => 0,
            (Some(_), Some(_)) => 1,
            (Some(_), None) => 2,
        };
        self.notices[place].fetch_add(1, Ordering::Relaxed);
    }

    /// Tries to tell a webhook that were taken, that were not, and the last ones of notices that never were.
    pub fn notices(&self) -> [u64; 3] {
        [0, 1, 2].map(|place: usize| self.notices[place].load(Ordering::Relaxed))
    }

    /// Attempts at jobs by how they ended.
    pub fn jobs(&self) -> Vec<(EndedJob, u64)> {
        let jobs = self.jobs.lock().unwrap_or_else(PoisonError::into_inner);
        jobs.iter().map(|(ended, count)| (*ended, *count)).collect()
    }

    /// Bytes that came from sources.
    pub fn captured_bytes(&self) -> u64 {
        self.captured_bytes.load(Ordering::Relaxed)
    }

    /// Leases lost.
    pub fn leases_lost(&self) -> u64 {
        self.leases_lost.load(Ordering::Relaxed)
    }
}

/// How things stand.
#[derive(Debug)]
pub struct Vitals {
    /// As the catalog has it.
    pub catalog: CatalogVitals,
    /// How long the catalog took to tell.
    pub catalog_took: Duration,
    /// How long the repository took to answer; `None` = it did not.
    pub repository_took: Option<Duration>,
    /// Bytes that may still be written, where the repository can tell.
    pub free_bytes: Option<u64>,
    /// The repositories for copies, and whether each is open.
    pub copies_up: Vec<(String, bool)>,
    /// Notices that webhooks are still to be told.
    pub notices_pending: u64,
    /// Notes of the access log that are not written yet.
    pub access_notes: usize,
    /// Bytes sent by downloads since the process started.
    pub downloaded_bytes: u64,
    /// Downloads that ended since the process started: with all that they asked for, before that, and refused.
    pub downloads: [u64; 3],
}

impl Engine {
    /// What was counted.
    pub fn tally(&self) -> &Tally {
        &self.tally
    }

    /// How things stand: of a caller's own account or project, of all for an admin, and of all for whoever may look
    /// without a key (`None`).
    pub async fn vitals(&self, who: Option<&Principal>) -> Result<Vitals> {
        let scope = match who {
            Some(who) if who.with(Right::Administer).is_err() => Some(who.with(Right::View)?),
            _ => None,
        };
        let asked = Instant::now();
        let account = scope.as_ref().map(|scope| &scope.account);
        let project = scope.as_ref().and_then(|scope| scope.project.as_ref());
        let catalog = self.catalog.vitals(account, project).await?;
        let catalog_took = asked.elapsed();
        let notices_pending = self.catalog.pending_webhook_deliveries(account).await?;
        let asked = Instant::now();
        let store = tokio::time::timeout(PATIENCE, self.vault.free_bytes()).await;
        let (downloads, downloaded_bytes) = self.journal.counted();
        Ok(Vitals {
            catalog,
            catalog_took,
            repository_took: matches!(store, Ok(Ok(_))).then(|| asked.elapsed()),
            free_bytes: store.ok().and_then(Result::ok).flatten(),
            copies_up: self.others.states(),
            notices_pending,
            access_notes: self.journal.waiting(),
            downloaded_bytes,
            downloads,
        })
    }

    /// Whether the catalog and the repository answer: what a load balancer asks.
    pub async fn is_ready(&self) -> Result<()> {
        let late = |what: &'static str| {
            Error::new(Kind::Unreachable, "NOT_READY", format!("the {what} does not answer in time"))
        };
        tokio::time::timeout(PATIENCE, self.catalog.note("repository"))
            .await
            .map_err(|_| late("catalog"))??;
        tokio::time::timeout(PATIENCE, self.vault.free_bytes()).await.map_err(|_| late("repository"))??;
        Ok(())
    }
}
