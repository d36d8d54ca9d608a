//! Keeps one profile running on its schedule.

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime};

use futures_util::FutureExt as _;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinHandle;

use crate::measure::process::unix_time;
use crate::plan::{OnRestart, Schedule};
use crate::record::{Last, RecordError, mark_cut};
use crate::run::{self, Loaded, Options, Outcome, RunNow, Stop, Update};
use crate::web::{ProfileStatus, Surface};

use super::schedule::{self, Due, Look, Wait};

/// How often the wall clock is looked at while a run is waited for.
const LOOKED_AT: Duration = Duration::from_secs(5);

/// How soon a profile that runs continuously tries again to begin a run that could not be stored.
const TRIED_AGAIN: Duration = Duration::from_secs(10);

/// See the module.
pub(super) struct ProfileRunner {
    loaded: Arc<Loaded>,
    options: Options,
    surface: Arc<Surface>,
    stopper: Stopper,
    /// A reload has replaced the present version: what it leaves is not for the daemon to begin again.
    replaced: Arc<AtomicBool>,
    task: JoinHandle<()>,
}

/// Stops a runner's runs, those of an earlier version that still drain included.
#[derive(Clone)]
pub(super) struct Stopper(Vec<UnboundedSender<Stop>>);

impl Stopper {
    /// No more runs; the present one drains.
    pub fn gracefully(&self) {
        self.ask_for(Stop::Gracefully);
    }

    /// What is under way is cut off.
    pub fn at_once(&self) {
        self.ask_for(Stop::AtOnce);
    }

    fn ask_for(&self, stop: Stop) {
        for sender in &self.0 {
            let _ = sender.send(stop); // has ended
        }
    }
}

impl ProfileRunner {
    /// Starts keeping a profile, of which the storage path may have runs.
    pub fn start(loaded: Arc<Loaded>, options: Options, surface: Arc<Surface>) -> Self {
        let (stop, stops) = unbounded_channel();
        let comes_back = came_back(&loaded, &options, &surface);
        let replaced = Arc::new(AtomicBool::new(false));
        let kept = Kept { loaded: loaded.clone(), options: options.clone(), replaced: replaced.clone() };
        let task = tokio::spawn(keep(kept, surface.clone(), stops, comes_back));
        Self { loaded, options, surface, stopper: Stopper(vec![stop]), replaced, task }
    }

    /// The profile that is kept.
    pub fn loaded(&self) -> Arc<Loaded> {
        self.loaded.clone()
    }

    pub fn stopper(&self) -> Stopper {
        self.stopper.clone()
    }

    /// Ends the present run gracefully and goes on with another version of the profile.
    pub fn replace(&mut self, loaded: Arc<Loaded>) {
        self.replaced.store(true, Ordering::Relaxed);
        self.replaced = Arc::new(AtomicBool::new(false));
        if let Some(present) = self.stopper.0.last() {
            let _ = present.send(Stop::Gracefully); // has ended
        }
        let (stop, stops) = unbounded_channel();
        let kept = Kept { loaded: loaded.clone(), options: self.options.clone(), replaced: self.replaced.clone() };
        // Where labels have changed, nothing is shown yet of what was.
        let anew = (!Arc::ptr_eq(&self.loaded.store, &loaded.store)).then(|| (loaded.clone(), self.options.clone()));
        let next = keep(kept, self.surface.clone(), stops, Begin::Fresh);
        // A place holder for the moment in which the new task takes the old one over.
        let old = std::mem::replace(&mut self.task, tokio::spawn(async {}));
        self.task = tokio::spawn(async move {
            if let Err(error) = old.await {
                tracing::error!(%error, "the profile's earlier version failed");
            }
            if let Some((loaded, options)) = anew
                && let Err(error) = tokio::task::spawn_blocking(move || show_last(&loaded, &options)).await
            {
                tracing::error!(%error, "the last run could not be shown again");
            }
            next.await;
        });
        // A run that stops already isn't asked again, or it would give up the readings that it waits for.
        self.stopper.0.retain(|earlier| !earlier.is_closed());
        self.stopper.0.push(stop);
        self.loaded = loaded;
    }

    /// Resolves when its last run has ended.
    pub async fn ended(self) {
        if let Err(error) = self.task.await {
            tracing::error!(profile = %self.loaded.plan.name, %error, "the profile's runs failed");
        }
    }
}

/// One version of a profile.
struct Kept {
    loaded: Arc<Loaded>,
    options: Options,
    replaced: Arc<AtomicBool>,
}

/// With what a runner begins.
#[derive(Debug, Clone, Copy)]
enum Begin {
    /// As the schedule says.
    Fresh,
    /// With a run, whatever the schedule says: the end of the daemon cut the last one short.
    AtOnce,
    /// As if a run that began then were over.
    After(SystemTime),
}

