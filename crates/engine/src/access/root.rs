//! The root key: every other key of the service is derived from it.

use std::fs::{DirBuilder, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::Path;

use aws_lc_rs::hkdf;
use jiff::Timestamp;
use zeroize::Zeroizing;

use crate::error::{Error, Kind, Result};

/// The root key: 32 random bytes, with those that it replaced.
pub struct RootKey {
    bytes: Zeroizing<[u8; BYTES]>,
    /// 1 for the first; one more with each rotation.
    generation: u32,
    /// Newest first.
    retired: Vec<RetiredKey>,
}

/// A root key that was replaced. What it made is still read: sealed copies, manifests, and links for a while.
#[derive(Clone)]
pub struct RetiredKey {
    /// Its bytes.
    pub bytes: Zeroizing<[u8; BYTES]>,
    /// Its generation.
    pub generation: u32,
    /// Until when links that it signed open.
    pub links_until: Timestamp,
}

const BYTES: usize = 32;
/// Longest text that holds a key, white space included.
const LONGEST_TEXT: u64 = 1024;

impl RootKey {
    /// Reads the key file, or makes it (mode 0600) if it is absent.
    pub fn load_or_create(path: &Path) -> Result<Self> {
        match Self::load(path) {
            Err(error) if error.kind == Kind::NotFound => Self::create(path),
            other => other,
        }
    }

    /// Reads the key file.
    pub fn load(path: &Path) -> Result<Self> {
        let shown = path.display();
        let mut file = OpenOptions::new().read(true).open(path).map_err(|error| match error.kind() {
            ErrorKind::NotFound => {
                Error::new(Kind::NotFound, "NOT_INITIALISED", format!("there is no root key {shown}"))
            }
            _ => Error::io(format!("cannot read the root key {shown}"), &error),
        })?;
        let metadata = file.metadata().map_err(|error| Error::io("cannot read the root key", &error))?;
        if metadata.mode() & 0o077 != 0 {
            return Err(Error::new(
                Kind::Invalid,
                "ROOT_KEY_EXPOSED",
                format!("others may read the root key {shown}"),
            )
            .hint(format!("chmod 600 {shown}")));
        }
        let mut text = Zeroizing::new(String::new());
        Read::by_ref(&mut file)
            .take(LONGEST_TEXT)
            .read_to_string(&mut text)
            .map_err(|error| Error::io(format!("cannot read the root key {shown}"), &error))?;
        Self::from_text(&text, &shown.to_string())
    }

    /// Reads a key as it is written: 64 hex digits, white space around them. `place` is where it stands, for messages.
    pub fn from_text(text: &str, place: &str) -> Result<Self> {
        let mut bytes = Zeroizing::new([0; BYTES]);
        decode(text.trim(), &mut bytes).ok_or_else(|| {
            Error::new(Kind::Corrupt, "ROOT_KEY_DAMAGED", format!("{place} does not hold a root key")).hint(
                "it is 64 hex digits; restore it from your copy: without it the catalog's secrets and all links are lost",
            )
        })?;
        Ok(Self::of(bytes))
    }

    /// A new key, kept nowhere yet.
    pub fn mint() -> Result<Self> {
        let mut bytes = Zeroizing::new([0; BYTES]);
        aws_lc_rs::rand::fill(bytes.as_mut_slice())
            .map_err(|error| Error::internal("the system gives no random bytes", error))?;
        Ok(Self::of(bytes))
    }

    /// Writes the key into a new file that only its owner may read.
    pub fn save(&self, path: &Path) -> Result<()> {
        let text = Zeroizing::new(format!("{}\n", crate::model::hex(self.bytes.as_slice())));
        write_private(path, text.as_bytes())
    }

    fn create(path: &Path) -> Result<Self> {
        let key = Self::mint()?;
        key.save(path)?;
        Ok(key)
    }

    fn of(bytes: Zeroizing<[u8; BYTES]>) -> Self {
        Self { bytes, generation: 1, retired: Vec::new() }
    }

    /// The same key, as one that replaced others.
    #[must_use]
    pub fn after(self, generation: u32, retired: Vec<RetiredKey>) -> Self {
        Self { generation, retired, ..self }
    }

    /// The key as it will be known once it is replaced.
    pub fn retire(&self, links_until: Timestamp) -> RetiredKey {
        RetiredKey { bytes: self.bytes.clone(), generation: self.generation, links_until }
    }

    /// 1 for the first key; one more with each rotation.
    pub fn generation(&self) -> u32 {
        self.generation
    }

    /// Those that it replaced, newest first.
    pub fn retired(&self) -> &[RetiredKey] {
        &self.retired
    }

    /// 32 bytes for one purpose (HKDF-SHA256, RFC 5869).
    pub fn derive(&self, purpose: &str) -> Zeroizing<[u8; 32]> {
        derive(&self.bytes, purpose)
    }

    /// The same of this key and of those that it replaced: this one's makes, all are read.
    pub fn derive_all(&self, purpose: &str) -> Vec<Zeroizing<[u8; 32]>> {
        let retired = self.retired.iter().map(|key| derive(&key.bytes, purpose));
        std::iter::once(self.derive(purpose)).chain(retired).collect()
    }

    /// Keys of links by generation: this one's, and those of the replaced ones whose links are not over at `now`.
    pub fn link_keys(&self, now: Timestamp) -> Vec<(u32, [u8; 32])> {
        const PURPOSE: &str = "link/1";
        let living = self.retired.iter().filter(|key| key.links_until > now);
        let living = living.map(|key| (key.generation, *derive(&key.bytes, PURPOSE)));
        std::iter::once((self.generation, *self.derive(PURPOSE))).chain(living).collect()
    }

    /// What tells the key from another without telling anything of it.
    pub fn check_value(&self) -> String {
        crate::model::hex(&self.derive("check/1")[..16])
    }
}

fn derive(root: &[u8; BYTES], purpose: &str) -> Zeroizing<[u8; 32]> {
    let mut key = Zeroizing::new([0; BYTES]);
    let pseudo_random = hkdf::Salt::new(hkdf::HKDF_SHA256, b"keystow").extract(root);
    let info = [purpose.as_bytes()];
    let filled = pseudo_random.expand(&info, hkdf::HKDF_SHA256).and_then(|okm| okm.fill(key.as_mut_slice()));
    // HKDF fails only for outputs over 8,160 bytes (RFC 5869, 2.3).
    debug_assert!(filled.is_ok());
    key
}

/// Writes a new file that only its owner may read, whole or not at all.
pub fn write_private(path: &Path, bytes: &[u8]) -> Result<()> {
    let failed = |error: std::io::Error| Error::io(format!("cannot write {}", path.display()), &error);
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(failed)?;
    let unfinished = path.with_extension("unfinished");
    match std::fs::remove_file(&unfinished) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(failed(error)),
        _ => {}
    }
    let mut file =
        OpenOptions::new().write(true).create_new(true).mode(0o600).open(&unfinished).map_err(failed)?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(failed)?;
    std::fs::hard_link(&unfinished, path).map_err(failed)?;
    std::fs::remove_file(&unfinished).map_err(failed)?;
    std::fs::File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed)
}

