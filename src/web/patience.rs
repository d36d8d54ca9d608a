//! How long a connection may say nothing, and take nothing.

use std::future::Future as _;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::http::Version;
use hyper::body::{Frame, SizeHint};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::Semaphore;
use tokio::time::{Instant, Sleep};

/// How long it may take.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// From a request's first byte to the end of its headers.
    pub headers: Duration,
    /// Between requests.
    pub idle: Duration,
    /// The same where others wait for a place.
    pub crowded: Duration,
    /// While an answer is sent, without any progress of it.
    pub stalled: Duration,
}

/// The places that a connection takes one of: where one has none left, others wait.
pub(super) struct Places(pub [Arc<Semaphore>; 2]);

/// What a connection and its requests know together.
#[derive(Clone)]
pub(super) struct Patience(Arc<Known>);

struct Known {
    answering: AtomicUsize,
    http2: AtomicBool,
    /// The answers that are being sent over HTTP/2, each with when something of it was taken last.
    sending: Mutex<Vec<(u64, Instant)>>,
    places: Places,
}

impl Patience {
    /// Of a connection that has a place of these.
    pub fn new(places: Places) -> Self {
        Self(Arc::new(Known { answering: AtomicUsize::new(0), http2: AtomicBool::new(false), sending: Mutex::default(), places }))
    }

    fn is_crowded(&self) -> bool {
        self.0.places.0.iter().any(|places| places.available_permits() == 0)
    }

    /// A request of that version has come whole and is answered, until what this gives is dropped.
    pub fn answers(&self, version: Version) -> UnderWay {
        self.0.answering.fetch_add(1, Ordering::Relaxed);
        self.0.http2.fetch_or(version == Version::HTTP_2, Ordering::Relaxed);
        UnderWay(self.clone())
    }

    /// An answer over HTTP/2 as it is sent. The connection itself doesn't stand still where a peer takes nothing of one of them.
    pub fn sends(&self, body: Body) -> Body {
        let mut sending = self.sending();
        let number = sending.last().map_or(0, |(last, _)| last + 1);
        sending.push((number, Instant::now()));
        drop(sending);
        Body::new(Sending { body, number, patience: self.clone() })
    }

    /// Waits until nothing was taken of one of these answers for so long.
    pub async fn is_out(&self, stalled: Duration) {
        loop {
            let oldest = self.sending().iter().map(|(_, at)| *at).min();
            let left = oldest.map_or(stalled, |at| stalled.saturating_sub(at.elapsed()));
            if left.is_zero() {
                return;
            }
            tokio::time::sleep(left).await;
        }
    }

    fn sending(&self) -> MutexGuard<'_, Vec<(u64, Instant)>> {
        // Nothing panics while it is locked.
        self.0.sending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_answering(&self) -> bool {
        self.0.answering.load(Ordering::Relaxed) > 0
    }

    /// Whether what comes between two requests may be something else than the beginning of one.
    fn is_http2(&self) -> bool {
        self.0.http2.load(Ordering::Relaxed)
    }
}

/// A request that is being answered.
pub(super) struct UnderWay(Patience);

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.0.answering.fetch_sub(1, Ordering::Relaxed);
    }
}

/// An answer of which each part is asked for once its peer has room for it.
struct Sending {
    body: Body,
    number: u64,
    patience: Patience,
}

impl HttpBody for Sending {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        if let Some((_, at)) = self.patience.sending().iter_mut().find(|(number, _)| *number == self.number) {
            *at = Instant::now();
        }
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Sending {
    fn drop(&mut self) {
        self.patience.sending().retain(|(number, _)| *number != self.number);
    }
}

/// A stream that fails once its peer has said nothing for too long.
pub(super) struct Patient<S> {
    stream: S,
    patience: Patience,
    limits: Limits,
    waits: For,
    since: Instant,
    /// When to look at it again.
    alarm: Pin<Box<Sleep>>,
}

/// What is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum For {
    /// The end of a request's headers, of which the first byte has come, or is awaited since the connection was opened.
    Headers,
    /// The next request, or the answer to this one.
    Next,
    /// That the peer takes some of an answer.
    Room,
    /// That it takes the rest of one.
    Flush,
}

