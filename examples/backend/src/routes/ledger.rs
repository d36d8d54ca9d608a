//! The ledger: what the service believes to have happened, counted afresh from the rows themselves.

use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};

use crate::app::App;
use crate::error::ApiError;

// One statement sees one snapshot, so that its sums belong together while votes come in.
const LEDGER: &str = "
WITH seen AS (SELECT weight FROM votes WHERE created_at <= clock_timestamp() - make_interval(secs => $1))
SELECT (SELECT count(*) FROM seen), (SELECT coalesce(sum(weight), 0)::bigint FROM seen),
       (SELECT coalesce(sum(votes), 0)::bigint FROM vote_tallies), (SELECT coalesce(sum(weight), 0)::bigint FROM vote_tallies),
       (SELECT count(*) FROM invoices), (SELECT count(*) FROM payments),
       (SELECT coalesce(sum(stars), 0)::bigint FROM payments), (SELECT coalesce(sum(stars), 0)::bigint FROM accounts),
       (SELECT count(*) FROM credits), (SELECT coalesce(sum(tokens), 0)::bigint FROM credits),
       (SELECT coalesce(sum(credited), 0)::bigint FROM balances), (SELECT coalesce(sum(spent), 0)::bigint FROM balances),
       (SELECT count(*) FROM calls)";

/// `GET /api/ledger`: `total` votes and their weight, `tallied` votes as they were counted one by one, invoices, tokens credited
/// and spent on calls, and whether rows, tallies and balances agree.
pub async fn ledger(State(app): State<App>) -> Result<Json<Value>, ApiError> {
    let row = app.database().await?.query_one(LEDGER, &[&app.faults.stale]).await?;
    let [votes, weight, tallied, tallied_weight, invoices, paid, stars, accounts, credits, tokens, credited, spent, calls]: [i64;
        13] = std::array::from_fn(|i| row.get(i));
    let votes_agree = votes == tallied && weight == tallied_weight;
    // A call costs each of the two a token.
    let tokens_agree = tokens == credited && spent == 2 * calls;
    Ok(Json(json!({
        "total": votes,
        "weight": weight,
        "tallied": tallied,
        "invoices": invoices,
        "paid": paid,
        "stars": stars,
        "credits": credits,
        "tokens": tokens,
        "spent": spent,
        "calls": calls,
        "consistent": votes_agree && stars == accounts && tokens_agree,
    })))
}
