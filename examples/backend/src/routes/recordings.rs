//! Recordings of lessons: what they are, and their media, whole or in ranges, as players ask for them.
//!
//! The media is made as it is sent, a function of the recording and the position, so that nothing has to lie on a disk and every range
//! of it is the same each time.

use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::Response;
use futures_util::stream::unfold;
use serde_json::{Value, json};

use super::accounts::Session;
use super::files::range;
use crate::app::App;
use crate::error::ApiError;

const ONE: &str = "SELECT mentor_id, title, bytes FROM recordings WHERE id = $1";

/// How much is made at once.
const PIECE: u64 = 64 * 1024;

/// `GET /api/recordings/{id}`
pub async fn one(State(app): State<App>, _: Session, Path(id): Path<i64>) -> Result<Json<Value>, ApiError> {
    let database = app.database().await?;
    let statement = database.prepare_cached(ONE).await?;
    let row = database.query_opt(&statement, &[&id]).await?.ok_or(ApiError::NotFound("recording"))?;
    let (mentor, title, bytes): (i64, &str, i64) = (row.get(0), row.get(1), row.get(2));
    Ok(Json(json!({"id": id, "mentor": mentor, "title": title, "bytes": bytes})))
}

/// `GET /api/recordings/{id}/media`: all of it, or the one range that is asked for.
pub async fn media(State(app): State<App>, _: Session, Path(id): Path<i64>, headers: HeaderMap) -> Result<Response, ApiError> {
    let database = app.database().await?;
    let statement = database.prepare_cached(ONE).await?;
    let row = database.query_opt(&statement, &[&id]).await?.ok_or(ApiError::NotFound("recording"))?;
    let length = row.get::<_, i64>(2).unsigned_abs();
    drop(database);
    let wanted = headers.get(header::RANGE).and_then(|value| value.to_str().ok()).and_then(|text| range(text, length));
    let (status, from, to) = match wanted {
        None => (StatusCode::OK, 0, length),
        Some(Some((from, to))) => (StatusCode::PARTIAL_CONTENT, from, to),
        Some(None) => return Err(ApiError::Range(length)),
    };
    app.metrics.downloaded_bytes.inc_by(to - from);
    let mut response = Response::builder()
        .status(status)
        .header(header::CONTENT_TYPE, "video/mp4")
        .header(header::CONTENT_LENGTH, to - from)
        .header(header::ACCEPT_RANGES, "bytes")
        .header(header::ETAG, format!("\"recording-{id}\""));
    if status == StatusCode::PARTIAL_CONTENT {
        response = response.header(header::CONTENT_RANGE, format!("bytes {from}-{}/{length}", to - 1));
    }
    let body = Body::from_stream(unfold(from, move |at| async move {
        let end = (at + PIECE).min(to);
        (at < to).then(|| (Ok::<_, std::io::Error>(piece(id.unsigned_abs(), at, end)), end))
    }));
    response.body(body).map_err(|error| ApiError::BadRequest(error.to_string()))
}

/// The bytes from `at` to `end`: eight at a time are a number that their place and the recording make.
fn piece(id: u64, at: u64, end: u64) -> Bytes {
    let word = |place: u64| (place.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ id.wrapping_mul(0xd6e8_feb8_6659_fd93)).to_le_bytes();
    let bytes = (at / 8..end.div_ceil(8)).flat_map(word).skip((at % 8) as usize).take((end - at) as usize);
    bytes.collect::<Vec<u8>>().into()
}

#[cfg(test)]
mod tests {
    use super::piece;

    #[test]
    fn a_range_is_a_part_of_the_whole() {
        let whole = piece(7, 0, 100_000);
        assert_eq!(whole.len(), 100_000);
        for (at, end) in [(0, 1), (3, 5), (8, 16), (99_991, 100_000), (12_345, 77_777)] {
            assert_eq!(piece(7, at, end), whole.slice(at as usize..end as usize), "{at}..{end}");
        }
        assert_ne!(piece(8, 0, 100), whole.slice(0..100));
    }
}
