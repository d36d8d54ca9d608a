//! Users of an open load that do their `start` before the phase's clock begins.

use std::time::Duration;

use super::resolver::Resolver;
use super::types::{Phase, Plan, Scenario};
use crate::load::{Load, whole};
use crate::measure::ScenarioId;
use crate::profile::written;

/// How long a user may be at its start where the profile doesn't say it.
const START_WITHIN: Duration = Duration::from_secs(30);
/// How many users begin their start in a second, where there is time enough.
const STARTS_PER_SECOND: f64 = 50.0;

/// The users of one scenario that are prepared for a phase.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Preparation {
    /// The first of them; those before it are there already.
    pub from: u64,
    /// The one after the last of them.
    pub to: u64,
    /// Over how long they begin, evenly.
    pub over: Duration,
    /// How long it is waited for them.
    pub within: Duration,
}

impl Preparation {
    /// How many there are.
    pub fn users(&self) -> u64 {
        self.to - self.from
    }

    /// When one of them begins.
    pub fn begins(&self, user: u64) -> Duration {
        self.over.mul_f64(user.saturating_sub(self.from) as f64 / self.users().max(1) as f64)
    }
}

impl Plan {
    /// Who is prepared for a phase that comes after `before`, by scenario. Who was there before needs no preparation.
    pub fn preparations(&self, phase: &Phase, before: Option<&Phase>) -> Vec<(ScenarioId, Preparation)> {
        let of = |(id, load): &(ScenarioId, Load)| {
            let there = before.and_then(|before| before.load(*id)).map_or(0, left);
            Some((*id, preparation(self.scenarios.get(id.index())?, load, there)?))
        };
        phase.loads.iter().filter_map(of).collect()
    }
}

/// How many users a load leaves for sure.
fn left(load: &Load) -> u64 {
    match load {
        Load::Closed { level, .. } => whole(level.last()),
        Load::Open { users, .. } => *users,
    }
}

fn preparation(scenario: &Scenario, load: &Load, there: u64) -> Option<Preparation> {
    let Load::Open { users, .. } = load else { return None };
    if scenario.start.is_none() || *users <= there {
        return None;
    }
    let within = scenario.start_within;
    let evenly = Duration::from_secs_f64((*users - there) as f64 / STARTS_PER_SECOND);
    Some(Preparation { from: there, to: *users, over: evenly.min(within / 2), within })
}

/// How long a user of a scenario may be at its start.
pub(super) fn start_within(resolver: &mut Resolver<'_>, scenario: &written::Scenario) -> Duration {
    let Some(written) = scenario.start_within else { return START_WITHIN };
    if scenario.start.is_none() {
        resolver.error(written.at, "`start_within` goes with `start`, and this scenario has none; leave it out");
    } else if written.value.is_zero() {
        resolver.error(written.at, "no user starts within 0s; write a time like 30s");
    }
    written.value
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::plan::{Options, describe, load_text};
    use crate::profile::Env;

    fn read(start: &str, phases: &str) -> Result<Plan, String> {
        let text = format!(
            "name: test\ndefaults: {{http: {{base_url: \"http://127.0.0.1:8080\"}}}}\nscenarios:\n  plain: {{flow: {{http: {{get: /}}}}}}\n  \
             s: {{{start}flow: {{http: {{get: /}}}}}}\nphases: {phases}\n"
        );
        let loaded = load_text(Path::new("test.yml"), text, &Env::default(), &[], Options::default());
        loaded.map(|(plan, _)| plan).map_err(|problems| problems.to_string())
    }

    /// Who is prepared for each phase: from, to, and over how many milliseconds.
    fn prepared(start: &str, phases: &str) -> Vec<Vec<(u64, u64, u128)>> {
        let plan = read(start, phases).unwrap();
        let before = |index: usize| index.checked_sub(1).map(|before| &plan.phases[before]);
        let of = |(index, phase)| {
            let all = plan.preparations(phase, before(index));
            all.into_iter().map(|(_, one)| (one.from, one.to, one.over.as_millis())).collect()
        };
        plan.phases.iter().enumerate().map(of).collect()
    }

    const START: &str = "start: {http: {get: /login}}, ";

    #[test]
    fn fifty_a_second_begin_or_all_in_half_the_time_that_there_is() {
        let phases = "[{name: a, duration: 1s, load: {s: {rate: 5/s, users: 200, max_users: 9000}, plain: {rate: 5/s, users: 9}}}, \
                      {name: b, duration: 1s, load: {s: {rate: 5/s, users: 8200, max_users: 9000}}}, {name: c, duration: 1s, load: {s: {users: 9000}}}]";
        assert_eq!(prepared(START, phases), [vec![(0, 200, 4000)], vec![(200, 8200, 15_000)], vec![]]);
        let quick = format!("{START}start_within: 2s, ");
        assert_eq!(prepared(&quick, phases)[0], [(0, 200, 1000)]);
        assert_eq!(prepared("", phases)[0], []);
    }

    #[test]
    fn who_is_there_before_is_not_prepared_again() {
        let phases = "[{name: a, duration: 1s, load: {s: {users: 50 -> 20}}}, {name: b, duration: 1s, load: {s: {rate: 5/s, users: 30}}}, \
                      {name: c, duration: 1s, load: {s: {rate: 9/s, users: 30}}}, {name: d, duration: 1s}, {name: e, duration: 1s, load: {s: {at_once: 5}}}]";
        let expected: [Vec<(u64, u64, u128)>; 5] = [vec![], vec![(20, 30, 200)], vec![], vec![], vec![(0, 5, 100)]];
        assert_eq!(prepared(START, phases), expected);
        let one = Preparation { from: 20, to: 30, over: Duration::from_millis(200), within: START_WITHIN };
        assert_eq!([20, 25, 29].map(|user| one.begins(user).as_millis()), [0, 100, 180]);
    }

    #[test]
    fn a_check_reports_it_and_a_start_within_without_use_is_an_error() {
        let phases = "[{name: a, duration: 1m, load: {s: {rate: 5/s, users: 200}}}]";
        let text = describe(&read(START, phases).unwrap());
        assert!(text.contains("s: 5/s, 300 arrivals, 200 users in turn\n"), "{text}");
        assert!(text.contains("    before it 200 users of s start, over 4.00s, waited for 30.0s at most\n"), "{text}");
        assert!(read("start_within: 5s, ", phases).unwrap_err().contains("`start_within` goes with `start`"));
        assert!(read(&format!("{START}start_within: 0s, "), phases).unwrap_err().contains("within 0s"));
    }
}
