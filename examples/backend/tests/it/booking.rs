//! Mentors, bookings and recordings against a real Redis and PostgreSQL.

use crate::service::{Answer, STORES, Service};
use crate::support::Stack;
use axum::body::Body;
use axum::http::Request;
use serde_json::json;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_hour_is_booked_once_and_paid_once() {
    let stack = Stack::up(STORES);
    let service = Service::start(&stack, &[("SEED_ROWS", "1")]).await;
    mentors_are_found_and_kept_in_the_cache(&service).await;
    of_all_who_want_an_hour_one_gets_it(&service).await;
    recordings_are_played_in_ranges(&service).await;
}

async fn as_whom(service: &Service, session: &str, method: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
    let mut request = Request::builder().method(method).uri(path).header("authorization", session);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    service.ask(request.body(Body::empty()).unwrap()).await
}

async fn mentors_are_found_and_kept_in_the_cache(service: &Service) {
    let page = async |query: &str| service.get(&format!("/api/mentors?{query}")).await.json();
    let all = page("").await;
    assert_eq!((&all["total"], all["items"].as_array().unwrap().len()), (&json!(500), 20));
    let ratings: Vec<f64> = all["items"].as_array().unwrap().iter().map(|item| item["rating"].as_f64().unwrap()).collect();
    assert!(ratings.is_sorted_by(|a, b| a >= b), "{ratings:?}");
    assert_ne!(page("page=1").await["items"], all["items"]);
    assert_eq!(page("page=25").await["items"], json!([]));

    let some = page("subject=chess&language=de&max_cents=6000&q=beginners").await;
    assert!(some["total"].as_i64().unwrap() > 0, "{some}");
    for item in some["items"].as_array().unwrap() {
        assert!(item["subject"] == "chess" && item["language"] == "de" && item["cents"].as_i64().unwrap() <= 6000, "{item}");
    }
    assert_eq!(
        service.get("/api/mentors?subject=chess&language=de&max_cents=6000&q=beginners").await.cache.as_deref(),
        Some("hit")
    );
    assert_eq!(service.get("/api/mentors/7").await.json()["id"], 7);
    assert_eq!(service.get("/api/mentors/501").await.status, 404);
}

async fn of_all_who_want_an_hour_one_gets_it(service: &Service) {
    let free = async || service.get("/api/mentors/7/slots?day=2").await.json()["free"].as_array().unwrap().clone();
    let hours = free().await;
    assert_eq!(hours.len(), 8);
    assert_eq!(service.get("/api/mentors/7/slots?day=30").await.status, 400);
    let hour = hours[3].as_i64().unwrap();

    let mut wanted = tokio::task::JoinSet::new();
    for n in 0..8 {
        let (service, session) = (Service { router: service.router.clone() }, service.login(&format!("student-{n}")).await);
        wanted.spawn(async move {
            let body = json!({"mentor": 7, "starts_at": hour});
            (service.post("/api/bookings", &[("authorization", &session)], body).await, session)
        });
    }
    let answers = wanted.join_all().await;
    let booked: Vec<_> = answers.iter().filter(|(answer, _)| answer.status == 201).collect();
    let [(booked, session)] = booked[..] else { panic!("{} of eight", booked.len()) };
    assert_eq!(answers.iter().filter(|(answer, _)| answer.status == 409).count(), 7);
    assert!(!free().await.contains(&json!(hour)));
    for elsewhere in [hour + 60, hour + 12 * 3600, 3600, hour + 365 * 86_400] {
        let body = json!({"mentor": 7, "starts_at": elsewhere});
        let answer = service.post("/api/bookings", &[("authorization", session)], body).await;
        assert_eq!(answer.status, 404, "{elsewhere}: {}", answer.text);
    }

    let path = format!("/api/bookings/{}", booked.json()["id"]);
    let pay = |key: &'static str| {
        let payment = format!("{path}/payment");
        async move { as_whom(service, session, "POST", &payment, &[("idempotency-key", key)]).await.status }
    };
    assert_eq!([pay("k-1").await, pay("k-1").await, pay("k-2").await], [201, 200, 409]);
    let seen = as_whom(service, session, "GET", &path, &[]).await.json();
    assert_eq!([&seen["paid"], &seen["starts_at"], &seen["cents"]], [&json!(true), &json!(hour), &booked.json()["cents"]]);
    let cents = &booked.json()["cents"];
    assert_eq!(
        service.get("/api/bookings").await.json(),
        json!({"count": 1, "hours": 1, "paid": 1, "cents": cents, "due": cents})
    );

    let other = service.login("somebody-else").await;
    for method in ["GET", "DELETE"] {
        assert_eq!(as_whom(service, &other, method, &path, &[]).await.status, 404, "it is not theirs");
    }
    let cancel = async || as_whom(service, session, "DELETE", &path, &[]).await.status;
    assert_eq!([cancel().await, cancel().await], [204, 404]);
    assert_eq!(free().await.len(), 8);
    assert_eq!(service.get("/api/bookings").await.json()["paid"], 0);
    assert_eq!(service.metric("bookings_paid_total").await, 1.0);
}

async fn recordings_are_played_in_ranges(service: &Service) {
    let session = service.login("viewer").await;
    let recording = as_whom(service, &session, "GET", "/api/recordings/7", &[]).await.json();
    assert_eq!(recording["mentor"], 7);
    assert_eq!(service.get("/api/recordings/7").await.status, 401);
    let bytes = recording["bytes"].as_u64().unwrap();
    let part = async |range: String| {
        let request = Request::get("/api/recordings/7/media").header("authorization", &session).header("range", range);
        let response = tower::ServiceExt::oneshot(service.router.clone(), request.body(Body::empty()).unwrap()).await.unwrap();
        let (status, range) = (response.status().as_u16(), response.headers().get("content-range").cloned());
        let body = axum::body::to_bytes(response.into_body(), 1 << 20).await.unwrap();
        (status, range.map(|range| range.to_str().unwrap().to_owned()), body)
    };
    let (status, range, long) = part("bytes=100000-299999".to_owned()).await;
    assert_eq!((status, range.as_deref(), long.len()), (206, Some(&*format!("bytes 100000-299999/{bytes}")), 200_000));
    let (_, _, within) = part("bytes=150001-150100".to_owned()).await;
    assert_eq!(within, long.slice(50_001..50_101));
    assert_eq!(part(format!("bytes={}-", bytes - 10)).await.2.len(), 10);
    assert_eq!(part(format!("bytes={bytes}-")).await.0, 416);
}
