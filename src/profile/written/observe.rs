//! What of the target is read before and after each phase, as written.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::base::written::{At, Entries, Many, Name, Named, Of, Scalar, Tls};

/// The target's own series: where they are read, and which.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Observe {
    /// A Prometheus server that scrapes the target.
    pub prometheus: Option<Prometheus>,
    /// Exporters that are read directly at each edge.
    pub exporters: Option<Vec<Exporter>>,
    /// Whether the load pauses at each edge until every source has a sample past it. Default false.
    pub settle: Option<At<bool>>,
    /// The series whose increase is reported.
    pub counters: Option<Vec<At<Counter>>>,
    /// Ratios of increases, by name.
    pub ratios: Option<Named<RatioOf>>,
}

/// A Prometheus server.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Prometheus {
    /// Its root; an empty one counts as absent.
    pub url: Option<Scalar>,
    /// Sent as `Authorization: Bearer`; an empty one counts as absent.
    pub bearer_token: Option<Scalar>,
    /// A file that holds the token; it is read for each question.
    pub bearer_token_file: Option<Scalar>,
    /// A user and a password.
    pub basic_auth: Option<At<BasicAuth>>,
    /// Further headers.
    pub headers: Option<Entries<Scalar>>,
    /// How long one question may take. Default 10s.
    pub timeout: Option<Of<Duration>>,
    /// How its certificate is checked.
    pub tls: Option<Tls>,
}

/// An exporter that is read directly.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Exporter {
    /// The label `source`.
    pub name: Of<Name>,
    /// Where its metrics are; an empty one counts as absent.
    pub url: Option<Scalar>,
    /// Sent as `Authorization: Bearer`; an empty one counts as absent.
    pub bearer_token: Option<Scalar>,
    /// A file that holds the token; it is read for each question.
    pub bearer_token_file: Option<Scalar>,
    /// A user and a password.
    pub basic_auth: Option<At<BasicAuth>>,
    /// Further headers.
    pub headers: Option<Entries<Scalar>>,
    /// How long reading it may take. Default 10s.
    pub timeout: Option<Of<Duration>>,
    /// How its certificate is checked.
    pub tls: Option<Tls>,
}

/// A user and a password, sent as `Authorization: Basic`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BasicAuth {
    /// The user's name.
    pub username: Scalar,
    /// The password.
    pub password: Option<Scalar>,
    /// A file that holds the password; it is read for each question.
    pub password_file: Option<Scalar>,
}

/// Series to report: a preset, or one metric.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Counter {
    /// What matters in one system: `redis`, `postgres`.
    pub preset: Option<Scalar>,
    /// One metric by its name.
    pub metric: Option<Scalar>,
    /// Which of its series, by labels.
    #[serde(rename = "match")]
    pub matching: Option<Entries<Scalar>>,
    /// `counter` or `gauge`, where the source doesn't say.
    #[serde(rename = "type")]
    pub kind: Option<At<ObservedKind>>,
}

/// Whether a metric only ever grows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ObservedKind {
    /// Grows.
    Counter,
    /// Goes up and down.
    Gauge,
}

/// A ratio of increases over a phase.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RatioOf {
    /// The metric that is divided.
    pub of: Scalar,
    /// The metrics whose sum divides it.
    pub to: Many<Scalar>,
    /// Which series of both, by labels.
    #[serde(rename = "match")]
    pub matching: Option<Entries<Scalar>>,
}
