//! What a peer sends without a pause is read turn by turn.

use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;

use super::turn::{AT_ONCE, BYTES, LEAST};
use super::*;

/// Both ends of a connection.
async fn pair() -> (Stream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let near = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    (Stream::plain(Counted::new(near)), listener.accept().await.unwrap().0)
}

/// How much is read, this much at a time, before others have their turn or nothing is left.
async fn turn(stream: &mut Stream, at_once: usize) -> usize {
    let mut all = 0;
    std::future::poll_fn(|cx| {
        let mut room = vec![0; at_once];
        let mut buf = ReadBuf::new(&mut room);
        while Pin::new(&mut *stream).poll_read(cx, &mut buf).is_ready() && all < 10 * BYTES {
            all += buf.filled().len();
            buf.clear();
        }
        Poll::Ready(all)
    })
    .await
}

#[tokio::test]
async fn a_peer_that_sends_without_a_pause_has_its_turn_and_no_more() {
    let (mut stream, mut peer) = pair().await;
    peer.write_all(&[0; 2000]).await.unwrap();
    stream.tcp().readable().await.unwrap();
    let most = BYTES / LEAST;
    let read = turn(&mut stream, 1).await;
    assert!((1..=most).contains(&read), "byte by byte: {read}");
    assert!((1..=most).contains(&turn(&mut stream, 1).await), "it goes on");
    tokio::spawn(async move { while peer.write_all(&[0; 100_000]).await.is_ok() {} });
    for _ in 0..20 {
        tokio::task::yield_now().await;
        let read = turn(&mut stream, 10 * BYTES).await;
        assert!(read <= BYTES + AT_ONCE, "{read}");
    }
}
