//! From a request to its answer.

use std::sync::PoisonError;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use bytes::{Bytes, BytesMut};
use http::header::{CONTENT_TYPE, LOCATION};
use http::{HeaderValue, Request, Response, StatusCode};
use http_body_util::BodyExt;
use hyper::body::{Body as _, Incoming};

use super::super::{TargetState, socketio, websocket};
use super::payload::{Broken, End, Payload};
use super::route::{Fault, Page, Route, route};
use super::{Ask, ConnectionState};

/// The longest body that is echoed, in bytes; a longer one is answered with 413.
const MAX_ECHO: usize = 16 * 1024 * 1024;

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const TEXT: HeaderValue = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
const BYTES: HeaderValue = HeaderValue::from_static("application/octet-stream");

/// Answers one request; an error closes the connection, with a reset if `reset` was set.
pub(super) async fn answer(
    mut request: Request<Incoming>,
    shared: &TargetState,
    line: &ConnectionState,
) -> Result<Response<Payload>, Broken> {
    let route = route(request.uri());
    if matches!(route, Ok(Route { page: Page::Metrics, .. })) {
        return make(request, Page::Metrics, shared).await;
    }
    shared.counts.received();
    if let Some(freeze) = &shared.freeze {
        freeze.hold().await;
    }
    let response = match route {
        Err(wrong) => page(StatusCode::BAD_REQUEST, TEXT, Payload::Whole((wrong + "\n").into())),
        Ok(route) => {
            if !route.delay.is_zero() {
                tokio::time::sleep(route.delay).await;
            }
            let to_socketio = socketio::is_endpoint(request.uri().path());
            if route.page == Page::Echo && (to_socketio || websocket::is_upgrade(request.headers())) {
                upgrade(&mut request, route.fault, line).await?
            } else {
                let made = make(request, route.page, shared).await?;
                spoil(made, route.fault, &line.reset).await?
            }
        }
    };
    shared.counts.answered(response.status().as_u16());
    Ok(response)
}

/// Agrees to an upgrade; the session begins once this answer is written.
async fn upgrade(
    request: &mut Request<Incoming>,
    fault: Option<Fault>,
    line: &ConnectionState,
) -> Result<Response<Payload>, Broken> {
    let uri = request.uri();
    let asked = if socketio::is_endpoint(uri.path()) {
        let plain = websocket::Ask::default();
        socketio::Ask::parse(uri).and_then(|ask| Ok((plain.accept(request.headers())?, Ask::Socketio(ask))))
    } else {
        websocket::Ask::parse(uri).and_then(|ask| Ok((ask.accept(request.headers())?, Ask::Websocket(ask))))
    };
    let (headers, ask) = match asked {
        Ok(asked) => asked,
        Err(wrong) => return Ok(page(StatusCode::BAD_REQUEST, TEXT, Payload::Whole((wrong + "\n").into()))),
    };
    // `reset` is a session's fault too, and comes after the handshake there.
    if let Some(Fault::Stall | Fault::StallBody) = fault {
        std::future::pending::<()>().await;
    }
    let on = hyper::upgrade::on(request);
    *line.upgrade.lock().unwrap_or_else(PoisonError::into_inner) = Some((on, ask));
    let mut response = Response::new(Payload::Whole(Bytes::new()));
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    *response.headers_mut() = headers;
    Ok(response)
}

async fn make(request: Request<Incoming>, what: Page, shared: &TargetState) -> Result<Response<Payload>, Broken> {
    Ok(match what {
        Page::Echo => return echo(request).await,
        Page::Metrics => page(StatusCode::OK, TEXT, Payload::Whole(shared.counts.text().into())),
        Page::Status(status) => {
            let status = StatusCode::from_u16(status).map_err(|_| Broken)?;
            page(status, JSON, Payload::Whole(format!("{{\"status\":{}}}", status.as_u16()).into()))
        }
        Page::Bytes(bytes) => page(StatusCode::OK, BYTES, Payload::long(bytes)),
        Page::Drip { bytes, every } => page(StatusCode::OK, BYTES, Payload::drip(bytes, every)),
        Page::Redirect(left) => {
            let to = if left > 1 { format!("/redirect/{}", left - 1) } else { "/".to_owned() };
            let mut response = page(StatusCode::FOUND, JSON, Payload::Whole(Bytes::new()));
            response.headers_mut().insert(LOCATION, HeaderValue::try_from(to).map_err(|_| Broken)?);
            response
        }
    })
}

async fn echo(request: Request<Incoming>) -> Result<Response<Payload>, Broken> {
    let (head, mut incoming) = request.into_parts();
    if incoming.is_end_stream() {
        let path = head.uri.path_and_query().map_or("*", |path| path.as_str());
        let mut body = String::with_capacity(path.len() + 32);
        body.push_str("{\"method\":\"");
        body.push_str(head.method.as_str());
        body.push_str("\",\"path\":\"");
        // Of what JSON wants escaped, a request line can only hold these two.
        for piece in path.split_inclusive(['"', '\\']) {
            match piece.strip_suffix(['"', '\\']) {
                Some(plain) => {
                    body.push_str(plain);
                    body.push('\\');
                    body.push_str(&piece[plain.len()..]);
                }
                None => body.push_str(piece),
            }
        }
        body.push_str("\"}");
        return Ok(page(StatusCode::OK, JSON, Payload::Whole(body.into())));
    }
    let kind = head.headers.get(CONTENT_TYPE).cloned().unwrap_or(BYTES);
    let mut first = Bytes::new();
    let mut all = BytesMut::new();
    while let Some(frame) = incoming.frame().await {
        // The client went away in the middle of its body.
        let Ok(data) = frame.map_err(|_| Broken)?.into_data() else { continue };
        if first.len() + all.len() + data.len() > MAX_ECHO {
            let wrong = format!("a body is echoed up to {MAX_ECHO} bytes\n");
            return Ok(page(StatusCode::PAYLOAD_TOO_LARGE, TEXT, Payload::Whole(wrong.into())));
        }
        if first.is_empty() && all.is_empty() {
            first = data;
        } else {
            all.extend_from_slice(&std::mem::take(&mut first));
            all.extend_from_slice(&data);
        }
    }
    let body = if all.is_empty() { first } else { all.freeze() };
    Ok(page(StatusCode::OK, kind, Payload::Whole(body)))
}

/// Lets go wrong what is to go wrong.
async fn spoil(mut response: Response<Payload>, fault: Option<Fault>, reset: &AtomicBool) -> Result<Response<Payload>, Broken> {
    let end = match fault {
        None => return Ok(response),
        Some(Fault::Reset) => {
            reset.store(true, Relaxed);
            return Err(Broken);
        }
        // Until the client goes away.
        Some(Fault::Stall) => std::future::pending().await,
        Some(Fault::Half) => End::Break { flushed: false },
        Some(Fault::StallBody) => End::Stall,
    };
    let body = std::mem::replace(response.body_mut(), Payload::Whole(Bytes::new()));
    *response.body_mut() = body.cut(end);
    Ok(response)
}

fn page(status: StatusCode, kind: HeaderValue, body: Payload) -> Response<Payload> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}
