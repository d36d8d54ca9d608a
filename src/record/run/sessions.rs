//! What a phase measured of sessions and of the messages within them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Latency;

/// The sessions that one step opened.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Sessions {
    /// The label `scenario`.
    pub scenario: String,
    /// The label `step`.
    pub step: String,
    /// The label `protocol`.
    pub protocol: String,
    /// Sessions that ended in this phase, by outcome.
    pub outcomes: BTreeMap<String, u64>,
    /// How long they lasted.
    pub duration: Latency,
    /// Messages sent in this phase.
    pub messages_sent: u64,
    /// Messages received in this phase.
    pub messages_received: u64,
    /// Of those received, messages that are no JSON, though an expression or extraction asked for it.
    pub messages_unparsed: u64,
    /// Bytes sent after the handshake.
    pub sent_bytes: u64,
    /// Bytes received after the handshake.
    pub received_bytes: u64,
}

/// One kind of message. `received` + `missed` is how many the listeners were owed, those that could not connect among them.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Message {
    /// The label `scenario`.
    pub scenario: String,
    /// The label `step`: the one that opened the session.
    pub step: String,
    /// The label `message`.
    pub message: String,
    /// Messages that came, each once.
    pub received: u64,
    /// Numbered messages that never came, and `missed_unconnected`.
    pub missed: u64,
    /// Of those, what listeners missed that could not connect: as many as the others of the step received on average. `null` where nobody
    /// could connect, so that this isn't known.
    pub missed_unconnected: Option<u64>,
    /// Those missed of those owed; `null` where none was, or where that isn't known.
    pub missed_ratio: Option<f64>,
    /// Messages that had come before.
    pub repeated: u64,
    /// Messages that came after a later one.
    pub reordered: u64,
    /// Messages that came before they were published, by the two clocks.
    pub clock_skew: u64,
    /// Seconds that listeners listened, those that could not connect among them; `null` where no handler has `every`.
    pub listening_seconds: Option<f64>,
    /// Seconds of those that lay in silences longer than three times `every`.
    pub silent_seconds: Option<f64>,
    /// From their being published to their receipt.
    pub latency: Latency,
}
