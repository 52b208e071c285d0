//! Marks a repository as ours the first time, and knows it again afterwards.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::Engine;
use crate::error::{Error, Kind, Result};
use crate::vault::{Collection, ObjectKey};

/// `repository.json`, written once.
#[derive(Serialize, Deserialize)]
struct Mark {
    /// Version of the layout.
    format: u32,
    /// Names the repository, so that a catalog knows it again.
    id: Uuid,
}

/// The layout that this version reads and writes.
const FORMAT: u32 = 1;
/// The note of the catalog that holds the repository's id.
const NOTE: &str = "repository";

impl Engine {
    /// Makes sure that the repository is the one that the catalog speaks of. Writes the mark of a new one. One that
    /// another catalog kept its copies in is not taken over: `REPOSITORY_OTHER`.
    pub async fn adopt_repository(&self) -> Result<()> {
        if self.catalog.note(NOTE).await?.is_none()
            && !self.vault.list(&Collection::CatalogCopies).await?.is_empty()
            // Another node on the same catalog may have adopted it meanwhile.
            && self.catalog.note(NOTE).await?.is_none()
        {
            let message = "the catalog is new, but the repository has been in use";
            return Err(Error::new(Kind::Conflict, "REPOSITORY_OTHER", message).hint(
                "was the catalog lost? keystow catalog rebuild; else give this service a repository of its own",
            ));
        }
        self.adopt_as_it_is().await
    }

    /// The same, whoever kept copies in it.
    pub(super) async fn adopt_as_it_is(&self) -> Result<()> {
        let known = self.catalog.note(NOTE).await?;
        let mark = match self.vault.get(&ObjectKey::Repository, 64 * 1024).await? {
            Some(bytes) => serde_json::from_slice::<Mark>(&bytes).map_err(|error| {
                Error::new(Kind::Corrupt, "REPOSITORY_DAMAGED", "repository.json cannot be read")
                    .because(error)
            })?,
            None if known.is_some() => return Err(other("repository.json is missing")),
            None => match self.mark().await {
                // Another node on the same catalog is starting as well.
                Err(error) if error.code == "OBJECT_EXISTS" => {
                    return Box::pin(self.adopt_as_it_is()).await;
                }
                marked => marked?,
            },
        };
        if mark.format > FORMAT {
            return Err(Error::new(
                Kind::Invalid,
                "REPOSITORY_NEWER",
                "the repository is of a newer version",
            )
            .because(format!("it has format {}, this program reads {FORMAT}", mark.format))
            .hint("run that version or a later one; this one has changed nothing"));
        }
        match known {
            Some(known) if known != mark.id.to_string() => return Err(other("its id is another one")),
            Some(_) => {}
            None => self.catalog.set_note(NOTE, &mark.id.to_string()).await?,
        }
        self.ensure_keys(self.clock.now()).await
    }

    async fn mark(&self) -> Result<Mark> {
        let mark = Mark { format: FORMAT, id: Uuid::new_v4() };
        let bytes = serde_json::to_vec(&mark)
            .map_err(|error| Error::internal("repository.json cannot be written", error))?;
        self.vault.put(&ObjectKey::Repository, Bytes::from(bytes)).await?;
        Ok(mark)
    }
}

fn other(cause: &'static str) -> Error {
    Error::new(Kind::Conflict, "REPOSITORY_OTHER", "this is not the repository that the catalog speaks of")
        .because(cause)
        .hint("check repository.url; is the disk mounted?")
}
