//! The small client against a server that answers once, with what a test gives it.

use super::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// Answers one connection with `answer` and returns the request it read.
async fn serve_once(answer: &'static [u8]) -> (Url, JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://user:p%40ss@{}/metrics?token=hidden", listener.local_addr().unwrap()).parse().unwrap();
    let server = tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.unwrap();
        let mut request = Vec::new();
        while !request.windows(4).any(|w| w == b"\r\n\r\n") && !request.ends_with(b"query=up%7Ba%3D%22b%22%7D") {
            if socket.read_buf(&mut request).await.unwrap() == 0 {
                break;
            }
        }
        socket.write_all(answer).await.unwrap();
        String::from_utf8(request).unwrap()
    });
    (url, server)
}

fn client(change: impl FnOnce(&mut ClientOptions)) -> Client {
    let mut options = ClientOptions::default();
    change(&mut options);
    Client::new(options)
}

#[tokio::test]
async fn a_time_limit_ends_what_comes_without_an_end() {
    use std::io::{Read as _, Write as _};
    for endless in ["HTTP/1.1 199 P\r\n\r\n", "HTTP/1.0 100 X\r\n\r\n"] {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap()).parse().unwrap();
        let server = std::thread::spawn(move || {
            let (mut socket, _) = listener.accept().unwrap();
            let _ = socket.read(&mut [0; 1024]).unwrap();
            let all = endless.repeat(1000);
            while socket.write_all(all.as_bytes()).is_ok() {}
        });
        let asking = client(|o| o.timeout = Duration::from_millis(100));
        let asked = std::time::Instant::now();
        let error = asking.get(&url, &[]).await.unwrap_err();
        assert_eq!(error.reason, Reason::Timeout, "{endless:?}: {error}");
        assert!(asked.elapsed() < Duration::from_secs(10), "{endless:?}: {:?}", asked.elapsed());
        server.join().unwrap();
    }
}

#[tokio::test]
async fn asks_and_is_answered() {
    let (url, server) = serve_once(b"HTTP/1.1 503 Busy\r\ncontent-length: 4\r\n\r\nbusy").await;
    let answer = client(|o| o.headers.push((HeaderName::from_static("x-scope"), HeaderValue::from_static("7"))))
        .get(&url, &[])
        .await
        .unwrap();
    assert_eq!((answer.status.as_u16(), &answer.body[..]), (503, &b"busy"[..]));
    let request = server.await.unwrap();
    assert!(request.starts_with("GET /metrics?token=hidden HTTP/1.1\r\n"), "{request}");
    assert!(request.contains("authorization: Basic dXNlcjpwQHNz\r\n"), "{request}");
    assert!(request.contains("x-scope: 7\r\n") && request.contains("connection: close\r\n"));
}

#[tokio::test]
async fn a_token_beats_the_url_and_forms_are_encoded() {
    let (url, server) = serve_once(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
    client(|o| o.auth = Auth::Bearer(Held::here("t0ken"))).post_form(&url, &[("query", "up{a=\"b\"}")]).await.unwrap();
    let request = server.await.unwrap();
    assert!(request.contains("authorization: Bearer t0ken\r\n") && request.contains("x-www-form-urlencoded"));
}

/// Answers each connection with what is made of its request, and keeps the requests.
async fn serve(answer: impl Fn(&str) -> String + Send + 'static) -> (Url, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap()).parse().unwrap();
    let requests = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&requests);
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let mut request = Vec::new();
            while !request.windows(4).any(|w| w == b"\r\n\r\n") && socket.read_buf(&mut request).await.unwrap() > 0 {}
            let request = String::from_utf8(request).unwrap();
            let answer = answer(&request);
            kept.lock().unwrap().push(request);
            socket.write_all(answer.as_bytes()).await.unwrap();
        }
    });
    (url, requests)
}

fn redirected(status: &str, to: &str) -> String {
    format!("HTTP/1.1 {status}\r\nlocation: {to}\r\ncontent-length: 0\r\n\r\n")
}

