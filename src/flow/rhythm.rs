//! The rhythm of a flow: how long the steps that an error left out would have waited.
//!
//! Users are people who come and go at their own pace, and an error doesn't make them faster. So a flow that fails adds up what the
//! steps behind the failed one would have waited, on each level that it was in. The step that catches the error waits that long
//! (`on_error: continue`), or else whoever carries the flow out may do so before the next iteration. What the steps would have asked of the
//! target takes no time here.

use std::time::Duration;

use super::control::{Choose, ForEach, Repeat, Times};
use super::session::MessageStep;
use super::types::{Flow, Step, StepKind};
use super::user::User;
use crate::base::random::Stream;
use crate::base::units::nanos;
use crate::expr::elements;

/// An iteration, or a turn of a repetition, that was turned away is followed by the next no sooner than so long after it began: without
/// that, a few users knock ten thousand times a second at a target that is away, and flatten it when it comes back.
pub const RETRY: Duration = Duration::from_millis(100);
/// So many turns of a repetition are drawn one by one; those that follow count as the mean of these.
const DRAWN: u64 = 32;
/// So many turns are drawn in all, where repetitions stand in each other; beyond that one of each.
const DRAWN_IN_ALL: u64 = 4096;
/// Cards of a choice that one is drawn from.
const CARDS: u64 = 1 << 20;

/// Draws how long steps would wait. Every condition is taken for true, for what it asks about may be what failed.
pub(super) struct Rhythm<'u> {
    user: &'u User,
    /// A copy of the iteration's own, so that what the user draws next is what it would have drawn without this.
    stream: Stream,
    turns_left: u64,
}

/// A repetition that is still to be done, or the rest of one.
#[derive(Default)]
pub(super) struct Rest {
    /// Turns that have begun.
    pub begun: u64,
    /// How many turns there are, if that is known.
    pub limit: Option<u64>,
    /// From the beginning of a turn to that of the next.
    pub every: Option<Duration>,
    /// After so long no turn begins.
    pub lasting: Option<Duration>,
    /// How long it has been going on.
    pub elapsed: Duration,
    /// How long the turn that is under way would still have waited.
    pub turn: Duration,
}

impl<'u> Rhythm<'u> {
    pub fn of(user: &'u User) -> Self {
        Self { user, stream: user.scope.random().clone(), turns_left: DRAWN_IN_ALL }
    }

    /// How long these steps would wait, one after the other.
    pub fn steps(&mut self, steps: &[Step]) -> Duration {
        steps.iter().fold(Duration::ZERO, |sum, step| sum.saturating_add(self.step(&step.kind)))
    }

    fn step(&mut self, kind: &StepKind) -> Duration {
        match kind {
            StepKind::Think(length) => length.draw(&mut self.stream),
            StepKind::Message(message) => match &**message {
                MessageStep::Hold(Some(length)) => length.draw(&mut self.stream),
                MessageStep::Listen(listen) => listen.length.map_or(Duration::ZERO, |length| length.draw(&mut self.stream)),
                // Until the user is asked to end: that is no time of its own.
                MessageStep::Hold(None) => Duration::ZERO,
                MessageStep::Send(_) | MessageStep::Emit(_) | MessageStep::Receive(_) | MessageStep::Close(_) => Duration::ZERO,
            },
            StepKind::Http(_) | StepKind::Set(_) | StepKind::Count(_) | StepKind::Record(_) | StepKind::Remember(_) => {
                Duration::ZERO
            }
            StepKind::Session(session) => self.steps(&session.flow.steps),
            StepKind::Choose(choose) => self.choose(choose),
            StepKind::Maybe(maybe) => self.steps(&maybe.flow.steps),
            StepKind::Repeat(repeat) => self.repeat(repeat),
            StepKind::ForEach(each) => self.for_each(each),
            StepKind::Group(group) => self.steps(&group.flow.steps),
            StepKind::Call(flow) => self.steps(&flow.steps),
            StepKind::Eventually(eventually) => self.steps(&eventually.flow.steps),
        }
    }

    /// One of its flows by their weights; the user's own cards stay for the choices that are made.
    fn choose(&mut self, choose: &Choose) -> Duration {
        let card = self.stream.below(CARDS);
        let branch = choose.deck.draw(self.user.scope.choice_key(choose.number), self.user.place(), card);
        choose.flows.get(branch).map_or(Duration::ZERO, |flow| self.steps(&flow.steps))
    }

    fn repeat(&mut self, repeat: &Repeat) -> Duration {
        let limit = repeat.times.as_ref().map(|times| match times {
            Times::Always(times) => *times,
            Times::Drawn(template) => {
                let value = template.value(&self.user.scope).ok().filter(|value| value.is_number());
                value.and_then(|value| u64::try_from(value).ok()).unwrap_or(1)
            }
        });
        let rest = Rest { limit, every: repeat.every, lasting: repeat.lasting, ..Rest::default() };
        self.turns(&rest, repeat.users, &repeat.flow)
    }

    fn for_each(&mut self, each: &ForEach) -> Duration {
        let list = each.list.value(&self.user.scope).ok();
        let length = list.and_then(|list| elements(&list).and(list.len())).unwrap_or(1);
        self.turns(&Rest { limit: Some(length as u64), ..Rest::default() }, each.users, &each.flow)
    }

    /// How long the turns of a repetition would wait that are left. Where no number of them is known, a turn that is under way is
    /// the last, and without one there is one.
    pub fn turns(&mut self, rest: &Rest, users: u32, flow: &Flow) -> Duration {
        let over = rest.lasting.map(|lasting| lasting.saturating_sub(rest.elapsed));
        let left = match (rest.limit, over) {
            (Some(limit), _) => limit.saturating_sub(rest.begun).div_ceil(u64::from(users.max(1))),
            (None, Some(_)) => u64::MAX,
            (None, None) => u64::from(rest.begun == 0),
        };
        // When a turn begins by the pace, from now on.
        let paced = |turn: u64| {
            let begins = rest.every.map_or(0, |every| nanos(every).saturating_mul(turn));
            Duration::from_nanos(begins).saturating_sub(rest.elapsed)
        };
        let (mut at, mut drawn) = (rest.turn, 0);
        while drawn < left.min(DRAWN) && (drawn == 0 || self.turns_left > 0) {
            let begins = at.max(paced(rest.begun + drawn * u64::from(users.max(1))));
            if over.is_some_and(|over| begins >= over) {
                return at;
            }
            drawn += 1;
            self.turns_left = self.turns_left.saturating_sub(1);
            at = begins.saturating_add(self.steps(&flow.steps));
        }
        if left > drawn {
            let each = nanos(at.saturating_sub(rest.turn)) / drawn.max(1);
            let further = at.saturating_add(Duration::from_nanos(each.saturating_mul(left - drawn)));
            at = over.map_or(further, |over| further.min(over.max(at)));
        }
        match (rest.limit, over) {
            (Some(_), _) => at,
            (None, Some(over)) => at.max(over),
            (None, None) => at.max(paced(rest.begun.max(1))),
        }
    }
}
