//! Every profile of `config/` but `votes.yml` (which has a test of its own), made small, for real.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking, in its helpers too")]

mod support;

use serde_json::Value;
use support::http;
use support::process::free_port;
use support::program::metric;
use support::record::{self, list, phase, step};
use support::shipped::{self, Shown, promised_series, promtool, shipped};
use support::stack::Stack;

fn run(name: &str, variables: &[(&str, &str)]) -> Shown {
    run_watched(name, variables, |_| {})
}

/// The same, with `/metrics` shown to `look` all along.
fn run_watched(name: &str, variables: &[(&str, &str)], look: impl FnMut(&str)) -> Shown {
    let ended = run_short(name, variables, look);
    record::holds_together(&ended);
    record::is_right(&ended.record);
    ended
}

/// A run that may be too short for what is judged over a while.
fn run_short(name: &str, variables: &[(&str, &str)], look: impl FnMut(&str)) -> Shown {
    let profile = shipped(name);
    let promised = promised_series(&profile, variables);
    let ended = shipped::run(&profile, free_port(), variables, look);
    assert_eq!(promtool(&ended.last), "", "{name}");
    let shown = ended.last.lines().filter(|line| line.contains("{profile=")).count();
    assert!((100..=promised).contains(&shown), "{name}: `check` promised at most {promised} series, there are {shown}");
    ended
}

fn asked(backend: u16, path: &str) -> Value {
    serde_json::from_str(&http::get(backend, path).unwrap().1).unwrap()
}

fn ledger(backend: u16) -> Value {
    asked(backend, "/api/ledger")
}

/// Set-up, verify and teardown, as far as the profile has them, and that they went well.
fn stages_went_well(run: &Value, names: &[&str]) {
    let stages: Vec<_> = list(run, "stages").iter().map(|stage| (stage["name"].as_str().unwrap(), stage["ok"] == true)).collect();
    assert_eq!(stages, names.iter().map(|name| (*name, true)).collect::<Vec<_>>());
}

#[test]
fn quickstart_needs_nothing_else() {
    let ended = run("quickstart.yml", &[("STEADY", "3s"), ("SURGE", "2s"), ("TIMEOUT", "30s")]);
    let surge = phase(&ended.record, "surge");
    let orders = list(surge, "scenarios").iter().find(|scenario| scenario["scenario"] == "orders").unwrap();
    // The area under 20/s -> 100/s over 2 s.
    assert_eq!(record::whole(orders, "due"), 120);
}

#[test]
fn concurrent_users_and_uploads_run_against_the_backend() {
    let stack = Stack::up(&[]);
    let (base, backend) = (stack.variable("BASE_URL").unwrap(), stack.port("BASE_URL"));

    let ended = run(
        "suite-a-http.yml",
        &[
            ("BASE_URL", &base),
            ("AUTH_TOKEN", "Bearer of-a-test"),
            ("MIN_VUS", "5"),
            ("MAX_VUS", "10"),
            ("RAMP_UP", "2s"),
            ("DURATION", "3s"),
            ("THINK", "20ms..80ms"),
            ("TIMEOUT", "30s"),
        ],
    );
    let written: u64 = list(&ended.record, "phases").iter().map(|phase| record::whole(step(phase, "write"), "requests")).sum();
    let all = ledger(backend);
    assert!(written > 0);
    assert_eq!((all["total"].as_u64(), &all["consistent"]), (Some(written), &Value::Bool(true)), "{all}");
    let texts = format!("{}{}{}{}", ended.out, ended.err, ended.record, ended.last);
    assert!(!texts.contains("of-a-test"), "a token is a secret");

    let ended = run(
        "suite-b-uploads.yml",
        &[
            ("BASE_URL", &base),
            ("UPLOADERS", "6"),
            ("DURATION", "4s"),
            ("SMALL", "60KB"),
            ("MEDIUM", "100KB..200KB"),
            ("LARGE", "1MB"),
            ("HUGE", "2MB"),
            ("READ_BACK", "2"),
        ],
    );
    let uploads = phase(&ended.record, "uploads");
    assert!(record::whole(step(uploads, "download-range"), "requests") > 0);
    for (size, speeds) in [("small", false), ("medium", true), ("large", true), ("huge", true)] {
        let transfer = list(uploads, "transfers").iter().find(|of| of["step"] == format!("upload-{size}")).unwrap();
        let count = |of: &str| record::whole(&transfer[of], "count");
        assert!(count("processing") > 0 && (count("upload") > 0) == speeds, "{transfer}");
    }
    let interrupted: u64 = list(uploads, "scenarios").iter().map(|of| record::whole(of, "iterations_interrupted")).sum();
    let left = asked(backend, "/api/files");
    assert!(left["count"].as_u64().unwrap() <= interrupted, "{left}");
}

