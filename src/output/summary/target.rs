//! What the target's own counters did meanwhile: the values made of them, then those that moved.

use std::collections::{BTreeMap, BTreeSet};

use super::super::style::{Style, clean};
use super::super::table::{Align, Cell, Table, Tone, line};
use crate::base::figures::{count, number, optional};
use crate::counters::MetricKind;
use crate::record::{CounterRow, Phase};

type Labels = BTreeMap<String, String>;

/// The values that are made of counters, such as ratios.
pub(super) fn made(out: &mut String, phase: &Phase, style: Style) {
    let mut table = Table::new(vec![
        ("the target's", Align::Left),
        ("value", Align::Right),
        ("min", Align::Right),
        ("max", Align::Right),
        ("", Align::Left),
    ]);
    for value in &phase.values {
        let siblings: Vec<&Labels> =
            phase.values.iter().filter(|other| other.name == value.name).map(|other| &other.labels).collect();
        let name = named(&value.name, &value.labels, &siblings);
        table.row(match &value.missing {
            None => {
                let varied = value.min != value.max;
                let bound = |bound: Option<f64>| if varied { value.unit.show_if_any(bound) } else { String::new() };
                let shown = value.unit.show_if_any(value.value);
                vec![name.into(), shown.into(), bound(value.min).into(), bound(value.max).into()]
            }
            Some(why) => {
                let why = Cell::toned(format!("missing: {}", clean(why)).trim_end(), Tone::Unsure);
                vec![name.into(), "".into(), "".into(), "".into(), why]
            }
        });
    }
    if !table.is_empty() {
        table.render(out, 2, style);
    }
}

/// The counters that moved, and those that are missing. What stood still, and what a second source read as well, is in
/// `run.json`; here it is only counted.
pub(super) fn counters(out: &mut String, phase: &Phase, style: Style) {
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
    let (still, moved): (Vec<&CounterRow>, Vec<&CounterRow>) =
        phase.counters.iter().filter(|counter| counter.missing.is_none()).partition(|counter| is_still(counter));
    let (again, shown): (Vec<&CounterRow>, Vec<&CounterRow>) =
        moved.iter().copied().partition(|counter| moved.iter().any(|other| repeats(counter, other)));
    for counter in &shown {
        let same = |other: &&&CounterRow| other.source == counter.source && other.metric == counter.metric;
        let siblings: Vec<&Labels> = shown.iter().filter(same).map(|other| &other.labels).collect();
        table.row(row(counter, &siblings));
    }
    if !table.is_empty() {
        table.render(out, 2, style);
    }
    let left_out = [(still.len(), "more stood still"), (again.len(), "were read by a second source as well")];
    let left_out: Vec<String> =
        left_out.into_iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!("{} {what}", count(n as u64))).collect();
    if !left_out.is_empty() {
        line(out, "counters", &style.dim(&left_out.join(", ")), style);
    }
    for counter in &phase.counters {
        if let Some(why) = &counter.missing {
            let name = named(&counter.metric, &counter.labels, &[&counter.labels, &Labels::new()]);
            let source = if counter.source.is_empty() { String::new() } else { format!("{} ", clean(&counter.source)) };
            line(out, "missing", style.unsure(format!("{source}{name}: {}", clean(why)).trim_end()).as_str(), style);
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
    let mut notes: Vec<&str> = Vec::new();
    let is_source = |name: &str| phases.iter().flat_map(|phase| &phase.sources).any(|source| source.name == name);
    for note in phases.iter().flat_map(|phase| &phase.notes) {
        let note = match note.rfind(" (") {
            Some(at) if note.ends_with(')') => &note[..at],
            _ => note,
        };
        // Which source said it doesn't change what is to be known.
        let note = note.split_once(": ").filter(|(source, _)| is_source(source)).map_or(note, |(_, note)| note);
        if !notes.contains(&note) {
            notes.push(note);
        }
    }
    if !notes.is_empty() {
        out.push('\n');
    }
    notes.iter().for_each(|note| line(out, "note", clean(note).trim_end(), style));
}

/// Whether nothing happened to a series, and nothing is to be said of it.
fn is_still(counter: &CounterRow) -> bool {
    counter.delta == Some(0.0) && counter.resets == 0 && counter.min == counter.max && counter.note.is_none()
}

/// Whether a Prometheus server says of a series what an exporter of ours says of it: the same labels but those that the
/// server itself added.
fn repeats(counter: &CounterRow, other: &CounterRow) -> bool {
    let added = |labels: &BTreeMap<String, String>| labels.contains_key("job") && labels.contains_key("instance");
    counter.metric == other.metric
        && counter.source != other.source
        && added(&counter.labels)
        && !added(&other.labels)
        && other.labels.iter().all(|(name, value)| counter.labels.get(name) == Some(value))
}

fn row(counter: &CounterRow, siblings: &[&Labels]) -> Vec<Cell> {
    let shown = |value: Option<f64>| Cell::from(value.filter(|value| *value != 0.0).map_or_else(String::new, number));
    let gauge = counter.kind == MetricKind::Gauge;
    let mut cells: Vec<Cell> = vec![clean(&counter.source).into(), named(&counter.metric, &counter.labels, siblings).into()];
    cells.extend([optional(counter.before), optional(counter.after), optional(counter.delta)].map(Cell::from));
    cells.push(shown(counter.uncertainty));
    cells.push(shown(counter.per_request.filter(|_| !gauge)));
    cells.push(counter.max.map_or_else(String::new, number).into());
    let resets = match counter.resets {
        0 => String::new(),
        1 => "restarted once".to_owned(),
        n => format!("restarted {} times", count(n)),
    };
    let notes: Vec<String> =
        counter.note.iter().map(|note| clean(note)).chain([resets]).filter(|note| !note.is_empty()).collect();
    cells.push(notes.join("; ").trim_end().into());
    cells
}

/// A series by its name and the labels that distinguish it from its siblings: `pg_stat_database_xact_commit{datname="shop"}`.
fn named(name: &str, labels: &Labels, siblings: &[&Labels]) -> String {
    let mut names = distinguishing(siblings);
    if !names.iter().any(|name| labels.contains_key(*name)) {
        names = differing(siblings);
    }
    let shown: Vec<String> = labels
        .iter()
        .filter(|(label, _)| names.contains(label.as_str()))
        .map(|(label, value)| format!("{}=\"{}\"", clean(label), clean(value)))
        .collect();
    if shown.is_empty() { clean(name) } else { format!("{}{{{}}}", clean(name), shown.join(",")) }
}

/// The labels that distinguish siblings: one that does it alone if there is one, best a `…name`, else all that differ.
fn distinguishing<'a>(siblings: &[&'a Labels]) -> BTreeSet<&'a str> {
    let differing = differing(siblings);
    let alone = differing.iter().copied().filter(|name| values(siblings, name) == siblings.len());
    match alone.max_by_key(|name| name.ends_with("name")) {
        Some(name) => BTreeSet::from([name]),
        None => differing,
    }
}

