//! What has been recorded of one loaded profile, for the process' life.
//!
//! Each phase has its sets that are live and the totals of those that have retired. A set moves from the one to the other under
//! the phase's lock, which readers hold too: whoever reads sees it in exactly one of them, so that no counter ever goes back.
//! Workers don't take the lock when they record.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::exemplars::Exemplars;
use super::gauges::Gauges;
use super::layout::{Layout, PhaseId, StepId};
use super::set::Set;
use super::shapes::Shapes;
use super::totals::Totals;

/// How many different status codes a step may show in one phase; what comes after them is `other`. A server that answers with
/// every code there is must not become 500 series.
pub const CODES: usize = 20;

/// One profile's recorders, totals and gauges.
#[derive(Debug)]
pub struct Store {
    layout: Arc<Layout>,
    shapes: Arc<Shapes>,
    phases: Vec<Mutex<Phase>>,
    /// What shows the present or the last run.
    pub gauges: Arc<Gauges>,
    /// Single requests with their traces.
    pub exemplars: Exemplars,
}

#[derive(Debug)]
struct Phase {
    retired: Totals,
    live: Vec<Arc<Set>>,
    /// The status codes that have a series of their own, by step, in the order of their first being seen.
    codes: Vec<Vec<u16>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Store {
    /// An empty store for a profile that was loaded.
    pub fn new(layout: Arc<Layout>) -> Arc<Self> {
        let phase = || {
            let codes = vec![Vec::new(); layout.steps.len()];
            Mutex::new(Phase { retired: Totals::empty(&layout), live: Vec::new(), codes })
        };
        Arc::new(Self {
            shapes: Arc::new(Shapes::new(&layout)),
            phases: layout.phases.iter().map(|_| phase()).collect(),
            gauges: Arc::new(Gauges::new(layout.clone())),
            exemplars: Exemplars::new(&layout),
            layout,
        })
    }

    /// The label sets.
    pub fn layout(&self) -> &Arc<Layout> {
        &self.layout
    }

    /// The buckets of the histograms.
    pub fn shapes(&self) -> &Shapes {
        &self.shapes
    }

    /// A set for one worker to record a phase in. It counts from now on, and until the end if it is never retired.
    pub fn open(&self, phase: PhaseId) -> Arc<Set> {
        let set = Arc::new(Set::new(phase, self.layout.clone(), self.shapes.clone(), self.gauges.clone()));
        lock(&self.phases[phase.index()]).live.push(set.clone());
        set
    }

    /// Takes a set back after drain: its counts stay, its memory goes. What is recorded in it afterwards is lost.
    pub fn retire(&self, set: Arc<Set>) {
        let mut phase = lock(&self.phases[set.phase().index()]);
        if let Some(i) = phase.live.iter().position(|live| Arc::ptr_eq(live, &set)) {
            // What is still under way ends elsewhere.
            phase.retired.add(&set.totals().drained());
            phase.live.swap_remove(i);
        }
    }

    /// Everything recorded in a phase so far, over all runs since the profile was loaded.
    pub fn totals(&self, phase: PhaseId) -> Totals {
        let phase = lock(&self.phases[phase.index()]);
        phase.retired.clone().plus(&Set::sum(&self.layout, &phase.live))
    }

    /// Which of a step's status codes have series of their own in a phase: the first [`CODES`] that came, for good, so that no
    /// series ever goes back. `codes` are those seen by now.
    pub fn admit_codes(&self, phase: PhaseId, step: StepId, codes: impl Iterator<Item = u16>) -> Vec<u16> {
        let mut phase = lock(&self.phases[phase.index()]);
        let admitted = &mut phase.codes[step.index()];
        for code in codes {
            if code != 0 && admitted.len() < CODES && !admitted.contains(&code) {
                admitted.push(code);
            }
        }
        admitted.clone()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::super::layout::{CheckId, CheckLayout, OwnId, OwnKind, OwnMetric, ScenarioId, ScenarioLayout, StepLayout};
    use super::super::sample::{ConnectTimes, Sample};
    use super::*;
    use crate::base::{DropReason, Outcome, Protocol, Reason};

    const SCENARIO: ScenarioId = ScenarioId(0);
    const STEP: StepId = StepId(0);
    const PHASE: PhaseId = PhaseId(0);

    fn layout() -> Arc<Layout> {
        Arc::new(Layout {
            profile: "votes".into(),
            phases: vec!["steady".into(), "spike".into()],
            scenarios: vec![ScenarioLayout::new("voters")],
            steps: vec![StepLayout { thresholds: vec![0.15], ..StepLayout::new(SCENARIO, "vote", Protocol::Http) }],
            checks: vec![CheckLayout { scenario: SCENARIO, step: Some(STEP), name: "counted".into(), ..CheckLayout::default() }],
            own: vec![
                OwnMetric {
                    name: "votes_total".into(),
                    help: "Votes.".into(),
                    kind: OwnKind::Counter,
                    scenarios: vec![SCENARIO],
                },
                OwnMetric { name: "depth".into(), help: "Depth.".into(), kind: OwnKind::Gauge, scenarios: vec![SCENARIO] },
            ],
            active: vec![(PHASE, SCENARIO), (PhaseId(1), SCENARIO)],
            ..Layout::default()
        })
    }

    fn sample(outcome: Outcome, status: u16) -> Sample {
        let reason = (outcome != Outcome::Ok).then_some(Reason::Status);
        Sample { response: 150_000_000, service: 100_000_000, outcome, reason, status, sent: 10, received: 20 }
    }

    fn work(set: &Set, i: u64) {
        set.due(SCENARIO, 1);
        match i % 5 {
            0 => set.dropped(SCENARIO, DropReason::Busy, 1),
            1 => set.cancelled(SCENARIO, 1),
            _ => {
                set.started(SCENARIO, 1);
                let outcome = if i % 5 == 2 { Outcome::Error } else { Outcome::Ok };
                set.sample(STEP, &sample(outcome, 200));
                set.check(CheckId(0), i % 5 == 3);
                set.count(OwnId(0), SCENARIO, 1.0);
                set.iteration(SCENARIO, 160_000_000, outcome);
            }
        }
    }

    /// Whether no count of `now` is below that of `before`.
    fn grown(before: &Totals, now: &Totals) -> bool {
        let counts = |totals: &Totals| {
            let (step, scenario) = (totals.step(STEP), totals.scenario(SCENARIO));
            let mut counts = vec![step.requests(), step.errors(), step.sent, scenario.due, scenario.started, scenario.cancelled];
            counts.extend(step.response.iter().chain(&step.service).map(|h| h.within_exactly(0.15).unwrap()));
            counts.extend([totals.check(CheckId(0)).total, totals.own(OwnId(0), SCENARIO).counter as u64]);
            counts
        };
        counts(before).iter().zip(counts(now)).all(|(before, now)| *before <= now)
    }

    #[test]
    fn counters_never_go_back_while_sets_retire() {
        const ROUNDS: u64 = 40;
        const EACH: u64 = 500;
        let store = Store::new(layout());
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let reader = scope.spawn(|| {
                let (mut last, mut reads) = (store.totals(PHASE), 0u64);
                while !done.load(Ordering::Acquire) || reads < 2 {
                    let now = store.totals(PHASE);
                    assert!(grown(&last, &now), "went back from {last:?} to {now:?}");
                    let (step, scenario, check) = (now.step(STEP), now.scenario(SCENARIO), now.check(CheckId(0)));
                    let settled = scenario.started + scenario.cancelled + scenario.dropped.iter().sum::<u64>();
                    assert!(scenario.due >= settled && check.total >= check.failed && step.requests() >= step.errors());
                    assert!(step.codes.get(&200).copied().unwrap_or(0) <= step.requests());
                    (last, reads) = (now, reads + 1);
                }
            });
            let writers: Vec<_> = (0..2)
                .map(|_| {
                    scope.spawn(|| {
                        for _ in 0..ROUNDS {
                            let set = store.open(PHASE);
                            (0..EACH).for_each(|i| work(&set, i));
                            store.retire(set);
                        }
                    })
                })
                .collect();
            let written = writers.into_iter().all(|writer| writer.join().is_ok());
            done.store(true, Ordering::Release);
            assert!(written && reader.join().is_ok());
        });
        let totals = store.totals(PHASE);
        let (all, step, scenario) = (2 * ROUNDS * EACH, totals.step(STEP), totals.scenario(SCENARIO));
        assert_eq!((scenario.due, scenario.waiting(), scenario.started), (all, 0, all / 5 * 3));
        assert_eq!((step.requests(), step.errors(), step.count(Outcome::Error)), (all / 5 * 3, all / 5, all / 5));
        assert_eq!((step.sent, step.received, step.codes[&200]), (all * 6, all * 12, all / 5 * 3));
        assert_eq!((totals.check(CheckId(0)).total, totals.check(CheckId(0)).failed), (all / 5 * 3, all / 5 * 2));
        assert_eq!(totals.own_sum(OwnId(0)).counter, (all / 5 * 3) as f64);
        assert_eq!(scenario.iterations[Outcome::Ok.index()].count(), all / 5 * 2);
    }