#[test]
fn queues_events_and_votes_run_against_the_backend() {
    let stack = Stack::up(&[]);
    let (base, prometheus) = (stack.variable("BASE_URL").unwrap(), stack.variable("PROMETHEUS_URL").unwrap());
    let backend = stack.port("BASE_URL");

    queue_and_sessions(&stack, &base, &prometheus);

    let all = ledger(backend);
    let ended = run(
        "suite-e-rest.yml",
        &[
            ("BASE_URL", &base),
            ("PROMETHEUS_URL", &prometheus),
            ("TIME", "1%"),
            ("S1_USERS", "20"),
            ("S1_THINK", "100ms..300ms"),
            ("S2_RATE", "150/s"),
            ("S2_USERS", "40"),
            ("S3_RATE", "20/s"),
            ("S3_USERS", "20"),
            ("S4_RATE", "200/s"),
            ("S4_USERS", "100"),
            ("S5_RATE", "5/s"),
            ("S5_USERS", "10"),
            ("TIMEOUT", "30s"),
        ],
    );
    let run = &ended.record;
    let now = ledger(backend);
    let rise = |key: &str| now[key].as_f64().unwrap() - all[key].as_f64().unwrap();
    assert_eq!(rise("total"), record::own(run, "votes_submitted_total"), "every accepted vote once, and no replay");
    assert_eq!(rise("paid"), record::own(run, "invoices_paid_total"));
    assert_eq!(rise("stars"), 50.0 * record::own(run, "invoices_paid_total"), "the balance rises once per invoice");
    assert_eq!(now["consistent"], true, "{now}");
    // 150/s, 20/s, 200/s and 5/s for a hundredth of five minutes (of one, for votes).
    let due = |name: &str| record::whole(&list(phase(run, name), "scenarios")[0], "due");
    assert_eq!([due("streamers"), due("live"), due("votes"), due("payments")], [450, 60, 120, 15]);
}

#[test]
fn sockets_run_against_the_builtin_target() {
    let ended = run(
        "suite-e-fanout.yml",
        &[("WS_URL", "builtin"), ("USERS", "50"), ("RAMP_UP", "2s"), ("HOLD", "3s"), ("RAMP_DOWN", "2s"), ("TIMEOUT", "30s")],
    );
    let hold = phase(&ended.record, "hold");
    let updates = &list(hold, "messages")[0];
    assert!(record::whole(updates, "received") >= 50 * 5, "two a second for 3 s: {updates}");
    assert_eq!(record::whole(updates, "missed"), 0, "{updates}");
    let ended = run(
        "suite-a-sockets.yml",
        &[
            ("WS_URL", "builtin"),
            ("TCP_ADDR", "builtin"),
            ("MAX_VUS", "20"),
            ("LINES", "20"),
            ("HOLD_TIME", "500ms"),
            ("RAMP_UP", "2s"),
            ("DURATION", "3s"),
            ("THINK", "20ms..80ms"),
            ("TIMEOUT", "30s"),
        ],
    );
    let burst = phase(&ended.record, "burst");
    assert!(record::whole(step(burst, "echo"), "requests") > 0);
    assert_eq!(record::whole(step(burst, "held"), "requests"), 0, "who is there stays");
    chat_connections();
}

