//! Phases as the engine takes them: levels with what came before them, stages put together, loads split and scaled.

mod options;
mod pace;

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;
use std::time::Duration;

use super::resolver::Resolver;
use super::types::{DRAIN, Phase};
use crate::base::written::{At, Flat, Form, Named, Node, Of};
use crate::load::{Load, Piece, Shape, apportion};
use crate::measure::{PhaseId, ScenarioId};
use crate::profile::written;
use crate::profile::written::{AmountLevel, Level};

use options::{ClosedOptions, OpenOptions};
pub(super) use pace::Pace;

/// The longest that anything in a profile may last.
pub(super) const LONGEST: Duration = Duration::from_secs(3_200_000_000);
/// The most arrivals at once.
const MOST_AT_ONCE: u64 = 1_000_000_000;
/// The most users that are prepared for arrivals where the profile doesn't say how many.
const DEFAULT_MAX_USERS: u64 = 10_000;

/// What a load is in, as far as ramps from "the level before" are concerned.
#[derive(Clone, Copy, PartialEq)]
enum Before {
    Users(f64),
    Rate(f64),
}

/// Resolves all phases.
pub(super) fn phases(resolver: &mut Resolver<'_>, scenarios: &[String], paces: &[Pace]) -> Vec<Phase> {
    let written = &resolver.profile.written;
    let scale = written.scale.clone().unwrap_or_default();
    let mut builder = Builder {
        scenarios,
        index: scenarios.iter().enumerate().map(|(index, name)| (name.as_str(), index)).collect(),
        paces,
        amount: scale.load.map_or(1.0, |ratio| ratio.value.0),
        time: scale.time.map_or(1.0, |ratio| ratio.value.0),
        seed: written.seed.map_or(0, |seed| seed.value),
        users_limit: written.limits.as_ref().and_then(|limits| limits.users).map(|users| users.value),
        before: BTreeMap::new(),
        resolver,
    };
    for ratio in [scale.load, scale.time].into_iter().flatten() {
        if ratio.value.0 <= 0.0 {
            builder.resolver.error(ratio.at, "nothing would be left; write a ratio above 0%");
        }
    }
    let mut phases = Vec::new();
    for (index, phase) in written.phases.iter().enumerate() {
        let name = &phase.name.value.0;
        if written.phases[..index].iter().any(|other| other.name.value.0 == *name) {
            builder.resolver.error(phase.name.at, format!("two phases are named `{name}`; each wants a name of its own"));
        }
        phases.push(builder.phase(PhaseId::at(index), phase));
    }
    phases
}

/// One load as written, in one stage.
struct StageLoad<'w> {
    duration: Duration,
    load: &'w written::Load,
    at: Node,
    /// Its share of a load that is split, and which of the shares is this scenario's.
    split: Option<(Rc<Split>, usize)>,
}

/// How one load is divided among scenarios.
struct Split {
    weights: Vec<f64>,
    sum: f64,
    /// Whole numbers that were divided already: each scenario asks for its share of the same ones.
    shares: RefCell<BTreeMap<u64, Vec<u64>>>,
}

impl Split {
    /// One scenario's share of a whole number.
    fn share(&self, of: u64, which: usize) -> u64 {
        let mut shares = self.shares.borrow_mut();
        let shares = shares.entry(of).or_insert_with(|| apportion(of, &self.weights));
        shares.get(which).copied().unwrap_or(0)
    }
}

struct Builder<'a, 'p> {
    resolver: &'a mut Resolver<'p>,
    scenarios: &'a [String],
    /// Their places by name.
    index: HashMap<&'a str, usize>,
    paces: &'a [Pace],
    amount: f64,
    time: f64,
    seed: u64,
    users_limit: Option<u64>,
    before: BTreeMap<usize, Before>,
}

