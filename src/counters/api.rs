//! Prometheus' HTTP API, as much of it as is asked here: instant queries, ranges, types of metrics.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::measure::Clock;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use url::Url;

use super::error::SourceError;
use super::http::{Access, Body, Http};
use super::kind::MetricKind;
use super::labels::{Labels, label, target};

/// How far behind a server's `time()` may be, in seconds, to be taken for its clock; and how far it may be at all. VictoriaMetrics answers for
/// a moment that lies back.
const BEHIND: std::ops::Range<f64> = 2.0..120.0;

/// How long to wait before asking a gateway again.
const AGAIN: Duration = Duration::from_millis(200);

/// A Prometheus server, or one that answers like one: VictoriaMetrics, Thanos, Mimir.
#[derive(Debug)]
pub(super) struct Api {
    /// What "now" is.
    pub(super) clock: Clock,
    http: Http,
    /// It refuses POST, as some proxies do, and takes GET.
    by_get: AtomicBool,
    /// It is VictoriaMetrics.
    victoria: AtomicBool,
    /// Between what its clock is ahead of ours, where it has whole seconds.
    ahead: Mutex<Option<[f64; 2]>>,
}

/// An answer and what Prometheus warned of.
#[derive(Debug)]
pub(super) struct Answer<T> {
    pub(super) data: T,
    pub(super) warnings: Vec<String>,
    /// Why it isn't all that there is: a store that is away.
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
    // Some servers write `null` for none.
    #[serde(default)]
    warnings: Option<Vec<String>>,
    /// What changes nothing.
    #[serde(default)]
    infos: Option<Vec<String>>,
    /// VictoriaMetrics: a part of its storage didn't answer.
    #[serde(rename = "isPartial", default)]
    partial: Option<bool>,
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
struct Targets {
    #[serde(rename = "activeTargets", default)]
    active: Vec<ActiveTarget>,
}

#[derive(Deserialize)]
struct ActiveTarget {
    labels: BTreeMap<String, String>,
    #[serde(rename = "scrapeUrl")]
    url: String,
}

#[derive(Deserialize)]
struct Metadata {
    #[serde(rename = "type")]
    kind: String,
}

impl Api {
    pub(super) fn new(access: Access, clock: Clock) -> Self {
        Self {
            clock,
            http: Http::new(access),
            by_get: AtomicBool::new(false),
            victoria: AtomicBool::new(false),
            ahead: Mutex::default(),
        }
    }

    /// Where it is.
    pub(super) fn address(&self) -> &Url {
        self.http.url()
    }

    fn url(&self, path: &str) -> Url {
        let mut url = self.http.url().clone();
        let base = url.path().trim_end_matches('/').to_owned();
        url.set_path(&format!("{base}/api/v1/{path}"));
        url
    }

    /// By how many seconds the server's clock is ahead of ours, and how far that may be off: half the request's time.
    pub(super) async fn ahead(&self) -> Result<(f64, f64), SourceError> {
        let asked = unix(self.clock.now());
        let body = self.ask("query", &[("query", "time()")]).await?;
        let now = unix(self.clock.now());
        let answer: Answer<Outcome> = self.read(&body)?;
        let (here, off) = (f64::midpoint(asked, now), (now - asked) / 2.0);
        match answer.data {
            Outcome::Scalar((time, _)) => Ok((time - here, off)),
            // VictoriaMetrics: in whole seconds, and it lies back where the server answers for the past. The clock that it dates its answers by
            // does not.
            Outcome::Vector(samples) if samples.len() == 1 => {
                self.victoria.store(true, Ordering::Relaxed);
                let value = samples[0].value.as_ref();
                let value = value.ok_or_else(|| SourceError::NotPrometheus("`time()` has no value there".into()))?;
                let time = number(&value.1)?;
                let late = body.date.filter(|date| BEHIND.contains(&(date - time)));
                Ok(match late.or((time.fract() == 0.0).then_some(time)) {
                    Some(second) => self.narrowed([second - now, second + 1.0 - asked]),
                    None => (time - here, off),
                })
            }
            _ => Err(SourceError::NotPrometheus("`time()` is no number there".into())),
        }
    }

    /// By how many seconds a clock of whole seconds is ahead of ours, and how far that may be off, now that it is between these two. Each answer
    /// narrows it, unless one of the clocks was set.
    fn narrowed(&self, [least, most]: [f64; 2]) -> (f64, f64) {
        let mut known = self.ahead.lock().unwrap_or_else(PoisonError::into_inner);
        let both = known.map_or([least, most], |known| [known[0].max(least), known[1].min(most)]);
        let [least, most] = if both[0] <= both[1] { both } else { [least, most] };
        *known = Some([least, most]);
        (f64::midpoint(least, most), (most - least) / 2.0)
    }

    /// Whether it is VictoriaMetrics, as far as it has answered.
    pub(super) fn is_victoria(&self) -> bool {
        self.victoria.load(Ordering::Relaxed)
    }

