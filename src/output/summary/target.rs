//! What the target's own counters did meanwhile.

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
        ("by reading it", Align::Right),
    ]);
    for counter in phase.counters.iter().filter(|counter| counter.missing.is_none()) {
        table.row(row(counter));
    }
    if !table.is_empty() {
        table.render(out, 2, style);
    }
    for counter in &phase.counters {
        if let Some(why) = &counter.missing {
            let text = format!("{} {}: {}", clean(&counter.source), series(counter), clean(why));
            line(out, "missing", &style.unsure(text.trim_end()), style);
        }
    }
    let mut values = Table::new(vec![("value", Align::Left), ("", Align::Right), ("", Align::Left)]);
    for value in &phase.values {
        values.row(match &value.missing {
            None => vec![clean(&value.name).into(), in_unit(value.value, value.unit).into()],
            Some(why) => {
                let why = format!("missing: {}", clean(why));
                vec![clean(&value.name).into(), "".into(), Cell::toned(why.trim_end(), Tone::Unsure)]
            }
        });
    }
    if !values.is_empty() {
        values.render(out, 2, style);
    }
}

fn row(counter: &Counter) -> Vec<Cell> {
    let mut cells: Vec<Cell> = vec![clean(&counter.source).into(), series(counter).into()];
    let told = |value: Option<f64>| Cell::from(value.filter(|value| *value != 0.0).map_or_else(String::new, number));
    cells.extend([optional(counter.before), optional(counter.after), optional(counter.delta)].map(Cell::from));
    cells.push(told(counter.uncertainty));
    cells.push(told(counter.per_request));
    cells.push(told(counter.self_caused));
    cells
}

/// `redis_commands_processed_total{instance="127.0.0.1:9121"}`.
fn series(counter: &Counter) -> String {
    if counter.labels.is_empty() {
        return clean(&counter.metric);
    }
    let labels: Vec<String> =
        counter.labels.iter().map(|(name, value)| format!("{}=\"{}\"", clean(name), clean(value))).collect();
    format!("{}{{{}}}", clean(&counter.metric), labels.join(","))
}
