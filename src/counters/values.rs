//! The values that SLOs judge, from what the series of one source did.

use std::collections::BTreeMap;

use super::increase::{Gap, Meter, Track};
use super::observe::Kind;
use super::report::{Labels, Levels, ValueSeries};
use super::want::{Asked, Sum, Wants, label};

/// One series of an item in one source, over one phase.
#[derive(Debug, Clone)]
pub(super) struct Found {
    pub(super) item: usize,
    pub(super) metric: String,
    pub(super) labels: Labels,
    pub(super) kind: Kind,
    pub(super) track: Track,
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
#[derive(Debug, Clone, Default)]
struct Parts {
    of: Option<f64>,
    to: Vec<Option<f64>>,
    missing: Option<String>,
}

impl LevelMeters {
    /// Takes in one series' sample at an instant.
    pub(super) fn feed(&mut self, wants: &Wants, item: usize, labels: &Labels, time: f64, value: f64) {
        if !value.is_finite() {
            return;
        }
        for (at, asked) in wants.asked.iter().enumerate().filter(|(_, asked)| asked.level) {
            for (place, sum) in asked.terms().filter(|(_, sum)| sum.item == item && sum.takes(labels)) {
                let parts = self.open.entry((at, asked.system(labels, sum))).or_default();
                parts.entry((time * 1e3).round() as i64).or_default().add(place, asked.to.len(), value);
            }
        }
    }

    /// All series of the instants so far were fed.
    pub(super) fn close(&mut self, wants: &Wants) {
        for ((at, system), instants) in std::mem::take(&mut self.open) {
            let values = instants.values().filter_map(|parts| wants.asked[at].value(parts).ok());
            let meter = self.meters.entry((at, system)).or_default();
            values.for_each(|value| meter.add(value));
        }
    }

    /// What came in.
    pub(super) fn levels(&self, wants: &Wants) -> Vec<LevelOf> {
        let named = self.meters.iter().filter_map(|((at, labels), meter)| {
            let value = wants.asked[*at].name.clone();
            meter.levels().map(|levels| LevelOf { value, labels: labels.clone(), levels })
        });
        named.collect()
    }
}

impl Parts {
    fn add(&mut self, place: usize, denominators: usize, value: f64) {
        self.to.resize(denominators, None);
        let part = if place == 0 { &mut self.of } else { &mut self.to[place - 1] };
        *part = Some(part.unwrap_or(0.0) + value);
    }
}

impl Sum {
    fn takes(&self, labels: &Labels) -> bool {
        self.only.iter().all(|(name, value)| label(labels, name) == value)
    }
}

impl Asked {
    /// Numerator (place 0) and denominators.
    fn terms(&self) -> impl Iterator<Item = (usize, &Sum)> {
        std::iter::once(&self.of).chain(&self.to).enumerate()
    }

    /// The labels of the system that a series is a part of.
    fn system(&self, labels: &Labels, sum: &Sum) -> Labels {
        let Some(parts) = &self.parts else { return Labels::new() };
        let is_part = |name: &String| parts.contains(name) || sum.only.iter().any(|(label, _)| label == name);
        labels.iter().filter(|(name, _)| !is_part(name)).cloned().collect()
    }

    /// The value of one system, of its parts.
    fn value(&self, parts: &Parts) -> Result<f64, String> {
        if let Some(missing) = &parts.missing {
            return Err(missing.clone());
        }
        let of = parts.of.ok_or("a series that it is made of is missing")?;
        if self.to.is_empty() {
            return Ok(of);
        }
        let mut total = 0.0;
        for at in 0..self.to.len() {
            total += parts.to.get(at).copied().flatten().ok_or("a series that it is divided by is missing")?;
        }
        match of / total {
            _ if total == 0.0 && self.level => Err("what it is divided by is 0 (no limit is set)".into()),
            _ if total == 0.0 => Err("nothing was counted, so there is no ratio".into()),
            ratio if self.rest => Ok(1.0 - ratio),
            ratio => Ok(ratio),
        }
    }

    /// This value of every system in a source. None: the source has nothing of it.
    ///
    /// # Errors
    /// Why the value of a system can't be told; one that can't spoils all, since an SLO asks for every one.
    pub(super) fn series(&self, found: &[Found], levels: &[LevelOf]) -> Option<Result<Vec<ValueSeries>, String>> {
        let mut systems: BTreeMap<Labels, Parts> = BTreeMap::new();
        for (place, sum) in self.terms() {
            for series in found.iter().filter(|series| series.item == sum.item && sum.takes(&series.labels)) {
                let parts = systems.entry(self.system(&series.labels, sum)).or_default();
                let value = if self.level { series.track.after } else { series.track.delta.ok() };
                match value {
                    Some(value) => parts.add(place, self.to.len(), value),
                    None => parts.missing = Some(format!("{}: {}", series.metric, gap(&series.track))),
                }
            }
        }
        if systems.is_empty() {
            return None;
        }
        let value = |(labels, parts): (Labels, Parts)| {
            let value = self.value(&parts)?;
            let levels = levels.iter().filter(|_| self.level).find(|level| level.value == self.name && level.labels == labels);
            let levels = levels.map_or(Levels { min: value, max: value, avg: value, samples: 1 }, |level| level.levels);
            Ok(ValueSeries { labels, value, min: levels.min, max: levels.max, avg: levels.avg })
        };
        Some(systems.into_iter().map(value).collect())
    }
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
mod tests {
    use super::*;
    use crate::counters::observe::{Observe, Ratio, Wanted};
    use crate::counters::presets;

