//! The values that SLOs judge, from what the series of one source did.

use std::collections::{BTreeMap, BTreeSet};

use super::amount::{Amount, Whole, ratio};
use super::cut::Gap;
use super::hidden::Hidden;
use super::kind::MetricKind;
use super::labels::{Labels, SOURCE, TARGET, label};
use super::meter::{Levels, Meter};
use super::track::Track;
use super::want::{Asked, Sum, Wants};

/// One series of an item in one source, over one phase.
#[derive(Debug, Clone)]
pub(super) struct SeriesFindings {
    pub(super) item: usize,
    pub(super) metric: String,
    pub(super) labels: Labels,
    pub(super) kind: MetricKind,
    pub(super) track: Track,
    /// Of a gauge, where they are known.
    pub(super) levels: Option<Levels>,
    /// Samples after the first edge up to the second: scrapes by the source.
    pub(super) samples: u64,
}

/// One value of a phase, for one system (two Redis servers have two): of a preset, of a ratio, or of a PromQL query.
#[derive(Debug, Clone, PartialEq)]
pub struct ValueSeries {
    /// What distinguishes it from its siblings.
    pub labels: Labels,
    /// A counter's increase over the phase; a level at its end.
    pub value: f64,
    /// The least that `value` can truly be; `value` itself where it is exact.
    pub least: f64,
    /// The greatest that it can be; infinite where what it is divided by may be 0.
    pub most: f64,
    /// The least that was seen over the phase; `value` where there is one only.
    pub min: f64,
    /// The greatest.
    pub max: f64,
    /// The mean.
    pub avg: f64,
    /// At most how much of what it is made of resets may have hidden; infinite where it may be any number.
    pub lost: f64,
    /// At how many moments between there was no number (NaN, ±Inf), so that `min`, `max` and `avg` may be any.
    pub blank: u64,
    /// The longest time without one, in seconds, where that is more than a few scrape intervals: a level may have been any in it.
    pub hole: f64,
    /// How long before the end the last one was, in seconds, where that is more than a scrape interval: the level at the end may be any.
    pub ended: f64,
    /// At how many there was one; 0 for an increase, which is of the whole phase.
    pub samples: u64,
}

impl ValueSeries {
    /// An exact value, of the whole phase.
    pub fn exact(labels: Labels, value: f64) -> Self {
        let (lost, hole, ended) = (0.0, 0.0, 0.0);
        Self {
            labels,
            value,
            least: value,
            most: value,
            min: value,
            max: value,
            avg: value,
            lost,
            blank: 0,
            hole,
            ended,
            samples: 0,
        }
    }
}

/// The levels of one value of one system since the edge before.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub(crate) struct LevelOf {
    pub(crate) value: String,
    pub(crate) labels: Labels,
    pub(crate) levels: Levels,
}

/// Least, greatest and mean of the values made of gauges, from all series at one instant at a time.
#[derive(Debug, Clone, Default)]
pub(super) struct LevelMeters {
    meters: BTreeMap<(usize, Labels), Meter>,
    /// By value, system, and instant in milliseconds: numerator and denominators so far.
    open: BTreeMap<(usize, Labels), BTreeMap<i64, Parts>>,
}

/// Sums of a value's terms; none where no series of the term is there.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Parts {
    of: Option<Amount>,
    to: Vec<Option<Amount>>,
    /// What of the denominators isn't in the numerator.
    rest: Amount,
    /// What resets may have hidden of all of it, which reset together; and of what resets apart from that.
    hidden: Hidden,
    lost: f64,
    missing: Option<String>,
    /// All series that it is made of: source, metric, labels.
    pub(super) series: BTreeSet<(String, String, Labels)>,
    /// The samples around both edges, where all series have the same ones: one scrape delivers them.
    around: Option<[f64; 4]>,
    apart: bool,
    /// Of a level: how long before the end the last sample was, where the next one is far from it.
    ended: f64,
}

impl LevelMeters {
    /// Takes in one series' sample at an instant.
    pub(super) fn feed(&mut self, wants: &Wants, item: usize, labels: &Labels, time: f64, value: f64) {
        for (at, asked) in wants.asked.iter().enumerate().filter(|(_, asked)| asked.level) {
            for (place, sum) in asked.terms().filter(|(_, sum)| sum.item == item && sum.takes(labels)) {
                if !value.is_finite() {
                    let meter = self.meters.entry((at, asked.system(labels, sum))).or_default();
                    meter.there(time);
                    meter.add(value);
                    continue;
                }
                let parts = self.open.entry((at, asked.system(labels, sum))).or_default();
                let parts = parts.entry((time * 1e3).round() as i64).or_default();
                parts.add(place, asked.to.len(), Amount::exact(value));
            }
        }
    }