    #[test]
    fn a_run_is_the_difference_to_its_start() {
        let store = Store::new(layout());
        let first = store.open(PHASE);
        (0..10).for_each(|i| work(&first, i));
        store.retire(first);
        let start = store.totals(PHASE);
        let second = store.open(PHASE);
        (0..20).for_each(|i| work(&second, i));
        let run = store.totals(PHASE).minus(&start);
        assert_eq!(run, second.totals());
        assert_eq!(run.plus(&start), store.totals(PHASE));
        assert_eq!(store.totals(PhaseId(1)), Totals::empty(store.layout()), "phases are apart");
    }

    #[test]
    fn a_set_that_never_retires_still_counts_and_one_retires_once() {
        let store = Store::new(layout());
        let set = store.open(PHASE);
        set.sample(STEP, &sample(Outcome::Ok, 200));
        assert_eq!(store.totals(PHASE).step(STEP).requests(), 1);
        store.retire(set.clone());
        store.retire(set);
        assert_eq!(store.totals(PHASE).step(STEP).requests(), 1);
    }

    #[test]
    fn codes_and_reasons() {
        let store = Store::new(layout());
        let set = store.open(PHASE);
        for status in [0, 99, 100, 404, 404, 599, 600, 999] {
            set.sample(STEP, &sample(Outcome::Error, status));
        }
        let totals = store.totals(PHASE);
        let codes: Vec<_> = totals.step(STEP).codes.iter().map(|(code, n)| (*code, *n)).collect();
        assert_eq!(codes, [(0, 3), (100, 1), (404, 2), (599, 1)]);
        assert_eq!(totals.step(STEP).reasons[Reason::Status.index()], 8);
    }

