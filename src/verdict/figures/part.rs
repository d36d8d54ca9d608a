//! What one scenario did of an SLO's subject, what its load asked for, and what of that was never done.

use super::Figures;
use crate::base::Reason;
use crate::measure::{Layout, ScenarioId, Totals};

/// What one scenario did of the subject, and what its load asked for: plain counts, so that parts of a phase can be distinguished.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(in crate::verdict) struct ScenarioShare {
    /// Requests, iterations, …: whatever the subject is about.
    pub all: u64,
    pub checks: u64,
    pub counter: f64,
    /// Checks that nobody could evaluate, and whether there are any to evaluate.
    pub unclear: u64,
    pub has_checks: bool,
    /// Begun and not over, of the subject.
    pub open: i64,
    /// What an arrival does, of a part of a phase: as the phase's arrivals did so far.
    pub each: Option<Each>,
    /// Arrivals that started, and those that were dropped or cancelled and no SLO of their own judges.
    pub started: u64,
    pub unstarted: u64,
    /// Arrivals that were dropped because the target was away, and those of them that no SLO of their own judges.
    pub dead: u64,
    pub dead_unjudged: u64,
    /// Nanoseconds of closed users: wanted, gone before their time, held up by pauses of their worker, held back because the target was
    /// away.
    pub wanted: u64,
    pub absent: u64,
    pub held: u64,
    pub held_back: u64,
    /// Iterations that came to their end by themselves, and those that lack the subject: they could not record
    /// a value of the profile's own, or another step broke on this machine's own limits before.
    pub ended: u64,
    pub unfinished: u64,
    /// Iterations that came to a good end.
    pub whole: u64,
    /// Requests that hung when the drain was over, and how much of what was counted of a metric of the profile's own they would have added.
    pub hanging: u64,
    pub hung: f64,
    /// No iteration of it has begun.
    pub idle: bool,
    /// Iterations of arrivals that are under way; of a part of a phase, at its end less those at its beginning.
    pub under_way: i64,
}

/// What an arrival does on average: of the subject, checks, and the growth of a counter.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in crate::verdict) struct Each {
    items: f64,
    checks: f64,
    counter: f64,
}

impl ScenarioShare {
    pub fn minus(&self, earlier: &Self) -> Self {
        let less = u64::saturating_sub;
        Self {
            all: less(self.all, earlier.all),
            checks: less(self.checks, earlier.checks),
            counter: self.counter - earlier.counter,
            unclear: less(self.unclear, earlier.unclear),
            has_checks: self.has_checks,
            open: self.open - earlier.open,
            each: self.each(),
            started: less(self.started, earlier.started),
            unstarted: less(self.unstarted, earlier.unstarted),
            dead: less(self.dead, earlier.dead),
            dead_unjudged: less(self.dead_unjudged, earlier.dead_unjudged),
            wanted: less(self.wanted, earlier.wanted),
            absent: less(self.absent, earlier.absent),
            held: less(self.held, earlier.held),
            held_back: less(self.held_back, earlier.held_back),
            ended: less(self.ended, earlier.ended),
            unfinished: less(self.unfinished, earlier.unfinished),
            whole: less(self.whole, earlier.whole),
            hanging: self.hanging,
            hung: self.hung,
            idle: self.idle,
            under_way: self.under_way - earlier.under_way,
        }
    }

    /// What an arrival does; none where none has started. What those that are under way have still to check and to count nobody knows: they
    /// are taken for those that are over.
    fn each(&self) -> Option<Each> {
        let items = self.items() / self.started as f64;
        let over = self.started.saturating_sub(u64::try_from(self.under_way).unwrap_or(0));
        let share = |of: f64| if over > 0 { of / over as f64 } else { f64::INFINITY };
        (self.started > 0).then(|| Each { items, checks: share(self.checks()), counter: share(self.counter) })
    }

    /// What there is of the subject, under way or over.
    fn items(&self) -> f64 {
        self.all as f64 + self.open.max(0) as f64
    }

    /// The checks that there would be if nothing had kept them from being evaluated.
    fn checks(&self) -> f64 {
        (self.checks + self.unclear) as f64
    }

    /// What there would be if iterations that lack the subject had done of it what the others did. Where nothing is there nobody can say.
    fn whole_of(&self, there: f64) -> f64 {
        match part(self.unfinished, self.ended) + self.hung {
            0.0 => there,
            _ if there <= 0.0 => f64::INFINITY,
            lacking => there * (1.0 + lacking),
        }
    }

    /// How long closed users were there, and not held back.
    fn at_work(&self) -> u64 {
        self.wanted.saturating_sub(self.absent + self.held_back)
    }

    /// What was never sent because the target was away: it would have failed, too.
    fn unsent(&self) -> f64 {
        self.withheld(self.dead, self.all as f64, 1.0)
    }

    /// What was never done because the target was away, for so many arrivals and the time of users, where so much was done. An arrival
    /// counts as those that started, and time as that in which users were at work; `each` where none started.
    fn withheld(&self, arrivals: u64, there: f64, each: f64) -> f64 {
        if arrivals == 0 && self.held_back == 0 {
            return 0.0;
        }
        let there = self.whole_of(there);
        let each = if self.started > 0 { there / self.started as f64 } else { each };
        let share = if self.at_work() > 0 { self.held_back as f64 / self.at_work() as f64 } else { 0.0 };
        arrivals as f64 * each + there * share
    }

