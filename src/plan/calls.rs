//! Who calls whom: which scenarios are no users' own, but only a part of what others do.

use std::collections::{BTreeSet, HashMap};

use super::walk::each;
use crate::base::written::{At, Flat, Many, Node, Scalar};
use crate::profile::written::{Phase, Profile, Step};

/// The most calls that a flow comes to: those of scenarios that call each other multiply.
pub(super) const MOST_CALLS: u64 = 1000;
/// How deep scenarios may call each other.
pub(super) const DEEPEST: u64 = 64;

/// What the calls in a scenario's flow come to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Cost {
    /// All of them, with those of what is called.
    pub calls: u64,
    /// How deep they go.
    pub depth: u64,
}

impl Cost {
    /// Of a flow that calls scenarios with these costs.
    fn of(called: impl Iterator<Item = Cost>) -> Self {
        called.fold(Self::default(), |sum, one| Self {
            calls: sum.calls.saturating_add(one.calls.saturating_add(1)),
            depth: sum.depth.max(one.depth.saturating_add(1)),
        })
    }

    /// Whether nobody may call a scenario with this cost.
    pub fn is_too_much(self) -> bool {
        self.calls >= MOST_CALLS || self.depth >= DEEPEST
    }
}

/// Who calls whom.
pub(super) struct Calls {
    /// The scenario that each call is of, where there is one.
    of: HashMap<Node, usize>,
    /// What each scenario's flow comes to. Scenarios that call themselves count once.
    costs: Vec<Cost>,
    /// The scenarios, by index, that no phase loads and that are called in something that is done. What they may name depends on who
    /// calls them. One that nobody calls, or that only calls itself, isn't among them: it is looked at as if it were loaded.
    pub only_called: BTreeSet<usize>,
}

impl Calls {
    pub fn new(profile: &Profile) -> Self {
        let indices: HashMap<&str, usize> =
            profile.scenarios.iter().enumerate().map(|(index, (name, _))| (name.value.as_str(), index)).collect();
        let mut of = HashMap::new();
        let mut called_in = |flow: &Many<At<Step>>| {
            let mut called = Vec::new();
            each(flow, &mut |step| {
                let call = step.call.as_ref();
                if let Some((at, index)) = call.and_then(|call| Some((call.at, *indices.get(call.source.trim())?))) {
                    of.insert(at, index);
                    called.push(index);
                }
            });
            called
        };
        let mut costly = Vec::new();
        let mut calls: Vec<BTreeSet<usize>> = Vec::new();
        for (_, scenario) in profile.scenarios.iter() {
            let in_flow = called_in(&scenario.flow);
            calls.push(scenario.flows().flat_map(&mut called_in).collect());
            costly.push(in_flow);
        }
        let of_blocks = [&profile.setup, &profile.verify, &profile.teardown].into_iter().flatten();
        let reached: BTreeSet<usize> = of_blocks.flat_map(|block| called_in(&block.value.flow)).collect();
        Self { of, costs: costs(&costly), only_called: only_called(profile, &calls, reached) }
    }

    /// The scenario, by index, that is called; none if there is no such scenario.
    pub fn of(&self, call: &Scalar) -> Option<usize> {
        self.of.get(&call.at).copied()
    }

    /// The scenario, by index, that a step calls.
    pub fn by(&self, step: &Step) -> Option<usize> {
        self.of(step.call.as_ref()?)
    }

    /// What a scenario's flow comes to.
    pub fn cost(&self, scenario: usize) -> Cost {
        self.costs.get(scenario).copied().unwrap_or_default()
    }

    /// Whether some scenario can't be called, so that the profile is refused.
    pub fn are_too_many(&self) -> bool {
        self.costs.iter().any(|cost| cost.is_too_much())
    }
}

/// What flows come to that call these scenarios.
fn costs(calls: &[Vec<usize>]) -> Vec<Cost> {
    let mut costs: Vec<Option<Cost>> = vec![None; calls.len()];
    let mut entered = vec![false; calls.len()];
    for first in 0..calls.len() {
        let mut rest = vec![first];
        while let Some(scenario) = rest.last().copied() {
            if costs[scenario].is_some() {
                rest.pop();
            } else if std::mem::replace(&mut entered[scenario], true) {
                // What isn't known by now calls this one.
                costs[scenario] = Some(Cost::of(calls[scenario].iter().map(|called| costs[*called].unwrap_or_default())));
            } else {
                rest.extend(calls[scenario].iter().copied().filter(|called| !entered[*called]));
            }
        }
    }
    costs.into_iter().map(Option::unwrap_or_default).collect()
}

/// See [`Calls::only_called`]. `reached`: what set-up, verify and teardown call.
fn only_called(profile: &Profile, calls: &[BTreeSet<usize>], mut reached: BTreeSet<usize>) -> BTreeSet<usize> {
    let loaded = loaded(profile);
    let called: BTreeSet<usize> = calls.iter().flatten().copied().collect();
    let uncalled = (0..calls.len()).filter(|index| !called.contains(index));
    let mut rest: Vec<usize> = loaded.iter().copied().chain(uncalled).chain(reached.iter().copied()).collect();
    while let Some(index) = rest.pop() {
        rest.extend(calls[index].iter().copied().filter(|called| reached.insert(*called)));
    }
    &reached - &loaded
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

impl Calls {
    /// Visits every step of a flow and of the flows that it calls, each flow once.
    pub fn each<'w>(&self, profile: &'w Profile, flow: &'w Many<At<Step>>, visit: &mut impl FnMut(&'w Step)) {
        let mut seen = BTreeSet::new();
        let mut rest = vec![flow];
        while let Some(flow) = rest.pop() {
            each(flow, &mut |step| {
                visit(step);
                let new = self.by(step).filter(|index| seen.insert(*index));
                rest.extend(new.and_then(|index| profile.scenarios.iter().nth(index)).map(|(_, scenario)| &scenario.flow));
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn costs_multiply_where_flows_call_each_other_and_are_known_at_once() {
        let cost = |calls, depth| Cost { calls, depth };
        assert_eq!(costs(&[vec![], vec![0, 0], vec![1, 0]]), [cost(0, 0), cost(2, 1), cost(4, 2)]);
        // Each calls the one before it twice, sixty thousand of them in both orders.
        let doubled = |n: usize| (0..n).map(|i| if i == 0 { vec![] } else { vec![i - 1, i - 1] }).collect::<Vec<_>>();
        let all = costs(&doubled(60_000));
        assert_eq!((all[10], all[59_999]), (cost(2046, 10), cost(u64::MAX, 59_999)));
        let mut turned: Vec<Vec<usize>> =
            doubled(60_000).into_iter().map(|of| of.into_iter().map(|i| 59_999 - i).collect()).collect();
        turned.reverse();
        assert_eq!(costs(&turned)[0], cost(u64::MAX, 59_999));
        // One that calls itself, by another one too.
        assert_eq!(costs(&[vec![0], vec![2], vec![1]]), [cost(1, 1), cost(2, 2), cost(1, 1)]);
    }
}
