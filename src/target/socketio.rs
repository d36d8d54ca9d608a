//! Socket.IO (protocol 5 over Engine.IO 4) at `/socket.io/`, by WebSocket only; polling is refused as a server does that has it
//! switched off.
//!
//! Every namespace but `/refused` may be entered. An event that wants an acknowledgement is acknowledged with its arguments,
//! another is sent back as it came, attachments too. `listen` (`["2/s"]`, `["2/s", 200]`: of so many bytes at least) sends the
//! event `EVENT_UPDATED` twice a second from then on, `leave` disconnects the namespace. `authenticate` is acknowledged with
//! `{"ok": true}`, if its first argument is a mapping with a `token` that isn't empty, otherwise with `{"ok": false}`. `?ping=1s`
//! pings so often.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use http::Uri;
use serde_json::Value as Json;
use tokio::sync::broadcast::Receiver;
use tokio::sync::watch;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::Message;

use super::TargetState;
use super::counts::{Session, SocketKind};
use super::fanout::{Event, Hub, Topic};
use super::socket::Socket;
use super::websocket::next;
use crate::base::units::parse_duration;

/// How long a client may take to answer a ping.
const PING_TIMEOUT: Duration = Duration::from_secs(20);
/// The most attachments of an event.
const MAX_ATTACHMENTS: usize = 16;

/// What the URL of a session asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ask {
    ping: Duration,
}

impl Ask {
    /// Reads a URL; otherwise the answer of a real server to one that it cannot serve.
    pub fn parse(uri: &Uri) -> Result<Self, String> {
        let refuse = |code: u8, message: &str| format!("{{\"code\":{code},\"message\":\"{message}\"}}");
        let pairs = || uri.query().into_iter().flat_map(|query| query.split('&')).filter_map(|part| part.split_once('='));
        let value = |wanted: &str| pairs().find(|(name, _)| *name == wanted).map(|(_, value)| value);
        if value("transport") != Some("websocket") {
            return Err(refuse(0, "Transport unknown"));
        }
        if value("EIO") != Some("4") {
            return Err(refuse(5, "Unsupported protocol version"));
        }
        if value("sid").is_some() {
            return Err(refuse(1, "Session ID unknown"));
        }
        let ping = value("ping").and_then(|ping| parse_duration(ping).ok()).unwrap_or(Duration::from_secs(25));
        Ok(Self { ping: ping.max(Duration::from_millis(10)) })
    }
}

/// Whether a path is that of the endpoint.
pub(super) fn is_endpoint(path: &str) -> bool {
    path == "/socket.io" || path.starts_with("/socket.io/")
}

/// A packet's parts: kind, number of attachments, namespace with its comma or nothing, number to acknowledge, and the JSON.
#[derive(Debug, PartialEq, Eq)]
struct Packet<'t> {
    kind: char,
    attachments: usize,
    namespace: &'t str,
    id: &'t str,
    json: &'t str,
}

impl<'t> Packet<'t> {
    fn parse(text: &'t str) -> Option<Self> {
        let kind = text.chars().next().filter(char::is_ascii_digit)?;
        let mut rest = &text[1..];
        let mut attachments = 0;
        if matches!(kind, '5' | '6') {
            let (count, behind) = rest.split_once('-')?;
            attachments = count.parse().ok().filter(|count| *count <= MAX_ATTACHMENTS)?;
            rest = behind;
        }
        let namespace = if rest.starts_with('/') { &rest[..rest.find(',').map_or(rest.len(), |at| at + 1)] } else { "" };
        rest = &rest[namespace.len()..];
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let (id, json) = rest.split_at(digits);
        Some(Self { kind, attachments, namespace, id, json })
    }
}

/// Serves a session to its end.
pub(super) async fn serve(
    mut socket: WebSocketStream<Socket>,
    ask: Ask,
    shared: &Arc<TargetState>,
    mut stopping: watch::Receiver<bool>,
) {
    let counts = shared.counts.of(SocketKind::Socketio);
    let _open = Session::begin(counts);
    let (interval, timeout) = (ask.ping.as_millis(), PING_TIMEOUT.as_millis());
    let open = format!(
        "0{{\"sid\":\"{}\",\"upgrades\":[],\"pingInterval\":{interval},\"pingTimeout\":{timeout},\"maxPayload\":1000000}}",
        id()
    );
    if socket.send(Message::text(open)).await.is_err() {
        return;
    }
    let mut pings = interval_at(Instant::now() + ask.ping, ask.ping);
    pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut events = None;
    let mut talk = Talk { socket: &mut socket, shared, namespace: None, partial: None };
    loop {
        let goes_on = tokio::select! {
            message = talk.socket.next() => match message {
                Some(Ok(message)) => talk.answer(message, &mut events, &mut pings).await,
                _ => None,
            },
            event = next(&mut events) => match event {
                Ok(event) => talk.publish(event).await,
                Err(skipped) => {
                    counts.skipped(skipped);
                    Some(())
                }
            },
            _ = pings.tick() => talk.say("2").await,
            _ = stopping.changed() => {
                let _ = talk.say(&format!("41{}", talk.namespace.clone().unwrap_or_default())).await;
                None
            }
        };
        if goes_on.is_none() {
            break;
        }
    }
    let goodbye = async {
        let _ = socket.close(None).await;
        while let Some(Ok(_)) = socket.next().await {}
    };
    let _ = tokio::time::timeout(Duration::from_secs(1), goodbye).await;
}

/// An id that no other session of this process has.
fn id() -> u64 {
    static LAST: AtomicU64 = AtomicU64::new(0);
    LAST.fetch_add(1, Relaxed) + 1
}

