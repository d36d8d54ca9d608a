//! Suite A: many users at once, over HTTP and over sockets.

use serde_json::Value;

use super::running::{ledger, run};
use crate::support::record::{self, list, phase, step};

pub fn http(base: &str, backend: u16) {
    let ended = run(
        "suite-a-http.yml",
        &[
            ("BASE_URL", base),
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
}

pub fn sockets() {
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
}
