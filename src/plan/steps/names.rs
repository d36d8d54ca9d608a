//! The variables that a flow sets: they are known everywhere in it.

use super::Builder;
use crate::base::written::{At, Many};
use crate::expr::is_reserved;
use crate::plan::walk::{nested, sets};
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
            // What is called too deep is refused where it is called.
            let calls = &self.resolver.calls;
            let index = calls.by(&step.value).filter(|index| !called.contains(index) && !calls.cost(*index).is_too_much());
            if let Some((index, (_, scenario))) =
                index.and_then(|index| Some((index, self.resolver.profile.written.scenarios.0.0.get(index)?)))
            {
                called.push(index);
                self.look(&scenario.flow, called);
            }
        }
    }
}
