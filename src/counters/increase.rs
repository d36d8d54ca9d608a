//! The increase of one series between two edges, from its raw samples in the order of time. Pure arithmetic.
//!
//! With v the values, the increase is the sum of v\[i\] - v\[i-1\], or of v\[i\] where the counter started again (it fell, or a
//! start time moved). At an edge between two samples under load the value is interpolated linearly; since a counter only
//! grows, the truth lies between both samples, and the farther of them is the uncertainty: at most one interval's increase.
//! PromQL's `increase()` isn't used: it extrapolates to the range's ends.
//!
//! A counter that came up between the edges, at a target that was read at the first one, counts from 0. That is the truth of a
//! client library's counter, whose labels come up with their first event. Were it another's that had been hidden, it had some
//! value from 0 to its first sample at the edge; so that first sample is the uncertainty, and the truth is within it either way.

use super::observe::Kind;
use super::report::Levels;

/// An edge, in the source's clock.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct At {
    /// Unix seconds.
    pub(crate) time: f64,
    /// Nothing happens from `time` to `until`, so that any sample between them is exact.
    pub(crate) still_until: Option<f64>,
}

/// Why there is no increase.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Gap {
    /// No sample at or before the first edge (after it, where the load stood still).
    NoStart,
    /// No sample at or after the second edge.
    NoEnd,
}

/// What a series did between two edges.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Track {
    pub(crate) before: Option<f64>,
    pub(crate) after: Option<f64>,
    pub(crate) delta: Result<f64, Gap>,
    /// From interpolation, and from restarts that can't be told from a restart of the exporter alone.
    pub(crate) unsure: f64,
    pub(crate) resets: u64,
    pub(crate) levels: Option<Levels>,
    /// Samples after the first edge up to the second: scrapes by the source.
    pub(crate) samples: u64,
    /// The first sample of a counter that came up between the edges and was counted from 0.
    pub(crate) born: Option<f64>,
}

/// Takes samples in, gives a [`Track`].
#[derive(Debug, Clone)]
pub(crate) struct Fold {
    kind: Kind,
    edges: [At; 2],
    cuts: [Cut; 2],
    first: Option<f64>,
    last: Option<(f64, f64)>,
    sum: f64,
    resets: u64,
    doubt: f64,
    levels: Meter,
}

/// The series at an edge.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Cut {
    Ahead,
    Missed,
    Made { sum: f64, value: f64, unsure: f64 },
}

impl Fold {
    pub(crate) fn new(kind: Kind, from: At, to: At) -> Self {
        Self {
            kind,
            edges: [from, to],
            cuts: [Cut::Ahead; 2],
            first: None,
            last: None,
            sum: 0.0,
            resets: 0,
            doubt: 0.0,
            levels: Meter::default(),
        }
    }

    /// The next sample: its time, its value, and whether something else than the value says that the counter started again
    /// since the sample before. A sample that isn't later than the one before is passed over (chunks overlap), and so is
    /// what isn't finite.
    pub(crate) fn feed(&mut self, time: f64, value: f64, restarted: bool) {
        if !value.is_finite() || self.last.is_some_and(|(last, _)| time <= last) {
            return;
        }
        let step = self.last.map_or(Step::default(), |(_, last)| step(self.kind, last, value, restarted));
        for i in 0..2 {
            if self.cuts[i] == Cut::Ahead && time >= self.edges[i].time {
                self.cuts[i] = self.cut(self.edges[i], time, value, &step);
            }
        }
        let begun = time > self.edges[0].time;
        let over = self.last.is_some_and(|(last, _)| last >= self.edges[1].time);
        if begun && !over {
            self.resets += u64::from(step.reset);
            self.doubt += step.doubt;
        }
        // Where the load stands still, the first sample past an edge is the edge's.
        let ends = self.edges[1].still_until.is_some_and(|until| time <= until) && !over;
        if time >= self.edges[0].time && (time <= self.edges[1].time || ends) {
            self.levels.add(value);
        }
        self.sum += step.increase;
        self.first.get_or_insert(value);
        self.last = Some((time, value));
    }

