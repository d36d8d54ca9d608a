//! Bodies of answers: whole, long, dripping, broken off, stalled.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use tokio::time::Sleep;

/// The connection is to be closed without an (other) word.
#[derive(Debug, thiserror::Error)]
#[error("broken off, as asked")]
pub(super) struct Broken;

/// Long bodies are made of this, piece by piece.
static BLOCK: [u8; 64 * 1024] = [b'x'; 64 * 1024];

/// A body.
pub(super) enum Payload {
    /// In one piece.
    Whole(Bytes),
    /// So many bytes, of which so many are sent; then it ends as it says.
    Long { left: u64, cut: u64, end: End },
    /// One byte at a time.
    Drip { left: u64, every: Duration, pause: Pin<Box<Sleep>> },
}

/// How a body that is cut ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// Not cut.
    Whole,
    /// Broken off, once what came before is on its way.
    Break { flushed: bool },
    /// Never.
    Stall,
}

impl Payload {
    pub fn long(bytes: u64) -> Self {
        Payload::Long { left: bytes, cut: 0, end: End::Whole }
    }

    pub fn drip(bytes: u64, every: Duration) -> Self {
        Payload::Drip { left: bytes, every, pause: Box::pin(tokio::time::sleep(every)) }
    }

    /// The same length, cut in half.
    pub fn cut(self, end: End) -> Self {
        let bytes = match &self {
            Payload::Whole(bytes) => bytes.len() as u64,
            Payload::Long { left, .. } | Payload::Drip { left, .. } => *left,
        };
        // Of nothing there is no half.
        let bytes = bytes.max(2);
        Payload::Long { left: bytes, cut: bytes - bytes / 2, end }
    }
}

impl Body for Payload {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        match &mut *self {
            Payload::Whole(bytes) if bytes.is_empty() => Poll::Ready(None),
            Payload::Whole(bytes) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(bytes))))),
            Payload::Long { left, cut, end } if *left == *cut => match end {
                End::Whole => Poll::Ready(None),
                End::Stall => Poll::Pending,
                End::Break { flushed: true } => Poll::Ready(Some(Err(Broken))),
                End::Break { flushed } => {
                    // Let what was handed over reach the socket first.
                    *flushed = true;
                    cx.waker().wake_by_ref();
                    Poll::Pending
                }
            },
            Payload::Long { left, cut, .. } => {
                let n = (*left - *cut).min(BLOCK.len() as u64);
                *left -= n;
                // At most the block's length, so it fits.
                Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(&BLOCK[..n as usize])))))
            }
            Payload::Drip { left: 0, .. } => Poll::Ready(None),
            Payload::Drip { left, every, pause } => {
                ready!(pause.as_mut().poll(cx));
                let next = pause.deadline() + *every;
                pause.as_mut().reset(next);
                *left -= 1;
                Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(&BLOCK[..1])))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Payload::Whole(bytes) => bytes.is_empty(),
            Payload::Long { left, .. } | Payload::Drip { left, .. } => *left == 0,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Payload::Whole(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Payload::Long { left, .. } => SizeHint::with_exact(*left),
            // Chunked, as such bodies are.
            Payload::Drip { .. } => SizeHint::default(),
        }
    }
}
