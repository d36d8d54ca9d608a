//! A histogram's snapshot: the buckets that aren't empty, which add up, subtract and answer questions.
//!
//! Quantiles are Prometheus' own: the rank q·n is looked for by walking the buckets upwards, and the value within a bucket from lo
//! to hi is lo·(hi/lo)^f where f is the share of the bucket below the rank; the zero bucket is interpolated linearly.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::index::{Place, SCHEMA, coarser, index, lower, upper};

/// A count for each bucket that isn't empty, ascending by index.
pub type Spans = Vec<(i32, u64)>;

/// What a histogram held at one moment, or between two.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Sparse {
    /// What is at most this far from 0 counts as 0.
    zero_threshold: f64,
    #[serde(default, skip_serializing_if = "is_zero")]
    zero: u64,
    positive: Spans,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    negative: Spans,
    /// Bounds within a bucket: the bound, the bucket, how many of the bucket's values are at most the bound.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    splits: Vec<(f64, Place, u64)>,
    /// The sum of what was recorded in nanoseconds.
    time: Duration,
    /// The sum of what was recorded as a float.
    #[serde(default)]
    sum: f64,
}

fn is_zero(n: &u64) -> bool {
    *n == 0
}

impl Sparse {
    pub(super) fn new(
        zero_threshold: f64,
        zero: u64,
        positive: Spans,
        negative: Spans,
        splits: Vec<(f64, Place, u64)>,
        nanoseconds: u64,
        sum: f64,
    ) -> Self {
        Self { zero_threshold, zero, positive, negative, splits, time: Duration::from_nanos(nanoseconds), sum }
    }

    /// How many values there are.
    pub fn count(&self) -> u64 {
        self.zero + total(&self.positive) + total(&self.negative)
    }

    /// Whether there is no value.
    pub fn is_empty(&self) -> bool {
        self.zero == 0 && self.positive.is_empty() && self.negative.is_empty()
    }

    /// The sum of the values, in seconds for durations.
    pub fn sum(&self) -> f64 {
        self.time.as_secs_f64() + self.sum
    }

    /// The sum if each value were at least so much; at most 1.1 % too high.
    pub fn sum_at_least(&self, least: f64) -> f64 {
        self.cells().map(|cell| cell.n as f64 * cell.to.max(least)).sum()
    }

    /// The mean, if there is a value.
    pub fn mean(&self) -> Option<f64> {
        (!self.is_empty()).then(|| self.sum() / self.count() as f64)
    }

    /// The upper bound of the highest bucket with a value: the maximum, at most 1.1 % too high.
    pub fn max(&self) -> Option<f64> {
        self.cells().last().map(|cell| cell.to)
    }

    /// The lower bound of the lowest bucket with a value: the minimum, at most 1.1 % too low.
    pub fn min(&self) -> Option<f64> {
        self.cells().next().map(|cell| cell.from)
    }

    /// How many values count as zero.
    pub fn zero_count(&self) -> u64 {
        self.zero
    }

    /// What is at most this far from 0 counts as 0.
    pub fn zero_threshold(&self) -> f64 {
        self.zero_threshold
    }

    /// The positive and the negative buckets at a coarser schema (from 0 to 6, which is what is recorded).
    pub fn at_schema(&self, schema: i32) -> (Spans, Spans) {
        let schema = schema.clamp(0, SCHEMA);
        (coarsen(&self.positive, schema), coarsen(&self.negative, schema))
    }

    /// The value that the share `q` (0 to 1) of the values doesn't exceed; none if there is no value or `q` is no share.
    pub fn quantile(&self, q: f64) -> Option<f64> {
        if self.is_empty() || !(0.0..=1.0).contains(&q) {
            return None;
        }
        let rank = q * self.count() as f64;
        let mut below = 0;
        let mut answer = None;
        for cell in self.cells() {
            answer = Some(cell.at(((rank - below as f64) / cell.n as f64).clamp(0.0, 1.0)));
            below += cell.n;
            if below as f64 >= rank {
                break;
            }
        }
        answer
    }

