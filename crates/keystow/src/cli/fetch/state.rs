//! What of a file has arrived, kept beside it so that a later run, with another link, can go on.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

const VERSION: u32 = 1;
const PIECE_BYTES: u64 = 16 << 20;
/// Keeps the state of the largest files small.
const MAX_PIECES: u64 = 4096;
const SAVE_EVERY: Duration = Duration::from_secs(1);

/// The pieces of one file. Nothing of the link is in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PartState {
    version: u32,
    size: u64,
    etag: Option<String>,
    piece_bytes: u64,
    /// Bytes that have arrived, from the start of each piece.
    received: Vec<u64>,
}

impl PartState {
    /// Nothing has arrived.
    pub(super) fn fresh(size: u64, etag: Option<String>) -> Self {
        let piece_bytes = PIECE_BYTES.max(size.div_ceil(MAX_PIECES));
        let pieces = usize::try_from(size.div_ceil(piece_bytes)).unwrap_or(usize::MAX);
        Self { version: VERSION, size, etag, piece_bytes, received: vec![0; pieces] }
    }

    /// Reads a state that was kept, if it is sound and of this very file.
    pub(super) fn resume(path: &Path, part_bytes: u64, size: u64, etag: Option<&str>) -> Option<Self> {
        let state: Self = serde_json::from_slice(&std::fs::read(path).ok()?).ok()?;
        let fresh = Self::fresh(size, etag.map(ToOwned::to_owned));
        let same_file = etag.is_some() && (state.size, &state.etag) == (size, &fresh.etag);
        let sound = state.version == VERSION
            && part_bytes == size
            && state.piece_bytes == fresh.piece_bytes
            && state.received.len() == fresh.received.len()
            && (0..state.received.len())
                .all(|piece| state.received[piece] <= state.bounds(piece).1 - state.bounds(piece).0);
        (same_file && sound).then_some(state)
    }

    /// Where a piece begins and ends in the file.
    fn bounds(&self, piece: usize) -> (u64, u64) {
        let start = piece as u64 * self.piece_bytes;
        (start, (start + self.piece_bytes).min(self.size))
    }

    /// What of a piece has not arrived; empty when it is whole.
    fn rest(&self, piece: usize) -> (u64, u64) {
        let (start, end) = self.bounds(piece);
        (start + self.received[piece], end)
    }

    /// Bytes that have arrived in all.
    pub(super) fn total(&self) -> u64 {
        self.received.iter().sum()
    }
}

/// The state of a transfer that is under way, shared by its connections.
pub(super) struct Ledger {
    path: PathBuf,
    inner: Mutex<Inner>,
}

struct Inner {
    state: PartState,
    /// Pieces that no connection works on.
    open: BTreeSet<usize>,
    saved_at: Instant,
}

impl Ledger {
    /// Goes on from a state.
    pub(super) fn new(path: PathBuf, state: PartState) -> Self {
        let open = (0..state.received.len())
            .filter(|piece| {
                let (start, end) = state.rest(*piece);
                start < end
            })
            .collect();
        Self { path, inner: Mutex::new(Inner { state, open, saved_at: Instant::now() }) }
    }

    /// Pieces that are not whole.
    pub(super) fn open_pieces(&self) -> usize {
        self.lock().open.len()
    }

    /// Takes a piece to work on.
    pub(super) fn claim(&self) -> Option<usize> {
        self.lock().open.pop_first()
    }

    /// What of a piece has not arrived.
    pub(super) fn rest(&self, piece: usize) -> (u64, u64) {
        self.lock().state.rest(piece)
    }

    /// Books bytes that are written.
    pub(super) fn add(&self, piece: usize, bytes: u64) {
        self.lock().state.received[piece] += bytes;
    }

