//! SLOs followed while the load runs: windows that slide by a tenth, `abort_after`, and drift.
//!
//! Every SLO that needs it keeps a ring of at most eleven extracts ([`Figures`]) of what was measured since the start; a window is
//! the difference between the newest and the one that is its length old. What is under way at its end and has lasted as long as the
//! objective is part of it, too. What becomes of the windows is kept as counts and the worst value, so that memory doesn't grow with
//! the length of a run.

use super::drift::{Drift, LEAST_SAMPLES_OF_A_POINT};
use super::figures::{Extent, Figures};
use super::found::depends;
use super::known::{Known, Pace};
use super::requirement::{Measure, Requirement};
use super::slo::{Over, Slo, Subject, Traffic, covered};
use crate::base::units::show_seconds;
use crate::measure::{Layout, PhaseId, ScenarioId, Totals};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

/// The fewest samples of a window that is judged, unless the target is why there are no more.
pub const LEAST_SAMPLES: u64 = 100;

/// The fewest samples on which a run is aborted. An error rate is plain sooner than a quantile. And a target that answers
/// nothing at a low rate must not be asked for hours.
pub const LEAST_SAMPLES_TO_ABORT: u64 = 10;

/// The generator gives a sign of life more often than this; a shorter gap is no pause.
const PAUSE: Duration = Duration::from_millis(150);

/// A window slides by its length divided by this; a ring holds one snapshot more.
const SLIDES: usize = 10;

/// A drift is a line through so many points over the time planned,
const POINTS: u32 = 60;
/// each of which stands for at least, and at most, so long.
const POINT: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));

/// An SLO that has ended the run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Breach {
    /// The SLO's name.
    pub slo: String,
    /// What happened, as a sentence.
    pub reason: String,
}

/// What became of a requirement's windows.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Mark {
    /// Windows judged, and those that surely breached.
    pub judged: u64,
    pub breached: u64,
    /// Windows with too few samples to be judged.
    pub small: u64,
    /// What is known of the worst window: one that surely breached, or else one of which nobody can say.
    pub worst: Option<Known>,
    /// Windows of which nobody can say, and what the worst of them depends on.
    pub unsure: Option<(u64, String)>,
    /// The ends of the first and the last window that breached.
    pub first: Duration,
    pub last: Duration,
    /// Whether the last window judged was met, and one that ended while the load went on.
    pub recovered: bool,
}

/// Extracts over the last `span`.
#[derive(Debug, Clone)]
struct Ring {
    span: Duration,
    next: Duration,
    snapshots: VecDeque<Snapshot>,
}

/// What was measured up to a moment, and how long each worker had stood still by then.
#[derive(Debug, Clone, Default)]
struct Snapshot {
    at: Duration,
    stood: Arc<[Duration]>,
    figures: Figures,
}

/// What was measured between two moments.
struct Window {
    length: Duration,
    /// For how long of that the workers stood still, on average.
    stood: Duration,
    figures: Figures,
}

impl Snapshot {
    fn since(&self, earlier: &Self) -> Window {
        let length = self.at.saturating_sub(earlier.at);
        // Each for itself: the pause of one among many is one, too.
        let paused = self.stood.iter().enumerate().map(|(worker, stood)| {
            let stood = stood.saturating_sub(earlier.stood.get(worker).copied().unwrap_or_default());
            if stood > PAUSE { stood.min(length) } else { Duration::ZERO }
        });
        let stood = paused.sum::<Duration>() / self.stood.len().max(1) as u32;
        Window { length, stood, figures: self.figures.minus(&earlier.figures) }
    }
}

impl Window {
    fn pace(&self) -> Pace {
        Pace { seconds: self.length.as_secs_f64(), limited: false, stood: Some(self.stood.as_secs_f64()) }
    }

    /// As a requirement sees it, if there is enough to judge by: so many samples, or what the target kept from becoming more.
    fn judged_by(&self, requirement: &Requirement, least: u64) -> Option<Figures> {
        let figures = self.figures.so_far(requirement);
        let samples = figures.samples(requirement.measure);
        let enough = samples >= least || samples > 0 && self.figures.is_kept_waiting(self.length.as_secs_f64());
        enough.then_some(figures)
    }
}

