//! Bookings: an hour of a mentor's, once; paid once, whatever the client repeats; cancelled by who made it, and refunded then.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};

use super::accounts::Session;
use super::mentors::DAYS;
use crate::app::App;
use crate::error::ApiError;

// The hour is the booking's key: of two that want it at once one gets it. Only hours that can be offered can be booked.
const BOOK: &str = "
INSERT INTO bookings (mentor_id, starts_at, account_id, cents)
SELECT id, slot, $3, cents FROM mentors, (SELECT to_timestamp($2::bigint)) AS s (slot)
WHERE id = $1 AND slot = date_trunc('hour', slot) AND extract(hour FROM slot AT TIME ZONE 'UTC') BETWEEN 9 AND 16
  AND slot > now() AND slot < now() + make_interval(days => $4 + 1)
ON CONFLICT (mentor_id, starts_at) DO NOTHING RETURNING id, cents";

const TAKEN: &str = "SELECT FROM bookings WHERE mentor_id = $1 AND starts_at = to_timestamp($2::bigint)";

const ONE: &str = "
SELECT b.mentor_id, extract(epoch FROM b.starts_at)::bigint, b.cents, p.booking_id IS NOT NULL
FROM bookings b LEFT JOIN booking_payments p ON p.booking_id = b.id WHERE b.id = $1 AND b.account_id = $2";

// The booking is the payment's key, so a second payment pays nothing.
const PAY: &str = "
INSERT INTO booking_payments (booking_id, idempotency_key, cents) SELECT id, $3, cents FROM bookings WHERE id = $1 AND account_id = $2
ON CONFLICT (booking_id) DO NOTHING";

const PAID: &str = "
SELECT p.idempotency_key FROM booking_payments p JOIN bookings b ON b.id = p.booking_id WHERE b.id = $1 AND b.account_id = $2";

const CANCEL: &str = "DELETE FROM bookings WHERE id = $1 AND account_id = $2";

const ALL: &str = "
SELECT (SELECT count(*) FROM bookings), (SELECT count(*) FROM (SELECT DISTINCT mentor_id, starts_at FROM bookings) slots),
       (SELECT count(*) FROM booking_payments), (SELECT coalesce(sum(cents), 0)::bigint FROM booking_payments),
       (SELECT coalesce(sum(b.cents), 0)::bigint FROM bookings b WHERE EXISTS (SELECT FROM booking_payments WHERE booking_id = b.id))";

/// The body of a booking.
#[derive(Deserialize)]
pub struct Booking {
    mentor: i64,
    /// Unix seconds, one of those that the mentor's slots say.
    starts_at: i64,
}

/// `POST /api/bookings`: 201, or 409 where somebody was faster.
pub async fn book(
    State(app): State<App>,
    session: Session,
    Json(booking): Json<Booking>,
) -> Result<(StatusCode, Json<Value>), ApiError> {
    let Booking { mentor, starts_at } = booking;
    let database = app.database().await?;
    let statement = database.prepare_cached(BOOK).await?;
    let booked = database.query_opt(&statement, &[&mentor, &starts_at, &session.account, &DAYS]).await?;
    let Some(row) = booked else {
        let statement = database.prepare_cached(TAKEN).await?;
        return Err(match database.query_opt(&statement, &[&mentor, &starts_at]).await? {
            Some(_) => ApiError::Conflict("this hour is taken"),
            None => ApiError::NotFound("hour of this mentor's"),
        });
    };
    app.metrics.bookings.inc();
    let (id, cents): (i64, i32) = (row.get(0), row.get(1));
    Ok((StatusCode::CREATED, Json(json!({"id": id, "mentor": mentor, "starts_at": starts_at, "cents": cents}))))
}

/// `GET /api/bookings/{id}`, of one's own.
pub async fn one(State(app): State<App>, session: Session, Path(id): Path<i64>) -> Result<Json<Value>, ApiError> {
    let database = app.database().await?;
    let statement = database.prepare_cached(ONE).await?;
    let row = database.query_opt(&statement, &[&id, &session.account]).await?.ok_or(ApiError::NotFound("booking"))?;
    let (mentor, starts_at, cents): (i64, i64, i32) = (row.get(0), row.get(1), row.get(2));
    Ok(Json(json!({"id": id, "mentor": mentor, "starts_at": starts_at, "cents": cents, "paid": row.get::<_, bool>(3)})))
}

/// `POST /api/bookings/{id}/payment` with an `idempotency-key`: 201 when it is paid, 200 when it was paid with this key before, 409 when
/// with another.
pub async fn pay(
    State(app): State<App>,
    session: Session,
    headers: HeaderMap,
    Path(id): Path<i64>,
) -> Result<(StatusCode, Json<Value>), ApiError> {
    let key = headers.get("idempotency-key").and_then(|key| key.to_str().ok()).filter(|key| (1..=200).contains(&key.len()));
    let key = key.ok_or_else(|| ApiError::BadRequest("the header idempotency-key is missing".to_owned()))?;
    let database = app.database().await?;
    let statement = database.prepare_cached(PAY).await?;
    if database.execute(&statement, &[&id, &session.account, &key]).await? == 1 {
        app.metrics.bookings_paid.inc();
        return Ok((StatusCode::CREATED, Json(json!({"paid": true}))));
    }
    let statement = database.prepare_cached(PAID).await?;
    let row = database.query_opt(&statement, &[&id, &session.account]).await?.ok_or(ApiError::NotFound("booking"))?;
    match row.get::<_, &str>(0) == key {
        true => Ok((StatusCode::OK, Json(json!({"paid": true})))),
        false => Err(ApiError::Conflict("this booking is paid already")),
    }
}

/// `DELETE /api/bookings/{id}`, of one's own.
pub async fn cancel(State(app): State<App>, session: Session, Path(id): Path<i64>) -> Result<StatusCode, ApiError> {
    let database = app.database().await?;
    let statement = database.prepare_cached(CANCEL).await?;
    match database.execute(&statement, &[&id, &session.account]).await? {
        0 => Err(ApiError::NotFound("booking")),
        _ => Ok(StatusCode::NO_CONTENT),
    }
}

/// `GET /api/bookings`: how many there are and of how many hours, how many are paid, and the cents that were paid and that were due for
/// them; counted afresh.
pub async fn all(State(app): State<App>) -> Result<Json<Value>, ApiError> {
    let row = app.database().await?.query_one(ALL, &[]).await?;
    let [count, hours, paid, cents, due]: [i64; 5] = std::array::from_fn(|i| row.get(i));
    Ok(Json(json!({"count": count, "hours": hours, "paid": paid, "cents": cents, "due": due})))
}
