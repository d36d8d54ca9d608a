//! Numbers that never came, and when they were due.

use std::time::{Duration, Instant};

/// Missed messages, due one after the other at even distances.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lack {
    /// How many; at least one.
    pub count: u64,
    /// When the first was due.
    pub first: Instant,
    /// When the last was due.
    pub last: Instant,
}

impl Lack {
    /// So many, of which the last was due no sooner than the first.
    pub(super) fn new(count: u64, first: Instant, last: Instant) -> Self {
        Self { count, first, last: last.max(first) }
    }

    /// So many between two messages that came.
    pub(super) fn between(count: u64, before: Instant, after: Instant) -> Self {
        let span = after.saturating_duration_since(before);
        let step = share(span, 1, u128::from(count) + 1);
        Self::new(count, before + step, before + (span - step))
    }

    /// When one of them was due, counted from 0.
    pub(super) fn due(&self, place: u64) -> Instant {
        let span = self.last.saturating_duration_since(self.first);
        self.first + share(span, u128::from(place), u128::from(self.count.saturating_sub(1).max(1)))
    }

    /// How many were due before a moment.
    pub fn before(&self, moment: Instant) -> u64 {
        if moment > self.last {
            return self.count;
        }
        let (passed, span) = (moment.saturating_duration_since(self.first), self.last.saturating_duration_since(self.first));
        if passed.is_zero() || span.is_zero() {
            return 0;
        }
        let places = passed.as_nanos().saturating_mul(u128::from(self.count - 1)).div_ceil(span.as_nanos());
        // The estimate is rounded, the moments are as well: the nearer one decides.
        let mut before = u64::try_from(places).unwrap_or(u64::MAX).min(self.count);
        while before > 0 && self.due(before - 1) >= moment {
            before -= 1;
        }
        while before < self.count && self.due(before) < moment {
            before += 1;
        }
        before
    }

    /// `count` of them from a place on.
    pub(super) fn part(&self, place: u64, count: u64) -> Self {
        Self { count, first: self.due(place), last: self.due(place + count.saturating_sub(1)) }
    }
}

/// `n` parts of `of` of a time.
fn share(span: Duration, n: u128, of: u128) -> Duration {
    let nanos = span.as_nanos().saturating_mul(n) / of;
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_lies_between_two_messages_is_due_at_even_distances() {
        let start = Instant::now();
        let ms = |ms| start + Duration::from_millis(ms);
        let lack = Lack::between(3, ms(0), ms(400));
        assert_eq!(lack, Lack { count: 3, first: ms(100), last: ms(300) });
        assert_eq!([0, 100, 101, 200, 250, 300, 301, 900].map(|at| lack.before(ms(at))), [0, 0, 1, 1, 2, 2, 3, 3]);
        assert_eq!(lack.part(1, 2), Lack { count: 2, first: ms(200), last: ms(300) });
        let one = Lack::between(1, ms(0), ms(10));
        assert_eq!((one, one.before(ms(5)), one.before(ms(6))), (Lack { count: 1, first: ms(5), last: ms(5) }, 0, 1));
        assert_eq!(Lack::between(2, ms(5), ms(5)).before(ms(5)), 0, "a burst is due at one moment");
        assert_eq!(Lack::between(1_000_000, ms(0), ms(0) + Duration::from_secs(86_400)).before(ms(43_200_000)), 500_000);
    }

    proptest! {
        /// Wherever it is cut, each one is on one side, by when it was due.
        #[test]
        fn a_cut_leaves_each_on_one_side(count in 1u64..50, span in 0u64..10_000, at in 0u64..12_000) {
            let start = Instant::now();
            let lack = Lack::between(count, start, start + Duration::from_nanos(span));
            let cut = start + Duration::from_nanos(at);
            let before = lack.before(cut);
            prop_assert_eq!(before, (0..count).filter(|place| lack.due(*place) < cut).count() as u64);
            if 0 < before && before < count {
                let (left, right) = (lack.part(0, before), lack.part(before, count - before));
                prop_assert_eq!(left.count + right.count, count);
                prop_assert!(left.last < cut && right.first >= cut);
            }
        }
    }
}
