//! What is wanted, flattened: each metric once with its names, each value as sums over those metrics.

use std::collections::HashSet;
use std::time::Duration;

use super::kind::MetricKind;
use super::labels::{Labels, label};
use super::observe::{Matcher, Observe, Wanted};
use super::presets::{self, Formula, Term};

/// One metric with the labels that its series must have.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Item {
    /// Its names; the first that a source has is taken.
    pub(super) names: Vec<String>,
    /// What it is, where that is known beforehand.
    pub(super) kind: Option<MetricKind>,
    pub(super) matchers: Vec<Matcher>,
    /// Of a preset: a matcher applies to the metrics that have its label.
    pub(super) lenient: bool,
    /// Nothing is said where no source has it.
    pub(super) optional: bool,
    /// It is part of a ratio of increases, so that it counts unless something says otherwise.
    pub(super) counts: bool,
    /// The metrics whose change says that this one started again, and how far each moves without meaning it (seconds).
    pub(super) starts: Vec<(String, f64)>,
    /// How late the exporter may report what happened: when idle, and under load.
    pub(super) late: (Duration, Duration),
}

/// One value that SLOs may judge.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Asked {
    pub(super) name: String,
    pub(super) of: Sum,
    /// What `of` is divided by; none: nothing.
    pub(super) to: Vec<Sum>,
    /// 1 less the ratio.
    pub(super) rest: bool,
    /// Of gauges at one instant, rather than of increases.
    pub(super) level: bool,
    /// Labels to sum over, so that each system has a value of its own; none: all but those of the target.
    pub(super) parts: Option<Vec<String>>,
    /// Labels that pick parts of systems.
    pub(super) picked: Vec<(String, String)>,
    /// The preset that it is of, by its place among those observed.
    pub(super) entry: Option<usize>,
}

/// Which metrics of a source have which labels, of those that presets are narrowed by.
#[derive(Debug, Clone, Default)]
pub(super) struct Labelled {
    labels: HashSet<(String, String)>,
    metrics: HashSet<String>,
}

/// Series of an item that are summed.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Sum {
    pub(super) item: usize,
    pub(super) only: Vec<(String, String)>,
}

/// All that is wanted.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Wants {
    pub(super) items: Vec<Item>,
    pub(super) asked: Vec<Asked>,
    /// The presets observed.
    pub(super) entries: Vec<Entry>,
    /// Whether a source is left out.
    pub(super) incomplete: bool,
}

/// A preset as it is observed.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Entry {
    pub(super) name: &'static str,
    pub(super) items: Vec<usize>,
    /// The labels that it is narrowed by.
    pub(super) labels: Vec<String>,
    /// What its exporter causes itself.
    pub(super) own_effect: &'static str,
}

impl Wants {
    pub(super) fn new(observe: &Observe) -> Self {
        let mut wants = Self { incomplete: observe.incomplete, ..Self::default() };
        for wanted in &observe.counters {
            match wanted {
                Wanted::Metric { metric, matchers, kind } => {
                    wants.item(metric, *kind, matchers, false);
                }
                Wanted::Preset { preset, matchers } => {
                    let metrics = preset.metrics.iter();
                    let items = metrics.map(|metric| wants.item(metric.names[0], Some(metric.kind), matchers, true)).collect();
                    let entry = Some(wants.entries.len());
                    let labels = matchers.iter().filter(|matcher| !matcher.value.is_empty());
                    let labels = labels.map(|matcher| matcher.label.clone()).collect();
                    wants.entries.push(Entry { name: preset.name, items, labels, own_effect: preset.own_effect });
                    for value in preset.values {
                        let asked = Asked { entry, ..wants.preset_value(preset, value, matchers) };
                        // Two systems of a kind, distinguished by `match`, are two series of one value.
                        wants.asked.push(asked);
                    }
                }
            }
        }
        for ratio in &observe.ratios {
            let mut sum = |metric: &String| {
                let item = wants.item(metric, observe.kind_of(metric), &ratio.matchers, false);
                wants.items[item].counts = true;
                Sum { item, only: Vec::new() }
            };
            let (of, to) = (sum(&ratio.of), ratio.to.iter().map(&mut sum).collect());
            wants.asked.push(Asked {
                name: ratio.name.clone(),
                of,
                to,
                rest: false,
                level: false,
                parts: None,
                picked: picked(&ratio.matchers),
                entry: None,
            });
        }
        wants
    }

