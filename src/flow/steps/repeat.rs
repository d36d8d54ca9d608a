//! `repeat` and `for_each`: turns, one after the other or by several users at the same time.

use super::parallel;
use super::turns::Turns;
use crate::base::Reason;
use crate::expr::elements;
use crate::flow::control::{ForEach, Repeat, Times};
use crate::flow::run::{Nested, Run};
use crate::flow::sink::Sink;
use crate::flow::stop::Stop;
use crate::flow::types::Flow;

pub(in crate::flow) fn repeat<'s, S: Sink>(repeat: &'s Repeat, run: &'s mut Run<'_, S>) -> Nested<'s> {
    Box::pin(async move {
        let limit = match &repeat.times {
            None => None,
            Some(Times::Always(times)) => Some(*times),
            Some(Times::Drawn(template)) => {
                let value =
                    template.value(&run.user.scope).map_err(|error| run.broken(Reason::Template, format!("repeat: {error}")))?;
                let times = Some(&value).filter(|value| value.is_number()).and_then(|value| u64::try_from(value.clone()).ok());
                Some(
                    times.ok_or_else(|| {
                        run.broken(Reason::Template, "repeat: `times` is not a whole number from 0 on".to_owned())
                    })?,
                )
            }
        };
        let turns = Turns::of_repeat(repeat, limit, run);
        all(turns, repeat.users, &repeat.flow, run).await
    })
}

pub(in crate::flow) fn for_each<'s, S: Sink>(each: &'s ForEach, run: &'s mut Run<'_, S>) -> Nested<'s> {
    Box::pin(async move {
        let list =
            each.list.value(&run.user.scope).map_err(|error| run.broken(Reason::Template, format!("for_each: {error}")))?;
        let Some(items) = elements(&list) else {
            return Err(run.broken(Reason::Template, format!("for_each: `{}` is not a list", each.list.source())).into());
        };
        let turns = Turns::of_items(each.variable, items, list.len(), run);
        all(turns, each.users, &each.flow, run).await
    })
}

/// All turns.
async fn all<S: Sink>(mut turns: Turns<'_>, users: u32, flow: &Flow, run: &mut Run<'_, S>) -> Result<(), Stop> {
    if users > 1 {
        return parallel::run(turns, users, flow, run).await;
    }
    while let Some(turn) = turns.next(run)? {
        if let Err(stop) = turn.run(flow, run).await {
            turns.left_out(&stop, users, flow, run);
            return Err(stop);
        }
        // Where nothing is ever waited for, the worker's other users still have their turns.
        tokio::task::coop::consume_budget().await;
    }
    Ok(())
}
