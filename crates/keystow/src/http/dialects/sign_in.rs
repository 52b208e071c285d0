//! The only way from a vendor's request to a principal.

use std::net::IpAddr;
use std::time::Duration;

use http::header::{HOST, HeaderValue};
use jiff::Timestamp;
use keystow_dialects::{Call, Dialect, Fault, Request, Secret, Verified};
use keystow_engine::Kind;
use keystow_engine::access::Principal;
use keystow_engine::model::ProjectId;

use super::{Dialects, Refused};

/// A request's one-time value, and how long it must be remembered.
pub(super) type Nonce = (String, Duration);

impl Dialects {
    /// Who calls, and the one-time value of the request, if it has one.
    pub(super) async fn sign_in(
        &self,
        dialect: &dyn Dialect,
        request: &Request,
        from: Option<IpAddr>,
    ) -> Result<(Principal, Option<Nonce>), Refused> {
        if let Some(token) = dialect.bearer(request)? {
            let signed_in = self.engine.sign_in_with_token(token.expose(), from).await;
            return signed_in.map(|who| (who, None)).map_err(|error| match error.kind {
                Kind::Unauthenticated => Fault::BadToken.into(),
                _ => error.into(),
            });
        }
        let claim = dialect.claim(request)?;
        let now = self.engine.clock().now();
        let signed_in = self
            .engine
            .sign_in_by(&claim.access_key_id, from, |secret, token| {
                let same_token = match (token, &claim.session_token) {
                    (None, None) => true,
                    (Some(kept), Some(sent)) => kept.equals(sent.as_bytes()),
                    _ => false,
                };
                let verified = self.verified(dialect, request, &Secret::new(secret.expose()), now)?;
                if same_token { Ok(verified) } else { Err(Refused::Fault(Fault::BadToken)) }
            })
            .await?;
        let Some((who, verified)) = signed_in else {
            // As much work as for a key that exists, so that time does not tell which ids do.
            let verified = self.verified(dialect, request, &Secret::new("absent"), now);
            // The time of a request is looked at before its key.
            return Err(match verified {
                Err(fault @ (Fault::Stale | Fault::MalformedTime)) => fault.into(),
                _ => Fault::UnknownKey.into(),
            });
        };
        Ok((who, verified.nonce.map(|nonce| (nonce, verified.nonce_ttl))))
    }

    /// Checks the signature with the host as it arrived, then with the names that the operator says clients use:
    /// a proxy may have rewritten it.
    fn verified(
        &self,
        dialect: &dyn Dialect,
        request: &Request,
        secret: &Secret,
        now: Timestamp,
    ) -> Result<Verified, Fault> {
        let as_sent = dialect.verify(request, secret, now.into());
        if !matches!(as_sent, Err(Fault::BadSignature { .. })) {
            return as_sent;
        }
        let names = self.rules.of(dialect).map(|rules| rules.hosts.as_slice()).unwrap_or_default();
        let as_named = names.iter().find_map(|name| {
            let mut request = request.clone();
            request.headers_mut().insert(HOST, HeaderValue::from_str(name).ok()?);
            dialect.verify(&request, secret, now.into()).ok()
        });
        as_named.map_or(as_sent, Ok)
    }

    /// The caller, bound to the project that the call names. The account's own id stands for all of it.
    pub(super) async fn narrowed(
        &self,
        dialect: &dyn Dialect,
        who: Principal,
        call: &Call,
    ) -> Result<Principal, Refused> {
        let Some(place) = call.place() else { return Ok(who) };
        let Some(asked) = &place.project else {
            // A key of one project is what this vendor calls a sub-account, which must say so each time.
            return match who.project() {
                Some(_) if dialect.name() == "ucloud" => {
                    Err(Fault::MissingParameter("ProjectId".to_owned()).into())
                }
                _ => Ok(who),
            };
        };
        let missing = || Refused::Fault(Fault::NoSuchProject(asked.chars().take(80).collect()));
        if who.project().is_none() && asked == who.account().as_str() {
            return Ok(who);
        }
        let project: ProjectId = asked.parse().map_err(|_| missing())?;
        let projects = self.engine.projects(&who, None).await?;
        if !projects.iter().any(|known| known.id == project) {
            return Err(missing());
        }
        who.in_project(&project).ok_or_else(missing)
    }
}
