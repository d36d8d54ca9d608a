//! Reading through Redis: an answer is looked up there, and made from PostgreSQL and kept there for a while if absent.

use std::future::Future;
use std::time::Duration;

use axum::http::{HeaderName, HeaderValue, header};
use axum::response::{IntoResponse, Response};

use crate::app::App;
use crate::error::ApiError;

/// Where an answer came from; the header `x-cache` says it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Origin {
    /// From Redis.
    Hit,
    /// From PostgreSQL, and kept in Redis.
    Miss,
    /// From PostgreSQL, since the client wanted it so.
    Bypass,
}

/// An answer as JSON text, with its origin.
pub struct Answer {
    body: String,
    origin: Origin,
}

/// The names of all caches.
pub const CACHES: [&str; 6] = ["manga", "streamers", "live", "config", "topics", "mentors"];

/// What is read, and for how long it is kept.
pub struct Entry<'a> {
    /// The cache's name on `/metrics`, one of [`CACHES`] unless it is bypassed.
    pub name: &'static str,
    /// The key within this cache.
    pub key: &'a str,
    /// How long it is kept.
    pub ttl: Duration,
    /// Don't look and don't keep.
    pub bypass: bool,
}

/// The answer of `entry`; `load` is only awaited when it isn't in Redis.
pub async fn read_through(
    app: &App,
    entry: Entry<'_>,
    load: impl Future<Output = Result<String, ApiError>> + Send,
) -> Result<Answer, ApiError> {
    if entry.bypass {
        return Ok(Answer { body: load.await?, origin: Origin::Bypass });
    }
    let key = format!("cache:{}:{}", entry.name, entry.key);
    let mut redis = app.redis();
    let found: Option<String> = redis::cmd("GET").arg(&key).query_async(&mut redis).await?;
    app.metrics.cache(entry.name, found.is_some());
    if let Some(body) = found {
        return Ok(Answer { body, origin: Origin::Hit });
    }
    let body = load.await?;
    let lifetime = u64::try_from(entry.ttl.as_millis()).unwrap_or(u64::MAX).max(1);
    redis::cmd("SET").arg(&key).arg(&body).arg("PX").arg(lifetime).query_async::<()>(&mut redis).await?;
    Ok(Answer { body, origin: Origin::Miss })
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        let origin = match self.origin {
            Origin::Hit => "hit",
            Origin::Miss => "miss",
            Origin::Bypass => "bypass",
        };
        let headers = [
            (header::CONTENT_TYPE, HeaderValue::from_static("application/json")),
            (HeaderName::from_static("x-cache"), HeaderValue::from_static(origin)),
        ];
        (headers, self.body).into_response()
    }
}
