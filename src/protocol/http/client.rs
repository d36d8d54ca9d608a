//! A virtual user's side of HTTP: its cookies, its connections, its timer; and the way of one request.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Instant;

use bytes::Bytes;
use http::header::AUTHORIZATION;
use http::{HeaderMap, Method, StatusCode, Uri};

use super::address::{Address, Origin};
use super::alarm::Alarm;
use super::body::Payload;
use super::connection::{Connection, Outgoing, Unanswered, Use};
use super::cookies::Jar;
use super::exchange::{Connect, Exchange, Stage};
use super::failure::Failure;
use super::home::{Home, Out};
use super::pool::Pool;
use super::progress::{Progress, Untold};
use super::request::{Connections, Prepared, Request, Spec, allowed};
use super::{decode, redirect};
use crate::base::Reason;

/// What a virtual user has of HTTP. Made without allocating.
#[derive(Debug, Default)]
pub struct Client {
    jar: Jar,
    /// The one used last at the end.
    #[allow(clippy::vec_box, reason = "a connection is 784 bytes and changes hands twice a request")]
    connections: Vec<Box<Connection>>,
    /// Connections that were dropped with a request, and of which nobody has been told yet.
    lost: usize,
    /// What the requests that were dropped could not tell any more.
    untold: Untold,
    alarm: Alarm,
}

impl Client {
    /// A user who has not been anywhere yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// How many connections of its own are open and idle.
    pub fn connections(&self) -> usize {
        self.connections.len()
    }

    /// The values of its cookies.
    pub fn cookies(&self) -> impl Iterator<Item = &str> {
        self.jar.values()
    }

    /// Its cookies, for a session's handshake.
    pub fn jar(&mut self) -> &mut Jar {
        &mut self.jar
    }

    /// Forgets the cookies and closes the connections, for the end of the user. Returns by how many the number of open
    /// connections has changed that no exchange told of: less these and those that were dropped with a request, more those
    /// that a dropped request had opened.
    pub fn close(&mut self) -> i64 {
        self.jar = Jar::default();
        let Untold { connects, disconnects } = std::mem::take(&mut self.untold);
        let opened = connects.iter().filter(|connect| connect.result.is_ok()).count();
        let closed = self.connections.len() + self.lost + disconnects.len();
        self.connections.clear();
        self.lost = 0;
        opened as i64 - closed as i64
    }

    /// Sends the request, follows its redirects, and reads the answer.
    ///
    /// May be dropped at any time: the connection in use is then closed, and told of by the next exchange or by
    /// [`Client::close`] or [`Pool::close`].
    pub async fn perform(&mut self, request: &Request, prepared: Prepared<'_>, pool: Option<&Pool>) -> Exchange {
        let spec = &request.spec;
        let deadline = Instant::now() + spec.timeout;
        let Self { jar, connections, lost, untold, alarm } = self;
        let mut progress = Progress::new(untold);
        progress.closed(std::mem::take(lost));
        let result = {
            let mut work = pin!(async {
                let mut home = match (spec.connections, pool) {
                    (Connections::Fresh, _) => Home::Fresh(Out { open: false, lost }),
                    (Connections::Shared(_), Some(pool)) => {
                        let mut lease = pool.lease().await;
                        progress.closed(lease.take_lost());
                        Home::Pool(lease)
                    }
                    _ => Home::User { connections, out: Out { open: false, lost } },
                };
                follow(&mut home, jar, spec, prepared, &mut progress).await
            });
            poll_fn(|cx| match work.as_mut().poll(cx) {
                Poll::Ready(result) => Poll::Ready(Some(result)),
                Poll::Pending => alarm.poll(cx, deadline).map(|()| None),
            })
            .await
        };
        if result.is_none() && progress.meter.is_some() {
            // A time limit drops the connection too, but this exchange tells of it.
            match pool {
                Some(pool) if matches!(spec.connections, Connections::Shared(_)) => pool.forget_lost(),
                _ => *lost = 0,
            }
        }
        progress.finish(result, spec.timeout)
    }
}

/// The request and the redirects that follow it.
async fn follow(
    home: &mut Home<'_>,
    jar: &mut Jar,
    spec: &Spec,
    prepared: Prepared<'_>,
    progress: &mut Progress<'_>,
) -> Result<Bytes, Failure> {
    let mut address = prepared.address.into_owned();
    let mut headers = prepared.headers.into_owned();
    let mut body = prepared.body;
    let mut method = spec.method.clone();
    let mut redirects = 0;
    loop {
        // What a redirect may need again; without redirects the headers are moved.
        let again = (spec.redirects > 0).then(|| (headers.clone(), body.clone()));
        if spec.cookies {
            jar.add(&mut headers, &address);
        }
        progress.upload = body.tally();
        let outgoing = outgoing(method.clone(), &address, headers, body);
        let answer = exchange(home, spec, &address, outgoing, progress).await?;
        if spec.cookies {
            jar.store(&progress.headers, &address);
        }
        let status = StatusCode::from_u16(progress.status).unwrap_or_default();
        let target = match again {
            None => None,
            Some(again) => redirect::target(status, &progress.headers, &address, &spec.tls).map(|to| (to, again)),
        };
        let Some((to, again)) = target else {
            let unpack = spec.compression && !spec.discard_body;
            return if unpack { decode::decode(&progress.headers, answer) } else { Ok(answer) };
        };
        let to = to
            .and_then(|to| allowed(spec, &to).map(|()| to))
            .map_err(|error| Failure::new(Reason::Protocol, format!("the answer redirects to what {error}")))?;
        if redirects == spec.redirects {
            return Err(Failure::new(Reason::Protocol, format!("more than {redirects} redirects (`redirects: {redirects}`)")));
        }
        redirects += 1;
        (headers, body) = again;
        let next = redirect::method(status, &method);
        let without_body = next != method;
        if without_body {
            body = Payload::empty();
        }
        redirect::strip(&mut headers, &address, &to, without_body);
        (method, address) = (next, to);
    }
}

