//! What the answer to a query comes to: of each series its values, and how long it had none.
//!
//! A target that died leaves no points. What was seen of it before says nothing of the end, and what was seen around a hole nothing of the hole.

use std::collections::BTreeMap;

use super::api::{Answer, Series};
use super::error::SourceError;
use super::intervals::spacing;
use super::labels::{Labels, NAME};
use super::meter::{HOLE, Levels, Meter};
use super::select::keep;
use super::systems::Unknown;
use super::values::ValueSeries;

/// A value is that of the end where its point is no further from it than so many scrape intervals.
const AT_THE_END: f64 = 1.5;

/// What a query came to.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Answered {
    /// Every series returned, with its last, least, greatest and mean value; NaN where it has no number.
    pub series: Vec<ValueSeries>,
    /// Series of a plain selector that are there and have no sample in the phase.
    pub unknown: Vec<Unknown>,
    /// That the answer is a part of what there is, and why.
    pub partial: Option<String>,
    /// How it was evaluated, where that isn't as usual.
    pub note: Option<String>,
    /// What the server said beside the answer.
    pub warnings: Vec<String>,
}

/// What came in of the series of a query.
#[derive(Default)]
pub(super) struct Points {
    series: BTreeMap<(String, Labels), SeriesLevels>,
    pub(super) answered: Answered,
    /// The stretch of time that is taken in, or was last, and the first point of any series in it.
    stretch: Option<(f64, f64)>,
    first: Option<f64>,
    /// The longest beginning of a stretch in which no series had a point.
    nothing: f64,
}

/// One series.
struct SeriesLevels {
    meter: Meter,
    last: f64,
    /// The time of the last point, or the beginning of the stretch.
    seen: f64,
    /// The longest time without a point.
    hole: f64,
    /// How far apart its own samples are.
    spacing: Option<f64>,
}

impl Points {
    pub(super) fn is_empty(&self) -> bool {
        self.series.is_empty()
    }

