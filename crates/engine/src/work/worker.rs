//! A worker: claims one job at a time and does it, holding the lease by heartbeats.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::catalog::AttemptOutcome;
use crate::crash::{CrashPoint, crash_point};
use crate::error::{Error, Kind, Result};
use crate::model::{Failure, Job, JobKind};
use crate::ops::{Engine, Meter, TOPOLOGY_CHANGED, TURN_LOST};

/// How a worker works.
#[derive(Debug, Clone)]
pub struct WorkerSettings {
    /// Its name, for the job's row.
    pub name: String,
    /// How long a claim holds without a heartbeat.
    pub lease: Duration,
    /// How often it looks for work.
    pub poll: Duration,
    /// How often a job's worker may die in the middle of it before it is given up.
    pub most_deaths: u32,
}

impl Default for WorkerSettings {
    fn default() -> Self {
        Self {
            name: "worker".to_owned(),
            lease: Duration::from_secs(30),
            poll: Duration::from_millis(200),
            most_deaths: 3,
        }
    }
}

/// Works until `stop`. A job that is under way then is handed back, and starts anew elsewhere.
pub async fn run_worker(engine: Arc<Engine>, settings: WorkerSettings, stop: CancellationToken) {
    while !stop.is_cancelled() {
        let asked = Instant::now();
        let claimed = engine.catalog().claim_job(&settings.name, engine.clock().now(), settings.lease).await;
        match claimed {
            Ok(Some(job)) => do_job(&engine, &settings, &job, asked, &stop).await,
            Ok(None) => tokio::select! {
                () = engine.job_written() => {}
                () = idle(settings.poll, &stop) => {}
            },
            Err(error) => {
                tracing::error!(%error, "cannot look for work");
                idle(settings.lease / 10, &stop).await;
            }
        }
    }
}

async fn idle(time: Duration, stop: &CancellationToken) {
    tokio::select! {
        () = tokio::time::sleep(time) => {}
        () = stop.cancelled() => {}
    }
}

/// Does a job that was asked for at `asked`.
async fn do_job(
    engine: &Arc<Engine>,
    settings: &WorkerSettings,
    job: &Job,
    asked: Instant,
    stop: &CancellationToken,
) {
    tracing::info!(job = job.number, kind = job.kind.as_str(), backup = %job.backup, attempt = job.attempt, "started");
    crash_point(CrashPoint::JobClaimed);
    let meter = Arc::new(Meter::default());
    let cancel = stop.child_token();
    let Some(claimed) = confirm(engine, settings, job, asked, &meter, &cancel).await else {
        engine.tally().lease_lost();
        return end_badly(engine, job, &Error::cancelled(), true).await;
    };
    // Side by side: a heartbeat that waits for the catalog must not keep the work from finishing its own write.
    let result = unharmed(async {
        tokio::select! {
            // Boxed: what a job holds on its way is large.
            result = Box::pin(attempt(engine, settings, job, &meter, &cancel)) => result,
            never = hold_lease(engine, settings, job, claimed, &meter, &cancel) => match never {},
        }
    })
    .await;
    if job.kind == JobKind::TakeBackup {
        engine.tally().captured(meter.progress().bytes);
    }
    // What has ended well had its lease to the end, also if a heartbeat came after that.
    if meter.is_lost() && result.is_err() {
        tracing::warn!(job = job.number, "the lease was lost; another worker has the job, or will have it");
        engine.tally().lease_lost();
    }
    match result {
        Ok(()) => {
            engine.tally().job_ended(job.kind, "done", None);
            tracing::info!(job = job.number, backup = %job.backup, "done");
        }
        Err(error) => {
            let stopping = stop.is_cancelled() && !job.cancel_requested;
            end_badly(engine, job, &error, stopping || meter.is_lost()).await;
        }
    }
}

/// Goes on with a job, or ends it where that has no sense any more.
async fn attempt(
    engine: &Arc<Engine>,
    settings: &WorkerSettings,
    job: &Job,
    meter: &Arc<Meter>,
    cancel: &CancellationToken,
) -> Result<()> {
    if job.deaths >= settings.most_deaths {
        abandon(engine, job).await;
        let message = format!("given up after {} attempts", job.deaths);
        return Err(Error::new(Kind::Internal, "WORKER_DIED", message)
            .because("the server stopped in the middle of each")
            .hint("look at the server's log for why it stopped"));
    }
    if job.cancel_requested {
        // Asked while the worker before this one was dying.
        abandon(engine, job).await;
        return Err(Error::cancelled());
    }
    work(engine, job, meter, cancel).await
}

/// What comes of work; a panic in it fails that work, and not the worker, which has others to do.
async fn unharmed(work: impl Future<Output = Result<()>>) -> Result<()> {
    AssertUnwindSafe(work).catch_unwind().await.unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no words");
        Err(Error::internal("the work on the job panicked", text))
    })
}

/// What a job that is not gone on with must not leave behind.
async fn abandon(engine: &Arc<Engine>, job: &Job) {
    if job.kind == JobKind::Restore
        && let Err(error) = engine.abandon_restore(job).await
    {
        tracing::warn!(job = job.number, %error, "the target of a restore could not be put right");
    }
}

