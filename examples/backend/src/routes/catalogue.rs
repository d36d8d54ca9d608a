//! The catalogue: `/manga/…`, cached in Redis over PostgreSQL. `?nocache=1` takes the way around the cache.

use axum::extract::{Path, Query, State};
use serde::Deserialize;

use crate::app::App;
use crate::cache::{self, Answer, Entry};
use crate::error::ApiError;

/// The cache's name on `/metrics`.
const CACHE: &str = "manga";

const ONE: &str = "
SELECT json_build_object('id', id, 'title', title, 'author', author, 'genre', genre, 'popularity', popularity,
                         'synopsis', synopsis)::text
FROM manga WHERE id = $1";

const POPULAR: &str = "
SELECT json_build_object('items', coalesce(json_agg(t), '[]'))::text
FROM (SELECT id, title, author, popularity FROM manga ORDER BY popularity DESC, id LIMIT 20) t";

const SEARCH: &str = "
SELECT json_build_object('query', $1::text, 'items', coalesce(json_agg(t), '[]'))::text
FROM (SELECT id, title, author, popularity FROM manga
      WHERE position(lower($1::text) IN lower(title)) > 0 ORDER BY popularity DESC, id LIMIT 20) t";

/// `?nocache=1`; any value but 0 will do.
#[derive(Deserialize)]
pub struct Way {
    nocache: Option<String>,
}

/// `?q=`, and the way.
#[derive(Deserialize)]
pub struct Search {
    #[serde(default)]
    q: String,
    nocache: Option<String>,
}

fn bypass(nocache: &Option<String>) -> bool {
    nocache.as_deref().is_some_and(|value| value != "0")
}

/// `GET /manga/popular`
pub async fn popular(State(app): State<App>, Query(way): Query<Way>) -> Result<Answer, ApiError> {
    let entry = Entry { name: CACHE, key: "popular", ttl: app.config.cache_ttl, bypass: bypass(&way.nocache) };
    cache::read_through(&app, entry, async {
        let database = app.database().await?;
        let statement = database.prepare_cached(POPULAR).await?;
        Ok(database.query_one(&statement, &[]).await?.get(0))
    })
    .await
}

/// `GET /manga/search?q=`
pub async fn search(State(app): State<App>, Query(search): Query<Search>) -> Result<Answer, ApiError> {
    if search.q.is_empty() || search.q.len() > 100 {
        return Err(ApiError::BadRequest("q wants 1 to 100 bytes".to_owned()));
    }
    let key = format!("search:{}", search.q.to_lowercase());
    let entry = Entry { name: CACHE, key: &key, ttl: app.config.cache_ttl, bypass: bypass(&search.nocache) };
    cache::read_through(&app, entry, async {
        let database = app.database().await?;
        let statement = database.prepare_cached(SEARCH).await?;
        Ok(database.query_one(&statement, &[&search.q]).await?.get(0))
    })
    .await
}

/// `GET /manga/{id}`
pub async fn one(State(app): State<App>, Path(id): Path<i64>, Query(way): Query<Way>) -> Result<Answer, ApiError> {
    let key = format!("id:{id}");
    let entry = Entry { name: CACHE, key: &key, ttl: app.config.cache_ttl, bypass: bypass(&way.nocache) };
    cache::read_through(&app, entry, async {
        let database = app.database().await?;
        let statement = database.prepare_cached(ONE).await?;
        let row = database.query_opt(&statement, &[&id]).await?;
        Ok(row.ok_or(ApiError::NotFound("manga"))?.get(0))
    })
    .await
}
