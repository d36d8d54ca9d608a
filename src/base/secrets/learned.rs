//! Secrets that a run comes to know as it goes: credentials that its users send, and values under names of secrets in answers.
//!
//! There may be a new one for each request, so what is kept is bounded: two generations, of which the older goes when the younger is full.
//! Secrets in use have to be reported again in each generation: then none is forgotten that was sent since the generation
//! before. With more users than a generation holds, those of idle users are forgotten.

use std::collections::HashMap;
use std::mem::take;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

/// The most secrets of a generation.
const MOST: usize = 2048;
/// The most bytes of a generation.
const MOST_BYTES: usize = 512 * 1024;

/// What was learned.
#[derive(Default)]
pub(super) struct Learned {
    generation: AtomicU64,
    kept: Mutex<Kept>,
}

/// Secrets, and whether each is common.
#[derive(Default)]
struct Kept {
    young: HashMap<String, bool>,
    old: HashMap<String, bool>,
    /// Of the young ones.
    bytes: usize,
}

impl Learned {
    /// One more, if it isn't known.
    pub fn add(&self, text: String, is_common: impl FnOnce(&str) -> bool) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.young.contains_key(&text) || text.len() > MOST_BYTES {
            return;
        }
        if kept.young.len() >= MOST || kept.bytes + text.len() > MOST_BYTES {
            kept.old = take(&mut kept.young);
            kept.bytes = 0;
            self.generation.fetch_add(1, Ordering::Relaxed);
        }
        kept.bytes += text.len();
        let common = is_common(&text);
        kept.young.insert(text, common);
    }

    /// How many generations there were before.
    pub fn generation(&self) -> u64 {
        self.generation.load(Ordering::Relaxed)
    }

    pub fn is_empty(&self) -> bool {
        // The old ones were young.
        self.generation() == 0 && self.kept.lock().unwrap_or_else(PoisonError::into_inner).young.is_empty()
    }

    /// All of them, each with whether it is common.
    pub fn each(&self, visit: &mut dyn FnMut(&str, bool)) {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.young.iter().chain(&kept.old).for_each(|(text, common)| visit(text, *common));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(learned: &Learned) -> usize {
        let mut count = 0;
        learned.each(&mut |_, _| count += 1);
        count
    }

    #[test]
    fn what_is_reported_again_in_each_generation_stays_and_the_rest_is_bounded() {
        let learned = Learned::default();
        assert!(learned.is_empty());
        let mut generation = learned.generation();
        learned.add("in-use".to_owned(), |_| false);
        for i in 0..5 * MOST {
            learned.add(format!("once-{i}"), |_| true);
            if learned.generation() != generation {
                generation = learned.generation();
                learned.add("in-use".to_owned(), |_| false);
            }
            let mut known = false;
            if i % 500 == 0 {
                learned.each(&mut |text, common| known |= text == "in-use" && !common);
                assert!(known, "{i}");
            }
        }
        assert!(generation > 2 && count(&learned) <= 2 * MOST + 1 && !learned.is_empty());
        for i in 0..100 {
            learned.add(format!("{i}{}", "x".repeat(MOST_BYTES / 10)), |_| false);
        }
        assert!(count(&learned) <= 20, "{}", count(&learned));
    }
}
