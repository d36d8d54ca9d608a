//! A connection's bytes, plain or through TLS, and the meter that counts them.
//!
//! Bytes are counted on the socket, so with TLS as ciphertext; the times of the first byte out and in are taken above TLS,
//! since a session ticket is not an answer.

use std::io::{self, IoSlice};
use std::os::fd::{AsRawFd, RawFd};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU8, AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use super::heard::Heard;
use super::turn::{self, Turn};

/// What went over one connection. One writer, the connection itself; relaxed loads and stores are enough.
#[derive(Debug)]
pub struct Meter {
    /// Times are kept as nanoseconds since then, plus one; 0 is "not yet".
    epoch: Instant,
    sent: AtomicU64,
    received: AtomicU64,
    first_sent: AtomicU64,
    first_received: AtomicU64,
    /// When the last write ended, where there was more than one.
    last_sent: AtomicU64,
    /// Whether the last write found the socket's buffer full.
    blocked: AtomicBool,
    /// How far an answer of HTTP/1 has come since the last restart, a [`Heard`].
    heard: AtomicU8,
    turn: Turn,
    /// Whether something was written since the last restart.
    wrote: AtomicBool,
    /// Whether a write that fails waits for what the peer has said.
    patient: AtomicBool,
    /// Whether a write failed and waits.
    cut_off: AtomicBool,
    /// The open socket, or [`CLOSED`].
    fd: AtomicI32,
}

const CLOSED: RawFd = -1;

