//! `eventually`: attempts until one has no failed check and no failed step, and is over in time. Only the last one's checks are told.
//!
//! Pauses of the generator leave the time for as many attempts as without them. Whether one that held only in that time would have held
//! before, nobody knows.

use std::time::Instant;

use crate::base::Reason;
use crate::flow::control::Eventually;
use crate::flow::run::{Attempt, Nested, Run};
use crate::flow::sink::Sink;
use crate::flow::stop::{Broken, Stop};
use crate::measure::CheckId;

pub(in crate::flow) fn run<'s, S: Sink>(eventually: &'s Eventually, run: &'s mut Run<'_, S>) -> Nested<'s> {
    Box::pin(async move {
        let (start, held) = (run.due, run.held);
        let outer = run.attempt.take();
        let mut number = 0;
        let mut waiting = Waiting { sink: run.sink, at: start, checks: Vec::new(), nested: outer.is_some(), over: false };
        let mut unclear = false;
        let (done, last) = loop {
            run.attempt = Some(Box::default());
            let done = run.flow(&eventually.flow).await;
            let attempt = run.attempt.take().unwrap_or_default();
            waiting.checks = attempt.checks.iter().map(|(check, ..)| *check).collect();
            let over = start + (run.held - held) + eventually.within;
            let stood = run.sink.stood(start, Instant::now());
            let why = match done {
                Ok(()) => match &attempt.wrong {
                    None if run.due <= over + stood => {
                        unclear = run.due > over;
                        break (Ok(()), attempt);
                    }
                    None => "it held, but too late".to_owned(),
                    Some(why) => why.clone(),
                },
                Err(Stop::Failed(broken)) => broken.why,
                Err(end @ Stop::End(..)) => break (Err(end), attempt),
            };
            run.user.rest = std::time::Duration::ZERO;
            number += 1;
            let next = (start + (run.held - held) + eventually.every.saturating_mul(number)).max(run.due);
            if next > over + stood {
                let why = run.user.redact(&why);
                let within = humantime::format_duration(eventually.within);
                let broken = run.broken(Reason::Expect, format!("eventually: {within} were not enough: {why}"));
                break (Err(Broken { timed_out: true, ..broken }.into()), attempt);
            }
            if let Err(stop) = run.wait(next).await {
                break (Err(stop), attempt);
            }
        };
        waiting.over = !unclear;
        run.attempt = outer;
        if !unclear || waiting.nested {
            report(*last, run);
        }
        done
    })
}

/// One that waits for it to hold. Dropped before that is known, it was cut off, or a pause of the generator hid it: the checks of the last
/// attempt that ended are unclear. One within another is that one's.
struct Waiting<'a, S: Sink> {
    sink: &'a S,
    at: Instant,
    checks: Vec<CheckId>,
    nested: bool,
    over: bool,
}

impl<S: Sink> Drop for Waiting<'_, S> {
    fn drop(&mut self) {
        if !self.over && !self.nested {
            self.sink.undone(self.at, &self.checks);
        }
    }
}

/// Tells of the last attempt's checks; where it is itself part of an attempt, they are that one's.
fn report<S: Sink>(last: Attempt, run: &mut Run<'_, S>) {
    match &mut run.attempt {
        Some(outer) => {
            outer.checks.extend(last.checks);
            if let Some(why) = last.wrong {
                outer.wrong.get_or_insert(why);
            }
        }
        None => last.checks.into_iter().for_each(|(check, due, passed)| {
            if let Err(how) = &passed {
                run.sink.unheld(check, due, &|| how.clone());
            }
            run.sink.check(check, due, passed.is_ok());
        }),
    }
}
