//! Searching what was said: PostgreSQL's full text search over an index that is as large as it is asked to be.
//!
//! Seeded messages are a function of their number, like all seeds here. Each is about one of 500 topics, such as "amber
//! falcon", and says so (`topic`), so that what a search finds can be judged. Every second one mentions the two words of another topic
//! apart from each other: whoever searches for that topic finds these too, and a ranking that is right puts them last.

use axum::Json;
use axum::extract::{Query, State};
use serde::Deserialize;
use serde_json::{Value, json};

use super::accounts::Session;
use crate::app::App;
use crate::cache::{self, Answer, Entry};
use crate::error::ApiError;

/// The cache's name on `/metrics`.
const CACHE: &str = "topics";

/// Rows that one request makes at most: no request takes minutes.
const AT_ONCE: i64 = 20_000;

// By how close to each other the words stand; the newest first among equals.
const SEARCH: &str = "
WITH query AS (SELECT websearch_to_tsquery('english', $1) AS q),
     found AS (
         SELECT id, channel_id AS channel, text, topic, ts_rank_cd(words, q) AS rank FROM messages, query WHERE words @@ q
         ORDER BY rank DESC, id DESC LIMIT 10)
SELECT coalesce(json_agg(found), '[]')::text FROM found";

const COMPLETE: &str = "
SELECT json_build_object('prefix', $1::text, 'items', coalesce(json_agg(name), '[]'))::text
FROM (SELECT name FROM topics WHERE starts_with(name, $1) ORDER BY messages DESC, name LIMIT 10) t";

const CHANNEL: &str = "INSERT INTO channels (name) VALUES ('archive') RETURNING id";
const LAST: &str = "SELECT seed, channel_id FROM messages WHERE seed IS NOT NULL ORDER BY seed DESC LIMIT 1";

const SEED: &str = "
WITH words AS (
    SELECT ARRAY['amber', 'azure', 'brass', 'cedar', 'coral', 'crimson', 'ebony', 'emerald', 'frost', 'golden', 'granite', 'indigo',
                 'ivory', 'jade', 'lunar', 'marble', 'misty', 'opal', 'polar', 'quartz', 'rusty', 'scarlet', 'silver', 'velvet',
                 'violet'] AS first,
           ARRAY['badger', 'bison', 'condor', 'cougar', 'dolphin', 'falcon', 'gecko', 'heron', 'ibis', 'jackal', 'koala', 'lynx',
                 'marten', 'narwhal', 'otter', 'puffin', 'raven', 'stork', 'tapir', 'walrus'] AS second,
           ARRAY['release', 'invoice', 'outage', 'design', 'contract', 'migration', 'review', 'budget', 'roadmap', 'backup'] AS what,
           ARRAY['is late again', 'went well', 'needs somebody to look at it', 'was moved to Thursday', 'waits for the lawyers',
                 'costs more than we thought', 'has a new owner'] AS how
), numbers AS (
    SELECT n, n % 500 AS topic, (n + 137) % 500 AS other FROM generate_series($2::bigint, $3::bigint) AS n
), made AS (
    INSERT INTO messages (channel_id, kind, text, topic, seed)
    SELECT $1, 'text',
           'The ' || what[1 + n / 500 % 10] || ' of ' || first[1 + topic % 25] || ' ' || second[1 + topic / 25] || ' '
               || how[1 + n / 5000 % 7]
               || CASE WHEN n / 500 % 2 = 1 THEN ', unlike the ' || second[1 + other / 25]
                       || ' that somebody from finance had painted in ' || first[1 + other % 25] ELSE '' END || '.',
           first[1 + topic % 25] || ' ' || second[1 + topic / 25], n
    FROM numbers, words
    ON CONFLICT (seed) WHERE seed IS NOT NULL DO NOTHING RETURNING topic
)
INSERT INTO topics SELECT topic, count(*) FROM made GROUP BY topic
ON CONFLICT (name) DO UPDATE SET messages = topics.messages + excluded.messages";

/// `?q=`
#[derive(Deserialize)]
pub struct Search {
    q: String,
}

/// `?prefix=`
#[derive(Deserialize)]
pub struct Complete {
    prefix: String,
}

/// The body of `POST /api/search/seed`.
#[derive(Deserialize)]
pub struct Seed {
    rows: i64,
}

/// `GET /api/search?q=`: the ten best; `q` may have "phrases", `or` and `-words`.
pub async fn search(State(app): State<App>, _: Session, Query(search): Query<Search>) -> Result<Json<Value>, ApiError> {
    if search.q.is_empty() || search.q.len() > 100 {
        return Err(ApiError::BadRequest("q wants 1 to 100 bytes".to_owned()));
    }
    let database = app.database().await?;
    let statement = database.prepare_cached(SEARCH).await?;
    let items: Value = serde_json::from_str(database.query_one(&statement, &[&search.q]).await?.get(0))?;
    Ok(Json(json!({"query": search.q, "items": items})))
}

/// `GET /api/search/complete?prefix=`: the ten topics with most messages that begin so.
pub async fn complete(State(app): State<App>, _: Session, Query(wanted): Query<Complete>) -> Result<Answer, ApiError> {
    if wanted.prefix.is_empty() || wanted.prefix.len() > 100 {
        return Err(ApiError::BadRequest("prefix wants 1 to 100 bytes".to_owned()));
    }
    let prefix = wanted.prefix.to_lowercase();
    let entry = Entry { name: CACHE, key: &prefix, ttl: app.config.cache_ttl, bypass: false };
    cache::read_through(&app, entry, async {
        let database = app.database().await?;
        let statement = database.prepare_cached(COMPLETE).await?;
        Ok(database.query_one(&statement, &[&prefix]).await?.get(0))
    })
    .await
}

/// `POST /api/search/seed`: goes on making the index's messages until there are `rows`, and says how many there are by now; a
/// request makes 20,000 at most, so it is repeated until they are there. Once they are, nothing is made.
pub async fn seed(State(app): State<App>, Json(wanted): Json<Seed>) -> Result<Json<Value>, ApiError> {
    let mut database = app.database().await?;
    let transaction = database.transaction().await?;
    // Two at once would make the same rows.
    transaction.batch_execute("LOCK TABLE topics IN EXCLUSIVE MODE").await?;
    let last = transaction.query_opt(LAST, &[]).await?;
    let (there, channel) = last.map_or((0, None), |row| (row.get(0), Some(row.get(1))));
    let upto = wanted.rows.min(there + AT_ONCE);
    if upto > there {
        let channel: i64 = match channel {
            Some(channel) => channel,
            None => transaction.query_one(CHANNEL, &[]).await?.get(0),
        };
        transaction.execute(SEED, &[&channel, &(there + 1), &upto]).await?;
        if upto == wanted.rows {
            transaction.batch_execute("ANALYZE messages, topics").await?;
        }
    }
    transaction.commit().await?;
    Ok(Json(json!({"rows": there.max(upto)})))
}