fn outgoing(method: Method, address: &Address, mut headers: HeaderMap, body: Payload) -> Outgoing {
    if let Some(value) = headers.get_mut(AUTHORIZATION) {
        value.set_sensitive(true);
    }
    let mut outgoing = http::Request::new(body);
    *outgoing.method_mut() = method;
    *outgoing.uri_mut() = Uri::from(address.path.clone());
    *outgoing.headers_mut() = headers;
    outgoing
}

/// One request and its answer, on a connection that is open or has to be opened.
async fn exchange(
    home: &mut Home<'_>,
    spec: &Spec,
    address: &Address,
    mut outgoing: Outgoing,
    progress: &mut Progress<'_>,
) -> Result<Bytes, Failure> {
    let mut idle = home.take(&address.origin);
    loop {
        if idle.as_mut().is_some_and(|connection| !connection.is_usable()) {
            idle = None;
            home.set_open(false);
            progress.disconnected(Some(Reason::Closed));
        }
        let (mut connection, is_new) = match idle.take() {
            Some(connection) => (connection, false),
            None => (open(home, &address.origin, progress).await?, true),
        };
        progress.begin(&connection, is_new);
        match connection.send(outgoing, &mut progress.stage).await {
            Ok(response) => return receive(home, spec, connection, response, progress).await,
            Err(Unanswered::Unsent(back)) if !is_new => {
                // The peer had closed it before: opened again, unseen.
                outgoing = *back;
                progress.meter = None;
                home.set_open(false);
                progress.disconnected(Some(Reason::Closed));
            }
            Err(unanswered) => {
                let failure = match unanswered {
                    Unanswered::Failed(failure) => progress.of_upload(failure),
                    Unanswered::Unsent(_) => Failure::ended(Stage::Send),
                };
                progress.settle();
                home.set_open(false);
                progress.disconnected(Some(failure.reason));
                return Err(failure);
            }
        }
    }
}

async fn open(home: &mut Home<'_>, origin: &Arc<Origin>, progress: &mut Progress<'_>) -> Result<Box<Connection>, Failure> {
    if home.make_room() {
        progress.disconnected(None);
    }
    progress.stage = Stage::Dial(crate::net::Stage::Dns);
    // Boxed: it is rare, and every idle user would hold the room that it takes.
    match Box::pin(Connection::open(origin, &mut progress.dialing)).await {
        Ok(connection) => {
            home.set_open(true);
            progress.untold.connects.push(Connect { result: Ok(progress.dialing.times) });
            Ok(connection)
        }
        Err(error) => {
            progress.untold.connects.push(Connect { result: Err(error.reason) });
            Err(Failure::new(error.reason, error.message))
        }
    }
}

async fn receive(
    home: &mut Home<'_>,
    spec: &Spec,
    mut connection: Box<Connection>,
    response: http::Response<hyper::body::Incoming>,
    progress: &mut Progress<'_>,
) -> Result<Bytes, Failure> {
    let (head, incoming) = response.into_parts();
    progress.stage = Stage::Body;
    progress.status = head.status.as_u16();
    progress.headers = head.headers;
    progress.body_bytes = 0;
    let what = match (spec.discard_body, spec.sha256) {
        (false, _) => Use::Keep,
        (true, false) => Use::Count,
        (true, true) => Use::Digest,
    };
    let early = progress.upload.as_ref().filter(|tally| !tally.is_complete());
    if let Some(tally) = early
        && !head.status.is_success()
    {
        // The target has made up its mind: what is left of the body would be sent for nothing (RFC 9110, 9.3).
        tally.stop();
    }
    let result = connection.read(incoming, what).await;
    let kept = match early {
        // Boxed: it is rare.
        Some(tally) if result.is_ok() && !tally.is_stopped() => {
            Box::pin(connection.finish(tally)).await;
            tally.is_complete()
        }
        early => early.is_none(),
    };
    progress.settle();
    match result {
        Ok(received) => {
            progress.body_bytes = received.bytes;
            progress.sha256 = received.sha256;
            if !kept {
                // Half a request stands on it.
                home.set_open(false);
                progress.disconnected(None);
            } else if !home.put(connection) {
                let meant = spec.connections == Connections::Fresh;
                progress.disconnected((!meant).then_some(Reason::Closed));
            }
            Ok(received.body)
        }
        Err(failure) => {
            home.set_open(false);
            progress.disconnected(Some(failure.reason));
            Err(failure)
        }
    }
}
