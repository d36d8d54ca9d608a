//! The routes against a real Redis and PostgreSQL, without a socket in between.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::service::{Answer, STORES, Service};
use crate::support::Stack;
use axum::body::Body;
use axum::http::{Request, StatusCode};
use example_backend::{App, Config};
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::{Value, json};
use sha2::Sha256;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_clients_see() {
    let stack = Stack::up(STORES);
    let service = Service::start(&stack, &[("SEED_ROWS", "50"), ("UPLOAD_LIMIT", "5000")]).await;
    assert_eq!(service.get("/healthz").await.status, 200);
    answers_come_from_the_cache_unless_bypassed(&service).await;
    sessions_name_their_account(&service).await;
    what_is_live_says_when_it_was_true(&service).await;
    a_vote_is_counted_once(&service).await;
    votes_at_once_are_counted_once_each(&service).await;
    an_invoice_is_paid_once(&service).await;
    files_are_kept_as_they_came(&service).await;
    a_signed_purchase_is_credited_once(&service).await;
    who_joins_is_paired_with_who_waits(&service).await;
    requests_are_counted_by_template(&service).await;
    the_limiter_is_shared_by_all_processes(&stack).await;
    a_webhook_must_know_the_secret(&stack).await;
    promises_are_broken_on_demand(&stack).await;
}

/// What `verify` of a profile is tried on. Last, for it leaves the tallies wrong.
async fn promises_are_broken_on_demand(stack: &Stack) {
    let stored = async |service: &Service, vote: &Answer| service.get(&format!("/api/votes/{}", vote.json()["id"])).await.status;
    let drops = Service::start(stack, &[("DROP_WRITES", "0.5")]).await;
    let (kept, dropped) = (drops.vote("drop-1", "faults").await, drops.vote("drop-2", "faults").await);
    assert_eq!((kept.status, dropped.status), (201, 201));
    assert_eq!((stored(&drops, &kept).await, stored(&drops, &dropped).await), (200, 404));
    assert_eq!(drops.get("/api/ledger").await.json()["consistent"], true);

    let loses = Service::start(stack, &[("LOSE_ANSWERS", "1")]).await;
    assert_eq!(loses.vote("lost-1", "faults").await.status, 500);
    assert_eq!(drops.vote("lost-1", "faults").await.status, 200, "it was counted");

    let stale = Service::start(stack, &[("STALE", "1m")]).await;
    assert_eq!((stored(&stale, &kept).await, stored(&drops, &kept).await), (404, 200));

    let twice = Service::start(stack, &[("COUNT_REPLAYS", "true")]).await;
    assert_eq!((twice.vote("twice-1", "faults").await.status, twice.vote("twice-1", "faults").await.status), (201, 200));
    let ledger = twice.get("/api/ledger").await.json();
    assert_eq!((&ledger["consistent"], ledger["tallied"].as_i64()), (&json!(false), ledger["total"].as_i64().map(|n| n + 1)));
}

async fn answers_come_from_the_cache_unless_bypassed(service: &Service) {
    for path in ["/manga/1", "/manga/popular", "/manga/search?q=wind", "/api/streamers?query=streamer-7", "/api/config"] {
        let (first, second) = (service.get(path).await, service.get(path).await);
        assert_eq!((first.status, first.cache.as_deref(), second.cache.as_deref()), (200, Some("miss"), Some("hit")), "{path}");
        assert_eq!(first.text, second.text, "{path}");
    }
    let around = service.get("/manga/1?nocache=1").await;
    assert_eq!((around.cache.as_deref(), &around.json()["id"]), (Some("bypass"), &json!(1)));
    assert_eq!(service.metric("cache_hits_total{name=\"streamers\"}").await, 1.0);
    assert_eq!(service.metric("cache_misses_total{name=\"streamers\"}").await, 1.0);
    let page = service.get("/metrics").await.text;
    for name in ["cache_hits_total", "cache_misses_total"] {
        assert!(page.contains(&format!("\n{name}{{name=\"live\"}} 0\n")), "at 0 before the first look: {page}");
    }

    let found = service.get("/manga/search?q=WIND").await.json();
    assert!(found["items"].as_array().unwrap().iter().all(|item| item["title"].as_str().unwrap().contains("Wind")));
    assert_eq!(service.get("/manga/51").await.status, 404, "50 rows were asked for");
    assert_eq!(service.get("/manga/search?q=").await.status, 400);
    assert_eq!(service.get("/manga").await.status, 404);
}

