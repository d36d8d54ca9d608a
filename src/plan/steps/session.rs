//! `websocket`, `socketio`, `tcp`, and the steps on their connections.

use std::time::Duration;

use base64::Engine as _;
use bytes::Bytes;

use super::pause::{drawn, span, spread};
use super::{Builder, Place};
use crate::base::Protocol;
use crate::base::written::{Anything, At, Form, Many, Node};
use crate::expr::{JsonTemplate, Template};
use crate::flow::{
    Awaited, CloseStep, EmitStep, Handler, Handlers, ListenStep, MessageStep, Reconnect, SendStep, SessionStep, StepKind, Think,
};
use crate::measure::{MessageId, MessageLayout, StepId};
use crate::plan::connect::{self, Connecting};
use crate::profile::written::session::{self as written, Body, Common};
use crate::profile::written::{Defaults, OnConnection};
use crate::protocol::http::written::Extraction;

/// How long a session without an end is thought to last, for those who need to know how many users a rate takes.
const LASTING: Duration = Duration::from_secs(3600);

/// The session that steps stand in.
#[derive(Debug, Clone, Copy)]
pub(super) struct Within {
    pub protocol: Protocol,
    /// The step that opens it.
    pub id: StepId,
    /// How long a message is awaited that says nothing else.
    pub timeout: Duration,
}

