//! A worker: one thread, one current-thread runtime, its own users and connections. Its loop is the pacer: it comes to
//! every edge, level and arrival when it is due, in the order of their times.

use std::collections::VecDeque;
use std::io;
use std::iter::Peekable;
use std::rc::Rc;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::sync::mpsc::UnboundedReceiver;
use tokio::task::LocalSet;

use crate::base::Protocol;
use crate::load::{ArrivalStream, Arrivals, Iterations, Load, Share, UserEdges, user_edges, whole};
use crate::measure::process::ThreadClock;
use crate::net::thread;

use super::arrival::Arrival;
use super::command::Command;
use super::context::Context;
use super::phase_run::{PhaseRecorder, PhaseRun, Unsettled};
use super::pool::{Mode, Pool};
use super::pulse::BEAT;
use super::report::Report;
use super::shared::RunShared;
use super::timer::Timer;

/// How often it is looked at what has been silent, missed or hanging for long.
const GLANCE: Duration = Duration::from_secs(1);

/// Starts a worker's thread.
///
/// # Errors
/// No thread, or no runtime on it.
pub(super) fn spawn(
    worker: usize,
    share: Share,
    shared: Arc<RunShared>,
    inbox: UnboundedReceiver<Command>,
) -> io::Result<JoinHandle<()>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    thread::start(format!("worker-{worker}"), runtime, move |runtime| {
        let reports = shared.reports.clone();
        let work = std::panic::AssertUnwindSafe(|| LocalSet::new().block_on(&runtime, run(worker, share, shared, inbox)));
        let failure = match std::panic::catch_unwind(work) {
            Ok(Ok(())) => return,
            Ok(Err(error)) => format!("worker {worker} failed: {error}"),
            Err(_) => format!("worker {worker} panicked; please report this with the lines above"),
        };
        let _ = reports.send(Report::Failed { worker: Some(worker), reason: failure }); // the coordinator may be gone
    })
}

