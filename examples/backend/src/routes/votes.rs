//! Votes: each is counted once, whatever its client repeats.
//!
//! The vote and its tally are one statement, so that they can't disagree; the idempotency key is unique in the table, so
//! that of two that come at once one is the vote and the other its replay.

use axum::Json;
use axum::extract::{FromRequestParts, Path, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Value, json};

use super::accounts::bearer;
use super::limiter;
use crate::app::App;
use crate::error::ApiError;

const CAST: &str = "
WITH vote AS (
    INSERT INTO votes (idempotency_key, event, weight) VALUES ($1, $2, $3)
    ON CONFLICT (idempotency_key) DO NOTHING RETURNING id, event, weight
), tally AS (
    INSERT INTO vote_tallies SELECT event, 1, weight FROM vote
    ON CONFLICT (event) DO UPDATE
    SET votes = vote_tallies.votes + 1, weight = vote_tallies.weight + excluded.weight
)
SELECT id FROM vote";

const BY_KEY: &str = "SELECT id, event, weight FROM votes WHERE idempotency_key = $1";
// Of votes that were cast so many seconds ago or longer; 0 is all there are.
const BY_ID: &str =
    "SELECT event, weight FROM votes WHERE id = $1 AND created_at <= clock_timestamp() - make_interval(secs => $2)";

// What `DROP_WRITES` and `COUNT_REPLAYS` do: a vote that is not kept, and one that is counted again.
const FORGET: &str = "
WITH gone AS (DELETE FROM votes WHERE id = $1 RETURNING event, weight)
UPDATE vote_tallies SET votes = votes - 1, weight = vote_tallies.weight - gone.weight FROM gone
WHERE vote_tallies.event = gone.event";
const COUNT_AGAIN: &str = "UPDATE vote_tallies SET votes = votes + 1, weight = weight + $2 WHERE event = $1";

/// The body of a vote.
#[derive(Deserialize)]
pub struct Vote {
    event: String,
    #[serde(default = "one_point")]
    weight: i32,
}

fn one_point() -> i32 {
    1
}

/// Who votes, as far as the limiter is concerned: the session's token, or all that have none together.
pub struct Client(String);

impl<S: Sync> FromRequestParts<S> for Client {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        Ok(Self(bearer(parts).unwrap_or("anonymous").to_owned()))
    }
}

/// `POST /api/votes`: 201 when counted, 200 with the same body when its key was counted before, 422 when the key was used
/// for another vote, 429 when the client sends too many.
pub async fn cast(
    State(app): State<App>,
    Client(client): Client,
    headers: HeaderMap,
    Json(vote): Json<Vote>,
) -> Result<Response, ApiError> {
    let key = headers.get("idempotency-key").and_then(|key| key.to_str().ok()).filter(|key| (1..=200).contains(&key.len()));
    let key = key.ok_or_else(|| ApiError::BadRequest("the header idempotency-key is missing".to_owned()))?;
    if !(1..=5).contains(&vote.weight) || vote.event.is_empty() || vote.event.len() > 100 {
        return Err(ApiError::BadRequest("event wants 1 to 100 bytes, weight 1 to 5".to_owned()));
    }
    let remaining = limiter::take(&app, &client).await?;

    let database = app.database().await?;
    let statement = database.prepare_cached(CAST).await?;
    let counted = database.query_opt(&statement, &[&key, &vote.event, &vote.weight]).await?;
    let (status, id): (_, i64) = match counted {
        Some(row) => {
            let id = row.get(0);
            if app.faults.drops_write() {
                database.execute(FORGET, &[&id]).await?;
            }
            app.metrics.votes_accepted.inc();
            (StatusCode::CREATED, id)
        }
        None => {
            let statement = database.prepare_cached(BY_KEY).await?;
            let row = database.query_one(&statement, &[&key]).await?;
            if row.get::<_, &str>(1) != vote.event || row.get::<_, i32>(2) != vote.weight {
                return Err(ApiError::KeyReused);
            }
            if app.faults.count_replays {
                database.execute(COUNT_AGAIN, &[&vote.event, &i64::from(vote.weight)]).await?;
            }
            app.metrics.votes_replayed.inc();
            (StatusCode::OK, row.get(0))
        }
    };
    if app.faults.loses_answer() {
        return Err(ApiError::OnDemand);
    }
    let mut response = (status, Json(body(id, &vote.event, vote.weight))).into_response();
    response.headers_mut().insert(HeaderName::from_static("x-ratelimit-remaining"), HeaderValue::from(remaining));
    Ok(response)
}

/// `GET /api/votes/{id}`
pub async fn one(State(app): State<App>, Path(id): Path<i64>) -> Result<Json<Value>, ApiError> {
    let database = app.database().await?;
    let statement = database.prepare_cached(BY_ID).await?;
    let row = database.query_opt(&statement, &[&id, &app.faults.stale]).await?.ok_or(ApiError::NotFound("vote"))?;
    Ok(Json(body(id, row.get(0), row.get(1))))
}

fn body(id: i64, event: &str, weight: i32) -> Value {
    json!({"id": id, "event": event, "weight": weight, "accepted": true})
}
