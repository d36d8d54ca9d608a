//! The values of the target over several phases, one after the other: increases add up, levels are seen together.

use std::collections::BTreeMap;

use super::labels::Labels;
use super::systems::{Absence, Systems, Unknown, Values};
use super::values::ValueSeries;

/// How many systems are followed over a run, where they come and go.
const SYSTEMS: usize = 10_000;

/// The values over the phases of a run that are judged. What happens in the others is no part of it.
#[derive(Debug, Clone, Default)]
pub struct Folded {
    by_name: BTreeMap<String, Systems>,
    /// For how many seconds each system's levels were seen.
    seen: BTreeMap<(String, Labels), f64>,
}

impl Folded {
    /// Takes in a phase of so many seconds, later than those before.
    pub fn add(&mut self, phase: &Values, seconds: f64) {
        for (name, systems) in phase.iter() {
            let all = self.by_name.entry(name.to_owned()).or_default();
            all.then(systems);
            for series in systems.known.iter().filter(|_| systems.is_level()) {
                let known = all.known.iter().position(|known| known.labels == series.labels);
                let room = all.known.len() < SYSTEMS;
                let key = (name.to_owned(), series.labels.clone());
                match known.and_then(|at| all.known.get_mut(at)) {
                    Some(known) => {
                        let seen = self.seen.entry(key).or_default();
                        *known = together((known, *seen), (series, seconds));
                        *seen += seconds;
                    }
                    None if room => {
                        all.known.push(series.clone());
                        self.seen.insert(key, seconds);
                    }
                    None => all.note(too_many()),
                }
            }
        }
    }

    /// What it came to.
    pub fn values(&self) -> Values {
        self.by_name.iter().map(|(name, systems)| (name.clone(), systems.over_phases())).collect()
    }
}

/// Of systems that are too many nothing is known.
fn too_many() -> Unknown {
    let why = format!("there were more than {SYSTEMS} systems over the run");
    Unknown { why, ..Unknown::default() }
}

/// A level over two stretches of time, the later one last.
fn together((a, seen): (&ValueSeries, f64), (b, seconds): (&ValueSeries, f64)) -> ValueSeries {
    let all = seen + seconds;
    let avg = if all > 0.0 { (a.avg * seen + b.avg * seconds) / all } else { b.avg };
    ValueSeries {
        min: a.min.min(b.min),
        max: a.max.max(b.max),
        avg,
        blank: a.blank + b.blank,
        samples: a.samples + b.samples,
        hole: a.hole.max(b.hole),
        ..b.clone()
    }
}

impl Systems {
    /// Whether it is a level, which isn't added up.
    fn is_level(&self) -> bool {
        self.asked.as_ref().is_some_and(|asked| asked.level)
    }

    /// Takes in what is known of a later phase, but for levels.
    fn then(&mut self, later: &Self) {
        self.asked = self.asked.take().or_else(|| later.asked.clone());
        self.partial = self.partial.take().or_else(|| later.partial.clone());
        self.incomplete |= later.incomplete;
        self.none = match (self.none.take(), &later.none) {
            (Some(Absence::Nowhere(_)) | None, Some(none)) => Some(none.clone()),
            (none, _) => none,
        };
        later.unknown.iter().for_each(|unknown| self.note(unknown.clone()));
        let level = later.is_level();
        for (labels, parts) in &later.parts {
            let room = self.parts.len() < SYSTEMS;
            match self.parts.iter_mut().find(|(of, _)| of == labels) {
                Some((_, before)) => *before = if level { parts.clone() } else { before.then(parts) },
                None if room => self.parts.push((labels.clone(), parts.clone())),
                None => self.note(too_many()),
            }
        }
    }

    /// Notes what is unknown, once for each system.
    fn note(&mut self, unknown: Unknown) {
        let same = |other: &Unknown| (&other.labels, other.direct) == (&unknown.labels, unknown.direct);
        // What is left out is as unknown as those that are there.
        if self.unknown.len() < SYSTEMS && !self.unknown.iter().any(same) {
            self.unknown.push(unknown);
        }
    }

    /// What the parts of all phases came to.
    fn over_phases(&self) -> Self {
        let mut all = self.clone();
        if let Some(asked) = self.asked.as_ref().filter(|asked| !asked.level) {
            for (labels, parts) in &self.parts {
                match asked.series(labels.clone(), parts, None) {
                    Ok(series) => all.known.extend(series),
                    Err(why) => {
                        let direct = labels.iter().any(|(label, _)| label == super::labels::SOURCE);
                        all.note(Unknown { labels: labels.clone(), direct, why, ..Unknown::default() });
                    }
                }
            }
        }
        if !(all.known.is_empty() && all.unknown.is_empty()) {
            all.none = None;
        } else if !all.parts.is_empty() {
            all.none = all.asked.as_ref().map(|asked| Absence::Idle(asked.idle().to_owned()));
        }
        all
    }
}
