//! Marks a repository as ours the first time, and knows it again afterwards.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::Engine;
use crate::error::{Error, Kind, Result};
use crate::vault::{Collection, ObjectKey, Vault};

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
        self.adopt(&*self.vault, None).await?;
        self.ensure_keys(self.clock.now()).await
    }

    /// The same for a repository that holds copies.
    pub(super) async fn adopt_other(&self, name: &str, vault: &dyn Vault) -> Result<()> {
        if self.catalog.note(&note_of(Some(name))).await?.is_none() && !self.are_copies_ours(vault).await? {
            return Err(other("another service, with another root key, keeps its copies there")
                .hint(hint_of(Some(name))));
        }
        self.adopt(vault, Some(name)).await
    }

    /// A copy beside its original, or twice in one place, is none.
    async fn refuse_same(&self, name: &str, mark: &Mark) -> Result<()> {
        let others = self.others.names().filter(|known| *known != name).map(Some);
        for other in std::iter::once(None).chain(others) {
            if self.catalog.note(&note_of(other)).await?.is_some_and(|known| known == mark.id.to_string()) {
                let message = format!("copies.{name} is a repository that is in use already");
                return Err(Error::new(Kind::Invalid, "REPOSITORY_SAME", message)
                    .because("repository.url or another of the copies is the same place")
                    .hint(format!("give copies.{name}.url a place of its own")));
            }
        }
        Ok(())
    }

    /// Makes sure that a repository is the one that a note of the catalog names; a new one gets its mark. `name`: of one
    /// that holds copies.
    async fn adopt(&self, vault: &dyn Vault, name: Option<&str>) -> Result<()> {
        let (note, other) = (note_of(name), |cause| other(cause).hint(hint_of(name)));
        let known = self.catalog.note(&note).await?;
        let mark = match vault.get(&ObjectKey::Repository, 64 * 1024).await? {
            Some(bytes) => serde_json::from_slice::<Mark>(&bytes).map_err(|error| {
                Error::new(Kind::Corrupt, "REPOSITORY_DAMAGED", "repository.json cannot be read")
                    .because(error)
            })?,
            None if known.is_some() => return Err(other("repository.json is missing")),
            None => match mark(vault).await {
                // Another node on the same catalog is starting as well.
                Err(error) if error.code == "OBJECT_EXISTS" => {
                    return Box::pin(self.adopt(vault, name)).await;
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
            None => {
                // They are opened side by side: of two names for one place the second is refused.
                let _alone = self.others.settling().await;
                if let Some(name) = name {
                    self.refuse_same(name, &mark).await?;
                }
                self.catalog.set_note(&note, &mark.id.to_string()).await?;
            }
        }
        Ok(())
    }
}

/// The note that holds a repository's id.
fn note_of(name: Option<&str>) -> String {
    name.map_or_else(|| NOTE.to_owned(), |name| format!("{NOTE}/{name}"))
}

fn hint_of(name: Option<&str>) -> String {
    let setting = name.map_or_else(|| "repository.url".to_owned(), |name| format!("copies.{name}.url"));
    format!("check {setting}; is the disk mounted?")
}

/// Writes the mark of a new repository.
async fn mark(vault: &dyn Vault) -> Result<Mark> {
    let mark = Mark { format: FORMAT, id: Uuid::new_v4() };
    let bytes = serde_json::to_vec(&mark)
        .map_err(|error| Error::internal("repository.json cannot be written", error))?;
    vault.put(&ObjectKey::Repository, Bytes::from(bytes)).await?;
    Ok(mark)
}

fn other(cause: &'static str) -> Error {
    Error::new(Kind::Conflict, "REPOSITORY_OTHER", "this is not the repository that the catalog speaks of")
        .because(cause)
}
