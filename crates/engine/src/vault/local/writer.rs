//! An object on its way to disk.

use std::fs::File;
use std::io::Write;
use std::path::PathBuf;

use rustix::io::Errno;
use uuid::Uuid;

use super::UNFINISHED;
use super::folder::Folder;
use crate::error::{Error, Kind, Result};
use crate::vault::ObjectWriter;

/// Writes to an unfinished file; dropping it without sealing removes the file.
pub(super) struct LocalWriter {
    folder: Folder,
    file: File,
    unfinished: String,
    name: String,
    shown: PathBuf,
    size_bytes: u64,
}

impl LocalWriter {
    pub(super) fn create(folder: Folder, name: String, shown: PathBuf) -> Result<Self> {
        let unfinished = format!("{UNFINISHED}{}", Uuid::new_v4().simple());
        let file = folder
            .create_file(&unfinished)
            .map_err(|errno| Error::io(format!("cannot create {}", shown.display()), &errno.into()))?
            .into();
        Ok(Self { folder, file, unfinished, name, shown, size_bytes: 0 })
    }

    fn failed(&self, what: &str, error: &std::io::Error) -> Error {
        Error::io(format!("cannot {what} {} at byte {}", self.shown.display(), self.size_bytes), error)
    }
}

impl ObjectWriter for LocalWriter {
    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.file.write_all(bytes).map_err(|error| self.failed("write", &error))?;
        self.size_bytes += bytes.len() as u64;
        Ok(())
    }

    fn seal(self: Box<Self>) -> Result<u64> {
        self.file.sync_all().map_err(|error| self.failed("sync", &error))?;
        self.folder.link(&self.unfinished, &self.name).map_err(|errno| match errno {
            Errno::EXIST => Error::new(
                Kind::Conflict,
                "OBJECT_EXISTS",
                format!("{} exists already", self.shown.display()),
            ),
            errno => self.failed("publish", &errno.into()),
        })?;
        // The drop below removes the unfinished name.
        self.folder.sync().map_err(|errno| self.failed("sync the folder of", &errno.into()))?;
        Ok(self.size_bytes)
    }
}

impl Drop for LocalWriter {
    fn drop(&mut self) {
        if let Err(errno) = self.folder.unlink(&self.unfinished) {
            tracing::warn!(file = %self.shown.display(), error = %errno, "cannot remove an unfinished file");
        }
    }
}
