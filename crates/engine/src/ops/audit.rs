//! The audit log: an entry before every change, so that none can be without one, and another if it does not come about.

use std::net::IpAddr;

use serde_json::Value;

use super::Engine;
use crate::access::Principal;
use crate::error::{Error, Kind, Result};
use crate::model::{
    AccountId, AuditEntry, AuditFacts, AuditFilter, AuditHead, AuditVerdict, BEGUN, FAILED, Listed, NO_HASH,
    REFUSED, Right, hex,
};

/// Whom the log names for what the service does by itself.
const SERVICE: &str = "keystow";
/// Longest parameters that an entry repeats, in bytes; longer ones are named by their hash.
const LONGEST_PARAMETERS: usize = 8 * 1024;
/// Longest id that an entry repeats, in bytes.
const LONGEST_SUBJECT: usize = 256;
/// Entries that are checked at a time.
const STEP: u64 = 1000;

/// A change that somebody wants to make.
#[derive(Debug)]
pub(super) struct Deed {
    right: Right,
    action: &'static str,
    kind: &'static str,
    subject: String,
    account: Option<AccountId>,
    parameters: Value,
}

impl Deed {
    /// A change of the thing of that kind and id, for which its caller needs that right. The action is named after the
    /// command, such as `backup.delete`.
    #[expect(clippy::needless_pass_by_value, reason = "ids: small, and mostly Copy or a reference already")]
    pub(super) fn new(
        right: Right,
        action: &'static str,
        kind: &'static str,
        subject: impl ToString,
    ) -> Self {
        let parameters = Value::Object(serde_json::Map::new());
        Self { right, action, kind, subject: subject.to_string(), account: None, parameters }
    }

    /// With what was asked for. Never a secret.
    pub(super) fn with(self, parameters: Value) -> Self {
        Self { parameters, ..self }
    }

    /// In that account, if it is not the caller's own.
    pub(super) fn of(self, account: Option<&AccountId>) -> Self {
        Self { account: account.cloned(), ..self }
    }
}

/// On whose behalf a change is made.
struct Actor<'a> {
    who: &'a str,
    account: &'a AccountId,
    address: Option<IpAddr>,
    via: &'static str,
}

impl Engine {
    /// Does what changes something, after an entry in the audit log. Every verb that changes something goes through
    /// here. Without an entry nothing is changed: the error is `AUDIT_FAILED`.
    pub(super) async fn audited<T>(
        &self,
        who: &Principal,
        deed: Deed,
        change: impl Future<Output = Result<T>> + Send,
    ) -> Result<T> {
        let actor =
            Actor { who: who.key_id(), account: who.account(), address: who.address(), via: who.via() };
        let facts = self.facts(&actor, &deed);
        if let Err(error) = who.with(deed.right) {
            self.append_quietly(AuditFacts {
                stage: REFUSED.to_owned(),
                code: Some(error.code.to_owned()),
                ..facts
            })
            .await;
            return Err(error);
        }
        self.with_entries(facts, change).await
    }

    /// As [`Engine::audited`], for what the service does by itself.
    pub(super) async fn audited_as_service<T>(
        &self,
        deed: Deed,
        change: impl Future<Output = Result<T>> + Send,
    ) -> Result<T> {
        let account = AccountId::default();
        let actor = Actor { who: SERVICE, account: &account, address: None, via: "service" };
        self.with_entries(self.facts(&actor, &deed), change).await
    }

    async fn with_entries<T>(
        &self,
        facts: AuditFacts,
        change: impl Future<Output = Result<T>> + Send,
    ) -> Result<T> {
        let begun = self.catalog.append_audit(&facts, &self.audit_chain).await.map_err(not_written)?;
        let outcome = change.await;
        if let Err(error) = &outcome {
            self.append_quietly(AuditFacts {
                at: self.clock.now(),
                stage: FAILED.to_owned(),
                answers: Some(begun.sequence),
                code: Some(error.code.to_owned()),
                ..facts
            })
            .await;
        }
        outcome
    }

