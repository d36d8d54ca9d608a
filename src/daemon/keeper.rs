//! Keeps one profile running on its schedule.

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures_util::FutureExt as _;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinHandle;

use crate::measure::process::unix_time;
use crate::plan::{OnRestart, Schedule};
use crate::record::{Last, RecordError, mark_cut};
use crate::service::web::{ProfileStatus, Surface};
use crate::service::{self, Loaded, Options, Outcome, RunNow, Stop, Update};

use super::schedule;

/// How often the wall clock is looked at while a run is waited for.
const LOOKED_AT: Duration = Duration::from_secs(30);

/// How soon a profile that runs continuously tries again to begin a run that could not be stored.
const TRIED_AGAIN: Duration = Duration::from_secs(10);

/// See the module.
pub(super) struct Keeper {
    loaded: Arc<Loaded>,
    options: Options,
    surface: Arc<Surface>,
    stopper: Stopper,
    task: JoinHandle<()>,
}

/// Stops a keeper's runs, those of an earlier version that still drain included.
#[derive(Clone)]
pub(super) struct Stopper(Vec<UnboundedSender<Stop>>);

impl Stopper {
    /// No more runs; the present one drains.
    pub fn gracefully(&self) {
        self.tell(Stop::Gracefully);
    }

    /// What is under way is cut off.
    pub fn at_once(&self) {
        self.tell(Stop::AtOnce);
    }

    fn tell(&self, stop: Stop) {
        for sender in &self.0 {
            let _ = sender.send(stop); // has ended
        }
    }
}

