//! Carries one run out, from its first reading to its record.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use tokio::sync::mpsc::{Sender, UnboundedReceiver};
use tokio::task::JoinSet;

use crate::base::Verdict;
use crate::counters::{Observed, Observer, Traffic};
use crate::engine::{self, Carried, Control, Ending, ErrorExample, Event, RunView};
use crate::exposition::Shown;
use crate::measure::process::{cpu_time, unix_time};
use crate::measure::{Clock, PhaseId, Totals};
use crate::plan::Plan;
use crate::record::{self, Phase, PhaseHistograms, Progress, RecordError, Storage};
use crate::verdict::{self, Outside, SloResult, Watches};

use super::away::AwayNow;
use super::health::{self, Baseline};
use super::observing::{self, Span, WholeRun, looks_outside, read_at};
use super::patience::{PATIENCE, passed};
use super::phase_book::{self, Drained, PhaseBook};
use super::progress::{Meter, waits_for};
use super::result::{self, Outcome};
use super::stored::{Record, off_thread, store_it};
use super::update::{Stop, Update};

/// Repeats that keep their detail.
pub(super) const REPEATS_KEPT: usize = 100;

/// How a run is carried out.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where it is stored; nowhere if absent.
    pub storage: Option<Storage>,
    /// Whether a run is given up, before anything is sent, if a source can't be read or a target can't be reached.
    pub strict: bool,
    /// How load is generated on this machine.
    pub engine: engine::Options,
}

