//! What the repository is, and who may decrypt it.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::audit::Deed;
use super::keyring::{Holder, HolderKind, KeyFacts, Known, changed_meanwhile, generate};
use super::turns::Turn;
use super::{Engine, Verify};
use crate::access::Principal;
use crate::error::{Error, Kind, Result};
use crate::model::Right;
use crate::vault::codec::age::{Identity, Recipient};

/// How much longer another node's change is waited for than the turn of a node that died in the middle of one.
const PATIENCE: Duration = Duration::from_secs(10);
/// Longest identity that a passphrase wraps.
const LONGEST_WRAPPED: usize = 16 * 1024;
/// Longest name of a recipient.
const LONGEST_NAME: usize = 100;

/// What the repository is.
#[derive(Debug, Clone)]
pub struct RepositoryFacts {
    /// New parts are compressed.
    pub compress: bool,
    /// New parts are encrypted.
    pub encrypt: bool,
    /// How parts are proven once they are stored; by what they are if `None`.
    pub verify: Option<Verify>,
    /// Bytes that may still be written, where the store can tell.
    pub free_bytes: Option<u64>,
    /// Its keys, if it has any.
    pub keys: Option<KeyFacts>,
    /// How many identities this node holds; 0 = it cannot decrypt.
    pub identities: usize,
    /// This node's own recipient, if it has an identity.
    pub node: Option<Recipient>,
}

/// Somebody who is to hold the repository's identity.
#[derive(Debug, Clone)]
pub struct NewHolder {
    /// Its public key.
    pub recipient: Recipient,
    /// A person's name for it.
    pub name: String,
    /// Whether it is a node.
    pub node: bool,
    /// Its identity in the age format under a passphrase, to be kept in the repository.
    pub passphrase_key: Option<Vec<u8>>,
}

impl Engine {
    /// What the repository is.
    pub async fn repository(&self, who: &Principal) -> Result<RepositoryFacts> {
        who.with(Right::Administer)?;
        let known = self.ring.refresh().await?;
        Ok(RepositoryFacts {
            compress: self.settings.repository.compress,
            encrypt: self.settings.repository.encrypt,
            verify: self.settings.repository.verify,
            free_bytes: self.vault.free_bytes().await?,
            identities: known.as_ref().map_or(0, |known| known.identities.len()),
            keys: known.map(|known| known.facts.clone()),
            node: self.ring.node(),
        })
    }

    /// Lets somebody else decrypt all backups, those that are there included.
    pub async fn add_recipient(&self, who: &Principal, new: NewHolder) -> Result<KeyFacts> {
        let deed = Deed::new(Right::Administer, "repository.recipient.add", "recipient", new.recipient)
            .with(json!({"name": new.name, "node": new.node, "passphrase": new.passphrase_key.is_some()}));
        self.audited(who, deed, self.let_in(new)).await
    }

    async fn let_in(&self, new: NewHolder) -> Result<KeyFacts> {
        check(&new)?;
        let now = self.clock.now();
        let kind = match (&new.passphrase_key, new.node) {
            (Some(_), _) => HolderKind::Passphrase,
            (None, true) => HolderKind::Node,
            (None, false) => HolderKind::Operator,
        };
        let holder = Holder { name: new.name, recipient: new.recipient, kind, added_at: now };
        let known = self
            .change_keys(|known| {
                let taken = |other: &Holder| other.recipient == holder.recipient || other.name == holder.name;
                if known.facts.holders.iter().any(taken) {
                    let message = format!("{} or its name is a recipient already", holder.recipient);
                    return Err(Error::new(Kind::Conflict, "RECIPIENT_EXISTS", message)
                        .hint("see keystow repository recipients list"));
                }
                let mut facts = known.facts.next(now);
                facts.holders.push(holder);
                Ok((facts, known.identities.clone()))
            })
            .await?;
        if let Some(wrapped) = new.passphrase_key
            && let Err(error) = self.ring.keep_passphrase_key(known.facts.number, wrapped).await
        {
            // A holder whose identity is nowhere would be counted on.
            let undone = self.change_keys(|known| {
                let mut facts = known.facts.next(now);
                facts.holders.retain(|holder| holder.recipient != new.recipient);
                Ok((facts, known.identities.clone()))
            });
            undone.await?;
            return Err(error);
        }
        Ok(known.facts.clone())
    }

    /// Keeps somebody out of what is wrapped from now on. What it has opened before it may have kept; only another
    /// identity keeps it out of new backups.
    pub async fn remove_recipient(&self, who: &Principal, which: &str) -> Result<KeyFacts> {
        let shown: String = which.chars().take(LONGEST_NAME).collect();
        let deed = Deed::new(Right::Administer, "repository.recipient.remove", "recipient", shown);
        self.audited(who, deed, self.keep_out(which)).await
    }

