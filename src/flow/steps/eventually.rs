//! `eventually`: attempts until one has no failed check and no failed step, and is over in time. Only the last one's checks are reported.
//!
//! Pauses of the generator leave the time for as many attempts as without them. Whether one that held only in that time would have held
//! before, nobody knows.

use std::time::Instant;

use crate::base::Reason;
use crate::flow::control::Eventually;
use crate::flow::run::{Attempt, Nested, Run};
use crate::flow::sink::{Sink, Work};
use crate::flow::stop::{Broken, Stop};
use crate::measure::CheckId;

pub(in crate::flow) fn run<'s, S: Sink>(eventually: &'s Eventually, run: &'s mut Run<'_, S>) -> Nested<'s> {
    Box::pin(async move {
        let (start, held) = (run.due, run.held);
        let outer = run.attempt.take();
        let mut number = 0;
        let begun = outer.is_none().then(|| run.sink.begins(Work::Eventually, start));
        let mut waiting = Waiting { sink: run.sink, at: start, checks: Vec::new(), begun, over: false };
        let mut unclear = false;
        let (done, last) = loop {
            run.attempt = Some(Box::default());
            let done = run.flow(&eventually.flow).await;
            let attempt = run.attempt.take().unwrap_or_default();
            waiting.checks = attempt.checks.iter().map(|(check, _)| *check).collect();
            let over = start + (run.held - held) + eventually.within;
            let stood = run.sink.stood(start, Instant::now());
            let (why, unheld) = match done {
                Ok(()) => match &attempt.wrong {
                    None if run.due <= over + stood => {
                        unclear = run.due > over;
                        break (Ok(()), attempt);
                    }
                    None => ("it held, but too late".to_owned(), false),
                    Some(why) => (why.clone(), true),
                },
                Err(Stop::Failed(broken)) => (broken.why, broken.unheld),
                Err(end @ Stop::End(..)) => break (Err(end), attempt),
            };
            run.user.rest = std::time::Duration::ZERO;
            number += 1;
            let next = (start + (run.held - held) + eventually.every.saturating_mul(number)).max(run.due);
            if next > over + stood {
                let why = run.user.redact(&why);
                let within = humantime::format_duration(eventually.within);
                let detail = format!("eventually: {within} were not enough: {why}");
                run.sink.broken(start, Reason::Expect, &detail);
                break (Err(Broken { timed_out: true, unheld, ..Broken::because(Reason::Expect, detail) }.into()), attempt);
            }
            if let Err(stop) = run.wait(next).await {
                break (Err(stop), attempt);
            }
        };
        waiting.over = !unclear;
        run.attempt = outer;
        if !unclear || run.attempt.is_some() {
            report(*last, start, run);
        }
        done
    })
}

/// One that waits for it to hold. Dropped before that is known, it was cut off, or a pause of the generator hid it: the checks of the last
/// attempt that ended are unclear. One within another is that one's, and has nothing begun.
struct Waiting<'a, S: Sink> {
    sink: &'a S,
    at: Instant,
    checks: Vec<CheckId>,
    begun: Option<S::Begun>,
    over: bool,
}

impl<S: Sink> Drop for Waiting<'_, S> {
    fn drop(&mut self) {
        let Some(begun) = self.begun.take() else { return };
        self.sink.ends(Work::Eventually, self.at, begun);
        if !self.over {
            self.sink.undone(self.at, &self.checks);
        }
    }
}

/// Reports the last attempt's checks, which belong where the step began; where it is itself part of an attempt, they are that one's.
fn report<S: Sink>(last: Attempt, start: Instant, run: &mut Run<'_, S>) {
    match &mut run.attempt {
        Some(outer) => {
            outer.checks.extend(last.checks);
            if let Some(why) = last.wrong {
                outer.wrong.get_or_insert(why);
            }
        }
        None => last.checks.into_iter().for_each(|(check, passed)| {
            if let Err(how) = &passed {
                run.sink.unheld(check, start, &|| how.clone());
            }
            run.sink.check(check, start, passed.is_ok());
        }),
    }
}
