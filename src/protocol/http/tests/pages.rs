//! What is answered: bodies in every framing, compression, cookies, redirects.

use std::io::Read;

use http::Method;

use super::server::{answers, script, serve};
use super::*;
use crate::base::{Outcome, Reason};
use crate::net::HostPort;
use crate::protocol::Connect;
use crate::protocol::http::Body;

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

#[tokio::test]
async fn bodies_in_every_framing() {
    let (url, server) = answers(&[
        OK,
        "HTTP/1.1 201 Created\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\nx-trailer: 1\r\n\r\n",
        "HTTP/1.1 204 No Content\r\n\r\n",
        "HTTP/1.1 304 Not Modified\r\ncontent-length: 9\r\n\r\n",
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nto the end",
    ])
    .await;
    // The last body ends with the connection.
    let mut client = Client::new();
    let request = get(&url, |_| {});
    let mut seen = Vec::new();
    for _ in 0..5 {
        let exchange = perform(&mut client, &request).await;
        assert_eq!((exchange.outcome, &exchange.detail), (Outcome::Ok, &None));
        assert_eq!(exchange.body_bytes as usize, exchange.body.len());
        seen.push((exchange.status, exchange.body));
    }
    let expected: [(u16, &str); 5] = [(200, "ok"), (201, "abcde"), (204, ""), (304, ""), (200, "")];
    assert!(seen.iter().map(|(status, body)| (*status, &body[..])).eq(expected.map(|(s, b)| (s, b.as_bytes()))));
    drop(client);
    let requests = server.await.unwrap().concat();
    assert_eq!(requests.matches("GET / HTTP/1.1\r\n").count(), 5);
    assert!(!requests.contains("expect:"));
}

#[tokio::test]
async fn a_body_may_end_with_the_connection() {
    let (url, server) = serve(vec![script(|mut peer| async move {
        peer.answer("HTTP/1.1 200 OK\r\n\r\nto the ").await;
        peer.say("end").await;
        String::new()
    })])
    .await;
    let exchange = perform(&mut Client::new(), &get(&url, |_| {})).await;
    assert_eq!((exchange.outcome, &exchange.body[..]), (Outcome::Ok, &b"to the end"[..]));
    assert_eq!(exchange.disconnects.len(), 1);
    server.await.unwrap();
}

#[tokio::test]
async fn times_and_bytes_are_of_the_wire() {
    let (url, server) = answers(&[OK, OK]).await;
    let mut client = Client::new();
    let request = get(&url, |_| {});
    for turn in 0..2 {
        let exchange = perform(&mut client, &request).await;
        assert_eq!(exchange.received as usize, OK.len());
        assert!(exchange.sent_at.unwrap() <= exchange.ended && exchange.wait <= exchange.service());
        assert!(exchange.wait > Duration::ZERO);
        // The connection is reported once.
        match (turn, &exchange.connects[..]) {
            (0, [Connect { result: Ok(times), .. }]) => assert!(times.total >= times.tcp),
            (1, []) => {}
            (_, other) => panic!("{other:?}"),
        }
    }
    assert_eq!(client.close().disconnects.len(), 1);
    drop(client);
    let sent: usize = server.await.unwrap().iter().map(String::len).sum();
    assert!(sent > 0);
}

#[tokio::test]
async fn head_has_no_body_and_post_has_one() {
    let (url, server) = answers(&["HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n", OK]).await;
    let mut client = Client::new();
    let head = get(&url, |spec| spec.method = Method::HEAD);
    assert_eq!(perform(&mut client, &head).await.body, "");
    let post = get(&url, |spec| {
        spec.method = Method::POST;
        spec.body = Body::Text(Template::literal("hello"));
    });
    let exchange = perform(&mut client, &post).await;
    assert_eq!((exchange.outcome, &exchange.body[..]), (Outcome::Ok, &b"ok"[..]));
    drop(client);
    let requests = server.await.unwrap().concat();
    assert!(requests.ends_with("content-length: 5\r\n\r\nhello"), "{requests}");
}

