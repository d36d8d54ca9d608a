//! What comes out: readings at edges, and between two of them the rows and values of a phase.

use std::collections::BTreeMap;
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use super::api::unix;
use super::cut::Cut;
use super::error::SourceError;
use super::kind::MetricKind;
use super::labels::Labels;
use super::meter::Levels;
use super::observe::PROMETHEUS;
use super::presets::SERIES_TO_READ;
use super::seen::Looked;
use super::select::keep;
use super::systems::Values;
use super::values::LevelOf;
use crate::base::units::show_seconds;

/// Whether the load goes on at an edge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Traffic {
    /// The load goes on: values are interpolated to the edge, and what that leaves unsure is reported.
    Flowing,
    /// Nothing is sent until the reading is there (`settle: true`): the first sample past the edge is exact. Waits longer where a
    /// system reports its statistics late (PostgreSQL: up to 11 s).
    Still,
    /// Nothing is sent ever again (the last edge), but others may go on. Waits as long, and for one more sample of a Prometheus: what stands
    /// still is exact.
    Ended,
}

/// What every source said at one edge. A plain value: it can be kept, and compared later.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Reading {
    /// The edge, in Unix seconds by our clock.
    pub at: f64,
    /// Whether the load stood still at the edge, so that the values are exact.
    pub still: bool,
    /// Whether it did so for good, while others may have gone on.
    pub(crate) ended: bool,
    /// When the reading was there, in Unix seconds by our clock: until then a load that stood still did so.
    pub(crate) done: f64,
    /// One per source, in the profile's order.
    pub(crate) sources: Vec<SourceReading>,
}

impl Reading {
    /// One that was given up.
    pub fn none(at: SystemTime) -> Self {
        Self { at: unix(at), still: false, ended: false, done: unix(at), sources: Vec::new() }
    }
}

/// What one source said at one edge.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct SourceReading {
    pub(crate) name: String,
    pub(crate) error: Option<SourceError>,
    pub(crate) warnings: Vec<String>,
    /// How far the source's clock is ahead of ours, in seconds.
    pub(crate) ahead: f64,
    /// How far `ahead` may be off.
    pub(crate) off: f64,
    /// Seconds between two samples, where that could be found.
    pub(crate) interval: Option<f64>,
    pub(crate) points: Vec<Point>,
    /// Series that are there and say nothing.
    pub(crate) blank: Vec<Blank>,
    /// Of an exporter only: the items whose system it could read. A series of them that isn't among the points wasn't there, or said nothing.
    pub(crate) read: Vec<usize>,
    /// Of an exporter only: what says by being 0 that it can't read its system. Names and labels.
    #[serde(default)]
    pub(crate) down: Vec<(String, Labels)>,
    /// What came of looking for the labels that presets are narrowed by.
    pub(crate) looked: Vec<Looked>,
    /// Metrics that are there and weren't read.
    pub(crate) left_out: Vec<LeftOut>,
    /// Of an exporter only: the names of its metrics that begin as those of the presets observed.
    pub(crate) names: Vec<String>,
    /// Of an exporter only: what it accumulated.
    pub(crate) scraped: Option<Scraped>,
}

/// A series that is there and says nothing of the edge.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Blank {
    /// The item that it is of.
    pub(crate) item: usize,
    pub(crate) metric: String,
    pub(crate) labels: Labels,
    /// How old the newest of its samples is, in seconds; none: what it has is no number.
    pub(crate) age: Option<f64>,
}

impl Blank {
    /// Why, as a sentence.
    pub(crate) fn why(&self) -> String {
        match self.age {
            None => format!("{} is no number (NaN or infinite)", self.metric),
            Some(age) => {
                let age = show_seconds(age);
                format!("the samples of {} bear a time of their own, and the newest is {age} old", self.metric)
            }
        }
    }
}

/// A metric that a source has and that isn't read.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) enum LeftOut {
    /// It has too many series.
    Many { metric: String, series: u64 },
    /// A line of it can't be read.
    Unreadable { metric: String, line: usize, message: String },
}

impl LeftOut {
    pub(crate) fn metric(&self) -> &str {
        match self {
            Self::Many { metric, .. } | Self::Unreadable { metric, .. } => metric,
        }
    }

    /// Whether it is one of these.
    pub(crate) fn is_of(&self, names: &[String]) -> bool {
        names.iter().any(|name| name == self.metric())
    }

