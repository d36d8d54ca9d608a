//! The queue: who joins is paired with who has waited longest, or waits. A pair has a call, which costs each a token and
//! ends when one of them leaves.
//!
//! Who waits where and who is in which call is Redis's to know, in scripts, so that of two that join at once one waits and
//! the other finds it, in whichever process of the service. What was paid for is PostgreSQL's.

use std::sync::LazyLock;

use axum::Json;
use axum::extract::State;
use redis::Script;
use serde::Deserialize;
use serde_json::{Value, json};

use super::accounts::Session;
use super::stripe;
use crate::app::App;
use crate::error::ApiError;

// A queue is a sorted set by order of arrival. `waits:` says in which queue an account is, `call:` its call and the other
// one; they outlive nobody by more than a day. Who is the first of a queue or the second is found without looking further.
static JOIN: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "local queue, me, call = KEYS[1], ARGV[1], ARGV[2]
         local mine = redis.call('GET', 'call:' .. me)
         if mine then return {'matched', string.match(mine, '^%S+'), ''} end
         local before = redis.call('GET', 'waits:' .. me)
         if before and before ~= queue then redis.call('ZREM', before, me) end
         for _, other in ipairs(redis.call('ZRANGE', queue, 0, 1)) do
             if other ~= me then
                 redis.call('ZREM', queue, other, me)
                 redis.call('DEL', 'waits:' .. other, 'waits:' .. me)
                 redis.call('SET', 'call:' .. me, call .. ' ' .. other, 'EX', 86400)
                 redis.call('SET', 'call:' .. other, call .. ' ' .. me, 'EX', 86400)
                 return {'matched', call, other}
             end
         end
         redis.call('ZADD', queue, 'NX', redis.call('INCR', 'queue-order'), me)
         redis.call('SET', 'waits:' .. me, queue, 'EX', 86400)
         return {'queued', '', ''}",
    )
});

// The other one is out of the call too, unless it has begun another since.
static LEAVE: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "local me = ARGV[1]
         local queue = redis.call('GET', 'waits:' .. me)
         if queue then
             redis.call('ZREM', queue, me)
             redis.call('DEL', 'waits:' .. me)
             return {'queued', ''}
         end
         local mine = redis.call('GET', 'call:' .. me)
         if not mine then return {'idle', ''} end
         local call, other = string.match(mine, '^(%S+) (%S+)$')
         redis.call('DEL', 'call:' .. me)
         if redis.call('GET', 'call:' .. other) == call .. ' ' .. me then redis.call('DEL', 'call:' .. other) end
         return {'matched', call}",
    )
});

// The call and what it costs are one statement. A balance never goes below 0: the table refuses it.
const BEGIN: &str = "
WITH paid AS (UPDATE balances SET spent = spent + 1 WHERE account_id IN ($2, $3) RETURNING account_id)
INSERT INTO calls (id, first_id, second_id) SELECT $1::text::uuid, $2, $3 WHERE (SELECT count(*) FROM paid) = 2";

const END: &str = "UPDATE calls SET ended_at = now() WHERE id = $1::text::uuid AND ended_at IS NULL";

const NEW_ID: &str = "SELECT gen_random_uuid()::text";

/// The body of a join.
#[derive(Deserialize)]
pub struct Join {
    queue: String,
}

/// `POST /api/queue/join`: `queued`, or `matched` with the call; 402 without a token to pay for one.
pub async fn join(State(app): State<App>, session: Session, Json(join): Json<Join>) -> Result<Json<Value>, ApiError> {
    if join.queue.is_empty() || join.queue.len() > 100 {
        return Err(ApiError::BadRequest("queue wants 1 to 100 bytes".to_owned()));
    }
    if stripe::of(&app, session.account).await? < 1 {
        return Err(ApiError::NoTokens);
    }
    let new: String = app.database().await?.query_one(NEW_ID, &[]).await?.get(0);
    let (status, call, other): (String, String, String) =
        JOIN.key(format!("queue:{}", join.queue)).arg(session.account).arg(&new).invoke_async(&mut app.redis()).await?;
    if let Ok(other) = other.parse::<i64>()
        && let Err(error) = begin(&app, &call, session.account, other).await
    {
        // A call that nobody paid for is none.
        let _: (String, String) = LEAVE.arg(session.account).invoke_async(&mut app.redis()).await?;
        return Err(error);
    }
    Ok(Json(standing(&status, &call)))
}

async fn begin(app: &App, call: &str, first: i64, second: i64) -> Result<(), ApiError> {
    let database = app.database().await?;
    let statement = database.prepare_cached(BEGIN).await?;
    database.execute(&statement, &[&call, &first, &second]).await?;
    app.metrics.calls.inc();
    Ok(())
}

/// `GET /api/queue/status`: `queued`, `matched` with the call, or `idle`.
pub async fn status(State(app): State<App>, session: Session) -> Result<Json<Value>, ApiError> {
    let keys = [format!("call:{}", session.account), format!("waits:{}", session.account)];
    let (call, waits): (Option<String>, Option<String>) = redis::cmd("MGET").arg(&keys).query_async(&mut app.redis()).await?;
    Ok(Json(match (call, waits) {
        (Some(call), _) => standing("matched", call.split(' ').next().unwrap_or_default()),
        (None, Some(_)) => standing("queued", ""),
        (None, None) => standing("idle", ""),
    }))
}

/// `POST /api/queue/leave`: `was` says what it ended: waiting (`queued`), a call (`matched`), or nothing (`idle`).
pub async fn leave(State(app): State<App>, session: Session) -> Result<Json<Value>, ApiError> {
    let (was, call): (String, String) = LEAVE.arg(session.account).invoke_async(&mut app.redis()).await?;
    if !call.is_empty() {
        let database = app.database().await?;
        let statement = database.prepare_cached(END).await?;
        database.execute(&statement, &[&call]).await?;
    }
    Ok(Json(json!({"was": was, "status": "idle"})))
}

fn standing(status: &str, call: &str) -> Value {
    json!({"status": status, "call": (!call.is_empty()).then_some(call)})
}
