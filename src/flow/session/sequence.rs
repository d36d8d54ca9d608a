//! Numbered messages as one listener hears them: which came, which never did, which came twice or late.
//!
//! The first number that comes is where a listener's count begins. A later number leaves a gap, which stays open for [`GRACE`]: what
//! comes into it by then was reordered, what is still lacking is missed, and stays so even if it comes at last, since counters
//! never go back. So received + missed is at any end the number of those that the listener was owed.
//!
//! Beyond that a listener is owed what others first heard while it listened (see [`super::marks`]): more than [`GRACE`] after its beginning
//! and before its own first message, and above its own numbers what they had heard [`GRACE`] before its end. What had been heard before it
//! began is of no concern to it: the sender may have begun to count anew since.

use std::time::{Duration, Instant};

use super::marks::Marks;
use crate::measure::Numbered;

/// How much later than others a message may come; and how long a gap stays open.
pub const GRACE: Duration = Duration::from_secs(1);
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
    highest: i64,
    /// Numbers between the two that have not come, ascending.
    gaps: Vec<Gap>,
}

#[derive(Debug, Clone, Copy)]
struct Gap {
    from: i64,
    to: i64,
    since: Instant,
    state: State,
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
    fn len(&self) -> u64 {
        self.to.abs_diff(self.from) + 1
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

    /// A message with this number came at `at`.
    pub(super) fn see(&mut self, number: i64, at: Instant, marks: &Marks) -> Numbered {
        marks.saw(number, at);
        let mut told = self.expire(at);
        let Some(heard) = &mut self.heard else {
            told.received += 1;
            told.missed += self.missed_before(number, at, marks);
            self.heard = Some(Heard { first: number, highest: number, gaps: Vec::new() });
            return told;
        };
        let anew = self.anew.take().filter(|_| number <= heard.highest);
        if let Some(since) = anew {
            // What others heard before that is of the count that has ended.
            self.since = since;
        }
        let jump = number.abs_diff(heard.highest);
        if anew.is_some() || jump > if number > heard.highest { JUMP } else { BACK } {
            told.missed += heard.open();
            told.received += 1;
            *heard = Heard { first: number, highest: number, gaps: Vec::new() };
        } else if number > heard.highest {
            told.received += 1;
            if jump > 1 {
                told.missed += heard.lack(Gap { from: heard.highest + 1, to: number - 1, since: at, state: State::Open });
            }
            heard.highest = number;
        } else if let Some(state) = heard.fill(number) {
            told.reordered += 1;
            // One that was given up is missed for good.
            told.received += u64::from(state != State::GivenUp);
        } else if number < heard.first {
            told.reordered += 1;
            told.received += 1;
            let between = Gap { from: number + 1, to: heard.first - 1, since: at, state: State::Unowed };
            if between.from <= between.to {
                told.missed += heard.lack(between);
            }
            heard.first = number;
        } else {
            told.repeated += 1;
        }
        told
    }

    /// The listening ended at `at`: what is still lacking never came.
    pub(super) fn end(self, at: Instant, marks: &Marks) -> Numbered {
        let Some(until) = at.checked_sub(GRACE) else { return Numbered::default() };
        let owed = |from: Option<i64>| match (from, marks.highest_by(until)) {
            (Some(from), Some(highest)) if highest >= from && highest.abs_diff(from) < JUMP => highest.abs_diff(from) + 1,
            _ => 0,
        };
        let missed = match &self.heard {
            Some(heard) => {
                let above = heard.highest.checked_add(1);
                heard.open() + owed(above.zip(marks.first_after(self.since)).map(|(above, first)| above.max(first)))
            }
            None => owed(marks.first_after(self.since + GRACE)),
        };
        Numbered { missed, ..Numbered::default() }
    }

    /// What others heard before this listener's first message, though it had been listening for a while.
    fn missed_before(&self, first: i64, at: Instant, marks: &Marks) -> u64 {
        if at <= self.since + GRACE {
            return 0;
        }
        match marks.first_after(self.since + GRACE) {
            Some(owed) if owed < first && first.abs_diff(owed) < JUMP => first.abs_diff(owed),
            _ => 0,
        }
    }

    /// Gives up what has been lacking for too long.
    fn expire(&mut self, now: Instant) -> Numbered {
        let mut missed = 0;
        for gap in self.heard.iter_mut().flat_map(|heard| &mut heard.gaps) {
            if gap.state == State::Open && now.saturating_duration_since(gap.since) >= GRACE {
                gap.state = State::GivenUp;
                missed += gap.len();
            }
        }
        Numbered { missed, ..Numbered::default() }
    }
}

impl Heard {
    /// How many may still come.
    fn open(&self) -> u64 {
        self.gaps.iter().filter(|gap| gap.state == State::Open).map(Gap::len).sum()
    }

