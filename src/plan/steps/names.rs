//! The variables that a flow sets: they are known everywhere in it.

use super::Builder;
use crate::base::written::{At, Form, Many, Named, Scalar};
use crate::expr::is_reserved;
use crate::profile::written::session::On;
use crate::profile::written::{Doing, OnConnection, Step};
use crate::protocol::http::written::Extraction;

impl Builder<'_, '_> {
    /// Makes known what the steps set, nested ones too. Wanted before [`Builder::flow`].
    pub(super) fn know(&mut self, steps: &Many<At<Step>>) {
        let mut called = self.calling.clone();
        self.look(steps, &mut called);
    }

    /// `called` are the scenarios whose flows were looked at.
    fn look(&mut self, steps: &Many<At<Step>>, called: &mut Vec<usize>) {
        for step in &steps.0 {
            for name in sets(&step.value) {
                if is_reserved(&name.value) {
                    self.resolver.error(name.at, format!("`{}` is a name of the program's own; choose another", name.value));
                }
                if self.resolver.profile.written.data.as_ref().is_some_and(|data| data.get(&name.value).is_some()) {
                    self.resolver.error(name.at, format!("`{}` is the name of data; choose another", name.value));
                }
                self.names.variable(&name.value);
            }
            for nested in nested(&step.value) {
                self.look(nested, called);
            }
            if let Some(call) = &step.value.call {
                let scenarios = &self.resolver.profile.written.scenarios;
                let index = scenarios.iter().position(|(name, _)| name.value == call.source.trim());
                if let Some((index, (_, scenario))) = index.and_then(|index| Some((index, scenarios.0.0.get(index)?)))
                    && !called.contains(&index)
                {
                    called.push(index);
                    self.look(&scenario.flow, called);
                }
            }
        }
    }
}

/// Visits every step of a flow, those of nested flows too.
pub(in crate::plan) fn each<'w>(steps: &'w Many<At<Step>>, visit: &mut impl FnMut(&'w Step)) {
    for step in &steps.0 {
        visit(&step.value);
        nested(&step.value).into_iter().for_each(|steps| each(steps, visit));
    }
}

/// The flows that stand in a step.
pub(in crate::plan) fn nested(step: &Step) -> Vec<&Many<At<Step>>> {
    let of = |doing| match doing {
        Doing::Choose(choose) => choose.value.iter().map(|branch| &branch.flow).collect(),
        Doing::Maybe(maybe) => vec![&maybe.value.flow],
        Doing::Repeat(repeat) => vec![&repeat.value.flow],
        Doing::ForEach(each) => vec![&each.value.flow],
        Doing::Group(group) => vec![&group.value.flow],
        Doing::Eventually(eventually) => vec![&eventually.value.flow],
        Doing::Websocket(step) => vec![&step.value.session],
        Doing::Socketio(step) => vec![&step.value.session],
        Doing::Tcp(step) => vec![&step.value.session],
        Doing::Http(_) | Doing::Think(_) | Doing::Set(_) | Doing::Count(_) | Doing::Record(_) | Doing::Remember(_) => Vec::new(),
        Doing::Call(_) | Doing::OnConnection(_) => Vec::new(),
    };
    step.doings().into_iter().flat_map(of).collect()
}

/// The variables that a step sets by itself.
pub(in crate::plan) fn sets(step: &Step) -> Vec<At<String>> {
    step.doings().into_iter().flat_map(set_by).collect()
}

fn set_by(doing: Doing<'_>) -> Vec<At<String>> {
    match doing {
        Doing::Set(set) => set.value.iter().map(|(name, _)| name.clone()).collect(),
        Doing::Http(http) => extracted(http.value.extract.as_ref()).chain(http.value.digests().map(At::from)).collect(),
        Doing::ForEach(each) => vec![At { value: each.value.variable.value.0.clone(), at: each.value.variable.at }],
        Doing::Websocket(step) => set_on(step.value.on.as_ref()),
        Doing::Socketio(step) => set_on(step.value.on.as_ref()),
        Doing::Tcp(step) => set_on(step.value.on.as_ref()),
        Doing::OnConnection(OnConnection::Listen(listen)) => match &listen.value.0 {
            Some(Form::Long(details)) => set_on(details.on.as_ref()),
            Some(Form::Short(_)) | None => Vec::new(),
        },
        Doing::OnConnection(OnConnection::Receive(receive)) => {
            extracted(receive.value.0.as_ref().and_then(|receive| receive.extract.as_ref())).collect()
        }
        Doing::OnConnection(OnConnection::Emit(emit)) => match &emit.value.ack {
            Some(Form::Long(receive)) => extracted(receive.value.extract.as_ref()).collect(),
            Some(Form::Short(_)) | None => Vec::new(),
        },
        Doing::OnConnection(OnConnection::Send(_) | OnConnection::Hold(_) | OnConnection::Close(_)) => Vec::new(),
        Doing::Think(_) | Doing::Count(_) | Doing::Record(_) | Doing::Remember(_) | Doing::Call(_) => Vec::new(),
        // What their steps set is asked of these.
        Doing::Choose(_) | Doing::Maybe(_) | Doing::Repeat(_) | Doing::Group(_) | Doing::Eventually(_) => Vec::new(),
    }
}

/// What handlers take out of messages.
fn set_on(on: Option<&Many<At<On>>>) -> Vec<At<String>> {
    on.iter().flat_map(|on| &on.0).flat_map(|on| extracted(on.value.extract.as_ref())).collect()
}

fn extracted(entries: Option<&Named<Form<Scalar, Extraction>>>) -> impl Iterator<Item = At<String>> {
    entries.into_iter().flat_map(|entries| entries.iter()).map(|(name, _)| name.clone())
}
