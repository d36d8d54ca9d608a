//! Numbered messages as one listener hears them: which came, which never did, which came twice or late.
//!
//! The first number that comes is where a listener's count begins. A later number leaves a gap, which stays open for [`GRACE`]: what
//! comes into it by then was reordered, what is still lacking is missed, and stays so even if it comes at last, since counters
//! never go back. So received + missed is at any end the number of those that the listener was owed.
//!
//! Beyond that a listener is owed what others first heard while it listened (see [`super::marks`]): more than [`GRACE`] after its beginning
//! and before its own first message, and above its own numbers what they had heard [`GRACE`] before its end. What had been heard before it
//! began is of no concern to it: the sender may have begun to count anew since.
//!
//! A missed number was due when another listener first heard it. Where nobody did, it was due between the messages that came before and
//! after it, as if all came at even distances.

use std::time::{Duration, Instant};

use super::lack::Lack;
use super::marks::Marks;
use crate::measure::Numbered;

/// How much later than others a message may come; and how long a gap stays open.
pub const GRACE: Duration = Duration::from_secs(1);
/// A message that others heard so long ago is missed at an edge, even if nothing after it has come.
/// A listener that lags less is only slow.
pub const LAG: Duration = Duration::from_secs(10);
/// A jump of more numbers than these, either way, isn't a gap but the beginning of another count.
const JUMP: u64 = 1_000_000;
/// A number so far back isn't late but the beginning of another count.
const BACK: u64 = 100_000;
/// Gaps that are remembered; the oldest goes first, as missed.
const GAPS: usize = 32;

/// One listener's count of one stream of numbers.
#[derive(Debug)]
pub(super) struct Tracker {
    /// Since when it listens.
    since: Instant,
    heard: Option<Heard>,
    /// Since when it listens on a connection on which no number has come yet.
    anew: Option<Instant>,
}

#[derive(Debug)]
struct Heard {
    first: i64,
    /// The highest that came, or that is missed.
    highest: i64,
    /// The highest that came.
    own: i64,
    /// When the highest came, or was due.
    at: Instant,
    /// Numbers between the two that have not come, ascending.
    gaps: Vec<Gap>,
}

#[derive(Debug, Clone, Copy)]
struct Gap {
    from: i64,
    to: i64,
    since: Instant,
    state: State,
    due: Lack,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// It may still come.
    Open,
    /// It was counted as missed.
    GivenUp,
    /// It is from before the count began.
    Unowed,
}

impl Gap {
    /// The numbers from one to another, of which the first and the last were due then.
    fn new(from: i64, to: i64, due: Lack, since: Instant, state: State) -> Self {
        Self { from, to, since, state, due }
    }

    /// The part from one number to another; nothing if that is empty.
    fn part(&self, from: i64, to: i64) -> Option<Self> {
        (from <= to).then(|| Self { from, to, due: self.due.part(from.abs_diff(self.from), to.abs_diff(from) + 1), ..*self })
    }
}

impl Tracker {
    /// Who listens from `since` on.
    pub(super) fn new(since: Instant) -> Self {
        Self { since, heard: None, anew: None }
    }

    /// From `at` on it listens on another connection. Whoever sends there may count anew: a first number that isn't above those that
    /// were heard is the beginning of another count, while one above them leaves a gap as ever.
    pub(super) fn reconnected(&mut self, at: Instant) {
        self.anew = Some(at);
    }

