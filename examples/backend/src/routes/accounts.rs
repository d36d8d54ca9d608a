//! Accounts in PostgreSQL, their sessions in Redis; the configuration that clients ask for at their start.

use std::time::Duration;

use axum::Json;
use axum::extract::{FromRequestParts, State};
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::app::App;
use crate::cache::{self, Answer, Entry};
use crate::error::ApiError;

/// How long a session lives after its login, in seconds.
const SESSION_SECONDS: u64 = 24 * 3600;

// An update that changes nothing, so that the row comes back in one round trip whether it was there or not.
const LOGIN: &str = "
INSERT INTO accounts (name) VALUES ($1) ON CONFLICT (name) DO UPDATE SET name = excluded.name
RETURNING id, replace(gen_random_uuid()::text, '-', '')";

// Nobody has bought anything yet, and may.
const ANONYMOUS: &str = "
WITH account AS (INSERT INTO accounts (name) VALUES ('anonymous-' || gen_random_uuid()) RETURNING id),
     balance AS (INSERT INTO balances (account_id) SELECT id FROM account)
SELECT id, replace(gen_random_uuid()::text, '-', '') FROM account";

const ME: &str =
    "SELECT json_build_object('id', id, 'name', name, 'stars', stars, 'status', status)::text FROM accounts WHERE id = $1";

const CONFIG: &str = "SELECT json_object_agg(name, value)::text FROM settings";

/// Whose request it is, by `authorization: Bearer …`.
pub struct Session {
    /// The account.
    pub account: i64,
}

impl FromRequestParts<App> for Session {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        let token = bearer(parts).ok_or(ApiError::Unauthorized)?;
        let account: Option<i64> = redis::cmd("GET").arg(session_key(token)).query_async(&mut app.redis()).await?;
        Ok(Self { account: account.ok_or(ApiError::Unauthorized)? })
    }
}

/// The token of a request that must have one, alive or not.
pub struct Bearer(String);

impl<S: Sync> FromRequestParts<S> for Bearer {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        bearer(parts).map(|token| Self(token.to_owned())).ok_or(ApiError::Unauthorized)
    }
}

/// The token that a request carries.
pub fn bearer(parts: &Parts) -> Option<&str> {
    parts.headers.get(header::AUTHORIZATION)?.to_str().ok()?.strip_prefix("Bearer ")
}

fn session_key(token: &str) -> String {
    format!("session:{token}")
}

/// The body of a login.
#[derive(Deserialize)]
pub struct Login {
    name: String,
}

/// `POST /api/login`: an account is made at its first login.
pub async fn login(State(app): State<App>, Json(login): Json<Login>) -> Result<Json<Value>, ApiError> {
    if login.name.is_empty() || login.name.len() > 100 {
        return Err(ApiError::BadRequest("name wants 1 to 100 bytes".to_owned()));
    }
    let database = app.database().await?;
    let statement = database.prepare_cached(LOGIN).await?;
    let row = database.query_one(&statement, &[&login.name]).await?;
    let (account, token): (i64, String) = (row.get(0), row.get(1));
    drop(database);
    open(&app, account, token).await.map(Json)
}

/// `POST /api/users/anonymous`: an account of no name of its own, with a balance of tokens, and a session.
pub async fn anonymous(State(app): State<App>) -> Result<(StatusCode, Json<Value>), ApiError> {
    let database = app.database().await?;
    let statement = database.prepare_cached(ANONYMOUS).await?;
    let row = database.query_one(&statement, &[]).await?;
    let (account, token): (i64, String) = (row.get(0), row.get(1));
    drop(database);
    Ok((StatusCode::CREATED, Json(open(&app, account, token).await?)))
}

/// Opens a session, and is what its client gets.
async fn open(app: &App, account: i64, token: String) -> Result<Value, ApiError> {
    let mut redis = app.redis();
    redis::cmd("SET").arg(session_key(&token)).arg(account).arg("EX").arg(SESSION_SECONDS).query_async::<()>(&mut redis).await?;
    Ok(json!({"token": token, "id": account}))
}

/// `POST /api/logout`: the session is gone, whether it was there or not.
pub async fn logout(State(app): State<App>, Bearer(token): Bearer) -> Result<StatusCode, ApiError> {
    redis::cmd("DEL").arg(session_key(&token)).query_async::<()>(&mut app.redis()).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `GET /api/me`: never cached, for the balance must be true.
pub async fn me(State(app): State<App>, session: Session) -> Result<Answer, ApiError> {
    let entry = Entry { name: "me", key: "", ttl: Duration::ZERO, bypass: true };
    cache::read_through(&app, entry, async {
        let database = app.database().await?;
        let statement = database.prepare_cached(ME).await?;
        let row = database.query_opt(&statement, &[&session.account]).await?;
        Ok(row.ok_or(ApiError::NotFound("account"))?.get(0))
    })
    .await
}

/// `GET /api/config`
pub async fn config(State(app): State<App>) -> Result<Answer, ApiError> {
    let entry = Entry { name: "config", key: "all", ttl: app.config.cache_ttl, bypass: false };
    cache::read_through(&app, entry, async {
        let database = app.database().await?;
        let statement = database.prepare_cached(CONFIG).await?;
        Ok(database.query_one(&statement, &[]).await?.get(0))
    })
    .await
}