/// Shows on `/metrics` what the storage path has of a profile's earlier runs, and answers it: what the last one came to, and when one ended
/// that nothing cut short.
fn show_last(loaded: &Loaded, options: &Options) -> Last {
    let (plan, store) = (&loaded.plan, &loaded.store);
    let Some(storage) = &options.storage else { return Last::default() };
    let last = storage.last(&plan.name).unwrap_or_else(|error| {
        tracing::warn!(profile = %plan.name, %error, "earlier runs can't be read");
        Last::default()
    });
    if let Some((_, run)) = &last.finished {
        run::show_again(plan, store, run);
    }
    if let Some(at) = last.completed {
        store.gauges.set_run_completed(at);
    }
    last
}

/// What the storage path says of a profile as the daemon comes back: its last run is shown again, and one that was cut short is begun
/// again or left.
fn came_back(loaded: &Loaded, options: &Options, surface: &Surface) -> Begin {
    let (plan, last) = (&loaded.plan, show_last(loaded, options));
    if let [error, others @ ..] = last.unread.as_slice() {
        tracing::warn!(profile = %plan.name, %error, others = others.len(), "a stored run can't be read, and is passed over");
    }
    if let Some((directory, run)) = &last.finished {
        let shown = Arc::new(RunNow::of_record(run));
        surface.set_status(&plan.name, |status| {
            status.verdict = run.verdict.label().to_owned();
            status.stored = directory.display().to_string();
            status.run = Some(shown.clone());
        });
    }
    match (last.cut, plan.on_restart) {
        (None, _) => Begin::Fresh,
        (Some(_), OnRestart::Restart) => {
            tracing::info!(profile = %plan.name, "the last run was cut short, and is begun again (on_restart: restart)");
            Begin::AtOnce
        }
        (Some(began), OnRestart::Skip) => {
            tracing::info!(profile = %plan.name, "the last run was cut short, and is left so (on_restart: skip)");
            Begin::After(began)
        }
    }
}

/// Runs the profile whenever its schedule says so, until it is stopped. A fault of the program's own ends a run, not the profile.
async fn keep(kept: Kept, surface: Arc<Surface>, mut stops: UnboundedReceiver<Stop>, mut begin: Begin) {
    let status = Status { surface, profile: kept.loaded.plan.name.clone() };
    loop {
        let keeping = runs(&kept, &status, &mut stops, begin);
        let Err(panic) = AssertUnwindSafe(keeping).catch_unwind().await else { return };
        status.fault(&kept.loaded, panic.as_ref());
        begin = Begin::AtOnce;
        tokio::select! {
            _ = stops.recv() => return status.stopped(&kept.loaded),
            () = tokio::time::sleep(TRIED_AGAIN) => {}
        }
    }
}

async fn runs(kept: &Kept, status: &Status, stops: &mut UnboundedReceiver<Stop>, begin: Begin) {
    let Kept { loaded, options, .. } = kept;
    let plan = &loaded.plan;
    // How long before which moment the last run began.
    let (mut last, mut at_once) = match begin {
        Begin::Fresh => (None, false),
        Begin::AtOnce => (None, true),
        Begin::After(began) => (Some((SystemTime::now().duration_since(began).unwrap_or_default(), Instant::now())), false),
    };
    let mut failed = false;
    loop {
        let now = Look::now();
        let next = match std::mem::take(&mut at_once) {
            true => Some(Due::In(Duration::ZERO)),
            false => {
                let since = last.map(|(before, at)| before.saturating_add(now.steady.saturating_duration_since(at)));
                schedule::next(&plan.schedule, since, now.wall)
            }
        };
        let Some(due) = next else { break };
        let due = if std::mem::take(&mut failed) { not_at_once(&plan.schedule, due) } else { due };
        let period = plan.planned().map(|planned| schedule::period(&plan.schedule, planned, now.wall));
        loaded.store.gauges.set_run_period(period);
        let waiting = until(Wait::new(&plan.schedule, due, now), |at| {
            loaded.store.gauges.set_run_next(Some(unix_time(at)));
            status.set(|status| {
                status.state = "waiting".to_owned();
                status.next = Some(unix_time(at));
            });
        });
        tokio::select! {
            biased;
            _ = stops.recv() => return status.stopped(loaded),
            () = waiting => {}
        }
        let (began, at) = (SystemTime::now(), Instant::now());
        loaded.store.gauges.set_run_next(schedule::following(&plan.schedule, began).map(unix_time));
        let (outcome, stopped) = run(loaded, options, status, stops).await;
        last = Some((Duration::ZERO, at));
        match outcome {
            Ok(outcome) => {
                status.set(|status| {
                    status.state = "done".to_owned();
                    status.verdict = outcome.run.verdict.label().to_owned();
                    status.next = None;
                    status.phase = String::new();
                    status.stored = outcome.directory();
                });
                report(&outcome);
                // After a reload the new version's schedule decides; only the daemon's end cuts a run short.
                let ends = stopped && !kept.replaced.load(Ordering::Relaxed);
                if let (true, Ok(Some(directory))) = (ends, &outcome.stored)
                    && outcome.run.stopped.is_some()
                    && let Err(error) = mark_cut(directory)
                {
                    tracing::warn!(profile = %plan.name, %error, "it can't be noted that the run was cut short");
                }
            }
            Err(error) => {
                failed = true;
                let wrong = format!("The run was not begun, since it can't be stored: {error}");
                tracing::error!(profile = %plan.name, "{wrong}");
                let now = RunNow { started: Some(unix_time(began)), reasons: vec![wrong], ..RunNow::default() };
                let now = Arc::new(now);
                status.set(|status| {
                    status.state = "failed".to_owned();
                    status.run = Some(now.clone());
                });
            }
        }
        if stopped {
            return status.stopped(loaded);
        }
    }
    if matches!(begin, Begin::After(_)) {
        status.set(|status| status.state = "done".to_owned());
    }
    nothing_planned(loaded);
    // The profile stays loaded, and its series stay where they are.
    stops.recv().await;
}

