//! Nothing that is secret is printed, logged or stored, whatever a target does with it: tokens and passwords of the environment,
//! headers that carry credentials, written out or got from a log-in on the way, cookies, columns of data, and what is within mappings
//! and lists, those that users remember too.

use std::io::Write;

use crate::support::hostile::{Hostile, Then, answer};
use crate::support::process::free_port;
use crate::support::program::{Bench, Running};

/// One for each way in which a secret gets in; no two share a part.
const ENVIRONMENT: [(&str, &str); 3] =
    [("API_TOKEN", "envtok-a81f3c"), ("DB_PASSWORD", "envpass-b72e4d"), ("SESSION_COOKIE", "envcookie-c63d5e")];
const SECRETS: [&str; 17] = [
    "envtok-a81f3c",
    "envpass-b72e4d",
    "envcookie-c63d5e",
    "literalbearer-d54c6f",
    "bGl0ZXJhbDpiYXNpYw==",
    "varkey-e45b70",
    "dynamictoken-f36a81",
    "setcookie-027992",
    "urlpass-118aa3",
    "promtoken-209bb4",
    "csvpass-31a0c5",
    "listpass-42b1d6",
    "remembered-53c2e7",
    "nestedkey-64d3f8",
    "deepsecret-75e409",
    "answered-86f51a",
    "inline-97062b",
];
/// Words under names that look like those of secrets and are not: these are shown.
const OPEN: [&str; 3] = ["amountword", "counted_tokens_total", "rowname"];

