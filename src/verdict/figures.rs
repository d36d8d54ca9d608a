//! What of the totals an SLO needs: a small extract that adds up and subtracts. What can be known of a measure from it is
//! [`super::known`]'s.

mod outlasting;
mod part;
mod so_far;
mod times;

use std::borrow::Cow;
use std::collections::BTreeMap;

use self::part::{ScenarioShare, own_doing};
pub(super) use self::times::Times;
use super::slo::{Of, Traffic};
use crate::base::{DropReason, Outcome, Reason};
use crate::measure::outcomes::ByOutcome;
use crate::measure::{Cut, Delayed, Heard, Layout, OwnKind, ScenarioId, Sparse, StepId, Totals};

/// What an extract needs beside the subject and the totals.
#[derive(Debug, Clone, Copy)]
pub struct Extent<'a> {
    /// The labels that the totals are of.
    pub layout: &'a Layout,
    /// The scenarios whose dropped and cancelled arrivals an SLO on `dropped` judges: they are no doubt elsewhere.
    pub covered: &'a [ScenarioId],
    /// Whether the totals are of the run.
    pub run: bool,
    /// Whether the last drain is over: what is under way will not be known here any more.
    pub over: bool,
}

impl Extent<'_> {
    /// The totals without what is no part of it.
    pub fn counted<'t>(&self, totals: &'t Totals) -> Cow<'t, Totals> {
        match totals.early.as_deref().filter(|_| !self.counts_early()) {
            Some(early) => Cow::Owned(totals.minus(early)),
            None => Cow::Borrowed(totals),
        }
    }

    /// Whether what outlasted the drain of a phase before is part of it: only of a run that is judged as a whole.
    fn counts_early(&self) -> bool {
        self.run && self.layout.active.iter().all(|(phase, _)| self.layout.judged.contains(phase))
    }
}

/// The extract: of requests, connections, iterations, groups or values, whatever the subject is about.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Figures {
    /// What ended well: its times, or the values observed.
    pub(super) good: Times,
    /// What timed out, at the time elapsed: a lower bound.
    pub(super) timed_out: Times,
    /// What was interrupted, at the time elapsed: a lower bound.
    pub(super) cut_off: Times,
    /// All of them, however they ended.
    pub(super) all: u64,
    /// Those that were due after the phase's end, and what a counter of the profile's own grew by then.
    pub(super) late: (u64, f64),
    /// What failed or timed out.
    pub(super) errors: u64,
    pub(super) timeouts: u64,
    /// Timeouts of what the generator delayed: whether the target was in time isn't known.
    pub(super) delayed_timeouts: u64,
    pub(super) interrupted: u64,
    /// Interrupted requests whose status had come.
    pub(super) cut: Cut,
    /// Begun and not over; of a part of a phase at its end, less those at its beginning.
    pub(super) open: i64,
    /// Whether it is known what is begun and not over.
    pub(super) counts_open: bool,
    /// What is under way: for how many nanoseconds at least, and how many.
    lasting: Vec<(u64, u64)>,
    /// Of a part of a phase as a requirement sees it: what may yet end in time.
    pub(super) young: u64,
    /// It is a part of a phase, and the load goes on.
    pub(super) partial: bool,
    /// Times count from when something was sent; since when that was, nobody knows of what is under way.
    of_service: bool,
    /// What the generator delayed so much that it may have been due in a part of the phase before.
    pub(super) stalled: u64,
    pub(super) reasons: [u64; Reason::COUNT],
    /// Steps without a request that could not be done, and those that were cut off.
    pub(super) step_errors: u64,
    pub(super) undone: u64,
    pub(super) codes: BTreeMap<u16, u64>,
    /// Checks evaluated, and those that failed.
    pub(super) checks: (u64, u64),
    /// Checks of requests that were interrupted, which nobody evaluated; and of those that had no answer for what the generator did
    /// itself.
    pub(super) unclear_checks: u64,
    /// Arrivals due, those dropped, those cancelled, and how many of those dropped a pause of the generator may have left nobody
    /// free for.
    pub(super) arrivals: [u64; 4],
    /// Connections opened, those that ended unasked, and those of them that this machine's own limits ended.
    pub(super) connections: [u64; 3],
    /// Connections that were open when the phase began.
    pub(super) carried: u64,
    /// What listeners heard of each kind of message.
    pub(super) heard: Vec<Heard>,
    /// `all` are requests, which have answers.
    pub(super) answers: bool,
    /// `all` are messages, sessions, or connections.
    pub(super) of_messages: bool,
    pub(super) of_sessions: bool,
    of_connections: bool,
    /// The sum of a counter of the profile's own; `None` for other subjects.
    pub(super) counter: Option<f64>,
    /// The longest time limit of a request of the subject, in seconds; 0 where nothing limits it.
    pub(super) timeout: f64,
    /// One for each scenario.
    parts: Vec<ScenarioShare>,
    /// Requests of the scenarios that the generator itself broke or delayed, where the subject is a metric of the profile's own.
    pub(super) blamed: u64,
    /// Iterations and groups that this machine's own limits may have made shorter.
    pub(super) shortened: u64,
    /// Connections of sessions that broke on this machine's own limits: who could not listen for that isn't the target's doing.
    pub(super) deaf: u64,
    /// Seconds that pauses of their worker held closed users up, together.
    pub(super) held: f64,
}

