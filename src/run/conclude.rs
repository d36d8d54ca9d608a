//! The end of a run: its verdict over all phases, and its record.

use std::time::{Duration, SystemTime};

use tokio::sync::mpsc::UnboundedReceiver;

use crate::base::Verdict;
use crate::engine::Ending;
use crate::measure::process::unix_time;
use crate::measure::{ScenarioId, Totals};
use crate::record::{Histograms, Run, VERSION, build};
use crate::verdict::{self, Exit, Inputs, Outside};

use super::driver::RunDriver;
use super::judging::expressions;
use super::result;
use super::update::Stop;

impl RunDriver {
    /// The record of the whole run.
    pub(super) async fn conclude(
        &mut self,
        name: String,
        began: SystemTime,
        ending: &Ending,
        workers: usize,
        stop: &mut UnboundedReceiver<Stop>,
    ) -> (Run, Histograms, Exit) {
        let counted = std::mem::replace(&mut self.counted, (Duration::ZERO, Totals::default()));
        let expressions = expressions(&self.plan, None, &counted.1);
        let seen = match self.observer.clone().zip(self.whole.take()) {
            Some((observer, whole)) if *ending == Ending::Completed => {
                tokio::select! {
                    outside = whole.observe(&observer, &self.plan.slos) => outside,
                    Some(order) = stop.recv() => {
                        self.asked(order);
                        self.not_waited_for();
                        Outside::default()
                    }
                }
            }
            _ => Outside::default(),
        };
        let outside = Outside { expressions, ..seen };
        let inputs = Inputs {
            layout: &self.plan.layout,
            phase: None,
            judged: true,
            loaded: self.plan.phases.iter().any(|phase| phase.judge && !phase.loads.is_empty()) && *ending == Ending::Completed,
            totals: &counted.1,
            duration: counted.0,
            over: true,
            saturated: self.saturated,
            outside: &outside,
        };
        let over_run = verdict::judge(&self.plan.slos, &inputs, self.run_watches.clone());
        self.verdict = self.verdict.max(over_run.verdict);
        self.reasons.extend(over_run.reasons);
        let example = |reason| {
            let mut examples = self.examples.0.iter().chain(&self.examples.1);
            examples.find(|example| example.reason == reason).map(|example| example.detail.clone())
        };
        if let Some(reason) = result::never_reached(&self.drained, ending, example) {
            self.doubt(reason);
        }
        match ending {
            Ending::Completed => result::doubts(&self.plan, &self.drained).into_iter().for_each(|reason| self.doubt(reason)),
            // A failure ended it that is to end the run. Whether the target was to blame isn't known where the generator broke requests.
            Ending::Aborted(_) if !self.aborted && result::own_doing(&self.drained) > 0 => {
                self.doubt(format!(
                    "A failure ended the run, and {} requests broke on this machine's own limits or timed out while it stood still.",
                    result::own_doing(&self.drained)
                ));
            }
            Ending::Aborted(_) => self.verdict = Verdict::Fail,
            Ending::Stopped | Ending::Failed(_) => self.unsure(),
        }
        let redact = |text: &String| self.plan.secrets.redact_own(text).into_owned();
        let stopped = result::stopped(ending).as_ref().map(redact);
        self.reasons = self.reasons.iter().map(redact).collect();
        self.reasons.extend(stopped.iter().filter(|stopped| !self.reasons.contains(stopped)).cloned().collect::<Vec<_>>());
        let gauges = &self.store.gauges;
        self.store.set_slos(&over_run.slos);
        gauges.set_verdict(self.verdict);
        gauges.set_saturated(self.saturated);
        for scenario in 0..self.plan.scenarios.len() {
            gauges.set_users_wanted(ScenarioId::at(scenario), 0.0);
            gauges.set_rate_wanted(ScenarioId::at(scenario), 0.0);
        }
        let (since, cpu) = self.cpu;
        let (phases, histograms): (Vec<_>, Vec<_>) =
            self.judged.drain(..).map(|(_, phase, histograms)| (phase, histograms)).unzip();
        let run = Run {
            version: VERSION,
            profile: self.plan.name.clone(),
            run: name,
            started: match (self.hooks.first(), phases.first()) {
                (Some(hook), Some(phase)) => hook.started.min(phase.started),
                (Some(hook), None) => hook.started,
                (None, Some(phase)) => phase.started,
                (None, None) => unix_time(began),
            },
            ended: unix_time(self.carried.clock.now()),
            verdict: self.verdict,
            reasons: std::mem::take(&mut self.reasons),
            gaps: Vec::new(),
            away: self.away.all(),
            stopped,
            seed: self.plan.seed,
            generator: build::generator(workers as u64, cpu, since.elapsed(), self.saturated),
            hooks: std::mem::take(&mut self.hooks),
            phases,
            slos: over_run.slos,
        };
        if run.stopped.is_none() {
            self.store.gauges.set_run_completed(run.ended);
        }
        let histograms = build::all_histograms(&run, histograms);
        let exit = result::exit(self.verdict, ending, &self.drained);
        (run, histograms, exit)
    }
}
