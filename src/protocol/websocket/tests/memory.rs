//! How much an idle connection holds.

use super::peer::*;
use super::*;

/// The resident memory of this process, in bytes.
fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: usize = statm.split_whitespace().nth(1).unwrap().parse().unwrap();
    pages * 4096
}

/// The driver's side alone: the server's sockets are raw, and what they hold is the kernel's.
#[tokio::test]
#[ignore = "a figure for documents: run it alone, with --nocapture"]
async fn an_idle_connection_holds_less_than_8_kib() {
    const CONNECTIONS: usize = 2000;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}/ws", listener.local_addr().unwrap());
    let mut peers = Vec::with_capacity(CONNECTIONS);
    let mut connections = Vec::with_capacity(CONNECTIONS);
    let mut open_one = async |connections: &mut Vec<Connection>| {
        let (connection, peer) = tokio::join!(open(&url), async {
            let mut peer = Peer { socket: listener.accept().await.unwrap().0 };
            peer.accept().await;
            peer.say(frame(true, TEXT, b"hello")).await;
            peer
        });
        connections.push(connection);
        peers.push(peer);
        connections.last_mut().unwrap().next().await.unwrap();
    };
    for _ in 0..100 {
        open_one(&mut connections).await;
    }
    let before = resident();
    for _ in 0..CONNECTIONS {
        open_one(&mut connections).await;
    }
    let each = (resident() - before) / CONNECTIONS;
    println!("{each} bytes resident per connection, the peer's socket included");
    assert!(each < 8192, "{each}");
}
