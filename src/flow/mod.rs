//! What a virtual user does: resolved steps and their interpreter.
//!
//! Owns the order of steps, due times, what a failure leads to, the judgement of answers, extraction and checks. It knows
//! neither threads nor metrics: what happens is reported to a [`Sink`], and time is waited for through it.
//!
//! A user's work is one future that may be dropped at any await; a request that is cut off so is reported as `interrupted`.
//! Each kind of step has a file of its own in `steps/`.

mod control;
mod deck;
mod expect;
mod flight;
mod interpret;
mod rhythm;
mod run;
mod session;
mod sink;
mod steps;
mod stop;
mod types;
mod user;

pub use control::{Choose, Eventually, ForEach, Group, Maybe, Repeat, Times};
pub use deck::Deck;
pub use expect::Expect;
pub use flight::report_connect;
pub use interpret::{Halt, carry_out, once};
pub use rhythm::RETRY;
pub use session::{
    Awaited, CloseStep, Closing, Ears, EmitStep, Expected, Finding, Handler, Handlers, Lack, ListenStep, MessageStep, Reconnect,
    SendStep, Sequences, SessionStep, Stretch,
};
pub use sink::{Failure, Sink, Work};
pub use types::{Amounts, End, Flow, HttpStep, OnError, SetValue, Step, StepKind, Think};
pub use user::{User, UserParts};

#[cfg(test)]
mod tests;
