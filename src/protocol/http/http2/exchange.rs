//! One request and its answer on a stream of a line.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use h2::RecvStream;
use http::header::{CONNECTION, CONTENT_LENGTH, HOST, HeaderName, TE, TRANSFER_ENCODING, UPGRADE};
use http::{HeaderValue, Method, Request, Version};
use hyper::body::Body;

use super::connection::{H2Connection, StreamPermit};
use super::failure::{Over, outage};
use super::send::{Stopped, Upload};
use crate::base::Reason;
use crate::protocol::http::address::Address;
use crate::protocol::http::connection::Outgoing;
use crate::protocol::http::exchange::Stage;
use crate::protocol::http::failure::Failure;
use crate::protocol::http::progress::Progress;
use crate::protocol::http::received::{Collector, Received, Use};

/// Why there is no answer.
pub(in crate::protocol::http) enum Broken {
    /// Not a byte of it was written, since the connection had ended before. Here it is back; and whether the peer had announced that end.
    Unsent(Box<Outgoing>, bool),
    /// It failed; and what that means for the connection.
    Failed(Failure, Over),
}

/// Sends the request and reads the answer. Dropped, it resets the stream.
pub(in crate::protocol::http) async fn exchange(
    ticket: &StreamPermit,
    address: &Address,
    outgoing: Outgoing,
    what: Use,
    progress: &mut Progress<'_>,
) -> Result<Received, Broken> {
    let line = ticket.line();
    progress.stage = Stage::Stream;
    let _slot = line.slot().await;
    let mut sender = line.sender();
    // Ready at once: only a clone that has sent something waits.
    if let Err(error) = poll_fn(|cx| sender.poll_ready(cx)).await {
        let announced = outage(&error, line.end(), Stage::Send).over == Over::Announced;
        return Err(Broken::Unsent(Box::new(outgoing), announced));
    }
    let failed = |error: &h2::Error, stage| {
        let outage = outage(error, line.end(), stage);
        Broken::Failed(outage.failure, outage.over)
    };
    let (head, body) = outgoing.into_parts();
    let head = converted(Request::from_parts(head, ()), address, &body).map_err(|error| {
        let detail = format!("the request cannot be sent over HTTP/2: {error}");
        Broken::Failed(Failure::new(Reason::Other, detail), Over::No)
    })?;
    let without_body = body.is_end_stream();
    progress.stage = if without_body { Stage::FirstByte } else { Stage::Send };
    progress.sent_at = progress.sent_at.or(Some(Instant::now()));
    progress.asked = true;
    let (response, stream) = sender.send_request(head, without_body).map_err(|error| failed(&error, Stage::Send))?;
    let mut upload = Upload::new(stream, body);
    if without_body {
        upload.end();
    }
    let mut response = pin!(response);
    let result = poll_fn(|cx| {
        let sent = send(&mut upload, line, progress, cx);
        match response.as_mut().poll(cx) {
            Poll::Ready(answer) => Poll::Ready(Ok(answer)),
            Poll::Pending => sent.map(Err),
        }
    })
    .await;
    let response = match result {
        Ok(answer) => answer.map_err(|error| failed(&error, progress.stage))?,
        Err(failure) => return Err(Broken::Failed(failure, Over::No)),
    };
    let (head, mut stream) = response.into_parts();
    progress.first_received = Some(Instant::now());
    progress.answers(head);
    let early = progress.upload.clone().filter(|tally| !tally.is_complete());
    if let Some(tally) = &early
        && !(200..300).contains(&progress.status)
    {
        // The target has made up its mind: what is left of the body would be sent for nothing.
        tally.stop();
    }
    let mut collector = Collector::new(what, &progress.headers);
    poll_fn(|cx| {
        // The rest of the body goes on while the answer comes, for a peer that answers as it reads.
        let _ = upload.poll(cx);
        receive(&mut stream, &mut collector, cx)
    })
    .await
    .map_err(|error| failed(&error, Stage::Body))?;
    if early.is_some_and(|tally| !tally.is_stopped()) {
        // Whatever the peer does with the rest, the answer is there.
        let _ = poll_fn(|cx| upload.poll(cx)).await;
    }
    progress.processing = match (upload.done_at, progress.first_received) {
        (Some(sent), Some(received)) => received.saturating_duration_since(sent),
        _ => Duration::ZERO,
    };
    Ok(collector.finish())
}

/// Sends on; ready only if the body itself cannot be made.
fn send<B: Body<Data = Bytes>>(
    upload: &mut Upload<B>,
    line: &H2Connection,
    progress: &mut Progress<'_>,
    cx: &mut Context<'_>,
) -> Poll<Failure> {
    let sent = upload.poll(cx);
    progress.stage = if upload.is_over() && !line.is_blocked() { Stage::FirstByte } else { Stage::Send };
    match sent {
        Poll::Ready(Err(Stopped::Body)) => Poll::Ready(Failure::new(Reason::Data, "the body could not be made")),
        // What ended the stream is reported with the answer.
        _ => Poll::Pending,
    }
}

fn receive(stream: &mut RecvStream, collector: &mut Collector, cx: &mut Context<'_>) -> Poll<Result<(), h2::Error>> {
    loop {
        match Pin::new(&mut *stream).poll_data(cx) {
            Poll::Ready(Some(Ok(data))) => {
                // The peer may send as much again; it fails only where the stream is over, which the next turn shows.
                let _ = stream.flow_control().release_capacity(data.len());
                collector.push(data);
            }
            Poll::Ready(Some(Err(error))) => return Poll::Ready(Err(error)),
            // Trailers are the end of an answer too, and nobody asks for them.
            Poll::Ready(None) => return stream.poll_trailers(cx).map_ok(|_| ()),
            Poll::Pending => return Poll::Pending,
        }
    }
}

/// The head as HTTP/2 has it: scheme and authority in the URL, nothing of the connection in the headers (RFC 9113, 8.2.2).
fn converted(mut head: Request<()>, address: &Address, body: &impl Body) -> Result<Request<()>, http::Error> {
    const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
    const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");
    *head.version_mut() = Version::HTTP_2;
    let host = head.headers_mut().remove(HOST);
    *head.uri_mut() = address.absolute(host.as_ref().unwrap_or(&address.origin.host))?;
    let headers = head.headers_mut();
    for name in [CONNECTION, KEEP_ALIVE, PROXY_CONNECTION, TRANSFER_ENCODING, UPGRADE] {
        headers.remove(name);
    }
    if headers.get(TE).is_some_and(|te| te != "trailers") {
        headers.remove(TE);
    }
    // As with HTTP/1.1: a length wherever a body is meant to be, if only an empty one.
    let meant = matches!(*head.method(), Method::POST | Method::PUT | Method::PATCH);
    if let Some(length) = body.size_hint().exact().filter(|length| meant || *length > 0) {
        head.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(length));
    }
    Ok(head)
}
