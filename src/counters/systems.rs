//! What the values that SLOs judge came to: in each system, and in systems together.
//!
//! A system is one instance that a Prometheus server scrapes, or an exporter that is read directly. What is unknown of one system hides
//! nothing that is known of another: known and unknown systems stand beside each other, and who judges looks at both.

use std::collections::BTreeMap;

use super::labels::{Labels, TARGET, label};
use super::observe::Matcher;
use super::values::{Parts, ValueSeries};
use super::want::Asked;

/// The values that SLOs judge, by name (`redis.hit_ratio`).
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Values {
    pub(super) by_name: BTreeMap<String, Systems>,
}

/// One value in every system.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Systems {
    /// The systems that have a value.
    pub known: Vec<ValueSeries>,
    /// Systems whose value is not known, and sources that may hide some.
    pub unknown: Vec<Unknown>,
    /// Why no system has a value, where nothing is unknown.
    pub none: Option<Absence>,
    /// That a server answered with a part of what it has, so that nothing of it is sure.
    pub partial: Option<String>,
    /// Whether a source is left out, so that one that nobody has may be of it.
    pub incomplete: bool,
    /// What the systems are made of, to add them up.
    pub(super) parts: Vec<(Labels, Parts)>,
    pub(super) asked: Option<Asked>,
}

/// Why no system has a value, as part of a sentence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Absence {
    /// No source has anything that it is made of.
    Nowhere(String),
    /// The systems that there are did nothing, or aren't those that were asked for.
    Idle(String),
}

/// What is not known of a value.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Unknown {
    /// The system's labels, as far as they are known.
    pub labels: Labels,
    /// Whether it is read directly, so that it has no labels of a server's target.
    pub direct: bool,
    /// Why, as part of a sentence.
    pub why: String,
    /// Whether it may be of a source that is left out, so that it is not missed where it is optional.
    pub left_out: bool,
}

impl Values {
    /// The value of this name for every system that has one.
    ///
    /// # Errors
    /// Why there is none, or why it isn't known of every system.
    pub fn series(&self, name: &str) -> Result<&[ValueSeries], &str> {
        match self.by_name.get(name) {
            Some(systems) => systems.all(),
            None => Err("no preset and no ratio of this name is observed"),
        }
    }

    /// The value of this name where there is exactly one.
    pub fn get(&self, name: &str) -> Option<f64> {
        match self.series(name) {
            Ok([only]) => Some(only.value),
            _ => None,
        }
    }

    /// A value in every system.
    pub fn systems(&self, name: &str) -> Option<&Systems> {
        self.by_name.get(name)
    }

    /// Every name with its value in every system.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Systems)> {
        self.by_name.iter().map(|(name, systems)| (name.as_str(), systems))
    }
}

impl FromIterator<(String, Systems)> for Values {
    fn from_iter<T: IntoIterator<Item = (String, Systems)>>(values: T) -> Self {
        Self { by_name: values.into_iter().collect() }
    }
}

impl Systems {
    /// Systems whose values are known.
    pub fn of(known: Vec<ValueSeries>) -> Self {
        Self { known, ..Self::default() }
    }

    /// None, since the profile doesn't say rightly which are meant; or means those of a source that is left out.
    pub(super) fn unsaid(asked: &Asked, why: &str, left_out: bool) -> Self {
        let unknown = Unknown { why: why.to_owned(), left_out, ..Unknown::default() };
        Self { unknown: vec![unknown], asked: Some(asked.clone()), ..Self::default() }
    }

    /// The same, of an answer that may be a part of what there is.
    pub fn partly(self, partial: Option<String>) -> Self {
        Self { partial, ..self }
    }

    fn all(&self) -> Result<&[ValueSeries], &str> {
        if self.known.is_empty() || !self.unknown.is_empty() { Err(self.missing()) } else { Ok(&self.known) }
    }

    /// Why it isn't known of every system, as part of a sentence.
    pub fn missing(&self) -> &str {
        let none = self.none.as_ref().map(Absence::text);
        self.unknown.first().map(|unknown| unknown.why.as_str()).or(none).unwrap_or("no series was returned")
    }