struct Talk<'s> {
    socket: &'s mut WebSocketStream<Socket>,
    shared: &'s Arc<TargetState>,
    /// The namespace that was entered, as it stands in packets.
    namespace: Option<String>,
    /// An event whose attachments have not all come.
    partial: Option<(String, usize, Vec<Bytes>)>,
}

/// Nothing is the end of the session.
impl Talk<'_> {
    async fn say(&mut self, packet: &str) -> Option<()> {
        self.socket.send(Message::text(packet)).await.ok()
    }

    async fn publish(&mut self, event: Event) -> Option<()> {
        let packet = match self.namespace.as_deref() {
            None | Some("") => event.packet,
            Some(namespace) => format!("42{namespace}[\"EVENT_UPDATED\",{}]", event.text).into(),
        };
        self.socket.send(Message::Text(packet)).await.ok()?;
        self.shared.counts.of(SocketKind::Socketio).sent_event();
        Some(())
    }

    async fn answer(&mut self, message: Message, events: &mut Option<Receiver<Event>>, pings: &mut Interval) -> Option<()> {
        match message {
            Message::Text(text) => {
                let mut rest = text.chars();
                match rest.next()? {
                    // The client lives.
                    '3' => {
                        pings.reset();
                        Some(())
                    }
                    '4' => self.packet(rest.as_str(), events).await,
                    _ => None,
                }
            }
            Message::Binary(bytes) => {
                let (packet, wanted, mut attachments) = self.partial.take()?;
                attachments.push(bytes);
                if attachments.len() < wanted {
                    self.partial = Some((packet, wanted, attachments));
                    return Some(());
                }
                self.event(&packet, attachments, events).await
            }
            _ => Some(()),
        }
    }

    async fn packet(&mut self, text: &str, events: &mut Option<Receiver<Event>>) -> Option<()> {
        let packet = Packet::parse(text)?;
        match packet.kind {
            '0' if packet.namespace.trim_end_matches(',') == "/refused" => {
                let namespace = packet.namespace;
                self.say(&format!("44{namespace}{{\"message\":\"nobody may enter\"}}")).await
            }
            '0' => {
                self.namespace = Some(packet.namespace.to_owned());
                self.say(&format!("40{}{{\"sid\":\"{}\"}}", packet.namespace, id())).await
            }
            '1' => None,
            // Nobody speaks before the namespace is entered.
            '2' | '5' if self.namespace.is_none() => None,
            '5' if packet.attachments > 0 => {
                self.partial = Some((text.to_owned(), packet.attachments, Vec::new()));
                Some(())
            }
            '2' | '5' => self.event(text, Vec::new(), events).await,
            _ => Some(()),
        }
    }

    async fn event(&mut self, text: &str, attachments: Vec<Bytes>, events: &mut Option<Receiver<Event>>) -> Option<()> {
        let counts = self.shared.counts.of(SocketKind::Socketio);
        counts.received();
        let Packet { namespace, id, json, .. } = Packet::parse(text)?;
        let Ok(Json::Array(mut args)) = serde_json::from_str(json) else { return None };
        if args.is_empty() {
            return None;
        }
        if let Some(freeze) = &self.shared.freeze {
            freeze.hold().await;
        }
        let name = args.remove(0);
        match name.as_str() {
            Some("listen") => {
                let bytes = args.get(1).and_then(Json::as_u64).and_then(|bytes| usize::try_from(bytes).ok()).unwrap_or(0);
                let topic = Topic::parse(args.first().and_then(Json::as_str).unwrap_or("2"), bytes).ok()?;
                *events = Some(Hub::listen(self.shared, topic).ok()?);
            }
            Some("leave") => {
                self.say(&format!("41{namespace}")).await;
                return None;
            }
            Some("authenticate") if !id.is_empty() => {
                let token = args.first().and_then(|arg| arg.get("token")?.as_str());
                args = vec![serde_json::json!({"ok": token.is_some_and(|token| !token.is_empty())})];
            }
            _ => {}
        }
        let answer = match (id, attachments.len()) {
            ("", _) if name == "listen" => return Some(()),
            ("", _) => format!("4{text}"),
            (id, 0) => format!("43{namespace}{id}{}", Json::from(args)),
            (id, count) => format!("46{count}-{namespace}{id}{}", Json::from(args)),
        };
        self.say(&answer).await?;
        for attachment in attachments {
            self.socket.send(Message::Binary(attachment)).await.ok()?;
        }
        counts.sent();
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_and_urls() {
        let packet = |kind, attachments, namespace, id, json| Some(Packet { kind, attachments, namespace, id, json });
        assert_eq!(Packet::parse(r#"2["x"]"#), packet('2', 0, "", "", r#"["x"]"#));
        assert_eq!(Packet::parse(r#"51-/chat,7["x"]"#), packet('5', 1, "/chat,", "7", r#"["x"]"#));
        assert_eq!(Packet::parse("0/chat"), packet('0', 0, "/chat", "", ""));
        for wrong in ["", "x", "5[]", "599-[]"] {
            assert_eq!(Packet::parse(wrong), None, "{wrong}");
        }
        let ask = |query: &str| Ask::parse(&format!("/socket.io/?{query}").parse().unwrap());
        assert_eq!(ask("EIO=4&transport=websocket&ping=1s"), Ok(Ask { ping: Duration::from_secs(1) }));
        assert!(ask("EIO=4&transport=polling").unwrap_err().contains("Transport unknown"));
        assert!(ask("EIO=3&transport=websocket").unwrap_err().contains("Unsupported"));
        assert!(is_endpoint("/socket.io/") && !is_endpoint("/socket.iou"));
    }
}
