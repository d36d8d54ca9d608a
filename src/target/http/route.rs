//! From a path and a query to what is to be done.

use std::time::Duration;

use http::Uri;

use crate::base::units::{parse_duration, parse_size};

/// The longest body that is made up, in bytes: enough to fill a line, not a test machine's day.
const MAX_BYTES: u64 = 1 << 30;
/// The most bytes that are dripped.
const MAX_DRIPS: u64 = 100_000;
/// The longest delay.
const MAX_DELAY: Duration = Duration::from_secs(3600);

/// What is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Page {
    Echo,
    Status(u16),
    Bytes(u64),
    Drip { bytes: u64, every: Duration },
    Redirect(u32),
    Metrics,
}

/// What goes wrong on request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    Reset,
    Half,
    Stall,
    StallBody,
}

/// What to do with one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Route {
    pub page: Page,
    pub delay: Duration,
    pub fault: Option<Fault>,
}

/// The route of a request; otherwise what is wrong with it, for the one who wrote it.
pub(super) fn route(uri: &Uri) -> Result<Route, String> {
    let mut route = Route { page: Page::Echo, delay: Duration::ZERO, fault: None };
    let (mut bytes, mut every) = (10, Duration::from_millis(100));
    for (name, value) in uri.query().into_iter().flat_map(|query| query.split('&')).map(pair) {
        match name {
            "delay" => route.delay = delay(value)?,
            "reset" => route.fault = Some(Fault::Reset),
            "half" => route.fault = Some(Fault::Half),
            "stall" if value == "body" => route.fault = Some(Fault::StallBody),
            "stall" => route.fault = Some(Fault::Stall),
            "bytes" => bytes = size(value, MAX_DRIPS).unwrap_or(bytes),
            "every" => every = delay(value).unwrap_or(every),
            // Whatever else a query holds is echoed.
            _ => {}
        }
    }
    let path = uri.path();
    let Some((first, rest)) = path.get(1..).map(pair_of_path) else { return Ok(route) };
    match first {
        "status" => route.page = Page::Status(status(rest)?),
        "delay" => route.delay += delay(rest)?,
        "bytes" => route.page = Page::Bytes(size(rest, MAX_BYTES)?),
        "redirect" => {
            route.page = Page::Redirect(rest.parse().map_err(|_| format!("`{rest}` is not a number of redirects"))?);
        }
        "drip" if rest.is_empty() => route.page = Page::Drip { bytes, every },
        "metrics" if rest.is_empty() => route.page = Page::Metrics,
        _ => {}
    }
    Ok(route)
}

fn pair(part: &str) -> (&str, &str) {
    part.split_once('=').unwrap_or((part, ""))
}

fn pair_of_path(path: &str) -> (&str, &str) {
    path.split_once('/').unwrap_or((path, ""))
}

fn delay(text: &str) -> Result<Duration, String> {
    parse_duration(text).map_err(|error| error.to_string()).map(|delay| delay.min(MAX_DELAY))
}

fn size(text: &str, most: u64) -> Result<u64, String> {
    match parse_size(text).map_err(|error| error.to_string())? {
        bytes if bytes <= most => Ok(bytes),
        _ => Err(format!("`{text}` is more than {most} bytes")),
    }
}

fn status(text: &str) -> Result<u16, String> {
    match text.parse() {
        Ok(status @ 200..=599) => Ok(status),
        _ => Err(format!("`{text}` is not a status from 200 to 599")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_and_queries() {
        let at = |uri: &str| route(&uri.parse().unwrap());
        let page = |uri: &str| at(uri).map(|route| route.page);
        assert_eq!(at("/"), Ok(Route { page: Page::Echo, delay: Duration::ZERO, fault: None }));
        assert_eq!(page("/status"), Err("`` is not a status from 200 to 599".into()));
        assert_eq!(page("/status/404"), Ok(Page::Status(404)));
        assert_eq!(page("/statuses/1"), Ok(Page::Echo));
        assert_eq!(page("/bytes/64KiB"), Ok(Page::Bytes(65_536)));
        assert!(page("/bytes/2GiB").unwrap_err().contains("more than"));
        assert_eq!(page("/drip?bytes=3&every=1ms"), Ok(Page::Drip { bytes: 3, every: Duration::from_millis(1) }));
        assert_eq!(page("/redirect/3"), Ok(Page::Redirect(3)));
        assert_eq!(page("/metrics"), Ok(Page::Metrics));
        assert_eq!(at("/delay/10ms?delay=5ms").map(|r| r.delay), Ok(Duration::from_millis(15)));
        assert!(at("/?delay=5").unwrap_err().contains("`5s`"));
        let fault = |uri: &str| at(uri).unwrap().fault;
        assert_eq!(fault("/x?a=1&reset"), Some(Fault::Reset));
        assert_eq!(fault("/bytes/9?half"), Some(Fault::Half));
        assert_eq!((fault("/?stall"), fault("/?stall=body")), (Some(Fault::Stall), Some(Fault::StallBody)));
        assert_eq!(page("*"), Ok(Page::Echo));
    }
}
