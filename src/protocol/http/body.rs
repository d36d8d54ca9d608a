//! The body of a request on its way to hyper: bytes that are there at once, or an upload that is made as it is sent.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use super::upload::{Tally, Upload};

/// What a request carries. A clone of an upload begins at its beginning.
#[derive(Debug, Clone)]
pub(super) enum Payload {
    /// All of it, perhaps nothing.
    Once(Bytes),
    /// Made as it is sent. Boxed, so that requests without it stay small.
    Streamed(Box<Upload>),
}

impl Payload {
    /// Nothing.
    pub const fn empty() -> Self {
        Payload::Once(Bytes::new())
    }

    /// What is known of an upload while it goes on, and afterwards.
    pub fn tally(&self) -> Option<Arc<Tally>> {
        match self {
            Payload::Once(_) => None,
            Payload::Streamed(upload) => Some(upload.tally()),
        }
    }
}

impl From<Bytes> for Payload {
    fn from(bytes: Bytes) -> Self {
        Payload::Once(bytes)
    }
}

impl Body for Payload {
    type Data = Bytes;
    type Error = io::Error;

    #[inline]
    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        match self.get_mut() {
            Payload::Once(bytes) if bytes.is_empty() => Poll::Ready(None),
            Payload::Once(bytes) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(bytes))))),
            Payload::Streamed(upload) => upload.poll(cx).map(|chunk| chunk.map(|chunk| chunk.map(Frame::data))),
        }
    }

    #[inline]
    fn is_end_stream(&self) -> bool {
        match self {
            Payload::Once(bytes) => bytes.is_empty(),
            Payload::Streamed(upload) => upload.left() == 0,
        }
    }

    #[inline]
    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(match self {
            Payload::Once(bytes) => bytes.len() as u64,
            Payload::Streamed(upload) => upload.left(),
        })
    }
}
