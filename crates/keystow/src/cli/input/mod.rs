//! What commands that look into RDB files read from: a file, standard input, or the parts of a backup as their links
//! deliver them. And which keys they look at.

mod chunks;
mod stream;

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;

use clap::Args;
use keystow_rdb::{Fault, Filter, Kind, Pattern, Reason};
use tokio::task::spawn_blocking;

use super::Context;
use super::fetch::{Linked, is_backup, links_to};
use super::progress::Progress;
use crate::failure::{Exit, Failure};

pub(super) use chunks::RdbBytes;

/// One RDB file that can be read once.
pub(super) struct Input {
    /// How messages name it.
    pub(super) label: String,
    /// Its size, where it is known beforehand.
    pub(super) size: Option<u64>,
    origin: Origin,
    progress: Arc<Progress>,
}

enum Origin {
    Here(Box<dyn Read + Send>),
    Link(Linked),
}

/// What a backup's part must be and what was read.
pub(super) struct Digests {
    /// The part's name.
    pub(super) name: String,
    /// Of the bytes that came.
    pub(super) found: String,
    /// As the catalog says.
    pub(super) expected: String,
}

/// Opens what a command was given: a path, - for standard input, or a backup's id or number, which may have several
/// parts.
pub(super) async fn open(source: &str, context: &Context) -> Result<Vec<Input>, Failure> {
    if source == "-" || Path::new(source).exists() {
        return Ok(vec![open_here(source, context)?]);
    }
    if !is_backup(source) {
        return Err(Failure::new(Exit::NotFound, "FILE_NOT_FOUND", format!("there is no file {source}"))
            .because("it is no backup's id or number either"));
    }
    open_backup(source, true, context).await
}

/// Opens the parts of a backup; `unverified` also those of one that is not available.
pub(super) async fn open_backup(
    backup: &str,
    unverified: bool,
    context: &Context,
) -> Result<Vec<Input>, Failure> {
    let links = links_to(backup, "public", unverified, context).await?;
    let inputs = links.into_iter().map(|link| {
        let label = link.known.as_ref().map_or(backup, |(name, ..)| name).to_owned();
        let size = link.known.as_ref().map(|(_, size, _)| *size);
        let progress = Arc::new(Progress::new(context.output, &label, size));
        Input { label, size, origin: Origin::Link(link), progress }
    });
    Ok(inputs.collect())
}

fn open_here(source: &str, context: &Context) -> Result<Input, Failure> {
    let (read, size): (Box<dyn Read + Send>, _) = if source == "-" {
        (Box::new(io::stdin()), None)
    } else {
        let failed = |error| Failure::file(format!("cannot read {source}"), &error);
        let file = File::open(source).map_err(failed)?;
        let metadata = file.metadata().map_err(failed)?;
        if metadata.is_dir() {
            return Err(Failure::usage(format!("{source} is a folder")));
        }
        (Box::new(file), metadata.is_file().then_some(metadata.len()))
    };
    let progress = Arc::new(Progress::new(context.output, source, size));
    let counted = Counted { read, progress: Arc::clone(&progress) };
    Ok(Input { label: source.to_owned(), size, origin: Origin::Here(Box::new(counted)), progress })
}

/// Whether two sources are one that can be read only once: standard input, by whatever names, or a pipe.
pub(super) fn is_one_stream(one: &str, other: &str) -> bool {
    let id = |source: &str| -> io::Result<Option<(u64, u64)>> {
        let metadata = match source {
            "-" => File::from(io::stdin().as_fd().try_clone_to_owned()?).metadata()?,
            path => Path::new(path).metadata()?,
        };
        // A file by its name is opened anew, and read from its start.
        let is_stream = source == "-" || !(metadata.is_file() || metadata.is_dir());
        Ok(is_stream.then(|| (metadata.dev(), metadata.ino())))
    };
    // What cannot be asked is no stream, or fails when it is opened.
    matches!((id(one), id(other)), (Ok(Some(one)), Ok(Some(other))) if one == other)
}

