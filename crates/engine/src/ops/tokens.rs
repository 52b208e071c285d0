//! Tokens that stand for an access key for a day, without a row anywhere.

use std::net::IpAddr;
use std::time::Duration;

use aws_lc_rs::digest;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;

use super::Engine;
use super::audit::Deed;
use crate::access::Principal;
use crate::access::principal::unknown_key;
use crate::error::{Error, Result};
use crate::model::{AccessKey, ProjectId, Right, Secret, hex};

/// How long a token is good.
const LIFE: Duration = Duration::from_hours(24);
/// What tokens are sealed for.
const PLACE: &str = "token/1";

/// A token and its life.
#[derive(Debug)]
pub struct Token {
    /// The text that a caller shows.
    pub text: Secret,
    /// When it was issued.
    pub issued_at: Timestamp,
    /// When it ends. It also ends with its key, and with a new secret of its key.
    pub expires_at: Timestamp,
}

impl Engine {
    /// Issues a token that stands for the caller, in its project if it has one.
    pub async fn issue_token(&self, who: &Principal) -> Result<Token> {
        self.audited(who, Deed::new(Right::View, "token.issue", "key", who.key_id()), async {
            let key = self.usable_key(who.key_id()).await?.ok_or_else(unknown_key)?;
            let issued_at = self.clock.now();
            let expires_at = issued_at + LIFE;
            let project = who.project().map(ProjectId::as_str).unwrap_or_default();
            let text = [&key.id, project, &expires_at.as_second().to_string(), &fingerprint(&key)].join("\n");
            let sealed = self.sealer.seal(PLACE, &Secret::new(text))?;
            Ok(Token { text: Secret::new(URL_SAFE_NO_PAD.encode(sealed)), issued_at, expires_at })
        })
        .await
    }

    /// Signs in with a token. One that is changed, over, or of a key that ended is refused alike.
    pub async fn sign_in_with_token(&self, token: &[u8], from: Option<IpAddr>) -> Result<Principal> {
        let refused = || {
            Error::new(crate::error::Kind::Unauthenticated, "BAD_TOKEN", "the token is not valid")
                .hint("ask for a new one")
        };
        let sealed = URL_SAFE_NO_PAD.decode(token).map_err(|_| refused())?;
        let opened = self.sealer.open(PLACE, &sealed).map_err(|_| refused())?;
        let text = std::str::from_utf8(opened.expose()).map_err(|_| refused())?;
        let fields: Vec<&str> = text.split('\n').collect();
        let &[key, project, expires, proof] = fields.as_slice() else { return Err(refused()) };
        let now = self.clock.now();
        let ends: i64 = expires.parse().map_err(|_| refused())?;
        let key = self.usable_key(key).await?.ok_or_else(refused)?;
        if now.as_second() >= ends || fingerprint(&key) != proof {
            return Err(refused());
        }
        let (who, ()) = Principal::prove(&self.sealer, &key, from, now, |_, _| Ok::<_, Error>(()))?;
        match project {
            "" => Ok(who),
            project => who.in_project(&project.parse().map_err(|_| refused())?).ok_or_else(refused),
        }
    }
}

/// What changes when the key gets a new secret.
fn fingerprint(key: &AccessKey) -> String {
    hex(&digest::digest(&digest::SHA256, &key.sealed_secret).as_ref()[..8])
}