fn nothing_planned(loaded: &Loaded) {
    loaded.store.gauges.set_run_next(None);
    loaded.store.gauges.set_run_period(None);
}

/// When to try again after a run that could not be begun: as the schedule says, but not in a circle.
fn not_at_once(schedule: &Schedule, due: Due) -> Due {
    match (schedule, due) {
        (Schedule::Continuous, Due::In(wait)) => Due::In(wait.max(TRIED_AGAIN)),
        (_, due) => due,
    }
}

/// Waits until the next run is due, and shows when by the wall clock that is.
async fn until(mut wait: Wait<'_>, show: impl Fn(SystemTime)) {
    loop {
        let now = Look::now();
        let left = wait.left(now);
        show(now.wall.checked_add(left).unwrap_or(now.wall));
        if left.is_zero() {
            return;
        }
        tokio::time::sleep(left.min(LOOKED_AT)).await;
    }
}

/// One run; whether it was stopped from outside.
async fn run(
    loaded: &Loaded,
    options: &Options,
    status: &Status,
    stops: &mut UnboundedReceiver<Stop>,
) -> (Result<Outcome, RecordError>, bool) {
    let (stop, run_stops) = unbounded_channel();
    tracing::info!(profile = %loaded.plan.name, "run started");
    status.set(|status| {
        status.state = "running".to_owned();
        status.next = None;
        status.fault = String::new();
    });
    let mut update = |update: Update<'_>| match update {
        Update::Progress(progress) => status.set(|status| status.phase.clone_from(&progress.phase)),
        Update::Status(now) => status.set(|status| status.run = Some(now.clone())),
        Update::Say(_) => {}
    };
    let running = run::run(loaded.plan.clone(), loaded.store.clone(), options, run_stops, &mut update);
    tokio::pin!(running);
    let mut stopped = false;
    loop {
        tokio::select! {
            outcome = &mut running => return (outcome, stopped),
            order = stops.recv() => {
                stopped = true;
                // Nobody can stop it any more: it stops itself.
                let _ = stop.send(order.unwrap_or(Stop::AtOnce));
                if order.is_none() {
                    return (running.await, true);
                }
            }
        }
    }
}

fn report(outcome: &Outcome) {
    let run = &outcome.run;
    tracing::info!(profile = %run.profile, run = %run.run, verdict = %run.verdict, "run ended");
    run.reasons.iter().for_each(|reason| tracing::info!(profile = %run.profile, "{reason}"));
    if let Err(error) = &outcome.stored {
        tracing::error!(profile = %run.profile, %error, "the run could not be stored");
    }
}

/// The profile's line on the status page.
struct Status {
    surface: Arc<Surface>,
    profile: String,
}

impl Status {
    fn set(&self, change: impl Fn(&mut ProfileStatus)) {
        self.surface.set_status(&self.profile, change);
    }

    /// Its runs ended by a fault of the program.
    fn fault(&self, loaded: &Loaded, panic: &(dyn Any + Send)) {
        let words = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
        let words = loaded.plan.secrets.redact_own(words.unwrap_or("no words were left")).into_owned();
        tracing::error!(profile = %self.profile, fault = words, "a fault of the program ended the run; the profile is started again");
        loaded.store.gauges.add_fault();
        self.set(|status| {
            status.state = "failed".to_owned();
            status.fault = format!("a fault of the program ended the run: {words}");
        });
    }

    /// No more runs.
    fn stopped(&self, loaded: &Loaded) {
        nothing_planned(loaded);
        self.set(|status| status.state = "stopped".to_owned());
    }
}
