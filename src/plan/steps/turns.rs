//! `repeat` and `for_each`: how many turns, how far apart, by how many users.

use std::time::Duration;

use super::{Builder, Place};
use crate::base::written::{At, Text};
use crate::flow::{Flow, ForEach, Repeat, StepKind, Times};
use crate::plan::loads::{LONGEST, Pace};
use crate::profile::written;

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
        let times = match &repeat.times {
            None => Some(None),
            Some(text) => self.times(text).map(Some),
        };
        let users = self.users(repeat.users);
        let (condition, (flow, turn)) = self.in_turns(|builder| {
            let condition = builder.optional(repeat.condition.as_ref());
            (condition, builder.within(at, &repeat.flow))
        });
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
        let users = self.users(each.users);
        let variable = self.symbol(&At { value: each.variable.value.0.clone(), at: each.variable.at });
        let (flow, turn): (Flow, Pace) = self.in_turns(|builder| builder.within(at, &each.flow));
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
                Ok(times) => Some(Times::Always(times)),
                Err(_) => {
                    let message =
                        format!("`{}` is not a number of times; write one, like 3, or \"{{{{ n }}}}\"", text.source.trim());
                    self.resolver.error(text.at, message);
                    None
                }
            },
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
            None => u32::try_from(users.value).ok(),
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
