//! This node's own identity: a file beside the root key, as `age-keygen` would write it.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::generate;
use crate::access::write_private;
use crate::error::{Error, Kind, Result};
use crate::vault::codec::age::Identity;

/// Longest identity file.
const LONGEST: u64 = 64 * 1024;

/// The identity of a node, if it has one.
pub(in crate::ops) struct Node(Option<Identity>);

impl Node {
    /// Reads the file; makes it (mode 0600) if it is absent and `make` says so. No file = a node without an identity.
    pub(in crate::ops) fn load(file: Option<&PathBuf>, make: bool) -> Result<Self> {
        let Some(path) = file else { return Ok(Self(None)) };
        match read(path)? {
            None if make => {
                let identity = generate()?;
                let text = Zeroizing::new(
                    [
                        format!("# identity of this Keystow node\n# public key: {}\n", identity.recipient())
                            .as_bytes(),
                        identity.expose().expose(),
                        b"\n",
                    ]
                    .concat(),
                );
                write_private(path, &text)?;
                Ok(Self(Some(identity)))
            }
            found => Ok(Self(found)),
        }
    }

    pub(super) fn identity(&self) -> Option<&Identity> {
        self.0.as_ref()
    }
}

fn read(path: &Path) -> Result<Option<Identity>> {
    let shown = path.display();
    let failed = |error: std::io::Error| Error::io(format!("cannot read the identity {shown}"), &error);
    let file = match OpenOptions::new().read(true).open(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        other => other.map_err(failed)?,
    };
    if file.metadata().map_err(failed)?.mode() & 0o077 != 0 {
        return Err(Error::new(
            Kind::Invalid,
            "IDENTITY_EXPOSED",
            format!("others may read the identity {shown}"),
        )
        .hint(format!("chmod 600 {shown}")));
    }
    let mut text = Zeroizing::new(String::new());
    file.take(LONGEST).read_to_string(&mut text).map_err(failed)?;
    let damaged = |why: String| {
        Error::new(Kind::Corrupt, "IDENTITY_DAMAGED", format!("{shown} holds no identity of age"))
            .because(why)
            .hint("it holds one line AGE-SECRET-KEY-1…, as age-keygen writes it")
    };
    let mut found = Identity::read_all(&text).map_err(|fault| damaged(fault.to_string()))?;
    match found.len() {
        1 => Ok(found.pop()),
        count => Err(damaged(format!("it holds {count} identities instead of one"))),
    }
}
