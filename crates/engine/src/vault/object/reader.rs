//! An object that is read from a store. Whoever reads on where it stopped gets one long request; anybody else one request
//! each.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::TryStreamExt;
use opendal::options::ReaderOptions;
use opendal::{Buffer, BufferStream, ErrorKind};
use tokio::time::Instant;

use super::fault::fault;
use super::{Inner, damaged};
use crate::error::{Error, Kind, Result};
use crate::vault::ObjectReader;

/// Most bytes that one request for a range brings into memory.
const RANGE_BYTES: u64 = 8 * 1024 * 1024;
/// Most bytes that come out of a stream at a time.
const STEP_BYTES: usize = 256 * 1024;
/// Bytes of one long request. One that nobody reads on is a connection less.
const STREAM_BYTES: u64 = 64 * 1024 * 1024;
/// Streams at once, in the whole process: each holds what its connection has read ahead, up to about 600 KiB if its
/// reader is slow. More readers than that make a request for each piece.
const MOST_STREAMS: usize = 32;
/// How long a stream waits for its reader.
const IDLE: Duration = Duration::from_secs(10);
/// Ends of reads that are remembered, to know who reads on.
const MOST_ENDS: usize = 256;

/// An open object.
pub(super) struct StoreReader {
    inner: Arc<Inner>,
    path: String,
    size_bytes: u64,
    etag: Option<String>,
    version: Option<String>,
    /// Names this reader among the idle streams.
    id: u64,
    ends: Mutex<VecDeque<u64>>,
}

/// A request under way.
struct Stream {
    answer: BufferStream,
    /// What came and was not asked for yet.
    rest: Buffer,
    at: u64,
    until: u64,
    /// Its place among the long ones.
    _place: Option<StreamPlace>,
}

/// One of [`MOST_STREAMS`], given back when dropped.
struct StreamPlace(Arc<AtomicUsize>);

impl Drop for StreamPlace {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Long requests, and those of them that are between two reads.
#[derive(Default)]
pub(super) struct Streams {
    open: Arc<AtomicUsize>,
    idle: Mutex<VecDeque<(u64, Instant, Stream)>>,
}

impl Streams {
    /// The stream that stands at `at`.
    fn take(&self, reader: u64, at: u64) -> Option<Stream> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let position = idle.iter().position(|(id, _, stream)| *id == reader && stream.at == at)?;
        idle.remove(position).map(|(_, _, stream)| stream)
    }

    /// Keeps a stream for its next read.
    fn keep(&self, reader: u64, stream: Stream) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.push_back((reader, Instant::now(), stream));
    }

    /// A place for one more, if there is one.
    fn place(&self) -> Option<StreamPlace> {
        if self.open.load(Ordering::Relaxed) >= MOST_STREAMS {
            self.expire(None);
        }
        let place = StreamPlace(self.open.clone());
        (self.open.fetch_add(1, Ordering::Relaxed) < MOST_STREAMS).then_some(place)
    }

    /// Drops those that nobody came back for, or that belong to a reader that is gone. Returns how many are left.
    pub(super) fn expire(&self, gone: Option<u64>) -> usize {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.retain(|(id, since, _)| Some(*id) != gone && since.elapsed() < IDLE);
        idle.len()
    }
}

