//! Set-up, verify and teardown of a run: when each is done, what its failure means, and what is reported of it.
//!
//! A set-up that fails ends the run before its first phase. Verify says whether the target's state is right: what fails there
//! fails the run, unless it is inconclusive (a list overflowed), or the run was ended before its time, when it is for
//! information. Teardown comes last however the run went, and what fails there is reported without changing the verdict: the target
//! did what was asked of it under load.

use std::time::{Duration, Instant};

use tokio::sync::mpsc::UnboundedReceiver;

use crate::base::Verdict;
use crate::base::units::show_seconds;
use crate::engine::{self, Ending, HookEnd, HookHow, HookOrder, HookRun};
use crate::expr::{BOUND, Cause};
use crate::measure::process::unix_time;
use crate::measure::{CheckId, Totals};
use crate::plan::{Hook, HookKind};
use crate::record::Progress;
use crate::record::build::{self, HookInput};

use super::driver::RunDriver;
use super::judging::{lost_by_step, samples, totals_by_name};
use super::patience::{PATIENCE, passed};
use super::result;
use super::shortfall;
use super::update::{SAID, Stop, Update};

/// How often a hook reports how far it is.
const TICK: Duration = Duration::from_secs(1);

/// How a hook that was begun came out.
struct Came {
    /// What went wrong, each as a sentence without the hook's name; empty if nothing did.
    wrong: Vec<String>,
    /// It was ended from outside.
    stopped: bool,
    /// It has checks, and not one of them was made.
    unchecked: bool,
    /// An `eventually` held only in the time that a pause of the generator took.
    undone: bool,
    /// What may account for its failed checks.
    cause: Cause,
}