    /// An entry without which nothing is changed that would have to be in the log.
    async fn append_quietly(&self, facts: AuditFacts) {
        if let Err(error) = self.catalog.append_audit(&facts, &self.audit_chain).await {
            let AuditFacts { action, subject, code, .. } = &facts;
            tracing::error!(%error, action, subject, code, "the audit log lacks what became of a change");
        }
    }

    fn facts(&self, actor: &Actor<'_>, deed: &Deed) -> AuditFacts {
        AuditFacts {
            at: self.clock.now(),
            stage: BEGUN.to_owned(),
            answers: None,
            account: deed.account.as_ref().unwrap_or(actor.account).to_string(),
            who: actor.who.to_owned(),
            address: actor.address.map(|address| address.to_string()),
            via: actor.via.to_owned(),
            action: deed.action.to_owned(),
            kind: deed.kind.to_owned(),
            subject: cut(&deed.subject),
            parameters: bounded(&deed.parameters),
            code: None,
        }
    }

    /// Entries of the audit log, of all accounts, newest first.
    pub async fn audit(&self, who: &Principal, filter: &AuditFilter) -> Result<Listed<AuditEntry>> {
        who.with(Right::Administer)?;
        self.catalog.audit(filter).await
    }

    /// Walks through the whole audit log, and finds the first entry that is not as it was written. `noted` is an end of
    /// the log that somebody noted earlier: it must still be there.
    pub async fn verify_audit(&self, who: &Principal, noted: Option<&AuditHead>) -> Result<AuditVerdict> {
        who.with(Right::Administer)?;
        let head = self.catalog.audit_head().await?;
        let (mut last, mut hash) = (0, NO_HASH.to_owned());
        // Keys that may have signed the next entry: the log goes from older ones to newer ones.
        let mut newest = self.audit_chain.keys();
        let mut broken = None;
        while broken.is_none() && last < head.sequence {
            let entries = match self.readable(last).await {
                Ok(entries) => entries,
                Err(why) => {
                    broken = Some((last + 1, why));
                    break;
                }
            };
            // Entries that are written meanwhile come behind the head.
            if entries.first().is_none_or(|first| first.sequence > head.sequence) {
                broken = Some((last + 1, "it is missing, and so are all behind it".to_owned()));
            }
            for entry in entries.into_iter().take_while(|entry| entry.sequence <= head.sequence) {
                let signed_by = self.audit_chain.signed_by(&hash, &entry, newest);
                let noted_here = noted.filter(|noted| noted.sequence == entry.sequence);
                broken = if entry.sequence != last + 1 {
                    Some((last + 1, "it is missing".to_owned()))
                } else if signed_by.is_none() {
                    Some((entry.sequence, "it was changed, or put in another's place".to_owned()))
                } else if noted_here.is_some_and(|noted| noted.hash != entry.hash) {
                    Some((entry.sequence, "its hash is not the one that was noted".to_owned()))
                } else {
                    None
                };
                if broken.is_some() {
                    break;
                }
                (last, hash) = (entry.sequence, entry.hash);
                newest = signed_by.map_or(newest, |at| at + 1);
            }
        }
        if broken.is_none() && head.hash != hash {
            broken = Some((last + 1, "the log ends with another hash than its last entry".to_owned()));
        }
        if let (None, Some(noted)) = (&broken, noted)
            && noted.sequence > last
        {
            broken = Some((last + 1, "it is missing: a later entry was noted".to_owned()));
        }
        Ok(AuditVerdict { entries: last, head: AuditHead { sequence: last, hash }, broken })
    }

    /// The entries behind one, up to the first that cannot be read at all; if that is the next one, why.
    async fn readable(&self, last: u64) -> Result<Vec<AuditEntry>, String> {
        if let Ok(entries) = self.catalog.audit_after(last, STEP).await {
            return Ok(entries);
        }
        // One of a thousand is damaged; one at a time, the walk comes as far as it.
        let next = self.catalog.audit_after(last, 1).await;
        next.map_err(|error| format!("it cannot be read: {error}"))
    }
}

/// Nothing is changed that cannot be written down.
fn not_written(error: Error) -> Error {
    // A catalog that is full or away refuses the change itself as well, and says what to do.
    if matches!(error.kind, Kind::NoSpace | Kind::Unreachable) {
        return error;
    }
    // Not a conflict of the caller's, whatever the catalog calls it.
    let kind = if error.kind == Kind::Conflict { Kind::Internal } else { error.kind };
    Error::new(kind, "AUDIT_FAILED", "nothing was changed, as it could not be written into the audit log")
        .because(error)
        .hint("see why the catalog cannot be written: keystow doctor")
}

