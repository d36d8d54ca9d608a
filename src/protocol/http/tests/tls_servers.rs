//! Odd servers of TLS: what each is taken for, in which words, with its books.

use std::net::IpAddr;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, SanType, date_time_ymd};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use rustls::{HandshakeKind, RootCertStore, ServerConfig, SupportedCipherSuite, SupportedProtocolVersion};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use super::*;
use crate::base::{Outcome, Reason};
use crate::net::{HostPort, Route, RouteOptions, Tls, TlsOptions};
use crate::protocol::http::written::Version;
use crate::protocol::http::{Connections, Disconnect};

type Issuer = CertifiedIssuer<'static, KeyPair>;

/// A certificate with those above it, and its key.
type Chain = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

/// Authorities of the tests' own; files of what a client names are in the directory.
struct Pki {
    root: Issuer,
    intermediate: Issuer,
    stranger: Issuer,
    directory: TempDir,
}

fn authority(name: &str) -> CertificateParams {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(DnType::CommonName, name);
    params
}

impl Pki {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let root = Issuer::self_signed(authority("root"), KeyPair::generate().unwrap()).unwrap();
        let stranger = Issuer::self_signed(authority("stranger"), KeyPair::generate().unwrap()).unwrap();
        let intermediate = Issuer::signed_by(authority("intermediate"), KeyPair::generate().unwrap(), &root).unwrap();
        std::fs::write(directory.path().join("ca.pem"), root.pem()).unwrap();
        for (name, issuer) in [("user", &root), ("forged", &stranger)] {
            let key = KeyPair::generate().unwrap();
            let certificate = CertificateParams::new(vec!["user".to_owned()]).unwrap().signed_by(&key, issuer).unwrap();
            std::fs::write(directory.path().join(format!("{name}.pem")), certificate.pem()).unwrap();
            std::fs::write(directory.path().join(format!("{name}.key")), key.serialize_pem()).unwrap();
        }
        Self { root, intermediate, stranger, directory }
    }

    /// Trusts the root, and shows itself by this certificate.
    fn options(&self, shown: Option<&str>) -> TlsOptions {
        let file = |name: String| Some(self.directory.path().join(name));
        TlsOptions {
            ca_file: file("ca.pem".into()),
            cert_file: shown.and_then(|name| file(format!("{name}.pem"))),
            key_file: shown.and_then(|name| file(format!("{name}.key"))),
            ..TlsOptions::default()
        }
    }
}

fn certificate(issuer: &Issuer, names: &[&str], change: impl FnOnce(&mut CertificateParams)) -> Chain {
    let mut params = CertificateParams::new(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>()).unwrap();
    change(&mut params);
    let key = KeyPair::generate().unwrap();
    let certificate = params.signed_by(&key, issuer).unwrap();
    (vec![certificate.der().clone()], PrivateKeyDer::try_from(key.serialize_der()).unwrap())
}

/// How a server behaves.
enum Server {
    /// TLS with this configuration; the answer, and whether a goodbye comes behind it.
    Tls(Arc<ServerConfig>, &'static [u8], bool),
    /// These bytes once the client has said something, and then nothing more, or the end.
    Bytes(Vec<u8>, bool),
    /// Nothing at all.
    Silent,
}

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
const UNTIL_THE_END: &[u8] = b"HTTP/1.1 200 OK\r\n\r\nok";

/// A configuration, changed.
fn config_by(
    (chain, key): Chain,
    versions: &[&'static SupportedProtocolVersion],
    suites: Option<Vec<SupportedCipherSuite>>,
    asks: Option<&Issuer>,
    alpn: &[&str],
) -> Arc<ServerConfig> {
    let mut provider = rustls::crypto::ring::default_provider();
    provider.cipher_suites = suites.unwrap_or(provider.cipher_suites);
    let provider = Arc::new(provider);
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider)).with_protocol_versions(versions).unwrap();
    let builder = match asks {
        Some(issuer) => {
            let mut roots = RootCertStore::empty();
            roots.add(issuer.der().clone()).unwrap();
            builder.with_client_cert_verifier(
                WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap(),
            )
        }
        None => builder.with_no_client_auth(),
    };
    let mut config = builder.with_single_cert(chain, key).unwrap();
    config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    Arc::new(config)
}

