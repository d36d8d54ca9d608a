//! The values of the target over several phases, one after the other: increases add up, levels are seen together.

use std::collections::BTreeMap;

use super::report::Labels;
use super::systems::{Absence, Systems, Unknown, ValueSeries, Values};

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
                let seen = self.seen.entry((name.to_owned(), series.labels.clone())).or_default();
                match all.known.iter_mut().find(|known| known.labels == series.labels) {
                    Some(known) => *known = together((known, *seen), (series, seconds)),
                    None => all.known.push(series.clone()),
                }
                *seen += seconds;
            }
        }
    }

    /// What it came to.
    pub fn values(&self) -> Values {
        self.by_name.iter().map(|(name, systems)| (name.clone(), systems.over_phases())).collect()
    }
}

/// A level over two stretches of time, the later one last.
fn together((a, seen): (&ValueSeries, f64), (b, seconds): (&ValueSeries, f64)) -> ValueSeries {
    let all = seen + seconds;
    let avg = if all > 0.0 { (a.avg * seen + b.avg * seconds) / all } else { b.avg };
    ValueSeries { min: a.min.min(b.min), max: a.max.max(b.max), avg, blank: a.blank + b.blank, ..b.clone() }
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
        self.none = match (self.none.take(), &later.none) {
            (Some(Absence::Nowhere(_)) | None, Some(none)) => Some(none.clone()),
            (none, _) => none,
        };
        later.unknown.iter().for_each(|unknown| self.note(unknown.clone()));
        let level = later.is_level();
        for (labels, parts) in &later.parts {
            match self.parts.iter_mut().find(|(of, _)| of == labels) {
                Some((_, before)) => *before = if level { parts.clone() } else { before.then(parts) },
                None => self.parts.push((labels.clone(), parts.clone())),
            }
        }
    }

    /// Notes what is unknown, once for each system.
    fn note(&mut self, unknown: Unknown) {
        let same = |other: &Unknown| (&other.labels, other.direct) == (&unknown.labels, unknown.direct);
        if !self.unknown.iter().any(same) {
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
                        let direct = labels.iter().any(|(label, _)| label == super::systems::SOURCE);
                        all.note(Unknown { labels: labels.clone(), direct, why });
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
