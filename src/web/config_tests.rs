//! What the web config file may say, and what is said of mistakes in it.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;

use super::config::{RateLimit, WebConfig, WebConfigError};
use super::tls::TlsServerConfig;

const PATH: &str = "/nowhere/web.yml";

fn read(text: &str) -> Result<WebConfig, WebConfigError> {
    WebConfig::of(Path::new(PATH), text)
}

fn tls(config: &WebConfig) -> Result<Option<Arc<ServerConfig>>, WebConfigError> {
    let path = Path::new(PATH);
    config.pems(path)?.map_or(Ok(None), |pems| config.load(path, &pems))
}

/// What is wrong with a text, or with what it names.
fn error(text: &str) -> String {
    read(text).and_then(|config| tls(&config)).map(drop).unwrap_err().to_string()
}

#[test]
fn users_are_admitted_by_their_hash() {
    let hash = bcrypt::hash("let me in", 4).unwrap();
    let config = read(&format!("basic_auth_users:\n  prometheus: {hash}\n")).unwrap();
    assert!(config.admits("prometheus", "let me in"));
    assert!(!config.admits("prometheus", "let me out"));
    assert!(!config.admits("grafana", "let me in"));
    assert!(tls(&config).unwrap().is_none());
}

#[test]
fn all_keys_of_the_exporters_are_taken_at_their_word() {
    let certificate = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    file("cert.pem", &certificate.cert.pem());
    file("key.pem", &certificate.signing_key.serialize_pem());
    file(
        "web.yml",
        "tls_server_config: {cert_file: cert.pem, key_file: key.pem, max_version: TLS12, prefer_server_cipher_suites: false,\n  \
         cipher_suites: [TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256], curve_preferences: [CurveP256, X25519]}\n\
         http_server_config: {http2: false, headers: {X-Frame-Options: deny}}\n\
         rate_limit: {interval: 100ms, burst: 20}\n",
    );
    let path = folder.path().join("web.yml");
    let config = WebConfig::of(&path, &WebConfig::text(&path).unwrap()).unwrap();
    assert_eq!(config.rate_limit, Some(RateLimit { interval: Duration::from_millis(100), burst: 20 }));
    let tls = tls(&config).unwrap().unwrap();
    assert_eq!((tls.alpn_protocols.clone(), tls.ignore_client_order), (vec![b"http/1.1".to_vec()], false));
    let provider = tls.crypto_provider();
    let suites = provider.cipher_suites.iter().filter(|suite| suite.tls13().is_none());
    let suites: Vec<String> = suites.map(|suite| format!("{:?}", suite.suite())).collect();
    assert_eq!((suites, provider.kx_groups.len()), (vec!["TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256".to_owned()], 2));
}

#[test]
fn mistakes_name_the_place() {
    assert!(read("basic_auth_user: {}\n").unwrap_err().to_string().contains("basic_auth_user"));
    let absent = error("tls_server_config: {cert_file: no.crt, key_file: no.key}\n");
    assert!(absent.contains("`cert_file`: /nowhere/no.crt: No such file"), "{absent}");
    let plain = read("basic_auth_users: {prometheus: let me in}\n").unwrap_err().to_string();
    assert!(plain.contains("`prometheus` is no bcrypt hash") && !plain.contains("let me in"), "{plain}");
    let suite = "tls_server_config: {cert_file: no.crt, key_file: no.key, cipher_suites: [TLS_RSA_WITH_RC4_128_SHA]}\n";
    let suite = read(suite).unwrap_err().to_string();
    assert!(suite.contains("`TLS_RSA_WITH_RC4_128_SHA` isn't spoken; there are TLS_AES_256_GCM_SHA384"), "{suite}");
    let of_cost = |cost: &str| {
        let hash = bcrypt::hash("let me in", 4).unwrap().replacen("$04$", &format!("${cost}$"), 1);
        read(&format!("basic_auth_users: {{prometheus: '{hash}'}}\n"))
    };
    for (cost, words) in [
        ("00", "no bcrypt hash"),
        ("03", "no bcrypt hash"),
        ("32", "no bcrypt hash"),
        ("99", "no bcrypt hash"),
        ("19", "a hash of cost 19, which takes"),
        ("31", "a hash of cost 31, which takes a processor too long; the cost may be up to 18"),
    ] {
        let error = of_cost(cost).unwrap_err().to_string();
        assert!(error.contains(&format!("`prometheus` is {words}")), "{cost}: {error}");
    }
    assert!(["04", "12", "18"].iter().all(|cost| of_cost(cost).is_ok()));
    assert!(read("http_server_config: {headers: {a b: c}}\n").unwrap_err().to_string().contains("`a b`"));
    let length = read("http_server_config: {headers: {Content-Length: '5'}}\n").unwrap_err().to_string();
    assert!(length.contains("`Content-Length`"), "{length}");
    let burst = read("rate_limit: {burst: 20}\n").unwrap().rate_limit;
    assert_eq!(burst, Some(RateLimit { interval: Duration::ZERO, burst: 20 }));
    assert!(read("rate_limit: {interval: often}\n").is_err());
    let nobody = read("tls_server_config: {cert_file: a, key_file: b, client_ca_file: c}\n").unwrap_err().to_string();
    assert!(nobody.contains("client_auth_type"), "{nobody}");
}

