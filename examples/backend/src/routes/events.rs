//! Streamers and what they show live. Streamers are cached long; live events so shortly that none is 1 s stale.

use std::time::Duration;

use axum::extract::{Query, State};
use serde::Deserialize;

use crate::app::App;
use crate::cache::{self, Answer, Entry};
use crate::error::ApiError;

/// Well below the second that an answer may be old; the rest is for the way.
const LIVE_TTL: Duration = Duration::from_millis(500);

const STREAMERS: &str = "
SELECT json_build_object('query', $1::text, 'items', coalesce(json_agg(t), '[]'))::text
FROM (SELECT id, name, language, followers FROM streamers
      WHERE position(lower($1::text) IN name) > 0 ORDER BY followers DESC, id LIMIT 20) t";

const LIVE: &str = "
SELECT json_build_object('as_of', extract(epoch FROM clock_timestamp()),
                         'events', coalesce((SELECT json_agg(json_build_object('id', e.id, 'title', e.title) ORDER BY e.id)
                                             FROM events e WHERE e.streamer_id = s.id AND e.live), '[]'))::text
FROM streamers s WHERE s.id = $1::text::uuid";

/// `?query=`
#[derive(Deserialize)]
pub struct Streamers {
    #[serde(default)]
    query: String,
}

/// `?streamerId=`
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Live {
    streamer_id: String,
}

/// `GET /api/streamers?query=`; without a query the most followed.
pub async fn streamers(State(app): State<App>, Query(wanted): Query<Streamers>) -> Result<Answer, ApiError> {
    if wanted.query.len() > 100 {
        return Err(ApiError::BadRequest("query wants at most 100 bytes".to_owned()));
    }
    let key = wanted.query.to_lowercase();
    let entry = Entry { name: "streamers", key: &key, ttl: app.config.cache_ttl, bypass: false };
    cache::read_through(&app, entry, async {
        let database = app.database().await?;
        let statement = database.prepare_cached(STREAMERS).await?;
        Ok(database.query_one(&statement, &[&wanted.query]).await?.get(0))
    })
    .await
}

/// `GET /api/events/live?streamerId=`; `as_of` says when it was true, in Unix seconds.
pub async fn live(State(app): State<App>, Query(wanted): Query<Live>) -> Result<Answer, ApiError> {
    let entry = Entry { name: "live", key: &wanted.streamer_id, ttl: LIVE_TTL, bypass: false };
    cache::read_through(&app, entry, async {
        let database = app.database().await?;
        let statement = database.prepare_cached(LIVE).await?;
        let row = database.query_opt(&statement, &[&wanted.streamer_id]).await?;
        Ok(row.ok_or(ApiError::NotFound("streamer"))?.get(0))
    })
    .await
}
