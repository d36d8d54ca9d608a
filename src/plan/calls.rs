//! Who calls whom: which scenarios are no users' own, but only a part of what others do.

use std::collections::BTreeSet;

use super::steps::names::each;
use crate::base::written::{At, Flat, Many};
use crate::profile::written::{Phase, Profile, Step};

/// The scenarios, by index, that no phase loads and that are called in something that is done. What they may name depends on who
/// calls them. One that nobody calls, or that only calls itself, isn't among them: it is looked at as if it were loaded.
pub(super) fn only_called(profile: &Profile) -> BTreeSet<usize> {
    let count = profile.scenarios.iter().count();
    let loaded: BTreeSet<usize> = (0..count).filter(|index| is_loaded(profile, *index)).collect();
    let calls: Vec<BTreeSet<usize>> = profile
        .scenarios
        .iter()
        .map(|(_, scenario)| scenario.flows().flat_map(|flow| called_in(profile, flow)).collect())
        .collect();
    let of_blocks = [&profile.setup, &profile.verify, &profile.teardown].into_iter().flatten();
    let mut reached: BTreeSet<usize> = of_blocks.flat_map(|block| called_in(profile, &block.value.flow)).collect();
    let uncalled = (0..count).filter(|index| !calls.iter().any(|of| of.contains(index)));
    let mut rest: Vec<usize> = loaded.iter().copied().chain(uncalled).chain(reached.iter().copied()).collect();
    while let Some(index) = rest.pop() {
        rest.extend(calls[index].iter().copied().filter(|called| reached.insert(*called)));
    }
    &reached - &loaded
}

/// The scenarios that a flow calls by itself.
fn called_in(profile: &Profile, flow: &Many<At<Step>>) -> Vec<usize> {
    let mut called = Vec::new();
    each(flow, &mut |step| {
        let name = step.call.as_ref().map(|call| call.source.trim());
        called.extend(name.and_then(|name| profile.scenarios.iter().position(|(other, _)| other.value == name)));
    });
    called
}

/// Whether a phase names the scenario, even if it then lasts 0s.
pub(super) fn is_loaded(profile: &Profile, scenario: usize) -> bool {
    let name = profile.scenarios.iter().nth(scenario).map(|(name, _)| name.value.as_str());
    name.is_some_and(|name| profile.phases.iter().any(|phase| names_scenario(phase, name)))
}

fn names_scenario(phase: &Phase, name: &str) -> bool {
    let stages = phase.stages.iter().flatten();
    let mut all = std::iter::once((phase.load.as_ref(), phase.split.as_ref()))
        .chain(stages.map(|stage| (stage.load.as_ref(), stage.split.as_ref())));
    all.any(|(load, split)| {
        matches!(load, Some(Flat::Each(each)) if each.get(name).is_some()) || split.is_some_and(|split| split.get(name).is_some())
    })
}

/// Visits every step of a flow and of the flows that it calls, each flow once.
pub(super) fn each_with_called<'w>(profile: &'w Profile, flow: &'w Many<At<Step>>, visit: &mut impl FnMut(&'w Step)) {
    let mut seen = BTreeSet::new();
    let mut rest = vec![flow];
    while let Some(flow) = rest.pop() {
        each(flow, visit);
        let new = called_in(profile, flow).into_iter().filter(|index| seen.insert(*index));
        rest.extend(new.filter_map(|index| profile.scenarios.iter().nth(index)).map(|(_, scenario)| &scenario.flow));
    }
}
