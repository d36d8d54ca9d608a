//! Suite C: bookings.

use super::running::{asked, run, stages_went_well};
use crate::support::http;
use crate::support::program::metric;
use crate::support::record::{self, list, phase, step};

pub fn booking(base: &str, prometheus: &str, backend: u16) {
    let ended = run(
        "suite-c-booking.yml",
        &[
            ("BASE_URL", base),
            ("WS_URL", "builtin"),
            ("PROMETHEUS_URL", prometheus),
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