async fn sessions_name_their_account(service: &Service) {
    let (ann, again, bob) = (service.login("ann").await, service.login("ann").await, service.login("bob").await);
    assert_ne!(ann, again, "a login makes a session of its own");
    let mut ids = Vec::new();
    for token in [&ann, &again, &bob] {
        let me = service.ask(Request::get("/api/me").header("authorization", token).body(Body::empty()).unwrap()).await;
        ids.push(me.json()["id"].as_i64().unwrap());
    }
    assert!(ids[0] == ids[1] && ids[0] != ids[2]);
    assert_eq!(service.get("/api/me").await.status, 401);
}

async fn what_is_live_says_when_it_was_true(service: &Service) {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs_f64();
    let live = service.get("/api/events/live?streamerId=00000000-0000-4000-8000-000000000007").await.json();
    assert_eq!(live["events"].as_array().unwrap().len(), 3);
    assert!((live["as_of"].as_f64().unwrap() - now).abs() < 60.0);
    assert_eq!(service.get("/api/events/live?streamerId=00000000-0000-4000-8000-00000000ffff").await.status, 404);
    assert_eq!(service.get("/api/events/live?streamerId=7").await.status, 400);
}

async fn a_vote_is_counted_once(service: &Service) {
    let first = service.vote("key-1", "finale").await;
    let replay = service.vote("key-1", "finale").await;
    assert_eq!((first.status, replay.status), (201, 200));
    assert_eq!(first.text, replay.text);
    assert_eq!(service.vote("key-1", "another").await.status, 422);
    assert_eq!(service.post("/api/votes", &[], json!({"event": "finale"})).await.status, 400, "without a key");
    assert_eq!(service.vote("key-2", "").await.status, 400);

    let stored = service.get(&format!("/api/votes/{}", first.json()["id"])).await;
    assert_eq!(stored.json(), first.json());
    let ledger = service.get("/api/ledger").await.json();
    assert_eq!((&ledger["total"], &ledger["weight"], &ledger["consistent"]), (&json!(1), &json!(2), &json!(true)));
    assert_eq!(service.metric("votes_accepted_total").await, 1.0);
    assert_eq!(service.metric("votes_replayed_total").await, 1.0);
}

/// 20 keys, each sent four times at once, to one event whose tally all of them raise.
async fn votes_at_once_are_counted_once_each(service: &Service) {
    let before = service.get("/api/ledger").await.json()["total"].as_i64().unwrap();
    let mut votes = tokio::task::JoinSet::new();
    for n in 0..80 {
        let service = Service { router: service.router.clone() };
        votes.spawn(async move { service.vote(&format!("at-once-{}", n % 20), "rush").await.status });
    }
    let statuses = votes.join_all().await;
    assert_eq!(statuses.iter().filter(|status| **status == 201).count(), 20, "{statuses:?}");
    assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 60, "{statuses:?}");
    let ledger = service.get("/api/ledger").await.json();
    assert_eq!((&ledger["total"], &ledger["consistent"]), (&json!(before + 20), &json!(true)));
}

async fn an_invoice_is_paid_once(service: &Service) {
    let token = service.login("carol").await;
    let created = service.post("/api/payments/stars/createInvoice", &[("authorization", &token)], json!({"stars": 50})).await;
    assert_eq!(created.status, 201);
    let webhook = json!({"invoice": created.json()["invoice"], "charge": "c-1"});
    for credited in [true, false, false] {
        let paid = service.post("/api/webhooks/payment", &[], webhook.clone()).await;
        assert_eq!((paid.status, paid.json()), (200, json!({"credited": credited, "stars": 50})));
    }
    let unknown = service.post("/api/webhooks/payment", &[], json!({"invoice": 999_999, "charge": "c-2"})).await;
    assert_eq!(unknown.status, 404);
    let ledger = service.get("/api/ledger").await.json();
    assert_eq!((&ledger["paid"], &ledger["stars"], &ledger["consistent"]), (&json!(1), &json!(50), &json!(true)));
}