fn chat_connections() {
    const USERS: u64 = 40;
    let mut open = 0.0_f64;
    let ended = run_watched(
        "suite-b-connections.yml",
        &[
            ("WS_URL", "builtin"),
            ("FIRST_VUS", "80"),
            ("SECOND_VUS", "400"),
            ("TARGET_VUS", "800"),
            ("LOAD", "5%"),
            ("RAMP_UP", "1s"),
            ("HOLD", "3s"),
            ("RAMP_DOWN", "1s"),
            ("SEND_EVERY", "500ms"),
            ("AUTH_TOKEN", "of-a-test"),
            ("TIMEOUT", "30s"),
        ],
        |page| open = open.max(metric(page, "ws_connections_open", &[]).unwrap()),
    );
    let phases = list(&ended.record, "phases");
    let sum =
        |of: &str, value: &dyn Fn(&Value) -> u64| -> u64 { phases.iter().flat_map(|phase| list(phase, of)).map(value).sum() };
    let wanted = ["to-first", "to-second", "to-target", "hold", "down-to-second", "down-to-none"].map(|name| {
        let users = &list(phase(&ended.record, name), "scenarios")[0]["users_wanted"];
        users.as_u64().unwrap()
    });
    assert_eq!(wanted, [4, 20, USERS, USERS, USERS, 20]);
    assert_eq!(
        sum("scenarios", &|of| list(of, "connections").iter().map(|of| record::whole(of, "connects")).sum()),
        USERS,
        "each connects once"
    );
    assert_eq!(sum("checks", &|check| record::whole(check, "total")), USERS, "and says who it is");
    let came = sum("messages", &|message| record::whole(message, "received"));
    let said = sum("sessions", &|sessions| record::whole(sessions, "messages_sent")) - USERS;
    // What was on its way when its user said goodbye came back to nobody.
    assert!((said - USERS..=said).contains(&came) && came > USERS * 5, "{said} said, {came} came");
    assert_eq!(record::own(&ended.record, "chat_messages_total"), came as f64);
    assert_eq!(sum("messages", &|message| record::whole(&message["latency"], "count")), came);
    let stayed = sum("sessions", &|sessions| sessions["outcomes"]["ok"].as_u64().unwrap_or(0));
    assert_eq!(stayed, USERS, "each leaves with a goodbye");
    assert_eq!(open, USERS as f64, "a gauge of the profile's own");
    let texts = format!("{}{}{}{}", ended.out, ended.err, ended.record, ended.last);
    assert!(!texts.contains("of-a-test"), "a token is a secret");
}

fn queue_and_sessions(stack: &Stack, base: &str, prometheus: &str) {
    let backend = stack.port("BASE_URL");
    let before = ledger(backend);
    let ended = run(
        "suite-d-queue.yml",
        &[
            ("BASE_URL", base),
            ("PROMETHEUS_URL", prometheus),
            ("TARGET_VUS", "20"),
            ("SESSION_VUS", "10"),
            ("SESSION_HOLD_SECONDS", "0.3"),
            ("POLL", "100ms"),
            ("MATCH_WITHIN", "1s"),
            ("BASE_RATE", "10"),
            ("SPIKE_RATE", "40"),
            ("SPIKE_HOLD", "1s"),
            ("REPLAYED", "30%"),
            ("THINK_TIME_MIN", "0.1"),
            ("THINK_TIME_MAX", "0.3"),
            ("RAMP_UP", "1s"),
            ("HOLD", "1s"),
            ("RAMP_DOWN", "1s"),
            ("TIMEOUT", "30s"),
        ],
    );
    let run = &ended.record;
    let after = ledger(backend);
    let rise = |key: &str| after[key].as_i64().unwrap() - before[key].as_i64().unwrap();
    // What set-up credited: 1,000 to each of 20 guests, 5 to each of 10 callers.
    assert_eq!(rise("tokens") as f64, 20_050.0 + record::own(run, "purchased_total"), "each purchase once, and no replay");
    assert_eq!(after["consistent"], true, "{after}");
    let webhooks = phase(run, "webhooks");
    // The areas under 10/s -> 40/s over 1 s, 40/s for 1 s, and 40/s -> 10/s over 1 s.
    assert_eq!(record::whole(&list(webhooks, "scenarios")[0], "due"), 90);
    let replayed = record::whole(step(webhooks, "replay"), "requests");
    assert!(replayed > 0);
    assert!(rise("calls") > 0 && record::own(run, "sessions_held_total") > 0.0, "{after}");
    let joins: u64 = ["queue", "sessions"].iter().map(|name| record::whole(step(phase(run, name), "join"), "requests")).sum();
    assert!(joins > 0);
    let names =
        ["redis_connected_clients", "redis_memory_used_bytes", "pg_stat_database_xact_commit", "pg_stat_database_blks_read"];
    for name in names {
        record::rows(webhooks, "prometheus", name, &[]);
    }
    stages_went_well(run, &["setup", "verify"]);
}

#[test]
fn chat_runs_against_the_backend() {
    let stack = Stack::up(&["--only", "redis,postgres,backend"]);
    let (base, backend) = (stack.variable("BASE_URL").unwrap(), stack.port("BASE_URL"));
    messages(&base, backend);
    api(&base, backend);
    search(&base, backend);
    shapes(&base, backend);
}

