//! `check`: every problem of the profiles, and what they would do.

use std::path::Path;

use crate::plan::{self, Plan};
use crate::profile::{Env, first_of};
use crate::run::together;
use crate::verdict::Exit;

use super::args::CheckArgs;
use super::failure::Failure;
use super::terminal::{colour, complain, print};

pub(super) fn check(args: &CheckArgs) -> Result<Exit, Failure> {
    let env = Env::process();
    let mut exit = Exit::Pass;
    let mut plans: Vec<(&Path, Plan)> = Vec::new();
    let mut in_part = Vec::new();
    for path in &args.profile.profiles {
        match plan::load(path, &env, &args.profile.set, plan::Options::default()) {
            Ok((plan, warnings)) => {
                first_of(warnings.iter(), |warning| warning.render(colour())).iter().for_each(|warning| complain(warning));
                print(&plan::describe(&plan));
                plans.push((path, plan));
            }
            Err(problems) => {
                complain(&problems.render(colour()));
                exit = Exit::Usage;
                in_part.push(plan::read_in_part(path, &env, &args.profile.set));
            }
        }
    }
    let unread = plan::unread(&args.profile.set, plans.iter().map(|(_, plan)| &plan.variables).chain(&in_part));
    // What a profile that is wrong has in common with others isn't known.
    let whole = exit == Exit::Pass;
    let apart = whole.then(|| together(plans.iter().map(|(path, plan)| (*path, plan))).err()).flatten();
    for wrong in unread.into_iter().chain(apart.map(|error| error.to_string())) {
        complain(&wrong);
        exit = Exit::Usage;
    }
    Ok(exit)
}