    /// How many values are at most `bound`: exact where the bound is a power of two or a threshold that the layout knew,
    /// otherwise interpolated within its bucket.
    pub fn within(&self, bound: f64) -> f64 {
        match self.within_exactly(bound) {
            Some(n) => n as f64,
            None => self.cells().map(|cell| cell.n as f64 * cell.share_within(bound)).sum(),
        }
    }

    /// How many values are at most `bound`, where that is known exactly.
    pub fn within_exactly(&self, bound: f64) -> Option<u64> {
        let split = self.splits.iter().find(|split| split.0 == bound);
        let mut below = 0;
        for cell in self.cells() {
            if cell.to <= bound && split.is_none_or(|split| split.1 != cell.place) {
                below += cell.n;
            } else if let Some((_, _, n)) = split.filter(|split| split.1 == cell.place) {
                return Some(below + n.min(&cell.n));
            } else if cell.from < bound {
                return None;
            } else {
                break;
            }
        }
        Some(below)
    }

    /// How many values are at most each of `bounds`, which are ascending and such as the recorder knew: the classic buckets.
    pub fn cumulative(&self, bounds: &[f64]) -> Vec<u64> {
        let mut cells = self.cells().peekable();
        let mut below = 0;
        let each = |bound: &f64| {
            let split = self.splits.iter().find(|split| split.0 == *bound);
            let is_split = |cell: &Cell| split.is_some_and(|split| split.1 == cell.place);
            while let Some(cell) = cells.next_if(|cell| cell.to <= *bound && !is_split(cell)) {
                below += cell.n;
            }
            let inside = cells.peek().filter(|cell| is_split(cell)).map_or(0, |cell| cell.n);
            below + split.map_or(0, |split| split.2.min(inside))
        };
        bounds.iter().map(each).collect()
    }

    /// The share of the values that are at most `bound`, if there is a value.
    pub fn share_within(&self, bound: f64) -> Option<f64> {
        (!self.is_empty()).then(|| self.within(bound) / self.count() as f64)
    }

    /// Adds another's values to these. A threshold that only one of them knew is no longer exact.
    pub fn add(&mut self, other: &Sparse) {
        if other.is_empty() {
            return;
        }
        if self.is_empty() {
            self.splits.clone_from(&other.splits);
        } else {
            self.splits.retain_mut(|(bound, _, n)| {
                let twin = other.splits.iter().find(|split| split.0 == *bound);
                *n += twin.map_or(0, |split| split.2);
                twin.is_some()
            });
        }
        self.zero_threshold = self.zero_threshold.max(other.zero_threshold);
        self.zero += other.zero;
        self.positive = merged(&self.positive, &other.positive);
        self.negative = merged(&self.negative, &other.negative);
        self.time = self.time.saturating_add(other.time);
        self.sum += other.sum;
    }

    /// Without a value, and with the bounds that these know.
    pub fn emptied(&self) -> Sparse {
        let splits = self.splits.iter().map(|(bound, place, _)| (*bound, *place, 0)).collect();
        Sparse { zero_threshold: self.zero_threshold, splits, ..Sparse::default() }
    }

    /// Adds `n` values of so many nanoseconds.
    pub fn put(&mut self, nanoseconds: u64, n: u64) {
        let seconds = nanoseconds as f64 / 1e9;
        let place = if seconds <= self.zero_threshold { None } else { Some(index(seconds)) };
        match place {
            None => self.zero += n,
            Some(i) => self.positive = merged(&self.positive, &vec![(i, n)]),
        }
        let place = place.map_or((0, 0), |i| (1, i));
        for (_, _, within) in self.splits.iter_mut().filter(|(bound, at, _)| *at == place && seconds <= *bound) {
            *within += n;
        }
        self.time = self.time.saturating_add(Duration::from_nanos(nanoseconds.saturating_mul(n)));
    }

