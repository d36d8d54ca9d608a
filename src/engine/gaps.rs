//! Spans of time in which something stood still.

use std::collections::VecDeque;
use std::time::Instant;

use crate::base::units::nanos;

/// Spans in the order of time, none of which overlaps another. Of more than `MOST` the two oldest become one that may stand
/// anywhere between the beginning of the first and the end of the second, so that what is asked of them is never too little.
#[derive(Debug, Default)]
pub(super) struct Gaps<const MOST: usize> {
    spans: VecDeque<Span>,
}

#[derive(Debug, Clone, Copy)]
struct Span {
    from: Instant,
    to: Instant,
    /// How much of it stood still, in nanoseconds.
    length: u64,
    /// The lengths of all spans before it, together.
    before: u64,
}

impl Span {
    /// The most of it that can lie between two moments.
    fn within(&self, from: Instant, to: Instant) -> u64 {
        self.length.min(nanos(self.to.min(to).saturating_duration_since(self.from.max(from))))
    }
}

impl<const MOST: usize> Gaps<MOST> {
    /// Forgets all.
    pub fn clear(&mut self) {
        self.spans.clear();
    }

    /// Adds a span of which `length` nanoseconds stood still. It ends no earlier than those that are there; one that overlaps them
    /// becomes one with them.
    pub fn add(&mut self, mut from: Instant, mut to: Instant, mut length: u64) {
        while let Some(last) = self.spans.back().copied().filter(|last| last.to > from) {
            self.spans.pop_back();
            from = from.min(last.from);
            to = to.max(last.to);
            length += last.length;
        }
        let before = self.spans.back().map_or(0, |last| last.before + last.length);
        self.spans.push_back(Span { from, to, length, before });
        if self.spans.len() > MOST
            && let (Some(first), Some(second)) = (self.spans.pop_front(), self.spans.pop_front())
        {
            self.spans.push_front(Span {
                from: first.from,
                length: first.length + second.length,
                before: first.before,
                ..second
            });
        }
    }

    /// How many nanoseconds stood still between two moments, or a little more.
    #[inline]
    pub fn within(&self, from: Instant, to: Instant) -> u64 {
        match self.spans.back() {
            Some(last) if last.to > from => self.sum(from, to),
            _ => 0,
        }
    }

    fn sum(&self, from: Instant, to: Instant) -> u64 {
        let begin = self.spans.partition_point(|span| span.to <= from);
        let end = self.spans.partition_point(|span| span.from < to);
        let (Some(first), Some(last)) = (self.spans.get(begin), end.checked_sub(1).and_then(|last| self.spans.get(last))) else {
            return 0;
        };
        match end.saturating_sub(begin) {
            0 => 0,
            1 => first.within(from, to),
            _ => first.within(from, to) + (last.before - first.before - first.length) + last.within(from, to),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    /// What of the spans lies between two moments.
    fn plainly(spans: &[(u64, u64)], from: u64, to: u64) -> u64 {
        spans.iter().map(|(a, b)| (*b).min(to).saturating_sub((*a).max(from))).sum()
    }

    fn gaps<const MOST: usize>(start: Instant, spans: &[(u64, u64)]) -> Gaps<MOST> {
        let at = |nanos| start + Duration::from_nanos(nanos);
        let mut gaps = Gaps::default();
        spans.iter().for_each(|(a, b)| gaps.add(at(*a), at(*b), b - a));
        assert!(gaps.spans.len() <= MOST);
        gaps
    }

    /// Spans one after the other: how long until each, and its length.
    fn apart() -> impl Strategy<Value = Vec<(u64, u64)>> {
        prop::collection::vec((0u64..50, 1u64..50), 0..40).prop_map(|steps| {
            let mut end = 0;
            steps
                .into_iter()
                .map(|(until, length)| {
                    let from = end + until;
                    end = from + length;
                    (from, end)
                })
                .collect()
        })
    }

    proptest! {
        #[test]
        fn are_as_a_plain_list_has_them(spans in apart(), from in 0u64..4000, length in 0u64..4000) {
            let start = Instant::now();
            let at = |nanos| start + Duration::from_nanos(nanos);
            let gaps = gaps::<64>(start, &spans);
            prop_assert_eq!(gaps.within(at(from), at(from + length)), plainly(&spans, from, from + length));
        }

        #[test]
        fn beyond_the_bound_are_never_too_little(spans in apart(), from in 0u64..4000, length in 0u64..4000) {
            let start = Instant::now();
            let at = |nanos| start + Duration::from_nanos(nanos);
            let gaps = gaps::<4>(start, &spans);
            let (counted, plain) = (gaps.within(at(from), at(from + length)), plainly(&spans, from, from + length));
            prop_assert!(counted >= plain && counted <= length, "{} for {} in {}", counted, plain, length);
            prop_assert_eq!(gaps.within(at(0), at(4000)), plainly(&spans, 0, 4000), "as a whole they are exact");
            if let Some((young, _)) = spans.iter().rev().nth(2) {
                prop_assert_eq!(gaps.within(at(*young), at(4000)), plainly(&spans, *young, 4000), "and so are the young");
            }
        }

        #[test]
        fn that_overlap_hide_none(ends in prop::collection::vec((0u64..50, 1u64..200), 1..20)) {
            let start = Instant::now();
            let at = |nanos| start + Duration::from_nanos(nanos);
            let mut to = 300;
            let spans: Vec<_> = ends.into_iter().map(|(step, length)| { to += step; (to - length, to) }).collect();
            let gaps = gaps::<64>(start, &spans);
            for (from, to) in &spans {
                prop_assert!(gaps.within(at(*from), at(*to)) >= to - from);
            }
            let all = (0..to).filter(|nano| spans.iter().any(|(from, to)| (from..to).contains(&nano))).count() as u64;
            prop_assert!(gaps.within(at(0), at(9999)) >= all);
        }
    }
}
