//! A server that writes down what it is asked, on a thread of its own.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use crate::net::testing::request;

/// One request.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    /// Which connection it came over, from 0.
    pub(super) connection: u64,
    pub(super) path: String,
    pub(super) cookie: Option<String>,
}

#[derive(Default)]
struct Book {
    seen: Mutex<Vec<Seen>>,
    connections: AtomicU64,
    open: AtomicU64,
}

/// Answers `/wait/20` after 20 ms, `/hold…` once it is released, `/refuse…` with 503 until then, everything else at once; of `/half/503` it sends
/// the head with that status, and the body once it is released. Sets a cookie of the first path
/// that a jar without one asks for.
pub(super) struct Server {
    pub(super) url: String,
    book: Arc<Book>,
    hold: watch::Sender<bool>,
    stop: Option<tokio::sync::oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Server {
    pub(super) fn start() -> Self {
        Self::start_at("127.0.0.1:0")
    }

    /// One that listens there.
    pub(super) fn start_at(address: &str) -> Self {
        let address = address.to_owned();
        let (book, hold) = (Arc::<Book>::default(), watch::Sender::new(true));
        let (stop, stopping) = tokio::sync::oneshot::channel();
        let (sender, receiver) = std::sync::mpsc::channel();
        let (shared, held) = (book.clone(), hold.clone());
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async move {
                let listener = TcpListener::bind(address).await.unwrap();
                sender.send(listener.local_addr().unwrap()).unwrap();
                let accept = async {
                    while let Ok((stream, _)) = listener.accept().await {
                        stream.set_nodelay(true).unwrap();
                        tokio::spawn(serve(stream, shared.clone(), held.subscribe()));
                    }
                };
                tokio::select! { () = accept => {}, _ = stopping => {} }
            });
        });
        let url = format!("http://{}", receiver.recv().unwrap());
        Self { url, book, hold, stop: Some(stop), thread: Some(thread) }
    }

    /// Every request so far.
    pub(super) fn seen(&self) -> Vec<Seen> {
        self.book.seen.lock().unwrap().clone()
    }

    pub(super) fn count(&self, path: &str) -> usize {
        self.book.seen.lock().unwrap().iter().filter(|seen| seen.path.starts_with(path)).count()
    }

    /// Connections that were ever made.
    pub(super) fn connections(&self) -> u64 {
        self.book.connections.load(Ordering::SeqCst)
    }

    /// Connections that are open.
    pub(super) fn open(&self) -> u64 {
        self.book.open.load(Ordering::SeqCst)
    }

    /// Lets `/hold` answer from now on, and `/refuse` answer well.
    pub(super) fn release(&self) {
        self.hold.send_replace(false);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.stop.take());
        self.thread.take().map(std::thread::JoinHandle::join);
    }
}

async fn serve(stream: TcpStream, book: Arc<Book>, hold: watch::Receiver<bool>) {
    let connection = book.connections.fetch_add(1, Ordering::SeqCst);
    book.open.fetch_add(1, Ordering::SeqCst);
    answer_all(stream, &book, hold, connection).await;
    book.open.fetch_sub(1, Ordering::SeqCst);
}

async fn answer_all(mut stream: TcpStream, book: &Book, mut hold: watch::Receiver<bool>, connection: u64) -> Option<()> {
    let mut buffer = Vec::new();
    loop {
        let (head, _) = request(&mut stream, &mut buffer).await?;
        let path = head.split(' ').nth(1)?.to_owned();
        let cookie = head.lines().find_map(|line| line.strip_prefix("cookie: ")).map(str::to_owned);
        let jar = cookie.is_none().then(|| format!("set-cookie: first={}; Path=/\r\n", path.trim_matches('/').replace('/', "-")));
        book.seen.lock().unwrap().push(Seen { connection, path: path.clone(), cookie });
        let half = path.strip_prefix("/half/");
        if let Some(status) = half {
            stream
                .write_all(format!("HTTP/1.1 {status} Half\r\nlocation: /wait/0\r\ncontent-length: 2\r\n\r\n").as_bytes())
                .await
                .ok()?;
        }
        let wait = async {
            if let Some(ms) = path.strip_prefix("/wait/") {
                tokio::time::sleep(Duration::from_millis(ms.parse().unwrap())).await;
            } else if path.starts_with("/hold") || half.is_some() {
                let _ = hold.wait_for(|held| !held).await;
            }
        };
        // A client that is gone is noticed while it is waited.
        let mut one = [0u8; 1];
        tokio::select! {
            biased;
            () = wait => {}
            gone = stream.peek(&mut one) => if !matches!(gone, Ok(n) if n > 0) { return None },
        }
        let status = if path.starts_with("/refuse") && *hold.borrow() { "503 No" } else { "200 OK" };
        let head = format!("HTTP/1.1 {status}\r\n{}content-length: 2\r\n\r\n", jar.unwrap_or_default());
        let answer = if half.is_some() { "ok".to_owned() } else { head + "ok" };
        stream.write_all(answer.as_bytes()).await.ok()?;
    }
}
