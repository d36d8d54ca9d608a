//! Listening: TCP, and TLS where the web config file asks for it; a handshake that stalls holds up nobody else.
//!
//! Whoever connects takes little from the load: there are so many connections and no more, of one peer and in all, and others wait; those
//! that say nothing, or take nothing, end; and the last descriptors are the load's.

use std::collections::HashMap;
use std::io;
use std::net::IpAddr;
use std::os::fd::AsRawFd as _;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::http::Version;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use crate::measure::process::max_fds;

use super::change::Certified;
use super::current::Current;
use super::patience::{Limits, Patience, Patient, Places};
use super::scrape::PIECE;

/// Connections at once; more wait to be accepted.
const CONNECTIONS: usize = 512;
/// Connections of one peer at once; more wait.
const OF_PEER: usize = 256;
/// Connections that may wait, accepted, because their peer has too many; more are closed, or they would hold up the others.
const WAITING: usize = 256;
/// How long they wait: their peer may have hung up meanwhile.
const WAIT: Duration = Duration::from_secs(30);
/// Descriptors that are left to the load.
const RESERVED: u64 = 64;
/// A handshake may take so long.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// Requests at once over one connection of HTTP/2.
const STREAMS: u32 = 8;
/// What a connection may take without a word.
const LIMITS: Limits = Limits {
    headers: Duration::from_secs(10),
    idle: Duration::from_secs(300),
    crowded: Duration::from_secs(10),
    stalled: Duration::from_secs(20),
};
/// After a failed accept (no descriptor left) we wait so long.
const AFTER_FAILURE: Duration = Duration::from_millis(250);

/// A byte stream, encrypted or not.
trait Connection: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Connection for T {}

/// What becomes of connections.
#[derive(Clone)]
pub(super) struct TlsListener {
    pub config: Option<Arc<Current>>,
    pub router: Router,
    /// Turns true when it closes.
    pub stopped: watch::Receiver<bool>,
}

impl TlsListener {
    /// Accepts until it is closed, and waits for what is under way then.
    pub async fn open(self, listener: TcpListener) {
        let places = Arc::new(Semaphore::new(CONNECTIONS));
        let waiting = Arc::new(Semaphore::new(WAITING));
        let mut peers = Peers::default();
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
            if is_scarce(&stream) {
                continue;
            }
            let (own, door, waiting) = (peers.of(peer.ip()), self.clone(), waiting.clone());
            let rooms = Places([places.clone(), own]);
            tokio::spawn(async move {
                let Some(entered) = door.enter(&rooms, place, &waiting, WAIT).await else { return };
                if let Err(error) = door.serve(stream, rooms, LIMITS).await {
                    tracing::debug!(%peer, %error, "a connection to the web surface ended");
                }
                drop(entered);
            });
        }
        drop(listener);
        // Those that are idle are closed; others end with their answer.
        let all = u32::try_from(CONNECTIONS).unwrap_or(u32::MAX);
        let _: Option<OwnedSemaphorePermit> = places.acquire_many_owned(all).await.ok();
    }

    /// Takes a place of the peer's own beside the one that it has of all. Where there is none it waits for a while, and leaves that one to others;
    /// without room to wait, or once the door closes, there is nothing for it.
    async fn enter(
        &self,
        Places([all, own]): &Places,
        place: Option<OwnedSemaphorePermit>,
        waiting: &Semaphore,
        wait: Duration,
    ) -> Option<[OwnedSemaphorePermit; 2]> {
        if let Ok(of_peer) = own.clone().try_acquire_owned() {
            return Some([of_peer, place?]);
        }
        drop(place);
        let _waits = waiting.try_acquire().ok()?;
        let mut stopped = self.stopped.clone();
        // Neither is ever closed.
        let entering = async { Some([own.clone().acquire_owned().await.ok()?, all.clone().acquire_owned().await.ok()?]) };
        tokio::select! {
            entered = tokio::time::timeout(wait, entering) => entered.ok().flatten(),
            _ = stopped.wait_for(|stopped| *stopped) => None,
        }
    }

    async fn serve(mut self, stream: TcpStream, places: Places, limits: Limits) -> io::Result<()> {
        let Secured { stream, http2, certified } = match self.config {
            None => Secured { stream: Box::new(stream), http2: true, certified: None },
            Some(config) => tokio::time::timeout(HANDSHAKE, secure(stream, config)).await??,
        };
        let patience = Patience::new(places);
        let service = TowerToHyperService::new(self.router);
        let (answering, waiting) = (patience.clone(), patience.clone());
        let service = service_fn(move |mut request: hyper::Request<hyper::body::Incoming>| {
            let under_way = answering.answers(request.version());
            let sending = (request.version() == Version::HTTP_2).then(|| answering.clone());
            if let Some(certified) = certified {
                request.extensions_mut().insert(certified);
            }
            let answer = service.call(request);
            async move {
                let answer = answer.await;
                drop(under_way);
                match sending {
                    Some(sending) => answer.map(|answer| answer.map(|body| sending.sends(body))),
                    None => answer,
                }
            }
        });
        let io = TokioIo::new(Patient::new(stream, patience, limits));
        let mut builder = auto::Builder::new(TokioExecutor::new());
        builder.http2().max_concurrent_streams(STREAMS).max_send_buf_size(PIECE);
        let builder = if http2 { builder } else { builder.http1_only() };
        let connection = builder.serve_connection(io, service);
        tokio::pin!(connection);
        let serving = async {
            tokio::select! {
                done = connection.as_mut() => return done.map_err(io::Error::other),
                _ = self.stopped.wait_for(|stopped| *stopped) => {}
            }
            connection.as_mut().graceful_shutdown();
            connection.await.map_err(io::Error::other)
        };
        tokio::select! {
            done = serving => done,
            () = waiting.is_out(limits.stalled) => Err(io::ErrorKind::TimedOut.into()),
        }
    }
}

