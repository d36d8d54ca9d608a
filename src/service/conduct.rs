//! Carries one run out, from its first reading to its record.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use tokio::sync::mpsc::{Sender, UnboundedReceiver};
use tokio::task::JoinSet;

use crate::base::Verdict;
use crate::counters::{Observed, Observer, Traffic};
use crate::engine::{self, Board, Control, Ending, Event};
use crate::measure::process::{cpu_time, unix_time};
use crate::measure::{OwnId, OwnKind, PhaseId, ScenarioId, StepId, Store, Totals};
use crate::output::{Progress, Style, summary};
use crate::plan::Plan;
use crate::record::{ErrorSample, Phase, PhaseHistograms, Run, Storage, VERSION, build};
use crate::verdict::{self, Inputs, Outside, SloResult, Watches};

use super::health::{self, Baseline};
use super::observing::{self, Span, read_at};
use super::progress::Meter;
use super::result::{self, Outcome};
use super::turn::{self, Drained, Judged, Turn};

/// How often gauges and progress are brought up to date.
const TICK: Duration = Duration::from_secs(1);
/// How often the SLOs of the present phase are shown on `/metrics`.
const SLOS_SHOWN: Duration = Duration::from_secs(5);
/// Repeats that keep their detail.
const REPEATS_KEPT: usize = 100;

/// How a run is carried out.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where it is stored.
    pub storage: Storage,
    /// How load is generated on this machine.
    pub engine: engine::Options,
}

/// How a run is stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// No new work; what is under way drains.
    Gracefully,
    /// What is under way is cut off.
    AtOnce,
}

/// News for whoever watches.
#[derive(Debug)]
pub enum Update<'a> {
    /// How it stands; every second.
    Progress(&'a Progress),
    /// A sentence to be kept.
    Say(String),
}

