//! What the users of a run have heard of a stream of numbered messages: the highest number, and when it was first heard.
//!
//! One for each kind of message and sender, shared by all workers. Only the first user to hear a number takes the lock; for all others
//! it is one load of a number that seldom changes.

use std::collections::hash_map::DefaultHasher;
use std::collections::{HashMap, VecDeque};
use std::hash::{Hash, Hasher};
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crate::measure::MessageId;

/// Moments that are remembered. Of the older half every second one goes when there are more.
const MOMENTS: usize = 4096;
/// Senders that are followed for each kind of message.
const SENDERS: usize = 10_000;
/// A number so far below the highest is the beginning of another count.
const BACK: u64 = 100_000;

/// What has been heard of one stream of numbers.
#[derive(Debug)]
pub(super) struct Marks {
    highest: AtomicI64,
    /// Each number that was the highest when it was first heard, with the moment; ascending in both.
    trail: Mutex<VecDeque<(Instant, i64)>>,
}

impl Default for Marks {
    fn default() -> Self {
        Self { highest: AtomicI64::new(i64::MIN), trail: Mutex::default() }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Marks {
    /// Somebody heard a number.
    pub(super) fn saw(&self, number: i64, at: Instant) {
        let highest = self.highest.load(Ordering::Acquire);
        if number <= highest && number.abs_diff(highest) <= BACK {
            return;
        }
        let mut trail = lock(&self.trail);
        let last = trail.back().copied();
        match last {
            Some((_, highest)) if number <= highest && number.abs_diff(highest) <= BACK => return,
            Some((_, highest)) if number <= highest => trail.clear(),
            _ => {}
        }
        trail.push_back((last.map_or(at, |(before, _)| before.max(at)), number));
        if trail.len() > MOMENTS {
            let mut place = 0;
            trail.retain(|_| {
                place += 1;
                place > MOMENTS / 2 || place % 2 == 1
            });
        }
        self.highest.store(number, Ordering::Release);
    }

    /// The highest number that had been heard by a moment, and when it was first heard.
    pub(super) fn highest_by(&self, moment: Instant) -> Option<(Instant, i64)> {
        let trail = lock(&self.trail);
        let after = trail.partition_point(|(at, _)| *at <= moment);
        trail.get(after.checked_sub(1)?).copied()
    }

    /// The lowest number that is known to have been first heard after a moment, and when it was.
    pub(super) fn first_after(&self, moment: Instant) -> Option<(Instant, i64)> {
        let trail = lock(&self.trail);
        trail.get(trail.partition_point(|(at, _)| *at <= moment)).copied()
    }

    /// When a number was first heard, if that is known.
    pub(super) fn when(&self, number: i64) -> Option<Instant> {
        let trail = lock(&self.trail);
        trail.get(trail.partition_point(|(_, other)| *other < number)).filter(|(_, found)| *found == number).map(|(at, _)| *at)
    }
}

/// The streams of one run, by kind of message and sender.
#[derive(Debug, Default)]
pub struct Sequences {
    kinds: Box<[MessageSequences]>,
}

#[derive(Debug, Default)]
struct MessageSequences {
    all: Arc<Marks>,
    senders: Mutex<HashMap<u64, Arc<Marks>>>,
    /// There were more senders than are followed.
    crowded: AtomicBool,
    /// That has been reported.
    reported: AtomicBool,
}

impl Sequences {
    /// For so many kinds of messages.
    pub fn new(kinds: usize) -> Self {
        Self { kinds: std::iter::repeat_with(MessageSequences::default).take(kinds).collect() }
    }

    /// The stream of a kind of message; of a sender's where they number their own. One of its own, which nobody else hears, where
    /// there are too many senders.
    pub(super) fn stream(&self, message: MessageId, sender: Option<u64>) -> Arc<Marks> {
        let Some(kind) = self.kinds.get(message.index()) else { return Arc::default() };
        let Some(sender) = sender else { return kind.all.clone() };
        let mut senders = lock(&kind.senders);
        if senders.len() >= SENDERS && !senders.contains_key(&sender) {
            kind.crowded.store(true, Ordering::Relaxed);
            return Arc::default();
        }
        senders.entry(sender).or_default().clone()
    }

    /// Of a kind of message somebody heard more senders than it follows.
    pub(super) fn crowded(&self, message: MessageId) {
        if let Some(kind) = self.kinds.get(message.index()) {
            kind.crowded.store(true, Ordering::Relaxed);
        }
    }

    /// Whether there were more senders of a kind than are followed, and that is still to be reported: once a run.
    pub(super) fn is_to_be_reported(&self, message: MessageId) -> bool {
        let Some(kind) = self.kinds.get(message.index()) else { return false };
        kind.crowded.load(Ordering::Relaxed) && !kind.reported.swap(true, Ordering::Relaxed)
    }
}

/// The key of a sender.
pub(super) fn key(sender: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    sender.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn moments_of_the_highest_number() {
        let marks = Marks::default();
        let start = Instant::now();
        let ms = |ms| start + Duration::from_millis(ms);
        let highest_by = |marks: &Marks, at: Instant| marks.highest_by(at).map(|(_, number)| number);
        assert_eq!((marks.highest_by(ms(0)), marks.first_after(ms(0)), marks.when(1)), (None, None, None));
        for (number, at) in [(1, 10), (3, 30), (2, 40), (3, 50), (4, 20)] {
            marks.saw(number, ms(at));
        }
        assert_eq!([9, 10, 29, 30, 99].map(|at| highest_by(&marks, ms(at))), [None, Some(1), Some(1), Some(4), Some(4)]);
        assert_eq!([0, 10, 30].map(|at| marks.first_after(ms(at))), [Some((ms(10), 1)), Some((ms(30), 3)), None]);
        assert_eq!([1, 2, 3, 4, 5].map(|number| marks.when(number)), [Some(ms(10)), None, Some(ms(30)), Some(ms(30)), None]);
        marks.saw(-200_000, ms(60));
        assert_eq!(highest_by(&marks, ms(99)), Some(-200_000), "another count");
    }

    #[test]
    fn the_trail_is_bounded_and_keeps_the_young_in_full() {
        let marks = Marks::default();
        let start = Instant::now();
        (0..100_000).for_each(|n| marks.saw(n, start + Duration::from_millis(n as u64)));
        assert!(lock(&marks.trail).len() <= MOMENTS);
        for n in 99_000..100_000 {
            let at = start + Duration::from_millis(n as u64);
            assert_eq!((marks.highest_by(at), marks.when(n)), (Some((at, n)), Some(at)));
        }
        let old = marks.highest_by(start + Duration::from_millis(50_000)).unwrap().1;
        assert!(old <= 50_000 && marks.first_after(start + Duration::from_millis(50_000)).unwrap().1 > 50_000);
    }

    #[test]
    fn workers_share_a_stream_and_senders_have_their_own() {
        let sequences = Sequences::new(1);
        let now = Instant::now();
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let sequences = &sequences;
                scope.spawn(move || {
                    let marks = sequences.stream(MessageId(0), None);
                    (0..1000).for_each(|n| marks.saw(n * 4 + thread, now));
                });
            }
        });
        assert_eq!(sequences.stream(MessageId(0), None).highest_by(now), Some((now, 3999)));
        let (a, b) = (key("a"), key("b"));
        sequences.stream(MessageId(0), Some(a)).saw(5, now);
        assert_eq!(sequences.stream(MessageId(0), Some(a)).highest_by(now), Some((now, 5)));
        assert_eq!(sequences.stream(MessageId(0), Some(b)).highest_by(now), None);
        assert_eq!(sequences.stream(MessageId(7), None).highest_by(now), None);
    }
}