impl<S> Patient<S> {
    /// Nothing was said so far.
    pub fn new(stream: S, patience: Patience, limits: Limits) -> Self {
        // Whoever connects wants something.
        let alarm = Box::pin(tokio::time::sleep(limits.headers));
        Self { stream, patience, limits, waits: For::Headers, since: Instant::now(), alarm }
    }

    fn waits(&mut self, what: For) {
        (self.waits, self.since) = (what, Instant::now());
        self.rings(match what {
            For::Headers => self.limits.headers,
            For::Next => self.limits.idle.min(self.limits.crowded),
            For::Room | For::Flush => self.limits.stalled,
        });
    }

    fn rings(&mut self, after: Duration) {
        self.alarm.as_mut().reset(Instant::now() + after);
    }

    /// Whether it is time to give up.
    fn is_over(&mut self, cx: &mut Context<'_>) -> bool {
        while self.alarm.as_mut().poll(cx).is_ready() {
            match self.waits {
                For::Room | For::Flush => return true,
                // An answer takes as long as it takes.
                _ if self.patience.is_answering() => self.waits(For::Next),
                For::Headers => return true,
                For::Next => {
                    let left = self.limits.idle.saturating_sub(self.since.elapsed());
                    if left.is_zero() || self.patience.is_crowded() {
                        return true;
                    }
                    // Others may come to wait meanwhile.
                    self.rings(left.min(self.limits.crowded));
                }
            }
        }
        false
    }

    /// What became of sending; the peer may have no room for it.
    fn sent<T>(&mut self, cx: &mut Context<'_>, what: For, sent: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if sent.is_ready() {
            // An answer: the next request is another one.
            if what == For::Room || self.waits == For::Flush {
                self.waits(For::Next);
            }
            return sent;
        }
        if !matches!(self.waits, For::Room | For::Flush) {
            self.waits(what);
        }
        if self.is_over(cx) { too_long() } else { Poll::Pending }
    }
}

fn too_long<T>() -> Poll<io::Result<T>> {
    Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
}

