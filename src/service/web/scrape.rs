//! `/metrics`: one rendering at a time, shared by all that asked before it began.

use std::sync::Arc;
use std::time::Instant;

use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use tokio::sync::Mutex;

use crate::exposition::{self, Shown};

/// What one scraper asked for: `Accept` and `Accept-Encoding`.
type Wish = (Option<String>, Option<String>);

/// The last page that was rendered.
struct Page {
    wish: Wish,
    begun: Instant,
    content_type: &'static str,
    gzip: bool,
    body: Bytes,
}

/// Renders pages. However many scrapers come at once, no more than one page is in the making, and none waits for more than two.
#[derive(Clone, Default)]
pub(super) struct Scrapes(Arc<Mutex<Option<Page>>>);

impl Scrapes {
    /// The page as it is now, or was at a moment since the question came.
    pub async fn answer(&self, stores: Arc<Vec<Arc<Shown>>>, headers: &HeaderMap) -> Response {
        let came = Instant::now();
        let text = |name| headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let wish = (text(header::ACCEPT), text(header::ACCEPT_ENCODING));
        let mut last = self.0.lock().await;
        if let Some(page) = last.as_ref().filter(|page| page.begun >= came && page.wish == wish) {
            return page.response();
        }
        let (begun, asked) = (Instant::now(), wish.clone());
        // A page of many series takes milliseconds: not on the thread that answers health checks.
        let made = tokio::task::spawn_blocking(move || exposition::answer(&stores, wish.0.as_deref(), wish.1.as_deref())).await;
        let error: &dyn std::error::Error = match &made {
            Ok(Ok(_)) => &std::fmt::Error,
            Ok(Err(error)) => error,
            Err(error) => error,
        };
        let Ok(Ok(made)) = made else {
            tracing::error!(%error, "the metrics page failed");
            return StatusCode::INTERNAL_SERVER_ERROR.into_response();
        };
        let page = Page { wish: asked, begun, content_type: made.content_type, gzip: made.gzip, body: made.body.into() };
        last.insert(page).response()
    }
}

impl Page {
    fn response(&self) -> Response {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(self.content_type));
        headers.insert(header::VARY, HeaderValue::from_static("Accept, Accept-Encoding"));
        if self.gzip {
            headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        (headers, self.body.clone()).into_response()
    }
}
