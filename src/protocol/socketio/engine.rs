//! The handshakes: Engine.IO's by WebSocket or by polling, then CONNECT to the namespace.

use http::uri::PathAndQuery;
use serde::Deserialize;

use super::connection::{Connection, Heartbeat};
use super::packet::{self, Packet};
use super::polling::Poller;
use super::{DEFAULT_PATH, PreparedConnect, Transport};
use crate::base::Reason;
use crate::protocol::http::Cookies;
use crate::protocol::message::{IncomingKind, Lost, Outgoing};
use crate::protocol::opening::{Attempt, OpenError, Opening};
use crate::protocol::site::Visit;
use crate::protocol::websocket;

/// The open packet.
#[derive(Debug, Deserialize)]
struct Open {
    sid: String,
    #[serde(default)]
    upgrades: Vec<String>,
    #[serde(flatten)]
    heartbeat: Heartbeat,
}

/// What is said of a server that the official clients of versions 3 and 4 refuse, too: its answer to CONNECT has no id, or its packets have
/// their length before them.
const VERSION_2: &str = "the server speaks Socket.IO 2, and only versions 3 and 4 are supported; upgrade the server";

/// Dials, shakes hands and connects to the namespace.
pub(super) async fn open(prepared: PreparedConnect, cookies: Option<&mut Cookies>) -> Attempt<Box<Connection>> {
    let limit = prepared.timeout;
    let mut opening = Opening::new();
    let result = tokio::time::timeout(limit, connect(prepared, cookies, &mut opening)).await;
    let result = result.unwrap_or_else(|_| Err(opening.timed_out(limit)));
    opening.finish(result.map(Box::new))
}

async fn connect(
    prepared: PreparedConnect,
    mut cookies: Option<&mut Cookies>,
    opening: &mut Opening,
) -> Result<Connection, OpenError> {
    let namespace = match prepared.namespace.as_str() {
        "" => "/".to_owned(),
        name if name.starts_with('/') => name.to_owned(),
        name => format!("/{name}"),
    };
    let hello = packet::connect(&namespace, prepared.auth.as_deref());
    // Packets carry the namespace's name only; what is behind it goes with CONNECT.
    let name = namespace.split('?').next().unwrap_or("/").to_owned();
    let connection = match prepared.transport {
        Transport::WebSocket => {
            let mut carrier = websocket::connect(prepared.by_websocket(None)?, cookies, opening).await?;
            opening.wait_for("waiting for the server's open packet (handshake)");
            let open = read_open(&text(&mut carrier).await?)?;
            let mut connection = Connection::new(carrier, open.heartbeat, name, prepared.timeout, prepared.max_message);
            connection.say(&hello).await.map_err(lost)?;
            connection
        }
        Transport::Polling => {
            let visit = prepared.visit_to("polling", None)?;
            let mut poller = Poller::dial(visit, cookies.as_deref_mut(), prepared.max_message, opening).await?;
            let open = read_open(&poller.get(opening).await?)?;
            if !open.upgrades.iter().any(|name| name == "websocket") {
                return Err(broken(
                    "the server offers no upgrade from polling to WebSocket, without which there is no session here",
                ));
            }
            poller.visit(prepared.visit_to("polling", Some(&open.sid))?);
            poller.post(&format!("4{hello}"), opening).await?;
            drop(poller);
            let mut carrier = websocket::connect(prepared.by_websocket(Some(&open.sid))?, cookies, opening).await?;
            opening.wait_for("waiting for the answer to the upgrade's probe (handshake)");
            carrier.send(Outgoing::Text("2probe".into())).await.map_err(lost)?;
            if text(&mut carrier).await? != "3probe" {
                return Err(broken("the server did not answer the upgrade's probe"));
            }
            carrier.send(Outgoing::Text("5".into())).await.map_err(lost)?;
            // What the server had to say meanwhile, the answer to CONNECT above all, it says once it has upgraded.
            Connection::new(carrier, open.heartbeat, name, prepared.timeout, prepared.max_message)
        }
    };
    consent(connection, opening).await
}

/// Waits for the answer to CONNECT.
async fn consent(mut connection: Connection, opening: &mut Opening) -> Result<Connection, OpenError> {
    opening.wait_for("waiting for CONNECT to be answered (handshake)");
    match connection.packet().await.map_err(lost)?.packet {
        Packet::Connected { sid: true } => {
            opening.shaken();
            Ok(connection)
        }
        Packet::Connected { sid: false } => Err(broken(VERSION_2)),
        // As a handshake that is answered with 401: the server is there, and says no.
        Packet::Refused(reason) => {
            Err(OpenError::new(Reason::Status, format!("the server refused the namespace (CONNECT_ERROR): {reason:?}")))
        }
        Packet::Disconnected => Err(OpenError::new(Reason::Closed, "the server disconnected instead of answering CONNECT")),
        // Nothing of the namespace comes before its consent.
        Packet::Event { .. } | Packet::Ack { .. } => Err(broken("the server sent an event before it answered CONNECT")),
    }
}

fn read_open(text: &str) -> Result<Open, OpenError> {
    let Some(json) = text.strip_prefix('0') else {
        // Version 2 writes a packet's length before it: `96:0{"sid":…`.
        let of_version_2 = text.split_once(':').is_some_and(|(length, packet)| {
            !length.is_empty() && length.bytes().all(|byte| byte.is_ascii_digit()) && packet.starts_with("0{")
        });
        return Err(broken(if of_version_2 { VERSION_2 } else { "the server did not begin with Engine.IO's open packet" }));
    };
    serde_json::from_str(json).map_err(|error| broken(&format!("Engine.IO's open packet cannot be read: {error}")))
}

async fn text(carrier: &mut websocket::Connection) -> Result<String, OpenError> {
    match carrier.next().await.map_err(lost)?.kind {
        IncomingKind::Text(text) => Ok(text.to_string()),
        _ => Err(broken("the server sent bytes where a packet of Engine.IO was due")),
    }
}

fn lost(lost: Lost) -> OpenError {
    OpenError::new(lost.reason, format!("in the handshake: {}", lost.detail))
}

fn broken(detail: &str) -> OpenError {
    OpenError::new(Reason::Protocol, detail)
}

impl PreparedConnect {
    /// The site, at the endpoint's path, with the query of this transport.
    fn visit_to(&self, transport: &str, sid: Option<&str>) -> Result<Visit, OpenError> {
        let mut visit = self.visit.clone();
        let written = visit.address.path.clone();
        // A path in the URL is the endpoint's, unless another is given.
        let mut path =
            if self.path == DEFAULT_PATH && written.path() != "/" { written.path() } else { self.path.as_str() }.to_owned();
        if !path.starts_with('/') {
            path.insert(0, '/');
        }
        if !path.ends_with('/') {
            path.push('/');
        }
        path.push_str("?EIO=4&transport=");
        path.push_str(transport);
        for part in [sid.map(|sid| format!("sid={sid}")), written.query().map(str::to_owned)].into_iter().flatten() {
            path.push('&');
            path.push_str(&part);
        }
        visit.address.path = PathAndQuery::try_from(path)
            .map_err(|error| OpenError::new(Reason::Other, format!("the path of the endpoint cannot stand in a URL: {error}")))?;
        Ok(visit)
    }

    fn by_websocket(&self, sid: Option<&str>) -> Result<websocket::PreparedConnect, OpenError> {
        Ok(websocket::PreparedConnect {
            visit: self.visit_to("websocket", sid)?,
            subprotocols: Vec::new(),
            framing: websocket::Framing::Message,
            timeout: self.timeout,
            max_message: self.max_message,
        })
    }
}
