//! A server that does, connection by connection, what a test's script says.

use std::future::Future;
use std::pin::Pin;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// The server's side of one connection.
pub(super) struct Peer {
    pub socket: TcpStream,
    read: Vec<u8>,
}

impl Peer {
    /// Reads one request, head and body; empty once the client has closed.
    pub async fn request(&mut self) -> String {
        loop {
            if let Some(length) = complete(&self.read) {
                return String::from_utf8(self.read.drain(..length).collect()).unwrap();
            }
            if self.socket.read_buf(&mut self.read).await.unwrap_or(0) == 0 {
                return String::new();
            }
        }
    }

    pub async fn say(&mut self, text: impl AsRef<[u8]>) {
        self.socket.write_all(text.as_ref()).await.unwrap();
    }

    /// Reads a request and answers it; returns the request.
    pub async fn answer(&mut self, text: impl AsRef<[u8]>) -> String {
        let request = self.request().await;
        self.say(text).await;
        request
    }

    /// Answers `200` with nothing.
    pub async fn answer_now(&mut self) -> String {
        self.say("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
        String::new()
    }

    /// Waits until the client has closed.
    pub async fn closed(&mut self) {
        let mut rest = [0; 1024];
        while self.socket.read(&mut rest).await.unwrap_or(0) > 0 {}
    }

    /// Closes with a reset.
    pub fn reset(self) {
        self.socket.set_zero_linger().unwrap();
    }
}

/// The length of the first whole request in `read`.
fn complete(read: &[u8]) -> Option<usize> {
    let head = read.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
    let text = String::from_utf8_lossy(&read[..head]).to_ascii_lowercase();
    let length = text.lines().find_map(|line| line.strip_prefix("content-length: ")).map_or(0, |n| n.parse().unwrap());
    (read.len() >= head + length).then_some(head + length)
}

type Served = Pin<Box<dyn Future<Output = String> + Send>>;
/// What a server does with one connection.
pub(super) type Script = Box<dyn FnOnce(Peer) -> Served + Send>;

/// Serves one connection after the other with the scripts in order; their results come from the handle.
pub(super) async fn serve(scripts: Vec<Script>) -> (String, JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let handle = tokio::spawn(async move {
        let mut results = Vec::new();
        for script in scripts {
            let (socket, _) = listener.accept().await.unwrap();
            results.push(script(Peer { socket, read: Vec::new() }).await);
        }
        results
    });
    (url, handle)
}

/// A script for [`serve`].
pub(super) fn script<F: Future<Output = String> + Send + 'static>(body: impl FnOnce(Peer) -> F + Send + 'static) -> Script {
    Box::new(move |peer| Box::pin(body(peer)))
}

/// Serves one connection that answers each request with the next of `answers`, then waits for the client to close.
pub(super) async fn answers(answers: &[&str]) -> (String, JoinHandle<Vec<String>>) {
    let answers: Vec<String> = answers.iter().map(|answer| (*answer).to_owned()).collect();
    serve(vec![script(move |mut peer| async move {
        let mut requests = String::new();
        for answer in answers {
            requests.push_str(&peer.answer(answer).await);
        }
        peer.closed().await;
        requests
    })])
    .await
}
