//! Odd answers of HTTP/2, frame by frame: what each is taken for, with its books.

use super::frames::{DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, OK, RST_STREAM, SETTINGS, frame, goaway, serve};
use super::*;
use crate::base::{Outcome, Reason};
use crate::protocol::http::Disconnect;
use crate::protocol::http::written::Version;

const PRIORITY: u8 = 2;
const PUSH_PROMISE: u8 = 5;
const PING: u8 = 6;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;
const PADDED: u8 = 8;

/// The first stream that a client opens.
const FIRST: u32 = 1;

/// What becomes of the first request of a connection, and of the connection once another request was sent.
struct Case {
    what: &'static str,
    frames: Vec<u8>,
    method: Method,
    /// Whether the peer closes behind that.
    closes: bool,
    /// The status and the body, or why there is none.
    found: Result<(u16, &'static str), (Reason, &'static str)>,
    /// How the connection ended: `Some(None)` as announced, none if it stays.
    ended: Option<Option<Reason>>,
}

const STAYS: Option<Option<Reason>> = None;
const ANNOUNCED: Option<Option<Reason>> = Some(None);
const BROKEN: Option<Option<Reason>> = Some(Some(Reason::Protocol));

/// A header as HPACK has it without a table: a literal with a new name (RFC 7541, 6.2.2).
fn field(name: &str, value: &str) -> Vec<u8> {
    let text = |text: &str| [&[text.len() as u8][..], text.as_bytes()].concat();
    [vec![0], text(name), text(value)].concat()
}

fn fields(fields: &[(&str, &str)]) -> Vec<u8> {
    fields.iter().flat_map(|(name, value)| field(name, value)).collect()
}

fn head(flags: u8, block: &[u8]) -> Vec<u8> {
    frame(HEADERS, END_HEADERS | flags, FIRST, block)
}

fn data(flags: u8, bytes: &[u8]) -> Vec<u8> {
    frame(DATA, flags, FIRST, bytes)
}

/// A whole answer: 200 with the body `ok`.
fn whole() -> Vec<u8> {
    [head(0, OK), data(END_STREAM, b"ok")].concat()
}

fn reset(code: u32) -> Vec<u8> {
    frame(RST_STREAM, 0, FIRST, &code.to_be_bytes())
}

fn settings(pairs: &[(u16, u32)]) -> Vec<u8> {
    let payload: Vec<u8> = pairs.iter().flat_map(|(id, value)| [&id.to_be_bytes()[..], &value.to_be_bytes()].concat()).collect();
    frame(SETTINGS, 0, 0, &payload)
}

fn case(what: &'static str, frames: &[Vec<u8>]) -> Case {
    Case { what, frames: frames.concat(), method: Method::GET, closes: false, found: Ok((200, "ok")), ended: STAYS }
}

/// An answer as good as any, whose connection stays.
fn good(what: &'static str, frames: &[Vec<u8>]) -> Case {
    case(what, frames)
}

/// The stream alone is wrong.
fn stream(what: &'static str, reason: Reason, says: &'static str, frames: &[Vec<u8>]) -> Case {
    Case { found: Err((reason, says)), ..case(what, frames) }
}

/// What comes is not HTTP/2: the connection is lost with the request.
fn broken(what: &'static str, says: &'static str, frames: &[Vec<u8>]) -> Case {
    Case { found: Err((Reason::Protocol, says)), ended: BROKEN, ..case(what, frames) }
}

