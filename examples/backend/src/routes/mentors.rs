//! Mentors, whom people look for, and when they are free. What they are is cached; when they are free is not.

use axum::Json;
use axum::extract::{Path, Query, State};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::app::App;
use crate::cache::{self, Answer, Entry};
use crate::error::ApiError;

/// The cache's name on `/metrics`.
const CACHE: &str = "mentors";

/// How many days ahead can be booked.
pub const DAYS: i32 = 30;

const FIND: &str = "
WITH found AS (
    SELECT id, name, subject, language, cents, rating FROM mentors
    WHERE ($1 = '' OR subject = $1) AND ($2 = '' OR language = $2) AND cents <= $3
      AND ($4 = '' OR words @@ websearch_to_tsquery('english', $4)))
SELECT json_build_object('total', (SELECT count(*) FROM found), 'items', coalesce(json_agg(page), '[]'))::text
FROM (SELECT * FROM found ORDER BY rating DESC, id LIMIT 20 OFFSET $5) page";

const ONE: &str = "
SELECT json_build_object('id', id, 'name', name, 'subject', subject, 'language', language, 'cents', cents, 'rating', rating,
                         'bio', bio)::text
FROM mentors WHERE id = $1";

// On the hour from 9 to 16, Greenwich time, of a day counted from tomorrow.
const SLOTS: &str = "
SELECT coalesce(json_agg(extract(epoch FROM slot)::bigint ORDER BY slot), '[]')::text
FROM generate_series(9, 16) AS hour,
     LATERAL (SELECT (date_trunc('day', now() AT TIME ZONE 'UTC') + make_interval(days => 1 + $2, hours => hour)) AT TIME ZONE 'UTC') AS s (slot)
WHERE EXISTS (SELECT FROM mentors WHERE id = $1)
  AND NOT EXISTS (SELECT FROM bookings WHERE mentor_id = $1 AND starts_at = slot)";

/// `?subject=&language=&max_cents=&q=&page=`, each of them optional.
#[derive(Deserialize)]
pub struct Find {
    #[serde(default)]
    subject: String,
    #[serde(default)]
    language: String,
    max_cents: Option<i32>,
    #[serde(default)]
    q: String,
    #[serde(default)]
    page: i32,
}

/// `?day=`, from 0 for tomorrow.
#[derive(Deserialize)]
pub struct Day {
    #[serde(default)]
    day: i32,
}

/// `GET /api/mentors`: 20 a page, the best rated first.
pub async fn find(State(app): State<App>, Query(find): Query<Find>) -> Result<Answer, ApiError> {
    let Find { subject, language, max_cents, q, page } = find;
    if subject.len() + language.len() + q.len() > 300 || !(0..1000).contains(&page) {
        return Err(ApiError::BadRequest("subject, language and q want at most 300 bytes together, page 0 to 999".to_owned()));
    }
    let (most, offset) = (max_cents.unwrap_or(i32::MAX), i64::from(page) * 20);
    let key = format!("{most}:{page}:{}:{subject}:{}:{language}:{q}", subject.len(), language.len());
    let entry = Entry { name: CACHE, key: &key, ttl: app.config.cache_ttl, bypass: false };
    cache::read_through(&app, entry, async {
        let database = app.database().await?;
        let statement = database.prepare_cached(FIND).await?;
        Ok(database.query_one(&statement, &[&subject, &language, &most, &q, &offset]).await?.get(0))
    })
    .await
}

/// `GET /api/mentors/{id}`
pub async fn one(State(app): State<App>, Path(id): Path<i64>) -> Result<Answer, ApiError> {
    let key = format!("id:{id}");
    let entry = Entry { name: CACHE, key: &key, ttl: app.config.cache_ttl, bypass: false };
    cache::read_through(&app, entry, async {
        let database = app.database().await?;
        let statement = database.prepare_cached(ONE).await?;
        let row = database.query_opt(&statement, &[&id]).await?;
        Ok(row.ok_or(ApiError::NotFound("mentor"))?.get(0))
    })
    .await
}

/// `GET /api/mentors/{id}/slots?day=`: the hours that are free, in Unix seconds.
pub async fn slots(State(app): State<App>, Path(id): Path<i64>, Query(day): Query<Day>) -> Result<Json<Value>, ApiError> {
    if !(0..DAYS).contains(&day.day) {
        return Err(ApiError::BadRequest(format!("day wants 0 to {}", DAYS - 1)));
    }
    let database = app.database().await?;
    let statement = database.prepare_cached(SLOTS).await?;
    let free: Value = serde_json::from_str(database.query_one(&statement, &[&id, &day.day]).await?.get(0))?;
    Ok(Json(json!({"mentor": id, "day": day.day, "free": free})))
}
