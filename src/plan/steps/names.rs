//! The variables that a flow sets: they are known everywhere in it.

use super::Builder;
use crate::base::written::{At, Many};
use crate::expr::is_reserved;
use crate::profile::written::Step;

impl Builder<'_, '_> {
    /// Makes known what the steps set, nested ones too. Wanted before [`Builder::flow`].
    pub(super) fn know(&mut self, steps: &Many<At<Step>>) {
        let mut called = self.calling.clone();
        self.look(steps, &mut called);
    }

    /// `called` are the scenarios whose flows were looked at.
    fn look(&mut self, steps: &Many<At<Step>>, called: &mut Vec<usize>) {
        for step in &steps.0 {
            for name in sets(&step.value) {
                if is_reserved(&name.value) {
                    self.resolver.error(name.at, format!("`{}` is a name of the program's own; choose another", name.value));
                }
                if self.resolver.profile.written.data.as_ref().is_some_and(|data| data.get(&name.value).is_some()) {
                    self.resolver.error(name.at, format!("`{}` is the name of data; choose another", name.value));
                }
                self.names.variable(&name.value);
            }
            for nested in nested(&step.value) {
                self.look(nested, called);
            }
            if let Some(call) = &step.value.call {
                let scenarios = &self.resolver.profile.written.scenarios;
                let index = scenarios.iter().position(|(name, _)| name.value == call.source.trim());
                if let Some((index, (_, scenario))) = index.and_then(|index| Some((index, scenarios.0.0.get(index)?)))
                    && !called.contains(&index)
                {
                    called.push(index);
                    self.look(&scenario.flow, called);
                }
            }
        }
    }
}

/// Visits every step of a flow, those of nested flows too.
pub(in crate::plan) fn each<'w>(steps: &'w Many<At<Step>>, visit: &mut impl FnMut(&'w Step)) {
    for step in &steps.0 {
        visit(&step.value);
        nested(&step.value).into_iter().for_each(|steps| each(steps, visit));
    }
}

/// The flows that stand in a step.
fn nested(step: &Step) -> Vec<&Many<At<Step>>> {
    let mut flows: Vec<_> = step.choose.iter().flat_map(|choose| &choose.value).map(|branch| &branch.flow).collect();
    flows.extend(step.maybe.as_ref().map(|maybe| &maybe.value.flow));
    flows.extend(step.repeat.as_ref().map(|repeat| &repeat.value.flow));
    flows.extend(step.for_each.as_ref().map(|each| &each.value.flow));
    flows.extend(step.group.as_ref().map(|group| &group.value.flow));
    flows.extend(step.eventually.as_ref().map(|eventually| &eventually.value.flow));
    flows.extend(step.websocket.as_ref().map(|step| &step.value.session));
    flows.extend(step.socketio.as_ref().map(|step| &step.value.session));
    flows.extend(step.tcp.as_ref().map(|step| &step.value.session));
    flows
}

/// The variables that a step sets by itself.
pub(in crate::plan) fn sets(step: &Step) -> Vec<At<String>> {
    let mut names = Vec::new();
    if let Some(set) = &step.set {
        names.extend(set.value.iter().map(|(name, _)| name.clone()));
    }
    if let Some(http) = &step.http {
        names.extend(http.value.extract.iter().flat_map(|entries| entries.iter()).map(|(name, _)| name.clone()));
        names.extend(http.value.digests().map(At::from));
    }
    if let Some(each) = &step.for_each {
        names.push(At { value: each.value.variable.value.0.clone(), at: each.value.variable.at });
    }
    names.extend(super::session::sets(step));
    names
}
