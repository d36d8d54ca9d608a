//! The steps on one connection: opening it, taking what comes while anything waits, and closing it.
//!
//! While a user waits within a session (for a message, for time to pass, for an answer over HTTP), its connection is read. What came
//! goes to the handlers of the connection and of the `listen` that runs, with the moment of its receipt. A loss is reported at
//! that moment, once: as the sample of what waited for a message, else as one of the session's own step.

mod ears;
mod handle;
mod hearing;
mod lack;
mod life;
mod marks;
mod pump;
mod queue;
mod sequence;
mod silence;
mod types;

pub use ears::{Ears, Finding};
pub use lack::Lack;
pub use marks::Sequences;
pub use silence::Stretch;
pub use types::{
    Awaited, CloseStep, Closing, EmitStep, Expected, Handler, Handlers, ListenStep, MessageStep, Reconnect, SendStep, SessionStep,
};

pub(super) use handle::Listening;
pub(super) use hearing::Hearing;
pub(super) use life::Session;
pub(super) use pump::{Lasting, alongside};
