//! Who is there, what they say of themselves, and what they are notified of.

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use super::accounts::Session;
use crate::app::App;
use crate::error::ApiError;

const FIND: &str = "
SELECT coalesce(json_agg(t), '[]')::text
FROM (SELECT id, name FROM accounts WHERE starts_with(name, $1) ORDER BY name LIMIT 20) t";

const ONE: &str = "SELECT json_build_object('id', id, 'name', name, 'status', status)::text FROM accounts WHERE id = $1";

const SET_STATUS: &str = "UPDATE accounts SET status = $2 WHERE id = $1";

const UNREAD: &str = "
SELECT (SELECT count(*) FROM notifications WHERE account_id = $1 AND read_at IS NULL),
       (SELECT coalesce(json_agg(t), '[]')::text
        FROM (SELECT id, message_id AS message FROM notifications WHERE account_id = $1 AND read_at IS NULL
              ORDER BY id DESC LIMIT 20) t)";

const READ: &str = "UPDATE notifications SET read_at = now() WHERE account_id = $1 AND read_at IS NULL";

/// `?query=`
#[derive(Deserialize)]
pub struct Find {
    query: String,
}

/// The body of `PUT /api/me`.
#[derive(Deserialize)]
pub struct Status {
    status: String,
}

/// `GET /api/users?query=`: those whose names begin so.
pub async fn find(State(app): State<App>, _: Session, Query(find): Query<Find>) -> Result<Json<Value>, ApiError> {
    if find.query.is_empty() || find.query.len() > 100 {
        return Err(ApiError::BadRequest("query wants 1 to 100 bytes".to_owned()));
    }
    let database = app.database().await?;
    let statement = database.prepare_cached(FIND).await?;
    let items: Value = serde_json::from_str(database.query_one(&statement, &[&find.query]).await?.get(0))?;
    Ok(Json(json!({"items": items})))
}

/// `GET /api/users/{id}`
pub async fn one(State(app): State<App>, _: Session, Path(id): Path<i64>) -> Result<Json<Value>, ApiError> {
    let database = app.database().await?;
    let statement = database.prepare_cached(ONE).await?;
    let row = database.query_opt(&statement, &[&id]).await?.ok_or(ApiError::NotFound("user"))?;
    Ok(Json(serde_json::from_str(row.get(0))?))
}

/// `PUT /api/me`
pub async fn set_status(State(app): State<App>, session: Session, Json(status): Json<Status>) -> Result<StatusCode, ApiError> {
    if status.status.len() > 100 {
        return Err(ApiError::BadRequest("status wants at most 100 bytes".to_owned()));
    }
    let database = app.database().await?;
    let statement = database.prepare_cached(SET_STATUS).await?;
    database.execute(&statement, &[&session.account, &status.status]).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `GET /api/notifications`: how many are unread, and the newest 20 of them.
pub async fn notifications(State(app): State<App>, session: Session) -> Result<Json<Value>, ApiError> {
    let database = app.database().await?;
    let statement = database.prepare_cached(UNREAD).await?;
    let row = database.query_one(&statement, &[&session.account]).await?;
    let items: Value = serde_json::from_str(row.get(1))?;
    Ok(Json(json!({"unread": row.get::<_, i64>(0), "items": items})))
}

/// `POST /api/notifications/read`: all of them; `read` says how many that were.
pub async fn read(State(app): State<App>, session: Session) -> Result<Json<Value>, ApiError> {
    let database = app.database().await?;
    let statement = database.prepare_cached(READ).await?;
    let read = database.execute(&statement, &[&session.account]).await?;
    Ok(Json(json!({"read": read})))
}
