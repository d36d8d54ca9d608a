//! When the next run of a profile begins.

use std::time::{Duration, Instant, SystemTime};

use crate::plan::Schedule;

/// The least time from the start of one run to the next of a profile that runs continuously: one whose target is away, or that
/// a step ends at once, would do nothing but begin.
const CONTINUOUS: Duration = Duration::from_secs(1);

/// By so much a clock may be set back without that its times come again: whatever corrects it does so all the time.
const CORRECTION: Duration = Duration::from_secs(1);

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

/// What both clocks say at a moment.
#[derive(Debug, Clone, Copy)]
pub struct Look {
    /// The clock that nobody sets.
    pub steady: Instant,
    /// The wall clock.
    pub wall: SystemTime,
}

impl Look {
    /// What they say now.
    pub fn now() -> Self {
        Self { steady: Instant::now(), wall: SystemTime::now() }
    }
}

/// A wait for what is due, by a clock that may be set meanwhile.
#[derive(Debug)]
pub struct Wait<'a> {
    schedule: &'a Schedule,
    due: Due,
    begun: Instant,
    seen: Look,
}

impl<'a> Wait<'a> {
    /// For what is `due` as of this look.
    pub fn new(schedule: &'a Schedule, due: Due, look: Look) -> Self {
        Self { schedule, due, begun: look.steady, seen: look }
    }

    /// How long it is from now on.
    ///
    /// A clock that was set back comes to its times once more: also to those that it may have passed since the last look.
    pub fn left(&mut self, now: Look) -> Duration {
        let slept = now.steady.saturating_duration_since(self.seen.steady);
        // What it would have said at the last look.
        let began = now.wall.checked_sub(slept).unwrap_or(now.wall);
        let was_set_back = self.seen.wall.duration_since(began).is_ok_and(|back| back > CORRECTION);
        if let (true, Due::At(_)) = (was_set_back, self.due) {
            self.due = next(self.schedule, None, began).unwrap_or(self.due);
        }
        self.seen = now;
        match self.due {
            Due::In(wait) => wait.saturating_sub(now.steady.saturating_duration_since(self.begun)),
            Due::At(at) => at.duration_since(now.wall).unwrap_or_default(),
        }
    }
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

    /// The times at which a schedule of each minute begins a run, which itself takes 300 ms, while the wall clock is what `wall` makes of the
    /// seconds that pass. It is looked at every 7 s.
    fn runs_by(wall: impl Fn(f64) -> f64) -> Vec<String> {
        let (schedule, start) = (cron("* * * * *"), Instant::now());
        let look = |passed: f64| Look {
            steady: start + Duration::from_secs_f64(passed),
            wall: SystemTime::UNIX_EPOCH + Duration::from_secs_f64(wall(passed)),
        };
        let (mut runs, mut passed) = (Vec::new(), 0.0);
        while passed < 400.0 {
            let begun = look(passed);
            let mut wait = Wait::new(&schedule, next(&schedule, None, begun.wall).unwrap(), begun);
            loop {
                let left = wait.left(look(passed));
                if left.is_zero() {
                    break;
                }
                passed += left.as_secs_f64().min(7.0);
            }
            runs.push(format!("{:.0}", wall(passed)));
            passed += 0.3;
        }
        runs
    }

    #[test]
    fn a_clock_that_is_set_back_comes_to_all_its_times_once_more() {
        // After 100 s it is set back by so much.
        let set_back = |by: f64| runs_by(move |passed| 6000.0 + passed - if passed < 100.0 { 0.0 } else { by });
        assert_eq!(set_back(0.0), ["6060", "6120", "6180", "6240", "6300", "6360", "6420"]);
        // It says 6099.9 then; nothing came in between.
        assert_eq!(set_back(0.1), ["6060", "6120", "6180", "6240", "6300", "6360", "6420"]);
        // By less than what is slept, and to a moment before a time that is slept through.
        for by in [20.0, 40.0, 40.5, 41.5, 100.5, 340.5] {
            let all = set_back(by);
            let again = all[1..].iter().map(|at| at.parse::<f64>().unwrap());
            let wanted = (0..).map(|n| ((6100.0 - by) / 60.0).ceil() * 60.0 + 60.0 * f64::from(n));
            for (at, wanted) in again.zip(wanted) {
                assert!((wanted..wanted + 7.0).contains(&at), "{by}: {all:?}");
            }
        }
        // A clock that is too fast or too slow, and corrected all the time, has each minute once.
        for off in [0.999, 1.001] {
            let all = runs_by(move |passed| 6000.0 + passed * off);
            let minutes: Vec<u64> = all.iter().map(|at| at.parse::<u64>().unwrap() / 60).collect();
            assert!(minutes.windows(2).all(|pair| pair[1] == pair[0] + 1), "{off}: {all:?}");
        }
        let small_steps = runs_by(|passed| 6000.0 + passed - (passed / 10.0).floor() * 0.5);
        let minutes: Vec<u64> = small_steps.iter().map(|at| at.parse::<u64>().unwrap() / 60).collect();
        assert!(minutes.windows(2).all(|pair| pair[1] == pair[0] + 1), "{small_steps:?}");
        // Forward it skips what it never said, but for the one that was waited for.
        let forward = runs_by(|passed| 6000.0 + passed + if passed < 100.0 { 0.0 } else { 150.0 });
        assert_eq!(forward[..2], ["6060", "6252"]);
    }

    #[test]
    fn what_is_due_after_a_while_knows_no_wall_clock() {
        let (schedule, steady) = (Schedule::Every(seconds_of(60)), Instant::now());
        let mut wait = Wait::new(&schedule, Due::In(seconds_of(60)), Look { steady, wall: at(5000) });
        for (passed, wall) in [(10, 5010), (20, 20), (30, 9000), (60, 0)] {
            let left = wait.left(Look { steady: steady + seconds_of(passed), wall: at(wall) });
            assert_eq!(left, seconds_of(60 - passed));
        }
    }
}