impl Ring {
    fn new(span: Duration) -> Self {
        let ring = Self { span, next: Duration::ZERO, snapshots: VecDeque::from([Snapshot::default()]) };
        Self { next: ring.step(), ..ring }
    }

    /// Rounded up, so that ten steps are never shorter than the span.
    fn step(&self) -> Duration {
        (self.span.saturating_add(Duration::from_nanos(SLIDES as u64 - 1)) / SLIDES as u32).max(Duration::from_nanos(1))
    }

    /// Takes what was measured; the window that ends there, if one is full.
    fn push(&mut self, mut now: Snapshot) -> Option<Window> {
        let window = self.window(&now);
        self.next = now.at.saturating_add(self.step());
        // Of what is under way only the newest says anything.
        now.figures.forget_lasting();
        self.snapshots.push_back(now);
        if self.snapshots.len() > SLIDES + 1 {
            self.snapshots.pop_front();
        }
        window
    }

    /// The window up to now, forgetting what no later one needs.
    fn window(&mut self, now: &Snapshot) -> Option<Window> {
        while self.snapshots.get(1).is_some_and(|second| second.at.saturating_add(self.span) <= now.at) {
            self.snapshots.pop_front();
        }
        let oldest = self.snapshots.front()?;
        (oldest.at.saturating_add(self.span) <= now.at).then(|| now.since(oldest))
    }
}

/// The stretches of a drift.
#[derive(Debug, Clone)]
struct Stretches {
    every: Duration,
    next: Duration,
    last: (Duration, Figures),
    drift: Drift,
}

/// One SLO that is followed.
#[derive(Debug, Clone)]
struct Watch {
    /// Its place in the list.
    slo: usize,
    name: String,
    subject: Traffic,
    /// A slow generator may keep its load below what it could be.
    limited: bool,
    require: Vec<Requirement>,
    target: Vec<Requirement>,
    window: Option<Ring>,
    abort: Option<Ring>,
    drift: Option<Stretches>,
    /// One for each of `require`, then of `target`.
    marks: Vec<Mark>,
    /// Which of `require` ended the run, how, and what was known of it then.
    aborted: Option<(usize, String, Known)>,
}

/// The SLOs of a phase, or of the run, that are followed.
#[derive(Debug, Clone)]
pub struct Watches {
    watches: Vec<Watch>,
    layout: Arc<Layout>,
    /// Scenarios whose dropped arrivals an SLO of their own judges.
    covered: Vec<ScenarioId>,
    /// They are followed over the run.
    run: bool,
    /// How long each worker had stood still when that was reported last, and for how long of the time that is followed.
    stood: Option<(Vec<Duration>, Arc<[Duration]>)>,
}

impl Watches {
    /// Follows the SLOs over one phase. `planned` is how long it will take; it only sets the stretches of a drift.
    pub fn of_phase(slos: &[Slo], layout: &Arc<Layout>, phase: PhaseId, planned: Duration) -> Self {
        Self::new(slos, layout, Some(phase), planned, |slo| slo.applies_to(phase))
    }

    /// Follows the SLOs over the run: times and totals are then those of its judged phases together.
    pub fn of_run(slos: &[Slo], layout: &Arc<Layout>, planned: Duration) -> Self {
        Self::new(slos, layout, None, planned, |slo| slo.over == Over::Run)
    }

    fn new(
        slos: &[Slo],
        layout: &Arc<Layout>,
        phase: Option<PhaseId>,
        planned: Duration,
        applies: impl Fn(&Slo) -> bool,
    ) -> Self {
        let every = (planned / POINTS).clamp(POINT.0, POINT.1);
        let watch = |(i, slo): (usize, &Slo)| {
            let Subject::Traffic(subject) = &slo.subject else { return None };
            let requirements = || slo.require.iter().chain(&slo.target);
            let drifts = requirements().any(|requirement| requirement.measure == Measure::Drift);
            let needed = slo.window.is_some() || slo.abort_after.is_some() || drifts;
            needed.then(|| Watch {
                slo: i,
                name: slo.name.clone(),
                subject: subject.clone(),
                limited: slo.is_limited(phase),
                require: slo.require.clone(),
                target: slo.target.clone(),
                window: slo.window.map(Ring::new),
                abort: slo.abort_after.map(Ring::new),
                drift: drifts.then(|| Stretches {
                    every,
                    next: every,
                    last: (Duration::ZERO, Figures::default()),
                    drift: Drift::default(),
                }),
                marks: vec![Mark::default(); requirements().count()],
                aborted: None,
            })
        };
        Self {
            watches: slos.iter().enumerate().filter(|(_, slo)| applies(slo)).filter_map(watch).collect(),
            layout: layout.clone(),
            covered: covered(slos, phase),
            run: phase.is_none(),
            stood: None,
        }
    }

