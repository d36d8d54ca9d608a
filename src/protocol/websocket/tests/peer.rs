//! The server's side of a WebSocket, frame by frame.

use std::future::Future;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

pub(super) const TEXT: u8 = 1;
pub(super) const BINARY: u8 = 2;
pub(super) const CONTINUED: u8 = 0;
pub(super) const CLOSE: u8 = 8;
pub(super) const PING: u8 = 9;
pub(super) const PONG: u8 = 10;

/// The server's side of one connection.
pub(super) struct Peer {
    pub socket: TcpStream,
}

/// A frame as a server sends it, whole or a fragment.
pub(super) fn frame(last: bool, opcode: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![if last { 0x80 } else { 0 } | opcode];
    match payload.len() {
        short @ ..126 => frame.push(short as u8),
        middle @ 126..65_536 => {
            frame.push(126);
            frame.extend((middle as u16).to_be_bytes());
        }
        long => {
            frame.push(127);
            frame.extend((long as u64).to_be_bytes());
        }
    }
    frame.extend(payload);
    frame
}

/// A close frame with this code.
pub(super) fn close(code: u16) -> Vec<u8> {
    frame(true, CLOSE, &code.to_be_bytes())
}

impl Peer {
    /// Reads the head of the request.
    pub async fn request(&mut self) -> String {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            match self.socket.read_u8().await {
                Ok(byte) => head.push(byte),
                Err(_) => break,
            }
        }
        String::from_utf8(head).unwrap()
    }

    /// Shakes hands as it should be; returns the request.
    pub async fn accept(&mut self) -> String {
        let request = self.request().await;
        self.say(good_answer(&request)).await;
        request
    }

    pub async fn say(&mut self, bytes: impl AsRef<[u8]>) {
        self.socket.write_all(bytes.as_ref()).await.unwrap();
    }

    /// Reads one frame of the client's, which has to be masked; none once it has closed the socket.
    pub async fn read(&mut self) -> Option<(u8, Vec<u8>)> {
        let first = self.socket.read_u8().await.ok()?;
        let length = self.socket.read_u8().await.unwrap();
        assert!(length & 0x80 != 0, "a client's frame is masked");
        let length = match length & 0x7f {
            126 => u64::from(self.socket.read_u16().await.unwrap()),
            127 => self.socket.read_u64().await.unwrap(),
            short => u64::from(short),
        };
        let mask = self.socket.read_u32().await.unwrap().to_be_bytes();
        let mut payload = vec![0; usize::try_from(length).unwrap()];
        self.socket.read_exact(&mut payload).await.unwrap();
        for (byte, key) in payload.iter_mut().zip(mask.iter().cycle()) {
            *byte ^= key;
        }
        Some((first & 0x0f, payload))
    }

    /// Reads frames until the client says goodbye; its code. None if it just closes the socket.
    pub async fn goodbye(&mut self) -> Option<u16> {
        while let Some((opcode, payload)) = self.read().await {
            if opcode == CLOSE {
                return payload.first_chunk().map(|code| u16::from_be_bytes(*code));
            }
        }
        None
    }

    /// Waits until the client has closed the socket.
    pub async fn closed(&mut self) {
        while self.read().await.is_some() {}
    }

    /// Closes with a reset.
    pub fn reset(self) {
        self.socket.set_zero_linger().unwrap();
    }
}

/// The answer that a request should get.
pub(super) fn good_answer(request: &str) -> String {
    let key = request.lines().find_map(|line| line.strip_prefix("sec-websocket-key: ")).unwrap();
    let accept = derive_accept_key(key.as_bytes());
    format!(
        "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: Upgrade\r\nsec-websocket-accept: {accept}\r\n\r\n"
    )
}

/// Serves one connection with this script; what it returns comes from the handle.
pub(super) async fn serve<T, F>(script: impl FnOnce(Peer) -> F + Send + 'static) -> (String, JoinHandle<T>)
where
    T: Send + 'static,
    F: Future<Output = T> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}/ws", listener.local_addr().unwrap());
    let handle = tokio::spawn(async move {
        let (socket, _) = listener.accept().await.unwrap();
        script(Peer { socket }).await
    });
    (url, handle)
}

/// Serves one connection: shakes hands, writes these bytes, and returns the code of the client's goodbye.
pub(super) async fn say(bytes: Vec<u8>) -> (String, JoinHandle<Option<u16>>) {
    serve(|mut peer| async move {
        peer.accept().await;
        peer.say(bytes).await;
        peer.goodbye().await
    })
    .await
}