    fn preset_value(&mut self, preset: &presets::Preset, value: &presets::Value, matchers: &[Matcher]) -> Asked {
        let mut sum = |term: &Term| Sum {
            item: self.item(term.metric, None, matchers, true),
            only: term.only.iter().map(|(label, value)| ((*label).to_owned(), (*value).to_owned())).collect(),
        };
        let (of, to, rest, level) = match &value.formula {
            Formula::Increase(of) => (of, &[][..], false, false),
            Formula::Level(of) => (of, &[][..], false, true),
            Formula::IncreaseRatio(of, to) => (of, *to, false, false),
            Formula::LevelRatio(of, to) => (of, *to, false, true),
            Formula::IncreaseRest(of, to) => (of, *to, true, false),
            Formula::LevelRest(of, to) => (of, *to, true, true),
        };
        Asked {
            name: format!("{}.{}", preset.name, value.name),
            of: sum(of),
            to: to.iter().map(sum).collect(),
            rest,
            level,
            parts: Some(preset.parts.iter().map(|part| (*part).to_owned()).collect()),
            picked: picked(matchers),
            entry: None,
        }
    }

    /// The item of a metric, added if it isn't there yet. A name that a preset knows brings its other names along.
    fn item(&mut self, name: &str, kind: Option<MetricKind>, matchers: &[Matcher], of_preset: bool) -> usize {
        let lenient = of_preset && !matchers.is_empty();
        let known = presets::metric(name);
        let names: Vec<String> =
            known.map_or_else(|| vec![name.to_owned()], |metric| metric.names.iter().map(|n| (*n).to_owned()).collect());
        if let Some(at) =
            self.items.iter().position(|item| item.names == names && item.matchers == matchers && item.lenient == lenient)
        {
            return at;
        }
        let system = presets::of_metric(&names[0]);
        self.items.push(Item {
            kind: kind.or(known.map(|metric| metric.kind)).or(presets::is_counter(name).then_some(MetricKind::Counter)),
            starts: starts_of(&names),
            late: system.filter(|preset| preset.is_late(&names[0])).map_or_else(Default::default, |preset| preset.late),
            names,
            matchers: matchers.to_vec(),
            lenient,
            optional: of_preset && known.is_some_and(|metric| metric.optional),
            counts: false,
        });
        self.items.len() - 1
    }

    /// The item that a series belongs to; the name's rank among the item's names.
    pub(super) fn find(&self, name: &str, labels: &Labels) -> impl Iterator<Item = (usize, usize)> {
        self.items.iter().enumerate().filter_map(move |(at, item)| {
            let rank = item.names.iter().position(|n| n == name)?;
            item.matches(labels).then_some((at, rank))
        })
    }

    /// Whether a metric of this name is read, whatever its labels.
    pub(super) fn reads(&self, name: &str) -> bool {
        self.jitter(name).is_some() || self.items.iter().any(|item| item.names.iter().any(|n| n == name))
    }

    /// As [`Self::find`], in a source whose labels are known. A label that none of a preset's metrics has there picks nothing: an exporter that
    /// is read directly is no `instance` of a server's.
    pub(super) fn find_in(&self, labelled: &Labelled, name: &str, labels: &Labels) -> impl Iterator<Item = (usize, usize)> {
        self.find(name, labels).filter(move |(at, _)| {
            let lacks = |matcher: &Matcher| !matcher.value.is_empty() && label(labels, &matcher.label).is_empty();
            let elsewhere = |matcher: &Matcher| !labelled.has(name, &matcher.label) && labelled.any_has(name, &matcher.label);
            !self.items[*at].matchers.iter().any(|matcher| lacks(matcher) && !elsewhere(matcher))
        })
    }

    /// The metrics that say by being there that the system of an item could be read, and whether its exporter says so, too: where
    /// no preset knows the item, the exporter is the system. Otherwise the exporter may be there and its system away.
    pub(super) fn witnesses(&self, item: usize) -> (Vec<String>, bool) {
        let names = &self.items[item].names;
        let preset = presets::of_metric(&names[0]);
        let of_preset =
            preset.iter().flat_map(|preset| preset.metrics).flat_map(|metric| metric.names).map(|name| (*name).to_owned());
        (of_preset.chain(names.iter().cloned()).collect(), preset.is_none())
    }

