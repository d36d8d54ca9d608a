//! Whom a flow reports to, and through whom it waits.

use std::future::Future;
use std::rc::Rc;
use std::time::{Duration, Instant};

use http::HeaderMap;

use crate::base::secrets::{Secrets, secrets_of_answer};
use crate::base::trace::TraceId;
use crate::base::{Outcome, Protocol, Reason};
use crate::expr::{Explanation, ListId, Value};
use crate::flow::session::{Ears, Lack, Stretch};
use crate::measure::{CheckId, ConnectTimes, GroupId, MessageId, Numbered, OwnId, Passed, Sample, StepId, Transfer};
use crate::protocol::Sent;

/// An example of an error. The sink bounds how many are kept, and redacts them.
#[derive(Clone, Copy)]
pub struct Failure<'a> {
    /// Why.
    pub reason: Reason,
    /// The status code; 0 without an answer.
    pub status: u16,
    /// What happened, in words.
    pub detail: &'a str,
    /// The body of the answer.
    pub body: &'a [u8],
    /// What must not be shown of a text about it, beside the plan's secrets: credentials that were sent, cookies, values that are
    /// named like secrets. Gathered only for an example that is kept.
    pub secrets: &'a dyn Fn(&str) -> Vec<String>,
}

impl Failure<'_> {
    /// What happened, without these secrets and those of its own.
    pub fn words(&self, secrets: &Secrets) -> String {
        self.all(self.detail, secrets).redact_own(self.detail).into_owned()
    }

    /// A text that came from the target, without these secrets and those of its own.
    pub fn redact(&self, text: &str, secrets: &Secrets) -> String {
        self.all(text, secrets).redact(text).into_owned()
    }

    /// All that is secret in a text; it stays so in others of the run.
    fn all(&self, text: &str, secrets: &Secrets) -> Secrets {
        let found: Vec<String> = (self.secrets)(text).into_iter().chain(secrets_of_answer(text)).collect();
        secrets.learn(found.iter().cloned());
        secrets.with(found)
    }
}

/// A piece of work that takes its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Work {
    /// A request of a step, or a message that is waited for.
    Request(StepId),
    /// A group of steps.
    Group(GroupId),
    /// An `eventually`, which has no sample.
    Eventually,
}

/// A peer gives up who answers nothing for so long at the soonest; what it said by then is read within as long of a pause.
const PATIENCE: Duration = Duration::from_secs(1);

/// Why a connection ended, as was noticed at `at`. Where the generator stood still for a second or more right before that, its peer may have
/// waited in vain for an answer, and it isn't known who is to blame.
pub(super) fn why_ended<S: Sink>(sink: &S, at: Instant, reason: Reason) -> Reason {
    let ended_by_peer = matches!(reason, Reason::Closed | Reason::Reset);
    let stood = || at.checked_sub(2 * PATIENCE).map_or(Duration::ZERO, |since| sink.stood(since, at));
    if ended_by_peer && stood() >= PATIENCE { Reason::Local } else { reason }
}

/// Takes what happens to one virtual user. Nothing here may block or fail. What is reported has no default: a sink that leaves it out loses it.
pub trait Sink {
    /// What is kept of work that is under way.
    type Begun: Default;

