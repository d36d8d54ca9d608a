//! `count` and `record`: metrics of the profile's own. They belong with the request before them, or with the end of the wait before them.

use crate::base::Reason;
use crate::flow::run::Run;
use crate::flow::sink::Sink;
use crate::flow::stop::Broken;
use crate::flow::types::Amounts;

pub(in crate::flow) fn count<S: Sink>(amounts: &Amounts, run: &mut Run<'_, S>) -> Result<(), Broken> {
    for (metric, expression) in amounts {
        let by = expression.number(&run.user.scope).map_err(|error| run.broken(Reason::Template, format!("count: {error}")))?;
        if by < 0.0 {
            return Err(
                run.broken(Reason::Template, format!("count: `{}` is negative, and counters only go up", expression.source()))
            );
        }
        run.sink.count(*metric, by, run.belongs);
    }
    Ok(())
}

pub(in crate::flow) fn record<S: Sink>(amounts: &Amounts, run: &mut Run<'_, S>) -> Result<(), Broken> {
    for (metric, expression) in amounts {
        let value =
            expression.number(&run.user.scope).map_err(|error| run.broken(Reason::Template, format!("record: {error}")))?;
        run.sink.observe(*metric, value, run.belongs);
    }
    Ok(())
}
