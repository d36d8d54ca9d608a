//! A small drawing of a load over time, as text, so that jumps are seen before they are run.

use super::Shape;
use crate::base::figures::number;
use crate::base::units::show_seconds;
use std::time::Duration;

/// The size of a drawing, in characters, and the unit of its levels.
#[derive(Debug, Clone, Copy)]
pub struct Canvas<'a> {
    /// Columns of the curve, at least 10.
    pub width: usize,
    /// Rows of the curve, at least 2.
    pub height: usize,
    /// What stands behind a level: ` users` or `/s`.
    pub unit: &'a str,
}

/// Draws a level over time. Ramps are drawn as slopes (`╱ ╲`), constant levels as lines (`─`), and jumps as vertical lines (`│`),
/// that at the start from 0 included; `▲` beneath marks bursts. Each line ends with a newline and has no trailing blanks.
///
/// Column c shows the time from `c·d/width` to `(c+1)·d/width`, row 0 the level 0 and the top row the highest level.
pub fn sketch(shape: &Shape, bursts: &[(Duration, u64)], canvas: Canvas<'_>) -> String {
    let (width, height) = (canvas.width.max(10), canvas.height.max(2));
    let end = bursts.iter().filter(|burst| burst.1 > 0).map(|burst| burst.0).fold(shape.duration(), Duration::max);
    let top = shape.max();
    let mut cells = vec![vec![' '; width]; height];
    // Where a time lies across the drawing, in columns.
    let column = |t: f64| (t / end.as_secs_f64().max(1e-9) * width as f64).min(width as f64);
    // Whatever isn't 0 stands above row 0, so that a small jump is seen beside a large level.
    let row = |level: f64| if level > 0.0 { ((level / top * (height - 1) as f64).round() as usize).max(1) } else { 0 };
    let cell = |x: f64| (x as usize).min(width - 1);
    let mut jumps: Vec<(f64, f64, f64)> = vec![];
    let (mut start, mut before) = (0.0, 0.0);
    for piece in shape.pieces() {
        let length = piece.duration.as_secs_f64();
        if row(piece.from) != row(before) {
            jumps.push((column(start), before, piece.from));
        }
        let (left, right) = (column(start), column(start + length));
        let last = if right > left { cell((right - 1e-9).max(left)) } else { cell(left) };
        for (c, x) in (cell(left)..=last).enumerate() {
            // The part of this column that the piece covers.
            let level = |at: f64| {
                let part = ((at - left) / (right - left).max(1e-12)).clamp(0.0, 1.0);
                piece.from + (piece.to - piece.from) * part
            };
            let (a, b) = (row(level(if c == 0 { left } else { x as f64 })), row(level((x + 1) as f64)));
            let mark = if piece.to > piece.from {
                '╱'
            } else if piece.to < piece.from {
                '╲'
            } else {
                '─'
            };
            // A slope owns the rows it climbs through; the row it reaches belongs to the next column.
            let (low, high) = (a.min(b), a.max(b));
            let (low, high) = match mark {
                '╱' => (low, high.saturating_sub(1).max(low)),
                '╲' => ((low + 1).min(high), high),
                _ => (low, high),
            };
            for line in &mut cells[low..=high] {
                line[x] = mark;
            }
        }
        (start, before) = (start + length, piece.to);
    }
    for (x, from, to) in jumps {
        let (from, to) = (row(from), row(to));
        for line in &mut cells[from.min(to)..=from.max(to)] {
            line[cell(x)] = '│';
        }
    }
    let mut marks = vec![' '; width];
    for (at, _) in bursts.iter().filter(|burst| burst.1 > 0) {
        marks[cell(column(at.as_secs_f64()))] = '▲';
    }

    let label = |level: f64| format!("{}{}", number((level * 100.0).round() / 100.0), canvas.unit);
    let (high, low) = (label(top), label(0.0));
    let margin = high.chars().count().max(low.chars().count());
    let mut lines: Vec<String> = vec![];
    for (r, line) in cells.iter().enumerate().rev() {
        let name = if r + 1 == height {
            high.as_str()
        } else if r == 0 {
            low.as_str()
        } else {
            ""
        };
        let axis = if name.is_empty() { '│' } else { '┤' };
        lines.push(format!("{name:>margin$} {axis}{}", line.iter().collect::<String>()));
    }
    if marks.contains(&'▲') {
        let count = bursts.iter().fold(0u64, |sum, burst| sum.saturating_add(burst.1));
        lines.push(format!("{:>margin$}  {} {} at once", "", marks.iter().collect::<String>(), number(count as f64)));
    }
    let last = show_seconds(end.as_secs_f64());
    lines.push(format!("{:>margin$}  0s{last:>space$}", "", space = width - 2));
    lines.iter().map(|line| format!("{}\n", line.trim_end())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::Piece;
    use crate::load::arrivals::testing::{any_bursts, any_shape};
    use proptest::prelude::*;

    const S: Duration = Duration::from_secs(1);

    #[test]
    fn ramps_are_slopes_and_jumps_are_seen() {
        let stage = |seconds, from, to| Piece { duration: S * seconds, from, to };
        let shape = Shape::new(vec![stage(10, 0.0, 50.0), stage(10, 50.0, 50.0), stage(10, 200.0, 200.0), stage(10, 200.0, 0.0)]);
        let drawn = sketch(&shape, &[], Canvas { width: 40, height: 5, unit: "/s" });
        let expected = [
            "200/s ┤                    │─────────╲╲",
            "      │                    │           ╲╲",
            "      │                    │             ╲╲╲",
            "      │ ╱╱╱╱╱╱╱╱╱──────────│                ╲╲╲",
            "  0/s ┤╱",
            "       0s                                 40.0s",
        ];
        assert_eq!(drawn.lines().collect::<Vec<_>>(), expected, "\n{drawn}");
    }

    #[test]
    fn a_constant_level_and_a_burst() {
        let drawn = sketch(&Shape::flat(S * 60, 20.0), &[(S * 30, 500)], Canvas { width: 20, height: 3, unit: " users" });
        let expected = [
            "20 users ┤│───────────────────",
            "         ││",
            " 0 users ┤│",
            "                    ▲          500 at once",
            "          0s             1m 0s",
        ];
        assert_eq!(drawn.lines().collect::<Vec<_>>(), expected, "\n{drawn}");
    }

    proptest! {
        #[test]
        fn any_load_can_be_drawn_in_its_frame(shape in any_shape(), bursts in any_bursts(), width in 0usize..60, height in 0usize..9) {
            let drawn = sketch(&shape, &bursts, Canvas { width, height, unit: "/s" });
            let burst = bursts.iter().any(|burst| burst.1 > 0);
            prop_assert_eq!(drawn.lines().count(), height.max(2) + 1 + usize::from(burst));
            let curve: Vec<Vec<char>> = drawn.lines().take(height.max(2)).map(|line| line.chars().collect()).collect();
            let margin = 1 + curve[0].iter().position(|c| *c == '┤').unwrap();
            prop_assert!(curve.iter().all(|line| line.len() <= margin + width.max(10)));
            if !burst && shape.duration() > Duration::ZERO {
                for column in margin..margin + width.max(10) {
                    prop_assert!(curve.iter().any(|line| line.get(column).is_some_and(|c| *c != ' ')), "{}", drawn);
                }
            }
        }
    }
}
