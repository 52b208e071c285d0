//! A file that gets its name only when all of it is written; if that never happens, nothing of it stays.

use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;

use crate::failure::{Exit, Failure};

/// A file in the making, under another name beside its own.
#[derive(Debug)]
pub(super) struct NewFile {
    path: PathBuf,
    file: File,
    /// Removed when dropped.
    temporary: Temporary,
    overwrite: bool,
}

#[derive(Debug)]
struct Temporary(PathBuf);

impl Drop for Temporary {
    fn drop(&mut self) {
        // It has its final name, or nobody is left to tell.
        let _ = std::fs::remove_file(&self.0);
    }
}

impl NewFile {
    /// Refuses a file that is there already, unless it may be replaced.
    pub(super) fn create(path: PathBuf, overwrite: bool) -> Result<Self, Failure> {
        check(&path, overwrite)?;
        let mut name = std::ffi::OsString::from(".");
        name.push(path.file_name().ok_or_else(|| Failure::usage("the file to write needs a name"))?);
        name.push(format!(".{}.part", std::process::id()));
        let temporary = path.with_file_name(name);
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(&temporary)
            .map_err(|error| Failure::file(format!("cannot write {}", path.display()), &error))?;
        Ok(Self { path, file, temporary: Temporary(temporary), overwrite })
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
        match renameat_with(CWD, &self.temporary.0, CWD, &self.path, flags) {
            Err(Errno::EXIST) => return Err(exists(&self.path)),
            // Not every file system can; the name was free a moment ago.
            Err(Errno::INVAL | Errno::NOSYS) => std::fs::rename(&self.temporary.0, &self.path),
            other => other.map_err(Into::into),
        }
        .map_err(|error| self.failed(&error))?;
        let folder = self.path.parent().filter(|folder| !folder.as_os_str().is_empty());
        File::open(folder.unwrap_or(Path::new(".")))
            .and_then(|folder| folder.sync_all())
            .map_err(|error| self.failed(&error))
    }

    fn failed(&self, error: &std::io::Error) -> Failure {
        Failure::file(format!("cannot write {}", self.path.display()), error)
    }
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
}
