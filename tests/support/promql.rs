//! Questions to a Prometheus server.

use std::time::{Duration, Instant};

use serde_json::Value;

use super::http;

/// The values of an instant query, at a Unix time or now.
pub fn query(port: u16, query: &str, at: Option<f64>) -> Vec<f64> {
    labelled(port, query, at).into_iter().map(|(_, value)| value).collect()
}

/// The labels and values of an instant query, at a Unix time or now.
pub fn labelled(port: u16, query: &str, at: Option<f64>) -> Vec<(Value, f64)> {
    let text: String = url::form_urlencoded::byte_serialize(query.as_bytes()).collect();
    let time = at.map(|at| format!("&time={at}")).unwrap_or_default();
    let (status, body) = http::get(port, &format!("/api/v1/query?query={text}{time}")).expect("Prometheus answers");
    assert_eq!(status, 200, "{query}: {body}");
    let answer: Value = serde_json::from_str(&body).unwrap();
    let value = |series: &Value| (series["metric"].clone(), series["value"][1].as_str().unwrap().parse().unwrap());
    answer["data"]["result"].as_array().unwrap().iter().map(value).collect()
}

/// The one value of an instant query.
pub fn value(port: u16, text: &str, at: Option<f64>) -> f64 {
    let values = query(port, text, at);
    assert_eq!(values.len(), 1, "{text}: {values:?}");
    values[0]
}

/// Waits until a query has an answer.
pub fn until(port: u16, text: &str) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while query(port, text, None).is_empty() {
        assert!(Instant::now() < deadline, "{text}: nothing within a minute");
        std::thread::sleep(Duration::from_millis(50));
    }
}
