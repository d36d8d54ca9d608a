//! Drift: by what share the median grows in an hour, from a straight line through medians of short stretches.
//!
//! Least squares of y = a + b·t over the medians y of equal stretches at times t (hours): `b = Sxy/Sxx`, `a = ȳ - b·t̄`, and the drift
//! is b/a, the growth in an hour as a share of the level at the start. The standard error of b is `√(s²/Sxx)` with
//! `s² = (Syy - b·Sxy)/(n - 2)` (any textbook of regression; Draper and Smith, chapter 1). Only sums are kept.

use super::requirement::Requirement;
use std::time::Duration;

/// The fewest points for a line whose error means something.
pub const LEAST_POINTS: u64 = 10;

/// The fewest samples whose median makes a point; its scatter shows in the error.
pub const LEAST_SAMPLES_OF_A_POINT: u64 = 10;

/// The standard errors that the objective must be away from the value: two are 95 %.
const ERRORS: f64 = 2.0;

/// The sums of a line through points.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Drift {
    n: u64,
    t: f64,
    y: f64,
    // Sums of squares about the means, updated as the means move (Welford), so that nothing cancels.
    tt: f64,
    ty: f64,
    yy: f64,
}

impl Drift {
    /// Takes the median `y` (seconds, or a metric's unit) of a stretch around `t`.
    pub fn add(&mut self, t: Duration, y: f64) {
        let hours = t.as_secs_f64() / 3600.0;
        self.n += 1;
        let n = self.n as f64;
        let (dt, dy) = (hours - self.t, y - self.y);
        self.t += dt / n;
        self.y += dy / n;
        self.tt += dt * (hours - self.t);
        self.ty += dt * (y - self.y);
        self.yy += dy * (y - self.y);
    }

    /// The drift in an hour as a share of the level at the start, and its standard error; `None` of too few points, or where the
    /// line starts at 0 or below.
    pub fn value(&self) -> Option<(f64, f64)> {
        if self.n < LEAST_POINTS || self.tt <= 0.0 {
            return None;
        }
        let slope = self.ty / self.tt;
        let start = self.y - slope * self.t;
        let scatter = ((self.yy - slope * self.ty) / (self.n as f64 - 2.0)).max(0.0);
        (start > 0.0).then(|| (slope / start, (scatter / self.tt).sqrt() / start))
    }

    /// The drift, and whether a requirement on it is met: `Err` with the reason where that can't be told.
    ///
    /// # Errors
    /// Too few points; or the drift is so unsure that the objective lies within its error.
    pub fn judge(&self, requirement: &Requirement) -> Result<(f64, bool), (Option<f64>, String)> {
        let Some((value, error)) = self.value() else {
            return Err((None, format!("there were {} stretches with data, and a drift takes {LEAST_POINTS}", self.n)));
        };
        let met = requirement.met(value);
        let unsure = [value - ERRORS * error, value + ERRORS * error].into_iter().any(|edge| requirement.met(edge) != met);
        if unsure {
            let show = |share: f64| requirement.unit.show(share);
            return Err((
                Some(value),
                format!("the drift is {} give or take {}; it takes a longer run", show(value), show(ERRORS * error)),
            ));
        }
        Ok((value, met))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Medians of a minute each that start at 100 ms and grow by `growth` an hour, with a scatter of `scatter`.
    fn drift(minutes: u64, growth: f64, scatter: f64) -> Drift {
        let mut drift = Drift::default();
        for minute in 0..minutes {
            let noise = if minute % 2 == 0 { scatter } else { -scatter };
            drift.add(Duration::from_secs(minute * 60), 0.1 * (1.0 + growth * minute as f64 / 60.0) + noise);
        }
        drift
    }

    #[test]
    fn a_line_is_found() {
        let (value, error) = drift(120, 0.05, 0.0).value().unwrap();
        assert!((value - 0.05).abs() < 1e-9 && error < 1e-6, "{value} {error}");
        let (value, error) = drift(600, -0.02, 0.005).value().unwrap();
        assert!((value + 0.02).abs() < 2.0 * error && error > 0.0, "{value} {error}");
    }

    #[test]
    fn it_is_judged_only_where_it_is_sure() {
        let requirement = Requirement::parse("drift < 5%/h").unwrap();
        assert!(drift(240, 0.01, 0.002).judge(&requirement).unwrap().1);
        assert!(!drift(240, 0.20, 0.002).judge(&requirement).unwrap().1);
        let (value, reason) = drift(20, 0.04, 0.01).judge(&requirement).unwrap_err();
        assert!(value.is_some() && reason.contains("give or take"), "{reason}");
        let (value, reason) = drift(5, 0.0, 0.0).judge(&requirement).unwrap_err();
        assert!(value.is_none() && reason.contains("there were 5 stretches"), "{reason}");
    }
}