#[tokio::test]
async fn redirects_are_followed_and_secrets_stay_with_the_host_that_was_meant() {
    const DONE: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
    let asks = || {
        client(|o| {
            o.auth = Auth::Bearer(Held::here("t0ken"));
            o.headers.push((HeaderName::from_static("x-scope"), HeaderValue::from_static("tenant7")));
        })
    };
    let (url, requests) = serve(|request| match request {
        _ if request.starts_with("GET /a") => redirected("302 Found", "/b?x=1"),
        _ => DONE.to_owned(),
    })
    .await;
    assert_eq!(&asks().get(&url.join("/a").unwrap(), &[]).await.unwrap().body[..], b"ok");
    let there = requests.lock().unwrap()[1].clone();
    assert!(there.starts_with("GET /b?x=1") && there.contains("Bearer t0ken") && there.contains("tenant7"), "{there}");

    // `localhost` is another name, and so another host.
    let elsewhere = format!("http://localhost:{}/c", url.port().unwrap());
    let (from, _) = serve(move |_| redirected("307 Temporary Redirect", &elsewhere)).await;
    let answer = asks().post(&from, HeaderValue::from_static("text/plain"), Bytes::from_static(b"q")).await.unwrap();
    let there = requests.lock().unwrap()[2].clone();
    assert_eq!((answer.status.as_u16(), there.starts_with("POST /c")), (200, true));
    assert!(!there.contains("t0ken") && !there.contains("tenant7"), "{there}");

    let (round, requests) = serve(|_| redirected("301 Moved Permanently", "/again")).await;
    let error = asks().get(&round, &[]).await.unwrap_err();
    assert!(error.message.contains("more than 10 times"), "{error}");
    assert_eq!(requests.lock().unwrap().len(), 11);
}

#[tokio::test]
async fn what_comes_packed_is_unpacked() {
    use std::io::Read as _;
    let mut packed = Vec::new();
    flate2::read::GzEncoder::new(&b"unpacked"[..], flate2::Compression::fast()).read_to_end(&mut packed).unwrap();
    let head = format!("HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: {}\r\n\r\n", packed.len());
    let (url, server) = serve_once([head.as_bytes(), &packed].concat().leak()).await;
    assert_eq!(&client(|_| {}).get(&url, &[]).await.unwrap().body[..], b"unpacked");
    assert!(server.await.unwrap().contains("accept-encoding: gzip\r\n"));
    let (url, _server) = serve_once(b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 4\r\n\r\nhalf").await;
    assert_eq!(client(|_| {}).get(&url, &[]).await.unwrap_err().reason, Reason::Protocol);
}

#[tokio::test]
async fn errors_are_typed_and_hold_no_secret() {
    for (answer, max_body, reason) in [
        (&b"SSH-2.0-OpenSSH_9.6\r\n"[..], 99, Reason::Protocol),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf", 99, Reason::Closed),
        (b"", 99, Reason::Closed),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nlong", 3, Reason::Other),
    ] {
        let (url, _server) = serve_once(answer).await;
        let error = client(|o| o.max_body = max_body).get(&url, &[]).await.unwrap_err();
        assert_eq!(error.reason, reason, "{error}");
        let text = format!("{error} {error:?}");
        assert!(!text.contains("hidden") && !text.contains("p@ss") && !text.contains("p%40ss"), "{text}");
    }
    let secret = format!("{:?}", client(|o| o.auth = Auth::Bearer(Held::here("t0ken"))));
    assert!(!secret.contains("t0ken"), "{secret}");
}

#[tokio::test]
async fn the_time_limit_says_where_it_passed() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap()).parse().unwrap();
    let error = client(|o| o.timeout = Duration::from_millis(20)).get(&url, &[]).await.unwrap_err();
    assert_eq!(error.reason, Reason::Timeout);
    assert!(error.message.ends_with("no answer within 20.0ms: timed out while waiting for the first byte"), "{error}");
}

#[test]
fn percent_decoding_keeps_what_is_not_encoded() {
    assert_eq!(decoded("a%20b%zz%"), "a b%zz%");
}