fn answers() -> Vec<Case> {
    let rules = "breaks the rules of HTTP/2";
    let status = |status: &str, more: &[(&str, &str)]| [field(":status", status), fields(more)].concat();
    vec![
        // Answers that are right, if rarely seen.
        good("a body in pieces", &[head(0, OK), data(0, b"o"), data(0, b""), data(END_STREAM, b"k")]),
        good("a body that an empty frame ends", &[head(0, OK), data(0, b"ok"), data(END_STREAM, b"")]),
        good("trailers", &[head(0, OK), data(0, b"ok"), head(END_STREAM, &field("x-sum", "1"))]),
        good(
            "headers in pieces",
            &[
                frame(HEADERS, 0, FIRST, &field(":status", "200")),
                frame(CONTINUATION, 0, FIRST, &field("x-a", "1")),
                frame(CONTINUATION, END_HEADERS, FIRST, &[]),
                data(END_STREAM, b"ok"),
            ],
        ),
        good("padding", &[head(0, OK), data(END_STREAM | PADDED, &[3, b'o', b'k', 0, 0, 0])]),
        good("an interim answer", &[head(0, &status("103", &[("link", "</a>")])), whole()]),
        good("frames of a kind that nobody knows", &[frame(0xfa, 0xff, FIRST, b"?"), whole(), frame(0xfb, 0, 0, b"?")]),
        good(
            "a priority, a ping and settings in between",
            &[
                frame(PRIORITY, 0, FIRST, &[0, 0, 0, 0, 7]),
                head(0, OK),
                frame(PING, 0, 0, &[7; 8]),
                settings(&[(1, 0), (3, 7), (0xff, 1)]),
                data(END_STREAM, b"ok"),
            ],
        ),
        good("a thousand settings", &[settings(&[(3, 100)]).repeat(1000), whole()]),
        good("a thousand pings", &[frame(PING, 0, 0, &[1; 8]).repeat(1000), whole()]),
        good("a reset behind the end", &[whole(), reset(0)]),
        good("the length that it has", &[head(0, &status("200", &[("content-length", "2")])), data(END_STREAM, b"ok")]),
        Case { found: Ok((204, "")), ..case("nothing", &[head(END_STREAM, &status("204", &[]))]) },
        Case { found: Ok((304, "")), ..case("not modified", &[head(END_STREAM, &status("304", &[("content-length", "7")]))]) },
        Case {
            method: Method::HEAD,
            found: Ok((200, "")),
            ..case("the head of a body", &[head(END_STREAM, &status("200", &[("content-length", "7")]))])
        },
        Case { found: Ok((799, "ok")), ..case("a status beyond 599", &[head(0, &status("799", &[])), data(END_STREAM, b"ok")]) },
        // Heads that are none.
        stream("no status", Reason::Protocol, rules, &[head(0, &field("x-a", "1")), data(END_STREAM, b"ok")]),
        broken("a status that is no number", "not HTTP/2 (PROTOCOL_ERROR)", &[head(END_STREAM, &status("2x0", &[]))]),
        stream("two statuses", Reason::Protocol, rules, &[head(END_STREAM, &status("200", &[(":status", "200")]))]),
        broken("a name with capitals", "not HTTP/2 (PROTOCOL_ERROR)", &[head(END_STREAM, &status("200", &[("X-A", "1")]))]),
        stream(
            "a header of the connection",
            Reason::Protocol,
            rules,
            &[head(END_STREAM, &status("200", &[("connection", "close")]))],
        ),
        // The library doesn't mind it, and nobody sees it.
        Case {
            found: Ok((200, "")),
            ..case("a request's pseudo-header", &[head(END_STREAM, &status("200", &[(":path", "/")]))])
        },
        stream(
            "a pseudo-header behind others",
            Reason::Protocol,
            rules,
            &[head(END_STREAM, &[field("x-a", "1"), status("200", &[])].concat())],
        ),
        stream("an interim answer that ends", Reason::Protocol, rules, &[head(END_STREAM, &status("103", &[]))]),
        stream(
            "headers beyond the most",
            Reason::Protocol,
            "or has more than 256 KiB of headers",
            &[
                frame(HEADERS, 0, FIRST, OK),
                frame(CONTINUATION, 0, FIRST, &field("x-long", &"y".repeat(120)).repeat(127)).repeat(17),
                frame(CONTINUATION, END_HEADERS, FIRST, &[]),
            ],
        ),
        // Bodies that aren't what the head says.
        stream(
            "more than the length",
            Reason::Protocol,
            rules,
            &[head(0, &status("200", &[("content-length", "2")])), data(END_STREAM, b"okay")],
        ),
        stream(
            "less than the length",
            Reason::Protocol,
            rules,
            &[head(0, &status("200", &[("content-length", "3")])), data(END_STREAM, b"ok")],
        ),
        stream("a length and no body", Reason::Protocol, rules, &[head(END_STREAM, &status("200", &[("content-length", "3")]))]),
        stream(
            "a length that is none",
            Reason::Protocol,
            rules,
            &[head(0, &status("200", &[("content-length", "x")])), data(END_STREAM, b"ok")],
        ),
        stream(
            "headers in the middle of the body",
            Reason::Protocol,
            rules,
            &[head(0, OK), data(0, b"o"), head(0, OK), data(END_STREAM, b"k")],
        ),
        // Resets.
        stream("reset, for no reason", Reason::Reset, "RST_STREAM with NO_ERROR", &[reset(0)]),
        stream(
            "reset in the body",
            Reason::Reset,
            "while reading the body (RST_STREAM with CANCEL)",
            &[head(0, OK), data(0, b"o"), reset(8)],
        ),
        stream("refused", Reason::Refused, "REFUSED_STREAM", &[reset(7)]),
        stream("HTTP/1.1 is wanted", Reason::Reset, "RST_STREAM with HTTP_1_1_REQUIRED", &[reset(13)]),
        stream("reset with a code that nobody knows", Reason::Reset, "RST_STREAM with", &[reset(0xdead)]),
        broken("no room is given", "not HTTP/2 (PROTOCOL_ERROR)", &[frame(WINDOW_UPDATE, 0, FIRST, &[0; 4])]),
        // Ends of the connection.
        Case { ended: ANNOUNCED, closes: true, ..case("a GOAWAY before the answer", &[goaway(FIRST, 0), whole()]) },
        Case {
            ended: ANNOUNCED,
            closes: true,
            ..case("a warning, and the GOAWAY behind the answer", &[goaway(0x7fff_ffff, 0), whole(), goaway(FIRST, 0)])
        },
        Case {
            found: Err((Reason::Closed, "did not take the request (GOAWAY)")),
            ended: ANNOUNCED,
            closes: true,
            ..case("a GOAWAY that leaves it out", &[goaway(0, 0)])
        },
        Case {
            found: Err((Reason::Closed, "GOAWAY with ENHANCE_YOUR_CALM")),
            ended: Some(Some(Reason::Closed)),
            closes: true,
            ..case("a GOAWAY with an error", &[goaway(0, 11)])
        },
        Case {
            found: Err((Reason::Closed, "without an answer")),
            ended: Some(Some(Reason::Closed)),
            closes: true,
            ..case("a GOAWAY that takes it, and no answer", &[goaway(FIRST, 0)])
        },
        Case {
            found: Err((Reason::Protocol, "in the middle of the body")),
            ended: BROKEN,
            closes: true,
            ..case("the end in the body", &[head(0, OK), data(0, b"o")])
        },
        Case {
            found: Err((Reason::Closed, "without an answer")),
            ended: Some(Some(Reason::Closed)),
            closes: true,
            ..case("the end in a frame", &[vec![0, 0, 9, HEADERS, 0]])
        },
        // What is not HTTP/2.
        broken("a frame beyond the longest", "FRAME_SIZE_ERROR", &[head(0, OK), data(0, &[0; 16_385])]),
        broken("data for nobody", "not HTTP/2 (PROTOCOL_ERROR)", &[frame(DATA, 0, 0, b"?")]),
        broken("an answer to nothing", "not HTTP/2 (PROTOCOL_ERROR)", &[frame(HEADERS, END_HEADERS, 2, OK)]),
        broken("settings of half a pair", "not HTTP/2 (PROTOCOL_ERROR)", &[frame(SETTINGS, 0, 0, &[0; 5])]),
        broken("settings of a stream", "not HTTP/2 (PROTOCOL_ERROR)", &[frame(SETTINGS, 0, FIRST, &[])]),
        broken("a frame size below the least", "not HTTP/2 (PROTOCOL_ERROR)", &[settings(&[(5, 1)])]),
        broken("a window beyond the largest", "not HTTP/2 (PROTOCOL_ERROR)", &[settings(&[(4, 0x8000_0000)])]),
        broken("a window that overflows", "FLOW_CONTROL_ERROR", &[frame(WINDOW_UPDATE, 0, 0, &[0x7f, 0xff, 0xff, 0xff])]),
        broken("a window update of half a number", "not HTTP/2 (PROTOCOL_ERROR)", &[frame(WINDOW_UPDATE, 0, 0, &[0, 1])]),
        broken("a ping of the wrong length", "not HTTP/2 (PROTOCOL_ERROR)", &[frame(PING, 0, 0, &[0; 7])]),
        broken(
            "a promise that nobody asked for",
            "not HTTP/2 (PROTOCOL_ERROR)",
            &[frame(PUSH_PROMISE, END_HEADERS, FIRST, &[&[0, 0, 0, 2][..], &[0x82, 0x86, 0x84]].concat())],
        ),
        broken("padding beyond the frame", "not HTTP/2 (PROTOCOL_ERROR)", &[head(0, OK), data(PADDED, &[9, b'o', b'k'])]),
        broken(
            "headers that another frame interrupts",
            "not HTTP/2 (PROTOCOL_ERROR)",
            &[frame(HEADERS, 0, FIRST, OK), data(0, b"ok")],
        ),
        broken(
            "headers that another stream goes on with",
            "not HTTP/2 (PROTOCOL_ERROR)",
            &[frame(HEADERS, 0, FIRST, OK), frame(CONTINUATION, END_HEADERS, 3, &[])],
        ),
        broken(
            "headers that go on without a beginning",
            "not HTTP/2 (PROTOCOL_ERROR)",
            &[frame(CONTINUATION, END_HEADERS, FIRST, OK)],
        ),
        broken(
            "headers without an end",
            "more than is taken (ENHANCE_YOUR_CALM)",
            &[frame(HEADERS, 0, FIRST, OK), frame(CONTINUATION, 0, FIRST, &[]).repeat(100_000)],
        ),
        broken("a header of no index", "not HTTP/2 (PROTOCOL_ERROR)", &[head(END_STREAM, &[0x80])]),
        broken("a header of an index that isn't there", "not HTTP/2 (PROTOCOL_ERROR)", &[head(END_STREAM, &[0xff, 0x7f])]),
        broken("a header that breaks off", "not HTTP/2 (PROTOCOL_ERROR)", &[head(END_STREAM, &[0, 9, b'x'])]),
        broken("a table beyond the largest", "not HTTP/2 (PROTOCOL_ERROR)", &[head(END_STREAM, &[0x3f, 0xff, 0xff, 0x7f])]),
        broken("a reset of nothing", "not HTTP/2 (PROTOCOL_ERROR)", &[frame(RST_STREAM, 0, 0, &[0; 4])]),
        broken("a GOAWAY that breaks off", "not HTTP/2 (", &[frame(GOAWAY, 0, 0, &[0; 4])]),
    ]
}

