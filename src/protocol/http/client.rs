//! A virtual user's side of HTTP: its cookies, its connections, its timer; and the way of one request.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;
use std::time::Instant;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_LENGTH, Entry, HOST, PROXY_AUTHORIZATION};
use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri};
use hyper::body::Body as _;

use super::address::{Address, AddressError};
use super::alarm::Alarm;
use super::body::Payload;
use super::connection::{Connection, Outgoing};
use super::cookies::Jar;
use super::decode::Wanted;
use super::exchange::Exchange;
use super::failure::Failure;
use super::http2::H2Connection;
use super::pool::Pool;
use super::prepared::PreparedRequest;
use super::progress::{Progress, Unreported};
use super::received::BEGINNING;
use super::request::{Request, allowed};
use super::source::{CheckedOut, ConnectionSource};
use super::spec::{Connections, Spec};
use super::transfer::exchange;
use super::{decode, redirect};
use crate::base::Reason;
use crate::net::Proxy;
use crate::protocol::Knock;

/// What a virtual user has of HTTP.
#[derive(Debug, Default)]
pub struct Client {
    jar: Jar,
    /// The one used last at the end.
    #[allow(clippy::vec_box, reason = "a connection is 784 bytes and changes hands twice a request")]
    connections: Vec<Box<Connection>>,
    /// Those that take many requests at once; they are never taken out.
    lines: Vec<H2Connection>,
    /// Connections that were dropped with a request, and not reported yet.
    lost: usize,
    /// What the requests that were dropped could not report any more.
    unreported: Unreported,
    knock: Knock,
    alarm: Alarm,
}

impl Client {
    /// A user who has not been anywhere yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// How many connections of its own are open and idle.
    pub fn connections(&self) -> usize {
        self.connections.len() + self.lines.len()
    }

    /// The values of its cookies.
    pub fn cookies(&self) -> impl Iterator<Item = &str> {
        self.jar.values()
    }

    /// Its cookies, for a session's handshake.
    pub fn jar(&mut self) -> &mut Jar {
        &mut self.jar
    }

    /// The connection that it is opening.
    pub fn knock(&self) -> &Knock {
        &self.knock
    }

    /// Forgets the cookies and closes the connections, for the end of the user. Returns what was not reported yet, these closed
    /// connections among it.
    pub fn close(&mut self) -> Unreported {
        self.jar = Jar::default();
        let lines = self.lines.drain(..).filter(H2Connection::claim_end).count();
        let closed = self.connections.len() + lines;
        self.connections.clear();
        let mut unreported = self.unreported();
        unreported.closed(closed);
        unreported
    }

    /// What a request that was dropped could not report of connections. To be asked for at once, since what was still being opened lasts
    /// until then.
    pub fn unreported(&mut self) -> Unreported {
        self.unreported.dropped(&self.knock);
        self.unreported.closed(std::mem::take(&mut self.lost));
        std::mem::take(&mut self.unreported)
    }

    /// Sends the request, follows its redirects, and reads the answer.
    ///
    /// May be dropped at any time: the connection in use is then closed, and [`Client::unreported`] or [`Pool::close`] reports it.
    pub async fn perform(&mut self, request: &Request, prepared: PreparedRequest<'_>, pool: Option<&Pool>) -> Exchange {
        let spec = &request.spec;
        let deadline = Instant::now() + spec.timeout;
        let Self { jar, connections, lines, lost, unreported, knock, alarm } = self;
        let mut progress = Progress::new(unreported, knock);
        progress.closed(std::mem::take(lost));
        // Held here, once: each future that took it would hold it again.
        let mut due = Due {
            method: spec.method.clone(),
            address: prepared.address.into_owned(),
            headers: prepared.headers.into_owned(),
            body: prepared.body,
        };
        let result = {
            let mut work = pin!(async {
                let mut home = match (spec.connections, pool) {
                    (Connections::Fresh, _) => ConnectionSource::Fresh(CheckedOut { open: false, lost }),
                    (Connections::Shared(_), Some(pool)) => {
                        let many = due.address.origin.may_be_http2();
                        let mut lease = if many { pool.visit() } else { pool.lease().await };
                        progress.closed(lease.take_lost());
                        ConnectionSource::Pool(lease)
                    }
                    _ => ConnectionSource::User { connections, lines, out: CheckedOut { open: false, lost } },
                };
                follow(&mut home, jar, spec, &mut due, &mut progress).await
            });
            poll_fn(|cx| match work.as_mut().poll(cx) {
                Poll::Ready(result) => Poll::Ready(Some(result)),
                Poll::Pending => alarm.poll(cx, deadline).map(|()| None),
            })
            .await
        };
        if result.is_none() && (progress.meter.is_some() || matches!(progress.line, Some((_, true)))) {
            // A time limit drops the connection too, but this exchange reports it.
            match pool {
                Some(pool) if matches!(spec.connections, Connections::Shared(_)) => pool.forget_lost(),
                _ => *lost = 0,
            }
        }
        progress.finish(result, spec.timeout)
    }
}