    /// What is missing, by what an arrival does, or by the share of what is there: for each arrival that started, each second of a user
    /// that was there, each iteration that ended. Where nothing is there nobody can say.
    fn missing(&self, there: f64, each: Option<f64>) -> f64 {
        let whole = self.whole_of(there);
        let each = each.filter(|each| *each > 0.0);
        let of_arrivals = each.map(|each| if self.unstarted > 0 { self.unstarted as f64 * each } else { 0.0 });
        let unstarted = if of_arrivals.is_none() { part(self.unstarted, self.started) } else { 0.0 };
        let missing = unstarted + part(self.absent, self.at_work());
        let rest = match (missing > 0.0, whole > 0.0) {
            (false, _) => 0.0,
            (true, false) => f64::INFINITY,
            (true, true) => missing * whole,
        };
        (whole - there) + of_arrivals.unwrap_or(0.0) + rest
    }
}

/// What is missing, by what is there. Where nothing is there nobody can say.
fn part(missing: u64, of: u64) -> f64 {
    match (missing, of) {
        (0, _) => 0.0,
        (_, 0) => f64::INFINITY,
        (missing, of) => missing as f64 / of as f64,
    }
}

/// Work that the load asked for and that was never done, of the subject.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(in crate::verdict) struct Unmade {
    /// Arrivals that were dropped or cancelled.
    pub arrivals: u64,
    /// How long closed users were gone before their time, together, in seconds.
    pub absent: f64,
    /// Iterations that lack the subject: they could not record a value of the profile's own, or another step broke on this machine's own
    /// limits before.
    pub unfinished: u64,
    /// Requests that hung when the drain was over, behind which a value of the profile's own might have been recorded.
    pub hanging: u64,
    /// What those arrivals, users and iterations would have done of the subject (requests, iterations, …); infinite where nobody can say.
    pub items: f64,
    /// The checks that they would have evaluated.
    pub checks: f64,
    /// What a counter of the profile's own would have grown by.
    pub counter: f64,
    /// Arrivals that were dropped, and how long closed users were held back, together, in seconds, because the target was away.
    pub dead: u64,
    pub held_back: f64,
    /// What was never done because the target was away. What is due then has failed; of what failed how, and after what time, nobody knows.
    pub withheld: f64,
    /// By what part more would have been done if pauses of the workers had not held closed users up: only rates and counts depend on it.
    pub held: f64,
    /// What was begun in a part of a phase and ends in a later one, less what was begun in an earlier one.
    pub under_way: f64,
}

impl Figures {
    /// By how many seconds the generator itself may have made the times longer, together.
    pub(in crate::verdict) fn delay(&self) -> f64 {
        let times = [&self.good, &self.timed_out, &self.cut_off];
        times.map(|times| if times.delayed() > 0 { times.most.sum() - times.least().sum() } else { 0.0 }).iter().sum()
    }

    /// What the load asked for and never got.
    pub(in crate::verdict) fn unmade(&self) -> Unmade {
        let mut unmade = Unmade::default();
        for part in &self.parts {
            unmade.arrivals += part.unstarted;
            unmade.absent += part.absent as f64 / 1e9;
            unmade.unfinished += part.unfinished;
            unmade.hanging += part.hanging;
            unmade.items += part.missing(part.items(), part.each.map(|each| each.items));
            unmade.dead += part.dead_unjudged;
            unmade.held_back += part.held_back as f64 / 1e9;
            let withheld = part.withheld(part.dead_unjudged, part.all as f64, 1.0);
            let kind = if self.all_came_up() { &mut unmade.items } else { &mut unmade.withheld };
            *kind += withheld;
            // Where no iteration came to a good end nobody knows what one adds.
            let unknown = part.whole == 0 || part.hung.is_infinite();
            let adds = |there: f64, each: Option<f64>| match there > 0.0 || unknown {
                true if there <= 0.0 && part.dead_unjudged + part.held_back > 0 => f64::INFINITY,
                true => part.missing(there, each) + part.withheld(part.dead_unjudged, there, 0.0),
                false => 0.0,
            };
            if part.has_checks {
                unmade.checks += adds(part.checks(), part.each.map(|each| each.checks));
            }
            unmade.counter += adds(part.counter, part.each.map(|each| each.counter));
            let at_work = part.at_work().saturating_sub(part.held);
            if part.held > 0 {
                let held = if at_work > 0 { part.held as f64 / at_work as f64 } else { f64::INFINITY };
                unmade.held = unmade.held.max(held);
            }
            let each = if part.started > 0 { (part.all as f64 / part.started as f64).max(1.0) } else { 1.0 };
            unmade.under_way += part.under_way as f64 * each;
        }
        unmade
    }

    /// Whether nothing was begun that could have counted.
    pub(in crate::verdict) fn is_idle(&self) -> bool {
        self.parts.iter().all(|part| part.idle)
    }

    /// Whether they are connections, and each that was tried came up: of those that were held back nobody knows whether they would have failed.
    pub(in crate::verdict) fn all_came_up(&self) -> bool {
        self.of_connections && self.errors == self.reasons[Reason::Local.index()]
    }

    /// What was never sent because the target was away, and counts as failed.
    pub(in crate::verdict) fn unsent(&self) -> u64 {
        if self.all_came_up() {
            return 0;
        }
        self.parts.iter().map(ScenarioShare::unsent).sum::<f64>().round() as u64
    }
}

/// Requests of a scenario that broke on this machine's own limits, and requests and messages that the generator delayed so much that
/// it shows in what a profile makes of them.
pub(super) fn own_doing(id: ScenarioId, totals: &Totals, layout: &Layout) -> u64 {
    let of_scenario = totals.steps.iter().zip(&layout.steps).filter(|(_, step)| step.scenario == id);
    let requests: u64 = of_scenario.map(|(step, _)| step.reasons[Reason::Local.index()] + step.stalled).sum();
    let of_messages = totals.messages.iter().zip(&layout.messages).filter(|(_, message)| layout.scenario_of(message) == id);
    requests + of_messages.map(|(message, _)| message.delayed.count().max(message.behind)).sum::<u64>()
}
