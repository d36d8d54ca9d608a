//! Channels of chat: made and removed, with all that was said in them.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::app::App;
use crate::error::ApiError;

const CREATE: &str = "INSERT INTO channels (name) VALUES ($1) RETURNING id";
const ALL: &str = "
SELECT (SELECT count(*) FROM channels),
       (SELECT coalesce(json_agg(json_build_object('id', id, 'name', name)), '[]')::text
        FROM (SELECT id, name FROM channels ORDER BY id DESC LIMIT 50) newest)";
const ONE: &str = "SELECT name, (SELECT count(*) FROM messages WHERE channel_id = $1) FROM channels WHERE id = $1";
const REMOVE: &str = "DELETE FROM channels WHERE id = $1";

/// The body of a new channel.
#[derive(Deserialize)]
pub struct Channel {
    name: String,
}

/// `POST /api/channels`
pub async fn create(State(app): State<App>, Json(channel): Json<Channel>) -> Result<(StatusCode, Json<Value>), ApiError> {
    if channel.name.is_empty() || channel.name.len() > 100 {
        return Err(ApiError::BadRequest("name wants 1 to 100 bytes".to_owned()));
    }
    let database = app.database().await?;
    let statement = database.prepare_cached(CREATE).await?;
    let id: i64 = database.query_one(&statement, &[&channel.name]).await?.get(0);
    Ok((StatusCode::CREATED, Json(json!({"id": id, "name": channel.name}))))
}

/// `GET /api/channels`: how many there are, and the newest 50.
pub async fn all(State(app): State<App>) -> Result<Json<Value>, ApiError> {
    let database = app.database().await?;
    let statement = database.prepare_cached(ALL).await?;
    let row = database.query_one(&statement, &[]).await?;
    let items: Value = serde_json::from_str(row.get(1))?;
    Ok(Json(json!({"count": row.get::<_, i64>(0), "items": items})))
}

/// `GET /api/channels/{id}`: its name, and how many messages it has, counted afresh.
pub async fn one(State(app): State<App>, Path(id): Path<i64>) -> Result<Json<Value>, ApiError> {
    let database = app.database().await?;
    let statement = database.prepare_cached(ONE).await?;
    let row = database.query_opt(&statement, &[&id]).await?.ok_or(ApiError::NotFound("channel"))?;
    Ok(Json(json!({"id": id, "name": row.get::<_, &str>(0), "messages": row.get::<_, i64>(1)})))
}

/// `DELETE /api/channels/{id}`
pub async fn remove(State(app): State<App>, Path(id): Path<i64>) -> Result<StatusCode, ApiError> {
    let database = app.database().await?;
    let statement = database.prepare_cached(REMOVE).await?;
    match database.execute(&statement, &[&id]).await? {
        0 => Err(ApiError::NotFound("channel")),
        _ => Ok(StatusCode::NO_CONTENT),
    }
}
