//! `/metrics`: one page is in the making at a time, and those who ask for the same format share it. Of pages that somebody asked for and
//! doesn't take, the oldest are given up.

use std::io;
use std::sync::{Arc, Weak};
use std::time::Instant;

use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::stream;
use tokio::sync::Mutex;

use crate::exposition::{self, Format, Shown};

/// So many bytes of pages are kept at most for those who take them slowly, however many there are.
const KEPT: usize = 32 << 20;
/// So much of a page a connection gets at once, as a copy: what it holds doesn't hold the page.
pub(super) const PIECE: usize = 16 << 10;

/// The text of a page, until it is given up.
struct Text {
    length: usize,
    bytes: std::sync::Mutex<Option<Bytes>>,
}

impl Text {
    fn new(bytes: Bytes) -> Self {
        Self { length: bytes.len(), bytes: std::sync::Mutex::new(Some(bytes)) }
    }

    fn bytes(&self) -> std::sync::MutexGuard<'_, Option<Bytes>> {
        // Nothing panics while it is locked.
        self.bytes.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// What comes next at a place within it.
    fn piece(&self, at: usize) -> io::Result<Bytes> {
        let bytes = self.bytes();
        let bytes =
            bytes.as_ref().ok_or_else(|| io::Error::other("others asked for newer pages, and this one was not taken in time"))?;
        Ok(Bytes::copy_from_slice(&bytes[at..self.length.min(at + PIECE)]))
    }
}

/// A page that was rendered.
#[derive(Clone)]
struct Page {
    format: Format,
    gzip: bool,
    begun: Instant,
    content_type: &'static str,
    text: Arc<Text>,
}

/// Renders pages. Whoever asks waits for the rendering that goes on, and for at most one for each format.
#[derive(Clone, Default)]
pub(super) struct Scrapes(Arc<Mutex<Pages>>);

#[derive(Default)]
struct Pages {
    /// Those that somebody may still wait for.
    fresh: Vec<Page>,
    /// All that somebody has not taken whole, oldest first.
    sent: Vec<Weak<Text>>,
}

impl Pages {
    /// Gives up the oldest that somebody still takes, until what is kept with this one isn't too much.
    fn keep(&mut self, text: &Arc<Text>) {
        let live: Vec<Arc<Text>> = self.sent.iter().filter_map(Weak::upgrade).filter(|text| text.bytes().is_some()).collect();
        let mut sum: usize = text.length + live.iter().map(|text| text.length).sum::<usize>();
        let mut live = live.into_iter();
        while sum > KEPT
            && let Some(oldest) = live.next()
        {
            sum -= oldest.length;
            oldest.bytes().take();
        }
        self.sent = live.chain([text.clone()]).map(|text| Arc::downgrade(&text)).collect();
    }
}

impl Scrapes {
    /// The page as it is at some moment after the question came.
    pub async fn answer(&self, stores: Arc<Vec<Arc<Shown>>>, headers: &HeaderMap) -> Response {
        let came = Instant::now();
        let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
        let format = Format::negotiate(text(header::ACCEPT));
        let gzip = text(header::ACCEPT_ENCODING).is_some_and(exposition::accepts_gzip);
        let mut pages = self.0.clone().lock_owned().await;
        let fresh = |page: &&Page| page.begun >= came && (page.format, page.gzip) == (format, gzip);
        if let Some(page) = pages.fresh.iter().find(fresh) {
            return page.response();
        }
        // A page of many series takes milliseconds: not on the thread that answers health checks. Whoever asked may go meanwhile, and the
        // others wait all the same.
        let made = tokio::task::spawn_blocking(move || {
            let begun = Instant::now();
            let made = exposition::answer(&stores, format, gzip)?;
            let text = Arc::new(Text::new(made.body.into()));
            // Nobody waits any more for what was begun before this question came.
            pages.fresh.retain(|other| other.begun >= came && (other.format, other.gzip) != (format, gzip));
            pages.keep(&text);
            let page = Page { format, gzip, begun, content_type: made.content_type, text };
            pages.fresh.push(page.clone());
            Ok::<_, exposition::ExpositionError>(page)
        });
        let error = match made.await {
            Ok(Ok(page)) => return page.response(),
            Ok(Err(error)) => error.to_string(),
            Err(error) => error.to_string(),
        };
        tracing::error!(error, "the metrics page failed");
        StatusCode::INTERNAL_SERVER_ERROR.into_response()
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
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(self.text.length));
        let text = self.text.clone();
        let pieces = stream::unfold(0, move |at| {
            let piece = (at < text.length).then(|| text.piece(at));
            let next = piece.as_ref().and_then(|piece| piece.as_ref().ok()).map_or(text.length, |piece| at + piece.len());
            std::future::ready(piece.map(|piece| (piece, next)))
        });
        (headers, Body::from_stream(pieces)).into_response()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(fill: u8, length: usize) -> Page {
        let text = Arc::new(Text::new(vec![fill; length].into()));
        Page { format: Format::negotiate(None), gzip: false, begun: Instant::now(), content_type: "text/plain", text }
    }

    #[tokio::test]
    async fn pages_that_nobody_takes_are_given_up_the_oldest_first() {
        let mut pages = Pages::default();
        let all: Vec<Page> = (0..40).map(|n| page(n, 1 << 20)).collect();
        let answers: Vec<Response> = all
            .into_iter()
            .map(|page| {
                pages.keep(&page.text);
                page.response()
            })
            .collect();
        for (n, answer) in answers.into_iter().enumerate() {
            let body = axum::body::to_bytes(answer.into_body(), usize::MAX).await;
            assert_eq!(body.is_ok_and(|body| body == vec![n as u8; 1 << 20]), n >= 8, "{n}");
        }
        // Those that were taken are gone, and one that is larger than all may be is sent all the same.
        let large = page(7, KEPT + 1);
        pages.keep(&large.text);
        assert_eq!(pages.sent.len(), 1);
        let answer = large.response();
        assert_eq!(answer.headers()[header::CONTENT_LENGTH], (KEPT + 1).to_string());
        assert_eq!(axum::body::to_bytes(answer.into_body(), usize::MAX).await.unwrap().len(), KEPT + 1);
    }
}
