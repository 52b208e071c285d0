//! The files of an import, on this host or in a bucket: found, looked at, and read as they are sent.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use aws_lc_rs::digest::{Context as Hash, SHA256};
use futures_util::Stream;
use jiff::Timestamp;
use keystow_engine::model::{Secret, hex};
use keystow_engine::vault::{Bucket, BucketFile, Credentials, ObjectReader, of_bucket};
use tokio::io::AsyncReadExt;

use super::super::progress::Progress;
use super::super::secret::read_secret;
use super::BucketKey;
use crate::api::ImportedFile;
use crate::failure::{Exit, Failure};

/// Bytes that are read and sent at once.
const PIECE: usize = 256 * 1024;
/// What files in folders and buckets must end with.
const ENDING: &str = ".rdb";

/// A file to be imported.
pub(super) enum Found {
    /// On this host.
    Local(PathBuf),
    /// In a bucket.
    Remote(Arc<Bucket>, BucketFile),
}

impl Found {
    /// Its path or URL.
    pub(super) fn shown(&self) -> String {
        match self {
            Self::Local(path) => path.display().to_string(),
            Self::Remote(bucket, file) => bucket.url_of(file),
        }
    }

    /// Its last name.
    pub(super) fn label(&self) -> String {
        match self {
            Self::Local(path) => path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
            Self::Remote(_, file) => file.name.rsplit('/').next().unwrap_or_default().to_owned(),
        }
    }
}

/// A file that was looked at.
pub(super) struct Looked {
    found: Found,
    pub(super) facts: ImportedFile,
    written_at: Option<Timestamp>,
}

impl Looked {
    /// When it was last written, where that is known.
    pub(super) fn written_at(&self) -> Option<Timestamp> {
        self.written_at
    }
}

/// The files that were named, and those of the folders and buckets, by name.
pub(super) async fn found(paths: &[PathBuf], key: &BucketKey) -> Result<Vec<Found>, Failure> {
    let mut files = Vec::new();
    for path in paths {
        match path.to_str().filter(|text| text.contains("://")) {
            Some(url) => files.append(&mut in_bucket(url, credentials(key)?).await?),
            None => files.append(&mut on_disk(path)?),
        }
    }
    if files.is_empty() {
        return Err(Failure::new(Exit::NotFound, "FILE_NOT_FOUND", "there is no RDB file there")
            .hint("files in folders and buckets must end with .rdb"));
    }
    Ok(files)
}

fn on_disk(path: &Path) -> Result<Vec<Found>, Failure> {
    let failed = |error| Failure::file(format!("cannot read {}", path.display()), &error);
    if !std::fs::metadata(path).map_err(failed)?.is_dir() {
        return Ok(vec![Found::Local(path.to_owned())]);
    }
    let mut inside = Vec::new();
    for entry in std::fs::read_dir(path).map_err(failed)? {
        let file = entry.map_err(failed)?.path();
        if file.is_file() && file.as_os_str().as_encoded_bytes().ends_with(ENDING.as_bytes()) {
            inside.push(file);
        }
    }
    inside.sort();
    Ok(inside.into_iter().map(Found::Local).collect())
}

async fn in_bucket(url: &str, credentials: Credentials) -> Result<Vec<Found>, Failure> {
    let bucket = Arc::new(Bucket::open(url, credentials, ENDING)?);
    let files = bucket.files(ENDING).await?;
    Ok(files.into_iter().map(|file| Found::Remote(bucket.clone(), file)).collect())
}

fn credentials(key: &BucketKey) -> Result<Credentials, Failure> {
    let (Some(id), Some(secret)) = (&key.id, &key.secret_file) else {
        return Ok(Credentials::Chain);
    };
    let session_token = key.session_token_file.as_deref().map(secret_of).transpose()?;
    Ok(Credentials::Keys { id: id.clone(), secret: secret_of(secret)?, session_token })
}

/// A secret from a file, from standard input or, for `env:NAME`, from the environment.
fn secret_of(place: &Path) -> Result<Secret, Failure> {
    let Some(name) = place.to_str().and_then(|place| place.strip_prefix("env:")) else {
        return Ok(Secret::new(read_secret(place)?));
    };
    let bytes = std::env::var_os(name).map(OsStringExt::into_vec).filter(|bytes| !bytes.is_empty());
    bytes.map(Secret::new).ok_or_else(|| Failure::usage(format!("{name} is not set in the environment")))
}

