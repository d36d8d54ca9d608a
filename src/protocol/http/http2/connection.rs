//! One connection that many requests share.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use h2::client::SendRequest;
use tokio::sync::{Semaphore, SemaphorePermit, oneshot};

use super::failure::{MAX_HEADERS, outage};
use super::watched::{End, Watched};
use crate::base::Reason;
use crate::net::{Dialing, Meter, Stream};
use crate::protocol::http::address::Origin;
use crate::protocol::http::exchange::Stage;
use crate::protocol::http::failure::Failure;

/// How much of a body the peer may send ahead on one stream, in bytes; more than a fast network holds on its way.
const STREAM_WINDOW: u32 = 1024 * 1024;
/// The same on all streams of a connection.
const CONNECTION_WINDOW: u32 = 8 * 1024 * 1024;
/// How much of a request's body may wait in memory for the peer to take it, in bytes.
const SEND_BUFFER: usize = 256 * 1024;
/// How many streams are opened before the peer has said how many it takes: the least that RFC 9113, 6.5.2 recommends.
const FIRST_STREAMS: usize = 100;
/// No more streams than this, whatever the peer allows.
const MAX_STREAMS: usize = 100_000;
/// How long a connection may take for its goodbye once nobody uses it.
const GOODBYE: Duration = Duration::from_secs(1);

/// An open connection; the clones are the same one. With the last clone it closes.
#[derive(Debug, Clone)]
pub(in crate::protocol::http) struct H2Connection(Arc<ConnectionState>);

#[derive(Debug)]
struct ConnectionState {
    origin: Arc<Origin>,
    meter: Arc<Meter>,
    sender: SendRequest<Bytes>,
    end: Arc<OnceLock<End>>,
    /// Requests that have a ticket, under way or waiting for a stream.
    tickets: AtomicUsize,
    /// Since when nobody has one, once somebody had.
    idle_since: Mutex<Option<Instant>>,
    streams: Semaphore,
    /// How many permits there are in all; `usize::MAX >> 1` and more would not fit a semaphore.
    limit: AtomicUsize,
    /// Permits to be taken away as they come back, since the peer has lowered its limit.
    owed: AtomicUsize,
    /// The bytes that have been given to requests.
    claimed_sent: AtomicU64,
    claimed_received: AtomicU64,
    /// Whether somebody has claimed its end, to report it.
    end_claimed: AtomicBool,
    /// Dropped with this; the driving task then says goodbye.
    _alive: oneshot::Sender<()>,
}

/// Makes a line of a stream on which the peer is expected to speak HTTP/2.
pub(in crate::protocol::http) async fn connect(
    origin: &Arc<Origin>,
    stream: Stream,
    dialing: &Dialing,
) -> Result<H2Connection, crate::net::DialError> {
    let meter = Arc::clone(stream.meter());
    let end = Arc::new(OnceLock::new());
    let handshake = h2::client::Builder::new()
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_header_list_size(MAX_HEADERS)
        .max_send_buffer_size(SEND_BUFFER)
        .initial_max_send_streams(FIRST_STREAMS)
        .enable_push(false)
        .handshake(Watched::new(stream, Arc::clone(&end)));
    let (sender, connection) = handshake.await.map_err(|error| {
        let Failure { reason, detail, .. } = outage(&error, end.get(), Stage::Send).failure;
        crate::net::DialError { reason, stage: dialing.stage, message: detail }
    })?;
    let (alive, dropped) = oneshot::channel::<()>();
    tokio::spawn(async move {
        let given_up = async {
            let _ = dropped.await;
            tokio::time::sleep(GOODBYE).await;
        };
        // Each stream learns how it ended, and so does the next one that would be opened.
        tokio::select! {
            _ = connection => {}
            () = given_up => {}
        }
    });
    Ok(H2Connection(Arc::new(ConnectionState {
        origin: Arc::clone(origin),
        meter,
        sender,
        end,
        tickets: AtomicUsize::new(0),
        idle_since: Mutex::default(),
        streams: Semaphore::new(FIRST_STREAMS),
        limit: AtomicUsize::new(FIRST_STREAMS),
        owed: AtomicUsize::new(0),
        claimed_sent: AtomicU64::new(0),
        claimed_received: AtomicU64::new(0),
        end_claimed: AtomicBool::new(false),
        _alive: alive,
    })))
}