async fn work(engine: &Arc<Engine>, job: &Job, meter: &Arc<Meter>, cancel: &CancellationToken) -> Result<()> {
    match job.kind {
        JobKind::TakeBackup => engine.take_backup(job, meter, cancel).await,
        JobKind::RemoveBackup => engine.remove_objects(job).await,
        JobKind::Restore => engine.restore(job, meter, cancel).await,
        JobKind::Drill => engine.drill(job, meter, cancel).await,
        JobKind::Scrub => engine.scrub(job, meter, cancel).await,
        JobKind::Copy => engine.copy_backup(job, meter, cancel).await,
        JobKind::Repair => engine.repair(job, meter, cancel).await,
    }
}

/// When the lease of a job began that was asked for at `asked`. The catalog may have taken long to answer, and how much of
/// that was before the claim is not known: then the lease begins anew, before anything is done. `None` = it cannot be held.
async fn confirm(
    engine: &Engine,
    settings: &WorkerSettings,
    job: &Job,
    asked: Instant,
    meter: &Meter,
    cancel: &CancellationToken,
) -> Option<Instant> {
    if asked.elapsed() < settings.lease / 6 {
        return Some(asked);
    }
    let asked = Instant::now();
    let beat = tokio::time::timeout(settings.lease / 3, heartbeat(engine, settings, job, meter, cancel));
    beat.await.is_ok_and(|held| held).then_some(asked)
}

/// Holds the lease until it is dropped. A lease that could not be renewed for two thirds of its time is given up: the
/// last third is for the work to stop in before another worker has the job.
async fn hold_lease(
    engine: &Engine,
    settings: &WorkerSettings,
    job: &Job,
    claimed: Instant,
    meter: &Meter,
    cancel: &CancellationToken,
) -> std::convert::Infallible {
    let limit = settings.lease * 2 / 3;
    let mut renewed = claimed;
    loop {
        tokio::time::sleep(settings.lease / 30).await;
        let asked = Instant::now();
        // The catalog may not answer at all.
        let beat = tokio::time::timeout_at(renewed + limit, heartbeat(engine, settings, job, meter, cancel));
        if let Ok(true) = beat.await {
            renewed = asked;
        }
        if meter.is_lost() {
            std::future::pending::<()>().await;
        }
        if renewed.elapsed() >= limit {
            tracing::warn!(job = job.number, "the lease runs out and cannot be renewed");
            meter.lose();
            cancel.cancel();
        }
    }
}

/// Renews the lease; says whether it did. A lost lease, like a request to stop, ends the work; whether it was lost, or
/// only given up because the work is done, shows when that has ended.
async fn heartbeat(
    engine: &Engine,
    settings: &WorkerSettings,
    job: &Job,
    meter: &Meter,
    cancel: &CancellationToken,
) -> bool {
    let now = engine.clock().now();
    match engine.catalog().renew_lease(&job.lease(), &meter.progress(), now, settings.lease).await {
        Ok(stop) => {
            if stop {
                cancel.cancel();
            }
            return true;
        }
        Err(error) if error.code == "LEASE_LOST" => {
            meter.lose();
            cancel.cancel();
        }
        // The lease outlives a few failed heartbeats.
        Err(error) => tracing::warn!(job = job.number, %error, "cannot renew the lease"),
    }
    false
}

/// Ends an attempt that failed. `goes_on`: if it was stopped, then not on request, and the job begins anew elsewhere.
async fn end_badly(engine: &Engine, job: &Job, error: &Error, goes_on: bool) {
    let outcome = match error.kind {
        // The cluster changed under it, and the attempts are not used up.
        _ if error.code == TOPOLOGY_CHANGED => AttemptOutcome::HandedBack,
        // The database was away for longer than a call waits, or than others wait; that says nothing of the job.
        _ if matches!(error.code, "CATALOG_UNREACHABLE" | TURN_LOST) => AttemptOutcome::HandedBack,
        Kind::Cancelled if goes_on => AttemptOutcome::HandedBack,
        Kind::Cancelled => AttemptOutcome::Cancelled,
        _ => AttemptOutcome::Failed(Failure::from(error)),
    };
    let ended = match outcome {
        AttemptOutcome::HandedBack => "handed_back",
        AttemptOutcome::Cancelled => "cancelled",
        AttemptOutcome::Failed(_) => "failed",
    };
    engine.tally().job_ended(job.kind, ended, Some(error.code));
    tracing::warn!(job = job.number, backup = %job.backup, code = error.code, %error, "failed");
    if let Err(error) = engine.catalog().fail_attempt(&job.lease(), &outcome, engine.clock().now()).await
        && error.code != "LEASE_LOST"
    {
        // The lease runs out, and the job is claimed again.
        tracing::error!(job = job.number, %error, "cannot write that a job failed");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_is_a_failure_of_its_job() {
        assert!(unharmed(async { Ok(()) }).await.is_ok());
        let number = 7;
        let told = unharmed(async move { panic!("part {number} is odd") }).await.unwrap_err();
        assert_eq!((told.code, told.cause.as_deref()), ("INTERNAL", Some("part 7 is odd")));
        let plain = unharmed(async { panic!("odd") }).await.unwrap_err();
        assert_eq!(plain.cause.as_deref(), Some("odd"));
    }
}
