//! Users that are free, and which of them takes the next arrival.

use std::collections::VecDeque;
use std::rc::Rc;

use crate::engine::slot::Slot;

/// The first users take turns, whoever has been idle longest first: they are different people. Those beyond them are taken only where
/// none of the first is free, whoever was busy last first, so that no more of them keep a connection than the load needs.
#[derive(Default)]
pub(super) struct Idle {
    /// So many of the users, by their number here, take turns.
    in_turn: u64,
    turns: VecDeque<Rc<Slot>>,
    latest: Vec<Rc<Slot>>,
}

impl Idle {
    /// Nobody is free; and so many users take turns from here on.
    pub fn begin(&mut self, in_turn: u64) {
        self.turns.drain(..).chain(self.latest.drain(..)).for_each(|slot| slot.idle.set(false));
        self.in_turn = in_turn;
    }

    /// A user is free from here on.
    pub fn add(&mut self, slot: Rc<Slot>) {
        slot.idle.set(true);
        if slot.local < self.in_turn { self.turns.push_back(slot) } else { self.latest.push(slot) }
    }

    /// The user that comes next; it stands in no queue any more.
    pub fn take(&mut self) -> Option<Rc<Slot>> {
        let slot = self.turns.pop_front().or_else(|| self.latest.pop())?;
        slot.idle.set(false);
        Some(slot)
    }

    /// Whether the next one has worked before, or takes its turn whatever it has done.
    pub fn is_at_work(&self) -> bool {
        !self.turns.is_empty() || self.latest.last().is_some_and(|slot| slot.iteration() > 0)
    }

    /// The user that was taken comes next, as before.
    pub fn put_back(&mut self, slot: Rc<Slot>) {
        slot.idle.set(true);
        if slot.local < self.in_turn { self.turns.push_front(slot) } else { self.latest.push(slot) }
    }

    /// A user is gone. Answers whether it was free.
    pub fn remove(&mut self, slot: &Slot) -> bool {
        let was_free = slot.idle.replace(false);
        if was_free {
            self.turns.retain(|other| other.local != slot.local);
            self.latest.retain(|other| other.local != slot.local);
        }
        was_free
    }

    pub fn len(&self) -> usize {
        self.turns.len() + self.latest.len()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    fn order(in_turn: u64) -> Vec<u64> {
        let mut idle = Idle::default();
        idle.begin(in_turn);
        (0..4).for_each(|local| idle.add(Slot::new(local, local, Instant::now())));
        let mut taken = Vec::new();
        // Whoever comes next is back at once, twice; then all are taken.
        for _ in 0..2 {
            let slot = idle.take().unwrap();
            taken.push(slot.local);
            idle.add(slot);
        }
        let last = idle.take().unwrap();
        idle.put_back(last.clone());
        assert!(last.idle.get() && idle.len() == 4);
        taken.extend(std::iter::from_fn(|| idle.take()).map(|slot| slot.local));
        taken
    }

    #[test]
    fn the_first_take_turns_and_those_beyond_them_the_latest_first() {
        assert_eq!(order(4), [0, 1, 2, 3, 0, 1]);
        assert_eq!(order(0), [3, 3, 3, 2, 1, 0]);
        assert_eq!(order(2), [0, 1, 0, 1, 3, 2]);
    }

    #[test]
    fn whoever_is_gone_is_not_taken() {
        let mut idle = Idle::default();
        idle.begin(1);
        let slots: Vec<_> = (0..3).map(|local| Slot::new(local, local, Instant::now())).collect();
        slots.iter().for_each(|slot| idle.add(slot.clone()));
        assert!(idle.remove(&slots[0]) && idle.remove(&slots[2]) && !idle.remove(&slots[2]));
        assert_eq!(idle.take().map(|slot| slot.local), Some(1));
        assert!(idle.take().is_none());
        idle.add(slots[1].clone());
        idle.begin(1);
        assert!(!slots[1].idle.get() && idle.len() == 0);
    }
}
