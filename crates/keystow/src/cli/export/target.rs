//! Where an export goes: standard output, or a file that appears once it is complete.

use std::fs::{File, OpenOptions};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;

use crate::failure::{Exit, Failure};

/// An open target. Dropped before it is published, it leaves nothing behind.
pub(super) enum Target {
    Stdout,
    File(NewFile),
}

/// A file under a name of its own until it is complete.
pub(super) struct NewFile {
    path: PathBuf,
    part: PathBuf,
    file: File,
    force: bool,
}

impl Target {
    /// Standard output unless a file is named, which may be replaced only by `force`.
    pub(super) fn open(path: Option<PathBuf>, force: bool) -> Result<Self, Failure> {
        let Some(path) = path else { return Ok(Self::Stdout) };
        if path.is_dir() {
            return Err(Failure::usage(format!("{} is a folder", path.display())));
        }
        if !force && path.symlink_metadata().is_ok() {
            return Err(exists(&path));
        }
        let mut part = path.clone().into_os_string();
        part.push(format!(".{}.part", std::process::id()));
        let part = PathBuf::from(part);
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(&part)
            .map_err(|error| Failure::file(format!("cannot write {}", part.display()), &error))?;
        Ok(Self::File(NewFile { path, part, file, force }))
    }

    /// Writes at the end of what was written before, without a buffer.
    pub(super) fn writer(&self) -> Result<File, Failure> {
        match self {
            Self::Stdout => std::io::stdout().as_fd().try_clone_to_owned().map(File::from),
            Self::File(file) => file.file.try_clone(),
        }
        .map_err(|error| Failure::file("cannot open the output", &error))
    }

    /// Gives a complete file its name; the name, unless it is standard output.
    pub(super) fn publish(self) -> Result<Option<PathBuf>, Failure> {
        match self {
            Self::Stdout => Ok(None),
            Self::File(file) => file.publish().map(Some),
        }
    }
}

impl NewFile {
    fn publish(self) -> Result<PathBuf, Failure> {
        let failed =
            |error: std::io::Error| Failure::file(format!("cannot write {}", self.path.display()), &error);
        self.file.sync_all().map_err(failed)?;
        if self.force {
            std::fs::rename(&self.part, &self.path).map_err(failed)?;
        } else {
            match renameat_with(CWD, &self.part, CWD, &self.path, RenameFlags::NOREPLACE) {
                Ok(()) => {}
                Err(Errno::EXIST) => return Err(exists(&self.path)),
                // Not every file system can.
                Err(Errno::INVAL | Errno::NOSYS) if !self.path.exists() => {
                    std::fs::rename(&self.part, &self.path).map_err(failed)?;
                }
                Err(errno) => return Err(failed(errno.into())),
            }
        }
        Ok(self.path.clone())
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        // It has another name by now if it was published.
        let _ = std::fs::remove_file(&self.part);
    }
}

fn exists(path: &Path) -> Failure {
    Failure::new(Exit::Conflict, "FILE_EXISTS", format!("{} exists already", path.display()))
        .hint("choose another name with -o, or replace it with --force")
}
