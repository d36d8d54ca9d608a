//! `check`: every problem of the profiles, and what they would do.

use std::path::Path;

use crate::plan::{self, Plan};
use crate::profile::{Env, first_of};
use crate::service::together;
use crate::verdict::Exit;

use super::args::CheckArgs;
use super::{Failure, colour, complain, print};

pub(super) fn check(args: &CheckArgs) -> Result<Exit, Failure> {
    let env = Env::process();
    let mut exit = Exit::Pass;
    let mut plans: Vec<(&Path, Plan)> = Vec::new();
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
            }
        }
    }
    // What a profile reads that is wrong isn't known.
    if exit == Exit::Pass {
        let unread = plan::unread(&args.profile.set, plans.iter().map(|(_, plan)| &plan.variables));
        let apart = together(plans.iter().map(|(path, plan)| (*path, plan))).err().map(|error| error.to_string());
        for wrong in unread.into_iter().chain(apart) {
            complain(&wrong);
            exit = Exit::Usage;
        }
    }
    Ok(exit)
}
