//! Sessions against real servers that follow a script.

mod ends;
mod losses;
mod messages;
mod reading;

use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::{SinkExt, StreamExt};
use tokio::sync::mpsc;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

use super::*;
use crate::expr::Template;
use crate::protocol::session::Connector;
use crate::protocol::{socketio, websocket};

type Socket = WebSocketStream<tokio::net::TcpStream>;

/// A WebSocket server. Each connection, by its number from 0, goes through the script and says how it ended.
struct Scripted {
    url: String,
    ends: mpsc::UnboundedReceiver<String>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Scripted {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Scripted {
    async fn start<F, R>(script: F) -> Self
    where
        F: Fn(usize, Socket) -> R + Send + Sync + 'static,
        R: Future<Output = Socket> + Send,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("ws://{}/live", listener.local_addr().unwrap());
        let (end, ends) = mpsc::unbounded_channel();
        let (script, count) = (Arc::new(script), AtomicUsize::new(0));
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (script, end, number) = (script.clone(), end.clone(), count.fetch_add(1, Ordering::SeqCst));
                tokio::spawn(async move {
                    let Ok(socket) = tokio_tungstenite::accept_async(stream).await else { return };
                    let mut socket = script(number, socket).await;
                    // What comes after the script, to the end.
                    let mut last = "nothing".to_owned();
                    while let Some(Ok(message)) = socket.next().await {
                        last = if message.is_close() { "a goodbye".into() } else { message.to_string() };
                    }
                    let _ = end.send(last);
                });
            }
        });
        Self { url, ends, task }
    }

    /// How the next connection ended.
    async fn end(&mut self) -> String {
        self.ends.recv().await.unwrap()
    }
}

async fn say(socket: &mut Socket, text: impl Into<String>) {
    socket.send(Message::text(text.into())).await.unwrap();
}

/// An event with its number, published just now.
async fn publish(socket: &mut Socket, number: u32) {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs_f64();
    say(socket, format!(r#"{{"seq": {number}, "at": {now}}}"#)).await;
}

/// Sends everything back.
async fn echo(_: usize, mut socket: Socket) -> Socket {
    while let Some(Ok(message)) = socket.next().await {
        if message.is_close() || socket.send(message).await.is_err() {
            break;
        }
    }
    socket
}

fn session(url: &str, on: Vec<Handler>, steps: Vec<Step>) -> SessionStep {
    let connector = Connector::WebSocket(Box::new(websocket::Connector::new(Template::literal(url))));
    let name = "WS /live".to_owned();
    let (on, flow, closing) = (Handlers::new(on), Flow { steps }, Closing::default());
    SessionStep { id: StepId(9), name, connector, on, flow, reconnect: None, closing }
}

fn connected(session: SessionStep) -> Step {
    step(StepKind::Session(Box::new(session)))
}

fn message(kind: MessageStep) -> Step {
    step(StepKind::Message(Box::new(kind)))
}

impl Maker {
    fn say(&mut self, text: &str) -> Step {
        message(MessageStep::Send(SendStep::Text(self.compiler.template(text, &self.names).unwrap())))
    }

    fn await_message(&mut self, matches: &str, within: Duration) -> Awaited {
        let id = StepId(self.steps_so_far());
        let matches = (!matches.is_empty()).then(|| self.expression(matches));
        Awaited { id, name: "receive".into(), matches, within, extract: Vec::new(), checks: Vec::new() }
    }

    fn receive(&mut self, matches: &str) -> Step {
        message(MessageStep::Receive(self.await_message(matches, Duration::from_secs(30))))
    }

    /// Follows the events that [`publish`] sends.
    fn follows(&mut self) -> Handler {
        Handler {
            matches: Some(self.expression("message.json.seq is defined")),
            message: Some(MessageId(0)),
            latency_from: Some(self.expression("message.json.at")),
            sequence: Some(self.expression("message.json.seq")),
            ..Handler::default()
        }
    }
}

impl Book {
    fn ask_to_end(&self) {
        self.ended.set(true);
        self.ending.notify_one();
    }

    fn numbered(&self) -> Numbered {
        let events = self.events.borrow();
        let all = events.iter().filter_map(|event| if let Event::Numbered(0, numbered) = event { Some(*numbered) } else { None });
        all.fold(Numbered::default(), Numbered::plus)
    }

    /// Messages that hold no JSON, though it was asked for.
    fn unparsed(&self) -> u64 {
        let events = self.events.borrow();
        events.iter().map(|event| if let Event::Passed(passed) = event { passed.unparsed } else { 0 }).sum()
    }

    /// Messages sent and received.
    fn messages(&self) -> (u64, u64) {
        let events = self.events.borrow();
        events.iter().fold((0, 0), |sum, event| match event {
            Event::Passed(passed) => (sum.0 + passed.sent, sum.1 + passed.received),
            _ => sum,
        })
    }

    /// Of each sample its step, outcome and reason.
    fn samples_in_short(&self) -> Vec<(u32, Outcome, Option<Reason>)> {
        self.samples().iter().map(|(step, _, sample)| (*step, sample.outcome, sample.reason)).collect()
    }

    /// Until `received` messages have come.
    async fn heard(&self, received: u64) {
        while self.messages().1 < received {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

fn hold() -> Step {
    message(MessageStep::Hold(None))
}

/// A server of Socket.IO, which consents and then follows the script.
async fn socket_io<F, R>(script: F) -> (Scripted, Connector)
where
    F: Fn(Socket) -> R + Send + Sync + 'static,
    R: Future<Output = Socket> + Send,
{
    let script = Arc::new(script);
    let server = Scripted::start(move |_, mut socket: Socket| {
        let script = script.clone();
        async move {
            say(&mut socket, r#"0{"sid":"a","upgrades":[],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000}"#).await;
            socket.next().await;
            say(&mut socket, r#"40{"sid":"b"}"#).await;
            script(socket).await
        }
    })
    .await;
    let connector = Connector::SocketIo(Box::new(socketio::Connector::new(Template::literal(&server.url))));
    (server, connector)
}