    pub(super) fn has(&self, series: &(String, Labels)) -> bool {
        self.series.contains_key(series)
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &(String, Labels)> {
        self.series.keys()
    }

    /// What is taken in now is of this stretch of time.
    pub(super) fn begin(&mut self, (from, to): (f64, f64)) {
        (self.stretch, self.first) = (Some((from, to)), None);
        self.series.values_mut().for_each(|line| line.seen = from);
    }

    /// All points of the stretch were taken in.
    pub(super) fn end(&mut self) {
        let Some((from, to)) = self.stretch else { return };
        self.nothing = self.nothing.max(self.first.unwrap_or(to) - from);
        self.series.values_mut().for_each(|line| line.hole = line.hole.max(to - line.seen));
    }

    /// Takes in an answer's points from `from` on.
    pub(super) fn take(&mut self, answer: Answer<Vec<Series>>, from: f64) -> Result<(), SourceError> {
        keep(&mut self.answered.warnings, answer.warnings);
        self.answered.partial = self.answered.partial.take().or(answer.partial);
        for series in answer.data {
            if series.histogram && series.samples.is_empty() {
                let message = "it gives native histograms; wrap it in histogram_quantile() or histogram_count()".to_owned();
                return Err(SourceError::Query { status: 200, kind: "histogram".into(), message });
            }
            let mut samples = series.samples.iter().filter(|(time, _)| *time >= from).peekable();
            let Some((begun, _)) = samples.peek().copied().copied() else { continue };
            self.first = Some(self.first.map_or(begun, |first| first.min(begun)));
            // One that comes up behind others was not there before.
            let fresh = || SeriesLevels { meter: Meter::default(), last: f64::NAN, seen: begun, hole: 0.0, spacing: None };
            let line = self.series.entry((series.metric, series.labels)).or_insert_with(fresh);
            line.spacing = line.spacing.or_else(|| spacing(&series.samples));
            for (time, value) in samples {
                line.meter.add(*value);
                line.last = if value.is_finite() { *value } else { f64::NAN };
                (line.hole, line.seen) = (line.hole.max(time - line.seen), *time);
            }
        }
        Ok(())
    }

    /// What it came to. `own`: the points are the series' own samples; `interval`: how far apart they are otherwise; and the longest that they
    /// may be apart, where that is known.
    pub(super) fn finish(self, own: bool, interval: f64, longest: Option<f64>) -> Answered {
        let (end, nothing) = (self.stretch.map(|(_, to)| to), self.nothing);
        let value = |((metric, mut labels), line): ((String, Labels), SeriesLevels)| {
            let none = Levels { min: f64::NAN, max: f64::NAN, avg: f64::NAN, samples: 0, blank: 0, hole: 0.0, ended: 0.0 };
            let Levels { min, max, avg, blank, samples, .. } = line.meter.levels().unwrap_or(none);
            if !metric.is_empty() {
                labels.insert(0, (NAME.to_owned(), metric));
            }
            let every = line.spacing.filter(|_| own).map_or(interval, |own| own.min(longest.unwrap_or(own)));
            let more_than = |lasted: f64, intervals: f64| if lasted > intervals * every { lasted } else { 0.0 };
            let hole = more_than(line.hole.max(nothing), HOLE);
            let ended = end.map_or(0.0, |end| more_than(end - line.seen, AT_THE_END));
            ValueSeries { min, max, avg, blank, samples, hole, ended, ..ValueSeries::exact(labels, line.last) }
        };
        Answered { series: self.series.into_iter().map(value).collect(), ..self.answered }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAN: f64 = f64::NAN;
    type Stretch = (f64, f64);

    fn answer(series: Vec<(&str, Vec<(f64, f64)>)>) -> Answer<Vec<Series>> {
        let series = series.into_iter().map(|(metric, samples)| Series {
            metric: metric.into(),
            labels: Vec::new(),
            samples,
            histogram: false,
        });
        Answer { data: series.collect(), warnings: Vec::new(), partial: None }
    }

    /// Stretches of time with the points of `up` in each, 1 s apart.
    fn come_to(stretches: Vec<(Stretch, Vec<(f64, f64)>)>) -> ValueSeries {
        let mut points = Points::default();
        for (stretch, samples) in stretches {
            points.begin(stretch);
            points.take(answer(vec![("up", samples)]), stretch.0).unwrap();
            points.end();
        }
        points.finish(true, 1.0, None).series.remove(0)
    }

    fn each_second(from: u32, to: u32) -> Vec<(f64, f64)> {
        (from..=to).map(|at| (f64::from(at), 1.0)).collect()
    }

    #[test]
    fn points_are_summed_up_and_nan_is_no_number() {
        let points = vec![(0.0, 9.0), (1.0, NAN), (2.0, 3.0), (3.0, 1.0), (4.0, NAN)];
        let mut seen = Points::default();
        seen.take(answer(vec![("up", points)]), 1.0).unwrap();
        seen.take(answer(vec![("up", vec![(6.0, 5.0)])]), 6.0).unwrap();
        let answered = seen.finish(true, 1.0, None);
        let got = &answered.series[0];
        assert_eq!((answered.series.len(), got.value, got.min, got.max, got.avg, got.blank), (1, 5.0, 1.0, 5.0, 3.0, 2));
        assert!(come_to(vec![((0.0, 1.0), vec![(0.0, NAN)])]).max.is_nan());
        // What is no number at the end has no value there.
        let got = come_to(vec![((0.0, 1.0), vec![(0.0, 1.0), (1.0, f64::INFINITY)])]);
        assert!(got.value.is_nan() && (got.max, got.blank) == (1.0, 1));
    }

    #[test]
    fn one_that_died_has_no_value_at_the_end_and_a_hole() {
        let got = come_to(vec![((0.0, 40.0), each_second(0, 8))]);
        assert_eq!((got.value, got.ended, got.hole), (1.0, 32.0, 32.0));
        // A lost scrape is no hole, and where it is the last one the value isn't known.
        let got = come_to(vec![((0.0, 40.0), [each_second(0, 20), each_second(22, 38)].concat())]);
        assert_eq!((got.ended, got.hole), (2.0, 0.0));
        let got = come_to(vec![((0.0, 40.5), each_second(0, 40))]);
        assert_eq!((got.ended, got.hole), (0.0, 0.0));
        // Away for a while, at the beginning or in the middle.
        let got = come_to(vec![((0.0, 40.0), each_second(20, 40))]);
        assert_eq!((got.ended, got.hole), (0.0, 20.0));
        let got = come_to(vec![((0.0, 40.0), [each_second(0, 10), each_second(20, 40)].concat())]);
        assert_eq!((got.ended, got.hole), (0.0, 10.0));
    }

    #[test]
    fn what_lies_between_stretches_is_no_hole_and_a_whole_stretch_without_a_point_is_one() {
        let got = come_to(vec![((0.0, 10.0), each_second(0, 10)), ((60.0, 70.0), each_second(60, 70))]);
        assert_eq!((got.ended, got.hole), (0.0, 0.0));
        let got = come_to(vec![((0.0, 10.0), each_second(0, 10)), ((60.0, 70.0), Vec::new())]);
        assert_eq!((got.ended, got.hole), (10.0, 10.0));
        // Too short for a sample of its own.
        let got = come_to(vec![((0.0, 10.0), each_second(0, 10)), ((60.0, 60.5), Vec::new())]);
        assert_eq!((got.ended, got.hole), (0.0, 0.0));
    }

    #[test]
    fn a_series_that_comes_up_behind_others_was_not_there_before() {
        let mut points = Points::default();
        points.begin((0.0, 40.0));
        points.take(answer(vec![("a", each_second(0, 40)), ("b", each_second(20, 40))]), 0.0).unwrap();
        points.end();
        let answered = points.finish(true, 1.0, None);
        assert!(answered.series.iter().all(|series| (series.hole, series.ended) == (0.0, 0.0)), "{answered:?}");
    }
}
