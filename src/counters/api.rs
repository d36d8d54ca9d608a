//! Prometheus' HTTP API, as much of it as is asked here: instant queries, ranges, types of metrics.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::Deserialize;
use serde::de::DeserializeOwned;
use url::Url;

use super::error::SourceError;
use super::http::{Access, Body, Http};
use super::observe::Kind;
use super::report::Labels;

/// A Prometheus server.
#[derive(Debug, Clone)]
pub(super) struct Api(Http);

/// An answer and what Prometheus warned of.
#[derive(Debug)]
pub(super) struct Answer<T> {
    pub(super) data: T,
    pub(super) warnings: Vec<String>,
    /// That `data` is a part of what there is, and why.
    pub(super) partial: Option<String>,
}

/// A series with raw samples or the points of a range: times in Unix seconds by the server's clock.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Series {
    pub(super) metric: String,
    pub(super) labels: Labels,
    pub(super) samples: Vec<(f64, f64)>,
    /// Whether it has native histograms, which have no single value.
    pub(super) histogram: bool,
}

#[derive(Deserialize)]
struct Envelope<T> {
    status: String,
    data: Option<T>,
    #[serde(rename = "errorType", default)]
    kind: String,
    #[serde(default)]
    error: String,
    #[serde(default)]
    warnings: Vec<String>,
    /// What changes nothing.
    #[serde(default)]
    infos: Vec<String>,
    /// VictoriaMetrics' word for an answer of a part of its stores.
    #[serde(default, rename = "isPartial")]
    partial: bool,
}

#[derive(Deserialize)]
#[serde(tag = "resultType", content = "result", rename_all = "lowercase")]
enum Outcome {
    Matrix(Vec<RawSeries>),
    Vector(Vec<RawSample>),
    Scalar((f64, String)),
    String(serde::de::IgnoredAny),
}

#[derive(Deserialize)]
struct RawSeries {
    metric: BTreeMap<String, String>,
    #[serde(default)]
    values: Vec<(f64, String)>,
    #[serde(default)]
    histograms: Vec<serde::de::IgnoredAny>,
}

#[derive(Deserialize)]
struct RawSample {
    metric: BTreeMap<String, String>,
    value: Option<(f64, String)>,
}

#[derive(Deserialize)]
struct Metadata {
    #[serde(rename = "type")]
    kind: String,
}

impl Api {
    pub(super) fn new(access: Access) -> Self {
        Self(Http::new(access))
    }

    fn url(&self, path: &str) -> Url {
        let mut url = self.0.url().clone();
        let base = url.path().trim_end_matches('/').to_owned();
        url.set_path(&format!("{base}/api/v1/{path}"));
        url
    }

    /// By how many seconds the server's clock is ahead of ours, and how far that may be off: half the request's time.
    pub(super) async fn ahead(&self) -> Result<(f64, f64), SourceError> {
        let asked = unix(SystemTime::now());
        let answer: Answer<Outcome> = self.post("query", &[("query", "time()")]).await?;
        let now = unix(SystemTime::now());
        match answer.data {
            Outcome::Scalar((time, _)) => Ok((time - f64::midpoint(asked, now), (now - asked) / 2.0)),
            _ => Err(SourceError::NotPrometheus("`time()` is no number there".into())),
        }
    }

    /// The raw samples of a selector in `(to - length, to]`.
    pub(super) async fn raw(&self, selector: &str, length: f64, to: f64) -> Result<Answer<Vec<Series>>, SourceError> {
        let query = format!("{selector}[{}ms]", (length * 1e3).ceil().max(1.0));
        self.series("query", &[("query", &query), ("time", &format!("{to:.3}"))]).await
    }

    /// How many series each of a selector's metrics has, of those with a sample in the 5 min before `at`.
    pub(super) async fn counts(&self, selector: &str, at: f64) -> Result<Answer<Vec<(String, u64)>>, SourceError> {
        let query = format!("count by (__name__) ({selector})");
        let answer: Answer<Outcome> = self.post("query", &[("query", &query), ("time", &format!("{at:.3}"))]).await?;
        let Outcome::Vector(samples) = answer.data else {
            return Err(SourceError::NotPrometheus("it counts series without a vector".into()));
        };
        let mut counts = Vec::with_capacity(samples.len());
        for mut sample in samples {
            let name = sample.metric.remove("__name__").unwrap_or_default();
            let value = sample.value.ok_or_else(|| SourceError::NotPrometheus("a count without a value".into()))?;
            counts.push((name, number(&value.1)? as u64));
        }
        Ok(Answer { data: counts, warnings: answer.warnings, partial: answer.partial })
    }

