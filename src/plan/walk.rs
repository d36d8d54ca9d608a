//! Goes through flows as they are written: the steps, the flows within them, the variables that they set.

use crate::base::written::{At, Form, Many, Named, Scalar};
use crate::profile::written::session::On;
use crate::profile::written::{Doing, OnConnection, Profile, Step};
use crate::protocol::http::written::Extraction;

/// The flows of a profile, wherever they stand.
pub(super) fn flows(profile: &Profile) -> impl Iterator<Item = &Many<At<Step>>> {
    let blocks = [&profile.setup, &profile.verify, &profile.teardown].into_iter().flatten();
    profile.scenarios.iter().flat_map(|(_, scenario)| scenario.flows()).chain(blocks.map(|block| &block.value.flow))
}

/// Visits every step of a flow, those of nested flows too.
pub(super) fn each<'w>(steps: &'w Many<At<Step>>, visit: &mut impl FnMut(&'w Step)) {
    for step in &steps.0 {
        visit(&step.value);
        nested(&step.value).into_iter().for_each(|steps| each(steps, visit));
    }
}

/// The flows that stand in a step.
pub(super) fn nested(step: &Step) -> Vec<&Many<At<Step>>> {
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
pub(super) fn sets(step: &Step) -> Vec<At<String>> {
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
