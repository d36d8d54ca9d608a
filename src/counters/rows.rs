//! Puts the sources' findings together: rows, values, and what a reader has to know.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::error::SourceError;
use super::hints::{dialects, instead};
use super::observe::Kind;
use super::presets::{SERIES_OF_A_METRIC, SERIES_TO_READ};
use super::report::{CounterRow, Labels, Observed, Point, SourceReading, SourceReport, ValueSeries, Values};
use super::span::Between;
use super::values::{Found, gap};
use super::want::{Asked, Item, Wants, label};

/// What one source has to say of a phase.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) name: String,
    /// Of an exporter that is read directly: its host and port, which is its `instance` where a Prometheus scrapes it, too.
    pub(super) direct: Option<String>,
    pub(super) between: Result<Between, SourceError>,
    pub(super) readings: [SourceReading; 2],
}

impl Part {
    pub(super) fn found(&self) -> &[Found] {
        self.between.as_ref().map_or(&[], |between| &between.found)
    }

    pub(super) fn names(&self) -> &[String] {
        self.between.as_ref().map_or(&[], |between| &between.names)
    }

    fn left_out(&self) -> &[(String, u64)] {
        self.between.as_ref().map_or(&[], |between| &between.left_out)
    }
}

/// Makes the report of a phase of `span` seconds, at `flowing` of whose edges the load went on.
pub(super) fn assemble(wants: &Wants, mut parts: Vec<Part>, span: f64, flowing: u8, requests: u64) -> Observed {
    for found in parts.iter_mut().filter_map(|part| part.between.as_mut().ok()).flat_map(|between| &mut between.found) {
        // What a busy system hasn't said yet, at each edge under load.
        let late = wants.items[found.item].late.1.as_secs_f64() * f64::from(flowing);
        found.track.widen(found.kind, late / span.max(1e-3));
    }
    let mut rows = Vec::new();
    let mut notes = notes(wants, &parts);
    notes.extend(dialects(&parts));
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
                    rows.push(row(&part.name, series, requests));
                }
            }
        }
        let name = &part.name;
        notes.extend(unlisted.iter().map(|(metric, more)| format!("{name}: {more} more series of {metric} are not listed")));
    }
    for (at, item) in wants.items.iter().enumerate() {
        if !parts.iter().any(|part| part.found().iter().any(|found| found.item == at)) {
            let missing = nowhere(item, &parts);
            // What not every exporter has is missed only where a source could not be read.
            if !item.optional || parts.iter().any(|part| part.between.is_err()) {
                rows.push(missing_row(item, missing));
            }
        }
    }
    let mut by_name: BTreeMap<String, Result<Vec<ValueSeries>, String>> = BTreeMap::new();
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
    for value in by_name.values_mut().filter(|value| value.as_ref().is_ok_and(Vec::is_empty)) {
        *value = Err("nothing was counted, so there is no ratio".to_owned());
    }
    let sources = parts.into_iter().map(report).collect();
    Observed { rows, values: Values { by_name }, sources, notes }
}

fn row(source: &str, found: &Found, requests: u64) -> CounterRow {
    let track = &found.track;
    let delta = track.delta.ok();
    let times = if track.resets == 1 { "once".to_owned() } else { format!("{} times", track.resets) };
    let restarted = (track.resets > 0).then(|| format!("started again {times}; ± covers what was lost"));
    let born = track.born.map(|first| {
        format!(
            "came up during the phase, where others of this metric were there before, so it is counted from 0; the first that it \
             said was {first}, and ± covers that it may have been hidden"
        )
    });
    let notes: Vec<String> = born.into_iter().chain(restarted).collect();
    let note = (!notes.is_empty()).then(|| notes.join("; "));
    let levels = found.levels.filter(|_| found.kind == Kind::Gauge);
    CounterRow {
        source: source.to_owned(),
        metric: found.metric.clone(),
        labels: found.labels.iter().cloned().collect(),
        kind: found.kind,
        before: track.before,
        after: track.after,
        delta: delta.map(|delta| delta.value),
        per_request: delta.filter(|_| requests > 0).map(|delta| delta.value / requests as f64),
        uncertainty: delta.map(|delta| delta.uncertainty()),
        resets: track.resets,
        min: levels.map(|levels| levels.min),
        max: levels.map(|levels| levels.max),
        avg: levels.map(|levels| levels.avg),
        missing: delta.is_none().then(|| gap(track)),
        note,
    }
}

