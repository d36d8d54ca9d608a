//! Packets of Socket.IO (protocol 5) as text: a digit, and what each kind has behind it.
//!
//! `2/chat,7["hello",1]` is an EVENT in the namespace `/chat` that wants acknowledgement 7; `51-["file",{"_placeholder":true,"num":0}]`
//! one whose only attachment follows as a binary message.

use bytes::Bytes;
use serde_json::Value as Json;

use crate::expr::json::{self, Tree};
use crate::protocol::message::Outgoing;

/// The most attachments that a packet may have: more is taken for an attack.
const MAX_ATTACHMENTS: usize = 1024;

/// A packet that came, without its attachments.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Packet {
    /// The answer to CONNECT.
    Connected {
        /// Whether it says the session's id, as all versions but 2 do.
        sid: bool,
    },
    /// The refusal of CONNECT: what the server says of it.
    Refused(String),
    Disconnected,
    Event {
        event: String,
        args: Vec<Json>,
        ack: Option<u64>,
        attachments: usize,
    },
    Ack {
        id: u64,
        args: Vec<Json>,
        attachments: usize,
    },
}

/// Reads a packet. Nothing, if it is one of another namespace.
pub(super) fn parse(text: &str, namespace: &str) -> Result<Option<Packet>, String> {
    let broken = |what: &str| format!("the server sent a packet of Socket.IO that {what}");
    let mut rest = text;
    let kind = take(&mut rest, |c| c.is_ascii_digit(), 1);
    let mut attachments = 0;
    if matches!(kind, "5" | "6") {
        let count = take(&mut rest, |c| c.is_ascii_digit(), 5);
        attachments = count.parse().map_err(|_| broken("doesn't say how many attachments it has"))?;
        rest = rest.strip_prefix('-').ok_or_else(|| broken("doesn't say how many attachments it has"))?;
        if attachments > MAX_ATTACHMENTS {
            return Err(broken(&format!("has {attachments} attachments")));
        }
    }
    let mut named = "/";
    if rest.starts_with('/') {
        let (name, behind) = rest.split_once(',').unwrap_or((rest, ""));
        (named, rest) = (name.split('?').next().unwrap_or(name), behind);
    }
    let ack = take(&mut rest, |c| c.is_ascii_digit(), 20);
    let ack = if ack.is_empty() { None } else { Some(ack.parse().map_err(|_| broken("has no proper number"))?) };
    if named != namespace {
        return Ok(None);
    }
    let list = |rest: &str| match Tree::parse(rest.as_bytes()).map(Tree::exact) {
        Some(Json::Array(args)) => Ok(args),
        _ => Err(broken("holds no list of arguments")),
    };
    Ok(Some(match kind {
        "0" => Packet::Connected { sid: has_sid(rest) },
        "1" => Packet::Disconnected,
        "2" | "5" => {
            let mut args = list(rest)?;
            if args.is_empty() {
                return Err(broken("is an event without a name"));
            }
            let event = match args.remove(0) {
                Json::String(event) => event,
                // The protocol allows numbers too.
                Json::Number(number) => number.to_string(),
                _ => return Err(broken("is an event without a name")),
            };
            Packet::Event { event, args, ack, attachments }
        }
        "3" | "6" => Packet::Ack { id: ack.ok_or_else(|| broken("acknowledges nothing"))?, args: list(rest)?, attachments },
        "4" => Packet::Refused(reason(rest)),
        _ => return Err(broken("is of no known kind")),
    }))
}

/// The first characters of `rest` that fit, `most` at the most.
fn take<'t>(rest: &mut &'t str, fits: impl Fn(char) -> bool, most: usize) -> &'t str {
    let end = rest.char_indices().take(most).take_while(|(_, c)| fits(*c)).map(|(at, c)| at + c.len_utf8()).last().unwrap_or(0);
    let (taken, left) = rest.split_at(end);
    *rest = left;
    taken
}

/// Whether the answer to CONNECT has an id in it.
fn has_sid(rest: &str) -> bool {
    serde_json::from_str::<Json>(rest).is_ok_and(|answer| answer.get("sid").is_some_and(Json::is_string))
}

/// What a CONNECT_ERROR says: a message, or a text.
fn reason(rest: &str) -> String {
    let text = match serde_json::from_str(rest) {
        Ok(Json::String(text)) => text,
        Ok(Json::Object(mut fields)) => match fields.remove("message") {
            Some(Json::String(text)) => text,
            _ => String::new(),
        },
        _ => String::new(),
    };
    text.chars().filter(|c| !c.is_control()).take(200).collect()
}

/// CONNECT.
pub(super) fn connect(namespace: &str, auth: Option<&[u8]>) -> String {
    let auth = auth.map_or_else(Default::default, String::from_utf8_lossy);
    format!("0{}{auth}", prefix(namespace))
}

/// DISCONNECT.
pub(super) fn disconnect(namespace: &str) -> String {
    format!("1{}", prefix(namespace))
}