    /// All series of the instants so far were fed.
    pub(super) fn close(&mut self, wants: &Wants) {
        for ((at, system), instants) in std::mem::take(&mut self.open) {
            let value = |parts: &Parts| wants.asked[at].value(parts).ok().flatten();
            let meter = self.meters.entry((at, system)).or_default();
            for (time, value) in instants.iter().filter_map(|(time, parts)| Some((time, value(parts)?))) {
                meter.there(*time as f64 / 1e3);
                meter.add(value.value);
            }
        }
    }

    /// What came in of a stretch of time. `every`: how far apart a metric's samples are, in seconds, where that is known.
    pub(super) fn levels(&self, wants: &Wants, within: [f64; 2], every: impl Fn(&str) -> Option<f64>) -> Vec<LevelOf> {
        let named = self.meters.iter().filter_map(|((at, labels), meter)| {
            let asked = &wants.asked[*at];
            let names = asked.terms().flat_map(|(_, sum)| &wants.items[sum.item].names);
            let every = names.filter_map(|name| every(name)).max_by(f64::total_cmp).unwrap_or(f64::INFINITY);
            let levels = meter.levels_within(within, every)?;
            Some(LevelOf { value: asked.name.clone(), labels: labels.clone(), levels })
        });
        named.collect()
    }
}

impl Parts {
    fn add(&mut self, place: usize, denominators: usize, amount: Amount) {
        self.to.resize(denominators, None);
        let part = if place == 0 { &mut self.of } else { &mut self.to[place - 1] };
        *part = Some(part.unwrap_or_default() + amount);
    }

    /// Takes in the parts of another system, or of what is part of this one.
    pub(super) fn join(&mut self, other: Self) {
        self.lost = self.lost() + other.lost();
        self.hidden = Hidden::default();
        let denominators = self.to.len().max(other.to.len());
        let fresh = self.of.is_none() && self.to.iter().all(Option::is_none) && self.missing.is_none();
        let terms = std::iter::once(other.of).chain(other.to).enumerate();
        terms.for_each(|(place, amount)| amount.into_iter().for_each(|amount| self.add(place, denominators, amount)));
        self.rest = self.rest + other.rest;
        self.missing = self.missing.take().or(other.missing);
        self.series.extend(other.series);
        self.ended = self.ended.max(other.ended);
        self.apart |= other.apart || (!fresh && self.around != other.around);
        self.around = self.around.or(other.around);
    }

    /// With those of the same system in a later phase. Where that follows at once, what lies around the edge between is in one of both.
    pub(super) fn then(&self, later: &Self) -> Self {
        let around = |parts: &Self| parts.around.filter(|_| !parts.apart && parts.hidden.is_none() && parts.lost == 0.0);
        let at_once = around(self).zip(around(later)).filter(|([.., a, b], [c, d, ..])| (a, b) == (c, d));
        let Some(([from, to, ..], [.., ended, beyond])) = at_once else {
            let mut both = self.clone();
            both.join(later.clone());
            both.apart = true;
            return both;
        };
        let both = |a: Option<Amount>, b: Option<Amount>| a.zip(b).map(|(a, b)| a.then(&b)).or(a).or(b);
        let denominators = self.to.len().max(later.to.len());
        let to_of = |parts: &Self, at: usize| parts.to.get(at).copied().flatten();
        Self {
            of: both(self.of, later.of),
            to: (0..denominators).map(|at| both(to_of(self, at), to_of(later, at))).collect(),
            rest: self.rest.then(&later.rest),
            missing: self.missing.clone().or_else(|| later.missing.clone()),
            series: self.series.union(&later.series).cloned().collect(),
            around: Some([from, to, ended, beyond]),
            ..Self::default()
        }
    }

    /// At most how much resets may have hidden.
    fn lost(&self) -> f64 {
        self.lost + self.hidden.most()
    }

    /// Notes which samples are around the edges of one more series.
    fn align(&mut self, around: [f64; 4]) {
        self.apart |= self.around.is_some_and(|other| other != around) || around.iter().any(|time| time.is_nan());
        self.around = Some(around);
    }
}

impl Sum {
    pub(super) fn takes(&self, labels: &Labels) -> bool {
        self.only.iter().all(|(name, value)| label(labels, name) == value)
    }

    /// Whether it takes whatever the other does.
    fn covers(&self, other: &Self) -> bool {
        self.item == other.item && self.only.iter().all(|only| other.only.contains(only))
    }
}

impl Asked {
    /// Numerator (place 0) and denominators.
    pub(super) fn terms(&self) -> impl Iterator<Item = (usize, &Sum)> {
        std::iter::once(&self.of).chain(&self.to).enumerate()
    }

