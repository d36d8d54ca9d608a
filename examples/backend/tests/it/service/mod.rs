//! The service in the test's own process, without a socket in between.

#![allow(dead_code, reason = "each test binary uses a part of it")]

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use example_backend::{App, Config, router};
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::support::Stack;

/// What a service needs of a stack.
pub const STORES: &[&str] = &["--only", "redis,postgres"];

/// The service in this process.
pub struct Service {
    /// Its routes.
    pub router: Router,
}

/// An answer, read to its end.
pub struct Answer {
    pub status: u16,
    /// The header `x-cache`.
    pub cache: Option<String>,
    pub text: String,
}

impl Answer {
    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }
}

impl Service {
    /// Connected to `stack`, with variables beside the stack's own.
    pub async fn start(stack: &Stack, variables: &[(&str, &str)]) -> Self {
        let config = Config::from_env(|name| {
            variables.iter().find(|(n, _)| *n == name).map(|(_, value)| (*value).to_owned()).or_else(|| stack.variable(name))
        });
        Self { router: router(App::connect(config.unwrap()).await.unwrap()) }
    }

    /// Asks, and reads the answer to its end.
    pub async fn ask(&self, request: Request<Body>) -> Answer {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let status = response.status().as_u16();
        let cache = response.headers().get("x-cache").map(|value| value.to_str().unwrap().to_owned());
        let body = axum::body::to_bytes(response.into_body(), 1 << 20).await.unwrap();
        Answer { status, cache, text: String::from_utf8(body.to_vec()).unwrap() }
    }

    /// GET.
    pub async fn get(&self, path: &str) -> Answer {
        self.ask(Request::get(path).body(Body::empty()).unwrap()).await
    }

    /// POST of JSON.
    pub async fn post(&self, path: &str, headers: &[(&str, &str)], body: Value) -> Answer {
        let mut request = Request::post(path).header("content-type", "application/json");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.ask(request.body(Body::from(body.to_string())).unwrap()).await
    }

    /// What `authorization` is after a login.
    pub async fn login(&self, name: &str) -> String {
        let token = self.post("/api/login", &[], json!({"name": name})).await.json()["token"].as_str().unwrap().to_owned();
        format!("Bearer {token}")
    }

    /// A vote of weight 2.
    pub async fn vote(&self, key: &str, event: &str) -> Answer {
        self.post("/api/votes", &[("idempotency-key", key)], json!({"event": event, "weight": 2})).await
    }

    /// The value of a series on `/metrics`, 0 if it isn't there.
    pub async fn metric(&self, series: &str) -> f64 {
        let text = self.get("/metrics").await.text;
        text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' ')?.parse().ok()).unwrap_or(0.0)
    }
}
