//! Copies of backups in other repositories: another folder, another store, another region.
//!
//! Each of them is a whole repository, with its own mark, manifests, events, key objects and copies of the catalog, so that
//! a catalog can be rebuilt from it alone. Stored bytes are carried as they are.

mod carry;
mod copy_backup;
mod others;
mod repair;
mod scrub;
mod sweep;
mod upkeep;

pub(super) use carry::Shelf;
pub use others::OtherRepository;
pub(super) use others::Others;
pub use sweep::CopySweeps;
