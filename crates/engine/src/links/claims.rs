//! What a link says, and the bytes that its signature covers.

use std::net::IpAddr;

use jiff::Timestamp;

use super::{AddressRange, Spelling};
use crate::model::{AccountId, BackupId, Network, Number};

/// What a link says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkClaims {
    /// How the link is written.
    pub spelling: Spelling,
    /// Number of the key that signed it.
    pub signing_key: u32,
    /// When it was issued (microseconds, so that it is told from a revocation of the same second).
    pub issued_at: Timestamp,
    /// When it ends (whole seconds); still good in that second.
    pub expires_at: Timestamp,
    /// The access key that asked for it.
    pub access_key: String,
    /// The account that owns the backup.
    pub account: AccountId,
    /// The backup.
    pub backup: BackupId,
    /// The part's number.
    pub part: Number,
    /// Name that it delivers the part under.
    pub file_name: String,
    /// The side that it is for.
    pub network: Network,
    /// Addresses that may use it; empty = all.
    pub addresses: Vec<AddressRange>,
    /// Addresses that may not use it, whatever `addresses` says.
    pub denied: Vec<AddressRange>,
    /// Id in the catalog, for a link that is remembered.
    pub remembered: Option<String>,
    /// The repository whose copy it delivers; `None` = the backup, wherever it is whole.
    pub repository: Option<String>,
}

/// Form of what is signed; changes with it.
pub(super) const VERSION: u8 = 1;
/// Form with a repository behind it, which older programs do not read.
pub(super) const VERSION_WITH_REPOSITORY: u8 = 2;

impl LinkClaims {
    /// Whether an address may use it.
    pub fn admits(&self, address: IpAddr) -> bool {
        let holds = |ranges: &[AddressRange]| ranges.iter().any(|range| range.contains(address));
        (self.addresses.is_empty() || holds(&self.addresses)) && !holds(&self.denied)
    }

    /// The form that says all of it.
    pub(super) fn version(&self) -> u8 {
        if self.repository.is_some() { VERSION_WITH_REPOSITORY } else { VERSION }
    }

    /// The bytes under the signature. Every field has its length in front, so no two claims share them.
    pub(super) fn signed_bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(256);
        let mut field = |bytes: &[u8]| {
            out.extend_from_slice(&u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_be_bytes());
            out.extend_from_slice(bytes);
        };
        field(b"keystow-link");
        field(&[self.version(), self.spelling.tag()]);
        field(&self.signing_key.to_be_bytes());
        field(&self.issued_at.as_microsecond().to_be_bytes());
        field(&self.expires_at.as_second().to_be_bytes());
        field(self.access_key.as_bytes());
        field(self.account.as_str().as_bytes());
        field(self.backup.to_string().as_bytes());
        field(&self.part.to_be_bytes());
        field(self.file_name.as_bytes());
        field(self.network.as_str().as_bytes());
        for ranges in [&self.addresses, &self.denied] {
            field(&u32::try_from(ranges.len()).unwrap_or(u32::MAX).to_be_bytes());
            for range in ranges {
                field(range.to_string().as_bytes());
            }
        }
        field(self.remembered.as_deref().unwrap_or("").as_bytes());
        if let Some(repository) = &self.repository {
            field(repository.as_bytes());
        }
        out
    }
}
