//! The web surface over real connections as the web config file wants it: which clients it lets in, keys that stand in it, and a file that
//! is wrong while it is in force.

use std::io::Write as _;
use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rcgen::SanType;
use rustls::crypto::ring::sign::any_supported_type;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use rustls::version::{TLS12, TLS13};

use crate::support::http;
use crate::support::program::{Bench, Running};
use crate::support::tls::Authority;

const PROFILE: &str = "
name: a
defaults: {http: {base_url: builtin}}
scenarios: {a: {flow: [{http: {get: /, name: home}}]}}
phases: [{name: one, duration: 10m, drain: 1s, load: {a: {rate: 1/s, max_users: 2}}}]
";

fn shown(certificate: &CertificateDer<'static>, key: &PrivateKeyDer<'static>) -> Arc<CertifiedKey> {
    Arc::new(CertifiedKey::new(vec![certificate.clone()], any_supported_type(key).unwrap()))
}

/// A text as it stands under a key of `tls_server_config`.
fn block(text: &str) -> String {
    format!("|\n    {}", text.trim_end().replace('\n', "\n    "))
}

#[test]
fn clients_come_in_by_their_certificate_as_the_file_says() {
    let bench = Bench::new();
    bench.file("a.yml", PROFILE);
    let (ours, strangers) = (Authority::new(bench.path(), "ca"), Authority::new(bench.path(), "other"));
    ours.certify("server");
    let names = || {
        vec![
            SanType::DnsName("prometheus.example".try_into().unwrap()),
            SanType::Rfc822Name("ops@example.org".try_into().unwrap()),
            SanType::IpAddress([10, 0, 0, 7].into()),
            SanType::URI("spiffe://example.org/prometheus".try_into().unwrap()),
        ]
    };
    let (certificate, key) = ours.certify_as("client", names());
    let (stranger, strangers_key) = strangers.certify_as("stranger", names());
    let clients = [
        ("nobody", None),
        ("client", Some(shown(&certificate, &key))),
        ("stranger", Some(shown(&stranger, &strangers_key))),
        // It shows a certificate whose key it doesn't have.
        ("thief", Some(shown(&certificate, &strangers_key))),
    ];
    let with = |keys: &str| {
        bench.file("web.yml", &format!("tls_server_config: {{cert_file: server.pem, key_file: server.key{keys}}}\n"));
    };
    with("");
    let daemon = bench.serve(&["--web.config.file=web.yml", "a.yml"]);
    let verified = "client_auth_type: RequireAndVerifyClientCert, client_ca_file: ca.pem";
    let named = |name: &str| format!("{verified}, client_allowed_sans: [other.example, '{name}']");
    for (keys, admitted) in [
        // It isn't asked, so it shows none.
        ("client_auth_type: NoClientCert", "nobody client stranger thief"),
        ("client_auth_type: RequestClientCert", "nobody client stranger"),
        ("client_auth_type: RequestClientCert, client_ca_file: ca.pem", "nobody client stranger"),
        ("client_auth_type: RequireAnyClientCert", "client stranger"),
        ("client_auth_type: VerifyClientCertIfGiven, client_ca_file: ca.pem", "nobody client"),
        (verified, "client"),
        ("client_auth_type: RequestClientCert, client_allowed_sans: [other.example]", "nobody"),
        ("client_auth_type: RequireAnyClientCert, client_allowed_sans: [ops@example.org]", "client stranger"),
        (&named("prometheus.example"), "client"),
        (&named("ops@example.org"), "client"),
        (&named("10.0.0.7"), "client"),
        (&named("spiffe://example.org/prometheus"), "client"),
        (&named("PROMETHEUS.example"), ""),
        (&named("example.org"), ""),
        (&format!("{verified}, client_allowed_sans: []"), ""),
    ] {
        with(&format!(", {keys}"));
        for version in [&TLS12, &TLS13] {
            let came = clients.iter().filter(|(_, client)| {
                let answer = http::ask_tls(daemon.port, "GET", "/-/healthy", &ours.certificate(), client.clone(), version);
                answer.unwrap().contains("200 OK")
            });
            let came: Vec<&str> = came.map(|(name, _)| *name).collect();
            assert_eq!(came.join(" "), admitted, "{keys} with {version:?}");
        }
    }

    // Who was verified may change something, and nobody else.
    let reload = |client: usize| {
        let client = clients[client].1.clone();
        let answer = http::ask_tls(daemon.port, "POST", "/-/reload", &ours.certificate(), client, &TLS13).unwrap();
        answer.split(' ').nth(1).unwrap_or_default().to_owned()
    };
    // Names are not forgotten by being left out.
    with(&format!(", {verified}"));
    assert!(
        http::ask_tls(daemon.port, "GET", "/-/healthy", &ours.certificate(), clients[1].1.clone(), &TLS13)
            .is_none_or(|answer| !answer.contains("200 OK"))
    );
    with(", client_auth_type: NoClientCert");
    assert_eq!(reload(0), "403");
    with(&format!(", {verified}"));
    assert_eq!(reload(1), "200");
    with(", client_auth_type: RequireAnyClientCert");
    assert_eq!((reload(1), reload(2)), ("403".to_owned(), "403".to_owned()));
    let ended = daemon.stop();
    // Twice with a type that verifies nobody.
    assert_eq!((ended.code, ended.err.matches("`client_allowed_sans`: keeps nobody out").count()), (Some(0), 2), "{}", ended.err);
}

