//! Hosts that are connected to at another address, and users in URLs.

use std::sync::Arc;

use super::server::{answers, script, serve};
use super::*;
use crate::base::{Outcome, Reason};
use crate::net::{HostPort, Route, RouteOptions};

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";

/// The way by which these hosts are connected to at the others.
fn by(connect_to: &[(&str, &str)]) -> Arc<Route> {
    let place = |text: &str| HostPort::parse(text).unwrap();
    let connect_to = connect_to.iter().map(|(asked, to)| (place(asked), place(to))).collect();
    Route::new(RouteOptions { connect_to, ..RouteOptions::default() })
}

fn lines<'a>(request: &'a str, name: &str) -> Vec<&'a str> {
    request.lines().filter(|line| line.to_ascii_lowercase().starts_with(name)).collect()
}

#[tokio::test]
async fn host_and_cookies_follow_the_name_and_connections_the_address() {
    let set = "HTTP/1.1 200 OK\r\nset-cookie: sid=1; Domain=shop.test; Path=/\r\ncontent-length: 0\r\n\r\n";
    let (url, server) =
        answers(&[set, OK, "HTTP/1.1 302 On\r\nlocation: http://www.shop.test/next\r\ncontent-length: 0\r\n\r\n"]).await;
    let (other, next) = answers(&[OK]).await;
    let at = |url: &str| url.trim_start_matches("http://").to_owned();
    let route = by(&[("shop.test", &at(&url)), ("www.shop.test:80", &at(&other))]);
    let request = |redirects| {
        get("http://shop.test/page", |spec| {
            spec.way.route = Arc::clone(&route);
            spec.redirects = redirects;
        })
    };
    let mut client = Client::new();
    for redirects in [0, 0, 1] {
        let exchange = perform(&mut client, &request(redirects)).await;
        assert_eq!(exchange.outcome, Outcome::Ok, "{:?}", exchange.detail);
    }
    client.close();
    let requests = server.await.unwrap().concat();
    assert_eq!(lines(&requests, "host:"), ["host: shop.test"; 3]);
    assert_eq!(lines(&requests, "cookie:"), ["cookie: sid=1"; 2]);
    let redirected = next.await.unwrap().concat();
    assert_eq!(
        (lines(&redirected, "host:"), lines(&redirected, "cookie:")),
        (vec!["host: www.shop.test"], vec!["cookie: sid=1"])
    );
}

#[tokio::test]
async fn only_allowed_hosts_are_connected_to_by_whatever_name() {
    let (url, server) = serve(vec![script(|mut peer| async move { peer.request().await })]).await;
    let address = url.trim_start_matches("http://").to_owned();
    let check = |hosts: &[&str], url: &str| {
        let mut spec = Spec::new(Method::GET, Template::literal(url));
        spec.way.route = by(&[("shop.test", &address)]);
        spec.hosts = Some(hosts.iter().map(|host| HostPort::parse(host).unwrap()).collect());
        Request::new(spec).map(|_| ()).map_err(|error| error.to_string())
    };
    assert_eq!(check(&["shop.test", "127.0.0.1"], "http://shop.test/"), Ok(()));
    let refused = |host: &str| Err(format!("`http://shop.test/` goes to `{host}`, which is not among `limits: {{hosts: …}}`"));
    assert_eq!(check(&["shop.test"], "http://shop.test/"), refused("127.0.0.1"));
    assert_eq!(check(&["shop.test", "127.0.0.1:1"], "http://shop.test/"), refused(&address), "it is at another port");
    assert_eq!(check(&["127.0.0.1"], "http://shop.test/"), refused("shop.test"));
    server.abort();
}

#[tokio::test]
async fn what_cannot_be_reached_says_where_it_was_looked_for() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    drop(listener);
    let request = get("http://shop.test/", |spec| spec.way.route = by(&[("shop.test", &address)]));
    let exchange = perform(&mut Client::new(), &request).await;
    assert_eq!(exchange.reason, Some(Reason::Refused));
    let detail = exchange.detail.unwrap();
    assert!(detail.starts_with(&format!("cannot connect to {address}, which `connect_to` names for shop.test:80: ")), "{detail}");
}

#[tokio::test]
async fn the_user_of_a_url_is_sent_to_its_own_origin_only() {
    let (other, next) = answers(&[OK]).await;
    let (url, server) = answers(&[OK, &format!("HTTP/1.1 302 On\r\nlocation: {other}/\r\ncontent-length: 0\r\n\r\n")]).await;
    let with_user = url.replace("http://", "http://ann:s%40cret@");
    let mut client = Client::new();
    for redirects in [0, 1] {
        let exchange = perform(&mut client, &get(&with_user, |spec| spec.redirects = redirects)).await;
        assert_eq!((exchange.status, exchange.outcome), (200, Outcome::Ok), "{:?}", exchange.detail);
    }
    client.close();
    let requests = server.await.unwrap().concat();
    assert_eq!(lines(&requests, "authorization:"), ["authorization: Basic YW5uOnNAY3JldA=="; 2]);
    assert_eq!(lines(&requests, "host:"), vec![format!("host: {}", url.trim_start_matches("http://")); 2]);
    assert_eq!(lines(&next.await.unwrap().concat(), "authorization:"), Vec::<&str>::new());
}
