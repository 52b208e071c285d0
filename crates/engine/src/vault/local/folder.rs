//! A folder beneath the root, held by its descriptor.

use std::ffi::CString;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{self, AtFlags, Dir, FileType, Mode, OFlags, ResolveFlags};
use rustix::io::{Errno, Result};

/// A folder of the repository.
pub(super) struct Folder(OwnedFd);

/// Deepest path of the layout, with room; a walk goes no deeper.
const DEEPEST: usize = 12;

/// How often a folder is made again that somebody else removes meanwhile.
const TRIES: usize = 100;

impl Folder {
    /// Opens the root, making it if absent.
    pub(super) fn open_root(path: &Path) -> Result<Self> {
        use std::os::unix::fs::DirBuilderExt;
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path)
            .map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))?;
        fs::open(path, OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()).map(Self)
    }

    fn open(&self, path: &str, flags: OFlags) -> Result<OwnedFd> {
        let beneath = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
        fs::openat2(&self.0, path, flags | OFlags::CLOEXEC, Mode::empty(), beneath)
    }

    /// A folder below this one; an empty path is this one.
    pub(super) fn folder(&self, path: &str) -> Result<Self> {
        self.open(if path.is_empty() { "." } else { path }, OFlags::DIRECTORY).map(Self)
    }

    /// A folder below this one, made with everything above it if absent, safe against power loss.
    pub(super) fn make_folder(&self, path: &str) -> Result<Self> {
        // Whoever removes the last attempt of a backup may take an empty folder away under our feet.
        for _ in 0..TRIES {
            match self.try_make_folder(path) {
                Err(Errno::NOENT) => {}
                made => return made,
            }
        }
        Err(Errno::NOENT)
    }

    fn try_make_folder(&self, path: &str) -> Result<Self> {
        let mut here = self.folder("")?;
        for name in path.split('/').filter(|name| !name.is_empty()) {
            match fs::mkdirat(&here.0, name, Mode::RWXU) {
                Ok(()) => here.sync()?,
                Err(Errno::EXIST) => {}
                Err(errno) => return Err(errno),
            }
            here = here.folder(name)?;
        }
        Ok(here)
    }

    /// Opens a file of this folder for reading.
    pub(super) fn open_file(&self, name: &str) -> Result<OwnedFd> {
        self.open(name, OFlags::RDONLY | OFlags::NOFOLLOW)
    }

    /// Makes a file of this folder for writing; it must not exist.
    pub(super) fn create_file(&self, name: &str) -> Result<OwnedFd> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        fs::openat(&self.0, name, flags, Mode::RUSR | Mode::WUSR)
    }

    /// Gives a file a second name; `EXIST` if that is taken.
    pub(super) fn link(&self, from: &str, to: &str) -> Result<()> {
        fs::linkat(&self.0, from, &self.0, to, AtFlags::empty())
    }

    /// Removes a file's name.
    pub(super) fn unlink(&self, name: &str) -> Result<()> {
        fs::unlinkat(&self.0, name, AtFlags::empty())
    }

    /// Makes the folder's names safe against power loss.
    pub(super) fn sync(&self) -> Result<()> {
        fs::fsync(&self.0)
    }

    /// Removes a folder below this one if it is empty.
    pub(super) fn remove_empty(&self, path: &str) -> Result<()> {
        let (above, name) = path.rsplit_once('/').unwrap_or(("", path));
        let above = self.folder(above)?;
        fs::unlinkat(&above.0, name, AtFlags::REMOVEDIR)?;
        above.sync()
    }

    /// Names of the files in this folder.
    pub(super) fn names(&self) -> Result<Vec<String>> {
        Ok(self.entries()?.into_iter().filter(|(_, folder)| !folder).map(|(name, _)| name).collect())
    }

    fn entries(&self) -> Result<Vec<(String, bool)>> {
        let mut entries = Vec::new();
        for entry in Dir::read_from(&self.0)? {
            let entry = entry?;
            let name: CString = entry.file_name().to_owned();
            if let Ok(name) = name.into_string()
                && name != "."
                && name != ".."
            {
                entries.push((name, entry.file_type() == FileType::Directory));
            }
        }
        Ok(entries)
    }

    /// Visits the folder `start` and every folder below it.
    pub(super) fn walk(&self, start: &str, visit: &mut dyn FnMut(&str, &Self) -> Result<()>) -> Result<()> {
        let mut waiting = vec![start.to_owned()];
        while let Some(path) = waiting.pop() {
            let folder = match self.folder(&path) {
                Err(Errno::NOENT) => continue,
                other => other?,
            };
            visit(&path, &folder)?;
            if path.split('/').count() > DEEPEST {
                continue;
            }
            for (name, is_folder) in folder.entries()? {
                if is_folder {
                    waiting.push(if path.is_empty() { name } else { format!("{path}/{name}") });
                }
            }
        }
        Ok(())
    }

    /// Bytes that an ordinary user may still write.
    pub(super) fn free_bytes(&self) -> Result<u64> {
        let stat = fs::fstatvfs(&self.0)?;
        Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
    }
}