#[tokio::test]
async fn discarded_bodies_are_counted() {
    let (url, server) = answers(&[OK, OK]).await;
    let mut client = Client::new();
    let exchange = perform(&mut client, &get(&url, |spec| spec.discard_body = true)).await;
    assert_eq!((exchange.outcome, exchange.body_bytes, exchange.body.len()), (Outcome::Ok, 2, 0));
    assert_eq!(exchange.sha256, None);
    let digest = get(&url, |spec| {
        spec.discard_body = true;
        spec.sha256 = true;
    });
    let exchange = perform(&mut client, &digest).await;
    // printf ok | sha256sum
    let expected = "2689367b205c16ce32ed4200942b8b8b1e262dfc70d9bc9fbc77c49699a4f1df";
    assert_eq!((exchange.sha256.as_deref(), exchange.body.len()), (Some(expected), 0));
    drop(client);
    assert_eq!(server.await.unwrap()[0].matches("accept-encoding").count(), 1);
}

#[tokio::test]
async fn compressed_answers_are_unpacked_if_asked_for() {
    let mut packed = Vec::new();
    flate2::read::GzEncoder::new(&b"unpacked"[..], flate2::Compression::fast()).read_to_end(&mut packed).unwrap();
    let mut page = format!("HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: {}\r\n\r\n", packed.len()).into_bytes();
    page.extend(&packed);
    let (url, server) = serve(vec![script(|mut peer| async move {
        let first = peer.answer(&page).await;
        let second = peer.answer(&page).await;
        peer.answer("HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 3\r\n\r\nraw").await;
        first + &second
    })])
    .await;
    let mut client = Client::new();
    let exchange = perform(&mut client, &get(&url, |_| {})).await;
    assert_eq!((&exchange.body[..], exchange.body_bytes as usize), (&b"unpacked"[..], packed.len()));
    assert_eq!(perform(&mut client, &get(&url, |spec| spec.compression = false)).await.body, packed);
    let broken = perform(&mut client, &get(&url, |_| {})).await;
    assert_eq!((broken.outcome, broken.reason), (Outcome::Error, Some(Reason::Protocol)));
    assert_eq!(server.await.unwrap()[0].matches("accept-encoding: gzip, deflate\r\n").count(), 1);
}

#[tokio::test]
async fn cookies_are_kept_for_the_user() {
    let set = "HTTP/1.1 200 OK\r\nset-cookie: sid=42\r\nset-cookie: b=2; Path=/elsewhere\r\ncontent-length: 0\r\n\r\n";
    let (url, server) = answers(&[set, OK, OK]).await;
    let mut client = Client::new();
    let request = get(&url, |_| {});
    for _ in 0..2 {
        perform(&mut client, &request).await;
    }
    perform(&mut client, &get(&url, |spec| spec.cookies = false)).await;
    drop(client);
    let requests = server.await.unwrap().concat();
    let requests: Vec<&str> = requests.split_inclusive("\r\n\r\n").collect();
    assert!(requests[1].contains("cookie: sid=42\r\n"), "{requests:?}");
    assert!(!requests[0].contains("cookie:") && !requests[2].contains("cookie:"), "{requests:?}");
}

#[tokio::test]
async fn redirects_are_one_exchange() {
    let to = |status: u16, location: &str, more: &str| {
        format!("HTTP/1.1 {status} X\r\nlocation: {location}\r\n{more}content-length: 3\r\n\r\nxyz")
    };
    let (url, server) = answers(&[&to(303, "/second?x=1", "set-cookie: s=1; Path=/\r\n"), &to(307, "third", ""), OK]).await;
    let request = get(&format!("{url}/a/first"), |spec| {
        spec.method = Method::POST;
        spec.body = Body::Text(Template::literal("hello"));
        spec.headers.push((http::header::CONTENT_TYPE, Template::literal("text/plain")));
        spec.redirects = 2;
    });
    let exchange = perform(&mut Client::new(), &request).await;
    assert_eq!((exchange.status, &exchange.body[..], exchange.connects.len()), (200, &b"ok"[..], 1));
    let requests = server.await.unwrap().concat();
    assert!(requests.contains("GET /second?x=1 HTTP/1.1\r\n") && requests.contains("GET /third HTTP/1.1\r\n"), "{requests}");
    assert_eq!((requests.matches("content-type").count(), requests.matches("cookie: s=1").count()), (1, 2), "{requests}");
    assert_eq!(
        exchange.received as usize,
        to(303, "/second?x=1", "set-cookie: s=1; Path=/\r\n").len() + to(307, "third", "").len() + OK.len()
    );
}

