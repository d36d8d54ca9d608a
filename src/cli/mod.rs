//! The command line: parses it, calls what it names, turns the end into an exit code.

mod args;
mod check;
mod log;
mod rules;
mod run;
mod serve;
mod signals;
mod target;

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;

use crate::daemon::DaemonError;
use crate::measure::process::raise_max_fds;
use crate::profile;
use crate::service::LoadError;
use crate::service::web::WebError;
use crate::verdict::Exit;

pub use args::Cli;

/// Runs the command line of this process.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    // Each user is a socket; the soft limit is for programs that cannot bear many.
    raise_max_fds();
    let result = match &cli.command {
        args::Command::Serve(args) => serve::serve(args, &cli.log),
        args::Command::Run(args) => run::run(args, &cli.log),
        args::Command::Check(args) => check::check(args),
        args::Command::Rules(args) => rules::rules(args),
        args::Command::Schema => {
            print(&format!("{:#}\n", profile::schema()));
            Ok(Exit::Pass)
        }
        args::Command::Target(args) => target::target(args, &cli.log),
    };
    let exit = result.unwrap_or_else(|failure| {
        complain(&failure.message);
        failure.exit
    });
    ExitCode::from(exit.code())
}

/// A command that could not be carried out.
struct Failure {
    exit: Exit,
    message: String,
}

impl Failure {
    fn usage(message: impl ToString) -> Self {
        Self { exit: Exit::Usage, message: message.to_string() }
    }

    fn system(message: impl ToString) -> Self {
        Self { exit: Exit::NotCarriedOut, message: message.to_string() }
    }
}

impl From<LoadError> for Failure {
    fn from(error: LoadError) -> Self {
        match error {
            LoadError::Problems(problems) => Self::usage(problems.render(colour())),
            LoadError::Target(_) => Self::system(error),
            LoadError::SameName { .. } | LoadError::Conflict(_) | LoadError::Unread(_) => Self::usage(error),
        }
    }
}

impl From<WebError> for Failure {
    fn from(error: WebError) -> Self {
        match error {
            WebError::Config(_) => Self::usage(error),
            WebError::Listen(_) | WebError::Io(_) => Self::system(error),
        }
    }
}

impl From<DaemonError> for Failure {
    fn from(error: DaemonError) -> Self {
        match error {
            DaemonError::Load(error) => error.into(),
            DaemonError::Web(error) => error.into(),
            DaemonError::NoFile(_) => Self::usage(error),
        }
    }
}

/// Whether standard error takes colours.
fn colour() -> bool {
    use std::io::IsTerminal;
    std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// To standard output. A reader that has gone away (`| head`) is no failure.
fn print(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

/// To standard error.
fn complain(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{}", text.trim_end()); // nowhere left to say so
}

/// The runtime of everything but the load: workers have their own.
fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    let build = tokio::runtime::Builder::new_multi_thread().worker_threads(1).thread_name("service").enable_all().build();
    build.map_err(|error| Failure::system(format!("the program can't start its threads: {error}")))
}
