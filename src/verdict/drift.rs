//! Drift: by what share the median grows in an hour, from a straight line through medians of short stretches.
//!
//! The drift is slope/level: the growth in an hour as a share of the level at the start. Latency wanders by itself (a checkpoint each
//! five minutes, a cache that fills), so stretches aren't independent;
//! [`crate::stats::FittedLine`] counts them for what they are worth.

use super::known::Known;
use super::requirement::Requirement;
use crate::stats::FittedLine;
use std::time::Duration;

/// The shortest time that is judged for drift: in less, a drift can't be distinguished from what latency does by itself.
pub const LEAST_TIME: Duration = Duration::from_secs(20 * 60);

/// The fewest independent stretches, in effect, for a line whose error means something.
pub const LEAST_EFFECTIVE: f64 = 8.0;

/// The fewest samples whose median makes a point; its scatter shows in the error.
pub const LEAST_SAMPLES_OF_A_POINT: u64 = 10;

/// How sure it must be that the drift is on one side of the objective.
const CONFIDENCE: f64 = 0.95;

/// A line through medians, by hours.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Drift {
    line: FittedLine,
    /// By how much the medians may be off, together: answers that never came, delays of the generator.
    unclear: f64,
}

/// What of a drift is known.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Growth {
    /// The growth in an hour, as a share of the level at the start.
    pub value: f64,
    /// The true one lies within so much of it; `None` where the stretches count for too few independent ones.
    pub give_or_take: Option<f64>,
    /// How many independent stretches there were, in effect.
    pub effective: f64,
}

impl Drift {
    /// Takes the median `y` (seconds, or a metric's unit) of a stretch around `t`; it may be off by `unclear`.
    pub fn add(&mut self, t: Duration, y: f64, unclear: f64) {
        self.line.add(t.as_secs_f64() / 3600.0, y);
        self.unclear += unclear;
    }

    /// The drift; `None` of fewer than three points, or where the line starts at 0 or below.
    pub fn value(&self) -> Option<Growth> {
        let fit = self.line.fit().filter(|fit| fit.level > 0.0)?;
        let half_width = fit.half_width(CONFIDENCE).filter(|_| fit.effective >= LEAST_EFFECTIVE);
        let unclear = self.line.slope_off_by(self.unclear);
        Some(Growth {
            value: fit.slope / fit.level,
            give_or_take: half_width.map(|half| (half + unclear) / fit.level),
            effective: fit.effective,
        })
    }

    /// What is known of the drift, and why nothing is or what it takes to know more, as part of a sentence.
    pub(super) fn known(&self, requirement: &Requirement) -> (Option<Known>, Option<String>) {
        let points = self.line.points();
        let Some(growth) = self.value().filter(|_| points as f64 >= LEAST_EFFECTIVE) else {
            return (None, Some(format!("there were {points} stretches with data, and a drift takes {LEAST_EFFECTIVE}")));
        };
        let Some(give_or_take) = growth.give_or_take else {
            let reason = format!(
                "latency swings so slowly that its {points} stretches count for {:.1} independent ones, and a drift takes {LEAST_EFFECTIVE}; it takes a longer run",
                growth.effective
            );
            return (Some(Known { met: None, ..Known::exactly(requirement, growth.value) }), Some(reason));
        };
        let (least, most) = (growth.value - give_or_take, growth.value + give_or_take);
        let known = Known::between(requirement, growth.value, least, most);
        let reason = || {
            let show = |share: f64| requirement.unit.show(share);
            format!("the drift is {} give or take {}; it takes a longer run", show(growth.value), show(give_or_take))
        };
        (Some(known), known.met.is_none().then(reason))
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
            drift.add(Duration::from_secs(minute * 60), 0.1 * (1.0 + growth * minute as f64 / 60.0) + noise, 0.0);
        }
        drift
    }

    #[test]
    fn a_line_is_found() {
        let growth = drift(120, 0.05, 0.0).value().unwrap();
        assert!((growth.value - 0.05).abs() < 1e-9 && growth.give_or_take.unwrap() < 1e-6, "{growth:?}");
        let growth = drift(600, -0.02, 0.005).value().unwrap();
        assert!((growth.value + 0.02).abs() < growth.give_or_take.unwrap(), "{growth:?}");
    }

    #[test]
    fn it_is_judged_only_where_it_is_sure() {
        let requirement = Requirement::parse("drift < 5%/h").unwrap();
        let met = |drift: &Drift| drift.known(&requirement).0.unwrap().met;
        assert_eq!((met(&drift(240, 0.01, 0.002)), met(&drift(240, 0.20, 0.002))), (Some(true), Some(false)));
        let (known, reason) = drift(20, 0.04, 0.01).known(&requirement);
        assert!(known.unwrap().met.is_none() && reason.unwrap().contains("give or take"));
        let (known, reason) = drift(5, 0.0, 0.0).known(&requirement);
        assert_eq!((known, reason.as_deref()), (None, Some("there were 5 stretches with data, and a drift takes 8")));
        // Medians of which nobody knows whether they are longer by a tenth.
        let mut unclear = drift(240, 0.01, 0.002);
        unclear.unclear = 240.0 * 0.01;
        assert_eq!(met(&unclear), None);
    }

    #[test]
    fn one_slow_swing_is_no_drift() {
        let mut swing = Drift::default();
        for minute in 0..60u64 {
            let angle = minute as f64 / 60.0 * std::f64::consts::TAU;
            swing.add(Duration::from_secs(minute * 60), 0.1 * (1.0 + 0.2 * angle.sin()), 0.0);
        }
        let (known, reason) = swing.known(&Requirement::parse("drift < 5%/h").unwrap());
        let reason = reason.unwrap();
        assert!(
            known.unwrap().met.is_none() && reason.contains("its 60 stretches count for") && reason.contains("a drift takes 8"),
            "{reason}"
        );
    }
}
