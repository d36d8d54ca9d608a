//! Steps as written: one key says the kind.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use super::control::{Branch, Eventually, ForEach, Group, Maybe, Repetition};
use super::session::{Closing, Emit, Holding, Listening, Receiving, Send, SocketIoStep, TcpStep, WebSocketStep};
use crate::base::units::parse_duration;
use crate::base::written::{Anything, At, Entries, Expr, Form, Named, Node, Of, Parsed, Scalar};
use crate::protocol::http::written::HttpStep;

/// Declares the keys that say a step's kind: a field of [`Step`] and a member of an enum for each, so that whoever takes steps
/// apart by [`Step::doings`] can forget none.
macro_rules! steps {
    (
        anywhere { $($(#[$doc:meta])* $key:ident: $kind:ident($type:ty),)+ }
        on_connections { $($(#[$message_doc:meta])* $message_key:ident: $message:ident($message_type:ty),)+ }
    ) => {
        /// One step: one key says its kind; beside it `if` and `on_error`.
        #[derive(Debug, Clone, Deserialize, JsonSchema)]
        #[serde(deny_unknown_fields)]
        pub struct Step {
            $($(#[$doc])* pub $key: Option<$type>,)+
            $($(#[$message_doc])* pub $message_key: Option<$message_type>,)+
            /// An expression; where it doesn't hold, the step is left out.
            #[serde(rename = "if")]
            pub condition: Option<Expr>,
            /// What a failure does: `end_iteration`, `continue`, `end_user` or `abort_run`. Default end_iteration.
            pub on_error: Option<At<OnError>>,
        }

        /// What a step does.
        #[derive(Debug, Clone, Copy)]
        pub enum Doing<'a> {
            $($(#[$doc])* $kind(&'a $type),)+
            /// Something on the connection of the session that it stands in.
            OnConnection(OnConnection<'a>),
        }

        /// What a step does on the connection of its session.
        #[derive(Debug, Clone, Copy)]
        pub enum OnConnection<'a> {
            $($(#[$message_doc])* $message(&'a $message_type),)+
        }

        impl Step {
            /// What it does: one thing, unless the profile is wrong.
            pub fn doings(&self) -> Vec<Doing<'_>> {
                let mut doings = Vec::new();
                $(doings.extend(self.$key.as_ref().map(Doing::$kind));)+
                $(doings.extend(self.$message_key.as_ref().map(OnConnection::$message).map(Doing::OnConnection));)+
                doings
            }
        }

        impl Doing<'_> {
            /// The keys of what can be done anywhere.
            pub const KEYS: &'static [&'static str] = &[$(stringify!($key)),+];

            /// Where it stands.
            pub fn at(&self) -> Node {
                match self {
                    $(Doing::$kind(written) => written.at,)+
                    Doing::OnConnection(on) => on.at(),
                }
            }
        }

        impl OnConnection<'_> {
            /// Its key.
            pub fn key(&self) -> &'static str {
                match self {
                    $(OnConnection::$message(_) => stringify!($message_key),)+
                }
            }

            /// Where it stands.
            pub fn at(&self) -> Node {
                match self {
                    $(OnConnection::$message(written) => written.at,)+
                }
            }
        }
    };
}

steps! {
    anywhere {
        /// An HTTP request.
        http: Http(At<HttpStep>),
        /// A WebSocket, and the steps on it.
        websocket: Websocket(At<WebSocketStep>),
        /// A connection of Socket.IO, and the steps on it.
        socketio: Socketio(At<SocketIoStep>),
        /// A TCP connection, and the steps on it.
        tcp: Tcp(At<TcpStep>),
        /// A pause: `1s`, `1s..3s`, `{mean: 2s, distribution: exponential}`.
        think: Think(At<Think>),
        /// Variables from expressions, in written order.
        set: Set(At<Named<Expr>>),
        /// Adds to counters of the profile's own.
        count: Count(At<Entries<Expr>>),
        /// Observes histograms and sets gauges of the profile's own.
        record: Record(At<Entries<Expr>>),
        /// Appends values to lists that the whole run shares.
        remember: Remember(At<Named<Anything>>),
        /// One of several flows, by weight.
        choose: Choose(At<Vec<Branch>>),
        /// Steps that are done now and then.
        maybe: Maybe(At<Maybe>),
        /// Steps that are repeated.
        repeat: Repeat(At<Repetition>),
        /// Steps that are done for each element of a list.
        for_each: ForEach(At<ForEach>),
        /// Steps that are timed as a whole.
        group: Group(At<Group>),
        /// The name of a scenario, whose flow is done here.
        call: Call(Scalar),
        /// Steps that are tried until their checks hold and nothing fails.
        eventually: Eventually(At<Eventually>),
    }
    on_connections {
        /// Sends a message over the session's connection: a text, `{json: …}` or `{base64: …}`.
        send: Send(At<Send>),
        /// Sends an event over the session's connection (Socket.IO).
        emit: Emit(At<Emit>),
        /// Awaits a message of the session's connection, and times it.
        receive: Receive(At<Receiving>),
        /// Takes what comes over the session's connection for a while.
        listen: Listen(At<Listening>),
        /// Stays in the session for a while.
        hold: Hold(At<Holding>),
        /// Closes the session's connection before its last step.
        close: Close(At<Closing>),
    }
}

/// What a failed step does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnError {
    /// Ends the iteration, which counts as failed.
    #[default]
    EndIteration,
    /// Goes on with the next step.
    Continue,
    /// Ends the user.
    EndUser,
    /// Ends the run.
    AbortRun,
}

/// A pause as written.
pub type Think = Form<Of<ThinkSpan>, ThinkSpread>;

/// A pause of a length, or of any length within a range.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ThinkSpan {
    /// The shortest.
    pub from: Duration,
    /// The longest.
    pub to: Duration,
}

impl Parsed for ThinkSpan {
    const NAME: &'static str = "ThinkTime";
    const DESCRIPTION: &'static str = "A pause: a duration, or a range of durations.";
    const EXAMPLES: &'static [&'static str] = &["1s", "1s..3s"];

    fn parse(text: &str) -> Result<Self, String> {
        let duration = |text: &str| parse_duration(text.trim()).map_err(|error| error.to_string());
        let (from, to) = match text.split_once("..") {
            Some((from, to)) => (duration(from)?, duration(to)?),
            None => (duration(text)?, duration(text)?),
        };
        if from > to {
            return Err(format!("`{text}` goes backwards; write the shorter duration first"));
        }
        Ok(Self { from, to })
    }
}

/// A pause of varying length.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ThinkSpread {
    /// Its mean.
    pub mean: Of<Duration>,
    /// `exponential` or `normal` (with a standard deviation of a quarter of the mean). Default exponential.
    pub distribution: Option<At<Spread>>,
}

/// How pauses are distributed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Spread {
    /// Many short ones, few long ones.
    #[default]
    Exponential,
    /// Around the mean.
    Normal,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses() {
        let ms = Duration::from_millis;
        assert_eq!(ThinkSpan::parse("1s"), Ok(ThinkSpan { from: ms(1000), to: ms(1000) }));
        assert_eq!(ThinkSpan::parse("0.5s..3s"), Ok(ThinkSpan { from: ms(500), to: ms(3000) }));
        assert!(ThinkSpan::parse("3s..1s").unwrap_err().contains("backwards"));
        assert!(ThinkSpan::parse("1..3s").unwrap_err().contains("`1s`"));
    }
}
