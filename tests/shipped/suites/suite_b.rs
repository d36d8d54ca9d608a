//! Suite B: a chat and what is uploaded to it, one kind of traffic at a time.

use serde_json::Value;

use super::running::{asked, run, run_watched, stages_went_well};
use crate::support::http;
use crate::support::program::metric;
use crate::support::record::{self, list, phase, step};

pub fn uploads(base: &str, backend: u16) {
    let ended = run(
        "suite-b-uploads.yml",
        &[
            ("BASE_URL", base),
            ("UPLOADERS", "6"),
            ("DURATION", "12s"),
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

pub fn connections() {
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

/// How many channels and messages there are.
pub fn chat(backend: u16) -> [u64; 2] {
    ["/api/channels", "/api/messages"].map(|path| record::whole(&asked(backend, path), "count"))
}

/// How many messages of each kind the backend has stored since its start.
fn stored(backend: u16) -> [f64; 4] {
    let page = http::get(backend, "/metrics").unwrap().1;
    ["text", "mention", "file", "code"].map(|kind| metric(&page, "messages_stored_total", &[("kind", kind)]).unwrap())
}

pub fn messages(base: &str, backend: u16) {
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

pub fn api(base: &str, backend: u16) {
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

pub fn search(base: &str, backend: u16) {
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
