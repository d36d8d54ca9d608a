//! `check`: every problem of the profiles, and what they would do.

use crate::plan;
use crate::profile::Env;
use crate::verdict::Exit;

use super::args::CheckArgs;
use super::{Failure, colour, complain, print};

pub(super) fn check(args: &CheckArgs) -> Result<Exit, Failure> {
    let env = Env::process();
    let mut exit = Exit::Pass;
    let mut variables = Vec::new();
    for path in &args.profile.profiles {
        match plan::load(path, &env, &args.profile.set, plan::Options::default()) {
            Ok((plan, warnings)) => {
                warnings.iter().for_each(|warning| complain(&warning.render(colour())));
                print(&plan::describe(&plan));
                variables.push(plan.variables);
            }
            Err(problems) => {
                complain(&problems.render(colour()));
                exit = Exit::Usage;
                variables.push(plan::read_in_part(path, &env, &args.profile.set));
            }
        }
    }
    if let Some(unread) = plan::unread(&args.profile.set, &variables) {
        complain(&unread);
        exit = Exit::Usage;
    }
    Ok(exit)
}
