//! Since when work is under way: counts by the time at which it began, within a constant bound.
//!
//! Times are rounded to slots, which are the wider the longer ago they are: 16 slots of 67 ms, then 16 of four times that, and so on up
//! to 17 s; what is older than all of them counts together. So it is known of each piece of work for how long it has lasted at
//! least, to a quarter of that or 67 ms. One thread writes, any thread reads.

use std::sync::atomic::{AtomicU64, Ordering};

const LEVELS: usize = 5;
const SLOTS: usize = 16;
/// A slot of the first level is 2^26 ns wide, of each other level four times as wide as of the one before.
const FINEST: u32 = 26;
const COARSER: u32 = 2;

/// How many began in a slot and are under way: the slot's number above, the count in these bits below, so that both are read at once.
const COUNT: u32 = 24;

#[derive(Debug, Default)]
pub(super) struct Since {
    levels: [[AtomicU64; SLOTS]; LEVELS],
    /// Those that are older than what all levels reach, and the latest time at which one of them began.
    older: AtomicU64,
    until: AtomicU64,
}

fn unpack(slot: u64) -> (u64, u64) {
    (slot >> COUNT, slot & ((1 << COUNT) - 1))
}

/// Of more than fit the rest isn't known to be under way.
fn pack(number: u64, count: u64) -> u64 {
    (number << COUNT) | count.min((1 << COUNT) - 1)
}

/// The slot of a time, by its number at a level.
fn number(level: usize, at: u64) -> u64 {
    at >> (FINEST + COARSER * level as u32)
}

/// The last moment of a slot.
fn last(level: usize, number: u64) -> u64 {
    ((number + 1) << (FINEST + COARSER * level as u32)) - 1
}

impl Since {
    fn slot(&self, level: usize, number: u64) -> &AtomicU64 {
        &self.levels[level][number as usize % SLOTS]
    }

    /// One begins.
    pub fn begins(&self, at: u64) {
        self.add(0, at, 1);
    }

    fn add(&self, from: usize, at: u64, count: u64) {
        for level in from..LEVELS {
            let number = number(level, at);
            let slot = self.slot(level, number);
            let (before, there) = unpack(slot.load(Ordering::Relaxed));
            if before > number {
                // Its place is taken by a later one.
                continue;
            }
            if before < number && there > 0 {
                // Taken out before it is put elsewhere, so that nobody sees it twice.
                slot.store(0, Ordering::Release);
                self.add(level + 1, last(level, before), there);
            }
            slot.store(pack(number, if before == number { there + count } else { count }), Ordering::Release);
            return;
        }
        self.until.store(self.until.load(Ordering::Relaxed).max(at), Ordering::Release);
        self.older.store(self.older.load(Ordering::Relaxed) + count, Ordering::Release);
    }

    /// One that began at `at` is over; nothing, if it isn't known here.
    pub fn ends(&self, at: u64) {
        for level in 0..LEVELS {
            let number = number(level, at);
            let slot = self.slot(level, number);
            let (before, there) = unpack(slot.load(Ordering::Relaxed));
            if before == number && there > 0 {
                slot.store(pack(number, there - 1), Ordering::Release);
                return;
            }
        }
        let older = self.older.load(Ordering::Relaxed);
        self.older.store(older.saturating_sub(1), Ordering::Release);
    }

    /// For how long at least those have lasted by `now` that are under way, and how many; the oldest first.
    pub fn lasting(&self, now: u64) -> Vec<(u64, u64)> {
        let older = self.older.load(Ordering::Acquire);
        let mut lasting = Vec::new();
        if older > 0 {
            lasting.push((now.saturating_sub(self.until.load(Ordering::Acquire)), older));
        }
        // Against the way that they take, so that what is on its way is missed rather than seen twice.
        for (level, slots) in self.levels.iter().enumerate().rev() {
            for slot in slots {
                let (number, count) = unpack(slot.load(Ordering::Acquire));
                if count > 0 {
                    lasting.push((now.saturating_sub(last(level, number)), count));
                }
            }
        }
        lasting
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MS: u64 = 1_000_000;

    fn count(since: &Since, now: u64) -> u64 {
        since.lasting(now).iter().map(|(_, count)| count).sum()
    }

    #[test]
    fn what_hangs_is_distinguished_from_what_came_after_it() {
        let since = Since::default();
        (0..5).for_each(|_| since.begins(1000 * MS));
        for ms in 1000..31_000 {
            since.begins(ms * MS);
            since.ends(ms * MS);
        }
        let now = 31_000 * MS;
        assert_eq!(since.lasting(now).iter().map(|(_, count)| count).sum::<u64>(), 5);
        assert!(since.lasting(now).iter().all(|(age, _)| (22_500 * MS..=30_000 * MS).contains(age)), "{:?}", since.lasting(now));
        (0..5).for_each(|_| since.ends(1000 * MS));
        assert_eq!(since.lasting(now), []);
        since.ends(1000 * MS);
        assert_eq!(since.lasting(now), [], "what isn't known takes nothing away");
    }

    proptest! {
        /// Beside a plain list: all are there, none is taken for older than it is, nor for younger by more than the width of a slot.
        #[test]
        fn are_as_a_plain_list_has_them(steps in prop::collection::vec((0u64..40_000, 0u64..300, any::<bool>(), 0usize..100), 1..300)) {
            let (since, mut open, mut now) = (Since::default(), Vec::new(), 1_000_000 * MS);
            for (wait, ago, ends, which) in steps {
                now += wait * wait / 40_000 * MS;
                if ends && !open.is_empty() {
                    since.ends(open.swap_remove(which % open.len()));
                } else {
                    open.push(now - ago * MS);
                    since.begins(now - ago * MS);
                }
                prop_assert_eq!(count(&since, now), open.len() as u64);
                let mut ages: Vec<u64> = since.lasting(now).iter().flat_map(|(age, n)| std::iter::repeat_n(*age, *n as usize)).collect();
                let mut plain: Vec<u64> = open.iter().map(|at| now - at).collect();
                ages.sort_unstable();
                plain.sort_unstable();
                for (age, plain) in ages.iter().zip(&plain) {
                    prop_assert!(age <= plain, "{} of {}", age, plain);
                    let coarse = (plain / 3).max(400 * MS);
                    prop_assert!(*plain > 250_000 * MS || *age + coarse >= *plain, "{} of {}", age, plain);
                }
            }
        }
    }
}
