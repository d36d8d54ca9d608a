//! What is fuzzed of the drivers: whatever a peer may say, over a socket of this machine. The peer says it, closes, and takes what comes
//! until the driver goes.

use std::cell::Cell;
use std::future::Future;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::Method;
use load_exporter::counters::{Access, Observe, Observer, Query, Source, SourceKind, Traffic, Wanted, presets};
use load_exporter::expr::{ScenarioValues, Scope, Template};
use load_exporter::measure::Clock;
use load_exporter::protocol::http::{Client, Request, Spec};
use load_exporter::protocol::session::{self, Connector, PreparedConnect};
use load_exporter::protocol::tcp::{self, Frame, Width};
use load_exporter::protocol::{socketio, websocket};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

/// Whatever a peer says, it is over by then.
const PATIENCE: Duration = Duration::from_secs(10);
/// What a driver waits at most for anything.
const TIMEOUT: Duration = Duration::from_millis(500);
/// The longest message that is taken.
const LONGEST: usize = 4096;

/// Answers of HTTP/1: two requests over one connection, as far as it lasts, redirects among them.
pub fn http(data: &[u8]) {
    let data = data.to_vec();
    facing(
        move |_| data.clone(),
        |address| async move {
            let mut client = Client::new();
            for _ in 0..2 {
                let mut spec = Spec::new(Method::GET, Template::literal(&format!("http://{address}/")));
                (spec.timeout, spec.redirects, spec.max_body) = (TIMEOUT, 1, LONGEST);
                let request = Request::new(spec).expect("it is proper");
                let prepared = request.prepare(&scope()).expect("nothing of it varies");
                std::hint::black_box(client.perform(&request, prepared, None).await);
            }
        },
    );
}

/// A stream of bytes. The first one says how its messages are framed.
pub fn tcp(data: &[u8]) {
    let Some((kind, data)) = data.split_first() else { return };
    let frame = match kind % 6 {
        0 => Frame::Line,
        1 => Frame::Until(Bytes::from_static(b"\r\n\r\n")),
        2 => Frame::Length(Width::U8),
        3 => Frame::Length(Width::U16Le),
        4 => Frame::Length(Width::U32Be),
        _ => Frame::Raw,
    };
    let data = data.to_vec();
    facing_at_once(data, |address| async move {
        let mut connector = tcp::Connector::new(Template::literal(&address.to_string()));
        (connector.frame, connector.timeout, connector.max_message) = (frame, TIMEOUT, LONGEST);
        hear(Connector::Tcp(Box::new(connector))).await;
    });
}

/// An answer to the handshake of a WebSocket. `ACCEPT` in it is what follows from the key.
pub fn websocket_handshake(data: &[u8]) {
    let data = data.to_vec();
    facing(
        move |head| replaced(&data, accept(head)),
        |address| async move {
            hear(over_websocket(address, websocket::Framing::Message)).await;
        },
    );
}

/// The frames of a WebSocket. The first byte says whether lines are messages.
pub fn websocket_frames(data: &[u8]) {
    let Some((kind, data)) = data.split_first() else { return };
    let framing = if kind % 2 == 0 { websocket::Framing::Message } else { websocket::Framing::Line };
    let data = data.to_vec();
    facing(
        move |head| [upgraded(head), data.clone()].concat(),
        |address| async move {
            hear(over_websocket(address, framing)).await;
        },
    );
}

/// Packets of Socket.IO, a line each; those that begin with `B` are bytes.
pub fn socketio(data: &[u8]) {
    let data = data.to_vec();
    let say = move |head: &str| {
        let mut said = upgraded(head);
        let open = br#"0{"sid":"a","upgrades":[],"pingInterval":25000,"pingTimeout":20000}"#;
        for packet in [&open[..]].into_iter().chain(data.split(|byte| *byte == b'\n')) {
            match packet.strip_prefix(b"B") {
                Some(bytes) => frame(2, bytes, &mut said),
                None => frame(1, packet, &mut said),
            }
        }
        said
    };
    facing(say, |address| async move {
        hear(over_socketio(address, socketio::Transport::WebSocket)).await;
    });
}

/// An answer to the polling with which Socket.IO begins.
pub fn polling(data: &[u8]) {
    let data = data.to_vec();
    facing(
        move |_| data.clone(),
        |address| async move {
            hear(over_socketio(address, socketio::Transport::Polling)).await;
        },
    );
}

/// What a Prometheus server answers, whatever it is asked.
pub fn prometheus(data: &[u8]) {
    let head = format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n", data.len());
    let answer = [head.as_bytes(), data].concat();
    facing(
        move |_| answer.clone(),
        |address| async move {
            let access = Access::new(&format!("http://{address}")).expect("it is one").timeout(TIMEOUT);
            let sources = vec![Source { name: "prometheus".into(), kind: SourceKind::Prometheus, access }];
            let preset = presets::find("redis").expect("there is one");
            let counters = vec![Wanted::Preset { preset, matchers: Vec::new() }];
            let observer = Observer::new(Observe { sources, counters, ..Observe::default() }, Clock::default());
            let now = SystemTime::now();
            let query = Query::parse("sum(up)").expect("it is one");
            // A sample past an edge is waited for, and need not come.
            let short = Duration::from_millis(30);
            std::hint::black_box(observer.try_once(TIMEOUT).await);
            let _ = tokio::time::timeout(short, observer.edge(now, Traffic::Ended).reading()).await;
            let _ = tokio::time::timeout(short, observer.query(&query, &[(now - Duration::from_secs(60), now)])).await;
        },
    );
}