impl Keeper {
    /// Starts keeping a profile, of which the storage path may have runs.
    pub fn start(loaded: Arc<Loaded>, options: Options, surface: Arc<Surface>) -> Self {
        let (stop, stops) = unbounded_channel();
        let comes_back = came_back(&loaded, &options, &surface);
        let task = tokio::spawn(keep(loaded.clone(), options.clone(), surface.clone(), stops, comes_back));
        Self { loaded, options, surface, stopper: Stopper(vec![stop]), task }
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
        if let Some(present) = self.stopper.0.last() {
            let _ = present.send(Stop::Gracefully); // has ended
        }
        let (stop, stops) = unbounded_channel();
        let next = keep(loaded.clone(), self.options.clone(), self.surface.clone(), stops, Begin::Fresh);
        // A place holder for the moment in which the new task takes the old one over.
        let old = std::mem::replace(&mut self.task, tokio::spawn(async {}));
        self.task = tokio::spawn(async move {
            if let Err(error) = old.await {
                tracing::error!(%error, "the profile's earlier version failed");
            }
            next.await;
        });
        // What was told to stop already isn't told so again, or it would give up the readings that it waits for.
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

/// With what a keeper begins.
#[derive(Debug, Clone, Copy)]
enum Begin {
    /// As the schedule says.
    Fresh,
    /// With a run, whatever the schedule says: the end of the daemon cut the last one short.
    AtOnce,
    /// As if a run that began then were over.
    After(SystemTime),
}

/// What the storage path says of a profile as the daemon comes back: its last verdict is shown again, and a run that was cut short is
/// begun again or left.
fn came_back(loaded: &Loaded, options: &Options, surface: &Surface) -> Begin {
    let (plan, store) = (&loaded.plan, &loaded.store);
    let Some(storage) = &options.storage else { return Begin::Fresh };
    let last = storage.last(&plan.name).unwrap_or_else(|error| {
        tracing::warn!(profile = %plan.name, %error, "earlier runs can't be read");
        Last::default()
    });
    if let Some((directory, run)) = &last.finished {
        service::show_again(plan, store, run);
        surface.set_status(&plan.name, |status| {
            status.verdict = run.verdict.label().to_owned();
            status.stored = directory.display().to_string();
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
async fn keep(
    loaded: Arc<Loaded>,
    options: Options,
    surface: Arc<Surface>,
    mut stops: UnboundedReceiver<Stop>,
    mut begin: Begin,
) {
    let status = Status { surface, profile: loaded.plan.name.clone() };
    loop {
        let keeping = runs(&loaded, &options, &status, &mut stops, begin);
        let Err(panic) = AssertUnwindSafe(keeping).catch_unwind().await else { return };
        status.fault(&loaded, panic.as_ref());
        begin = Begin::AtOnce;
        tokio::select! {
            _ = stops.recv() => return status.stopped(&loaded),
            () = tokio::time::sleep(TRIED_AGAIN) => {}
        }
    }
}

async fn runs(loaded: &Arc<Loaded>, options: &Options, status: &Status, stops: &mut UnboundedReceiver<Stop>, begin: Begin) {
    let plan = &loaded.plan;
    let (mut last, mut at_once) = match begin {
        Begin::Fresh => (None, false),
        Begin::AtOnce => (None, true),
        Begin::After(began) => (Some((began, began)), false),
    };
    let mut failed = None;
    loop {
        let now = SystemTime::now();
        let next = if std::mem::take(&mut at_once) { Some(now) } else { schedule::next(&plan.schedule, last, now) };
        let Some(at) = next else { break };
        let at = failed.take().map_or(at, |failed: SystemTime| not_before(&plan.schedule, at, failed));
        loaded.store.gauges.set_run_next(Some(unix_time(at)));
        status.set(|status| {
            status.state = "waiting".to_owned();
            status.next = Some(unix_time(at));
        });
        tokio::select! {
            biased;
            _ = stops.recv() => return status.stopped(loaded),
            () = until(at) => {}
        }
        let began = SystemTime::now();
        loaded.store.gauges.set_run_next(schedule::following(&plan.schedule, began).map(unix_time));
        let (outcome, stopped) = run(loaded, options, status, stops).await;
        last = Some((began, SystemTime::now()));
        match outcome {
            Ok(outcome) => {
                status.set(|status| {
                    status.state = "done".to_owned();
                    status.verdict = outcome.run.verdict.label().to_owned();
                    status.next = None;
                    status.phase = String::new();
                    status.stored = outcome.directory();
                });
                tell(&outcome);
                // Whoever reloads goes on with another run, and whoever stops the daemon may come back.
                if let (true, Ok(Some(directory))) = (stopped, &outcome.stored)
                    && outcome.run.stopped.is_some()
                    && let Err(error) = mark_cut(directory)
                {
                    tracing::warn!(profile = %plan.name, %error, "it can't be noted that the run was cut short");
                }
            }
            Err(error) => {
                failed = Some(began);
                let wrong = format!("The run was not begun, since it can't be stored: {error}");
                tracing::error!(profile = %plan.name, "{wrong}");
                let now = RunNow { started: unix_time(began), reasons: vec![wrong], ..RunNow::default() };
                let now = Arc::new(now);
                status.set(|status| {
                    status.state = "failed".to_owned();
                    status.run = now.clone();
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
    loaded.store.gauges.set_run_next(None);
    // Nothing is planned any more; the profile stays loaded, and its series stay where they are.
    stops.recv().await;
}

/// When to try again after a run that could not be begun at `failed`: as the schedule says, but not in a circle.
fn not_before(schedule: &Schedule, at: SystemTime, failed: SystemTime) -> SystemTime {
    match schedule {
        Schedule::Continuous => at.max(failed + TRIED_AGAIN),
        Schedule::Once | Schedule::Every(_) | Schedule::Cron(_) => at,
    }
}

/// Waits for a time of the wall clock, which may be set meanwhile.
async fn until(at: SystemTime) {
    while let Ok(wait) = at.duration_since(SystemTime::now()) {
        if wait.is_zero() {
            return;
        }
        tokio::time::sleep(wait.min(LOOKED_AT)).await;
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
        Update::Status(now) => status.set(|status| status.run = now.clone()),
        Update::Say(_) => {}
    };
    let running = service::run(loaded.plan.clone(), loaded.store.clone(), options, run_stops, &mut update);
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

fn tell(outcome: &Outcome) {
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
        let words = loaded.plan.secrets.redact(words.unwrap_or("no words were left")).into_owned();
        tracing::error!(profile = %self.profile, fault = words, "a fault of the program ended the run; the profile is started again");
        loaded.store.gauges.add_fault();
        self.set(|status| {
            status.state = "failed".to_owned();
            status.fault = format!("a fault of the program ended the run: {words}");
        });
    }

    /// No more runs.
    fn stopped(&self, loaded: &Loaded) {
        loaded.store.gauges.set_run_next(None);
        self.set(|status| status.state = "stopped".to_owned());
    }
}
