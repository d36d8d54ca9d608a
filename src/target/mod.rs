//! The built-in echo target: something to load that costs little, misbehaves on request, and counts what it served.
//!
//! It has threads and runtimes of its own, so that it can live in the generator's process (`base_url: builtin`) or alone
//! (`load-exporter target`) and behaves the same. Each protocol is a module of its own that serves one connection at a time;
//! what they share is the counting, the freezing and the stopping. HTTP/1.1, WebSocket and
//! Socket.IO share a port; TCP has its own.

mod counts;
mod fanout;
mod freeze;
mod http;
mod listen;
mod socket;
mod socketio;
mod tcp;
mod websocket;

use std::io;
use std::net::SocketAddr;
use std::num::NonZero;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use tokio::sync::{mpsc, watch};

pub use freeze::{Freeze, FreezeError};

use counts::Counts;

/// How a target behaves.
#[derive(Debug, Clone)]
pub struct Options {
    /// How many threads serve; at least one does.
    pub threads: usize,
    /// Times at which every request is held.
    pub freeze: Option<Freeze>,
    /// Where plain TCP is listened for, if it is (port 0: any that is free).
    pub tcp: Option<SocketAddr>,
}

impl Default for Options {
    fn default() -> Self {
        // In the generator's process half of the cores are left to the generator.
        let cores = thread::available_parallelism().map_or(1, NonZero::get);
        Self { threads: (cores / 2).max(1), freeze: None, tcp: None }
    }
}

/// What all connections of a target share.
#[derive(Debug)]
struct TargetState {
    counts: Counts,
    hub: fanout::Hub,
    freeze: Option<freeze::Clock>,
}

/// Where a target listens.
#[derive(Debug, Clone, Copy)]
struct Addresses {
    http: SocketAddr,
    tcp: Option<SocketAddr>,
}

/// A running target. Dropping it stops it too, without waiting.
#[derive(Debug)]
pub struct Target {
    addresses: Addresses,
    shared: Arc<TargetState>,
    stop: watch::Sender<bool>,
    /// Closed once every thread is at its end.
    ended: mpsc::Receiver<()>,
    threads: Vec<JoinHandle<()>>,
}

impl Target {
    /// Listens on `address` (port 0: any that is free) and serves.
    ///
    /// # Errors
    /// The address cannot be listened on, or a thread or its runtime cannot be made.
    pub fn start(address: SocketAddr, options: Options) -> io::Result<Self> {
        let freeze = options.freeze.map(freeze::Clock::start);
        let shared = Arc::new(TargetState { counts: Counts::default(), hub: fanout::Hub::default(), freeze });
        let (stop, stopping) = watch::channel(false);
        let (ending, ended) = mpsc::channel(1);
        let wanted = Addresses { http: address, tcp: options.tcp };
        let (addresses, threads) = listen::start(wanted, options.threads.max(1), &shared, &stopping, &ending)?;
        Ok(Self { addresses, shared, stop, ended, threads })
    }

    /// Where it listens for HTTP and WebSocket.
    pub fn address(&self) -> SocketAddr {
        self.addresses.http
    }

    /// Where it listens for plain TCP, if it does.
    pub fn tcp_address(&self) -> Option<SocketAddr> {
        self.addresses.tcp
    }

    /// How many requests it has received, those to `/metrics` not counted.
    pub fn requests(&self) -> u64 {
        self.shared.counts.requests()
    }

    /// Accepts nothing more, lets the requests in flight end for a few seconds, then closes what is left.
    pub async fn stop(mut self) {
        // Without a receiver all threads have ended already.
        let _ = self.stop.send(true);
        while self.ended.recv().await.is_some() {}
        for thread in self.threads.drain(..) {
            // Its last act was to close the channel above. A thread that panicked has nothing to report.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests;
