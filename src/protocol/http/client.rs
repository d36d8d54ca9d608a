//! A virtual user's side of HTTP: its cookies, its connections, its timer; and the way of one request.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::AUTHORIZATION;
use http::{HeaderMap, Method, StatusCode, Uri};
use http_body_util::Full;
use tokio::time::Sleep;

use super::address::{Address, Origin};
use super::connection::{Connection, Outgoing, Unanswered, head_stage};
use super::cookies::Jar;
use super::exchange::{Connect, Disconnect, Exchange, Stage};
use super::failure::Failure;
use super::pool::{Lease, Pool};
use super::request::{Connections, Prepared, Request, Spec, allowed};
use super::{decode, redirect};
use crate::base::units::show_seconds;
use crate::base::{Outcome, Reason};
use crate::net::{Dialing, Meter};

/// The most connections a user keeps, one an origin; the one unused for longest is closed for a new one.
const MAX_CONNECTIONS: usize = 8;

/// What a virtual user has of HTTP. Made without allocating.
#[derive(Debug, Default)]
pub struct Client {
    jar: Jar,
    /// The one used last at the end.
    connections: Vec<Connection>,
    /// Connections that were dropped with a request, and of which nobody has been told yet.
    lost: usize,
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

    /// Forgets the cookies and closes the connections, for the end of the user. Returns how many connections are gone that
    /// no exchange told of: these, and those that were dropped with a request.
    pub fn close(&mut self) -> usize {
        self.jar = Jar::default();
        let closed = self.connections.len() + self.lost;
        self.connections.clear();
        self.lost = 0;
        closed
    }

    /// Sends the request, follows its redirects, and reads the answer.
    ///
    /// May be dropped at any time: the connection in use is then closed, and told of by the next exchange or by
    /// [`Client::close`] or [`Pool::close`].
    pub async fn perform(&mut self, request: &Request, prepared: Prepared<'_>, pool: Option<&Pool>) -> Exchange {
        let spec = &request.spec;
        let deadline = Instant::now() + spec.timeout;
        let mut progress = Progress::new(std::mem::take(&mut self.lost));
        let Self { jar, connections, lost, alarm } = self;
        let result = {
            let mut work = pin!(async {
                let mut home = match (spec.connections, pool) {
                    (Connections::Fresh, _) => Home::Fresh,
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
                _ => self.lost = 0,
            }
        }
        progress.finish(result, spec.timeout)
    }
}

/// Where a request's connection comes from and goes back to.
enum Home<'a> {
    User { connections: &'a mut Vec<Connection>, out: Out<'a> },
    Pool(Lease<'a>),
    Fresh,
}

/// Notes a user's connection that is dropped with its request.
struct Out<'a> {
    open: bool,
    lost: &'a mut usize,
}

impl Drop for Out<'_> {
    fn drop(&mut self) {
        if self.open {
            *self.lost += 1;
        }
    }
}

impl Home<'_> {
    /// An idle connection to `origin`.
    fn take(&mut self, origin: &Origin) -> Option<Connection> {
        match self {
            Home::User { connections, out } => {
                let at = connections.iter().position(|open| open.origin.shares_connections_with(origin))?;
                out.open = true;
                Some(connections.remove(at))
            }
            Home::Pool(lease) => lease.take(origin),
            Home::Fresh => None,
        }
    }

    /// Before a connection is opened. Returns whether an idle one was closed for it.
    fn make_room(&mut self) -> bool {
        match self {
            Home::User { connections, .. } if connections.len() >= MAX_CONNECTIONS => {
                connections.remove(0);
                true
            }
            Home::Pool(lease) => lease.make_room(),
            Home::User { .. } | Home::Fresh => false,
        }
    }

    /// Notes whether a connection is out.
    fn set_open(&mut self, open: bool) {
        match self {
            Home::User { out, .. } => out.open = open,
            Home::Pool(lease) => lease.open = open,
            Home::Fresh => {}
        }
    }

    /// Takes a connection back after an answer, if it can be used again. Returns whether it is kept.
    fn put(&mut self, mut connection: Connection) -> bool {
        let keep = connection.is_reusable();
        match self {
            Home::User { connections, .. } if keep => connections.push(connection),
            Home::Pool(lease) if keep => lease.put(connection),
            _ => {
                self.set_open(false);
                return false;
            }
        }
        self.set_open(false);
        true
    }
}

/// How far a request has come; readable after its future was dropped.
struct Progress {
    stage: Stage,
    dialing: Dialing,
    /// The connection in use, with what its meter said when this request began.
    meter: Option<(Arc<Meter>, u64, u64)>,
    sent_at: Option<Instant>,
    first_received: Option<Instant>,
    sent: u64,
    received: u64,
    status: u16,
    headers: HeaderMap,
    body_bytes: u64,
    connects: Vec<Connect>,
    disconnects: Vec<Disconnect>,
}

impl Progress {
    fn new(lost: usize) -> Self {
        let mut progress = Self {
            stage: Stage::Pool,
            dialing: Dialing::default(),
            meter: None,
            sent_at: None,
            first_received: None,
            sent: 0,
            received: 0,
            status: 0,
            headers: HeaderMap::new(),
            body_bytes: 0,
            connects: Vec::new(),
            disconnects: Vec::new(),
        };
        progress.closed(lost);
        progress
    }

    /// Connections that this side closed.
    fn closed(&mut self, count: usize) {
        self.disconnects.extend((0..count).map(|_| Disconnect { reason: None }));
    }

    fn disconnected(&mut self, reason: Option<Reason>) {
        self.disconnects.push(Disconnect { reason });
    }

