//! How far alerts look back: windows that fit the lengths of the phases.

use std::time::Duration;

use crate::plan::{Plan, Repeat, Schedule};
use crate::verdict::Over;

/// A long and a short window, and how many times faster than allowed the budget has to be spent in both.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Pair {
    pub long: Duration,
    pub short: Duration,
    pub factor: f64,
}

/// The pairs of an objective.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Windows {
    /// What is worth waking somebody.
    pub page: Vec<Pair>,
    /// What is worth a look in the morning.
    pub ticket: Vec<Pair>,
}

const MINUTE: u64 = 60;
const HOUR: u64 = 3600;
const DAY: u64 = 24 * HOUR;

/// Below it a rate has too few scrapes to go by.
const SHORTEST: Duration = Duration::from_secs(30);
/// Load that lasts so long is like load that never ends.
const LONG: Duration = Duration::from_secs(6 * HOUR);

impl Windows {
    /// The windows for judged phases of these lengths.
    ///
    /// Load without an end has the workbook's windows, for a budget of 30 days. A phase that ends has its own length as the
    /// period of its budget: a page once three tenths of it are spent within a tenth of the phase, a ticket once half the phase
    /// spends more than its share.
    pub fn new(plan: &Plan, over: &Over, lengths: &[Duration]) -> Self {
        let length = match over {
            Over::Phases(_) => lengths.iter().max().copied().unwrap_or_default(),
            Over::Run => lengths.iter().sum(),
        };
        let endless = matches!(plan.schedule, Schedule::Continuous) || plan.repeat == Repeat::Forever;
        if endless || length >= LONG { Self::endless() } else { Self::of_length(length) }
    }

    fn endless() -> Self {
        let pair = |long, short, factor| Pair { long: Duration::from_secs(long), short: Duration::from_secs(short), factor };
        Self {
            page: vec![pair(HOUR, 5 * MINUTE, 14.4), pair(6 * HOUR, 30 * MINUTE, 6.0)],
            ticket: vec![pair(DAY, 2 * HOUR, 3.0), pair(3 * DAY, 6 * HOUR, 1.0)],
        }
    }

    fn of_length(length: Duration) -> Self {
        let at_least = |window: Duration, least: Duration| Duration::from_secs(window.max(least).as_secs());
        let long = at_least(length / 10, 2 * SHORTEST);
        let factor = (0.3 * length.as_secs_f64() / long.as_secs_f64()).max(1.0);
        let half = at_least(length / 2, 2 * SHORTEST);
        Self {
            page: vec![Pair { long, short: at_least(long / 5, SHORTEST), factor: (factor * 100.0).round() / 100.0 }],
            ticket: vec![Pair { long: half, short: at_least(length / 10, SHORTEST), factor: 1.0 }],
        }
    }

    /// Every window, each once, the shortest first.
    pub fn all(&self) -> Vec<Duration> {
        let mut all: Vec<Duration> = self.page.iter().chain(&self.ticket).flat_map(|pair| [pair.long, pair.short]).collect();
        all.sort_unstable();
        all.dedup();
        all
    }
}

/// A window as PromQL writes it, in whole seconds or the largest unit that fits.
pub(super) fn written(window: Duration) -> String {
    let seconds = window.as_secs();
    for (unit, length) in [("d", DAY), ("h", HOUR), ("m", MINUTE)] {
        if seconds >= length && seconds.is_multiple_of(length) {
            return format!("{}{unit}", seconds / length);
        }
    }
    format!("{seconds}s")
}

#[cfg(test)]
mod unit_tests {
    use super::*;

    #[test]
    fn a_phase_that_ends_is_the_period_of_its_budget() {
        let windows = Windows::of_length(Duration::from_secs(600));
        assert_eq!(
            windows.page,
            [Pair { long: Duration::from_secs(60), short: Duration::from_secs(30), factor: 3.0 }],
            "a tenth of the phase, in which three tenths of the budget are spent"
        );
        assert_eq!(windows.ticket, [Pair { long: Duration::from_secs(300), short: Duration::from_secs(60), factor: 1.0 }]);
        assert_eq!(windows.all().len(), 3);
        let short = Windows::of_length(Duration::from_secs(10));
        assert_eq!((short.page[0].long, short.page[0].factor), (Duration::from_secs(60), 1.0));
    }

    #[test]
    fn windows_are_written_as_people_write_them() {
        let text = |seconds| written(Duration::from_secs(seconds));
        assert_eq!((text(90), text(300), text(7200), text(3 * DAY)), ("90s".into(), "5m".into(), "2h".into(), "3d".into()));
    }
}