    async fn keep_out(&self, which: &str) -> Result<KeyFacts> {
        let (now, own) = (self.clock.now(), self.ring.node());
        let known = self.change_keys(|known| {
            let mut facts = known.facts.next(now);
            let is_meant = |holder: &Holder| holder.name == which || holder.recipient.to_string() == which;
            let at = facts.holders.iter().position(is_meant).ok_or_else(|| {
                let shown: String = which.chars().take(80).collect();
                Error::new(Kind::NotFound, "NOT_FOUND", format!("no such recipient: {shown}"))
                    .hint("see keystow repository recipients list")
            })?;
            let gone = facts.holders.remove(at);
            if Some(gone.recipient) == own {
                return Err(Error::new(
                    Kind::Conflict,
                    "RECIPIENT_OWN",
                    "this node could not decrypt backups any more",
                )
                .hint("ask another node, or set repository.write_only for this one"));
            }
            Ok((facts, known.identities.clone()))
        });
        Ok(known.await?.facts.clone())
    }

    /// Gives the repository a new identity. New backups are encrypted to it; the old ones stay readable, and are not
    /// touched.
    pub async fn rotate_identity(&self, who: &Principal) -> Result<KeyFacts> {
        let deed = Deed::new(Right::Administer, "repository.identity.rotate", "repository", "identity");
        self.audited(who, deed, self.rotate()).await
    }

    async fn rotate(&self) -> Result<KeyFacts> {
        let now = self.clock.now();
        let known = self.change_keys(|known| {
            let identity = generate()?;
            let mut facts = known.facts.next(now);
            facts.recipient = identity.recipient();
            facts.rotated_at = now;
            let mut identities = known.identities.clone();
            identities.insert(0, identity);
            Ok((facts, identities))
        });
        Ok(known.await?.facts.clone())
    }

    /// Looks at who could decrypt if this node were lost.
    pub(super) async fn check_keys(&self) -> Option<super::Finding> {
        if !self.settings.repository.encrypt {
            return None;
        }
        let found = match self.ring.known().await {
            Ok(Some(known)) => {
                let operators =
                    known.facts.holders.iter().filter(|holder| holder.kind != HolderKind::Node).count();
                let hint = "keystow repository recipients add age1… --name NAME";
                super::Finding {
                    subject: "encryption".to_owned(),
                    ok: operators > 0,
                    detail: match operators {
                        0 => "only nodes can decrypt: with them all backups would be lost".to_owned(),
                        _ => format!("{operators} recipient(s) beside the nodes"),
                    },
                    hint: (operators == 0).then(|| hint.to_owned()),
                }
            }
            Ok(None) => return None,
            Err(error) => super::check::failed("encryption".to_owned(), &error),
        };
        Some(found)
    }

    /// Makes the repository ready for encrypted backups, if there are to be any.
    pub(super) async fn ensure_keys(&self, now: Timestamp) -> Result<()> {
        if !self.settings.repository.encrypt {
            return Ok(());
        }
        if self.ring.refresh().await?.is_some() {
            return Ok(());
        }
        let turn = self.keys_turn().await?;
        self.ring.ensure(now, Some(&turn)).await
    }

    /// Changes the keys, one node after the other.
    async fn change_keys(
        &self,
        change: impl FnOnce(&Known) -> Result<(KeyFacts, Vec<Identity>)>,
    ) -> Result<Arc<Known>> {
        let turn = self.keys_turn().await?;
        self.ring.change(Some(&turn), change).await
    }

    /// This node's turn to change the keys. `KEYS_CHANGED` if another does not come to an end with it.
    async fn keys_turn(&self) -> Result<Turn> {
        let never = CancellationToken::new();
        let turn = self.turns.wait("keys".to_owned(), &never);
        tokio::time::timeout(self.seen_for() + PATIENCE, turn)
            .await
            .unwrap_or_else(|_| Err(changed_meanwhile()))
    }
}

fn check(new: &NewHolder) -> Result<()> {
    let is_name = !new.name.is_empty()
        && new.name.len() <= LONGEST_NAME
        && !new.name.starts_with("age1")
        && !new.name.chars().any(char::is_control);
    if !is_name {
        return Err(Error::invalid(format!(
            "a recipient has a name of 1 to {LONGEST_NAME} bytes that does not begin with age1"
        )));
    }
    match &new.passphrase_key {
        Some(wrapped)
            if wrapped.len() > LONGEST_WRAPPED || !wrapped.starts_with(b"age-encryption.org/v1\n") =>
        {
            Err(Error::invalid("the wrapped identity is no age file"))
        }
        _ => Ok(()),
    }
}
