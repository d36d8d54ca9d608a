//! What comes out: readings at edges, and between two of them the rows and values of a phase.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::error::SourceError;
use super::observe::Kind;
use super::values::LevelOf;

/// Labels of a series without its name, sorted.
pub type Labels = Vec<(String, String)>;

/// What every source said at one edge. A value: it can be kept in a checkpoint and compared after a restart.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Reading {
    /// The edge, in Unix seconds by our clock.
    pub at: f64,
    /// Whether the load stood still at the edge, so that the values are exact.
    pub still: bool,
    /// When the reading was there, in Unix seconds by our clock: until then a load that stood still did so.
    pub(crate) done: f64,
    /// One per source, in the profile's order.
    pub(crate) sources: Vec<SourceReading>,
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
    /// Metrics with too many series, and how many.
    pub(crate) left_out: Vec<(String, u64)>,
    /// Of an exporter only: what it accumulated.
    pub(crate) scraped: Option<Scraped>,
}

/// What reading an exporter directly accumulates from edge to edge.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Scraped {
    /// Which life of the observer this was read in: what is accumulated holds within one only.
    pub(crate) life: u64,
    /// The how manieth edge of that life it is.
    pub(crate) serial: u64,
    /// Scrapes by us so far.
    pub(crate) scrapes: u64,
    /// Seconds from the edge to the answer.
    pub(crate) slack: f64,
    /// Levels since the edge before.
    pub(crate) levels: Vec<LevelOf>,
}

/// One series at one edge.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Point {
    pub(crate) metric: String,
    pub(crate) labels: Labels,
    /// The value at the edge, interpolated if the edge is between two samples.
    pub(crate) value: f64,
    /// Of an exporter only.
    pub(crate) counted: Option<Counted>,
}

/// A series' increase so far.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct Counted {
    /// Unix seconds of its first sample.
    pub(crate) since: f64,
    /// Its first sample.
    #[serde(default)]
    pub(crate) first: f64,
    /// Its increase since.
    pub(crate) sum: f64,
    pub(crate) resets: u64,
    pub(crate) doubt: f64,
    /// Since the edge before.
    pub(crate) levels: Option<Levels>,
}

/// A series at an edge, as shown while the phase is on its way.
#[derive(Debug, Clone, PartialEq)]
pub struct EdgeValue {
    /// The source's name.
    pub source: String,
    /// The metric's name, as found.
    pub metric: String,
    /// The series' labels.
    pub labels: Labels,
    /// The value at the edge.
    pub value: f64,
}

impl Reading {
    /// Every series that was found, at the edge.
    pub fn values(&self) -> impl Iterator<Item = EdgeValue> {
        self.sources.iter().flat_map(|source| {
            source.points.iter().map(|point| EdgeValue {
                source: source.name.clone(),
                metric: point.metric.clone(),
                labels: point.labels.clone(),
                value: point.value,
            })
        })
    }

    /// Each source's name, and why it could not be read, if so.
    pub fn sources(&self) -> impl Iterator<Item = (&str, Option<&SourceError>)> {
        self.sources.iter().map(|source| (source.name.as_str(), source.error.as_ref()))
    }
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

/// One series over one phase.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CounterRow {
    /// The source's name; empty where the metric was found in none.
    pub source: String,
    /// The metric's name, as found.
    pub metric: String,
    /// The series' labels.
    pub labels: Labels,
    /// Counter or gauge.
    #[serde(serialize_with = "as_label")]
    pub kind: Kind,
    /// At the phase's start; 0 for a counter that came up in mid-phase, which `note` says then.
    pub before: Option<f64>,
    /// At its end.
    pub after: Option<f64>,
    /// A counter's increase, resets taken into account; a gauge's change.
    pub delta: Option<f64>,
    /// `delta` by the requests of the phase.
    pub per_request: Option<f64>,
    /// How far `delta` may be off either way; 0 where it is exact.
    pub uncertainty: Option<f64>,
    /// How often the counter started again.
    pub resets: u64,
    /// Least, greatest and mean value of a gauge over the phase, from as many samples as there were.
    pub levels: Option<Levels>,
    /// Why `delta` is not there.
    pub missing: Option<String>,
    /// What a reader has to know of this row.
    pub note: Option<String>,
}

/// Least, greatest and mean value over a phase.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Levels {
    /// The least.
    pub min: f64,
    /// The greatest.
    pub max: f64,
    /// The mean over samples.
    pub avg: f64,
    /// How many samples there were.
    pub samples: u64,
}

fn as_label<S: serde::Serializer>(kind: &Kind, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(kind.label())
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

/// The values that SLOs judge, by name (`redis.hit_ratio`).
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Values {
    pub(crate) by_name: BTreeMap<String, Result<Vec<ValueSeries>, String>>,
}

/// One value of a phase, for one system (two Redis servers have two): of a preset, of a ratio, or of a PromQL query.
#[derive(Debug, Clone, PartialEq)]
pub struct ValueSeries {
    /// What tells it from its siblings.
    pub labels: Labels,
    /// A counter's increase over the phase; a level at its end.
    pub value: f64,
    /// The least over the phase; `value` where there is one only.
    pub min: f64,
    /// The greatest.
    pub max: f64,
    /// The mean.
    pub avg: f64,
}

impl Values {
    /// The value of this name for every system that has one.
    ///
    /// # Errors
    /// Why there is none.
    pub fn series(&self, name: &str) -> Result<&[ValueSeries], &str> {
        match self.by_name.get(name) {
            Some(Ok(series)) => Ok(series),
            Some(Err(missing)) => Err(missing),
            None => Err("no preset and no ratio of this name is observed"),
        }
    }

    /// The value of this name where there is exactly one.
    pub fn get(&self, name: &str) -> Option<f64> {
        match self.series(name) {
            Ok([only]) => Some(only.value),
            _ => None,
        }
    }

    /// Every name with its value or why there is none.
    pub fn iter(&self) -> impl Iterator<Item = (&str, Result<&[ValueSeries], &str>)> {
        self.by_name.iter().map(|(name, value)| (name.as_str(), value.as_deref().map_err(String::as_str)))
    }
}
