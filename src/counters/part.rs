//! What one source has to say of a phase.

use std::collections::BTreeMap;

use url::Url;

use super::api::Target;
use super::error::SourceError;
use super::labels::Labels;
use super::report::{Blank, LeftOut, SourceReading};
use super::seen::Seen;
use super::values::{LevelOf, SeriesFindings};

/// What happened between two edges, in one source.
#[derive(Debug, Default)]
pub(super) struct Between {
    pub(super) found: Vec<SeriesFindings>,
    pub(super) levels: Vec<LevelOf>,
    /// Series that had samples before the phase only, by the item that they are of, and when the last one was.
    pub(super) gone: Vec<(usize, Labels, f64)>,
    /// Series that are there and say nothing.
    pub(super) blank: Vec<Blank>,
    /// Metrics that are there and weren't read.
    pub(super) left_out: Vec<LeftOut>,
    /// Of a Prometheus server only: items that have no sample near the phase, and how long before its end the newest was, in seconds.
    pub(super) stale: Vec<(usize, f64)>,
    pub(super) warnings: Vec<String>,
    /// Why samples may be missing: the server answered in part.
    pub(super) partial: Option<String>,
    /// What the source has of the presets of which a metric is missing: names.
    pub(super) names: Vec<String>,
    /// What says by being 0 that a system can't be read: names and labels. Of a Prometheus server only where a metric of the preset is missing.
    pub(super) down: Vec<(String, Labels)>,
    /// Metrics that are counters by their names and fell, with their jobs.
    pub(super) fell: Vec<(String, String)>,
    pub(super) interval: Option<f64>,
    /// Seconds between samples, by job.
    pub(super) jobs: BTreeMap<String, f64>,
}

/// See the module.
#[derive(Debug)]
pub(super) struct SourceFindings {
    pub(super) name: String,
    /// Of an exporter that is read directly: where it is.
    pub(super) direct: Option<Url>,
    /// What a Prometheus server scrapes, if it says so and where it matters.
    pub(super) targets: Option<Vec<Target>>,
    pub(super) between: Result<Between, SourceError>,
    pub(super) readings: [SourceReading; 2],
    /// What it ever had; none: it could never be read.
    pub(super) had: Option<Seen>,
}

impl SourceFindings {
    pub(super) fn found(&self) -> &[SeriesFindings] {
        self.between.as_ref().map_or(&[], |between| &between.found)
    }

    pub(super) fn items(&self) -> impl Iterator<Item = usize> {
        self.found().iter().map(|found| found.item)
    }

    pub(super) fn names(&self) -> &[String] {
        self.between.as_ref().map_or(&[], |between| &between.names)
    }

    pub(super) fn left_out(&self) -> &[LeftOut] {
        self.between.as_ref().map_or(&[], |between| &between.left_out)
    }
}
