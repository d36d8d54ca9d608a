//! Why a source could not be read. Texts from the other side are bounded and cleaned of secrets before they get here.

use serde::{Deserialize, Serialize};

use crate::base::{Away, AwayList};

/// What kept a source from being read. No message holds a token, a password or a URL.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, thiserror::Error)]
pub enum SourceError {
    /// No connection, or it broke, or the answer was longer than we keep.
    #[error("can't be read: {0}")]
    Unreachable(String),
    /// No answer in time.
    #[error("gave no answer within {seconds} s")]
    Timeout {
        /// The time limit in seconds.
        seconds: f64,
    },
    /// 401 or 403.
    #[error("refused us with {status}, {message}: check bearer_token or bearer_token_file, or basic_auth")]
    Unauthorized {
        /// The HTTP status.
        status: u16,
        /// The beginning of the answer.
        message: String,
    },
    /// Another status that isn't success.
    #[error("answered {status}: {message}")]
    Status {
        /// The HTTP status.
        status: u16,
        /// The beginning of the answer.
        message: String,
    },
    /// Prometheus understood and said no.
    #[error("refused the query ({status}, {kind}): {message}")]
    Query {
        /// The HTTP status.
        status: u16,
        /// Prometheus' `errorType`.
        kind: String,
        /// Prometheus' `error`.
        message: String,
    },
    /// An answer that isn't one of Prometheus' API.
    #[error("doesn't answer like a Prometheus server: {0}; is the URL the server's root?")]
    NotPrometheus(String),
    /// An answer that isn't the text format.
    #[error("doesn't answer in Prometheus' text format: {0}")]
    NotText(String),
}

impl SourceError {
    /// Whether asking again may help.
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Unreachable(_) | Self::Timeout { .. } | Self::Status { .. } => true,
            Self::Query { status, .. } => *status >= 500,
            Self::Unauthorized { .. } | Self::NotPrometheus(_) | Self::NotText(_) => false,
        }
    }
}

/// The beginning of a text from the other side, on one line.
pub(crate) fn excerpt(text: &str) -> String {
    cut(text, 200)
}

/// The same of a text that secrets are still to be taken out of: cut in two they would not be found.
pub(crate) fn beginning(text: &str) -> String {
    cut(text, 10_000)
}

fn cut(text: &str, longest: usize) -> String {
    let line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(longest).collect();
    let line = line.trim();
    if line.is_empty() { "(an empty answer)".to_owned() } else { line.to_owned() }
}

/// Notes whether a source could be read `now` (Unix seconds).
pub(super) fn note<T>(away: &AwayList, name: &str, now: f64, read: &Result<T, SourceError>) {
    let what = format!("the source `{name}`");
    match read {
        Ok(_) => away.ends(&what, now),
        Err(error) => away.begins(Away { what, since: now, cause: error.to_string(), ..Away::default() }),
    }
}