    /// The labels of the system that a series is a part of. For a metric that no preset knows, the target's own labels name it.
    pub(super) fn system(&self, labels: &Labels, sum: &Sum) -> Labels {
        let is_part = |name: &String| match &self.parts {
            Some(parts) => parts.contains(name) || sum.only.iter().any(|(label, _)| label == name),
            None => !TARGET.contains(&name.as_str()),
        };
        labels.iter().filter(|(name, _)| !is_part(name)).cloned().collect()
    }

    /// A system's labels as they are shown: with the exporter that it is read from, and with what picked parts of it.
    pub(super) fn shown(&self, mut labels: Labels, exporter: Option<&str>) -> Labels {
        for (name, value) in &self.picked {
            if label(&labels, name).is_empty() {
                labels.push((name.clone(), value.clone()));
            }
        }
        if let Some(exporter) = exporter {
            labels.retain(|(name, _)| name != SOURCE);
            labels.insert(0, (SOURCE.to_owned(), exporter.to_owned()));
        }
        labels
    }

    /// Whether it is a counter's increase, which nothing can make less.
    pub(super) fn is_increase(&self) -> bool {
        self.to.is_empty() && !self.level
    }

    /// Why a system that is there has no value.
    pub(super) fn idle(&self) -> &'static str {
        if self.level { "what it is divided by is 0 (no limit is set)" } else { "nothing was counted, so there is no ratio" }
    }

    /// The value of one system, of its parts: with its bounds. None: it did nothing, or has no limit, so that there is no ratio.
    fn value(&self, parts: &Parts) -> Result<Option<Bounded>, String> {
        if let Some(missing) = &parts.missing {
            return Err(missing.clone());
        }
        let of = parts.of.ok_or("a series that it is made of is missing")?;
        if self.to.is_empty() {
            return Ok(Some(Bounded { value: of.value, least: of.least(), most: of.most() + parts.lost() }));
        }
        let mut to = Amount::default();
        for at in 0..self.to.len() {
            to = to + parts.to.get(at).copied().flatten().ok_or("a series that it is divided by is missing")?;
        }
        if self.level {
            return Ok((to.value != 0.0).then(|| Bounded::level(&of, &to).turned(self.rest)));
        }
        let whole = if self.to.iter().any(|to| to.covers(&self.of)) { Whole::Rest(parts.rest) } else { Whole::Other(to) };
        let Some((least, most)) = ratio(&of, &whole, !parts.apart, parts.lost()) else { return Ok(None) };
        let total = whole.total(&of).value;
        let value = if total > 0.0 { of.value / total } else { f64::midpoint(least, most.min(1.0)) };
        Ok(Some(Bounded { value, least: least.min(value), most: most.max(value) }.turned(self.rest)))
    }

    /// Series with more labels than the others of a system are a part of it, where they make no system of their own.
    fn joined(&self, systems: BTreeMap<Labels, Parts>) -> BTreeMap<Labels, Parts> {
        let whole = |(_, parts): &(Labels, Parts)| self.is_whole(parts);
        let (mut systems, partial): (BTreeMap<_, _>, BTreeMap<_, _>) = systems.into_iter().partition(whole);
        for (labels, parts) in partial {
            let within = systems.keys().filter(|system| system.iter().all(|label| labels.contains(label)));
            match within.max_by_key(|system| system.len()).cloned().and_then(|system| systems.get_mut(&system)) {
                Some(system) => system.join(parts),
                None => drop(systems.insert(labels, parts)),
            }
        }
        // A ratio of one system's counters to another's is none of either.
        if self.parts.is_none() && systems.values().all(|parts| !self.is_whole(parts)) && systems.len() > 1 {
            let mut all = Parts::default();
            std::mem::take(&mut systems).into_values().for_each(|parts| all.join(parts));
            systems.insert(Labels::new(), all);
        }
        systems
    }

    /// Whether it is a system of which `match` picks nothing, beside one of the same source of which it picks a part: what has no label that it
    /// could be picked by (a server's limit) is there of both.
    pub(super) fn is_beside(&self, parts: &Parts, others: &BTreeMap<Labels, Parts>) -> bool {
        let whole = |parts: &Parts| self.is_whole(parts) || parts.missing.is_some();
        !self.picked.is_empty() && !whole(parts) && others.values().any(whole)
    }

    /// Whether it has a series of every term.
    pub(super) fn is_whole(&self, parts: &Parts) -> bool {
        parts.of.is_some() && parts.to.iter().flatten().count() == self.to.len()
    }

    /// Whether it is made of this metric.
    pub(super) fn needs(&self, item: usize) -> bool {
        self.terms().any(|(_, sum)| sum.item == item)
    }

    /// The systems that a source has anything of.
    pub(super) fn systems<'a>(
        &self,
        source: &str,
        found: impl Iterator<Item = &'a SeriesFindings> + Clone,
    ) -> BTreeMap<Labels, Parts> {
        let mut systems: BTreeMap<Labels, Parts> = BTreeMap::new();
        for (place, sum) in self.terms() {
            for series in found.clone().filter(|series| series.item == sum.item && sum.takes(&series.labels)) {
                let parts = systems.entry(self.system(&series.labels, sum)).or_default();
                let amount = match self.amount(series) {
                    Ok(amount) => amount,
                    Err(missing) => {
                        parts.missing = Some(missing);
                        continue;
                    }
                };
                parts.series.insert((source.to_owned(), series.metric.clone(), series.labels.clone()));
                parts.add(place, self.to.len(), amount);
                parts.align(series.track.around);
                parts.ended = parts.ended.max(series.levels.filter(|_| self.level).map_or(0.0, |levels| levels.ended));
                let counted = place > 0 && self.of.item == series.item && self.of.takes(&series.labels);
                if !counted {
                    parts.hidden = parts.hidden + series.track.lost();
                }
                if place > 0 && !counted {
                    parts.rest = parts.rest + amount;
                }
            }
        }
        if self.level { systems } else { self.joined(systems) }
    }

    /// What a series has to say: the level at the phase's end, or the increase.
    fn amount(&self, series: &SeriesFindings) -> Result<Amount, String> {
        let (metric, track) = (&series.metric, &series.track);
        match (self.level, series.kind) {
            (true, _) if series.samples == 0 => Err(format!("{metric}: no sample of it lies in the phase")),
            (true, _) => track.level().ok_or_else(|| format!("{metric}: {}", gap(track))),
            (false, MetricKind::Gauge) => Err(no_counter(metric)),
            (false, MetricKind::Counter) => track.delta.map_err(|_| format!("{metric}: {}", gap(track))),
        }
    }

    /// The value of a system of these parts. None: it did nothing, so that it has none.
    ///
    /// # Errors
    /// Why it isn't known.
    pub(super) fn series(&self, labels: Labels, parts: &Parts, levels: Option<Levels>) -> Result<Option<ValueSeries>, String> {
        let Some(Bounded { value, least, most }) = self.value(parts)? else { return Ok(None) };
        let seen = Levels { min: value, max: value, avg: value, samples: u64::from(self.level), blank: 0, hole: 0.0, ended: 0.0 };
        let Levels { min, max, avg, blank, samples, hole, .. } = levels.unwrap_or(seen);
        let ended = parts.ended;
        let lost = parts.lost();
        Ok(Some(ValueSeries {
            least,
            most,
            min,
            max,
            avg,
            lost,
            blank,
            samples,
            hole,
            ended,
            ..ValueSeries::exact(labels, value)
        }))
    }

    /// The levels of a system since the edge before.
    pub(super) fn levels(&self, labels: &Labels, levels: &[LevelOf]) -> Option<Levels> {
        let of = |level: &&LevelOf| self.level && level.value == self.name && level.labels == *labels;
        levels.iter().find(of).map(|level| level.levels)
    }
}

