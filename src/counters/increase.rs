//! The increase of one series between two edges, from its samples in the order of time. Pure arithmetic, and the only one: samples
//! that Prometheus stored and scrapes of ours go through the same [`Fold`].
//!
//! With v the values, the increase is the sum of v\[i\] - v\[i-1\], or of v\[i\] where the counter started again (it fell, or a
//! start time moved). At an edge between two samples the value is interpolated linearly. PromQL's `increase()` isn't used: it
//! extrapolates to the range's ends.
//!
//! The increase is never better known than the samples say. What was counted between the two samples around an edge may lie on
//! either side of it; a sample whose scrape was not over at the edge is none before it. What was counted after the last sample before a reset is lost: see [`Hidden`]. Where only a start time moved, the
//! exporter alone may have started again. Beyond 2^53 a float isn't exact to the unit.
//!
//! Not every fall is a reset. A sum of floats may dip by a rounding error: see [`Fold::dips`]. And some exporters count modulo
//! 2^53: see [`Fold::wraps`]. Across that the increase is exact to the unit: see [`Sums`]. A series that is a counter by its name
//! alone is a gauge as soon as it falls.
//!
//! A counter that came up between the edges, at a target that was read at the first one, counts from 0. That is the truth of a
//! client library's counter, whose labels come up with their first event. Were it another's that had been hidden, it had some
//! value from 0 to its first sample at the edge. So its first sample is not sure, and the truth is within the bounds either way.

use super::cut::{At, Cut};
use super::hidden::{Pace, Reset};
use super::kind::MetricKind;
use super::sums::{LEAST, LIKELY, MOST, Sums, WRAP};
use super::track::Track;

/// A fall of less than this part of the value that is left may be a rounding error.
const ROUNDING: f64 = 1e-3;

/// A counter that falls when it has no more than so many times to go to 2^53 as it counted behind the fall went on: by chance it is seldom so near.
const FAR: f64 = 1e3;

/// Takes samples in, gives [`Cut`]s at its edges and a [`Track`] between two.
#[derive(Debug, Clone)]
pub(crate) struct Fold {
    kind: MetricKind,
    /// The same samples as those of a gauge, for a counter by its name alone; and whether it fell.
    as_gauge: Option<Box<Fold>>,
    fell: bool,
    marks: Vec<Mark>,
    first: Option<(f64, f64)>,
    last: Option<Sample>,
    recent: Recent,
    pace: Pace,
}

#[derive(Debug, Clone, Copy)]
struct Sample {
    sums: Sums,
    reset: bool,
    /// For how long after its time its value may be, in seconds.
    took: f64,
}

/// How fast a counter counted since it started, which distinguishes a reset from other falls.
#[derive(Debug, Clone, Copy, Default)]
struct Recent {
    /// Its first sample since: time and sum.
    since: (f64, f64),
    /// Between the last two samples, a second.
    rate: Option<f64>,
}

/// An edge that samples are still expected for.
#[derive(Debug, Clone, Copy)]
struct Mark {
    at: At,
    before: Option<Sums>,
    /// The value at the edge, and what most likely comes to it.
    made: Option<(f64, f64)>,
    after: Option<Sums>,
    /// The least and the greatest value from the sample before it to the one after it.
    between: Option<[f64; 2]>,
}

impl Fold {
    pub(crate) fn new(kind: MetricKind, edges: &[At]) -> Self {
        let marks = edges.iter().map(|at| Mark::new(*at, None)).collect();
        Self {
            kind,
            as_gauge: None,
            fell: false,
            marks,
            first: None,
            last: None,
            recent: Recent::default(),
            pace: Pace::default(),
        }
    }

    /// Of a series whose kind is known, or only guessed by its name: a guessed counter that falls is a gauge.
    pub(crate) fn of(kind: MetricKind, guessed: bool, edges: &[At]) -> Self {
        let as_gauge = (guessed && kind == MetricKind::Counter).then(|| Box::new(Self::new(MetricKind::Gauge, edges)));
        Self { as_gauge, ..Self::new(kind, edges) }
    }