    fn wants(preset: &str) -> Wants {
        let preset = presets::find(preset).unwrap();
        let ratios = vec![Ratio { name: "two".into(), of: "a_total".into(), to: vec!["b_total".into()], matchers: Vec::new() }];
        Wants::new(&Observe { counters: vec![Wanted::Preset { preset, matchers: Vec::new() }], ratios, ..Observe::default() })
    }

    fn labels(pairs: &[(&str, &str)]) -> Labels {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    fn found(wants: &Wants, metric: &str, pairs: &[(&str, &str)], before: f64, after: f64) -> Found {
        let labels = labels(pairs);
        let (item, _) = wants.find(metric, &labels).next().unwrap();
        let kind = wants.items[item].kind(None, metric);
        let track = Track {
            before: Some(before),
            after: Some(after),
            delta: Ok(after - before),
            unsure: 0.0,
            resets: 0,
            levels: None,
            samples: 2,
            born: None,
        };
        Found { item, metric: metric.into(), labels, kind, track }
    }

    fn series(wants: &Wants, name: &str, found: &[Found], levels: &[LevelOf]) -> Option<Result<Vec<ValueSeries>, String>> {
        wants.asked.iter().find(|asked| asked.name == name).unwrap().series(found, levels)
    }

    #[test]
    fn a_ratio_of_increases_for_each_system() {
        let wants = wants("redis");
        let found = [
            found(&wants, "redis_keyspace_hits_total", &[("instance", "a")], 100.0, 190.0),
            found(&wants, "redis_keyspace_misses_total", &[("instance", "a")], 5.0, 15.0),
            found(&wants, "redis_keyspace_hits_total", &[("instance", "b")], 0.0, 50.0),
            found(&wants, "redis_keyspace_misses_total", &[("instance", "b")], 0.0, 50.0),
        ];
        let values = series(&wants, "redis.hit_ratio", &found, &[]).unwrap().unwrap();
        let got: Vec<_> = values.iter().map(|v| (v.labels[0].1.as_str(), v.value, v.max)).collect();
        assert_eq!(got, [("a", 0.9, 0.9), ("b", 0.5, 0.5)]);
        assert!(series(&wants, "redis.commands", &found, &[]).is_none());
    }

    #[test]
    fn nothing_counted_is_no_ratio_and_a_missing_part_is_no_value() {
        let wants = wants("redis");
        let mut idle = vec![
            found(&wants, "redis_keyspace_hits_total", &[], 7.0, 7.0),
            found(&wants, "redis_keyspace_misses_total", &[], 7.0, 7.0),
            found(&wants, "redis_memory_used_bytes", &[], 7.0, 7.0),
            found(&wants, "redis_memory_max_bytes", &[], 0.0, 0.0),
        ];
        let error = |found: &[Found], name| series(&wants, name, found, &[]).unwrap().unwrap_err();
        assert!(error(&idle, "redis.hit_ratio").contains("nothing was counted"));
        assert!(error(&idle, "redis.memory_used_ratio").contains("no limit"));
        idle[1].track.delta = Err(Gap::NoStart);
        assert!(error(&idle, "redis.hit_ratio").contains("redis_keyspace_misses_total: it was not there"));
        assert!(error(&idle[..1], "redis.hit_ratio").contains("missing"));
    }

    #[test]
    fn databases_are_summed_and_levels_taken_at_the_same_instant() {
        let wants = wants("postgres");
        let mut meters = LevelMeters::default();
        let system = [("job", "pg")];
        for (time, app, other, most) in [(1.0, 10.0, 0.0, 100.0), (2.0, 60.0, 20.0, 100.0), (3.0, 20.0, 0.0, 100.0)] {
            for (metric, database, value) in
                [("pg_stat_database_numbackends", "app", app), ("pg_stat_database_numbackends", "other", other)]
            {
                let labels = labels(&[("datname", database), ("job", "pg")]);
                let (item, _) = wants.find(metric, &labels).next().unwrap();
                meters.feed(&wants, item, &labels, time, value);
            }
            let (item, _) = wants.find("pg_settings_max_connections", &labels(&system)).next().unwrap();
            meters.feed(&wants, item, &labels(&system), time, most);
        }
        meters.close(&wants);
        let found = [
            found(&wants, "pg_stat_database_numbackends", &[("datname", "app"), ("job", "pg")], 0.0, 20.0),
            found(&wants, "pg_stat_database_numbackends", &[("datname", "other"), ("job", "pg")], 0.0, 5.0),
            found(&wants, "pg_settings_max_connections", &system, 100.0, 100.0),
        ];
        let values = series(&wants, "postgres.connections_used_ratio", &found, &meters.levels(&wants)).unwrap().unwrap();
        assert_eq!(values.len(), 1);
        assert_eq!((values[0].value, values[0].min, values[0].max), (0.25, 0.1, 0.8));
        assert!((values[0].avg - 1.1 / 3.0).abs() < 1e-12);
    }

    #[test]
    fn what_is_left_of_a_whole() {
        let wants = wants("node");
        let cpu = |mode, increase| found(&wants, "node_cpu_seconds_total", &[("cpu", "0"), ("mode", mode)], 0.0, increase);
        let found = [cpu("idle", 75.0), cpu("user", 20.0), cpu("system", 5.0)];
        assert_eq!(series(&wants, "node.cpu_used_ratio", &found, &[]).unwrap().unwrap()[0].value, 0.25);
    }

    #[test]
    fn a_profiles_own_ratio_sums_over_everything() {
        let wants = wants("redis");
        let found = [
            found(&wants, "a_total", &[("instance", "1")], 0.0, 1.0),
            found(&wants, "a_total", &[("instance", "2")], 0.0, 2.0),
            found(&wants, "b_total", &[("code", "200")], 0.0, 6.0),
        ];
        assert_eq!(series(&wants, "two", &found, &[]).unwrap().unwrap()[0].value, 0.5);
    }
}
