//! The web surface: `/metrics`, health, lifecycle and the status page.
//!
//! Routes follow Prometheus' own servers: `/-/healthy`, `/-/ready`, and with `--web.enable-lifecycle` POST or PUT
//! `/-/reload` and `/-/quit`.

mod auth;
mod config;
mod door;
mod listen;
mod status;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arc_swap::ArcSwap;
use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::{get, post};
use tokio::sync::{mpsc, oneshot, watch};

use crate::exposition::{self, Shown};

pub use config::{WebConfig, WebConfigError};
pub use listen::{ListenError, bind};
pub use status::ProfileStatus;

/// What the web surface shows; shared between it and whoever runs profiles.
#[derive(Default)]
pub struct Surface {
    /// What is shown of the loaded profiles, in their order.
    pub stores: ArcSwap<Vec<Arc<Shown>>>,
    /// A line for each profile on the status page.
    profiles: ArcSwap<Vec<ProfileStatus>>,
    ready: AtomicBool,
}

impl Surface {
    /// From now on `/-/ready` says so (or not).
    pub fn set_ready(&self, ready: bool) {
        self.ready.store(ready, Ordering::Relaxed);
    }

    /// The profiles that the status page shows from now on, in this order; what was known of them stays.
    pub fn show_only(&self, profiles: &[String]) {
        self.profiles.rcu(|lines| {
            let line = |name: &String| match lines.iter().find(|line| line.profile == *name) {
                Some(line) => line.clone(),
                None => ProfileStatus { profile: name.clone(), ..ProfileStatus::default() },
            };
            profiles.iter().map(line).collect::<Vec<_>>()
        });
    }

    /// Changes a profile's line on the status page, if it is shown.
    pub fn set_status(&self, profile: &str, change: impl Fn(&mut ProfileStatus)) {
        self.profiles.rcu(|lines| {
            let mut lines = lines.as_ref().clone();
            lines.iter_mut().filter(|line| line.profile == profile).for_each(&change);
            lines
        });
    }
}

/// What somebody asks for by `/-/reload` and `/-/quit`.
#[derive(Debug)]
pub enum Order {
    /// Read the profiles anew; answer with what has changed, or what was wrong.
    Reload(oneshot::Sender<Result<String, String>>),
    /// Stop gracefully.
    Quit,
}

/// How the web surface is set up.
#[derive(Debug, Clone, Default)]
pub struct WebOptions {
    /// Where it listens.
    pub listen: Vec<String>,
    /// TLS and basic authentication.
    pub config: Option<PathBuf>,
    /// Whether `/-/reload` and `/-/quit` are allowed.
    pub lifecycle: bool,
}

