//! What a series did between two edges, with its bounds. Pure arithmetic.

use super::amount::Amount;
use super::cut::{Cut, Gap};
use super::hidden::Hidden;
use super::kind::MetricKind;
use super::sums::{LEAST, LIKELY, MOST, Sums, WRAP};

/// What a series did between two edges.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Track {
    pub(crate) before: Option<f64>,
    pub(crate) after: Option<f64>,
    /// What is lost isn't in it.
    pub(crate) delta: Result<Amount, Gap>,
    /// What resets may have hidden.
    pub(crate) hidden: Hidden,
    pub(crate) resets: u64,
    /// Of a gauge: its values around the second edge.
    pub(crate) ends: Option<[f64; 2]>,
    /// The first sample of a counter that came up between the edges and was counted from 0.
    pub(crate) born: Option<f64>,
    /// It was gone again before the second edge, and counts up to its last sample.
    pub(crate) gone: bool,
    /// It was not read before the first edge, so that what it counted from there to its first sample is unknown.
    pub(crate) unread: bool,
    /// The times of the samples around both edges: what one scrape delivers has the same ones.
    pub(crate) around: [f64; 4],
}

impl Track {
    /// From one edge to a later one.
    pub(crate) fn between(kind: MetricKind, from: Option<Cut>, to: Option<Cut>) -> Self {
        let delta = match (&from, &to) {
            (None, _) => Err(Gap::NoStart),
            (_, None) => Err(Gap::NoEnd),
            (Some(from), Some(to)) if kind == MetricKind::Counter => Ok(counted(from, to)),
            (Some(from), Some(to)) => Ok(moved(from, to)),
        };
        let cuts = from.zip(to);
        Self {
            before: from.map(|cut| cut.value),
            after: to.map(|cut| cut.value),
            delta,
            hidden: cuts
                .filter(|_| kind == MetricKind::Counter)
                .map_or_else(Hidden::default, |(from, to)| Hidden::between(&from.around[0].open, &to.around[1].open)),
            resets: cuts.map_or(0, |(from, to)| to.around[1].resets.saturating_sub(from.around[0].resets)),
            ends: to.filter(|_| kind == MetricKind::Gauge).map(|to| to.around.map(|sums| sums.value)),
            born: None,
            gone: false,
            unread: false,
            around: cuts.map_or([f64::NAN; 4], |(from, to)| {
                let ([a, b], [c, d]) = (from.around, to.around);
                [a.time, b.time, c.time, d.time]
            }),
        }
    }

    /// Value, least and most, with what is lost.
    pub(crate) fn known(&self) -> Result<(f64, f64, f64), Gap> {
        self.delta.map(|delta| (delta.value, delta.least(), delta.most() + self.lost().most()))
    }

    /// What resets may have hidden, and what was not read.
    pub(crate) fn lost(&self) -> Hidden {
        if self.unread { self.hidden + Hidden::unbounded() } else { self.hidden }
    }

    /// A gauge at the second edge. Between two samples it is taken to be between their values.
    pub(crate) fn level(&self) -> Option<Amount> {
        let value = self.after?;
        let [a, b] = self.ends.unwrap_or([value; 2]);
        Some(Amount::new(value, a.min(b), [(a - b).abs(), 0.0, 0.0]))
    }

    /// Less sure by a share of the increase, either way.
    pub(crate) fn widen(&mut self, kind: MetricKind, share: f64) {
        let floor = if kind == MetricKind::Counter { 0.0 } else { f64::NEG_INFINITY };
        if let Ok(delta) = &mut self.delta {
            delta.widen(delta.value.abs() * share.clamp(0.0, 1.0), floor);
        }
    }

    /// Of a counter: at which edges no sample before the edge says what was counted between it and the first sample past it.
    pub(crate) fn unread(&mut self, [begun, ended]: [bool; 2]) {
        self.unread = begun && self.born.is_none();
        if let Some(delta) = self.delta.as_mut().ok().filter(|_| ended) {
            delta.all_past_the_edge();
        }
    }

    /// Of a counter that came up after the first edge: counted from 0.
    pub(crate) fn born(to: &Cut) -> Self {
        let nothing = Cut { value: 0.0, base: 0.0, around: [Sums::default(); 2], first: to.first };
        let track = Self::between(MetricKind::Counter, Some(nothing), Some(*to));
        Self { born: Some(to.first.1), around: [f64::NAN; 4], ..track }
    }

    /// The same of one that was gone before the second edge.
    pub(crate) fn passed(last: &Cut) -> Self {
        Self { after: None, gone: true, ..Self::born(last) }
    }
}

/// A counter's increase.
fn counted(from: &Cut, to: &Cut) -> Amount {
    let ([outer, begun], [ended, beyond]) = (from.around, to.around);
    let value = (to.value - from.value) + (to.base - from.base);
    // Both edges between the same two samples.
    let mut amount = if ended.time < begun.time {
        Amount::new(value, 0.0, [beyond.since(&outer, MOST), 0.0, 0.0])
    } else {
        let [least, likely] = [LEAST, LIKELY].map(|bound| ended.since(&begun, bound));
        Amount::new(value, least, [begun.since(&outer, MOST), beyond.since(&ended, MOST), likely - least])
    };
    // Half of the distance of two floats at each edge, and not less than none.
    amount.widen(f64::midpoint(grain(from.value), grain(to.value)), 0.0);
    amount
}

/// How far apart the floats around a value are, where they don't hold every whole number.
fn grain(value: f64) -> f64 {
    if value.abs() > WRAP { value.abs().next_up() - value.abs() } else { 0.0 }
}

/// A gauge's change.
fn moved(from: &Cut, to: &Cut) -> Amount {
    let ends = |of: fn(f64, f64) -> f64, cut: &Cut| of(cut.around[0].value, cut.around[1].value);
    let (least, most) = (ends(f64::min, to) - ends(f64::max, from), ends(f64::max, to) - ends(f64::min, from));
    Amount::new(to.value - from.value, least, [most - least, 0.0, 0.0])
}