/// Carries a run out. Never fails: what could not be done is in the outcome.
pub async fn run(
    plan: Arc<Plan>,
    store: Arc<Store>,
    options: &Options,
    mut stop: UnboundedReceiver<Stop>,
    update: &mut (dyn FnMut(Update<'_>) + Send),
) -> Outcome {
    let began = SystemTime::now();
    let directory = options.storage.begin(&plan.name, began);
    store.gauges.begin_run(unix_time(began));
    let mut conduct = Conduct::new(plan, store);
    let mut ending = Ending::Stopped;
    if conduct.settle_first(&mut stop, update).await {
        ending = match engine::start(conduct.plan.clone(), conduct.store.clone(), options.engine) {
            Ok(engine) => conduct.follow(engine, stop, update).await,
            Err(error) => Ending::Failed(format!("the workers can't be started: {error}")),
        };
    }
    let name = directory.as_ref().map(|directory| directory.run().to_owned()).unwrap_or_default();
    let (run, histograms, exit) = conduct.conclude(name, began, &ending, options.engine.workers);
    let stored = directory.and_then(|directory| {
        let secrets = &conduct.plan.secrets;
        directory
            .finish(&run, &histograms, &summary::text(&run, Style::plain()), &|text| secrets.redact(text).into_owned().into())
    });
    if let Err(error) = options.storage.prune() {
        tracing::warn!(%error, "old runs could not be removed");
    }
    Outcome { run, exit, stored }
}

/// A run under way, as the service follows it.
struct Conduct {
    plan: Arc<Plan>,
    store: Arc<Store>,
    observer: Option<Arc<Observer>>,
    /// The reading that the next phase begins with, where the load stood still.
    settled: Option<observing::Pending>,
    turns: BTreeMap<u64, Turn>,
    judging: JoinSet<(u64, Drained, Option<Observed>, Outside)>,
    judged: VecDeque<(u64, Phase, PhaseHistograms)>,
    /// Requirements of phases that are judged, for `/metrics`.
    results: BTreeMap<PhaseId, Vec<SloResult>>,
    verdict: Verdict,
    reasons: Vec<String>,
    saturated: bool,
    /// All phases that have drained.
    drained: Totals,
    /// Those of them that are judged.
    counted: (Duration, Totals),
    run_watches: Watches,
    meter: Meter,
    cpu: (Instant, Duration),
    slos_shown: Instant,
    aborted: bool,
}

impl Conduct {
    fn new(plan: Arc<Plan>, store: Arc<Store>) -> Self {
        let planned = plan.phases.iter().filter(|phase| phase.judge).map(|phase| phase.duration).sum();
        Self {
            observer: (!plan.observe.is_empty()).then(|| Observer::new(plan.observe.clone())),
            settled: None,
            turns: BTreeMap::new(),
            judging: JoinSet::new(),
            judged: VecDeque::new(),
            results: BTreeMap::new(),
            verdict: Verdict::Pass,
            reasons: Vec::new(),
            saturated: false,
            drained: Totals::empty(&plan.layout),
            counted: (Duration::ZERO, Totals::empty(&plan.layout)),
            run_watches: Watches::of_run(&plan.slos, planned),
            meter: Meter::new(&plan),
            cpu: (Instant::now(), cpu_time()),
            slos_shown: Instant::now(),
            aborted: false,
            plan,
            store,
        }
    }

    /// With `settle: true` the sources are read before anything is sent. False if the run is stopped meanwhile.
    async fn settle_first(&mut self, stop: &mut UnboundedReceiver<Stop>, update: &mut (dyn FnMut(Update<'_>) + Send)) -> bool {
        let Some(observer) = self.observer.as_ref().filter(|_| self.plan.observe.settle) else { return true };
        update(Update::Say("Waiting until every source has a sample.".to_owned()));
        let reading = read_at(observer, SystemTime::now(), Traffic::Still);
        tokio::select! {
            _ = reading.clone() => {}
            _ = stop.recv() => return false,
        }
        self.settled = Some(reading);
        true
    }

    /// Follows the engine to its end, and every judgement to its own.
    async fn follow(
        &mut self,
        mut engine: engine::Run,
        mut stop: UnboundedReceiver<Stop>,
        update: &mut (dyn FnMut(Update<'_>) + Send),
    ) -> Ending {
        let mut ticker = tokio::time::interval(TICK);
        ticker.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
        let mut ending = None;
        let mut stoppable = true;
        while ending.is_none() || !self.judging.is_empty() {
            tokio::select! {
                biased;
                event = engine.events.recv(), if ending.is_none() => match event {
                    Some(Event::Finished(how)) => ending = Some(how),
                    Some(event) => self.event(event, &engine.board, &engine.control, update).await,
                    None => ending = Some(Ending::Failed("the coordinator is gone".to_owned())),
                },
                order = stop.recv(), if stoppable => match order {
                    Some(Stop::Gracefully) if ending.is_none() => drop(engine.control.send(Control::Stop).await),
                    Some(Stop::AtOnce) if ending.is_none() => drop(engine.control.send(Control::Interrupt).await),
                    // Over, but for readings that are still on their way.
                    Some(_) => {
                        self.give_up_readings();
                        break;
                    }
                    None => stoppable = false,
                },
                Some(done) = self.judging.join_next() => match done {
                    Ok((activation, drained, observed, outside)) => {
                        self.judge(activation, drained, observed, &outside, &engine.board, update);
                    }
                    Err(error) => {
                        tracing::error!(%error, "a phase could not be judged");
                        self.doubt(format!("A phase could not be judged: {error}."));
                    }
                },
                _ = ticker.tick() => self.tick(&engine.board, &engine.control, ending.is_none(), update).await,
            }
        }
        ending.unwrap_or(Ending::Stopped)
    }

    async fn event(
        &mut self,
        event: Event,
        board: &Board,
        control: &Sender<Control>,
        update: &mut (dyn FnMut(Update<'_>) + Send),
    ) {
        match event {
            Event::PhaseStarted { activation, phase, repeat, at, .. } => {
                self.store.gauges.begin_phase(phase, unix_time(at));
                let described = &self.plan.phases[phase.index()];
                tracing::info!(profile = %self.plan.name, phase = %described.name, repeat, "phase started");
                let before = self.settled.take().or_else(|| self.before(at));
                let turn = Turn {
                    phase,
                    repeat,
                    watches: Watches::of_phase(&self.plan.slos, phase, described.duration),
                    baseline: Baseline::take(board),
                    used: None,
                    before,
                    after: None,
                };
                self.turns.insert(activation, turn);
            }
            Event::PhaseEnded { activation, at } => {
                let Some(turn) = self.turns.get_mut(&activation) else { return };
                turn.used = Some(turn.baseline.used(board));
                self.store.gauges.end_phase(turn.phase, unix_time(at));
                if self.plan.observe.settle {
                    // Read once it has drained.
                    update(Update::Say("Waiting until every source has a sample past the phase's end.".to_owned()));
                } else if let Some(observer) = &self.observer {
                    turn.after = Some(read_at(observer, at, Traffic::Flowing));
                }
            }
            Event::PhaseDrained { activation, phase, started, ended, elapsed, totals } => {
                self.phase_drained(activation, (phase, started, ended, elapsed), *totals, board, control);
            }
            Event::Finished(_) => {}
        }
    }

    /// The reading before a phase: the one after the phase that ended when it began, if there is one.
    fn before(&self, at: SystemTime) -> Option<observing::Pending> {
        let observer = self.observer.as_ref()?;
        let previous = self.turns.values().next_back().and_then(|turn| turn.after.clone());
        Some(previous.unwrap_or_else(|| read_at(observer, at, Traffic::Flowing)))
    }

    fn phase_drained(
        &mut self,
        activation: u64,
        (phase, started, ended, elapsed): (PhaseId, SystemTime, SystemTime, Duration),
        totals: Totals,
        board: &Board,
        control: &Sender<Control>,
    ) {
        self.drained.add(&totals);
        // A phase that was announced and never began has nothing to say.
        let Some(turn) = self.turns.remove(&activation) else { return };
        let described = &self.plan.phases[phase.index()];
        if described.judge {
            self.counted.0 += elapsed;
            self.counted.1.add(&totals);
        }
        let used = turn.used.unwrap_or_else(|| turn.baseline.used(board));
        let saturated = verdict::saturation(&health::effort(&self.plan, described, &totals, used));
        self.saturated |= saturated.is_some();
        self.store.gauges.set_saturated(saturated.is_some());
        let requests = totals.steps.iter().map(|step| step.requests()).sum();
        let drained = Drained { phase, repeat: turn.repeat, started, ended, elapsed, totals, watches: turn.watches, saturated };
        let Some((observer, before)) = self.observer.clone().zip(turn.before) else {
            self.judging.spawn(async move { (activation, drained, None, Outside::default()) });
            return;
        };
        let still = self.plan.observe.settle;
        let last = self.turns.is_empty() && !still;
        let after = match turn.after {
            Some(after) if !last => after,
            // Nothing is under way any more: what is read from now on is exact.
            _ => read_at(&observer, SystemTime::now(), Traffic::Still),
        };
        if still {
            self.settled = Some(after.clone());
            let (after, control) = (after.clone(), control.clone());
            tokio::spawn(async move {
                after.await;
                // A run that has ended meanwhile isn't waiting.
                let _ = control.send(Control::Settled { activation }).await;
            });
        }
        let plan = self.plan.clone();
        self.judging.spawn(async move {
            let span = Span { before, after, from: started, to: ended, requests };
            let (observed, outside) = observing::observe(&observer, span, &plan.slos).await;
            (activation, drained, Some(observed), outside)
        });
    }

    fn judge(
        &mut self,
        activation: u64,
        drained: Drained,
        observed: Option<Observed>,
        outside: &Outside,
        board: &Board,
        update: &mut (dyn FnMut(Update<'_>) + Send),
    ) {
        let gauges = self.own_gauges();
        let outside = Outside { gauges: sum_by_metric(&gauges), ..outside.clone() };
        let judged = turn::judge(&self.plan, activation, drained, observed, &outside, samples(board, &self.plan), &gauges);
        self.publish(&judged);
        let name = &judged.record.name;
        tracing::info!(profile = %self.plan.name, phase = %name, verdict = %judged.verdict(), "phase judged");
        update(Update::Say(format!("{name}: {}", judged.verdict())));
        self.verdict = self.verdict.max(judged.verdict());
        for reason in &judged.judgement.reasons {
            let reason = format!("{name}: {reason}");
            if !self.reasons.contains(&reason) && self.reasons.len() < REPEATS_KEPT {
                self.reasons.push(reason);
            }
        }
        let place = self.judged.partition_point(|(other, ..)| *other < judged.activation);
        self.judged.insert(place, (judged.activation, judged.record, judged.histograms));
        while self.judged.len() > REPEATS_KEPT * self.plan.phases.len() {
            self.judged.pop_front();
        }
    }

    fn publish(&mut self, judged: &Judged) {
        let gauges = &self.store.gauges;
        self.results.insert(judged.drained.phase, judged.judgement.slos.clone());
        if let Some(observed) = &judged.observed {
            let left_out =
                gauges.set_target(judged.drained.phase, turn::target_rows(&self.plan.layout, judged.drained.phase, observed));
            if left_out > 0 {
                tracing::warn!(left_out, "series of the target were left out of /metrics; they are in run.json");
            }
            for source in &observed.sources {
                gauges.set_source(&source.name, source.error.is_none());
            }
        }
        self.show_slos();
    }

    fn show_slos(&self) {
        self.store.gauges.set_slos(self.results.values().flat_map(|results| turn::slo_rows(results)).collect());
    }

    async fn tick(
        &mut self,
        board: &Board,
        control: &Sender<Control>,
        running: bool,
        update: &mut (dyn FnMut(Update<'_>) + Send),
    ) {
        for scenario in board.scenarios() {
            self.store.gauges.set_users_wanted(scenario.scenario, scenario.users_wanted as f64);
            self.store.gauges.set_rate_wanted(scenario.scenario, scenario.rate_wanted);
        }
        let mut all = self.drained.clone();
        let mut counted = self.counted.clone();
        let mut breach = None;
        let show = self.slos_shown.elapsed() >= SLOS_SHOWN;
        let phases = board.phases();
        for now in &phases {
            let Some(totals) = board.totals(now.activation) else { continue };
            all.add(&totals);
            let phase = &self.plan.phases[now.phase.index()];
            if phase.judge {
                counted.0 += now.elapsed.min(phase.duration);
                counted.1.add(&totals);
            }
            let Some(turn) = self.turns.get_mut(&now.activation) else { continue };
            if now.draining || !phase.judge {
                continue;
            }
            if turn.watches.next().is_some_and(|next| next <= now.elapsed) {
                breach = breach.or(turn.watches.tick(now.elapsed, &totals));
            }
            if show {
                self.slos_shown = Instant::now();
                let results = provisional(&self.plan, now.phase, now.elapsed, &totals, &turn.watches);
                self.results.insert(now.phase, results);
            }
        }
        if show {
            self.show_slos();
        }
        if self.run_watches.next().is_some_and(|next| next <= counted.0) {
            breach = breach.or(self.run_watches.tick(counted.0, &counted.1));
        }
        if let Some(breach) = breach.filter(|_| running && !self.aborted) {
            self.aborted = true;
            update(Update::Say(format!("{}: {}", breach.slo, breach.reason)));
            // A run that has ended meanwhile needs no abort.
            let _ = control.send(Control::Abort(format!("{}: {}", breach.slo, breach.reason))).await;
        }
        if running && !phases.is_empty() {
            let progress = self.meter.read(&self.plan, board, phases.last().copied(), &all);
            update(Update::Progress(&progress));
        }
    }

    fn give_up_readings(&mut self) {
        self.judging.abort_all();
        self.doubt("The target's counters were not waited for.".to_owned());
    }

    fn doubt(&mut self, reason: String) {
        self.verdict = self.verdict.max(Verdict::Inconclusive);
        self.reasons.push(reason);
    }

    /// The profile's own gauges as they stand.
    fn own_gauges(&self) -> Vec<(OwnId, ScenarioId, f64)> {
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

    /// The record of the whole run.
    fn conclude(
        &mut self,
        name: String,
        began: SystemTime,
        ending: &Ending,
        workers: usize,
    ) -> (Run, crate::record::Histograms, verdict::Exit) {
        let counted = std::mem::replace(&mut self.counted, (Duration::ZERO, Totals::default()));
        let outside = Outside { gauges: sum_by_metric(&self.own_gauges()), ..Outside::default() };
        let inputs = Inputs {
            phase: None,
            judged: true,
            loaded: self.plan.phases.iter().any(|phase| phase.judge && !phase.loads.is_empty()) && *ending == Ending::Completed,
            totals: &counted.1,
            duration: counted.0,
            saturated: None,
            doubts: &[],
            outside: &outside,
        };
        let over_run = verdict::judge(&self.plan.slos, &inputs, self.run_watches.clone());
        self.verdict = self.verdict.max(over_run.verdict);
        self.reasons.extend(over_run.reasons);
        self.reasons.extend(result::never_reached(&self.drained));
        match ending {
            Ending::Completed => {}
            Ending::Aborted(_) => self.verdict = Verdict::Fail,
            Ending::Stopped | Ending::Failed(_) => self.verdict = self.verdict.max(Verdict::Inconclusive),
        }
        let stopped = result::stopped(ending);
        self.reasons.extend(stopped.clone());
        let gauges = &self.store.gauges;
        let rows = self.results.values().flatten().chain(&over_run.slos).cloned().collect::<Vec<_>>();
        gauges.set_slos(turn::slo_rows(&rows));
        gauges.set_verdict(Some(self.verdict));
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
            started: phases.first().map_or(unix_time(began), |phase: &Phase| phase.started),
            ended: unix_time(SystemTime::now()),
            verdict: self.verdict,
            reasons: std::mem::take(&mut self.reasons),
            gaps: Vec::new(),
            stopped,
            seed: self.plan.seed,
            generator: build::generator(workers as u64, cpu, since.elapsed(), self.saturated),
            phases,
            slos: over_run.slos.iter().map(build::slo).collect(),
        };
        let histograms = build::all_histograms(&run, histograms);
        let exit = result::exit(self.verdict, ending, &self.drained);
        (run, histograms, exit)
    }
}

/// The SLOs of a phase as they stand; counters of the target are not known before its end.
fn provisional(plan: &Plan, phase: PhaseId, elapsed: Duration, totals: &Totals, watches: &Watches) -> Vec<SloResult> {
    let inputs = Inputs {
        phase: Some((phase, &plan.phases[phase.index()].name)),
        judged: true,
        loaded: true,
        totals,
        duration: elapsed,
        saturated: None,
        doubts: &[],
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
fn samples(board: &Board, plan: &Plan) -> Vec<(StepId, ErrorSample)> {
    let example = |example: engine::ErrorExample| {
        let sample = ErrorSample {
            at: unix_time(example.at),
            reason: example.reason.label().to_owned(),
            status: (example.status > 0).then_some(example.status),
            detail: plan.secrets.redact(&example.detail).into_owned(),
            body: plan.secrets.redact(&example.body).into_owned(),
        };
        (example.step, sample)
    };
    board.examples().into_iter().map(example).collect()
}
