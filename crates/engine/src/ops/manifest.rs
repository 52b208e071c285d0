//! Manifests in the repository, authenticated under a key derived from the root key.

use aws_lc_rs::hmac;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::Engine;
use crate::error::{Error, Kind, Result};
use crate::model::{Manifest, hex};
use crate::vault::{AttemptKey, ObjectKey, Vault};

/// A manifest as it is stored: `mac` is HMAC-SHA-256, in hex, of the bytes of `manifest` as they stand there.
#[derive(Serialize, Deserialize)]
struct Authenticated<'a> {
    #[serde(borrow)]
    manifest: &'a RawValue,
    mac: String,
}

/// The one field that every form of manifests has.
#[derive(Deserialize)]
struct Form {
    format: u32,
}

/// The form of manifests that this version reads and writes.
pub(super) const FORMAT: u32 = 1;
/// No manifest is longer; one with 1,000 shards has about 1 MiB.
const LONGEST: u64 = 16 * 1024 * 1024;

impl Engine {
    /// Writes the commit point of an attempt.
    pub(super) async fn write_manifest(&self, attempt: &AttemptKey, manifest: &Manifest) -> Result<()> {
        self.write_manifest_to(&*self.vault, attempt, manifest).await
    }

    /// The same in any repository.
    pub(super) async fn write_manifest_to(
        &self,
        vault: &dyn Vault,
        attempt: &AttemptKey,
        manifest: &Manifest,
    ) -> Result<()> {
        let failed = |error: serde_json::Error| Error::internal("a manifest cannot be written", error);
        let text = serde_json::value::to_raw_value(manifest).map_err(failed)?;
        let mac = hmac::sign(&self.manifest_keys[0], text.get().as_bytes());
        let whole = Authenticated { manifest: &text, mac: hex(mac.as_ref()) };
        let bytes = serde_json::to_vec(&whole).map_err(failed)?;
        vault.put(&ObjectKey::Manifest(attempt.clone()), Bytes::from(bytes)).await
    }

    /// Reads the commit point of an attempt; `None` if it was not reached.
    pub async fn read_manifest(&self, attempt: &AttemptKey) -> Result<Option<Manifest>> {
        self.read_manifest_in(&*self.vault, attempt).await
    }

    /// The same in any repository.
    pub(super) async fn read_manifest_in(
        &self,
        vault: &dyn Vault,
        attempt: &AttemptKey,
    ) -> Result<Option<Manifest>> {
        let Some(bytes) = vault.get(&ObjectKey::Manifest(attempt.clone()), LONGEST).await? else {
            return Ok(None);
        };
        let damaged = |why: &str| {
            Error::new(
                Kind::Corrupt,
                "MANIFEST_DAMAGED",
                format!("the manifest in {} is damaged", attempt.folder()),
            )
            .because(why)
            .hint("it was changed after it was written, or the root key is another one")
        };
        let whole: Authenticated<'_> =
            serde_json::from_slice(&bytes).map_err(|error| damaged(&error.to_string()))?;
        if !is_authentic(&self.manifest_keys, whole.manifest.get(), &whole.mac) {
            return Err(damaged("its authentication code is wrong"));
        }
        let form: Form =
            serde_json::from_str(whole.manifest.get()).map_err(|error| damaged(&error.to_string()))?;
        if form.format > FORMAT {
            return Err(Error::new(Kind::Invalid, "REPOSITORY_NEWER", "a manifest is of a newer version")
                .because(format!(
                    "{} has format {}, this program reads {FORMAT}",
                    attempt.folder(),
                    form.format
                ))
                .hint("run that version or a later one"));
        }
        let manifest = serde_json::from_str(whole.manifest.get());
        manifest.map(Some).map_err(|error| damaged(&error.to_string()))
    }
}

/// Whether one of the keys, this root key's or one that it replaced, made the code.
pub(super) fn is_authentic(keys: &[hmac::Key], text: &str, mac: &str) -> bool {
    keys.iter().any(|key| {
        let made = hex(hmac::sign(key, text.as_bytes()).as_ref());
        aws_lc_rs::constant_time::verify_slices_are_equal(made.as_bytes(), mac.as_bytes()).is_ok()
    })
}
