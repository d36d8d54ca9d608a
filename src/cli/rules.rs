//! `rules`: what Prometheus or Grafana should watch of a profile.

use crate::output::rules::{self, Links, RulesFormat};
use crate::plan;
use crate::profile::Env;
use crate::verdict::Exit;

use super::args::{Rules, RulesArgs};
use super::failure::Failure;
use super::terminal::{colour, complain, print};

pub(super) fn rules(args: &RulesArgs) -> Result<Exit, Failure> {
    let env = Env::process();
    let loaded = plan::load(&args.profile, &env, &args.set, plan::Options::default());
    let (plan, _) = loaded.map_err(|problems| {
        let unread = plan::unread(&args.set, [&plan::read_in_part(&args.profile, &env, &args.set)]);
        let lines: Vec<String> = std::iter::once(problems.render(colour())).chain(unread).collect();
        Failure::usage(lines.join("\n"))
    })?;
    if let Some(unread) = plan::unread(&args.set, [&plan.variables]) {
        return Err(Failure::usage(unread));
    }
    if plan.slos.is_empty() {
        complain(&format!("`{}` has no slos, so there is nothing to watch; add some, or use config/prometheus/rules", plan.name));
    }
    let format = match args.format {
        Rules::Prometheus => RulesFormat::Prometheus,
        Rules::Recording => RulesFormat::Recording,
        Rules::Grafana => RulesFormat::Grafana,
    };
    let links = Links { runbooks: &args.runbooks_url, grafana: &args.grafana_url };
    print(&rules::rules(&plan, format, links));
    Ok(Exit::Pass)
}
