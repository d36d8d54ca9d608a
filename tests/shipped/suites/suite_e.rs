//! Suite E: live events, votes and payments.

use super::running::{ledger, run};
use crate::support::record::{self, list, phase};

pub fn rest(base: &str, prometheus: &str, backend: u16) {
    let all = ledger(backend);
    let ended = run(
        "suite-e-rest.yml",
        &[
            ("BASE_URL", base),
            ("PROMETHEUS_URL", prometheus),
            ("TIME", "4%"),
            ("S1_USERS", "20"),
            ("S1_THINK", "100ms..300ms"),
            ("S2_RATE", "40/s"),
            ("S2_USERS", "40"),
            ("S3_RATE", "20/s"),
            ("S3_USERS", "20"),
            ("S4_RATE", "50/s"),
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
    // 40/s, 20/s, 50/s and 5/s for a twenty-fifth of five minutes (of one, for votes): long enough for a sample in each phase.
    let due = |name: &str| record::whole(&list(phase(run, name), "scenarios")[0], "due");
    assert_eq!([due("streamers"), due("live"), due("votes"), due("payments")], [480, 240, 120, 60]);
}

pub fn fanout() {
    let ended = run(
        "suite-e-fanout.yml",
        &[("WS_URL", "builtin"), ("USERS", "50"), ("RAMP_UP", "2s"), ("HOLD", "3s"), ("RAMP_DOWN", "2s"), ("TIMEOUT", "30s")],
    );
    let hold = phase(&ended.record, "hold");
    let updates = &list(hold, "messages")[0];
    assert!(record::whole(updates, "received") >= 50 * 5, "two a second for 3 s: {updates}");
    assert_eq!(record::whole(updates, "missed"), 0, "{updates}");
}
