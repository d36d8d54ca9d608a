//! Puts the sources' findings together: rows, values, and what a reader has to know.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::error::SourceError;
use super::hints::{dialects, instead};
use super::observe::Kind;
use super::presets::{self, Preset, SERIES_OF_A_METRIC, SERIES_TO_READ};
use super::report::{CounterRow, Labels, Observed, SourceReading, SourceReport};
use super::seen::{Seen, mistakes};
use super::span::Between;
use super::systems::{Absence, SOURCE, Systems, Unknown};
use super::twice::{Target, Twice};
use super::values::{Found, gap};
use super::want::{Asked, Item, Wants, label};
use crate::base::units::show_seconds;
use url::Url;

/// What one source has to say of a phase.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) name: String,
    /// Of an exporter that is read directly: where it is.
    pub(super) direct: Option<Url>,
    /// Of a Prometheus server that tells it, and where it matters: what it scrapes.
    pub(super) targets: Option<Vec<Target>>,
    pub(super) between: Result<Between, SourceError>,
    pub(super) readings: [SourceReading; 2],
    /// What it ever had; none: it could never be read.
    pub(super) had: Option<Seen>,
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
    let mut notes = notes(wants, &parts, span);
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
    let twice = Twice::new(&parts, span);
    let mistakes = mistakes(wants, parts.iter().filter_map(|part| part.had.as_ref()));
    notes.extend(mistakes.values().cloned());
    let present: Vec<Seen> = parts.iter().map(|part| present(wants, part)).collect();
    let mut by_name: BTreeMap<String, Systems> = BTreeMap::new();
    for (at, asked) in wants.asked.iter().enumerate() {
        let mut systems = match asked.entry.and_then(|entry| mistakes.get(&entry)) {
            Some(mistake) => Systems::unsaid(asked, mistake),
            None => systems(asked, wants, &parts, &twice),
        };
        for (part, present) in parts.iter().zip(&present) {
            systems.unknown.extend(gone(at, wants, part, present));
        }
        // Two systems of a kind, told apart by `match`, are systems of one value.
        by_name.entry(asked.name.clone()).or_default().join(systems);
    }
    let sources = parts.into_iter().map(report).collect();
    Observed { rows, values: by_name.into_iter().collect(), sources, notes }
}

