//! The driver against servers that write packets by hand: silence, goodbyes and nonsense. The real ones are in
//! `tests/socketio.rs`.

use std::future::Future;
use std::sync::Arc;

use futures_util::{SinkExt, StreamExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_tungstenite::WebSocketStream;

use super::*;
use crate::base::{Outcome, Reason};
use crate::expr::ScenarioValues;
use crate::protocol::session::{self, Connection, IncomingKind};
use crate::protocol::websocket::Message;

const PLENTY: Duration = Duration::from_secs(30);
const OPEN: &str = r#"0{"sid":"a","upgrades":[],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000}"#;

type Peer = WebSocketStream<TcpStream>;

/// Serves one connection with this script, once the WebSocket is open.
async fn serve<T, F>(script: impl FnOnce(Peer) -> F + Send + 'static) -> (String, JoinHandle<T>)
where
    T: Send + 'static,
    F: Future<Output = T> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}", listener.local_addr().unwrap());
    let handle = tokio::spawn(async move {
        let socket = listener.accept().await.unwrap().0;
        script(tokio_tungstenite::accept_async(socket).await.unwrap()).await
    });
    (url, handle)
}

async fn say(peer: &mut Peer, packets: &[&str]) {
    for packet in packets {
        peer.send(Message::text(*packet)).await.unwrap();
    }
}

/// All that the client says, until it closes.
async fn rest(mut peer: Peer) -> Vec<String> {
    let mut said = Vec::new();
    while let Some(Ok(message)) = peer.next().await {
        said.extend(message.to_text().ok().filter(|_| message.is_text()).map(str::to_owned));
    }
    said
}

async fn open(url: &str, change: impl FnOnce(&mut Connector)) -> session::Attempt {
    let mut connector = Connector::new(Template::literal(url));
    connector.timeout = PLENTY;
    change(&mut connector);
    let connector = session::Connector::SocketIo(Box::new(connector));
    let scope = Scope::new(Arc::new(ScenarioValues::default()), 0);
    session::open(connector.prepare(&scope).unwrap(), None).await
}

