//! Steps as written: one key says the kind.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use super::control::{Branch, Eventually, ForEach, Group, Maybe, Repetition};
use super::session::{Closing, Emit, Holding, Listening, Receiving, Send, SocketIoStep, TcpStep, WebSocketStep};
use crate::base::units::parse_duration;
use crate::base::written::{Anything, At, Entries, Expr, Form, Named, Of, Parsed, Scalar};
use crate::protocol::http::written::HttpStep;

/// One step: one key says its kind; beside it `if` and `on_error`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// An HTTP request.
    pub http: Option<At<HttpStep>>,
    /// A WebSocket, and the steps on it.
    pub websocket: Option<At<WebSocketStep>>,
    /// A connection of Socket.IO, and the steps on it.
    pub socketio: Option<At<SocketIoStep>>,
    /// A TCP connection, and the steps on it.
    pub tcp: Option<At<TcpStep>>,
    /// Sends a message over the session's connection: a text, `{json: …}` or `{base64: …}`.
    pub send: Option<At<Send>>,
    /// Sends an event over the session's connection (Socket.IO).
    pub emit: Option<At<Emit>>,
    /// Awaits a message of the session's connection, and times it.
    pub receive: Option<At<Receiving>>,
    /// Takes what comes over the session's connection for a while.
    pub listen: Option<At<Listening>>,
    /// Stays in the session for a while.
    pub hold: Option<At<Holding>>,
    /// Closes the session's connection before its last step.
    pub close: Option<At<Closing>>,
    /// A pause: `1s`, `1s..3s`, `{mean: 2s, distribution: exponential}`.
    pub think: Option<At<Think>>,
    /// Variables from expressions, in written order.
    pub set: Option<At<Named<Expr>>>,
    /// Adds to counters of the profile's own.
    pub count: Option<At<Entries<Expr>>>,
    /// Observes histograms and sets gauges of the profile's own.
    pub record: Option<At<Entries<Expr>>>,
    /// Appends values to lists that the whole run shares.
    pub remember: Option<At<Named<Anything>>>,
    /// An expression; where it doesn't hold, the step is left out.
    #[serde(rename = "if")]
    pub condition: Option<Expr>,
    /// What a failure does: `end_iteration`, `continue`, `end_user` or `abort_run`. Default end_iteration.
    pub on_error: Option<At<OnError>>,
    /// One of several flows, by weight.
    pub choose: Option<At<Vec<Branch>>>,
    /// Steps that are done now and then.
    pub maybe: Option<At<Maybe>>,
    /// Steps that are repeated.
    pub repeat: Option<At<Repetition>>,
    /// Steps that are done for each element of a list.
    pub for_each: Option<At<ForEach>>,
    /// Steps that are timed as a whole.
    pub group: Option<At<Group>>,
    /// The name of a scenario, whose flow is done here.
    pub call: Option<Scalar>,
    /// Steps that are tried until their checks hold and nothing fails.
    pub eventually: Option<At<Eventually>>,
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
