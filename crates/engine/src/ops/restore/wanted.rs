//! Which keys are wanted, and in which shape: the order in the words of the RDB crate.

use std::io;

use jiff::Timestamp;
use keystow_rdb::{
    Changes, Filter, Format, Kind as ValueKind, Limits, Pattern, Prefix, RestoreEntry, RestoreError,
    RestoreOptions, RestoreSink, Restored, SlotSet, Ttl, restore,
};
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use crate::error::{Error, Kind, Result};
use crate::model::{Backup, KeyChoice, OnConflict, Part, RestoreMethod, RestoreOrder, TtlPolicy};
use crate::ops::part_reader::PartReader;
use crate::ops::parts::Parts as Store;
use crate::vault::AttemptKey;

/// Most words of each kind that a choice has, and most bytes of one.
const MOST_WORDS: usize = 1000;
const LONGEST_WORD: usize = 4096;

/// Refuses a choice that nobody could mean.
pub(super) fn check(choice: &KeyChoice) -> Result<()> {
    kinds(&choice.types)?;
    let prefix = choice.prefix.iter().flat_map(|(from, to)| [from, to]);
    let too_long = choice.patterns.iter().chain(prefix).any(|word| word.len() > LONGEST_WORD);
    let most = choice.patterns.len().max(choice.databases.len()).max(choice.types.len());
    if too_long || most > MOST_WORDS {
        return Err(Error::invalid(format!(
            "a choice has at most {MOST_WORDS} patterns and databases, of at most {LONGEST_WORD} bytes each"
        )));
    }
    Ok(())
}

fn kinds(names: &[String]) -> Result<Vec<ValueKind>> {
    let kind = |name: &String| {
        ValueKind::ALL.into_iter().find(|kind| kind.name() == name).ok_or_else(|| {
            let shown: String = name.chars().take(40).collect();
            Error::invalid(format!("there is no type '{shown}'"))
                .hint(format!("types are {}", ValueKind::ALL.map(ValueKind::name).join(", ")))
        })
    };
    names.iter().map(kind).collect()
}

/// The parts of a backup, and what is wanted of them.
#[derive(Clone, Copy)]
pub(super) struct Parts<'a> {
    pub(super) store: &'a Store,
    pub(super) runtime: &'a Handle,
    pub(super) backup: &'a Backup,
    pub(super) order: &'a RestoreOrder,
    /// The moment that expiries are measured by; the same in every attempt, so that each takes the same keys.
    pub(super) now: Timestamp,
    pub(super) cancel: &'a CancellationToken,
}