fn config(chain: Chain) -> Arc<ServerConfig> {
    config_by(chain, rustls::ALL_VERSIONS, None, None, &[])
}

impl Server {
    async fn start(self) -> u16 {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                self.serve(socket).await;
            }
        });
        port
    }

    /// One connection, until its client has gone.
    async fn serve(&self, mut socket: TcpStream) {
        let mut request = vec![0; 64 * 1024];
        match self {
            Self::Tls(config, answer, polite) => {
                let Ok(mut stream) = TlsAcceptor::from(Arc::clone(config)).accept(socket).await else { return };
                if !matches!(stream.read(&mut request).await, Ok(1..)) {
                    return;
                }
                let _ = stream.write_all(answer).await;
                let _ = stream.flush().await;
                let keeps = *answer == ANSWER && *polite;
                if keeps {
                    let _ = stream.read(&mut request).await;
                } else if *polite {
                    let _ = stream.shutdown().await;
                }
            }
            Self::Bytes(bytes, ends) => {
                let _ = socket.read(&mut request).await;
                let _ = socket.write_all(bytes).await;
                while !ends && matches!(socket.read(&mut request).await, Ok(1..)) {}
            }
            Self::Silent => while matches!(socket.read(&mut request).await, Ok(1..)) {},
        }
    }
}

/// A record that holds a fatal alert (RFC 8446, 6).
fn alert(code: u8) -> Server {
    Server::Bytes(vec![21, 3, 3, 0, 2, 2, code], true)
}

/// A ServerHello of this version with this cipher suite.
fn hello(version: [u8; 2], suite: [u8; 2]) -> Server {
    let body = [&version[..], &[7; 32], &[0], &suite, &[0]].concat();
    let handshake = [&[2, 0, 0, body.len() as u8][..], &body].concat();
    Server::Bytes([&[22][..], &version, &[0, handshake.len() as u8], &handshake].concat(), false)
}

/// A server, and what becomes of a request to it.
struct Case {
    what: &'static str,
    server: Server,
    host: &'static str,
    shown: Option<&'static str>,
    version: Version,
    /// The body, or why there is none.
    found: Result<&'static str, (Reason, &'static str)>,
    /// Whether the handshake was done, and how the connection ended then: `Some(None)` as announced, none if it stays.
    ended: Option<Option<Option<Reason>>>,
}

const STAYS: Option<Option<Option<Reason>>> = Some(None);

impl Case {
    fn good(what: &'static str, server: Server) -> Self {
        let (host, version) = ("127.0.0.1", Version::Auto);
        Self { what, server, host, shown: None, version, found: Ok("ok"), ended: STAYS }
    }

    /// The handshake fails.
    fn bad(what: &'static str, says: &'static str, server: Server) -> Self {
        Self { found: Err((Reason::Tls, says)), ended: None, ..Self::good(what, server) }
    }

    fn named(self, host: &'static str) -> Self {
        Self { host, ..self }
    }

    fn shows(self, shown: &'static str) -> Self {
        Self { shown: Some(shown), ..self }
    }

    fn speaks(self, version: Version) -> Self {
        Self { version, ..self }
    }
}

