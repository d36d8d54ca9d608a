//! `choose` and `maybe`: which flow it is, if any.

use crate::flow::control::{Choose, Maybe};
use crate::flow::types::Flow;
use crate::flow::user::User;

/// The flow that comes next.
pub(in crate::flow) fn one<'f>(choose: &'f Choose, user: &mut User) -> Option<&'f Flow> {
    let draw = user.draws(choose.number);
    let flow = choose.flows.get(choose.deck.draw(user.scope.choice_key(choose.number), user.place(), draw));
    flow.filter(|flow| !flow.steps.is_empty())
}

/// Whether it is done this time.
pub(in crate::flow) fn maybe(maybe: &Maybe, user: &User) -> bool {
    let holds = maybe.condition.as_ref().is_none_or(|condition| condition.truth(&user.scope).unwrap_or(false));
    holds && user.scope.random().unit() < maybe.chance
}
