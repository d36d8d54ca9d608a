//! Suite B's whole traffic in six shapes.

use super::running::{run, run_short, stages_went_well};
use super::suite_b::chat;
use crate::support::record::{self, list, phase};
use crate::support::shipped::Shown;

/// The same traffic in six shapes, a few users for a few seconds each.
pub fn shapes(base: &str, backend: u16) {
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
