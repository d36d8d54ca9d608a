//! HTTP/1.1: what each path answers, and the faults that a query asks for. An upgrade is handed on.
//!
//! | path | answer |
//! |---|---|
//! | any | 200; a body is echoed, without one the method and the path come back as JSON |
//! | `/status/503` | that status |
//! | `/delay/50ms` | as any, after that time |
//! | `/bytes/64KiB` | so many bytes |
//! | `/drip?bytes=10&every=100ms` | so many bytes, one at a time |
//! | `/redirect/3` | 302, and so on down to `/` |
//! | `/metrics` | what the target counts, also while it is frozen |
//!
//! Any path takes `?delay=50ms`, and one fault: `?reset` (the connection is reset instead of an answer), `?half` (closed in
//! the middle of the body), `?stall` (no answer, ever), `?stall=body` (half a body, and no more).

mod page;
mod payload;
mod route;

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::sync::watch;

use super::socket::{Open, Socket};
use super::{TargetState, socketio, websocket};

/// What a connection and the requests on it share.
#[derive(Debug, Default)]
struct ConnectionState {
    /// Whether the socket is to be closed with a reset.
    reset: Arc<AtomicBool>,
    /// The upgrade that was agreed to.
    upgrade: Mutex<Option<(OnUpgrade, Ask)>>,
}

/// What was agreed to speak.
#[derive(Debug, Clone, Copy)]
enum Ask {
    Websocket(websocket::Ask),
    Socketio(socketio::Ask),
}

/// Serves one connection to its end, or to the end of the request in flight once `stopping` changes.
pub(super) async fn serve(socket: TcpStream, shared: Arc<TargetState>, mut stopping: watch::Receiver<bool>) {
    let open = Open::new(Arc::clone(&shared));
    let line = ConnectionState::default();
    let io = TokioIo::new(Socket::new(socket, Arc::clone(&line.reset)));
    // Boxed, so that a session that stays open doesn't hold what only HTTP needs.
    let service = service_fn(|request| page::answer(request, &shared, &line));
    let connection = http1::Builder::new().auto_date_header(false).pipeline_flush(true).serve_connection(io, service);
    let mut connection = Box::pin(connection.with_upgrades());
    // How a connection ends is the client's to measure; here it is just over.
    tokio::select! {
        _ = connection.as_mut() => {}
        _ = stopping.changed() => {
            connection.as_mut().graceful_shutdown();
            let _ = connection.as_mut().await;
        }
    }
    drop(connection);
    // A panic while the lock is held is not possible: it is held for a move.
    let upgrade = line.upgrade.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some((upgrade, ask)) = upgrade
        && let Ok(upgraded) = upgrade.await
        && let Ok(parts) = upgraded.downcast::<TokioIo<Socket>>()
    {
        let socket = websocket::accepted(parts.io.into_inner(), parts.read_buf).await;
        match ask {
            Ask::Websocket(ask) => websocket::serve(socket, ask, &line.reset, &shared, stopping).await,
            Ask::Socketio(ask) => socketio::serve(socket, ask, &shared, stopping).await,
        }
    }
    drop(open);
}