/// Logs everyone in, and answers all else with an error that repeats the whole request.
fn parrot() -> Hostile {
    Hostile::start(|request, stream| {
        let text = if request.path == "/login" {
            let body = r#"{"token": "dynamictoken-f36a81", "user": {"keys": [{"api_key": "deepsecret-75e409"}]}}"#;
            format!("HTTP/1.1 200 OK\r\nset-cookie: sid=setcookie-027992\r\ncontent-length: {}\r\n\r\n{body}", body.len())
        } else if request.path == "/answered" {
            answer("500 Internal Server Error", r#"{"why": "amountword", "session": {"accessToken": "answered-86f51a"}}"#)
        } else {
            // In part, as a page that is cut off anywhere would show it.
            let padding = request.path.strip_prefix("/pad/").and_then(|n| n.parse().ok()).unwrap_or(0);
            answer("500 Internal Server Error", &format!("{}{}", "x".repeat(padding), request.head))
        };
        let _ = stream.write_all(text.as_bytes());
        Then::Keep
    })
}

fn profile(parrot: &str, prometheus: &str) -> String {
    let mut text = format!(
        "name: secrets
defaults: {{on_error: continue, http: {{base_url: \"{parrot}\", timeout: 2s}}}}
vars: {{api_key: varkey-e45b70, shop: {{keys: [nestedkey-64d3f8]}}}}
data:
  accounts: {{csv: accounts.csv}}
  admins: {{list: [{{name: rowname, password: listpass-42b1d6}}]}}
metrics: {{counted_tokens_total: {{type: counter}}}}
setup:
  flow:
    - repeat: {{times: 3, flow: [{{remember: {{guests: {{id: \"{{{{ index }}}}\", token: \"{{{{ 'remembered-53c2e7-' ~ index }}}}\"}}}}}}]}}
scenarios:
  a:
    flow:
      - http: {{post: /login, name: login, json: {{password: \"${{DB_PASSWORD}}\"}}, extract: {{token: $.token}}}}
      - http: {{get: /dynamic, name: dynamic, headers: {{authorization: \"Bearer {{{{ token }}}}\"}}}}
      - http: {{get: /environment, name: environment, headers: {{authorization: \"Bearer ${{API_TOKEN}}\", cookie: \"sid=${{SESSION_COOKIE}}\"}}}}
      - http: {{get: /literal, name: literal, headers: {{authorization: Bearer literalbearer-d54c6f}}}}
      - http: {{get: /basic, name: basic, headers: {{authorization: Basic bGl0ZXJhbDpiYXNpYw==}}}}
      - http: {{get: /var, name: var, headers: {{x-api-key: \"{{{{ api_key }}}}\"}}}}
      - http: {{get: \"/unnamed?access_token=${{API_TOKEN}}\"}}
      - http: {{post: /login, name: expects, expect: {{that: \"response.json.token == 'other'\"}}}}
      - http: {{get: \"/{{{{ token | int }}}}\", name: not-a-number, headers: {{authorization: \"Bearer {{{{ token }}}}\"}}}}
      - http: {{get: \"/row/{{{{ accounts.password }}}}/{{{{ admins.password }}}}/{{{{ admins.name }}}}\", name: row}}
      - http: {{get: \"/remembered/{{{{ guests[1].token }}}}/{{{{ shop['keys'][0] }}}}\", name: remembered}}
      - set: {{caller: \"{{'who': guests[2]}}\", profile: response.json | default(none)}}
      - http: {{post: /login, name: nested, extract: {{profile: $.user}}}}
      - http: {{get: \"/deep/{{{{ profile['keys'][0].api_key }}}}/{{{{ caller.who.token }}}}\", name: deep}}
      - http: {{get: \"/{{{{ caller.who.token | int }}}}\", name: no-number}}
      - http: {{get: /answered, name: answered}}
      - http: {{get: /inline, name: inline, headers: {{x-session-token: \"{{{{ 'inline-' ~ '97062b' }}}}\"}}}}
      - count: {{counted_tokens_total: 1}}
      - http: {{get: \"http://someone:urlpass-118aa3@127.0.0.1:{}/\", name: password-in-url}}
",
        free_port()
    );
    // One of these puts the cut of what is shown into the middle of the secret.
    for padding in (90..200).step_by(10) {
        text += &format!(
            "      - http: {{get: /pad/{padding}, name: cut-{padding}, headers: {{authorization: \"Bearer {{{{ token }}}}\"}}}}\n"
        );
        text += &format!(
            "      - http: {{get: /pad/{padding}, name: cut-environment-{padding}, headers: {{authorization: \"Bearer ${{API_TOKEN}}\"}}}}\n"
        );
    }
    text + &format!(
        "      - http: {{get: /last, name: last, headers: {{authorization: \"Bearer {{{{ token }}}}\"}}}}
        on_error: abort_run
phases: [{{name: one, duration: 20s, load: {{a: {{users: 2, iterations: 1}}}}}}]
observe:
  prometheus: {{url: \"{prometheus}\", bearer_token: promtoken-209bb4, timeout: 500ms}}
  counters: [{{metric: up}}]
"
    )
}

fn nothing_secret_in(text: &str) {
    for secret in SECRETS {
        // Parts of it too: half a token is more than anyone should know.
        for part in [secret, &secret[..secret.len() - 4]] {
            if let Some(at) = text.find(part) {
                let from = text[..at].char_indices().rev().nth(200).map_or(0, |(i, _)| i);
                panic!("{part}: {}", &text[from..text.len().min(at + 200)]);
            }
        }
    }
}

#[test]
fn a_run_shows_nothing_secret() {
    let (parrot, prometheus) = (parrot(), parrot());
    let formats = ["--log.format=logfmt", "--log.format=json"];
    let run = &|format: &str| {
        let bench = Bench::new();
        bench.file("secrets.yml", &profile(&parrot.url(), &prometheus.url()));
        bench.file("accounts.csv", "name,password\nann,csvpass-31a0c5\n");
        let mut command = bench.command(&["serve", "--web.listen-address=127.0.0.1:0", "secrets.yml"]);
        command.args(["--log.level=debug", format]).envs(ENVIRONMENT);
        let mut daemon = Running::start(command, bench.path());
        daemon.port = daemon.until("an address", |running| {
            let log = running.err();
            let (_, rest) = log.split_once("127.0.0.1:")?;
            rest.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
        });
        daemon.logged("run ended", 1);
        let pages = [daemon.page("/metrics"), daemon.page("/"), daemon.page("/api/v1/status")].concat();
        let ended = daemon.stop();
        let record = bench.record();
        assert_eq!(record["phases"][0]["steps"].as_array().unwrap().len(), 10 + 7 + 22 + 1, "{}", ended.err);
        assert!(bench.left().contains("/dynamic HTTP/1.1"), "the examples of errors are there");
        let all = [&*pages, &ended.out, &ended.err, &bench.left()].concat();
        nothing_secret_in(&all);
        for word in OPEN {
            assert!(all.contains(word), "{word} is no secret");
        }
    };
    std::thread::scope(|scope| formats.map(|format| scope.spawn(move || run(format))).map(|thread| thread.join().unwrap()));
}

#[test]
fn a_summary_shows_nothing_secret() {
    let (parrot, prometheus) = (parrot(), parrot());
    let bench = Bench::new();
    bench.file("secrets.yml", &profile(&parrot.url(), &prometheus.url()));
    bench.file("accounts.csv", "name,password\nann,csvpass-31a0c5\n");
    let mut command = bench.command(&["run", "--log.level=debug", "--web.listen-address=127.0.0.1:0", "secrets.yml"]);
    command.envs(ENVIRONMENT);
    let ended = Running::start(command, bench.path()).wait();
    assert!(ended.out.contains("500"), "{}", ended.out);
    nothing_secret_in(&[&*ended.out, &ended.err, &bench.left()].concat());
}

#[test]
fn a_bad_profile_is_reported_without_its_secrets() {
    let bench = Bench::new();
    bench.file(
        "bad.yml",
        "name: bad
defaults: {http: {timeout: \"${API_TOKEN}\", headers: {authorization: Bearer literalbearer-d54c6f, accpet: [no]}}}
vars: {api_key: varkey-e45b70}
scenarios:
  a: {flow: [{http: {get: \"${API_TOKEN}\", json: {password: \"${DB_PASSWORD}\"}, body: twice}}]}
phases: [{name: one, duration: \"${DB_PASSWORD}\", load: {a: {users: \"${SESSION_COOKIE}\"}}}]
",
    );
    for arguments in [vec!["check", "bad.yml"], vec!["run", "bad.yml"], vec!["serve", "--log.level=debug", "bad.yml"]] {
        let mut command = bench.command(&arguments);
        command.envs(ENVIRONMENT);
        let ended = Running::start(command, bench.path()).wait();
        assert_eq!(ended.code, Some(2), "{}", ended.err);
        assert!(ended.err.contains("timeout") && ended.err.contains("duration"), "{}", ended.err);
        nothing_secret_in(&[ended.out, ended.err].concat());
    }
}

/// A password with all that is encoded somewhere.
const ODD: &str = "p@ss/w+rd \"s\u{e4}cret\" 100%";

#[test]
fn a_secret_is_hidden_in_whatever_encoding_it_comes_back() {
    // Repeats all that it was sent, as it was sent, and once more as JSON, which escapes what was escaped.
    let echo = Hostile::start(|request, stream| {
        let said = format!("{}\n{}", request.head, request.body);
        let status = if request.path.starts_with("/metrics") { "404 Not Found" } else { "500 Internal Server Error" };
        let text = answer(status, &format!("{}{}", serde_json::json!({"path": request.path, "said": said}), said));
        let _ = stream.write_all(text.as_bytes());
        Then::Keep
    });
    let bench = Bench::new();
    bench.file(
        "odd.yml",
        &format!(
            "name: odd
defaults: {{on_error: continue, http: {{base_url: \"{0}\", timeout: 2s}}}}
scenarios:
  s:
    flow:
      - http: {{get: /query, query: {{password: \"${{DB_PASSWORD}}\"}}}}
      - http: {{post: /form, form: {{password: \"${{DB_PASSWORD}}\"}}}}
      - http: {{post: /json, json: {{password: \"${{DB_PASSWORD}}\"}}}}
      - http: {{get: /basic, headers: {{authorization: \"Basic {{{{ base64('ann:' ~ env.DB_PASSWORD) }}}}\"}}}}
      - http: {{get: \"/path/{{{{ urlencode(env.DB_PASSWORD) }}}}\", name: path}}
      - http: {{post: /base64, body: \"{{{{ base64(env.DB_PASSWORD) }}}}\"}}
      - http: {{get: \"/literal?api_key=lit%2FKEY-12345\"}}
phases: [{{name: p, duration: 10s, load: {{s: {{users: 1, iterations: 1}}}}}}]
observe:
  exporters:
    - {{name: e, url: \"{0}/metrics?token=EXT%2FOKEN1\", timeout: 1s}}
    - {{name: b, url: \"{0}/metrics\", basic_auth: {{username: ann, password: \"${{DB_PASSWORD}}\"}}, timeout: 1s}}
  counters: [{{metric: foo_total, type: counter}}]
",
            echo.url()
        ),
    );
    let mut command = bench.command(&["run", "--log.level=debug", "--web.listen-address=127.0.0.1:0", "odd.yml"]);
    command.env("DB_PASSWORD", ODD);
    let ended = Running::start(command, bench.path()).wait();
    let all = [&*ended.out, &ended.err, &bench.left()].concat();
    assert!(all.contains("/query?password=***") && all.contains("/literal?api_key=***"), "the echoes are there: {all}");
    assert!(all.contains("/metrics?token=***"), "that of the source, too: {all}");
    // Parts of it as each encoding writes them; in `run.json` JSON itself escapes once more.
    let base64 = ["cEBzcy93K3JkICJz", "YW5uOnBAc3Mvdyty"];
    let parts =
        ["p@ss", "p%40ss", "w+rd", "w%2Brd", "w%2brd", "cret\\\"", "cret%22", "s%C3%A4", "EXT%2FOKEN1", "EXT/OKEN1", "KEY-12345"];
    for part in parts.iter().chain(&base64) {
        if let Some(at) = all.find(part) {
            let from = all[..at].char_indices().rev().nth(200).map_or(0, |(from, _)| from);
            panic!("{part}: {}", &all[from..all.len().min(at + 100)]);
        }
    }
}

#[test]
fn a_password_that_is_a_word_hides_no_name_and_no_word() {
    let echo = Hostile::start(|request, stream| {
        let _ = stream.write_all(answer("500 Internal Server Error", &format!("no load for {}", request.body)).as_bytes());
        Then::Keep
    });
    let bench = Bench::new();
    let ended = bench.run(&format!(
        "name: load-shop
defaults: {{on_error: continue, http: {{base_url: \"{}\", timeout: 2s}}}}
scenarios:
  load:
    flow:
      - http: {{post: /load, name: load, json: {{password: load}}, check: {{load: response.body == 'load'}}}}
phases: [{{name: load, duration: 10s, load: {{load: {{users: 1, iterations: 1}}}}}}]
slos: [{{name: load, step: load, require: errors < 1%}}]
",
        echo.url()
    ));
    let record = bench.record();
    let phase = &record["phases"][0];
    let named = [
        &phase["name"],
        &phase["scenarios"][0]["scenario"],
        &phase["steps"][0]["step"],
        &phase["slos"][0]["name"],
        &phase["checks"][0]["check"],
    ];
    assert!(named.iter().all(|name| **name == "load"), "{named:?}");
    assert!(record["reasons"][0].as_str().unwrap().starts_with("load: load: errors < 1%"), "{}", record["reasons"]);
    // What the target said of it is masked.
    let sample = &phase["steps"][0]["samples"][0];
    assert_eq!(sample["body"], "no *** for {\"password\":\"***\"}");
    for line in ended.out.lines().filter(|line| line.contains("***")) {
        assert!(line.contains("password"), "{line}");
    }
    assert!(ended.out.contains("load/load"), "{}", ended.out);
}

#[test]
fn what_a_run_has_learned_stays_secret_in_all_that_follows() {
    const LEARNED: [&str; 4] = ["bykey-5f1c20", "byanswer-6a2d31", "bycookie-7b3e42", "byexample-8c4f53"];
    // Says nothing of them at first, and all of them later on, of whoever asks.
    let leaky = Hostile::start(|request, stream| {
        let text = match request.path.as_str() {
            "/open" => answer("200 OK", "bykey-5f1c20"),
            "/sent" => answer("200 OK", "thanks"),
            "/headers" => {
                "HTTP/1.1 200 OK\r\nx-auth-token: byanswer-6a2d31\r\nset-cookie: sid=bycookie-7b3e42\r\ncontent-length: 0\r\n\r\n"
                    .to_owned()
            }
            "/example" => answer("500 Internal Server Error", "{\"token\": \"byexample-8c4f53\"}"),
            _ => answer("500 Internal Server Error", &format!("plainword {}", LEARNED.join(" "))),
        };
        let _ = stream.write_all(text.as_bytes()); // the client may be gone
        Then::Keep
    });
    let bench = Bench::new();
    let ended = bench.run_files(
        &[bench
            .file(
                "learned.yml",
                &format!(
                    "name: learned
defaults: {{on_error: continue, http: {{base_url: \"{}\", timeout: 2s, cookies: false}}}}
scenarios:
  a:
    flow:
      - http: {{get: /open, extract: {{it: {{regex: '.*'}}}}}}
      - http: {{get: /sent, headers: {{x-api-key: \"{{{{ it }}}}\"}}}}
      - http: {{get: /headers}}
      - http: {{get: /example}}
      - http: {{get: /leaks, check: {{says: response.body == 'nothing'}}}}
      - http: {{get: \"/{{{{ response.body | int }}}}\", name: no-number}}
phases: [{{name: one, duration: 10s, load: {{a: {{users: 1, iterations: 1}}}}}}]
",
                    leaky.url()
                ),
            )
            .to_str()
            .unwrap()],
        &["--log.level=debug"],
    );
    let all = [&*ended.out, &ended.err, &bench.left()].concat();
    assert!(all.contains("plainword *** *** *** ***"), "{all}");
    for secret in LEARNED {
        assert!(!all.contains(secret), "{secret}: {all}");
    }
}

#[test]
fn a_password_of_words_hides_no_sentence() {
    let broken = Hostile::answering(&answer("500 Internal Server Error", "said status 500 to it"), Then::Keep);
    let bench = Bench::new();
    let ended = bench.run(&format!(
        "name: words
defaults: {{on_error: continue, http: {{base_url: \"{}\", timeout: 2s}}}}
scenarios: {{s: {{flow: [{{http: {{post: /, name: home, json: {{password: status 500, token: p95, secret: no verdict}}}}}}]}}}}
phases: [{{name: one, duration: 10s, load: {{s: {{users: 1, iterations: 1}}}}}}]
slos: [{{name: fast, require: p95 < 1h}}]
",
        broken.url()
    ));
    let sample = &bench.record()["phases"][0]["steps"][0]["samples"][0];
    assert_eq!(
        (sample["detail"].as_str(), sample["body"].as_str()),
        (Some("status 500"), Some("said *** to it")),
        "{}",
        ended.out
    );
    assert!(ended.out.contains("p95 < 1h") && ended.out.contains("status 500"), "{}", ended.out);
}