    /// The fold that knows: this one, or that of a gauge.
    fn known(&self) -> &Self {
        self.as_gauge.as_deref().filter(|_| self.fell).unwrap_or(self)
    }

    /// The next sample: its time, its value, and whether something else than the value says that the counter started again
    /// since the sample before. A sample that isn't later than the one before is passed over (chunks overlap), and so is
    /// what isn't finite. True if it was taken.
    pub(crate) fn feed(&mut self, time: f64, value: f64, restarted: bool) -> bool {
        self.feed_scrape((time, 0.0), value, restarted)
    }

    /// The same of a scrape that began at `time` and took so long: the value is of any moment of it.
    pub(crate) fn feed_scrape(&mut self, (time, took): (f64, f64), value: f64, restarted: bool) -> bool {
        if !value.is_finite() || self.last.is_some_and(|last| time <= last.sums.time) {
            return false;
        }
        if let Some(gauge) = &mut self.as_gauge {
            self.fell |= self.last.is_some_and(|last| value < last.sums.value) && !restarted;
            gauge.feed_scrape((time, took), value, restarted);
        }
        let now = self.next((time, took), value, restarted);
        for mark in &mut self.marks {
            mark.see(self.last.as_ref(), &now);
        }
        self.first.get_or_insert((time, value));
        self.last = Some(now);
        true
    }

    /// The next sample, which is the first past an edge (or where the load stands still, the edge's). A counter that was not
    /// there before came up on either side of it.
    pub(crate) fn feed_edge(&mut self, at: At, time: f64, value: f64, restarted: bool) -> Option<Cut> {
        let gauge = self.as_gauge.as_mut().and_then(|gauge| gauge.feed_edge(at, time, value, restarted));
        let cut = self.own_edge(at, time, value, restarted);
        if self.fell { gauge } else { cut }
    }

    fn own_edge(&mut self, at: At, time: f64, value: f64, restarted: bool) -> Option<Cut> {
        self.marks.push(Mark::new(at, self.last.as_ref()));
        let taken = self.feed(time, value, restarted);
        let cut = self.marks.pop().and_then(|mark| self.cut_of(&mark));
        let (now, first) = (self.last?, self.first?);
        let came_up = || Cut { value, base: now.sums.base[LIKELY], around: [self.nothing(&now), now.sums], first };
        cut.or_else(|| (taken && first.0 == time).then(came_up))
    }

    /// Marks an edge that a sample is still to come for: the first past it.
    pub(crate) fn mark(&mut self, at: At) {
        self.marks.push(Mark::new(at, self.last.as_ref()));
        self.as_gauge.iter_mut().for_each(|gauge| gauge.mark(at));
    }

    /// Takes what came of the edge at `time`, once a sample past it was seen, or gives it up.
    pub(crate) fn take_mark(&mut self, time: f64) -> Option<Cut> {
        let gauge = self.as_gauge.as_mut().and_then(|gauge| gauge.take_mark(time));
        let edge = self.marks.iter().position(|mark| mark.at.time == time)?;
        let cut = self.cut_of(&self.marks[edge]);
        self.marks.remove(edge);
        if self.fell { gauge } else { cut }
    }

    /// Whether an edge at `time` is marked, and no sample past it was seen.
    pub(crate) fn waits(&self, time: f64) -> bool {
        self.marks.iter().any(|mark| mark.at.time == time && mark.made.is_none())
    }

    fn nothing(&self, now: &Sample) -> Sums {
        match self.kind {
            MetricKind::Counter => Sums::default(),
            MetricKind::Gauge => now.sums,
        }
    }

    fn next(&mut self, (time, took): (f64, f64), value: f64, restarted: bool) -> Sample {
        let (sums, reset) = self.counted((time, took), value, restarted);
        let mut now = Sample { sums, reset, took };
        self.pace.see(time, now.sums.total());
        now.sums.open = self.pace.so_far(now.sums.open);
        now
    }