/// The request that is to be sent next.
struct Due {
    method: Method,
    address: Address,
    headers: HeaderMap,
    body: Payload,
}

/// The request and the redirects that follow it.
async fn follow(
    home: &mut ConnectionSource<'_>,
    jar: &mut Jar,
    spec: &Spec,
    due: &mut Due,
    progress: &mut Progress<'_>,
) -> Result<Bytes, Failure> {
    let mut redirects = 0;
    progress.follows = spec.redirects > 0;
    loop {
        // What a redirect may need again; without redirects the headers are moved.
        let again = (spec.redirects > 0).then(|| (due.headers.clone(), due.body.clone()));
        if spec.cookies {
            jar.add(&mut due.headers, &due.address);
        }
        progress.upload = due.body.tally();
        // Boxed: it is rare that a profile writes it.
        let written = |host: &&HeaderValue| spec.cookies && **host != due.address.origin.host;
        let host = due.headers.get(HOST).filter(written).cloned().map(Box::new);
        let outgoing = outgoing(due);
        progress.sends();
        let answer = exchange(home, spec, &due.address, outgoing, progress).await?;
        if spec.cookies {
            jar.store(&progress.headers, &due.address, host.as_deref());
        }
        let status = StatusCode::from_u16(progress.status).unwrap_or_default();
        let target = match again {
            None => None,
            Some(again) => redirect::target(status, &progress.headers, &due.address, &spec.way).map(|to| (to, again)),
        };
        let Some((to, (headers, body))) = target else {
            let unpack = spec.compression && !spec.discard_body && !progress.cut;
            let read = spec.reads_body || spec.sha256;
            let wanted = if read { Wanted::All(spec.max_body) } else { Wanted::Beginning(BEGINNING, spec.max_body) };
            return if unpack { decode::decode(&progress.headers, answer, wanted, spec.step_reads) } else { Ok(answer) };
        };
        let to = to
            .and_then(|to| allowed(spec, &to).map(|()| to))
            .map_err(|error| Failure::new(Reason::Protocol, led_astray(&error)))?;
        if redirects == spec.redirects {
            return Err(Failure::new(Reason::Protocol, format!("more than {redirects} redirects (`redirects: {redirects}`)")));
        }
        redirects += 1;
        let next = redirect::method(status, &due.method);
        let without_body = next != due.method;
        (due.headers, due.body) = (headers, if without_body { Payload::empty() } else { body });
        redirect::strip(&mut due.headers, &due.address, &to, without_body);
        (due.method, due.address) = (next, to);
    }
}

/// A sentence about a redirect that can't be followed.
fn led_astray(error: &AddressError) -> String {
    match error {
        AddressError::Host(refused) => {
            format!("the answer redirects to `{}`, which is not among `limits: {{hosts: …}}`", refused.0)
        }
        error => format!("the answer redirects to an address that {error}"),
    }
}

/// Takes headers and body out of what is due.
fn outgoing(due: &mut Due) -> Outgoing {
    let mut headers = std::mem::take(&mut due.headers);
    if let Some(value) = headers.get_mut(AUTHORIZATION) {
        value.set_sensitive(true);
    }
    let body = std::mem::replace(&mut due.body, Payload::empty());
    // Servers may refuse a request whose method wants a body and that doesn't say that it has none (RFC 9110, 8.6).
    if body.is_end_stream() && matches!(due.method, Method::POST | Method::PUT | Method::PATCH) {
        headers.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
    }
    let mut outgoing = http::Request::new(body);
    *outgoing.method_mut() = due.method.clone();
    *outgoing.uri_mut() = Uri::from(due.address.path.clone());
    *outgoing.headers_mut() = headers;
    if due.address.origin.forwards() {
        forwarded(&mut outgoing, &due.address);
    }
    outgoing
}

/// Makes it a request to the proxy, which forwards it: the URL in absolute form (RFC 9112, 3.2.2), and the proxy's credentials.
fn forwarded(outgoing: &mut Outgoing, address: &Address) {
    // The address is a URL's, so it can be written as one again.
    if let Ok(uri) = address.absolute(&address.origin.host) {
        *outgoing.uri_mut() = uri;
    }
    let credentials = address.origin.endpoint.route.proxy().and_then(Proxy::authorization);
    if let (Some(value), Entry::Vacant(entry)) = (credentials, outgoing.headers_mut().entry(PROXY_AUTHORIZATION)) {
        entry.insert(value);
    }
}
