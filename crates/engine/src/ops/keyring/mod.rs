//! The repository's identity: who may decrypt its backups, and how that changes without touching one.
//!
//! `keys/<n>.json` says, authenticated under the root key, to whom new backups are encrypted and whose recipients hold
//! the identity; `keys/<n>.age` is the identity itself (older ones behind it), encrypted to them in the age format. A
//! change writes the next pair; the newest whole pair counts. A node opens it with an identity of its own.

mod facts;
mod node;

use std::sync::{Arc, PoisonError, RwLock};

use aws_lc_rs::digest::{SHA256, digest};
use bytes::Bytes;
use jiff::Timestamp;
use zeroize::Zeroizing;

use crate::error::{Error, Kind, Result};
use crate::model::hex;
use crate::ops::turns::Turn;
use crate::vault::codec::age::{self, AgeFault, Identity, Recipient};
use crate::vault::codec::missing;
use crate::vault::{ObjectKey, Vault};
pub use facts::{Holder, HolderKind, KeyFacts};
pub(super) use node::Node;

/// Longest object under `keys/`.
const LONGEST: u64 = 1024 * 1024;
/// Numbers that are looked at behind the newest known one: a crash may leave a hole.
const HOLES: u64 = 3;
/// Identities that are kept: one more with each rotation.
const MOST_IDENTITIES: usize = 100;
/// Most holders.
const MOST_HOLDERS: usize = 200;

/// What is known of the repository's identity.
pub(super) struct KeyRing {
    vault: Arc<dyn Vault>,
    /// The root key's own first; those of the keys that it replaced only check.
    authenticators: Vec<aws_lc_rs::hmac::Key>,
    node: Node,
    known: RwLock<Option<Arc<Known>>>,
    /// Held while it is read or changed.
    turn: tokio::sync::Mutex<()>,
}

/// The newest pair.
pub(super) struct Known {
    pub(super) facts: KeyFacts,
    /// The one for new backups first; none if this node cannot open the pair.
    pub(super) identities: Vec<Identity>,
}

impl KeyRing {
    pub(super) fn new(vault: Arc<dyn Vault>, authenticators: Vec<aws_lc_rs::hmac::Key>, node: Node) -> Self {
        Self { vault, authenticators, node, known: RwLock::default(), turn: tokio::sync::Mutex::default() }
    }

    /// This node's own recipient, if it has an identity.
    pub(super) fn node(&self) -> Option<Recipient> {
        self.node.identity().map(Identity::recipient)
    }

    /// What was read last, read now if nothing was.
    pub(super) async fn known(&self) -> Result<Option<Arc<Known>>> {
        match self.remembered() {
            Some(known) => Ok(Some(known)),
            None => self.refresh().await,
        }
    }

