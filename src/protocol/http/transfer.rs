//! One request and its answer: over which connection it goes, and what becomes of that.

use std::sync::Arc;

use bytes::Bytes;
use http::header::{CONNECTION, TRANSFER_ENCODING};
use http::response;
use hyper::body::{Body as _, Incoming};

use super::address::{Address, Origin};
use super::connection::{Connection, Outgoing, Unanswered};
use super::exchange::Stage;
use super::failure::Failure;
use super::http2::{self, Broken, H2Connection, Over, StreamPermit};
use super::progress::Progress;
use super::received::{Collector, Use};
use super::source::ConnectionSource;
use super::spec::{Connections, Spec};
use super::written::Version;
use crate::base::Reason;
use crate::net::{DialError, Dialing, dial, dial_to_proxy};

/// One request and its answer, on a connection that is open or has to be opened.
pub(super) async fn exchange(
    home: &mut ConnectionSource<'_>,
    spec: &Spec,
    address: &Address,
    mut outgoing: Outgoing,
    progress: &mut Progress<'_>,
) -> Result<Bytes, Failure> {
    // Until a connection is there: a redirect may have to wait for one anew.
    progress.stage = Stage::Pool;
    if address.origin.may_be_http2() || !home.is_admitted() {
        // Boxed, as all of HTTP/2: the future of a user who has none of it should not hold the room.
        match Box::pin(boarded(home, spec, address, outgoing, progress)).await {
            Boarded::Answered(result) => return result,
            Boarded::NoLine(back) => outgoing = *back,
        }
    }
    let mut idle = home.take(&address.origin);
    loop {
        if let Some(ended) = idle.take_if(|connection| !connection.is_usable()) {
            home.set_open(false);
            progress.had_ended(&ended);
        }
        let (mut connection, is_new) = match idle.take() {
            Some(connection) => (connection, false),
            None => match open(home, &address.origin, progress).await? {
                Opened::One(connection) => (connection, true),
                Opened::Many(line) => return Box::pin(on_new_line(home, spec, line, address, outgoing, progress)).await,
            },
        };
        progress.begin(&connection, is_new);
        match connection.send(outgoing, &mut progress.stage).await {
            Ok(response) => return receive(home, spec, connection, response, progress).await,
            Err(Unanswered::Unsent(back)) if !is_new => {
                // The peer had closed it before: opened again, unseen.
                outgoing = *back;
                progress.meter = None;
                home.set_open(false);
                progress.had_ended(&connection);
            }
            Err(unanswered) => {
                let failure = match unanswered {
                    Unanswered::Failed(failure) => {
                        progress.answered = failure.malformed && connection.meter.has_status();
                        progress.of_upload(failure)
                    }
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

/// What became of a request that might have found a line.
enum Boarded {
    Answered(Result<Bytes, Failure>),
    /// There was none. Here it is back.
    NoLine(Box<Outgoing>),
}

/// Sends a request over a line that is open, if there is one to use.
async fn boarded(
    home: &mut ConnectionSource<'_>,
    spec: &Spec,
    address: &Address,
    mut outgoing: Outgoing,
    progress: &mut Progress<'_>,
) -> Boarded {
    loop {
        let Some(ticket) = home.reserve(&address.origin).await else { return Boarded::NoLine(Box::new(outgoing)) };
        match on_line(home, spec, &ticket, address, outgoing, progress).await {
            Ok(answer) => return Boarded::Answered(Ok(answer)),
            // The peer had closed it before: another is found or opened, unseen.
            Err(Broken::Unsent(back, _)) => outgoing = *back,
            Err(Broken::Failed(failure, _)) => return Boarded::Answered(Err(failure)),
        }
    }
}

/// Sends a request over a line that was opened for it.
async fn on_new_line(
    home: &mut ConnectionSource<'_>,
    spec: &Spec,
    line: H2Connection,
    address: &Address,
    outgoing: Outgoing,
    progress: &mut Progress<'_>,
) -> Result<Bytes, Failure> {
    let ticket = line.reserve();
    drop(line);
    home.keep(ticket.line());
    on_line(home, spec, &ticket, address, outgoing, progress).await.map_err(|broken| match broken {
        Broken::Unsent(..) => Failure::ended(Stage::Send),
        Broken::Failed(failure, _) => failure,
    })
}

async fn on_line(
    home: &mut ConnectionSource<'_>,
    spec: &Spec,
    ticket: &StreamPermit,
    address: &Address,
    outgoing: Outgoing,
    progress: &mut Progress<'_>,
) -> Result<Bytes, Broken> {
    let line = ticket.line();
    let fresh = spec.connections == Connections::Fresh;
    progress.boards(ticket, fresh);
    let result = http2::exchange(ticket, address, outgoing, Use::of(spec), progress).await.map_err(|broken| match broken {
        Broken::Failed(failure, over) => {
            progress.answered = failure.malformed;
            Broken::Failed(progress.of_upload(failure), over)
        }
        unsent @ Broken::Unsent(..) => unsent,
    });
    // Whether it is over, and why where that wasn't announced.
    let end = match &result {
        Err(Broken::Unsent(_, announced)) => {
            // Nothing of it was this request's.
            progress.line = None;
            Some((!announced).then(|| line.why()))
        }
        Err(Broken::Failed(failure, Over::Lost)) => Some(Some(failure.reason)),
        Err(Broken::Failed(_, Over::Announced)) => Some(None),
        _ => fresh.then_some(None),
    };
    progress.settle();
    if let Some(why) = end {
        home.forget(line);
        home.set_open(false);
        if line.claim_end() {
            progress.disconnected(why);
        }
    }
    result.and_then(|received| {
        progress.answered = true;
        progress.body_bytes = received.bytes;
        progress.sha256 = received.sha256;
        progress.cut = received.cut;
        received.body.map_err(|failure| Broken::Failed(failure, Over::No))
    })
}

/// A connection that was opened.
enum Opened {
    /// For one request at a time.
    One(Box<Connection>),
    /// For many.
    Many(H2Connection),
}

async fn open(home: &mut ConnectionSource<'_>, origin: &Arc<Origin>, progress: &mut Progress<'_>) -> Result<Opened, Failure> {
    if home.make_room() {
        progress.disconnected(None);
    }
    progress.dials();
    // Boxed: it is rare, and every idle user would hold the room that it takes.
    match Box::pin(connect(origin, &mut progress.dialing)).await {
        Ok(opened) => {
            home.set_open(true);
            progress.dialled(Ok(progress.dialing.times));
            Ok(opened)
        }
        Err(error) => {
            progress.dialled(Err(error.reason));
            Err(Failure::new(error.reason, error.message))
        }
    }
}

/// Dials, and sees what is spoken there.
async fn connect(origin: &Arc<Origin>, dialing: &mut Dialing) -> Result<Opened, DialError> {
    let endpoint = &origin.endpoint;
    let stream = if origin.forwards() { dial_to_proxy(endpoint, dialing).await? } else { dial(endpoint, dialing).await? };
    let many = match (origin.version(), origin.is_secure()) {
        (Version::Http2, false) => true,
        _ => stream.alpn() == Some(b"h2"),
    };
    if many {
        return http2::connect(origin, stream, dialing).await.map(Opened::Many);
    }
    if origin.version() == Version::Http2 {
        return Err(DialError {
            reason: Reason::Protocol,
            stage: dialing.stage,
            message: format!("{endpoint} does not speak HTTP/2 (ALPN), and `version: 2` takes nothing else"),
        });
    }
    Connection::open(origin, stream, dialing).await.map(Opened::One)
}

/// Whether the peer said with its answer that it would close the connection (RFC 9112, 9.3 and 9.6): nothing was lost by that.
/// HTTP/1.0 closes unless it says otherwise, and a body without a length ends with the connection.
fn announces_close(head: &response::Parts, body: &Incoming) -> bool {
    let says = |what: &str| {
        let mut values = head.headers.get_all(CONNECTION).iter().filter_map(|value| value.to_str().ok());
        values.any(|text| text.split(',').any(|option| option.trim().eq_ignore_ascii_case(what)))
    };
    let endless = || !body.is_end_stream() && body.size_hint().exact().is_none() && !head.headers.contains_key(TRANSFER_ENCODING);
    says("close") || (head.version == http::Version::HTTP_10 && !says("keep-alive")) || endless()
}

async fn receive(
    home: &mut ConnectionSource<'_>,
    spec: &Spec,
    mut connection: Box<Connection>,
    response: http::Response<Incoming>,
    progress: &mut Progress<'_>,
) -> Result<Bytes, Failure> {
    let (head, incoming) = response.into_parts();
    let meant = spec.connections == Connections::Fresh || announces_close(&head, &incoming);
    progress.answers(head);
    let early = progress.upload.as_ref().filter(|tally| !tally.is_complete());
    if let Some(tally) = early
        && !(200..300).contains(&progress.status)
    {
        // The target has made up its mind: what is left of the body would be sent for nothing (RFC 9110, 9.3).
        tally.stop();
    }
    let collector = Collector::new(Use::of(spec), &progress.headers);
    let result = connection.read(incoming, collector).await;
    // Whatever comes behind its end, and whatever becomes of it.
    progress.answered = result.is_ok();
    let kept = match early {
        // Boxed: it is rare.
        Some(tally) if result.is_ok() && !tally.is_stopped() => {
            Box::pin(connection.finish(tally)).await;
            tally.is_complete()
        }
        early => early.is_none(),
    };
    progress.settle();
    let result = result.and_then(|received| connection.stray().map_or(Ok(received), Err));
    match result {
        Ok(received) => {
            progress.body_bytes = received.bytes;
            progress.sha256 = received.sha256;
            progress.cut = received.cut;
            if !kept {
                // Half a request stands on it.
                home.set_open(false);
                progress.disconnected(None);
            } else if !home.put(connection) {
                progress.disconnected((!meant).then_some(Reason::Closed));
            }
            received.body
        }
        Err(failure) => {
            home.set_open(false);
            progress.disconnected(Some(failure.reason));
            Err(failure)
        }
    }
}
