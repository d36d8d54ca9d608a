//! Servers of WebSocket.

use std::net::TcpStream;

use super::case::{Case, TALKATIVE, after_accept, after_request, answer, at_once, pour, say, send};
use crate::support::hostile::Then;
use crate::support::websocket::{BINARY, CLOSE, TEXT, accept, consent, frame, read, request};

const HASTY: &str = "timeout: 1s, session: []";
pub fn cases() -> Vec<Case> {
    let goodbye = frame(CLOSE, &[&1011_u16.to_be_bytes()[..], b"why"].concat());
    let long = frame(BINARY, &[0; 70_000]);
    vec![
        Case::fails("goes_at_once", "closed", at_once(Then::Close), "without an answer"),
        Case::fails("ends_after_the_request", "closed", after_request(Then::Close), "without an answer"),
        Case::fails("resets_after_the_request", "reset", after_request(Then::Reset), ""),
        Case::fails("never_answers", "timeout", at_once(Then::Stall), "timed out after 1.00s").with(HASTY),
        Case::fails("answers_by_half", "timeout", by_half, "timed out after 1.00s").with(HASTY),
        Case::fails("refuses", "status", answer("HTTP/1.1 400 No\r\ncontent-length: 0\r\n\r\n"), "with 400"),
        Case::fails("is_no_endpoint", "status", answer("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nno"), "with 200"),
        Case::fails("redirects", "status", answer("HTTP/1.1 302 x\r\nlocation: /there\r\ncontent-length: 0\r\n\r\n"), "with 302"),
        Case::fails("speaks_no_http", "protocol", answer("\u{1}\u{2}what?\r\n\r\n"), "HTTP/1.1"),
        Case::fails("has_another_key", "protocol", with_another_key, "sec-websocket-accept"),
        Case::fails("answers_without_end", "protocol", without_end, "too long"),
        Case::lost("sends_garbage", "protocol", send([0xff; 64]), "broke the protocol"),
        Case::lost("masks", "protocol", send([TEXT, 0x81, 1, 2, 3, 4, 5]), "broke the protocol"),
        Case::lost("sends_no_utf8", "protocol", send(frame(TEXT, b"a\xc3")), "not UTF-8"),
        Case::lost("sends_too_much", "protocol", send(long), "`max_message` is 65536")
            .with("max_message: 64KiB, session: [{hold: 60s}]"),
        Case::lost("announces_a_terabyte", "protocol", send([BINARY, 127, 0, 0, 1, 0, 0, 0, 0, 0]), "1099511627776 bytes"),
        Case::lost("says_goodbye", "closed", send(goodbye), "with code 1011"),
        Case::lost("just_goes", "closed", after_accept(Then::Close), "without a close frame"),
        Case::lost("resets", "reset", after_accept(Then::Reset), ""),
        Case::lost("reads_nothing", "timeout", after_accept(Then::Stall), "did not take a message within 500ms").with(TALKATIVE),
        Case::waits("says_nothing", "reply", send([])).with("session: [{receive: {within: 300ms, name: reply}}]"),
        Case::lost("ends_instead_of_replying", "closed", after_a_message, "without a close frame")
            .with("session: [{send: well}, {receive: {name: answer}}]")
            .at("answer"),
    ]
}

fn by_half(stream: &mut TcpStream) -> Then {
    request(stream);
    say(stream, "HTTP/1.1 101 Swi");
    Then::Stall
}

fn with_another_key(stream: &mut TcpStream) -> Then {
    let head = request(stream).unwrap_or_default();
    say(stream, consent(&head.replace("sec-websocket-key: ", "sec-websocket-key: x"), ""));
    Then::Keep
}

fn without_end(stream: &mut TcpStream) -> Then {
    request(stream);
    say(stream, "HTTP/1.1 101 x\r\nx: ");
    pour(stream, b'y')
}

fn after_a_message(stream: &mut TcpStream) -> Then {
    accept(stream);
    read(stream);
    Then::Close
}