/// A connection as the web config file wants it.
struct Secured {
    stream: Box<dyn Connection>,
    /// Whether HTTP/2 may be spoken on it.
    http2: bool,
    /// What certificate its peer has shown.
    certified: Option<Certified>,
}

async fn secure(stream: TcpStream, config: Arc<Current>) -> io::Result<Secured> {
    let good = tokio::task::spawn_blocking(move || config.read()).await.map_err(io::Error::other)?;
    let http2 = good.config.http.http2;
    let Some(tls) = good.tls else { return Ok(Secured { stream: Box::new(stream), http2, certified: None }) };
    let stream = tokio_rustls::TlsAcceptor::from(tls).accept(stream).await?;
    let verified = good.config.client_auth().verifies();
    let certified = stream.get_ref().1.peer_certificates().map(|_| if verified { Certified::Verified } else { Certified::Shown });
    Ok(Secured { stream: Box::new(stream), http2, certified })
}

/// Whether few descriptors are left beside this one: the system gives the lowest that is free.
fn is_scarce(stream: &TcpStream) -> bool {
    let number = u64::try_from(stream.as_raw_fd()).unwrap_or(u64::MAX);
    // Where there are very few, a quarter of them.
    max_fds().is_some_and(|limit| number.saturating_add(RESERVED.min(limit / 4)) >= limit)
}

/// The places that each peer has.
#[derive(Default)]
struct Peers(HashMap<IpAddr, Arc<Semaphore>>);

impl Peers {
    /// The places of a peer. Those of peers that are gone are forgotten.
    fn of(&mut self, peer: IpAddr) -> Arc<Semaphore> {
        // A place that is taken holds on to its peer's.
        self.0.retain(|_, places| Arc::strong_count(places) > 1);
        self.0.entry(peer).or_insert_with(|| Arc::new(Semaphore::new(OF_PEER))).clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_has_so_many_and_no_more_at_once() {
        let (mut peers, one, other) = (Peers::default(), IpAddr::from([127, 0, 0, 1]), IpAddr::from([127, 0, 0, 2]));
        let mut taken: Vec<_> = (0..OF_PEER).map(|_| peers.of(one).try_acquire_owned().unwrap()).collect();
        assert!(peers.of(one).try_acquire_owned().is_err() && peers.of(other).try_acquire_owned().is_ok());
        taken.pop();
        taken.push(peers.of(one).try_acquire_owned().unwrap());
        drop(taken);
        peers.of(other);
        assert_eq!(peers.0.len(), 1);
    }

    #[tokio::test]
    async fn over_http2_a_peer_asks_for_little_at_once_and_has_to_take_it() {
        let (_stop, stopped) = watch::channel(false);
        let router = Router::new().route("/", axum::routing::get(async || "a".repeat(100 << 10)));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (stream, accepted) = tokio::join!(TcpStream::connect(listener.local_addr().unwrap()), listener.accept());
        let places = Places([CONNECTIONS, 1].map(|places| Arc::new(Semaphore::new(places))));
        let limits = Limits { stalled: Duration::from_millis(300), ..LIMITS };
        let served = tokio::spawn(TlsListener { config: None, router, stopped }.serve(accepted.unwrap().0, places, limits));

        let (sender, connection) =
            h2::client::Builder::new().initial_window_size(0).handshake::<_, bytes::Bytes>(stream.unwrap()).await.unwrap();
        let mut client = tokio::spawn(connection);
        let mut sender = sender.ready().await.unwrap();
        let request = hyper::Request::get("http://a/").body(()).unwrap();
        let _stalled = sender.send_request(request, true).unwrap().0.await.unwrap();
        assert_eq!(sender.current_max_send_streams(), STREAMS as usize);
        let ended = tokio::time::timeout(Duration::from_secs(10), &mut client).await;
        assert!(ended.is_ok(), "the connection is closed");
        assert_eq!(served.await.unwrap().unwrap_err().kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test]
    async fn whoever_waits_for_a_place_does_so_for_a_while() {
        let (_stop, stopped) = watch::channel(false);
        let door = TlsListener { config: None, router: Router::new(), stopped };
        let [all, own, waiting] = [CONNECTIONS, 1, 1].map(|places| Arc::new(Semaphore::new(places)));
        let taken = own.clone().try_acquire_owned().unwrap();
        let rooms = Places([all.clone(), own]);
        let enter = |wait| door.enter(&rooms, all.clone().try_acquire_owned().ok(), &waiting, wait);
        assert!(enter(Duration::from_millis(50)).await.is_none());
        assert_eq!((all.available_permits(), waiting.available_permits()), (CONNECTIONS, 1), "it holds nothing any more");
        let (entered, ()) = tokio::join!(enter(WAIT), async { drop(taken) });
        assert!(entered.is_some());
    }
}