impl Figures {
    /// The subject's extract of some totals.
    pub fn of(subject: &Traffic, totals: &Totals, extent: Extent<'_>) -> Self {
        let mut figures = Self::all_of(subject, totals, extent);
        if let Some(early) = totals.early.as_ref().filter(|_| !extent.counts_early()) {
            figures = figures.minus(&Self::all_of(subject, early, extent));
            // It is no part of a phase, but all that counts of it.
            figures.parts.iter_mut().for_each(|part| part.each = None);
        }
        if extent.over {
            figures.outlasts(subject, totals, extent);
        }
        figures
    }

    fn all_of(subject: &Traffic, totals: &Totals, extent: Extent<'_>) -> Self {
        let (of_messages, of_sessions) = (subject.of == Of::MessageLatency, subject.of == Of::Session);
        let answers = matches!(subject.of, Of::Response | Of::Service);
        let counts_open = answers || matches!(subject.of, Of::Connect | Of::Iteration | Of::Group);
        let (of_service, of_connections) = (subject.of == Of::Service, subject.of == Of::Connect);
        let kind = Self { of_messages, of_sessions, of_connections, answers, counts_open, of_service, ..Self::default() };
        let mut figures = Self { timeout: subject.timeout, ..kind };
        for id in &subject.scenarios {
            let before = figures.counted();
            figures.scenario(subject, *id, totals, extent.layout);
            figures.part(subject, *id, totals, extent, before);
        }
        if let Some(late) = &totals.late {
            let late = Self::all_of(subject, late, extent);
            figures.late = (late.all, late.counter.unwrap_or(0.0));
        }
        figures
    }

