//! Copies of the catalog in the repository: what manifests do not tell, sealed under the root key.

use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use bytes::Bytes;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

use super::Engine;
use super::audit::Deed;
use crate::access::{Principal, RootKey, Sealer};
use crate::catalog::{Catalog, CopiedRow, CopiedRows};
use crate::error::{Error, Kind, Result};
use crate::model::{Right, Secret, hex, micros};
use crate::vault::{Collection, ObjectKey, Vault};

/// The first line of a copy.
#[derive(Serialize, Deserialize)]
struct Head {
    /// Form of the lines behind it.
    format: u32,
    /// When it was taken.
    at: Timestamp,
    /// The last number that was given to a backup, part or job.
    last_number: u64,
}

/// What a node did last, so that no other does it again.
#[derive(Serialize, Deserialize)]
struct Last {
    at: i64,
    /// SHA-256 of what lasts in it.
    digest: String,
}

/// The form of copies that this version reads and writes.
const FORMAT: u32 = 1;
/// What copies are sealed for.
const PLACE: &str = "catalog_copy/1";
/// The note about the last copy.
const NOTE: &str = "catalog_copy";
/// Longest time between two copies, in microseconds.
const PERIOD: i64 = 6 * 60 * 60 * 1_000_000;
/// No copy is longer. A million links have about 300 MiB.
const LONGEST: u64 = 1 << 30;
/// Newest copies that are kept.
const NEWEST: usize = 4;
/// Days of each of which the newest copy is kept.
const DAYS: usize = 7;

/// A copy that was read.
pub(super) struct ReadCopy {
    pub(super) at: Timestamp,
    pub(super) rows: CopiedRows,
}

impl Engine {
    /// Takes a copy of the catalog now. Returns its moment.
    pub async fn copy_catalog(&self, who: &Principal) -> Result<Timestamp> {
        self.audited(who, Deed::new(Right::Administer, "catalog.copy", "catalog", ""), async {
            let copied = self.catalog.copied_rows(self.clock.now()).await?;
            let digest = lasting_digest(&copied)?;
            let at = self.write_copy(&*self.vault, NOTE, &copied, &digest).await?;
            self.copy_catalog_elsewhere(&copied, &digest, true).await;
            Ok(at)
        })
        .await
    }

    /// Takes a copy of the catalog if something that lasts has changed since the last one, or that is old; in each
    /// repository that holds copies as well. Returns its moment if one was taken.
    pub async fn copy_catalog_if_due(&self) -> Result<Option<Timestamp>> {
        let now = self.clock.now();
        let copied = self.catalog.copied_rows(now).await?;
        let digest = lasting_digest(&copied)?;
        let taken = async {
            if !self.is_copy_due(NOTE, &digest, now).await? {
                return Ok(None);
            }
            self.write_copy(&*self.vault, NOTE, &copied, &digest).await.map(Some)
        };
        let taken = taken.await;
        self.copy_catalog_elsewhere(&copied, &digest, false).await;
        taken
    }

    async fn is_copy_due(&self, note: &str, digest: &str, now: Timestamp) -> Result<bool> {
        let last = self.catalog.note(note).await?;
        let last: Option<Last> = last.and_then(|text| serde_json::from_str(&text).ok());
        Ok(last.is_none_or(|last| last.digest != digest || micros(now) - last.at >= PERIOD))
    }

    /// Takes copies into the other repositories, those that are due or all. One that is away gets it later.
    async fn copy_catalog_elsewhere(&self, copied: &CopiedRows, digest: &str, all: bool) {
        for (name, vault) in self.others.open() {
            let note = format!("{NOTE}/{name}");
            let taken = async {
                if all || self.is_copy_due(&note, digest, self.clock.now()).await? {
                    self.write_copy(&*vault, &note, copied, digest).await?;
                }
                Ok::<_, Error>(())
            };
            if let Err(error) = taken.await {
                tracing::error!(repository = name, %error, "the catalog cannot be copied into another repository");
            }
        }
    }

    async fn write_copy(
        &self,
        vault: &dyn Vault,
        note: &str,
        copied: &CopiedRows,
        digest: &str,
    ) -> Result<Timestamp> {
        // The newest is the one with the highest name, also after a clock was ahead for a while.
        let newest = copies(vault).await?.last().map(|newest| *newest + Duration::from_micros(1));
        let at = newest.map_or_else(|| self.clock.now(), |newest| newest.max(self.clock.now()));
        let failed = |error: serde_json::Error| Error::internal("the catalog cannot be copied", error);
        let head = Head { format: FORMAT, at, last_number: copied.last_number };
        let mut lines = serde_json::to_vec(&head).map_err(failed)?;
        for row in &copied.rows {
            lines.push(b'\n');
            serde_json::to_writer(&mut lines, row).map_err(failed)?;
        }
        let sealed = self.sealer.seal(PLACE, &Secret::new(lines))?;
        vault.put(&ObjectKey::CatalogCopy(at), Bytes::from(sealed)).await?;
        let last = Last { at: micros(at), digest: digest.to_owned() };
        self.catalog.set_note(note, &serde_json::to_string(&last).map_err(failed)?).await?;
        if let Err(error) = remove_old_copies(vault).await {
            // As where objects are locked: there are more than is needed.
            tracing::warn!(%error, "an old copy of the catalog cannot be removed");
        }
        Ok(at)
    }

