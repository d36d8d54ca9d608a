//! Messages of chat, of four kinds. Who is mentioned is notified in the same statement that stores the message.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use super::accounts::Session;
use crate::app::App;
use crate::error::ApiError;

/// What a message can be; the label `kind` on `/metrics`.
pub const KINDS: [&str; 4] = ["text", "mention", "file", "code"];

const SEND: &str = "
WITH message AS (
    INSERT INTO messages (channel_id, author_id, kind, text, extra) SELECT id, $2, $3, $4, $5::text::jsonb FROM channels WHERE id = $1
    RETURNING id
), notified AS (
    INSERT INTO notifications (account_id, message_id) SELECT accounts.id, message.id FROM message, accounts WHERE accounts.name = $6
)
SELECT id FROM message";

const ONE: &str = "
SELECT json_build_object('id', id, 'channel', channel_id, 'author', author_id, 'kind', kind, 'text', text, 'extra', extra)::text
FROM messages WHERE id = $1";

const LATEST: &str = "
SELECT coalesce(json_agg(t), '[]')::text
FROM (SELECT id, author_id AS author, kind, text FROM messages WHERE channel_id = $1 ORDER BY id DESC LIMIT 20) t";

const ALL: &str = "SELECT count(*) FROM messages";

/// The body of a message: a text, and what its kind wants beside it.
#[derive(Deserialize)]
pub struct Message {
    kind: String,
    text: String,
    /// The name of an account.
    mention: Option<String>,
    /// Of a file its name and bytes, of code its language.
    extra: Option<Value>,
}

/// `POST /api/channels/{id}/messages`
pub async fn send(
    State(app): State<App>,
    session: Session,
    Path(channel): Path<i64>,
    Json(message): Json<Message>,
) -> Result<(StatusCode, Json<Value>), ApiError> {
    let Message { kind, text, mention, extra } = message;
    let wants_extra = matches!(&*kind, "file" | "code");
    if !KINDS.contains(&&*kind) || mention.is_some() != (kind == "mention") || extra.is_some() != wants_extra {
        return Err(ApiError::BadRequest("kind wants text, mention (with mention), file or code (with extra)".to_owned()));
    }
    if text.is_empty() || text.len() > 10_000 {
        return Err(ApiError::BadRequest("text wants 1 to 10000 bytes".to_owned()));
    }
    let extra = extra.map(|extra| extra.to_string());
    let database = app.database().await?;
    let statement = database.prepare_cached(SEND).await?;
    let row = database.query_opt(&statement, &[&channel, &session.account, &kind, &text, &extra, &mention]).await?;
    let id: i64 = row.ok_or(ApiError::NotFound("channel"))?.get(0);
    app.metrics.messages.with_label_values(&[&*kind]).inc();
    Ok((StatusCode::CREATED, Json(json!({"id": id, "channel": channel, "kind": kind, "text": text}))))
}

/// `GET /api/channels/{id}/messages`: the latest 20.
pub async fn latest(State(app): State<App>, _: Session, Path(channel): Path<i64>) -> Result<Json<Value>, ApiError> {
    let database = app.database().await?;
    let statement = database.prepare_cached(LATEST).await?;
    let items: Value = serde_json::from_str(database.query_one(&statement, &[&channel]).await?.get(0))?;
    Ok(Json(json!({"items": items})))
}

/// `GET /api/messages/{id}`
pub async fn one(State(app): State<App>, _: Session, Path(id): Path<i64>) -> Result<Json<Value>, ApiError> {
    let database = app.database().await?;
    let statement = database.prepare_cached(ONE).await?;
    let row = database.query_opt(&statement, &[&id]).await?.ok_or(ApiError::NotFound("message"))?;
    Ok(Json(serde_json::from_str(row.get(0))?))
}

/// `GET /api/messages`: how many there are in all channels together, counted afresh.
pub async fn all(State(app): State<App>) -> Result<Json<Value>, ApiError> {
    let count: i64 = app.database().await?.query_one(ALL, &[]).await?.get(0);
    Ok(Json(json!({"count": count})))
}
