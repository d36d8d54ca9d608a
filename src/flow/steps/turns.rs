//! The turns of a repetition: which is next, when it is due, and whether there is another.

use std::time::{Duration, Instant};

use crate::base::Reason;
use crate::base::units::nanos;
use crate::expr::{Elements, Expression, Symbol, Value};
use crate::flow::control::Repeat;
use crate::flow::rhythm::{RETRY, Rest, Rhythm};
use crate::flow::run::Run;
use crate::flow::sink::Sink;
use crate::flow::stop::{Broken, Stop};
use crate::flow::types::Flow;

/// So many turns in a row in which no time passes, of a repetition that has no number of turns, are taken for a mistake.
const IDLE: u32 = if cfg!(test) { 10_000 } else { 1_000_000 };

/// What is left to do.
pub(super) struct Turns<'f> {
    index: u64,
    limit: Option<u64>,
    condition: Option<&'f Expression>,
    items: Option<(Symbol, Elements)>,
    lasting: Option<Duration>,
    every: Option<Duration>,
    /// No turn begins once the user is asked to end.
    until_asked: bool,
    start: Instant,
    held: Duration,
    /// When the last turn was due.
    last: Option<Instant>,
    idle: u32,
}

/// One turn, the scope of which knows its index.
pub(super) struct Turn {
    pub(super) index: u64,
    due: Instant,
    item: Option<(Symbol, Value)>,
    until_asked: bool,
}

impl<'f> Turns<'f> {
    fn new<S: Sink>(run: &Run<'_, S>) -> Self {
        Self {
            index: 0,
            limit: None,
            condition: None,
            items: None,
            lasting: None,
            every: None,
            until_asked: false,
            start: run.due,
            held: run.held,
            last: None,
            idle: 0,
        }
    }

    /// Those of `repeat`, at most `limit` of them.
    pub(super) fn of_repeat<S: Sink>(repeat: &'f Repeat, limit: Option<u64>, run: &Run<'_, S>) -> Self {
        Self {
            limit,
            condition: repeat.condition.as_ref(),
            lasting: repeat.lasting,
            every: repeat.every,
            until_asked: repeat.until_asked,
            ..Self::new(run)
        }
    }

    /// One for each item of a list, whose length may be known.
    pub(super) fn of_items<S: Sink>(variable: Symbol, items: Elements, length: Option<usize>, run: &Run<'_, S>) -> Self {
        Self { limit: length.map(|n| n as u64), items: Some((variable, items)), ..Self::new(run) }
    }

    /// The index of the next turn.
    pub(super) fn index(&self) -> u64 {
        self.index
    }

    /// There is no further turn.
    pub(super) fn stop(&mut self) {
        self.limit = Some(0);
    }

    /// A turn failed, and those that were still to come are left out.
    pub(super) fn left_out<S: Sink>(&self, stop: &Stop, users: u32, flow: &Flow, run: &mut Run<'_, S>) {
        if !matches!(stop, Stop::Failed(_)) {
            return;
        }
        let start = self.start + run.held.saturating_sub(self.held);
        let rest = Rest {
            begun: self.index,
            limit: self.limit,
            every: self.every,
            lasting: self.lasting,
            elapsed: run.due.saturating_duration_since(start),
            turn: run.user.rest,
        };
        run.user.rest = Rhythm::of(run.user).turns(&rest, users, flow);
    }

    /// How many there are, where that is known.
    pub(super) fn limit(&self) -> Option<u64> {
        self.limit
    }

    /// The next turn for a user whose last step ended at `run.due`; nothing once it is over.
    pub(super) fn next<S: Sink>(&mut self, run: &mut Run<'_, S>) -> Result<Option<Turn>, Broken> {
        let index = self.index;
        if self.limit.is_some_and(|limit| index >= limit) || (self.until_asked && run.sink.is_asked_to_end()) {
            return Ok(None);
        }
        // A pause of the run moves what is due.
        let start = self.start + run.held.saturating_sub(self.held);
        let mut due = run.due;
        if let Some(every) = self.every {
            due = due.max(start + Duration::from_nanos(nanos(every).saturating_mul(index)));
        }
        let idle = self.last == Some(due);
        self.last = Some(due);
        self.idle = if idle { self.idle + 1 } else { 0 };
        if self.idle >= IDLE && self.limit.is_none() {
            return Err(run.broken(Reason::Other, format!(
                "repeat: {IDLE} turns took no time at all; give it a number of `times`, or a step that takes time, like think: 1s"
            )));
        }
        if let Some(lasting) = self.lasting {
            // Where turns take no time, what is due stands still, and only the clock goes on.
            let now = if idle { Instant::now().max(due) } else { due };
            if now >= start + lasting {
                return Ok(None);
            }
        }
        run.user.scope.push_index(index);
        let holds = self.condition.is_none_or(|condition| condition.truth(&run.user.scope).unwrap_or(false));
        run.user.scope.pop_index();
        let item = match &mut self.items {
            None => None,
            Some((variable, items)) => match items.next() {
                Some(item) => Some((*variable, item)),
                None => return Ok(None),
            },
        };
        self.index += 1;
        Ok(holds.then_some(Turn { index, due, item, until_asked: self.until_asked }))
    }
}

impl Turn {
    /// Waits until the turn is due, and goes through the flow.
    pub(super) async fn run<S: Sink>(self, flow: &Flow, run: &mut Run<'_, S>) -> Result<(), Stop> {
        if self.due > run.due
            && let Err(stop) = self.wait(run).await
        {
            run.left_out(&stop, &flow.steps);
            return Err(stop);
        }
        if self.until_asked && run.sink.is_asked_to_end() {
            return Ok(());
        }
        let began = run.due;
        run.user.scope.push_index(self.index);
        if let Some((variable, item)) = self.item {
            run.user.scope.assign(variable, item);
        }
        let done = run.flow(flow).await;
        run.user.scope.pop_index();
        done?;
        match run.sink.turned_away() {
            Some(at) if at >= began && run.due < began + RETRY => run.wait(began + RETRY).await,
            _ => Ok(()),
        }
    }

    async fn wait<S: Sink>(&self, run: &mut Run<'_, S>) -> Result<(), Stop> {
        match self.until_asked {
            true => run.wait_unless_asked(self.due).await.map_err(Stop::from),
            false => run.wait(self.due).await,
        }
    }
}