    /// The labels of the series of an instant query, their names among them.
    pub(super) async fn instant(&self, query: &str, at: f64) -> Result<Vec<Labels>, SourceError> {
        let answer: Answer<Outcome> = self.post("query", &[("query", query), ("time", &format!("{at:.3}"))]).await?;
        match answer.data {
            Outcome::Vector(samples) => Ok(samples.into_iter().map(|sample| sample.metric.into_iter().collect()).collect()),
            _ => Err(SourceError::NotPrometheus("it answers a selector without a vector".into())),
        }
    }

    /// A range query; points where the query has no number are NaN or absent.
    pub(super) async fn range(&self, promql: &str, from: f64, to: f64, step: f64) -> Result<Answer<Vec<Series>>, SourceError> {
        let (from, to, step) = (format!("{from:.3}"), format!("{to:.3}"), format!("{step:.3}"));
        self.series("query_range", &[("query", promql), ("start", &from), ("end", &to), ("step", &step)]).await
    }

    /// What a metric is, if the server knows; its family's type stands for its series.
    pub(super) async fn kind(&self, name: &str) -> Result<Option<Kind>, SourceError> {
        let mut url = self.url("metadata");
        url.query_pairs_mut().append_pair("metric", name).append_pair("limit", "1");
        let body = self.0.get(&url, &[]).await?;
        let answer: Answer<HashMap<String, Vec<Metadata>>> = self.read(&body)?;
        let kind = answer.data.get(name).and_then(|all| all.first()).map(|metadata| metadata.kind.as_str());
        Ok(match kind {
            Some("counter") => Some(Kind::Counter),
            Some("gauge") => Some(Kind::Gauge),
            _ => None,
        })
    }

    async fn series(&self, path: &str, form: &[(&str, &str)]) -> Result<Answer<Vec<Series>>, SourceError> {
        let answer: Answer<Outcome> = self.post(path, form).await?;
        let Outcome::Matrix(series) = answer.data else {
            return Err(SourceError::NotPrometheus("it answers a range without a matrix".into()));
        };
        let data = series.into_iter().map(RawSeries::read).collect::<Result<_, _>>()?;
        Ok(Answer { data, warnings: answer.warnings, partial: answer.partial })
    }

    async fn post<T: DeserializeOwned>(&self, path: &str, form: &[(&str, &str)]) -> Result<Answer<T>, SourceError> {
        let body = self.0.post_form(&self.url(path), form).await?;
        self.read(&body)
    }

    fn read<T: DeserializeOwned>(&self, body: &Body) -> Result<Answer<T>, SourceError> {
        let status = body.status;
        let envelope: Result<Envelope<T>, _> = serde_json::from_slice(&body.bytes);
        match envelope {
            _ if matches!(status, 401 | 403) => Err(SourceError::Unauthorized { status }),
            Ok(Envelope { status: word, data: Some(data), warnings, infos, partial, .. })
                if word == "success" && status < 300 =>
            {
                let cleaned = |texts: Vec<String>| -> Vec<String> { texts.iter().map(|text| self.0.excerpt(text)).collect() };
                let mut warnings = cleaned(warnings);
                let grave = warnings.iter().find(|warning| !warning.starts_with("PromQL info:")).cloned();
                let partial = grave.or_else(|| partial.then(|| "some of its stores did not answer (isPartial)".to_owned()));
                warnings.extend(cleaned(infos));
                Ok(Answer { data, warnings, partial })
            }
            Ok(envelope) if envelope.status == "error" => {
                Err(SourceError::Query { status, kind: self.0.excerpt(&envelope.kind), message: self.0.excerpt(&envelope.error) })
            }
            _ => {
                let shown = self.0.excerpt(&String::from_utf8_lossy(&body.bytes));
                match status {
                    404 => Err(SourceError::NotPrometheus(format!("404, {shown}"))),
                    300.. => Err(SourceError::Status { status, message: shown }),
                    _ => Err(SourceError::NotPrometheus(shown)),
                }
            }
        }
    }
}

impl RawSeries {
    fn read(mut self) -> Result<Series, SourceError> {
        let metric = self.metric.remove("__name__").unwrap_or_default();
        let samples = self.values.iter().map(|(time, value)| Ok((*time, number(value)?))).collect::<Result<_, SourceError>>()?;
        Ok(Series { metric, labels: self.metric.into_iter().collect(), samples, histogram: !self.histograms.is_empty() })
    }
}

/// A value, written as Go does: "NaN" and "+Inf" among them.
fn number(text: &str) -> Result<f64, SourceError> {
    text.parse().map_err(|_| SourceError::NotPrometheus("a sample's value is no number".into()))
}

/// Unix seconds.
pub(super) fn unix(time: SystemTime) -> f64 {
    time.duration_since(UNIX_EPOCH).map_or_else(|error| -error.duration().as_secs_f64(), |since| since.as_secs_f64())
}

/// How long until a Unix time; zero if it is over.
pub(super) fn until(time: f64) -> Duration {
    Duration::try_from_secs_f64(time - unix(SystemTime::now())).unwrap_or_default()
}
