//! Puts the sources' findings together: rows, values, and what a reader has to know.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::error::SourceError;
use super::observe::Kind;
use super::presets::{SERIES_OF_A_METRIC, SERIES_TO_READ};
use super::report::{CounterRow, Labels, Observed, SourceReading, SourceReport, Values};
use super::span::Between;
use super::values::{Found, gap};
use super::want::{Asked, Item, Wants};

/// What one source has to say of a phase.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) name: String,
    /// Scraped by us, so exact at the edges.
    pub(super) direct: bool,
    pub(super) between: Result<Between, SourceError>,
    pub(super) readings: [SourceReading; 2],
}

impl Part {
    fn found(&self) -> &[Found] {
        self.between.as_ref().map_or(&[], |between| &between.found)
    }

    fn left_out(&self) -> &[(String, u64)] {
        self.between.as_ref().map_or(&[], |between| &between.left_out)
    }
}

/// Makes the report of a phase of `span` seconds, at `flowing` of whose edges the load went on.
pub(super) fn assemble(wants: &Wants, parts: Vec<Part>, span: f64, flowing: u8, requests: u64) -> Observed {
    let mut rows = Vec::new();
    let mut notes = notes(wants, &parts);
    for part in &parts {
        let mut found: Vec<&Found> = part.found().iter().collect();
        found.sort_by(|a, b| (a.item, &a.labels).cmp(&(b.item, &b.labels)));
        // Wants with different matchers may find the same series.
        let mut shown: HashMap<&str, HashSet<&Labels>> = HashMap::new();
        let mut unlisted: BTreeMap<&str, usize> = BTreeMap::new();
        for series in found {
            let of_metric = shown.entry(&series.metric).or_default();
            if of_metric.insert(&series.labels) {
                if of_metric.len() > SERIES_OF_A_METRIC {
                    *unlisted.entry(&series.metric).or_default() += 1;
                } else {
                    rows.push(row(wants, &part.name, series, span, flowing, requests));
                }
            }
        }
        let name = &part.name;
        notes.extend(unlisted.iter().map(|(metric, more)| format!("{name}: {more} more series of {metric} are not listed")));
    }
    for (at, item) in wants.items.iter().enumerate() {
        if !parts.iter().any(|part| part.found().iter().any(|found| found.item == at)) {
            rows.push(missing_row(item, nowhere(&item.names, &parts)));
        }
    }
    let mut by_name: BTreeMap<String, Result<Vec<_>, String>> = BTreeMap::new();
    for asked in &wants.asked {
        let value = value(asked, wants, &parts);
        // Two systems of a kind, told apart by `match`: all of them, or why not.
        let together = match (by_name.remove(&asked.name), value) {
            (Some(Ok(mut all)), Ok(more)) => {
                all.extend(more);
                Ok(all)
            }
            (Some(Err(missing)), _) | (_, Err(missing)) => Err(missing),
            (None, Ok(series)) => Ok(series),
        };
        by_name.insert(asked.name.clone(), together);
    }
    let sources = parts.into_iter().map(report).collect();
    Observed { rows, values: Values { by_name }, sources, notes }
}

fn row(wants: &Wants, source: &str, found: &Found, span: f64, flowing: u8, requests: u64) -> CounterRow {
    let track = &found.track;
    let delta = track.delta.ok();
    // What a busy system hasn't told yet, at each edge under load.
    let late = wants.items[found.item].late.1.as_secs_f64() * f64::from(flowing);
    let uncertainty = delta.map(|delta| track.unsure + delta.abs() * (late / span.max(1e-3)).min(1.0));
    let times = if track.resets == 1 { "once".to_owned() } else { format!("{} times", track.resets) };
    let restarted =
        (track.resets > 0).then(|| format!("started again {times}; what it counted after the last sample before that is lost"));
    let born = track.born.map(|first| {
        format!(
            "came up during the phase, where others of this metric were there before, so it is counted from 0; the first that it \
             said was {first}"
        )
    });
    let notes: Vec<String> = born.into_iter().chain(restarted).collect();
    let note = (!notes.is_empty()).then(|| notes.join("; "));
    CounterRow {
        source: source.to_owned(),
        metric: found.metric.clone(),
        labels: found.labels.clone(),
        kind: found.kind,
        before: track.before,
        after: track.after,
        delta,
        per_request: delta.filter(|_| requests > 0).map(|delta| delta / requests as f64),
        uncertainty,
        resets: track.resets,
        levels: track.levels.filter(|_| found.kind == Kind::Gauge),
        missing: delta.is_none().then(|| gap(track)),
        note,
    }
}

