//! Puts the sources' findings together: rows, values, and what a reader has to know.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::hints::{dialects, instead};
use super::kind::MetricKind;
use super::labels::{Labels, NAME, SOURCE, TARGET, label};
use super::observe::Matcher;
use super::part::SourceFindings;
use super::presets::{self, Preset, SERIES_OF_A_METRIC};
use super::report::{CounterRow, LeftOut, Observed, SourceReport};
use super::seen::{Seen, mistakes};
use super::systems::{Absence, Systems, Unknown};
use super::twice::Twice;
use super::values::{SeriesFindings, gap};
use super::want::{Asked, Item, Wants};
use crate::base::units::show_seconds;

/// Makes the report of a phase of `span` seconds, at `flowing` of whose edges the load went on.
pub(super) fn assemble(wants: &Wants, mut parts: Vec<SourceFindings>, span: f64, flowing: u8, requests: u64) -> Observed {
    for found in parts.iter_mut().filter_map(|part| part.between.as_mut().ok()).flat_map(|between| &mut between.found) {
        // What a busy system hasn't said yet, at each edge under load.
        let late = wants.items[found.item].late.1.as_secs_f64() * f64::from(flowing);
        found.track.widen(found.kind, late / span.max(1e-3));
    }
    let mut rows = Vec::new();
    let mut notes = notes(wants, &parts, span);
    notes.extend(dialects(&parts));
    for part in &parts {
        let mut found: Vec<&SeriesFindings> = part.found().iter().collect();
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
            let missing = blank(at, &parts).unwrap_or_else(|| nowhere(at, wants, &parts));
            // A metric that only some exporters have is missing only if a source could not be read.
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
            Some(mistake) => Systems::unsaid(asked, mistake, wants.incomplete),
            None => systems(at, wants, &parts, &twice),
        };
        systems.incomplete = wants.incomplete;
        for (part, present) in parts.iter().zip(&present) {
            systems.unknown.extend(gone(at, wants, part, present));
        }
        // Two systems of a kind, distinguished by `match`, are systems of one value.
        by_name.entry(asked.name.clone()).or_default().join(systems);
    }
    let sources = parts.into_iter().map(report).collect();
    Observed { rows, values: by_name.into_iter().collect(), sources, notes }
}

fn row(source: &str, found: &SeriesFindings, requests: u64) -> CounterRow {
    let track = &found.track;
    let delta = track.delta.ok();
    let times = if track.resets == 1 { "once".to_owned() } else { format!("{} times", track.resets) };
    // Where nothing bounds it, there is no ±.
    let off = track.known().ok().map(|(value, least, most)| (value - least).max(most - value)).filter(|off| off.is_finite());
    let lost = match off {
        _ if track.hidden.most().is_infinite() => "; it was not seen to move just before that, so nothing bounds what was lost",
        Some(_) => "; ± covers what was lost",
        None => "",
    };
    let restarted = (track.resets > 0).then(|| format!("started again {times}{lost}"));
    let born = track.born.map(|first| {
        format!(
            "came up during the phase, and its target was read without it before, so it is counted from 0; the first that it said \
             was {first}, and ± covers that it may have been hidden"
        )
    });
    let gone = track.gone.then(|| format!("it was gone again before the phase's end, and counts up to its last sample{lost}"));
    let unread =
        track.unread.then(|| "it was not read before the phase began: what it counted until it was is not in it".to_owned());
    let levels = found.levels.filter(|_| found.kind == MetricKind::Gauge);
    let away = levels.filter(|levels| levels.hole > 0.0).map(|levels| {
        let away = show_seconds(levels.hole);
        format!("it wasn't there for {away} of the phase: its least, greatest and mean value are those of the rest")
    });
    let ended = levels.filter(|levels| levels.ended > 0.0).map(|levels| {
        let before = show_seconds(levels.ended);
        format!("around the phase's end it wasn't there from {before} before it: its value at the end may have been any")
    });
    let notes: Vec<String> = born.into_iter().chain(restarted).chain(gone).chain(unread).chain(away).chain(ended).collect();
    let note = (!notes.is_empty()).then(|| notes.join("; "));
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
fn nowhere(at: usize, wants: &Wants, parts: &[SourceFindings]) -> String {
    let item = &wants.items[at];
    let names = &item.names;
    if let Some(left_out) = parts.iter().find_map(|part| left_out(names, part)) {
        return left_out;
    }
    if let Some(stale) = stale(at, parts) {
        return stale.1;
    }
    let failed: Vec<String> = parts.iter().filter_map(failed).collect();
    if !failed.is_empty() {
        return failed.join("; ");
    }
    let also = names.get(1..).unwrap_or_default();
    let also = if also.is_empty() { String::new() } else { format!(" (nor of {})", also.join(", ")) };
    if let Some(down) = parts.iter().find_map(|part| down(item, part).next()) {
        return down.1;
    }
    let instead = instead(item, parts).map_or_else(String::new, |instead| format!(": {instead}"));
    format!("no source has a series of this name{also} with these labels{instead}")
}

/// Readings showing that a source misses a system which an item may be of: its labels, and the message.
fn down<'a>(item: &'a Item, part: &'a SourceFindings) -> impl Iterator<Item = (&'a Labels, String)> {
    let up = presets::of_metric(&item.names[0]).and_then(|preset| preset.up);
    let all = part.between.as_ref().map_or(&[][..], |between| &between.down);
    // A database isn't named there.
    let other =
        |labels: &Labels, of: &Matcher| !matches!(label(labels, &of.label), value if value.is_empty() || value == of.value);
    // An exporter is no instance of a server's.
    let direct = part.direct.is_some();
    let no_target =
        move |labels: &Labels, of: &Matcher| direct && TARGET.contains(&&*of.label) && label(labels, &of.label).is_empty();
    let meant = move |labels: &Labels| !item.matchers.iter().any(|of| other(labels, of) || no_target(labels, of));
    let of_item = all.iter().filter(move |(name, labels)| up == Some(name.as_str()) && meant(labels));
    of_item.map(|(name, labels)| (labels, format!("{name} of {} is 0: its exporter is there, and the server is down", part.name)))
}

