//! What one listener finds out about its numbers.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

struct Listener {
    start: Instant,
    marks: Marks,
    tracker: Tracker,
    counts: Numbered,
    lacks: Vec<Lack>,
    /// Whether the last edge left nothing that may still come.
    settled: bool,
}

impl Listener {
    fn new() -> Self {
        let start = Instant::now();
        Self {
            start,
            marks: Marks::default(),
            tracker: Tracker::new(start),
            counts: Numbered::default(),
            lacks: Vec::new(),
            settled: false,
        }
    }

    fn at(&self, ms: u64) -> Instant {
        self.start + Duration::from_millis(ms)
    }

    fn hears(&mut self, number: i64, ms: u64) -> &mut Self {
        let at = self.at(ms);
        let mut lacks = Vec::new();
        self.counts = self.counts.plus(self.tracker.see(number, at, &self.marks, &mut lacks));
        self.lacks(lacks);
        self
    }

    /// Takes what is missed by now.
    fn lacks(&mut self, lacks: Vec<Lack>) {
        self.counts.missed += lacks.iter().map(|lack| lack.count).sum::<u64>();
        self.lacks.extend(lacks);
    }

    /// An edge at `edge` is settled at `now`.
    fn settles(&mut self, edge: u64, now: u64) -> &mut Self {
        let mut lacks = Vec::new();
        self.settled = self.tracker.settle(self.at(edge), self.at(now), &self.marks, &mut lacks);
        self.lacks(lacks);
        self
    }

    /// How many of those that are missed were due before a moment.
    fn missed_by(&self, ms: u64) -> u64 {
        self.lacks.iter().map(|lack| lack.before(self.at(ms))).sum()
    }

    fn others_hear(&self, number: i64, ms: u64) {
        self.marks.saw(number, self.at(ms));
    }

    fn ends(mut self, ms: u64) -> Numbered {
        self.end(ms);
        self.counts
    }

