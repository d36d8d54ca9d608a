//! Sessions as written: `websocket`, `socketio`, `tcp`, and the steps on their connections.

use std::net::IpAddr;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use super::step::{Spread, Step, Think, ThinkSpan};
use crate::base::written::{
    Anything, At, Dns, Entries, Expr, Form, Many, Named, Of, Parsed, Scalar, Size, Text, Tls, Voidable, Way,
};
use crate::protocol::http::written::Extraction;

/// Declares a session's step and its defaults: the keys that both have, then those of the step.
macro_rules! session {
    (
        $(#[$step_doc:meta])* $step:ident, $(#[$defaults_doc:meta])* $defaults:ident,
        both { $($(#[$doc:meta])* $field:ident: $type:ty,)* }
        step { $($(#[$own_doc:meta])* $own:ident: $own_type:ty,)* }
        defaults { $($(#[$general_doc:meta])* $general:ident: $general_type:ty,)* }
    ) => {
        $(#[$step_doc])*
        #[derive(Debug, Clone, Deserialize, JsonSchema)]
        #[serde(deny_unknown_fields)]
        pub struct $step {
            $($(#[$own_doc])* pub $own: $own_type,)*
            /// The label `step` of the connect and of what belongs to the session as a whole.
            pub name: Option<Scalar>,
            /// The steps on the connection. It closes after the last one.
            pub session: Many<At<Step>>,
            /// What becomes of the messages that come, as long as the connection is open.
            pub on: Option<Many<At<On>>>,
            $($(#[$doc])* pub $field: $type,)*
            /// How long opening the connection may take, each message that is sent, and each that is awaited. Default 30s.
            pub timeout: Option<Of<Duration>>,
            /// How the target's certificate is checked, and with which one the user shows itself.
            pub tls: Option<Tls>,
            /// Addresses of this machine to connect from, in turn.
            pub from: Option<Many<Of<IpAddr>>>,
            /// How names are resolved.
            pub dns: Option<Dns>,
            /// The proxy to go through: `http://user:password@host:port`. The environment is not asked for one.
            pub http_proxy: Option<Scalar>,
            /// Hosts that are connected to at another address: `{shop.example: 127.0.0.1:8080}`. Cookies, TLS and the header `host` follow the name.
            pub connect_to: Option<Entries<Scalar>>,
            /// The longest message that is taken; a longer one ends the connection. Default 1MiB.
            pub max_message: Option<Of<Size>>,
            /// Brings back a connection that was lost: `{after: 1s..5s, times: 3}`. Default: it is an error that ends the session.
            pub reconnect: Option<Reconnect>,
            /// Which ends of the peer's are neither an error nor a disconnect: `{expect: [1000, 1001]}`. Default: none.
            pub close: Option<Close>,
            /// How long the peer may take to answer a goodbye; then the program closes the connection. Default 1s.
            pub close_within: Option<Of<Duration>>,
        }

        $(#[$defaults_doc])*
        #[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
        #[serde(deny_unknown_fields)]
        pub struct $defaults {
            $($(#[$general_doc])* pub $general: $general_type,)*
            $($(#[$doc])* pub $field: $type,)*
            /// How long opening the connection may take, each message that is sent, and each that is awaited. Default 30s.
            pub timeout: Option<Of<Duration>>,
            /// How the target's certificate is checked, and with which one the user shows itself.
            pub tls: Option<Tls>,
            /// Addresses of this machine to connect from, in turn.
            pub from: Option<Many<Of<IpAddr>>>,
            /// How names are resolved.
            pub dns: Option<Dns>,
            /// The proxy to go through: `http://user:password@host:port`. The environment is not asked for one.
            pub http_proxy: Option<Scalar>,
            /// Hosts that are connected to at another address: `{shop.example: 127.0.0.1:8080}`. Cookies, TLS and the header `host` follow the name.
            pub connect_to: Option<Entries<Scalar>>,
            /// The longest message that is taken; a longer one ends the connection. Default 1MiB.
            pub max_message: Option<Of<Size>>,
            /// Brings back a connection that was lost: `{after: 1s..5s, times: 3}`. Default: it is an error that ends the session.
            pub reconnect: Option<Reconnect>,
            /// Which ends of the peer's are neither an error nor a disconnect: `{expect: [1000, 1001]}`. Default: none.
            pub close: Option<Close>,
            /// How long the peer may take to answer a goodbye; then the program closes the connection. Default 1s.
            pub close_within: Option<Of<Duration>>,
        }

        impl $step {
            /// What all kinds of sessions have.
            pub fn common(&self) -> Common<'_> {
                Common {
                    timeout: self.timeout.as_ref(),
                    tls: self.tls.as_ref(),
                    way: Way {
                        from: self.from.as_ref(),
                        dns: self.dns.as_ref(),
                        http_proxy: self.http_proxy.as_ref(),
                        connect_to: self.connect_to.as_ref(),
                    },
                    max_message: self.max_message.as_ref(),
                    reconnect: self.reconnect.as_ref(),
                    close: self.close.as_ref(),
                    close_within: self.close_within.as_ref(),
                }
            }

            /// What is done in it.
            pub fn body(&self) -> Body<'_> {
                Body { name: self.name.as_ref(), session: &self.session, on: self.on.as_ref() }
            }
        }

        impl $defaults {
            /// What all kinds of sessions have.
            pub fn common(&self) -> Common<'_> {
                Common {
                    timeout: self.timeout.as_ref(),
                    tls: self.tls.as_ref(),
                    way: Way {
                        from: self.from.as_ref(),
                        dns: self.dns.as_ref(),
                        http_proxy: self.http_proxy.as_ref(),
                        connect_to: self.connect_to.as_ref(),
                    },
                    max_message: self.max_message.as_ref(),
                    reconnect: self.reconnect.as_ref(),
                    close: self.close.as_ref(),
                    close_within: self.close_within.as_ref(),
                }
            }
        }
    };
}

/// What all kinds of sessions have, as a step or its defaults have it.
#[derive(Debug, Clone, Copy, Default)]
pub struct Common<'a> {
    /// `timeout`
    pub timeout: Option<&'a Of<Duration>>,
    /// `tls`
    pub tls: Option<&'a Tls>,
    /// By which way to get there.
    pub way: Way<'a>,
    /// `max_message`
    pub max_message: Option<&'a Of<Size>>,
    /// `reconnect`
    pub reconnect: Option<&'a Reconnect>,
    /// `close`
    pub close: Option<&'a Close>,
    /// `close_within`
    pub close_within: Option<&'a Of<Duration>>,
}

/// What the sessions that begin with a request of HTTP have, as a step or its defaults have it.
#[derive(Debug, Clone, Copy)]
pub struct Handshake<'a> {
    /// `connect` of a step, `base_url` of defaults.
    pub to: Option<&'a Text>,
    /// `headers`
    pub headers: Option<&'a Entries<Text>>,
    /// `query`
    pub query: Option<&'a Entries<Many<Text>>>,
    /// `cookies`
    pub cookies: Option<At<bool>>,
    /// What all kinds of sessions have.
    pub common: Common<'a>,
}

macro_rules! handshakes {
    ($($type:ident by $to:ident,)+) => {$(
        impl $type {
            /// What belongs to the handshake over HTTP.
            pub fn handshake(&self) -> Handshake<'_> {
                Handshake {
                    to: self.$to.as_ref(),
                    headers: self.headers.as_ref(),
                    query: self.query.as_ref(),
                    cookies: self.cookies,
                    common: self.common(),
                }
            }
        }
    )+};
}

handshakes! {
    WebSocketStep by connect,
    WebSocketDefaults by base_url,
    SocketIoStep by connect,
    SocketIoDefaults by base_url,
}

/// What is done in a session.
#[derive(Debug, Clone, Copy)]
pub struct Body<'a> {
    /// `name`
    pub name: Option<&'a Scalar>,
    /// `session`
    pub session: &'a Many<At<Step>>,
    /// `on`
    pub on: Option<&'a Many<At<On>>>,
}

session! {
    /// A WebSocket, and what is done on it.
    WebSocketStep,
    /// What all WebSockets have in common.
    WebSocketDefaults,
    both {
        /// Headers of the handshake; those of a step add to and replace those of the defaults.
        headers: Option<Entries<Text>>,
        /// Appended to the URL, encoded.
        query: Option<Entries<Many<Text>>>,
        /// Subprotocols that are offered, the best first.
        subprotocols: Option<Many<Scalar>>,
        /// What is a message: `message` (one of WebSocket), or `line` (each line of one). Default message.
        frame: Option<At<Framing>>,
        /// Whether the user's cookies go with the handshake, and those that its answer sets are kept. Default true.
        cookies: Option<At<bool>>,
    }
    step {
        /// A path, a URL (`ws://…`), or `builtin`: the program's own echo target. Default: the root of `base_url`.
        connect: Option<Text>,
    }
    defaults {
        /// What a path is put behind, or `builtin`: the program's own echo target.
        base_url: Option<Text>,
    }
}

session! {
    /// A connection of Socket.IO, and what is done on it.
    SocketIoStep,
    /// What all connections of Socket.IO have in common.
    SocketIoDefaults,
    both {
        /// Headers of the handshake; those of a step add to and replace those of the defaults.
        headers: Option<Entries<Text>>,
        /// Appended to the URL, encoded.
        query: Option<Entries<Many<Text>>>,
        /// Whether the user's cookies go with the handshake, and those that its answer sets are kept. Default true.
        cookies: Option<At<bool>>,
        /// The path of the server's endpoint. Default /socket.io/.
        path: Option<Text>,
        /// The namespace to connect to. Default /.
        namespace: Option<Text>,
        /// What goes with CONNECT: a mapping, in whose texts there may be `{{ … }}`.
        auth: Option<Anything>,
        /// `websocket`, or `polling`, which is then upgraded. Default websocket.
        transport: Option<At<Transport>>,
    }
    step {
        /// A URL (`http://…`), or `builtin`: the program's own echo target. Default: `base_url`.
        connect: Option<Text>,
    }
    defaults {
        /// Where the server is, or `builtin`: the program's own echo target.
        base_url: Option<Text>,
    }
}

session! {
    /// A TCP connection, and what is done on it.
    TcpStep,
    /// What all TCP connections have in common.
    TcpDefaults,
    both {
        /// Where a message ends: `line`, `raw`, `{until: "\0"}` or `{length: u32be}`. Default line.
        frame: Option<Form<Of<PlainFrame>, At<Delimiting>>>,
    }
    step {
        /// `host:port`, or `builtin`: the program's own echo target. Default: `address` of the defaults.
        connect: Option<Text>,
    }
    defaults {
        /// `host:port`, or `builtin`: the program's own echo target.
        address: Option<Text>,
    }
}

/// What of a WebSocket is a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Framing {
    /// A message of WebSocket.
    #[default]
    Message,
    /// Each line of one that isn't empty.
    Line,
}

/// How a connection of Socket.IO begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Transport {
    /// By a WebSocket from the first byte.
    #[default]
    Websocket,
    /// By HTTP long polling, which is then upgraded.
    Polling,
}

/// Frames without details.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PlainFrame {
    /// A line.
    #[default]
    Line,
    /// None: what is read at once is a message.
    Raw,
}

impl Parsed for PlainFrame {
    const NAME: &'static str = "PlainFrame";
    const DESCRIPTION: &'static str = "Where a message of TCP ends: line or raw.";
    const EXAMPLES: &'static [&'static str] = &["line", "raw"];

    fn parse(text: &str) -> Result<Self, String> {
        match text {
            "line" => Ok(Self::Line),
            "raw" => Ok(Self::Raw),
            _ => Err(format!("`{text}` is no frame; there are line, raw, {{until: \"\\0\"}} and {{length: u32be}}")),
        }
    }
}

/// Frames with details.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Delimiting {
    /// Up to this text, which is sent behind each message.
    pub until: Option<Scalar>,
    /// Behind a length: `u8`, `u16be`, `u16le`, `u32be` or `u32le`.
    pub length: Option<Scalar>,
}

/// How a lost connection is brought back.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Reconnect {
    /// How long after the loss, and after each attempt that failed.
    pub after: Think,
    /// So many attempts in a row. Default 3.
    pub times: Option<At<u32>>,
}

/// Which ends of a connection are meant to be.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Close {
    /// How the peer may end it: close codes of WebSocket, `disconnect` of Socket.IO, `end` of TCP.
    pub expect: Many<Scalar>,
}

/// What an event of the server's is answered with.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Reply {
    /// The argument, as JSON; its texts may hold `{{ … }}`.
    pub json: Option<Anything>,
}

/// What becomes of the messages that come.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct On {
    /// An expression over `message`: which messages are meant. Default: all.
    #[serde(rename = "match")]
    pub matches: Option<Expr>,
    /// The label `message`. Default message.
    pub name: Option<Scalar>,
    /// When a message was published: Unix seconds, milliseconds above 1e11, or a text as in RFC 3339.
    pub latency_from: Option<Expr>,
    /// Its number, a whole one: gaps are missed.
    pub sequence: Option<Expr>,
    /// Who numbered it, where each sender numbers its own.
    pub sender: Option<Expr>,
    /// How often one should come: what is longer silent than three times that counts as silence.
    pub every: Option<Of<Duration>>,
    /// Adds to counters of the profile's own.
    pub count: Option<Entries<Expr>>,
    /// Observes histograms and sets gauges of the profile's own.
    pub record: Option<Entries<Expr>>,
    /// Variables to take from the message.
    pub extract: Option<Named<Form<Scalar, Extraction>>>,
    /// Answers an event of Socket.IO that wants an acknowledgement: `{json: …}` with this argument, `true` with none.
    pub ack: Option<Form<At<bool>, At<Reply>>>,
}

/// What is sent, if it isn't a text.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Payload {
    /// As JSON; its texts may hold `{{ … }}`.
    pub json: Option<Anything>,
    /// Bytes, written as Base64.
    pub base64: Option<Text>,
}

/// A message to send: a text, JSON, or bytes.
pub type Send = Form<Text, Payload>;

/// An event of Socket.IO.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Emit {
    /// Its name.
    pub event: Text,
    /// Its arguments: a list, or one value; their texts may hold `{{ … }}`.
    pub args: Option<Anything>,
    /// `true`: its acknowledgement is awaited, and timed. Or what to make of it. Default false.
    pub ack: Option<Form<At<bool>, At<Receive>>>,
}

/// A message that is awaited, and timed.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Receive {
    /// An expression over `message`: which one is meant. Default: the next.
    #[serde(rename = "match")]
    pub matches: Option<Expr>,
    /// How long it is awaited. Default: the connection's timeout.
    pub within: Option<Of<Duration>>,
    /// Variables to take from the message.
    pub extract: Option<Named<Form<Scalar, Extraction>>>,
    /// Expressions that should hold; a failed check isn't an error.
    pub check: Option<Named<Expr>>,
    /// The label `step`. Default receive.
    pub name: Option<Scalar>,
}

/// Taking what comes for a while.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Listen {
    /// For how long. Default: until the user is asked to end.
    #[serde(rename = "for")]
    pub lasting: Option<Think>,
    /// What becomes of the messages, beside what the connection's own `on` does.
    pub on: Option<Many<At<On>>>,
}