fn cut(text: &str) -> String {
    text[..text.floor_char_boundary(LONGEST_SUBJECT)].to_owned()
}

fn bounded(parameters: &Value) -> String {
    let text = parameters.to_string();
    if text.len() <= LONGEST_PARAMETERS {
        return text;
    }
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, text.as_bytes());
    serde_json::json!({"too_long": {"bytes": text.len(), "sha256": hex(digest.as_ref())}}).to_string()
}

/// A server's address for the log: without the user and password that a URL may carry.
pub(super) fn shown_url(url: &str) -> Option<String> {
    crate::redis::Address::parse(url).ok().map(|(address, _)| address.to_string())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    /// Verbs that change nothing, or, where it says so, write their entries further in.
    const WITHOUT_AN_ENTRY: &[&str] = &[
        "access_log",
        "accounts",
        // Keeps a one-time value of a request that is about to change something.
        "admit_nonce",
        "audit",
        "available_bytes",
        "backup",
        "backups",
        "check",
        "coming_backups",
        "copies",
        "fires",
        "instance",
        "instances",
        "is_in_another_project",
        // A link that is remembered has its entry in `remember`.
        "issue_links",
        "job",
        "jobs",
        "key_counts",
        "keys",
        "link",
        "link_restriction",
        "links",
        "nodes",
        "plan_restore",
        "policy",
        "projects",
        "repository",
        "share_backup",
        // Writes down what a server said of itself.
        "test_instance",
        "verify_audit",
        "webhook",
        "webhook_deliveries",
        "webhooks",
    ];

    fn sources(folder: &Path, found: &mut Vec<String>) {
        for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
            if entry.file_type().unwrap().is_dir() {
                sources(&entry.path(), found);
            } else if entry.path().extension().is_some_and(|end| end == "rs") {
                found.push(std::fs::read_to_string(entry.path()).unwrap());
            }
        }
    }

    /// Name and body of each public verb that takes a caller.
    fn verbs(text: &str) -> Vec<(String, String)> {
        let mut found = Vec::new();
        for piece in text.split("\n    pub async fn ").skip(1) {
            let (signature, rest) = piece.split_once(" {\n").unwrap();
            if signature.contains("who: &Principal") {
                let name = signature.split(['(', '<']).next().unwrap();
                found.push((name.to_owned(), rest.split("\n    }\n").next().unwrap().to_owned()));
            }
        }
        found
    }

    #[test]
    fn no_verb_that_changes_something_is_without_an_entry() {
        let mut texts = Vec::new();
        sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src/ops"), &mut texts);
        let verbs: Vec<_> = texts.iter().flat_map(|text| verbs(text)).collect();
        assert!(verbs.len() > 40, "{}", verbs.len());
        for (name, body) in &verbs {
            let expected = !WITHOUT_AN_ENTRY.contains(&name.as_str());
            assert_eq!(
                body.contains(".audited("),
                expected,
                "{name}: a verb that changes something does it inside self.audited(…); \
                 one that does not is named in WITHOUT_AN_ENTRY"
            );
        }
        for name in WITHOUT_AN_ENTRY {
            assert!(verbs.iter().any(|(verb, _)| verb == name), "{name} is gone");
        }
    }

    #[test]
    fn long_parameters_are_named_by_their_hash() {
        let short = serde_json::json!({"a": 1});
        assert_eq!(bounded(&short), r#"{"a":1}"#);
        let long = bounded(&serde_json::json!({"a": "x".repeat(LONGEST_PARAMETERS)}));
        assert!(long.len() < 200 && long.contains("sha256"), "{long}");
        assert_eq!(cut(&"é".repeat(200)).len(), 256);
    }

    #[test]
    fn a_shown_url_has_no_password() {
        assert_eq!(shown_url("redis://user:hush@h:1").unwrap(), "redis://h:1");
        assert_eq!(shown_url("nonsense"), None);
    }
}
