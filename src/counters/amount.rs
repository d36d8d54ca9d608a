//! An amount that is not wholly known, and the ratio of two. Pure arithmetic.

use std::ops::Add;

/// Why an amount may be more than is sure: what lies around the first edge and around the last, what a start time that moved
/// leaves open.
const CAUSES: usize = 3;

/// An amount with its bounds.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Amount {
    /// What it most likely is.
    pub(crate) value: f64,
    /// What it is at least.
    sure: f64,
    /// By how much more it may be, by cause. What one scrape delivers has each cause in common.
    more: [f64; CAUSES],
}

impl Amount {
    pub(crate) fn new(value: f64, sure: f64, more: [f64; CAUSES]) -> Self {
        Self { value, sure, more: more.map(|more| more.max(0.0)) }
    }

    pub(crate) fn exact(value: f64) -> Self {
        Self::new(value, value, [0.0; CAUSES])
    }

    pub(crate) fn least(&self) -> f64 {
        self.sure.min(self.value)
    }

    pub(crate) fn most(&self) -> f64 {
        (self.sure + self.more.iter().sum::<f64>()).max(self.value)
    }

    /// With what came right after it: what lies around the edge between is in one of the two, and so in both together.
    pub(crate) fn then(&self, later: &Self) -> Self {
        let shared = self.more[1].min(later.more[0]);
        let left = self.more[1] + later.more[0] - 2.0 * shared;
        Self {
            value: self.value + later.value,
            sure: self.sure + later.sure + shared,
            more: [self.more[0], later.more[1], self.more[2] + later.more[2] + left],
        }
    }

    /// Less sure by `by` either way; not below `floor`.
    pub(crate) fn widen(&mut self, by: f64, floor: f64) {
        let down = by.min((self.sure - floor).max(0.0));
        self.sure -= down;
        self.more[0] += down + by;
    }

    /// Of which any part may have come after the last edge.
    pub(crate) fn all_past_the_edge(&mut self) {
        self.more[1] += self.sure.max(0.0);
        self.sure = self.sure.min(0.0);
    }

    /// With some of the causes.
    fn with(&self, causes: usize) -> f64 {
        let chosen = |(at, more): (usize, &f64)| if causes >> at & 1 == 1 { *more } else { 0.0 };
        self.sure + self.more.iter().enumerate().map(chosen).sum::<f64>()
    }
}

impl Add for Amount {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        let more = std::array::from_fn(|at| self.more[at] + other.more[at]);
        Self { value: self.value + other.value, sure: self.sure + other.sure, more }
    }
}

/// What an amount is divided by.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Whole {
    /// Of which it is a part; the rest.
    Rest(Amount),
    /// Something else.
    Other(Amount),
}

/// The least and the greatest that the ratio of `of` to `to` can be. `together`: one scrape delivers all of it, so that what lies
/// around an edge belongs to the phase for both or for neither. `hidden`: how much resets may have hidden of both together, of either
/// alone or of any mix. None: nothing was counted, so there is no ratio.
pub(crate) fn ratio(of: &Amount, to: &Whole, together: bool, hidden: f64) -> Option<(f64, f64)> {
    let total = to.total(of);
    if total.most() + hidden <= 0.0 {
        return None;
    }
    let share = |part: f64, rest: f64, other: f64| match (part, rest) {
        _ if part + rest <= 0.0 => other,
        (f64::INFINITY, _) => 1.0,
        _ => part / (part + rest),
    };
    let part = matches!(to, Whole::Rest(_));
    if together && total.sure > 0.0 {
        // Linear in each cause above and below the line, so the extremes are where each is in or out.
        let ratios = (0..1 << CAUSES).map(|causes| {
            let (of, total) = (of.with(causes), total.with(causes));
            let most = if part { share(of + hidden, total - of, 0.0) } else { (of + hidden) / total };
            (of / (total + hidden), most)
        });
        return Some(
            ratios.fold((f64::INFINITY, f64::NEG_INFINITY), |(least, most), (low, high)| (least.min(low), most.max(high))),
        );
    }
    Some(match to {
        Whole::Rest(rest) => (share(of.least(), rest.most() + hidden, 1.0), share(of.most() + hidden, rest.least(), 0.0)),
        Whole::Other(to) if to.least() > 0.0 => (of.least() / (to.most() + hidden), (of.most() + hidden) / to.least()),
        Whole::Other(to) => (of.least() / (to.most() + hidden), f64::INFINITY),
    })
}

impl Whole {
    /// The part included.
    pub(crate) fn total(&self, of: &Amount) -> Amount {
        match self {
            Self::Rest(rest) => *of + *rest,
            Self::Other(to) => *to,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn amount(value: f64, sure: f64, more: [f64; CAUSES]) -> Amount {
        Amount::new(value, sure, more)
    }

    #[test]
    fn one_scrape_bounds_a_ratio_by_what_is_in_and_out() {
        let (hits, misses) = (amount(100.0, 90.0, [18.0, 9.0, 0.0]), amount(11.0, 10.0, [2.0, 1.0, 0.0]));
        let (least, most) = ratio(&hits, &Whole::Rest(misses), true, 0.0).unwrap();
        assert!((least - 0.9).abs() < 1e-12 && (most - 0.9).abs() < 1e-12, "{least} {most}");
        // Apart, each may be at either end.
        let (least, most) = ratio(&hits, &Whole::Rest(misses), false, 0.0).unwrap();
        assert_eq!((least, most), (90.0 / 103.0, 117.0 / 127.0));
        // All of the hits around one edge, all of the misses around the other: in and out at both edges at once says nothing.
        let (hits, misses) = (amount(95.0, 90.0, [10.0, 0.0, 0.0]), amount(95.0, 90.0, [0.0, 10.0, 0.0]));
        assert_eq!(ratio(&hits, &Whole::Rest(misses), true, 0.0), Some((90.0 / 190.0, 100.0 / 190.0)));
    }

    #[test]
    fn nothing_surely_counted_bounds_little_and_nothing_at_all_is_no_ratio() {
        let maybe = amount(0.0, 0.0, [5.0, 0.0, 0.0]);
        let (one, none) = (Amount::exact(1.0), Amount::exact(0.0));
        assert_eq!(ratio(&none, &Whole::Rest(none), true, 0.0), None);
        assert_eq!(ratio(&maybe, &Whole::Rest(maybe), true, 0.0), Some((0.0, 1.0)));
        assert_eq!(ratio(&none, &Whole::Rest(maybe), true, 0.0), Some((0.0, 0.0)));
        assert_eq!(ratio(&maybe, &Whole::Rest(none), false, 0.0), Some((1.0, 1.0)));
        assert_eq!(ratio(&one, &Whole::Other(maybe), false, 0.0), Some((0.2, f64::INFINITY)));
    }

    #[test]
    fn what_is_less_sure_stays_above_its_floor() {
        let mut exact = Amount::exact(3.0);
        exact.widen(5.0, 0.0);
        assert_eq!((exact.value, exact.least(), exact.most()), (3.0, 0.0, 8.0));
    }

    #[test]
    fn what_lies_around_the_edge_between_two_is_in_both_together() {
        let (first, second) = (amount(95.0, 90.0, [2.0, 10.0, 0.0]), amount(55.0, 45.0, [10.0, 3.0, 0.0]));
        let both = first.then(&second);
        assert_eq!((both.value, both.least(), both.most()), (150.0, 145.0, 150.0));
        // Less sure for another reason as well: that stays open.
        let both = first.then(&amount(55.0, 45.0, [14.0, 3.0, 0.0]));
        assert_eq!((both.least(), both.most()), (145.0, 154.0));
    }
}