    /// Work that was due at `due` begins.
    fn begins(&self, work: Work, due: Instant) -> Self::Begun;
    /// It is over, with what it began with.
    fn ends(&self, work: Work, due: Instant, begun: Self::Begun);
    /// A timed piece of work ended; it belongs to the phase that it was due in.
    fn sample(&self, step: StepId, due: Instant, sample: &Sample);
    /// A request of a step that uploads or downloads ended as expected.
    fn transfer(&self, step: StepId, due: Instant, transfer: &Transfer);
    /// The request of a [`Sink::sample`] was sent, as far as that is known, and not answered: what it asked for may have been done.
    fn lost(&self, step: StepId, due: Instant);
    /// Secrets that were sent, and the headers of the answer, which may carry some: never to be shown from here on.
    fn credentials(&self, sent: &Sent, answer: &HeaderMap);
    /// Other secrets that came to be known.
    fn secrets(&self, found: Vec<String>);
    /// The trace that the request of a [`Sink::sample`] was sent with.
    fn traced(&self, step: StepId, due: Instant, sample: &Sample, trace: TraceId);
    /// A check of a request that was due at `due`.
    fn check(&self, check: CheckId, due: Instant, passed: bool);
    /// A group of steps that was due at `at` ended, or was cut off, at `ended`. It took so many nanoseconds of that: pauses of the
    /// run are none of its time.
    fn group(&self, group: GroupId, at: Instant, ended: Instant, nanoseconds: u64, outcome: Outcome);
    /// A connection was open at `opened`; that counts at `at`, when it began to be opened.
    fn connected(&self, protocol: Protocol, at: Instant, opened: Instant, times: &ConnectTimes);
    /// A connection could not be opened, so long after `at`, when it counts. Without a reason it was cut off before that was known.
    fn unconnected(&self, protocol: Protocol, at: Instant, reason: Option<Reason>, lasted: Duration);
    /// A connection ended; without a reason where this side meant it to.
    fn disconnected(&self, protocol: Protocol, at: Instant, reason: Option<Reason>);
    /// A session ended that the step opened.
    fn session(&self, step: StepId, at: Instant, lasted: Duration, outcome: Outcome);
    /// Messages went over a connection that the step opened.
    fn passed(&self, step: StepId, at: Instant, passed: &Passed);
    /// A message came that had been published so long before; `skewed` where by the two clocks it came before that.
    fn latency(&self, message: MessageId, at: Instant, nanoseconds: u64, skewed: bool);
    /// What became of messages.
    fn numbered(&self, message: MessageId, at: Instant, numbered: &Numbered);
    /// Messages never came; each belongs to the phase that it was due in.
    fn missed(&self, message: MessageId, lack: &Lack) {
        self.numbered(message, lack.last, &Numbered { missed: lack.count, ..Numbered::default() });
    }
    /// Somebody listened to messages that should come every so often.
    fn listened(&self, message: MessageId, stretch: &Stretch) {
        let _ = (message, stretch);
    }
    /// Somebody listens from here on, so that it may be asked at the edges of phases what it missed.
    fn follow(&self, ears: &Rc<Ears>) {
        let _ = ears;
    }
    /// It doesn't listen any more, and reports the rest by itself.
    fn unfollow(&self, ears: &Rc<Ears>) {
        let _ = ears;
    }
    /// The step opens a session that is due at `due`: what comes of it is reported next.
    fn listener_due(&self, step: StepId, due: Instant) {
        let _ = (step, due);
    }
    /// A session is open that the step opened. Its end is a [`Sink::session`].
    fn listener_came(&self, step: StepId, at: Instant) {
        let _ = (step, at);
    }
    /// A session that was due at `due` could not be opened.
    fn listener_refused(&self, step: StepId, due: Instant, at: Instant) {
        let _ = (step, due, at);
    }
    /// Adds to a counter of the profile's own.
    fn count(&self, metric: OwnId, by: f64, at: Instant);
    /// Observes a histogram of the profile's own, or sets a gauge.
    fn observe(&self, metric: OwnId, value: f64, at: Instant);
    /// Appends to a list of the run's. One that is full takes nothing; whoever keeps the lists reports that.
    fn remember(&self, list: ListId, value: Value);
    /// Reports an error that was also a [`Sink::sample`].
    fn failure(&self, step: StepId, due: Instant, failure: &Failure<'_>);
    /// Reports a step without samples (`set`, `count`, `record`, …) that could not be done. `detail` is without the user's secrets; the plan's may still be in it.
    fn broken(&self, at: Instant, reason: Reason, detail: &str);
    /// A step without samples that began at `at` was cut off: nobody knows whether it could be done, nor whether these checks held.
    fn undone(&self, at: Instant, checks: &[CheckId]);
    /// By how much the generator itself may have made longer what lasted from `from` to `to`, of which the second has come.
    fn stood(&self, from: Instant, to: Instant) -> Duration {
        let _ = (from, to);
        Duration::ZERO
    }
    /// Reports how a check failed: it didn't hold, or could not be evaluated. That is worked out when it is asked for, so of a flood
    /// of failures only what is shown costs anything. The user's secrets are taken out, and the plan's are not.
    fn unheld(&self, check: CheckId, due: Instant, how: &dyn Fn() -> Explanation);
    /// The flow comes to a step, by its number.
    fn comes_to(&self, _step: u32) {}
    /// Waits until a moment.
    fn sleep_until(&self, at: Instant) -> impl Future<Output = ()>;
    /// Whether the flow is to end before its next request or pause, with what is under way done and remembered: asked of what
    /// is done once for a run, when that is stopped, and of the start of a user that is to go. Iterations are stopped from outside.
    fn is_over(&self) -> bool {
        false
    }
    /// Whether a request may be sent, or a connection opened, for now; asked once for each. If not the target is away, and what stands
    /// behind it is left out.
    fn may_knock(&self) -> bool {
        true
    }
    /// The peer hung up as soon as a connection was open. That it was meant to end so makes it no error; to open the next one at once
    /// would be a flood all the same.
    fn hung_up(&self) {}
    /// When the user was turned away, if the last that it heard of a target was that a connection could not be opened, or that the peer
    /// hung up.
    fn turned_away(&self) -> Option<Instant> {
        None
    }
    /// Waits until the user is to end: ramped down, left out of the next phase, or the run stops. Nobody waits for it meanwhile.
    fn asked_to_end(&self) -> impl Future<Output = ()>;
    /// Whether [`Sink::asked_to_end`] would be over at once.
    fn is_asked_to_end(&self) -> bool {
        self.is_over()
    }
    /// Awaited before each step, which is due at `due`: ready at once, or while the run is paused, once it goes on.
    fn gate(&self, due: Instant) -> impl Future<Output = ()>;
}
