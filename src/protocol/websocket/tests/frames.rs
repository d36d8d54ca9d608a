//! Frames: what is put together, what is answered, and what ends the connection.

use bytes::Bytes;

use super::peer::*;
use super::*;
use crate::base::Reason;
use crate::protocol::session::{Incoming, IncomingKind};

fn is_text(message: Incoming, wanted: &str) {
    assert_eq!(message.kind, IncomingKind::Text(wanted.into()));
}

#[tokio::test]
async fn messages_of_every_length_and_kind() {
    for length in [0, 1, 125, 126, 127, 65_535, 65_536, 300_000] {
        let body = "ü".repeat(length / 2) + &"x".repeat(length % 2);
        let mut wire = frame(true, TEXT, body.as_bytes());
        wire.extend(frame(true, BINARY, &vec![0xff; length]));
        let (url, _server) = say(wire).await;
        let mut connection = open(&url).await;
        is_text(connection.next().await.unwrap(), &body);
        assert_eq!(connection.next().await.unwrap().kind, IncomingKind::Binary(Bytes::from(vec![0xff; length])));
    }
}

#[tokio::test]
async fn fragments_are_put_together_with_control_frames_between_them() {
    let (url, server) = serve(|mut peer| async move {
        peer.accept().await;
        // The ü is cut in two, and one fragment is empty.
        peer.say(frame(false, TEXT, b"H\xc3")).await;
        peer.say(frame(true, PING, b"are you there")).await;
        assert_eq!(peer.read().await, Some((PONG, b"are you there".to_vec())));
        peer.say(frame(false, CONTINUED, b"")).await;
        peer.say(frame(true, PONG, b"nobody asked")).await;
        peer.say(frame(true, CONTINUED, b"\xbclle")).await;
        peer.say(frame(true, PING, b"")).await;
        assert_eq!(peer.read().await, Some((PONG, Vec::new())));
        peer.say(close(1000)).await;
        peer.goodbye().await
    })
    .await;
    let mut connection = open(&url).await;
    is_text(connection.next().await.unwrap(), "Hülle");
    let lost = connection.next().await.unwrap_err();
    assert_eq!((lost.reason, lost.code), (Reason::Closed, Some(1000)));
    // The goodbye has been answered with the same code.
    assert_eq!(server.await.unwrap(), Some(1000));
}

#[tokio::test]
async fn pings_of_every_length_are_answered_with_what_they_held() {
    let (url, server) = serve(|mut peer| async move {
        peer.accept().await;
        for length in [0, 1, 124, 125] {
            let held: Vec<u8> = (0..length).map(|n| 255 - n).collect();
            peer.say(frame(true, PING, &held)).await;
            assert_eq!(peer.read().await, Some((PONG, held)));
        }
        // Of many at once the last one has to be answered, and the others may be (RFC 6455, 5.5.3).
        peer.say((0..10u8).flat_map(|n| frame(true, PING, &[n])).collect::<Vec<u8>>()).await;
        while peer.read().await != Some((PONG, vec![9])) {}
        peer.say([frame(true, PONG, &[b'x'; 125]), frame(true, TEXT, b"done")].concat()).await;
        peer.goodbye().await
    })
    .await;
    let mut connection = open(&url).await;
    is_text(connection.next().await.unwrap(), "done");
    drop(connection);
    assert_eq!(server.await.unwrap(), None);
}

#[tokio::test]
async fn what_comes_behind_a_goodbye_is_nobodys() {
    let goodbye = frame(true, CLOSE, &[&1000_u16.to_be_bytes()[..], "käse".as_bytes()].concat());
    let (url, server) = say([goodbye, frame(true, TEXT, b"late"), frame(true, PING, b"late")].concat()).await;
    let mut connection = open(&url).await;
    let lost = connection.next().await.unwrap_err();
    assert_eq!((lost.reason, lost.code), (Reason::Closed, Some(1000)));
    assert_eq!(connection.next().await.unwrap_err(), lost);
    connection.close(PLENTY).await;
    assert_eq!(server.await.unwrap(), Some(1000));
}

#[tokio::test]
async fn frames_may_come_byte_by_byte_and_many_at_once() {
    let (url, _server) = serve(|mut peer| async move {
        peer.accept().await;
        peer.socket.set_nodelay(true).unwrap();
        for byte in frame(true, TEXT, b"slowly") {
            peer.say([byte]).await;
            tokio::task::yield_now().await;
        }
        let all: Vec<u8> = (0..1000).flat_map(|n: u32| frame(true, TEXT, n.to_string().as_bytes())).collect();
        peer.say(all).await;
        peer.goodbye().await
    })
    .await;
    let mut connection = open(&url).await;
    is_text(connection.next().await.unwrap(), "slowly");
    for n in 0..1000 {
        is_text(connection.next().await.unwrap(), &n.to_string());
    }
}

#[tokio::test]
async fn a_frame_may_come_with_the_handshake() {
    let (url, _server) = serve(|mut peer| async move {
        let request = peer.request().await;
        let mut both = good_answer(&request).into_bytes();
        both.extend(frame(true, TEXT, b"hello"));
        peer.say(both).await;
        peer.goodbye().await
    })
    .await;
    is_text(open(&url).await.next().await.unwrap(), "hello");
}