/// A connection to a server that says these packets once it has consented.
async fn greeted(packets: &'static [&'static str]) -> (Connection, JoinHandle<Vec<String>>) {
    let (url, server) = serve(move |mut peer| async move {
        say(&mut peer, &[OPEN, r#"40{"sid":"b"}"#]).await;
        say(&mut peer, packets).await;
        rest(peer).await
    })
    .await;
    (open(&url, |connector| connector.max_message = 1000).await.result.unwrap(), server)
}

#[tokio::test]
async fn the_handshake_ends_with_the_consent_and_the_goodbye_is_a_packet() {
    let (mut connection, server) = greeted(&["2", r#"42/other,["not for us"]"#, "6", r#"42["hi",1]"#]).await;
    let message = connection.next().await.unwrap();
    assert!(matches!(message.kind, IncomingKind::Event { event, .. } if event == "hi"));
    connection.close(PLENTY).await;
    assert_eq!(server.await.unwrap(), ["40", "3", "41"]);
}

#[tokio::test]
async fn who_cannot_wait_says_goodbye_all_the_same() {
    let (mut connection, server) = greeted(&[]).await;
    connection.leave();
    drop(connection);
    assert_eq!(server.await.unwrap(), ["40", "41"]);
}

#[tokio::test]
async fn what_is_waited_for_is_named_when_time_is_up() {
    for (packets, part) in [(&[][..], "open packet"), (&[OPEN][..], "CONNECT to be answered"), (&[OPEN, "2"][..], "CONNECT")] {
        let (url, _server) = serve(move |mut peer| async move {
            say(&mut peer, packets).await;
            rest(peer).await
        })
        .await;
        let attempt = open(&url, |connector| connector.timeout = Duration::from_millis(200)).await;
        let error = attempt.result.unwrap_err();
        assert_eq!((error.outcome, error.reason, attempt.status), (Outcome::Timeout, Reason::Timeout, 101));
        assert!(error.detail.contains("200ms") && error.detail.contains(part), "{error}");
    }
}

#[tokio::test]
async fn nonsense_in_the_handshake_is_reported() {
    for (packets, reason, part) in [
        (&["hello"][..], Reason::Protocol, "open packet"),
        (&["0{}"][..], Reason::Protocol, "cannot be read"),
        (&[r#"97:0{"sid":"a"}2:40"#][..], Reason::Protocol, "Socket.IO 2"),
        (&[OPEN, "40"][..], Reason::Protocol, "Socket.IO 2"),
        (&[OPEN, r#"42["early"]"#][..], Reason::Protocol, "before it answered"),
        (&[OPEN, "41"][..], Reason::Closed, "instead of answering"),
        (&[OPEN, r#"44{"message":"no\u0007 entry"}"#][..], Reason::Status, "no entry"),
        (&[OPEN, "1"][..], Reason::Closed, "Engine.IO's close"),
    ] {
        let (url, _server) = serve(move |mut peer| async move {
            say(&mut peer, packets).await;
            rest(peer).await
        })
        .await;
        let error = open(&url, |_| {}).await.result.unwrap_err();
        assert_eq!((error.reason, error.detail.contains(part)), (reason, true), "{packets:?}: {error}");
    }
}

#[tokio::test]
async fn nonsense_later_ends_the_connection() {
    for (packets, part) in [
        (&[""][..], "empty"),
        (&["9"][..], "no packet of Engine.IO"),
        (&["42{}"][..], "no list"),
        (&["43[]"][..], "acknowledges nothing"),
        (&[r#"451-["x",{"_placeholder":true,"num":0}]"#, r#"42["y"]"#][..], "where an attachment was due"),
        (&[r#"459999-["x"]"#][..], "9999 attachments"),
    ] {
        let (mut connection, _server) = greeted(packets).await;
        let lost = connection.next().await.unwrap_err();
        assert_eq!((lost.reason, lost.detail.contains(part)), (Reason::Protocol, true), "{packets:?}: {lost}");
        assert_eq!(connection.next().await.unwrap_err(), lost);
    }
    for bytes in [&[0; 3][..], &[0; 600]] {
        let (url, _server) = serve(move |mut peer| async move {
            say(&mut peer, &[OPEN, r#"40{"sid":"b"}"#, r#"452-["x"]"#]).await;
            for _ in 0..3 {
                peer.send(Message::binary(bytes)).await.unwrap();
            }
            rest(peer).await
        })
        .await;
        let mut connection = open(&url, |connector| connector.max_message = 1000).await.result.unwrap();
        if bytes.len() == 3 {
            let message = connection.next().await.unwrap();
            assert!(matches!(message.kind, IncomingKind::Event { attachments, .. } if attachments.len() == 2));
        }
        let lost = connection.next().await.unwrap_err();
        let part = if bytes.len() == 3 { "belongs to no packet" } else { "`max_message`" };
        assert_eq!((lost.reason, lost.detail.contains(part)), (Reason::Protocol, true), "{lost}");
    }
}

#[tokio::test]
async fn a_server_that_does_not_ping_is_gone() {
    let (url, _server) = serve(|mut peer| async move {
        say(
            &mut peer,
            &[r#"0{"sid":"a","upgrades":[],"pingInterval":100,"pingTimeout":100}"#, r#"40{"sid":"b"}"#, r#"42["last"]"#],
        )
        .await;
        rest(peer).await
    })
    .await;
    let mut connection = open(&url, |_| {}).await.result.unwrap();
    connection.next().await.unwrap();
    let lost = connection.next().await.unwrap_err();
    assert_eq!((lost.reason, lost.detail.contains("not even a ping, for 200ms")), (Reason::Timeout, true), "{lost}");
}

#[tokio::test]
async fn the_path_of_the_url_is_the_endpoints_unless_one_is_given() {
    for (url, path, wanted) in [
        ("", DEFAULT_PATH, "/socket.io/?EIO=4&transport=websocket "),
        ("/live", DEFAULT_PATH, "/live/?EIO=4&transport=websocket "),
        ("/live?a=1", "own", "/own/?EIO=4&transport=websocket&a=1 "),
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("ws://{}{url}", listener.local_addr().unwrap());
        let server = tokio::spawn(async move {
            let socket = listener.accept().await.unwrap().0;
            let mut head = vec![0; 4096];
            let read = tokio::io::AsyncReadExt::read(&mut { socket }, &mut head).await.unwrap();
            String::from_utf8(head[..read].to_vec()).unwrap()
        });
        assert!(open(&url, |connector| connector.path = Template::literal(path)).await.result.is_err());
        let request = server.await.unwrap();
        assert!(request.starts_with(&format!("GET {wanted}")), "{request}");
    }
}
