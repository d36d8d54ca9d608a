//! Listening: TCP, and TLS where the web config file asks for it. The file is read afresh for each connection, so that
//! renewed certificates need no restart; a handshake that stalls holds up nobody else.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::{Receiver, Sender, channel};

use super::config::WebConfig;

/// A handshake may take so long.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// After a failed accept (no descriptor left) we wait so long.
const AFTER_FAILURE: Duration = Duration::from_millis(250);

/// A byte stream, encrypted or not.
pub trait Connection: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Connection for T {}

/// Accepts connections for axum.
pub struct Door {
    address: SocketAddr,
    ready: Receiver<(Box<dyn Connection>, SocketAddr)>,
    accepting: tokio::task::JoinHandle<()>,
}

impl Door {
    /// Opens on a bound listener.
    ///
    /// # Errors
    /// The listener has no address.
    pub fn open(listener: TcpListener, config: Option<PathBuf>) -> io::Result<Self> {
        let address = listener.local_addr()?;
        let (sender, ready) = channel(16);
        let accepting = tokio::spawn(accept(listener, config, sender));
        Ok(Self { address, ready, accepting })
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl axum::serve::Listener for Door {
    type Io = Box<dyn Connection>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        match self.ready.recv().await {
            Some(accepted) => accepted,
            None => std::future::pending().await, // closing
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.address)
    }
}

async fn accept(listener: TcpListener, config: Option<PathBuf>, ready: Sender<(Box<dyn Connection>, SocketAddr)>) {
    loop {
        let (stream, peer) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "a connection to the web surface could not be accepted");
                tokio::time::sleep(AFTER_FAILURE).await;
                continue;
            }
        };
        let Some(path) = config.clone() else {
            if ready.send((Box::new(stream), peer)).await.is_err() {
                return;
            }
            continue;
        };
        let ready = ready.clone();
        tokio::spawn(async move {
            match tokio::time::timeout(HANDSHAKE, secure(stream, path)).await {
                Ok(Ok(stream)) => drop(ready.send((stream, peer)).await),
                Ok(Err(error)) => tracing::warn!(%peer, %error, "a connection to the web surface failed"),
                Err(_) => tracing::debug!(%peer, "a TLS handshake took too long"),
            }
        });
    }
}

async fn secure(stream: TcpStream, path: PathBuf) -> io::Result<Box<dyn Connection>> {
    let tls = tokio::task::spawn_blocking(move || WebConfig::read(&path).and_then(|config| config.tls()));
    Ok(match tls.await.map_err(io::Error::other)?.map_err(io::Error::other)? {
        None => Box::new(stream),
        Some(tls) => Box::new(tokio_rustls::TlsAcceptor::from(tls).accept(stream).await?),
    })
}
