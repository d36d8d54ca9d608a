//! Servers of WebSocket, Socket.IO and TCP that misbehave, many connections at once: each gets its reason, and memory stays bounded
//! whatever comes. What single frames and packets lead to is tested beside the drivers.

use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use load_exporter::base::Reason;
use load_exporter::expr::{ScenarioValues, Scope, Template};
use load_exporter::protocol::session::{self, Attempt, Connection, Connector, Lost, Outgoing};
use load_exporter::protocol::{socketio, tcp, websocket};
use load_exporter::target::{Options, Target};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

/// How many connections misbehave at once.
const MANY: usize = 30;
/// Far longer than anything here takes.
const PLENTY: Duration = Duration::from_secs(60);
const MIB: usize = 1 << 20;

async fn open(connector: Connector) -> Attempt {
    let scope = Scope::new(Arc::new(ScenarioValues::default()), 0);
    session::open(connector.prepare(&scope).unwrap(), None).await
}

fn websocket(address: SocketAddr, path: &str, timeout: Duration) -> Connector {
    let mut connector = websocket::Connector::new(Template::literal(&format!("ws://{address}{path}")));
    connector.timeout = timeout;
    Connector::WebSocket(Box::new(connector))
}

fn socketio(address: SocketAddr) -> Connector {
    let mut connector = socketio::Connector::new(Template::literal(&format!("ws://{address}")));
    connector.timeout = PLENTY;
    Connector::SocketIo(Box::new(connector))
}

fn tcp(address: SocketAddr, frame: tcp::Frame) -> Connector {
    let mut connector = tcp::Connector::new(Template::literal(&address.to_string()));
    (connector.timeout, connector.frame) = (PLENTY, frame);
    Connector::Tcp(Box::new(connector))
}

async fn lost(connection: &mut Connection) -> Lost {
    loop {
        if let Err(lost) = connection.next().await {
            return lost;
        }
    }
}

/// How a connection ends, at once or later.
async fn end(connector: Connector) -> (Reason, String) {
    match open(connector).await.result {
        Ok(mut connection) => {
            let lost = lost(&mut connection).await;
            (lost.reason, lost.detail)
        }
        Err(error) => (error.reason, error.detail),
    }
}

#[tokio::test]
async fn each_misbehaviour_of_the_builtin_target_has_its_reason() {
    let _alone = crate::ALONE.lock().await;
    let options = Options { tcp: Some("127.0.0.1:0".parse().unwrap()), ..Options::default() };
    let target = Target::start("127.0.0.1:0".parse().unwrap(), options).unwrap();
    for (path, reason) in [
        ("/ws?drop", Reason::Closed),
        ("/ws?close=1011", Reason::Closed),
        ("/ws?reset", Reason::Reset),
        ("/ws?garbage", Reason::Protocol),
        ("/ws?huge=2MB", Reason::Protocol),
        ("/ws?accept=wrong", Reason::Protocol),
        ("/status/400", Reason::Status),
        ("/status/503", Reason::Status),
        ("/redirect/1", Reason::Status),
    ] {
        let ends = (0..MANY).map(|_| end(websocket(target.address(), path, PLENTY)));
        for (found, detail) in join_all(ends).await {
            assert_eq!(found, reason, "{path}: {detail}");
        }
    }
    let ends = (0..MANY).map(|_| end(websocket(target.address(), "/ws?stall", Duration::from_millis(500))));
    for (reason, detail) in join_all(ends).await {
        assert!(reason == Reason::Timeout && detail.contains("WebSocket handshake"), "{detail}");
    }
    target.stop().await;
}

type Script = fn(TcpStream) -> Pin<Box<dyn Future<Output = ()> + Send>>;

/// What the server does, the reason that follows, and how it is connected to.
type Case = (&'static str, Reason, Script, fn(SocketAddr) -> Connector);

/// Serves every connection with this script, until the test ends.
async fn serve(script: Script) -> SocketAddr {
    let socket = TcpSocket::new_v4().unwrap();
    // A server that reads nothing is to be full soon.
    socket.set_recv_buffer_size(4096).unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(1024).unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            tokio::spawn(script(socket));
        }
    });
    address
}

/// Shakes hands as it should be.
async fn accept(socket: &mut TcpStream) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(socket.read_u8().await.unwrap());
    }
    let head = String::from_utf8(head).unwrap();
    let key = head.lines().find_map(|line| line.strip_prefix("sec-websocket-key: ")).unwrap();
    let accept = derive_accept_key(key.as_bytes());
    let answer = "HTTP/1.1 101 x\r\nupgrade: websocket\r\nconnection: upgrade\r\nsec-websocket-accept: ";
    socket.write_all(format!("{answer}{accept}\r\n\r\n").as_bytes()).await.unwrap();
}

/// Writes the same again and again for as long as the client takes it.
async fn pour(mut socket: TcpStream, bytes: &[u8]) {
    while socket.write_all(bytes).await.is_ok() {}
}

fn text(text: &str) -> Vec<u8> {
    [&[0x81, u8::try_from(text.len()).unwrap()], text.as_bytes()].concat()
}

/// The highest resident memory of this process since [`forget_peak`], in bytes.
fn peak() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<usize>().unwrap() * 1024
}