    /// What has come since `earlier`, a snapshot of the same series.
    pub fn minus(&self, earlier: &Sparse) -> Sparse {
        let mut rest = self.clone();
        rest.zero = rest.zero.saturating_sub(earlier.zero);
        subtract(&mut rest.positive, &earlier.positive);
        subtract(&mut rest.negative, &earlier.negative);
        for (bound, _, n) in &mut rest.splits {
            *n = n.saturating_sub(earlier.splits.iter().find(|split| split.0 == *bound).map_or(0, |split| split.2));
        }
        rest.time = rest.time.saturating_sub(earlier.time);
        rest.sum -= earlier.sum;
        rest
    }

    /// The buckets that aren't empty, in the order of their values.
    fn cells(&self) -> impl DoubleEndedIterator<Item = Cell> + '_ {
        let negative = self.negative.iter().rev().map(|(i, n)| Cell { place: (-1, -i), n: *n, from: -upper(*i), to: -lower(*i) });
        // With values of one sign only, what counts as zero is taken to be of that sign too.
        let from = if self.negative.is_empty() { 0.0 } else { -self.zero_threshold };
        let to = if self.positive.is_empty() && !self.negative.is_empty() { 0.0 } else { self.zero_threshold };
        let zero = (self.zero > 0).then_some(Cell { place: (0, 0), n: self.zero, from, to });
        let positive = self.positive.iter().map(|(i, n)| Cell { place: (1, *i), n: *n, from: lower(*i), to: upper(*i) });
        negative.chain(zero).chain(positive)
    }
}

/// One bucket with values: `n` of them in (from, to].
#[derive(Debug, Clone, Copy)]
struct Cell {
    place: Place,
    n: u64,
    from: f64,
    to: f64,
}

impl Cell {
    /// The value below which the share `f` of the bucket lies.
    fn at(&self, f: f64) -> f64 {
        match self.place.0 {
            0 => self.from + (self.to - self.from) * f,
            _ => self.from * (self.to / self.from).powf(f),
        }
    }

    /// The share of the bucket at or below `bound`: the inverse of [`Self::at`].
    fn share_within(&self, bound: f64) -> f64 {
        if bound >= self.to {
            return 1.0;
        }
        if bound <= self.from {
            return 0.0;
        }
        match self.place.0 {
            0 => (bound - self.from) / (self.to - self.from),
            _ => (bound / self.from).ln() / (self.to / self.from).ln(),
        }
    }
}

fn total(spans: &Spans) -> u64 {
    spans.iter().map(|(_, n)| n).sum()
}

fn coarsen(spans: &Spans, schema: i32) -> Spans {
    let mut coarse: Spans = Vec::with_capacity(spans.len());
    for (i, n) in spans {
        let i = coarser(*i, schema);
        match coarse.last_mut() {
            Some(last) if last.0 == i => last.1 += n,
            _ => coarse.push((i, *n)),
        }
    }
    coarse
}

fn merged(a: &Spans, b: &Spans) -> Spans {
    let mut sum = Vec::with_capacity(a.len() + b.len());
    let (mut a, mut b) = (a.iter().copied().peekable(), b.iter().copied().peekable());
    loop {
        let next = match (a.peek().copied(), b.peek().copied()) {
            (Some(x), Some(y)) if x.0 == y.0 => {
                b.next();
                a.next().map(|_| (x.0, x.1 + y.1))
            }
            (Some(x), Some(y)) if x.0 < y.0 => a.next(),
            (_, Some(_)) => b.next(),
            _ => a.next(),
        };
        match next {
            Some(bucket) => sum.push(bucket),
            None => break,
        }
    }
    // A store keeps its sums for the process' life: room for what they hold and no more.
    sum.shrink_to_fit();
    sum
}

/// Takes from `spans` what `earlier` held, and drops what is empty then.
fn subtract(spans: &mut Spans, earlier: &Spans) {
    let mut earlier = earlier.iter().copied().peekable();
    spans.retain_mut(|(i, n)| {
        while earlier.next_if(|(j, _)| j < i).is_some() {}
        if let Some((_, m)) = earlier.next_if(|(j, _)| j == i) {
            *n = n.saturating_sub(m);
        }
        *n > 0
    });
}
