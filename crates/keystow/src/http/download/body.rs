//! The body of a download: pieces of a part, read as the client takes them.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use keystow_engine::ops::Engine;
use keystow_engine::vault::ObjectReader;

/// Bytes of a piece.
const PIECE_BYTES: u64 = 256 * 1024;

type Pending = Pin<Box<dyn Future<Output = keystow_engine::Result<Bytes>> + Send>>;

/// Streams the bytes from `at` to `until`.
pub(super) struct PartBody {
    reader: Arc<dyn ObjectReader>,
    at: u64,
    until: u64,
    pending: Option<Pending>,
    settlement: Option<Settlement>,
}

impl PartBody {
    pub(super) fn new(
        reader: Arc<dyn ObjectReader>,
        from: u64,
        until: u64,
        settlement: Option<Settlement>,
    ) -> Self {
        Self { reader, at: from, until, pending: None, settlement }
    }

    fn took(&mut self, result: keystow_engine::Result<Bytes>) -> io::Result<Frame<Bytes>> {
        let bytes = result.map_err(|error| io::Error::other(error.to_string()))?;
        if bytes.is_empty() {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the object is shorter than it was"));
        }
        self.at += bytes.len() as u64;
        if let Some(settlement) = &mut self.settlement {
            settlement.sent += bytes.len() as u64;
        }
        Ok(Frame::data(bytes))
    }
}

impl Body for PartBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let this = &mut *self;
        if this.at >= this.until {
            return Poll::Ready(None);
        }
        if this.pending.is_none() {
            let length = usize::try_from((this.until - this.at).min(PIECE_BYTES)).unwrap_or(0);
            if let Some(result) = this.reader.read_now(this.at, length) {
                return Poll::Ready(Some(this.took(result)));
            }
            let (reader, at) = (this.reader.clone(), this.at);
            this.pending = Some(Box::pin(async move { reader.read_at(at, length).await }));
        }
        let Some(pending) = &mut this.pending else { return Poll::Ready(None) };
        match pending.as_mut().poll(cx) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(result) => {
                this.pending = None;
                Poll::Ready(Some(this.took(result)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.at >= self.until
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.until.saturating_sub(self.at))
    }
}

/// The account of a counted link's transfer. Dropped with the body, it writes what was really sent.
pub(super) struct Settlement {
    engine: Arc<Engine>,
    link: String,
    reserved: u64,
    sent: u64,
}

impl Settlement {
    pub(super) fn new(engine: &Arc<Engine>, link: Option<&str>, reserved: u64) -> Option<Self> {
        link.map(|link| Self { engine: engine.clone(), link: link.to_owned(), reserved, sent: 0 })
    }
}

impl Drop for Settlement {
    fn drop(&mut self) {
        let (engine, link) = (self.engine.clone(), std::mem::take(&mut self.link));
        let (reserved, sent) = (self.reserved, self.sent);
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        runtime.spawn(async move {
            if let Err(error) = engine.settle_delivery(&link, reserved, sent).await {
                tracing::error!(link, %error, "cannot count a delivery");
            }
        });
    }
}