    /// Each worker has stood still for so long since it began. To be reported as the time begins, and before it is looked at what was
    /// measured.
    pub fn stands(&mut self, stood: &[Duration]) {
        let Some((last, within)) = &mut self.stood else { return self.skips(stood) };
        if last != stood {
            let since = last.iter().zip(stood).map(|(last, stood)| stood.saturating_sub(*last));
            *within = within.iter().zip(since).map(|(within, since)| *within + since).collect();
            *last = stood.to_vec();
        }
    }

    /// The same at the end of a time that isn't followed: what they stood still meanwhile is in no window.
    pub fn skips(&mut self, stood: &[Duration]) {
        let within = self.stood.take().map_or_else(|| stood.iter().map(|_| Duration::ZERO).collect(), |(_, within)| within);
        self.stood = Some((stood.to_vec(), within));
    }

    fn stood(&self) -> Arc<[Duration]> {
        self.stood.as_ref().map_or_else(Arc::default, |(_, within)| within.clone())
    }

    /// When [`Watches::tick`] is wanted next, in time of the phase; `None` if nothing is followed.
    pub fn next(&self) -> Option<Duration> {
        self.watches.iter().filter_map(Watch::next).min()
    }

    /// Takes what was measured from the start to `t`, for whatever is due then; a tick that is early does nothing, one that is late
    /// makes a longer window. The first SLO whose `abort_after` is over is answered, once. `saturated` says whether the generator is the
    /// bottleneck, and is asked only where that may decide.
    pub fn tick(&mut self, t: Duration, totals: &Totals, saturated: &dyn Fn() -> bool) -> Option<Breach> {
        let extent = Extent { layout: &self.layout, covered: &self.covered, run: self.run, over: false };
        let stood = self.stood();
        let due = self.watches.iter_mut().filter(|watch| watch.next().is_some_and(|next| next <= t));
        // Every one that is due takes its snapshot, whether or not another aborts.
        due.fold(None, |breach, watch| {
            let figures = Figures::of(&watch.subject, totals, extent);
            breach.or(watch.tick(Snapshot { at: t, stood: stood.clone(), figures }, saturated))
        })
    }

    /// The last window, once the time is over (`t`); and whether what was under way has drained.
    pub(super) fn finish(&mut self, t: Duration, totals: &Totals, over: bool) {
        let extent = Extent { layout: &self.layout, covered: &self.covered, run: self.run, over };
        let stood = self.stood();
        for watch in &mut self.watches {
            let figures = Figures::of(&watch.subject, totals, extent);
            watch.finish(&Snapshot { at: t, stood: stood.clone(), figures });
        }
    }

    fn of(&self, slo: usize) -> Option<&Watch> {
        self.watches.iter().find(|watch| watch.slo == slo)
    }

    /// What became of the windows of the i-th of an SLO's requirements, its targets counted on.
    pub(super) fn mark(&self, slo: usize, requirement: usize) -> Option<&Mark> {
        self.of(slo)?.marks.get(requirement)
    }

    /// The drift of an SLO's subject.
    pub(super) fn drift(&self, slo: usize) -> Option<&Drift> {
        self.of(slo)?.drift.as_ref().map(|stretches| &stretches.drift)
    }

    /// How the i-th of an SLO's requirements ended the run, if it did.
    pub(super) fn aborted(&self, slo: usize, requirement: usize) -> Option<(&str, Known)> {
        let aborted = self.of(slo)?.aborted.as_ref().filter(|aborted| aborted.0 == requirement)?;
        Some((aborted.1.as_str(), aborted.2))
    }
}

impl Watch {
    fn next(&self) -> Option<Duration> {
        let rings = [&self.window, &self.abort].into_iter().flatten().map(|ring| ring.next);
        rings.chain(self.drift.iter().map(|stretches| stretches.next)).min()
    }