/// A value, and between what it can be.
#[derive(Debug, Clone, Copy)]
struct Bounded {
    value: f64,
    least: f64,
    most: f64,
}

impl Bounded {
    /// A gauge by another.
    fn level(of: &Amount, to: &Amount) -> Self {
        let value = of.value / to.value;
        let ends = [(of.least(), to.least()), (of.least(), to.most()), (of.most(), to.least()), (of.most(), to.most())];
        let ratios = ends.iter().map(|(of, to)| of / to).filter(|ratio| !ratio.is_nan());
        let (least, most) = ratios.fold((value, value), |(least, most), ratio| (least.min(ratio), most.max(ratio)));
        Self { value, least, most }
    }

    /// 1 less the value, where asked for.
    fn turned(self, rest: bool) -> Self {
        if rest { Self { value: 1.0 - self.value, least: 1.0 - self.most, most: 1.0 - self.least } } else { self }
    }
}

/// A message for a metric that should count and doesn't, or that is named like a counter and fell.
pub(super) fn no_counter(metric: &str) -> String {
    format!(
        "{metric} is read as a gauge, since it fell or its source says so; if it is a counter, write `type: counter` beside it under `counters`"
    )
}

/// Why a series has no increase, in words.
pub(super) fn gap(track: &Track) -> String {
    match track.delta {
        Err(Gap::NoStart) if track.after.is_some() => "it was not there at the phase's start".into(),
        Err(Gap::NoStart) => "there is no sample of it at the phase's start".into(),
        Err(Gap::NoEnd) => "there is no sample of it at or after the phase's end".into(),
        Ok(_) => "it has no value at the phase's end".into(),
    }
}

#[cfg(test)]
#[path = "values_tests.rs"]
mod tests;
