//! The routes: a file each subject, put together here.

mod accounts;
mod bookings;
mod catalogue;
mod channels;
mod events;
mod files;
mod ledger;
mod limiter;
mod mentors;
mod messages;
mod payments;
mod people;
mod queue;
mod recordings;
mod search;
mod stripe;
mod votes;

use axum::extract::{DefaultBodyLimit, State};
use axum::http::header;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::response::IntoResponse;
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Value, json};

pub use messages::KINDS;

use crate::app::App;
use crate::error::ApiError;
use crate::{faults, metrics};

/// All routes of the service.
pub fn router(app: App) -> Router {
    let api = Router::new()
        .route("/manga/popular", get(catalogue::popular))
        .route("/manga/search", get(catalogue::search))
        .route("/manga/{id}", get(catalogue::one))
        .route("/api/login", post(accounts::login))
        .route("/api/logout", post(accounts::logout))
        .route("/api/me", get(accounts::me).put(people::set_status))
        .route("/api/config", get(accounts::config))
        .route("/api/users/anonymous", post(accounts::anonymous))
        .route("/api/tokens", get(stripe::balance))
        .route("/api/queue/join", post(queue::join))
        .route("/api/queue/status", get(queue::status))
        .route("/api/queue/leave", post(queue::leave))
        .route("/webhooks/stripe", post(stripe::webhook))
        .route("/api/streamers", get(events::streamers))
        .route("/api/events/live", get(events::live))
        .route("/api/votes", post(votes::cast))
        .route("/api/votes/{id}", get(votes::one))
        .route("/api/ledger", get(ledger::ledger))
        .route("/api/payments/stars/createInvoice", post(payments::create_invoice))
        .route("/api/webhooks/payment", post(payments::webhook))
        .route("/api/files", post(files::upload).get(files::all).layer(DefaultBodyLimit::disable()))
        .route("/api/files/{id}", get(files::one).delete(files::remove))
        .route("/api/channels", post(channels::create).get(channels::all))
        .route("/api/channels/{id}", get(channels::one).delete(channels::remove))
        .route("/api/channels/{id}/messages", post(messages::send).get(messages::latest))
        .route("/api/messages", get(messages::all))
        .route("/api/messages/{id}", get(messages::one))
        .route("/api/search", get(search::search))
        .route("/api/search/complete", get(search::complete))
        .route("/api/search/seed", post(search::seed))
        .route("/api/users", get(people::find))
        .route("/api/users/{id}", get(people::one))
        .route("/api/notifications", get(people::notifications))
        .route("/api/notifications/read", post(people::read))
        .route("/api/mentors", get(mentors::find))
        .route("/api/mentors/{id}", get(mentors::one))
        .route("/api/mentors/{id}/slots", get(mentors::slots))
        .route("/api/bookings", post(bookings::book).get(bookings::all))
        .route("/api/bookings/{id}", get(bookings::one).delete(bookings::cancel))
        .route("/api/bookings/{id}/payment", post(bookings::pay))
        .route("/api/recordings/{id}", get(recordings::one))
        .route("/api/recordings/{id}/media", get(recordings::media))
        .fallback(nothing_here)
        .layer(from_fn_with_state(app.clone(), faults::apply))
        .layer(from_fn_with_state(app.clone(), metrics::count));
    Router::new()
        .route("/healthz", get(health))
        .route("/metrics", get(exposition))
        .merge(api)
        .layer(from_fn(server_name))
        .with_state(app)
}

async fn nothing_here() -> ApiError {
    ApiError::NotFound("route")
}

/// Healthy is who reaches both stores.
async fn health(State(app): State<App>) -> Result<Json<Value>, ApiError> {
    app.database().await?.query_one("SELECT 1", &[]).await?;
    redis::cmd("PING").query_async::<()>(&mut app.redis()).await?;
    Ok(Json(json!({"status": "ok"})))
}

async fn exposition(State(app): State<App>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], app.exposition())
}

/// Says who answered, for people who look at the wire.
async fn server_name(request: axum::extract::Request, next: axum::middleware::Next) -> axum::response::Response {
    let mut response = next.run(request).await;
    response.headers_mut().insert(header::SERVER, header::HeaderValue::from_static("example-backend"));
    response
}
