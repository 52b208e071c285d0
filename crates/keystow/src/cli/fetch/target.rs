//! The file that is downloaded to: `FILE.part` while bytes arrive, `FILE` once they are proven.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Read, Seek};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use aws_lc_rs::digest::{Context, SHA256};
use rustix::fs::{CWD, FallocateFlags, OFlags, RenameFlags, fallocate, renameat_with};
use rustix::io::Errno;

use crate::cli::progress::Progress;
use crate::failure::{Exit, Failure};

const READ_BYTES: usize = 1 << 20;

/// Where a download goes.
#[derive(Debug, Clone)]
pub(super) struct Target {
    path: PathBuf,
    overwrite: bool,
}

impl Target {
    /// Refuses a file that is there already, unless it may be replaced.
    pub(super) fn new(path: PathBuf, overwrite: bool) -> Result<Self, Failure> {
        let target = Self { path, overwrite };
        if target.path.is_dir() {
            return Err(Failure::usage(format!("{} is a folder", target.path.display())));
        }
        if !overwrite && target.path.symlink_metadata().is_ok() {
            return Err(target.exists());
        }
        Ok(target)
    }

    /// The final name.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The name while bytes arrive.
    pub(super) fn part(&self) -> PathBuf {
        self.with(".part")
    }

    /// The name of the state beside it.
    pub(super) fn state(&self) -> PathBuf {
        self.with(".part.json")
    }

    /// Opens the part file, which no other download may use meanwhile.
    pub(super) fn open(&self) -> Result<File, Failure> {
        let part = self.part();
        let failed =
            |error: std::io::Error| Failure::file(format!("cannot write {}", part.display()), &error);
        let no_follow = i32::try_from(OFlags::NOFOLLOW.bits()).unwrap_or_default();
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .custom_flags(no_follow)
            .open(&part)
            .map_err(failed)?;
        match file.try_lock() {
            Ok(()) => Ok(file),
            Err(TryLockError::WouldBlock) => {
                Err(Failure::new(Exit::Conflict, "DOWNLOAD_RUNNING", format!("{} is in use", part.display()))
                    .hint("another download writes to it; wait for it, or choose another file with -o"))
            }
            Err(TryLockError::Error(error)) => Err(failed(error)),
        }
    }

    /// Takes the disk space at once, so that a disk that is too small is heard of now and not hours later.
    pub(super) fn reserve(&self, file: &File, size: u64) -> Result<(), Failure> {
        let failed = |error: std::io::Error| {
            Failure::file(format!("cannot make room for {}", self.part().display()), &error)
        };
        if size > 0 {
            match fallocate(file, FallocateFlags::empty(), 0, size) {
                // Not every file system can.
                Ok(()) | Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL) => {}
                Err(errno) => {
                    // What could be taken is given back.
                    file.set_len(0).map_err(failed)?;
                    return Err(failed(errno.into()));
                }
            }
        }
        file.set_len(size).map_err(failed)
    }

    /// The SHA-256 of what has arrived, as it is on the disk.
    pub(super) fn hash(&self, mut file: &File, progress: &Progress) -> Result<String, Failure> {
        let failed =
            |error: std::io::Error| Failure::file(format!("cannot read {}", self.part().display()), &error);
        file.rewind().map_err(failed)?;
        let mut context = Context::new(&SHA256);
        let mut buffer = vec![0; READ_BYTES];
        loop {
            match file.read(&mut buffer) {
                Ok(0) => return Ok(super::hex(context.finish().as_ref())),
                Ok(bytes) => {
                    context.update(&buffer[..bytes]);
                    progress.add(bytes as u64);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(failed(error)),
            }
        }
    }

    /// Gives the proven file its name, for good.
    pub(super) fn publish(&self, file: &File) -> Result<(), Failure> {
        let failed =
            |error: std::io::Error| Failure::file(format!("cannot write {}", self.path.display()), &error);
        file.sync_all().map_err(failed)?;
        let part = self.part();
        let renamed = if self.overwrite {
            std::fs::rename(&part, &self.path)
        } else {
            match renameat_with(CWD, &part, CWD, &self.path, RenameFlags::NOREPLACE) {
                Err(Errno::EXIST) => return Err(self.exists()),
                // Not every file system can; the name was free a moment ago.
                Err(Errno::INVAL | Errno::NOSYS) => std::fs::rename(&part, &self.path),
                other => other.map_err(Into::into),
            }
        };
        renamed.map_err(failed)?;
        remove(&self.state())?;
        let folder = self.path.parent().filter(|folder| !folder.as_os_str().is_empty());
        File::open(folder.unwrap_or(Path::new("."))).and_then(|folder| folder.sync_all()).map_err(failed)
    }

    /// Removes what has arrived.
    pub(super) fn discard(&self) -> Result<(), Failure> {
        remove(&self.state())?;
        remove(&self.part())
    }

    fn exists(&self) -> Failure {
        Failure::new(Exit::Conflict, "FILE_EXISTS", format!("{} exists already", self.path.display()))
            .hint("choose another name with -o, or replace it with --force")
    }

    fn with(&self, ending: &str) -> PathBuf {
        let mut name = self.path.clone().into_os_string();
        name.push(ending);
        name.into()
    }
}

/// Removes a file that may not be there.
pub(super) fn remove(path: &Path) -> Result<(), Failure> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(Failure::file(format!("cannot remove {}", path.display()), &error))
        }
        _ => Ok(()),
    }
}