    /// A message with this number came at `at`. What is missed by now goes to `lacks`.
    pub(super) fn see(&mut self, number: i64, at: Instant, marks: &Marks, lacks: &mut Vec<Lack>) -> Numbered {
        marks.saw(number, at);
        self.expire(at, lacks);
        let mut counts = Numbered::default();
        let Some(heard) = &mut self.heard else {
            counts.received += 1;
            lacks.extend(self.missed_before(number, at, marks));
            self.heard = Some(Heard::new(number, at));
            return counts;
        };
        let anew = self.anew.take().filter(|_| number <= heard.own);
        if let Some(since) = anew {
            // What others heard before that is of the count that has ended.
            self.since = since;
        }
        let jump = number.abs_diff(heard.highest);
        if anew.is_some() || jump > if number > heard.highest { JUMP } else { BACK } {
            lacks.extend(heard.open());
            counts.received += 1;
            *heard = Heard::new(number, at);
        } else if number > heard.highest {
            counts.received += 1;
            if jump > 1 {
                let (from, to) = (heard.highest + 1, number - 1);
                let due = match (marks.when(from), marks.when(to)) {
                    (Some(first), Some(last)) => Lack::new(jump - 1, first, last),
                    _ => Lack::between(jump - 1, heard.at, at),
                };
                lacks.extend(heard.lack(Gap::new(from, to, due, at, State::Open)));
            }
            (heard.highest, heard.own, heard.at) = (number, number, at);
        } else if let Some(state) = heard.fill(number) {
            counts.reordered += 1;
            // One that was given up is missed for good.
            counts.received += u64::from(state != State::GivenUp);
            heard.own = heard.own.max(number);
        } else if number < heard.first {
            counts.reordered += 1;
            counts.received += 1;
            if heard.first.abs_diff(number) > 1 {
                let due = Lack::new(heard.first.abs_diff(number) - 1, at, at);
                lacks.extend(heard.lack(Gap::new(number + 1, heard.first - 1, due, at, State::Unowed)));
            }
            heard.first = number;
        } else {
            counts.repeated += 1;
        }
        counts
    }

    /// What was due by `edge` and can't come in time any more `now` is missed, whether or not anything comes after it. Answers
    /// whether nothing that was due by then may still come.
    pub(super) fn settle(&mut self, edge: Instant, now: Instant, marks: &Marks, lacks: &mut Vec<Lack>) -> bool {
        let before = |length| now.checked_sub(length).map(|long_ago| edge.min(long_ago));
        if let (Some(heard), Some(until)) = (&mut self.heard, before(GRACE)) {
            heard.give_up(until, lacks);
        }
        if let Some(until) = before(LAG) {
            self.give_up(until, now, marks, lacks);
        }
        self.owed(edge, marks).is_none() && self.heard.iter().flat_map(Heard::open).all(|lack| lack.first >= edge)
    }

    /// Gives up what others had heard by a moment, and this listener has not.
    fn give_up(&mut self, until: Instant, now: Instant, marks: &Marks, lacks: &mut Vec<Lack>) {
        let Some((from, to, lack)) = self.owed(until, marks) else { return };
        match &mut self.heard {
            None => {
                lacks.push(lack);
                // What was due later is still to be reported.
                self.since = until.checked_sub(GRACE).unwrap_or(until);
            }
            Some(heard) => {
                // What was due while it was away shows in the first number that comes then.
                if self.anew.is_some() {
                    return;
                }
                lacks.push(lack);
                if heard.highest + 1 < from {
                    let due = Lack::new(from.abs_diff(heard.highest) - 1, lack.first, lack.first);
                    lacks.extend(heard.lack(Gap::new(heard.highest + 1, from - 1, due, now, State::Unowed)));
                }
                lacks.extend(heard.lack(Gap::new(from, to, lack, now, State::GivenUp)));
                (heard.highest, heard.at) = (to, lack.last);
            }
        }
    }

    /// The listening ended at `at`: what is still lacking never came.
    pub(super) fn end(&mut self, at: Instant, marks: &Marks, lacks: &mut Vec<Lack>) {
        let Some(until) = at.checked_sub(GRACE) else { return };
        lacks.extend(self.heard.iter().flat_map(Heard::open));
        lacks.extend(self.owed(until, marks).map(|(_, _, lack)| lack));
    }

