//! The daemon: several profiles at once, each on its schedule; reload; graceful end.
//!
//! Each profile has a keeper (`keeper`), a task that runs it when its schedule says so. A reload reads every profile
//! first and changes nothing unless all are right; then a keeper whose profile changed ends its run gracefully and goes on
//! with the new one, and the others notice nothing.

mod keeper;
pub mod schedule;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use tokio::sync::mpsc::{self, UnboundedReceiver};

use crate::measure::process::unix_time;
use crate::profile::Env;
use crate::service::web::{self, Order, Surface, WebError, WebOptions};
use crate::service::{self, LoadError, Loaded};

use keeper::Keeper;

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
    pub run: service::Options,
}

/// What the daemon is told from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// Stop gracefully; told twice: at once.
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
    #[error("{}: this is no plain file, and serve reads its profiles again at each reload; write it into a file", .0.display())]
    NoFile(PathBuf),
    /// The web surface.
    #[error(transparent)]
    Web(#[from] WebError),
}

/// Runs until it is told to stop.
///
/// # Errors
/// A profile or the web surface is wrong at the start; later on, nothing ends the daemon but being told to.
pub async fn serve(options: Options, mut signals: UnboundedReceiver<Signal>) -> Result<(), DaemonError> {
    let loaded = load(&options, &[])?;
    let surface = Arc::new(Surface::default());
    surface.show_only(&names(&loaded));
    // Whoever asks first finds all series.
    surface.stores.store(Arc::new(loaded.iter().map(|loaded| loaded.store.clone()).collect()));
    let (order, mut orders) = mpsc::channel(4);
    let web = web::serve(&options.web, surface.clone(), Some(order)).await?;
    for address in web.addresses() {
        tracing::info!(%address, "listening");
    }
    let mut daemon = Daemon { options, surface, keepers: Vec::new() };
    for loaded in loaded {
        let keeper = Keeper::start(Arc::new(loaded), daemon.options.run.clone(), daemon.surface.clone());
        daemon.keepers.push(keeper);
    }
    daemon.surface.set_ready(true);
    loop {
        tokio::select! {
            signal = signals.recv() => match signal {
                Some(Signal::Reload) => drop(daemon.reload()),
                Some(Signal::Stop) | None => break,
            },
            order = orders.recv() => match order {
                Some(Order::Reload(answer)) => drop(answer.send(daemon.reload())), // who asked may be gone
                Some(Order::Quit) | None => break,
            },
        }
    }
    tracing::info!("stopping; once more stops at once");
    daemon.surface.set_ready(false);
    daemon.stop(&mut signals).await;
    web.stop().await;
    Ok(())
}

/// Reads every profile, or tells all that is wrong.
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

struct Daemon {
    options: Options,
    surface: Arc<Surface>,
    keepers: Vec<Keeper>,
}

impl Daemon {
    /// Answers what has changed.
    fn reload(&mut self) -> Result<String, String> {
        let present: Vec<Arc<Loaded>> = self.keepers.iter().map(Keeper::loaded).collect();
        let now = unix_time(SystemTime::now());
        // A fault of the program ends neither the daemon nor its load.
        let loaded = catch_unwind(AssertUnwindSafe(|| load(&self.options, &present).map_err(|error| error.to_string())));
        let loaded = loaded.unwrap_or_else(|_| Err("a fault of the program; the log has it".to_owned()));
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
        for (keeper, loaded) in self.keepers.iter_mut().zip(loaded) {
            if keeper.loaded().plan.fingerprint != loaded.plan.fingerprint {
                let name = &loaded.plan.name;
                let restarts = !Arc::ptr_eq(&keeper.loaded().store, &loaded.store);
                let counters = if restarts { "begin at 0, for its labels have changed, too" } else { "go on" };
                tracing::info!(profile = %name, "the profile has changed; its counters on /metrics {counters}");
                changed.push(format!("{name} has changed; its counters on /metrics {counters}"));
                keeper.replace(Arc::new(loaded));
            }
            keeper.loaded().store.gauges.set_reload(true, now);
        }
        self.publish();
        tracing::info!("reloaded");
        Ok(changed.join("\n"))
    }

    fn publish(&self) {
        let stores = self.keepers.iter().map(|keeper| keeper.loaded().store.clone()).collect();
        self.surface.stores.store(Arc::new(stores));
    }

    async fn stop(self, signals: &mut UnboundedReceiver<Signal>) {
        let stops: Vec<_> = self.keepers.iter().map(Keeper::stopper).collect();
        stops.iter().for_each(keeper::Stopper::gracefully);
        let ended = async {
            for keeper in self.keepers {
                keeper.ended().await;
            }
        };
        tokio::pin!(ended);
        loop {
            tokio::select! {
                () = &mut ended => return,
                signal = signals.recv() => match signal {
                    Some(Signal::Stop) => stops.iter().for_each(keeper::Stopper::at_once),
                    Some(Signal::Reload) => {}
                    None => return ended.await,
                },
            }
        }
    }
}
