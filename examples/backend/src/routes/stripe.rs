//! Tokens: a payment service says by a signed webhook that somebody bought some. It repeats its webhooks until it sees 200;
//! the balance rises once per event.
//!
//! The signature is Stripe's: `Stripe-Signature: t=<Unix time>,v1=<hex of HMAC-SHA-256 over "<t>.<body>">`.

use std::time::{SystemTime, UNIX_EPOCH};

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::Sha256;

use super::accounts::Session;
use crate::app::App;
use crate::error::ApiError;

/// How far the signature's time may be from now, in seconds: an old webhook that somebody recorded is not taken again.
const TOLERANCE: u64 = 300;

// The credit and the balance are one statement; the event is the credit's key, so a replay credits nothing.
const CREDIT: &str = "
WITH credit AS (
    INSERT INTO credits (event, account_id, tokens) SELECT $1, account_id, $3 FROM balances WHERE account_id = $2
    ON CONFLICT (event) DO NOTHING RETURNING account_id, tokens
)
UPDATE balances SET credited = balances.credited + credit.tokens
FROM credit WHERE balances.account_id = credit.account_id
RETURNING balances.credited - balances.spent";

const BALANCE: &str = "SELECT credited - spent FROM balances WHERE account_id = $1";

/// The body of a webhook, as far as it is read.
#[derive(Deserialize)]
struct Event {
    id: String,
    #[serde(rename = "type")]
    kind: String,
    data: Data,
}

#[derive(Deserialize)]
struct Data {
    object: Checkout,
}

#[derive(Deserialize)]
struct Checkout {
    /// The account, as a text.
    client_reference_id: String,
    metadata: Metadata,
}

#[derive(Deserialize)]
struct Metadata {
    /// How many, as a text.
    tokens: String,
}

/// `POST /webhooks/stripe`: 400 without a signature that is right and fresh, 200 also when the event was there before.
pub async fn webhook(State(app): State<App>, headers: HeaderMap, body: String) -> Result<Json<Value>, ApiError> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let header = headers.get("stripe-signature").and_then(|value| value.to_str().ok()).unwrap_or_default();
    verify(&app.config.stripe_webhook_secret, header, &body, now).map_err(ApiError::Signature)?;
    let event: Event = serde_json::from_str(&body).map_err(|error| ApiError::BadRequest(error.to_string()))?;
    if event.kind != "checkout.session.completed" {
        return Ok(Json(json!({"received": true, "credited": false})));
    }
    let checkout = event.data.object;
    let tokens = checkout.metadata.tokens.parse::<i64>().ok().filter(|tokens| (1..=100_000).contains(tokens));
    let (Ok(account), Some(tokens)) = (checkout.client_reference_id.parse::<i64>(), tokens) else {
        return Err(ApiError::BadRequest("client_reference_id wants an account, metadata.tokens 1 to 100000".to_owned()));
    };
    let database = app.database().await?;
    let statement = database.prepare_cached(CREDIT).await?;
    if let Some(row) = database.query_opt(&statement, &[&event.id, &account, &tokens]).await? {
        app.metrics.credits.inc();
        return Ok(Json(json!({"received": true, "credited": true, "tokens": row.get::<_, i64>(0)})));
    }
    let statement = database.prepare_cached(BALANCE).await?;
    let row = database.query_opt(&statement, &[&account]).await?.ok_or(ApiError::NotFound("account"))?;
    app.metrics.credits_replayed.inc();
    Ok(Json(json!({"received": true, "credited": false, "tokens": row.get::<_, i64>(0)})))
}

/// `GET /api/tokens`: what is left.
pub async fn balance(State(app): State<App>, session: Session) -> Result<Json<Value>, ApiError> {
    Ok(Json(json!({"tokens": of(&app, session.account).await?})))
}

/// The tokens that an account has left; none where it never could have any.
pub async fn of(app: &App, account: i64) -> Result<i64, ApiError> {
    let database = app.database().await?;
    let statement = database.prepare_cached(BALANCE).await?;
    Ok(database.query_opt(&statement, &[&account]).await?.map_or(0, |row| row.get(0)))
}

/// What is wrong with a signature, `now` in Unix seconds. Of several `v1` one has to be right: secrets are changed that way.
fn verify(secret: &str, header: &str, body: &str, now: u64) -> Result<(), &'static str> {
    let fields = || header.split(',').filter_map(|field| field.trim().split_once('='));
    let time = fields().find_map(|(key, value)| (key == "t").then_some(value)).ok_or("there is no time")?;
    let at: u64 = time.parse().map_err(|_| "the time is no number")?;
    if at.abs_diff(now) > TOLERANCE {
        return Err("the time is too far from now");
    }
    let mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).map_err(|_| "there is no secret")?;
    let mac = mac.chain_update(time).chain_update(".").chain_update(body);
    let right = |hex: &str| bytes(hex).is_some_and(|given| mac.clone().verify_slice(&given).is_ok());
    if fields().any(|(key, value)| key == "v1" && right(value)) { Ok(()) } else { Err("no signature is right") }
}

fn bytes(hex: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    if !hex.len().is_multiple_of(2) {
        return None;
    }
    hex.as_bytes().chunks_exact(2).map(|pair| Some(digit(pair[0])? << 4 | digit(pair[1])?)).collect()
}

#[cfg(test)]
mod tests {
    use super::verify;

    // `printf '1700000000.{"id":"evt_1"}' | openssl dgst -sha256 -hmac whsec_test`
    const BODY: &str = r#"{"id":"evt_1"}"#;
    const SIGNED: &str = "c89214b5b5da833daed6f0b8c5bb6bd58cea9022bd80ccc78230f3942d632925";
    const NOW: u64 = 1_700_000_100;

    fn header(signature: &str) -> String {
        format!("t=1700000000,v1={signature}")
    }

    #[test]
    fn what_is_signed_with_the_secret_is_taken() {
        assert_eq!(verify("whsec_test", &header(SIGNED), BODY, NOW), Ok(()));
        let two = format!("t=1700000000,v1={},v1={SIGNED},v0=x", "0".repeat(64));
        assert_eq!(verify("whsec_test", &two, BODY, NOW), Ok(()));
    }

    #[test]
    fn all_else_is_refused() {
        let wrong = "no signature is right";
        assert_eq!(verify("whsec_other", &header(SIGNED), BODY, NOW), Err(wrong));
        assert_eq!(verify("whsec_test", &header(SIGNED), r#"{"id":"evt_2"}"#, NOW), Err(wrong));
        assert_eq!(verify("whsec_test", &header(&SIGNED[..62]), BODY, NOW), Err(wrong));
        assert_eq!(verify("whsec_test", &header("é"), BODY, NOW), Err(wrong));
        let later = format!("t=1700000001,v1={SIGNED}");
        assert_eq!(verify("whsec_test", &later, BODY, NOW), Err(wrong), "the time is signed too");
        assert_eq!(verify("whsec_test", &header(SIGNED), BODY, NOW + 300), Err("the time is too far from now"));
        assert_eq!(verify("whsec_test", "", BODY, NOW), Err("there is no time"));
        assert_eq!(verify("whsec_test", "t=x,v1=", BODY, NOW), Err("the time is no number"));
    }
}
