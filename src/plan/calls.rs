//! Who calls whom: which scenarios are no users' own, but only a part of what others do.

use std::collections::BTreeSet;

use super::steps::names::each;
use crate::base::written::{At, Flat, Many};
use crate::profile::written::{Phase, Profile, Step};

/// The scenarios, by index, that no phase loads and that are called in something that is done. What they may name depends on who
/// calls them. One that nobody calls, or that only calls itself, isn't among them: it is looked at as if it were loaded.
pub(super) fn only_called(profile: &Profile) -> BTreeSet<usize> {
    let loaded = loaded(profile);
    let calls: Vec<BTreeSet<usize>> = profile
        .scenarios
        .iter()
        .map(|(_, scenario)| scenario.flows().flat_map(|flow| called_in(profile, flow)).collect())
        .collect();
    let called: BTreeSet<usize> = calls.iter().flatten().copied().collect();
    let of_blocks = [&profile.setup, &profile.verify, &profile.teardown].into_iter().flatten();
    let mut reached: BTreeSet<usize> = of_blocks.flat_map(|block| called_in(profile, &block.value.flow)).collect();
    let uncalled = (0..calls.len()).filter(|index| !called.contains(index));
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

/// The scenarios, by index, that a phase names, even if it then lasts 0s.
pub(super) fn loaded(profile: &Profile) -> BTreeSet<usize> {
    let named: BTreeSet<&str> = profile.phases.iter().flat_map(named).collect();
    let all = profile.scenarios.iter().enumerate();
    all.filter(|(_, (name, _))| named.contains(name.value.as_str())).map(|(index, _)| index).collect()
}

/// The names of scenarios under a phase's loads and splits.
fn named(phase: &Phase) -> impl Iterator<Item = &str> {
    let stages = phase.stages.iter().flatten();
    let all = std::iter::once((phase.load.as_ref(), phase.split.as_ref()))
        .chain(stages.map(|stage| (stage.load.as_ref(), stage.split.as_ref())));
    all.flat_map(|(load, split)| {
        let each = match load {
            Some(Flat::Each(each)) => Some(each),
            Some(Flat::One(_)) | None => None,
        };
        let of_loads = each.into_iter().flat_map(|each| each.iter()).map(|(name, _)| name.value.as_str());
        of_loads.chain(split.into_iter().flat_map(|split| split.iter()).map(|(name, _)| name.value.as_str()))
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
