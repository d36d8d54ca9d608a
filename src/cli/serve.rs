//! `serve`: the daemon.

use tokio::sync::mpsc::unbounded_channel;

use crate::daemon;
use crate::profile::Env;
use crate::record::Storage;
use crate::run;
use crate::verdict::Exit;
use crate::web::WebOptions;

use super::args::{CommonArgs, LogArgs, ServeArgs};
use super::failure::Failure;
use super::runtime::runtime;
use super::{log, signals};

/// Where the web surface listens if nothing is said.
pub(super) const LISTEN: &str = ":10797";

pub(super) fn serve(args: &ServeArgs, log: &LogArgs) -> Result<Exit, Failure> {
    log::init(log, false);
    let common = &args.common;
    let options = daemon::Options {
        profiles: common.profile.profiles.clone(),
        env: Env::process(),
        sets: common.profile.set.clone(),
        web: web(common),
        run: run(common),
    };
    let mut received = signals::receive(signals::Hangup::Reloads).map_err(Failure::system)?;
    let (forward, signals) = unbounded_channel();
    runtime()?.block_on(async {
        tokio::spawn(async move {
            while let Some(signal) = received.recv().await {
                // The daemon has ended.
                let _ = forward.send(match signal {
                    signals::Signal::Stop => daemon::Signal::Stop,
                    signals::Signal::Reload => daemon::Signal::Reload,
                });
            }
        });
        daemon::serve(options, signals).await
    })?;
    Ok(Exit::Pass)
}

pub(super) fn web(common: &CommonArgs) -> WebOptions {
    let listen = if common.web.listen.is_empty() { vec![LISTEN.to_owned()] } else { common.web.listen.clone() };
    WebOptions {
        listen,
        config: common.web.config.clone(),
        lifecycle: common.web.lifecycle,
        external: common.web.external.clone(),
    }
}

pub(super) fn run(common: &CommonArgs) -> run::Options {
    let (shard, shards) = common.shard;
    let keep = usize::try_from(common.retention).unwrap_or(usize::MAX);
    run::Options {
        storage: (!common.storage.is_empty()).then(|| Storage::new(&common.storage, keep)),
        strict: common.strict,
        engine: crate::engine::Options { shard, shards, ..Default::default() },
    }
}
