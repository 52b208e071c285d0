//! A bucket that is no repository: files that somebody keeps there. They are listed and read, nothing else.

use std::path::PathBuf;
use std::sync::Arc;

use futures_util::TryStreamExt;
use jiff::Timestamp;
use opendal::Metadata;
use opendal::options::ListOptions;

use super::reader::StoreReader;
use super::{Credentials, Inner, ObjectVault, StoreOptions};
use crate::error::{Error, Kind, Result};
use crate::vault::ObjectReader;

/// Most files that are listed together; each takes a few hundred bytes of memory.
const MOST_FILES: usize = 100_000;

/// A bucket, or what is below a prefix in one.
pub struct Bucket {
    store: Arc<Inner>,
    /// The one file that the URL names.
    only: Option<String>,
}

/// A file in a bucket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BucketFile {
    /// Its name below the bucket's prefix.
    pub name: String,
    /// Its length.
    pub size_bytes: u64,
    /// When it was last written, where the store tells.
    pub written_at: Option<Timestamp>,
}

impl Bucket {
    /// A client for a URL such as that of a repository, `s3://bucket/prefix?endpoint=…&region=…`. If what stands before
    /// the `?` has that ending, it names one file. The store is not asked yet. Only on a tokio runtime.
    pub fn open(url: &str, credentials: Credentials, ending: &str) -> Result<Self> {
        let (place, query) = url.split_once('?').unwrap_or((url, ""));
        let (folder, only) = match place.rsplit_once('/') {
            Some((folder, name)) if name.ends_with(ending) && folder.contains("://") => (folder, Some(name)),
            _ => (place, None),
        };
        let options = StoreOptions {
            url: format!("{folder}?{query}"),
            credentials,
            direct_links: false,
            public_endpoint: None,
            intranet_endpoint: None,
            spool_bytes: 0,
            work_dir: PathBuf::new(),
        };
        let vault = ObjectVault::open(options).map_err(of_bucket)?;
        Ok(Self { store: vault.0, only: only.map(str::to_owned) })
    }

    /// Its files with that ending, by name.
    pub async fn files(&self, ending: &str) -> Result<Vec<BucketFile>> {
        let mut files = match &self.only {
            Some(name) => vec![self.file(name).await?],
            None => self.listed(ending).await.map_err(of_bucket)?,
        };
        for file in files.iter_mut().filter(|file| file.written_at.is_none()) {
            // Not every store tells it in its lists.
            file.written_at = self.file(&file.name).await?.written_at;
        }
        files.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(files)
    }

    async fn listed(&self, ending: &str) -> Result<Vec<BucketFile>> {
        let listed = async {
            let options = ListOptions { recursive: true, ..ListOptions::default() };
            let mut entries = self.store.small.lister_options("/", options).await?;
            let mut found = Vec::new();
            while let Some(entry) = entries.try_next().await? {
                if !entry.path().ends_with(ending) {
                    continue;
                }
                if found.len() == MOST_FILES {
                    return Ok(None);
                }
                found.push(file(entry.path(), entry.metadata()));
            }
            Ok(Some(found))
        };
        let found = self.store.call("list", "the files", listed).await?.unwrap_or_default();
        found.ok_or_else(|| {
            let place = &self.store.shown;
            Error::invalid(format!("there are more than {MOST_FILES} files in {place}"))
                .hint("name a longer prefix, one after the other")
        })
    }

    async fn file(&self, name: &str) -> Result<BucketFile> {
        let found = self.store.stat(name).await.map_err(of_bucket)?;
        found.map(|metadata| file(name, &metadata)).ok_or_else(|| self.missing(name))
    }

    /// Opens a file. It is read as it was when it was opened, or its reads fail with `OBJECT_CHANGED`.
    pub async fn read(&self, name: &str) -> Result<Arc<dyn ObjectReader>> {
        let opened = StoreReader::open(&self.store, name.to_owned()).await.map_err(of_bucket)?;
        let reader = opened.ok_or_else(|| self.missing(name))?;
        Ok(Arc::new(reader))
    }

    /// The URL of a file, without its query, for people.
    pub fn url_of(&self, file: &BucketFile) -> String {
        let place = self.store.shown.split(" at ").next().unwrap_or_default();
        format!("{place}/{}", file.name)
    }

    fn missing(&self, name: &str) -> Error {
        Error::new(
            Kind::NotFound,
            "BUCKET_FILE_MISSING",
            format!("there is no {name} in {}", self.store.shown),
        )
        .hint("was it removed meanwhile? run the same import again")
    }
}

fn file(name: &str, metadata: &Metadata) -> BucketFile {
    BucketFile {
        name: name.to_owned(),
        size_bytes: metadata.content_length(),
        written_at: metadata.last_modified().map(Timestamp::from),
    }
}

/// What went wrong, told of a bucket that is not the repository.
pub fn of_bucket(error: Error) -> Error {
    let (code, hint) = match error.code {
        "REPOSITORY_DENIED" => (
            "BUCKET_DENIED",
            "name a key that may list and read it: --bucket-key-id, --bucket-secret-file; or give this host a role",
        ),
        "REPOSITORY_MISSING" => ("BUCKET_MISSING", "correct the URL; does the bucket exist?"),
        "REPOSITORY_UNREACHABLE" => (
            "BUCKET_UNREACHABLE",
            "check the store and the network to it, then run the same import again: what is there is not sent twice",
        ),
        "OBJECT_CHANGED" => {
            ("OBJECT_CHANGED", "it was written to or removed meanwhile: run the same import again")
        }
        "OBJECT_DAMAGED" => ("OBJECT_DAMAGED", "the store gave another length than it had told; try again"),
        "CONFIG_INVALID" => (
            "INVALID_VALUE",
            "write it as s3://bucket/prefix?endpoint=https://…&region=…; oss, cos and obs alike",
        ),
        code if code.starts_with("REPOSITORY_") => {
            ("BUCKET_FAILED", "read what the store says; check the URL")
        }
        _ => return error,
    };
    let message = error.message.replace("repository.url", "the URL of the bucket");
    Error { code, message: message.into(), hint: Some(hint.into()), ..error }
}