/// A multipart body with a text and, if given, a file.
fn form(file: Option<&str>) -> Request<Body> {
    let mut body = "--b\r\nContent-Disposition: form-data; name=\"title\"\r\n\r\nA title\r\n".to_owned();
    if let Some(text) = file {
        body.push_str("--b\r\nContent-Disposition: form-data; name=\"f\"; filename=\"a.txt\"\r\n");
        body.push_str(&format!("Content-Type: text/plain\r\n\r\n{text}\r\n"));
    }
    body.push_str("--b--\r\n");
    let request = Request::post("/api/files").header("content-type", "multipart/form-data; boundary=b");
    request.header("content-length", body.len()).body(Body::from(body)).unwrap()
}

async fn files_are_kept_as_they_came(service: &Service) {
    const HELLO: &str = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";
    let stored = service.ask(form(Some("hello"))).await;
    assert_eq!(stored.status, 201, "{}", stored.text);
    let stored = stored.json();
    assert_eq!((&stored["name"], &stored["bytes"], &stored["sha256"]), (&json!("a.txt"), &json!(5), &json!(HELLO)));
    assert!(stored["processing_seconds"].as_f64().unwrap() > 0.0);
    let path = format!("/api/files/{}", stored["id"].as_str().unwrap());
    let part = |range: &'static str| service.ask(Request::get(&path).header("range", range).body(Body::empty()).unwrap());
    let whole = service.get(&path).await;
    assert_eq!((whole.status, whole.text.as_str()), (200, "hello"));
    let middle = part("bytes=1-3").await;
    assert_eq!((middle.status, middle.text.as_str()), (206, "ell"));
    assert_eq!(part("bytes=5-").await.status, 416);
    assert_eq!(service.get("/api/files").await.json(), json!({"count": 1, "bytes": 5}));

    assert_eq!(service.ask(form(None)).await.status, 400, "a file is wanted");
    let long = form(Some(&"x".repeat(10_000)));
    assert_eq!(service.ask(long).await.status, 413);
    let cut = Request::post("/api/files").header("content-type", "multipart/form-data; boundary=b");
    let cut = cut.body(Body::from("--b\r\nContent-Disposition: form-data; name=f; filename=a\r\n\r\nhel")).unwrap();
    assert_eq!(service.ask(cut).await.status, 400, "it ends in the middle");

    let remove = || service.ask(Request::delete(&path).body(Body::empty()).unwrap());
    assert_eq!((remove().await.status, remove().await.status, service.get(&path).await.status), (204, 404, 404));
    assert_eq!(service.get("/api/files").await.json(), json!({"count": 0, "bytes": 0}));
}

/// What the payment service says of a purchase.
fn purchase(event: &str, account: &Value, tokens: u32) -> Value {
    let object = json!({"client_reference_id": account.to_string(), "metadata": {"tokens": tokens.to_string()}});
    json!({"id": event, "type": "checkout.session.completed", "data": {"object": object}})
}

/// Sends it, signed with this secret.
async fn deliver(service: &Service, secret: &str, event: &Value) -> Answer {
    let time = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap().chain_update(format!("{time}.{event}"));
    let signature: String = mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    service.post("/webhooks/stripe", &[("stripe-signature", &format!("t={time},v1={signature}"))], event.clone()).await
}

/// Somebody new: the account and its session.
async fn anonymous(service: &Service) -> (Value, String) {
    let answer = service.post("/api/users/anonymous", &[], json!({})).await;
    assert_eq!(answer.status, 201);
    let body = answer.json();
    (body["id"].clone(), format!("Bearer {}", body["token"].as_str().unwrap()))
}

