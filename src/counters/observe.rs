//! What to observe, resolved: the part of a profile under `observe`, checked and without anything optional left to decide.

use super::http::Access;
use super::kind::MetricKind;
use super::presets::{self, Preset};

/// The name of the source that is a Prometheus server.
pub const PROMETHEUS: &str = "prometheus";

/// What is read of the target before and after each phase.
#[derive(Debug, Clone, Default)]
pub struct Observe {
    /// Where to read; each is asked for everything that is wanted.
    pub sources: Vec<Source>,
    /// The series whose increase is reported.
    pub counters: Vec<Wanted>,
    /// The profile's own ratios of increases.
    pub ratios: Vec<Ratio>,
    /// Whether the load pauses at each edge until every source has a sample past it.
    pub settle: bool,
    /// Whether a source is left out on purpose: its address is empty.
    pub incomplete: bool,
}

/// One place to read from.
#[derive(Debug, Clone)]
pub struct Source {
    /// The label `source`: `prometheus`, or an exporter's name.
    pub name: String,
    /// How it is asked.
    pub kind: SourceKind,
    /// Where it is.
    pub access: Access,
}

/// How a source is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SourceKind {
    /// By Prometheus' HTTP API; the URL is the server's root.
    Prometheus,
    /// By scraping it; the URL is that of its metrics.
    Exporter,
}

/// A label that a series must have.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Matcher {
    /// The label's name.
    pub label: String,
    /// Its exact value.
    pub value: String,
}

impl Matcher {
    /// A label and its exact value.
    pub fn new(label: impl Into<String>, value: impl Into<String>) -> Self {
        Self { label: label.into(), value: value.into() }
    }
}

/// Series whose increase is reported.
#[derive(Debug, Clone)]
pub enum Wanted {
    /// What matters in one system, and the values made of it.
    Preset {
        /// Which one; from [`presets::find`].
        preset: &'static Preset,
        /// Which of its series, where there are several systems of the kind.
        matchers: Vec<Matcher>,
    },
    /// One metric by its name.
    Metric {
        /// Its name, as exposed.
        metric: String,
        /// Which of its series.
        matchers: Vec<Matcher>,
        /// What it is, where the profile says so; otherwise the source is asked, and then its name.
        kind: Option<MetricKind>,
    },
}

/// A ratio of increases over a phase: `streamer_hits: {of: cache_hits_total, to: [cache_hits_total, cache_misses_total]}`.
/// Its value's name is its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ratio {
    /// Its name.
    pub name: String,
    /// The numerator.
    pub of: String,
    /// The denominator: the sum of these.
    pub to: Vec<String>,
    /// Which series of both.
    pub matchers: Vec<Matcher>,
}

impl Observe {
    /// Whether there is anything to read.
    pub fn is_empty(&self) -> bool {
        self.sources.is_empty()
    }

    /// What the profile says that a metric is, where it says so.
    pub(super) fn kind_of(&self, name: &str) -> Option<MetricKind> {
        self.counters.iter().find_map(|wanted| match wanted {
            Wanted::Metric { metric, kind, .. } if metric == name => *kind,
            _ => None,
        })
    }

    /// The names that `server:` of an SLO may take: `preset.value` of the presets observed, and the profile's own ratios.
    pub fn value_names(&self) -> Vec<String> {
        let presets = self.counters.iter().filter_map(|wanted| match wanted {
            Wanted::Preset { preset, .. } => Some(preset.value_names()),
            Wanted::Metric { .. } => None,
        });
        let mut names: Vec<String> = presets.flatten().chain(self.ratios.iter().map(|ratio| ratio.name.clone())).collect();
        names.sort();
        names.dedup();
        names
    }

    /// Whether the profile says which systems a value is of.
    pub fn is_picked(&self, value: &str) -> bool {
        let presets = self.counters.iter().filter_map(|wanted| match wanted {
            Wanted::Preset { preset, matchers } if preset.value_names().iter().any(|name| name == value) => Some(matchers),
            _ => None,
        });
        let ratios = self.ratios.iter().filter(|ratio| ratio.name == value).map(|ratio| &ratio.matchers);
        presets.chain(ratios).all(|matchers| !matchers.is_empty())
    }

    /// An upper bound of the rows that one phase can have, for the bound on `/metrics`.
    pub fn rows_at_most(&self) -> u64 {
        let metrics: usize = self
            .counters
            .iter()
            .map(|wanted| match wanted {
                Wanted::Preset { preset, .. } => preset.metrics.len(),
                Wanted::Metric { .. } => 1,
            })
            .sum();
        let ratios: usize = self.ratios.iter().map(|ratio| 1 + ratio.to.len()).sum();
        ((metrics + ratios) * self.sources.len().max(1) * presets::SERIES_OF_A_METRIC) as u64
    }
}
