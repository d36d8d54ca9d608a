//! PromQL over a phase, of a Prometheus that scrapes each second.

use super::*;
use crate::measure::Clock;

/// What is asked of the server: the form of a request.
fn form(request: &str) -> HashMap<String, String> {
    let body = request.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    url::form_urlencoded::parse(body.as_bytes()).into_owned().collect()
}

/// A server with one series, `g`, scraped at whole seconds; its value at a time, by the seconds that the time lies back from `now`.
fn answer(request: &str, now: f64, value: &dyn Fn(i64) -> Option<f64>) -> String {
    let form = form(request);
    let query = form.get("query").map_or("", String::as_str);
    let number = |name: &str| form.get(name).map_or(now, |text| text.parse().unwrap());
    let at = |time: f64| value((now - time.floor()) as i64);
    let points = |times: &mut dyn Iterator<Item = f64>| {
        let points: Vec<String> = times.filter_map(|time| Some(format!("[{time},\"{}\"]", at(time)?))).collect();
        let series = if points.is_empty() {
            String::new()
        } else {
            format!(r#"{{"metric":{{"__name__":"g"}},"values":[{}]}}"#, points.join(","))
        };
        format!(r#"{{"resultType":"matrix","result":[{series}]}}"#)
    };
    let vector = |result: &str| format!(r#"{{"resultType":"vector","result":[{result}]}}"#);
    let data = if query == "time()" {
        let clock = unix(SystemTime::now());
        format!(r#"{{"resultType":"scalar","result":[{clock},"{clock}"]}}"#)
    } else if request.starts_with("POST /api/v1/query_range") {
        let (from, to, step) = (number("start"), number("end"), number("step"));
        let count = ((to - from) / step + 1e-6).floor() as u32;
        assert!(count <= 11_000, "{count} points of a series");
        points(&mut (0..=count).map(|n| from + f64::from(n) * step))
    } else if let Some((_, range)) = query.rsplit_once('[') {
        let length = range.trim_end_matches("ms]").parse::<f64>().unwrap() / 1e3;
        let to = number("time");
        points(
            &mut (0..)
                .map(|n| to.floor() - f64::from(n))
                .take_while(|time| *time > to - length)
                .collect::<Vec<_>>()
                .into_iter()
                .rev(),
        )
    } else if query.contains("timestamp(") {
        vector("")
    } else {
        vector(
            &at(number("time"))
                .map_or_else(String::new, |value| format!(r#"{{"metric":{{"__name__":"g"}},"value":[{now},"{value}"]}}"#)),
        )
    };
    json(&format!(r#"{{"status":"success","data":{data}}}"#))
}

/// What a server of this metadata, and of that of the targets of job `a`, makes of a counter that is reset in mid-phase.
async fn kind_by(metric: &'static str, metadata: &'static str, of_job: &'static str) -> MetricKind {
    let base = unix(SystemTime::now()).floor() - 61.0;
    let url = server(move |request| {
        if request.contains("/targets/metadata") {
            return json(&format!(r#"{{"status":"success","data":[{of_job}]}}"#));
        }
        if request.contains("/metadata") {
            let family = request.split_once("metric=").unwrap().1.split(['&', ' ']).next().unwrap();
            let data = if metadata.contains(&format!("\"{family}\":")) { metadata } else { "{}" };
            return json(&format!(r#"{{"status":"success","data":{data}}}"#));
        }
        let answer = history(request, base);
        let named = format!("{metric}\",\"job\":\"a\",\"instance\"");
        json(&answer.split_once("\r\n\r\n").unwrap().1.replace("redis_expired_keys_total\",\"instance\"", &named))
    });
    let sources = vec![Source { name: "it".into(), kind: SourceKind::Prometheus, access: Access::new(&url.await).unwrap() }];
    let counters = vec![Wanted::Metric { metric: metric.into(), matchers: Vec::new(), kind: None }];
    let observer = Observer::new(Observe { sources, counters, ..Observe::default() }, Clock::default());
    let at = |t: f64| SystemTime::UNIX_EPOCH + Duration::from_secs_f64(base + t);
    let (before, after) = (observer.edge(at(12.0), Traffic::Flowing), observer.edge(at(52.0), Traffic::Flowing));
    let observed = observer.between(&before.reading().await, &after.reading().await, 1).await;
    observed.rows.iter().find(|row| row.metric == metric && !row.source.is_empty()).unwrap().kind
}

#[tokio::test]
async fn a_type_is_its_family_s_and_its_job_s() {
    let counter = r#"{"type":"counter","help":"","unit":""}"#;
    assert_eq!(kind_by("bar_total", r#"{"bar":[{"type":"counter"}]}"#, "").await, MetricKind::Counter);
    assert_eq!(kind_by("took_count", r#"{"took":[{"type":"histogram"}]}"#, "").await, MetricKind::Counter);
    // It falls, and nothing says that it is a counter but its name.
    assert_eq!(kind_by("bar_total", "{}", "").await, MetricKind::Gauge);
    // Another job has a gauge of the name.
    let both = r#"{"jobs":[{"type":"gauge"},{"type":"counter"}]}"#;
    assert_eq!(kind_by("jobs", both, counter).await, MetricKind::Counter);
    assert_eq!(kind_by("jobs", both, r#"{"type":"gauge"}"#).await, MetricKind::Gauge);
}

/// What a query comes to over the `length` seconds before now.
async fn asked(query: &str, length: u64, value: impl Fn(i64) -> Option<f64> + Send + Sync + 'static) -> ValueSeries {
    let ended = SystemTime::now();
    let now = unix(ended).floor();
    let url = server(move |request| answer(request, now, &value)).await;
    let sources = vec![Source { name: "it".into(), kind: SourceKind::Prometheus, access: Access::new(&url).unwrap() }];
    let observer = Observer::new(Observe { sources, ..Observe::default() }, Clock::default());
    let begun = ended - Duration::from_secs(length);
    observer.query(&Query::parse(query).unwrap(), &[(begun, ended)]).await.unwrap().series.remove(0)
}

#[tokio::test]
async fn every_scrape_is_seen_by_a_query_as_by_a_selector() {
    for query in ["g", "sum(g)"] {
        let got = asked(query, 600, |ago| Some(if ago == 293 { 99.0 } else { 1.0 })).await;
        assert_eq!((got.max, got.value, got.hole, got.ended), (99.0, 1.0, 0.0, 0.0), "{query}");
        // More than the server gives at once, and more than it gives of a series at all.
        let got = asked(query, 5_000, |ago| Some(if ago == 4_711 { 99.0 } else { 1.0 })).await;
        assert_eq!((got.max, got.hole), (99.0, 0.0), "{query}");
    }
    let got = asked("sum(g)", 86_400, |_| Some(1.0)).await;
    assert_eq!((got.value, got.hole, got.samples), (1.0, 0.0, 11_000));
}

#[tokio::test]
async fn what_was_seen_before_the_target_died_says_nothing_of_the_end() {
    for query in ["g", "sum(g)"] {
        let got = asked(query, 40, |ago| (ago >= 32).then_some(2.0)).await;
        assert_eq!((got.value, got.max), (2.0, 2.0), "{query}");
        assert!((31.0..33.1).contains(&got.ended) && got.hole == got.ended, "{query}: {got:?}");
        let got = asked(query, 40, |ago| (!(10..20).contains(&ago)).then_some(2.0)).await;
        assert!(got.ended == 0.0 && (10.0..13.0).contains(&got.hole), "{query}: {got:?}");
    }
}
