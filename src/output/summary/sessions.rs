//! Sessions and the messages within them.

use super::super::style::{Style, clean};
use super::super::table::{Align, Cell, Table, Tone};
use crate::base::figures::{NONE, count, ratio, seconds};
use crate::record::Phase;

/// How many sessions ended, how long they lasted and what went over their connections.
pub(super) fn sessions(out: &mut String, phase: &Phase, style: Style) {
    let mut table = Table::new(vec![
        ("session", Align::Left),
        ("ended", Align::Right),
        ("failed", Align::Right),
        ("p50", Align::Right),
        ("p95", Align::Right),
        ("messages sent", Align::Right),
        ("received", Align::Right),
    ]);
    for sessions in &phase.sessions {
        let of = |outcome: &str| sessions.outcomes.get(outcome).copied().unwrap_or(0);
        let failed = of("error") + of("timeout");
        table.row(vec![
            format!("{}/{}", clean(&sessions.scenario), clean(&sessions.step)).into(),
            count(sessions.outcomes.values().sum()).into(),
            if failed == 0 { "0".into() } else { Cell::toned(count(failed), Tone::Bad) },
            seconds(sessions.duration.p50).into(),
            seconds(sessions.duration.p95).into(),
            count(sessions.messages_sent).into(),
            count(sessions.messages_received).into(),
        ]);
    }
    if !table.is_empty() {
        table.render(out, 2, style);
    }
}

/// How old messages were, and which never came.
pub(super) fn messages(out: &mut String, phase: &Phase, style: Style) {
    let mut table = Table::new(vec![
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
    ]);
    for message in &phase.messages {
        let missed = match (message.missed, message.missed_ratio) {
            (0, None) => NONE.into(),
            (0, Some(_)) => "0".into(),
            (missed, share) => Cell::toned(format!("{} ({})", count(missed), ratio(share.unwrap_or(1.0))), Tone::Bad),
        };
        table.row(vec![
            format!("{}/{}/{}", clean(&message.scenario), clean(&message.step), clean(&message.message)).into(),
            count(message.received).into(),
            seconds(message.latency.p50).into(),
            seconds(message.latency.p95).into(),
            seconds(message.latency.p99).into(),
            seconds(message.latency.max).into(),
            missed,
            count(message.repeated).into(),
            count(message.reordered).into(),
            count(message.clock_skew).into(),
        ]);
    }
    if !table.is_empty() {
        table.render(out, 2, style);
    }
}
