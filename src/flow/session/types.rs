//! Sessions as resolved: what is connected to, what is done on the connection, and what becomes of the messages that come.

use std::time::Duration;

use bytes::Bytes;

use crate::base::Protocol;
use crate::expr::{Expression, Extract, JsonTemplate, Symbol, Template};
use crate::flow::types::{Amounts, Flow, Think};
use crate::measure::{CheckId, MessageId, StepId};
use crate::protocol::session::{Connector, Lost};

/// A connection, and what a user does while it is open.
#[derive(Debug)]
pub struct SessionStep {
    /// The label `step`, of the connect and of all that belongs to the session as a whole.
    pub id: StepId,
    /// Its name, for messages.
    pub name: String,
    /// Where to, and how.
    pub connector: Connector,
    /// What becomes of the messages that come, as long as the connection is open.
    pub on: Handlers,
    /// The steps.
    pub flow: Flow,
    /// What to do about a close that nobody asked for; if absent it fails the step.
    pub reconnect: Option<Reconnect>,
    /// How the connection ends.
    pub closing: Closing,
}

impl SessionStep {
    /// What it speaks.
    pub const fn protocol(&self) -> Protocol {
        self.connector.protocol()
    }
}

/// How a connection ends that isn't lost.
#[derive(Debug, Clone)]
pub struct Closing {
    /// How long the peer is given to answer the goodbye.
    pub within: Duration,
    /// Which ends of the peer's are neither an error nor a disconnect.
    pub expected: Expected,
}

impl Default for Closing {
    fn default() -> Self {
        Self { within: Duration::from_secs(1), expected: Expected::None }
    }
}

/// Ends of the peer's that are meant to be.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Expected {
    /// None.
    #[default]
    None,
    /// Those with one of these close codes (WebSocket).
    Codes(Vec<u16>),
    /// Those as the protocol has them: a DISCONNECT (Socket.IO), the end of the stream between two messages (TCP).
    Proper,
}

impl Expected {
    /// Whether the peer was meant to end the connection like this.
    pub fn covers(&self, lost: &Lost) -> bool {
        match self {
            Self::None => false,
            Self::Codes(codes) => lost.code.is_some_and(|code| codes.contains(&code)),
            Self::Proper => lost.proper,
        }
    }
}

/// How a lost connection is brought back.
#[derive(Debug, Clone, Copy)]
pub struct Reconnect {
    /// How long after the loss, or after an attempt that failed.
    pub after: Think,
    /// So many attempts in a row.
    pub times: u32,
}

/// What is done with each message that comes.
#[derive(Debug, Default)]
pub struct Handlers {
    /// Each looks at every message.
    pub each: Vec<Handler>,
    /// Whether any of them looks at what a message holds; otherwise it is only counted.
    pub read: bool,
}

impl Handlers {
    /// Handlers in written order.
    pub fn new(each: Vec<Handler>) -> Self {
        let read = each.iter().any(Handler::reads);
        Self { each, read }
    }
}

/// What is done with messages of one kind.
#[derive(Debug, Default)]
pub struct Handler {
    /// Which messages; all if absent. One for which that is unknown isn't meant.
    pub matches: Option<Expression>,
    /// The label `message`, if they are followed.
    pub message: Option<MessageId>,
    /// When a message was published.
    pub latency_from: Option<Expression>,
    /// Its number.
    pub sequence: Option<Expression>,
    /// Who numbered it, where each sender numbers its own.
    pub sender: Option<Expression>,
    /// How often one should come.
    pub every: Option<Duration>,
    /// Counters of the profile's own, and by how much each grows.
    pub count: Amounts,
    /// Histograms and gauges of the profile's own, and what goes into each.
    pub record: Amounts,
    /// Variables out of the message; those that aren't found are unset.
    pub extract: Vec<(Symbol, Extract)>,
    /// What an event is answered with that wants an acknowledgement: a JSON list of arguments.
    pub ack: Option<JsonTemplate>,
}

impl Handler {
    /// Whether what never comes is followed.
    pub(super) fn is_followed(&self) -> bool {
        self.message.is_some() && (self.sequence.is_some() || self.every.is_some())
    }

    fn reads(&self) -> bool {
        let expressions = [&self.matches, &self.latency_from, &self.sequence, &self.sender];
        expressions.into_iter().any(Option::is_some)
            || !self.count.is_empty()
            || !self.record.is_empty()
            || !self.extract.is_empty()
            || self.ack.is_some()
    }
}

/// What is done on a session's connection.
#[derive(Debug)]
pub enum MessageStep {
    /// A message is sent.
    Send(SendStep),
    /// An event is sent, and maybe its acknowledgement awaited.
    Emit(EmitStep),
    /// A message is awaited.
    Receive(Awaited),
    /// What comes is taken for a while.
    Listen(ListenStep),
    /// Nothing is done for a while; until the user is asked to end if no length is given.
    Hold(Option<Think>),
    /// The connection is ended.
    Close(CloseStep),
}

/// What is sent.
#[derive(Debug)]
pub enum SendStep {
    /// A text.
    Text(Template),
    /// A text of JSON.
    Json(JsonTemplate),
    /// The same bytes every time.
    Bytes(Bytes),
    /// Bytes, as the Base64 that a template gives.
    Base64(Template),
}

/// An event of Socket.IO.
#[derive(Debug)]
pub struct EmitStep {
    /// Its name.
    pub event: Template,
    /// Its arguments: a JSON list.
    pub args: JsonTemplate,
    /// What is made of its acknowledgement, if one is wanted.
    pub ack: Option<Awaited>,
}

/// A message that is waited for, and timed.
#[derive(Debug)]
pub struct Awaited {
    /// The label `step`.
    pub id: StepId,
    /// Its name, for messages.
    pub name: String,
    /// Which message; the next if absent.
    pub matches: Option<Expression>,
    /// How long it is waited for.
    pub within: Duration,
    /// Variables out of the message.
    pub extract: Vec<(Symbol, Extract)>,
    /// What should hold of it.
    pub checks: Vec<(CheckId, Expression)>,
}

/// Taking what comes for a while.
#[derive(Debug)]
pub struct ListenStep {
    /// For how long; until the user is asked to end if absent.
    pub length: Option<Think>,
    /// What becomes of the messages, beside what the connection's own handlers do.
    pub on: Handlers,
}

/// How a connection is ended before its session's end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CloseStep {
    /// Both ways, with a goodbye.
    Both,
    /// The sending side only (TCP): the peer reads the end and may go on sending.
    Sending,
}