async fn a_signed_purchase_is_credited_once(service: &Service) {
    let (account, session) = anonymous(service).await;
    let before = service.get("/api/ledger").await.json();
    let bought = purchase("evt_1", &account, 7);
    assert_eq!(deliver(service, "whsec_guessed", &bought).await.status, 400);
    assert_eq!(service.post("/webhooks/stripe", &[], bought.clone()).await.status, 400);
    let secret = "whsec_for-trials";
    let [first, again] = [deliver(service, secret, &bought).await.json(), deliver(service, secret, &bought).await.json()];
    assert_eq!([&first["credited"], &first["tokens"]], [&json!(true), &json!(7)]);
    assert_eq!([&again["credited"], &again["tokens"]], [&json!(false), &json!(7)]);
    let at_once = purchase("evt_2", &account, 1);
    let answers =
        tokio::join!(deliver(service, secret, &at_once), deliver(service, secret, &at_once), deliver(service, secret, &at_once));
    let credited = [answers.0, answers.1, answers.2].iter().filter(|answer| answer.json()["credited"] == true).count();
    assert_eq!(credited, 1, "of three at once one is the purchase");
    assert_eq!(deliver(service, secret, &purchase("evt_3", &json!(0), 1)).await.status, 404, "nobody to credit");

    let balance = Request::get("/api/tokens").header("authorization", &session).body(Body::empty()).unwrap();
    assert_eq!(service.ask(balance).await.json()["tokens"], 8);
    let after = service.get("/api/ledger").await.json();
    assert_eq!(after["tokens"].as_i64().unwrap() - before["tokens"].as_i64().unwrap(), 8);
    assert_eq!(after["consistent"], true, "{after}");
    assert_eq!([service.metric("credits_total").await, service.metric("credits_replayed_total").await], [2.0, 3.0]);
}

async fn who_joins_is_paired_with_who_waits(service: &Service) {
    let post = async |session: &str, path: &str| {
        service.post(path, &[("authorization", session)], json!({"queue": "australiaCentral"})).await
    };
    let standing = async |session: &str| {
        let request = Request::get("/api/queue/status").header("authorization", session).body(Body::empty()).unwrap();
        service.ask(request).await.json()
    };
    let mut sessions = Vec::new();
    for n in 0..3 {
        let (account, session) = anonymous(service).await;
        assert_eq!(post(&session, "/api/queue/join").await.status, 402, "a call costs a token");
        deliver(service, "whsec_for-trials", &purchase(&format!("evt_queue_{n}"), &account, 1)).await;
        sessions.push(session);
    }
    let [ann, bob, eve] = &*sessions else { unreachable!("three were made") };
    assert_eq!(post(ann, "/api/queue/join").await.json(), json!({"status": "queued", "call": null}));
    assert_eq!(post(ann, "/api/queue/join").await.json()["status"], "queued", "nobody is paired with herself");
    let paired = post(bob, "/api/queue/join").await.json();
    assert_eq!(paired["status"], "matched");
    assert_eq!([standing(ann).await, standing(bob).await], [paired.clone(), paired]);
    assert_eq!(post(eve, "/api/queue/join").await.json()["status"], "queued", "those two are taken");
    assert_eq!(post(ann, "/api/queue/leave").await.json()["was"], "matched");
    assert_eq!(standing(bob).await["status"], "idle", "a call ends with the first who leaves");
    assert_eq!(
        [post(bob, "/api/queue/leave").await.json(), post(eve, "/api/queue/leave").await.json()].map(|left| left["was"].clone()),
        ["idle", "queued"]
    );
    assert_eq!(post(bob, "/api/queue/join").await.status, 402, "it was spent");
    let ledger = service.get("/api/ledger").await.json();
    assert_eq!([&ledger["calls"], &ledger["spent"], &ledger["consistent"]], [&json!(1), &json!(2), &json!(true)]);
    assert_eq!(service.metric("calls_total").await, 1.0);
}

async fn requests_are_counted_by_template(service: &Service) {
    let series = "http_requests_total{method=\"GET\",route=\"/manga/{id}\",status=\"200\"}";
    let before = service.metric(series).await;
    service.get("/manga/2").await;
    service.get("/manga/3").await;
    assert_eq!(service.metric(series).await, before + 2.0);
    let text = service.get("/metrics").await.text;
    assert!(!text.contains("route=\"/manga/2\"") && !text.contains("route=\"/metrics\"") && text.contains("route=\"unmatched\""));
}

