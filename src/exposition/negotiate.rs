//! Which format a reader prefers: `Accept` with its q-values (RFC 9110), as Prometheus sends it.

/// A format of `/metrics`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// The text format 0.0.4: what everything understands, and the answer where nothing else is asked for.
    Text,
    /// OpenMetrics 1.0.
    OpenMetrics,
    /// Delimited protobuf, native histograms included. Only for who asks for it: a Prometheus that doesn't know native
    /// histograms would take the target for broken.
    Protobuf,
}

const PROTOBUF: &str = "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited";

impl Format {
    /// The header `Content-Type`, which Prometheus 3 insists on.
    pub const fn content_type(self) -> &'static str {
        match self {
            Format::Text => "text/plain; version=0.0.4; charset=utf-8",
            Format::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Format::Protobuf => PROTOBUF,
        }
    }

    /// The format that `Accept` prefers: the highest q-value, the first among equals. What asks for nothing known gets text.
    pub fn negotiate(accept: Option<&str>) -> Self {
        let mut best = (0.0, Format::Text);
        for range in accept.unwrap_or_default().split(',') {
            let (media, parameters) = split(range);
            let Some(format) = offered(media, &parameters) else { continue };
            let q = quality(&parameters);
            if q > best.0 {
                best = (q, format);
            }
        }
        best.1
    }
}

/// A media range or coding, and its parameters.
fn split(range: &str) -> (&str, Vec<(&str, &str)>) {
    let mut parts = range.split(';').map(str::trim);
    let media = parts.next().unwrap_or_default();
    let parameters =
        parts.filter_map(|part| part.split_once('=')).map(|(name, value)| (name.trim(), value.trim().trim_matches('"')));
    (media, parameters.collect())
}

fn parameter<'a>(parameters: &[(&str, &'a str)], name: &str) -> Option<&'a str> {
    parameters.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| *value)
}

/// The q-value: 1 where none is given, 0 ("not this") where it can't be read.
fn quality(parameters: &[(&str, &str)]) -> f64 {
    match parameter(parameters, "q") {
        None => 1.0,
        Some(text) => text.parse::<f64>().ok().filter(|q| (0.0..=1.0).contains(q)).unwrap_or(0.0),
    }
}

/// The format that a media range asks for, if it is one of ours.
fn offered(media: &str, parameters: &[(&str, &str)]) -> Option<Format> {
    let version = parameter(parameters, "version");
    match media.to_ascii_lowercase().as_str() {
        "application/vnd.google.protobuf" => (parameter(parameters, "proto") == Some("io.prometheus.client.MetricFamily")
            && parameter(parameters, "encoding") == Some("delimited"))
        .then_some(Format::Protobuf),
        "application/openmetrics-text" => version.is_none_or(|version| version == "1.0.0").then_some(Format::OpenMetrics),
        "text/plain" => version.is_none_or(|version| version == "0.0.4").then_some(Format::Text),
        "text/*" | "*/*" => Some(Format::Text),
        _ => None,
    }
}

/// Whether `Accept-Encoding` allows gzip.
pub fn accepts_gzip(accept_encoding: &str) -> bool {
    let codings: Vec<_> = accept_encoding.split(',').map(split).collect();
    let named = |name: &str| codings.iter().find(|(coding, _)| coding.eq_ignore_ascii_case(name));
    named("gzip").or_else(|| named("*")).is_some_and(|(_, parameters)| quality(parameters) > 0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_each_prometheus_sends() {
        for (accept, format) in [
            // 2.42 without and with native histograms.
            (
                "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
                Format::OpenMetrics,
            ),
            (
                "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited,application/openmetrics-text;version=1.0.0;q=0.8,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
                Format::Protobuf,
            ),
            // 3.x without and with native histograms.
            (
                "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
                Format::OpenMetrics,
            ),
            (
                "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;escaping=allow-utf-8;q=0.7,application/openmetrics-text;version=1.0.0;q=0.6,*/*;q=0.2",
                Format::Protobuf,
            ),
        ] {
            assert_eq!(Format::negotiate(Some(accept)), format, "{accept}");
        }
    }

    #[test]
    fn what_others_send() {
        for (accept, format) in [
            (None, Format::Text),
            (Some(""), Format::Text),
            (Some("*/*"), Format::Text),
            (Some("text/html,application/xhtml+xml;q=0.9,*/*;q=0.8"), Format::Text),
            (Some("Application/OpenMetrics-Text; Version=\"1.0.0\"; charset=utf-8"), Format::OpenMetrics),
            (Some("application/openmetrics-text;q=0.3, text/plain;q=0.4"), Format::Text),
            (Some("application/openmetrics-text;q=0, text/plain;q=0.1"), Format::Text),
            (Some("application/openmetrics-text;version=0.0.1"), Format::Text),
            (Some("application/openmetrics-text;q=much"), Format::Text),
            // Protobuf of another kind isn't what we have.
            (Some("application/vnd.google.protobuf"), Format::Text),
            (Some("application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=text"), Format::Text),
        ] {
            assert_eq!(Format::negotiate(accept), format, "{accept:?}");
        }
    }

    #[test]
    fn gzip_where_it_is_allowed() {
        for yes in ["gzip", "deflate, GZIP;q=0.5", "*", "identity;q=0, *;q=0.1"] {
            assert!(accepts_gzip(yes), "{yes}");
        }
        for no in ["", "identity", "gzip;q=0", "gzip;q=0, *", "br"] {
            assert!(!accepts_gzip(no), "{no}");
        }
    }
}