impl Meter {
    fn new(fd: RawFd) -> Self {
        Self {
            epoch: Instant::now(),
            sent: AtomicU64::new(0),
            received: AtomicU64::new(0),
            first_sent: AtomicU64::new(0),
            first_received: AtomicU64::new(0),
            last_sent: AtomicU64::new(0),
            blocked: AtomicBool::new(false),
            heard: AtomicU8::new(Heard::NOTHING.0),
            turn: Turn::default(),
            wrote: AtomicBool::new(false),
            patient: AtomicBool::new(false),
            cut_off: AtomicBool::new(false),
            fd: AtomicI32::new(fd),
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

    /// Forgets the times of the first and last bytes: the next request begins.
    #[inline]
    pub fn restart(&self) {
        self.first_sent.store(0, Relaxed);
        self.first_received.store(0, Relaxed);
        self.last_sent.store(0, Relaxed);
        self.wrote.store(false, Relaxed);
        self.patient.store(false, Relaxed);
        self.heard.store(Heard::NOTHING.0, Relaxed);
        self.turn.begins_anew();
    }

    /// Prepares for a long body, until the next [`Self::restart`]: a write that fails since the peer has closed is held back
    /// until all that the peer has said is read, for that may be the answer that says why. And no more than `unsent` bytes are
    /// to stand in the socket's buffer without being on their way, so that the time of the last byte is nearly the time of
    /// its sending. It is for connections that are read while they are written to.
    pub fn expect_long_body(&self, unsent: u32) {
        self.patient.store(true, Relaxed);
        let fd = self.fd.load(Relaxed);
        // SAFETY: the value is a C int that outlives the call; of `fd` see `is_readable`. A system without the option says so,
        // and the times are then a little less exact.
        unsafe {
            let value = libc::c_int::try_from(unsent).unwrap_or(libc::c_int::MAX);
            let length = size_of::<libc::c_int>() as libc::socklen_t;
            libc::setsockopt(fd, libc::IPPROTO_TCP, libc::TCP_NOTSENT_LOWAT, (&raw const value).cast(), length);
        }
    }

    /// Whether a write failed, and nothing more can be sent.
    #[inline]
    pub fn is_cut_off(&self) -> bool {
        self.cut_off.load(Relaxed)
    }

    /// When the first byte since [`Self::restart`] was handed to the socket.
    #[inline]
    pub fn first_sent(&self) -> Option<Instant> {
        self.instant(&self.first_sent)
    }

    /// When the last byte since [`Self::restart`] was handed to the socket, as far as is known: a single write is not timed
    /// at its end, since it takes next to no time.
    #[inline]
    pub fn last_sent(&self) -> Option<Instant> {
        self.instant(&self.last_sent).or_else(|| self.first_sent())
    }

    /// When the first byte since [`Self::restart`] came; that of interim answers of HTTP/1 (1xx) is none.
    #[inline]
    pub fn first_received(&self) -> Option<Instant> {
        self.instant(&self.first_received)
    }

    /// Whether the status of an answer of HTTP/1 came since [`Self::restart`].
    pub fn has_status(&self) -> bool {
        Heard(self.heard.load(Relaxed)) == Heard::STATUS
    }

    /// Whether what was to be sent stands in line before a full socket.
    #[inline]
    pub fn is_blocked(&self) -> bool {
        self.blocked.load(Relaxed)
    }

    /// Asks the kernel whether there is something to read on the socket, be it the peer's goodbye: one system call, no wait.
    /// For an idle connection, since the runtime may not know of it yet.
    pub fn is_readable(&self) -> bool {
        let fd = self.fd.load(Relaxed);
        let mut byte = 0u8;
        // SAFETY: the buffer is one byte and outlives the call. `fd` is the socket while it is open; `Counted` takes it
        // back before it closes it, and both are used by the one thread that drives the connection.
        let n = unsafe { libc::recv(fd, (&raw mut byte).cast(), 1, libc::MSG_PEEK | libc::MSG_DONTWAIT) };
        n >= 0 || !matches!(io::Error::last_os_error().raw_os_error(), Some(libc::EAGAIN | libc::EINTR))
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

    /// Something came.
    #[inline]
    fn came(&self, data: &[u8]) {
        let heard = Heard(self.heard.load(Relaxed)).and(data);
        self.heard.store(heard.0, Relaxed);
        if heard.is_interim() {
            self.first_received.store(0, Relaxed);
        } else {
            self.stamp(&self.first_received);
        }
    }

    /// Counts what a write took of the `offered` bytes.
    #[inline]
    fn wrote(&self, written: &Poll<io::Result<usize>>, offered: usize) {
        let n = match written {
            Poll::Ready(Ok(n)) => *n,
            Poll::Ready(Err(_)) | Poll::Pending => 0,
        };
        Self::add(&self.sent, n);
        self.blocked.store(n < offered, Relaxed);
        if n > 0 {
            if self.wrote.load(Relaxed) {
                self.last_sent.store(self.now(), Relaxed);
            }
            self.wrote.store(true, Relaxed);
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
        Self { meter: Arc::new(Meter::new(tcp.as_raw_fd())), tcp }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.meter.fd.store(CLOSED, Relaxed);
    }
}

impl AsyncRead for Counted {
    #[inline]
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let Self { meter, .. } = &*self;
        if meter.turn.ends(|| meter.now()) {
            turn::give_way(cx);
            return Poll::Pending;
        }
        let mut part = buf.take(turn::AT_ONCE);
        let read = Pin::new(&mut self.tcp).poll_read(cx, &mut part);
        let n = part.filled().len();
        // SAFETY: `part` is the beginning of what isn't filled of `buf`, and so much of it is.
        unsafe { buf.assume_init(n) };
        buf.advance(n);
        let meter = &self.meter;
        match read {
            Poll::Ready(_) => meter.turn.read(n, || meter.now()),
            Poll::Pending => meter.turn.begins_anew(),
        }
        Meter::add(&meter.received, n);
        read
    }
}

impl AsyncWrite for Counted {
    #[inline]
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.tcp).poll_write(cx, buf);
        self.meter.wrote(&written, buf.len());
        written
    }

    #[inline]
    fn poll_write_vectored(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bufs: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        if let [only] = bufs {
            // A request without a body: the plain system call is the cheaper one.
            return self.poll_write(cx, only);
        }
        let written = Pin::new(&mut self.tcp).poll_write_vectored(cx, bufs);
        self.meter.wrote(&written, bufs.iter().map(|buf| buf.len()).sum());
        written
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

impl Inner {
    #[inline]
    fn poll_read(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self {
            Inner::Plain(stream) => Pin::new(stream).poll_read(cx, buf),
            Inner::Tls(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

/// An open connection. Dropping it closes the socket.
#[derive(Debug)]
pub struct Stream {
    inner: Inner,
    meter: Arc<Meter>,
    /// Why a write failed that waits for what the peer has said.
    cut_off: Option<io::ErrorKind>,
}

impl Stream {
    pub(super) fn plain(counted: Counted) -> Self {
        Self { meter: Arc::clone(&counted.meter), inner: Inner::Plain(counted), cut_off: None }
    }

    pub(super) fn tls(stream: TlsStream<Counted>) -> Self {
        Self { meter: Arc::clone(&stream.get_ref().0.meter), inner: Inner::Tls(Box::new(stream)), cut_off: None }
    }

    /// Holds a failed write back where that is wanted: reading goes on, and ends with the same error once there is nothing more
    /// to read. Whoever writes is woken by that.
    #[inline]
    fn hold_back<T>(&mut self, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        match written {
            Poll::Ready(Err(error)) if self.meter.patient.load(Relaxed) && is_goodbye(error.kind()) => {
                self.cut_off = Some(error.kind());
                self.meter.cut_off.store(true, Relaxed);
                Poll::Pending
            }
            written => written,
        }
    }

    /// What went over this connection; it outlives the stream.
    pub fn meter(&self) -> &Arc<Meter> {
        &self.meter
    }

    /// What was agreed on within TLS to speak (ALPN), if anything was.
    pub fn alpn(&self) -> Option<&[u8]> {
        match &self.inner {
            Inner::Plain(_) => None,
            Inner::Tls(stream) => stream.get_ref().1.alpn_protocol(),
        }
    }

    /// The socket, to set its options.
    pub fn tcp(&self) -> &TcpStream {
        match &self.inner {
            Inner::Plain(counted) => &counted.tcp,
            Inner::Tls(stream) => &stream.get_ref().0.tcp,
        }
    }
}

/// Whether a write failed since the peer has closed: then what it sent before can still be read.
fn is_goodbye(kind: io::ErrorKind) -> bool {
    matches!(kind, io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionAborted)
}

impl AsyncRead for Stream {
    #[inline]
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(self.inner.poll_read(cx, buf))?;
        if buf.filled().len() > before {
            self.meter.came(&buf.filled()[before..]);
        } else if let Some(kind) = self.cut_off {
            // The peer has said nothing more: what broke the write is what there is to report.
            return Poll::Ready(Err(kind.into()));
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Stream {
    #[inline]
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.meter.stamp(&self.meter.first_sent);
        let written = match &mut self.inner {
            Inner::Plain(stream) => Pin::new(stream).poll_write(cx, buf),
            Inner::Tls(stream) => Pin::new(stream).poll_write(cx, buf),
        };
        self.hold_back(written)
    }

    #[inline]
    fn poll_write_vectored(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bufs: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        self.meter.stamp(&self.meter.first_sent);
        let written = match &mut self.inner {
            Inner::Plain(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
            Inner::Tls(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
        };
        self.hold_back(written)
    }

    fn is_write_vectored(&self) -> bool {
        match &self.inner {
            Inner::Plain(stream) => stream.is_write_vectored(),
            Inner::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = match &mut self.inner {
            Inner::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Inner::Tls(stream) => Pin::new(stream).poll_flush(cx),
        };
        self.hold_back(flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.inner {
            Inner::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Inner::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

#[cfg(test)]
#[path = "stream_tests.rs"]
mod tests;
