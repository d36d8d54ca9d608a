//! The rate limiter: a count in Redis for each client and second, the same for all processes of the service.

use std::sync::LazyLock;

use redis::Script;

use crate::app::App;
use crate::error::ApiError;

// The window is Redis' own second, so that processes whose clocks differ agree. The key outlives its window by a second.
static TAKE: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "local window = KEYS[1] .. ':' .. redis.call('TIME')[1]
         local used = redis.call('INCR', window)
         if used == 1 then redis.call('EXPIRE', window, 2) end
         return used",
    )
});

/// Counts one vote of `client`. How many more it may send within this second, or [`ApiError::Limited`].
pub async fn take(app: &App, client: &str) -> Result<u64, ApiError> {
    let used: u64 = TAKE.key(format!("limit:{client}")).invoke_async(&mut app.redis()).await?;
    app.config.votes_per_second.checked_sub(used).ok_or_else(|| {
        app.metrics.votes_limited.inc();
        ApiError::Limited
    })
}