async fn run(worker: usize, share: Share, shared: Arc<RunShared>, mut inbox: UnboundedReceiver<Command>) -> io::Result<()> {
    let timer = Timer::new()?;
    let ctx = Context::new(worker, share, shared, timer.clone());
    let mut pacer = Pacer::new(ctx.clone());
    let driver = timer.clone();
    let mut driven = tokio::task::spawn_local(async move { driver.drive().await });
    let (heart, clock) = (ctx.clone(), timer.clone());
    let pulse = tokio::task::spawn_local(async move {
        loop {
            clock.sleep_until(Instant::now() + BEAT).await;
            let now = Instant::now();
            heart.beat(now);
            heart.report_clock(now);
        }
    });
    if let Some(clock) = ThreadClock::of_this_thread() {
        // Set here only, and once.
        let _ = ctx.shared.handles[worker].clock.set(clock);
    }
    loop {
        let next = pacer.step();
        let alarm = async {
            match next {
                Some(next) => timer.sleep_until(next).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            command = inbox.recv() => match command {
                None | Some(Command::Exit) => break,
                Some(command) => pacer.command(command),
            },
            () = alarm => {}
            () = ctx.nudge.notified() => {}
            result = &mut driven => return result.unwrap_or_else(|error| Err(io::Error::other(error))),
        }
    }
    pulse.abort();
    driven.abort();
    Ok(())
}

/// The worker's schedule: phase edges, levels of users and arrivals.
struct Pacer {
    ctx: Rc<Context>,
    pools: Vec<Rc<Pool>>,
    /// Edges ahead, in order.
    edges: VecDeque<Edge>,
    /// The present phase's schedule of each scenario.
    schedules: Vec<Option<Schedule>>,
    current: Option<Rc<PhaseRecorder>>,
    /// The last phase run that began here, or never will.
    newest: Option<u64>,
    /// Arrivals that siblings handed over which had begun their phase before this worker has.
    ahead: Vec<(Arrival, Arc<PhaseRun>)>,
    /// The phase that users are prepared for, and whether it was reported that they are.
    preparing: Option<(Rc<PhaseRecorder>, bool)>,
    /// How long the present phase's iterations may go on beyond its end.
    drain: Duration,
    /// When to look next at what has been silent for long.
    glance: Instant,
    /// Up to when it was looked what had drained by then.
    looked: Instant,
}

enum Edge {
    Prepare { phase_run: Arc<PhaseRun>, at: Instant },
    Begin(Arc<PhaseRun>),
    End { at: Instant, stay: Vec<bool>, pause: bool },
}

/// What comes when for one scenario in one phase.
enum Schedule {
    Users {
        edges: Peekable<UserEdges>,
        start: Instant,
        drain: Duration,
    },
    Arrivals {
        stream: Peekable<ArrivalStream>,
        start: Instant,
        phase_run: u64,
        /// Until when the next one waits for a user to become free.
        held: Option<Instant>,
    },
}

impl Pacer {
    fn new(ctx: Rc<Context>) -> Self {
        let pools = ctx.make_pools();
        let schedules = pools.iter().map(|_| None).collect();
        let glance = Instant::now();
        Self {
            ctx,
            pools,
            edges: VecDeque::new(),
            schedules,
            current: None,
            newest: None,
            ahead: Vec::new(),
            preparing: None,
            drain: Duration::ZERO,
            glance,
            looked: glance,
        }
    }

    fn command(&mut self, command: Command) {
        match command {
            Command::Prepare { phase_run, at } => self.edges.push_back(Edge::Prepare { phase_run, at }),
            Command::Begin(phase_run) => self.edges.push_back(Edge::Begin(phase_run)),
            Command::Edge { at, stay, pause } => {
                // An early end overtakes a phase that was announced: it never begins here.
                for edge in std::mem::take(&mut self.edges) {
                    match edge {
                        Edge::Prepare { phase_run, at: from } if from >= at => self.skip(&phase_run),
                        // One that users were prepared for ends by this edge.
                        Edge::Begin(phase_run) if phase_run.start() >= at && phase_run.preparations.is_empty() => {
                            self.skip(&phase_run);
                        }
                        edge if edge.at() < at => self.edges.push_back(edge),
                        _ => {}
                    }
                }
                self.edges.push_back(Edge::End { at, stay, pause });
            }
            Command::Ahead(phase_run) => {
                let recorder = PhaseRecorder::new(phase_run, self.ctx.worker, None);
                *self.ctx.ahead.borrow_mut() = Some(Rc::new(recorder));
            }
            Command::Handed { arrival, phase_run } if Some(phase_run.number) > self.newest => {
                self.ahead.push((arrival, phase_run));
            }
            Command::Handed { arrival, phase_run } => self.pools[arrival.scenario].take_over(arrival, &phase_run),
            Command::Look { scenario } => {
                self.pools[scenario].look();
                self.ctx.check();
            }
            #[cfg(test)]
            Command::Stall(time) => drop(tokio::task::spawn_local(async move { std::thread::sleep(time) })),
            Command::Interrupt => self.pools.iter().for_each(|pool| pool.interrupt()),
            Command::Exit => {}
        }
    }

    /// A phase run begins, or never will: what siblings handed over for it has waited for that.
    fn comes_to(&mut self, phase_run: u64) {
        self.newest = Some(phase_run);
        for (arrival, of) in self.ahead.extract_if(.., |(_, of)| of.number <= phase_run) {
            self.pools[arrival.scenario].take_over(arrival, &of);
        }
    }

    fn skip(&mut self, phase_run: &PhaseRun) {
        self.ctx.skip(phase_run);
        self.comes_to(phase_run.number);
    }

    /// Comes to everything that is due by now; answers when something is due next.
    fn step(&mut self) -> Option<Instant> {
        let now = Instant::now();
        // What came before a pause is still as it was.
        self.ctx.beat(now);
        self.ctx.report_clock(now);
        while let Some(edge) = self.edges.front().map(Edge::at).filter(|at| *at <= now) {
            self.advance(edge, now);
            match self.edges.pop_front() {
                Some(Edge::Prepare { phase_run, at }) => self.prepare(&phase_run, at),
                Some(Edge::Begin(phase_run)) => self.begin(phase_run),
                Some(Edge::End { at, stay, pause }) => self.end(at, &stay, pause),
                None => {}
            }
        }
        self.advance(now, now);
        let mut next = self.edges.front().map(Edge::at);
        let mut sooner = |at: Option<Instant>| next = next.into_iter().chain(at).min();
        for (pool, schedule) in self.pools.iter().zip(&mut self.schedules) {
            pool.fill_up(now);
            sooner(pool.expire(now));
            sooner(pool.report_absence(now));
            sooner(pool.settle_unsure(now));
            sooner(pool.probe(now));
            sooner(pool.prepare_due(now));
            sooner(schedule.as_mut().and_then(Schedule::next));
        }
        if let Some((recorder, reported @ false)) = &mut self.preparing
            && self.pools.iter().all(|pool| pool.is_prepared(now))
        {
            *reported = true;
            self.ctx.report(Report::Prepared { phase_run: recorder.phase_run.number });
        }
        sooner(self.ctx.interrupt_due(now));
        sooner(self.ctx.settle_due(now));
        sooner(Some(Self::glance(&self.pools, &mut self.glance, now)));
        if self.ctx.next_look(self.looked).is_some_and(|look| look <= now) {
            self.ctx.check();
        }
        self.looked = now;
        sooner(self.ctx.next_look(now));
        next
    }

    /// Shows silence, missed messages and what hangs while they last, not only at the next message; answers when to look again.
    fn glance(pools: &[Rc<Pool>], at: &mut Instant, now: Instant) -> Instant {
        if *at <= now {
            *at = now + GLANCE;
            let listened = pools.iter().any(|pool| pool.has_ears());
            for pool in pools {
                pool.report_opening(now);
                pool.report_slow_listeners(now);
                if listened {
                    pool.report_listeners(now);
                    pool.settle_ears(now, now);
                }
            }
        }
        *at
    }

    /// Levels and arrivals up to and including `until`.
    fn advance(&mut self, until: Instant, now: Instant) {
        for (pool, schedule) in self.pools.iter().zip(&mut self.schedules) {
            match schedule {
                None => {}
                Some(Schedule::Users { edges, start, drain }) => {
                    while let Some((at, alive)) = edges.next_if(|(at, _)| *start + *at <= until) {
                        pool.set_alive(alive, *start + at, *drain);
                    }
                }
                Some(Schedule::Arrivals { stream, start, phase_run, held }) => {
                    *held = None;
                    while let Some(due) = stream.peek().map(|(_, at)| *start + *at).filter(|due| *due <= until) {
                        // What is due by an edge is given out before it.
                        *held = if until < now { None } else { pool.holds(due, now) };
                        if held.is_some() {
                            break;
                        }
                        stream.next();
                        let lag = now.saturating_duration_since(due);
                        let (scenario, phase_run) = (pool.scenario, *phase_run);
                        pool.arrive(Arrival { scenario, phase_run, due, handled: now, lag, probe: false });
                    }
                    if held.is_none() {
                        pool.is_on_time();
                    }
                }
            }
        }
    }

    /// Users do their start for a phase. If the present one isn't over it is held at its last level until that phase begins.
    fn prepare(&mut self, phase_run: &Arc<PhaseRun>, at: Instant) {
        let recorder = self.ctx.open(phase_run.clone());
        for (id, preparation) in &phase_run.preparations {
            self.pools[id.index()].prepare(&recorder, *preparation, at);
        }
        self.preparing = Some((recorder, false));
        let Some(present) = &self.current else { return };
        let time = phase_run.latest.saturating_duration_since(at);
        for (id, load) in &self.ctx.shared.plan.phases[present.phase_run.phase].loads {
            if let Load::Open { arrivals, max_users, .. } = load {
                let held = arrivals.held(time);
                self.schedules[id.index()] = Schedule::arrivals(&self.ctx.share, &held, *max_users, at, present.phase_run.number);
            }
        }
    }

    fn begin(&mut self, phase_run: Arc<PhaseRun>) {
        let start = phase_run.start();
        let prepared = self.preparing.take();
        let plan = self.ctx.shared.plan.clone();
        let phase = &plan.phases[phase_run.phase];
        let loads = if phase_run.gathers.get().is_some() { &[][..] } else { &phase.loads };
        let stays: Vec<bool> = (0..self.pools.len()).map(|scenario| loads.iter().any(|(id, _)| id.index() == scenario)).collect();
        self.end(start, &stays, false);
        let drain = std::mem::replace(&mut self.drain, phase.drain);
        let recorder = prepared.map_or_else(|| self.ctx.open(phase_run.clone()), |(recorder, _)| recorder);
        *self.ctx.ahead.borrow_mut() = None;
        if phase_run.gathers.get().is_some() {
            self.pools.iter().for_each(|pool| pool.gathers(&recorder));
        }
        for (id, _) in loads {
            self.pools[id.index()].hand_over_listeners(Some(&recorder));
        }
        for (id, _) in loads {
            for protocol in Protocol::ALL {
                let open = self.ctx.gauges.connections(*id, *protocol);
                if open > 0 {
                    recorder.set.carried(*id, *protocol, open);
                }
            }
        }
        for ((id, load), budget) in loads.iter().zip(&phase_run.budgets) {
            let pool = &self.pools[id.index()];
            match load {
                Load::Closed { level, iterations, pacing } => {
                    let mut edges = user_edges(level, &self.ctx.share).peekable();
                    let wanted = edges.next_if(|(at, _)| at.is_zero()).map_or(0, |(_, alive)| alive);
                    let mode = Mode::Closed {
                        wanted,
                        most: self.ctx.share.users(whole(level.max())),
                        pacing: *pacing,
                        each: iterations.as_ref().and_then(|iterations| match iterations {
                            Iterations::Each(each) => Some(*each),
                            Iterations::Total(_) => None,
                        }),
                        total: budget.clone(),
                        claimed: 0,
                        holds: false,
                        finished: 0,
                    };
                    self.schedules[id.index()] = Some(Schedule::Users { edges, start, drain: phase.drain });
                    pool.begin(&recorder, mode, wanted, drain);
                }
                Load::Open { arrivals, users, max_users, in_turn, on_busy } => {
                    let most = self.ctx.share.users(*max_users);
                    self.schedules[id.index()] =
                        Schedule::arrivals(&self.ctx.share, arrivals, *max_users, start, phase_run.number);
                    let mode = Mode::Open { most, in_turn: self.ctx.share.users(*in_turn), on_busy: *on_busy };
                    pool.begin(&recorder, mode, self.ctx.share.users(*users).min(most), drain);
                }
            }
        }
        self.current = Some(recorder);
        self.comes_to(phase_run.number);
        self.ctx.check();
    }

    /// The present phase is over; scenarios that don't stay drain.
    fn end(&mut self, at: Instant, stays: &[bool], pause: bool) {
        let before = self.current.take();
        let patience = self.pools.iter().filter_map(|pool| pool.patience_of_ears()).max();
        if let Some((recorder, patience)) = before.as_ref().zip(patience) {
            let last = at + patience.min(self.drain);
            // What lacks at the edge shows by what comes next.
            recorder.wait_for_listeners(Some(Unsettled { edge: at, next: last.min(at + GLANCE), last }));
        }
        for (scenario, pool) in self.pools.iter().enumerate() {
            if before.is_some() {
                pool.drains(at + self.drain);
                pool.report_opening(Instant::now());
                pool.report_slow_listeners(at);
                pool.report_listeners(at);
                if stays.get(scenario).copied().unwrap_or(false) {
                    pool.hand_over_listeners(None);
                }
            }
            self.schedules[scenario] = None;
            pool.end_absence(at, at + self.drain);
            pool.report_held_back(at);
            if let Some(recorder) = &before {
                pool.cancel_waiting(recorder);
            }
            if !stays.get(scenario).copied().unwrap_or(false) {
                pool.leave(at, self.drain);
            }
        }
        if pause {
            self.ctx.gate.close(at + self.drain);
        } else {
            self.ctx.gate.open(at);
        }
        if let Some(recorder) = before {
            recorder.end(at + self.drain);
        }
        if let Some((recorder, _)) = self.preparing.take() {
            // The run ends before it begins.
            let drain = self.ctx.shared.plan.phases[recorder.phase_run.phase].drain;
            for pool in &self.pools {
                pool.unprepare(at, drain);
                // What was held until now ends in its record, too.
                pool.gathers(&recorder);
            }
            *self.ctx.ahead.borrow_mut() = None;
            recorder.end(at + drain.max(self.drain));
        }
        self.ctx.check();
    }
}

impl Edge {
    fn at(&self) -> Instant {
        match self {
            Edge::Begin(phase_run) => phase_run.start(),
            Edge::Prepare { at, .. } | Edge::End { at, .. } => *at,
        }
    }
}

impl Schedule {
    /// This worker's part of some arrivals; none where it has no user for them.
    fn arrivals(share: &Share, arrivals: &Arrivals, max_users: u64, start: Instant, phase_run: u64) -> Option<Self> {
        let modulus = share.arrivals_modulus(max_users);
        let stream = || arrivals.stream(share.index(), modulus).peekable();
        (share.index() < modulus).then(|| Self::Arrivals { stream: stream(), start, phase_run, held: None })
    }

    fn next(&mut self) -> Option<Instant> {
        match self {
            Schedule::Users { edges, start, .. } => edges.peek().map(|(at, _)| *start + *at),
            Schedule::Arrivals { held: Some(held), .. } => Some(*held),
            Schedule::Arrivals { stream, start, .. } => stream.peek().map(|(_, at)| *start + *at),
        }
    }
}