/// What is wrong with how the case is taken; nothing if it is right.
async fn wrong_with(case: Case) -> Vec<String> {
    let Case { what, frames, method, closes, found, ended } = case;
    let (sender, mut over) = tokio::sync::mpsc::unbounded_channel();
    let (url, server) = serve(move |n, mut peer| {
        let (frames, sender) = (frames.clone(), sender.clone());
        async move {
            peer.greet(&[]).await;
            peer.next(HEADERS).await;
            if n == 0 {
                peer.say(&frames).await;
                if closes {
                    peer.finish().await;
                }
                if peer.next(HEADERS).await == 0 {
                    // The client has let go of the connection.
                    let _ = sender.send(());
                    return;
                }
                peer.say(&frame(HEADERS, END_HEADERS | END_STREAM, 3, &field(":status", "201"))).await;
            } else {
                peer.say(&frame(HEADERS, END_HEADERS | END_STREAM, FIRST, &field(":status", "202"))).await;
            }
            peer.closed().await;
        }
    })
    .await;
    let request = |method: Method| {
        get(&url, |spec| {
            spec.way.version = Version::Http2;
            spec.method = method;
        })
    };
    let mut wrong = Vec::new();
    let mut expect = |right: bool, detail: String| {
        if !right {
            wrong.push(format!("{what}: {detail}"));
        }
    };
    let mut client = Client::new();
    let exchange = perform(&mut client, &request(method)).await;
    let detail = exchange.detail.clone().unwrap_or_default();
    match found {
        Ok((status, body)) => {
            let right = (exchange.outcome, exchange.status, &exchange.body[..]) == (Outcome::Ok, status, body.as_bytes());
            expect(right, format!("{:?} {} {:?} {detail}", exchange.outcome, exchange.status, exchange.body));
            expect(exchange.body_bytes == body.len() as u64, format!("{} bytes of a body", exchange.body_bytes));
        }
        Err((reason, says)) => {
            let right = (exchange.outcome, exchange.reason) == (Outcome::Error, Some(reason)) && detail.contains(says);
            expect(right, format!("{:?} {:?} {} {detail}", exchange.outcome, exchange.reason, exchange.status));
        }
    }
    // What came with something wrong about it is no less an answer.
    let came = match found {
        Ok(_) | Err((Reason::Refused, _)) => true,
        Err((_, says)) => says.contains("the rules of HTTP/2") || says.contains("KiB of headers"),
    };
    expect(exchange.is_lost() != came, format!("lost: {}", exchange.is_lost()));
    expect(exchange.connects.len() == 1 && exchange.sent_at.is_some(), format!("{:?}", exchange.connects));
    // An end behind the answer is seen by whoever comes next.
    if ended.is_some() {
        over.recv().await;
    }
    let next = perform(&mut client, &request(Method::GET)).await;
    let wanted = if ended.is_none() { (201, 0) } else { (202, 1) };
    expect(
        (next.status, next.connects.len()) == wanted,
        format!("the next: {} {} {:?}", next.status, next.connects.len(), next.detail),
    );
    let ends: Vec<_> = exchange.disconnects.iter().chain(&next.disconnects).copied().collect();
    let wanted: Vec<_> = ended.iter().map(|reason| Disconnect { reason: *reason }).collect();
    expect(ends == wanted, format!("ended as {ends:?}"));
    server.abort();
    wrong
}

#[tokio::test]
async fn each_odd_answer_of_http2_is_what_it_is() {
    let mut wrong = Vec::new();
    for case in answers() {
        let what = case.what;
        match tokio::time::timeout(PLENTY, wrong_with(case)).await {
            Ok(found) => wrong.extend(found),
            Err(_) => wrong.push(format!("{what}: it never ends")),
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[tokio::test]
async fn a_failure_on_a_connection_that_was_idle_says_for_how_long() {
    let (url, server) = serve(|_, mut peer| async move {
        peer.greet(&[]).await;
        let first = peer.next(HEADERS).await;
        peer.answer(first).await;
        peer.next(HEADERS).await;
        peer.say(&goaway(first, 2)).await;
    })
    .await;
    let mut client = Client::new();
    let request = get(&url, |spec| spec.way.version = Version::Http2);
    let first = perform(&mut client, &request).await;
    assert_eq!(first.status, 200, "{:?}", first.detail);
    let exchange = perform(&mut client, &request).await;
    let detail = exchange.detail.unwrap();
    assert!(detail.contains("(GOAWAY with INTERNAL_ERROR); the connection had been idle for "), "{detail}");
    assert_eq!(exchange.reason, Some(Reason::Closed));
    server.abort();
}
