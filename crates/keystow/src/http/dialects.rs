//! The one glue between vendors' words and ours: who claims to call, is it so, what is asked, do it, answer.
//!
//! The only file that knows both vocabularies.

mod asked;
mod replay;
mod told;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::ConnectInfo;
use http::{Request, Response, StatusCode};
use keystow_dialects::{Call, Dialect, Exchange, Fault, Reply, Secret};
use keystow_engine::access::Principal;
use keystow_engine::links::Spelling;
use keystow_engine::ops::Engine;
use keystow_engine::{Error, Kind};
use uuid::Uuid;

use super::native::problem;
use replay::Replays;

/// How long links live, by the API that they are asked through.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LinkLives {
    pub(crate) native: Duration,
    pub(crate) alibaba: Duration,
    pub(crate) tencent_v3: Duration,
}

/// Answers requests in the vendors' dialects.
#[derive(Clone)]
pub(super) struct Dialects {
    engine: Arc<Engine>,
    lives: LinkLives,
    body_bytes: usize,
    replays: Arc<Replays>,
}

/// How a dialect's links look.
struct LinkStyle {
    spelling: Spelling,
    ttl: Duration,
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
    pub(super) fn new(engine: Arc<Engine>, lives: LinkLives, body_bytes: usize) -> Self {
        Self { engine, lives, body_bytes, replays: Arc::default() }
    }

    /// Answers any request that is not the native API's.
    pub(super) async fn answer(self, request: Request<Body>) -> Response<Body> {
        let request_id = Uuid::new_v4().hyphenated().to_string();
        let peer = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|ConnectInfo(peer)| *peer);
        let (parts, body) = request.into_parts();
        let body = axum::body::to_bytes(body, self.body_bytes).await;
        let too_large = body.is_err();
        let request = Request::from_parts(parts, body.unwrap_or_default());
        let Some(dialect) = keystow_dialects::recognise(&request) else {
            return problem::unknown_route(&request_id, request.uri().path());
        };
        let outcome = if too_large {
            Err(Refused::Fault(Fault::TooLarge))
        } else {
            self.outcome(dialect, &request).await
        };
        let outcome = outcome.map_err(|refused| match refused {
            Refused::Fault(fault) => fault,
            Refused::Error(error) => told::fault(&error, &request_id),
        });
        let exchange = Exchange { request_id: &request_id, now: self.engine.clock().now().into() };
        let response = dialect.encode(&request, &exchange, &outcome);
        let action: String = dialect.action(&request).unwrap_or_default().chars().take(64).collect();
        match &outcome {
            Ok(_) => {
                tracing::info!(request = request_id, dialect = dialect.name(), action, peer = ?peer, "answered");
            }
            Err(fault) => {
                tracing::info!(request = request_id, dialect = dialect.name(), action, peer = ?peer, %fault, "refused");
            }
        }
        response.map(Body::from)
    }

    async fn outcome(
        &self,
        dialect: &dyn Dialect,
        request: &keystow_dialects::Request,
    ) -> Result<Reply, Refused> {
        let who = self.sign_in(dialect, request).await?;
        let call = dialect.decode(request)?;
        self.perform(dialect, &who, call).await
    }

    /// The only way from a request to a principal.
    async fn sign_in(
        &self,
        dialect: &dyn Dialect,
        request: &keystow_dialects::Request,
    ) -> Result<Principal, Refused> {
        let claim = dialect.claim(request)?;
        let now = self.engine.clock().now();
        let signed_in = self
            .engine
            .sign_in_by(&claim.access_key_id, |secret, token| {
                let same_token = match (token, &claim.session_token) {
                    (None, None) => true,
                    (Some(kept), Some(sent)) => kept.equals(sent.as_bytes()),
                    _ => false,
                };
                let verified = dialect.verify(request, &Secret::new(secret.expose()), now.into())?;
                if same_token { Ok(verified) } else { Err(Refused::Fault(Fault::BadToken)) }
            })
            .await?;
        let Some((who, verified)) = signed_in else {
            // As much work as for a key that exists, so that time does not tell which ids do.
            let _ = dialect.verify(request, &Secret::new("absent"), now.into());
            return Err(Fault::UnknownKey.into());
        };
        if let Some(nonce) = verified.nonce {
            self.replays.admit(who.key_id(), nonce, verified.nonce_ttl, now)?;
        }
        Ok(who)
    }

    async fn perform(&self, dialect: &dyn Dialect, who: &Principal, call: Call) -> Result<Reply, Refused> {
        match call {
            Call::ListInstances(call) => asked::instances(&self.engine, who, call).await,
            Call::ListBackups(call) => asked::backups(&self.engine, who, call, &self.style(dialect)).await,
            Call::CreateBackup(call) => asked::create(&self.engine, who, call).await,
            Call::LinkBackup(call) => asked::link(&self.engine, who, call, &self.style(dialect)).await,
        }
    }

    /// A dialect that has no look of its own gets ours.
    fn style(&self, dialect: &dyn Dialect) -> LinkStyle {
        match dialect.name() {
            "alibaba" => LinkStyle { spelling: Spelling::Oss, ttl: self.lives.alibaba },
            "tencent_v3" => LinkStyle { spelling: Spelling::Cos, ttl: self.lives.tencent_v3 },
            _ => LinkStyle { spelling: Spelling::Native, ttl: self.lives.native },
        }
    }
}

/// What a status line says when nothing else does.
pub(super) fn title(status: StatusCode) -> &'static str {
    status.canonical_reason().unwrap_or("Error")
}

/// Whether an error is worth a line in the server's log.
pub(super) fn is_ours(error: &Error) -> bool {
    matches!(error.kind, Kind::Internal | Kind::Corrupt | Kind::NoSpace)
}
