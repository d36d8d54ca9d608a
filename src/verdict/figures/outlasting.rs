//! What was still under way when the drain was over: it has no answer here, and what hangs on it isn't known, either.

use super::{Extent, Figures};
use crate::measure::{Open, ScenarioId, StepId, Totals};
use crate::verdict::slo::{Of, Traffic};

/// Totals, and what of them was due in a phase before and doesn't count.
struct Counted<'a> {
    all: &'a Totals,
    early: Option<&'a Totals>,
    extent: Extent<'a>,
}

impl Counted<'_> {
    /// How much of it was begun and isn't over.
    fn left(&self, open: impl Fn(&Totals) -> &Open) -> u64 {
        let early = self.early.map_or(0, |early| open(early).under_way());
        u64::try_from(open(self.all).under_way() - early).unwrap_or(0)
    }

    /// Requests of a step that hang.
    fn requests(&self, step: StepId) -> u64 {
        self.left(|totals| &totals.step(step).open)
    }

    fn eventually(&self, scenario: ScenarioId) -> u64 {
        self.left(|totals| &totals.scenario(scenario).open_eventually)
    }

    /// The steps for which this holds.
    fn steps(&self, is: impl Fn(&crate::measure::StepLayout) -> bool) -> impl Iterator<Item = StepId> {
        let steps = self.extent.layout.steps.iter().enumerate();
        steps.filter(move |(_, step)| is(step)).map(|(at, _)| StepId::at(at))
    }

    /// What so many requests that hang would have added to what was counted of a scenario: each as those of its step that ended.
    /// Infinite where nobody can say, since none has.
    fn share(&self, scenario: ScenarioId) -> (u64, f64) {
        self.steps(|step| step.scenario == scenario).fold((0, 0.0), |(all, share), step| {
            let hang = self.requests(step);
            let early = self.early.map_or(0, |early| early.step(step).requests());
            let ended = self.all.step(step).requests().saturating_sub(early);
            (all + hang, if hang > 0 { share + hang as f64 / ended as f64 } else { share })
        })
    }
}

impl Figures {
    /// Takes up what outlasted the drain. It had lasted for so long at least.
    pub(super) fn outlasts(&mut self, subject: &Traffic, totals: &Totals, extent: Extent<'_>) {
        let early = totals.early.as_deref().filter(|_| !extent.counts_early());
        let counted = Counted { all: totals, early, extent };
        if subject.of == Of::Session {
            // A session in which a message is waited for lasts as long as that, and longer.
            for step in counted.steps(|step| step.within.is_some_and(|session| subject.steps.contains(&session))) {
                self.open += counted.requests(step) as i64;
                self.lasting.extend(&totals.step(step).open.lasting);
            }
        }
        if subject.all_steps && matches!(subject.of, Of::Response | Of::Service) {
            self.undone += subject.scenarios.iter().map(|id| counted.eventually(*id)).sum::<u64>();
        }
        for check in subject.checks.iter().map(|check| &extent.layout.checks[check.index()]) {
            let unclear = match check.step {
                _ if check.eventually => counted.eventually(check.scenario),
                Some(step) => counted.requests(step),
                None => 0,
            };
            self.unclear_checks += unclear;
            let mut parts = self.parts.iter_mut().zip(&subject.scenarios);
            if let Some((part, _)) = parts.find(|(_, id)| **id == check.scenario) {
                part.unclear += unclear;
            }
        }
        if matches!(subject.of, Of::Own(_)) {
            for (part, id) in self.parts.iter_mut().zip(&subject.scenarios) {
                (part.hanging, part.hung) = counted.share(*id);
            }
        }
        self.all_outlast();
    }

    fn all_outlast(&mut self) {
        let left = u64::try_from(self.open).unwrap_or(0);
        self.all += left;
        self.interrupted += left;
        self.open -= left as i64;
        // Of those that came to their end in a phase after, nobody knows which they were: the longest are taken for them.
        self.lasting.sort_unstable();
        let mut unassigned = left;
        let mut times = self.times().emptied();
        for (age, count) in std::mem::take(&mut self.lasting) {
            let count = count.min(unassigned);
            unassigned -= count;
            if !self.of_service && count > 0 {
                times.put(age, count);
            }
        }
        self.cut_off.most.add(&times);
    }
}