impl<'a, 'p: 'a> Builder<'a, 'p> {
    pub(super) fn websocket(&mut self, step: &'a At<written::WebSocketStep>) -> Option<StepKind> {
        let above: Vec<_> = self.layers().filter_map(|defaults| defaults.websocket.as_ref()).collect();
        let connecting = connect::websocket(self.resolver, step, &above, &self.names);
        let common = std::iter::once(step.value.common()).chain(above.iter().map(|defaults| defaults.common())).collect();
        self.session(step.at, connecting, Protocol::Websocket, step.value.body(), common)
    }

    pub(super) fn socketio(&mut self, step: &'a At<written::SocketIoStep>) -> Option<StepKind> {
        let above: Vec<_> = self.layers().filter_map(|defaults| defaults.socketio.as_ref()).collect();
        let connecting = connect::socketio(self.resolver, step, &above, &self.names);
        let common = std::iter::once(step.value.common()).chain(above.iter().map(|defaults| defaults.common())).collect();
        self.session(step.at, connecting, Protocol::Socketio, step.value.body(), common)
    }

    pub(super) fn tcp(&mut self, step: &'a At<written::TcpStep>) -> Option<StepKind> {
        let above: Vec<_> = self.layers().filter_map(|defaults| defaults.tcp.as_ref()).collect();
        let connecting = connect::tcp(self.resolver, step, &above, &self.names);
        let common = std::iter::once(step.value.common()).chain(above.iter().map(|defaults| defaults.common())).collect();
        self.session(step.at, connecting, Protocol::Tcp, step.value.body(), common)
    }

    fn layers(&self) -> impl Iterator<Item = &'a Defaults> + use<'a, 'p> {
        self.layers.into_iter().flatten()
    }

    fn session(
        &mut self,
        at: Node,
        connecting: Option<Connecting>,
        protocol: Protocol,
        body: Body<'a>,
        common: Vec<Common<'_>>,
    ) -> Option<StepKind> {
        if self.in_session.is_some() {
            self.resolver.error(at, "a session can't stand in another; give each a scenario of its own");
            return None;
        }
        let name = match body.name {
            Some(name) => self.label(name, "step"),
            None => connecting.as_ref().map_or_else(String::new, |made| made.default_name.clone()),
        };
        let id = self.step_id(name.clone(), protocol);
        self.layout.steps[id.index()].session.get_or_insert_default();
        let timeout = connecting.as_ref().map_or(Duration::ZERO, |made| made.timeout);
        self.limited(id, timeout);
        let names = self.names.clone().with_message();
        let around = std::mem::replace(&mut self.names, names);
        self.in_session = Some(Within { protocol, id, timeout });
        let before = self.amounts.len();
        let on = self.handlers(body.on);
        let of_messages = before..self.amounts.len();
        let flow = self.flow(body.session);
        self.amounts[of_messages].iter_mut().for_each(|(_, last)| *last = self.steps);
        self.in_session = None;
        self.names = around;
        let reconnect = common.iter().find_map(|layer| layer.reconnect).map(|reconnect| Reconnect {
            after: drawn(&reconnect.after).0,
            times: reconnect.times.map_or(3, |times| times.value),
        });
        let closing = connect::closing(self.resolver, protocol, &common);
        let connector = connecting?.connector;
        Some(StepKind::Session(Box::new(SessionStep { id, name, connector, on: on?, flow, reconnect, closing })))
    }

    fn handlers(&mut self, on: Option<&Many<At<written::On>>>) -> Option<Handlers> {
        let made: Vec<Option<Handler>> = on.iter().flat_map(|on| &on.0).map(|on| self.handler(on)).collect();
        made.into_iter().collect::<Option<Vec<_>>>().map(Handlers::new)
    }

    fn handler(&mut self, on: &At<written::On>) -> Option<Handler> {
        let (at, on) = (on.at, &on.value);
        let within = self.in_session?;
        if let (Some(sender), None) = (&on.sender, &on.sequence) {
            self.resolver.lacking(sender.at, "`sender` goes with `sequence`: it says whose numbers are meant");
        }
        if let Some(every) = on.every.filter(|every| every.value.is_zero()) {
            self.resolver.error(every.at, "no message comes every 0s; write how often the publisher sends, like 500ms");
        }
        let kind = on.latency_from.is_some() || on.sequence.is_some() || on.every.is_some() || on.name.is_some();
        let does = kind || on.count.is_some() || on.record.is_some() || on.extract.is_some() || on.ack.is_some();
        if !does {
            self.resolver.lacking(
                at,
                "this does nothing with the messages; write name, latency_from, sequence, every, count, record, extract or ack",
            );
        }
        let message = kind.then(|| self.message_id(within.id, on));
        let matches = self.optional(on.matches.as_ref());
        let latency_from = self.optional(on.latency_from.as_ref());
        let sequence = self.optional(on.sequence.as_ref());
        let sender = self.optional(on.sender.as_ref());
        let count = self.amounts(on.count.iter().flat_map(|count| count.iter()), true);
        let record = self.amounts(on.record.iter().flat_map(|record| record.iter()), false);
        let extract = self.extracts(on.extract.as_ref(), headerless);
        let ack = self.reply(on.ack.as_ref(), within);
        Some(Handler {
            matches: matches?,
            message,
            latency_from: latency_from?,
            sequence: sequence?,
            sender: sender?,
            every: on.every.map(|every| every.value),
            count: count?,
            record: record?,
            extract: extract?,
            ack: ack?,
        })
    }

    /// What an event of the server's is answered with: a list of arguments.
    fn reply(&mut self, ack: Option<&Form<At<bool>, At<written::Reply>>>, within: Within) -> Option<Option<JsonTemplate>> {
        let (at, json) = match ack {
            None => return Some(None),
            Some(Form::Short(wanted)) if !wanted.value => return Some(None),
            Some(Form::Short(wanted)) => (wanted.at, None),
            Some(Form::Long(reply)) => (reply.at, reply.value.json),
        };
        if within.protocol != Protocol::Socketio {
            self.resolver.error(at, format!("acknowledgements are Socket.IO's; over {} leave `ack` out", within.protocol));
            return None;
        }
        let args = match json {
            None => Vec::new(),
            Some(json) => {
                // By itself first, since only so the place of a mistake is known.
                connect::json(self.resolver, json, &self.names)?;
                vec![self.resolver.profile.tree.json(json.0, true)]
            }
        };
        self.json_list(at, serde_json::Value::Array(args)).map(Some)
    }

    /// The kind of message with this name; those of the same step and name are one.
    fn message_id(&mut self, step: StepId, on: &written::On) -> MessageId {
        let name = match &on.name {
            None => "message".to_owned(),
            Some(name) => self.label(name, "message"),
        };
        let same = |message: &MessageLayout| message.step == step && message.name == name;
        let index = self.layout.messages.iter().position(same).unwrap_or_else(|| {
            let made = MessageLayout { step, name: name.clone(), ..MessageLayout::default() };
            self.layout.messages.push(made);
            self.layout.messages.len() - 1
        });
        let message = &mut self.layout.messages[index];
        message.latency |= on.latency_from.is_some();
        message.numbered |= on.sequence.is_some();
        message.by_sender |= on.sender.is_some();
        message.every |= on.every.is_some();
        MessageId::at(index)
    }

    /// A step on a session's connection.
    pub(super) fn message(&mut self, doing: OnConnection<'_>) -> Option<StepKind> {
        let Some(within) = self.in_session else {
            let key = doing.key();
            self.resolver.error(
                doing.at(),
                format!("`{key}` stands in the session of a websocket, socketio or tcp step: websocket: {{connect: /ws, session: [{{{key}: …}}]}}"),
            );
            return None;
        };
        let made = match doing {
            OnConnection::Send(send) => self.send(send).map(MessageStep::Send),
            OnConnection::Emit(emit) => self.emit(emit, within).map(MessageStep::Emit),
            OnConnection::Receive(receive) => {
                let nothing = written::Receive::default();
                let receive = receive.value.0.as_ref().unwrap_or(&nothing);
                self.awaited(receive, within, "receive".to_owned()).map(MessageStep::Receive)
            }
            OnConnection::Listen(listen) => self.listen(listen).map(MessageStep::Listen),
            OnConnection::Hold(hold) => self.hold(hold).map(MessageStep::Hold),
            OnConnection::Close(close) => self.close(close, within).map(MessageStep::Close),
        };
        made.map(|step| StepKind::Message(Box::new(step)))
    }

    fn send(&mut self, send: &At<written::Send>) -> Option<SendStep> {
        let payload = match &send.value {
            Form::Short(text) => return self.resolver.template(text, &self.names).map(SendStep::Text),
            Form::Long(payload) => payload,
        };
        match (payload.json, &payload.base64) {
            (Some(json), None) => connect::json(self.resolver, json, &self.names).map(SendStep::Json),
            (None, Some(text)) => match self.resolver.template(text, &self.names)? {
                Template::Static(constant) => {
                    match base64::engine::general_purpose::STANDARD.decode(constant.trim().as_bytes()) {
                        Ok(bytes) => Some(SendStep::Bytes(Bytes::from(bytes))),
                        Err(error) => {
                            self.resolver.error(text.at, format!("this is no Base64 ({error})"));
                            None
                        }
                    }
                }
                template => Some(SendStep::Base64(template)),
            },
            _ => {
                self.resolver.error(send.at, "a message is one thing: a text, {json: …} or {base64: …}");
                None
            }
        }
    }

    fn emit(&mut self, emit: &At<written::Emit>, within: Within) -> Option<EmitStep> {
        if within.protocol != Protocol::Socketio {
            let message = format!("events are Socket.IO's; over {} write send: …", within.protocol);
            self.resolver.error(emit.at, message);
            return None;
        }
        let (at, emit) = (emit.at, &emit.value);
        let event = self.resolver.template(&emit.event, &self.names);
        let args = self.args(at, emit.args);
        let default = format!("emit {}", self.resolver.profile.tree.as_written(emit.event.at));
        let ack = match &emit.ack {
            None => Some(None),
            Some(Form::Short(wanted)) if !wanted.value => Some(None),
            Some(Form::Short(_)) => self.awaited(&written::Receive::default(), within, default).map(Some),
            Some(Form::Long(receive)) => {
                if let Some(matches) = &receive.value.matches {
                    self.resolver.error(matches.at, "an acknowledgement is that of its event; leave `match` out");
                }
                self.awaited(&receive.value, within, default).map(Some)
            }
        };
        Some(EmitStep { event: event?, args: args?, ack: ack? })
    }

    /// The arguments of an event: a list, whatever was written.
    fn args(&mut self, at: Node, args: Option<Anything>) -> Option<JsonTemplate> {
        let Some(args) = args else { return self.json_list(at, serde_json::Value::Array(Vec::new())) };
        // Each text by itself first, since only so the place of a mistake is known.
        connect::json(self.resolver, args, &self.names)?;
        match self.resolver.profile.tree.json(args.0, true) {
            list @ serde_json::Value::Array(_) => self.json_list(args.0, list),
            one => self.json_list(args.0, serde_json::Value::Array(vec![one])),
        }
    }

    fn json_list(&mut self, at: Node, list: serde_json::Value) -> Option<JsonTemplate> {
        self.resolver.compiler.json(&list, &self.names).map_err(|error| self.resolver.error(at, error.message)).ok()
    }

    fn awaited(&mut self, receive: &written::Receive, within: Within, default: String) -> Option<Awaited> {
        let name = receive.name.as_ref().map_or(default, |name| self.label(name, "step"));
        let id = self.step_id(name.clone(), within.protocol);
        if let Some(length) = receive.within.filter(|length| length.value.is_zero()) {
            self.resolver.error(length.at, "within 0s nothing can come; write a longer time");
        }
        let time = receive.within.map_or(within.timeout, |length| length.value);
        self.limited(id, time);
        let matches = self.optional(receive.matches.as_ref());
        let extract = self.extracts(receive.extract.as_ref(), headerless);
        let checks = self.checks(receive.check.as_ref(), Some(id));
        Some(Awaited { id, name, matches: matches?, within: time, extract: extract?, checks: checks? })
    }

    fn listen(&mut self, listen: &At<written::Listening>) -> Option<ListenStep> {
        let nothing = None;
        let (length, on) = match &listen.value.0 {
            None => (None, &nothing),
            Some(Form::Short(written)) => (Some(span(written)), &nothing),
            Some(Form::Long(details)) => (details.lasting.as_ref().map(drawn), &details.on),
        };
        let length = self.lasting(listen.at, length)?;
        let on = self.handlers(on.as_ref())?;
        Some(ListenStep { length, on })
    }

    fn hold(&mut self, hold: &At<written::Holding>) -> Option<Option<Think>> {
        let length = match &hold.value.0 {
            None => None,
            Some(Form::Short(written)) => Some(span(written)),
            Some(Form::Long(details)) => match (&details.lasting, &details.mean) {
                (Some(_), Some(mean)) => {
                    self.resolver.error(mean.at, "how long is said twice; leave `for` or `mean` out");
                    return None;
                }
                (Some(lasting), None) => Some(drawn(lasting)),
                (None, Some(mean)) => Some(spread(mean.value, details.distribution.map(|distribution| distribution.value))),
                (None, None) => None,
            },
        };
        self.lasting(hold.at, length)
    }

    /// Takes a length into the pace; one without an end only where somebody asks users to end.
    fn lasting(&mut self, at: Node, length: Option<(Think, Duration, Duration)>) -> Option<Option<Think>> {
        match length {
            Some((think, mean, longest)) => {
                self.pace.pause(mean, longest);
                Some(Some(think))
            }
            None if self.place != Place::Scenario => {
                self.resolver.error(at, "nobody would end this; write for how long, like 10s");
                None
            }
            None => {
                self.pace.pause(Duration::ZERO, LASTING);
                Some(None)
            }
        }
    }

    fn close(&mut self, close: &At<written::Closing>, within: Within) -> Option<CloseStep> {
        let sending = matches!(&close.value.0, Some(Form::Short(side)) if side.value == written::Side::Sending);
        if sending && within.protocol != Protocol::Tcp {
            let message = format!("{} has no end for each side; write close: without a value", within.protocol);
            self.resolver.error(close.at, message);
            return None;
        }
        Some(if sending { CloseStep::Sending } else { CloseStep::Both })
    }
}

/// Refuses to take from a message what only answers of HTTP have.
fn headerless(_: &At<String>, extraction: &Extraction) -> Option<(Node, &'static str)> {
    extraction.header.as_ref().map(|header| (header.at, "a message has no headers; take it by `json` or `regex`"))
}
