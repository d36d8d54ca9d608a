//! HTTP long polling, as far as a handshake needs it: one connection, one request after the other.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Method, Request};
use http_body_util::Full;
use hyper::body::{Body as _, Incoming};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;

use crate::base::Reason;
use crate::net::{Meter, Stream};
use crate::protocol::http::{Cookies, Failure, Stage};
use crate::protocol::opening::{OpenError, Opening};
use crate::protocol::site::Visit;

/// What stands between packets in a body.
const SEPARATOR: char = '\u{1e}';

/// A connection for polling.
pub(super) struct Poller<'c> {
    sender: http1::SendRequest<Full<Bytes>>,
    connection: http1::Connection<TokioIo<Stream>, Full<Bytes>>,
    meter: Arc<Meter>,
    visit: Visit,
    cookies: Option<&'c mut Cookies>,
    longest: usize,
    /// Whether the connection is over.
    over: bool,
}

impl<'c> Poller<'c> {
    pub async fn dial(
        visit: Visit,
        cookies: Option<&'c mut Cookies>,
        longest: usize,
        opening: &mut Opening,
    ) -> Result<Self, OpenError> {
        let stream = opening.dial(&visit.endpoint).await?;
        opening.shake("Socket.IO");
        let meter = Arc::clone(stream.meter());
        let (sender, connection) = http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|error| OpenError::new(Reason::Other, format!("the connection cannot be used: {error}")))?;
        Ok(Self { sender, connection, meter, visit, cookies, longest, over: false })
    }

    /// From here on requests go there: the session has an id.
    pub fn visit(&mut self, visit: Visit) {
        self.visit = visit;
    }

    /// Polls: the first packet of the answer.
    pub async fn get(&mut self, opening: &mut Opening) -> Result<String, OpenError> {
        let body = self.request(Method::GET, Bytes::new(), opening).await?;
        let body = String::from_utf8(body.into())
            .map_err(|_| OpenError::new(Reason::Protocol, "the server answered the polling with what is not UTF-8"))?;
        Ok(body.split(SEPARATOR).next().unwrap_or_default().to_owned())
    }

    /// Sends a packet.
    pub async fn post(&mut self, packet: &str, opening: &mut Opening) -> Result<(), OpenError> {
        self.request(Method::POST, Bytes::copy_from_slice(packet.as_bytes()), opening).await.map(|_| ())
    }

    async fn request(&mut self, method: Method, body: Bytes, opening: &mut Opening) -> Result<Bytes, OpenError> {
        let mut visit = self.visit.clone();
        visit.add_cookies(self.cookies.as_deref_mut());
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = method.clone();
        *request.uri_mut() = visit.address.path.into();
        *request.headers_mut() = visit.headers;
        if method == Method::POST {
            request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain;charset=UTF-8"));
        }
        self.meter.restart();
        let meter = Arc::clone(&self.meter);
        let failed = |error: &hyper::Error, stage| {
            let Failure { reason, detail, .. } = Failure::of(error, stage);
            OpenError::new(reason, detail)
        };
        self.ready().await;
        let Self { sender, connection, over, .. } = self;
        let answer = {
            let mut response = pin!(sender.send_request(request));
            poll_fn(|cx| {
                drive(connection, over, cx);
                response.as_mut().poll(cx)
            })
            .await
        };
        let (head, mut body) = answer.map_err(|error| failed(&error, Stage::of_head(&meter)))?.into_parts();
        self.visit.keep_cookies(&head.headers, self.cookies.as_deref_mut());
        opening.status = head.status.as_u16();
        opening.headers = head.headers;
        let mut read = BytesMut::new();
        let longest = self.longest;
        let Self { connection, over, .. } = self;
        poll_fn(|cx| poll_body(&mut body, &mut read, longest, cx, |cx| drive(connection, over, cx)))
            .await
            .map_err(|error| error.map_or_else(|| too_long(longest), |error| failed(&error, Stage::Body)))?;
        if !head.status.is_success() {
            let status = head.status.as_u16();
            // {"code": 0, "message": "Transport unknown"}
            let said = serde_json::from_slice::<serde_json::Value>(&read).ok();
            let said = said.as_ref().and_then(|said| said.get("message")?.as_str()).unwrap_or_default();
            let said: String = said.chars().filter(|c| !c.is_control()).take(100).collect();
            let said = if said.is_empty() { said } else { format!(" ({said:?})") };
            return Err(OpenError::new(Reason::Status, format!("the server answered the polling with {status}{said}")));
        }
        Ok(read.freeze())
    }

    /// Waits until the last answer's end has been looked at. An error shows with the next request.
    async fn ready(&mut self) {
        let Self { sender, connection, over, .. } = self;
        let _ = poll_fn(|cx| {
            drive(connection, over, cx);
            sender.poll_ready(cx)
        })
        .await;
    }
}

fn drive(connection: &mut http1::Connection<TokioIo<Stream>, Full<Bytes>>, over: &mut bool, cx: &mut Context<'_>) {
    if !*over && Pin::new(connection).poll(cx).is_ready() {
        *over = true;
    }
}

fn too_long(longest: usize) -> OpenError {
    let detail = format!("the server answered the polling with more than `max_message`, which is {longest} bytes");
    OpenError::new(Reason::Protocol, detail)
}

/// Reads a body into `read`; an error without a cause is that it is too long.
fn poll_body(
    body: &mut Incoming,
    read: &mut BytesMut,
    longest: usize,
    cx: &mut Context<'_>,
    mut drive: impl FnMut(&mut Context<'_>),
) -> Poll<Result<(), Option<hyper::Error>>> {
    let mut driven = false;
    loop {
        match Pin::new(&mut *body).poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) => {
                let Ok(data) = frame.into_data() else { continue };
                if read.len() + data.len() > longest {
                    return Poll::Ready(Err(None));
                }
                read.extend_from_slice(&data);
                driven = false;
            }
            Poll::Ready(Some(Err(error))) => return Poll::Ready(Err(Some(error))),
            Poll::Ready(None) => return Poll::Ready(Ok(())),
            Poll::Pending if driven => return Poll::Pending,
            Poll::Pending => {
                drive(cx);
                driven = true;
            }
        }
    }
}
