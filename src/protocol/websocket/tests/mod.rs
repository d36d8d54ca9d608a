//! The driver against servers that write handshakes and frames by hand: every way in which a server can behave or misbehave, and
//! what is made of it. The cases of frames are those of the Autobahn test suite that matter to a client.

mod frames;
mod handshakes;
mod memory;
mod peer;
mod traffic;

use std::sync::Arc;
use std::time::Duration;

use super::{Connector, Framing};
use crate::expr::{ScenarioValues, Scope, Template};
use crate::protocol::http::Cookies;
use crate::protocol::session::{self, Attempt, Connection, Lost, Outgoing};

/// Far longer than anything here takes.
const PLENTY: Duration = Duration::from_secs(30);
/// Shorter than anybody would wait for a peer that says nothing.
const SHORT: Duration = Duration::from_millis(100);

async fn open_as(url: &str, cookies: Option<&mut Cookies>, change: impl FnOnce(&mut Connector)) -> Attempt {
    let mut connector = Connector::new(Template::literal(url));
    connector.timeout = PLENTY;
    change(&mut connector);
    connector.check().unwrap();
    let connector = session::Connector::WebSocket(Box::new(connector));
    let scope = Scope::new(Arc::new(ScenarioValues::default()), 0);
    session::open(connector.prepare(&scope).unwrap(), cookies).await
}

async fn open(url: &str) -> Connection {
    open_as(url, None, |_| {}).await.result.unwrap()
}

/// Reads until the connection is lost.
async fn lost(connection: &mut Connection) -> Lost {
    loop {
        if let Err(lost) = connection.next().await {
            return lost;
        }
    }
}

fn text(text: &str) -> Outgoing {
    Outgoing::Text(text.into())
}