    /// Remembers a gap. Returns how many are missed because it is one too many.
    fn lack(&mut self, gap: Gap) -> u64 {
        let at = self.gaps.partition_point(|other| other.from < gap.from);
        self.gaps.insert(at, gap);
        if self.gaps.len() <= GAPS {
            return 0;
        }
        let oldest = self.gaps.remove(0);
        if oldest.state == State::Open { oldest.len() } else { 0 }
    }

    /// Takes a number out of the gap that it lies in; in which state that is.
    fn fill(&mut self, number: i64) -> Option<State> {
        let at = self.gaps.iter().position(|gap| (gap.from..=gap.to).contains(&number))?;
        let gap = self.gaps.remove(at);
        let parts = [Gap { to: number - 1, ..gap }, Gap { from: number + 1, ..gap }];
        let parts = parts.into_iter().filter(|part| part.from <= part.to);
        self.gaps.splice(at..at, parts);
        Some(gap.state)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    struct Listener {
        start: Instant,
        marks: Marks,
        tracker: Tracker,
        told: Numbered,
    }

    impl Listener {
        fn new() -> Self {
            let start = Instant::now();
            Self { start, marks: Marks::default(), tracker: Tracker::new(start), told: Numbered::default() }
        }

        fn at(&self, ms: u64) -> Instant {
            self.start + Duration::from_millis(ms)
        }

        fn hears(&mut self, number: i64, ms: u64) -> &mut Self {
            self.told = self.told.plus(self.tracker.see(number, self.at(ms), &self.marks));
            self
        }

        fn others_hear(&self, number: i64, ms: u64) {
            self.marks.saw(number, self.at(ms));
        }

        fn ends(self, ms: u64) -> Numbered {
            let at = self.at(ms);
            self.told.plus(self.tracker.end(at, &self.marks))
        }
    }

    fn numbered(received: u64, missed: u64, repeated: u64, reordered: u64) -> Numbered {
        Numbered { received, missed, repeated, reordered }
    }

    #[test]
    fn in_order_nothing_is_missed_wherever_the_count_begins() {
        let mut listener = Listener::new();
        for n in 50..60 {
            listener.hears(n, n as u64);
        }
        assert_eq!(listener.ends(10_000), numbered(10, 0, 0, 0));
    }

    #[test]
    fn a_gap_is_missed_once_it_has_had_its_time() {
        let mut listener = Listener::new();
        listener.hears(1, 0).hears(4, 10).hears(5, 500);
        assert_eq!(listener.told, numbered(3, 0, 0, 0));
        listener.hears(6, 1010);
        assert_eq!(listener.told, numbered(4, 2, 0, 0));
        assert_eq!(listener.hears(2, 1020).told, numbered(4, 2, 0, 1), "missed for good, and told to have come late");
        assert_eq!(listener.hears(2, 1030).told, numbered(4, 2, 1, 1));
        assert_eq!(listener.ends(5000), numbered(4, 2, 1, 1));
    }

    #[test]
    fn late_ones_fill_their_gap_and_an_open_gap_is_missed_at_the_end() {
        let mut listener = Listener::new();
        listener.hears(10, 0).hears(14, 10).hears(12, 20).hears(12, 30).hears(9, 40).hears(7, 50).hears(8, 60);
        assert_eq!(listener.told, numbered(6, 0, 1, 4));
        assert_eq!(listener.ends(100), numbered(6, 2, 1, 4));
    }

    #[test]
    fn what_others_heard_a_second_before_the_end_was_owed() {
        let mut listener = Listener::new();
        listener.hears(1, 100);
        for n in 2..=10 {
            listener.others_hear(n, 100 * n as u64);
        }
        assert_eq!(listener.ends(1550), numbered(1, 4, 0, 0), "2 to 5; 6 to 10 are too young");
    }

    #[test]
    fn who_heard_nothing_was_owed_what_others_heard_from_a_second_on() {
        let listener = Listener::new();
        listener.others_hear(1, 500);
        listener.others_hear(2, 1500);
        listener.others_hear(3, 2000);
        listener.others_hear(4, 2900);
        assert_eq!(listener.ends(3500), numbered(0, 2, 0, 0));
        let mut late = Listener::new();
        (1..=4).for_each(|n| late.others_hear(n, 600 * n as u64));
        assert_eq!(late.hears(5, 3000).told, numbered(1, 3, 0, 0), "2 to 4 came to others while it was listening");
        assert_eq!(Listener::new().ends(100_000), Numbered::default());
    }

    #[test]
    fn what_was_heard_before_the_listener_began_is_not_owed() {
        let mut listener = Listener::new();
        for n in 1..=200 {
            listener.others_hear(n, 10 * n as u64);
        }
        // The sender has begun anew since.
        listener.tracker = Tracker::new(listener.at(3000));
        listener.hears(1, 3100).hears(2, 3200);
        assert_eq!(listener.told, numbered(2, 0, 0, 0));
        listener.others_hear(201, 3300);
        listener.others_hear(202, 3900);
        assert_eq!(listener.ends(4500), numbered(2, 1, 0, 0), "only 201: what went before is another's");
    }

    #[test]
    fn after_a_reconnect_a_lower_number_begins_another_count() {
        let mut listener = Listener::new();
        for n in 1..=50 {
            listener.hears(n, 10 * n as u64);
        }
        listener.others_hear(200, 600);
        listener.tracker.reconnected(listener.at(1000));
        listener.hears(3, 1100).hears(4, 1110).hears(7, 1120);
        assert_eq!(listener.told, numbered(53, 0, 0, 0));
        assert_eq!(listener.hears(4, 1130).told, numbered(53, 0, 1, 0), "only the first number is compared");
        assert_eq!(listener.ends(9000), numbered(53, 2, 1, 0), "5 and 6");
        let mut listener = Listener::new();
        listener.hears(1, 0).tracker.reconnected(Instant::now());
        listener.hears(3, 10);
        assert_eq!(listener.ends(20), numbered(2, 1, 0, 0), "a count that went on leaves its gap");
    }

    #[test]
    fn another_count_is_no_gap() {
        let mut listener = Listener::new();
        listener.hears(5, 0).hears(i64::MAX, 10).hears(i64::MIN, 20).hears(0, 30).hears(1, 40).hears(200_000, 50);
        assert_eq!(listener.hears(1, 60).told, numbered(7, 199_998, 0, 0));
        assert_eq!(listener.ends(2000), numbered(7, 199_998, 0, 0));
    }

    #[test]
    fn gaps_without_end_take_no_memory_without_end() {
        let mut listener = Listener::new();
        for n in 0..10_000 {
            listener.hears(2 * n, 1);
        }
        assert!(listener.tracker.heard.as_ref().unwrap().gaps.len() <= GAPS);
        assert_eq!(listener.ends(2), numbered(10_000, 9_999, 0, 0));
    }

    proptest! {
        /// Whatever is lost, doubled or shuffled: what was owed is received or missed, each once.
        #[test]
        fn received_and_missed_are_what_was_owed(
            arrivals in prop::collection::vec((0i64..60, 0u64..400), 1..120)
        ) {
            let mut listener = Listener::new();
            let (mut ms, mut came) = (0, BTreeSet::new());
            let mut highest = i64::MIN;
            for (number, pause) in &arrivals {
                ms += pause;
                came.insert(*number);
                highest = highest.max(*number);
                listener.hears(*number, ms);
            }
            let gaps = listener.tracker.heard.as_ref().unwrap().gaps.clone();
            prop_assert!(gaps.windows(2).all(|pair| pair[0].to < pair[1].from) && gaps.iter().all(|gap| gap.from <= gap.to));
            let first = arrivals[0].0;
            let owed = (highest - first + 1) as u64 + came.range(..first).count() as u64;
            let total = listener.ends(ms);
            prop_assert_eq!(total.received + total.missed, owed);
            let lacking = (first..=highest).filter(|n| !came.contains(n)).count() as u64;
            prop_assert!(total.missed >= lacking, "{total:?}");
            // Each arrival is received, repeated, or came after it was given up.
            prop_assert_eq!(total.received + total.repeated + (total.missed - lacking), arrivals.len() as u64);
        }
    }
}
