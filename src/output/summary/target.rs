//! What the target's own counters did meanwhile.

use std::collections::BTreeMap;

use super::super::figures::{in_unit, number, optional};
use super::super::style::{Style, clean};
use super::super::table::{Align, Cell, Table, Tone};
use super::line;
use crate::record::{Counter, Phase};

/// The counters before and after, and what they say together.
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
    for counter in phase.counters.iter().filter(|counter| counter.missing.is_none()) {
        table.row(row(counter));
    }
    if !table.is_empty() {
        table.render(out, 2, style);
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
    for note in &phase.notes {
        line(out, "note", clean(note).trim_end(), style);
    }
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

fn row(counter: &Counter) -> Vec<Cell> {
    let mut cells: Vec<Cell> = vec![clean(&counter.source).into(), named(&counter.metric, &counter.labels).into()];
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
