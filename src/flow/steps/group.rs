//! `group`: a flow that is timed as a whole, from when its first step was due to the end of its last one.

use std::time::Instant;

use crate::base::Outcome;
use crate::base::units::nanos;
use crate::flow::control::Group;
use crate::flow::run::{Nested, Run};
use crate::flow::sink::{Sink, Work};
use crate::flow::stop::Stop;
use crate::measure::GroupId;

pub(in crate::flow) fn run<'s, S: Sink>(group: &'s Group, run: &'s mut Run<'_, S>) -> Nested<'s> {
    Box::pin(async move {
        let (due, held) = (run.due, run.held);
        let begun = run.sink.begins(Work::Group(group.id), due);
        let mut timed = Timed { sink: run.sink, id: group.id, due, under_way: true, begun };
        let done = run.flow(&group.flow).await;
        timed.under_way = false;
        // A pause of the run is no time of the group's.
        let length = run.due.saturating_duration_since(due).saturating_sub(run.held - held);
        let outcome = done.as_ref().err().map_or(Outcome::Ok, Stop::outcome);
        run.sink.group(group.id, due, run.due, nanos(length), outcome);
        done
    })
}

/// A group under way. Dropped before its end, it was interrupted.
struct Timed<'a, S: Sink> {
    sink: &'a S,
    id: GroupId,
    due: Instant,
    under_way: bool,
    begun: S::Begun,
}

impl<S: Sink> Drop for Timed<'_, S> {
    fn drop(&mut self) {
        self.sink.ends(Work::Group(self.id), self.due, std::mem::take(&mut self.begun));
        if self.under_way {
            let now = Instant::now();
            self.sink.group(self.id, self.due, now, nanos(now.saturating_duration_since(self.due)), Outcome::Interrupted);
        }
    }
}