    /// What a source of this name has, as a sentence.
    pub(crate) fn text(&self, source: &str) -> String {
        match self {
            Self::Many { series, .. } => {
                format!("{source} has {series} series of it, more than {SERIES_TO_READ}: narrow it with `match`")
            }
            Self::Unreadable { line, message, .. } => {
                format!("{source} has it in a line that can't be read, line {line}: {message}")
            }
        }
    }
}

/// What reading an exporter directly accumulates from edge to edge.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Scraped {
    /// The edge before, which `levels` and those of the points begin at.
    pub(crate) since: Option<f64>,
    /// Scrapes by us so far.
    pub(crate) scrapes: u64,
    /// Whether no scrape before the edge says what happened from it to the first scrape past it.
    pub(crate) bare: bool,
    /// Levels since the edge before.
    pub(crate) levels: Vec<LevelOf>,
    /// Counters that came up after an edge and were gone by the next one.
    #[serde(default)]
    pub(crate) passed: Vec<Passed>,
    /// The edge before that one, and levels from there to it: the last edge is read once more when the load has drained.
    pub(crate) earlier: Option<(f64, Vec<LevelOf>)>,
}

/// A counter that is at neither of two edges, though scrapes between them had it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Passed {
    pub(crate) metric: String,
    pub(crate) labels: Labels,
    pub(crate) items: Vec<usize>,
    /// The first of the edges.
    pub(crate) since: f64,
    /// At its last sample.
    pub(crate) cut: Cut,
}

/// One series at one edge.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Point {
    pub(crate) metric: String,
    pub(crate) labels: Labels,
    /// Which of the items wanted it is of.
    pub(crate) items: Vec<usize>,
    pub(crate) kind: MetricKind,
    pub(crate) cut: Cut,
    /// Of an exporter only: since the edge before.
    pub(crate) levels: Option<Levels>,
    /// The same between the two edges before.
    pub(crate) earlier: Option<Levels>,
}

/// What the target's own counters did over one phase.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Observed {
    /// One per series, and one per wanted metric that is nowhere.
    pub rows: Vec<CounterRow>,
    /// What SLOs ask for by name.
    pub values: Values,
    /// How each source fared.
    pub sources: Vec<SourceReport>,
    /// What a reader has to know: what exporters cause themselves, what was left out.
    pub notes: Vec<String>,
}

impl Observed {
    /// Adds what the Prometheus server said when it was asked queries.
    pub fn warn(&mut self, warnings: &[String]) {
        if let Some(source) = self.sources.iter_mut().find(|source| source.name == PROMETHEUS) {
            keep(&mut source.warnings, warnings.to_vec());
        }
    }
}

/// One series over one phase. It is what `run.json`, the summary and `/metrics` show; what is not known is `null`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct CounterRow {
    /// The source's name: a Prometheus server or an exporter; empty where the metric was found in none.
    pub source: String,
    /// The metric's name, as found.
    pub metric: String,
    /// The series' labels.
    pub labels: BTreeMap<String, String>,
    /// At the phase's start; 0 for a counter that came up in mid-phase, which `note` says then.
    pub before: Option<f64>,
    /// At its end.
    pub after: Option<f64>,
    /// A counter's increase, resets taken into account; a gauge's change.
    pub delta: Option<f64>,
    /// `delta` by the requests of the phase.
    pub per_request: Option<f64>,
    /// How far `delta` may be off, either way; 0 where it is exact. What a reset may have hidden is part of it; absent where that
    /// may be any number.
    pub uncertainty: Option<f64>,
    /// Counter or gauge.
    pub kind: MetricKind,
    /// How often the counter started again.
    pub resets: u64,
    /// The least value of a gauge over the phase.
    pub min: Option<f64>,
    /// The greatest value of a gauge over the phase.
    pub max: Option<f64>,
    /// The mean value of a gauge over the phase.
    pub avg: Option<f64>,
    /// Why `delta` is not there.
    pub missing: Option<String>,
    /// What a reader has to know of this row.
    pub note: Option<String>,
}

/// How a source fared over a phase.
#[derive(Debug, Clone, PartialEq)]
pub struct SourceReport {
    /// Its name.
    pub name: String,
    /// Why it could not be read, at either edge or between.
    pub error: Option<SourceError>,
    /// What Prometheus warned of.
    pub warnings: Vec<String>,
    /// Seconds between its samples, where that is known.
    pub interval: Option<f64>,
}