    fn cut(&self, edge: At, time: f64, value: f64, step: &Step) -> Cut {
        let here = Cut::Made { sum: self.sum + step.increase, value, unsure: 0.0 };
        match (edge.still_until, self.last) {
            _ if time == edge.time => here,
            (Some(until), _) if time <= until => here,
            (Some(_), _) | (None, None) => Cut::Missed,
            (None, Some((last_time, last))) => {
                let part = (edge.time - last_time) / (time - last_time);
                let moved = if step.reset { 0.0 } else { value - last };
                let unsure = step.increase.abs() * part.max(1.0 - part);
                Cut::Made { sum: self.sum + part * step.increase, value: last + part * moved, unsure }
            }
        }
    }

    /// The time of the last sample.
    pub(crate) fn last_time(&self) -> Option<f64> {
        self.last.map(|(time, _)| time)
    }

    /// Whether it was there at the first edge.
    pub(crate) fn has_start(&self) -> bool {
        matches!(self.cuts[0], Cut::Made { .. })
    }

    /// What the samples come to.
    pub(crate) fn finish(&self) -> Track {
        let [start, end] = self.cuts;
        let value = |cut: Cut| match cut {
            Cut::Made { value, .. } => Some(value),
            Cut::Ahead | Cut::Missed => None,
        };
        let (delta, unsure) = match (start, end) {
            (Cut::Made { sum: from, unsure: a, .. }, Cut::Made { sum: to, unsure: b, .. }) => (Ok(to - from), a + b + self.doubt),
            (Cut::Made { .. }, _) => (Err(Gap::NoEnd), 0.0),
            _ => (Err(Gap::NoStart), 0.0),
        };
        Track {
            before: value(start),
            after: value(end),
            delta,
            unsure,
            resets: self.resets,
            levels: self.levels.levels(),
            samples: self.levels.count,
            born: None,
        }
    }

    /// The same for a series whose target is known to have been read at the first edge, without it: a counter that came up
    /// meanwhile counts from 0.
    pub(crate) fn finish_born(&self) -> Track {
        let track = self.finish();
        match (self.cuts, self.first) {
            ([Cut::Missed, Cut::Made { sum, unsure, .. }], Some(first)) if self.kind == Kind::Counter => {
                track.begun_at_birth(first, sum, unsure + self.doubt)
            }
            _ => track,
        }
    }
}

impl Track {
    /// Counted from 0: `first` is what it said first, `sum` its increase since and `unsure` how far that may be off.
    pub(crate) fn begun_at_birth(self, first: f64, sum: f64, unsure: f64) -> Self {
        Self { before: Some(0.0), delta: Ok(first + sum), unsure: first + unsure, born: Some(first), ..self }
    }
}

/// From one sample to the next.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Step {
    pub(crate) increase: f64,
    pub(crate) reset: bool,
    /// By how much less it may be.
    pub(crate) doubt: f64,
}

/// From `last` to `value`; `restarted`: something else than the value says that the counter started again.
pub(crate) fn step(kind: Kind, last: f64, value: f64, restarted: bool) -> Step {
    match kind {
        Kind::Gauge => Step { increase: value - last, reset: false, doubt: 0.0 },
        Kind::Counter if value < last => Step { increase: value, reset: true, doubt: 0.0 },
        // It may have been the exporter alone that started again.
        Kind::Counter if restarted => Step { increase: value, reset: true, doubt: last },
        Kind::Counter => Step { increase: value - last, reset: false, doubt: 0.0 },
    }
}

/// Least, greatest and mean of values as they come.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Meter {
    min: f64,
    max: f64,
    sum: f64,
    count: u64,
}

impl Meter {
    pub(crate) fn add(&mut self, value: f64) {
        if !value.is_finite() {
            return;
        }
        let first = self.count == 0;
        self.min = if first { value } else { self.min.min(value) };
        self.max = if first { value } else { self.max.max(value) };
        self.sum += value;
        self.count += 1;
    }