async fn the_limiter_is_shared_by_all_processes(stack: &Stack) {
    let limit = [("VOTES_PER_SECOND", "3")];
    let (one, other) = (Service::start(stack, &limit).await, Service::start(stack, &limit).await);
    // A window may end in between, but 13 votes in three windows are more than 9.
    let mut statuses = Vec::new();
    for n in 0..13 {
        let service = if n % 2 == 0 { &one } else { &other };
        let headers = [("idempotency-key", &*format!("limited-{n}")), ("authorization", "Bearer of-one-client")];
        statuses.push(service.post("/api/votes", &headers, json!({"event": "limit"})).await.status);
    }
    let limited = statuses.iter().filter(|status| **status == 429).count();
    assert!(statuses[0] == 201 && limited > 0, "{statuses:?}");
    let counted = one.metric("votes_limited_total").await + other.metric("votes_limited_total").await;
    assert_eq!(counted, limited as f64);
}

async fn a_webhook_must_know_the_secret(stack: &Stack) {
    let service = Service::start(stack, &[("WEBHOOK_SECRET", "s3cret")]).await;
    let body = json!({"invoice": 1, "charge": "c"});
    assert_eq!(service.post("/api/webhooks/payment", &[], body.clone()).await.status, 403);
    let known = service.post("/api/webhooks/payment", &[("x-webhook-secret", "s3cret")], body).await;
    assert_ne!(known.status, 403);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn faults_on_demand_and_stores_that_are_away() {
    let stack = Stack::up(STORES);
    let failing = Service::start(&stack, &[("ERROR_RATE", "50%")]).await;
    let statuses = [failing.get("/manga/1").await.status, failing.get("/manga/1").await.status];
    assert_eq!(statuses, [200, 500]);
    assert_eq!(failing.get("/healthz").await.status, 200, "health is not on demand");

    let slow = Service::start(&stack, &[("DELAY", "50ms")]).await;
    let started = std::time::Instant::now();
    slow.get("/manga/1").await;
    assert!(started.elapsed().as_millis() >= 50);

    // One connection, held by another: whoever waits longer than POOL_WAIT gets an error.
    let starved = Service::start(&stack, &[("POOL_SIZE", "1"), ("POOL_WAIT", "20ms")]).await;
    let locker = Service::start(&stack, &[]).await;
    let answers = held_up(&stack, &starved, &locker).await;
    assert_eq!(answers, [StatusCode::SERVICE_UNAVAILABLE.as_u16(), StatusCode::OK.as_u16()]);

    let unreachable = Config::from_env(|name| (name == "DATABASE_URL").then(|| "postgres://x@127.0.0.1:1/x".to_owned())).unwrap();
    let error = App::connect(unreachable).await.err().unwrap().to_string();
    assert!(error.starts_with("DATABASE_URL: "), "{error}");
}

/// The status while the table of votes is locked and the pool's only connection waits for it, and that of a vote afterwards.
async fn held_up(stack: &Stack, starved: &Service, other: &Service) -> [u16; 2] {
    let url = stack.variable("DATABASE_URL").unwrap();
    let (mut client, connection) = tokio_postgres::connect(&url, tokio_postgres::NoTls).await.unwrap();
    let connection = tokio::spawn(connection);
    let transaction = client.transaction().await.unwrap();
    transaction.batch_execute("LOCK TABLE votes IN ACCESS EXCLUSIVE MODE").await.unwrap();
    let waiting = Service { router: starved.router.clone() };
    let vote = tokio::spawn(async move { waiting.vote("held-up", "finale").await.status });
    // The lock is waited for: then the only connection is taken.
    while other.metric("db_pool_max_connections").await > 0.0 {
        let waits = transaction.query_one("SELECT count(*) FROM pg_locks WHERE NOT granted", &[]).await.unwrap();
        if waits.get::<_, i64>(0) > 0 {
            break;
        }
    }
    let refused = starved.get("/manga/1?nocache=1").await.status;
    transaction.commit().await.unwrap();
    assert_eq!(vote.await.unwrap(), 201);
    drop(client);
    connection.await.unwrap().unwrap();
    [refused, starved.get("/manga/1?nocache=1").await.status]
}