#[test]
fn what_of_tls_does_not_go_together_is_said() {
    let whole = "cert_file: a, key_file: b";
    for (text, key, words) in [
        ("cert_file: a", "key_file", "is missing; TLS needs it, or `key`"),
        ("key: b", "cert_file", "is missing; TLS needs it, or `cert`"),
        ("min_version: TLS13", "cert_file", "is missing"),
        ("client_auth_type: NoClientCert", "cert_file", "is missing"),
        ("cert: a, cert_file: a, key: b", "cert", "says what `cert_file` says, too"),
        ("cert: a, key: b, key_file: b", "key", "says what `key_file` says, too"),
        (&format!("{whole}, client_ca: c, client_ca_file: c"), "client_ca", "says what `client_ca_file` says, too"),
        (&format!("{whole}, client_ca: c"), "client_ca", "without `client_auth_type`"),
        (&format!("{whole}, client_ca_file: c, client_auth_type: NoClientCert"), "client_ca_file", "without `client_auth_type`"),
        (&format!("{whole}, client_allowed_sans: [a]"), "client_allowed_sans", "without `client_auth_type`"),
        (&format!("{whole}, client_auth_type: VerifyClientCertIfGiven"), "client_ca_file", "or by `client_ca`"),
        (&format!("{whole}, client_auth_type: RequireAndVerifyClientCert"), "client_ca_file", "or by `client_ca`"),
    ] {
        let error = read(&format!("tls_server_config: {{{text}}}\n")).unwrap_err().to_string();
        assert!(error.contains(&format!("web.yml: `{key}`: ")) && error.contains(words), "{text}: {error}");
    }
    // The end of a key is no path.
    for name in ["Zm9vYmFy/Zm9v=", "/Zm9vYmFyZm9v", "Zm9vYmFyZm9v"] {
        let error = error(&format!("tls_server_config: {{cert_file: {name}, key: k}}\n"));
        assert!(error.contains("`cert_file`: `…`") && !error.contains("Zm9v"), "{error}");
    }
    let absent = error("tls_server_config: {cert_file: /usr/bin/no-such-file, key: k}\n");
    assert!(absent.contains("/usr/bin/no-such-file: No such"), "{absent}");
    // A blank is forgotten behind the colon.
    for text in ["{me:hunter2secret}", "{\"me:hunter2secret\": a}", "\n  me:hunter2secret", "{me: a, me:hunter2secret: a}"] {
        let error = error(&format!("http_server_config: {{}}\nbasic_auth_users: {text}\n"));
        assert!(!error.contains("hunter2"), "{error}");
    }
    // Whoever writes the section wants TLS.
    for (nothing, words) in [
        ("{}", "`cert_file`: is missing"),
        ("", "`tls_server_config`: has no value"),
        ("{cert_file: '', key_file: b}", "`cert_file`: is empty"),
        ("{cert: a, key: ' '}", "`key`: is empty"),
        ("{cert: '', cert_file: a, key_file: b}", "`cert`: is empty"),
        ("{cert_file: a, key_file: }", "`key_file`: has no value"),
        ("{cert_file: a, key_file: b, client_ca: '', client_auth_type: NoClientCert}", "`client_ca`: is empty"),
    ] {
        let error = read(&format!("tls_server_config: {nothing}\n")).unwrap_err().to_string();
        assert!(error.contains(words), "{nothing}: {error}");
    }
    assert!(read("").unwrap().tls.is_none() && read("basic_auth_users: {}\n").unwrap().basic_auth_users.is_empty());
    for kind in ["''", "RequestClientCert", "RequireAnyClientCert", "RequireClientCert"] {
        read(&format!("tls_server_config: {{{whole}, client_auth_type: {kind}}}\n")).unwrap();
    }
    let kind = read(&format!("tls_server_config: {{{whole}, client_auth_type: RequireCert}}\n")).unwrap_err().to_string();
    assert!(kind.contains("RequireCert") && kind.contains("RequireAnyClientCert"), "{kind}");
}