    pub(crate) fn levels(&self) -> Option<Levels> {
        (self.count > 0).then(|| Levels { min: self.min, max: self.max, avg: self.sum / self.count as f64, samples: self.count })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn flowing(time: f64) -> At {
        At { time, still_until: None }
    }

    fn track(kind: Kind, from: At, to: At, samples: &[(f64, f64)]) -> Track {
        let mut fold = Fold::new(kind, from, to);
        for (time, value) in samples {
            fold.feed(*time, *value, false);
        }
        fold.finish()
    }

    #[test]
    fn an_edge_on_a_sample_is_exact_and_between_two_it_is_interpolated() {
        let samples = [(0.0, 100.0), (10.0, 200.0), (20.0, 400.0), (30.0, 400.0)];
        let exact = track(Kind::Counter, flowing(0.0), flowing(20.0), &samples);
        assert_eq!((exact.delta, exact.unsure, exact.resets), (Ok(300.0), 0.0, 0));
        let between = track(Kind::Counter, flowing(5.0), flowing(12.0), &samples);
        assert_eq!((between.before, between.after), (Some(150.0), Some(240.0)));
        assert_eq!((between.delta, between.unsure), (Ok(90.0), 50.0 + 160.0));
        // Both edges within one interval.
        assert_eq!(track(Kind::Counter, flowing(12.0), flowing(13.0), &samples).delta, Ok(20.0));
    }

    #[test]
    fn a_reset_counts_from_0_and_a_moved_start_too() {
        let samples = [(0.0, 100.0), (10.0, 150.0), (20.0, 30.0), (30.0, 40.0)];
        let fell = track(Kind::Counter, flowing(0.0), flowing(30.0), &samples);
        assert_eq!((fell.delta, fell.resets), (Ok(90.0), 1));
        assert_eq!(track(Kind::Gauge, flowing(0.0), flowing(30.0), &samples).delta, Ok(-60.0));

        let mut fold = Fold::new(Kind::Counter, flowing(0.0), flowing(20.0));
        for (time, value, restarted) in [(0.0, 100.0, false), (10.0, 120.0, true), (20.0, 130.0, false)] {
            fold.feed(time, value, restarted);
        }
        // Either it started again and counted 120, or the exporter did and it counted 20: told as unsure.
        assert_eq!((fold.finish().delta, fold.finish().unsure, fold.finish().resets), (Ok(130.0), 100.0, 1));
    }

    #[test]
    fn where_the_load_stands_still_the_first_sample_past_the_edge_counts() {
        let still = |time: f64| At { time, still_until: Some(time + 3.0) };
        let samples = [(0.0, 5.0), (1.5, 10.0), (2.5, 10.0), (10.0, 90.0), (11.0, 95.0)];
        let got = track(Kind::Counter, still(1.0), still(10.5), &samples);
        assert_eq!((got.before, got.after, got.delta, got.unsure), (Some(10.0), Some(95.0), Ok(85.0), 0.0));
        // A sample that comes too late may hold what happened since.
        assert_eq!(track(Kind::Counter, still(1.0), still(3.0), &samples).delta, Err(Gap::NoEnd));
        assert_eq!(track(Kind::Counter, still(-9.0), still(10.5), &samples).delta, Err(Gap::NoStart));
    }

    #[test]
    fn what_is_missing_is_not_0() {
        assert_eq!(track(Kind::Counter, flowing(0.0), flowing(9.0), &[]).delta, Err(Gap::NoStart));
        assert_eq!(track(Kind::Counter, flowing(0.0), flowing(9.0), &[(5.0, 7.0), (10.0, 8.0)]).delta, Err(Gap::NoStart));
        let gone = track(Kind::Counter, flowing(0.0), flowing(9.0), &[(0.0, 7.0), (8.0, 8.0)]);
        assert_eq!((gone.before, gone.after, gone.delta), (Some(7.0), None, Err(Gap::NoEnd)));
        let nan = track(Kind::Counter, flowing(0.0), flowing(9.0), &[(0.0, f64::NAN), (9.0, f64::NAN)]);
        assert_eq!(nan.delta, Err(Gap::NoStart));
    }

    #[test]
    fn a_counter_that_came_up_between_the_edges_counts_from_0() {
        let born = |kind, from, to, samples: &[(f64, f64)]| {
            let mut fold = Fold::new(kind, from, to);
            samples.iter().for_each(|(time, value)| fold.feed(*time, *value, false));
            fold.finish_born()
        };
        let still = |time: f64| At { time, still_until: Some(time + 3.0) };
        let samples = [(5.0, 7.0), (10.0, 17.0), (12.0, 17.0)];
        for (from, to) in [(flowing(1.0), flowing(10.0)), (still(1.0), still(9.0))] {
            let got = born(Kind::Counter, from, to, &samples);
            assert_eq!((got.before, got.after, got.delta, got.unsure), (Some(0.0), Some(17.0), Ok(17.0), 7.0));
            assert_eq!(got.born, Some(7.0));
        }
        // Its only sample is the one that a still edge waited for.
        assert_eq!(born(Kind::Counter, still(-9.0), still(4.0), &samples[..1]).delta, Ok(7.0));
        // A gauge had any value; and what was there before, or came up after the phase, is as it always was.
        assert_eq!(born(Kind::Gauge, flowing(1.0), flowing(10.0), &samples).delta, Err(Gap::NoStart));
        assert_eq!(born(Kind::Counter, flowing(5.0), flowing(10.0), &samples).delta, Ok(10.0));
        assert_eq!(born(Kind::Counter, flowing(1.0), flowing(4.0), &samples).delta, Err(Gap::NoStart));
        assert_eq!(born(Kind::Counter, flowing(1.0), flowing(20.0), &samples).delta, Err(Gap::NoStart));
    }

    #[test]
    fn levels_are_those_of_the_phase_only() {
        let samples = [(0.0, 99.0), (10.0, 5.0), (20.0, 9.0), (30.0, 1.0), (40.0, 77.0)];
        let levels = track(Kind::Gauge, flowing(10.0), flowing(35.0), &samples).levels.unwrap();
        assert_eq!((levels.min, levels.max, levels.avg, levels.samples), (1.0, 9.0, 5.0, 3));
    }

    /// Events at any times, samples at any times: each sample tells exactly how many events there were before it.
    fn world() -> impl Strategy<Value = (Vec<f64>, Vec<f64>)> {
        let times = |n| proptest::collection::vec((0u32..100_000).prop_map(|ms| f64::from(ms) / 1e3), n);
        (times(0..200), times(2..60)).prop_map(|(mut events, mut samples)| {
            events.sort_by(f64::total_cmp);
            samples.extend([0.0, 100.0]);
            samples.sort_by(f64::total_cmp);
            samples.dedup();
            (events, samples)
        })
    }

    fn count(events: &[f64], at: f64) -> f64 {
        events.iter().filter(|e| **e < at).count() as f64
    }

    proptest! {
        #[test]
        fn the_truth_is_within_the_uncertainty((events, samples) in world(), a in 0.0..100.0f64, b in 0.0..100.0f64) {
            let (a, b) = (a.min(b), a.max(b));
            let samples: Vec<(f64, f64)> = samples.iter().map(|t| (*t, count(&events, *t))).collect();
            let got = track(Kind::Counter, flowing(a), flowing(b), &samples);
            let truth = count(&events, b) - count(&events, a);
            prop_assert!((got.delta.unwrap() - truth).abs() <= got.unsure + 1e-9, "{:?} for {truth}", got);
        }

        #[test]
        fn whenever_a_counter_came_up_the_truth_is_within_the_uncertainty(
            (events, samples) in world(), a in 0.0..100.0f64, b in 0.0..100.0f64, shown in 0.0..100.0f64,
        ) {
            // Born, or hidden until then.
            let (a, b) = (a.min(b), a.max(b));
            let mut fold = Fold::new(Kind::Counter, flowing(a), flowing(b));
            samples.iter().filter(|t| **t >= shown).for_each(|t| fold.feed(*t, count(&events, *t), false));
            let got = fold.finish_born();
            let truth = count(&events, b) - count(&events, a);
            prop_assert!(got.delta.is_err() || (got.delta.unwrap() - truth).abs() <= got.unsure + 1e-9, "{:?} for {truth}", got);
        }

        #[test]
        fn phases_add_up_and_resets_lose_nothing_that_was_sampled(
            (events, samples) in world(), a in 0.0..100.0f64, b in 0.0..100.0f64, reset in 0.0..100.0f64,
        ) {
            let (a, b) = (a.min(b), a.max(b));
            // The counter starts again right after the last sample before `reset`.
            let base = samples.iter().copied().filter(|t| *t <= reset).map(|t| count(&events, t)).fold(0.0, f64::max);
            let samples: Vec<(f64, f64)> = samples.iter()
                .map(|t| (*t, count(&events, *t) - if *t > reset { base } else { 0.0 })).collect();
            let delta = |from, to| track(Kind::Counter, flowing(from), flowing(to), &samples).delta.unwrap();
            prop_assert!((delta(0.0, a) + delta(a, b) + delta(b, 100.0) - delta(0.0, 100.0)).abs() < 1e-9);
            // Seen by its falling, the sum is the truth; where it didn't fall, no sample could tell.
            let falls = samples.windows(2).any(|w| w[1].1 < w[0].1);
            if falls || base == 0.0 {
                prop_assert!((delta(0.0, 100.0) - count(&events, 100.0)).abs() < 1e-9);
            }
        }
    }
}