impl StoreReader {
    /// Looks at an object; `None` if it is absent.
    pub(super) async fn open(inner: &Arc<Inner>, path: String) -> Result<Option<Self>> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let Some(found) = inner.stat(&path).await? else { return Ok(None) };
        let capability = inner.small.info().capability();
        Ok(Some(Self {
            inner: inner.clone(),
            path,
            size_bytes: found.content_length(),
            etag: found.etag().map(str::to_owned),
            version: found.version().filter(|_| capability.read_with_version).map(str::to_owned),
            id: NEXT.fetch_add(1, Ordering::Relaxed),
            ends: Mutex::default(),
        }))
    }

    /// Asks for `at..until`, of the object as it was when it was opened.
    async fn request(&self, at: u64, until: u64, place: Option<StreamPlace>) -> Result<Stream> {
        self.inner.breaker.admit()?;
        let capability = self.inner.small.info().capability();
        let options = ReaderOptions {
            if_match: self.etag.clone().filter(|_| capability.read_with_if_match),
            version: self.version.clone(),
            content_length_hint: Some(self.size_bytes),
            ..ReaderOptions::default()
        };
        let failed = |error: opendal::Error| self.failed(&error);
        let reader = self.inner.small.reader_options(&self.path, options).await.map_err(failed)?;
        let mut answer = reader.into_stream(at..until).await.map_err(failed)?;
        let said = match answer.metadata().await {
            Err(error) if error.kind() == ErrorKind::Unsupported => None,
            said => said.map_err(failed)?.etag().map(str::to_owned),
        };
        // Not every store knows the condition.
        if let (Some(was), Some(is)) = (&self.etag, &said)
            && was != is
        {
            return Err(self.changed("it was written anew while it was read"));
        }
        Ok(Stream { answer, rest: Buffer::new(), at, until, _place: place })
    }

    /// The next bytes of a stream, at most `most`; never none before its end.
    async fn next(&self, stream: &mut Stream, most: usize) -> Result<Bytes> {
        if stream.rest.is_empty() {
            let more = stream.answer.try_next().await.map_err(|error| self.failed(&error))?;
            self.inner.breaker.learn(None);
            stream.rest = more.unwrap_or_default();
        }
        let bytes = stream.rest.split_to(stream.rest.len().min(most)).to_bytes();
        stream.at += bytes.len() as u64;
        if stream.at > stream.until || (bytes.is_empty() && stream.at < stream.until) {
            return Err(damaged(&self.path, stream.at, stream.until));
        }
        Ok(bytes)
    }

    /// Exactly `at..until`, in a request of its own.
    async fn range(&self, at: u64, until: u64) -> Result<Bytes> {
        let place = self.inner.pieces.acquire().await;
        let _place = place.map_err(|error| Error::internal("no place for a request", error))?;
        let mut stream = self.request(at, until, None).await?;
        let want = usize::try_from(until - at).unwrap_or(usize::MAX);
        // Copied, for what comes is part of the connection's larger buffer and would keep it.
        let mut all = Vec::with_capacity(want);
        while all.len() < want {
            all.extend_from_slice(&self.next(&mut stream, want - all.len()).await?);
        }
        self.finish(stream).await?;
        Ok(Bytes::from(all))
    }

    /// A store that sends more than was asked for did not understand the range, so its bytes are others.
    async fn finish(&self, mut stream: Stream) -> Result<()> {
        self.next(&mut stream, 1).await.map(drop)
    }

    /// Reads on in a long request.
    async fn read_on(&self, mut stream: Stream, want: u64) -> Result<Bytes> {
        let want = usize::try_from(want.min(stream.until - stream.at)).unwrap_or(usize::MAX).min(STEP_BYTES);
        // What came together goes out together: joining pieces would cost memory for each of many downloads.
        let bytes = self.next(&mut stream, want).await?;
        if stream.at == stream.until {
            self.finish(stream).await?;
        } else {
            self.inner.streams.keep(self.id, stream);
            Inner::expire_streams(&self.inner);
        }
        Ok(bytes)
    }

    /// Whether somebody's read ended at `at`; remembers that one ends at `end`.
    fn reads_on(&self, at: u64, end: u64) -> bool {
        let mut ends = self.ends.lock().unwrap_or_else(PoisonError::into_inner);
        let before = ends.iter().position(|end| *end == at);
        if let Some(before) = before {
            ends.remove(before);
        }
        ends.push_back(end);
        if ends.len() > MOST_ENDS {
            ends.pop_front();
        }
        before.is_some()
    }

    fn message(&self) -> String {
        format!("cannot read {} from {}", self.path, self.inner.shown)
    }

    fn failed(&self, error: &opendal::Error) -> Error {
        if error.kind() == ErrorKind::NotFound {
            return self.changed("it was removed while it was read");
        }
        let error = fault(self.message(), error);
        self.inner.breaker.learn(Some(&error));
        error
    }

    /// The object is not the one that was opened.
    fn changed(&self, why: &str) -> Error {
        Error::new(Kind::Corrupt, "OBJECT_CHANGED", self.message())
            .because(why)
            .hint("was its backup deleted? else somebody else writes to the bucket")
    }
}

#[async_trait]
impl ObjectReader for StoreReader {
    fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    fn read_now(&self, offset: u64, _: &mut [u8]) -> Option<Result<usize>> {
        (offset >= self.size_bytes).then_some(Ok(0))
    }

    async fn read_at(&self, offset: u64, len: usize) -> Result<Bytes> {
        let want = (len as u64).min(self.size_bytes.saturating_sub(offset)).min(RANGE_BYTES);
        if want == 0 {
            return Ok(Bytes::new());
        }
        if let Some(stream) = self.inner.streams.take(self.id, offset) {
            let bytes = self.read_on(stream, want).await?;
            self.reads_on(offset, offset + bytes.len() as u64);
            return Ok(bytes);
        }
        let rest = self.size_bytes - offset;
        if self.reads_on(offset, offset + want)
            && rest > want
            && let Some(place) = self.inner.streams.place()
        {
            let stream = self.request(offset, offset + rest.min(STREAM_BYTES), Some(place)).await?;
            let bytes = self.read_on(stream, want).await?;
            self.reads_on(offset + want, offset + bytes.len() as u64);
            return Ok(bytes);
        }
        self.range(offset, offset + want).await
    }
}

impl Drop for StoreReader {
    fn drop(&mut self) {
        self.inner.streams.expire(Some(self.id));
    }
}