    /// How far a sample's time may be from when it was scraped, in seconds: scrapers round it to a multiple of the interval, Prometheus by 2 ms at
    /// most, VictoriaMetrics by a tenth of the interval.
    pub(super) fn rounding(&self, interval: f64) -> f64 {
        if self.is_victoria() { 0.1 * interval } else { 0.002 }
    }

    /// The raw samples of a selector in `(to - length, to]`.
    pub(super) async fn raw(&self, selector: &str, length: f64, to: f64) -> Result<Answer<Vec<Series>>, SourceError> {
        let query = format!("{selector}[{}ms]", (length * 1e3).ceil().max(1.0));
        self.series("query", &[("query", &query), ("time", &format!("{to:.3}"))]).await
    }

    /// How many series each of a selector's metrics has, of those with a sample in the 5 min before `at`.
    pub(super) async fn counts(&self, selector: &str, at: f64) -> Result<Answer<Vec<(String, u64)>>, SourceError> {
        let query = format!("count by (__name__) ({selector})");
        let body = self.ask("query", &[("query", &query), ("time", &format!("{at:.3}"))]).await?;
        let answer: Answer<Outcome> = self.read(&body)?;
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
        let answer: Answer<Outcome> = self.read(&self.ask("query", &[("query", query), ("time", &format!("{at:.3}"))]).await?)?;
        match answer.data {
            Outcome::Vector(samples) => Ok(samples.into_iter().map(|sample| sample.metric.into_iter().collect()).collect()),
            _ => Err(SourceError::NotPrometheus("it answers a selector without a vector".into())),
        }
    }

    /// The only number of an instant query; none where there is nothing.
    pub(super) async fn number(&self, query: &str, at: f64) -> Result<Option<f64>, SourceError> {
        let answer: Answer<Outcome> = self.read(&self.ask("query", &[("query", query), ("time", &format!("{at:.3}"))]).await?)?;
        let Outcome::Vector(samples) = answer.data else {
            return Err(SourceError::NotPrometheus("it answers an aggregate without a vector".into()));
        };
        samples.first().and_then(|sample| sample.value.as_ref()).map(|(_, value)| number(value)).transpose()
    }

    /// A range query; points where the query has no number are NaN or absent.
    pub(super) async fn range(&self, promql: &str, from: f64, to: f64, step: f64) -> Result<Answer<Vec<Series>>, SourceError> {
        let (from, to, step) = (format!("{from:.3}"), format!("{to:.3}"), format!("{step:.3}"));
        self.series("query_range", &[("query", promql), ("start", &from), ("end", &to), ("step", &step)]).await
    }

    /// What a metric of a job is, if the server knows; its family's type stands for its series. A family's name is a series' name without its
    /// suffix, in OpenMetrics that of a counter, too. Where jobs differ, the job's own targets are asked for.
    pub(super) async fn kind(&self, name: &str, job: &str) -> Result<Option<MetricKind>, SourceError> {
        let families = ["_total", "_bucket", "_sum", "_count"].iter().filter_map(|suffix| name.strip_suffix(suffix));
        for family in std::iter::once(name).chain(families) {
            let mut url = self.url("metadata");
            url.query_pairs_mut().append_pair("metric", family).append_pair("limit", "1");
            let answer: Answer<HashMap<String, Vec<Metadata>>> = self.read(&self.http.get(&url, &[]).await?)?;
            let one_kind = |all: &[Metadata]| {
                let kinds: Vec<Option<MetricKind>> = all.iter().map(|metadata| metadata.kind_of(name, family)).collect();
                kinds.first().copied().filter(|first| kinds.iter().all(|kind| kind == first))
            };
            let all = answer.data.get(family).map_or(&[][..], Vec::as_slice);
            match one_kind(all) {
                _ if all.is_empty() => {}
                Some(kind) => return Ok(kind),
                None => {
                    let mut url = self.url("targets/metadata");
                    let target = format!("{{job=\"{}\"}}", job.replace('\\', "\\\\").replace('"', "\\\""));
                    url.query_pairs_mut().append_pair("match_target", &target).append_pair("metric", family);
                    let answer: Answer<Vec<Metadata>> = self.read(&self.http.get(&url, &[]).await?)?;
                    return Ok(one_kind(&answer.data).flatten());
                }
            }
        }
        Ok(None)
    }

    /// What it scrapes, if it scrapes at all.
    pub(super) async fn targets(&self) -> Result<Vec<Target>, SourceError> {
        let mut url = self.url("targets");
        url.query_pairs_mut().append_pair("state", "active");
        let answer: Answer<Targets> = self.read(&self.http.get(&url, &[]).await?)?;
        let target = |target: ActiveTarget| {
            let label = |name: &str| target.labels.get(name).cloned().unwrap_or_default();
            let (job, instance, url) = (label("job"), label("instance"), Url::parse(&target.url).ok()?);
            Some(Target { job, instance, labels: target.labels.into_iter().collect(), url })
        };
        Ok(answer.data.active.into_iter().filter_map(target).collect())
    }

