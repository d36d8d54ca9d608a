//! An open connection to a namespace.

use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};
use std::time::{Duration, Instant};

use bytes::Bytes;
use serde::Deserialize;
use serde_json::Value as Json;
use tokio::time::Sleep;

use super::packet::{self, Packet};
use crate::base::Reason;
use crate::base::units::show_seconds;
use crate::protocol::message::{Incoming, IncomingKind, Lost, Outgoing, Text};
use crate::protocol::patience::{READING, within};
use crate::protocol::websocket::{self, Message};

/// How much may wait to be sent when another ping comes.
const MAX_UNREAD: usize = 1000;

/// How often the server pings, and for how long it may be late: what the open packet says of it.
#[derive(Debug, Clone, Copy, Deserialize)]
pub(super) struct Heartbeat {
    /// In milliseconds.
    #[serde(rename = "pingInterval")]
    interval: u32,
    /// In milliseconds.
    #[serde(rename = "pingTimeout")]
    timeout: u32,
}

impl Heartbeat {
    /// For how long a server that lives may say nothing.
    pub fn limit(self) -> Duration {
        Duration::from_millis(u64::from(self.interval) + u64::from(self.timeout))
    }
}

/// An open connection to a namespace. The server's pings are answered while it is polled.
#[derive(Debug)]
pub struct Connection {
    carrier: websocket::Connection,
    namespace: String,
    /// What goes out next, in order: packets, their attachments, answers to pings.
    unsent: VecDeque<Message>,
    current: Option<Message>,
    /// A packet whose attachments have not all come.
    partial: Option<Box<Partial>>,
    silence: Silence,
    timeout: Duration,
    max_message: usize,
}

#[derive(Debug)]
struct Partial {
    packet: Packet,
    wanted: usize,
    attachments: Vec<Bytes>,
    bytes: usize,
}

/// The server pings every so often; a server that says nothing for longer is gone.
#[derive(Debug)]
struct Silence {
    limit: Duration,
    heard: Instant,
    alarm: Pin<Box<Sleep>>,
    /// Its time is out, and it is read once more until the alarm goes off.
    reads: bool,
}

impl Silence {
    fn new(limit: Duration, heard: Instant) -> Self {
        Self { limit, heard, alarm: Box::pin(tokio::time::sleep_until((heard + limit).into())), reads: false }
    }

    /// Ready once nothing has come for too long, and nothing lies unread.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            ready!(self.alarm.as_mut().poll(cx));
            let (now, until) = (Instant::now(), self.heard + self.limit);
            let late = now.saturating_duration_since(self.alarm.deadline().into_std()) > READING;
            if now >= until && self.reads && !late {
                return Poll::Ready(());
            }
            self.reads = now >= until;
            // Moved only when it goes off: much may come between two pings.
            self.alarm.as_mut().reset(until.max(now + if self.reads { READING } else { Duration::ZERO }).into());
        }
    }
}

/// A packet, with its attachments and the times of its last message.
pub(super) struct Arrived {
    incoming: Incoming,
    pub packet: Packet,
    attachments: Vec<Bytes>,
}

/// What a message of the carrier comes to.
enum Came {
    Packet(Packet, Vec<Bytes>),
    /// An answer that is now among the unsent, or a part of a packet.
    Nothing,
}

impl Connection {
    /// A connection whose Engine.IO handshake is over.
    pub(super) fn new(
        carrier: websocket::Connection,
        heartbeat: Heartbeat,
        namespace: String,
        timeout: Duration,
        max_message: usize,
    ) -> Self {
        let silence = Silence::new(heartbeat.limit(), Instant::now());
        let (unsent, current, partial) = (VecDeque::new(), None, None);
        Self { carrier, namespace, unsent, current, partial, silence, timeout, max_message }
    }

    /// Sends a packet as it is.
    pub(super) async fn say(&mut self, packet: &str) -> Result<(), Lost> {
        self.unsent.push_back(message(packet));
        self.flush().await
    }

    /// Sends an event or an acknowledgement with its attachments; see [`crate::protocol::session::Connection::send`].
    ///
    /// # Errors
    /// The connection was lost, or the peer did not take the message in time.
    pub async fn send(&mut self, message: Outgoing) -> Result<u64, Lost> {
        let (packet, attachments) = packet::encode(message, &self.namespace);
        let bytes = packet.len() + attachments.iter().map(Bytes::len).sum::<usize>();
        self.unsent.push_back(self::message(&packet));
        self.unsent.extend(attachments.into_iter().map(Message::Binary));
        self.flush().await?;
        Ok(bytes as u64)
    }

