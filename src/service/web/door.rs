//! Listening: TCP, and TLS where the web config file asks for it. The file is read afresh for each connection, so that
//! renewed certificates need no restart; a handshake that stalls holds up nobody else.
//!
//! Whoever connects takes little from the load: there are so many connections and no more, of one peer and in all; those that say
//! nothing end; and the last descriptors are the load's.

use std::collections::HashMap;
use std::io;
use std::net::IpAddr;
use std::os::fd::AsRawFd as _;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use crate::measure::process::max_fds;

use super::config::WebConfig;
use super::patience::{Limits, Patience, Patient};

/// Connections at once; more wait to be accepted.
const CONNECTIONS: usize = 512;
/// Connections of one peer at once; more are closed.
const OF_PEER: usize = 256;
/// Descriptors that are left to the load.
const RESERVED: u64 = 64;
/// A handshake may take so long.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// What a connection may take without a word.
const LIMITS: Limits = Limits { headers: Duration::from_secs(10), idle: Duration::from_secs(300) };
/// After a failed accept (no descriptor left) we wait so long.
const AFTER_FAILURE: Duration = Duration::from_millis(250);

/// A byte stream, encrypted or not.
trait Connection: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Connection for T {}

/// What becomes of connections.
#[derive(Clone)]
pub(super) struct Door {
    pub config: Option<PathBuf>,
    pub router: Router,
    /// Turns true when it closes.
    pub stopped: watch::Receiver<bool>,
}

impl Door {
    /// Accepts until it is closed, and waits for what is under way then.
    pub async fn open(self, listener: TcpListener) {
        let places = Arc::new(Semaphore::new(CONNECTIONS));
        let peers = Peers::default();
        let mut stopped = self.stopped.clone();
        loop {
            let accepted = async {
                // It is never closed.
                let place = places.clone().acquire_owned().await.ok();
                (listener.accept().await, place)
            };
            let (accepted, place) = tokio::select! {
                accepted = accepted => accepted,
                _ = stopped.wait_for(|stopped| *stopped) => break, // a dropped sender stops it as well
            };
            let (stream, peer) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::warn!(%error, "a connection to the web surface could not be accepted");
                    tokio::time::sleep(AFTER_FAILURE).await;
                    continue;
                }
            };
            let Some(guest) = peers.enter(peer.ip()).filter(|_| !is_scarce(&stream)) else { continue };
            let serving = self.clone().serve(stream);
            tokio::spawn(async move {
                if let Err(error) = serving.await {
                    tracing::debug!(%peer, %error, "a connection to the web surface ended");
                }
                drop((guest, place));
            });
        }
        drop(listener);
        // Those that are idle are closed; others end with their answer.
        let all = u32::try_from(CONNECTIONS).unwrap_or(u32::MAX);
        let _: Option<OwnedSemaphorePermit> = places.acquire_many_owned(all).await.ok();
    }

    async fn serve(mut self, stream: TcpStream) -> io::Result<()> {
        let (stream, http2): (Box<dyn Connection>, bool) = match self.config {
            None => (Box::new(stream), true),
            Some(path) => tokio::time::timeout(HANDSHAKE, secure(stream, path)).await??,
        };
        let patience = Patience::default();
        let service = TowerToHyperService::new(self.router);
        let answering = patience.clone();
        let service = service_fn(move |request| {
            let under_way = answering.answers();
            let answer = service.call(request);
            async move {
                let answer = answer.await;
                drop(under_way);
                answer
            }
        });
        let io = TokioIo::new(Patient::new(stream, patience, LIMITS));
        let builder = auto::Builder::new(TokioExecutor::new());
        let builder = if http2 { builder } else { builder.http1_only() };
        let connection = builder.serve_connection(io, service);
        tokio::pin!(connection);
        tokio::select! {
            done = connection.as_mut() => return done.map_err(io::Error::other),
            _ = self.stopped.wait_for(|stopped| *stopped) => {}
        }
        connection.as_mut().graceful_shutdown();
        connection.await.map_err(io::Error::other)
    }
}

/// The connection as the web config file wants it, and whether HTTP/2 may be spoken on it.
async fn secure(stream: TcpStream, path: PathBuf) -> io::Result<(Box<dyn Connection>, bool)> {
    let read = move || WebConfig::read(&path).and_then(|config| Ok((config.tls()?, config.http_server_config.http2)));
    let (tls, http2) = tokio::task::spawn_blocking(read).await.map_err(io::Error::other)?.map_err(io::Error::other)?;
    Ok(match tls {
        None => (Box::new(stream), http2),
        Some(tls) => (Box::new(tokio_rustls::TlsAcceptor::from(tls).accept(stream).await?), http2),
    })
}

/// Whether few descriptors are left beside this one: the system gives the lowest that is free.
fn is_scarce(stream: &TcpStream) -> bool {
    let number = u64::try_from(stream.as_raw_fd()).unwrap_or(u64::MAX);
    // Where there are very few, a quarter of them.
    max_fds().is_some_and(|limit| number.saturating_add(RESERVED.min(limit / 4)) >= limit)
}

/// How many connections each peer has.
#[derive(Clone, Default)]
struct Peers(Arc<Mutex<HashMap<IpAddr, usize>>>);

impl Peers {
    /// One more connection, if the peer may have it.
    fn enter(&self, peer: IpAddr) -> Option<Guest> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = all.entry(peer).or_default();
        (*count < OF_PEER).then(|| {
            *count += 1;
            Guest { peers: self.clone(), peer }
        })
    }
}

/// A peer's connection, while it is there.
struct Guest {
    peers: Peers,
    peer: IpAddr,
}

impl Drop for Guest {
    fn drop(&mut self) {
        let mut all = self.peers.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = all.get_mut(&self.peer) {
            *count -= 1;
            if *count == 0 {
                all.remove(&self.peer);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_has_so_many_and_no_more_at_once() {
        let (peers, one, other) = (Peers::default(), IpAddr::from([127, 0, 0, 1]), IpAddr::from([127, 0, 0, 2]));
        let mut guests: Vec<_> = (0..OF_PEER).map(|_| peers.enter(one).unwrap()).collect();
        assert!(peers.enter(one).is_none() && peers.enter(other).is_some());
        guests.pop();
        guests.push(peers.enter(one).unwrap());
        drop(guests);
        assert!(peers.0.lock().unwrap().is_empty());
    }
}
