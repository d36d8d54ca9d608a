//! The daemon: several profiles at once, each on its schedule; reload; graceful end.
//!
//! Each profile has a runner (`runner`), a task that runs it when its schedule says so. A reload reads every profile
//! first and changes nothing unless all are right; then a runner whose profile changed ends its run gracefully and goes on
//! with the new one, and the others notice nothing.

mod runner;
pub mod schedule;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use tokio::sync::mpsc::{self, UnboundedReceiver};
use tokio::sync::oneshot;

use crate::measure::process::unix_time;
use crate::profile::Env;
use crate::run::{self, LoadError, Loaded};
use crate::web::{self, Order, Surface, WebError, WebOptions};

use runner::ProfileRunner;

/// What the daemon is to do.
pub struct Options {
    /// The profiles.
    pub profiles: Vec<PathBuf>,
    /// The environment of `${…}`.
    pub env: Env,
    /// Values that go before it.
    pub sets: Vec<(String, String)>,
    /// The web surface.
    pub web: WebOptions,
    /// How runs are carried out.
    pub run: run::Options,
}

/// What the daemon is asked for from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// Stop gracefully; asked twice: at once.
    Stop,
    /// Read the profiles anew.
    Reload,
}

/// Why the daemon can't start.
#[derive(Debug, thiserror::Error)]
pub enum DaemonError {
    /// A profile is wrong.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// A profile that can't be read again.
    #[error("{}: this isn't a regular file; `serve` reads its profiles again at each reload, so save it as a file", .0.display())]
    NoFile(PathBuf),
    /// The web surface.
    #[error(transparent)]
    Web(#[from] WebError),
}

/// Runs until it is asked to stop.
///
/// # Errors
/// A profile or the web surface is wrong at the start; later on, nothing ends the daemon but a request to stop.
pub async fn serve(options: Options, signals: UnboundedReceiver<Signal>) -> Result<(), DaemonError> {
    let loaded = load(&options, &[])?;
    let surface = Arc::new(Surface::default());
    surface.show_only(&names(&loaded));
    // Whoever asks first finds all series.
    surface.stores.store(Arc::new(loaded.iter().map(|loaded| loaded.store.clone()).collect()));
    let (order, orders) = mpsc::channel(4);
    let web = web::serve(&options.web, surface.clone(), Some(order)).await?;
    for address in web.addresses() {
        tracing::info!(%address, "listening");
    }
    let mut daemon = Daemon { options: Arc::new(options), surface, runners: Vec::new() };
    for loaded in loaded {
        let runner = ProfileRunner::start(Arc::new(loaded), daemon.options.run.clone(), daemon.surface.clone());
        daemon.runners.push(runner);
    }
    daemon.surface.set_ready(true);
    let mut inbox = Inbox { signals, orders };
    let mut waiting = Vec::new();
    while let Some(answers) = inbox.reloads(&mut waiting).await {
        let Some(read) = daemon.read(&mut inbox, &mut waiting).await else { break };
        let changed = daemon.reload(read);
        // Who asked may be gone.
        answers.into_iter().flatten().for_each(|answer: Answer| drop(answer.send(changed.clone())));
    }
    // Whoever wants a reload from here on hears that it comes to an end.
    let Inbox { mut signals, orders } = inbox;
    drop((orders, waiting));
    tracing::info!("stopping; once more stops at once");
    daemon.surface.set_ready(false);
    daemon.stop(&mut signals).await;
    web.stop().await;
    Ok(())
}

/// Reads every profile, or reports all that is wrong.
fn load(options: &Options, kept: &[Arc<Loaded>]) -> Result<Vec<Loaded>, DaemonError> {
    if let Some(path) = options.profiles.iter().find(|path| path.metadata().is_ok_and(|meta| !meta.is_file() && !meta.is_dir())) {
        return Err(DaemonError::NoFile(path.clone()));
    }
    let all = Loaded::load_all(&options.profiles, &options.env, &options.sets, kept, options.run.engine.shards)?;
    all.iter().flat_map(|loaded| &loaded.warnings).for_each(|warning| tracing::warn!("{warning}"));
    Ok(all)
}

fn names(loaded: &[Loaded]) -> Vec<String> {
    loaded.iter().map(|loaded| loaded.plan.name.clone()).collect()
}

/// Who waits for a reload.
type Answer = oneshot::Sender<Result<String, String>>;
/// The profiles as they were read, or what is wrong with them.
type Read = Result<Vec<Loaded>, String>;

/// What is asked for from outside.
struct Inbox {
    signals: UnboundedReceiver<Signal>,
    orders: mpsc::Receiver<Order>,
}

impl Inbox {
    /// Somebody wants a reload, and may want an answer. Nothing once the daemon is to stop.
    async fn next(&mut self) -> Option<Option<Answer>> {
        tokio::select! {
            signal = self.signals.recv() => match signal {
                Some(Signal::Reload) => Some(None),
                Some(Signal::Stop) | None => None,
            },
            order = self.orders.recv() => match order {
                Some(Order::Reload(answer)) => Some(Some(answer)),
                Some(Order::Quit) | None => None,
            },
        }
    }