/// Carries a run out. What could not be done is in the outcome.
///
/// # Errors
/// It can't be stored. Then it wasn't begun, and nothing was sent.
pub async fn run(
    plan: Arc<Plan>,
    store: Arc<Shown>,
    options: &Options,
    mut stop: UnboundedReceiver<Stop>,
    update: &mut (dyn FnMut(Update<'_>) + Send),
) -> Result<Outcome, RecordError> {
    let clock = Clock::default();
    let began = clock.began();
    let profile = plan.name.clone();
    let directory = match options.storage.clone() {
        Some(storage) => Some(off_thread(move || storage.begin(&profile, began)).await?),
        None => {
            tracing::info!(%profile, "the run is not stored, since --storage.path is empty");
            update(Update::Say("This run is not stored, since --storage.path is empty.".to_owned()));
            None
        }
    };
    store.begin_run(unix_time(began), &phase_book::objectives(&plan));
    let name = directory.as_ref().map_or_else(|| record::run_name(&plan.name, began), |directory| directory.run().to_owned());
    let mut conduct = RunDriver::new(plan, store, options.engine, clock);
    (conduct.run, conduct.started) = (name.clone(), began);
    conduct.show(update);
    let ending = conduct.carry_out(options.strict, &mut stop, update).await;
    let mut last = conduct.now();
    let (run, histograms, exit) = conduct.conclude(name, began, &ending, options.engine.workers, &mut stop).await;
    last.ends(&run, &conduct.drained);
    let last = Arc::new(last);
    update(Update::Status(last.clone()));
    let record = Arc::new(Record { run, histograms, directory, plan: conduct.plan.clone() });
    let stored = store_it(&record, &last, conduct.asked.is_some(), &mut stop, update).await;
    if let Some(storage) = options.storage.clone()
        && let Err(error) = off_thread(move || storage.prune()).await
    {
        tracing::warn!(%error, "old runs could not be removed");
    }
    Ok(Outcome { run: record.run.clone(), exit, stored })
}

/// A run under way, as the service follows it.
pub(super) struct RunDriver {
    pub(super) plan: Arc<Plan>,
    pub(super) store: Arc<Shown>,
    pub(super) observer: Option<Arc<Observer>>,
    /// The reading that the next phase begins with.
    pub(super) edge: Option<observing::Pending>,
    /// What the judged phases came to together, where SLOs over the run need it and it is waited for.
    pub(super) whole: Option<WholeRun>,
    pub(super) turns: BTreeMap<u64, PhaseBook>,
    /// Phases that have drained and wait for their readings.
    pub(super) waiting: BTreeMap<u64, Drained>,
    /// Their readings.
    pub(super) judging: JoinSet<(u64, Option<Observed>, Outside)>,
    pub(super) judged: VecDeque<(u64, Phase, PhaseHistograms)>,
    /// Requirements of phases that are judged, for `/metrics`.
    pub(super) results: BTreeMap<PhaseId, Vec<SloResult>>,
    pub(super) verdict: Verdict,
    pub(super) reasons: Vec<String>,
    pub(super) saturated: bool,
    /// All phases that have drained.
    pub(super) drained: Totals,
    /// Those of them that are judged.
    pub(super) counted: (Duration, Totals),
    pub(super) run_watches: Watches,
    pub(super) meter: Meter,
    pub(super) cpu: (Instant, Duration),
    /// When progress was reported last.
    pub(super) reported: Instant,
    pub(super) slos_shown: Instant,
    pub(super) aborted: bool,
    pub(super) options: engine::Options,
    /// From set-up to teardown: lists, variables, totals.
    pub(super) carried: Carried,
    /// What set-up, verify and teardown recorded, together.
    pub(super) staged: Totals,
    /// Those of them that are over.
    pub(super) hooks: Vec<record::Hook>,
    /// The load was begun.
    pub(super) began: bool,
    /// What was asked of the run from outside.
    pub(super) asked: Option<Stop>,
    /// Its identifier.
    pub(super) run: String,
    /// When it began.
    pub(super) started: SystemTime,
    /// How it stood when it was reported last.
    pub(super) progress: Progress,
    /// Which targets and sources are away.
    pub(super) away: AwayNow,
    /// What the preflight found, for the status.
    pub(super) note: Option<String>,
    /// Examples of errors of set-up, verify and teardown; and those of the phases, as they were reported last.
    pub(super) examples: (Vec<ErrorExample>, Vec<ErrorExample>),
}

impl RunDriver {
    fn new(plan: Arc<Plan>, store: Arc<Shown>, options: engine::Options, clock: Clock) -> Self {
        let planned = plan.phases.iter().filter(|phase| phase.judge).map(|phase| phase.duration).sum();
        Self {
            observer: (!plan.observe.is_empty()).then(|| Observer::new(plan.observe.clone(), clock)),
            edge: None,
            whole: looks_outside(&plan.slos).then(WholeRun::default),
            turns: BTreeMap::new(),
            waiting: BTreeMap::new(),
            judging: JoinSet::new(),
            judged: VecDeque::new(),
            results: BTreeMap::new(),
            verdict: Verdict::None,
            reasons: Vec::new(),
            saturated: false,
            drained: Totals::empty(&plan.layout),
            counted: (Duration::ZERO, Totals::empty(&plan.layout)),
            run_watches: Watches::of_run(&plan.slos, &plan.layout, planned),
            meter: Meter::new(&plan),
            cpu: (Instant::now(), cpu_time()),
            reported: Instant::now(),
            slos_shown: Instant::now(),
            aborted: false,
            carried: Carried { clock, ..Carried::new(&plan, options) },
            staged: Totals::empty(&plan.layout),
            hooks: Vec::new(),
            began: false,
            asked: None,
            run: String::new(),
            started: clock.began(),
            progress: Progress::default(),
            note: None,
            away: AwayNow::default(),
            examples: (Vec::new(), Vec::new()),
            options,
            plan,
            store,
        }
    }

    /// From the first look at the target to the end of teardown.
    async fn carry_out(
        &mut self,
        strict: bool,
        stop: &mut UnboundedReceiver<Stop>,
        update: &mut (dyn FnMut(Update<'_>) + Send),
    ) -> Ending {
        // Nothing was done that would have to be undone.
        if let Err(ending) = self.preflight(strict, stop, update).await {
            return ending;
        }
        // What exporters say before the first edge is known as of the end of set-up.
        if let Some(observer) = &self.observer {
            observer.watch();
        }
        let ending = match self.set_up(stop, update).await {
            Ok(()) => self.load(stop, update).await,
            Err(ending) => ending,
        };
        self.wind_up(ending, stop, update).await
    }

    /// The phases, until the last one is judged.
    async fn load(&mut self, stop: &mut UnboundedReceiver<Stop>, update: &mut (dyn FnMut(Update<'_>) + Send)) -> Ending {
        if !self.settle_first(stop, update).await {
            return Ending::Stopped;
        }
        self.began = true;
        self.meter = Meter::new(&self.plan);
        match engine::start(self.plan.clone(), self.store.store.clone(), self.options, &self.carried) {
            Ok(engine) => self.follow(engine, stop, update).await,
            Err(error) => Ending::Failed(format!("the workers can't be started: {error}")),
        }
    }

    /// With `settle: true` the sources are read before anything is sent. False if the run is stopped meanwhile.
    async fn settle_first(&mut self, stop: &mut UnboundedReceiver<Stop>, update: &mut (dyn FnMut(Update<'_>) + Send)) -> bool {
        let Some(observer) = self.observer.as_ref().filter(|_| self.plan.observe.settle) else { return true };
        tracing::info!(profile = %self.plan.name, "waiting until every source has a sample");
        update(Update::Say("Waiting until every source has a sample.".to_owned()));
        let reading = read_at(observer, self.carried.clock.now(), Traffic::Still);
        tokio::select! {
            _ = reading.clone() => {}
            order = stop.recv() => {
                self.asked(order.unwrap_or(Stop::Gracefully));
                return false;
            }
        }
        self.edge = Some(reading);
        true
    }

    /// Follows the engine to its end, and every judgement to its own.
    async fn follow(
        &mut self,
        mut engine: engine::Run,
        stop: &mut UnboundedReceiver<Stop>,
        update: &mut (dyn FnMut(Update<'_>) + Send),
    ) -> Ending {
        let mut ending = None;
        let mut stoppable = true;
        let mut patience = None;
        while ending.is_none() || !self.judging.is_empty() {
            let next_look = self.until_next_look(&engine.view);
            tokio::select! {
                biased;
                event = engine.events.recv(), if ending.is_none() => match event {
                    Some(Event::Finished(how)) => {
                        ending = Some(how);
                        if self.observer.is_some() && !self.judging.is_empty() {
                            tracing::info!(profile = %self.plan.name, "waiting until every source has shown its last values");
                            update(Update::Say("The load is over; waiting until every source has shown its last values (an interrupt ends the wait).".to_owned()));
                        }
                    }
                    Some(event) => self.event(event, &engine.view, &engine.control, update).await,
                    None => ending = Some(Ending::Failed("the coordinator is gone".to_owned())),
                },
                order = stop.recv(), if stoppable => match order {
                    Some(order) if ending.is_none() => {
                        self.asked(order);
                        let control = match order {
                            Stop::AtOnce => Control::Interrupt,
                            Stop::Gracefully => Control::Stop,
                        };
                        if order == Stop::AtOnce {
                            patience.get_or_insert_with(|| Instant::now() + PATIENCE);
                        }
                        // A coordinator that takes no orders is waited for no longer than one that doesn't end.
                        let _ = tokio::time::timeout(PATIENCE, engine.control.send(control)).await;
                    }
                    // Over, but for readings that are still on their way.
                    Some(order) => {
                        self.asked(order);
                        self.give_up_readings(&engine.view, update);
                        break;
                    }
                    None => stoppable = false,
                },
                () = passed(patience), if ending.is_none() => {
                    self.cut_off(&engine.view, &engine.control);
                    self.give_up_readings(&engine.view, update);
                    break;
                }
                Some(done) = self.judging.join_next() => match done {
                    Ok((phase_run, observed, outside)) => {
                        if let Some(drained) = self.waiting.remove(&phase_run) {
                            self.judge(phase_run, drained, observed, &outside, &engine.view, update);
                        }
                    }
                    Err(error) => {
                        tracing::error!(%error, "a phase could not be judged");
                        self.doubt(format!("A phase could not be judged: {error}."));
                    }
                },
                () = tokio::time::sleep(next_look) => {
                    self.look(&engine.view, &engine.control, ending.is_none(), update).await;
                }
            }
        }
        self.examples.1 = engine.view.examples();
        self.look_for_away(&engine.view, update);
        ending.unwrap_or(Ending::Stopped)
    }

    /// Looks at what has gone, and at what is back.
    pub(super) fn look_for_away(&mut self, view: &RunView, update: &mut (dyn FnMut(Update<'_>) + Send)) {
        let sources = self.observer.as_ref().map(|observer| observer.away()).unwrap_or_default();
        self.away.look(&self.plan, view.away().into_iter().chain(sources), update);
    }

    async fn event(
        &mut self,
        event: Event,
        view: &RunView,
        control: &Sender<Control>,
        update: &mut (dyn FnMut(Update<'_>) + Send),
    ) {
        match event {
            Event::PhasePrepares { phase, users } => {
                let described = &self.plan.phases[phase.index()];
                tracing::info!(profile = %self.plan.name, phase = %described.name, users, "preparing users");
                if view.phases().is_empty() {
                    self.progress.phase.clone_from(&described.name);
                    self.progress.phase_duration = described.duration.as_secs_f64();
                }
                self.progress.note = Some(waits_for(0, users));
                update(Update::Progress(&self.progress));
                self.show(update);
            }
            Event::PhaseStarted { phase_run, phase, repeat, at, .. } => {
                self.store.gauges.begin_phase(phase, unix_time(at));
                let described = &self.plan.phases[phase.index()];
                tracing::info!(profile = %self.plan.name, phase = %described.name, repeat, "phase started");
                self.progress.phase.clone_from(&described.name);
                self.progress.phase_duration = described.duration.as_secs_f64();
                self.progress.note = None;
                self.show(update);
                let before = self.edge.take();
                let before = before.or_else(|| Some(read_at(self.observer.as_ref()?, at, Traffic::Flowing)));
                let mut watches = Watches::of_phase(&self.plan.slos, &self.plan.layout, phase, described.duration);
                watches.skips(&view.stood());
                if described.judge {
                    self.run_watches.skips(&view.stood());
                }
                let turn = PhaseBook {
                    phase,
                    repeat,
                    started: at,
                    length: None,
                    watches,
                    baseline: Baseline::take(view),
                    used: None,
                    before,
                    after: None,
                };
                self.turns.insert(phase_run, turn);
            }
            Event::PhaseEnded { phase_run, at } => {
                let Some(turn) = self.turns.get_mut(&phase_run) else { return };
                turn.used = Some(turn.baseline.used(view));
                turn.watches.stands(&view.stood());
                if self.plan.phases[turn.phase.index()].judge {
                    self.run_watches.stands(&view.stood());
                }
                turn.length = Some(at.duration_since(turn.started).unwrap_or_default());
                self.store.gauges.end_phase(turn.phase, unix_time(at));
                if self.plan.observe.settle && self.observer.is_some() {
                    // Read once it has drained.
                    tracing::info!(profile = %self.plan.name, "waiting until every source has a sample past the phase's end");
                    update(Update::Say("Waiting until every source has a sample past the phase's end.".to_owned()));
                } else if let Some(observer) = &self.observer {
                    turn.after = Some(read_at(observer, at, Traffic::Flowing));
                    self.edge.clone_from(&turn.after);
                }
            }
            Event::PhaseDrained { phase_run, phase, started, ended, elapsed, totals, last } => {
                self.phase_drained(phase_run, (phase, started, ended, elapsed), *totals, last, view, control);
            }
            Event::Finished(_) => {}
        }
    }

    pub(super) fn phase_drained(
        &mut self,
        phase_run: u64,
        (phase, started, ended, elapsed): (PhaseId, SystemTime, SystemTime, Duration),
        totals: Totals,
        last: bool,
        view: &RunView,
        control: &Sender<Control>,
    ) {
        self.drained.add(&totals);
        view.take_over(phase_run);
        // A phase that was announced and never began has nothing to say.
        let Some(turn) = self.turns.remove(&phase_run) else { return };
        let plan = self.plan.clone();
        let described = &plan.phases[phase.index()];
        if described.judge {
            self.counted.0 += elapsed;
            let mut counted = totals.clone();
            verdict::mark_judged(&plan.slos, phase, &mut counted);
            self.counted.1.follow(&counted);
        }
        let used = turn.used.unwrap_or_else(|| turn.baseline.used(view));
        let saturated = verdict::saturation(&health::effort(&self.plan, described, &totals, used));
        if let Some(reason) = &saturated {
            tracing::warn!(profile = %plan.name, phase = %described.name, "{reason}");
        }
        let saturated = saturated.is_some();
        self.saturated |= saturated;
        self.store.gauges.set_saturated(saturated);
        let requests = totals.steps.iter().map(|step| step.requests()).sum();
        let ran_out = result::ran_out(&self.plan, described, &view.ran_out(phase_run));
        let (repeat, watches) = (turn.repeat, turn.watches);
        let drained = Drained { phase, repeat, started, ended, elapsed, totals, watches, saturated, ran_out };
        self.waiting.insert(phase_run, drained);
        let Some((observer, before)) = self.observer.clone().zip(turn.before) else {
            if self.plan.observe.settle {
                // There is no source to wait for.
                let control = control.clone();
                tokio::spawn(async move { control.send(Control::Settled { phase_run }).await });
            }
            self.judging.spawn(async move { (phase_run, None, Outside::default()) });
            return;
        };
        let still = self.plan.observe.settle;
        let after = match turn.after {
            Some(after) if !last => after,
            // Nothing of it is under way any more. Where the load pauses, nobody else's is either.
            _ => read_at(&observer, self.carried.clock.now(), if still { Traffic::Still } else { Traffic::Ended }),
        };
        if still {
            self.edge = Some(after.clone());
            let (after, control) = (after.clone(), control.clone());
            tokio::spawn(async move {
                after.await;
                // A run that has ended meanwhile isn't waiting.
                let _ = control.send(Control::Settled { phase_run }).await;
            });
        }
        let span = Span { before, after, stretch: (started, ended), requests };
        if let Some(run) = self.whole.as_mut().filter(|_| described.judge) {
            run.extend(span.stretch);
        }
        self.judging.spawn(async move {
            let (observed, outside) = observing::observe(&observer, span, &plan).await;
            (phase_run, Some(observed), outside)
        });
    }
}