fn forget_peak() {
    std::fs::write("/proc/self/clear_refs", "5").unwrap();
}

#[tokio::test]
async fn memory_is_bounded_whatever_comes() {
    let _alone = crate::ALONE.lock().await;
    let cases: [Case; 9] = [
        (
            "an answer to the handshake without an end",
            Reason::Protocol,
            |socket| Box::pin(pour_after(socket, b"HTTP/1.1 101 x\r\nx: ", &[b'y'; 65_536])),
            |address| websocket(address, "/", PLENTY),
        ),
        (
            "a frame of a terabyte",
            Reason::Protocol,
            |mut socket| {
                Box::pin(async move {
                    accept(&mut socket).await;
                    pour_after(socket, &[0x82, 127, 0, 0, 1, 0, 0, 0, 0, 0], &[0; 65_536]).await;
                })
            },
            |address| websocket(address, "/", PLENTY),
        ),
        (
            "fragments without an end",
            Reason::Protocol,
            |mut socket| {
                Box::pin(async move {
                    accept(&mut socket).await;
                    let fragment = [&[0x00, 126, 0x40, 0][..], &[b'x'; 0x4000]].concat();
                    pour_after(socket, &[0x01, 1, b'x'], &fragment).await;
                })
            },
            |address| websocket(address, "/", PLENTY),
        ),
        (
            "pings whose answers are not read",
            Reason::Protocol,
            |mut socket| {
                Box::pin(async move {
                    accept(&mut socket).await;
                    pour(socket, &[&[0x89, 125][..], &[b'p'; 125]].concat().repeat(500)).await;
                })
            },
            |address| websocket(address, "/", PLENTY),
        ),
        (
            "pings of Socket.IO whose answers are not read",
            Reason::Protocol,
            |mut socket| {
                Box::pin(async move {
                    accept(&mut socket).await;
                    greet(&mut socket).await;
                    let ping = text(&format!("2{}", "p".repeat(100)));
                    pour(socket, &ping.repeat(500)).await;
                })
            },
            socketio,
        ),
        (
            "attachments without an end",
            Reason::Protocol,
            |mut socket| {
                Box::pin(async move {
                    accept(&mut socket).await;
                    greet(&mut socket).await;
                    let attachment = [&[0x82, 126, 0x40, 0][..], &[0; 0x4000]].concat();
                    pour_after(socket, &text("451000-[\"x\"]"), &attachment).await;
                })
            },
            socketio,
        ),
        (
            "a line without an end",
            Reason::Protocol,
            |socket| Box::pin(pour_owned(socket)),
            |address| tcp(address, tcp::Frame::Line),
        ),
        (
            "a length of four gigabytes",
            Reason::Protocol,
            |socket| Box::pin(pour_after(socket, &[0xff; 4], &[0; 65_536])),
            |address| tcp(address, tcp::Frame::Length(tcp::Width::U32Be)),
        ),
        (
            "half a message, and the end",
            Reason::Closed,
            |mut socket| {
                Box::pin(async move {
                    socket.write_all(b"half").await.unwrap();
                })
            },
            |address| tcp(address, tcp::Frame::Line),
        ),
    ];
    for (case, reason, script, connector) in cases {
        let address = serve(script).await;
        // It takes megabytes of answers until a socket is full.
        let many = if case.starts_with("pings") { 3 } else { MANY };
        forget_peak();
        let before = peak();
        for (found, detail) in join_all((0..many).map(|_| end(connector(address)))).await {
            assert_eq!(found, reason, "{case}: {detail}");
        }
        // A message of the longest, the buffer it is put together in, and what the servers of this process hold.
        let grown = peak().saturating_sub(before);
        assert!(grown < many * 4 * MIB + 8 * MIB, "{case}: {} MiB", grown / MIB);
    }
}

/// Consents to Socket.IO's default namespace.
async fn greet(socket: &mut TcpStream) {
    let open = r#"0{"sid":"a","upgrades":[],"pingInterval":25000,"pingTimeout":20000}"#;
    socket.write_all(&[text(open), text(r#"40{"sid":"b"}"#)].concat()).await.unwrap();
}

async fn pour_after(mut socket: TcpStream, first: &[u8], rest: &[u8]) {
    if socket.write_all(first).await.is_ok() {
        pour(socket, rest).await;
    }
}

async fn pour_owned(socket: TcpStream) {
    pour(socket, &[b'x'; 65_536]).await;
}

#[tokio::test]
async fn a_server_that_stops_reading_holds_nobody_up_for_longer_than_the_timeout() {
    let _alone = crate::ALONE.lock().await;
    let target = Target::start("127.0.0.1:0".parse().unwrap(), Options::default()).unwrap();
    let block = Bytes::from(vec![0; MIB]);
    let stuck = (0..MANY).map(|_| async {
        let attempt = open(websocket(target.address(), "/ws?deaf", Duration::from_secs(1))).await;
        let mut connection = attempt.result.unwrap();
        loop {
            if let Err(lost) = connection.send(Outgoing::Binary(block.clone())).await {
                return lost;
            }
        }
    });
    for lost in join_all(stuck).await {
        assert_eq!((lost.reason, lost.detail.contains("within 1.00s")), (Reason::Timeout, true), "{lost}");
    }
    drop(target);
}
