//! What was changed, by whom and from where: entries that hang together in a chain.

use aws_lc_rs::hmac;
use jiff::Timestamp;
use serde::Serialize;

use super::{Page, hex, micros};

/// Hash that the first entry follows: there is none before it.
pub const NO_HASH: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// What an entry of the audit log says.
///
/// All of it is kept as text, so that an entry that somebody changed can still be read, and be found by its hash.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AuditFacts {
    /// When it was written.
    pub at: Timestamp,
    /// `begun` before a change, `failed` after one that did not come about, `refused` where nothing was tried.
    pub stage: String,
    /// The entry whose change failed.
    pub answers: Option<u64>,
    /// The account that the change is in.
    pub account: String,
    /// Id of the access key that asked for it, or `keystow` for what the service does by itself.
    pub who: String,
    /// The caller's address.
    pub address: Option<String>,
    /// How it was asked for: `native`, a dialect's name, or `service`.
    pub via: String,
    /// What was done, such as `backup.delete`.
    pub action: String,
    /// The kind of thing that it was done to, such as `backup`.
    pub kind: String,
    /// The id of that thing.
    pub subject: String,
    /// What was asked for, without secrets: a JSON object.
    pub parameters: String,
    /// The code of the error, of a change that failed or was refused.
    pub code: Option<String>,
}

/// The stage of an entry that stands before its change.
pub const BEGUN: &str = "begun";
/// The stage of an entry that says that the change did not come about.
pub const FAILED: &str = "failed";
/// The stage of an entry that says that the caller may not.
pub const REFUSED: &str = "refused";

/// An entry of the audit log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AuditEntry {
    /// Its number, from 1 without gaps.
    pub sequence: u64,
    /// What it says.
    pub facts: AuditFacts,
    /// What it and all entries before it are bound by, lower-case hex.
    pub hash: String,
}

/// The end of the audit log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AuditHead {
    /// Number of the last entry; 0 = there is none.
    pub sequence: u64,
    /// Its hash.
    pub hash: String,
}

/// Which entries to list.
#[derive(Debug, Clone, Default)]
pub struct AuditFilter {
    /// Written at or after.
    pub since: Option<Timestamp>,
    /// Written before.
    pub until: Option<Timestamp>,
    /// By this access key, or `keystow`.
    pub who: Option<String>,
    /// Of this action, such as `backup.delete`, or of all whose name begins so, such as `backup`.
    pub action: Option<String>,
    /// In this account.
    pub account: Option<String>,
    /// Which of them.
    pub page: Page,
}

/// Binds each entry to all before it: HMAC-SHA-256 of the hash before it and of all that it says.
#[derive(Clone)]
pub struct AuditChain {
    /// The key that signs.
    current: hmac::Key,
    /// Keys that signed before it, the newest first.
    retired: Vec<hmac::Key>,
}

impl AuditChain {
    /// A chain under a key that only the service has: whoever can write to the catalog cannot make entries. Behind it
    /// those that it replaced, the newest first.
    pub fn new(current: &[u8; 32], retired: &[[u8; 32]]) -> Self {
        let key = |bytes: &[u8; 32]| hmac::Key::new(hmac::HMAC_SHA256, bytes);
        Self { current: key(current), retired: retired.iter().map(key).collect() }
    }

    /// The hash of an entry that follows one with the hash `previous`.
    pub fn hash(&self, previous: &str, sequence: u64, facts: &AuditFacts) -> String {
        hash(&self.current, previous, sequence, facts)
    }

    /// How many keys there are.
    pub fn keys(&self) -> usize {
        1 + self.retired.len()
    }

    /// Which key made an entry's hash: one of the `newest`, counted from the current one, because an old key, once
    /// replaced, signs no more. `None` = none of them did.
    pub fn signed_by(&self, previous: &str, entry: &AuditEntry, newest: usize) -> Option<usize> {
        let mut keys = std::iter::once(&self.current).chain(&self.retired).enumerate().take(newest);
        // A hash is no secret.
        keys.find(|(_, key)| hash(key, previous, entry.sequence, &entry.facts) == entry.hash)
            .map(|(at, _)| at)
    }
}