    /// Only the systems that have these labels. Of what isn't known a label that isn't known either may be any.
    pub fn matching(&self, matchers: &[Matcher]) -> Self {
        let has = |labels: &Labels| matchers.iter().all(|matcher| label(labels, &matcher.label) == matcher.value);
        let may_have = |unknown: &Unknown| {
            let of = |matcher: &Matcher| unknown.labels.iter().find(|(name, _)| *name == matcher.label);
            let not_there = |matcher: &Matcher| unknown.direct && TARGET.contains(&&*matcher.label);
            matchers.iter().all(|matcher| match of(matcher) {
                Some((_, value)) => *value == matcher.value,
                None => !not_there(matcher),
            })
        };
        let mut only = self.clone();
        only.known.retain(|series| has(&series.labels));
        only.unknown.retain(may_have);
        only.parts.retain(|(labels, _)| has(labels));
        // That others did nothing says nothing of those that are meant.
        let not_those = only.parts.is_empty() && !self.parts.is_empty();
        if only.known.is_empty() && only.unknown.is_empty() && (only.none.is_none() || not_those) {
            only.none = Some(match &only.asked {
                Some(asked) if !only.parts.is_empty() => Absence::Idle(asked.idle().to_owned()),
                _ => {
                    let wanted: Vec<String> = matchers.iter().map(|of| format!("{}={}", of.label, of.value)).collect();
                    let there = if self.known.is_empty() {
                        "none is known".to_owned()
                    } else {
                        format!("there are {}", shown(&self.known))
                    };
                    let why = format!("no system has {}; {there}", wanted.join(", "));
                    // Where all sources are read, `match` is mistaken.
                    if self.incomplete { Absence::Nowhere(why) } else { Absence::Idle(why) }
                }
            });
        }
        only
    }

    /// Whether no source that is read has any of them.
    pub fn are_left_out(&self) -> bool {
        let nothing = self.unknown.is_empty() && matches!(self.none, Some(Absence::Nowhere(_)));
        self.known.is_empty() && (nothing || !self.unknown.is_empty() && self.unknown.iter().all(|unknown| unknown.left_out))
    }

    /// All systems added up: the numerators, and the denominators.
    ///
    /// # Errors
    /// Why the sum isn't known.
    pub fn sum(&self) -> Result<ValueSeries, String> {
        let Some(asked) = self.asked.as_ref().filter(|_| !self.parts.is_empty()) else {
            return Err(self.missing().to_owned());
        };
        let mut all = Parts::default();
        // What two entries under `counters` both take counts once.
        let mut parts: Vec<&(Labels, Parts)> = self.parts.iter().collect();
        parts.sort_by_key(|(_, parts)| std::cmp::Reverse(parts.series.len()));
        for (labels, parts) in parts {
            if parts.series.is_subset(&all.series) && !parts.series.is_empty() {
                continue;
            }
            if !parts.series.is_disjoint(&all.series) {
                let named = named(labels);
                return Err(format!(
                    "a part of {named} is a part of another system too, so they can't be added up; narrow them by `match`"
                ));
            }
            all.join(parts.clone());
        }
        let mut sum = asked.series(Labels::new(), &all, None)?.ok_or(asked.idle())?;
        match self.unknown.first() {
            None => Ok(sum),
            // What isn't known can only add to an increase.
            Some(_) if asked.is_increase() => {
                sum.most = f64::INFINITY;
                Ok(sum)
            }
            Some(unknown) => Err(unknown.why.clone()),
        }
    }

    /// Takes in the same value of other systems.
    pub(super) fn join(&mut self, other: Self) {
        // That systems did nothing says more than that there are none.
        self.none = match (self.none.take(), other.none) {
            (Some(Absence::Nowhere(_)) | None, Some(none)) => Some(none),
            (none, _) => none,
        };
        // Two entries under `counters` may take the same system.
        let same = |labels: &Labels, parts: &Parts| {
            self.parts.iter().any(|(other, taken)| other == labels && taken.series == parts.series)
        };
        let twice: Vec<Labels> =
            other.parts.iter().filter(|(labels, parts)| same(labels, parts)).map(|(labels, _)| labels.clone()).collect();
        let fresh = |labels: &Labels| !twice.contains(labels);
        self.known.extend(other.known.into_iter().filter(|series| fresh(&series.labels)));
        self.parts.extend(other.parts.into_iter().filter(|(labels, _)| fresh(labels)));
        for unknown in other.unknown {
            if !self.unknown.contains(&unknown) {
                self.unknown.push(unknown);
            }
        }
        if !(self.known.is_empty() && self.unknown.is_empty()) {
            self.none = None;
        }
        self.partial = self.partial.take().or(other.partial);
        self.incomplete |= other.incomplete;
        self.asked = self.asked.take().or(other.asked);
    }
}

impl Absence {
    /// As part of a sentence.
    pub fn text(&self) -> &str {
        match self {
            Self::Nowhere(text) | Self::Idle(text) => text,
        }
    }
}

/// Names of systems, as far as a message should be long.
fn shown(systems: &[ValueSeries]) -> String {
    const SHOWN: usize = 10;
    let mut names: Vec<String> = systems.iter().take(SHOWN).map(|series| named(&series.labels)).collect();
    if systems.len() > SHOWN {
        names.push(format!("{} more", systems.len() - SHOWN));
    }
    names.join("; ")
}

/// A system by its labels.
pub fn named(labels: &Labels) -> String {
    match labels.is_empty() {
        true => "one without labels".to_owned(),
        false => labels.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(", "),
    }
}