    #[test]
    fn the_first_codes_keep_their_series_and_the_others_share_one() {
        let store = Store::new(layout());
        assert_eq!(store.admit_codes(PHASE, STEP, [0, 404, 200].into_iter()), [404, 200]);
        let all = store.admit_codes(PHASE, STEP, 200..600);
        assert_eq!((all.len(), &all[..3]), (CODES, &[404, 200, 201][..]));
        assert_eq!(store.admit_codes(PHASE, STEP, [599].into_iter()), all);
    }

    #[test]
    fn what_was_not_sent_has_no_service_time() {
        let store = Store::new(layout());
        let set = store.open(PHASE);
        set.sample(STEP, &Sample { service: 0, ..sample(Outcome::Timeout, 0) });
        let totals = store.totals(PHASE);
        assert_eq!(totals.step(STEP).count(Outcome::Timeout), 1);
        assert_eq!(totals.step(STEP).service[Outcome::Timeout.index()].count(), 0);
    }

    #[test]
    fn connections_and_own_values() {
        let store = Store::new(layout());
        let set = store.open(PHASE);
        let times = ConnectTimes { total: 3_000_000, dns: None, tcp: 1_000_000, tls: Some(2_000_000), handshake: None };
        set.connected(SCENARIO, Protocol::Http, &times);
        set.unconnected(SCENARIO, Protocol::Http, Some(Reason::Refused), 0);
        set.disconnected(SCENARIO, Protocol::Http, Reason::Reset);
        for n in [2.5, -1.0, f64::NAN, f64::INFINITY, 0.0] {
            set.count(OwnId(0), SCENARIO, n);
        }
        set.observe(OwnId(1), SCENARIO, 7.0);
        let totals = store.totals(PHASE);
        let http = &totals.scenario(SCENARIO).connects[Protocol::Http.index()];
        assert_eq!((http.attempts(), http.duration.count(), http.disconnects[Reason::Reset.index()]), (2, 1, 1));
        assert_eq!(http.layers.each_ref().map(super::super::Sparse::count), [0, 1, 1, 0]);
        assert_eq!(totals.own(OwnId(0), SCENARIO).counter, 2.5);
        assert_eq!(store.gauges.own(OwnId(1), SCENARIO), Some(7.0));
    }

    #[test]
    fn what_outlasts_its_record_ends_elsewhere_and_is_kept_nowhere() {
        let store = Store::new(layout());
        for _ in 0..3 {
            let set = store.open(PHASE);
            set.request_open(STEP, 0, true);
            set.beats(1_000_000_000);
            assert!(!set.totals().step(STEP).open.lasting.is_empty());
            store.retire(set);
        }
        assert_eq!(store.totals(PHASE).step(STEP).open.lasting, []);
    }
}