/// The systems of a value that a source is there for and can't read; and where it has `nothing` of the value and is an exporter of such a
/// system, that.
fn lacking(asked: &Asked, wants: &Wants, part: &SourceFindings, nothing: bool) -> Vec<Unknown> {
    let (item, direct) = (&wants.items[asked.of.item], part.direct.is_some());
    let unknown = |system: Labels, why: String| {
        let labels = asked.shown(system, direct.then_some(&*part.name));
        Unknown { labels, direct, why: format!("{}: {why}", item.names[0]), ..Unknown::default() }
    };
    let there = asked.systems(&part.name, part.found().iter());
    let down = down(item, part).map(|(labels, why)| {
        let labels: Labels = labels.iter().filter(|(name, _)| name != NAME).cloned().collect();
        (asked.system(&labels, &asked.of), why)
    });
    let down: Vec<Unknown> =
        down.filter(|(system, _)| !there.contains_key(system)).map(|(system, why)| unknown(system, why)).collect();
    let preset = presets::of_metric(&item.names[0]).filter(|_| nothing && down.is_empty() && item.matchers.is_empty());
    let is_of =
        |preset: &Preset| part.names().iter().any(|name| preset.knows(name)) || direct && called(&part.name) == Some(preset.name);
    // What has no number is reported at its series.
    let silent = part.between.as_ref().is_ok_and(|between| !between.blank.iter().any(|blank| asked.needs(blank.item)));
    match preset.filter(|preset| silent && is_of(preset)) {
        Some(_) => vec![unknown(Labels::new(), nowhere(asked.of.item, wants, std::slice::from_ref(part)))],
        None => down,
    }
}

fn left_out(names: &[String], part: &SourceFindings) -> Option<String> {
    Some(part.left_out().iter().find(|of| of.is_of(names))?.text(&part.name))
}

/// Why a metric that is there has no value.
fn blank(item: usize, parts: &[SourceFindings]) -> Option<String> {
    let blank = |part: &SourceFindings| Some(part.between.as_ref().ok()?.blank.iter().find(|blank| blank.item == item)?.why());
    parts.iter().find_map(blank)
}

/// A source that had an item until a while ago, and how long.
fn stale(item: usize, parts: &[SourceFindings]) -> Option<(&SourceFindings, String)> {
    parts.iter().find_map(|part| {
        let (_, age) = part.between.as_ref().ok()?.stale.iter().find(|(of, _)| *of == item)?;
        let age = show_seconds(*age);
        Some((part, format!("{} has no sample of it in the phase; the newest is from {age} before the phase's end", part.name)))
    })
}

fn failed(part: &SourceFindings) -> Option<String> {
    part.between.as_ref().err().map(|error| format!("{} {error}", part.name))
}

