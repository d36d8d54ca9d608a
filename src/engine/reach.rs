//! What of a load's targets is away: each place that requests go to, and the target of each scenario as a whole.
//!
//! Workers report every answer and every failure to it. While all is well that costs a store to memory of the worker's own and a look
//! at what all of them only read.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use crate::base::units::{nanos, show_seconds};
use crate::base::{Away, AwayList, Outcome, Protocol, Reason};
use crate::flow::{Flow, MessageStep, StepKind};
use crate::measure::process::unix_time;
use crate::measure::{Sample, StepId};
use crate::plan::{DeadTargetAction, OnDeadTarget, Plan};

/// A place counts as away once all that was sent there has failed for so long: it is shown before 5 s are over.
const SHOWN_AFTER: Duration = Duration::from_secs(4);
/// A connection that opens for longer than this counts as a failure of its place, unless something there has answered meanwhile.
const HANGS: Duration = Duration::from_secs(5);
/// A scenario that is held back is probed so often.
const PROBED_EVERY: Duration = Duration::from_secs(1);

/// One for each run. Moments are nanoseconds since its beginning.
pub(super) struct Reach {
    origin: (Instant, SystemTime),
    action: DeadTargetAction,
    places: Vec<Track>,
    /// The place that a step's requests go to.
    place_of: Box<[Option<usize>]>,
    /// The targets of the scenarios, as far as it matters whether they are away.
    scenarios: Vec<Track>,
    /// When each scenario may be probed next.
    turns: Box<[AtomicU64]>,
    list: AwayList,
}

/// Something that may be away, and since when nothing of it answers.
struct Track {
    what: String,
    /// The scenarios that load it.
    scenarios: Vec<usize>,
    /// All has to fail for so long.
    after: u64,
    action: Option<&'static str>,
    /// Of a scenario's target: the only place that it has.
    place: Option<usize>,
    /// Since when all has failed; 0 if the last was answered.
    since: AtomicU64,
    away: AtomicBool,
    /// When each worker had the last answer.
    answered: Box<[Moment]>,
}

/// On a cache line of its own.
#[derive(Default)]
#[repr(align(64))]
struct Moment(AtomicU64);

impl Track {
    fn new(what: String, after: Duration, action: Option<&'static str>, workers: usize) -> Self {
        Self {
            what,
            scenarios: Vec::new(),
            after: nanos(after),
            action,
            place: None,
            since: AtomicU64::new(0),
            away: AtomicBool::new(false),
            answered: (0..workers).map(|_| Moment::default()).collect(),
        }
    }

    /// A worker had an answer. Whether it was away until now.
    #[inline]
    fn answers(&self, worker: usize, at: u64) -> bool {
        self.answered[worker].0.store(at, Ordering::Relaxed);
        if self.since.load(Ordering::Relaxed) == 0 && !self.away.load(Ordering::Relaxed) {
            return false;
        }
        self.since.store(0, Ordering::Relaxed);
        self.away.swap(false, Ordering::AcqRel)
    }

    /// Something that was due at `due` failed at `at`. Since when it is away, if it is from now on. How long the generator stood still
    /// since a moment, `paused` says: in that time nothing could be answered.
    fn fails(&self, due: u64, at: u64, paused: impl Fn(u64) -> u64) -> Option<u64> {
        let mut since = self.since.load(Ordering::Relaxed);
        if since == 0 {
            let answered = self.answered.iter().map(|moment| moment.0.load(Ordering::Relaxed)).max().unwrap_or(0);
            let from = due.max(answered);
            // Of two that come to it at once the first is right.
            since = match self.since.compare_exchange(0, from, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => from,
                Err(other) => other,
            };
        }
        if self.is_away() || at.saturating_sub(since) < self.after || at - since < self.after.saturating_add(paused(since)) {
            return None;
        }
        (!self.away.swap(true, Ordering::AcqRel)).then_some(since)
    }

    /// A connection that has been opening since `since` hasn't come up by `at`. Since when it is away, if it is from now on.
    fn hangs(&self, since: u64, at: u64, paused: impl Fn(u64) -> u64) -> Option<u64> {
        let long = || at.saturating_sub(since) >= nanos(HANGS).saturating_add(paused(since));
        let answered = || self.answered.iter().any(|moment| moment.0.load(Ordering::Relaxed) >= since);
        if self.is_away() || answered() || !long() {
            return None;
        }
        let _ = self.since.compare_exchange(0, since, Ordering::Relaxed, Ordering::Relaxed); // it may have failed before that
        (!self.away.swap(true, Ordering::AcqRel)).then(|| self.since.load(Ordering::Relaxed).min(since))
    }

    /// It counts as away from now on, unless something of it has answered in the `least` nanoseconds before `at`. Since when nothing has.
    fn goes_away(&self, at: u64, least: u64) -> Option<u64> {
        let since = self.since.load(Ordering::Relaxed);
        (since > 0 && at.saturating_sub(since) >= least).then(|| {
            self.away.store(true, Ordering::Release);
            since
        })
    }

    fn is_away(&self) -> bool {
        self.away.load(Ordering::Relaxed)
    }
}

