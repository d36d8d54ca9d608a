//! The handshake: a request that asks for the upgrade, and whether the answer is one.
//!
//! Redirects are not followed: a server that sends one is not where the profile says it is.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use bytes::Bytes;
use http::header::{
    CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_EXTENSIONS, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION,
    UPGRADE,
};
use http::{HeaderMap, HeaderName, HeaderValue, Request, StatusCode};
use http_body_util::Empty;
use hyper_util::rt::TokioIo;
use tokio_tungstenite::tungstenite::handshake::{client::generate_key, derive_accept_key};

use super::PreparedConnect;
use super::connection::Connection;
use crate::base::Reason;
use crate::net::Stream;
use crate::protocol::http::{Cookies, Failure, Stage, http1_client};
use crate::protocol::opening::{Attempt, OpenError, Opening};
use crate::protocol::site::Visit;

/// The longest head of an answer, in bytes.
const MAX_HEAD: usize = 64 * 1024;

/// Dials and shakes hands.
pub(super) async fn open(prepared: PreparedConnect, cookies: Option<&mut Cookies>) -> Attempt<Box<Connection>> {
    let limit = prepared.timeout;
    let mut opening = Opening::new();
    let result = tokio::time::timeout(limit, connect(prepared, cookies, &mut opening)).await;
    let result = result.unwrap_or_else(|_| Err(opening.timed_out(limit)));
    opening.finish(result.map(Box::new))
}

/// The same, for whoever has more to do before the connection is open.
pub(in crate::protocol) async fn connect(
    mut prepared: PreparedConnect,
    mut cookies: Option<&mut Cookies>,
    opening: &mut Opening,
) -> Result<Connection, OpenError> {
    let key = generate_key();
    prepared.visit.add_cookies(cookies.as_deref_mut());
    let request = request(&prepared, &key)?;
    let stream = opening.dial(&prepared.visit.endpoint).await?;
    let meter = Arc::clone(stream.meter());
    opening.shake("WebSocket");
    let (stream, rest) = upgrade(stream, request, opening, &mut |answer| {
        prepared.visit.keep_cookies(answer, cookies.as_deref_mut());
    })
    .await?;
    verify(opening.status, &opening.headers, &key, &prepared.subprotocols)?;
    let connection = Connection::new(stream, rest, meter, &prepared).await;
    opening.shaken();
    Ok(connection)
}

fn request(prepared: &PreparedConnect, key: &str) -> Result<Request<Empty<Bytes>>, OpenError> {
    let Visit { address, headers, .. } = &prepared.visit;
    let mut request = Request::new(Empty::new());
    *request.uri_mut() = address.path.clone().into();
    *request.headers_mut() = headers.clone();
    let headers = request.headers_mut();
    let value = |name: HeaderName, text: &str| {
        HeaderValue::from_str(text)
            .map_err(|_| OpenError::new(Reason::Other, format!("`{name}` has a character that headers cannot carry")))
    };
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
    headers.insert(SEC_WEBSOCKET_KEY, value(SEC_WEBSOCKET_KEY, key)?);
    if !prepared.subprotocols.is_empty() {
        headers.insert(SEC_WEBSOCKET_PROTOCOL, value(SEC_WEBSOCKET_PROTOCOL, &prepared.subprotocols.join(", "))?);
    }
    Ok(request)
}

/// Sends the request and reads the head of the answer; gives back the stream, with what came behind that head.
async fn upgrade(
    stream: Stream,
    request: Request<Empty<Bytes>>,
    opening: &mut Opening,
    answered: &mut (dyn FnMut(&HeaderMap) + Send),
) -> Result<(Stream, Bytes), OpenError> {
    let unusable = |error: hyper::Error| OpenError::new(Reason::Other, format!("the connection cannot be used: {error}"));
    let meter = Arc::clone(stream.meter());
    let (mut sender, mut connection) =
        http1_client().max_buf_size(MAX_HEAD).handshake(TokioIo::new(stream)).await.map_err(unusable)?;
    let mut over = None;
    let answer = {
        let mut response = pin!(sender.send_request(request));
        poll_fn(|cx| {
            if over.is_none()
                && let Poll::Ready(result) = connection.poll_without_shutdown(cx)
            {
                over = Some(result);
            }
            response.as_mut().poll(cx)
        })
        .await
    };
    let failed = |error: &hyper::Error| {
        let failure = Failure::of(error, Stage::of_head(&meter));
        OpenError::new(failure.reason, failure.detail)
    };
    let answer = match (answer, &over) {
        (Ok(answer), _) => answer,
        // The connection's own error says more than that of the request that waited for it.
        (Err(_), Some(Err(error))) => return Err(failed(error)),
        (Err(error), _) => return Err(failed(&error)),
    };
    let (head, _) = answer.into_parts();
    answered(&head.headers);
    opening.status = head.status.as_u16();
    opening.headers = head.headers;
    if head.status != StatusCode::SWITCHING_PROTOCOLS {
        let status = head.status.as_u16();
        return Err(OpenError::new(Reason::Status, format!("the server answered the handshake with {status} instead of 101")));
    }
    if over.is_none() {
        poll_fn(|cx| connection.poll_without_shutdown(cx)).await.map_err(|error| failed(&error))?;
    }
    let parts = connection.into_parts();
    Ok((parts.io.into_inner(), parts.read_buf))
}

/// Whether an answer of 101 is the answer to this request.
fn verify(status: u16, headers: &HeaderMap, key: &str, subprotocols: &[String]) -> Result<(), OpenError> {
    debug_assert_eq!(status, 101);
    let broken = |detail: String| Err(OpenError::new(Reason::Protocol, detail));
    if !has_token(headers, &UPGRADE, "websocket") {
        return broken("the server's 101 lacks the header `upgrade: websocket`".into());
    }
    if !has_token(headers, &CONNECTION, "upgrade") {
        return broken("the server's 101 lacks the header `connection: upgrade`".into());
    }
    if headers.get(SEC_WEBSOCKET_ACCEPT).is_none_or(|accept| accept.as_bytes() != derive_accept_key(key.as_bytes()).as_bytes()) {
        return broken(
            "`sec-websocket-accept` in the server's 101 is missing or not what follows from the key that was sent".into(),
        );
    }
    if headers.contains_key(SEC_WEBSOCKET_EXTENSIONS) {
        return broken("the server chose an extension, and none was offered".into());
    }
    match headers.get(SEC_WEBSOCKET_PROTOCOL) {
        None if subprotocols.is_empty() => Ok(()),
        None => broken("the server chose none of the subprotocols that were offered".into()),
        Some(chosen) if subprotocols.iter().any(|offered| offered.as_bytes() == chosen.as_bytes()) => Ok(()),
        Some(_) => broken("the server chose a subprotocol that was not offered".into()),
    }
}

/// Whether a header whose values are lists of tokens holds this one.
fn has_token(headers: &HeaderMap, name: &HeaderName, token: &str) -> bool {
    headers
        .get_all(name)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|part| part.trim().eq_ignore_ascii_case(token))
}
