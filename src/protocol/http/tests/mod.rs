//! The driver's contract, over real sockets: every way in which a target can behave or misbehave, and what is made of it.

mod answers;
mod connections;
mod failures;
mod frames;
mod http2;
mod http2_answers;
mod http2_hostile;
mod names;
mod pages;
mod proxies;
mod server;
mod tls;
mod tls_servers;
mod uploads;

use std::sync::Arc;
use std::time::Duration;

use http::Method;

use super::{Client, Exchange, Pool, Request, Spec};
use crate::expr::{ScenarioValues, Scope, Template};

/// Far longer than anything here takes.
const PLENTY: Duration = Duration::from_secs(30);

fn scope() -> Scope {
    Scope::new(Arc::new(ScenarioValues::default()), 0)
}

/// GET of `url`, changed.
fn get(url: &str, change: impl FnOnce(&mut Spec)) -> Request {
    let mut spec = Spec::new(Method::GET, Template::literal(url));
    spec.timeout = PLENTY;
    change(&mut spec);
    Request::new(spec).unwrap()
}

async fn perform(client: &mut Client, request: &Request) -> Exchange {
    client.perform(request, request.prepare(&scope()).unwrap(), None).await
}

async fn perform_in(client: &mut Client, request: &Request, pool: &Pool) -> Exchange {
    client.perform(request, request.prepare(&scope()).unwrap(), Some(pool)).await
}
