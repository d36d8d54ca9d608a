//! What a client gets when something fails: a status and `{"error": …}`.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use deadpool_postgres::PoolError;
use serde_json::json;
use tokio_postgres::error::SqlState;

/// Why a request was not served.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// The request is wrong: 400.
    #[error("{0}")]
    BadRequest(String),
    /// No session, or none that is still alive: 401.
    #[error("authorization: Bearer token wanted; POST /api/login gives one")]
    Unauthorized,
    /// The webhook's secret is wrong: 403.
    #[error("x-webhook-secret is missing or wrong")]
    Forbidden,
    /// The webhook isn't signed as it should be: 400.
    #[error("stripe-signature: {0}")]
    Signature(&'static str),
    /// A call would cost a token, and there is none: 402.
    #[error("there is no token left; POST /webhooks/stripe credits some")]
    NoTokens,
    /// There is no such thing: 404.
    #[error("there is no such {0}")]
    NotFound(&'static str),
    /// Somebody else has it, or it is done already: 409.
    #[error("{0}")]
    Conflict(&'static str),
    /// The upload is longer than `UPLOAD_LIMIT`: 413.
    #[error("an upload has at most {0} bytes")]
    TooLarge(u64),
    /// No byte of the range is there: 416.
    #[error("the file has {0} bytes")]
    Range(u64),
    /// A file could not be written or read: 500.
    #[error("the disk failed: {0}")]
    Disk(#[from] std::io::Error),
    /// The idempotency key was used for something else: 422.
    #[error("this idempotency key was used with another body")]
    KeyReused,
    /// Too many requests from this client: 429.
    #[error("too many votes from this client")]
    Limited,
    /// All connections to PostgreSQL are busy, or none can be made: 503.
    #[error("the database has no connection free: {0}")]
    Pool(#[from] PoolError),
    /// PostgreSQL failed: 500.
    #[error("the database failed: {0}")]
    Database(tokio_postgres::Error),
    /// Redis failed: 500.
    #[error("redis failed: {0}")]
    Redis(#[from] redis::RedisError),
    /// An answer could not be written as JSON, or one in the cache could not be read: 500.
    #[error("json: {0}")]
    Json(#[from] serde_json::Error),
    /// Asked for by `ERROR_RATE` or `LOSE_ANSWERS`: 500.
    #[error("failed on demand")]
    OnDemand,
}

impl From<tokio_postgres::Error> for ApiError {
    fn from(error: tokio_postgres::Error) -> Self {
        // A value that the column's type can't hold is the client's mistake.
        match error.code() {
            Some(code) if *code == SqlState::INVALID_TEXT_REPRESENTATION => Self::BadRequest("an id is malformed".to_owned()),
            _ => Self::Database(error),
        }
    }
}

impl ApiError {
    /// The status that this error is answered with.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::BadRequest(_) | Self::Signature(_) => StatusCode::BAD_REQUEST,
            Self::NoTokens => StatusCode::PAYMENT_REQUIRED,
            Self::Unauthorized => StatusCode::UNAUTHORIZED,
            Self::Forbidden => StatusCode::FORBIDDEN,
            Self::NotFound(_) => StatusCode::NOT_FOUND,
            Self::Conflict(_) => StatusCode::CONFLICT,
            Self::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Range(_) => StatusCode::RANGE_NOT_SATISFIABLE,
            Self::KeyReused => StatusCode::UNPROCESSABLE_ENTITY,
            Self::Limited => StatusCode::TOO_MANY_REQUESTS,
            Self::Pool(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Database(_) | Self::Redis(_) | Self::Json(_) | Self::Disk(_) | Self::OnDemand => {
                StatusCode::INTERNAL_SERVER_ERROR
            }
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut response = (self.status(), Json(json!({"error": self.to_string()}))).into_response();
        match self {
            Self::Limited => {
                response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
            }
            Self::Range(length) => {
                if let Ok(value) = HeaderValue::try_from(format!("bytes */{length}")) {
                    response.headers_mut().insert(header::CONTENT_RANGE, value);
                }
            }
            _ => {}
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_limiter_says_when_to_come_back() {
        let response = ApiError::Limited.into_response();
        assert_eq!(response.status(), StatusCode::TOO_MANY_REQUESTS);
        assert_eq!(response.headers()["retry-after"], "1");
        assert!(!ApiError::Unauthorized.into_response().headers().contains_key("retry-after"));
    }
}