#[test]
fn a_value_of_another_kind_names_its_key_and_what_may_stand_there() {
    let whole = "cert_file: a, key_file: b";
    for (text, words) in [
        (
            format!("tls_server_config: {{{whole}, min_version: 12}}"),
            "`min_version`: `12` isn't known; it may be TLS10, TLS11, TLS12, TLS13",
        ),
        (
            format!("tls_server_config: {{{whole}, curve_preferences: [X25519MLKEM768]}}"),
            "`curve_preferences`: `X25519MLKEM768` isn't spoken; there are X25519, CurveP256, CurveP384",
        ),
        (
            format!("tls_server_config: {{{whole}, curve_preferences: CurveP521}}"),
            "`curve_preferences`: wants a list of texts, and holds a text",
        ),
        (format!("tls_server_config: {{{whole}, curve_preferences: [CurveP521]}}"), "there are X25519, CurveP256, CurveP384"),
        (
            format!("tls_server_config: {{{whole}, cipher_suites: [TLS_RSA_WITH_AES_128_CBC_SHA]}}"),
            "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
        ),
        (
            format!("tls_server_config: {{{whole}, cipher_suites: [TLS_AES_128_GCM_SHA256], max_version: TLS12}}"),
            "`cipher_suites`: names none of TLS 1.2",
        ),
        (
            format!("tls_server_config: {{{whole}, prefer_server_cipher_suites: 'no'}}"),
            "`prefer_server_cipher_suites`: wants `true` or `false`, without quotes",
        ),
        (format!("tls_server_config: {{{whole}, client_allowed_sans: a}}"), "`client_allowed_sans`: wants a list of texts"),
        ("tls_server_config: a".into(), "`tls_server_config`: wants a mapping, and holds a text"),
        ("basic_auth_users: []".into(), "`basic_auth_users`: wants a mapping, and holds a list"),
        ("basic_auth_users:".into(), "`basic_auth_users`: has no value"),
        ("basic_auth_users: {a: }".into(), "`basic_auth_users`: line 1: `a` wants a text, and holds nothing"),
        ("basic_auth_users: {'a:b': c}".into(), "`basic_auth_users`: line 1: `a:…` holds a `:`"),
        ("http_server_config: {http2: \"yes\"}".into(), "`http2`: wants `true` or `false`, without quotes, and holds a text"),
        (
            "http_server_config: {headers: {X-Own: a}}".into(),
            "`headers`: `X-Own` can't be set; there are Content-Security-Policy, Strict",
        ),
        (
            "http_server_config: {headers: {X-Frame-Options: allow}}".into(),
            "`headers`: `X-Frame-Options` may be deny or sameorigin, and not `allow`",
        ),
        (
            "http_server_config: {headers: {X-XSS-Protection: \"a\\nb\"}}".into(),
            "`headers`: `X-XSS-Protection` holds what no header can",
        ),
        ("rate_limit: {interval: often}".into(), "`interval`: `often` is no duration"),
        ("rate_limit: {burst: -1}".into(), "`burst`: `-1` is no whole number from 1 on"),
        ("rate_limit: {bursts: 1}".into(), "`rate_limit`: there is no key `bursts`; there are interval, burst"),
        ("[]".into(), "web.yml: it wants a mapping, and holds a list"),
    ] {
        let error = read(&format!("{text}\n")).unwrap_err().to_string();
        assert!(error.contains(words), "{text}: {error}");
    }
    let twice = read(&format!("tls_server_config: {{{whole}, curve_preferences: [X25519, X25519]}}\n"));
    assert!(twice.is_ok() && read("http_server_config: {http2: off}\n").is_ok_and(|config| !config.http.http2));
}

