//! How long a connection may say nothing.

use std::future::Future as _;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

/// How long it may take.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// From a request's first byte to the end of its headers.
    pub headers: Duration,
    /// Between requests, and without any progress of an answer.
    pub idle: Duration,
}

/// What a connection and its requests know together.
#[derive(Clone, Default)]
pub(super) struct Patience(Arc<AtomicUsize>);

impl Patience {
    /// A request has come whole and is answered, until what this gives is dropped.
    pub fn answers(&self) -> UnderWay {
        self.0.fetch_add(1, Ordering::Relaxed);
        UnderWay(self.clone())
    }

    fn is_answering(&self) -> bool {
        self.0.load(Ordering::Relaxed) > 0
    }
}

/// A request that is being answered.
pub(super) struct UnderWay(Patience);

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A stream that fails once its peer has said nothing for too long.
pub(super) struct Patient<S> {
    stream: S,
    patience: Patience,
    limits: Limits,
    /// A request has begun, and its headers have not ended.
    begun: bool,
    until: Pin<Box<Sleep>>,
}

impl<S> Patient<S> {
    /// Nothing was said so far.
    pub fn new(stream: S, patience: Patience, limits: Limits) -> Self {
        // Whoever connects wants something.
        Self { stream, patience, limits, begun: true, until: Box::pin(tokio::time::sleep(limits.headers)) }
    }

    fn waits(&mut self, long: Duration) {
        self.until.as_mut().reset(Instant::now() + long);
    }

    /// Whether it is time to give up.
    fn is_over(&mut self, cx: &mut Context<'_>) -> bool {
        while self.until.as_mut().poll(cx).is_ready() {
            if !self.patience.is_answering() {
                return true;
            }
            self.begun = false;
            self.waits(self.limits.idle);
        }
        false
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
        if buffer.filled().len() > before && !self.begun {
            self.begun = true;
            let long = self.limits.headers;
            self.waits(long);
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Patient<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let Poll::Ready(written) = Pin::new(&mut self.stream).poll_write(cx, bytes) else {
            return if self.is_over(cx) { too_long() } else { Poll::Pending };
        };
        // An answer: the next request is another one.
        self.begun = false;
        let long = self.limits.idle;
        self.waits(long);
        Poll::Ready(written)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};
    use tokio::time::timeout;

    use super::*;

    const LONG: Duration = Duration::from_secs(3600);
    const SHORT: Duration = Duration::from_millis(30);

    fn pair(headers: Duration, idle: Duration) -> (DuplexStream, Patient<DuplexStream>, Patience) {
        let ((client, server), patience) = (duplex(64), Patience::default());
        (client, Patient::new(server, patience.clone(), Limits { headers, idle }), patience)
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
        let answering = patience.answers();
        assert!(timeout(SHORT * 5, reads(&mut server)).await.is_err(), "an answer takes its time");
        drop(answering);
        server.write_all(b"200").await.unwrap();
        assert!(timeout(SHORT * 5, reads(&mut server)).await.is_err(), "idle");
        client.write_all(b"GET").await.unwrap();
        assert_eq!(reads(&mut server).await, Ok(3));
        assert_eq!(reads(&mut server).await, Err(io::ErrorKind::TimedOut), "half of the next request");

        let (_client, mut server, _) = pair(LONG, SHORT);
        server.write_all(b"200").await.unwrap();
        assert_eq!(reads(&mut server).await, Err(io::ErrorKind::TimedOut), "idle for too long");
        // An answer that nobody takes.
        assert_eq!(server.write_all(&[0; 200]).await.unwrap_err().kind(), io::ErrorKind::TimedOut);
    }
}
