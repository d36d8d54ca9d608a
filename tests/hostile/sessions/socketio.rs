//! Servers of Socket.IO.

use super::case::{Case, answer, packets};

const OPEN: &str = r#"0{"sid":"a","upgrades":[],"pingInterval":25000,"pingTimeout":20000}"#;
const EAGER: &str = r#"0{"sid":"a","upgrades":[],"pingInterval":100,"pingTimeout":100}"#;
const UNKNOWN: &str = "HTTP/1.1 400 x\r\ncontent-length: 41\r\n\r\n{\"code\":0,\"message\":\"Transport unknown\"}\r\n";
const IMPATIENT: &str = "timeout: 1s, session: [{hold: 60s}]";

pub fn cases() -> Vec<Case> {
    vec![
        Case::fails("does_not_open", "timeout", packets(&[]), "timed out after 1.00s").with(IMPATIENT),
        Case::fails("does_not_consent", "timeout", packets(&[OPEN, "2"]), "timed out after 1.00s").with(IMPATIENT),
        Case::fails("opens_with_nonsense", "protocol", packets(&["0{}"]), "cannot be read"),
        Case::fails("turns_away", "status", packets(&[OPEN, r#"44{"message":"full"}"#]), "CONNECT_ERROR): \"full\""),
        Case::fails("is_early", "protocol", packets(&[OPEN, r#"42["early"]"#]), "before it answered CONNECT"),
        Case::fails("knows_no_polling", "status", answer(UNKNOWN), "Transport unknown")
            .with("transport: polling, session: [{hold: 60s}]"),
        Case::lost("does_not_ping", "timeout", packets(&[EAGER, r#"40{"sid":"b"}"#]), "not even a ping, for 200ms"),
        Case::lost("talks_nonsense", "protocol", packets(&[OPEN, r#"40{"sid":"b"}"#, "42{}"]), "no list of arguments"),
        Case::lost("disconnects", "closed", packets(&[OPEN, r#"40{"sid":"b"}"#, "41"]), "disconnected the namespace"),
        Case::lost("closes_engine", "closed", packets(&[OPEN, r#"40{"sid":"b"}"#, "1"]), "Engine.IO's close"),
        Case::waits("does_not_acknowledge", "asked", packets(&[OPEN, r#"40{"sid":"b"}"#]))
            .with("session: [{emit: {event: ask, ack: {within: 300ms, name: asked}}}]"),
    ]
}