impl Builder<'_, '_> {
    fn phase(&mut self, id: PhaseId, phase: &written::Phase) -> Phase {
        let name = phase.name.value.0.clone();
        let mut stages: Vec<(Duration, BTreeMap<usize, StageLoad<'_>>)> = Vec::new();
        match (&phase.duration, &phase.stages) {
            (Some(duration), None) => {
                let length = self.length(duration);
                let parts = self.parts(length, phase.load.as_ref(), phase.split.as_ref(), phase.name.at);
                stages.push((length, parts));
            }
            (None, Some(list)) => {
                if phase.load.is_some() {
                    self.resolver.error(phase.name.at, format!("the phase `{name}` has stages; write its load into them"));
                }
                for stage in list {
                    let length = self.length(&stage.duration);
                    let split = stage.split.as_ref().or(phase.split.as_ref());
                    let parts = self.parts(length, stage.load.as_ref(), split, stage.duration.at);
                    self.no_counts(&parts);
                    stages.push((length, parts));
                }
            }
            (Some(duration), Some(_)) => {
                self.resolver.error(duration.at, "a phase has either a duration or stages, which have durations of their own");
            }
            (None, None) => {
                self.resolver.lacking(phase.name.at, format!("the phase `{name}` has no end; give it a duration or stages"));
            }
        }
        let duration: Duration = stages.iter().map(|(length, _)| *length).sum();
        let mut loads = Vec::new();
        for index in 0..self.scenarios.len() {
            let used = stages.iter().any(|(_, parts)| parts.contains_key(&index));
            match self.load(index, &stages) {
                Some(load) if used && !duration.is_zero() => loads.push((ScenarioId::at(index), load)),
                _ => {}
            }
        }
        if duration.is_zero() && (phase.duration.is_some() || phase.stages.is_some()) {
            self.resolver.warn(phase.name.at, format!("the phase `{name}` lasts 0s; nothing happens in it"));
        }
        Phase {
            id,
            name,
            duration,
            judge: phase.judge.is_none_or(|judge| judge.value),
            drain: phase.drain.map_or(DRAIN, |drain| self.length(&drain)),
            loads,
        }
    }

    /// A duration, scaled.
    fn length(&mut self, duration: &Of<Duration>) -> Duration {
        match Duration::try_from_secs_f64(duration.value.as_secs_f64() * self.time) {
            Ok(_) if self.time == 1.0 => duration.value,
            Ok(length) if length <= LONGEST => length,
            _ => {
                self.resolver.error(duration.at, "with `scale` this is longer than 100 years");
                duration.value
            }
        }
    }

    /// The loads of one stage by scenario.
    fn parts<'w>(
        &mut self,
        duration: Duration,
        load: Option<&'w written::PhaseLoad>,
        split: Option<&'w Named<Of<written::Weight>>>,
        at: Node,
    ) -> BTreeMap<usize, StageLoad<'w>> {
        let mut parts = BTreeMap::new();
        match (load, split) {
            (None, _) => {}
            (Some(Flat::Each(each)), None) => {
                for (name, load) in each.iter() {
                    if let Some(index) = self.scenario(name) {
                        parts.insert(index, StageLoad { duration, load: &load.value, at: load.at, split: None });
                    }
                }
            }
            (Some(Flat::One(load)), Some(split)) => {
                let weights: Vec<f64> = split.iter().map(|(_, weight)| weight.value.0).collect();
                let sum = weights.iter().sum::<f64>();
                if sum <= 0.0 {
                    self.resolver.lacking(at, "the weights of `split` are all 0");
                    return parts;
                }
                let shared = Rc::new(Split { weights, sum, shares: RefCell::default() });
                for (which, (name, _)) in split.iter().enumerate() {
                    if let Some(index) = self.scenario(name) {
                        parts.insert(
                            index,
                            StageLoad { duration, load: &load.value, at: load.at, split: Some((Rc::clone(&shared), which)) },
                        );
                    }
                }
            }
            (Some(Flat::One(load)), None) => {
                let example = self.scenarios.first().map_or("scenario", String::as_str);
                self.resolver.lacking(
                    load.at,
                    format!("this load names no scenario; write load: {{{example}: {{users: 10}}}}, or say with `split` how it is divided"),
                );
            }
            (Some(Flat::Each(_)), Some(_)) => {
                self.resolver.error(at, "`split` divides one load, like load: {users: 100}; here each scenario has its own");
            }
        }
        parts
    }

    fn scenario(&mut self, name: &At<String>) -> Option<usize> {
        let found = self.index.get(name.value.as_str()).copied();
        if found.is_none() {
            self.resolver.unknown(name.at, "scenario", &name.value, self.scenarios.iter().map(String::as_str));
        }
        found
    }

    fn no_counts(&mut self, parts: &BTreeMap<usize, StageLoad<'_>>) {
        for part in parts.values() {
            for count in [part.load.iterations, part.load.total_iterations].into_iter().flatten() {
                self.resolver.error(count.at, "iterations end a whole phase; they can't be counted in one of its stages");
            }
        }
    }

    /// What one scenario does in a phase; nothing if nothing.
    fn load(&mut self, scenario: usize, stages: &[(Duration, BTreeMap<usize, StageLoad<'_>>)]) -> Option<Load> {
        let mut users = Vec::new();
        let mut rates = Vec::new();
        let mut bursts = Vec::new();
        let mut options = OpenOptions::default();
        let mut closed = ClosedOptions::default();
        let mut kind: Option<bool> = None;
        let mut start = Duration::ZERO;
        for (length, parts) in stages {
            let Some(part) = parts.get(&scenario) else {
                users.push(Piece::flat(*length, 0.0));
                rates.push(Piece::flat(*length, 0.0));
                self.before.remove(&scenario);
                start += *length;
                continue;
            };
            let open = part.load.rate.is_some() || part.load.at_once.is_some();
            if !open && part.load.users.is_none() {
                let name = &self.scenarios[scenario];
                self.resolver.lacking(
                    part.at,
                    format!(
                        "the load of `{name}` has neither users nor a rate; write {name}: {{users: 10}} or {name}: {{rate: 10/s}}"
                    ),
                );
                return None;
            }
            if kind.is_some_and(|kind| kind != open) {
                let at = part.load.rate.map(|rate| rate.at).or(part.load.users.map(|users| users.at)).unwrap_or_default();
                self.resolver.error(at, "within a phase a scenario has either users or a rate; make two phases of it");
                return None;
            }
            kind = Some(open);
            self.check_kind(part.load, open);
            if open {
                let piece = self.rate(scenario, part);
                rates.push(piece);
                if let Some(count) = part.load.at_once {
                    if count.value > MOST_AT_ONCE {
                        self.resolver.error(count.at, format!("more than {MOST_AT_ONCE} can't arrive at once"));
                        return None;
                    }
                    let count = self.count(count.value, part);
                    if count > 0 {
                        bursts.push((start, count));
                    }
                }
                self.open_options(part, &mut options);
            } else {
                let piece = self.users(scenario, part);
                users.push(piece);
                self.closed_options(part, &mut closed);
            }
            start += *length;
        }
        let pace = self.paces.get(scenario);
        match kind? {
            true => Some(self.open(Shape::new(rates), bursts, &options, pace, (scenario, start))),
            false => Some(Load::Closed { level: Shape::new(users), iterations: closed.iterations, pacing: closed.pacing }),
        }
    }

    /// Keys that don't go with the kind of load.
    fn check_kind(&mut self, load: &written::Load, open: bool) {
        let mut wrong: Vec<(Node, &str)> = Vec::new();
        if open {
            wrong.extend(load.iterations.map(|value| (value.at, "iterations")));
            wrong.extend(load.total_iterations.map(|value| (value.at, "total_iterations")));
            wrong.extend(load.pacing.map(|value| (value.at, "pacing")));
        } else {
            wrong.extend(load.arrivals.map(|value| (value.at, "arrivals")));
            wrong.extend(load.max_users.map(|value| (value.at, "max_users")));
            wrong.extend(load.users_order.map(|value| (value.at, "users_order")));
            match &load.on_busy {
                Some(Form::Short(word)) => wrong.push((word.at, "on_busy")),
                Some(Form::Long(wait)) => wrong.push((wait.wait.at, "on_busy")),
                None => {}
            }
        }
        let (is, wants) = if open { ("a rate", "users") } else { ("users", "a rate") };
        for (at, key) in wrong {
            self.resolver.error(at, format!("`{key}` goes with {wants}, and this load is {is}"));
        }
        if let (Some(_), Some(total)) = (load.iterations, load.total_iterations) {
            self.resolver.error(total.at, "a load counts either `iterations` of each user or `total_iterations` of all");
        }
    }

    /// A count, scaled and split.
    fn count(&self, count: u64, part: &StageLoad<'_>) -> u64 {
        let scaled = scaled(count as f64, self.amount) as u64;
        match &part.split {
            None => scaled,
            Some((split, which)) => split.share(scaled, *which),
        }
    }

    fn users(&mut self, scenario: usize, part: &StageLoad<'_>) -> Piece {
        let level = part.load.users.map_or(Level::Constant(0.0), |users| users.value.level());
        let number = |users: f64| self.count(users as u64, part) as f64;
        let (from, to) = match level {
            Level::Constant(users) => (number(users), number(users)),
            Level::Ramp(Some(from), to) => (number(from), number(to)),
            Level::Ramp(None, to) => match self.before.get(&scenario) {
                Some(Before::Users(before)) => (*before, number(to)),
                _ => (0.0, number(to)),
            },
        };
        self.before.insert(scenario, Before::Users(to));
        Piece { duration: part.duration, from, to }
    }

    fn rate(&mut self, scenario: usize, part: &StageLoad<'_>) -> Piece {
        let level = part.load.rate.map_or(Level::Constant(0.0), |rate| rate.value.level());
        let share = match &part.split {
            None => self.amount,
            Some((split, which)) => self.amount * split.weights[*which] / split.sum,
        };
        let (from, to) = match level {
            Level::Constant(rate) => (rate * share, rate * share),
            Level::Ramp(Some(from), to) => (from * share, to * share),
            Level::Ramp(None, to) => match self.before.get(&scenario) {
                Some(Before::Rate(before)) => (*before, to * share),
                _ => (0.0, to * share),
            },
        };
        self.before.insert(scenario, Before::Rate(to));
        Piece { duration: part.duration, from, to }
    }
}

/// A rate as a person writes it.
pub(super) fn show_rate(rate: f64) -> String {
    crate::base::figures::rate(Some(rate))
}

/// A number of users or iterations after scaling: whole, and not 0 unless it was.
pub(in crate::plan) fn scaled(number: f64, by: f64) -> f64 {
    if by == 1.0 || number == 0.0 { number } else { (number * by).round().max(1.0) }
}

#[cfg(test)]
mod tests;
