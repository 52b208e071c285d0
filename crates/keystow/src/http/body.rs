//! Bodies that must arrive in time: a caller who is nobody yet could otherwise hold a connection, and what it sent so
//! far, for ever.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::{Sleep, sleep};

/// A request's body, whole within a time limit or an error; or, of an upload, each of its pieces.
pub(super) struct Timely {
    inner: Incoming,
    limit: Duration,
    /// Runs from the first wait; most bodies come with their headers and need no timer.
    end: Option<Pin<Box<Sleep>>>,
    /// Whether the time begins anew with every piece.
    piecewise: bool,
}

/// The body did not arrive in time.
#[derive(Debug, thiserror::Error)]
#[error("the request's body did not arrive in time")]
pub(super) struct Late;

impl Timely {
    pub(super) fn new(inner: Incoming, limit: Duration) -> Self {
        Self { inner, limit, end: None, piecewise: false }
    }

    /// Of something long, which a caller who has signed in sends at its own pace: only a pause is limited.
    pub(super) fn piecewise(inner: Incoming, limit: Duration) -> Self {
        Self { piecewise: true, ..Self::new(inner, limit) }
    }
}

impl Body for Timely {
    type Data = Bytes;
    type Error = axum::BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        if let Poll::Ready(frame) = Pin::new(&mut self.inner).poll_frame(context) {
            if self.piecewise {
                self.end = None;
            }
            return Poll::Ready(frame.map(|frame| frame.map_err(Into::into)));
        }
        let limit = self.limit;
        let end = self.end.get_or_insert_with(|| Box::pin(sleep(limit)));
        ready!(end.as_mut().poll(context));
        Poll::Ready(Some(Err(Late.into())))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
