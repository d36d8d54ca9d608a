//! `repeat` and `for_each`: how many turns, how far apart, by how many users.

use std::time::Duration;

use super::{Builder, Place};
use crate::base::written::{At, Of, Text};
use crate::flow::{Flow, ForEach, Repeat, StepKind, Times};
use crate::plan::loads::{LONGEST, Pace, scaled, show_rate};
use crate::profile::written;

/// The turns that steps stand in, where something is done once for the whole run.
#[derive(Debug, Clone, Copy)]
pub(super) struct Around {
    /// Their number was multiplied by `scale` already.
    scaled: bool,
    /// How many users take them at the same time.
    users: u64,
}

impl Default for Around {
    fn default() -> Self {
        Self { scaled: false, users: 1 }
    }
}

/// The most users that work through something at the same time.
const MOST_USERS: u64 = 10_000;

impl<'a, 'p: 'a> Builder<'a, 'p> {
    pub(super) fn repeat(&mut self, repeat: &'a At<written::Repetition>) -> Option<StepKind> {
        let (at, repeat) = (repeat.at, &repeat.value);
        let endless = repeat.times.is_none() && repeat.condition.is_none() && repeat.lasting.is_none();
        // In a session it ends when the user is asked to.
        let until_asked = endless && self.in_session.is_some() && self.place == Place::Scenario;
        if endless && !until_asked {
            self.resolver
                .lacking(at, "this would never end; write how often (`times: 3`), how long (`for: 30s`) or `while: expression`");
        }
        if let Some(lasting) = repeat.lasting.filter(|lasting| lasting.value.is_zero()) {
            self.resolver.error(lasting.at, "within 0s no turn begins; write a longer time");
        }
        let around = self.turns;
        let times = match &repeat.times {
            None => Some(None),
            Some(text) => self.times(text).map(Some),
        };
        let users = self.users(repeat.users);
        self.not_too_often(repeat.every.as_ref());
        let (condition, (flow, turn)) = self.in_turns(|builder| {
            let condition = builder.optional(repeat.condition.as_ref());
            (condition, builder.within(at, &repeat.flow))
        });
        self.turns = around;
        let every = repeat.every.map(|every| every.value.min(LONGEST));
        let lasting = repeat.lasting.map(|lasting| lasting.value.min(LONGEST));
        let count = match &times {
            Some(Some(Times::Always(times))) => Some(*times),
            _ => None,
        };
        self.pace.then(pace(turn, count, every, lasting));
        Some(StepKind::Repeat(Box::new(Repeat {
            times: times?,
            condition: condition?,
            lasting,
            every,
            until_asked,
            users: users?,
            flow,
        })))
    }

    pub(super) fn for_each(&mut self, each: &'a At<written::ForEach>) -> Option<StepKind> {
        let (at, each) = (each.at, &each.value);
        let list = self.expression(&each.list);
        let around = self.turns;
        let users = self.users(each.users);
        let variable = self.symbol(&At { value: each.variable.value.0.clone(), at: each.variable.at });
        let (flow, turn): (Flow, Pace) = self.in_turns(|builder| builder.within(at, &each.flow));
        self.turns = around;
        self.pace.then(turn);
        Some(StepKind::ForEach(Box::new(ForEach { list: list?, variable, users: users?, flow })))
    }

    /// Where `index` is known.
    fn in_turns<T>(&mut self, inside: impl FnOnce(&mut Self) -> T) -> T {
        let names = self.names.clone().with_index();
        let around = std::mem::replace(&mut self.names, names);
        let made = inside(self);
        self.names = around;
        made
    }

    fn times(&mut self, text: &Text) -> Option<Times> {
        let template = self.resolver.template(text, &self.names)?;
        match template.as_static() {
            None => Some(Times::Drawn(template)),
            Some(constant) => match constant.trim().parse() {
                Ok(times) => Some(Times::Always(self.scaled_times(times))),
                Err(_) => {
                    let message =
                        format!("`{}` is not a number of times; write one, like 3, or \"{{{{ n }}}}\"", text.source.trim());
                    self.resolver.error(text.at, message);
                    None
                }
            },
        }
    }

    /// A number of turns. Of what is done once for the whole run `scale` multiplies it, of turns within turns the outermost.
    fn scaled_times(&mut self, times: u64) -> u64 {
        if !self.place.is_once() || std::mem::replace(&mut self.turns.scaled, true) {
            return times;
        }
        let load = self.resolver.profile.written.scale.as_ref().and_then(|scale| scale.load);
        scaled(times as f64, load.map_or(1.0, |load| load.value.0)) as u64
    }

    /// Turns that begin more often than `limits` allow arrivals.
    fn not_too_often(&mut self, every: Option<&Of<Duration>>) {
        let limit = self.resolver.profile.written.limits.as_ref().and_then(|limits| limits.rate);
        if let (true, Some(every), Some(limit)) = (self.place.is_once(), every, limit) {
            let rate = 1.0 / every.value.as_secs_f64();
            if rate > limit.value.0 * (1.0 + 1e-9) {
                let message = format!("these turns reach {}, and `limits` allows {}", show_rate(rate), show_rate(limit.value.0));
                self.resolver.error(every.at, message);
            }
        }
    }

    /// How many do it at the same time.
    fn users(&mut self, users: Option<At<u64>>) -> Option<u32> {
        let Some(users) = users else { return Some(1) };
        let refused = match self.place {
            Place::Scenario | Place::Start | Place::Stop => Some(
                "`users` share turns in setup, verify and teardown only; here the load of a phase says how many users there are"
                    .to_owned(),
            ),
            _ if self.in_session.is_some() => {
                Some("several users can't share the turns on one connection; put the session into the turns".to_owned())
            }
            _ if users.value == 0 => Some("nobody would do it; write at least 1".to_owned()),
            _ if users.value > MOST_USERS => Some(format!("at most {MOST_USERS} users share turns")),
            _ => None,
        };
        match refused {
            Some(message) => {
                self.resolver.error(users.at, message);
                None
            }
            None => {
                self.turns.users = self.turns.users.saturating_mul(users.value);
                let limit = self.resolver.profile.written.limits.as_ref().and_then(|limits| limits.users);
                if let Some(limit) = limit.filter(|limit| self.turns.users > limit.value) {
                    let message = format!("here {} users work at once, and `limits` allows {}", self.turns.users, limit.value);
                    self.resolver.error(users.at, message);
                }
                u32::try_from(users.value).ok()
            }
        }
    }
}

/// What all turns take together. How many there are is known of a constant number only; otherwise it is taken for one.
fn pace(turn: Pace, times: Option<u64>, every: Option<Duration>, lasting: Option<Duration>) -> Pace {
    let (known, times) = (times.is_some(), times.unwrap_or(1));
    let mut pace = match every {
        // The answers' time is within that of the turns.
        Some(every) if every > turn.pauses => {
            let before = Duration::try_from_secs_f64(every.as_secs_f64() * times.saturating_sub(1) as f64).unwrap_or(LONGEST);
            let longest = before.saturating_add(turn.longest).max(turn.clone().times(times as f64).longest).min(LONGEST);
            let pauses = before.saturating_add(turn.pauses).min(LONGEST);
            if times == 0 { Pace::default() } else { Pace { longest, pauses, ..turn } }
        }
        _ => turn.clone().times(times as f64),
    };
    match (lasting, known) {
        // Turns until the time is over: that is what they take, whatever is in them.
        (Some(lasting), false) => {
            pace.pauses = lasting;
            pace.longest = pace.longest.saturating_add(lasting).min(LONGEST);
            pace.requests.clear();
        }
        (Some(lasting), true) => pace.pauses = pace.pauses.min(lasting),
        (None, _) => {}
    }
    pace
}