    /// The numbers above this listener's highest that others had heard by a moment, since it listens: from, to, and when
    /// they were due.
    fn owed(&self, until: Instant, marks: &Marks) -> Option<(i64, i64, Lack)> {
        let (last, to) = marks.highest_by(until)?;
        let (first, from) = match &self.heard {
            Some(heard) => {
                let (at, first) = marks.first_after(self.since)?;
                let above = heard.highest.checked_add(1)?;
                if first >= above { (at, first) } else { (marks.when(above).unwrap_or(heard.at), above) }
            }
            None => marks.first_after(self.since + GRACE)?,
        };
        let owed = to >= from && to.abs_diff(from) < JUMP;
        owed.then(|| (from, to, Lack::new(to.abs_diff(from) + 1, first.min(last), last)))
    }

    /// What others heard before this listener's first message, though it had been listening for a while.
    fn missed_before(&self, first: i64, at: Instant, marks: &Marks) -> Option<Lack> {
        if at <= self.since + GRACE {
            return None;
        }
        let (due, owed) = marks.first_after(self.since + GRACE)?;
        let last = marks.when(first.checked_sub(1)?).unwrap_or(at);
        (owed < first && first.abs_diff(owed) < JUMP).then(|| Lack::new(first.abs_diff(owed), due, last))
    }

    /// Gives up what has been lacking for too long.
    fn expire(&mut self, now: Instant, lacks: &mut Vec<Lack>) {
        for gap in self.heard.iter_mut().flat_map(|heard| &mut heard.gaps) {
            if gap.state == State::Open && now.saturating_duration_since(gap.since) >= GRACE {
                gap.state = State::GivenUp;
                lacks.push(gap.due);
            }
        }
    }
}

impl Heard {
    /// A count that begins.
    fn new(number: i64, at: Instant) -> Self {
        Self { first: number, highest: number, own: number, at, gaps: Vec::new() }
    }

    /// Those that may still come.
    fn open(&self) -> impl Iterator<Item = Lack> {
        self.gaps.iter().filter(|gap| gap.state == State::Open).map(|gap| gap.due)
    }

    /// Remembers a gap. Returns what is missed because it is one too many.
    fn lack(&mut self, gap: Gap) -> Option<Lack> {
        let at = self.gaps.partition_point(|other| other.from < gap.from);
        self.gaps.insert(at, gap);
        if self.gaps.len() <= GAPS {
            return None;
        }
        let oldest = self.gaps.remove(0);
        (oldest.state == State::Open).then_some(oldest.due)
    }

    /// Gives up what was due before a moment.
    fn give_up(&mut self, until: Instant, lacks: &mut Vec<Lack>) {
        let mut kept = Vec::with_capacity(self.gaps.len());
        for gap in self.gaps.drain(..) {
            let before = if gap.state == State::Open { gap.due.before(until) } else { 0 };
            let Some(cut) = i64::try_from(before).ok().filter(|before| *before > 0).map(|before| gap.from + before) else {
                kept.push(gap);
                continue;
            };
            let given_up = gap.part(gap.from, cut - 1).map(|part| Gap { state: State::GivenUp, ..part });
            lacks.extend(given_up.map(|part| part.due));
            kept.extend(given_up.into_iter().chain(gap.part(cut, gap.to)));
        }
        self.gaps = kept;
        while self.gaps.len() > GAPS {
            let oldest = self.gaps.remove(0);
            lacks.extend((oldest.state == State::Open).then_some(oldest.due));
        }
    }

    /// Takes a number out of the gap that it lies in; in which state that is.
    fn fill(&mut self, number: i64) -> Option<State> {
        let at = self.gaps.iter().position(|gap| (gap.from..=gap.to).contains(&number))?;
        let gap = self.gaps.remove(at);
        let parts = [gap.part(gap.from, number - 1), gap.part(number + 1, gap.to)];
        self.gaps.splice(at..at, parts.into_iter().flatten());
        Some(gap.state)
    }
}

#[cfg(test)]
mod tests;
