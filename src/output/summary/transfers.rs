//! Long bodies: how fast they went over, and what the target took to answer once it had them.

use super::super::style::{Style, clean};
use super::super::table::{Align, Table};
use crate::base::figures::{count, megabits, seconds};
use crate::record::{Phase, Speed};

/// How fast bodies went over, by step and direction.
pub(super) fn transfers(out: &mut String, phase: &Phase, style: Style) {
    let mut table = Table::new(vec![
        ("transfer", Align::Left),
        ("", Align::Left),
        ("bodies", Align::Right),
        ("mean", Align::Right),
        ("p50", Align::Right),
        ("slowest 5%", Align::Right),
        ("processing p50", Align::Right),
        ("p95", Align::Right),
    ]);
    for transfer in &phase.transfers {
        let name = format!("{}/{}", clean(&transfer.scenario), clean(&transfer.step));
        let mut row = |direction: &str, speed: &Speed, processing: [Option<f64>; 2]| {
            let [p50, p95] = processing;
            table.row(vec![
                name.clone().into(),
                direction.into(),
                count(speed.count).into(),
                megabits(speed.mean).into(),
                megabits(speed.p50).into(),
                megabits(speed.p5).into(),
                seconds(p50).into(),
                seconds(p95).into(),
            ]);
        };
        if transfer.upload.count > 0 || transfer.processing.count > 0 {
            row("up", &transfer.upload, [transfer.processing.p50, transfer.processing.p95]);
        }
        if transfer.download.count > 0 {
            row("down", &transfer.download, [None, None]);
        }
    }
    if !table.is_empty() {
        table.render(out, 2, style);
    }
}