/// Size, moment and, of a file on this host, SHA-256: one in a bucket is read only once, when it is sent.
pub(super) fn look_at(found: Found, progress: &Progress) -> Result<Looked, Failure> {
    let path = match &found {
        Found::Local(path) => path,
        Found::Remote(_, file) => {
            let facts = ImportedFile { name: found.shown(), size_bytes: file.size_bytes, sha256: None };
            return Ok(Looked { facts, written_at: file.written_at, found });
        }
    };
    let failed = |error: io::Error| Failure::file(format!("cannot read {}", path.display()), &error);
    let mut file = File::open(path).map_err(failed)?;
    let written_at = file.metadata().and_then(|metadata| metadata.modified()).map_err(failed)?;
    let (mut hash, mut size_bytes) = (Hash::new(&SHA256), 0);
    let mut piece = vec![0; PIECE];
    loop {
        let read = file.read(&mut piece).map_err(failed)?;
        if read == 0 {
            break;
        }
        hash.update(&piece[..read]);
        size_bytes += read as u64;
        progress.add(read as u64);
    }
    let facts = ImportedFile { name: found.label(), size_bytes, sha256: Some(hex(hash.finish().as_ref())) };
    Ok(Looked { facts, written_at: Timestamp::try_from(written_at).ok(), found })
}

/// The bytes of files, one after the other, read as they are sent.
pub(super) struct Pieces {
    files: std::vec::IntoIter<Looked>,
    open: Option<Open>,
    progress: Progress,
    broken: Broken,
}

/// Why the pieces ended early.
#[derive(Clone, Default)]
pub(super) struct Broken(Arc<Mutex<Option<Failure>>>);

impl Broken {
    /// The reason, if they did.
    pub(super) fn take(&self) -> Option<Failure> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// A file that is being read.
struct Open {
    name: String,
    bytes: Bytes,
    left: u64,
}

enum Bytes {
    Local(tokio::fs::File),
    Remote(Arc<dyn ObjectReader>),
}

impl Pieces {
    pub(super) fn of(files: Vec<Looked>, progress: Progress) -> Self {
        Self { files: files.into_iter(), open: None, progress, broken: Broken::default() }
    }

    /// Where the reason will be if they end early.
    pub(super) fn broken(&self) -> Broken {
        self.broken.clone()
    }

    /// The pieces as the body of a request.
    pub(super) fn stream(self) -> impl Stream<Item = io::Result<Vec<u8>>> + Send + 'static {
        futures_util::stream::try_unfold(self, |mut pieces| async move {
            match pieces.next().await {
                Ok(piece) => Ok(piece.map(|piece| (piece, pieces))),
                Err(failure) => {
                    let told = io::Error::other(failure.to_string());
                    *pieces.broken.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(failure);
                    Err(told)
                }
            }
        })
    }

    async fn next(&mut self) -> Result<Option<Vec<u8>>, Failure> {
        loop {
            if let Some(open) = self.open.as_mut().filter(|open| open.left > 0) {
                let piece = open.read().await?;
                self.progress.add(piece.len() as u64);
                return Ok(Some(piece));
            }
            let Some(file) = self.files.next() else { return Ok(None) };
            self.open = Some(Open::new(&file).await?);
        }
    }
}

impl Open {
    async fn new(file: &Looked) -> Result<Self, Failure> {
        let (name, left) = (file.found.shown(), file.facts.size_bytes);
        let bytes = match &file.found {
            Found::Local(path) => {
                let opened = tokio::fs::File::open(path).await;
                Bytes::Local(opened.map_err(|error| Failure::file(format!("cannot read {name}"), &error))?)
            }
            Found::Remote(bucket, file) => {
                let reader = bucket.read(&file.name).await?;
                if reader.size_bytes() != left {
                    return Err(changed(&name));
                }
                Bytes::Remote(reader)
            }
        };
        Ok(Self { name, bytes, left })
    }

    /// The next bytes; never none.
    async fn read(&mut self) -> Result<Vec<u8>, Failure> {
        let want = PIECE.min(usize::try_from(self.left).unwrap_or(PIECE));
        let piece = match &mut self.bytes {
            Bytes::Local(file) => {
                let mut piece = vec![0; want];
                let read = file.read(&mut piece).await;
                let read =
                    read.map_err(|error| Failure::file(format!("cannot read {}", self.name), &error))?;
                piece.truncate(read);
                piece
            }
            Bytes::Remote(reader) => {
                let at = reader.size_bytes() - self.left;
                reader.read_at(at, want).await.map_err(of_bucket)?.to_vec()
            }
        };
        if piece.is_empty() {
            return Err(changed(&self.name));
        }
        self.left -= piece.len() as u64;
        Ok(piece)
    }
}

/// The error of a file that is not what it was when it was looked at.
fn changed(name: &str) -> Failure {
    Failure::new(Exit::Integrity, "IMPORT_MISMATCH", format!("{name} has another length by now"))
        .hint("was the file written to meanwhile? import it again")
}