impl<S: AsyncRead + Unpin> AsyncRead for Patient<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        if Pin::new(&mut self.stream).poll_read(cx, buffer).is_pending() {
            return if self.is_over(cx) { too_long() } else { Poll::Pending };
        }
        if buffer.filled().len() > before && self.waits == For::Next && !self.patience.is_http2() {
            self.waits(For::Headers);
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Patient<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.sent(cx, For::Room, written)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(cx);
        self.sent(cx, For::Flush, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let shut = Pin::new(&mut self.stream).poll_shutdown(cx);
        self.sent(cx, For::Flush, shut)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};
    use tokio::time::timeout;

    use super::*;

    const LONG: Duration = Duration::from_secs(3600);
    const SHORT: Duration = Duration::from_millis(30);

    /// Connections that may be had at once.
    fn places(left: usize) -> Places {
        Places([Arc::new(Semaphore::new(100)), Arc::new(Semaphore::new(left))])
    }

    fn pair(headers: Duration, idle: Duration) -> (DuplexStream, Patient<DuplexStream>, Patience) {
        let ((client, server), patience) = (duplex(64), Patience::new(places(100)));
        (client, Patient::new(server, patience.clone(), Limits { headers, idle, crowded: LONG, stalled: SHORT }), patience)
    }

    async fn reads(server: &mut Patient<DuplexStream>) -> Result<usize, io::ErrorKind> {
        server.read(&mut [0; 64]).await.map_err(|error| error.kind())
    }

    #[tokio::test]
    async fn half_a_request_ends_and_so_does_a_connection_without_one() {
        for said in ["", "GET"] {
            let (mut client, mut server, _) = pair(SHORT, LONG);
            client.write_all(said.as_bytes()).await.unwrap();
            if !said.is_empty() {
                assert_eq!(reads(&mut server).await, Ok(3));
            }
            assert_eq!(reads(&mut server).await, Err(io::ErrorKind::TimedOut), "{said}");
        }
    }

    #[tokio::test]
    async fn an_answer_takes_as_long_as_it_takes_and_then_the_connection_may_be_idle() {
        let (mut client, mut server, patience) = pair(SHORT, LONG);
        client.write_all(b"GET").await.unwrap();
        assert_eq!(reads(&mut server).await, Ok(3));
        let answering = patience.answers(Version::HTTP_11);
        assert!(timeout(SHORT * 5, reads(&mut server)).await.is_err(), "an answer takes its time");
        drop(answering);
        server.write_all(b"200").await.unwrap();
        assert!(timeout(SHORT * 5, reads(&mut server)).await.is_err(), "idle");
        client.write_all(b"GET").await.unwrap();
        assert_eq!(reads(&mut server).await, Ok(3));
        assert_eq!(reads(&mut server).await, Err(io::ErrorKind::TimedOut), "half of the next request");

        // HTTP/2 acknowledges what it got.
        let (mut client, mut server, patience) = pair(SHORT, LONG);
        drop(patience.answers(Version::HTTP_2));
        server.write_all(b"200").await.unwrap();
        client.write_all(b"ACK").await.unwrap();
        assert_eq!(reads(&mut server).await, Ok(3));
        assert!(timeout(SHORT * 5, reads(&mut server)).await.is_err(), "idle all the same");

        let (_client, mut server, _) = pair(LONG, SHORT);
        server.write_all(b"200").await.unwrap();
        assert_eq!(reads(&mut server).await, Err(io::ErrorKind::TimedOut), "idle for too long");
    }

    #[tokio::test]
    async fn an_answer_that_nobody_takes_ends_and_one_that_is_taken_slowly_goes_on() {
        let (mut client, mut server, patience) = pair(LONG, LONG);
        let answering = patience.answers(Version::HTTP_11);
        let taken = tokio::spawn(async move {
            let mut part = [0; 40];
            for _ in 0..5 {
                tokio::time::sleep(SHORT / 3).await;
                client.read_exact(&mut part).await.unwrap();
            }
            client
        });
        server.write_all(&[0; 200]).await.unwrap();
        server.flush().await.unwrap();
        let _client = taken.await.unwrap();
        drop(answering);
        // Meanwhile it is asked whether all is flushed, and says so.
        let sending = async {
            let mut left = 200;
            while left > 0 {
                left -= server.write(&[0; 10]).await.map_err(|error| error.kind())?;
                server.flush().await.map_err(|error| error.kind())?;
            }
            Ok(())
        };
        assert_eq!(timeout(LONG, sending).await.unwrap(), Err(io::ErrorKind::TimedOut));
    }

    #[tokio::test]
    async fn over_http2_each_answer_has_to_be_taken() {
        let patience = Patience::new(places(100));
        assert!(timeout(SHORT * 3, patience.is_out(SHORT)).await.is_err(), "there is none");
        let [mut taken, left] = ["a", "b"].map(|text| patience.sends(Body::from(text)));
        let taking = async {
            loop {
                tokio::time::sleep(SHORT / 6).await;
                std::future::poll_fn(|cx| Pin::new(&mut taken).poll_frame(cx)).await.transpose().unwrap();
            }
        };
        tokio::select! {
            () = taking => {}
            () = patience.is_out(SHORT) => {}
        }
        drop(left);
        let taking = async {
            for _ in 0..20 {
                tokio::time::sleep(SHORT / 6).await;
                std::future::poll_fn(|cx| Pin::new(&mut taken).poll_frame(cx)).await.transpose().unwrap();
            }
        };
        tokio::select! {
            () = taking => {}
            () = patience.is_out(SHORT * 2) => panic!("all is taken"),
        }
        drop(taken);
        assert!(patience.sending().is_empty());
    }

    #[tokio::test]
    async fn where_no_place_is_left_an_idle_connection_ends_sooner() {
        let limits = Limits { headers: LONG, idle: LONG, crowded: SHORT, stalled: LONG };
        for (left, ends) in [(0, true), (1, false)] {
            let ((_client, server), patience) = (duplex(64), Patience::new(places(left)));
            let mut server = Patient::new(server, patience.clone(), limits);
            let answering = patience.answers(Version::HTTP_11);
            server.write_all(b"200").await.unwrap();
            assert!(timeout(SHORT * 5, reads(&mut server)).await.is_err(), "an answer takes its time");
            drop(answering);
            let read = timeout(SHORT * 5, reads(&mut server)).await;
            assert_eq!(read.ok(), ends.then_some(Err(io::ErrorKind::TimedOut)), "{left} left");
        }
    }
}
