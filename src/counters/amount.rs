//! An amount that is not wholly known, and the ratio of two. Pure arithmetic.

use std::ops::Add;

/// Why an amount may be more than is sure: what lies around the first edge and around the last, what a start time that moved
/// leaves open, what resets lost.
const CAUSES: usize = 4;

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

    /// How far the value may be off, either way.
    pub(crate) fn uncertainty(&self) -> f64 {
        (self.value - self.least()).max(self.most() - self.value)
    }

    /// Less sure by `by` either way; not below `floor`.
    pub(crate) fn widen(&mut self, by: f64, floor: f64) {
        let down = by.min((self.sure - floor).max(0.0));
        self.sure -= down;
        self.more[0] += down + by;
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
/// around an edge belongs to the phase for both or for neither. None: nothing was counted, so there is no ratio.
pub(crate) fn ratio(of: &Amount, to: &Whole, together: bool) -> Option<(f64, f64)> {
    let total = to.total(of);
    if total.most() <= 0.0 {
        return None;
    }
    if together && total.sure > 0.0 {
        // Linear in each cause above and below the line, so the extremes are where each is in or out.
        let ratios = (0..1 << CAUSES).map(|causes| of.with(causes) / total.with(causes));
        return Some(ratios.fold((f64::INFINITY, f64::NEG_INFINITY), |(least, most), ratio| (least.min(ratio), most.max(ratio))));
    }
    Some(match to {
        Whole::Rest(rest) => {
            let share = |part: f64, rest: f64, none: f64| if part + rest > 0.0 { part / (part + rest) } else { none };
            (share(of.least(), rest.most(), 1.0), share(of.most(), rest.least(), 0.0))
        }
        Whole::Other(to) if to.least() > 0.0 => (of.least() / to.most(), of.most() / to.least()),
        Whole::Other(to) => (of.least() / to.most(), f64::INFINITY),
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
        let (hits, misses) = (amount(100.0, 90.0, [18.0, 9.0, 0.0, 0.0]), amount(11.0, 10.0, [2.0, 1.0, 0.0, 0.0]));
        let (least, most) = ratio(&hits, &Whole::Rest(misses), true).unwrap();
        assert!((least - 0.9).abs() < 1e-12 && (most - 0.9).abs() < 1e-12, "{least} {most}");
        // Apart, each may be at either end.
        let (least, most) = ratio(&hits, &Whole::Rest(misses), false).unwrap();
        assert_eq!((least, most), (90.0 / 103.0, 117.0 / 127.0));
        // All of the hits around one edge, all of the misses around the other: in and out at both edges at once says nothing.
        let (hits, misses) = (amount(95.0, 90.0, [10.0, 0.0, 0.0, 0.0]), amount(95.0, 90.0, [0.0, 10.0, 0.0, 0.0]));
        assert_eq!(ratio(&hits, &Whole::Rest(misses), true), Some((90.0 / 190.0, 100.0 / 190.0)));
    }

    #[test]
    fn nothing_surely_counted_bounds_little_and_nothing_at_all_is_no_ratio() {
        let maybe = amount(0.0, 0.0, [5.0, 0.0, 0.0, 0.0]);
        let (one, none) = (Amount::exact(1.0), Amount::exact(0.0));
        assert_eq!(ratio(&none, &Whole::Rest(none), true), None);
        assert_eq!(ratio(&maybe, &Whole::Rest(maybe), true), Some((0.0, 1.0)));
        assert_eq!(ratio(&none, &Whole::Rest(maybe), true), Some((0.0, 0.0)));
        assert_eq!(ratio(&maybe, &Whole::Rest(none), false), Some((1.0, 1.0)));
        assert_eq!(ratio(&one, &Whole::Other(maybe), false), Some((0.2, f64::INFINITY)));
    }

    #[test]
    fn what_is_less_sure_stays_above_its_floor() {
        let mut exact = Amount::exact(3.0);
        exact.widen(5.0, 0.0);
        assert_eq!((exact.value, exact.least(), exact.most(), exact.uncertainty()), (3.0, 0.0, 8.0, 5.0));
    }
}
