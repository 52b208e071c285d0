//! Who asks for a token: name and password in the body of `POST /v3/auth/tokens` (IAM, "Obtaining a
//! User Token Through Password Authentication").

use std::time::Duration;

use serde_json::Value;

use super::sign::Scheme;
use super::wire::parameters::{bad, missing};
use crate::vocabulary::{Claim, Fault, IssueToken, Request, Secret, Verified};

const MALFORMED: &str = "the body is not a JSON object";

/// What the body says.
pub(super) struct Login {
    name: String,
    password: Secret,
    /// What the token is for.
    pub(super) asked: IssueToken,
}

impl Login {
    /// Reads the body.
    pub(super) fn read(request: &Request) -> Result<Self, Fault> {
        if Scheme::of(request).is_some() {
            return Err(Fault::MalformedSignature("credentials are given in two places".to_owned()));
        }
        let body: Value = serde_json::from_slice(request.body())
            .map_err(|_| Fault::MalformedRequest(MALFORMED.to_owned()))?;
        let methods = &body["auth"]["identity"]["methods"];
        let methods = methods.as_array().ok_or_else(|| missing("auth.identity.methods"))?;
        if methods.len() != 1 || methods[0] != "password" {
            return Err(bad("auth.identity.methods", "must be password alone"));
        }
        let user = &body["auth"]["identity"]["password"]["user"];
        let domain =
            name_or_id(&user["domain"], "user.domain")?.ok_or_else(|| missing("user.domain.name"))?;
        Ok(Self {
            name: text(&user["name"], "user.name")?.ok_or_else(|| missing("user.name"))?,
            password: text(&user["password"], "user.password")?
                .map(Secret::new)
                .ok_or_else(|| missing("user.password"))?,
            asked: asked(&body["auth"]["scope"], user, domain)?,
        })
    }

    /// Who claims to call: a user's name is the id of an access key.
    pub(super) fn claim(self) -> Claim {
        Claim { access_key_id: self.name, session_token: None }
    }

    /// Compares the password with the key's secret.
    pub(super) fn verify(&self, secret: &Secret) -> Result<Verified, Fault> {
        if &self.password == secret {
            Ok(Verified { nonce: None, nonce_ttl: Duration::ZERO })
        } else {
            Err(Fault::WrongPassword)
        }
    }
}

/// The project that the token is for. If an account is named beside it, the project counts; one
/// account that is not the user's is refused.
fn asked(scope: &Value, user: &Value, domain: String) -> Result<IssueToken, Fault> {
    for kind in ["name", "id"] {
        let (asked, own) = (&scope["domain"][kind], &user["domain"][kind]);
        if !asked.is_null() && !own.is_null() && asked != own {
            return Err(bad("auth.scope.domain", "is not the user's"));
        }
    }
    let project_id = text(&scope["project"]["id"], "scope.project")?;
    let project = text(&scope["project"]["name"], "scope.project")?;
    Ok(IssueToken { project_id, project, account: Some(domain) })
}

fn name_or_id(value: &Value, what: &str) -> Result<Option<String>, Fault> {
    let id = text(&value["id"], what)?;
    Ok(if id.is_some() { id } else { text(&value["name"], what)? })
}

/// A text; an empty one counts as absent.
fn text(value: &Value, what: &str) -> Result<Option<String>, Fault> {
    match value {
        Value::Null => Ok(None),
        Value::String(text) => Ok(Some(text.clone()).filter(|text| !text.is_empty())),
        _ => Err(bad(what, "must be a text")),
    }
}