fn missing_row(item: &Item, missing: String) -> CounterRow {
    CounterRow {
        source: String::new(),
        metric: item.names[0].clone(),
        labels: Labels::new(),
        kind: item.kind(None, &item.names[0]),
        before: None,
        after: None,
        delta: None,
        per_request: None,
        uncertainty: None,
        resets: 0,
        levels: None,
        missing: Some(missing),
        note: None,
    }
}

/// Why a metric is in no source.
fn nowhere(names: &[String], parts: &[Part]) -> String {
    let many = parts.iter().flat_map(|part| part.left_out().iter().map(move |(name, count)| (part, name, count)));
    if let Some((part, _, count)) = many.into_iter().find(|(_, name, _)| names.contains(name)) {
        let limit = SERIES_TO_READ;
        return format!("{} has {count} series of it, more than {limit}: narrow it with `match`", part.name);
    }
    let failed: Vec<String> =
        parts.iter().filter_map(|part| part.between.as_ref().err().map(|error| format!("{} {error}", part.name))).collect();
    if !failed.is_empty() {
        return failed.join("; ");
    }
    let also = names.get(1..).unwrap_or_default();
    let also = if also.is_empty() { String::new() } else { format!(" (nor of {})", also.join(", ")) };
    format!("no source has a series of this name{also} with these labels")
}

/// A value from the source that knows best: one that is scraped directly, then Prometheus.
fn value(asked: &Asked, wants: &Wants, parts: &[Part]) -> Result<Vec<super::report::ValueSeries>, String> {
    let (direct, stored): (Vec<&Part>, Vec<&Part>) = parts.iter().partition(|part| part.direct);
    let mut reason = None;
    for part in direct.into_iter().chain(stored) {
        let levels = part.between.as_ref().map_or(&[][..], |between| &between.levels);
        match asked.series(part.found(), levels) {
            Some(Ok(series)) => return Ok(series),
            Some(Err(error)) => reason = reason.or(Some(error)),
            None => {}
        }
    }
    Err(reason.unwrap_or_else(|| {
        let names = &wants.items[asked.of.item].names;
        format!("{}: {}", names[0], nowhere(names, parts))
    }))
}

/// What exporters cause themselves, with how often they were seen to be scraped; what was left out.
fn notes(wants: &Wants, parts: &[Part]) -> Vec<String> {
    let mut notes = Vec::new();
    for effect in &wants.own_effects {
        for part in parts {
            let of = part.found().iter().filter(|found| effect.items.contains(&found.item));
            if let Some(scrapes) = of.map(|found| found.track.samples).max() {
                let by = if part.direct { "we scraped it" } else { "samples were taken" };
                notes.push(format!("{}: {} ({by} {scrapes} times in this phase)", part.name, effect.text));
            }
        }
    }
    for part in parts {
        for (metric, count) in part.left_out() {
            notes.push(format!("{}: {metric} was left out: {count} series, more than {SERIES_TO_READ}", part.name));
        }
    }
    notes
}

fn report(part: Part) -> SourceReport {
    let [before, after] = part.readings;
    let (error, interval, more) = match part.between {
        Ok(between) => (None, between.interval, between.warnings),
        Err(error) => (Some(error), after.interval.or(before.interval), Vec::new()),
    };
    let mut warnings = before.warnings;
    for warning in after.warnings.into_iter().chain(more) {
        if !warnings.contains(&warning) {
            warnings.push(warning);
        }
    }
    SourceReport { name: part.name, error, warnings, interval }
}
