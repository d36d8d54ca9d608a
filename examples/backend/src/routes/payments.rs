//! Stars: an invoice is created, a webhook says that it was paid. Payment services repeat their webhooks; the balance
//! rises once per invoice.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};

use super::accounts::Session;
use crate::app::App;
use crate::error::ApiError;

const CREATE: &str = "INSERT INTO invoices (account_id, stars) VALUES ($1, $2) RETURNING id";

// The payment and the balance are one statement; the invoice is the payment's key, so a replay pays nothing.
const PAY: &str = "
WITH payment AS (
    INSERT INTO payments (invoice_id, charge, stars) SELECT id, $2, stars FROM invoices WHERE id = $1
    ON CONFLICT (invoice_id) DO NOTHING RETURNING invoice_id, stars
)
UPDATE accounts SET stars = accounts.stars + payment.stars
FROM payment JOIN invoices ON invoices.id = payment.invoice_id
WHERE accounts.id = invoices.account_id
RETURNING accounts.stars";

const BALANCE: &str = "SELECT a.stars FROM accounts a JOIN invoices i ON i.account_id = a.id WHERE i.id = $1";

/// The body of an invoice.
#[derive(Deserialize)]
pub struct Invoice {
    stars: i64,
}

/// The body of a webhook.
#[derive(Deserialize)]
pub struct Webhook {
    invoice: i64,
    charge: String,
}

/// `POST /api/payments/stars/createInvoice`
pub async fn create_invoice(
    State(app): State<App>,
    session: Session,
    Json(invoice): Json<Invoice>,
) -> Result<(StatusCode, Json<Value>), ApiError> {
    if !(1..=100_000).contains(&invoice.stars) {
        return Err(ApiError::BadRequest("stars wants 1 to 100000".to_owned()));
    }
    let database = app.database().await?;
    let statement = database.prepare_cached(CREATE).await?;
    let id: i64 = database.query_one(&statement, &[&session.account, &invoice.stars]).await?.get(0);
    Ok((StatusCode::CREATED, Json(json!({"invoice": id, "stars": invoice.stars, "link": format!("https://pay.invalid/{id}")}))))
}

/// `POST /api/webhooks/payment`: 200 also when it was paid before, for a payment service repeats until it sees 200.
pub async fn webhook(State(app): State<App>, headers: HeaderMap, Json(webhook): Json<Webhook>) -> Result<Json<Value>, ApiError> {
    if let Some(secret) = &app.config.webhook_secret
        && headers.get("x-webhook-secret").is_none_or(|given| given.as_bytes() != secret.as_bytes())
    {
        return Err(ApiError::Forbidden);
    }
    let database = app.database().await?;
    let statement = database.prepare_cached(PAY).await?;
    if let Some(row) = database.query_opt(&statement, &[&webhook.invoice, &webhook.charge]).await? {
        app.metrics.payments.inc();
        return Ok(Json(json!({"credited": true, "stars": row.get::<_, i64>(0)})));
    }
    let statement = database.prepare_cached(BALANCE).await?;
    let row = database.query_opt(&statement, &[&webhook.invoice]).await?.ok_or(ApiError::NotFound("invoice"))?;
    app.metrics.payments_replayed.inc();
    Ok(Json(json!({"credited": false, "stars": row.get::<_, i64>(0)})))
}