    /// A connection is in use from here.
    fn begin(&mut self, connection: &Connection, is_new: bool) {
        let meter = Arc::clone(&connection.meter);
        let (sent, received) = if is_new { (0, 0) } else { (meter.sent(), meter.received()) };
        self.meter = Some((meter, sent, received));
        self.stage = Stage::Send;
    }

    /// The connection is no longer in use: its figures are taken over.
    fn settle(&mut self) {
        if let Some((meter, sent, received)) = self.meter.take() {
            self.sent += meter.sent() - sent;
            self.received += meter.received() - received;
            self.sent_at = self.sent_at.or(meter.first_sent());
            self.first_received = meter.first_received();
        }
    }

    fn finish(mut self, result: Option<Result<Bytes, Failure>>, limit: Duration) -> Exchange {
        let ended = Instant::now();
        let (outcome, reason, detail, body) = match result {
            Some(Ok(body)) => (Outcome::Ok, None, None, body),
            Some(Err(failure)) if failure.reason == Reason::Timeout => {
                (Outcome::Timeout, Some(failure.reason), Some(failure.detail), Bytes::new())
            }
            Some(Err(failure)) => (Outcome::Error, Some(failure.reason), Some(failure.detail), Bytes::new()),
            None => {
                let detail = self.timed_out(limit);
                (Outcome::Timeout, Some(Reason::Timeout), Some(detail), Bytes::new())
            }
        };
        self.settle();
        let wait = match (self.sent_at, self.first_received) {
            (Some(sent), Some(received)) => received.saturating_duration_since(sent),
            _ => Duration::ZERO,
        };
        Exchange {
            outcome,
            reason,
            detail,
            status: self.status,
            headers: self.headers,
            body,
            sent_at: self.sent_at,
            ended,
            wait,
            sent: self.sent,
            received: self.received,
            body_bytes: self.body_bytes,
            connects: self.connects,
            disconnects: self.disconnects,
        }
    }

    fn timed_out(&mut self, limit: Duration) -> String {
        match (self.stage, &self.meter) {
            (Stage::Dial(_), _) => {
                self.stage = Stage::Dial(self.dialing.stage);
                self.connects.push(Connect { result: Err(Reason::Timeout) });
            }
            (Stage::Pool, _) => {}
            (stage, meter) => {
                if let (Stage::Send | Stage::FirstByte | Stage::Head, Some((meter, ..))) = (stage, meter) {
                    self.stage = head_stage(meter);
                }
                self.disconnected(Some(Reason::Timeout));
            }
        }
        let limit = show_seconds(limit.as_secs_f64());
        format!("timed out after {limit} while {}", self.stage.doing())
    }
}

/// The request and the redirects that follow it.
async fn follow(
    home: &mut Home<'_>,
    jar: &mut Jar,
    spec: &Spec,
    prepared: Prepared<'_>,
    progress: &mut Progress,
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
            body = Bytes::new();
        }
        redirect::strip(&mut headers, &address, &to, without_body);
        (method, address) = (next, to);
    }
}

fn outgoing(method: Method, address: &Address, mut headers: HeaderMap, body: Bytes) -> Outgoing {
    if let Some(value) = headers.get_mut(AUTHORIZATION) {
        value.set_sensitive(true);
    }
    let mut outgoing = http::Request::new(Full::new(body));
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
    progress: &mut Progress,
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
                    Unanswered::Failed(failure) => failure,
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

async fn open(home: &mut Home<'_>, origin: &Arc<Origin>, progress: &mut Progress) -> Result<Connection, Failure> {
    if home.make_room() {
        progress.disconnected(None);
    }
    progress.stage = Stage::Dial(crate::net::Stage::Dns);
    match Connection::open(origin, &mut progress.dialing).await {
        Ok(connection) => {
            home.set_open(true);
            progress.connects.push(Connect { result: Ok(progress.dialing.times) });
            Ok(connection)
        }
        Err(error) => {
            progress.connects.push(Connect { result: Err(error.reason) });
            Err(Failure::new(error.reason, error.message))
        }
    }
}

async fn receive(
    home: &mut Home<'_>,
    spec: &Spec,
    mut connection: Connection,
    response: http::Response<hyper::body::Incoming>,
    progress: &mut Progress,
) -> Result<Bytes, Failure> {
    let (head, incoming) = response.into_parts();
    progress.stage = Stage::Body;
    progress.status = head.status.as_u16();
    progress.headers = head.headers;
    progress.body_bytes = 0;
    let result = connection.read(incoming, spec.discard_body).await;
    progress.settle();
    match result {
        Ok(received) => {
            progress.body_bytes = received.bytes;
            if !home.put(connection) {
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

/// One timer for all of a user's requests. It is set again only when it has gone off or is set too late: most requests are
/// answered long before their limit, and moving a timer twice for each would cost more than letting it go off once in a while.
#[derive(Debug, Default)]
struct Alarm {
    sleep: Option<Pin<Box<Sleep>>>,
}

impl Alarm {
    /// Ready once `deadline` has passed.
    fn poll(&mut self, cx: &mut Context<'_>, deadline: Instant) -> Poll<()> {
        let at = tokio::time::Instant::from_std(deadline);
        let sleep = self.sleep.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(at)));
        if sleep.deadline() > at {
            sleep.as_mut().reset(at);
        }
        loop {
            ready!(sleep.as_mut().poll(cx));
            if Instant::now() >= deadline {
                return Poll::Ready(());
            }
            sleep.as_mut().reset(at);
        }
    }
}