    fn remembered(&self) -> Option<Arc<Known>> {
        self.known.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Looks for changes that another node made.
    pub(super) async fn refresh(&self) -> Result<Option<Arc<Known>>> {
        let _turn = self.turn.lock().await;
        self.read_newest().await
    }

    /// Makes the repository's first identity if there is none. `among` as in [`KeyRing::change`].
    pub(super) async fn ensure(&self, now: Timestamp, among: Option<&Turn>) -> Result<()> {
        let _turn = self.turn.lock().await;
        if self.read_newest().await?.is_some() {
            return Ok(());
        }
        let node = self.node.identity().ok_or_else(|| {
            Error::new(Kind::Conflict, "KEYS_MISSING", "the repository has no identity to encrypt to yet")
                .hint("start a node without repository.write_only once; it makes one")
        })?;
        let own = Holder::node(node.recipient(), now);
        let identity = generate()?;
        let facts = KeyFacts::first(identity.recipient(), own, now);
        self.publish(facts, vec![identity], among).await.map(drop)
    }

    /// To whom new backups are encrypted.
    pub(super) async fn recipient(&self) -> Result<Recipient> {
        let known = self.refresh().await?.ok_or_else(none_yet)?;
        Ok(known.facts.recipient)
    }

    /// What opens backups. `fresh` = look for changes first.
    pub(super) async fn identities(&self, fresh: bool) -> Result<Arc<Known>> {
        let known = if fresh { self.refresh().await? } else { self.known().await? };
        let known = known.ok_or_else(none_yet)?;
        if !known.identities.is_empty() {
            return Ok(known);
        }
        if fresh { Err(missing(self.why_not())) } else { Box::pin(self.identities(true)).await }
    }

    /// Why this node cannot decrypt.
    fn why_not(&self) -> String {
        match self.node() {
            Some(recipient) => format!("its own recipient {recipient} is not among those of the repository"),
            None => "it only takes backups: it holds no identity (repository.write_only)".to_owned(),
        }
    }

    /// Changes who holds the identity, or the identity. `change` is given what is known and returns what is to be.
    /// `among` = this node's turn among all that may do so; none = there is no other.
    pub(super) async fn change(
        &self,
        among: Option<&Turn>,
        change: impl FnOnce(&Known) -> Result<(KeyFacts, Vec<Identity>)>,
    ) -> Result<Arc<Known>> {
        let _turn = self.turn.lock().await;
        let known = self.read_newest().await?.ok_or_else(none_yet)?;
        if known.identities.is_empty() {
            return Err(missing(self.why_not()));
        }
        let (facts, identities) = change(&known)?;
        if facts.holders.is_empty()
            || facts.holders.len() > MOST_HOLDERS
            || identities.len() > MOST_IDENTITIES
        {
            return Err(Error::invalid(format!(
                "a repository has 1 to {MOST_HOLDERS} recipients and at most {MOST_IDENTITIES} identities"
            )));
        }
        self.publish(facts, identities, among).await
    }

    /// Keeps an identity that a passphrase opens, beside the pair that names it as a holder.
    pub(super) async fn keep_passphrase_key(&self, number: u64, wrapped: Vec<u8>) -> Result<()> {
        self.vault.put(&ObjectKey::PassphraseKey(number), Bytes::from(wrapped)).await
    }

    /// Reads the newest pair, if it is newer than the one that is known.
    async fn read_newest(&self) -> Result<Option<Arc<Known>>> {
        let mut newest = self.remembered();
        let mut number = newest.as_ref().map_or(0, |known| known.facts.number);
        let mut last = number + HOLES;
        let mut found = None;
        while number < last {
            number += 1;
            if let Some(bytes) = self.vault.get(&ObjectKey::KeyFacts(number), LONGEST).await? {
                found = Some(KeyFacts::read(&bytes, number, &self.authenticators)?);
                last = number + HOLES;
            }
        }
        if let Some(facts) = found {
            newest = Some(self.remember(Known { identities: self.open(&facts).await?, facts }));
        }
        Ok(newest)
    }

    fn remember(&self, known: Known) -> Arc<Known> {
        let known = Arc::new(known);
        *self.known.write().unwrap_or_else(PoisonError::into_inner) = Some(known.clone());
        known
    }

    /// The identities of a pair; none if this node may not.
    async fn open(&self, facts: &KeyFacts) -> Result<Vec<Identity>> {
        let Some(node) = self.node.identity() else { return Ok(Vec::new()) };
        let key = ObjectKey::Keys(facts.number);
        let damaged = |why: &dyn std::fmt::Display| facts::damaged(&key, why);
        let wrapped =
            self.vault.get(&key, LONGEST).await?.ok_or_else(|| damaged(&"it is not in the repository"))?;
        if hex(digest(&SHA256, &wrapped).as_ref()) != facts.wrapped_sha256 {
            return Err(damaged(&"it is not what was written"));
        }
        let text = match age::open(std::slice::from_ref(node), &wrapped) {
            Err(AgeFault::NoIdentity) => return Ok(Vec::new()),
            other => other.map_err(|fault| damaged(&fault))?,
        };
        let text = str::from_utf8(&text).map_err(|error| damaged(&error))?;
        let identities = Identity::read_all(text).map_err(|fault| damaged(&fault))?;
        if identities.first().map(Identity::recipient) != Some(facts.recipient) {
            return Err(damaged(&"it holds another identity"));
        }
        Ok(identities)
    }

    /// Writes the next pair: the identities first, then what makes them count. Stores need not refuse a second object of
    /// a name, so a change is only said to be made if the turn was this node's all the time, and what is read is what
    /// was written.
    async fn publish(
        &self,
        mut facts: KeyFacts,
        identities: Vec<Identity>,
        among: Option<&Turn>,
    ) -> Result<Arc<Known>> {
        let holders: Vec<_> = facts.holders.iter().map(|holder| holder.recipient).collect();
        let wrapped = age::seal(&holders, text_of(&identities).as_bytes())
            .map_err(|fault| Error::internal("the identity cannot be wrapped", fault))?;
        facts.wrapped_sha256 = hex(digest(&SHA256, &wrapped).as_ref());
        for _ in 0..HOLES {
            match self.vault.put(&ObjectKey::Keys(facts.number), Bytes::from(wrapped.clone())).await {
                Err(error) if error.code == "OBJECT_EXISTS" => {
                    // A crash left half a pair, or another node was first.
                    if self.vault.get(&ObjectKey::KeyFacts(facts.number), LONGEST).await?.is_some() {
                        return Err(changed_meanwhile());
                    }
                    facts.number += 1;
                }
                Err(error) => return Err(error),
                Ok(()) => {
                    still_ours(among).await?;
                    let bytes = Bytes::from(facts.written(&self.authenticators[0])?);
                    self.vault.put(&ObjectKey::KeyFacts(facts.number), bytes.clone()).await?;
                    let pair = [
                        (ObjectKey::Keys(facts.number), wrapped.into()),
                        (ObjectKey::KeyFacts(facts.number), bytes),
                    ];
                    for (key, written) in pair {
                        if self.vault.get(&key, LONGEST).await?.is_none_or(|read| read != written) {
                            return Err(changed_meanwhile());
                        }
                    }
                    still_ours(among).await?;
                    return Ok(self.remember(Known { facts, identities }));
                }
            }
        }
        Err(changed_meanwhile())
    }
}

/// Refuses to go on once another node may have changed the keys.
async fn still_ours(turn: Option<&Turn>) -> Result<()> {
    match turn {
        Some(turn) if !turn.is_ours().await? => Err(changed_meanwhile()),
        _ => Ok(()),
    }
}

/// A file of identities as `age -i` reads it.
fn text_of(identities: &[Identity]) -> Zeroizing<String> {
    let mut text =
        Zeroizing::new(String::from("# identities of a Keystow repository, the one for new backups first\n"));
    for identity in identities {
        text.push_str("# public key: ");
        text.push_str(&identity.recipient().to_string());
        text.push('\n');
        text.push_str(&String::from_utf8_lossy(identity.expose().expose()));
        text.push('\n');
    }
    text
}

pub(super) fn generate() -> Result<Identity> {
    Identity::generate().map_err(|fault| Error::internal("no identity can be made", fault))
}

fn none_yet() -> Error {
    Error::new(Kind::Conflict, "KEYS_MISSING", "the repository has no identity")
        .hint("it gets one when a node starts with repository.encryption = \"age\"")
}

pub(super) fn changed_meanwhile() -> Error {
    Error::new(
        Kind::Conflict,
        "KEYS_CHANGED",
        "somebody else changed the repository's keys at the same moment",
    )
    .hint("look at them again: keystow repository show; then repeat the change")
}

#[cfg(test)]
mod tests;