    /// Whether the copies of a catalog in a repository are ours: the newest that can be read at all opens with this root
    /// key. `true` if there are none.
    pub(super) async fn are_copies_ours(&self, vault: &dyn Vault) -> Result<bool> {
        let (copy, refused) = newest_that_opens(vault, &self.sealer).await?;
        Ok(copy.is_some() || refused.is_empty())
    }
}

async fn remove_old_copies(vault: &dyn Vault) -> Result<()> {
    for at in superfluous(&copies(vault).await?) {
        vault.remove(&ObjectKey::CatalogCopy(at)).await?;
    }
    Ok(())
}

/// SHA-256 of all rows, without what changes at every contact.
fn lasting_digest(copied: &CopiedRows) -> Result<String> {
    let lasting: Vec<_> = copied.rows.iter().map(CopiedRow::lasting).collect();
    let json = serde_json::to_vec(&lasting)
        .map_err(|error| Error::internal("the catalog cannot be copied", error))?;
    Ok(hex(digest(&SHA256, &json).as_ref()))
}

/// The moments of the copies in a repository, oldest first.
async fn copies(vault: &dyn Vault) -> Result<Vec<Timestamp>> {
    let found = vault.list(&Collection::CatalogCopies).await?;
    Ok(found
        .into_iter()
        .filter_map(|key| if let ObjectKey::CatalogCopy(at) = key { Some(at) } else { None })
        .collect())
}

/// The copies that are not needed any more: neither among the newest, nor the newest of one of the last days.
fn superfluous(oldest_first: &[Timestamp]) -> Vec<Timestamp> {
    let day = |at: Timestamp| at.to_zoned(TimeZone::UTC).date();
    let mut days = Vec::new();
    let mut superfluous = Vec::new();
    for (place, at) in oldest_first.iter().rev().enumerate() {
        let is_first_of_day = !days.contains(&day(*at));
        if is_first_of_day {
            days.push(day(*at));
        }
        if place >= NEWEST && !(is_first_of_day && days.len() <= DAYS) {
            superfluous.push(*at);
        }
    }
    superfluous
}

/// The newest copy of a repository that opens, and why newer ones do not.
pub(super) async fn newest_copy(
    vault: &dyn Vault,
    root: &RootKey,
) -> Result<(Option<ReadCopy>, Vec<String>)> {
    newest_that_opens(vault, &Sealer::new(root)?).await
}

async fn newest_that_opens(vault: &dyn Vault, sealer: &Sealer) -> Result<(Option<ReadCopy>, Vec<String>)> {
    let mut refused = Vec::new();
    for at in copies(vault).await?.into_iter().rev() {
        let key = ObjectKey::CatalogCopy(at);
        match read_copy(vault, sealer, &key).await {
            Ok(Some(copy)) => return Ok((Some(copy), refused)),
            Ok(None) => {}
            Err(error) if error.kind == Kind::Corrupt => {
                refused.push(format!("{}/{}: {error}", key.folder(), key.name()));
            }
            Err(error) => return Err(error),
        }
    }
    Ok((None, refused))
}

async fn read_copy(vault: &dyn Vault, sealer: &Sealer, key: &ObjectKey) -> Result<Option<ReadCopy>> {
    let Some(stored) = vault.get(key, LONGEST).await? else { return Ok(None) };
    let lines = sealer.open(PLACE, &stored)?;
    // The reason might quote a row.
    let damaged =
        || Error::new(Kind::Corrupt, "CATALOG_COPY_DAMAGED", "the copy of the catalog cannot be read");
    let mut lines = lines.expose().split(|byte| *byte == b'\n');
    let head: Head = serde_json::from_slice(lines.next().unwrap_or_default()).map_err(|_| damaged())?;
    if head.format > FORMAT {
        return Err(Error::new(
            Kind::Invalid,
            "REPOSITORY_NEWER",
            "the copy of the catalog is of a newer version",
        )
        .because(format!("it has format {}, this program reads {FORMAT}", head.format))
        .hint("rebuild the catalog with that version or a later one"));
    }
    let rows =
        lines.map(|line| serde_json::from_slice(line).map_err(|_| damaged())).collect::<Result<_>>()?;
    Ok(Some(ReadCopy { at: head.at, rows: CopiedRows { last_number: head.last_number, rows } }))
}

/// Writes the rows of a copy into a catalog: all but the links, which need their backups first.
pub(super) async fn restore_rows(catalog: &dyn Catalog, copy: &ReadCopy) -> Result<u64> {
    let settings: Vec<_> = copy.rows.rows.iter().filter(|row| row.backup().is_none()).cloned().collect();
    catalog.restore_rows(&settings).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_copies_and_one_of_each_day_of_a_week_stay() {
        let hour = |hour: i64| Timestamp::from_second(1_795_305_600 + hour * 3600).unwrap();
        // Every six hours for twenty days.
        let all: Vec<_> = (0..80).map(|number| hour(number * 6)).collect();
        let gone = superfluous(&all);
        let kept: Vec<_> = all.iter().filter(|at| !gone.contains(at)).copied().collect();
        assert_eq!(kept.len(), 4 + 6, "{kept:?}");
        assert!(kept.ends_with(&all[76..]));
        assert_eq!(kept[0], all[55], "the last of the seventh day");
        assert_eq!(superfluous(&kept), [], "once is enough");
        assert_eq!(superfluous(&all[..4]), []);
    }
}