#[test]
fn keys_in_the_file_itself_are_used_renewed_and_never_shown() {
    let bench = Bench::new();
    bench.file("a.yml", PROFILE);
    let read = |name: &str| std::fs::read_to_string(bench.path().join(name)).unwrap();
    let authorities = ["first", "second"].map(|name| Authority::new(bench.path(), name));
    let web = |certificate: &str, key: &str, ca: &str| {
        let inline =
            [("cert", certificate), ("key", key), ("client_ca", ca)].map(|(name, text)| format!("  {name}: {}\n", block(text)));
        bench
            .file("web.yml", &format!("tls_server_config:\n  client_auth_type: RequireAndVerifyClientCert\n{}", inline.concat()));
    };
    let pair = authorities.each_ref().map(|authority| authority.certify("server"));
    // The second one's is there now.
    let (certificate, key) = (read("server.pem"), read("server.key"));
    let secret = &key.lines().nth(1).unwrap()[48..];
    web(&certificate, &key, &read("second.pem"));
    let daemon = bench.serve(&["--web.config.file=web.yml", "a.yml"]);
    let comes = |server: &Authority, client: usize| {
        let client = shown(&pair[client].0, &pair[client].1);
        let answer = http::ask_tls(daemon.port, "GET", "/metrics", &server.certificate(), Some(client), &TLS13);
        answer.unwrap().contains("load_requests_total")
    };
    let [first, second] = &authorities;
    assert!(comes(second, 1) && !comes(second, 0) && !comes(first, 1));
    // Who verifies, and the server's own certificate, are others from the next connection on.
    web(&certificate, &key, &read("first.pem"));
    assert!(comes(second, 0) && !comes(second, 1));
    first.certify("server");
    web(&read("server.pem"), &read("server.key"), &read("first.pem"));
    assert!(comes(first, 0) && !comes(second, 0));
    // A folded key is none, and the log says so without it.
    let folded = format!("tls_server_config:\n  cert: {}\n  key: {:?}\n", block(&certificate), key.replace('\n', " "));
    bench.file("web.yml", &folded);
    assert!(!comes(second, 1));
    let ended = daemon.stop();
    assert!(ended.err.contains("`key`: is no PEM") && !ended.err.contains(secret), "{}", ended.err);
    for (keys, words) in [
        (
            format!("key: {}\n  cert_file: server.pem\n  key_file: server.key", block(&key)),
            "`key`: says what `key_file` says, too",
        ),
        (format!("key: {}", block(&key)), "`cert_file`: is missing; TLS needs it, or `cert`"),
        (format!("cert_file: server.pem\n  key: {}", block(&certificate)), "`key`: holds no private key"),
        (format!("cert_file: server.pem\n  key: [{key:?}]"), "web.yml: `key`: wants a text, and holds a list"),
        (format!("cert_file: server.pem\n  key_file: {}", block(&key)), "web.yml: `key_file`: wants the path of a file"),
        (
            format!("cert_file: server.pem\n  key_file: {:?}", &key[28..key.len() - 28].replace('\n', "")),
            "web.yml: `key_file`: `…` (not shown",
        ),
        (
            format!("cert_file: server.pem\n  key_file: server.key\n  min_version: {}", block(&key)),
            "web.yml: `min_version`: `…` (not shown",
        ),
        (format!("? {}\n  : server.key", block(&key)), "web.yml: `tls_server_config`: there is no key `…` (not shown"),
        ("client_auth_type: ''".to_owned(), "`cert_file`: is missing"),
        ("cert: ''\n  cert_file: server.pem\n  key_file: server.key".to_owned(), "`cert`: is empty"),
        ("cert_file: server.pem\n  key_file: first.pem".to_owned(), "first.pem: holds no private key"),
        ("cert_file: first.pem\n  key_file: server.key".to_owned(), "server.key: holds the key of another certificate"),
    ] {
        bench.file("web.yml", &format!("tls_server_config:\n  {keys}\n"));
        let arguments = ["serve", "--web.listen-address=127.0.0.1:0", "--web.config.file=web.yml", "a.yml"];
        let ended = Running::start(bench.command(&arguments), bench.path()).wait();
        assert!(ended.code == Some(2) && ended.err.contains("web.yml"), "{:?} {}", ended.code, ended.err);
        assert!(ended.err.contains(words) && !ended.err.contains(secret), "{words}: {}", ended.err);
    }
}