fn row(source: &str, found: &Found, requests: u64) -> CounterRow {
    let track = &found.track;
    let delta = track.delta.ok();
    let times = if track.resets == 1 { "once".to_owned() } else { format!("{} times", track.resets) };
    // Where nothing bounds it, there is no ±.
    let off = track.known().ok().map(|(value, least, most)| (value - least).max(most - value)).filter(|off| off.is_finite());
    let lost =
        if off.is_some() { "± covers what was lost" } else { "it stood still before that, so what was lost may be any number" };
    let restarted = (track.resets > 0).then(|| format!("started again {times}; {lost}"));
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
        uncertainty: off,
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

/// A value of every system that any source knows, and what hides others. What is read directly isn't taken from a Prometheus
/// that scrapes it, too: its samples say less of the edges.
fn systems(asked: &Asked, wants: &Wants, parts: &[Part], twice: &Twice) -> Systems {
    let mut all = Systems { asked: Some(asked.clone()), ..Systems::default() };
    let mut there = false;
    for part in parts {
        all.unknown.extend(hidden(asked, wants, part));
        all.partial = all.partial.take().or_else(|| part.between.as_ref().ok()?.partial.clone());
        let levels = part.between.as_ref().map_or(&[][..], |between| &between.levels);
        for (system, parts) in asked.systems(&part.name, part.found().iter().filter(|found| !twice.repeats(part, found))) {
            there = true;
            let levels = asked.levels(&system, levels);
            let labels = asked.shown(system, part.direct.is_some().then_some(&*part.name));
            match asked.series(labels.clone(), &parts, levels) {
                Ok(series) => all.known.extend(series),
                Err(why) => all.unknown.push(Unknown { labels: labels.clone(), direct: part.direct.is_some(), why }),
            }
            all.parts.push((labels, parts));
        }
    }
    if all.known.is_empty() && all.unknown.is_empty() {
        let item = &wants.items[asked.of.item];
        let nowhere = || Absence::Nowhere(format!("{}: {}", item.names[0], nowhere(item, parts)));
        all.none = Some(if there { Absence::Idle(asked.idle().to_owned()) } else { nowhere() });
    }
    all
}

/// What a source has now.
fn present(wants: &Wants, part: &Part) -> Seen {
    let mut present = Seen::default();
    part.found().iter().for_each(|found| present.add(wants, found.item, &found.labels));
    present
}

/// The systems of a value that a source which can be read had before and has nothing of now, and those that have no number.
fn gone(at: usize, wants: &Wants, part: &Part, present: &Seen) -> Vec<Unknown> {
    let (Some(had), Ok(between)) = (&part.had, &part.between) else { return Vec::new() };
    let (asked, direct) = (&wants.asked[at], part.direct.is_some());
    let mut gone: BTreeMap<Labels, String> = BTreeMap::new();
    for (item, labels) in &between.blank {
        for (_, sum) in asked.terms().filter(|(_, sum)| sum.item == *item && sum.takes(labels)) {
            gone.insert(asked.system(labels, sum), format!("{} is no number (NaN or infinite)", wants.items[*item].names[0]));
        }
    }
    for system in had.systems(wants, at).filter(|system| !present.has_of(at, system)) {
        gone.entry(system.clone()).or_insert_with(|| "it was there before, and has no value now".to_owned());
    }
    let unknown = gone.into_iter().map(|(system, why)| {
        let labels = asked.shown(system, direct.then_some(&*part.name));
        Unknown { labels, direct, why }
    });
    unknown.collect()
}

/// Why a source may hide systems of a value: it could not be read, and nothing says that it had none of them; or it has too many
/// series.
fn hidden(asked: &Asked, wants: &Wants, part: &Part) -> Option<Unknown> {
    let needed: Vec<usize> = (0..wants.items.len()).filter(|at| asked.needs(*at)).collect();
    let may_have = || match &part.had {
        Some(had) => needed.iter().any(|at| had.has(*at)),
        None => may_be_of(&part.name, &wants.items[asked.of.item].names[0]),
    };
    let failed = failed(part).filter(|_| may_have());
    let many = || {
        let many =
            |at: &usize| too_many(&wants.items[*at].names, part).map(|many| format!("{}: {many}", wants.items[*at].names[0]));
        needed.iter().find_map(many)
    };
    let why = failed.or_else(many)?;
    Some(Unknown { labels: vec![(SOURCE.to_owned(), part.name.clone())], direct: part.direct.is_some(), why })
}

/// Whether a source of this name that nobody could ever read may have a metric. One that is called by a system (`redis-b`, `pg1`) is
/// that system's exporter; any other may have anything.
fn may_be_of(source: &str, metric: &str) -> bool {
    let words: Vec<String> = source.split(|c: char| !c.is_ascii_alphabetic()).map(str::to_ascii_lowercase).collect();
    let called = |preset: &&Preset| words.iter().any(|word| word == preset.name || preset.prefix.strip_suffix('_') == Some(word));
    presets::ALL.iter().copied().find(called).is_none_or(|preset| metric.starts_with(preset.prefix))
}

/// What exporters cause themselves, with how often they were seen to be scraped; what was left out.
fn notes(wants: &Wants, parts: &[Part], span: f64) -> Vec<String> {
    let mut notes = Vec::new();
    for effect in &wants.entries {
        for part in parts {
            let of = part.found().iter().filter(|found| effect.items.contains(&found.item));
            if let Some(scrapes) = of.map(|found| found.samples).max() {
                let by = if part.direct.is_some() { "we scraped it" } else { "samples were taken" };
                notes.push(format!("{}: {} ({by} {scrapes} times in this phase)", part.name, effect.own_effect));
            }
        }
    }
    for part in parts {
        for (job, interval) in part.between.iter().flat_map(|between| &between.jobs) {
            // Two samples within the phase are the least that says something of it alone.
            let of_job = |found: &Found| label(&found.labels, "job") == job;
            if span < 2.0 * interval && part.found().iter().any(of_job) {
                let (every, least) = (show_seconds(*interval), show_seconds(2.0 * interval));
                let job = if job.is_empty() { "what has no job".to_owned() } else { format!("the job `{job}`") };
                let length = show_seconds(span);
                notes.push(format!(
                    "{}: {job} is sampled each {every}, and {length} is too short for its counters; they need {least}",
                    part.name
                ));
            }
        }
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
