//! The daemon: several profiles at once, each on its schedule; reload; graceful end.
//!
//! Each profile has a keeper (`keeper`), a task that runs it when its schedule says so. A reload reads every profile
//! first and changes nothing unless all are right; then a keeper whose profile changed ends its run gracefully and goes on
//! with the new one, and the others notice nothing.

mod keeper;
pub mod schedule;

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
    let (order, mut orders) = mpsc::channel(4);
    let web = web::serve(&options.web, surface.clone(), Some(order)).await?;
    for address in web.addresses() {
        tracing::info!(%address, "listening");
    }
    let mut daemon = Daemon { options, surface, keepers: Vec::new() };
    daemon.surface.show_only(&names(&loaded));
    for loaded in loaded {
        let keeper = Keeper::start(Arc::new(loaded), daemon.options.run.clone(), daemon.surface.clone());
        daemon.keepers.push(keeper);
    }
    daemon.publish();
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
    fn reload(&mut self) -> Result<(), String> {
        let present: Vec<Arc<Loaded>> = self.keepers.iter().map(Keeper::loaded).collect();
        let now = unix_time(SystemTime::now());
        let loaded = match load(&self.options, &present) {
            Ok(loaded) => loaded,
            Err(error) => {
                tracing::error!("the profiles were not reloaded, and go on as they are: {error}");
                present.iter().for_each(|loaded| loaded.store.gauges.set_reload(false, now));
                return Err(error.to_string());
            }
        };
        self.surface.show_only(&names(&loaded));
        for (keeper, loaded) in self.keepers.iter_mut().zip(loaded) {
            if keeper.loaded().plan.fingerprint != loaded.plan.fingerprint {
                tracing::info!(profile = %loaded.plan.name, "the profile has changed");
                keeper.replace(Arc::new(loaded));
            }
            keeper.loaded().store.gauges.set_reload(true, now);
        }
        self.publish();
        tracing::info!("reloaded");
        Ok(())
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