/// How many channels and messages there are.
fn chat(backend: u16) -> [u64; 2] {
    ["/api/channels", "/api/messages"].map(|path| record::whole(&asked(backend, path), "count"))
}

/// How many messages of each kind the backend has stored since its start.
fn stored(backend: u16) -> [f64; 4] {
    let page = http::get(backend, "/metrics").unwrap().1;
    ["text", "mention", "file", "code"].map(|kind| metric(&page, "messages_stored_total", &[("kind", kind)]).unwrap())
}

fn messages(base: &str, backend: u16) {
    let ended = run(
        "suite-b-messages.yml",
        &[
            ("BASE_URL", base),
            ("CHANNELS", "12"),
            ("MESSAGE_RATE", "50/s"),
            ("SENDERS", "20"),
            ("MAX_SENDERS", "200"),
            ("DURATION", "4s"),
            ("TIMEOUT", "30s"),
        ],
    );
    let run = &ended.record;
    let messages = phase(run, "messages");
    let senders = &list(messages, "scenarios")[0];
    assert_eq!(record::whole(senders, "due"), 200);
    let delivered = record::own(run, "messages_delivered_total");
    assert_eq!([delivered, record::own(run, "messages_sent_total")], [record::whole(senders, "started") as f64; 2]);
    let kinds = stored(backend);
    let sent = ["send-text", "send-mention", "send-file", "send-code"];
    assert_eq!(kinds, sent.map(|step| record::whole(record::step(messages, step), "requests") as f64));
    assert!(kinds.iter().sum::<f64>() == delivered && kinds.iter().all(|stored| *stored > 0.0), "{kinds:?}");
    assert!(record::whole(step(messages, "read-back"), "requests") > 0);
    stages_went_well(run, &["setup", "verify", "teardown"]);
    assert_eq!(chat(backend), [0, 0], "the channels are gone, and with them what was said");
}

fn api(base: &str, backend: u16) {
    let ended = run(
        "suite-b-api.yml",
        &[
            ("BASE_URL", base),
            ("API_USERS", "6"),
            ("CHANNELS", "3"),
            ("SEARCH_ROWS", "5000"),
            ("RAMP_UP", "1s"),
            ("DURATION", "3s"),
            ("THINK", "10ms..50ms"),
            ("TIMEOUT", "30s"),
        ],
    );
    let run = &ended.record;
    let api = phase(run, "api");
    let groups: Vec<&str> = list(api, "groups").iter().map(|group| group["group"].as_str().unwrap()).collect();
    assert_eq!(groups, ["authentication", "channels", "messages", "search", "users", "notifications"]);
    for group in groups {
        for of in [group.to_owned(), format!("requests-{group}")] {
            let mine: Vec<_> = list(api, "slos").iter().filter(|slo| slo["name"] == of.as_str()).collect();
            assert_eq!(mine.len(), 4, "two limits, two targets: {mine:?}");
        }
    }
    stages_went_well(run, &["setup", "teardown"]);
    assert_eq!(chat(backend), [1, 5000], "what is there to be found stays");
}

fn search(base: &str, backend: u16) {
    let ended = run(
        "suite-b-search.yml",
        &[
            ("BASE_URL", base),
            ("SEARCHERS", "6"),
            ("SEARCH_ROWS", "20000"),
            ("DURATION", "3s"),
            ("THINK", "10ms"),
            ("TIMEOUT", "30s"),
        ],
    );
    let search = phase(&ended.record, "search");
    let searches = record::whole(step(search, "search"), "requests");
    let scores = list(search, "metrics").iter().find(|metric| metric["name"] == "search_relevance_ratio").unwrap();
    assert_eq!(record::whole(&scores["distribution"], "count"), searches);
    // Every second message names the words of another topic: without a ranking a third of what is found is about that.
    let mean = scores["distribution"]["mean"].as_f64().unwrap();
    assert!(mean > 0.9 && mean <= 1.0, "{scores}");
    assert_eq!(record::whole(step(search, "complete"), "requests"), 3 * searches);
    stages_went_well(&ended.record, &["setup"]);
    assert_eq!(chat(backend), [1, 20_000]);
}

