//! The command line: parses it, calls what it names, turns the end into an exit code.

mod args;
mod check;
mod failure;
mod log;
mod rules;
mod run;
mod runtime;
mod serve;
mod signals;
mod target;
mod terminal;

use std::process::ExitCode;

use clap::Parser;

use crate::measure::process::raise_max_fds;
use crate::profile;
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
            terminal::print(&format!("{:#}\n", profile::schema()));
            Ok(Exit::Pass)
        }
        args::Command::Target(args) => target::target(args, &cli.log),
    };
    let exit = result.unwrap_or_else(|failure| {
        terminal::complain(&failure.message);
        failure.exit
    });
    ExitCode::from(exit.code())
}
