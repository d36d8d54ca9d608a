//! `remember`: values for lists that the whole run shares.

use crate::base::Reason;
use crate::expr::{JsonTemplate, ListId};
use crate::flow::run::Run;
use crate::flow::sink::Sink;
use crate::flow::stop::Broken;

pub(in crate::flow) fn run<S: Sink>(values: &[(ListId, JsonTemplate)], run: &mut Run<'_, S>) -> Result<(), Broken> {
    for (list, template) in values {
        let value =
            template.value(&run.user.scope).map_err(|error| run.broken(Reason::Template, format!("remember: {error}")))?;
        run.sink.remember(*list, value);
    }
    Ok(())
}
