//! The root key: every other key of the service is derived from it.

use std::fs::{DirBuilder, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::Path;

use aws_lc_rs::hkdf;
use zeroize::Zeroizing;

use crate::error::{Error, Kind, Result};

/// 32 random bytes in a file of their own.
pub struct RootKey(Zeroizing<[u8; 32]>);

const BYTES: usize = 32;

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
            .take(1024)
            .read_to_string(&mut text)
            .map_err(|error| Error::io(format!("cannot read the root key {shown}"), &error))?;
        let mut bytes = Zeroizing::new([0; BYTES]);
        decode(text.trim(), &mut bytes).ok_or_else(|| {
            Error::new(Kind::Corrupt, "ROOT_KEY_DAMAGED", format!("{shown} does not hold a root key")).hint(
                "restore it from your copy; without it secrets and links of this data directory are lost",
            )
        })?;
        Ok(Self(bytes))
    }

    fn create(path: &Path) -> Result<Self> {
        let mut bytes = Zeroizing::new([0; BYTES]);
        aws_lc_rs::rand::fill(bytes.as_mut_slice())
            .map_err(|error| Error::internal("the system gives no random bytes", error))?;
        let text = Zeroizing::new(format!("{}\n", crate::model::hex(bytes.as_slice())));
        write_private(path, text.as_bytes())?;
        Ok(Self(bytes))
    }

    /// 32 bytes for one purpose (HKDF-SHA256, RFC 5869).
    pub fn derive(&self, purpose: &str) -> Zeroizing<[u8; 32]> {
        let mut key = Zeroizing::new([0; BYTES]);
        let pseudo_random = hkdf::Salt::new(hkdf::HKDF_SHA256, b"keystow").extract(self.0.as_slice());
        let info = [purpose.as_bytes()];
        let filled =
            pseudo_random.expand(&info, hkdf::HKDF_SHA256).and_then(|okm| okm.fill(key.as_mut_slice()));
        // HKDF fails only for outputs over 8,160 bytes (RFC 5869, 2.3).
        debug_assert!(filled.is_ok());
        key
    }
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
