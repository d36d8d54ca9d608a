//! `websocket`, `socketio`, `tcp`, and the steps within them.

use std::future::Future;
use std::pin::Pin;
use std::time::Instant;

use base64::Engine as _;
use bytes::Bytes;

use crate::base::{Outcome, Protocol};
use crate::expr::json::Tree;
use crate::flow::run::Run;
use crate::flow::session::{
    CloseStep, EmitStep, Hearing, Lasting, ListenStep, Listening, MessageStep, SendStep, Session, SessionStep,
};
use crate::flow::sink::Sink;
use crate::flow::stop::{Broken, Stop};
use crate::flow::types::Think;
use crate::protocol::session::Outgoing;

/// Opens a connection, does the steps on it, and closes it.
pub(in crate::flow) async fn run<S: Sink>(step: &SessionStep, run: &mut Run<'_, S>) -> Result<(), Stop> {
    let due = run.due;
    // In boxes, so that a user who stays holds nothing of how it connected.
    let (ended, session) = Box::pin(Session::open(step, run.user, run.sink, due)).await;
    run.due = ended;
    let session = session.map_err(Stop::from).inspect_err(|stop| run.left_out(stop, &step.flow.steps))?;
    let mut within = Run::new(&mut *run.user, run.sink, ended);
    within.belongs = due;
    within.session = Some(session);
    within.held = run.held;
    within.attempt = run.attempt.take();
    let done = within.flow(&step.flow).await;
    Box::pin(within.part()).await;
    let session = within.session.take();
    run.held = within.held;
    run.attempt = within.attempt.take();
    within.user.scope.set_message(None);
    let broken = session.and_then(|session| session.finish(done.as_ref().err().map_or(Outcome::Ok, Stop::outcome)));
    run.due = Instant::now();
    match (done, broken) {
        (Ok(()), Some(broken)) => Err(Stop::Failed(broken)),
        (done, _) => done,
    }
}

/// A step on the connection. Each kind in a box of its own, so that who only stays holds nothing of what sending takes.
pub(in crate::flow) fn message<'s, S: Sink>(
    step: &'s MessageStep,
    run: &'s mut Run<'_, S>,
) -> Pin<Box<dyn Future<Output = Result<(), Broken>> + 's>> {
    match step {
        MessageStep::Send(step) => Box::pin(send(step, run)),
        MessageStep::Emit(step) => Box::pin(emit(step, run)),
        MessageStep::Receive(awaited) => {
            let due = run.due;
            Box::pin(run.receive(awaited, None, due, None))
        }
        MessageStep::Listen(step) => Box::pin(listen(step, run)),
        MessageStep::Hold(length) => Box::pin(hold(*length, run, None)),
        MessageStep::Close(step) => Box::pin(close(*step, run)),
    }
}

/// Sends a message.
async fn send<S: Sink>(step: &SendStep, run: &mut Run<'_, S>) -> Result<(), Broken> {
    let message = outgoing(step, run)?;
    run.send(message).await.map(drop)
}

fn outgoing<S: Sink>(step: &SendStep, run: &Run<'_, S>) -> Result<Outgoing, Broken> {
    let scope = run.user.scope();
    let text = |template: &crate::expr::Template| {
        let mut text = String::new();
        template.text(scope, &mut text).map(|()| text).map_err(|error| run.unsendable(&error.to_string()))
    };
    Ok(match step {
        SendStep::Text(template) => Outgoing::Text(text(template)?.into()),
        SendStep::Json(json) => {
            let json = json.render(scope).map_err(|error| run.unsendable(&error.to_string()))?;
            if run.session.as_ref().is_some_and(|session| session.step.protocol() == Protocol::Socketio) {
                // What is sent there are values, and a text that holds JSON would be a text.
                let value = Tree::parse(&json).ok_or_else(|| run.unsendable("what was rendered is no JSON"))?.exact();
                return Ok(Outgoing::Event { event: "message".into(), args: vec![value], attachments: Vec::new(), ack: None });
            }
            let json = String::from_utf8(json.into()).map_err(|_| run.unsendable("the JSON is no UTF-8"))?;
            Outgoing::Text(json.into())
        }
        SendStep::Bytes(bytes) => Outgoing::Binary(bytes.clone()),
        SendStep::Base64(template) => {
            let bytes = base64::engine::general_purpose::STANDARD.decode(text(template)?.trim());
            Outgoing::Binary(Bytes::from(bytes.map_err(|_| run.unsendable("`base64` gave what is no Base64"))?))
        }
    })
}

/// Sends an event, and waits for its acknowledgement if one is wanted.
async fn emit<S: Sink>(step: &EmitStep, run: &mut Run<'_, S>) -> Result<(), Broken> {
    let scope = run.user.scope();
    let mut event = String::new();
    step.event.text(scope, &mut event).map_err(|error| run.unsendable(&error.to_string()))?;
    let args = step.args.render(scope).map_err(|error| run.unsendable(&error.to_string()))?;
    let Some(serde_json::Value::Array(args)) = Tree::parse(&args).map(Tree::exact) else {
        return Err(run.unsendable("`args` is no list of JSON"));
    };
    let due = run.due;
    let ack = match (&step.ack, &mut run.session) {
        (Some(_), Some(session)) => Some(session.next_ack()),
        _ => None,
    };
    let sent = run.send(Outgoing::Event { event, args, attachments: Vec::new(), ack }).await;
    match (&step.ack, sent) {
        (Some(awaited), Ok(sent)) => run.receive(awaited, ack, due, Some(sent)).await,
        (_, sent) => sent.map(drop),
    }
}

/// Takes what comes, for a while or until the user is asked to end.
async fn listen<S: Sink>(step: &ListenStep, run: &mut Run<'_, S>) -> Result<(), Broken> {
    let hearing = Hearing::new(&step.on, run.sink, &run.user.parts.sequences, Instant::now());
    let mut listening = Listening { on: &step.on, hearing };
    hold(step.length, run, Some(&mut listening)).await
}

/// Stays, for a while or until the user is asked to end.
async fn hold<'a, S: Sink>(
    length: Option<Think>,
    run: &mut Run<'a, S>,
    listening: Option<&mut Listening<'_, 'a, S>>,
) -> Result<(), Broken> {
    let sink = run.sink;
    match length {
        Some(length) => {
            let length = length.draw(&mut run.user.scope.random());
            run.due += length;
            let at = run.due;
            let done = run.listen_until(|| sink.sleep_until(at), listening, Lasting::Fixed).await;
            run.broken_off(at, done)
        }
        None => {
            let done = run.listen_until(|| sink.asked_to_end(), listening, Lasting::Open).await;
            run.due = Instant::now();
            done
        }
    }
}

/// Ends the connection, or its sending side.
async fn close<S: Sink>(step: CloseStep, run: &mut Run<'_, S>) -> Result<(), Broken> {
    let done = match (step, &mut run.session) {
        (CloseStep::Sending, Some(session)) => session.finish_sending().await,
        _ => {
            run.close().await;
            Ok(())
        }
    };
    run.due = Instant::now();
    done
}