    /// What one scenario adds.
    fn scenario(&mut self, subject: &Traffic, id: ScenarioId, totals: &Totals, layout: &Layout) {
        let scenario = totals.scenario(id);
        let steps = || subject.steps.iter().filter(|step| layout.steps[step.index()].scenario == id).copied();
        match subject.of {
            Of::Response | Of::Service => {
                for step in steps().map(|id| totals.step(id)) {
                    // What was never sent has no service time, so the counts come from response times.
                    self.count(&step.response, paused(&step.delayed_service));
                    self.goes_on(&step.open);
                    self.cut.add(&step.cut);
                    self.stalled += step.stalled;
                    match subject.of {
                        Of::Service => self.time(&step.service, &step.delayed_service),
                        _ => self.time(&step.response, &step.delayed_response),
                    }
                    add(&mut self.reasons, &step.reasons);
                    for (code, n) in &step.codes {
                        *self.codes.entry(*code).or_default() += n;
                    }
                }
                if subject.all_steps {
                    self.step_errors += scenario.step_errors.iter().sum::<u64>();
                    self.undone += scenario.undone;
                    add(&mut self.reasons, &scenario.step_errors);
                }
            }
            Of::Connect => {
                for connects in subject.protocols.iter().map(|protocol| &scenario.connects[protocol.index()]) {
                    let failed: u64 = connects.failures.iter().sum();
                    for (times, outcome, measured) in [
                        (&mut self.good, Outcome::Ok, &connects.duration),
                        (&mut self.timed_out, Outcome::Timeout, &connects.timed_out),
                        (&mut self.cut_off, Outcome::Interrupted, &connects.cut_off),
                    ] {
                        times.add(outcome, measured, &connects.delayed);
                    }
                    self.all += connects.attempts();
                    self.goes_on(&connects.open);
                    self.errors += failed;
                    self.timeouts += connects.failures[Reason::Timeout.index()];
                    self.delayed_timeouts += paused(&connects.delayed);
                    self.interrupted += connects.cut_off.count();
                    add(&mut self.reasons, &connects.failures);
                }
            }
            Of::Iteration => {
                self.count(&scenario.iterations, 0);
                self.goes_on(&scenario.open);
                self.stalled += scenario.delayed_iterations.count();
                self.time(&scenario.iterations, &scenario.delayed_iterations);
                self.blame(&scenario.iterations, id, totals, layout);
            }
            Of::Group => {
                for group in subject.groups.iter().filter(|group| layout.groups[group.index()].scenario == id) {
                    self.count(totals.group(*group), 0);
                    if let Some(open) = totals.open_groups.get(group.index()) {
                        self.goes_on(open);
                    }
                    self.stalled += totals.delayed_group(*group).count();
                    self.time(totals.group(*group), totals.delayed_group(*group));
                    self.blame(totals.group(*group), id, totals, layout);
                }
            }
            Of::Own(metric) => {
                let own = totals.own(metric, id);
                self.good.most.add(&own.histogram);
                self.all += own.histogram.count();
                *self.counter.get_or_insert(0.0) += own.counter;
            }
            Of::Session => {
                for session in steps().map(|id| totals.session(id)) {
                    self.count(&session.durations, 0);
                    self.time(&session.durations, &session.delayed);
                    self.blame(&session.durations, id, totals, layout);
                }
            }
            // Nothing adds up to a gauge, and messages are counted below.
            Of::MessageLatency | Of::Gauge(_) => {}
        }
        for message in subject.messages.iter().filter(|message| {
            let step = layout.messages[message.index()].step;
            layout.steps[step.index()].scenario == id
        }) {
            let message = totals.message(*message);
            if subject.of == Of::MessageLatency {
                self.good.add(Outcome::Ok, &message.latency, &message.delayed);
                // One that never came, or whose time of publication isn't known, came within no time.
                self.all += message.latency.count().max(message.received) + message.missed;
                self.stalled += message.delayed.count().max(message.behind);
            }
            self.heard.push(message.heard());
        }
        for check in subject.checks.iter().filter(|check| layout.checks[check.index()].scenario == id) {
            let totals_of = totals.check(*check);
            self.checks.0 += totals_of.total;
            self.checks.1 += totals_of.failed;
            self.unclear_checks += totals_of.unclear;
            if let Some(step) = layout.checks[check.index()].step.map(|step| totals.step(step)) {
                let own = step.reasons[Reason::Local.index()] + paused(&step.delayed_service);
                // Evaluated without an answer for what the generator did itself, and failed for that.
                let own = own.min(totals_of.failed);
                self.unclear_checks += step.count(Outcome::Interrupted) + own;
                self.checks.0 -= own;
                self.checks.1 -= own;
            }
        }
        self.arrivals[0] += scenario.due;
        self.arrivals[1] += scenario.dropped.iter().sum::<u64>();
        self.arrivals[2] += scenario.cancelled;
        self.arrivals[3] += scenario.displaced;
        for connects in subject.protocols.iter().map(|protocol| &scenario.connects[protocol.index()]) {
            self.carried += connects.carried;
            self.connections[0] += connects.duration.count();
            self.connections[1] += connects.disconnects.iter().sum::<u64>();
            self.connections[2] += connects.disconnects[Reason::Local.index()];
            self.deaf += connects.failures[Reason::Local.index()];
        }
    }

    /// Of iterations, groups or sessions that failed: no more of them can have failed for what the generator did itself than there
    /// were such requests.
    fn blame(&mut self, ended: &ByOutcome, id: ScenarioId, totals: &Totals, layout: &Layout) {
        let of_scenario =
            || totals.steps.iter().zip(&layout.steps).filter(|(_, step)| step.scenario == id).map(|(totals, _)| totals);
        let timed_out = ended[Outcome::Timeout.index()].count();
        let failed = ended[Outcome::Error.index()].count() + timed_out;
        let local = of_scenario().map(|step| step.reasons[Reason::Local.index()]).sum::<u64>()
            + totals.scenario(id).step_errors[Reason::Local.index()];
        let delayed: u64 = of_scenario().map(|step| paused(&step.delayed_service)).sum();
        // Those that went on all the same left out what they would have waited for.
        self.shortened += local.saturating_sub(failed).min(ended[Outcome::Ok.index()].count());
        let local = local.min(failed);
        self.reasons[Reason::Local.index()] += local;
        self.delayed_timeouts += delayed.min(timed_out).min(failed - local);
    }

