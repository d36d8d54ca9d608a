//! Rows of data, `start` and `stop`, and what a seed makes the same again, as a target and a reader of the results see them.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::sync::{Arc, Mutex};

use crate::support::hostile::{Hostile, Then, answer};
use crate::support::process::free_port;
use crate::support::program::{Bench, Running, accounts_hold, count, metric};
use serde_json::json;

/// A server that writes down each request: method, path and body.
fn writing() -> (Hostile, Arc<Mutex<Vec<String>>>) {
    let seen = Arc::<Mutex<Vec<String>>>::default();
    let book = seen.clone();
    let server = Hostile::start(move |request, stream| {
        let method = request.head.split(' ').next().unwrap();
        book.lock().unwrap().push(format!("{method} {} {}", request.path, request.body).trim_end().to_owned());
        let body = format!("{{\"token\": \"t{}\"}}", request.body.len());
        let _ = stream.write_all(answer("200 OK", &body).as_bytes());
        Then::Keep
    });
    (server, seen)
}

fn profile(url: &str, rest: &str) -> String {
    format!("name: rows\ndefaults: {{http: {{base_url: \"{url}\", timeout: 30s}}}}\n{rest}\n")
}

#[test]
fn where_unique_rows_run_out_arrivals_are_dropped_and_the_verdict_is_inconclusive() {
    let bench = Bench::new();
    let (server, seen) = writing();
    let rows: String = (0..25).map(|row| format!("v-{row}\n")).collect();
    bench.file("vouchers.csv", &format!("code\n{rows}"));
    let rest = "data: {vouchers: {csv: vouchers.csv, pick: unique}}
scenarios: {buy: {flow: {http: {post: /buy, name: buy, json: {code: \"{{ vouchers.code }}\"}}}}}
phases: [{name: rush, duration: 5s, load: {buy: {at_once: 40, max_users: 10, on_busy: {wait: 60s}}}}]
slos: [{name: errors, require: errors < 1%}]";
    bench.file("profile.yml", &profile(&server.url(), rest));
    let port = free_port();
    let address = format!("--web.listen-address=127.0.0.1:{port}");
    let mut running = Running::start(bench.command(&["run", &address, "profile.yml"]), bench.path());
    running.until("arrivals are dropped for want of a row", |_| {
        let (_, page) = crate::support::http::get(port, "/metrics")?;
        let labels = [("profile", "rows"), ("scenario", "buy"), ("phase", "rush"), ("reason", "data")];
        metric(&page, "load_arrivals_dropped_total", &labels).filter(|n| *n == 15.0)
    });
    let ended = running.wait();
    assert_eq!(ended.code, Some(3), "{}\n{}", ended.out, ended.err);
    let record = bench.record();
    accounts_hold(&record);
    let scenario = &record["phases"][0]["scenarios"][0];
    assert_eq!((count(&scenario["due"]), count(&scenario["started"])), (40, 25));
    assert_eq!(scenario["dropped_reasons"], json!({"data": 15}));
    assert_eq!(record["verdict"], "inconclusive");
    let sentence = "The data `vouchers` ran out: each of its 25 rows was used once.";
    assert!(
        record["reasons"].to_string().contains(sentence) && ended.out.contains(sentence),
        "{}\n{}",
        record["reasons"],
        ended.out
    );
    assert!(ended.err.contains("the 25 rows of `vouchers` are too few for 40 iterations"), "{}", ended.err);
    let sent: BTreeSet<String> = seen.lock().unwrap().iter().cloned().collect();
    let expected: BTreeSet<String> = (0..25).map(|row| format!("POST /buy {{\"code\":\"v-{row}\"}}")).collect();
    assert_eq!((sent, seen.lock().unwrap().len()), (expected, 25));
}

#[test]
fn closed_users_end_where_unique_rows_run_out() {
    let bench = Bench::new();
    let (server, seen) = writing();
    let rest = "data: {n: {list: [1, 2, 3, 4, 5], pick: unique}}
scenarios: {s: {flow: {http: {get: \"/{{ n }}\", name: get}}, stop: {http: {get: /bye, name: bye}}}}
phases: [{name: one, duration: 1s, load: {s: {users: 3}}}]
slos: [{name: errors, require: errors < 1%}]";
    let ended = bench.run(&profile(&server.url(), rest));
    assert_eq!(ended.code, Some(3), "{}\n{}", ended.out, ended.err);
    let mut seen = seen.lock().unwrap().clone();
    seen.sort();
    assert_eq!(seen, ["GET /1", "GET /2", "GET /3", "GET /4", "GET /5", "GET /bye", "GET /bye", "GET /bye"]);
    assert!(ended.out.contains("The data `n` ran out"), "{}", ended.out);
}

#[test]
fn each_user_signs_in_once_with_a_row_of_its_own_and_leaves() {
    let bench = Bench::new();
    let (server, seen) = writing();
    std::fs::create_dir(bench.path().join("parts")).unwrap();
    // Found beside the file that names it, with everything that a spreadsheet writes.
    bench.file("parts/accounts-eu.csv", "\u{feff}name,note\r\nann,\"likes \"\"x, y\"\"\"\r\nbob,\r\ncarl,z\r\n");
    bench.file("parts/accounts.yml", "data: {accounts: {csv: \"accounts-${REGION}.csv\", pick: per_user}}\n");
    let rest = "include: parts/accounts.yml
scenarios:
  s:
    start: {http: {post: /login, name: login, json: {name: \"{{ accounts.name }}\", note: \"{{ accounts.note }}\"}, extract: {token: $.token}}}
    flow: {http: {get: \"/{{ accounts.name }}/{{ token }}/{{ user }}\", name: get}}
    stop: {http: {post: \"/logout/{{ accounts.name }}/{{ token }}\", name: logout}}
phases:
  - {name: one, duration: 500ms, load: {s: {users: 4, pacing: 50ms}}}
  - {name: two, duration: 500ms, load: {s: {users: 4, pacing: 50ms}}}
setup: {flow: {http: {put: \"/exists/{{ accounts.name }}\", name: exists}}}";
    bench.file("profile.yml", &profile(&server.url(), rest));
    let ended = bench.run_files(&["profile.yml"], &["--set", "REGION=eu"]);
    assert!(matches!(ended.code, Some(0 | 3)), "{}\n{}", ended.out, ended.err);
    assert!(ended.err.contains("4 users share the 3 rows of `accounts`"), "{}", ended.err);
    let seen = seen.lock().unwrap();
    assert_eq!(seen[0], "PUT /exists/ann", "set-up has the first row");
    let logins: Vec<&String> = seen.iter().filter(|line| line.contains("/login")).collect();
    let mut sorted = logins.clone();
    sorted.sort();
    let login = |name: &str, note: &str| format!("POST /login {{\"name\":\"{name}\",\"note\":\"{note}\"}}");
    let expected = [login("ann", "likes \\\"x, y\\\""), login("ann", "likes \\\"x, y\\\""), login("bob", ""), login("carl", "z")];
    assert_eq!(sorted.into_iter().cloned().collect::<Vec<_>>(), expected);
    assert_eq!(seen.iter().filter(|line| line.contains("/logout/")).count(), 4);
    let gets: Vec<Vec<&str>> =
        seen.iter().filter_map(|line| line.strip_prefix("GET /")).map(|path| path.split('/').collect()).collect();
    assert!(gets.len() >= 8, "{gets:?}");
    for get in gets {
        let user: usize = get[2].parse().unwrap();
        assert_eq!(get[0], ["ann", "bob", "carl"][user % 3]);
        assert!(get[1].starts_with('t'), "what start extracted lasts");
    }
    let steps = bench.record()["phases"][1]["steps"].clone();
    let requests = |name: &str| count(&crate::support::program::named(&steps, "step", name)["requests"]);
    assert_eq!((requests("login"), requests("logout")), (0, 4), "who lives on doesn't start again");
}

#[test]
fn a_reload_reads_the_rows_again() {
    let bench = Bench::new();
    let (server, seen) = writing();
    bench.file("rows.json", "[\"old\"]");
    let rest = "data: {row: {json: rows.json}}
scenarios: {s: {flow: {http: {get: \"/{{ row }}\", name: get}}}}
phases: [{name: one, duration: 300ms, load: {s: {users: 1, pacing: 50ms}}}]
schedule: continuous";
    bench.file("profile.yml", &profile(&server.url(), rest));
    let mut serving = bench.serve(&["profile.yml"]);
    let saw = |path: &str| seen.lock().unwrap().iter().any(|line| line == path).then_some(());
    serving.until("the first row", |_| saw("GET /old"));
    bench.file("rows.json", "[\"new\"]");
    serving.signal(libc::SIGHUP);
    serving.until("the row of the new file", |_| saw("GET /new"));
    // A file that is broken changes nothing.
    bench.file("rows.json", "[\"new\"");
    serving.signal(libc::SIGHUP);
    serving.until("it is reported", |serving| serving.err().contains("rows.json:1: ").then_some(()));
    serving.stop();
}

/// What a run with this seed sends, in its order: choices, and what must never repeat.
fn sent(seed: u64) -> (Vec<String>, BTreeSet<String>) {
    let bench = Bench::new();
    let (server, seen) = writing();
    let rest = format!(
        "seed: {seed}
data: {{row: {{list: [a, b, c, d, e, f], pick: random}}}}
vars: {{list: [1, 2, 3, 4, 5]}}
scenarios:
  s:
    flow:
      - http:
          post: /
          name: post
          form: {{row: \"{{{{ row }}}}\", n: \"{{{{ random_int(1, 1000000) }}}}\", pick: \"{{{{ pick(list) }}}}\", once: \"{{{{ uuid() }}}}-{{{{ random_string(20) }}}}\"}}
phases: [{{name: one, duration: 60s, load: {{s: {{users: 1, iterations: 20}}}}}}]"
    );
    let ended = bench.run(&profile(&server.url(), &rest));
    assert!(matches!(ended.code, Some(0 | 3)), "{}\n{}", ended.out, ended.err);
    assert_eq!(bench.record()["seed"], seed);
    let seen = seen.lock().unwrap();
    let parts = seen.iter().map(|line| line.split_once("&once=").unwrap());
    (parts.clone().map(|(chosen, _)| chosen.to_owned()).collect(), parts.map(|(_, once)| once.to_owned()).collect())
}

#[test]
fn a_seed_makes_choices_the_same_again_and_keys_never_repeat() {
    let (first, keys) = sent(42);
    let (again, more) = sent(42);
    let (other, _) = sent(43);
    assert_eq!((first.len(), keys.len(), more.len()), (20, 20, 20));
    assert_eq!(first, again);
    assert_ne!(first, other);
    assert!(first.iter().collect::<BTreeSet<_>>().len() > 15, "{first:?}");
    assert!(keys.is_disjoint(&more), "a second run's keys are no replays of the first one's");
}

#[test]
fn sequential_rows_come_in_their_order_for_one_user_and_equally_often_for_many() {
    for (users, rows) in [(1, 7), (4, 6)] {
        let bench = Bench::new();
        let (server, seen) = writing();
        let list: Vec<String> = (0..rows).map(|row| format!("{{id: {row}, name: row-{row}}}")).collect();
        let rest = format!(
            "data: {{row: {{list: [{}]}}}}
scenarios: {{s: {{flow: {{http: {{get: \"/{{{{ row.id }}}}/{{{{ row.name }}}}\", name: get}}}}}}}}
phases: [{{name: one, duration: 60s, load: {{s: {{users: {users}, iterations: {}}}}}}}]",
            list.join(", "),
            3 * rows
        );
        let ended = bench.run(&profile(&server.url(), &rest));
        assert!(matches!(ended.code, Some(0 | 3)), "{}\n{}", ended.out, ended.err);
        let seen = seen.lock().unwrap();
        if users == 1 {
            let expected: Vec<String> = (0..3 * rows).map(|i| format!("GET /{0}/row-{0}", i % rows)).collect();
            assert_eq!(*seen, expected);
        } else {
            let mut counts = BTreeMap::new();
            seen.iter().for_each(|line| *counts.entry(line).or_insert(0) += 1);
            assert_eq!(counts.len(), rows);
            assert!(counts.values().all(|n| *n == 3 * users), "{counts:?}");
        }
    }
}
