//! What the target's own counters did meanwhile.

use std::collections::BTreeMap;

use super::super::figures::{in_unit, number, optional};
use super::super::style::{Style, clean};
use super::super::table::{Align, Cell, Table, Tone};
use super::line;
use crate::record::{Counter, Phase};

/// What the counters say together, then those that moved. What stood still, and what a second source read as well, is
/// in `run.json`; here it is only counted.
pub(super) fn counters(out: &mut String, phase: &Phase, style: Style) {
    values(out, phase, style);
    let found: Vec<&Counter> = phase.counters.iter().filter(|counter| counter.missing.is_none()).collect();
    let (moved, still): (Vec<&Counter>, Vec<&Counter>) = found.into_iter().partition(|counter| has_moved(counter));
    let (again, shown): (Vec<&Counter>, Vec<&Counter>) =
        moved.iter().copied().partition(|counter| moved.iter().any(|other| repeats(counter, other)));
    let mut table = Table::new(vec![
        ("source", Align::Left),
        ("counter", Align::Left),
        ("before", Align::Right),
        ("after", Align::Right),
        ("delta", Align::Right),
        ("±", Align::Right),
        ("per request", Align::Right),
        ("max", Align::Right),
        ("", Align::Left),
    ]);
    let common = common_labels(&shown);
    for counter in &shown {
        table.row(row(counter, &common));
    }
    if !table.is_empty() {
        table.render(out, 2, style);
    }
    if !still.is_empty() || !again.is_empty() {
        let text = format!("{} more stood still, {} were read by a second source as well", still.len(), again.len());
        line(out, "counters", &style.dim(&text), style);
    }
    for counter in &phase.counters {
        if let Some(why) = &counter.missing {
            let text = format!("{} {}: {}", clean(&counter.source), named(&counter.metric, &counter.labels), clean(why));
            line(out, "missing", &style.unsure(text.trim_end()), style);
        }
    }
    for source in &phase.sources {
        if let Some(error) = &source.error {
            let text = format!("{}: {}", clean(&source.name), clean(error));
            line(out, "unreadable", &style.unsure(text.trim_end()), style);
        }
        for warning in &source.warnings {
            line(out, "warning", format!("{}: {}", clean(&source.name), clean(warning)).trim_end(), style);
        }
    }
}

/// What a reader must know of the counters, once for the run. A phase's own figures stand in brackets at a note's end.
pub(super) fn notes(out: &mut String, phases: &[Phase], style: Style) {
    let mut told: Vec<&str> = Vec::new();
    let is_source = |name: &str| phases.iter().flat_map(|phase| &phase.sources).any(|source| source.name == name);
    for note in phases.iter().flat_map(|phase| &phase.notes) {
        let note = match note.rfind(" (") {
            Some(at) if note.ends_with(')') => &note[..at],
            _ => note,
        };
        // Which source told it doesn't change what is to be known.
        let note = note.split_once(": ").filter(|(source, _)| is_source(source)).map_or(note, |(_, note)| note);
        if !told.contains(&note) {
            told.push(note);
        }
    }
    if !told.is_empty() {
        out.push('\n');
    }
    told.iter().for_each(|note| line(out, "note", clean(note).trim_end(), style));
}

fn has_moved(counter: &Counter) -> bool {
    counter.delta.is_none_or(|delta| delta != 0.0) || counter.resets > 0 || counter.note.is_some() || counter.min != counter.max
}

/// Whether a Prometheus server says of a series what an exporter of ours says of it: the same labels but those that the
/// server itself added.
fn repeats(counter: &Counter, other: &Counter) -> bool {
    let added = |labels: &BTreeMap<String, String>| labels.contains_key("job") && labels.contains_key("instance");
    counter.metric == other.metric
        && counter.source != other.source
        && added(&counter.labels)
        && !added(&other.labels)
        && other.labels.iter().all(|(name, value)| counter.labels.get(name) == Some(value))
}

