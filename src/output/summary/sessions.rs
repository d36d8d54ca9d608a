//! Sessions and the messages within them.

use super::super::style::{Style, clean};
use super::super::table::{Align, Cell, Table, Tone};
use crate::base::figures::{NONE, count, ratio, seconds};
use crate::record::{Message, Phase};

/// How many sessions ended, how long they lasted and what went over their connections.
pub(super) fn sessions(out: &mut String, phase: &Phase, style: Style) {
    let unparsed = phase.sessions.iter().any(|sessions| sessions.messages_unparsed > 0);
    let mut columns = vec![
        ("session", Align::Left),
        ("ended", Align::Right),
        ("failed", Align::Right),
        ("p50", Align::Right),
        ("p95", Align::Right),
        ("messages sent", Align::Right),
        ("received", Align::Right),
    ];
    columns.extend(unparsed.then_some(("unparsed", Align::Right)));
    let mut table = Table::new(columns);
    for sessions in &phase.sessions {
        let of = |outcome: &str| sessions.outcomes.get(outcome).copied().unwrap_or(0);
        let failed = of("error") + of("timeout");
        let mut row = vec![
            format!("{}/{}", clean(&sessions.scenario), clean(&sessions.step)).into(),
            count(sessions.outcomes.values().sum()).into(),
            if failed == 0 { "0".into() } else { Cell::toned(count(failed), Tone::Bad) },
            seconds(sessions.duration.p50).into(),
            seconds(sessions.duration.p95).into(),
            count(sessions.messages_sent).into(),
            count(sessions.messages_received).into(),
        ];
        row.extend(unparsed.then(|| match sessions.messages_unparsed {
            0 => "0".into(),
            some => Cell::toned(count(some), Tone::Bad),
        }));
        table.row(row);
    }
    if !table.is_empty() {
        table.render(out, 2, style);
    }
}

/// How old messages were, which never came, and how long none did.
pub(super) fn messages(out: &mut String, phase: &Phase, style: Style) {
    let followed = phase.messages.iter().any(|message| message.listening_seconds.is_some());
    let mut columns = vec![
        ("message", Align::Left),
        ("received", Align::Right),
        ("latency p50", Align::Right),
        ("p95", Align::Right),
        ("p99", Align::Right),
        ("max", Align::Right),
        ("missed", Align::Right),
        ("repeated", Align::Right),
        ("reordered", Align::Right),
        ("clock skew", Align::Right),
    ];
    columns.extend(followed.then_some(("silent", Align::Right)));
    let mut table = Table::new(columns);
    for message in &phase.messages {
        let mut row = vec![
            format!("{}/{}/{}", clean(&message.scenario), clean(&message.step), clean(&message.message)).into(),
            count(message.received).into(),
            seconds(message.latency.p50).into(),
            seconds(message.latency.p95).into(),
            seconds(message.latency.p99).into(),
            seconds(message.latency.max).into(),
            missed(message),
            count(message.repeated).into(),
            count(message.reordered).into(),
            count(message.clock_skew).into(),
        ];
        row.extend(followed.then(|| silent(message)));
        table.row(row);
    }
    if !table.is_empty() {
        table.render(out, 2, style);
    }
}

fn missed(message: &Message) -> Cell {
    match (message.missed, message.missed_ratio) {
        // Nobody was there who could know.
        (0, None) if message.missed_unconnected.is_none() => Cell::toned("unknown".to_owned(), Tone::Bad),
        (0, None) => NONE.into(),
        (0, Some(_)) => "0".into(),
        (missed, None) => Cell::toned(count(missed), Tone::Bad),
        (missed, Some(share)) => Cell::toned(format!("{} ({})", count(missed), ratio(share)), Tone::Bad),
    }
}

fn silent(message: &Message) -> Cell {
    match message.listening_seconds.zip(message.silent_seconds).filter(|(listening, _)| *listening > 0.0) {
        None => NONE.into(),
        Some((_, 0.0)) => "0".into(),
        Some((listening, silent)) => Cell::toned(ratio(silent / listening), Tone::Bad),
    }
}