    /// The beginnings of the names of the presets observed.
    pub(super) fn prefixes(&self) -> impl Iterator<Item = &'static str> {
        presets::ALL.iter().map(|preset| preset.prefix).filter(|prefix| self.items.iter().any(|i| i.names[0].starts_with(prefix)))
    }

    /// The presets of which a metric is missing, by the beginning of their names: what else there is of them has to be looked up.
    pub(super) fn prefixes_missed(&self, found: impl Fn(usize) -> bool) -> Vec<&'static str> {
        let missed = |prefix: &&str| {
            let of_preset = |item: &Item| item.names[0].starts_with(*prefix) && presets::metric(&item.names[0]).is_some();
            self.items.iter().enumerate().any(|(at, item)| of_preset(item) && !item.optional && !found(at))
        };
        self.prefixes().filter(missed).collect()
    }

    /// By how many seconds a metric that shows restarts may move without one; none: it shows none.
    pub(super) fn jitter(&self, name: &str) -> Option<f64> {
        self.items.iter().flat_map(|item| &item.starts).find(|(start, _)| start == name).map(|(_, jitter)| *jitter)
    }

    /// The longest that any of these items is reported late when idle.
    pub(super) fn latest(&self, items: impl Iterator<Item = usize>) -> Duration {
        items.map(|item| self.items[item].late.0).max().unwrap_or_default()
    }
}

impl Item {
    pub(super) fn matches(&self, labels: &Labels) -> bool {
        self.matchers.iter().all(|matcher| {
            let value = label(labels, &matcher.label);
            value == matcher.value || self.lenient && value.is_empty()
        })
    }

    /// Whether its kind is known by its name alone.
    pub(super) fn guessed(&self, of_server: Option<MetricKind>) -> bool {
        self.kind.or(of_server).is_none()
    }

    /// What it is: as written, or as its server says, or by its name.
    pub(super) fn kind(&self, of_server: Option<MetricKind>, name: &str) -> MetricKind {
        let by_name = || {
            let grows = ["_total", "_count", "_sum", "_bucket"].iter().any(|suffix| name.ends_with(suffix));
            if grows || self.counts { MetricKind::Counter } else { MetricKind::Gauge }
        };
        self.kind.or(of_server).unwrap_or_else(by_name)
    }
}

fn picked(matchers: &[Matcher]) -> Vec<(String, String)> {
    matchers.iter().map(|matcher| (matcher.label.clone(), matcher.value.clone())).collect()
}

impl Labelled {
    /// Takes in one series of a metric.
    pub(super) fn add(&mut self, wants: &Wants, metric: &str, labels: &Labels) {
        let lenient = || wants.items.iter().filter(|item| item.lenient && item.names.iter().any(|name| name == metric));
        if lenient().next().is_some() {
            self.found(metric);
        }
        for matcher in lenient().flat_map(|item| &item.matchers) {
            if !label(labels, &matcher.label).is_empty() {
                self.insert(metric, &matcher.label);
            }
        }
    }

    pub(super) fn insert(&mut self, metric: &str, label: &str) {
        self.labels.insert((metric.to_owned(), label.to_owned()));
    }

    /// Takes in that a metric is there, whatever its labels.
    pub(super) fn found(&mut self, metric: &str) {
        self.metrics.insert(metric.to_owned());
    }

    pub(super) fn is_there(&self, metric: &str) -> bool {
        self.metrics.contains(metric)
    }

    /// Whether any metric of the preset that this one belongs to has a label.
    fn any_has(&self, metric: &str, label: &str) -> bool {
        let prefix = presets::of_metric(metric).map(|preset| preset.prefix);
        self.labels.iter().any(|(other, has)| has == label && prefix.is_some_and(|prefix| other.starts_with(prefix)))
    }

    pub(super) fn has(&self, metric: &str, label: &str) -> bool {
        !self.labels.is_empty() && self.labels.contains(&(metric.to_owned(), label.to_owned()))
    }
}

/// The start times that speak for a metric: its system's; of a metric that no preset knows, its own process'; and its own.
fn starts_of(names: &[String]) -> Vec<(String, f64)> {
    let of_all = match presets::of_metric(&names[0]) {
        Some(preset) => {
            let start = preset.starts.iter().find(|start| names[0].starts_with(start.prefix));
            start.map(|start| (start.metric.to_owned(), start.jitter))
        }
        None => Some(("process_start_time_seconds".to_owned(), 1.0)),
    };
    of_all.into_iter().chain(names.iter().map(|name| (created(name), 0.001))).collect()
}