    /// Answers an event that wants an acknowledgement, once the connection is polled; see
    /// [`crate::protocol::session::Connection::acknowledge`].
    pub fn acknowledge(&mut self, id: u64, args: Vec<Json>) {
        if self.unsent.len() > MAX_UNREAD {
            let detail = "the server wants acknowledgements and doesn't read them";
            self.carrier.lose(Lost::new(Reason::Protocol, detail));
            return;
        }
        let (packet, _) = packet::encode(Outgoing::Ack { id, args, attachments: Vec::new() }, &self.namespace);
        self.unsent.push_back(message(&packet));
    }

    async fn flush(&mut self) -> Result<(), Lost> {
        let limit = self.timeout;
        match within(limit, poll_fn(|cx| self.poll_flush(cx))).await {
            Some(result) => result,
            None => {
                let limit = show_seconds(limit.as_secs_f64());
                Err(self.carrier.lose(Lost::new(Reason::Timeout, format!("the peer did not take a message within {limit}"))))
            }
        }
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Lost>> {
        loop {
            if self.current.is_none() {
                self.current = self.unsent.pop_front();
            }
            let last = self.current.is_none();
            ready!(self.carrier.poll_send(cx, &mut self.current))?;
            if last {
                return Poll::Ready(Ok(()));
            }
        }
    }

    /// The next event or acknowledgement; see [`crate::protocol::session::Connection::next`].
    ///
    /// # Errors
    /// The connection was lost, the server disconnected the namespace, or it has not pinged for too long.
    pub async fn next(&mut self) -> Result<Incoming, Lost> {
        loop {
            let Arrived { incoming, packet, attachments } = self.packet().await?;
            let kind = match kind_of(packet, attachments) {
                Ok(kind) => kind,
                Err(Packet::Disconnected) => {
                    return Err(self.carrier.lose(Lost::by_peer("the server disconnected the namespace")));
                }
                Err(Packet::Refused(reason)) => {
                    let detail = format!("the server took its consent to the namespace back: {reason:?}");
                    return Err(self.carrier.lose(Lost::new(Reason::Protocol, detail)));
                }
                // CONNECT's answer once more does no harm.
                Err(_) => continue,
            };
            return Ok(Incoming { kind, ..incoming });
        }
    }

    /// The next packet.
    pub(super) async fn packet(&mut self) -> Result<Arrived, Lost> {
        poll_fn(|cx| self.poll_packet(cx)).await
    }

    fn poll_packet(&mut self, cx: &mut Context<'_>) -> Poll<Result<Arrived, Lost>> {
        loop {
            if (self.current.is_some() || !self.unsent.is_empty())
                && let Poll::Ready(Err(lost)) = self.poll_flush(cx)
            {
                return Poll::Ready(Err(lost));
            }
            let Poll::Ready(incoming) = self.carrier.poll_incoming(cx) else {
                ready!(self.silence.poll(cx));
                let limit = show_seconds(self.silence.limit.as_secs_f64());
                let lost = Lost::new(Reason::Timeout, format!("the server has sent nothing, not even a ping, for {limit}"));
                return Poll::Ready(Err(self.carrier.lose(lost)));
            };
            let mut incoming = incoming?;
            self.silence.heard = incoming.at;
            let kind = std::mem::replace(&mut incoming.kind, IncomingKind::Binary(Bytes::new()));
            match self.understand(kind) {
                Ok(Came::Packet(packet, attachments)) => return Poll::Ready(Ok(Arrived { incoming, packet, attachments })),
                Ok(Came::Nothing) => {}
                Err(lost) => return Poll::Ready(Err(self.carrier.lose(lost))),
            }
        }
    }

    fn understand(&mut self, kind: IncomingKind) -> Result<Came, Lost> {
        let broken = |detail: String| Lost::new(Reason::Protocol, detail);
        match kind {
            IncomingKind::Text(text) => self.understand_text(&text),
            IncomingKind::Binary(bytes) => {
                let mut partial = self
                    .partial
                    .take()
                    .ok_or_else(|| broken("the server sent an attachment that belongs to no packet".into()))?;
                partial.bytes += bytes.len();
                if partial.bytes > self.max_message {
                    let most = self.max_message;
                    return Err(broken(format!("the server sent attachments of more than `max_message`, which is {most} bytes")));
                }
                partial.attachments.push(bytes);
                if partial.attachments.len() < partial.wanted {
                    self.partial = Some(partial);
                    return Ok(Came::Nothing);
                }
                Ok(Came::Packet(partial.packet, partial.attachments))
            }
            // The carrier has no others.
            IncomingKind::Event { .. } | IncomingKind::Ack { .. } => Ok(Came::Nothing),
        }
    }

    /// A packet of Engine.IO: a digit, and what it carries.
    fn understand_text(&mut self, text: &Text) -> Result<Came, Lost> {
        let broken = |detail: String| Lost::new(Reason::Protocol, detail);
        let Some(kind) = text.chars().next() else {
            return Err(broken("the server sent a packet of Engine.IO that is empty".into()));
        };
        let rest = &text[kind.len_utf8()..];
        match kind {
            '2' if self.unsent.len() > MAX_UNREAD => Err(broken("the server sends pings and doesn't read their answers".into())),
            '2' => {
                self.unsent.push_back(Message::Text(format!("3{rest}").into()));
                Ok(Came::Nothing)
            }
            '3' | '6' => Ok(Came::Nothing),
            '1' => Err(Lost::by_peer("the server closed the connection (Engine.IO's close)")),
            '4' if self.partial.is_some() => Err(broken("the server sent a packet where an attachment was due".into())),
            '4' => {
                let Some(packet) = packet::parse(rest, &self.namespace).map_err(broken)? else { return Ok(Came::Nothing) };
                match packet {
                    Packet::Event { attachments: wanted @ 1.., .. } | Packet::Ack { attachments: wanted @ 1.., .. } => {
                        self.partial = Some(Box::new(Partial { packet, wanted, attachments: Vec::new(), bytes: 0 }));
                        Ok(Came::Nothing)
                    }
                    packet => Ok(Came::Packet(packet, Vec::new())),
                }
            }
            _ => Err(broken("the server sent what is no packet of Engine.IO".into())),
        }
    }

    /// Disconnects from the namespace and says goodbye; see [`crate::protocol::session::Connection::goodbye`].
    pub async fn goodbye(&mut self) {
        let goodbye = packet::disconnect(&self.namespace);
        // A connection that was lost takes nothing, which is as good.
        let _ = self.say(&goodbye).await;
        self.carrier.goodbye().await;
    }

    /// What still comes; see [`crate::protocol::session::Connection::parting`].
    pub async fn parting(&mut self) -> Option<Incoming> {
        loop {
            let mut incoming = self.carrier.parting().await?;
            let kind = std::mem::replace(&mut incoming.kind, IncomingKind::Binary(Bytes::new()));
            // What makes no sense ends nothing any more.
            if let Ok(Came::Packet(packet, attachments)) = self.understand(kind)
                && let Ok(kind) = kind_of(packet, attachments)
            {
                return Some(Incoming { kind, ..incoming });
            }
        }
    }

    /// Closes the socket.
    pub(in crate::protocol) fn shut(&mut self) {
        self.carrier.shut();
    }

    /// Says goodbye without waiting; see [`crate::protocol::session::Connection::leave`].
    pub fn leave(&mut self) {
        // Behind a packet that was begun, it would be taken for a part of that.
        if self.current.is_none() && self.unsent.is_empty() {
            self.unsent.push_back(message(&packet::disconnect(&self.namespace)));
            let _ = self.poll_flush(&mut Context::from_waker(Waker::noop()));
        }
        self.carrier.leave();
    }

    /// Bytes sent and received on the wire, the handshake's included.
    pub fn traffic(&self) -> (u64, u64) {
        self.carrier.traffic()
    }
}

/// A packet as a message, if it is one.
fn kind_of(packet: Packet, attachments: Vec<Bytes>) -> Result<IncomingKind, Packet> {
    match packet {
        Packet::Event { event, args, ack, .. } => Ok(IncomingKind::Event { event, args, attachments, ack }),
        Packet::Ack { id, args, .. } => Ok(IncomingKind::Ack { id, args, attachments }),
        other => Err(other),
    }
}

/// A packet of Socket.IO as a message of Engine.IO.
fn message(packet: &str) -> Message {
    Message::Text(format!("4{packet}").into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn nobody_is_given_up_before_what_lies_unread_is_read() {
        let mut cx = Context::from_waker(Waker::noop());
        let (limit, began) = (Duration::from_millis(800), Instant::now());
        // The thread stood still for two seconds, and the timer goes off before anything is read.
        let mut silence = Silence::new(limit, began.checked_sub(Duration::from_secs(2)).unwrap());
        tokio::time::sleep(Duration::from_millis(5)).await;
        assert!(silence.poll(&mut cx).is_pending(), "what came meanwhile may lie there");
        silence.heard = Instant::now();
        tokio::time::sleep(READING * 2).await;
        assert!(silence.poll(&mut cx).is_pending(), "it did");
        // Of another nothing came.
        let mut silence = Silence::new(limit, began.checked_sub(limit).unwrap());
        poll_fn(|cx| silence.poll(cx)).await;
        assert!(began.elapsed() >= READING);
    }
}
