//! The one glue between vendors' words and ours: who claims to call, is it so, what is asked, do it, answer.
//!
//! The only room that knows both vocabularies.

mod asked;
mod replay;
mod rules;
mod sign_in;
mod throttle;
mod told;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use http::{Request, Response, StatusCode};
use keystow_dialects::{Dialect, Exchange, Fault, Reply};
use keystow_engine::access::Principal;
use keystow_engine::links::Spelling;
use keystow_engine::ops::Engine;
use keystow_engine::{Error, Kind};
use uuid::Uuid;

use super::body::Late;
use super::client::Client;
use super::metrics::Requests;
use super::native::problem;
use asked::Asking;
use replay::Replays;
pub(crate) use rules::{DialectRules, LinkLives, Region, Rules, VpcNetwork};
use throttle::Throttle;

/// Letters of a refusal that the log keeps.
const LONGEST_FAULT: usize = 300;
/// Longest name of an action that is looked at; no vendor's is half as long.
const LONGEST_ACTION: usize = 64;

/// Answers requests in the vendors' dialects.
#[derive(Clone)]
pub(super) struct Dialects {
    engine: Arc<Engine>,
    rules: Arc<Rules>,
    body_bytes: usize,
    replays: Arc<Replays>,
    throttle: Arc<Throttle>,
    requests: Arc<Requests>,
}

/// Why a request was refused: in the vendor's terms already, or in ours.
enum Refused {
    Fault(Fault),
    Error(Error),
}

impl From<Fault> for Refused {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

impl From<Error> for Refused {
    fn from(error: Error) -> Self {
        Self::Error(error)
    }
}

impl Dialects {
    pub(super) fn new(
        engine: Arc<Engine>,
        rules: Arc<Rules>,
        body_bytes: usize,
        requests: Arc<Requests>,
    ) -> Self {
        Self { engine, rules, body_bytes, replays: Arc::default(), throttle: Arc::default(), requests }
    }

    /// Answers any request that is not the native API's.
    pub(super) async fn answer(self, request: Request<Body>) -> Response<Body> {
        let request_id = Uuid::new_v4().hyphenated().to_string();
        let peer = request.extensions().get::<Client>().map(|client| client.address);
        let (parts, body) = request.into_parts();
        let body = axum::body::to_bytes(body, self.body_bytes).await;
        if body.as_ref().is_err_and(is_late) {
            return problem::too_slow(&request_id);
        }
        let too_large = body.is_err();
        let request = Request::from_parts(parts, body.unwrap_or_default());
        let spoken = self.rules.pinned(&request).or_else(|| keystow_dialects::recognise(&request));
        let Some(dialect) = spoken else {
            return if too_large {
                problem::too_large(&request_id)
            } else {
                problem::unknown_route(&request_id, request.uri().path())
            };
        };
        let exchange = Exchange { request_id: &request_id, now: self.engine.clock().now().into() };
        if let Some(response) = dialect.open_answer(&request, &exchange) {
            return response.map(Body::from);
        }
        let outcome = if too_large {
            Err(Refused::Fault(Fault::TooLarge))
        } else {
            Box::pin(self.outcome(dialect, &request, peer.map(|peer| peer.ip()))).await
        };
        let outcome = outcome.map_err(|refused| match refused {
            Refused::Fault(fault) => fault,
            Refused::Error(error) => told::fault(&error, &request_id),
        });
        let response = dialect.encode(&request, &exchange, &outcome);
        let (action, dialect) = (action(dialect, &request), dialect.name());
        let name = outcome.as_ref().map_or_else(fault_name, |_| "ok".to_owned());
        self.requests.count(dialect, &action, &name);
        if tracing::enabled!(tracing::Level::INFO) {
            match &outcome {
                Ok(_) => tracing::info!(request = request_id, dialect, action, peer = ?peer, "answered"),
                Err(fault) => {
                    // Repeats what the caller wrote: cut, and recorded as a value, which escapes line ends.
                    let fault: String = fault.to_string().chars().take(LONGEST_FAULT).collect();
                    tracing::info!(request = request_id, dialect, action, peer = ?peer, fault, "refused");
                }
            }
        }
        response.map(Body::from)
    }

    async fn outcome(
        &self,
        dialect: &'static dyn Dialect,
        request: &keystow_dialects::Request,
        address: Option<IpAddr>,
    ) -> Result<Reply, Refused> {
        let (who, nonce) = self.sign_in(dialect, request, address).await?;
        let who = who.calling(address, dialect.name());
        if let Some((nonce, ttl)) = &nonce {
            self.replays.admit(who.key_id(), nonce.clone(), *ttl, self.engine.clock().now())?;
        }
        self.admit(dialect, request, &who)?;
        let call = dialect.decode(request)?;
        if let Some((nonce, ttl)) = nonce
            && call.changes()
            && !self.engine.admit_nonce(&who, &nonce, ttl).await?
        {
            return Err(Fault::Replayed.into());
        }
        let who = self.narrowed(dialect, who, &call).await?;
        Asking::new(self, dialect, request, &who, &call)?.perform(call).await
    }

    /// Refuses what is more than the account may ask for in a second.
    fn admit(
        &self,
        dialect: &'static dyn Dialect,
        request: &keystow_dialects::Request,
        who: &Principal,
    ) -> Result<(), Fault> {
        let Some(rules) = self.rules.of(dialect) else { return Ok(()) };
        if rules.rate == 0 && rules.rates.is_empty() {
            return Ok(());
        }
        let action = action(dialect, request);
        let rate = rules.rates.get(&action).copied().unwrap_or(rules.rate);
        // The rate is that of all nodes together; each admits its share.
        let rate = rate.div_ceil(self.engine.api_nodes());
        let now = self.engine.clock().now();
        self.throttle.admit(dialect.name(), &action, who.account().as_str(), rate, now)
    }

    /// How a dialect's links look, and how long they live unless the caller says otherwise. A dialect that has no
    /// look of its own gets ours.
    fn style(&self, dialect: &dyn Dialect) -> (Spelling, Duration) {
        let lives = &self.rules.lives;
        match dialect.name() {
            "alibaba" => (Spelling::Oss, lives.alibaba),
            "tencent_v3" => (Spelling::Cos, lives.tencent_v3),
            "tencent_v2" => (Spelling::Crs, lives.tencent_v2),
            "ucloud" => (Spelling::Us3, lives.ucloud),
            "huawei" => (Spelling::Obs, lives.huawei),
            _ => (Spelling::Native, lives.native),
        }
    }
}

/// Whether a body could not be read because it did not arrive in time.
fn is_late(error: &axum::Error) -> bool {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = cause {
        if error.is::<Late>() {
            return true;
        }
        cause = error.source();
    }
    false
}

/// The vendor's name of what is asked for, cut to a length that is safe to keep and to log.
fn action(dialect: &dyn Dialect, request: &keystow_dialects::Request) -> String {
    dialect.action(request).unwrap_or_default().chars().take(LONGEST_ACTION).collect()
}

/// The name of a fault, without what it says of the request.
fn fault_name(fault: &Fault) -> String {
    let told = format!("{fault:?}");
    told.chars().take_while(char::is_ascii_alphanumeric).collect()
}

/// What a status line says when nothing else does.
pub(super) fn title(status: StatusCode) -> &'static str {
    status.canonical_reason().unwrap_or("Error")
}

/// Whether an error is worth a line in the server's log.
pub(super) fn is_ours(error: &Error) -> bool {
    matches!(error.kind, Kind::Internal | Kind::Corrupt | Kind::NoSpace)
}
