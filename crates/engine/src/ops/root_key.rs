//! Knows the root key again, and replaces it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::login::login_place;
use super::take_backup::password_place;
use super::webhooks::webhook_place;
use crate::access::principal::{secret_place, token_place};
use crate::access::{RetiredKey, RootKey, Sealer};
use crate::catalog::{Catalog, SealedColumn, SealedSecret};
use crate::error::{Error, Kind, Result};
use crate::model::{JobFilter, JobKind, JobState, Page, Secret, hex};

/// The note that tells the catalog's root key from another.
const CHECK: &str = "root_key_check";
/// The note with the root key's generation; absent for the first.
const GENERATION: &str = "root_key_generation";
/// The note with the root keys that were replaced, sealed under the present one.
const RETIRED: &str = "root_key_retired";
/// What replaced root keys are sealed for.
const RETIRED_PLACE: &str = "root_key/retired";

/// A replaced root key as it is kept.
#[derive(Serialize, Deserialize)]
struct Kept {
    generation: u32,
    key: String,
    links_until: Timestamp,
}

/// What a rotation did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rotated {
    /// The new key's generation.
    pub generation: u32,
    /// Secrets that were sealed anew; 0 if an earlier run had done it.
    pub secrets: u64,
}

/// Makes sure that the root key is the catalog's, and adds the keys that it replaced. The first key that a catalog meets
/// is its own, if it opens what is sealed there.
pub async fn settle_root_key(root: RootKey, catalog: &dyn Catalog) -> Result<RootKey> {
    match catalog.note(CHECK).await? {
        Some(check) if check == root.check_value() => {}
        Some(_) => return Err(wrong()),
        None => {
            if let Some(secret) = catalog.sealed_secrets().await?.first() {
                Sealer::new(&root)?.open(&place_of(secret), &secret.sealed).map_err(|_| wrong())?;
            }
            catalog.set_note(CHECK, &root.check_value()).await?;
        }
    }
    with_retired(root, catalog).await
}

fn wrong() -> Error {
    Error::new(Kind::Invalid, "ROOT_KEY_WRONG", "the root key is not the one of this catalog").hint(
        "bring the right key back; if `keystow root-key rotate` was stopped in the middle, run it again; see docs/operate/runbooks.md",
    )
}

/// The key with those that it replaced, as the catalog keeps them.
pub(super) async fn with_retired(root: RootKey, catalog: &dyn Catalog) -> Result<RootKey> {
    let Some(generation) = catalog.note(GENERATION).await? else { return Ok(root) };
    let damaged = |cause: &dyn std::fmt::Display| {
        Error::new(Kind::Corrupt, "CATALOG_FAILED", "the root keys before this one cannot be read")
            .because(cause)
    };
    let generation: u32 = generation.parse().map_err(|error| damaged(&error))?;
    let sealed = catalog.note(RETIRED).await?.unwrap_or_default();
    let sealed = STANDARD.decode(sealed).map_err(|error| damaged(&error))?;
    let opened = Sealer::new(&root)?.open(RETIRED_PLACE, &sealed)?;
    let kept: Vec<Kept> =
        serde_json::from_slice(opened.expose()).map_err(|_| damaged(&"they are not of this version"))?;
    let retired = kept.into_iter().map(|kept| {
        let mut bytes = Zeroizing::new([0; 32]);
        let key = RootKey::from_text(&Zeroizing::new(kept.key), "the catalog")?.retire(kept.links_until);
        bytes.copy_from_slice(key.bytes.as_slice());
        Ok(RetiredKey { bytes, generation: kept.generation, links_until: kept.links_until })
    });
    let retired = retired.collect::<Result<_>>()?;
    Ok(root.after(generation, retired))
}

/// Where a secret is sealed for.
fn place_of(secret: &SealedSecret) -> String {
    match secret.column {
        SealedColumn::KeySecret | SealedColumn::KeyPrevious => secret_place(&secret.id),
        SealedColumn::KeySessionToken => token_place(&secret.id),
        SealedColumn::InstancePassword => password_place(&secret.account, &secret.id),
        SealedColumn::InstanceLogin => login_place(&secret.account, &secret.id),
        SealedColumn::WebhookSecret => webhook_place(&secret.id),
    }
}

/// Replaces the root key: seals every secret of the catalog anew, all or nothing. `old` is settled; no node may run.
/// Links that were issued under the old key open until `links_until`. What was sealed or signed in the repository stays
/// readable: the catalog keeps the old key, sealed under the new one. Running it again after it was stopped is safe.
pub async fn rotate_root_key(
    catalog: &dyn Catalog,
    old: &RootKey,
    new: RootKey,
    links_until: Timestamp,
) -> Result<(RootKey, Rotated)> {
    if old.check_value() == new.check_value() {
        return Err(Error::new(Kind::Conflict, "ROOT_KEY_SAME", "the new root key is the old one"));
    }
    refuse_unfinished_restores(catalog).await?;
    let retired: Vec<RetiredKey> =
        std::iter::once(old.retire(links_until)).chain(old.retired().iter().cloned()).collect();
    let new = new.after(old.generation() + 1, retired);
    // Opens what the old keys sealed as well.
    let sealer = Sealer::new(&new)?;
    let mut secrets = Vec::new();
    for secret in catalog.sealed_secrets().await? {
        let place = place_of(&secret);
        let anew = sealer.seal(&place, &sealer.open(&place, &secret.sealed)?)?;
        secrets.push((secret, anew));
    }
    let notes = [
        (CHECK, new.check_value()),
        (GENERATION, new.generation().to_string()),
        (RETIRED, sealed_retired(&new, &sealer)?),
    ];
    catalog.replace_secrets(&secrets, &notes).await?;
    let rotated = Rotated { generation: new.generation(), secrets: secrets.len() as u64 };
    Ok((new, rotated))
}

/// Whether a rotation to this key has reached the catalog already, and only the key itself has to be put in its place.
pub async fn is_rotated_to(catalog: &dyn Catalog, new: &RootKey) -> Result<bool> {
    Ok(catalog.note(CHECK).await?.is_some_and(|check| check == new.check_value()))
}

fn sealed_retired(root: &RootKey, sealer: &Sealer) -> Result<String> {
    let kept: Vec<Kept> = root
        .retired()
        .iter()
        .map(|key| Kept {
            generation: key.generation,
            key: hex(key.bytes.as_slice()),
            links_until: key.links_until,
        })
        .collect();
    let json = serde_json::to_vec(&kept)
        .map_err(|error| Error::internal("the root keys before this one have no JSON", error))?;
    Ok(STANDARD.encode(sealer.seal(RETIRED_PLACE, &Secret::new(json))?))
}

/// The secrets of a restore that waits or runs stand in its job, sealed; they are not worth a way of their own.
async fn refuse_unfinished_restores(catalog: &dyn Catalog) -> Result<()> {
    for account in catalog.accounts().await? {
        let filter = JobFilter {
            kinds: vec![JobKind::Restore],
            states: vec![JobState::Queued, JobState::Running],
            page: Page { offset: 0, limit: 1 },
            ..JobFilter::default()
        };
        if let Some(listed) = catalog.jobs(&account.id, &filter).await?.rows.first() {
            let number = listed.job.number;
            return Err(Error::new(
                Kind::Conflict,
                "CONFLICT",
                format!(
                    "the restore {number} has not ended, and its secrets are sealed under the old root key"
                ),
            )
            .hint(format!(
                "start the service and wait for it, or stop it with: keystow job cancel {number}"
            )));
        }
    }
    Ok(())
}