impl Reach {
    pub fn new(plan: &Plan, workers: usize) -> Self {
        let OnDeadTarget { after, action } = plan.on_dead_target;
        let mut places = Places { workers, plan, all: Vec::new(), index: HashMap::new(), of_step: Vec::new() };
        places.of_step.resize(plan.layout.steps.len(), None);
        for (index, scenario) in plan.scenarios.iter().enumerate() {
            for flow in scenario.flows() {
                places.find(index, flow, None);
            }
        }
        let scenarios = plan.scenarios.iter().enumerate().filter(|_| action != DeadTargetAction::Continue);
        let track = |(index, scenario): (usize, &crate::plan::Scenario)| {
            let what = format!("the target of `{}`", scenario.name);
            let mut of_it = places.all.iter().enumerate().filter(|(_, place)| place.scenarios.contains(&index)).map(|(at, _)| at);
            let place = of_it.next().filter(|_| of_it.next().is_none());
            Track { scenarios: vec![index], place, ..Track::new(what, after, Some(action.label()), workers) }
        };
        Self {
            origin: (Instant::now(), SystemTime::now()),
            action,
            scenarios: scenarios.map(track).collect(),
            turns: plan.scenarios.iter().map(|_| AtomicU64::new(0)).collect(),
            place_of: places.of_step.into(),
            places: places.all,
            list: AwayList::default(),
        }
    }

    /// A sample was taken. Whether the scenario was held back until now, and isn't any more.
    #[inline]
    pub fn sampled(&self, worker: usize, scenario: usize, step: StepId, due: Instant, sample: &Sample) -> bool {
        let answered = match (sample.outcome, sample.reason) {
            (Outcome::Interrupted, _) => sample.status > 0,
            (_, None | Some(Reason::Status | Reason::Expect | Reason::Protocol)) => true,
            (_, Some(Reason::Data)) => sample.status > 0,
            (_, Some(_)) => false,
        };
        answered && self.answers(worker, scenario, step, due + Duration::from_nanos(sample.response))
    }

    /// Something of a step's target answered. Whether the scenario was held back until now, and isn't any more.
    #[inline]
    pub fn answers(&self, worker: usize, scenario: usize, step: StepId, at: Instant) -> bool {
        let at = self.moment(at);
        if let Some(place) = self.place(step)
            && place.answers(worker, at)
        {
            self.list.ends(&place.what, self.unix(at));
        }
        let Some(target) = self.scenarios.get(scenario) else { return false };
        let back = target.answers(worker, at);
        if back {
            self.list.ends(&target.what, self.unix(at));
        }
        back && self.action == DeadTargetAction::BackOff
    }

    /// A request failed at `at` that was due at `due`. `paused` says how long the generator stood still between a moment and `at`,
    /// `cause` why the request failed, without secrets.
    /// Answers why the run is to end, if it is.
    pub fn fails(
        &self,
        (scenario, step): (usize, StepId),
        (due, at): (Instant, Instant),
        paused: impl Fn(Instant) -> u64,
        cause: impl Fn() -> String,
    ) -> Option<String> {
        let (due, at) = (self.moment(due), self.moment(at));
        let paused = |since: u64| paused(self.origin.0 + Duration::from_nanos(since));
        let begins = |track: &Track, since: u64, action: Option<&str>| {
            let (what, action) = (track.what.clone(), action.map(str::to_owned));
            self.list.begins(Away { what, since: self.unix(since), until: None, cause: cause(), action });
        };
        if let Some(place) = self.place(step)
            && let Some(since) = place.fails(due, at, paused)
        {
            begins(place, since, None);
        }
        let target = self.scenarios.get(scenario)?;
        let place = target.place.map(|place| &self.places[place]);
        let Some(since) = target.fails(due, at, paused) else {
            // Others of its place are answered again, and it isn't.
            if target.is_away() && place.is_some_and(|place| !place.is_away()) {
                begins(target, target.since.load(Ordering::Relaxed), target.action);
            }
            return None;
        };
        // The request that failed just now was a probe, too.
        self.turns[scenario].store(at + nanos(PROBED_EVERY), Ordering::Relaxed);
        let least = target.after.min(nanos(SHOWN_AFTER));
        match place.and_then(|place| Some((place, place.goes_away(at, least)?))) {
            // That the scenario's target is away says no more than that its only place is.
            Some((place, since)) => begins(place, since, target.action),
            None => begins(target, since, target.action),
        }
        (self.action == DeadTargetAction::Abort).then(|| {
            let took = show_seconds(Duration::from_nanos(at - since).as_secs_f64());
            format!("{} has not answered for {took}: {} (on_dead_target: {{do: abort}})", target.what, cause())
        })
    }

    /// A connection for a step has been opening since `since`, and hasn't come up by `at`.
    pub fn hangs(&self, step: StepId, (since, at): (Instant, Instant), paused: impl Fn(Instant) -> u64) {
        let Some(place) = self.place(step) else { return };
        let paused = |since: u64| paused(self.origin.0 + Duration::from_nanos(since));
        if let Some(from) = place.hangs(self.moment(since), self.moment(at), paused) {
            let took = show_seconds(at.saturating_duration_since(since).as_secs_f64().floor());
            let cause = format!("a connection to it has been opening for {took}");
            self.list.begins(Away { what: place.what.clone(), since: self.unix(from), until: None, cause, action: None });
        }
    }