/// The metric by which OpenMetrics says when one of this name began to count.
pub(super) fn created(name: &str) -> String {
    let family = ["_total", "_count", "_sum", "_bucket"].iter().find_map(|suffix| name.strip_suffix(suffix));
    format!("{}{CREATED}", family.unwrap_or(name))
}

/// How the names of such metrics end.
pub(super) const CREATED: &str = "_created";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::counters::observe::Ratio;

    fn observe(counters: Vec<Wanted>) -> Observe {
        Observe { counters, ..Observe::default() }
    }

    #[test]
    fn a_common_mistake_or_an_old_name_brings_the_right_one() {
        let metric = |metric: &str| Wanted::Metric { metric: metric.into(), matchers: Vec::new(), kind: None };
        let wants = Wants::new(&observe(vec![metric("redis_used_memory_bytes"), metric("redis_memory_used_bytes")]));
        assert_eq!(wants.items.len(), 1);
        assert_eq!(wants.items[0].names[0], "redis_memory_used_bytes");
        assert_eq!(wants.items[0].kind, Some(MetricKind::Gauge));
        assert_eq!(wants.items[0].starts[0], ("redis_start_time_seconds".into(), 2.0));
    }

    #[test]
    fn an_item_is_kept_once_for_a_preset_its_values_and_a_ratio() {
        let preset = presets::find("redis").unwrap();
        let mut observe = observe(vec![Wanted::Preset { preset, matchers: Vec::new() }]);
        observe.ratios.push(Ratio {
            name: "hits".into(),
            of: "redis_keyspace_hits_total".into(),
            to: vec!["redis_keyspace_hits_total".into(), "cache_misses_total".into()],
            matchers: Vec::new(),
        });
        let wants = Wants::new(&observe);
        assert_eq!(wants.items.len(), preset.metrics.len() + 1);
        let starts: Vec<&str> = wants.items.last().unwrap().starts.iter().map(|(start, _)| &**start).collect();
        assert_eq!(starts, ["process_start_time_seconds", "cache_misses_created"]);
        let hits = wants.asked.last().unwrap();
        assert_eq!((hits.of.item, hits.to.len()), (hits.to[0].item, 2));
    }

    #[test]
    fn a_match_of_a_preset_applies_to_the_metrics_that_have_the_label() {
        let preset = presets::find("postgres").unwrap();
        let matchers = vec![Matcher::new("datname", "shop")];
        let wants = Wants::new(&observe(vec![Wanted::Preset { preset, matchers }]));
        let labels = |pairs: &[(&str, &str)]| pairs.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect::<Labels>();
        let mut labelled = Labelled::default();
        labelled.add(&wants, "pg_stat_database_blks_hit", &labels(&[("datid", "5"), ("datname", "shop")]));
        labelled.add(&wants, "pg_settings_max_connections", &labels(&[]));
        let takes = |metric: &str, pairs: &[(&str, &str)]| wants.find_in(&labelled, metric, &labels(pairs)).count() == 1;
        assert!(takes("pg_settings_max_connections", &[]));
        assert!(takes("pg_stat_database_blks_hit", &[("datname", "shop")]));
        assert!(!takes("pg_stat_database_blks_hit", &[("datname", "other")]));
        // The rows of PostgreSQL's shared objects have no database.
        assert!(!takes("pg_stat_database_blks_hit", &[("datid", "0")]));
        // A source of which nothing has the label isn't meant: an exporter that is read directly is no instance of a server's.
        let labelled = Labelled::default();
        assert_eq!(wants.find_in(&labelled, "pg_settings_max_connections", &Labels::new()).count(), 0);
    }

    #[test]
    fn a_series_belongs_where_its_labels_match() {
        let item = Wanted::Metric { metric: "up_total".into(), matchers: vec![Matcher::new("job", "api")], kind: None };
        let wants = Wants::new(&observe(vec![item]));
        let labels = |job: &str| vec![("job".to_owned(), job.to_owned())];
        assert_eq!(wants.find("up_total", &labels("api")).collect::<Vec<_>>(), [(0, 0)]);
        assert_eq!(wants.find("up_total", &labels("db")).count(), 0);
        assert_eq!(wants.find("up_total", &Labels::new()).count(), 0);
        assert_eq!(wants.items[0].kind(None, "up_total"), MetricKind::Counter);
        assert_eq!(wants.items[0].kind(Some(MetricKind::Gauge), "up_total"), MetricKind::Gauge);
    }
}