    async fn series(&self, path: &str, form: &[(&str, &str)]) -> Result<Answer<Vec<Series>>, SourceError> {
        let answer: Answer<Outcome> = self.read(&self.ask(path, form).await?)?;
        let Outcome::Matrix(series) = answer.data else {
            return Err(SourceError::NotPrometheus("it answers a range without a matrix".into()));
        };
        let data = series.into_iter().map(RawSeries::read).collect::<Result<_, _>>()?;
        Ok(Answer { data, warnings: answer.warnings, partial: answer.partial })
    }

    /// Asks by POST, which takes queries of any length; by GET where POST is refused and that isn't.
    async fn ask(&self, path: &str, form: &[(&str, &str)]) -> Result<Body, SourceError> {
        // VictoriaMetrics holds back the last 30 s of samples without this parameter; others don't know it.
        let form = [form, &[("nocache", "1"), ("latency_offset", "1ms")]].concat();
        let body = self.ask_once(path, &form).await?;
        if !(502..=504).contains(&body.status) {
            return Ok(body);
        }
        // A gateway whose server is away for a moment.
        tokio::time::sleep(AGAIN).await;
        self.ask_once(path, &form).await
    }

    async fn ask_once(&self, path: &str, form: &[(&str, &str)]) -> Result<Body, SourceError> {
        let url = self.url(path);
        let mut query = url.clone();
        query.query_pairs_mut().extend_pairs(form);
        if self.by_get.load(Ordering::Relaxed) {
            return self.http.get(&query, &[]).await;
        }
        let body = self.http.post_form(&url, form).await?;
        if matches!(body.status, 403 | 404 | 405 | 501) {
            let got = self.http.get(&query, &[]).await?;
            if got.status < 300 {
                self.by_get.store(true, Ordering::Relaxed);
                return Ok(got);
            }
        }
        Ok(body)
    }

    fn read<T: DeserializeOwned>(&self, body: &Body) -> Result<Answer<T>, SourceError> {
        let status = body.status;
        let envelope: Result<Envelope<T>, _> = serde_json::from_slice(&body.bytes);
        match envelope {
            _ if matches!(status, 401 | 403) => Err(SourceError::Unauthorized { status, message: self.refusal(body) }),
            Ok(Envelope { status: word, data: Some(data), warnings, infos, partial, .. })
                if word == "success" && status < 300 =>
            {
                let cleaned = |texts: Option<Vec<String>>| -> Vec<String> {
                    texts.iter().flatten().map(|text| self.http.excerpt(text)).collect()
                };
                let mut warnings = cleaned(warnings);
                warnings.extend(partial.unwrap_or_default().then(|| "a part of its storage is away (isPartial)".to_owned()));
                let partial = warnings.iter().find(|warning| !warning.starts_with("PromQL info:")).cloned();
                warnings.extend(cleaned(infos));
                Ok(Answer { data, warnings, partial })
            }
            Ok(envelope) if envelope.status == "error" => {
                let [kind, message] = [&envelope.kind, &envelope.error].map(|text| self.http.excerpt(text));
                Err(SourceError::Query { status, kind, message })
            }
            _ => {
                let shown = self.refusal(body);
                match status {
                    404 => Err(SourceError::NotPrometheus(format!("404, {shown}"))),
                    300.. => Err(SourceError::Status { status, message: shown }),
                    _ => Err(SourceError::NotPrometheus(shown)),
                }
            }
        }
    }
}

impl Api {
    /// The beginning of what it said, without secrets.
    fn refusal(&self, body: &Body) -> String {
        self.http.excerpt(&String::from_utf8_lossy(&body.bytes))
    }
}

impl Metadata {
    /// What a series of this name is, in a family of this type.
    fn kind_of(&self, name: &str, family: &str) -> Option<MetricKind> {
        let suffix = name.strip_prefix(family).unwrap_or_default();
        match (self.kind.as_str(), suffix) {
            ("counter", "" | "_total") | ("histogram", "_bucket" | "_sum" | "_count") | ("summary", "_sum" | "_count") => {
                Some(MetricKind::Counter)
            }
            ("gauge", "") => Some(MetricKind::Gauge),
            _ => None,
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

/// What a Prometheus server scrapes.
#[derive(Debug, Clone)]
pub(super) struct Target {
    pub(super) job: String,
    pub(super) instance: String,
    /// All that its series are labelled by.
    pub(super) labels: Labels,
    pub(super) url: Url,
}

impl Target {
    /// Whether a series may be of it: one that has another label than it is of another target.
    pub(super) fn has(&self, labels: &Labels) -> bool {
        let fits = |(name, value): &(String, String)| matches!(label(labels, name), of if of.is_empty() || of == value);
        (self.job.as_str(), self.instance.as_str()) == target(labels) && self.labels.iter().all(fits)
    }
}

/// Unix seconds.
pub(super) fn unix(time: SystemTime) -> f64 {
    time.duration_since(UNIX_EPOCH).map_or_else(|error| -error.duration().as_secs_f64(), |since| since.as_secs_f64())
}
