//! Whose answers' bodies are read: those are kept and bounded. All others are counted and thrown away, however long they are.
//!
//! An expression sees the last answer that the user has had. So flows are followed from their ends to their beginnings, with whether an
//! expression further on reads the body of the answer that is there by then. Where an error may lead, and what another turn may do, counts
//! as read.

use std::collections::HashSet;

use super::calls::Calls;
use super::walk::{flows, nested};
use crate::base::written::{At, Many, Node};
use crate::expr::bodiless;
use crate::profile::Profile;
use crate::profile::written::{Doing, Step};

/// The parts of a request that are looked at once it is answered.
const OF_ITS_ANSWER: [&str; 3] = ["expect", "check", "extract"];

/// The requests, by their nodes, whose answers' bodies an expression reads.
pub(super) fn read(profile: &Profile, calls: &Calls) -> HashSet<Node> {
    if calls.are_too_many() {
        // It is refused, and would take long.
        return HashSet::new();
    }
    let tree = &profile.tree;
    // Teardown goes on after an error in any case.
    let catches = tree.mentions("continue") || profile.written.teardown.is_some();
    let attributes = bodiless();
    let mut bodies = Bodies { profile, calls, attributes, defaults: false, catches, read: HashSet::new(), calling: Vec::new() };
    bodies.defaults = tree.under("defaults").into_iter().any(|node| bodies.names(node, &[]));
    for flow in flows(&profile.written) {
        bodies.flow(flow, false, false);
    }
    bodies.read
}

struct Bodies<'p> {
    profile: &'p Profile,
    calls: &'p Calls,
    /// What is known of an answer without its body.
    attributes: Vec<&'static str>,
    /// What all requests have in common reads a body.
    defaults: bool,
    /// An error may be caught somewhere.
    catches: bool,
    read: HashSet<Node>,
    /// The scenarios whose flows stand around.
    calling: Vec<usize>,
}

impl Bodies<'_> {
    /// Whether something of the node reads the body of an answer; what is `apart` isn't looked at.
    fn names(&self, node: Node, apart: &[Node]) -> bool {
        self.profile.tree.names_beyond(node, apart, "response", &self.attributes)
    }

    /// Whether the body of the answer that is there at the flow's beginning is read in it or behind it. `after`: whether one is read
    /// behind it; `escape`: whether one is read where an error may lead to.
    fn flow(&mut self, flow: &Many<At<Step>>, after: bool, escape: bool) -> bool {
        flow.0.iter().rev().fold(after, |after, step| self.step(step, after, escape))
    }

    fn step(&mut self, step: &At<Step>, after: bool, escape: bool) -> bool {
        if let Some(http) = &step.value.http {
            let own: Vec<Node> = OF_ITS_ANSWER.iter().filter_map(|key| self.profile.tree.get(http.at, key)).collect();
            if after || escape || self.defaults || own.iter().any(|node| self.names(*node, &[])) {
                self.read.insert(http.at);
            }
            // Left out, it leaves the answer before it.
            return self.defaults || self.names(step.at, &own) || (step.value.condition.is_some() && after);
        }
        let mut flows = nested(&step.value);
        let called = self.called(&step.value);
        flows.extend(called.and_then(|called| self.profile.written.scenarios.iter().nth(called)).map(|(_, called)| &called.flow));
        self.calling.extend(called);
        let apart: Vec<Node> = flows.iter().flat_map(|flow| &flow.0).map(|step| step.at).collect();
        let reads = self.names(step.at, &apart) || (self.defaults && !flows.is_empty());
        let doings = step.value.doings();
        // Handlers of a session come to it at any time.
        let session = doings.iter().any(|doing| matches!(doing, Doing::Websocket(_) | Doing::Socketio(_) | Doing::Tcp(_)));
        let always = session || doings.iter().any(|doing| matches!(doing, Doing::Group(_) | Doing::Call(_) | Doing::Choose(_)));
        // What surely has another answer by its end leaves none of those before it.
        let passes = !always || self.catches || flows.is_empty() || step.value.condition.is_some();
        let before = reads || (passes && after);
        let after = after || reads;
        let escape = escape || (self.catches && after) || (session && reads);
        let once = flows.iter().fold(before, |read, flow| self.flow(flow, after, escape) || read);
        let turns = doings.iter().any(|doing| matches!(doing, Doing::Repeat(_) | Doing::ForEach(_) | Doing::Eventually(_)));
        if turns && once && !after {
            // In the next turn it is read by what comes first in it.
            flows.iter().for_each(|flow| {
                self.flow(flow, true, escape);
            });
        }
        self.calling.truncate(self.calling.len() - usize::from(called.is_some()));
        once
    }

    /// The scenario that a step calls, unless it stands in it.
    fn called(&self, step: &Step) -> Option<usize> {
        self.calls.by(step).filter(|index| !self.calling.contains(index))
    }
}
