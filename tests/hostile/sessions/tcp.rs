//! Servers of TCP.

use std::io::Read;
use std::net::TcpStream;

use super::case::{Case, TALKATIVE, at_once, pour, say};
use crate::support::hostile::Then;

pub fn cases() -> Vec<Case> {
    vec![
        Case::lost("closes", "closed", at_once(Then::Close), "closed"),
        Case::lost("breaks_off", "closed", by_half, "9 bytes"),
        Case::lost("resets_at_a_line", "reset", after_a_line, "").with("session: [{send: now}, {hold: 60s}]"),
        Case::lost("pours", "protocol", |stream: &mut TcpStream| pour(stream, b'x'), "`max_message` is 65536")
            .with("max_message: 64KiB, session: [{hold: 60s}]"),
        Case::lost("announces_four_gigabytes", "protocol", announcing, "4294967295 bytes")
            .with("frame: {length: u32be}, session: [{hold: 60s}]"),
        Case::waits("is_mute", "line", at_once(Then::Keep)).with("session: [{receive: {within: 300ms, name: line}}]"),
        Case::lost("is_deaf", "timeout", at_once(Then::Stall), "did not take a message within 500ms").with(TALKATIVE),
    ]
}

fn by_half(stream: &mut TcpStream) -> Then {
    say(stream, "half a li");
    Then::Close
}

fn after_a_line(stream: &mut TcpStream) -> Then {
    let _ = stream.read_exact(&mut [0; 4]); // the client may have gone
    Then::Reset
}

fn announcing(stream: &mut TcpStream) -> Then {
    say(stream, [0xff; 4]);
    Then::Keep
}