#[tokio::test]
async fn redirects_end() {
    let loops = "HTTP/1.1 302 X\r\nlocation: /again\r\ncontent-length: 0\r\n\r\n";
    let (url, _server) = answers(&[loops, loops, loops]).await;
    let exchange = perform(&mut Client::new(), &get(&url, |spec| spec.redirects = 2)).await;
    assert_eq!((exchange.outcome, exchange.reason, exchange.status), (Outcome::Error, Some(Reason::Protocol), 302));
    assert_eq!(exchange.detail.unwrap(), "more than 2 redirects (`redirects: 2`)");
    let (url, _server) = answers(&[loops]).await;
    let exchange = perform(&mut Client::new(), &get(&url, |_| {})).await;
    assert_eq!((exchange.outcome, exchange.status), (Outcome::Ok, 302));
}

#[tokio::test]
async fn long_bodies_that_nobody_reads_are_not_kept() {
    let long = "x".repeat(2_000_000);
    let plain = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{long}", long.len());
    let (url, _server) = answers(&[&plain, &plain, OK]).await;
    let mut client = Client::new();
    let unread = |hash: bool| get(&url, move |spec| (spec.reads_body, spec.sha256) = (false, hash));
    let exchange = perform(&mut client, &unread(true)).await;
    assert_eq!((exchange.outcome, exchange.body_bytes), (Outcome::Ok, 2_000_000));
    // head -c 2000000 /dev/zero | tr '\\0' x | sha256sum
    let expected = "be8889d3b8893c11d290b8dcf682164c326a90e6998f6bddb25d9a3a02daf666";
    assert_eq!(exchange.sha256.as_deref(), Some(expected));
    assert!(exchange.body.len() < 100_000 && !exchange.body.is_empty());
    assert_eq!(perform(&mut client, &unread(false)).await.sha256, None);
    assert_eq!(&perform(&mut client, &unread(true)).await.body[..], b"ok");
}

#[tokio::test]
async fn a_body_to_be_read_may_have_max_body_and_its_connection_outlives_a_longer_one() {
    let mut bomb = Vec::new();
    flate2::read::GzEncoder::new(std::io::repeat(0).take(3_000_000), flate2::Compression::best()).read_to_end(&mut bomb).unwrap();
    let packed = format!("HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: {}\r\n\r\n", bomb.len());
    let packed = [packed.as_bytes(), &bomb].concat();
    let plain = format!("HTTP/1.1 200 OK\r\ncontent-length: 2000000\r\n\r\n{}", "x".repeat(2_000_000));
    let pages = [plain.clone().into_bytes(), packed.clone(), packed, OK.into()];
    let (url, server) = serve(vec![script(|mut peer| async move {
        for page in pages {
            peer.answer(&page).await;
        }
        String::new()
    })])
    .await;
    let mut client = Client::new();
    let up_to = |most| get(&url, move |spec| spec.max_body = most);
    let long = perform(&mut client, &up_to(1_999_999)).await;
    assert_eq!((long.outcome, long.reason, long.status), (Outcome::Error, Some(Reason::Protocol), 200));
    let detail = long.detail.unwrap();
    assert!(detail.starts_with("the body has 2000000 bytes, and `max_body` is 1999999 bytes"), "{detail}");
    assert_eq!((long.disconnects.len(), long.body.len()), (0, 0));
    let unpacked = perform(&mut client, &up_to(2_999_999)).await;
    assert_eq!(unpacked.reason, Some(Reason::Protocol), "a small one that unpacks to a long one");
    let unread = perform(&mut client, &get(&url, |spec| (spec.reads_body, spec.max_body) = (false, 10))).await;
    assert_eq!((unread.outcome, unread.body_bytes as usize), (Outcome::Ok, bomb.len()), "{:?}", unread.detail);
    assert!(unread.body.len() <= 64 * 1024);
    assert_eq!(&perform(&mut client, &up_to(2)).await.body[..], b"ok", "over the same connection");
    drop(client);
    server.await.unwrap();
}

