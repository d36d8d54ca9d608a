//! `run`: the profiles in the foreground, one after the other.

use std::sync::Arc;

use tokio::sync::mpsc::{Receiver, Sender, UnboundedReceiver, channel, unbounded_channel};

use crate::output::{Reporter, Style, summary};
use crate::profile::Env;
use crate::record::{RecordError, Storage};
use crate::run::{self, Loaded, Outcome, Stop, Update};
use crate::verdict::Exit;
use crate::web::{self, Order, Surface, Web, WebError};

use super::args::{LogArgs, LogLevel, RunArgs};
use super::failure::Failure;
use super::runtime::runtime;
use super::terminal::{complain, print};
use super::{log, serve, signals};

/// What `/-/reload` answers.
const NO_RELOAD: &str = "`run` carries out what it has read; `serve` reloads";

pub(super) fn run(args: &RunArgs, log: &LogArgs) -> Result<Exit, Failure> {
    // News are the progress itself; the log is for what may be wrong, unless more of it is asked for.
    let said = !args.quiet && log.level.is_none();
    log::init(&LogArgs { level: log.level.or(Some(LogLevel::Warn)), format: log.format }, said);
    let signals = signals::receive(signals::Hangup::Stops).map_err(Failure::system)?;
    runtime()?.block_on(run_all(args, signals))
}

async fn run_all(args: &RunArgs, mut signals: UnboundedReceiver<signals::Signal>) -> Result<Exit, Failure> {
    let common = &args.common;
    let env = Env::process();
    // All are read before the first is run: a mistake in the last shouldn't show after an hour.
    let all = Loaded::load_all(&common.profile.profiles, &env, &common.profile.set, &[], common.shard.1)?;
    all.iter().flat_map(|loaded| &loaded.warnings).for_each(|warning| complain(warning));
    let surface = Arc::new(Surface::default());
    surface.show_only(&all.iter().map(|loaded| loaded.plan.name.clone()).collect::<Vec<_>>());
    surface.stores.store(Arc::new(all.iter().map(|loaded| loaded.store.clone()).collect()));
    let (orders, mut ordered) = channel(1);
    let web = listen(args, &surface, orders).await?;
    surface.set_ready(true);
    let mut options = serve::run(common);
    options.storage = options.storage.map(Storage::in_foreground);
    let mut exits = Vec::new();
    for loaded in &all {
        let (exit, asked) = run_one(args, loaded, &options, &surface, (&mut signals, &mut ordered)).await;
        exits.push(exit);
        // Whatever this run came to: who asked for the end wants no other to begin.
        if asked {
            exits.extend((exits.len() < all.len()).then_some(Exit::Interrupted));
            break;
        }
    }
    if let Some(web) = web {
        web.stop().await;
    }
    Ok(Exit::worst(exits))
}

/// The web surface. One that nobody asked for is done without if its address is taken.
async fn listen(args: &RunArgs, surface: &Arc<Surface>, orders: Sender<Order>) -> Result<Option<Web>, Failure> {
    let options = serve::web(&args.common);
    match web::serve(&options, surface.clone(), Some(orders)).await {
        Ok(web) => Ok(Some(web)),
        Err(WebError::Listen(error)) if args.common.web.listen.is_empty() => {
            complain(&format!("This run has no /metrics: {error}."));
            Ok(None)
        }
        Err(error) => Err(error.into()),
    }
}

/// One run, and whether its end was asked for.
async fn run_one(args: &RunArgs, loaded: &Loaded, options: &run::Options, surface: &Surface, asked: Asked<'_>) -> (Exit, bool) {
    let mut reporter = (!args.quiet).then(Reporter::stderr);
    reporter.iter().for_each(|reporter| log::above(reporter.log_writer()));
    let profile = loaded.plan.name.as_str();
    surface.set_status(profile, |status| status.state = "running".to_owned());
    let (outcome, asked) = carry_out(loaded, options, surface, asked, &mut reporter).await;
    if let Some(reporter) = reporter {
        reporter.finish();
    }
    let outcome = match outcome {
        Ok(outcome) => outcome,
        Err(error) => {
            surface.set_status(profile, |status| status.state = "failed".to_owned());
            complain(&format!("The run of `{profile}` was not begun, and nothing was sent, since it can't be stored: {error}"));
            return (Exit::NotCarriedOut, asked);
        }
    };
    surface.set_status(profile, |status| {
        status.state = "done".to_owned();
        status.verdict = outcome.run.verdict.label().to_owned();
        status.stored = outcome.directory();
    });
    print(&summary::text(&outcome.run, Style::of(&std::io::stdout())));
    match &outcome.stored {
        Ok(Some(path)) => print(&format!("stored in {}\n", path.display())),
        Ok(None) => print("not stored (--storage.path is empty)\n"),
        Err(error) => complain(&format!("The run could not be stored: {error}")),
    }
    (outcome.exit, asked)
}

/// Where somebody asks for the run's end: signals, and `/-/quit`.
type Asked<'a> = (&'a mut UnboundedReceiver<signals::Signal>, &'a mut Receiver<Order>);

/// Carries the run out, passing on what is asked. Answers whether its end was.
async fn carry_out(
    loaded: &Loaded,
    options: &run::Options,
    surface: &Surface,
    (signals, orders): Asked<'_>,
    reporter: &mut Option<Reporter>,
) -> (Result<Outcome, RecordError>, bool) {
    let (stop, stops) = unbounded_channel();
    let profile = loaded.plan.name.as_str();
    let mut update = |update: Update<'_>| {
        if let Update::Status(now) = &update {
            surface.set_status(profile, |status| status.run = Some(now.clone()));
        }
        if let Some(reporter) = reporter {
            match update {
                Update::Progress(progress) => reporter.update(progress),
                Update::Say(text) => reporter.say(&text),
                Update::Status(_) => {}
            }
        }
    };
    let running = run::run(loaded.plan.clone(), loaded.store.clone(), options, stops, &mut update);
    tokio::pin!(running);
    let mut asked = false;
    loop {
        tokio::select! {
            outcome = &mut running => return (outcome, asked),
            Some(signal) = signals.recv() => {
                if signal == signals::Signal::Stop {
                    // A run that has ended meanwhile needs no stopping.
                    let _ = stop.send(if asked { Stop::AtOnce } else { Stop::Gracefully });
                    asked = true;
                }
            }
            Some(order) = orders.recv() => match order {
                Order::Quit => {
                    let _ = stop.send(Stop::Gracefully);
                    asked = true;
                }
                // Who asked may be gone.
                Order::Reload(answer) => drop(answer.send(Err(NO_RELOAD.to_owned()))),
            },
        }
    }
}
