//! Suite D: a queue of guests, and sessions that are paid for.

use super::running::{ledger, run, stages_went_well};
use crate::support::record::{self, list, phase, step};

pub fn queue_and_sessions(base: &str, prometheus: &str, backend: u16) {
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