    /// A copy to save, once in a while. The bytes in it must be made safe first.
    pub(super) fn due(&self) -> Option<PartState> {
        let mut inner = self.lock();
        if inner.saved_at.elapsed() < SAVE_EVERY {
            return None;
        }
        inner.saved_at = Instant::now();
        Some(inner.state.clone())
    }

    /// Writes a state beside the file, in one step.
    pub(super) fn save(&self, state: &PartState) -> std::io::Result<()> {
        let mut temporary = self.path.clone().into_os_string();
        temporary.push(".tmp");
        let mut file = std::fs::File::create(&temporary)?;
        file.write_all(&serde_json::to_vec(state)?)?;
        std::fs::rename(&temporary, &self.path)
    }

    /// Saves where the transfer stands.
    pub(super) fn save_now(&self) -> std::io::Result<()> {
        let state = self.lock().state.clone();
        self.save(&state)
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // The numbers are written one at a time; a panic elsewhere leaves them true.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: u64 = 40 << 20;

    fn saved(folder: &tempfile::TempDir, change: impl FnOnce(&mut PartState)) -> PathBuf {
        let path = folder.path().join("f.part.json");
        let mut state = PartState::fresh(SIZE, Some("\"a\"".into()));
        state.received[0] = 16 << 20;
        state.received[1] = 1000;
        change(&mut state);
        Ledger::new(path.clone(), state).save_now().unwrap();
        path
    }

    #[test]
    fn a_transfer_goes_on_where_it_stopped() {
        let folder = tempfile::tempdir().unwrap();
        let path = saved(&folder, |_| {});
        let state = PartState::resume(&path, SIZE, SIZE, Some("\"a\"")).unwrap();
        assert_eq!(state.total(), (16 << 20) + 1000);
        let ledger = Ledger::new(path, state);
        assert_eq!(ledger.open_pieces(), 2);
        assert_eq!(ledger.claim(), Some(1));
        assert_eq!(ledger.rest(1), ((16 << 20) + 1000, 32 << 20));
        assert_eq!(ledger.claim(), Some(2));
        assert_eq!(ledger.rest(2), (32 << 20, SIZE));
        assert_eq!(ledger.claim(), None);
    }

    #[test]
    fn a_state_of_another_file_is_not_used() {
        let folder = tempfile::tempdir().unwrap();
        let path = saved(&folder, |_| {});
        for (part_bytes, size, etag) in [
            (SIZE, SIZE, Some("\"b\"")),
            (SIZE, SIZE, None),
            (SIZE - 1, SIZE, Some("\"a\"")),
            (SIZE + 1, SIZE + 1, Some("\"a\"")),
        ] {
            assert!(
                PartState::resume(&path, part_bytes, size, etag).is_none(),
                "{part_bytes} {size} {etag:?}"
            );
        }
    }

    #[test]
    fn a_state_that_lies_is_not_used() {
        let folder = tempfile::tempdir().unwrap();
        let changes: [fn(&mut PartState); 4] = [
            |state| state.received[2] = (8 << 20) + 1,
            |state| state.received.push(0),
            |state| state.piece_bytes = 0,
            |state| state.version = 2,
        ];
        for change in changes {
            let path = folder.path().join("f.part.json");
            let mut state = PartState::fresh(SIZE, Some("\"a\"".into()));
            change(&mut state);
            std::fs::write(&path, serde_json::to_vec(&state).unwrap()).unwrap();
            assert!(PartState::resume(&path, SIZE, SIZE, Some("\"a\"")).is_none());
        }
        let path = folder.path().join("f.part.json");
        std::fs::write(&path, b"not json").unwrap();
        assert!(PartState::resume(&path, SIZE, SIZE, Some("\"a\"")).is_none());
    }

    #[test]
    fn the_largest_files_have_a_bounded_number_of_pieces() {
        assert!(PartState::fresh(10 << 40, None).received.len() <= usize::try_from(MAX_PIECES).unwrap());
        assert!(PartState::fresh(0, None).received.is_empty());
    }
}
