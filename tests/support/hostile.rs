//! A small HTTP server that does to each request whatever a test wants.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

/// A request as it came.
pub struct Request {
    /// Which one of this server's it is, from 0.
    pub number: u64,
    pub path: String,
    /// Everything up to the body.
    pub head: String,
    pub body: String,
}

/// What becomes of the connection after an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Then {
    /// The next request is read.
    Keep,
    /// Closed.
    Close,
    /// Reset.
    Reset,
    /// Nothing more, ever; the connection stays open.
    Stall,
}

/// A server on a free port of 127.0.0.1 with a thread for each connection; gone, and its connections too, when it is dropped.
pub struct Hostile {
    pub port: u16,
    state: Arc<State>,
    accepting: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct State {
    stopping: AtomicBool,
    requests: AtomicU64,
    connections: AtomicU64,
    open: Mutex<Vec<TcpStream>>,
}

impl Hostile {
    /// Answers requests by `answer`.
    pub fn start(answer: impl Fn(&Request, &mut TcpStream) -> Then + Send + Sync + 'static) -> Self {
        let answer = Arc::new(answer);
        Self::accept(move |stream, state| talk(stream, state, &*answer))
    }

    /// The same answer to every request.
    pub fn answering(answer: &str, then: Then) -> Self {
        let answer = answer.to_owned();
        Self::start(move |_, stream| {
            let _ = stream.write_all(answer.as_bytes()); // the client may be gone
            then
        })
    }

    /// Does with every connection what a script says: first as it likes, then what that returns. `Keep` takes in what comes until
    /// the client goes; `Close` lets it have the last word, so that what it said is no reset.
    pub fn scripted(script: impl Fn(&mut TcpStream) -> Then + Send + Sync + 'static) -> Self {
        Self::accept(move |mut stream, serving| match script(&mut stream) {
            Then::Reset => serving.reset(&stream),
            Then::Stall => serving.stall(),
            then => {
                if then == Then::Close {
                    let _ = stream.shutdown(Shutdown::Write); // the client may have gone
                }
                let mut thrown_away = [0; 4096];
                while matches!(stream.read(&mut thrown_away), Ok(1..)) {}
                let _ = stream.shutdown(Shutdown::Both);
            }
        })
    }

    /// Does what it likes with every connection.
    pub fn accept(serve: impl Fn(TcpStream, &Serving) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let state = Arc::new(State::default());
        let (shared, serve) = (state.clone(), Arc::new(serve));
        let accepting = std::thread::spawn(move || {
            for stream in listener.incoming() {
                if shared.stopping.load(Ordering::Relaxed) {
                    return;
                }
                let Ok(stream) = stream else { continue };
                shared.connections.fetch_add(1, Ordering::Relaxed);
                shared.open.lock().unwrap().push(stream.try_clone().unwrap());
                let (serve, serving) = (serve.clone(), Serving(shared.clone()));
                std::thread::spawn(move || serve(stream, &serving));
            }
        });
        Self { port, state, accepting: Some(accepting) }
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// How many requests have come.
    pub fn requests(&self) -> u64 {
        self.state.requests.load(Ordering::Relaxed)
    }

    /// How many connections have come.
    pub fn connections(&self) -> u64 {
        self.state.connections.load(Ordering::Relaxed)
    }
}

impl Drop for Hostile {
    fn drop(&mut self) {
        self.state.stopping.store(true, Ordering::Relaxed);
        let _ = TcpStream::connect(("127.0.0.1", self.port)); // wakes the one that accepts
        if let Some(accepting) = self.accepting.take() {
            let _ = accepting.join();
        }
        for stream in self.state.open.lock().unwrap().drain(..) {
            let _ = stream.shutdown(Shutdown::Both); // may have ended by itself
        }
    }
}

/// What a connection's thread knows of its server.
pub struct Serving(Arc<State>);

impl Serving {
    /// Gives up the server's own descriptor of a connection.
    pub fn forget(&self, stream: &TcpStream) {
        let peer = stream.peer_addr().ok();
        self.0.open.lock().unwrap().retain(|open| open.peer_addr().ok() != peer);
    }

    /// Resets a connection, once the caller has let it go too.
    pub fn reset(&self, stream: &TcpStream) {
        reset_at_close(stream);
        self.forget(stream);
    }

    /// Waits until the server is dropped.
    pub fn stall(&self) {
        while !self.0.stopping.load(Ordering::Relaxed) {
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

fn talk(mut stream: TcpStream, serving: &Serving, answer: &dyn Fn(&Request, &mut TcpStream) -> Then) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    while let Some((path, head, body)) = read(&mut reader) {
        let number = serving.0.requests.fetch_add(1, Ordering::Relaxed);
        match answer(&Request { number, path, head, body }, &mut stream) {
            Then::Keep => {}
            Then::Close => break,
            Then::Reset => return serving.reset(&stream),
            Then::Stall => return serving.stall(),
        }
    }
    let _ = stream.shutdown(Shutdown::Both); // the other side may have done so
}

/// The next request's path, head and body.
fn read(reader: &mut BufReader<TcpStream>) -> Option<(String, String, String)> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head).ok()? == 0 {
            return None;
        }
    }
    let length = head.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    reader.read_exact(&mut body).ok()?;
    Some((head.split(' ').nth(1)?.to_owned(), head, String::from_utf8_lossy(&body).into_owned()))
}

/// Has the last descriptor that is closed reset the connection.
fn reset_at_close(stream: &TcpStream) {
    let linger = libc::linger { l_onoff: 1, l_linger: 0 };
    let size = libc::socklen_t::try_from(size_of::<libc::linger>()).unwrap();
    // SAFETY: `linger` lives through the call and has the size that is given; the descriptor is open.
    let failed =
        unsafe { libc::setsockopt(stream.as_raw_fd(), libc::SOL_SOCKET, libc::SO_LINGER, (&raw const linger).cast(), size) };
    assert_eq!(failed, 0);
}

/// A whole answer.
pub fn answer(status: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

/// Runs TLS servers with a certificate that nobody trusts; answers nothing.
pub fn untrusted_tls() -> Hostile {
    let key = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let certificate = key.cert.der().clone();
    let private = rustls::pki_types::PrivateKeyDer::try_from(key.signing_key.serialize_der()).unwrap();
    let config = rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], private)
        .unwrap();
    let config = Arc::new(config);
    Hostile::accept(move |mut stream, _| {
        let Ok(mut connection) = rustls::ServerConnection::new(config.clone()) else { return };
        // Ends with the client's refusal.
        while connection.complete_io(&mut stream).is_ok() {
            if !connection.is_handshaking() {
                let _ = connection.writer().write_all(answer("200 OK", "never").as_bytes());
            }
        }
        let _ = stream.shutdown(Shutdown::Both);
    })
}
