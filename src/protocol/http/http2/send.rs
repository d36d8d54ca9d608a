//! A request's body on its way, as fast as the peer's windows let it.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use bytes::Bytes;
use h2::SendStream;
use hyper::body::Body;

/// The largest piece that is handed over at once, in bytes: what is handed over is copied nowhere, but held until it is sent.
const PIECE: usize = 64 * 1024;

/// A body that is being sent.
pub(super) struct Upload<B> {
    stream: SendStream<Bytes>,
    body: Pin<Box<B>>,
    /// What the body has given and the peer has not taken.
    rest: Bytes,
    state: State,
    /// When the last of it was handed over.
    pub done_at: Option<Instant>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Sending,
    /// The body has ended; its last piece stands in `rest`.
    Last,
    Over,
}

/// Why a body is not sent any further.
pub(super) enum Stopped {
    /// It could not be made.
    Body,
    /// The stream or the connection has ended; the answer says why.
    Stream,
}

impl<B: Body<Data = Bytes>> Upload<B> {
    pub fn new(stream: SendStream<Bytes>, body: B) -> Self {
        Self { stream, body: Box::pin(body), rest: Bytes::new(), state: State::Sending, done_at: None }
    }

    /// There is no body: the head has ended the request.
    pub fn end(&mut self) {
        self.state = State::Over;
        self.done_at = Some(Instant::now());
    }

    /// Whether nothing is left to send.
    pub fn is_over(&self) -> bool {
        self.state == State::Over
    }

    /// Sends what can be sent; ready once all is.
    pub fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Stopped>> {
        loop {
            if self.state == State::Over {
                return Poll::Ready(Ok(()));
            }
            if self.rest.is_empty() && self.state == State::Sending {
                // More is made only when there is room for it, so that memory does not grow with a peer that is slow.
                if !self.body.is_end_stream() {
                    self.stream.reserve_capacity(1);
                    if self.stream.capacity() == 0 {
                        ready!(self.capacity(cx))?;
                        continue;
                    }
                }
                match ready!(self.body.as_mut().poll_frame(cx)) {
                    // Trailers of a request are nothing that a profile can write.
                    Some(Ok(frame)) => self.rest = frame.into_data().unwrap_or_default(),
                    Some(Err(_)) => {
                        self.stream.send_reset(h2::Reason::CANCEL);
                        self.state = State::Over;
                        return Poll::Ready(Err(Stopped::Body));
                    }
                    None => self.state = State::Last,
                }
                if self.body.is_end_stream() {
                    self.state = State::Last;
                }
                if self.rest.is_empty() && self.state == State::Sending {
                    continue;
                }
            }
            let wanted = self.rest.len().min(PIECE);
            self.stream.reserve_capacity(wanted);
            if wanted > 0 && self.stream.capacity() == 0 {
                ready!(self.capacity(cx))?;
                continue;
            }
            let piece = self.rest.split_to(wanted.min(self.stream.capacity()));
            let last = self.rest.is_empty() && self.state == State::Last;
            if self.stream.send_data(piece, last).is_err() {
                self.state = State::Over;
                return Poll::Ready(Err(Stopped::Stream));
            }
            if last {
                self.state = State::Over;
                self.done_at = Some(Instant::now());
            }
        }
    }

    /// Waits for room.
    fn capacity(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Stopped>> {
        match ready!(self.stream.poll_capacity(cx)) {
            Some(Ok(_)) => Poll::Ready(Ok(())),
            Some(Err(_)) | None => {
                self.state = State::Over;
                Poll::Ready(Err(Stopped::Stream))
            }
        }
    }
}
