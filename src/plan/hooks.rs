//! Set-up, verify and teardown: what is done once for a whole run, and the lists that all of it may fill.

use std::time::Duration;

use super::metrics;
use super::resolver::Resolver;
use super::steps::{self, Place};
use super::types::{HOOK_TIMEOUT, Hook, HookKind, Hooks, Pick};
use super::walk::{each, flows, sets};
use crate::base::written::At;
use crate::expr::{Names, is_reserved};
use crate::measure::{Layout, PhaseId, ScenarioId, ScenarioLayout};
use crate::profile::written::Block;

/// Finds the lists that steps fill, and makes their names known everywhere.
pub(super) fn lists(resolver: &mut Resolver<'_>, names: &mut Names) {
    let profile = &resolver.profile.written;
    let mut found: Vec<&At<String>> = Vec::new();
    for flow in flows(profile) {
        each(flow, &mut |step| {
            for (name, _) in step.remember.iter().flat_map(|remember| remember.value.iter()) {
                if !found.iter().any(|other| other.value == name.value) {
                    found.push(name);
                }
            }
        });
    }
    for name in found {
        let text = &name.value;
        if is_reserved(text) {
            resolver.error(name.at, format!("`{text}` is a name of the program's own; choose another"));
        } else if names.contains(text) {
            resolver.error(name.at, format!("`{text}` is a name of `vars`, which would hide the list; choose another"));
        }
        let symbol = resolver.compiler.symbol(text);
        resolver.lists.push((text.clone(), symbol));
    }
    for (name, _) in &resolver.lists {
        names.variable(name);
    }
}

/// Makes known what set-up leaves to all that follows.
pub(super) fn left_by_setup(resolver: &Resolver<'_>, names: &mut Names) {
    if let Some(setup) = &resolver.profile.written.setup {
        resolver.calls.each(&resolver.profile.written, &setup.value.flow, &mut |step| {
            sets(step).iter().for_each(|name| names.variable(&name.value))
        });
    }
}

/// Resolves the blocks and adds their labels behind those of the scenarios and phases. Wanted once all that judges traffic is
/// resolved, for they are no traffic.
pub(super) fn hooks(resolver: &mut Resolver<'_>, layout: &mut Layout, names: &Names) -> Hooks {
    let profile = &resolver.profile.written;
    let mut one = |kind, block: &Option<At<Block>>| block.as_ref().map(|block| hook(resolver, layout, names, kind, block));
    Hooks {
        setup: one(HookKind::Setup, &profile.setup),
        verify: one(HookKind::Verify, &profile.verify),
        teardown: one(HookKind::Teardown, &profile.teardown),
    }
}

fn hook(resolver: &mut Resolver<'_>, layout: &mut Layout, names: &Names, kind: HookKind, block: &At<Block>) -> Hook {
    let name = kind.label();
    let profile = &resolver.profile.written;
    let scenario = profile.scenarios.iter().map(|(scenario, _)| scenario).find(|scenario| scenario.value == name);
    let phase = profile.phases.iter().find(|phase| phase.name.value.0 == name);
    let taken = scenario.map(|scenario| (scenario.at, "scenario")).or(phase.map(|phase| (phase.name.at, "phase")));
    if let Some((at, what)) = taken {
        resolver.error(at, format!("`{name}` labels what the block `{name}` does; give this {what} another name"));
    }
    let (at, block) = (block.at, &block.value);
    if block.flow.0.is_empty() {
        resolver.lacking(at, format!("`{name}` does nothing; write at least one step into its flow"));
    }
    if let Some(timeout) = block.timeout.filter(|timeout| timeout.value.is_zero()) {
        resolver.error(timeout.at, "within 0s nothing can be done; write a longer time");
    }
    let scenario = ScenarioId::at(layout.scenarios.len());
    layout.scenarios.push(ScenarioLayout::new(name));
    let phase = PhaseId::at(layout.phases.len());
    layout.phases.push(name.to_owned());
    layout.active.push((phase, scenario));
    let (place, names) = match kind {
        HookKind::Setup => (Place::Setup, names.clone()),
        HookKind::Verify => (Place::Verify, metrics::with_totals(resolver, layout, names.clone())),
        HookKind::Teardown => (Place::Teardown, metrics::with_totals(resolver, layout, names.clone())),
    };
    resolver.named_data();
    let flow = steps::block(resolver, layout, scenario, place, block, &names);
    let rows = resolver.named_data();
    for unique in rows.iter().filter_map(|data| resolver.data.get(*data)).filter(|data| data.pick == Pick::Unique) {
        let message = format!("`{}` gives each row once, to users under load; `{name}` can't have one", unique.name);
        resolver.diagnostics.push(resolver.profile.error(at, message));
    }
    let timeout = block.timeout.map_or(HOOK_TIMEOUT, |timeout| timeout.value).max(Duration::from_millis(1));
    Hook { kind, scenario, phase, rows, timeout, flow }
}