/// Labels that have one value over all series of a source, and so tell nothing apart.
fn common_labels(counters: &[&Counter]) -> BTreeMap<(String, String), Option<String>> {
    let mut common = BTreeMap::new();
    for counter in counters {
        for (name, value) in &counter.labels {
            common
                .entry((counter.source.clone(), name.clone()))
                .and_modify(|only: &mut Option<String>| {
                    if only.as_ref() != Some(value) {
                        *only = None;
                    }
                })
                .or_insert_with(|| Some(value.clone()));
        }
    }
    common
}

fn values(out: &mut String, phase: &Phase, style: Style) {
    let mut values = Table::new(vec![
        ("value", Align::Left),
        ("", Align::Right),
        ("min", Align::Right),
        ("max", Align::Right),
        ("", Align::Left),
    ]);
    for value in &phase.values {
        let name = named(&value.name, &value.labels);
        values.row(match &value.missing {
            None => {
                let varied = value.min != value.max;
                let bound = |bound: Option<f64>| if varied { in_unit(bound, value.unit) } else { String::new() };
                let shown = in_unit(value.value, value.unit);
                vec![name.into(), shown.into(), bound(value.min).into(), bound(value.max).into()]
            }
            Some(why) => {
                let why = Cell::toned(format!("missing: {}", clean(why)).trim_end(), Tone::Unsure);
                vec![name.into(), "".into(), "".into(), "".into(), why]
            }
        });
    }
    if !values.is_empty() {
        values.render(out, 2, style);
    }
}

fn row(counter: &Counter, common: &BTreeMap<(String, String), Option<String>>) -> Vec<Cell> {
    let tells = |name: &&String| common.get(&(counter.source.clone(), (*name).clone())).is_none_or(Option::is_none);
    let labels = counter.labels.iter().filter(|(name, _)| tells(name)).map(|(name, value)| (name.clone(), value.clone()));
    let mut cells: Vec<Cell> = vec![clean(&counter.source).into(), named(&counter.metric, &labels.collect()).into()];
    let told = |value: Option<f64>| Cell::from(value.filter(|value| *value != 0.0).map_or_else(String::new, number));
    cells.extend([optional(counter.before), optional(counter.after), optional(counter.delta)].map(Cell::from));
    cells.push(told(counter.uncertainty));
    cells.push(told(counter.per_request));
    cells.push(counter.max.map_or_else(String::new, number).into());
    let resets = match counter.resets {
        0 => String::new(),
        n => format!("restarted {n} times"),
    };
    let notes: Vec<String> =
        counter.note.iter().map(|note| clean(note)).chain([resets]).filter(|note| !note.is_empty()).collect();
    cells.push(notes.join("; ").trim_end().into());
    cells
}

/// `redis_commands_processed_total{instance="127.0.0.1:9121"}`.
fn named(name: &str, labels: &BTreeMap<String, String>) -> String {
    if labels.is_empty() {
        return clean(name);
    }
    let labels: Vec<String> = labels.iter().map(|(name, value)| format!("{}=\"{}\"", clean(name), clean(value))).collect();
    format!("{}{{{}}}", clean(name), labels.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counter(source: &str, labels: &[(&str, &str)], delta: f64) -> Counter {
        Counter {
            source: source.into(),
            metric: "redis_commands_processed_total".into(),
            labels: labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
            before: Some(1.0),
            after: Some(1.0 + delta),
            delta: Some(delta),
            ..Counter::default()
        }
    }

    #[test]
    fn what_stood_still_or_was_read_twice_is_only_counted() {
        let scraped = [("instance", "127.0.0.1:9121"), ("job", "redis")];
        let phase = Phase {
            counters: vec![
                counter("redis", &[], 5.0),
                counter("prometheus", &scraped, 5.0),
                counter("redis", &[("cmd", "get")], 0.0),
            ],
            ..crate::record::sample::run().phases.remove(0)
        };
        let mut out = String::new();
        counters(&mut out, &Phase { values: vec![], sources: vec![], ..phase }, Style::plain());
        assert_eq!(out.matches("redis_commands_processed_total").count(), 1, "{out}");
        assert!(out.contains("1 more stood still, 1 were read by a second source as well"), "{out}");
    }
}