    fn tick(&mut self, now: Snapshot, saturated: &dyn Fn() -> bool) -> Option<Breach> {
        let t = now.at;
        if let Some(stretches) = self.drift.as_mut().filter(|stretches| stretches.next <= t) {
            stretches.take(t, &now.figures);
        }
        if self.window.as_ref().is_some_and(|ring| ring.next <= t)
            && let Some(window) = self.window.as_mut().and_then(|ring| ring.push(now.clone()))
        {
            self.judge(t, &window, false);
        }
        let ring = self.abort.as_mut().filter(|ring| ring.next <= t)?;
        let window = ring.push(now)?;
        if self.aborted.is_some() {
            return None;
        }
        let breached = self.require.iter().enumerate().find_map(|(i, requirement)| {
            let figures = window.judged_by(requirement, LEAST_SAMPLES_TO_ABORT)?;
            let breach = |pace| figures.known(requirement, pace).filter(|known| known.met == Some(false));
            let known = breach(window.pace())?;
            // Only what is sure ends a run: a faster generator may have made more of a closed load.
            let sure = !self.limited || breach(Pace { limited: true, ..window.pace() }).is_some() || !saturated();
            sure.then_some((i, requirement, known))
        });
        let (i, requirement, known) = breached?;
        let reason = format!(
            "{requirement} was {} over the last {} at {}, which ended the run",
            requirement.unit.show(known.value),
            show_seconds(window.length.as_secs_f64()),
            show_seconds(t.as_secs_f64())
        );
        self.aborted = Some((i, reason.clone(), known));
        Some(Breach { slo: self.name.clone(), reason })
    }

    fn finish(&mut self, now: &Snapshot) {
        let t = now.at;
        if let Some(stretches) = self.drift.as_mut().filter(|stretches| stretches.last.0 + stretches.every / 2 < t) {
            stretches.take(t, &now.figures);
        }
        let Some(ring) = &mut self.window else { return };
        // A time shorter than the window is one window by itself.
        let window = ring.window(now).or_else(|| {
            let oldest = ring.snapshots.front().filter(|oldest| oldest.at.is_zero())?;
            Some(now.since(oldest))
        });
        if let Some(window) = window {
            self.judge(t, &window, true);
        }
    }

    /// Judges the window that ends at `t`; with what the `drain` brought, where it is the last one. A load that is over shows nothing of a
    /// recovery.
    fn judge(&mut self, t: Duration, window: &Window, drain: bool) {
        for (requirement, mark) in self.require.iter().chain(&self.target).zip(&mut self.marks) {
            let Some(figures) = window.judged_by(requirement, LEAST_SAMPLES) else {
                mark.small += 1;
                continue;
            };
            let Some(known) = figures.known(requirement, window.pace()) else { continue };
            mark.judged += 1;
            mark.recovered = known.met == Some(true) && (mark.recovered || !drain);
            let badness = |known: Known| {
                let sure = known.met.map_or(1, |met| if met { 0 } else { 2 });
                (sure, requirement.comparison.badness(known.value, requirement.objective))
            };
            let worst = mark.worst.is_none_or(|worst| badness(known) > badness(worst));
            if worst {
                mark.worst = Some(known);
            }
            if known.met.is_none() {
                let (windows, doubt) = mark.unsure.get_or_insert_default();
                *windows += 1;
                if worst {
                    *doubt = depends(requirement, &known, &figures.doubt(requirement, window.pace()));
                }
            }
            if known.met == Some(false) {
                if mark.breached == 0 {
                    mark.first = t;
                }
                mark.last = t;
                mark.breached += 1;
            }
        }
    }
}

impl Stretches {
    fn take(&mut self, t: Duration, figures: &Figures) {
        let stretch = figures.minus(&self.last.1);
        let median = stretch.quantile_between(0.5);
        let enough = stretch.samples(Measure::Drift) >= LEAST_SAMPLES_OF_A_POINT;
        if let Some((median, least, most)) = median.filter(|_| enough) {
            let unclear = (most - median).max(median - least).max(0.0);
            self.drift.add(self.last.0 + t.saturating_sub(self.last.0) / 2, median, unclear);
        }
        self.last = (t, figures.clone());
        self.next = t.saturating_add(self.every);
    }
}

#[cfg(test)]
mod drifts;
#[cfg(test)]
mod tests;