#[tokio::test]
async fn what_breaks_the_protocol_ends_the_connection_and_the_peer_gets_the_code() {
    let text_then = |frames: &[Vec<u8>]| [&[frame(false, TEXT, b"a")], frames].concat().concat();
    let mut cases = vec![
        ("a reserved bit", 1002, vec![0xc1, 0]),
        ("another reserved bit", 1002, vec![0xa1, 0]),
        ("the last reserved bit", 1002, vec![0x91, 0]),
        ("a reserved bit of a ping", 1002, vec![0xc9, 0]),
        ("a reserved bit within a message", 1002, text_then(&[vec![0xc0, 1, b'b']])),
        ("masked", 1002, vec![0x81, 0x80, 1, 2, 3, 4]),
        ("long ping", 1002, frame(true, PING, &[0; 126])),
        ("fragmented ping", 1002, frame(false, PING, b"")),
        ("continuation of nothing", 1002, frame(true, CONTINUED, b"a")),
        ("a message within a message", 1002, text_then(&[frame(true, TEXT, b"b")])),
        ("a binary message within a message", 1002, text_then(&[frame(false, BINARY, b"b")])),
        ("long goodbye", 1002, frame(true, CLOSE, &[[3, 232].as_slice(), &[b'x'; 124]].concat())),
        ("fragmented goodbye", 1002, frame(false, CLOSE, &[3, 232])),
        ("close frame of one byte", 1002, frame(true, CLOSE, &[3])),
        ("text that is not UTF-8", 1007, frame(true, TEXT, b"\xff")),
        ("text cut within a character", 1007, frame(true, TEXT, b"a\xc3")),
        ("fragments that are not UTF-8", 1007, text_then(&[frame(true, CONTINUED, b"\xed\xa0\x80")])),
        (
            "fragments that are not UTF-8 together",
            1007,
            [frame(false, TEXT, b"a\xed\xa0"), frame(true, CONTINUED, b"\x80")].concat(),
        ),
        ("fragments that end within a character", 1007, [frame(false, TEXT, b"a\xe2"), frame(true, CONTINUED, b"\x82")].concat()),
        ("overlong text", 1007, frame(true, TEXT, b"\xc0\xaf")),
        ("text beyond Unicode", 1007, frame(true, TEXT, b"\xf4\x90\x80\x80")),
        ("reason that is not UTF-8", 1007, frame(true, CLOSE, b"\x03\xe8\xff")),
        ("too long a frame", 1009, frame(true, BINARY, &[0; 2000])),
        ("too long in fragments", 1009, [frame(false, BINARY, &[0; 600]), frame(true, CONTINUED, &[0; 600])].concat()),
        // Known from its header alone: 2^62 bytes will not be waited for, nor allocated.
        ("too long to be", 1009, [vec![0x82, 127], (1u64 << 62).to_be_bytes().to_vec()].concat()),
    ];
    cases.extend((3..8).chain(11..16).map(|opcode| ("reserved opcode", 1002, frame(true, opcode, b""))));
    // Those that stand for the lack of a code, and those that nobody has given a meaning.
    let codes = [0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65_535];
    cases.extend(codes.map(|code| ("close code that may not be sent", 1002, close(code))));
    for (case, code, wire) in cases {
        let (url, server) = say([frame(true, TEXT, b"before"), wire, frame(true, TEXT, b"after")].concat()).await;
        let mut connection = open_as(&url, None, |connector| connector.max_message = 1000).await.result.unwrap();
        is_text(connection.next().await.unwrap(), "before");
        let lost = connection.next().await.unwrap_err();
        assert_eq!(lost.reason, Reason::Protocol, "{case}: {lost}");
        assert!(!lost.detail.contains("before"));
        // Again the same, and nothing is sent any more.
        assert_eq!(connection.next().await.unwrap_err(), lost, "{case}");
        assert_eq!(connection.send(text("x")).await.unwrap_err(), lost, "{case}");
        assert_eq!(server.await.unwrap(), Some(code), "{case}");
    }
}

#[tokio::test]
async fn close_codes_are_reported_and_the_lack_of_one() {
    for code in [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 3000, 3999, 4000, 4999] {
        let (url, server) = say(close(code)).await;
        let mut connection = open(&url).await;
        let lost = connection.next().await.unwrap_err();
        assert_eq!((lost.reason, lost.code), (Reason::Closed, Some(code)));
        connection.close(PLENTY).await;
        assert_eq!(server.await.unwrap(), Some(code));
    }
    let (url, server) = say(frame(true, CLOSE, b"")).await;
    let mut connection = open(&url).await;
    assert_eq!(connection.next().await.unwrap_err().code, Some(1005));
    assert_eq!(server.await.unwrap(), None);
}

#[tokio::test]
async fn an_end_without_a_close_frame_and_a_reset_are_distinguished() {
    let (url, _server) = serve(|mut peer| async move {
        peer.accept().await;
        peer.say(&frame(true, TEXT, b"half a message")[..5]).await;
    })
    .await;
    let lost = lost(&mut open(&url).await).await;
    assert_eq!((lost.reason, lost.code), (Reason::Closed, None));
    assert!(lost.detail.contains("without a close frame"), "{lost}");

    let (url, _server) = serve(|mut peer| async move {
        peer.accept().await;
        peer.reset();
    })
    .await;
    let lost = super::lost(&mut open(&url).await).await;
    assert_eq!(lost.reason, Reason::Reset, "{lost}");
}
