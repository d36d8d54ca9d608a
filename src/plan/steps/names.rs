//! The variables that a flow sets: they are known everywhere in it.

use super::Builder;
use crate::base::written::{At, Many};
use crate::expr::is_reserved;
use crate::profile::written::Step;

impl Builder<'_, '_> {
    /// Makes known what the steps set, nested ones too. Wanted before [`Builder::flow`].
    pub(super) fn know(&mut self, steps: &Many<At<Step>>) {
        for step in &steps.0 {
            for name in sets(&step.value) {
                if is_reserved(&name.value) {
                    self.resolver.error(name.at, format!("`{}` is a name of the program's own; choose another", name.value));
                }
                self.names.variable(&name.value);
            }
        }
    }
}

/// The variables that a step sets by itself.
fn sets(step: &Step) -> Vec<At<String>> {
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
