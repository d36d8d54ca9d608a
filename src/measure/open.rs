//! Work that is under way: what of it began, what of that is over, and for how long the rest has lasted.

use std::sync::OnceLock;

use serde::{Deserialize, Serialize};

use super::arith::less;
use super::atoms::Count;
use super::since::Since;

/// Pieces of work as they begin and end: what began and didn't end is under way, or outlasted the drain.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Open {
    /// Those that began.
    pub begun: u64,
    /// Those of them that ended, however they did.
    pub over: u64,
    /// Those that are under way at the moment that this was read: for how many nanoseconds at least, and how many.
    #[serde(skip)]
    pub lasting: Vec<(u64, u64)>,
}

impl Open {
    /// How many are under way; of a part of a phase those at its end, less those at its beginning.
    pub fn under_way(&self) -> i64 {
        self.begun as i64 - self.over as i64
    }

    pub(super) fn add(&mut self, other: &Self) {
        self.begun += other.begun;
        self.over += other.over;
        other.lasting.iter().for_each(|(age, count)| self.lasts(*age, *count));
    }

    /// So many more have lasted for so long at least. Ages that differ by less than an eighth are one, so that there are few of them.
    fn lasts(&mut self, age: u64, count: u64) {
        let rank = |age: u64| (age.checked_ilog2(), age >> age.checked_ilog2().unwrap_or(0).saturating_sub(3));
        match self.lasting.iter_mut().find(|(other, _)| rank(*other) == rank(age)) {
            Some((least, all)) => (*least, *all) = ((*least).min(age), *all + count),
            None => self.lasting.push((age, count)),
        }
    }

    /// Takes away what was there earlier. What is under way is so at the end.
    pub(super) fn take(&mut self, earlier: &Self) {
        less(&mut self.begun, &earlier.begun);
        less(&mut self.over, &earlier.over);
    }
}

/// The same as it is recorded.
#[derive(Debug, Default)]
pub(super) struct OpenCell {
    begun: Count,
    over: Count,
    since: OnceLock<Box<Since>>,
}

impl OpenCell {
    /// A piece of work begins that counts since `since` by the worker's clock, or is over.
    #[inline]
    pub(super) fn step(&self, since: u64, begins: bool) {
        let ages = self.since.get_or_init(Box::default);
        if begins {
            self.begun.add(1);
            ages.begins(since);
        } else {
            ages.ends(since);
            self.over.add(1);
        }
    }

    /// Read against the order of writing: what is over has begun. `now` is the worker's clock; without it nobody knows how long
    /// anything has lasted.
    pub(super) fn totals(&self, now: Option<u64>) -> Open {
        let over = self.over.get();
        let ages = self.since.get().zip(now);
        Open { begun: self.begun.get(), over, lasting: ages.map(|(ages, now)| ages.lasting(now)).unwrap_or_default() }
    }
}