/// A value of every system that any source knows, and what hides others. What is read directly isn't taken from a Prometheus
/// that scrapes it, too: its samples say less of the edges.
fn systems(at: usize, wants: &Wants, parts: &[SourceFindings], twice: &Twice) -> Systems {
    let asked = &wants.asked[at];
    let mut all = Systems { asked: Some(asked.clone()), ..Systems::default() };
    let mut there = false;
    for part in parts {
        all.unknown.extend(hidden(asked, wants, part));
        all.partial = all.partial.take().or_else(|| part.between.as_ref().ok()?.partial.clone());
        let levels = part.between.as_ref().map_or(&[][..], |between| &between.levels);
        let systems = asked.systems(&part.name, part.found().iter().filter(|found| !twice.repeats(part, found)));
        for (system, parts) in &systems {
            let had = |had: &Seen| had.systems(wants, at).any(|of| of == system);
            if asked.is_beside(parts, &systems) && !part.had.as_ref().is_some_and(had) {
                continue;
            }
            there = true;
            let (system, parts) = (system.clone(), parts.clone());
            let levels = asked.levels(&system, levels);
            let labels = asked.shown(system, part.direct.is_some().then_some(&*part.name));
            match asked.series(labels.clone(), &parts, levels) {
                Ok(series) => all.known.extend(series),
                Err(why) => {
                    all.unknown.push(Unknown {
                        labels: labels.clone(),
                        direct: part.direct.is_some(),
                        why,
                        ..Unknown::default()
                    });
                }
            }
            all.parts.push((labels, parts));
        }
    }
    let nothing = all.known.is_empty() && all.unknown.is_empty() && !there;
    for part in parts.iter().filter(|part| nothing || part.direct.is_some()) {
        all.unknown.extend(lacking(asked, wants, part, nothing));
    }
    if all.known.is_empty() && all.unknown.is_empty() {
        let item = &wants.items[asked.of.item];
        let said = |why: String| format!("{}: {why}", item.names[0]);
        match stale(asked.of.item, parts).filter(|_| !there) {
            Some((part, why)) => {
                let (mut labels, direct) = (vec![(SOURCE.to_owned(), part.name.clone())], part.direct.is_some());
                // What it was narrowed to is none of the others.
                labels.extend(item.matchers.iter().map(|of| (of.label.clone(), of.value.clone())));
                all.unknown.push(Unknown { labels, direct, why: said(why), ..Unknown::default() });
            }
            None if there => all.none = Some(Absence::Idle(asked.idle().to_owned())),
            None => all.none = Some(Absence::Nowhere(said(nowhere(asked.of.item, wants, parts)))),
        }
    }
    all
}

/// What a source has now.
fn present(wants: &Wants, part: &SourceFindings) -> Seen {
    let mut present = Seen::default();
    part.found().iter().for_each(|found| present.add(wants, found.item, &found.labels));
    present
}

/// The systems of a value that a source which can be read had before and has nothing of now, and those that have no number.
fn gone(at: usize, wants: &Wants, part: &SourceFindings, present: &Seen) -> Vec<Unknown> {
    let (Some(had), Ok(between)) = (&part.had, &part.between) else { return Vec::new() };
    let (asked, direct) = (&wants.asked[at], part.direct.is_some());
    let mut gone: BTreeMap<Labels, String> = BTreeMap::new();
    for blank in &between.blank {
        for (_, sum) in asked.terms().filter(|(_, sum)| sum.item == blank.item && sum.takes(&blank.labels)) {
            gone.insert(asked.system(&blank.labels, sum), blank.why());
        }
    }
    for system in had.systems(wants, at).filter(|system| !present.has_of(at, system)) {
        gone.entry(system.clone()).or_insert_with(|| "it was there before, and has no value now".to_owned());
    }
    let unknown = gone.into_iter().map(|(system, why)| {
        let labels = asked.shown(system, direct.then_some(&*part.name));
        Unknown { labels, direct, why, ..Unknown::default() }
    });
    unknown.collect()
}

/// Why a source may hide systems of a value: it could not be read, and nothing says that it had none of them; or a metric was left
/// out.
fn hidden(asked: &Asked, wants: &Wants, part: &SourceFindings) -> Option<Unknown> {
    let needed: Vec<usize> = (0..wants.items.len()).filter(|at| asked.needs(*at)).collect();
    let may_have = || match &part.had {
        Some(had) => needed.iter().any(|at| had.has(*at)),
        None => may_be_of(&part.name, &wants.items[asked.of.item].names[0]),
    };
    let failed = failed(part).filter(|_| may_have());
    let left_out = |at: &usize| Some(format!("{}: {}", wants.items[*at].names[0], left_out(&wants.items[*at].names, part)?));
    let why = failed.or_else(|| needed.iter().find_map(left_out))?;
    let labels = vec![(SOURCE.to_owned(), part.name.clone())];
    Some(Unknown { labels, direct: part.direct.is_some(), why, ..Unknown::default() })
}

/// Whether a source of this name that nobody could ever read may have a metric. One that is called by a system (`redis-b`, `pg1`) is
/// that system's exporter; any other may have anything.
fn may_be_of(source: &str, metric: &str) -> bool {
    called(source).and_then(presets::find).is_none_or(|preset| metric.starts_with(preset.prefix))
}

/// The preset of the system that a source is called by.
fn called(source: &str) -> Option<&'static str> {
    let words: Vec<String> = source.split(|c: char| !c.is_ascii_alphabetic()).map(str::to_ascii_lowercase).collect();
    let called =
        |preset: &&&Preset| words.iter().any(|word| word == preset.name || preset.prefix.strip_suffix('_') == Some(word));
    presets::ALL.iter().find(called).map(|preset| preset.name)
}

/// What exporters cause themselves, with how often they were seen to be scraped; what was left out.
fn notes(wants: &Wants, parts: &[SourceFindings], span: f64) -> Vec<String> {
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
            let of_job = |found: &SeriesFindings| label(&found.labels, "job") == job;
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
        // What can't be read is among its warnings.
        let many = part.left_out().iter().filter(|of| matches!(of, LeftOut::Many { .. }));
        notes.extend(many.map(|of| format!("{} was left out: {}", of.metric(), of.text(&part.name))));
    }
    notes
}

fn report(part: SourceFindings) -> SourceReport {
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