fn missing_row(item: &Item, missing: String) -> CounterRow {
    CounterRow {
        metric: item.names[0].clone(),
        kind: item.kind(None, &item.names[0]),
        missing: Some(missing),
        ..CounterRow::default()
    }
}

/// Why a metric is in no source.
fn nowhere(item: &Item, parts: &[Part]) -> String {
    let names = &item.names;
    if let Some(many) = parts.iter().find_map(|part| too_many(names, part)) {
        return many;
    }
    let failed: Vec<String> = parts.iter().filter_map(failed).collect();
    if !failed.is_empty() {
        return failed.join("; ");
    }
    let also = names.get(1..).unwrap_or_default();
    let also = if also.is_empty() { String::new() } else { format!(" (nor of {})", also.join(", ")) };
    let instead = instead(item, parts).map_or_else(String::new, |instead| format!(": {instead}"));
    format!("no source has a series of this name{also} with these labels{instead}")
}

fn too_many(names: &[String], part: &Part) -> Option<String> {
    let (_, count) = part.left_out().iter().find(|(name, _)| names.contains(name))?;
    Some(format!("{} has {count} series of it, more than {SERIES_TO_READ}: narrow it with `match`", part.name))
}

fn failed(part: &Part) -> Option<String> {
    part.between.as_ref().err().map(|error| format!("{} {error}", part.name))
}

/// A value of every system that any source knows. What is read directly isn't taken from a Prometheus that scrapes the same
/// address: its samples say less of the edges.
fn value(asked: &Asked, wants: &Wants, parts: &[Part]) -> Result<Vec<ValueSeries>, String> {
    let read: Vec<(&str, usize)> = parts
        .iter()
        .filter_map(|part| Some((part.direct.as_deref()?, part)))
        .flat_map(|(instance, part)| part.found().iter().map(move |found| (instance, found.item)))
        .collect();
    let mut of_sources = Vec::new();
    for part in parts {
        if let Some(unknown) = unknown(asked, wants, part) {
            return Err(unknown);
        }
        let levels = part.between.as_ref().map_or(&[][..], |between| &between.levels);
        let repeated = |found: &Found| part.direct.is_none() && read.contains(&(label(&found.labels, "instance"), found.item));
        if let Some(series) = asked.series(part.found().iter().filter(|found| !repeated(found)), levels) {
            of_sources.push((part, series?));
        }
    }
    if of_sources.is_empty() {
        let item = &wants.items[asked.of.item];
        return Err(format!("{}: {}", item.names[0], nowhere(item, parts)));
    }
    let several = of_sources.len() > 1;
    let series = of_sources.into_iter().flat_map(|(part, mut series)| {
        if several && part.direct.is_some() {
            series.iter_mut().for_each(|series| series.labels.insert(0, ("source".to_owned(), part.name.clone())));
        }
        series
    });
    Ok(series.collect())
}

/// Why a source may hide systems of a value: it could not be read, and nothing says that it had none of them; or it has too many
/// series.
fn unknown(asked: &Asked, wants: &Wants, part: &Part) -> Option<String> {
    let needed = || wants.items.iter().enumerate().filter(|(at, _)| asked.needs(*at)).map(|(_, item)| item);
    let has = |reading: &SourceReading| {
        let named = |point: &Point| needed().any(|item| item.names.contains(&point.metric) && item.matches(&point.labels));
        reading.points.iter().any(named)
    };
    let partial = part.between.as_ref().ok().and_then(|between| between.partial.as_ref());
    if let Some(partial) = partial {
        return Some(format!("{} answered in part: {partial}", part.name));
    }
    let mut read = part.readings.iter().filter(|reading| reading.error.is_none()).peekable();
    let may_have = read.peek().is_none() || read.any(has);
    failed(part)
        .filter(|_| may_have)
        .or_else(|| needed().find_map(|item| too_many(&item.names, part).map(|many| format!("{}: {many}", item.names[0]))))
}

/// What exporters cause themselves, with how often they were seen to be scraped; what was left out.
fn notes(wants: &Wants, parts: &[Part]) -> Vec<String> {
    let mut notes = Vec::new();
    for effect in &wants.own_effects {
        for part in parts {
            let of = part.found().iter().filter(|found| effect.items.contains(&found.item));
            if let Some(scrapes) = of.map(|found| found.samples).max() {
                let by = if part.direct.is_some() { "we scraped it" } else { "samples were taken" };
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

#[cfg(test)]
#[path = "rows_tests.rs"]
mod tests;