    /// Those who want a reload now: whoever waits, else the next one.
    async fn reloads(&mut self, waiting: &mut Vec<Option<Answer>>) -> Option<Vec<Option<Answer>>> {
        if waiting.is_empty() {
            waiting.push(self.next().await?);
        }
        Some(std::mem::take(waiting))
    }
}

struct Daemon {
    options: Arc<Options>,
    surface: Arc<Surface>,
    runners: Vec<ProfileRunner>,
}

impl Daemon {
    /// Reads the profiles, on a thread of its own: however long that takes, a stop is heard meanwhile. Nothing where that came; others who
    /// want a reload wait.
    async fn read(&self, inbox: &mut Inbox, waiting: &mut Vec<Option<Answer>>) -> Option<Read> {
        let present: Vec<Arc<Loaded>> = self.runners.iter().map(ProfileRunner::loaded).collect();
        let options = self.options.clone();
        let (done, mut read) = oneshot::channel();
        let work = move || {
            // A fault of the program ends neither the daemon nor its load.
            let loaded = catch_unwind(AssertUnwindSafe(|| load(&options, &present).map_err(|error| error.to_string())));
            // Where nobody waits for it any more, the daemon stops.
            let _ = done.send(loaded.unwrap_or_else(|_| Err("a fault of the program; the log has it".to_owned())));
        };
        if let Err(error) = std::thread::Builder::new().name("reload".into()).spawn(work) {
            return Some(Err(format!("no thread to read the profiles on: {error}")));
        }
        loop {
            tokio::select! {
                loaded = &mut read => return Some(loaded.unwrap_or_else(|_| Err("nothing was read".to_owned()))),
                asked = inbox.next() => waiting.push(asked?),
            }
        }
    }

    /// Takes over what was read; answers what has changed.
    fn reload(&mut self, loaded: Read) -> Result<String, String> {
        let present: Vec<Arc<Loaded>> = self.runners.iter().map(ProfileRunner::loaded).collect();
        let now = unix_time(SystemTime::now());
        let loaded = match loaded {
            Ok(loaded) => loaded,
            Err(error) => {
                tracing::error!("the profiles were not reloaded, and go on as they are: {error}");
                present.iter().for_each(|loaded| loaded.store.gauges.set_reload(false, now));
                return Err(error);
            }
        };
        let mut changed = vec!["reloaded".to_owned()];
        self.surface.show_only(&names(&loaded));
        for (runner, loaded) in self.runners.iter_mut().zip(loaded) {
            if runner.loaded().plan.fingerprint != loaded.plan.fingerprint {
                let name = &loaded.plan.name;
                let restarts = !Arc::ptr_eq(&runner.loaded().store, &loaded.store);
                let counters = if restarts { "begin at 0, for its labels have changed, too" } else { "go on" };
                tracing::info!(profile = %name, "the profile has changed; its counters on /metrics {counters}");
                changed.push(format!("{name} has changed; its counters on /metrics {counters}"));
                runner.replace(Arc::new(loaded));
            }
            runner.loaded().store.gauges.set_reload(true, now);
        }
        self.publish();
        tracing::info!("reloaded");
        Ok(changed.join("\n"))
    }

    fn publish(&self) {
        let stores = self.runners.iter().map(|runner| runner.loaded().store.clone()).collect();
        self.surface.stores.store(Arc::new(stores));
    }

    async fn stop(self, signals: &mut UnboundedReceiver<Signal>) {
        let stops: Vec<_> = self.runners.iter().map(ProfileRunner::stopper).collect();
        stops.iter().for_each(runner::Stopper::gracefully);
        let ended = async {
            for runner in self.runners {
                runner.ended().await;
            }
        };
        tokio::pin!(ended);
        loop {
            tokio::select! {
                () = &mut ended => return,
                signal = signals.recv() => match signal {
                    Some(Signal::Stop) => stops.iter().for_each(runner::Stopper::at_once),
                    Some(Signal::Reload) => {}
                    None => return ended.await,
                },
            }
        }
    }
}
