//! What one scenario did of an SLO's subject, what its load asked for, and what of that was never done.

use super::Figures;

/// What one scenario did of the subject, and what its load asked for: plain counts, so that parts of a phase can be told apart.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(in crate::verdict) struct Part {
    /// Requests, iterations, …: whatever the subject is about.
    pub all: u64,
    pub checks: u64,
    pub counter: f64,
    /// Arrivals that started, and those that were dropped or cancelled and no SLO of their own judges.
    pub started: u64,
    pub unstarted: u64,
    /// Arrivals that were dropped because the target was away.
    pub dead: u64,
    /// Nanoseconds of closed users: wanted, gone before their time, held up by pauses of their worker, held back because the target was
    /// away.
    pub wanted: u64,
    pub absent: u64,
    pub held: u64,
    pub held_back: u64,
    /// Iterations that came to their end by themselves, and those that could not record a value of the profile's own.
    pub ended: u64,
    pub unfinished: u64,
    /// Iterations of arrivals that are under way; of a part of a phase, at its end less those at its beginning.
    pub under_way: i64,
}

impl Part {
    pub fn minus(&self, earlier: &Self) -> Self {
        let less = u64::saturating_sub;
        Self {
            all: less(self.all, earlier.all),
            checks: less(self.checks, earlier.checks),
            counter: self.counter - earlier.counter,
            started: less(self.started, earlier.started),
            unstarted: less(self.unstarted, earlier.unstarted),
            dead: less(self.dead, earlier.dead),
            wanted: less(self.wanted, earlier.wanted),
            absent: less(self.absent, earlier.absent),
            held: less(self.held, earlier.held),
            held_back: less(self.held_back, earlier.held_back),
            ended: less(self.ended, earlier.ended),
            unfinished: less(self.unfinished, earlier.unfinished),
            under_way: self.under_way - earlier.under_way,
        }
    }

    /// How long closed users were there, and not held back.
    fn at_work(&self) -> u64 {
        self.wanted.saturating_sub(self.absent + self.held_back)
    }

    /// What was never sent because the target was away: it would have failed, too. An arrival counts as those that started, and time as
    /// that in which users were at work.
    fn unsent(&self) -> f64 {
        let each = if self.started > 0 { self.all as f64 / self.started as f64 } else { 1.0 };
        let share = if self.at_work() > 0 { self.held_back as f64 / self.at_work() as f64 } else { 0.0 };
        self.dead as f64 * each + self.all as f64 * share
    }

    /// What is missing, by the share of what is there: for each arrival that started, each second of a user that was there, each
    /// iteration that ended. Where nothing is there nobody can say.
    fn missing(&self, there: f64) -> f64 {
        let part = |missing: u64, of: u64| match (missing, of) {
            (0, _) => 0.0,
            (_, 0) => f64::INFINITY,
            (missing, of) => missing as f64 / of as f64,
        };
        let present = self.at_work();
        let missing = part(self.unstarted, self.started) + part(self.absent, present) + part(self.unfinished, self.ended);
        match (missing > 0.0, there > 0.0) {
            (false, _) => 0.0,
            (true, false) => f64::INFINITY,
            (true, true) => missing * there,
        }
    }
}

/// Work that the load asked for and that was never done, of the subject.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(in crate::verdict) struct Unmade {
    /// Arrivals that were dropped or cancelled.
    pub arrivals: u64,
    /// How long closed users were gone before their time, together, in seconds.
    pub absent: f64,
    /// Iterations that could not record a value of the profile's own: they were cut off, or the generator itself broke them.
    pub unfinished: u64,
    /// What those arrivals, users and iterations would have done of the subject (requests, iterations, …); infinite where nobody can say.
    pub items: f64,
    /// The checks that they would have evaluated.
    pub checks: f64,
    /// What a counter of the profile's own would have grown by.
    pub counter: f64,
    /// By what part more would have been done if pauses of the workers had not held closed users up: only rates and counts depend on it.
    pub held: f64,
    /// What was begun in a part of a phase and ends in a later one, less what was begun in an earlier one.
    pub under_way: f64,
}

impl Figures {
    /// What the load asked for and never got.
    pub(in crate::verdict) fn unmade(&self) -> Unmade {
        let mut unmade = Unmade::default();
        for part in &self.parts {
            unmade.arrivals += part.unstarted;
            unmade.absent += part.absent as f64 / 1e9;
            unmade.unfinished += part.unfinished;
            unmade.items += part.missing(part.all as f64);
            if part.checks > 0 {
                unmade.checks += part.missing(part.checks as f64);
            }
            if part.counter > 0.0 {
                unmade.counter += part.missing(part.counter);
            }
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

    /// What was never sent because the target was away.
    pub(in crate::verdict) fn unsent(&self) -> u64 {
        self.parts.iter().map(Part::unsent).sum::<f64>().round() as u64
    }
}
