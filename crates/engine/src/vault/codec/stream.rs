//! A stretch of an encoded object from its start to its end, decoded ahead by several threads: a frame needs no other.

use std::collections::VecDeque;
use std::ops::Range;

use async_trait::async_trait;
use tokio::task::JoinSet;

use super::source::{Piece, Scratch, Source};
use super::stopped;
use crate::error::Result;
use crate::vault::ObjectStream;

/// Steps that are decoded ahead of the one that is being sent.
const AHEAD: usize = 2;
/// Permits that are never held while a reader takes its time, so that no reader waits for another.
const RESERVE: usize = 4;
/// What a reader gets at a time when memory is short. Its frame is decoded again for the next piece.
const SMALL_BYTES: u64 = 128 * 1024;

/// Plain bytes, one piece after the other.
pub(super) struct PlainStream {
    source: Source,
    /// What is neither handed out nor being decoded.
    rest: Range<u64>,
    ahead: VecDeque<JoinSet<Result<Piece>>>,
    spare: Vec<Scratch>,
    current: Option<Piece>,
    small: Vec<u8>,
}

impl PlainStream {
    pub(super) fn new(source: Source, range: Range<u64>) -> Self {
        Self {
            source,
            rest: range,
            ahead: VecDeque::new(),
            spare: Vec::new(),
            current: None,
            small: Vec::new(),
        }
    }

    /// Starts what memory allows.
    fn read_ahead(&mut self) {
        while self.ahead.len() < AHEAD && !self.rest.is_empty() {
            let Some(scratch) = self.spare.pop().or_else(|| self.source.spare_scratch(RESERVE)) else {
                return;
            };
            let end = self.source.step_end(self.rest.start).min(self.rest.end);
            let step = self.rest.start..end;
            self.rest.start = end;
            // A set of one: it ends with the stream.
            let mut job = JoinSet::new();
            job.spawn(self.source.clone().decode(step, scratch));
            self.ahead.push_back(job);
        }
    }

    /// The next bytes of a stream that has no memory of its own.
    async fn next_small(&mut self) -> Result<&[u8]> {
        let start = self.rest.start;
        let end = self.source.step_end(start).min(self.rest.end).min(start + SMALL_BYTES);
        let scratch = self.source.scratch().await?;
        let piece = self.source.clone().decode(start..end, scratch).await?;
        self.small.clear();
        self.small.extend_from_slice(piece.bytes());
        self.rest.start = end;
        Ok(&self.small)
    }
}

#[async_trait]
impl ObjectStream for PlainStream {
    async fn next(&mut self) -> Result<&[u8]> {
        if let Some(piece) = self.current.take() {
            self.spare.push(piece.scratch);
        }
        self.read_ahead();
        let Some(mut job) = self.ahead.pop_front() else {
            return if self.rest.is_empty() { Ok(&[]) } else { self.next_small().await };
        };
        let piece =
            job.join_next().await.unwrap_or_else(|| Ok(Err(stopped("no work")))).map_err(stopped)??;
        self.read_ahead();
        // What is not needed any more is somebody else's.
        self.spare.clear();
        Ok(self.current.insert(piece).bytes())
    }
}
