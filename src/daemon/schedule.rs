//! When the next run of a profile begins.

use std::time::{Duration, SystemTime};

use crate::plan::Schedule;

/// The least time from the start of one run to the next of a profile that runs continuously: one whose target is away, or that
/// a step ends at once, would do nothing but begin.
const CONTINUOUS: Duration = Duration::from_secs(1);

/// How many runs of a calendar are looked at for the longest time between two of them: weekends and ends of months are among them.
const CALENDAR: usize = 50;

/// When something is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Due {
    /// So much later, whatever the wall clock is set to meanwhile.
    In(Duration),
    /// At a time of the wall clock.
    At(SystemTime),
}

/// When a run begins that comes after one which began so long ago; none if there is none to come.
///
/// `every` keeps its grid: a run that took longer than the interval skips what it missed, and runs never overlap.
pub fn next(schedule: &Schedule, last: Option<Duration>, now: SystemTime) -> Option<Due> {
    match (schedule, last) {
        (Schedule::Once | Schedule::Continuous | Schedule::Every(_), None) => Some(Due::In(Duration::ZERO)),
        (Schedule::Once, Some(_)) => None,
        (Schedule::Continuous, Some(since)) => Some(Due::In(CONTINUOUS.saturating_sub(since))),
        (Schedule::Every(every), Some(since)) => Some(Due::In(to_grid(since, *every))),
        (Schedule::Cron(cron), _) => cron.next(now.into()).map(|at| Due::At(at.into())),
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

/// The longest time between the ends of two runs, each of which takes `planned`.
pub fn period(schedule: &Schedule, planned: Duration, now: SystemTime) -> Duration {
    let apart = match schedule {
        Schedule::Once | Schedule::Continuous => Duration::ZERO,
        Schedule::Every(every) => *every,
        Schedule::Cron(cron) => {
            // From now on: a calendar of many runs a day may be in its pause, which none of the next runs sees.
            let runs: Vec<_> = std::iter::successors(Some(now.into()), |run| cron.next(*run)).take(CALENDAR).collect();
            let gaps = runs.windows(2).filter_map(|pair| (pair[1] - pair[0]).to_std().ok());
            gaps.max().unwrap_or_default()
        }
    };
    apart + planned
}

/// How long it is to the next multiple of `every`, which may be just now, but not the beginning.
fn to_grid(since: Duration, every: Duration) -> Duration {
    let over = since.as_nanos() % every.as_nanos().max(1);
    match over {
        0 if !since.is_zero() => Duration::ZERO,
        _ => every.saturating_sub(Duration::from_nanos(u64::try_from(over).unwrap_or(u64::MAX))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + seconds_of(seconds)
    }

    fn seconds_of(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    /// When the next run begins after the last one began so long ago, in seconds from now.
    fn after(schedule: &Schedule, last: Option<u64>) -> Option<u64> {
        match next(schedule, last.map(seconds_of), at(5))? {
            Due::In(wait) => Some(wait.as_secs()),
            Due::At(_) => panic!("it depends on no clock"),
        }
    }

    #[test]
    fn once_is_once_and_continuous_is_at_once() {
        assert_eq!((after(&Schedule::Once, None), after(&Schedule::Once, Some(2))), (Some(0), None));
        assert_eq!(after(&Schedule::Continuous, Some(2)), Some(0));
        assert_eq!(after(&Schedule::Continuous, Some(0)), Some(1), "not in a circle");
    }

    #[test]
    fn the_following_run_is_due_whatever_becomes_of_this_one() {
        assert_eq!(following(&Schedule::Every(seconds_of(60)), at(100)), Some(at(160)));
        assert_eq!((following(&Schedule::Once, at(5)), following(&Schedule::Continuous, at(5))), (None, None));
    }

    #[test]
    fn the_period_is_the_longest_time_without_an_end() {
        let planned = Duration::from_secs(600);
        let of = |schedule: &Schedule| period(schedule, planned, at(1_700_000_000)).as_secs();
        assert_eq!((of(&Schedule::Once), of(&Schedule::Continuous)), (600, 600));
        assert_eq!(of(&Schedule::Every(Duration::from_secs(3600))), 4200);
        assert_eq!(of(&cron("0 2 * * 1-5")), 3 * 86_400 + 600, "from Friday to Monday");
        // On Friday, 2023-11-17, at 17:55, as the last run of the week begins.
        let weekend = period(&cron("*/5 9-17 * * 1-5"), planned, at(1_700_243_700)).as_secs();
        assert_eq!(weekend, (63 * 60 + 5) * 60 + 600, "until Monday at 9");
    }

    fn cron(times: &str) -> Schedule {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("weekdays.yml");
        let text = format!(
            "name: weekdays\nscenarios: {{s: {{flow: [{{think: 1s}}]}}}}\nphases: [{{name: p, duration: 10m, load: {{s: {{users: 1}}}}}}]\n\
             schedule: {{cron: \"{times}\", timezone: Etc/UTC}}\n"
        );
        std::fs::write(&file, text).unwrap();
        crate::plan::load(&file, &crate::profile::Env::default(), &[], crate::plan::Options::default()).unwrap().0.schedule
    }

    #[test]
    fn every_keeps_its_grid_and_skips_what_it_missed() {
        let every = Schedule::Every(seconds_of(60));
        assert_eq!(after(&every, None), Some(0));
        assert_eq!(after(&every, Some(31)), Some(29));
        assert_eq!(after(&every, Some(191)), Some(49));
        assert_eq!((after(&every, Some(60)), after(&every, Some(0))), (Some(0), Some(60)));
    }
}