/// Staying for a while.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Hold {
    /// For how long. Default: until the user is asked to end.
    #[serde(rename = "for")]
    pub lasting: Option<Think>,
    /// For so long on average.
    pub mean: Option<Of<Duration>>,
    /// `exponential` or `normal`; goes with `mean`. Default exponential.
    pub distribution: Option<At<Spread>>,
}

/// `hold` as written: a length, details, or nothing.
pub type Holding = Voidable<Form<Of<ThinkSpan>, Hold>>;
/// `listen` as written: a length, details, or nothing.
pub type Listening = Voidable<Form<Of<ThinkSpan>, Listen>>;
/// `receive` as written: details, or nothing.
pub type Receiving = Voidable<Receive>;
/// `close` as written: which side, or nothing.
pub type Closing = Voidable<Form<Of<Side>, Empty>>;

/// No details.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Empty {}

/// What of a connection is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Side {
    /// All of it.
    #[default]
    Both,
    /// The sending side; the peer may go on sending.
    Sending,
}

impl Parsed for Side {
    const NAME: &'static str = "Side";
    const DESCRIPTION: &'static str = "What of a connection is closed: both, or of TCP sending.";
    const EXAMPLES: &'static [&'static str] = &["both", "sending"];

    fn parse(text: &str) -> Result<Self, String> {
        match text {
            "both" | "true" => Ok(Self::Both),
            "sending" => Ok(Self::Sending),
            _ => Err(format!("`{text}` is no side of a connection; write both or sending")),
        }
    }
}