    /// Whether a scenario is only probed for now.
    #[inline]
    pub fn holds_back(&self, scenario: usize) -> bool {
        self.action == DeadTargetAction::BackOff && self.scenarios.get(scenario).is_some_and(Track::is_away)
    }

    /// Whether the scenario may be probed at `now`; if so it is the asker's turn, and nobody else's for a while.
    pub fn takes_turn(&self, scenario: usize, now: Instant) -> bool {
        let (turn, now) = (&self.turns[scenario], self.moment(now));
        let due = turn.load(Ordering::Relaxed);
        now >= due && turn.compare_exchange(due, now + nanos(PROBED_EVERY), Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }

    /// When a scenario may be probed next.
    pub fn next_turn(&self, scenario: usize) -> Instant {
        self.origin.0 + Duration::from_nanos(self.turns[scenario].load(Ordering::Relaxed))
    }

    /// A phase begins that loads these scenarios: of what no other loads nothing more is known.
    pub fn phase_begins(&self, loads: impl Fn(usize) -> bool) {
        let now = self.moment(Instant::now());
        for track in self.places.iter().chain(&self.scenarios).filter(|track| !track.scenarios.iter().any(|one| loads(*one))) {
            track.since.store(0, Ordering::Relaxed);
            if track.away.swap(false, Ordering::AcqRel) {
                self.list.ends(&track.what, self.unix(now));
            }
        }
    }

    /// What is away, and what has come back since this was asked last.
    pub fn take(&self) -> Vec<Away> {
        self.list.take()
    }

    fn place(&self, step: StepId) -> Option<&Track> {
        self.places.get((*self.place_of.get(step.index())?)?)
    }

    fn moment(&self, at: Instant) -> u64 {
        nanos(at.saturating_duration_since(self.origin.0)).max(1)
    }

    fn unix(&self, moment: u64) -> f64 {
        unix_time(self.origin.1 + Duration::from_nanos(moment))
    }
}

/// The places that flows go to, each once.
struct Places<'p> {
    workers: usize,
    plan: &'p Plan,
    all: Vec<Track>,
    index: HashMap<String, usize>,
    of_step: Vec<Option<usize>>,
}

impl Places<'_> {
    /// Those of a flow; what happens on the connection of a session happens at its place.
    fn find(&mut self, scenario: usize, flow: &Flow, session: Option<usize>) {
        for step in &flow.steps {
            let mut session = session;
            match &step.kind {
                StepKind::Http(http) => {
                    let secure = if http.request.endpoint().is_some_and(|to| to.tls.is_some()) { "https" } else { "http" };
                    let what = http.request.endpoint().map(|to| format!("{secure}://{to}"));
                    self.put(scenario, http.id, what);
                }
                StepKind::Session(open) => {
                    let what = open.connector.endpoint().map(|to| match (open.protocol(), to.tls.is_some()) {
                        (Protocol::Websocket, false) => format!("ws://{to}"),
                        (Protocol::Websocket, true) => format!("wss://{to}"),
                        (Protocol::Tcp, false) => format!("tcp://{to}"),
                        (Protocol::Tcp, true) => format!("tls://{to}"),
                        (_, false) => format!("http://{to}"),
                        (_, true) => format!("https://{to}"),
                    });
                    session = Some(self.put(scenario, open.id, what));
                }
                StepKind::Message(message) => {
                    let awaited = match message.as_ref() {
                        MessageStep::Receive(awaited) => Some(awaited),
                        MessageStep::Emit(emit) => emit.ack.as_ref(),
                        _ => None,
                    };
                    if let Some(slot) = awaited.and_then(|awaited| self.of_step.get_mut(awaited.id.index())) {
                        *slot = session;
                    }
                }
                _ => {}
            }
            for flow in step.kind.flows() {
                self.find(scenario, flow, session);
            }
        }
    }

    /// A step goes there; one whose place varies has one of its own.
    fn put(&mut self, scenario: usize, step: StepId, what: Option<String>) -> usize {
        let what = what.unwrap_or_else(|| {
            let layout = &self.plan.layout;
            let name = layout.steps.get(step.index()).map_or("", |step| step.name.as_str());
            format!("what `{name}` of `{}` goes to", self.plan.scenarios[scenario].name)
        });
        let new = self.all.len();
        let place = *self.index.entry(what.clone()).or_insert(new);
        if place == new {
            self.all.push(Track::new(what, SHOWN_AFTER, None, self.workers));
        }
        let scenarios = &mut self.all[place].scenarios;
        if !scenarios.contains(&scenario) {
            scenarios.push(scenario);
        }
        if let Some(slot) = self.of_step.get_mut(step.index()) {
            *slot = Some(place);
        }
        place
    }
}

#[cfg(test)]
mod tests;