/// A message as a packet, and its attachments.
pub(super) fn encode(message: Outgoing, namespace: &str) -> (String, Vec<Bytes>) {
    let (kinds, id, args, attachments) = match message {
        Outgoing::Text(text) => (["2", "5"], None, Json::from(vec![Json::from("message"), Json::from(&*text)]), Vec::new()),
        Outgoing::Binary(bytes) => {
            let placeholder = serde_json::json!({"_placeholder": true, "num": 0});
            (["2", "5"], None, Json::from(vec![Json::from("message"), placeholder]), vec![bytes])
        }
        Outgoing::Event { event, mut args, attachments, ack } => {
            args.insert(0, Json::from(event));
            (["2", "5"], ack, Json::from(args), attachments)
        }
        Outgoing::Ack { id, args, attachments } => (["3", "6"], Some(id), Json::from(args), attachments),
    };
    let kind = match attachments.len() {
        0 => kinds[0].to_owned(),
        count => format!("{}{count}-", kinds[1]),
    };
    let id = id.map_or_else(String::new, |id| id.to_string());
    let mut text = format!("{kind}{}{id}", prefix(namespace));
    json::write(&args, &mut text);
    (text, attachments)
}

fn prefix(namespace: &str) -> String {
    if namespace == "/" { String::new() } else { format!("{namespace},") }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn the_examples_of_the_protocol() {
        let event = |event: &str, args: &[Json], ack, attachments| Packet::Event {
            event: event.into(),
            args: args.to_vec(),
            ack,
            attachments,
        };
        for (text, namespace, packet) in [
            (r#"0{"sid":"x"}"#, "/", Packet::Connected { sid: true }),
            (r#"0/admin,{"sid":"x"}"#, "/admin", Packet::Connected { sid: true }),
            ("0", "/", Packet::Connected { sid: false }),
            ("0/admin", "/admin", Packet::Connected { sid: false }),
            (r#"4{"message":"Not authorized","data":{"code":"E1"}}"#, "/", Packet::Refused("Not authorized".into())),
            (r#"4/admin,"Invalid namespace""#, "/admin", Packet::Refused("Invalid namespace".into())),
            ("1", "/", Packet::Disconnected),
            ("1/admin,", "/admin", Packet::Disconnected),
            (r#"2["hello",1]"#, "/", event("hello", &[json!(1)], None, 0)),
            (r#"2/admin,456["project:delete",123]"#, "/admin", event("project:delete", &[json!(123)], Some(456), 0)),
            (r#"3/admin,456[]"#, "/admin", Packet::Ack { id: 456, args: vec![], attachments: 0 }),
            (
                r#"51-["hello",{"_placeholder":true,"num":0}]"#,
                "/",
                event("hello", &[json!({"_placeholder": true, "num": 0})], None, 1),
            ),
            (
                r#"61-/admin,456[{"_placeholder":true,"num":0}]"#,
                "/admin",
                Packet::Ack { id: 456, args: vec![json!({"_placeholder": true, "num": 0})], attachments: 1 },
            ),
        ] {
            assert_eq!(parse(text, namespace), Ok(Some(packet)), "{text}");
        }
        assert_eq!(parse("2/other,[\"x\"]", "/"), Ok(None));
        for wrong in
            ["", "9", "x", "2", "2[]", "2{}", "2[1", "3[]", "5[\"x\"]", "59999-[\"x\"]", "2[[]]", "299999999999999999999[\"x\"]"]
        {
            assert!(parse(wrong, "/").is_err(), "{wrong}");
        }
        assert_eq!(connect("/", None), "0");
        assert_eq!(connect("/admin", Some(br#"{"token":"x"}"#)), r#"0/admin,{"token":"x"}"#);
        assert_eq!(disconnect("/admin"), "1/admin,");
        assert_eq!(encode(Outgoing::Text("hi".into()), "/").0, r#"2["message","hi"]"#);
        assert_eq!(
            encode(Outgoing::Binary(Bytes::from_static(b"x")), "/a").0,
            r#"51-/a,["message",{"_placeholder":true,"num":0}]"#
        );
    }

    proptest! {
        #[test]
        fn nothing_that_comes_is_a_panic(text in ".{0,60}") {
            let _ = parse(&text, "/");
        }

        #[test]
        fn events_are_read_as_they_were_written(
            event in "[^\u{0}]{0,12}", ack in prop::option::of(any::<u64>()), number in any::<i64>(), text in ".{0,12}", count in 0usize..3,
            namespace in prop::sample::select(vec!["/", "/chat"]),
        ) {
            let args = vec![json!(number), json!({"text": text})];
            let attachments = vec![Bytes::from_static(b"x"); count];
            let (wire, sent) = encode(Outgoing::Event { event: event.clone(), args: args.clone(), attachments, ack }, namespace);
            prop_assert_eq!(sent.len(), count);
            prop_assert_eq!(parse(&wire, namespace), Ok(Some(Packet::Event { event, args, ack, attachments: count })));
        }
    }
}