#[test]
fn what_is_wrong_with_a_pair_is_said_of_the_one_that_it_is_wrong_with() {
    let [one, other] = ["a", "b"].map(|name| rcgen::generate_simple_self_signed([name.to_owned()]).unwrap());
    let (cert, key) = (one.cert.pem(), one.signing_key.serialize_pem());
    let pem = |kind: &str, body: &str| format!("-----BEGIN {kind}-----\n{body}\n-----END {kind}-----\n");
    let half: String = cert.lines().take(4).collect::<Vec<_>>().join("\n") + "\n-----END CERTIFICATE-----\n";
    for (cert, key, words) in [
        (cert.as_str(), other.signing_key.serialize_pem().as_str(), "`key`: holds the key of another certificate"),
        (&half, &key, "`cert`: holds a certificate that can't be read"),
        (&pem("CERTIFICATE", "aGVsbG8="), &key, "`cert`: holds a certificate that can't be read"),
        (&cert, &pem("PRIVATE KEY", "aGVsbG8="), "`key`: holds a private key that can't be used"),
        (&cert, &pem("PRIVATE KEY", "a?b"), "`key`: is no PEM: what stands between"),
        (&pem("CERTIFICATE", "a?b"), &key, "`cert`: is no PEM: what stands between"),
        (&key, &cert, "`cert`: holds no certificate"),
    ] {
        let error = error(&format!("tls_server_config: {{cert: {cert:?}, key: {key:?}}}\n"));
        assert!(error.contains(words), "{words}: {error}");
    }
    let ca = error(&format!(
        "tls_server_config: {{cert: {cert:?}, key: {key:?}, client_auth_type: RequireAndVerifyClientCert, client_ca: {half:?}}}\n"
    ));
    assert!(ca.contains("`client_ca`: holds a certificate that can't be read"), "{ca}");
}

#[test]
fn names_that_keep_nobody_out_are_warned_of() {
    let warning = |keys: &str| {
        let text =
            format!("tls_server_config: {{cert_file: a, key_file: b, client_allowed_sans: [c], client_auth_type: {keys}}}\n");
        read(&text).unwrap().tls.unwrap().warnings()
    };
    for kind in ["RequestClientCert", "RequireAnyClientCert", "VerifyClientCertIfGiven, client_ca_file: c"] {
        assert!(warning(kind)[0].contains("`client_allowed_sans`: keeps nobody out"), "{kind}");
    }
    assert!(warning("RequireAndVerifyClientCert, client_ca_file: c").is_empty());
    for kind in ["RequestClientCert", "RequireAnyClientCert"] {
        let warnings = warning(&format!("{kind}, client_ca_file: c"));
        assert!(warnings.len() == 2 && warnings[1].contains("`client_ca_file`: keeps nobody out"), "{warnings:?}");
    }
    assert_eq!(warning("VerifyClientCertIfGiven, client_ca_file: c").len(), 1);
}