impl RunDriver {
    /// Set-up, if there is one. What it left can be read from here on.
    ///
    /// # Errors
    /// How the run ends, before any phase.
    pub(super) async fn set_up(
        &mut self,
        stop: &mut UnboundedReceiver<Stop>,
        update: &mut (dyn FnMut(Update<'_>) + Send),
    ) -> Result<(), Ending> {
        let Some(came) = self.hook(HookKind::Setup, stop, update).await else { return Ok(()) };
        // Asked in its last step, which was carried to its end: there is no load all the same.
        if came.stopped || self.asked_to_stop() {
            return Err(Ending::Stopped);
        }
        if came.wrong.is_empty() {
            return Ok(());
        }
        self.verdict = Verdict::Fail;
        for wrong in came.wrong {
            self.say(format!("Set-up failed: {wrong}"));
        }
        Err(Ending::Failed("set-up failed".to_owned()))
    }

    /// Verify and teardown, as far as the profile has them and the run's end allows it. Answers how the run ended.
    pub(super) async fn wind_up(
        &mut self,
        mut ending: Ending,
        stop: &mut UnboundedReceiver<Stop>,
        update: &mut (dyn FnMut(Update<'_>) + Send),
    ) -> Ending {
        self.carried.lists.publish();
        self.overflows();
        if self.plan.hooks.verify.is_some() {
            match &ending {
                Ending::Completed if !self.asked_to_stop() => {
                    if self.verify(false, stop, update).await {
                        ending = Ending::Stopped;
                    }
                }
                Ending::Aborted(_) if !self.asked_to_stop() => drop(self.verify(true, stop, update).await),
                Ending::Failed(_) if !self.began => {}
                Ending::Failed(_) => self.say("Verify was left out, since the run could not be carried out.".to_owned()),
                _ => self.doubt("Verify was left out, since the run was ended from outside.".to_owned()),
            }
        }
        if self.plan.hooks.teardown.is_none() {
            return ending;
        }
        if self.asked == Some(Stop::AtOnce) {
            self.say("Teardown was left out, since the run was asked to end at once: what it made is still there.".to_owned());
            return ending;
        }
        let Some(came) = self.hook(HookKind::Teardown, stop, update).await else { return ending };
        if came.stopped {
            self.say(
                "Teardown was cut off, since the run was asked to end at once: some of what it made may still be there."
                    .to_owned(),
            );
        }
        for wrong in came.wrong {
            self.say(format!("Teardown failed: {wrong} Some of what the run made may still be there."));
        }
        ending
    }

    /// Whether it was cut short from outside.
    async fn verify(
        &mut self,
        for_information: bool,
        stop: &mut UnboundedReceiver<Stop>,
        update: &mut (dyn FnMut(Update<'_>) + Send),
    ) -> bool {
        let Some(came) = self.hook(HookKind::Verify, stop, update).await else { return false };
        // What is not known completely proves nothing, neither way.
        let unsure = match came.cause {
            _ if !self.carried.lists.overflowed().is_empty() => Some("a list overflowed".to_owned()),
            Cause::KeptBack => {
                let kept = self.carried.shortfall.all.kept.ceil();
                Some(format!("the generator itself kept up to {kept} requests from being sent or read"))
            }
            Cause::CutOff => {
                Some(format!("{}, and may have left out what they were to do and to count", shortfall::cut_off(&self.drained)))
            }
            Cause::Target => None,
        };
        if let Some(hook) = self.hooks.last_mut().filter(|hook| !hook.ok) {
            hook.unsure.clone_from(&unsure);
        }
        let held = came.wrong.is_empty() && !came.stopped && !came.unchecked && !came.undone;
        if held && !for_information {
            self.verdict = self.verdict.max(Verdict::Pass);
        }
        for wrong in came.wrong {
            match (for_information, &unsure) {
                (true, _) => self.say(format!("Verify, for information since the run was ended before its time: {wrong}")),
                (false, Some(why)) => self.doubt(format!("Verify is inconclusive, since {why}: {wrong}")),
                (false, None) => {
                    self.verdict = Verdict::Fail;
                    self.say(format!("Verify failed: {wrong}"));
                }
            }
        }
        if came.stopped {
            self.doubt("Verify was cut short: the run was ended from outside.".to_owned());
        } else if came.unchecked && !for_information {
            self.doubt("Verify proved nothing: none of its checks was made.".to_owned());
        } else if came.undone && !for_information {
            self.doubt(
                "Verify is inconclusive: an `eventually` held only in the time that the generator itself stood still.".to_owned(),
            );
        }
        came.stopped
    }

    /// Carries one of them out, if the profile has it.
    async fn hook(
        &mut self,
        kind: HookKind,
        stop: &mut UnboundedReceiver<Stop>,
        update: &mut (dyn FnMut(Update<'_>) + Send),
    ) -> Option<Came> {
        let plan = self.plan.clone();
        let hook = plan.hooks.get(kind)?;
        let name = kind.label();
        update(Update::Say(format!("{name} begins")));
        self.progress = Progress { phase: name.to_owned(), phase_duration: hook.timeout.as_secs_f64(), ..Progress::default() };
        self.show(update);
        tracing::info!(profile = %plan.name, hook = name, "hook started");
        if kind != HookKind::Setup {
            let run = self.drained.clone().plus(&self.staged);
            self.carried.metrics = Some(totals_by_name(&plan, &run, &self.own_gauges()));
            self.carried.lost = Some(lost_by_step(&plan, &run));
            self.carried.shortfall = shortfall::of(&self.drained, &plan).into();
        }
        let order = HookOrder {
            plan: plan.clone(),
            store: self.store.store.clone(),
            kind,
            options: self.options,
            carried: self.carried.clone(),
        };
        self.store.gauges.begin_phase(hook.phase, unix_time(self.carried.clock.now()));
        let end = match engine::hook(order) {
            Ok(run) => self.follow_stage(run, kind, stop, update).await,
            Err(error) => Err(format!("it can't be started: {error}.")),
        };
        self.store.gauges.end_phase(hook.phase, unix_time(self.carried.clock.now()));
        let end = match end {
            Ok(end) => end,
            Err(wrong) => {
                return Some(Came { wrong: vec![wrong], stopped: false, unchecked: false, undone: false, cause: Cause::Target });
            }
        };
        let wrong = self.wrong(hook, &end);
        let unchecked = wrong.is_empty() && self.is_unchecked(hook, &end);
        let cause = match &end.how {
            HookHow::Completed | HookHow::Unheld(_) => end.cause,
            _ => Cause::Target,
        };
        // Of a verify that was cut off, an `eventually` was cut off with it.
        let undone = end.how == HookHow::Completed && end.totals.scenario(hook.scenario).undone > 0;
        let came = Came { wrong, stopped: end.how == HookHow::Stopped, unchecked, undone, cause };
        self.keep(hook, &end, &came);
        let took = show_seconds((unix_time(end.ended) - unix_time(end.started)).max(0.0));
        let said = match came.wrong.first() {
            _ if came.stopped => format!("{name} was ended from outside after {took}"),
            None => format!("{name} is done, in {took}"),
            Some(wrong) => format!("{name} failed after {took}: {wrong}"),
        };
        if came.wrong.is_empty() {
            tracing::info!(target: SAID, profile = %plan.name, hook = name, "{said}");
        } else {
            tracing::warn!(target: SAID, profile = %plan.name, hook = name, "{said}");
        }
        update(Update::Say(said));
        self.staged.add(&end.totals);
        if kind == HookKind::Setup {
            self.carried.setup = end.variables;
        }
        Some(came)
    }

    /// Waits for a hook's end, passing on what is asked of the run.
    async fn follow_stage(
        &mut self,
        mut run: HookRun,
        kind: HookKind,
        stop: &mut UnboundedReceiver<Stop>,
        update: &mut (dyn FnMut(Update<'_>) + Send),
    ) -> Result<HookEnd, String> {
        let began = Instant::now();
        let mut stoppable = true;
        let mut patience = None;
        loop {
            tokio::select! {
                biased;
                end = &mut run.end => {
                    return end.map_err(|_| "it broke off; please report this with the lines above.".to_owned());
                }
                order = stop.recv(), if stoppable => match order {
                    Some(order) => {
                        self.asked(order);
                        match (order, kind) {
                            (Stop::AtOnce, _) => {
                                run.interrupt();
                                patience.get_or_insert_with(|| Instant::now() + PATIENCE);
                            }
                            // What a run made is removed even if it is to end.
                            (Stop::Gracefully, HookKind::Teardown) => {
                                update(Update::Say("teardown goes on; once more ends it at once".to_owned()));
                            }
                            (Stop::Gracefully, _) => run.stop(),
                        }
                    }
                    None => stoppable = false,
                },
                () = passed(patience) => return Err("its thread did not end when it was asked to.".to_owned()),
                () = tokio::time::sleep(TICK) => self.show_stage(&run, kind, began, update),
            }
        }
    }

    fn show_stage(&mut self, run: &HookRun, kind: HookKind, began: Instant, update: &mut (dyn FnMut(Update<'_>) + Send)) {
        let totals = run.totals();
        let limit = self.plan.hooks.get(kind).map(|hook| hook.timeout).unwrap_or_default();
        let progress = Progress {
            phase: kind.label().to_owned(),
            phase_elapsed: began.elapsed().as_secs_f64(),
            phase_duration: limit.as_secs_f64(),
            elapsed: self.cpu.0.elapsed().as_secs_f64(),
            rate: Some(requests(&totals) as f64 / began.elapsed().as_secs_f64().max(1e-3)),
            users: 1,
            requests: requests(&totals),
            errors: totals.steps.iter().map(|step| step.errors()).sum(),
            ..Progress::default()
        };
        self.progress = progress;
        update(Update::Progress(&self.progress));
        self.show(update);
    }

    /// What went wrong in a hook: what ended it first, then the checks that failed.
    fn wrong(&self, hook: &Hook, end: &HookEnd) -> Vec<String> {
        let mut wrong = Vec::new();
        match &end.how {
            HookHow::Completed | HookHow::CheckFailed | HookHow::Stopped => {}
            HookHow::Failed(why) | HookHow::Unheld(why) => {
                wrong.push(format!("{}.", self.plan.secrets.redact_own(why).trim_end_matches('.')))
            }
            HookHow::OutOfTime => wrong.push(format!(
                "it was cut off after {}, which is its `timeout`; allow more, or let several `users` of a repeat do it.",
                show_seconds(hook.timeout.as_secs_f64())
            )),
        }
        if hook.kind == HookKind::Teardown {
            wrong.extend(self.failed(hook, end));
        }
        let layout = &self.plan.layout;
        for (index, check) in layout.checks.iter().enumerate().filter(|(_, check)| check.scenario == hook.scenario) {
            let totals = end.totals.check(CheckId::at(index));
            if totals.failed > 0 {
                let step = check.step.and_then(|step| layout.steps.get(step.index()));
                let of = step.map(|step| format!(" of the step `{}`", step.name)).unwrap_or_default();
                let times = match totals.total {
                    1 => String::new(),
                    total => format!(" {} of {total} times", totals.failed),
                };
                let how = end.unheld.iter().find(|(id, _)| id.index() == index).map(|(_, how)| format!(": {how}"));
                wrong.push(format!("the check `{}`{of} failed{times}{}.", check.name, how.unwrap_or_default()));
            }
        }
        wrong
    }

    /// What failed in a hook that goes on all the same.
    fn failed(&self, hook: &Hook, end: &HookEnd) -> Vec<String> {
        let steps = self.plan.layout.steps.iter().enumerate().filter(|(_, step)| step.scenario == hook.scenario);
        let of_steps = steps.filter_map(|(index, step)| {
            let totals = &end.totals.steps[index];
            let (all, reasons) = (totals.requests(), result::by_reason(&totals.reasons));
            (totals.errors() > 0).then(|| format!("{} of {all} of the step `{}` failed ({reasons}).", totals.errors(), step.name))
        });
        let without = &end.totals.scenario(hook.scenario).step_errors;
        let all: u64 = without.iter().sum();
        let of_others = (all > 0).then(|| format!("{all} that send nothing could not be done ({}).", result::by_reason(without)));
        of_steps.chain(of_others).collect()
    }

    /// Whether it has checks, and not one of them was made.
    fn is_unchecked(&self, hook: &Hook, end: &HookEnd) -> bool {
        let checks = self.plan.layout.checks.iter().enumerate().filter(|(_, check)| check.scenario == hook.scenario);
        let made: Vec<bool> = checks.map(|(index, _)| end.totals.check(CheckId::at(index)).total > 0).collect();
        !made.is_empty() && !made.contains(&true)
    }

    /// Puts a hook into the record.
    fn keep(&mut self, hook: &Hook, end: &HookEnd, came: &Came) {
        let stopped = came.stopped.then(|| "it was ended from outside".to_owned());
        let error = came.wrong.first().cloned().or(stopped);
        let samples = samples(end.examples.clone(), &self.plan, hook.phase);
        let input = HookInput {
            layout: &self.plan.layout,
            phase: hook.phase,
            started: unix_time(end.started),
            ended: unix_time(end.ended),
            totals: &end.totals,
            gauges: &self.own_gauges(),
            samples: &samples,
            unheld: &end.unheld,
            error: error.as_deref(),
        };
        self.hooks.push(build::hook(&input));
        self.examples.0.extend(end.examples.iter().cloned());
    }

    /// Reports the lists that were full.
    fn overflows(&mut self) {
        let names: Vec<String> = self.carried.lists.overflowed().into_iter().map(str::to_owned).collect();
        for name in names {
            let (values, bytes) = (BOUND.values, BOUND.bytes >> 20);
            self.doubt(format!(
                "The list `{name}` is full: it holds {values} values and {bytes} MiB of text at most, and what came later was not remembered."
            ));
        }
    }

    /// What a reader must know, whatever the verdict is.
    fn say(&mut self, sentence: String) {
        tracing::warn!(profile = %self.plan.name, "{sentence}");
        self.reasons.push(sentence);
    }

    /// Notes that the run was asked to stop; what was asked before and is stronger stays.
    pub(super) fn asked(&mut self, order: Stop) {
        if self.asked != Some(Stop::AtOnce) {
            self.asked = Some(order);
        }
    }

    fn asked_to_stop(&self) -> bool {
        self.asked.is_some()
    }
}

fn requests(totals: &Totals) -> u64 {
    totals.steps.iter().map(|step| step.requests()).sum()
}
