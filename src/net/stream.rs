//! A connection's bytes, plain or through TLS, and the meter that counts them.
//!
//! Bytes are counted on the socket, so with TLS as ciphertext; the times of the first byte out and in are taken above TLS,
//! since a session ticket is not an answer.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

/// What went over one connection. One writer, the connection itself; relaxed loads and stores are enough.
#[derive(Debug)]
pub struct Meter {
    /// Times are kept as nanoseconds since then, plus one; 0 is "not yet".
    epoch: Instant,
    sent: AtomicU64,
    received: AtomicU64,
    first_sent: AtomicU64,
    first_received: AtomicU64,
}

impl Meter {
    fn new() -> Self {
        Self {
            epoch: Instant::now(),
            sent: AtomicU64::new(0),
            received: AtomicU64::new(0),
            first_sent: AtomicU64::new(0),
            first_received: AtomicU64::new(0),
        }
    }

    /// Bytes written to the socket so far, a handshake's included.
    #[inline]
    pub fn sent(&self) -> u64 {
        self.sent.load(Relaxed)
    }

    /// Bytes read from the socket so far, a handshake's included.
    #[inline]
    pub fn received(&self) -> u64 {
        self.received.load(Relaxed)
    }

    /// Forgets the times of the first bytes: the next request begins.
    #[inline]
    pub fn restart(&self) {
        self.first_sent.store(0, Relaxed);
        self.first_received.store(0, Relaxed);
    }

    /// When the first byte since [`Self::restart`] was handed to the socket.
    #[inline]
    pub fn first_sent(&self) -> Option<Instant> {
        self.instant(&self.first_sent)
    }

    /// When the first byte since [`Self::restart`] came.
    #[inline]
    pub fn first_received(&self) -> Option<Instant> {
        self.instant(&self.first_received)
    }

    fn instant(&self, at: &AtomicU64) -> Option<Instant> {
        let nanos = at.load(Relaxed).checked_sub(1)?;
        Some(self.epoch + Duration::from_nanos(nanos))
    }

    /// The time to store: never 0.
    fn now(&self) -> u64 {
        self.epoch.elapsed().as_nanos() as u64 + 1
    }

    #[inline]
    fn stamp(&self, at: &AtomicU64) {
        if at.load(Relaxed) == 0 {
            at.store(self.now(), Relaxed);
        }
    }

    #[inline]
    fn add(counter: &AtomicU64, n: usize) {
        // A single writer needs no read-modify-write.
        counter.store(counter.load(Relaxed) + n as u64, Relaxed);
    }
}

/// A socket whose bytes are counted.
#[derive(Debug)]
pub(super) struct Counted {
    tcp: TcpStream,
    meter: Arc<Meter>,
}

impl Counted {
    pub(super) fn new(tcp: TcpStream) -> Self {
        Self { tcp, meter: Arc::new(Meter::new()) }
    }
}

impl AsyncRead for Counted {
    #[inline]
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.tcp).poll_read(cx, buf))?;
        Meter::add(&self.meter.received, buf.filled().len() - before);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Counted {
    #[inline]
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let n = ready!(Pin::new(&mut self.tcp).poll_write(cx, buf))?;
        Meter::add(&self.meter.sent, n);
        Poll::Ready(Ok(n))
    }

    #[inline]
    fn poll_write_vectored(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bufs: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let n = ready!(Pin::new(&mut self.tcp).poll_write_vectored(cx, bufs))?;
        Meter::add(&self.meter.sent, n);
        Poll::Ready(Ok(n))
    }

    fn is_write_vectored(&self) -> bool {
        self.tcp.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_shutdown(cx)
    }
}

#[derive(Debug)]
enum Inner {
    Plain(Counted),
    Tls(Box<TlsStream<Counted>>),
}

/// An open connection. Dropping it closes the socket.
#[derive(Debug)]
pub struct Stream {
    inner: Inner,
    meter: Arc<Meter>,
}

impl Stream {
    pub(super) fn plain(counted: Counted) -> Self {
        Self { meter: Arc::clone(&counted.meter), inner: Inner::Plain(counted) }
    }

    pub(super) fn tls(stream: TlsStream<Counted>) -> Self {
        Self { meter: Arc::clone(&stream.get_ref().0.meter), inner: Inner::Tls(Box::new(stream)) }
    }

    /// What went over this connection; it outlives the stream.
    pub fn meter(&self) -> &Arc<Meter> {
        &self.meter
    }

    /// The socket, to set its options.
    pub fn tcp(&self) -> &TcpStream {
        match &self.inner {
            Inner::Plain(counted) => &counted.tcp,
            Inner::Tls(stream) => &stream.get_ref().0.tcp,
        }
    }
}

impl AsyncRead for Stream {
    #[inline]
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(match &mut self.inner {
            Inner::Plain(stream) => Pin::new(stream).poll_read(cx, buf),
            Inner::Tls(stream) => Pin::new(stream).poll_read(cx, buf),
        })?;
        if buf.filled().len() > before {
            self.meter.stamp(&self.meter.first_received);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Stream {
    #[inline]
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.meter.stamp(&self.meter.first_sent);
        match &mut self.inner {
            Inner::Plain(stream) => Pin::new(stream).poll_write(cx, buf),
            Inner::Tls(stream) => Pin::new(stream).poll_write(cx, buf),
        }
    }

    #[inline]
    fn poll_write_vectored(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bufs: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        self.meter.stamp(&self.meter.first_sent);
        match &mut self.inner {
            Inner::Plain(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
            Inner::Tls(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match &self.inner {
            Inner::Plain(stream) => stream.is_write_vectored(),
            Inner::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.inner {
            Inner::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Inner::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.inner {
            Inner::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Inner::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