/// The labels that aren't the same for all siblings.
fn differing<'a>(siblings: &[&'a Labels]) -> BTreeSet<&'a str> {
    let names = siblings.iter().flat_map(|labels| labels.keys().map(String::as_str));
    names.filter(|name| values(siblings, name) > 1).collect()
}

/// How many values a label has among siblings; not having it is one, too.
fn values(siblings: &[&Labels], name: &str) -> usize {
    siblings.iter().map(|labels| labels.get(name)).collect::<BTreeSet<_>>().len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(of: &[(&str, &str)]) -> Labels {
        of.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn only_the_labels_that_distinguish_siblings_are_shown() {
        let (shop, zero) =
            (labels(&[("datid", "5"), ("datname", "shop"), ("server", "a")]), labels(&[("datid", "0"), ("server", "a")]));
        assert_eq!(named("commits", &shop, &[&shop]), "commits");
        assert_eq!(named("commits", &shop, &[&shop, &zero]), "commits{datname=\"shop\"}");
        assert_eq!(named("commits", &zero, &[&shop, &zero]), "commits{datid=\"0\"}");
        let (a, b, c) = (labels(&[("x", "1"), ("y", "1")]), labels(&[("x", "1"), ("y", "2")]), labels(&[("x", "2"), ("y", "1")]));
        assert_eq!(named("m", &a, &[&a, &b, &c]), "m{x=\"1\",y=\"1\"}");
    }

    #[test]
    fn a_series_is_still_only_if_nothing_happened_to_it() {
        let still = CounterRow { delta: Some(0.0), ..CounterRow::default() };
        assert!(is_still(&still));
        let moved = [
            CounterRow { resets: 1, ..still.clone() },
            CounterRow { min: Some(1.0), max: Some(2.0), ..still.clone() },
            CounterRow { delta: None, ..still.clone() },
            CounterRow { note: Some("odd".into()), ..still },
        ];
        assert!(!moved.iter().any(is_still));
    }

    fn counter(source: &str, labels: &[(&str, &str)], delta: f64) -> CounterRow {
        CounterRow {
            source: source.into(),
            metric: "redis_commands_processed_total".into(),
            labels: labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
            before: Some(1.0),
            after: Some(1.0 + delta),
            delta: Some(delta),
            ..CounterRow::default()
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