#[test]
fn a_key_in_any_place_is_not_shown() {
    let key = rcgen::KeyPair::generate().unwrap().serialize_pem();
    let body: String = key.lines().filter(|line| !line.starts_with('-')).collect();
    let hash = bcrypt::hash("let me in", 4).unwrap();
    let whole = "cert_file: a, key_file: b, client_ca_file: c, client_auth_type: RequireAndVerifyClientCert";
    let long = "very-long-".repeat(7);
    let [among, user, password] = [format!("x {hash}"), format!("me:{hash}"), "me:hunter2secret".to_owned()];
    for (secret, part) in [
        (key.as_str(), &body[48..60]),
        // As lines of a plain text are folded.
        (&key.replace('\n', " "), &body[48..60]),
        (&body, &body[48..60]),
        (&body[..64], &body[48..60]),
        (&hash, &hash[20..30]),
        (&long, "long"),
        (&among, &hash[20..30]),
        (&user, &hash[20..30]),
        (&password, "hunter2"),
        ("$6$salt$0123456789abcdef", "0123456789"),
        ("$apr1$salt$0123456789abcdef", "0123456789"),
        ("{SHA}0123456789abcdef=", "0123456789"),
    ] {
        let mut texts = vec![
            format!("{secret:?}: 1"),
            format!("{secret:?}"),
            format!("{{a: 1, {secret:?}: 1, {secret:?}: 2}}"),
            format!("tls_server_config: {secret:?}"),
            format!("tls_server_config: {{{secret:?}: 1}}"),
            format!("tls_server_config: {{{whole}, client_allowed_sans: {secret:?}}}"),
            format!("http_server_config: {{http2: {secret:?}}}"),
            format!("http_server_config: {{headers: {{{secret:?}: a}}}}"),
            format!("http_server_config: {{headers: {{X-Frame-Options: {secret:?}}}}}"),
            format!("rate_limit: {{interval: {secret:?}}}"),
            format!("rate_limit: {{burst: {secret:?}}}"),
            format!("basic_auth_users: {{{secret:?}: a}}"),
            format!("basic_auth_users: {{{secret:?}: [a]}}"),
            format!("basic_auth_users: {{a: {:?}}}", format!("{secret}.")),
            format!("basic_auth_users: {{<<: {secret:?}}}"),
        ];
        for field in TlsServerConfig::KEYS {
            texts.push(format!("tls_server_config: {{{field}: {secret:?}}}"));
            texts.push(format!("tls_server_config: {{{field}: [{secret:?}]}}"));
            let others: Vec<&str> = whole.split(", ").filter(|other| !other.starts_with(&format!("{field}:"))).collect();
            if field != "client_allowed_sans" {
                texts.push(format!("tls_server_config: {{{}, {field}: {secret:?}}}", others.join(", ")));
                texts.push(format!("tls_server_config: {{{}, {field}: [{secret:?}]}}", others.join(", ")));
            }
        }
        for text in texts {
            let error = error(&format!("{text}\n"));
            assert!(!error.contains(part), "{text}: {error}");
        }
    }
}

#[test]
fn no_message_shows_a_key() {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let (cert, key) = (made.cert.pem(), made.signing_key.serialize_pem());
    let block = |text: &str| format!("|\n    {}", text.trim_end().replace('\n', "\n    "));
    let config = |cert: &str, key: &str| format!("tls_server_config:\n  cert: {cert}\n  key: {key}\n");
    let whole = read(&config(&block(&cert), &block(&key))).unwrap();
    assert!(tls(&whole).unwrap().is_some());
    let body: String = key.lines().filter(|line| !line.starts_with('-')).collect();
    // Behind what all keys of its kind begin with, and before what the certificate holds, too.
    let secret = &body[48..88];
    let shows = |text: &str| secret.as_bytes().windows(8).any(|part| text.contains(std::str::from_utf8(part).unwrap()));
    assert!(shows(&key) && !shows(&format!("{whole:?}")));
    for broken in [
        config(&block(&cert), &format!(">-\n    {}", key.trim_end().replace('\n', "\n    "))),
        config(&block(&cert), &block(&key.replace("END", "END OF"))),
        config(&block(&cert), &block(&key[..key.len() / 2])),
        config(&block(&key), &block(&key)),
        config(&block(&cert), &format!("|\n{key}")),
        config(&block(&cert), &format!("[{:?}]", key)),
        config(&block(&cert), &format!("{{{:?}: 1}}", key)),
        config(&block(&cert), &format!("\"{body}")),
        config(&block(&cert), &format!("!!int {body}")),
        config(&block(&cert), &format!("{}: x", body)),
        config(&block(&cert), &format!("{}\n key: x", block(&key))),
        format!("{}  keyfile: x\n", config(&block(&cert), &block(&key))),
        format!("{}  min_version: x\n", config(&block(&cert), &block(&key))),
        format!("tls_server_config: {body}\n"),
        format!("{body}\n"),
    ] {
        let error = read(&broken).and_then(|config| tls(&config)).unwrap_err();
        for shown in [error.to_string(), format!("{error:?}")] {
            assert!(!shows(&shown), "{shown}");
        }
    }
}
