//! `remember`: values for lists that the whole run shares.

use super::Builder;
use crate::base::written::{Anything, At};
use crate::expr::ListId;
use crate::flow::StepKind;
use crate::plan::http;

impl Builder<'_, '_> {
    /// Lists and what is appended to each.
    pub(super) fn remember<'w>(&mut self, entries: impl Iterator<Item = &'w (At<String>, Anything)>) -> Option<StepKind> {
        let values: Vec<_> = entries
            .map(|(name, value)| {
                let template = http::json(self.resolver, value.0, &self.names);
                // Every list that a step fills was found before the first step was resolved.
                let list = self.resolver.lists.iter().position(|(list, _)| *list == name.value).map(ListId::at);
                Some((list?, template?))
            })
            .collect();
        values.into_iter().collect::<Option<_>>().map(StepKind::Remember)
    }
}