    /// What was counted up to the next sample, and whether the counter started again before it.
    fn counted(&mut self, (time, took): (f64, f64), value: f64, restarted: bool) -> (Sums, bool) {
        let Some(last) = self.last.map(|last| last.sums) else {
            self.recent.since = (time, value);
            return (Sums::first(self.kind, (time, value)), false);
        };
        let (gap, moved) = (time - last.time, value - last.value);
        if self.kind == MetricKind::Counter && !restarted && self.dips(&last, value, gap) {
            // The next sample counts from the highest value so far.
            self.recent.rate = Some(0.0);
            return (Sums { time, ..last }, false);
        }
        let reset = self.kind == MetricKind::Counter && (value < last.value || restarted);
        if !reset {
            self.recent.rate = Some(moved / gap);
            return (Sums { time, value, ..last }, false);
        }
        // Where no value fell, it may have been the exporter alone that started again.
        let (surely, went_on) = if moved < 0.0 { (value, last.value) } else { (moved, 0.0) };
        let wraps = !restarted && self.wraps(&last, value, gap);
        // One that went on modulo 2^53 may have started again all the same, just then.
        let before = if wraps { WRAP } else { last.value };
        let base = [last.base[LEAST] + went_on, last.base[LIKELY] + before, last.base[MOST] + before];
        let mut sums = Sums { time, value, base, resets: last.resets + u64::from(!wraps), open: last.open };
        let (likely, total) = (sums.since(&last, LIKELY), sums.total());
        let reset = Reset { gap, took, counted: if wraps { likely } else { surely }, went_on: wraps };
        self.pace.reset(&mut sums.open, &reset, (time, total));
        self.recent = if wraps {
            Recent { rate: Some(likely / gap), ..self.recent }
        } else {
            Recent { since: (time, total), rate: Some(value / gap) }
        };
        (sums, true)
    }

    /// Whether a fall is a rounding error: it is tiny, and from 0 the counter could not have come so far again since the last
    /// sample, at twice the rate before it.
    fn dips(&self, last: &Sums, value: f64, gap: f64) -> bool {
        let reach = self.recent.rate(last).map_or(0.0, |rate| 2.0 * rate * gap);
        value < last.value && last.value - value < ROUNDING * value && value > reach
    }

    /// Whether a counter that fell went on modulo 2^53: at twice the rate before it reached that since the last sample; or it was so near that
    /// what it counted behind the fall speaks for it, whatever the rate before (behind a pause it is 0).
    fn wraps(&self, last: &Sums, value: f64, gap: f64) -> bool {
        let reach = 2.0 * gap * self.recent.rate(last).unwrap_or_default();
        last.value <= WRAP && WRAP - last.value <= reach.max(FAR * value.max(1.0))
    }

    /// The series at its last sample, of a counter that was away at `time`: as at a reset, what it counted after that sample is lost.
    pub(crate) fn vanished(&self, time: f64) -> Option<Cut> {
        let (last, first) = (self.last.filter(|_| self.kind() == MetricKind::Counter)?.sums, self.first?);
        let open = self.pace.vanished(last.open, time - last.time, (time, last.total()));
        Some(Cut { value: last.value, base: last.base[LIKELY], around: [last, Sums { open, ..last }], first })
    }

    /// Counter or gauge, as far as it is known by now.
    pub(crate) fn kind(&self) -> MetricKind {
        self.known().kind
    }

    /// Whether its name is a counter's, and it fell.
    pub(crate) fn fell(&self) -> bool {
        self.fell
    }

    /// The time of the first sample.
    pub(crate) fn first(&self) -> Option<f64> {
        self.first.map(|(time, _)| time)
    }

    /// Time and value of the last sample.
    pub(crate) fn last(&self) -> Option<(f64, f64)> {
        self.last.map(|last| (last.sums.time, last.sums.value))
    }

    /// The series at one of its edges, once a sample past it was seen.
    pub(crate) fn cut(&self, edge: usize) -> Option<Cut> {
        let known = self.known();
        known.cut_of(known.marks.get(edge)?)
    }

    fn cut_of(&self, mark: &Mark) -> Option<Cut> {
        let ((value, base), last, first) = (mark.made?, self.last?, self.first?);
        let mut around = [mark.before?, mark.after.unwrap_or(last.sums)];
        if let (MetricKind::Gauge, Some(values)) = (self.kind, mark.between) {
            around = [0, 1].map(|end| Sums { value: values[end], ..around[end] });
        }
        Some(Cut { value, base, around, first })
    }