fn decode(text: &str, out: &mut [u8; BYTES]) -> Option<()> {
    if text.len() != BYTES * 2 || !text.is_ascii() {
        return None;
    }
    for (byte, pair) in out.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_made_key_reads_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/root.key");
        let made = RootKey::load_or_create(&path).unwrap();
        let read = RootKey::load_or_create(&path).unwrap();
        assert_eq!(made.derive("x"), read.derive("x"));
        assert_ne!(made.derive("x"), made.derive("y"));
    }

    #[test]
    fn links_of_a_replaced_key_open_until_their_time_is_over() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let first = RootKey::mint().unwrap();
        let second = RootKey::mint().unwrap().after(2, vec![first.retire(at(10))]);
        let generations =
            |now| second.link_keys(now).into_iter().map(|(number, _)| number).collect::<Vec<_>>();
        assert_eq!((generations(at(9)), generations(at(10))), (vec![2, 1], vec![2]));
        assert_eq!(second.link_keys(at(0))[1].1, *first.derive("link/1"));
        assert_eq!(second.derive_all("x")[1], first.derive("x"));
        assert_ne!(first.check_value(), second.check_value());
    }

    #[test]
    fn a_key_that_others_may_read_is_refused() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("root.key");
        RootKey::load_or_create(&path).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
        assert_eq!(RootKey::load(&path).err().unwrap().code, "ROOT_KEY_EXPOSED");
    }

    #[test]
    fn a_damaged_key_is_never_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("root.key");
        write_private(&path, b"not a key").unwrap();
        assert_eq!(RootKey::load_or_create(&path).err().unwrap().code, "ROOT_KEY_DAMAGED");
    }
}
