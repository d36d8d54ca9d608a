//! The web surface: `/metrics`, health, lifecycle and the status page.
//!
//! Routes follow Prometheus' own servers: `/-/healthy`, `/-/ready`, and POST or PUT `/-/reload` and `/-/quit`, for authenticated users or
//! with `--web.enable-lifecycle`.

mod auth;
mod change;
mod clients;
mod config;
#[cfg(test)]
mod config_tests;
mod current;
mod listen;
mod listener;
mod patience;
mod scrape;
mod status;
mod tls;
mod written;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arc_swap::ArcSwap;
use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::{get, post};
use tokio::sync::{mpsc, oneshot, watch};

use crate::exposition::Shown;

use change::{Authenticated, refusal};
use current::Current;
use scrape::Scrapes;

pub use config::WebConfigError;
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
    /// Whether everyone may ask for `/-/reload` and `/-/quit`; authenticated users always may.
    pub lifecycle: bool,
    /// The URL that people's browsers know it by.
    pub external: Option<String>,
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
    external: Option<Arc<str>>,
    scrapes: Scrapes,
}

/// Starts the web surface. Without `orders`, `/-/reload` and `/-/quit` answer that there is nothing to do it.
///
/// # Errors
/// An address that can't be listened on, or a web config file that can't be used.
pub async fn serve(options: &WebOptions, surface: Arc<Surface>, orders: Option<mpsc::Sender<Order>>) -> Result<Web, WebError> {
    // A file that is wrong from the start is reported at the start.
    let config = options.config.as_deref().map(Current::open).transpose()?.map(Arc::new);
    let external = options.external.as_deref().map(Arc::from);
    let site = Site { surface, orders, lifecycle: options.lifecycle, external, scrapes: Scrapes::default() };
    let changes = Router::new()
        .route("/-/reload", post(reload).put(reload))
        .route("/-/quit", post(quit).put(quit))
        .route_layer(from_fn_with_state(site.clone(), may_change));
    let router = Router::new()
        .route("/", get(front_page))
        .route("/metrics", get(metrics))
        .route("/api/v1/status", get(api_status))
        .route("/-/healthy", get(async || "load-exporter is healthy.\n"))
        .route("/-/ready", get(ready))
        .merge(changes)
        .with_state(site);
    let router = auth::guard(router, config.clone());
    let (stop, stopped) = watch::channel(false);
    let mut addresses = Vec::new();
    let mut servers = Vec::new();
    for address in &options.listen {
        let listener = bind(address).await?;
        let address = listener.local_addr()?;
        addresses.push(address);
        let door = listener::TlsListener { config: config.clone(), router: router.clone(), stopped: stopped.clone() };
        servers.push(tokio::spawn(door.open(listener)));
    }
    Ok(Web { addresses, stop, servers })
}

async fn metrics(State(site): State<Site>, headers: HeaderMap) -> Response {
    site.scrapes.answer(site.surface.stores.load_full(), &headers).await
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

/// Asked before something is changed.
async fn may_change(State(site): State<Site>, request: Request, next: Next) -> Response {
    let allowed = site.lifecycle || request.extensions().get::<Authenticated>().is_some();
    // HTTP/2 has no Host.
    let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok());
    let host = host.or_else(|| request.uri().authority().map(|authority| authority.as_str()));
    match refusal(request.headers(), host.unwrap_or_default(), site.external.as_deref(), allowed) {
        Some(refusal) => refusal.into_response(),
        None => next.run(request).await,
    }
}

async fn reload(State(site): State<Site>) -> Response {
    let (answer, answered) = oneshot::channel();
    let stopping = (StatusCode::SERVICE_UNAVAILABLE, "load-exporter is stopping\n");
    match order(&site, Order::Reload(answer)).await {
        None => return (StatusCode::CONFLICT, "there is no daemon here that could reload\n").into_response(),
        Some(false) => return stopping.into_response(),
        Some(true) => {}
    }
    match answered.await {
        Ok(Ok(changed)) => (StatusCode::OK, format!("{changed}\n")).into_response(),
        Ok(Err(problems)) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{problems}\n")).into_response(),
        Err(_) => stopping.into_response(),
    }
}

async fn quit(State(site): State<Site>) -> Response {
    match order(&site, Order::Quit).await {
        Some(_) => (StatusCode::OK, "stopping\n").into_response(),
        None => (StatusCode::CONFLICT, "there is nothing here that could be stopped\n").into_response(),
    }
}

/// Whether somebody still takes orders; none where nobody ever does.
async fn order(site: &Site, order: Order) -> Option<bool> {
    Some(site.orders.as_ref()?.send(order).await.is_ok())
}
