//! A server that speaks HTTP/2 frame by frame, so that it can do it wrong.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

pub(super) const DATA: u8 = 0;
pub(super) const HEADERS: u8 = 1;
pub(super) const RST_STREAM: u8 = 3;
pub(super) const SETTINGS: u8 = 4;
pub(super) const GOAWAY: u8 = 7;
pub(super) const END_STREAM: u8 = 1;
pub(super) const END_HEADERS: u8 = 4;
/// `:status: 200`, from HPACK's static table.
pub(super) const OK: &[u8] = &[0x88];

/// A frame as it goes on the wire (RFC 9113, 4.1).
pub(super) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut bytes = (payload.len() as u32).to_be_bytes()[1..].to_vec();
    bytes.extend([kind, flags]);
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    bytes
}

/// The payload of GOAWAY.
pub(super) fn goaway(last: u32, code: u32) -> Vec<u8> {
    frame(GOAWAY, 0, 0, &[last.to_be_bytes(), code.to_be_bytes()].concat())
}

/// The server's side of one connection.
pub(super) struct Peer {
    socket: TcpStream,
}

impl Peer {
    /// Reads what the client begins a connection with, and says nothing.
    pub async fn preface(&mut self) {
        let mut preface = [0; 24];
        let _ = self.socket.read_exact(&mut preface).await;
    }

    /// The preface, and SETTINGS with these.
    pub async fn greet(&mut self, settings: &[(u16, u32)]) {
        self.preface().await;
        let payload: Vec<u8> =
            settings.iter().flat_map(|(id, value)| [&id.to_be_bytes()[..], &value.to_be_bytes()].concat()).collect();
        self.say(&frame(SETTINGS, 0, 0, &payload)).await;
        self.say(&frame(SETTINGS, 1, 0, &[])).await;
    }

    /// The next frame of this kind: its stream. 0 once the client has closed.
    pub async fn next(&mut self, kind: u8) -> u32 {
        loop {
            let mut head = [0; 9];
            if self.socket.read_exact(&mut head).await.is_err() {
                return 0;
            }
            let mut payload = vec![0; u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize];
            if self.socket.read_exact(&mut payload).await.is_err() {
                return 0;
            }
            if head[3] == kind {
                return u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
            }
        }
    }

    pub async fn say(&mut self, bytes: &[u8]) {
        // A client that has gone is what some tests are about.
        let _ = self.socket.write_all(bytes).await;
    }

    /// Answers the stream with a 200 and nothing more.
    pub async fn answer(&mut self, stream: u32) {
        self.say(&frame(HEADERS, END_HEADERS | END_STREAM, stream, OK)).await;
    }

    /// Waits until the client has closed.
    pub async fn closed(&mut self) {
        while self.next(u8::MAX).await > 0 {}
    }

    /// Sends nothing more.
    pub async fn finish(&mut self) {
        let _ = self.socket.shutdown().await;
    }

    /// Closes with a reset.
    pub fn reset(self) {
        self.socket.set_zero_linger().unwrap();
    }
}

/// Serves one connection after the other, the n-th by `script(n, …)`.
pub(super) async fn serve<F>(script: impl Fn(usize, Peer) -> F + Send + 'static) -> (String, JoinHandle<()>)
where
    F: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let handle = tokio::spawn(async move {
        for n in 0.. {
            let (socket, _) = listener.accept().await.unwrap();
            script(n, Peer { socket }).await;
        }
    });
    (url, handle)
}