/// The same traffic in six shapes, a few users for a few seconds each.
fn shapes(base: &str, backend: u16) {
    let stress = [
        "ramp-up",
        "users-1000",
        "to-2500",
        "users-2500",
        "to-5000",
        "users-5000",
        "to-10000",
        "users-10000",
        "back",
        "recovered",
    ];
    let shapes: [(&str, &str, &[&str]); 5] = [
        ("smoke", "", &["smoke"]),
        ("load", "0.2%", &["ramp-up", "load", "ramp-down"]),
        ("stress", "0.2%", &stress),
        ("spike", "0.5%", &["ramp-up", "before", "spike", "after"]),
        ("scalability", "0.1%", &["to-2500", "to-5000", "to-7500", "to-10000", "hold", "down"]),
    ];
    let shaped = |shape: &str, [time, duration]: [&str; 2], run: fn(&str, &[(&str, &str)]) -> Shown| {
        let small = [("LOAD", "0.5%"), ("CHANNELS", "4"), ("SEARCH_ROWS", "20000"), ("THINK", "20ms..60ms"), ("TIMEOUT", "30s")];
        let size = [("BASE_URL", base), ("TIME", time), ("DURATION", duration), ("WINDOW", "1s")];
        run(&format!("suite-b-{shape}.yml"), &[&size[..], &small[..]].concat())
    };
    let soak = shaped("soak", ["1%", "200s"], |name, variables| run_short(name, variables, |_| {}));
    let judged: Vec<&str> = list(phase(&soak.record, "soak"), "slos").iter().map(|slo| slo["name"].as_str().unwrap()).collect();
    assert!(judged.contains(&"all-along") && judged.contains(&"steady"), "{judged:?}");
    stages_went_well(&soak.record, &["setup", "verify", "teardown"]);
    for (shape, time, phases) in shapes {
        let ended = shaped(shape, [time, "2s"], run);
        let run = &ended.record;
        let names: Vec<&str> = list(run, "phases").iter().map(|phase| phase["name"].as_str().unwrap()).collect();
        assert_eq!(names, phases, "{shape}");
        assert_eq!(record::own(run, "messages_sent_total"), record::own(run, "messages_delivered_total"), "{shape}");
        stages_went_well(run, &["setup", "verify", "teardown"]);
        assert_eq!(chat(backend), [1, 20_000], "{shape} leaves nothing");
    }
}

#[test]
fn booking_runs_against_the_backend() {
    let stack = Stack::up(&[]);
    let (base, prometheus) = (stack.variable("BASE_URL").unwrap(), stack.variable("PROMETHEUS_URL").unwrap());
    let backend = stack.port("BASE_URL");
    let ended = run(
        "suite-c-booking.yml",
        &[
            ("BASE_URL", &base),
            ("WS_URL", "builtin"),
            ("PROMETHEUS_URL", &prometheus),
            ("VUS", "10"),
            ("DURATION", "2s"),
            ("THINK", "20ms..60ms"),
            ("TIMEOUT", "30s"),
        ],
    );
    let run = &ended.record;
    let own = |name: &str| record::own(run, name);
    assert_eq!(own("bookings_asked_total"), own("bookings_made_total") + own("bookings_taken_total"));
    assert!(own("bookings_made_total") > 0.0);
    assert_eq!(own("bookings_made_total"), own("bookings_paid_total"), "each is paid");
    let page = http::get(backend, "/metrics").unwrap().1;
    let counted = ["bookings_total", "bookings_paid_total"].map(|name| metric(&page, name, &[]).unwrap());
    assert_eq!(counted, [own("bookings_made_total"), own("bookings_paid_total")], "and once only");
    let mixed = phase(run, "mixed");
    let users: Vec<u64> = list(mixed, "scenarios").iter().map(|of| record::whole(of, "users_wanted")).collect();
    assert_eq!(users, [2, 4, 2, 1, 1]);
    for name in ["me", "search", "pay", "play", "message"] {
        assert!(record::whole(step(mixed, name), "requests") > 0, "{name}");
    }
    let of_scenarios: Vec<_> =
        list(mixed, "slos").iter().filter(|slo| slo["name"].as_str().unwrap().starts_with("scenarios")).collect();
    assert_eq!(of_scenarios.len(), 5 * 3, "{of_scenarios:?}");
    stages_went_well(run, &["setup", "verify", "teardown"]);
    let left = asked(backend, "/api/bookings");
    assert_eq!(["count", "paid"].map(|key| record::whole(&left, key)), [0, 0], "all are cancelled: {left}");
}