    /// How much there is of what an iteration does: items, checks, the growth of a counter, what is open, and checks that aren't clear.
    fn counted(&self) -> (u64, u64, f64, i64, u64) {
        (self.all, self.checks.0, self.counter.unwrap_or(0.0), self.open, self.unclear_checks)
    }

    /// Notes what a scenario did, where what was there `before` came from others, and what its load asked for.
    fn part(
        &mut self,
        subject: &Traffic,
        id: ScenarioId,
        totals: &Totals,
        extent: Extent<'_>,
        before: (u64, u64, f64, i64, u64),
    ) {
        let of = subject.of;
        let scenario = totals.scenario(id);
        let (all, checks, counter, open, unclear) = self.counted();
        let count = |outcome: Outcome| scenario.iterations[outcome.index()].count();
        let (interrupted, failed) = (count(Outcome::Interrupted), count(Outcome::Error) + count(Outcome::Timeout));
        let iterations: u64 = scenario.iterations.iter().map(Sparse::count).sum();
        let mut unfinished = 0;
        if let Of::Own(metric) = of {
            let broken = own_doing(id, totals, extent.layout);
            self.blamed += broken;
            unfinished = totals.own(metric, id).unfinished + broken.min(failed);
            // A distribution lacks the value of what a time limit ended; a counter doesn't, for nothing was done.
            if matches!(extent.layout.own[metric.index()].kind, OwnKind::Histogram { .. }) {
                unfinished = (unfinished + count(Outcome::Timeout)).min(interrupted + failed);
            }
        }
        // Arrivals that started and that no record has: their worker stood still until that was closed. What came too late for a phase
        // before isn't of this one.
        let early = totals.early.as_ref().filter(|_| !extent.counts_early()).map_or(0, |early| early.scenario(id).unsent);
        let begun = iterations as i64 + scenario.open.under_way() - early as i64;
        let lost = if extent.over { (scenario.started as i64 - begun).max(0) as u64 } else { 0 };
        // Those that were cut off at once are interrupted iterations already.
        let unsent = lost + if matches!(of, Of::Iteration | Of::Own(_)) { 0 } else { scenario.unsent };
        // What broke on this machine's own limits in another step left out the subject's steps behind it.
        if matches!(of, Of::Response | Of::Service) {
            let steps = totals.steps.iter().zip(&extent.layout.steps).enumerate();
            let others = steps.filter(|(at, (_, layout))| layout.scenario == id && !subject.steps.contains(&StepId::at(*at)));
            unfinished = others.map(|(_, (step, _))| step.reasons[Reason::Local.index()]).sum::<u64>().min(failed);
        }
        self.held += scenario.held as f64 / 1e9;
        let dead = scenario.dropped[DropReason::DeadTarget.index()];
        // What an SLO of its own judges is left to that, but for what a pause displaced, which that can't judge either.
        let dropped = scenario.unstarted() - dead;
        let judged = scenario.judged.min(dropped);
        let unjudged = if extent.covered.contains(&id) { scenario.displaced } else { dropped - judged };
        // What an iteration adds to a metric of the profile's own, those say that came to a good end.
        let whole = count(Outcome::Ok);
        let ended = if let Of::Own(_) = of { whole } else { iterations - unfinished.min(iterations) };
        let has_checks = subject.checks.iter().any(|check| extent.layout.checks[check.index()].scenario == id);
        self.parts.push(ScenarioShare {
            all: all - before.0,
            checks: checks - before.1,
            counter: counter - before.2,
            open: open - before.3,
            unclear: unclear - before.4,
            has_checks,
            whole,
            each: None,
            started: scenario.started.saturating_sub(unsent),
            unstarted: unsent + unjudged.min(dropped),
            dead,
            dead_unjudged: if extent.covered.contains(&id) { 0 } else { dead },
            wanted: scenario.wanted,
            // Who waits does what it asked for, wherever that counts.
            absent: scenario.absent - if extent.counts_early() { scenario.hung.min(scenario.absent) } else { 0 },
            held: scenario.held,
            held_back: scenario.held_back,
            ended,
            unfinished,
            hanging: 0,
            hung: 0.0,
            idle: iterations == 0 && scenario.open.begun == 0,
            under_way: scenario.started.saturating_sub(iterations) as i64,
        });
    }