fn scope() -> Scope {
    Scope::new(Arc::new(ScenarioValues::default()), 0)
}

fn over_websocket(address: SocketAddr, framing: websocket::Framing) -> Connector {
    let mut connector = websocket::Connector::new(Template::literal(&format!("ws://{address}/")));
    (connector.framing, connector.timeout, connector.max_message) = (framing, TIMEOUT, LONGEST);
    Connector::WebSocket(Box::new(connector))
}

fn over_socketio(address: SocketAddr, transport: socketio::Transport) -> Connector {
    let mut connector = socketio::Connector::new(Template::literal(&format!("http://{address}/")));
    (connector.transport, connector.timeout, connector.max_message) = (transport, TIMEOUT, LONGEST);
    Connector::SocketIo(Box::new(connector))
}

/// Opens a connection and hears it out.
async fn hear(connector: Connector) {
    let prepared: PreparedConnect = connector.prepare(&scope()).expect("nothing of it varies");
    if let Ok(mut connection) = session::open(prepared, None).await.result {
        while let Ok(message) = connection.next().await {
            assert!(message.size() <= 4 * LONGEST, "a message of {} bytes", message.size());
        }
        connection.close(TIMEOUT).await;
    }
}

/// The key's answer.
fn accept(head: &str) -> String {
    let key =
        head.lines().find_map(|line| line.to_ascii_lowercase().starts_with("sec-websocket-key:").then(|| line[18..].trim()));
    derive_accept_key(key.unwrap_or_default().as_bytes())
}

fn upgraded(head: &str) -> Vec<u8> {
    let accept = accept(head);
    format!("HTTP/1.1 101 x\r\nupgrade: websocket\r\nconnection: upgrade\r\nsec-websocket-accept: {accept}\r\n\r\n").into_bytes()
}

fn replaced(data: &[u8], accept: String) -> Vec<u8> {
    match data.windows(6).position(|window| window == b"ACCEPT") {
        Some(at) => [&data[..at], accept.as_bytes(), &data[at + 6..]].concat(),
        None => data.to_vec(),
    }
}

/// A frame of a server's.
fn frame(opcode: u8, payload: &[u8], out: &mut Vec<u8>) {
    let payload = &payload[..payload.len().min(u16::MAX.into())];
    out.push(0x80 | opcode);
    match payload.len() {
        short @ 0..126 => out.push(short as u8),
        long => {
            out.push(126);
            out.extend((long as u16).to_be_bytes());
        }
    }
    out.extend(payload);
}

/// Has a driver face a peer that reads the head of a request and says what it makes of it, on each connection.
fn facing<F: Future<Output = ()>>(say: impl Fn(&str) -> Vec<u8> + Send + Sync + 'static, drive: impl FnOnce(SocketAddr) -> F) {
    face(true, say, drive);
}

/// The same of a peer that says at once what it has to say.
fn facing_at_once<F: Future<Output = ()>>(said: Vec<u8>, drive: impl FnOnce(SocketAddr) -> F) {
    face(false, move |_| said.clone(), drive);
}

fn face<F: Future<Output = ()>>(
    reads: bool,
    say: impl Fn(&str) -> Vec<u8> + Send + Sync + 'static,
    drive: impl FnOnce(SocketAddr) -> F,
) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let listener = TcpListener::bind((address(), 0)).await.expect("a port");
        let place = listener.local_addr().expect("it is bound");
        let say = Arc::new(say);
        let peers = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(peer(stream, reads, say.clone()));
            }
        });
        tokio::time::timeout(PATIENCE, drive(place)).await.expect("it is over in time");
        peers.abort();
    });
}

async fn peer(mut stream: TcpStream, reads: bool, say: Arc<impl Fn(&str) -> Vec<u8>>) {
    let mut head = Vec::new();
    while reads && !head.windows(4).any(|window| window == b"\r\n\r\n") {
        if !matches!(stream.read_buf(&mut head).await, Ok(1..)) {
            return;
        }
    }
    let said = say(&String::from_utf8_lossy(&head));
    if stream.write_all(&said).await.is_ok() && stream.shutdown().await.is_ok() {
        let mut thrown_away = [0; 4096];
        while matches!(stream.read(&mut thrown_away).await, Ok(1..)) {}
    }
}

/// An address of this machine, another each time: so a million connections in a minute leave no port taken.
fn address() -> Ipv4Addr {
    thread_local!(static NEXT: Cell<u32> = const { Cell::new(0) });
    let next = NEXT.get();
    NEXT.set(next + 1);
    Ipv4Addr::from(0x7f01_0001 + ((std::process::id() % 64) << 16) + next % 0xfff0)
}
