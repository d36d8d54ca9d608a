//! How a run stands, second by second.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::base::figures::count;
use crate::engine::{PhaseNow, Preparing, ScenarioNow};
use crate::load::Load;
use crate::measure::outcomes::timed;
use crate::measure::{Sparse, Totals};
use crate::plan::Plan;
use crate::record::Progress;

/// What "lately" means for rates and quantiles.
const LATELY: Duration = Duration::from_secs(5);

/// Follows a run.
pub(super) struct Meter {
    began: Instant,
    planned: Option<Duration>,
    recent: VecDeque<Point>,
    /// The phase run that `recent` began with.
    phase_run: Option<u64>,
}

struct Point {
    at: Instant,
    requests: u64,
    started: u64,
    times: Sparse,
}

impl Meter {
    pub fn new(plan: &Plan) -> Self {
        Self { began: Instant::now(), planned: plan.planned(), recent: VecDeque::new(), phase_run: None }
    }

    /// How the run stands, given its scenarios, the present phase, the users that are prepared for the next one, and all that the run
    /// has measured.
    pub fn read(
        &mut self,
        plan: &Plan,
        scenarios: &[ScenarioNow],
        (present, preparing): (Option<PhaseNow>, Option<Preparing>),
        run: &Totals,
    ) -> Progress {
        let now = Instant::now();
        let point = Point {
            at: now,
            requests: run.steps.iter().map(|step| step.requests()).sum(),
            started: run.scenarios.iter().map(|scenario| scenario.started).sum(),
            times: times(run),
        };
        // A phase's figures are its own: what was reached lately in another is no measure of what is wanted now.
        let phase_run = present.map(|present| present.phase_run);
        if phase_run != self.phase_run {
            self.phase_run = phase_run;
            self.recent.clear();
        }
        while self.recent.len() > 1 && self.recent[1].at + LATELY <= now {
            self.recent.pop_front();
        }
        let rate_wanted: f64 = scenarios.iter().map(|scenario| scenario.rate_wanted).sum();
        let open = rate_wanted > 0.0;
        let (rate, p95) = match self.recent.front() {
            None => (None, None),
            Some(earlier) => {
                let seconds = (now - earlier.at).as_secs_f64().max(1e-3);
                let done = if open { point.started - earlier.started } else { point.requests - earlier.requests };
                (Some(done as f64 / seconds), point.times.minus(&earlier.times).quantile(0.95))
            }
        };
        let phase = present.map(|present| present.phase).or(preparing.map(|preparing| preparing.phase));
        let phase = phase.and_then(|phase| plan.phases.get(phase.index()));
        // An open load asks for no number of users. Where there is a closed load too, only its users are shown.
        let closed = |now: &&ScenarioNow| {
            let load = phase.and_then(|phase| phase.loads.iter().find(|(id, _)| *id == now.scenario));
            matches!(load, Some((_, Load::Closed { .. })))
        };
        let any_closed = scenarios.iter().any(|scenario| closed(&scenario));
        let draining = || present.filter(|present| present.draining).map(|_| "draining".to_owned());
        let progress = Progress {
            phase: phase.map(|phase| phase.name.clone()).unwrap_or_default(),
            phase_elapsed: present.map_or(0.0, |present| present.elapsed.as_secs_f64()),
            phase_duration: phase.map_or(0.0, |phase| phase.duration.as_secs_f64()),
            elapsed: (now - self.began).as_secs_f64(),
            duration: self.planned.map(|planned| planned.as_secs_f64()),
            rate_wanted,
            rate,
            users: scenarios.iter().filter(|scenario| !any_closed || closed(scenario)).map(|scenario| scenario.users).sum(),
            users_wanted: scenarios.iter().filter(closed).map(|scenario| scenario.users_wanted).sum(),
            requests: point.requests,
            errors: run.steps.iter().map(|step| step.errors()).sum(),
            p95,
            away: Vec::new(),
            note: preparing.map(|users| waits_for(users.started, users.users)).or_else(draining),
        };
        self.recent.push_back(point);
        progress
    }
}

/// What a phase waits for whose users do their start.
pub(super) fn waits_for(started: u64, users: u64) -> String {
    format!("preparing users: {} of {}", count(started), count(users))
}

fn times(totals: &Totals) -> Sparse {
    let mut times = Sparse::default();
    for step in &totals.steps {
        times.add(&timed(&step.response));
    }
    times
}