    fn end(&mut self, ms: u64) {
        let at = self.at(ms);
        let mut lacks = Vec::new();
        self.tracker.end(at, &self.marks, &mut lacks);
        self.lacks(lacks);
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
    assert_eq!(listener.counts, numbered(3, 0, 0, 0));
    listener.hears(6, 1010);
    assert_eq!(listener.counts, numbered(4, 2, 0, 0));
    assert_eq!(listener.hears(2, 1020).counts, numbered(4, 2, 0, 1), "missed for good, and counted as late");
    assert_eq!(listener.hears(2, 1030).counts, numbered(4, 2, 1, 1));
    assert_eq!(listener.ends(5000), numbered(4, 2, 1, 1));
}

#[test]
fn late_ones_fill_their_gap_and_an_open_gap_is_missed_at_the_end() {
    let mut listener = Listener::new();
    listener.hears(10, 0).hears(14, 10).hears(12, 20).hears(12, 30).hears(9, 40).hears(7, 50).hears(8, 60);
    assert_eq!(listener.counts, numbered(6, 0, 1, 4));
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
    assert_eq!(late.hears(5, 3000).counts, numbered(1, 3, 0, 0), "2 to 4 came to others while it was listening");
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
    assert_eq!(listener.counts, numbered(2, 0, 0, 0));
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
    assert_eq!(listener.counts, numbered(53, 0, 0, 0));
    assert_eq!(listener.hears(4, 1130).counts, numbered(53, 0, 1, 0), "only the first number is compared");
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
    assert_eq!(listener.hears(1, 60).counts, numbered(7, 199_998, 0, 0));
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

#[test]
fn what_nobody_heard_was_due_between_its_neighbours() {
    let mut listener = Listener::new();
    listener.hears(1, 0).hears(5, 4000).hears(6, 5000);
    assert_eq!(listener.counts.missed, 3);
    assert_eq!([1000, 1001, 2001, 3000, 3001].map(|at| listener.missed_by(at)), [0, 1, 2, 2, 3]);
    listener.hears(9, 8000).hears(8, 8100);
    listener.end(9000);
    assert_eq!((listener.counts.missed, listener.missed_by(6000), listener.missed_by(6001)), (4, 3, 4), "7; 8 came late");
}

#[test]
fn what_others_heard_was_due_when_they_did() {
    let mut listener = Listener::new();
    listener.hears(1, 0);
    for (number, at) in [(2, 100), (3, 200), (4, 300)] {
        listener.others_hear(number, at);
    }
    listener.hears(5, 4000).hears(6, 5000);
    assert_eq!([100, 101, 201, 300, 301].map(|at| listener.missed_by(at)), [0, 1, 2, 2, 3]);
    listener.others_hear(7, 5500);
    listener.others_hear(8, 5600);
    listener.end(7000);
    assert_eq!([5000, 5501, 5601].map(|at| listener.missed_by(at)), [3, 4, 5]);
    let mut nothing = Listener::new();
    (0..5).for_each(|n| nothing.others_hear(n, 1200 + 100 * n as u64));
    nothing.end(4000);
    assert_eq!([1200, 1201, 1401, 2000].map(|at| nothing.missed_by(at)), [0, 1, 3, 5]);
}

#[test]
fn an_edge_settles_what_was_due_before_it_and_nothing_is_reported_twice() {
    let mut dead = Listener::new();
    dead.hears(1, 100);
    (2..=30).for_each(|n| dead.others_hear(n, 100 * n as u64));
    dead.settles(1050, 11_100);
    assert_eq!((dead.counts.missed, dead.missed_by(1050), dead.settled), (9, 9, true), "2 to 10");
    dead.settles(1050, 11_200).settles(2050, 12_100);
    assert_eq!((dead.counts.missed, dead.missed_by(2050)), (19, 19), "11 to 20");
    assert_eq!(dead.hears(15, 12_150).counts, numbered(1, 19, 0, 1), "one that was given up is missed for good");
    dead.end(13_100);
    assert_eq!((dead.counts.received + dead.counts.missed, dead.missed_by(1050), dead.missed_by(2050)), (30, 9, 19));

    let mut nothing = Listener::new();
    (1..=30).for_each(|n| nothing.others_hear(n, 100 * n as u64));
    nothing.settles(1550, 11_600);
    assert_eq!((nothing.counts.missed, nothing.missed_by(1550)), (5, 5), "11 to 15: more than a second after its beginning");
    assert_eq!(nothing.hears(31, 12_100).counts, numbered(1, 20, 0, 0));
    assert_eq!(nothing.ends(14_000), numbered(1, 20, 0, 0));
}

#[test]
fn a_gap_over_an_edge_is_divided_there() {
    let mut listener = Listener::new();
    // 2 to 5 were due at 2, 4, 6 and 8 s.
    listener.hears(1, 0).hears(6, 10_000);
    listener.settles(5000, 10_100);
    assert_eq!((listener.counts.missed, listener.missed_by(5000)), (2, 2));
    assert_eq!(listener.hears(4, 10_200).counts, numbered(3, 2, 0, 1), "the rest may still come");
    assert_eq!(listener.hears(2, 10_300).counts, numbered(3, 2, 0, 2));
    assert_eq!(listener.ends(12_000), numbered(3, 3, 0, 2));
}

#[test]
fn an_edge_leaves_what_may_still_come_to_one_that_is_only_slow() {
    let mut listener = Listener::new();
    listener.hears(1, 0).others_hear(2, 100);
    assert_eq!(listener.settles(500, 5000).counts, numbered(1, 0, 0, 0));
    assert!(!listener.settled);
    assert_eq!(listener.hears(2, 5100).counts, numbered(2, 0, 0, 0));
    assert!(listener.settles(500, 5200).settled);
}

#[test]
fn a_count_that_goes_on_after_an_edge_and_a_reconnect_is_no_other_count() {
    let mut listener = Listener::new();
    listener.hears(1, 0);
    (2..=30).for_each(|n| listener.others_hear(n, 100 * n as u64));
    listener.settles(2000, 12_000);
    listener.tracker.reconnected(listener.at(12_100));
    // A server that sends again what was missed.
    listener.hears(5, 12_200);
    assert_eq!(listener.counts, numbered(1, 19, 0, 1));
    assert_eq!(listener.hears(1, 12_300).counts, numbered(1, 19, 1, 1));
}

proptest! {
    /// Whatever is lost, doubled or shuffled: what was owed is received or missed, each once.
    #[test]
    fn received_and_missed_are_what_was_owed(
        arrivals in prop::collection::vec((0i64..60, 0u64..400), 1..120),
        edges in prop::collection::btree_set(0usize..120, 0..5),
    ) {
        let mut listener = Listener::new();
        let (mut ms, mut came) = (0, BTreeSet::new());
        let mut highest = i64::MIN;
        for (place, (number, pause)) in arrivals.iter().enumerate() {
            ms += pause;
            if edges.contains(&place) {
                listener.settles(ms / 2, ms);
            }
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
