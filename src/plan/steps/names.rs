//! The variables that a flow sets: they are known everywhere in it.

use super::Builder;
use crate::base::written::{At, Many};
use crate::expr::is_reserved;
use crate::profile::written::Step;

impl Builder<'_, '_> {
    /// Makes known what the steps set, nested ones too. Wanted before [`Builder::flow`].
    pub(super) fn know(&mut self, steps: &Many<At<Step>>) {
        each(steps, &mut |step| {
            for name in sets(step) {
                if is_reserved(&name.value) {
                    self.resolver.error(name.at, format!("`{}` is a name of the program's own; choose another", name.value));
                }
                self.names.variable(&name.value);
            }
        });
    }
}

/// Visits every step of a flow, those of nested flows too.
pub(in crate::plan) fn each<'w>(steps: &'w Many<At<Step>>, visit: &mut impl FnMut(&'w Step)) {
    for step in &steps.0 {
        visit(&step.value);
        nested(&step.value).into_iter().for_each(|steps| each(steps, visit));
    }
}

/// The flows that stand within a step.
fn nested(_step: &Step) -> Vec<&Many<At<Step>>> {
    Vec::new()
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
    names
}