impl Parts<'_> {
    /// Opens one. Blocks, on a thread of a tokio runtime that may.
    pub(super) fn open(&self, part: &Part) -> Result<PartReader> {
        let attempt = AttemptKey::of(self.backup);
        let opened = self.cancel.run_until_cancelled(self.store.find(&attempt, &part.sealed));
        let opened = self.runtime.block_on(opened).ok_or_else(Error::cancelled)?;
        let object = opened?.ok_or_else(|| {
            Error::new(
                Kind::Corrupt,
                "OBJECT_DAMAGED",
                format!("{} is not in the repository", part.sealed.file_name),
            )
            .hint("restore another backup, and check the disk of the repository")
        })?;
        PartReader::open(object, &part.sealed, self.cancel)
    }

    /// What happens to its entries on their way.
    pub(super) fn changes(&self, part: &Part) -> Result<Changes> {
        let choice = &self.order.choice;
        let now_ms = self.now.as_millisecond();
        let slots = part.sealed.origin.as_ref().map(|origin| &origin.slots).filter(|slots| !slots.is_empty());
        Ok(Changes {
            filter: Filter {
                names: choice.patterns.iter().map(|text| Pattern::new(text.as_bytes())).collect(),
                kinds: kinds(&choice.types)?,
                databases: choice.databases.clone(),
            },
            slots: slots
                .map(|slots| slots.ranges().iter().map(|(first, last)| *first..=*last).collect::<SlotSet>()),
            ttl: match self.order.ttl {
                TtlPolicy::Keep => Ttl::Keep,
                TtlPolicy::Strip => Ttl::Strip,
                TtlPolicy::DropExpired => Ttl::DropExpired { now_ms },
                TtlPolicy::Shift => Ttl::Shift { by_ms: now_ms - self.taken_at(part).as_millisecond() },
            },
            prefix: choice
                .prefix
                .as_ref()
                .map(|(from, to)| Prefix { from: from.clone().into_bytes(), to: to.clone().into_bytes() }),
            now_ms: Some(now_ms),
        })
    }

    /// The moment that a part shows.
    fn taken_at(&self, part: &Part) -> Timestamp {
        let cut = part.sealed.origin.as_ref().map(|origin| origin.cut_at);
        cut.or(self.backup.started_at).unwrap_or(self.backup.created_at)
    }

    /// Reads a part, and hands its entries to a sink as commands. `said`: why the sink stopped it, if it did.
    pub(super) fn read<S: RestoreSink>(
        &self,
        part: &Part,
        options: &RestoreOptions,
        sink: &mut S,
        said: impl FnOnce(&mut S) -> Option<Error>,
    ) -> Result<Restored> {
        let mut reader = self.open(part)?;
        let restored = restore(&mut reader, sink, options);
        // The file's own end is not the object's: that is where its hash is compared. A file that is not sound may
        // have been when it was sealed.
        let ended = matches!(restored, Ok(_) | Err(RestoreError::Unsound(_)));
        let drained = ended.then(|| io::copy(&mut reader, &mut io::sink()));
        if let Some(failure) = reader.failure() {
            return Err(failure);
        }
        if let Some(Err(error)) = drained {
            return Err(Error::io("cannot read a part", &error));
        }
        restored.map_err(|error| said(sink).unwrap_or_else(|| unrestorable(part, &error)))
    }

    /// Reads every part as for servers of that format, for nothing but to know that it can be done.
    pub(super) fn try_all(
        &self,
        method: RestoreMethod,
        to: Option<Format>,
        cancel: &CancellationToken,
    ) -> Result<()> {
        let Some(to) = to else { return Ok(()) };
        for part in &self.backup.parts {
            let mut options = self.options(part, to)?;
            // A primary's snapshot has no bound on its values.
            options.replace |= method == RestoreMethod::Primary;
            self.read(part, &options, &mut Nowhere(cancel), |sink| {
                sink.0.is_cancelled().then(Error::cancelled)
            })?;
        }
        Ok(())
    }

    /// How a part becomes commands.
    pub(super) fn options(&self, part: &Part, to: Format) -> Result<RestoreOptions> {
        let replace = self.order.on_conflict == OnConflict::Replace || self.order.wipe;
        // Larger values go in pieces, which only works where they may replace what is there, and not for a module's.
        let max_value_bytes = if replace { 64 << 20 } else { 512 << 20 };
        Ok(RestoreOptions {
            to,
            changes: self.changes(part)?,
            replace,
            limits: Limits::default(),
            max_value_bytes,
            max_module_bytes: 512 << 20,
        })
    }
}

/// Why a part cannot be restored.
fn unrestorable(part: &Part, error: &RestoreError) -> Error {
    let name = &part.sealed.file_name;
    match error {
        RestoreError::Unsound(_) => {
            Error::new(Kind::Corrupt, "RESTORE_UNSOUND", format!("{name} is not sound"))
                .because(error)
                .hint("restore another backup; keystow inspect shows what can be read of it")
        }
        RestoreError::TooLarge(_) => {
            Error::new(Kind::Invalid, "RESTORE_TOO_LARGE", format!("a value of {name} is too large"))
                .because(error)
                .hint("restore with --on-conflict replace, which takes it in pieces, or leave the key out")
        }
        _ => impossible(name, error),
    }
}

/// The target has no words for something in a part.
pub(super) fn impossible(name: &str, error: impl std::fmt::Display) -> Error {
    Error::new(Kind::Invalid, "RESTORE_TARGET_OLDER", format!("the target cannot hold all of {name}"))
        .because(error)
        .hint("restore to a newer server, or leave such keys out with --match or --type")
}

/// Takes everything and does nothing with it.
struct Nowhere<'a>(&'a CancellationToken);

impl Nowhere<'_> {
    fn look(&self) -> io::Result<()> {
        if self.0.is_cancelled() { Err(io::Error::other("stopped")) } else { Ok(()) }
    }
}

impl RestoreSink for Nowhere<'_> {
    fn database(&mut self, _: u64) -> io::Result<()> {
        self.look()
    }

    fn entry(&mut self, _: RestoreEntry<'_>) -> io::Result<()> {
        self.look()
    }

    fn function(&mut self, _: &[u8]) -> io::Result<()> {
        self.look()
    }
}
