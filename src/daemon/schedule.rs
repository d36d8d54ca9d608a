//! When the next run of a profile begins.

use std::time::{Duration, SystemTime};

use crate::plan::Schedule;

/// The least time from the start of one run to the next of a profile that runs continuously: one whose target is away, or that
/// a step ends at once, would do nothing but begin.
const CONTINUOUS: Duration = Duration::from_secs(1);

/// When a run begins after the last one began and ended; none if there is none to come.
///
/// `every` keeps its grid: a run that took longer than the interval skips what it missed, and runs never overlap.
pub fn next(schedule: &Schedule, last: Option<(SystemTime, SystemTime)>, now: SystemTime) -> Option<SystemTime> {
    match (schedule, last) {
        (Schedule::Once, None) | (Schedule::Continuous | Schedule::Every(_), None) => Some(now),
        (Schedule::Once, Some(_)) => None,
        (Schedule::Continuous, Some((began, _))) => Some(now.max(began + CONTINUOUS)),
        (Schedule::Every(every), Some((began, _))) => Some(on_grid(began, *every, now)),
        (Schedule::Cron(cron), _) => cron.next(now.into()).map(SystemTime::from),
    }
}

/// When the run after one that begins now is due, however long this one takes; none where runs follow each other or none follows.
pub fn following(schedule: &Schedule, began: SystemTime) -> Option<SystemTime> {
    match schedule {
        Schedule::Once | Schedule::Continuous => None,
        Schedule::Every(every) => Some(began + *every),
        Schedule::Cron(cron) => cron.next(began.into()).map(SystemTime::from),
    }
}

/// The first of `began + n·every` that isn't past.
fn on_grid(began: SystemTime, every: Duration, now: SystemTime) -> SystemTime {
    let since = now.duration_since(began).unwrap_or_default();
    let missed = since.as_nanos() / every.as_nanos().max(1);
    let n = u32::try_from(missed).unwrap_or(u32::MAX);
    let candidate = began + every * n;
    if n > 0 && candidate >= now { candidate } else { began + every * n.saturating_add(1) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    #[test]
    fn once_is_once_and_continuous_is_at_once() {
        assert_eq!(next(&Schedule::Once, None, at(5)), Some(at(5)));
        assert_eq!(next(&Schedule::Once, Some((at(5), at(6))), at(7)), None);
        assert_eq!(next(&Schedule::Continuous, Some((at(5), at(6))), at(7)), Some(at(7)));
        assert_eq!(next(&Schedule::Continuous, Some((at(7), at(7))), at(7)), Some(at(8)), "not in a circle");
    }

    #[test]
    fn the_following_run_is_due_whatever_becomes_of_this_one() {
        assert_eq!(following(&Schedule::Every(Duration::from_secs(60)), at(100)), Some(at(160)));
        assert_eq!((following(&Schedule::Once, at(5)), following(&Schedule::Continuous, at(5))), (None, None));
    }

    #[test]
    fn every_keeps_its_grid_and_skips_what_it_missed() {
        let every = Schedule::Every(Duration::from_secs(60));
        assert_eq!(next(&every, None, at(100)), Some(at(100)));
        assert_eq!(next(&every, Some((at(100), at(130))), at(131)), Some(at(160)));
        assert_eq!(next(&every, Some((at(100), at(290))), at(291)), Some(at(340)));
        assert_eq!(next(&every, Some((at(100), at(160))), at(160)), Some(at(160)));
    }
}
