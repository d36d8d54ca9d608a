//! The routes of chat against a real Redis and PostgreSQL: channels, messages, search, people, notifications.

use crate::service::{Answer, STORES, Service};
use crate::support::Stack;
use axum::body::Body;
use axum::http::Request;
use serde_json::{Value, json};

/// Somebody who is signed in.
struct Person<'a> {
    service: &'a Service,
    session: String,
}

impl<'a> Person<'a> {
    async fn new(service: &'a Service, name: &str) -> Self {
        Self { service, session: service.login(name).await }
    }

    async fn send(&self, method: &str, path: &str, body: Value) -> Answer {
        let request = Request::builder().method(method).uri(path).header("authorization", &self.session);
        let request = request.header("content-type", "application/json").body(Body::from(body.to_string()));
        self.service.ask(request.unwrap()).await
    }

    async fn get(&self, path: &str) -> Answer {
        self.send("GET", path, Value::Null).await
    }

    async fn post(&self, path: &str, body: Value) -> Answer {
        self.send("POST", path, body).await
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_people_say_to_each_other() {
    let stack = Stack::up(STORES);
    let service = Service::start(&stack, &[("SEED_ROWS", "1")]).await;
    let (ann, bob) = (Person::new(&service, "ann").await, Person::new(&service, "bob").await);
    messages_are_stored_and_go_with_their_channel(&ann, &bob).await;
    people_say_something_of_themselves(&ann, &bob).await;
    what_is_found_is_about_what_was_asked_for(&ann).await;
    assert_eq!(bob.post("/api/logout", Value::Null).await.status, 204);
    assert_eq!(bob.get("/api/me").await.status, 401, "the session is gone");
}

async fn messages_are_stored_and_go_with_their_channel(ann: &Person<'_>, bob: &Person<'_>) {
    let channel = ann.post("/api/channels", json!({"name": "general"})).await;
    assert_eq!(channel.status, 201);
    let channel = format!("/api/channels/{}", channel.json()["id"]);
    let messages = format!("{channel}/messages");
    let bodies = [
        json!({"kind": "text", "text": "hello"}),
        json!({"kind": "mention", "text": "hello Bob", "mention": "bob"}),
        json!({"kind": "file", "text": "a file", "extra": {"name": "a.pdf", "bytes": 5}}),
        json!({"kind": "code", "text": "fn main() {}", "extra": {"language": "rust"}}),
    ];
    let mut ids = Vec::new();
    for body in &bodies {
        let sent = ann.post(&messages, body.clone()).await;
        assert_eq!(sent.status, 201, "{}", sent.text);
        let stored = bob.get(&format!("/api/messages/{}", sent.json()["id"])).await.json();
        assert_eq!([&stored["kind"], &stored["text"], &stored["extra"]], [&body["kind"], &body["text"], &body["extra"]]);
        ids.push(sent.json()["id"].clone());
    }
    for wrong in
        [json!({"kind": "song", "text": "la"}), json!({"kind": "mention", "text": "who?"}), json!({"kind": "text", "text": ""})]
    {
        assert_eq!(ann.post(&messages, wrong.clone()).await.status, 400, "{wrong}");
    }
    assert_eq!(ann.post("/api/channels/0/messages", bodies[0].clone()).await.status, 404);
    assert_eq!(ann.service.post(&messages, &[], bodies[0].clone()).await.status, 401);

    assert_eq!(ann.get(&channel).await.json()["messages"], 4);
    assert_eq!(ann.get("/api/messages").await.json()["count"], 4);
    let latest = bob.get(&messages).await.json();
    assert_eq!(
        latest["items"].as_array().unwrap().iter().map(|item| &item["id"]).rev().collect::<Vec<_>>(),
        ids.iter().collect::<Vec<_>>()
    );
    assert_eq!(ann.service.metric("messages_stored_total{kind=\"code\"}").await, 1.0);

    let notified = bob.get("/api/notifications").await.json();
    assert_eq!([&notified["unread"], &notified["items"][0]["message"]], [&json!(1), &ids[1]]);
    assert_eq!(ann.get("/api/notifications").await.json()["unread"], 0);
    let read = || bob.post("/api/notifications/read", Value::Null);
    assert_eq!([read().await.json()["read"].clone(), read().await.json()["read"].clone()], [1, 0]);

    let remove = || ann.send("DELETE", &channel, Value::Null);
    assert_eq!([remove().await.status, remove().await.status, ann.get(&channel).await.status], [204, 404, 404]);
    assert_eq!(ann.get("/api/messages").await.json()["count"], 0);
}

async fn people_say_something_of_themselves(ann: &Person<'_>, bob: &Person<'_>) {
    assert_eq!(ann.send("PUT", "/api/me", json!({"status": "away"})).await.status, 204);
    let found = bob.get("/api/users?query=an").await.json();
    assert_eq!(found["items"].as_array().unwrap().len(), 1);
    let user = bob.get(&format!("/api/users/{}", found["items"][0]["id"])).await.json();
    assert_eq!([&user["name"], &user["status"]], ["ann", "away"]);
    assert_eq!(bob.get("/api/users/0").await.status, 404);
    assert_eq!(ann.service.get("/api/users?query=an").await.status, 401);
}

async fn what_is_found_is_about_what_was_asked_for(ann: &Person<'_>) {
    let seed = |rows: i64| ann.post("/api/search/seed", json!({"rows": rows}));
    assert_eq!([seed(2_000).await.json(), seed(2_000).await.json()], [json!({"rows": 2_000}), json!({"rows": 2_000})]);
    // Two at once make each row once.
    let (one, other) = tokio::join!(seed(25_000), seed(25_000));
    let mut rows = [one, other].map(|answer| answer.json()["rows"].as_i64().unwrap());
    rows.sort_unstable();
    assert_eq!(rows, [22_000, 25_000], "20,000 at once");
    assert_eq!(ann.get("/api/messages").await.json()["count"], 25_000);

    let topics = async |query: &str| {
        let found = ann.get(&format!("/api/search?q={query}")).await.json();
        found["items"].as_array().unwrap().iter().map(|item| item["topic"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    for query in ["crimson%20falcon", "FALCONS%20crimson", "%22crimson%20falcon%22", "crimson%20falcon%20-budget"] {
        assert_eq!(topics(query).await, ["crimson falcon"; 10], "{query}");
    }
    // Others mention it too, and come last.
    let mentioned = topics("crimson%20falcon%20-%22crimson%20falcon%22").await;
    assert!(!mentioned.is_empty() && !mentioned.contains(&"crimson falcon".to_owned()), "{mentioned:?}");
    assert_eq!(topics("nothing%20like%20it").await, [""; 0]);
    assert_eq!(ann.get("/api/search?q=").await.status, 400);

    let offered = ann.get("/api/search/complete?prefix=Crimson%20f").await;
    assert_eq!((offered.json()["items"].clone(), offered.cache.as_deref()), (json!(["crimson falcon"]), Some("miss")));
    assert_eq!(ann.get("/api/search/complete?prefix=crimson%20f").await.cache.as_deref(), Some("hit"));
}
