//! Follows the SLOs while a run goes on, and judges each phase once it has drained and its counters are read.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use tokio::sync::mpsc::Sender;

use crate::base::Verdict;
use crate::counters::Observed;
use crate::engine::{Control, ErrorExample, PhaseNow, RunView};
use crate::measure::process::unix_time;
use crate::measure::{OwnId, OwnKind, PhaseId, ScenarioId, StepId, Totals};
use crate::plan::Plan;
use crate::record::ErrorSample;
use crate::verdict::{self, Extent, Inputs, Outside, SloResult, Watches, Worked};
use crate::{exposition, expr};

use super::driver::{REPEATS_KEPT, RunDriver};
use super::health;
use super::phase_book::{self, Drained, Judged, PhaseBook};
use super::update::Update;

/// How often gauges and progress are brought up to date.
const TICK: Duration = Duration::from_secs(1);
/// The least time between two looks at the SLOs, whatever their windows are.
const LEAST_LOOK: Duration = Duration::from_millis(10);
/// How often the SLOs of the present phase are shown on `/metrics`.
const SLOS_SHOWN: Duration = Duration::from_secs(5);

impl RunDriver {
    pub(super) fn judge(
        &mut self,
        phase_run: u64,
        drained: Drained,
        observed: Option<Observed>,
        outside: &Outside,
        view: &RunView,
        update: &mut (dyn FnMut(Update<'_>) + Send),
    ) {
        let gauges = self.own_gauges();
        let expressions = expressions(&self.plan, Some(drained.phase), &drained.totals);
        let outside = Outside { expressions, ..outside.clone() };
        let samples = samples(view.examples(), &self.plan, drained.phase);
        let open = self.turns.keys().chain(self.waiting.keys()).min().copied();
        if let (Some(run), Some(observed), true) = (&mut self.whole, &observed, self.plan.phases[drained.phase.index()].judge) {
            run.add(phase_run, drained.elapsed.as_secs_f64(), observed, open);
        }
        let judged = phase_book::judge(&self.plan, phase_run, drained, observed, &outside, samples, &gauges);
        self.publish(&judged);
        let name = &judged.record.name;
        tracing::info!(profile = %self.plan.name, phase = %name, verdict = %judged.verdict(), "phase judged");
        let came_to = if judged.record.judged { judged.verdict().to_string() } else { "not judged".to_owned() };
        update(Update::Say(format!("{name}: {came_to}")));
        self.verdict = self.verdict.max(judged.verdict());
        for reason in &judged.judgement.reasons {
            let reason = format!("{name}: {reason}");
            if !self.reasons.contains(&reason) && self.reasons.len() < REPEATS_KEPT {
                self.reasons.push(reason);
            }
        }
        let place = self.judged.partition_point(|(other, ..)| *other < judged.phase_run);
        self.judged.insert(place, (judged.phase_run, judged.record, judged.histograms));
        while self.judged.len() > REPEATS_KEPT * self.plan.phases.len() {
            self.judged.pop_front();
        }
    }

    fn publish(&mut self, judged: &Judged) {
        self.store.set_slos(&judged.judgement.slos);
        self.results.insert(judged.drained.phase, judged.judgement.slos.clone());
        if let Some(observed) = &judged.observed {
            let left_out = self.store.set_targets(judged.drained.phase, &observed.rows);
            if left_out > 0 {
                tracing::warn!(left_out, "series of the target were left out of /metrics; they are in run.json");
            }
            self.store.set_sources(&observed.sources);
        }
    }

    fn is_saturated(&self, now: &PhaseNow, view: &RunView) -> bool {
        let (Some(turn), Some(totals)) = (self.turns.get(&now.phase_run), view.totals(now.phase_run)) else { return false };
        health::is_saturated(&self.plan, &self.plan.phases[now.phase.index()], &totals, turn.baseline.used(view))
    }

    /// How long until there is something to look at: progress once a second, and SLOs when their windows slide.
    pub(super) fn until_next_look(&self, view: &RunView) -> Duration {
        let mut wait = TICK.saturating_sub(self.reported.elapsed());
        let mut counted = self.counted.0;
        for now in view.phases() {
            let Some(turn) = self.turns.get(&now.phase_run) else { continue };
            let phase = &self.plan.phases[now.phase.index()];
            if phase.judge {
                counted += turn.length.unwrap_or(now.elapsed).min(phase.duration);
            }
            if let Some(next) = turn.watches.next().filter(|_| turn.length.is_none()) {
                wait = wait.min(next.saturating_sub(now.elapsed));
            }
        }
        if let Some(next) = self.run_watches.next() {
            // One that waits for a phase that hasn't begun isn't looked at without end.
            wait = wait.min(next.saturating_sub(counted).max(LEAST_LOOK));
        }
        wait.max(LEAST_LOOK)
    }

    /// Looks at how the run stands: windows of SLOs, and once a second gauges and progress.
    pub(super) async fn look(
        &mut self,
        view: &RunView,
        control: &Sender<Control>,
        running: bool,
        update: &mut (dyn FnMut(Update<'_>) + Send),
    ) {
        let due = self.reported.elapsed() >= TICK;
        // Both at once: a moment later another phase may be on.
        let (scenarios, phases, preparing) = (view.scenarios(), view.phases(), view.preparing());
        if due {
            self.reported = Instant::now();
            for scenario in &scenarios {
                self.store.gauges.set_users_wanted(scenario.scenario, scenario.users_wanted as f64);
                self.store.gauges.set_rate_wanted(scenario.scenario, scenario.rate_wanted);
            }
        }
        let mut all = self.drained.clone();
        let mut counted = self.counted.clone();
        let mut breach = None;
        // Looked at before what was measured: what isn't recorded yet for a pause is known to lack.
        let stood = view.stood();
        let show = self.slos_shown.elapsed() >= SLOS_SHOWN;
        for now in &phases {
            let Some(totals) = view.totals(now.phase_run) else { continue };
            all.add(&totals);
            let phase = &self.plan.phases[now.phase.index()];
            let Some(turn) = self.turns.get_mut(&now.phase_run) else { continue };
            if phase.judge {
                counted.0 += turn.length.unwrap_or(now.elapsed).min(phase.duration);
                counted.1.follow(&totals);
            }
            // What drains has no more load: its rate falls to nothing, and nobody asked for more.
            if turn.length.is_some() || !phase.judge {
                continue;
            }
            if turn.watches.next().is_some_and(|next| next <= now.elapsed) {
                let saturated = || health::is_saturated(&self.plan, phase, &totals, turn.baseline.used(view));
                turn.watches.stands(&stood);
                breach = breach.or(turn.watches.tick(now.elapsed, &totals, &saturated));
            }
            if show {
                self.slos_shown = Instant::now();
                let results = provisional(&self.plan, now.phase, now.elapsed, &totals, &turn.watches);
                self.store.follow_slos(&results);
                self.results.insert(now.phase, results);
            }
        }
        if self.run_watches.next().is_some_and(|next| next <= counted.0) {
            let saturated = self.saturated || phases.iter().any(|now| self.is_saturated(now, view));
            // Between two of its phases nothing of it stands still.
            let judged = |turn: &PhaseBook| turn.length.is_none() && self.plan.phases[turn.phase.index()].judge;
            if self.turns.values().any(judged) {
                self.run_watches.stands(&stood);
            }
            breach = breach.or(self.run_watches.tick(counted.0, &counted.1, &|| saturated));
        }
        if let Some(breach) = breach.filter(|_| running && !self.aborted) {
            self.aborted = true;
            update(Update::Say(format!("{}: {}", breach.slo, breach.reason)));
            // A run that has ended meanwhile needs no abort.
            let _ = control.send(Control::Abort(format!("{}: {}", breach.slo, breach.reason))).await;
        }
        if due {
            self.look_for_away(view, update);
        }
        if due && running && (!phases.is_empty() || preparing.is_some()) {
            self.progress = self.meter.read(&self.plan, &scenarios, (phases.last().copied(), preparing), &all);
            self.progress.away.clone_from(&self.away.present);
            update(Update::Progress(&self.progress));
        }
        if due {
            self.examples.1 = view.examples();
            self.show(update);
        }
    }

    /// Judges what waits for its readings without them.
    pub(super) fn give_up_readings(&mut self, view: &RunView, update: &mut (dyn FnMut(Update<'_>) + Send)) {
        self.judging.abort_all();
        self.whole = None;
        for (phase_run, drained) in std::mem::take(&mut self.waiting) {
            self.judge(phase_run, drained, None, &Outside::default(), view, update);
        }
        self.not_waited_for();
    }

    pub(super) fn not_waited_for(&mut self) {
        self.doubt("The target's counters were not waited for.".to_owned());
    }

    /// Something is not known, so that what is required of the run can't be claimed.
    pub(super) fn doubt(&mut self, reason: String) {
        self.unsure();
        self.reasons.push(reason);
    }

    /// Nothing that is required of the run can be claimed any more; where nothing is, nothing changes.
    pub(super) fn unsure(&mut self) {
        if self.plan.hooks.verify.is_some() || self.plan.slos.iter().any(|slo| !slo.require.is_empty()) {
            self.verdict = self.verdict.max(Verdict::Inconclusive);
        }
    }

    /// The profile's own gauges as they stand.
    pub(super) fn own_gauges(&self) -> Vec<(OwnId, ScenarioId, f64)> {
        let layout = &self.plan.layout;
        let mut values = Vec::new();
        for (own, metric) in layout.own.iter().enumerate().filter(|(_, metric)| matches!(metric.kind, OwnKind::Gauge)) {
            for scenario in &metric.scenarios {
                let own = OwnId::at(own);
                values.extend(self.store.gauges.own(own, *scenario).map(|value| (own, *scenario, value)));
            }
        }
        values
    }
}

/// The SLOs of a phase as they stand; counters of the target are not known before its end.
fn provisional(plan: &Plan, phase: PhaseId, elapsed: Duration, totals: &Totals, watches: &Watches) -> Vec<SloResult> {
    let inputs = Inputs {
        layout: &plan.layout,
        phase: Some((phase, &plan.phases[phase.index()].name)),
        judged: true,
        loaded: true,
        totals,
        duration: elapsed,
        over: false,
        saturated: false,
        outside: &Outside::default(),
    };
    verdict::judge(&plan.slos, &inputs, watches.clone()).slos
}

fn sum_by_metric(gauges: &[(OwnId, ScenarioId, f64)]) -> BTreeMap<OwnId, f64> {
    let mut sums = BTreeMap::new();
    for (metric, _, value) in gauges {
        *sums.entry(*metric).or_default() += value;
    }
    sums
}

/// The examples of errors as `run.json` has them.
pub(super) fn samples(examples: Vec<ErrorExample>, plan: &Plan, phase: PhaseId) -> Vec<(StepId, ErrorSample)> {
    let of_phase = examples.into_iter().filter(|example| example.phase == phase);
    of_phase.map(|example| (example.step, sample(plan, &example))).collect()
}

/// An example in words, without secrets.
pub(super) fn sample(plan: &Plan, example: &ErrorExample) -> ErrorSample {
    ErrorSample {
        at: unix_time(example.at),
        reason: example.reason.label().to_owned(),
        status: (example.status > 0).then_some(example.status),
        detail: plan.secrets.redact_own(&example.detail).into_owned(),
        body: plan.secrets.redact(&example.body).into_owned(),
    }
}

/// What `metric(name)` answers: the sum over a metric's series in `totals`, or what a gauge of the profile's own stands at.
pub(super) fn totals_by_name(plan: &Plan, totals: &Totals, gauges: &[(OwnId, ScenarioId, f64)]) -> BTreeMap<String, f64> {
    let mut sums = exposition::sums(&plan.layout, totals);
    for (id, value) in sum_by_metric(gauges) {
        sums.extend(plan.layout.own.get(id.index()).map(|own| (own.name.clone(), value)));
    }
    sums
}

/// What `lost(step)` answers: how many requests of the steps of a name were sent and not answered, over all scenarios.
pub(super) fn lost_by_step(plan: &Plan, totals: &Totals) -> BTreeMap<String, u64> {
    let mut lost = BTreeMap::new();
    for (step, totals) in plan.layout.steps.iter().zip(&totals.steps) {
        *lost.entry(step.name.clone()).or_default() += totals.lost;
    }
    lost
}

/// The values of the SLOs' expressions over a phase, or over the run, where `metric(name)` is the total in `totals`.
pub(super) fn expressions(plan: &Plan, phase: Option<PhaseId>, totals: &Totals) -> BTreeMap<String, Result<Worked, String>> {
    if plan.values.is_empty() {
        return BTreeMap::new();
    }
    let extent = Extent { layout: &plan.layout, covered: &[], run: phase.is_none(), over: true };
    let counted = extent.counted(totals);
    let own = (0..plan.layout.own.len()).map(OwnId::at);
    let gauges: Vec<_> = own.filter_map(|id| Some((id, ScenarioId::at(0), counted.own_gauge(id)?))).collect();
    let sums = totals_by_name(plan, &counted, &gauges);
    let unset = |text: &str| {
        let gauges = plan.layout.own.iter().filter(|own| own.kind == OwnKind::Gauge && !sums.contains_key(&own.name));
        gauges
            .map(|own| own.name.as_str())
            .find(|name| text.contains(&format!("'{name}'")) || text.contains(&format!("\"{name}\"")))
    };
    let unset: BTreeMap<&str, String> = (plan.values.iter())
        .filter_map(|(text, _)| Some((text.as_str(), format!("nothing set the gauge `{}`", unset(text)?))))
        .collect();
    let lost = lost_by_step(plan, &counted);
    let totalled = verdict::totalled(&plan.slos, &plan.layout, phase, totals, sums, lost.clone());
    let value = |(text, expression): &(String, expr::Expression)| {
        let worked = Worked::out(text, &totalled, |metrics| {
            let (metrics, lost) = (Some(metrics.clone()), Some(lost.clone()));
            let shared = expr::ScenarioValues {
                env: plan.env.clone(),
                vars: plan.vars.clone(),
                metrics,
                lost,
                ..expr::ScenarioValues::default()
            };
            expression.number(&expr::Scope::new(shared.into(), 0))
        });
        (text.clone(), worked.map_err(|error| unset.get(text.as_str()).cloned().unwrap_or_else(|| error.to_string())))
    };
    plan.values.iter().map(value).collect()
}