impl H2Connection {
    /// Where it leads.
    pub fn origin(&self) -> &Arc<Origin> {
        &self.0.origin
    }

    /// Whether both are the same connection.
    pub fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// How many requests use it.
    pub fn load(&self) -> usize {
        self.0.tickets.load(Relaxed)
    }

    /// Whether what is to be sent stands in line before a full socket.
    pub fn is_blocked(&self) -> bool {
        self.0.meter.is_blocked()
    }

    /// Takes the bytes that went over it, both ways, since somebody last did.
    pub fn claim(&self) -> (u64, u64) {
        let ConnectionState { meter, claimed_sent, claimed_received, .. } = &*self.0;
        let take = |now: u64, claimed: &AtomicU64| now - claimed.swap(now, Relaxed);
        (take(meter.sent(), claimed_sent), take(meter.received(), claimed_received))
    }

    /// Whether its end is still to be reported; true only once, for whoever asks first.
    pub fn claim_end(&self) -> bool {
        !self.0.end_claimed.swap(true, Relaxed)
    }

    /// Why it ended, where this side had not meant it to.
    pub fn why(&self) -> Reason {
        match self.0.end.get() {
            Some(End::Broken(reason, _)) => *reason,
            Some(End::Closed) | None => Reason::Closed,
        }
    }

    pub(super) fn sender(&self) -> SendRequest<Bytes> {
        self.0.sender.clone()
    }

    pub(super) fn end(&self) -> Option<&End> {
        self.0.end.get()
    }

    /// Counts one more request on it.
    pub fn reserve(&self) -> StreamPermit {
        self.0.tickets.fetch_add(1, Relaxed);
        StreamPermit { line: self.clone(), idle_since: self.0.idle_since().take() }
    }

    /// Waits until the peer takes one more stream, first come, first served.
    pub(super) async fn slot(&self) -> Slot<'_> {
        self.adjust();
        // The semaphore is never closed; if it were, the stream would be opened all the same.
        let permit = self.0.streams.acquire().await.ok();
        Slot { shared: &self.0, permit }
    }

    /// Follows what the peer says of how many streams it takes.
    fn adjust(&self) {
        let ConnectionState { sender, streams, limit, owed, .. } = &*self.0;
        let wanted = sender.current_max_send_streams().min(MAX_STREAMS);
        let before = limit.swap(wanted, Relaxed);
        if wanted > before {
            let forgiven = owed.load(Relaxed).min(wanted - before);
            owed.fetch_sub(forgiven, Relaxed);
            streams.add_permits(wanted - before - forgiven);
        } else if wanted < before {
            let gone = streams.forget_permits(before - wanted);
            owed.fetch_add(before - wanted - gone, Relaxed);
        }
    }
}

/// One request on a line, for as long as it lasts.
#[derive(Debug)]
pub(in crate::protocol::http) struct StreamPermit {
    line: H2Connection,
    idle_since: Option<Instant>,
}

impl StreamPermit {
    /// The line.
    pub fn line(&self) -> &H2Connection {
        &self.line
    }

    /// Since when the line had been idle, if it had served before and this is its only request.
    pub fn idle_since(&self) -> Option<Instant> {
        self.idle_since
    }
}

impl Drop for StreamPermit {
    fn drop(&mut self) {
        let shared = &self.line.0;
        if shared.tickets.fetch_sub(1, Relaxed) == 1 {
            *shared.idle_since() = Some(Instant::now());
        }
    }
}

impl ConnectionState {
    fn idle_since(&self) -> MutexGuard<'_, Option<Instant>> {
        // One thread drives a line and all its requests, so nobody waits; a panic leaves a time whole.
        self.idle_since.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The right to one stream.
pub(super) struct Slot<'l> {
    shared: &'l ConnectionState,
    permit: Option<SemaphorePermit<'l>>,
}

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        // A lower limit than before: this one is not given back. One thread drives a line and all its requests.
        if self.shared.owed.load(Relaxed) > 0
            && let Some(permit) = self.permit.take()
        {
            self.shared.owed.fetch_sub(1, Relaxed);
            permit.forget();
        }
    }
}