    /// Counts what ended. Of the timeouts so many were reached while the worker stood still: a late start takes nothing of the time limit.
    fn count(&mut self, by_outcome: &ByOutcome, paused_timeouts: u64) {
        let (timeout, interrupted) = (Outcome::Timeout.index(), Outcome::Interrupted.index());
        self.all += by_outcome.iter().map(Sparse::count).sum::<u64>();
        self.timeouts += by_outcome[timeout].count();
        self.delayed_timeouts += paused_timeouts;
        self.interrupted += by_outcome[interrupted].count();
        self.errors += by_outcome[Outcome::Error.index()].count() + by_outcome[timeout].count();
    }

    fn time(&mut self, by_outcome: &ByOutcome, delayed: &Delayed) {
        for (times, outcome) in
            [(&mut self.good, Outcome::Ok), (&mut self.timed_out, Outcome::Timeout), (&mut self.cut_off, Outcome::Interrupted)]
        {
            times.add(outcome, &by_outcome[outcome.index()], delayed);
        }
    }

    /// What has come since `earlier`, an extract of the same subject. What was open when the phase began counts as open since then, too.
    pub fn minus(&self, earlier: &Self) -> Self {
        let mut rest = self.clone();
        rest.good = self.good.minus(&earlier.good);
        rest.timed_out = self.timed_out.minus(&earlier.timed_out);
        rest.cut_off = self.cut_off.minus(&earlier.cut_off);
        rest.cut.take(&earlier.cut);
        for (code, n) in &mut rest.codes {
            less(n, earlier.codes.get(code).copied().unwrap_or(0));
        }
        for (mine, theirs) in [
            (&mut rest.all, earlier.all),
            (&mut rest.late.0, earlier.late.0),
            (&mut rest.errors, earlier.errors),
            (&mut rest.timeouts, earlier.timeouts),
            (&mut rest.delayed_timeouts, earlier.delayed_timeouts),
            (&mut rest.interrupted, earlier.interrupted),
            (&mut rest.step_errors, earlier.step_errors),
            (&mut rest.undone, earlier.undone),
            (&mut rest.shortened, earlier.shortened),
            (&mut rest.stalled, earlier.stalled),
            (&mut rest.checks.0, earlier.checks.0),
            (&mut rest.checks.1, earlier.checks.1),
            (&mut rest.unclear_checks, earlier.unclear_checks),
            (&mut rest.blamed, earlier.blamed),
            (&mut rest.deaf, earlier.deaf),
        ] {
            less(mine, theirs);
        }
        for (mine, theirs) in [
            (&mut rest.reasons[..], &earlier.reasons[..]),
            (&mut rest.arrivals, &earlier.arrivals),
            (&mut rest.connections, &earlier.connections),
        ] {
            mine.iter_mut().zip(theirs).for_each(|(mine, theirs)| less(mine, *theirs));
        }
        rest.held = (self.held - earlier.held).max(0.0);
        for (mine, theirs) in rest.parts.iter_mut().zip(&earlier.parts) {
            *mine = mine.minus(theirs);
        }
        for (mine, theirs) in rest.heard.iter_mut().zip(&earlier.heard) {
            *mine = mine.minus(theirs);
        }
        rest.late.1 -= earlier.late.1;
        rest.open -= earlier.open;
        rest.counter = self.counter.map(|sum| sum - earlier.counter.unwrap_or(0.0));
        rest
    }

    /// The times (or values) that quantiles are of, as measured: answers, timeouts and interrupted; other errors are left to `errors`.
    pub fn times(&self) -> Sparse {
        let mut times = self.good.most.clone();
        times.add(&self.timed_out.most);
        times.add(&self.cut_off.most);
        times
    }
}

/// Timeouts that were reached while the worker stood still.
fn paused(delayed_service: &Delayed) -> u64 {
    delayed_service.measured[Outcome::Timeout.index()].count()
}

fn less(mine: &mut u64, theirs: u64) {
    *mine = mine.saturating_sub(theirs);
}

fn add(mine: &mut [u64; Reason::COUNT], theirs: &[u64; Reason::COUNT]) {
    for (mine, theirs) in mine.iter_mut().zip(theirs) {
        *mine += theirs;
    }
}

#[cfg(test)]
mod tests;