impl Input {
    /// Reads the file on a thread that may block. What a part's bytes are is compared with the catalog.
    ///
    /// # Errors
    /// The reader's own; the source could not be read; a backup's part is not what the catalog says.
    pub(super) async fn read<T: Send + 'static>(
        self,
        read: impl FnOnce(&mut RdbBytes) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, Failure> {
        let read_all = |bytes: &mut RdbBytes| -> Result<T, Failure> {
            let value = read(bytes)?;
            // Bytes after the end belong to a part's digest too.
            io::copy(bytes, &mut io::sink()).map_err(|error| Failure::file("cannot read", &error))?;
            Ok(value)
        };
        let (value, digests) = self.read_and_hash(read_all).await?;
        let value = value?;
        match digests {
            Some(Digests { name, found, expected }) if found != expected => {
                let message = format!("{name} is not what was backed up");
                Err(Failure::new(Exit::Integrity, "CHECKSUM_MISMATCH", message)
                    .because(format!("SHA-256 is {found}, the catalog says {expected}")))
            }
            _ => Ok(value),
        }
    }

    /// The same, with the comparison left to the caller: there is nothing to compare outside of a backup. The
    /// digest is of what was read, so it says something only if all was.
    ///
    /// # Errors
    /// The source could not be read.
    pub(super) async fn read_and_hash<T: Send + 'static>(
        self,
        read: impl FnOnce(&mut RdbBytes) -> T + Send + 'static,
    ) -> Result<(T, Option<Digests>), Failure> {
        match self.origin {
            Origin::Link(link) => stream::read(link, self.progress, read).await,
            Origin::Here(bytes) => {
                let mut bytes = RdbBytes::read_ahead(bytes)?;
                Ok((spawn_blocking(move || read(&mut bytes)).await.map_err(died)?, None))
            }
        }
    }
}

/// A file that cannot be vouched for, as a command's failure: exit code 7, unless it is the source or the target
/// that failed.
pub(super) fn unsound(label: &str, fault: &Fault) -> Failure {
    match &fault.reason {
        Reason::Io { .. } => {
            Failure::new(Exit::Failure, fault.reason.code(), format!("{label} cannot be read to its end"))
                .because(fault)
        }
        Reason::Output { kind, message } => {
            Failure::file("cannot write the result", &io::Error::new(*kind, message.to_string()))
        }
        _ => {
            Failure::new(Exit::Integrity, fault.reason.code(), format!("{label} is not sound")).because(fault)
        }
    }
}

/// Which keys a command looks at.
#[derive(Debug, Clone, Default, Args)]
pub(super) struct FilterArgs {
    /// Only keys like this, as KEYS takes it: * ? [a-z] (may be given several times)
    #[arg(long = "match", value_name = "PATTERN", help_heading = "Keys")]
    pub(super) names: Vec<String>,
    /// Only values of this type: string, list, set, zset, hash, stream, module
    #[arg(long = "type", value_name = "TYPE", value_parser = kind, help_heading = "Keys")]
    pub(super) kinds: Vec<Kind>,
    /// Only keys of this database
    #[arg(long = "db", value_name = "NUMBER", help_heading = "Keys")]
    pub(super) databases: Vec<u64>,
}

impl FilterArgs {
    /// As the reader of RDB files takes it.
    pub(super) fn filter(&self) -> Filter {
        Filter {
            names: self.names.iter().map(|name| Pattern::new(name.as_bytes())).collect(),
            kinds: self.kinds.clone(),
            databases: self.databases.clone(),
        }
    }
}

fn kind(name: &str) -> Result<Kind, String> {
    let known = || Kind::ALL.map(Kind::name).join(", ");
    Kind::ALL.into_iter().find(|kind| kind.name() == name).ok_or_else(|| format!("one of {}", known()))
}

/// A reader that reports how far it is.
struct Counted {
    read: Box<dyn Read + Send>,
    progress: Arc<Progress>,
}

impl Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let bytes = self.read.read(buffer)?;
        self.progress.add(bytes as u64);
        Ok(bytes)
    }
}

fn died(error: tokio::task::JoinError) -> Failure {
    Failure::new(Exit::Failure, "INTERNAL", "the reading died").because(error)
}