#[test]
fn what_protects_stays_in_force_while_the_file_is_emptied_or_broken() {
    let bench = Bench::new();
    bench.file("a.yml", PROFILE);
    let authority = Authority::new(bench.path(), "ca");
    authority.certify("server");
    let hash = bcrypt::hash("a password", 4).unwrap();
    let tls = "tls_server_config:\n  cert_file: server.pem\n  key_file: server.key\n";
    let users = format!("basic_auth_users:\n  ops: {hash}\n");
    bench.file("web.yml", tls);
    let daemon = bench.serve(&["--web.config.file=web.yml", "a.yml"]);
    let refused = "the web config file can't be used; what it said before stays in force";
    let status = || {
        let answer = http::ask_tls(daemon.port, "GET", "/-/healthy", &authority.certificate(), None, &TLS13).unwrap();
        answer.split(' ').nth(1).unwrap_or_default().to_owned()
    };
    let written_in_place = |text: &str| std::fs::write(bench.path().join("web.yml"), text).unwrap();
    let wrong = ["", "# nothing\n", "tls_server_config: {}\n", &users, "tls_server_config:\n  cert_fi"];
    for (at, text) in wrong.into_iter().enumerate() {
        written_in_place(text);
        for _ in 0..3 {
            assert_eq!(status(), "200", "{text}");
            assert!(http::get(daemon.port, "/-/healthy").is_none_or(|(status, _)| status == 400), "{text}");
        }
        assert_eq!(daemon.err().matches(refused).count(), at + 1, "once for each change: {}", daemon.err());
    }
    // A better one is taken at once, and its users stay.
    written_in_place(&format!("{tls}{users}"));
    assert_eq!(status(), "401");
    written_in_place(tls);
    assert_eq!(status(), "401");
    std::fs::remove_file(bench.path().join("web.yml")).unwrap();
    assert_eq!(status(), "401");
    let ended = daemon.stop();
    assert!(
        ended.err.contains("`tls_server_config`: is gone") && ended.err.contains("`basic_auth_users`: is gone"),
        "{}",
        ended.err
    );
    assert!(ended.err.contains("what the web config file says now is in force") && ended.err.contains("No such file"));
}

#[test]
fn passwords_that_are_being_verified_hold_up_no_end() {
    let bench = Bench::new();
    bench.file("a.yml", PROFILE);
    // Far more than a moment of a processor.
    let hash = bcrypt::hash("a password", 4).unwrap().replacen("$04$", "$18$", 1);
    bench.file("web.yml", &format!("basic_auth_users: {{ops: {hash}}}\n"));
    let daemon = bench.serve(&["--web.config.file=web.yml", "a.yml"]);
    let open: Vec<TcpStream> = (0..64)
        .map(|guess| {
            let mut stream = TcpStream::connect(("127.0.0.1", daemon.port)).unwrap();
            let guess = STANDARD.encode(format!("ops:{guess}"));
            write!(stream, "GET / HTTP/1.1\r\nHost: a\r\nAuthorization: Basic {guess}\r\n\r\n").unwrap();
            stream
        })
        .collect();
    std::thread::sleep(Duration::from_millis(500));
    let asked = Instant::now();
    assert_eq!(daemon.stop().code, Some(0));
    assert!(asked.elapsed() < Duration::from_secs(4), "{:?}", asked.elapsed());
    drop(open);
}