fn cases(pki: &Pki) -> Vec<Case> {
    let local: IpAddr = [127, 0, 0, 1].into();
    let plain = |names: &[&str]| certificate(&pki.root, names, |_| {});
    let answering = |chain: Chain| Server::Tls(config(chain), ANSWER, true);
    let dated = |from: (i32, u8, u8), to: (i32, u8, u8)| {
        answering(certificate(&pki.root, &["127.0.0.1"], |params| {
            params.not_before = date_time_ymd(from.0, from.1, from.2);
            params.not_after = date_time_ymd(to.0, to.1, to.2);
        }))
    };
    let below = |issuer: &Issuer, above: &[&Issuer]| {
        let (mut chain, key) = certificate(issuer, &["127.0.0.1"], |_| {});
        chain.extend(above.iter().map(|issuer| issuer.der().clone()));
        answering((chain, key))
    };
    let alone = {
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap().self_signed(&key).unwrap();
        (vec![certificate.der().clone()], PrivateKeyDer::try_from(key.serialize_der()).unwrap())
    };
    let long = certificate(&pki.root, &["127.0.0.1"], |params| {
        params.subject_alt_names.extend((0..600).map(|n| SanType::DnsName(format!("host-{n}.example").try_into().unwrap())));
    });
    let old = &[&rustls::version::TLS12][..];
    let new = &[&rustls::version::TLS13][..];
    let asking = |versions: &[&'static SupportedProtocolVersion]| {
        Server::Tls(config_by(plain(&["127.0.0.1"]), versions, None, Some(&pki.root), &[]), ANSWER, true)
    };
    let offering =
        |alpn: &[&str]| Server::Tls(config_by(plain(&["127.0.0.1"]), rustls::ALL_VERSIONS, None, None, alpn), ANSWER, true);
    let only =
        |suite| Server::Tls(config_by(plain(&["127.0.0.1"]), rustls::ALL_VERSIONS, Some(vec![suite]), None, &[]), ANSWER, true);
    let ending = |answer, polite| Server::Tls(config(plain(&["127.0.0.1"])), answer, polite);
    let lost = |says, reason, case: Case| Case { found: Err((reason, says)), ended: Some(Some(Some(reason))), ..case };
    let mut cases = vec![
        // Certificates.
        Case::good("an address in the certificate", answering(plain(&["127.0.0.1"]))),
        Case::good("a name in the certificate", answering(plain(&["shop.test"]))).named("shop.test"),
        Case::good("a wildcard", answering(plain(&["*.shop.test"]))).named("www.shop.test"),
        Case::bad("a wildcard for two levels", "its certificate is for another name", answering(plain(&["*.shop.test"])))
            .named("a.b.shop.test"),
        Case::bad("a wildcard for none", "its certificate is for another name", answering(plain(&["*.shop.test"])))
            .named("shop.test"),
        Case::bad("the address of a name", "its certificate is for another name", answering(plain(&["shop.test"]))),
        Case::bad("another name", "its certificate is for another name", answering(plain(&["other.test"]))).named("shop.test"),
        Case::bad("a certificate of no name", "its certificate is for another name", answering(plain(&[]))),
        Case::bad("a certificate that has expired", "certificate expired", dated((2001, 1, 1), (2002, 1, 1))),
        Case::bad("a certificate that isn't valid yet", "certificate not valid yet", dated((2101, 1, 1), (2102, 1, 1))),
        Case::bad("a certificate that signed itself", "its authority isn't trusted here", answering(alone)),
        Case::bad("an unknown authority", "its authority isn't trusted here", below(&pki.stranger, &[&pki.stranger])),
        Case::good("an intermediate authority", below(&pki.intermediate, &[&pki.intermediate])),
        Case::good("an authority too many", below(&pki.intermediate, &[&pki.intermediate, &pki.stranger, &pki.root])),
        Case::bad(
            "an intermediate authority that is left out",
            "or a certificate between it and its authority is missing",
            below(&pki.intermediate, &[]),
        ),
        Case::good("a certificate of many names", answering(long)),
        // Versions and ciphers.
        Case::good("TLS 1.2 only", Server::Tls(config_by(plain(&["127.0.0.1"]), old, None, None, &[]), ANSWER, true)),
        Case::good("TLS 1.3 only", Server::Tls(config_by(plain(&["127.0.0.1"]), new, None, None, &[]), ANSWER, true)),
        Case::good("one cipher only", only(rustls::crypto::ring::cipher_suite::TLS13_CHACHA20_POLY1305_SHA256)),
        Case::bad("TLS 1.0 only", "TLS 1.2 and 1.3 are spoken here", hello([3, 1], [0, 0x2f])),
        Case::bad("TLS 1.1 only", "TLS 1.2 and 1.3 are spoken here", hello([3, 2], [0, 0x2f])),
        Case::bad("a cipher that nobody offered", "no cipher that both sides know", hello([3, 3], [0, 0x2f])),
        Case::bad("a refusal of the version", "TLS 1.2 and 1.3 are spoken here", alert(70)),
        Case::bad("a refusal of the ciphers", "no cipher that both sides know", alert(40)),
        Case::bad("a refusal of the name", "it doesn't know the name", alert(112)),
        Case::bad("a refusal of the protocol", "it speaks none of the protocols offered (ALPN)", alert(120)),
        Case::bad("an alert for its own reasons", "InternalError", alert(80)),
        // The client's certificate.
        Case::good("a certificate is asked for and shown", asking(new)).shows("user"),
        Case::good("the same with TLS 1.2", asking(old)).shows("user"),
        Case::bad("the wrong one with TLS 1.2", "it doesn't take the certificate", asking(old)).shows("forged"),
        Case::bad("none with TLS 1.2", "it asks for a certificate", asking(old)),
        lost("it asks for a certificate", Reason::Tls, Case::good("none with TLS 1.3", asking(new))),
        lost(
            "it doesn't take the certificate",
            Reason::Tls,
            Case::good("the wrong one with TLS 1.3", asking(new)).shows("forged"),
        ),
        // What is spoken within.
        Case::good("HTTP/1.1 by agreement", offering(&["http/1.1"])),
        Case::good("no agreement", offering(&[])),
        Case::bad("a protocol that nobody offered", "it speaks none of the protocols offered (ALPN)", offering(&["spdy/3"])),
        Case::bad("HTTP/1.1 where HTTP/2 is wanted", "it speaks none of the protocols offered (ALPN)", offering(&["http/1.1"]))
            .speaks(Version::Http2),
        Case {
            found: Err((Reason::Protocol, "does not speak HTTP/2 (ALPN)")),
            ..Case::bad("no agreement where HTTP/2 is wanted", "", offering(&[])).speaks(Version::Http2)
        },
        // What isn't TLS.
        Case::bad(
            "plain HTTP",
            "what answers there doesn't speak TLS",
            Server::Bytes(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n".to_vec(), true),
        ),
        Case::bad(
            "an SSH server",
            "what answers there doesn't speak TLS",
            Server::Bytes(b"SSH-2.0-OpenSSH_9.2\r\n".to_vec(), false),
        ),
        Case::bad("noise", "what answers there doesn't speak TLS", Server::Bytes(vec![0xff; 64], false)),
        Case::bad(
            "a record beyond the longest",
            "what answers there doesn't speak TLS",
            Server::Bytes(vec![22, 3, 3, 0xff, 0xff, 0], false),
        ),
        Case::bad(
            "a handshake of nothing",
            "unexpected handshake message",
            Server::Bytes(vec![22, 3, 3, 0, 4, 99, 0, 0, 0], false),
        ),
        Case::bad("an end in the handshake", "the peer closed the connection", Server::Bytes(vec![22, 3, 3], true)),
        Case { found: Err((Reason::Timeout, "in the TLS handshake (tls)")), ..Case::bad("silence", "", Server::Silent) },
        // Ends.
        Case { ended: Some(Some(None)), ..Case::good("a body up to the goodbye", ending(UNTIL_THE_END, true)) },
        lost(
            "without the goodbye of TLS (close_notify), so it may not be whole",
            Reason::Protocol,
            Case::good("a body up to an end without a goodbye", ending(UNTIL_THE_END, false)),
        ),
        lost(
            "in the middle of the body",
            Reason::Protocol,
            Case::good("half a body and the goodbye", ending(b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nok", true)),
        ),
        lost("without an answer", Reason::Closed, Case::good("the goodbye at once", ending(b"", true))),
        lost("without an answer", Reason::Closed, Case::good("the end at once", ending(b"", false))),
    ];
    cases.push(Case::bad(
        "an address of IPv6 that isn't in it",
        "its certificate is for another name",
        answering(certificate(&pki.root, &[], |params| {
            params.subject_alt_names = vec![SanType::IpAddress("::1".parse().unwrap())];
        })),
    ));
    cases.push(Case::good(
        "several addresses",
        answering(certificate(&pki.root, &[], |params| {
            params.subject_alt_names = vec![SanType::IpAddress("::1".parse().unwrap()), SanType::IpAddress(local)];
        })),
    ));
    cases
}

/// By whatever name, there.
fn at(port: u16) -> Arc<Route> {
    let place = |text: &str| HostPort::parse(text).unwrap();
    let names = ["shop.test", "www.shop.test", "a.b.shop.test"];
    let connect_to = names.iter().map(|name| (place(name), place(&format!("127.0.0.1:{port}")))).collect();
    Route::new(RouteOptions { connect_to, ..RouteOptions::default() })
}

/// What is wrong with how the case is taken; nothing if it is right.
async fn wrong_with(case: Case, pki: &Pki) -> Vec<String> {
    let Case { what, server, host, shown, version, found, ended } = case;
    let waits = matches!(server, Server::Silent);
    let port = server.start().await;
    let request = get(&format!("https://{host}:{port}/"), |spec| {
        spec.way.tls = Tls::new(pki.options(shown));
        spec.way.route = at(port);
        spec.way.version = version;
        if waits {
            spec.timeout = Duration::from_millis(100);
        }
    });
    let mut client = Client::new();
    let exchange = perform(&mut client, &request).await;
    let detail = exchange.detail.clone().unwrap_or_default();
    let mut wrong = Vec::new();
    let mut expect = |right: bool, detail: String| {
        if !right {
            wrong.push(format!("{what}: {detail}"));
        }
    };
    match found {
        Ok(body) => {
            let right = (exchange.outcome, exchange.status, &exchange.body[..]) == (Outcome::Ok, 200, body.as_bytes());
            expect(right, format!("{:?} {} {:?} {detail}", exchange.outcome, exchange.status, exchange.body));
        }
        Err((reason, says)) => {
            let right = exchange.reason == Some(reason) && exchange.outcome != Outcome::Ok && detail.contains(says);
            expect(right, format!("{:?} {:?} {detail}", exchange.outcome, exchange.reason));
        }
    }
    let connected = exchange.connects.iter().map(|connect| connect.result.is_ok()).collect::<Vec<_>>();
    expect(connected == [ended.is_some()], format!("connected: {connected:?}"));
    expect(exchange.sent_at.is_some() == ended.is_some(), format!("sent at {:?}", exchange.sent_at));
    let wanted: Vec<_> = ended.flatten().iter().map(|reason| Disconnect { reason: *reason }).collect();
    expect(exchange.disconnects == wanted, format!("ended as {:?}", exchange.disconnects));
    expect(client.connections() == usize::from(ended == STAYS), format!("{} are kept", client.connections()));
    wrong
}

#[tokio::test]
async fn each_odd_server_of_tls_is_what_it_is() {
    let pki = Pki::new();
    let mut wrong = Vec::new();
    for case in cases(&pki) {
        let what = case.what;
        match tokio::time::timeout(PLENTY, wrong_with(case, &pki)).await {
            Ok(found) => wrong.extend(found),
            Err(_) => wrong.push(format!("{what}: it never ends")),
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[tokio::test]
async fn an_end_behind_a_whole_answer_is_an_end_with_the_goodbye_of_tls_or_without() {
    let pki = Pki::new();
    for polite in [true, false] {
        let chain = certificate(&pki.root, &["127.0.0.1"], |_| {});
        let port = Server::Tls(config(chain), b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok", polite).start().await;
        let request = get(&format!("https://127.0.0.1:{port}/"), |spec| spec.way.tls = Tls::new(pki.options(None)));
        // Whether the end is seen at once, or by the next request, or too late for that, hangs on when it comes.
        for _ in 0..20 {
            let mut client = Client::new();
            let first = perform(&mut client, &request).await;
            assert_eq!((first.outcome, first.status), (Outcome::Ok, 200), "{:?}", first.detail);
            let second = perform(&mut client, &request).await;
            assert!(second.reason.is_none_or(|reason| reason == Reason::Closed), "{:?}", second.detail);
            assert_eq!((first.stray, second.stray), (None, None));
            let mut ends = first.disconnects.iter().chain(&second.disconnects);
            assert!(ends.all(|end| end.reason.is_none_or(|reason| reason == Reason::Closed)));
        }
    }
}

/// Says which names clients ask for.
#[derive(Debug)]
struct Names(std::sync::Mutex<Vec<Option<String>>>, Arc<CertifiedKey>);

impl ResolvesServerCert for Names {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.0.lock().unwrap().push(hello.server_name().map(str::to_owned));
        Some(Arc::clone(&self.1))
    }
}

#[tokio::test]
async fn the_name_is_asked_for_and_each_connection_shakes_hands_anew() {
    let pki = Pki::new();
    let (chain, key) = certificate(&pki.root, &["shop.test", "named.test", "127.0.0.1"], |_| {});
    let key = rustls::crypto::ring::sign::any_supported_type(&key).unwrap();
    let names = Arc::new(Names(std::sync::Mutex::default(), Arc::new(CertifiedKey::new(chain, key))));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = builder.with_no_client_auth().with_cert_resolver(Arc::clone(&names) as Arc<dyn ResolvesServerCert>);
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = tokio::spawn(async move {
        let mut kinds = Vec::new();
        while kinds.len() < 4 {
            let (socket, _) = listener.accept().await.unwrap();
            let mut stream = acceptor.accept(socket).await.unwrap();
            let mut request = vec![0; 4096];
            let _ = stream.read(&mut request).await.unwrap();
            stream.write_all(ANSWER).await.unwrap();
            kinds.push(stream.get_ref().1.handshake_kind());
            let _ = stream.read(&mut request).await;
        }
        kinds
    });
    // One way for all: what the first connection was given might be shown by the next.
    let tls = Tls::new(pki.options(None));
    let renamed = Tls::new(TlsOptions { server_name: Some("named.test".into()), ..pki.options(None) });
    let route = at(port);
    for (host, tls) in [("shop.test", &tls), ("shop.test", &tls), ("127.0.0.1", &tls), ("shop.test", &renamed)] {
        let request = get(&format!("https://{host}:{port}/"), |spec| {
            spec.way.tls = Arc::clone(tls);
            spec.way.route = Arc::clone(&route);
            spec.connections = Connections::Fresh;
        });
        let exchange = perform(&mut Client::new(), &request).await;
        assert_eq!((exchange.outcome, &exchange.body[..]), (Outcome::Ok, &b"ok"[..]), "{:?}", exchange.detail);
    }
    assert_eq!(server.await.unwrap(), [Some(HandshakeKind::Full); 4], "nothing is resumed");
    let asked = |name: &str| Some(name.to_owned());
    // An address is no name that could be asked for (RFC 6066, 3).
    assert_eq!(*names.0.lock().unwrap(), [asked("shop.test"), asked("shop.test"), None, asked("named.test")]);
}
