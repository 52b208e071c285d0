//! A file that gets its name only when all of it is written; if that never happens, nothing of it stays.

use std::ffi::OsString;
use std::fs::{File, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;
use tempfile::TempPath;

use crate::failure::{Exit, Failure};

/// A file in the making, under another name beside its own.
#[derive(Debug)]
pub(super) struct NewFile {
    path: PathBuf,
    file: File,
    /// Removed when dropped. Part of it is random, so that what a killed run left is in nobody's way.
    temporary: TempPath,
    overwrite: bool,
}

impl NewFile {
    /// Refuses a file that is there already, unless it may be replaced.
    pub(super) fn create(path: PathBuf, overwrite: bool) -> Result<Self, Failure> {
        check(&path, overwrite)?;
        let mut prefix = OsString::from(".");
        prefix.push(path.file_name().ok_or_else(|| Failure::usage("the file to write needs a name"))?);
        prefix.push(".");
        let (file, temporary) = tempfile::Builder::new()
            .prefix(&prefix)
            .suffix(".part")
            // As any new file has it; the user's mask is taken off.
            .permissions(Permissions::from_mode(0o666))
            .tempfile_in(folder(&path))
            .map_err(|error| Failure::file(format!("cannot write {}", path.display()), &error))?
            .into_parts();
        Ok(Self { path, file, temporary, overwrite })
    }

    /// Where to write.
    pub(super) fn writer(&self) -> Result<File, Failure> {
        self.file.try_clone().map_err(|error| self.failed(&error))
    }

    /// The final name.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Makes the bytes last, then gives them their name, for good.
    pub(super) fn publish(self) -> Result<(), Failure> {
        self.file.sync_all().map_err(|error| self.failed(&error))?;
        let flags = if self.overwrite { RenameFlags::empty() } else { RenameFlags::NOREPLACE };
        match renameat_with(CWD, &*self.temporary, CWD, &self.path, flags) {
            Err(Errno::EXIST) => return Err(exists(&self.path)),
            // Not every file system can; the name was free a moment ago.
            Err(Errno::INVAL | Errno::NOSYS) => std::fs::rename(&self.temporary, &self.path),
            other => other.map_err(Into::into),
        }
        .map_err(|error| self.failed(&error))?;
        File::open(folder(&self.path))
            .and_then(|folder| folder.sync_all())
            .map_err(|error| self.failed(&error))
    }

    fn failed(&self, error: &std::io::Error) -> Failure {
        Failure::file(format!("cannot write {}", self.path.display()), error)
    }
}

/// The folder that a file is in.
fn folder(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Only a file, or a link to one or to nothing, may be replaced: a pipe or device would be one no longer.
fn check(path: &Path, overwrite: bool) -> Result<(), Failure> {
    let Ok(itself) = path.symlink_metadata() else { return Ok(()) };
    let kind = path.metadata().unwrap_or(itself).file_type();
    if kind.is_dir() {
        return Err(Failure::usage(format!("{} is a folder", path.display())));
    }
    if !kind.is_file() && !kind.is_symlink() {
        return Err(Failure::usage(format!("{} is a pipe or a device, not a file", path.display()))
            .hint("redirect standard output there, or name a file with -o"));
    }
    if overwrite { Ok(()) } else { Err(exists(path)) }
}

fn exists(path: &Path) -> Failure {
    Failure::new(Exit::Conflict, "FILE_EXISTS", format!("{} exists already", path.display()))
        .hint("choose another name with -o, or replace it with --force")
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let entries = std::fs::read_dir(folder).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    #[test]
    fn what_is_not_published_leaves_nothing_behind() {
        let folder = tempfile::tempdir().unwrap();
        let new = NewFile::create(folder.path().join("a"), false).unwrap();
        new.writer().unwrap().write_all(b"half").unwrap();
        drop(new);
        assert_eq!(names(folder.path()), Vec::<String>::new());
    }

    #[test]
    fn a_file_is_replaced_only_when_asked_to() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        let late = NewFile::create(path.clone(), false).unwrap();
        std::fs::write(&path, b"old").unwrap();
        assert_eq!(late.publish().unwrap_err().code, "FILE_EXISTS");
        assert_eq!(NewFile::create(path.clone(), false).unwrap_err().code, "FILE_EXISTS");
        let new = NewFile::create(path.clone(), true).unwrap();
        new.writer().unwrap().write_all(b"new").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"old");
        new.publish().unwrap();
        assert_eq!(
            (std::fs::read(&path).unwrap(), names(folder.path())),
            (b"new".to_vec(), vec!["a".to_owned()])
        );
    }

    #[test]
    fn what_is_no_file_is_never_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let [pipe, link, dangling] = ["pipe", "link", "dangling"].map(|name| folder.path().join(name));
        rustix::fs::mkfifoat(CWD, &pipe, rustix::fs::Mode::RUSR).unwrap();
        std::os::unix::fs::symlink(&pipe, &link).unwrap();
        for path in [pipe.as_path(), &link, Path::new("/dev/null"), folder.path()] {
            for overwrite in [false, true] {
                let failure = NewFile::create(path.to_owned(), overwrite).unwrap_err();
                assert_eq!(failure.exit, Exit::Usage, "{}: {failure}", path.display());
            }
        }
        std::os::unix::fs::symlink("nothing", &dangling).unwrap();
        assert_eq!(NewFile::create(dangling.clone(), false).unwrap_err().code, "FILE_EXISTS");
        NewFile::create(dangling.clone(), true).unwrap().publish().unwrap();
        assert!(dangling.symlink_metadata().unwrap().is_file());
    }

    #[test]
    fn what_a_killed_run_left_is_in_nobodys_way() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        for _ in 0..2 {
            let killed = NewFile::create(path.clone(), false).unwrap();
            let _ = killed.temporary.keep().unwrap();
        }
        NewFile::create(path.clone(), false).unwrap().publish().unwrap();
        let mut names = names(folder.path());
        names.sort();
        assert!(names[..2].iter().all(|name| name.starts_with(".a.")), "{names:?}");
        assert_eq!(names[2..], ["a"]);
        let plain = folder.path().join("plain");
        File::create(&plain).unwrap();
        assert_eq!(path.metadata().unwrap().permissions(), plain.metadata().unwrap().permissions());
    }
}