    /// What happened between its two edges. `known`: its target was read at the first edge, and so long at the second one (the
    /// time of the first sample past it). Then a counter that came up meanwhile counts from 0.
    pub(crate) fn track(&self, known: Option<f64>) -> Track {
        self.known().own_track(known)
    }

    fn own_track(&self, known: Option<f64>) -> Track {
        let (a, b) = (self.cut(0), self.cut(1));
        let (Some(until), None, Some(first), [from, to, ..]) = (known, a, self.first, self.marks.as_slice()) else {
            return Track::between(self.kind, a, b);
        };
        if self.kind == MetricKind::Gauge || first.0 <= from.at.time {
            return Track::between(self.kind, a, b);
        }
        // Past the second edge it may have come up on either side of it.
        let came_up = Cut { value: 0.0, base: 0.0, around: [Sums::default(), Sums::first(self.kind, first)], first };
        let b = b.or((first.0 >= to.at.time && first.0 <= until).then_some(came_up));
        b.map_or(Track::between(self.kind, None, None), |b| Track::born(&b))
    }
}

impl Sample {
    /// Its value is of this moment at the latest.
    fn over(&self) -> f64 {
        self.sums.time + self.took
    }
}

impl Mark {
    /// An edge behind this sample.
    fn new(at: At, last: Option<&Sample>) -> Self {
        let before = last.filter(|last| last.over() <= at.time - at.off).map(|last| last.sums);
        Self { at, before, made: None, after: None, between: before.map(|sums| [sums.value; 2]) }
    }

    fn see(&mut self, last: Option<&Sample>, now: &Sample) {
        let (at, time, value) = (self.at, now.sums.time, now.sums.value);
        // The first sample at or past the edge.
        let reached = time >= at.time && last.is_none_or(|last| last.sums.time < at.time);
        let made = (now.sums.value, now.sums.base[LIKELY]);
        if let Some(until) = at.still_until {
            if reached && time <= until && now.over() <= until + at.off {
                let sums = Some(now.sums);
                *self = Self { at, before: sums, made: Some(made), after: sums, between: Some([value; 2]) };
            }
            return;
        }
        if self.after.is_none() {
            self.between = Some(self.between.map_or([value; 2], |[least, most]| [least.min(value), most.max(value)]));
        }
        if now.over() <= at.time - at.off {
            (self.before, self.between) = (Some(now.sums), Some([value; 2]));
        }
        if reached {
            self.made = match last {
                _ if time == at.time => Some(made),
                None => None,
                Some(last) => {
                    let part = (at.time - last.sums.time) / (time - last.sums.time);
                    let moved = part * now.sums.since(&last.sums, LIKELY);
                    let (on, before) = if now.reset { (0.0, moved) } else { (moved, 0.0) };
                    Some((last.sums.value + on, last.sums.base[LIKELY] + before))
                }
            };
            // Where nothing shows that the series' first sample was before the edge.
            let first = || last.unwrap_or(now).sums.unseen();
            self.before = self.made.and(self.before.or_else(|| Some(first())));
        }
        if self.made.is_none() || time < at.time + at.off + at.late {
            return;
        }
        let Some(after) = self.after else {
            self.after = Some(now.sums);
            return;
        };
        if at.ended && last.is_some_and(|last| last.sums.time == after.time) && now.sums.since(&after, LIKELY) == 0.0 {
            (self.made, self.between) = (Some(made), Some([value; 2]));
            self.before = self.before.map(|before| Sums { time: before.time, ..after });
        }
    }
}

impl Recent {
    /// The greater of the recent rate and the mean one; none where there was one sample only.
    fn rate(&self, last: &Sums) -> Option<f64> {
        let span = last.time - self.since.0;
        let mean = (span > 0.0).then(|| (last.total() - self.since.1) / span);
        self.rate.into_iter().chain(mean).max_by(f64::total_cmp)
    }
}

#[cfg(test)]
#[path = "increase_tests.rs"]
mod tests;
