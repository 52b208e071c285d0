//! `/metrics`, `/livez` and `/readyz`: for whoever watches the service.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, PoisonError};

use axum::extract::{FromRequestParts, MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::CONTENT_TYPE;
use http::request::Parts;
use jiff::Timestamp;
use keystow_engine::access::Principal;
use keystow_engine::model::{InstanceVitals, JobKind};
use keystow_engine::ops::{Tally, Vitals};
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::native::Native;
use super::native::caller::Caller;
use super::native::problem::Refusal;

/// What the text is.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

type Labels = Vec<(&'static str, String)>;

/// Requests that were answered, by dialect, action and how.
#[derive(Debug, Default)]
pub(super) struct Requests(Mutex<Counts>);

#[derive(Debug, Default)]
struct Counts {
    /// Actions that succeeded once: others are whatever somebody wrote, and are counted together.
    known: BTreeSet<(&'static str, String)>,
    answered: BTreeMap<(&'static str, String, String), u64>,
}

impl Requests {
    /// A request of that dialect was answered with `ok` or the name of a refusal.
    pub(super) fn count(&self, dialect: &'static str, action: &str, outcome: &str) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let place = (dialect, action.to_owned());
        if outcome == "ok" && !counts.known.contains(&place) {
            counts.known.insert(place.clone());
        }
        let action = if counts.known.contains(&place) { place.1 } else { String::new() };
        *counts.answered.entry((dialect, action, outcome.to_owned())).or_default() += 1;
    }

    fn all(&self) -> BTreeMap<(&'static str, String, String), u64> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).answered.clone()
    }
}

/// Counts a request of the native API by its route, which is not the caller's own word.
pub(super) async fn count_native(State(native): State<Native>, request: Request, next: Next) -> Response {
    let route = request.extensions().get::<MatchedPath>().map(|path| path.as_str().to_owned());
    let method = request.method().as_str().to_owned();
    let response = next.run(request).await;
    if let Some(route) = route {
        let status = response.status();
        let outcome = if status.is_success() { "ok" } else { status.as_str() };
        native.requests.count("native", &format!("{method} {route}"), outcome);
    }
    response
}

/// Who may see the metrics: anybody if they are open, else a key that may view.
pub(super) struct Watcher(Option<Principal>);

impl FromRequestParts<Native> for Watcher {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &Native) -> Result<Self, Refusal> {
        if state.open_metrics {
            return Ok(Self(None));
        }
        Caller::from_request_parts(parts, state).await.map(|Caller(who)| Self(Some(who)))
    }
}

/// `GET /metrics`: a key sees the instances of its own account or project, an admin's all of them.
pub(super) async fn metrics(
    State(native): State<Native>,
    Watcher(who): Watcher,
) -> Result<Response, Refusal> {
    let vitals = native.engine.vitals(who.as_ref()).await?;
    let text = written(&vitals, native.engine.tally(), &native.requests, native.engine.clock().now());
    Ok(([(CONTENT_TYPE, OPEN_METRICS)], text).into_response())
}

/// `GET /livez`: whether the process answers at all.
pub(super) async fn livez() -> &'static str {
    "ok\n"
}

/// `GET /readyz`: whether requests should come here: catalog and repository answer, and the server is not stopping.
pub(super) async fn readyz(State(native): State<Native>) -> (StatusCode, String) {
    if native.stop.is_cancelled() {
        return (StatusCode::SERVICE_UNAVAILABLE, "stopping\n".to_owned());
    }
    match native.engine.is_ready().await {
        Ok(()) => (StatusCode::OK, "ok\n".to_owned()),
        Err(error) => {
            tracing::warn!(code = error.code, %error, "not ready");
            (StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {}\n", error.code))
        }
    }
}

/// The numbers as text.
fn written(vitals: &Vitals, tally: &Tally, requests: &Requests, now: Timestamp) -> String {
    let mut registry = Registry::with_prefix("keystow");
    let version = vec![("version", env!("CARGO_PKG_VERSION").to_owned())];
    gauges(&mut registry, "build_info", "The version that runs", [(version, 1.0)]);
    instances(&mut registry, &vitals.catalog.instances, now);
    stores(&mut registry, vitals);
    counts(&mut registry, vitals, tally, requests);
    let mut text = String::new();
    if encode(&mut text, &registry).is_err() {
        // Writing to a string does not fail.
        let _ = writeln!(text, "# EOF");
    }
    text
}

/// How the catalog and the repository stand.
fn stores(registry: &mut Registry, vitals: &Vitals) {
    let labels = |kind: &str, state: &str| vec![("kind", kind.to_owned()), ("state", state.to_owned())];
    // A metric that comes and goes cannot be watched: one is always there, with 0.
    let none = ["queued", "running"].map(|state| (labels(JobKind::TakeBackup.as_str(), state), 0.0));
    let jobs = vitals.catalog.jobs.iter().map(|(kind, state, count)| (labels(kind, state), float(*count)));
    gauges(registry, "jobs", "Jobs that wait or are under way", none.into_iter().chain(jobs));
    copies(registry, vitals);
    let took = vitals.catalog_took.as_secs_f64();
    gauge(registry, "catalog_answer_seconds", "Time that the catalog took for these numbers", took);
    let up = f64::from(u8::from(vitals.repository_took.is_some()));
    gauge(registry, "repository_up", "Whether the repository answered", up);
    if let Some(took) = vitals.repository_took {
        let help = "Time that the repository took to answer";
        gauge(registry, "repository_answer_seconds", help, took.as_secs_f64());
    }
    if let Some(free) = vitals.free_bytes {
        gauge(registry, "repository_free_bytes", "Bytes that may still be written", float(free));
    }
    let pending = float(vitals.notices_pending);
    gauge(registry, "webhook_pending", "Notices that webhooks are still to be told", pending);
    let waiting = float(vitals.access_notes as u64);
    gauge(registry, "access_log_waiting", "Records of the access log that wait to be written", waiting);
}

/// Copies of backups that are not where they should be, by repository; 0 where all is well.
fn copies(registry: &mut Registry, vitals: &Vitals) {
    let labels = |name: &str, state: &str| vec![("repository", name.to_owned()), ("state", state.to_owned())];
    let states = ["queued", "running", "failed", "damaged"];
    let none = vitals.copies_up.iter().flat_map(|(name, _)| states.map(|state| (labels(name, state), 0.0)));
    let found = vitals.catalog.copies.iter().map(|(name, state, count)| (labels(name, state), float(*count)));
    gauges(registry, "copies", "Copies of backups that are not available", none.chain(found));
    let up = vitals
        .copies_up
        .iter()
        .map(|(name, up)| (vec![("repository", name.clone())], f64::from(u8::from(*up))));
    gauges(registry, "copies_up", "Whether a repository for copies is open", up);
}

/// What this node has counted since it started.
fn counts(registry: &mut Registry, vitals: &Vitals, tally: &Tally, requests: &Requests) {
    let jobs = tally.jobs().into_iter().map(|(ended, count)| {
        let code = ended.code.unwrap_or_default().to_owned();
        let labels =
            vec![("kind", ended.kind.to_owned()), ("outcome", ended.outcome.to_owned()), ("code", code)];
        (labels, count)
    });
    counters(registry, "jobs_ended", "Attempts at jobs that ended on this node", jobs);
    let answered = requests.all().into_iter().map(|((dialect, action, outcome), count)| {
        (vec![("dialect", dialect.to_owned()), ("action", action), ("outcome", outcome)], count)
    });
    counters(registry, "requests", "API requests that this node answered", answered);
    let outcomes = ["done", "broken", "refused"].into_iter().zip(vitals.downloads);
    let outcomes = outcomes.map(|(outcome, count)| (vec![("outcome", outcome.to_owned())], count));
    counters(registry, "downloads", "Downloads that ended on this node", outcomes);
    let outcomes = ["done", "failed", "given_up"].into_iter().zip(tally.notices());
    let outcomes = outcomes.map(|(outcome, count)| (vec![("outcome", outcome.to_owned())], count));
    counters(registry, "webhook_tries", "Tries of this node to tell a webhook", outcomes);
    for (name, help, value) in [
        ("downloaded_bytes", "Bytes that downloads sent on this node", vitals.downloaded_bytes),
        ("captured_bytes", "Bytes that came from sources on this node", tally.captured_bytes()),
        ("leases_lost", "Leases of jobs that this node lost", tally.leases_lost()),
    ] {
        let counter = Counter::<u64>::default();
        counter.inc_by(value);
        registry.register(name, help, counter);
    }
}

fn instances(registry: &mut Registry, all: &[InstanceVitals], now: Timestamp) {
    let labels = |found: &InstanceVitals| {
        vec![("account", found.account.to_string()), ("instance", found.instance.to_string())]
    };
    let since = |at: Timestamp| now.duration_since(at).as_secs_f64().max(0.0);
    gauges(
        registry,
        "last_good_backup_age_seconds",
        "Age of the newest available backup; of the instance itself if it has none",
        all.iter().map(|found| (labels(found), since(found.last_good.map_or(found.added_at, |(at, _)| at)))),
    );
    gauges(
        registry,
        "last_good_backup_bytes",
        "Plain bytes of the newest available backup; 0 if there is none",
        all.iter().map(|found| (labels(found), float(found.last_good.map_or(0, |(_, bytes)| bytes)))),
    );
}

fn gauge(registry: &mut Registry, name: &str, help: &str, value: f64) {
    let gauge = Gauge::<f64, AtomicU64>::default();
    gauge.set(value);
    registry.register(name, help, gauge);
}

fn gauges(registry: &mut Registry, name: &str, help: &str, values: impl IntoIterator<Item = (Labels, f64)>) {
    let family = Family::<Labels, Gauge<f64, AtomicU64>>::default();
    for (labels, value) in values {
        family.get_or_create(&labels).set(value);
    }
    registry.register(name, help, family);
}

fn counters(
    registry: &mut Registry,
    name: &str,
    help: &str,
    values: impl IntoIterator<Item = (Labels, u64)>,
) {
    let family = Family::<Labels, Counter>::default();
    for (labels, value) in values {
        family.get_or_create(&labels).inc_by(value);
    }
    registry.register(name, help, family);
}

/// Exact up to 2^53, which no count of ours reaches in a lifetime.
#[expect(clippy::cast_precision_loss, reason = "exact up to 2^53")]
fn float(value: u64) -> f64 {
    value as f64
}

/// The counts that the APIs share.
pub(super) fn requests() -> Arc<Requests> {
    Arc::default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_action_that_never_succeeded_is_nobodys_word() {
        let requests = Requests::default();
        for number in 0..1000 {
            requests.count("ucloud", &format!("Nonsense{number}"), "UnknownKey");
        }
        requests.count("ucloud", "DescribeUDB", "ok");
        requests.count("ucloud", "DescribeUDB", "Throttled");
        let all = requests.all();
        let place = |action: &str, outcome: &str| ("ucloud", action.to_owned(), outcome.to_owned());
        assert_eq!(all.len(), 3);
        assert_eq!(all[&place("", "UnknownKey")], 1000);
        assert_eq!(all[&place("DescribeUDB", "Throttled")], 1);
    }
}