/// Why the web surface can't be had.
#[derive(Debug, thiserror::Error)]
pub enum WebError {
    /// An address.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// The web config file.
    #[error(transparent)]
    Config(#[from] WebConfigError),
    /// The system.
    #[error("the web surface can't be started: {0}")]
    Io(#[from] std::io::Error),
}

/// A running web surface; stops when it is dropped.
pub struct Web {
    addresses: Vec<SocketAddr>,
    stop: watch::Sender<bool>,
    servers: Vec<tokio::task::JoinHandle<()>>,
}

impl Web {
    /// Where it listens.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Answers what is under way, and stops.
    pub async fn stop(mut self) {
        let _ = self.stop.send(true); // nobody listens if every server has failed
        for server in std::mem::take(&mut self.servers) {
            // A client that keeps its connection open doesn't hold us.
            let _ = tokio::time::timeout(std::time::Duration::from_millis(500), server).await;
        }
    }
}

#[derive(Clone)]
struct Site {
    surface: Arc<Surface>,
    orders: Option<mpsc::Sender<Order>>,
    lifecycle: bool,
}

/// Starts the web surface. Without `orders`, `/-/reload` and `/-/quit` answer that there is nothing to do it.
///
/// # Errors
/// An address that can't be listened on, or a web config file that can't be used.
pub async fn serve(options: &WebOptions, surface: Arc<Surface>, orders: Option<mpsc::Sender<Order>>) -> Result<Web, WebError> {
    if let Some(path) = &options.config {
        // A file that is wrong from the start is told at the start.
        WebConfig::read(path)?.tls()?;
    }
    let site = Site { surface, orders, lifecycle: options.lifecycle };
    let router = Router::new()
        .route("/", get(front_page))
        .route("/metrics", get(metrics))
        .route("/api/v1/status", get(api_status))
        .route("/-/healthy", get(async || "load-exporter is healthy.\n"))
        .route("/-/ready", get(ready))
        .route("/-/reload", post(reload).put(reload))
        .route("/-/quit", post(quit).put(quit))
        .with_state(site);
    let router = auth::guard(router, options.config.clone());
    let (stop, stopped) = watch::channel(false);
    let mut addresses = Vec::new();
    let mut servers = Vec::new();
    for address in &options.listen {
        let listener = bind(address).await?;
        let address = listener.local_addr()?;
        addresses.push(address);
        let door = door::Door::open(listener, options.config.clone())?;
        let mut stopped = stopped.clone();
        let server = axum::serve(door, router.clone()).with_graceful_shutdown(async move {
            let _ = stopped.wait_for(|stop| *stop).await; // a dropped sender stops it as well
        });
        servers.push(tokio::spawn(async move {
            if let Err(error) = server.await {
                tracing::error!(%address, %error, "the web surface failed");
            }
        }));
    }
    Ok(Web { addresses, stop, servers })
}

async fn metrics(State(site): State<Site>, headers: HeaderMap) -> Response {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let (accept, encoding) = (text(header::ACCEPT), text(header::ACCEPT_ENCODING));
    let stores = site.surface.stores.load_full();
    // A page of many series takes milliseconds: not on the thread that answers health checks.
    let page = tokio::task::spawn_blocking(move || exposition::answer(&stores, accept.as_deref(), encoding.as_deref())).await;
    match page {
        Ok(Ok(page)) => {
            let mut headers = HeaderMap::new();
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(page.content_type));
            headers.insert(header::VARY, HeaderValue::from_static("Accept, Accept-Encoding"));
            if page.gzip {
                headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
            }
            (headers, page.body).into_response()
        }
        Ok(Err(error)) => failed(&error),
        Err(error) => failed(&error),
    }
}

fn failed(error: &dyn std::error::Error) -> Response {
    tracing::error!(%error, "the metrics page failed");
    StatusCode::INTERNAL_SERVER_ERROR.into_response()
}

async fn front_page(State(site): State<Site>) -> Html<String> {
    Html(status::page(&site.surface.profiles.load()))
}

async fn api_status(State(site): State<Site>) -> Response {
    let profiles = site.surface.profiles.load_full();
    let ready = site.surface.ready.load(Ordering::Relaxed);
    axum::Json(status::status(&profiles, ready)).into_response()
}

async fn ready(State(site): State<Site>) -> (StatusCode, String) {
    let profiles = site.surface.profiles.load();
    let faults = profiles.iter().filter(|profile| !profile.fault.is_empty());
    let faults: String = faults.map(|profile| format!("{}: {}\n", profile.profile, profile.fault)).collect();
    if site.surface.ready.load(Ordering::Relaxed) && faults.is_empty() {
        (StatusCode::OK, "load-exporter is ready.\n".to_owned())
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, format!("load-exporter is not ready.\n{faults}"))
    }
}

const FORBIDDEN: (StatusCode, &str) =
    (StatusCode::FORBIDDEN, "lifecycle API is not enabled; start with --web.enable-lifecycle\n");

async fn reload(State(site): State<Site>) -> Response {
    if !site.lifecycle {
        return FORBIDDEN.into_response();
    }
    let (answer, answered) = oneshot::channel();
    if !order(&site, Order::Reload(answer)).await {
        return (StatusCode::CONFLICT, "there is no daemon here that could reload\n").into_response();
    }
    match answered.await {
        Ok(Ok(changed)) => (StatusCode::OK, format!("{changed}\n")).into_response(),
        Ok(Err(problems)) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{problems}\n")).into_response(),
        Err(_) => (StatusCode::SERVICE_UNAVAILABLE, "load-exporter is stopping\n").into_response(),
    }
}

async fn quit(State(site): State<Site>) -> Response {
    if !site.lifecycle {
        return FORBIDDEN.into_response();
    }
    if order(&site, Order::Quit).await {
        (StatusCode::OK, "stopping\n").into_response()
    } else {
        (StatusCode::CONFLICT, "there is nothing here that could be stopped\n").into_response()
    }
}

async fn order(site: &Site, order: Order) -> bool {
    match &site.orders {
        Some(orders) => orders.send(order).await.is_ok(),
        None => false,
    }
}