#[tokio::test]
async fn another_origin_is_not_sent_secrets() {
    let (other, elsewhere) = answers(&[OK]).await;
    let (url, server) = answers(&[&format!("HTTP/1.1 307 X\r\nlocation: {other}/there\r\ncontent-length: 0\r\n\r\n")]).await;
    let secret = |spec: &mut Spec| {
        spec.headers.push((http::header::AUTHORIZATION, Template::literal("Bearer t")));
        spec.headers.push((http::header::COOKIE, Template::literal("own=1")));
        spec.redirects = 1;
    };
    let mut client = Client::new();
    let exchange = perform(&mut client, &get(&url, secret)).await;
    assert_eq!((exchange.status, exchange.connects.len(), client.connections()), (200, 2, 2));
    drop(client);
    let (here, there) = (server.await.unwrap().concat(), elsewhere.await.unwrap().concat());
    assert!(here.contains("authorization: Bearer t\r\n") && here.contains("cookie: own=1\r\n"));
    assert!(!there.contains("authorization") && !there.contains("cookie"), "{there}");
    assert!(there.contains(&format!("host: {}\r\n", other.trim_start_matches("http://"))));
}

#[tokio::test]
async fn a_redirect_that_cannot_be_followed_is_explained_in_a_sentence() {
    for (location, said) in [
        ("http://192.0.2.1/", "the answer redirects to `192.0.2.1`, which is not among `limits: {hosts: …}`"),
        ("http://127.0.0.1:1/", "the answer redirects to `127.0.0.1:1`, which is not among `limits: {hosts: …}`"),
        ("ftp://127.0.0.1/", "the answer redirects to an address that must begin with http:// or https://"),
    ] {
        let answer = format!("HTTP/1.1 302 X\r\nlocation: {location}\r\ncontent-length: 0\r\n\r\n");
        let (url, _server) = answers(&[&answer]).await;
        let fenced = get(&url, |spec| {
            spec.redirects = 1;
            spec.hosts = Some(Arc::new([HostPort::parse(url.trim_start_matches("http://")).unwrap()]));
        });
        let exchange = perform(&mut Client::new(), &fenced).await;
        assert_eq!(exchange.detail.as_deref(), Some(said));
        assert!(!exchange.is_lost());
    }
}

#[tokio::test]
async fn a_hop_that_was_never_sent_is_not_lost_and_says_nothing_of_the_connection_before() {
    let closed = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    // One that closes without a word as soon as somebody has said something.
    let (silent, _silent) = serve(vec![script(|peer| async move {
        peer.socket.readable().await.unwrap();
        String::new()
    })])
    .await;
    for (location, reason) in [
        ("http://nonexistent.invalid/".to_owned(), Reason::Dns),
        (format!("http://{closed}/"), Reason::Refused),
        (silent.replace("http://", "https://"), Reason::Tls),
    ] {
        let answer = format!("HTTP/1.1 302 X\r\nlocation: {location}\r\ncontent-length: 0\r\n\r\n");
        let (url, _server) = answers(&[OK, &answer]).await;
        let mut client = Client::new();
        assert_eq!(perform(&mut client, &get(&url, |_| {})).await.status, 200);
        let exchange = perform(&mut client, &get(&url, |spec| spec.redirects = 2)).await;
        let detail = exchange.detail.clone().unwrap();
        assert_eq!(exchange.reason, Some(reason), "{detail}");
        assert!(!detail.contains("idle") && exchange.sent_at.is_some(), "{detail}");
        assert!(!exchange.is_lost(), "{detail}");
    }
}

#[test]
fn a_request_under_way_takes_little_room() {
    // Every user's task holds room for one, also while it thinks.
    let (mut client, request) = (Client::new(), get("http://h.test/", |_| {}));
    let scope = scope();
    let room = size_of_val(&client.perform(&request, request.prepare(&scope).unwrap(), None));
    assert!(room <= 3 * 1024, "{room} bytes");
}
