//! The load of a phase as written: levels, ramps, counts.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::base::units;
use crate::base::written::{At, Flat, Form, Named, NotYet, Of, Parsed};

/// A phase's load: one for all scenarios (with `split`), or one for each.
pub type PhaseLoad = Flat<At<Load>, Named<At<Load>>>;

/// A part of a phase.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Stage {
    /// How long it lasts; a stage of 0s is skipped.
    pub duration: Of<Duration>,
    /// The load of each scenario; with `split` one load for all. A scenario that isn't in it has level 0.
    pub load: Option<PhaseLoad>,
    /// Apportions one load among scenarios by these weights.
    pub split: Option<Named<Of<Weight>>>,
}

/// How much a scenario does: `users` (closed), or `rate` and `at_once` (open).
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Load {
    /// Users that go round: `100`, `0 -> 1000`, `-> 5000`. With a rate: users that are prepared.
    pub users: Option<Of<UserLevel>>,
    /// Arrivals: `100/s`, `20/s -> 400/s`, `-> 50/s`.
    pub rate: Option<Of<RateLevel>>,
    /// Arrivals at once, at the start.
    pub at_once: Option<At<u64>>,
    /// Iterations of each user, then the phase ends.
    pub iterations: Option<At<u64>>,
    /// Iterations of all users together, then the phase ends.
    pub total_iterations: Option<At<u64>>,
    /// The least time from one iteration's start to the next.
    pub pacing: Option<Of<Duration>>,
    /// How arrivals are spaced: `even` or `poisson`. Default even.
    pub arrivals: Option<At<Arrivals>>,
    /// Users at most, for arrivals.
    pub max_users: Option<At<u64>>,
    /// Which free user takes an arrival: `in_turn`, the one that has been idle longest, or `latest`, the one that was busy last. By
    /// default those of a written `users` take turns, and the latest is taken of those beyond them.
    pub users_order: Option<At<UsersOrder>>,
    /// What becomes of an arrival that finds no free user: `drop`, or `{wait: 2s}`. Default drop.
    pub on_busy: Option<Form<At<WaitOrDrop>, OnBusyWait>>,
    /// Not yet.
    #[schemars(skip)]
    pub search: Option<NotYet>,
}

/// How `on_busy` is written.
pub type OnBusy = Form<At<WaitOrDrop>, OnBusyWait>;

/// Which free user takes an arrival.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum UsersOrder {
    /// The one that has been idle longest: all are different people.
    InTurn,
    /// The one that was busy last: no more connections are open than the load needs.
    Latest,
}

/// How arrivals are spaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Arrivals {
    /// Evenly.
    #[default]
    Even,
    /// As independent users would.
    Poisson,
}

/// `on_busy` in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum WaitOrDrop {
    /// The arrival is dropped, and counted.
    #[default]
    Drop,
}

/// `on_busy: {wait: 2s}`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OnBusyWait {
    /// How long an arrival waits at most.
    pub wait: Of<Duration>,
}

/// A level: constant, or a ramp.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Level {
    /// From the start on.
    Constant(f64),
    /// Linear from one to the other; without a first, from the level before.
    Ramp(Option<f64>, f64),
}

impl Default for Level {
    fn default() -> Self {
        Self::Constant(0.0)
    }
}

impl Level {
    fn parse(text: &str, number: impl Fn(&str) -> Result<f64, String>) -> Result<Self, String> {
        match text.split_once("->") {
            None => number(text.trim()).map(Self::Constant),
            Some((from, to)) if from.trim().is_empty() => Ok(Self::Ramp(None, number(to.trim())?)),
            Some((from, to)) => Ok(Self::Ramp(Some(number(from.trim())?), number(to.trim())?)),
        }
    }
}

/// What both kinds of level are to those that combine them.
pub trait AmountLevel {
    /// The level.
    fn level(&self) -> Level;
}

/// A level of users.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct UserLevel(pub Level);

impl AmountLevel for UserLevel {
    fn level(&self) -> Level {
        self.0
    }
}

impl Parsed for UserLevel {
    const NAME: &'static str = "Users";
    const DESCRIPTION: &'static str = "A number of users, a ramp, or a ramp from the level before.";
    const EXAMPLES: &'static [&'static str] = &["100", "0 -> 1000", "-> 5000"];

    fn parse(text: &str) -> Result<Self, String> {
        let number = |text: &str| {
            if units::parse_rate(text).is_ok() {
                return Err(format!("`{text}` is a rate; write it under `rate`, and under `users` a number like 100"));
            }
            text.parse::<u32>()
                .map(f64::from)
                .map_err(|_| format!("`{text}` is not a number of users; write one like 100, or a ramp like 0 -> 1000"))
        };
        Level::parse(text, number).map(Self)
    }
}

/// A level of arrivals per second.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct RateLevel(pub Level);

impl AmountLevel for RateLevel {
    fn level(&self) -> Level {
        self.0
    }
}

impl Parsed for RateLevel {
    const NAME: &'static str = "Rates";
    const DESCRIPTION: &'static str = "A rate, a ramp, or a ramp from the level before.";
    const EXAMPLES: &'static [&'static str] = &["100/s", "20/s -> 400/s", "-> 50/s"];

    fn parse(text: &str) -> Result<Self, String> {
        let number = |text: &str| match Rate::parse(text) {
            Ok(Rate(rate)) if rate <= 1e9 => Ok(rate),
            Ok(_) => Err(format!("`{text}` is more than 1000000000/s")),
            Err(error) => Err(error),
        };
        Level::parse(text, number).map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_and_ramps() {
        assert_eq!(UserLevel::parse("100").unwrap().0, Level::Constant(100.0));
        assert_eq!(UserLevel::parse("0 -> 1000").unwrap().0, Level::Ramp(Some(0.0), 1000.0));
        assert_eq!(UserLevel::parse("-> 5000").unwrap().0, Level::Ramp(None, 5000.0));
        assert_eq!(RateLevel::parse("60/m->7200/h").unwrap().0, Level::Ramp(Some(1.0), 2.0));
        for bad in ["", "-5", "1.5", "0 -> ", "many", "1 -> 2 -> 3"] {
            assert!(UserLevel::parse(bad).is_err(), "{bad}");
        }
        assert!(UserLevel::parse("50/s").unwrap_err().contains("under `rate`"));
        assert!(RateLevel::parse("50").unwrap_err().contains("50/s"));
    }
}

/// A rate: `50/s`.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Rate(pub f64);

impl Parsed for Rate {
    const NAME: &'static str = "Rate";
    const DESCRIPTION: &'static str = "A rate: a number a second, a minute or an hour.";
    const EXAMPLES: &'static [&'static str] = &["50/s", "30/m", "7200/h"];

    fn parse(text: &str) -> Result<Self, String> {
        units::parse_rate(text).map(Self).map_err(|error| error.to_string())
    }
}

/// A weight among others.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Weight(pub f64);

impl Parsed for Weight {
    const NAME: &'static str = "Weight";
    const DESCRIPTION: &'static str = "A weight: a number above 0; what counts is its share of their sum.";
    const EXAMPLES: &'static [&'static str] = &["50", "0.5"];

    fn parse(text: &str) -> Result<Self, String> {
        let number = text.strip_suffix('%').unwrap_or(text).trim().parse::<f64>().ok();
        match number.filter(|weight| weight.is_finite() && *weight >= 0.0) {
            Some(weight) => Ok(Self(weight)),
            None => Err(format!("`{text}` is not a weight; write a number, like 50")),
        }
    }
}
