//! A straight line through points that come one after the other, and how sure its slope is.
//!
//! Least squares of y = level + slope·t: `slope = Sxy/Sxx`, residual variance `s² = SSR/(n - 2)`. Neighbours that are alike make the n
//! points count for fewer: with the lag-1 correlation r1 of the residuals, corrected for the two parameters that were fitted, `ρ = r1 +
//! (2 + 4·r1)/n` (Kendall; Marriott and Pope, Biometrika 1954), the slope's variance is larger by `f = (1 + ρ)/(1 - ρ)`, that of a mean of
//! an AR(1) process, and n points count for n/f. So the standard error is `√(s²·f/Sxx)`, and the interval is Student's t of
//! n/f - 2 degrees of freedom times that.
//!
//! Only sums are kept, about the means as they move (Welford), so that nothing cancels in days of data.

use super::student;

/// The sums of a line through points.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct FittedLine {
    n: u64,
    first: Point,
    last: Point,
    mean: Point,
    /// Of each point with itself.
    own: Products,
    /// Of each point with the next one.
    next: Products,
}

#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Point {
    t: f64,
    y: f64,
}

/// Sums of products of deviations from the means. What is mixed is t·y' + y·t'.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Products {
    tt: f64,
    mixed: f64,
    yy: f64,
}

impl Point {
    fn minus(self, other: Point) -> Point {
        Point { t: self.t - other.t, y: self.y - other.y }
    }

    fn by(self, factor: f64) -> Point {
        Point { t: self.t * factor, y: self.y * factor }
    }
}

impl Products {
    fn add(&mut self, a: Point, b: Point) {
        self.tt += a.t * b.t;
        self.mixed += a.t * b.y + a.y * b.t;
        self.yy += a.y * b.y;
    }

    /// The sum of products of residuals of a line with this slope.
    fn residual(&self, slope: f64) -> f64 {
        self.yy - slope * self.mixed + slope * slope * self.tt
    }
}

/// A line, and how sure it is. Units are those of the points.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Fit {
    /// The line at t = 0.
    pub level: f64,
    /// By how much it rises per t.
    pub slope: f64,
    /// How many independent points there are in effect: at most as many as were added.
    pub effective: f64,
    /// The standard error of the slope.
    pub error: f64,
}

impl FittedLine {
    /// Adds the next point; `t` is later than those before.
    pub fn add(&mut self, t: f64, y: f64) {
        let new = Point { t, y };
        let before = self.n as f64;
        self.n += 1;
        let away = new.minus(self.mean);
        let moved = away.by(1.0 / self.n as f64);
        if self.n == 1 {
            self.first = new;
        } else {
            // The sums about the mean so far, then about the mean that has moved: with L the sum of zᵢ·zᵢ₊₁' about m, about m + d it
            // is L - d·(zₙ - z₁)' + (n - 1)·d·d', since all deviations from the mean so far add up to 0.
            self.next.add(self.last.minus(self.mean), away);
            self.next.add(moved.by(-1.0), new.minus(self.first));
            self.next.add(moved.by(before), moved);
        }
        self.mean = Point { t: self.mean.t + moved.t, y: self.mean.y + moved.y };
        self.own.add(away, new.minus(self.mean));
        self.last = new;
    }

    /// How many points were added.
    pub fn points(&self) -> u64 {
        self.n
    }

    /// By how much the slope may be off at most, where all values of y together may be off by this sum.
    pub fn slope_off_by(&self, sum: f64) -> f64 {
        let reach = (self.last.t - self.mean.t).max(self.mean.t - self.first.t);
        if sum > 0.0 { sum * reach / self.own.tt } else { 0.0 }
    }

    /// The line; `None` through fewer than three points, or where all are at one time.
    pub fn fit(&self) -> Option<Fit> {
        let n = self.n as f64;
        if self.n < 3 || self.own.tt <= 0.0 {
            return None;
        }
        let slope = self.own.mixed / 2.0 / self.own.tt;
        let squares = self.own.residual(slope).max(0.0);
        // Of residuals that are rounding errors the correlation means nothing.
        let rounding = n * (1e-12 * self.mean.y).powi(2);
        let neighbours = if squares > rounding { self.next.residual(slope) / squares } else { 0.0 };
        let inflation = inflation(neighbours, n);
        let error = (squares / (n - 2.0) * inflation / self.own.tt).sqrt();
        Some(Fit { level: self.mean.y - slope * self.mean.t, slope, effective: n / inflation, error })
    }
}

