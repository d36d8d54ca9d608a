//! What one piece of timed work hands to a recorder. Times are whole nanoseconds.

use crate::base::{Outcome, Reason};

/// One request, handshake, receive or acknowledged message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sample {
    /// From when it was due to its end, in nanoseconds.
    pub response: u64,
    /// From the first byte sent to its end, in nanoseconds; 0 if nothing was sent, which leaves service time out.
    pub service: u64,
    /// How it ended.
    pub outcome: Outcome,
    /// Why it failed, if it did; of one that was interrupted, whether the status that had come is an error.
    pub reason: Option<Reason>,
    /// The status code of the answer, of which the body may be missing; 0 without one.
    pub status: u16,
    /// Bytes sent.
    pub sent: u64,
    /// Bytes received.
    pub received: u64,
}

/// How long a connection took to open, in nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ConnectTimes {
    /// From the start to being usable.
    pub total: u64,
    /// Resolving the name; none for an address.
    pub dns: Option<u64>,
    /// The TCP handshake.
    pub tcp: u64,
    /// The TLS handshake, if there was one.
    pub tls: Option<u64>,
    /// The protocol's own handshake, if it has one.
    pub handshake: Option<u64>,
}

/// A layer of a connection (the label `layer`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Layer {
    /// Name resolution.
    Dns,
    /// TCP's handshake.
    Tcp,
    /// TLS' handshake.
    Tls,
    /// The protocol's own handshake.
    Handshake,
}

impl Layer {
    /// Every layer, from below.
    pub const ALL: [Layer; 4] = [Layer::Dns, Layer::Tcp, Layer::Tls, Layer::Handshake];

    /// The value of the label.
    pub const fn label(self) -> &'static str {
        match self {
            Layer::Dns => "dns",
            Layer::Tcp => "tcp",
            Layer::Tls => "tls",
            Layer::Handshake => "handshake",
        }
    }
}

impl ConnectTimes {
    /// The time that a layer took, if it took part.
    #[inline]
    pub fn layer(&self, layer: Layer) -> Option<u64> {
        match layer {
            Layer::Dns => self.dns,
            Layer::Tcp => Some(self.tcp),
            Layer::Tls => self.tls,
            Layer::Handshake => self.handshake,
        }
    }
}
