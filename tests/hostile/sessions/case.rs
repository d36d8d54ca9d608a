//! A misbehaviour: what a server does, and what has to come of it. And what servers do.

use std::io::Write;
use std::net::TcpStream;

use crate::support::hostile::{Hostile, Then};
use crate::support::websocket::{TEXT, accept, frame, request};

/// The keys of a session that says more than a peer takes that reads nothing.
pub const TALKATIVE: &str = "timeout: 500ms, session: [{repeat: {times: 100, flow: [{send: \"{{ random_string(1000000) }}\"}]}}]";

/// What becomes of the connection.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Fate {
    /// It is not opened.
    Fails,
    /// It is opened, and lost.
    Lost,
    /// It lasts; what failed is a step on it.
    Lasts,
}

pub struct Case {
    pub name: &'static str,
    pub server: Hostile,
    /// The keys of the step and its session.
    pub keys: &'static str,
    /// Why something fails.
    pub reason: &'static str,
    /// Which step does.
    pub step: &'static str,
    pub fate: Fate,
    /// What the example of the error says.
    pub says: &'static str,
}

impl Case {
    /// A connection that is not opened.
    pub fn fails(name: &'static str, reason: &'static str, script: impl Script, says: &'static str) -> Self {
        let keys = "session: [{hold: 60s}]";
        Self { name, server: Hostile::scripted(script), keys, reason, step: name, fate: Fate::Fails, says }
    }

    /// A connection that is opened, and lost.
    pub fn lost(name: &'static str, reason: &'static str, script: impl Script, says: &'static str) -> Self {
        Self { fate: Fate::Lost, ..Self::fails(name, reason, script, says) }
    }

    /// A connection that lasts, and a step that waits on it in vain.
    pub fn waits(name: &'static str, step: &'static str, script: impl Script) -> Self {
        Self { step, fate: Fate::Lasts, ..Self::fails(name, "timeout", script, "within 300ms") }
    }

    /// With these keys instead of a session that just stays.
    pub fn with(self, keys: &'static str) -> Self {
        Self { keys, ..self }
    }

    /// It is this step that fails, not the session's own.
    pub fn at(self, step: &'static str) -> Self {
        Self { step, ..self }
    }
}

/// What a server does once a client is there; what it returns is what becomes of the connection.
pub trait Script: Fn(&mut TcpStream) -> Then + Send + Sync + 'static {}
impl<F: Fn(&mut TcpStream) -> Then + Send + Sync + 'static> Script for F {}

/// Writes, if the client still takes it.
pub fn say(stream: &mut TcpStream, bytes: impl AsRef<[u8]>) {
    let _ = stream.write_all(bytes.as_ref());
}

/// Writes without end, for as long as the client takes it.
pub fn pour(stream: &mut TcpStream, byte: u8) -> Then {
    while stream.write_all(&[byte; 65_536]).is_ok() {}
    Then::Close
}

/// Nothing.
pub fn at_once(then: Then) -> impl Script {
    move |_: &mut TcpStream| then
}

/// Reads the handshake, and no more.
pub fn after_request(then: Then) -> impl Script {
    move |stream: &mut TcpStream| {
        request(stream);
        then
    }
}

/// Shakes hands, and no more.
pub fn after_accept(then: Then) -> impl Script {
    move |stream: &mut TcpStream| {
        accept(stream);
        then
    }
}

/// Answers the handshake with this, and nothing more.
pub fn answer(text: &'static str) -> impl Script {
    move |stream: &mut TcpStream| {
        request(stream);
        say(stream, text);
        Then::Keep
    }
}

/// Shakes hands, sends these frames, and takes in what comes.
pub fn send(frames: impl Into<Vec<u8>>) -> impl Script {
    let frames = frames.into();
    move |stream: &mut TcpStream| {
        accept(stream);
        say(stream, &frames);
        Then::Keep
    }
}

/// Shakes hands, says these packets of Engine.IO, and takes in what comes.
pub fn packets(packets: &[&str]) -> impl Script + use<> {
    send(packets.iter().flat_map(|packet| frame(TEXT, packet.as_bytes())).collect::<Vec<u8>>())
}
