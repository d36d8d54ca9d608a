//! Files: uploaded as they come, to disk, with their SHA-256; served whole or in part; removed.
//!
//! What is stored is one row and one file. The file is complete before its row is there, and its row is gone before it is.

use std::io::SeekFrom;
use std::time::{Duration, Instant};

use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::multipart::Field;
use axum::extract::{FromRequest, Multipart, Path, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::stream::try_unfold;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::fs::{self, File};
use tokio::io::{AsyncReadExt, AsyncSeekExt, AsyncWriteExt, BufWriter};

use crate::app::App;
use crate::error::ApiError;

const NEW_ID: &str = "SELECT gen_random_uuid()::text";
const STORE: &str = "INSERT INTO files (id, name, content_type, bytes, sha256) VALUES ($1::text::uuid, $2, $3, $4, $5)";
const ONE: &str = "SELECT id::text, content_type, bytes, sha256 FROM files WHERE id = $1::text::uuid";
const ALL: &str = "SELECT count(*), coalesce(sum(bytes), 0)::bigint FROM files";
const REMOVE: &str = "DELETE FROM files WHERE id = $1::text::uuid RETURNING id::text";

/// How much of a file is read at once.
const PIECE: usize = 64 * 1024;

/// A file that was received.
struct Received {
    name: String,
    content_type: String,
    bytes: u64,
    sha256: String,
}

/// `POST /api/files`: the one part with a file name is stored; 413 before anything is read if the request is too long.
/// The answer says how long it took from the last byte on, also as `server-timing`.
pub async fn upload(State(app): State<App>, request: Request) -> Result<Response, ApiError> {
    let limit = app.config.upload_limit;
    let length = request.headers().get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if length.is_some_and(|length| length > limit) {
        return Err(ApiError::TooLarge(limit));
    }
    let mut parts = Multipart::from_request(request, &app).await.map_err(|error| ApiError::BadRequest(error.body_text()))?;
    let id: String = app.database().await?.query_one(NEW_ID, &[]).await?.get(0);
    let path = app.files.path(&id);
    let received = receive(&mut parts, &path, limit).await;
    let complete = Instant::now();
    let stored = match received {
        Ok(received) => store(&app, &id, received, complete).await,
        Err(error) => Err(error),
    };
    if stored.is_err() {
        // Half a file, or one without a row: gone with the request.
        let _ = fs::remove_file(&path).await;
    }
    stored
}

/// Reads all parts; the one with a file name goes to `path`.
async fn receive(parts: &mut Multipart, path: &std::path::Path, limit: u64) -> Result<Received, ApiError> {
    let mut received = None;
    while let Some(mut field) = parts.next_field().await.map_err(|error| ApiError::BadRequest(error.body_text()))? {
        let Some(name) = field.file_name().map(str::to_owned) else { continue };
        if received.is_some() {
            return Err(ApiError::BadRequest("one file a request".to_owned()));
        }
        let content_type = field.content_type().unwrap_or("application/octet-stream").to_owned();
        let (bytes, sha256) = write(&mut field, path, limit).await?;
        received = Some(Received { name, content_type, bytes, sha256 });
    }
    received.ok_or_else(|| ApiError::BadRequest("a part with a file name is wanted".to_owned()))
}

async fn write(field: &mut Field<'_>, path: &std::path::Path, limit: u64) -> Result<(u64, String), ApiError> {
    let mut file = BufWriter::with_capacity(PIECE, File::create(path).await?);
    let mut digest = Sha256::new();
    let mut bytes = 0u64;
    while let Some(chunk) = field.chunk().await.map_err(|error| ApiError::BadRequest(error.body_text()))? {
        bytes += chunk.len() as u64;
        if bytes > limit {
            return Err(ApiError::TooLarge(limit));
        }
        digest.update(&chunk);
        file.write_all(&chunk).await?;
    }
    file.flush().await?;
    let sha256 = digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    Ok((bytes, sha256))
}

async fn store(app: &App, id: &str, received: Received, complete: Instant) -> Result<Response, ApiError> {
    let Received { name, content_type, bytes, sha256 } = received;
    tokio::time::sleep(app.config.upload_delay).await;
    let database = app.database().await?;
    let statement = database.prepare_cached(STORE).await?;
    let length = i64::try_from(bytes).unwrap_or(i64::MAX);
    database.execute(&statement, &[&id, &name, &content_type, &length, &sha256]).await?;
    app.metrics.uploaded_bytes.inc_by(bytes);
    let took: Duration = complete.elapsed();
    let body = json!({
        "id": id, "name": name, "bytes": bytes, "sha256": sha256, "processing_seconds": took.as_secs_f64(),
    });
    let mut response = (StatusCode::CREATED, Json(body)).into_response();
    if let Ok(value) = HeaderValue::try_from(format!("processing;dur={:.3}", took.as_secs_f64() * 1e3)) {
        response.headers_mut().insert("server-timing", value);
    }
    Ok(response)
}

/// `GET /api/files`: how many there are, and their bytes together.
pub async fn all(State(app): State<App>) -> Result<Json<Value>, ApiError> {
    let row = app.database().await?.query_one(ALL, &[]).await?;
    Ok(Json(json!({"count": row.get::<_, i64>(0), "bytes": row.get::<_, i64>(1)})))
}

/// `GET /api/files/{id}`: all of it, or the one range that is asked for.
pub async fn one(State(app): State<App>, Path(id): Path<String>, headers: HeaderMap) -> Result<Response, ApiError> {
    let database = app.database().await?;
    let statement = database.prepare_cached(ONE).await?;
    let row = database.query_opt(&statement, &[&id]).await?.ok_or(ApiError::NotFound("file"))?;
    let (id, content_type, length): (String, String, i64) = (row.get(0), row.get(1), row.get(2));
    let sha256: String = row.get(3);
    drop(database);
    let length = length.unsigned_abs();
    let wanted = headers.get(header::RANGE).and_then(|value| value.to_str().ok());
    let range = wanted.and_then(|text| range(text, length));
    let (status, from, to) = match range {
        None => (StatusCode::OK, 0, length),
        Some(Some((from, to))) => (StatusCode::PARTIAL_CONTENT, from, to),
        Some(None) => return Err(ApiError::Range(length)),
    };
    let mut file = File::open(app.files.path(&id)).await?;
    file.seek(SeekFrom::Start(from)).await?;
    app.metrics.downloaded_bytes.inc_by(to - from);
    let mut response = Response::builder()
        .status(status)
        .header(header::CONTENT_TYPE, content_type)
        .header(header::CONTENT_LENGTH, to - from)
        .header(header::ACCEPT_RANGES, "bytes")
        .header(header::ETAG, format!("\"{sha256}\""));
    if status == StatusCode::PARTIAL_CONTENT {
        response = response.header(header::CONTENT_RANGE, format!("bytes {from}-{}/{length}", to - 1));
    }
    let body = Body::from_stream(try_unfold((file, to - from), |(mut file, left)| async move {
        let mut piece = vec![0; usize::try_from(left).unwrap_or(PIECE).min(PIECE)];
        let n = file.read(&mut piece).await?;
        piece.truncate(n);
        Ok::<_, std::io::Error>((n > 0).then(|| (Bytes::from(piece), (file, left - n as u64))))
    }));
    // Only what was uploaded as a content type could be one that headers cannot carry, and it came in a header.
    response.body(body).map_err(|error| ApiError::BadRequest(error.to_string()))
}

/// The first byte and the one after the last; nothing in the inner option where no byte is there. Other units and several
/// ranges are answered with the whole, as RFC 9110 allows.
pub fn range(text: &str, length: u64) -> Option<Option<(u64, u64)>> {
    let (first, last) = text.strip_prefix("bytes=")?.split_once('-')?;
    let number = |text: &str| text.trim().parse::<u64>().ok();
    let (from, to) = match (first.trim(), last.trim()) {
        ("", last) => (length.saturating_sub(number(last)?), length),
        (first, "") => (number(first)?, length),
        (first, last) => (number(first)?, number(last)?.saturating_add(1).min(length)),
    };
    Some((from < to).then_some((from, to)))
}

/// `DELETE /api/files/{id}`
pub async fn remove(State(app): State<App>, Path(id): Path<String>) -> Result<StatusCode, ApiError> {
    let database = app.database().await?;
    let statement = database.prepare_cached(REMOVE).await?;
    let row = database.query_opt(&statement, &[&id]).await?.ok_or(ApiError::NotFound("file"))?;
    fs::remove_file(app.files.path(row.get(0))).await?;
    Ok(StatusCode::NO_CONTENT)
}

#[cfg(test)]
mod tests {
    use super::range;

    #[test]
    fn ranges_are_cut_to_what_is_there() {
        assert_eq!(range("bytes=0-9", 100), Some(Some((0, 10))));
        assert_eq!(range("bytes=90-", 100), Some(Some((90, 100))));
        assert_eq!(range("bytes=-5", 100), Some(Some((95, 100))));
        assert_eq!(range("bytes=-500", 100), Some(Some((0, 100))));
        assert_eq!(range("bytes=50-5000", 100), Some(Some((50, 100))));
        for nothing in ["bytes=100-", "bytes=-0", "bytes=9-3"] {
            assert_eq!(range(nothing, 100), Some(None), "{nothing}");
        }
        for other in ["items=0-9", "bytes=0-1,5-6", "bytes=x-"] {
            assert_eq!(range(other, 100), None, "{other}");
        }
    }
}