/// By how much the variance of a slope is larger than that of independent points, for residuals with this lag-1 correlation.
fn inflation(neighbours: f64, n: f64) -> f64 {
    let rho = (neighbours + (2.0 + 4.0 * neighbours) / n).clamp(0.0, 0.99);
    (1.0 + rho) / (1.0 - rho)
}

impl Fit {
    /// Half the width of the slope's interval that holds the true one with this `confidence` (0.95); `None` where two effective
    /// points or fewer say nothing.
    pub fn half_width(&self, confidence: f64) -> Option<f64> {
        let freedom = self.effective - 2.0;
        (freedom > 0.0).then(|| student::quantile(0.5 + confidence / 2.0, freedom) * self.error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::random::Stream;
    use proptest::prelude::*;

    fn line(points: &[(f64, f64)]) -> FittedLine {
        let mut line = FittedLine::default();
        points.iter().for_each(|(t, y)| line.add(*t, *y));
        line
    }

    /// The same in two passes over all points.
    fn by_the_book(points: &[(f64, f64)]) -> Fit {
        let n = points.len() as f64;
        let (t, y) = points.iter().fold((0.0, 0.0), |sum, point| (sum.0 + point.0 / n, sum.1 + point.1 / n));
        let tt: f64 = points.iter().map(|point| (point.0 - t).powi(2)).sum();
        let slope = points.iter().map(|point| (point.0 - t) * (point.1 - y)).sum::<f64>() / tt;
        let residuals: Vec<f64> = points.iter().map(|point| point.1 - y - slope * (point.0 - t)).collect();
        let squares: f64 = residuals.iter().map(|r| r * r).sum();
        let neighbours = residuals.windows(2).map(|pair| pair[0] * pair[1]).sum::<f64>() / squares;
        let rho = (neighbours + (2.0 + 4.0 * neighbours) / n).clamp(0.0, 0.99);
        let f = (1.0 + rho) / (1.0 - rho);
        Fit { level: y - slope * t, slope, effective: n / f, error: (squares / (n - 2.0) * f / tt).sqrt() }
    }

    /// `n` points a minute apart whose scatter keeps this share from one to the next.
    fn correlated(seed: u64, n: u32, kept: f64, level: f64, slope: f64, from: f64) -> Vec<(f64, f64)> {
        let mut random = Stream::keyed(&[seed]);
        let mut noise = random.normal();
        let point = |i: u32| {
            noise = kept * noise + (1.0 - kept * kept).sqrt() * random.normal();
            let t = from + f64::from(i) / 60.0;
            (t, level + slope * (t - from) + 0.1 * level * noise)
        };
        (0..n).map(point).collect()
    }

    fn close(a: f64, b: f64, scale: f64) -> bool {
        (a - b).abs() <= 1e-7 * scale.abs().max(b.abs())
    }

    #[test]
    fn an_exact_line_has_no_error() {
        let fit =
            line(&(0..240).map(|i| (f64::from(i) / 60.0, 0.1 + 0.005 * f64::from(i) / 60.0)).collect::<Vec<_>>()).fit().unwrap();
        assert!((fit.slope - 0.005).abs() < 1e-12 && (fit.level - 0.1).abs() < 1e-12, "{fit:?}");
        assert!(fit.error < 1e-12 && fit.effective > 200.0, "{fit:?}");
        let flat = line(&[(1.0, 3.0), (2.0, 3.0), (3.0, 3.0)]).fit().unwrap();
        assert_eq!((flat.slope, flat.error), (0.0, 0.0));
    }

    #[test]
    fn values_that_may_be_off_turn_a_line_by_so_much_at_most() {
        let points: Vec<(f64, f64)> = (0..60).map(|i| (f64::from(i) / 60.0, 0.1)).collect();
        let straight = line(&points);
        // The worst that can be: one end is off by all of it.
        let mut turned = points.clone();
        turned[59].1 += 0.06;
        let moved = line(&turned).fit().unwrap().slope - straight.fit().unwrap().slope;
        assert!(moved > 0.0 && moved <= straight.slope_off_by(0.06) * (1.0 + 1e-9), "{moved} {}", straight.slope_off_by(0.06));
        assert_eq!(straight.slope_off_by(0.0), 0.0);
    }

    #[test]
    fn too_few_points_make_no_line() {
        assert_eq!(line(&[]).fit(), None);
        assert_eq!(line(&[(0.0, 1.0), (1.0, 2.0)]).fit(), None);
        assert_eq!(line(&[(1.0, 1.0), (1.0, 2.0), (1.0, 3.0)]).fit(), None);
        assert_eq!(Fit { level: 1.0, slope: 0.0, effective: 2.0, error: 1.0 }.half_width(0.95), None);
    }

    #[test]
    fn neighbours_that_are_alike_count_for_fewer() {
        let effective = |kept| line(&correlated(3, 2_000, kept, 0.1, 0.0, 0.0)).fit().unwrap().effective;
        assert!((0.9..=1.0).contains(&(effective(0.0) / 2_000.0)), "{}", effective(0.0));
        // n·(1 - ρ)/(1 + ρ).
        assert!((0.8..1.2).contains(&(effective(0.8) / (2_000.0 / 9.0))), "{}", effective(0.8));
    }

    #[test]
    fn nineteen_of_twenty_intervals_hold_the_true_slope() {
        for kept in [0.0, 0.5, 0.8] {
            let holds = |seed: &u64| {
                let fit = line(&correlated(*seed, 240, kept, 0.1, 0.01, 0.0)).fit().unwrap();
                (fit.slope - 0.01).abs() <= fit.half_width(0.95).unwrap()
            };
            let held = (0..1_000).filter(holds).count();
            assert!((930..=975).contains(&held), "{held} of 1,000 with {kept}");
        }
    }

    proptest! {
        #[test]
        fn sums_are_what_two_passes_find(seed in 0u64..1_000_000, n in 3u32..400, kept in 0.0..0.99f64, level in 1e-4..1e4f64,
                                         growth in -0.5..0.5f64, from in 0.0..2_000f64) {
            let points = correlated(seed, n, kept, level, growth * level, from);
            let (fit, book) = (line(&points).fit().unwrap(), by_the_book(&points));
            prop_assert!(close(fit.slope, book.slope, level), "{fit:?} {book:?}");
            prop_assert!(close(fit.level, book.level, level * (1.0 + from)), "{fit:?} {book:?}");
            prop_assert!(close(fit.effective, book.effective, f64::from(n)), "{fit:?} {book:?}");
            prop_assert!(close(fit.error, book.error, 0.0), "{fit:?} {book:?}");
        }

        #[test]
        fn a_scale_changes_no_share(seed in 0u64..1_000_000, n in 20u32..400, kept in 0.0..0.9f64, scale in 1e-6..1e6f64) {
            let points = correlated(seed, n, kept, 0.1, 0.01, 0.0);
            let scaled: Vec<_> = points.iter().map(|(t, y)| (*t, scale * y)).collect();
            let (one, other) = (line(&points).fit().unwrap(), line(&scaled).fit().unwrap());
            prop_assert!(close(one.slope / one.level, other.slope / other.level, 1e-3));
            prop_assert!(close(one.error / one.level, other.error / other.level, 0.0));
            prop_assert!(close(one.effective, other.effective, 0.0));
        }

        #[test]
        fn more_correlation_never_narrows_it(n in 3u32..5_000, less in -1.0..1.0f64, more in 0.0..1.0f64) {
            let fit = |neighbours| {
                let inflation = inflation(neighbours, f64::from(n));
                Fit { level: 1.0, slope: 0.0, effective: f64::from(n) / inflation, error: inflation.sqrt() }
            };
            // No interval is the widest of all.
            let width = |neighbours| fit(neighbours).half_width(0.95).unwrap_or(f64::INFINITY);
            prop_assert!(width((less + more).min(1.0)) >= width(less) * (1.0 - 1e-9));
            prop_assert!(fit(less).effective <= f64::from(n) && fit(less).error >= 1.0);
        }
    }
}