/// Every field has its length in front, so no two entries share their bytes.
fn hash(key: &hmac::Key, previous: &str, sequence: u64, facts: &AuditFacts) -> String {
    let mut context = hmac::Context::with_key(key);
    let mut field = |bytes: &[u8]| {
        context.update(&(bytes.len() as u64).to_be_bytes());
        context.update(bytes);
    };
    let optional = |text: &Option<String>| match text {
        Some(text) => ["+", text].concat(),
        None => String::new(),
    };
    field(b"keystow-audit/1");
    field(previous.as_bytes());
    field(&sequence.to_be_bytes());
    field(&micros(facts.at).to_be_bytes());
    field(facts.stage.as_bytes());
    field(&facts.answers.unwrap_or(0).to_be_bytes());
    field(facts.account.as_bytes());
    field(facts.who.as_bytes());
    field(optional(&facts.address).as_bytes());
    field(facts.via.as_bytes());
    field(facts.action.as_bytes());
    field(facts.kind.as_bytes());
    field(facts.subject.as_bytes());
    field(facts.parameters.as_bytes());
    field(optional(&facts.code).as_bytes());
    hex(context.sign().as_ref())
}

/// What walking through the whole audit log found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AuditVerdict {
    /// Entries that are right.
    pub entries: u64,
    /// The end of the log. Noted elsewhere, it proves later that nothing was cut off.
    pub head: AuditHead,
    /// The first entry that is not as it was written, and why.
    pub broken: Option<(u64, String)>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts() -> AuditFacts {
        AuditFacts {
            at: Timestamp::UNIX_EPOCH,
            stage: BEGUN.to_owned(),
            answers: None,
            account: "acme".to_owned(),
            who: "AK1".to_owned(),
            address: None,
            via: "native".to_owned(),
            action: "backup.delete".to_owned(),
            kind: "backup".to_owned(),
            subject: "7".to_owned(),
            parameters: "{}".to_owned(),
            code: None,
        }
    }

    #[test]
    fn every_field_changes_the_hash() {
        let chain = AuditChain::new(&[7; 32], &[]);
        let text = |text: &str| text.to_owned();
        let changed = [
            AuditFacts { at: Timestamp::from_microsecond(1).unwrap(), ..facts() },
            AuditFacts { stage: text(FAILED), ..facts() },
            AuditFacts { answers: Some(1), ..facts() },
            AuditFacts { account: text("acm"), who: text("eAK1"), ..facts() },
            AuditFacts { who: text("AK2"), ..facts() },
            AuditFacts { address: Some(String::new()), ..facts() },
            AuditFacts { via: text("ucloud"), ..facts() },
            AuditFacts { action: text("backup.protect"), ..facts() },
            AuditFacts { kind: text("instance"), ..facts() },
            AuditFacts { subject: text("8"), ..facts() },
            AuditFacts { parameters: text("{ }"), ..facts() },
            AuditFacts { code: Some(text("X")), ..facts() },
        ];
        let mut hashes: Vec<_> = changed.iter().map(|facts| chain.hash(NO_HASH, 1, facts)).collect();
        let own = chain.hash(NO_HASH, 1, &facts());
        hashes.push(own.clone());
        hashes.push(chain.hash(NO_HASH, 2, &facts()));
        hashes.push(chain.hash(&own, 1, &facts()));
        hashes.push(AuditChain::new(&[8; 32], &[]).hash(NO_HASH, 1, &facts()));
        let count = hashes.len();
        hashes.sort();
        hashes.dedup();
        assert_eq!(hashes.len(), count);
    }

    #[test]
    fn a_replaced_key_checks_what_it_signed_and_signs_no_more() {
        let (old, new) = (AuditChain::new(&[1; 32], &[]), AuditChain::new(&[2; 32], &[[1; 32], [0; 32]]));
        let entry = |chain: &AuditChain| AuditEntry {
            sequence: 1,
            facts: facts(),
            hash: chain.hash(NO_HASH, 1, &facts()),
        };
        assert_eq!(new.signed_by(NO_HASH, &entry(&old), new.keys()), Some(1));
        assert_eq!(new.signed_by(NO_HASH, &entry(&new), new.keys()), Some(0));
        assert_eq!(new.signed_by(NO_HASH, &entry(&old), 1), None, "after an entry of the new key");
        assert_eq!(old.signed_by(NO_HASH, &entry(&new), old.keys()), None);
    }
}
