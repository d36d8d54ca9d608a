//! A Prometheus whose newest samples are from before the phase.

use super::*;
use crate::measure::Clock;

const COMMANDS: &str = r#""__name__":"redis_commands_processed_total""#;

/// An answer of one sample, of now.
fn vector(metric: &str, value: f64) -> String {
    let now = unix(SystemTime::now());
    format!(r#"{{"resultType":"vector","result":[{{"metric":{{{metric}}},"value":[{now},"{value}"]}}]}}"#)
}

/// What a server with nothing in the phase says of one metric of two instances: why each is missing, in their order.
async fn missing_of_two(server: String) -> Vec<String> {
    let metric = |instance: &str| Wanted::Metric {
        metric: "redis_commands_processed_total".into(),
        matchers: vec![Matcher::new("instance", instance)],
        kind: None,
    };
    let access = Access::new(&server).unwrap().timeout(Duration::from_millis(500));
    let observer = Observer::new(
        Observe {
            sources: vec![Source { name: "it".into(), kind: SourceKind::Prometheus, access }],
            counters: vec![metric("was-there"), metric("never-there")],
            ..Observe::default()
        },
        Clock::default(),
    );
    let edge = |ago| observer.edge(SystemTime::now() - Duration::from_secs(ago), Traffic::Flowing);
    let (before, after) = (edge(30), edge(20));
    let observed = observer.between(&before.reading().await, &after.reading().await, 1).await;
    observed.rows.into_iter().map(|row| row.missing.unwrap()).collect()
}

#[tokio::test]
async fn what_one_instance_had_says_nothing_of_another() {
    let answer = |request: &str| {
        let data = match request {
            _ if request.contains("last_over_time") && request.contains("was-there") => vector(COMMANDS, 1.0),
            _ if request.contains("max_over_time") => vector("", unix(SystemTime::now()) - 600.0),
            _ => empty(request, |now| format!(r#"{{"resultType":"scalar","result":[{now},"{now}"]}}"#)),
        };
        json(&format!(r#"{{"status":"success","data":{data}}}"#))
    };
    let missing = missing_of_two(server(answer).await).await;
    let [had, never] = &*missing else { panic!("{missing:?}") };
    assert!(had.contains("the newest is from 9m") && never.contains("no source has a series"), "{missing:?}");
}

#[tokio::test]
async fn one_that_stops_answering_is_not_asked_for_the_age_of_all_that_is_missing() {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let answer = move |request: &str| {
        if request.contains("last_over_time") {
            count.fetch_add(1, Ordering::Relaxed);
            return response("500 Internal Server Error", "text/plain", "no");
        }
        let data = empty(request, |now| format!(r#"{{"resultType":"scalar","result":[{now},"{now}"]}}"#));
        json(&format!(r#"{{"status":"success","data":{data}}}"#))
    };
    let missing = missing_of_two(server(answer).await).await;
    assert!(missing.len() == 2 && missing.iter().all(|why| why.contains("no source has a series")), "{missing:?}");
    assert_eq!(asked.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn a_prometheus_that_lags_behind_says_how_old_its_newest_sample_is() {
    let lags = |request: &str| {
        let now = unix(SystemTime::now());
        let data = match request {
            _ if request.contains("last_over_time") => vector(COMMANDS, 1.0),
            _ if request.contains("max_over_time") => vector("", now - 600.0),
            _ if request.contains("query_range") => r#"{"resultType":"matrix","result":[]}"#.into(),
            _ => empty(request, |now| format!(r#"{{"resultType":"scalar","result":[{now},"{now}"]}}"#)),
        };
        json(&format!(r#"{{"status":"success","data":{data}}}"#))
    };
    let observer = observer(&server(lags).await, SourceKind::Prometheus);
    let (begun, ended) = (SystemTime::now() - Duration::from_secs(30), SystemTime::now() - Duration::from_secs(20));
    let (before, after) = (observer.edge(begun, Traffic::Flowing), observer.edge(ended, Traffic::Flowing));
    let observed = observer.between(&before.reading().await, &after.reading().await, 1).await;
    let missing = |metric: &str| observed.rows.iter().find(|row| row.metric == metric).unwrap().missing.clone().unwrap();
    let said = missing("redis_commands_processed_total");
    // Some 20 s of the 10 min came after the phase.
    assert!(said.contains("it has no sample of it in the phase; the newest is from 9m"), "{said}");
    assert!(missing("redis_keyspace_hits_total").contains("no source has"));
    assert_eq!(observed.values.series("redis.commands"), Err(&*format!("redis_commands_processed_total: {said}")));
    let query = Query::parse("redis_commands_processed_total").unwrap();
    let answered = observer.query(&query, &[(begun, ended)]).await.unwrap();
    assert!(answered.unknown[0].why.contains("the newest sample of redis_commands_processed_total is from 9m"), "{answered:?}");
}
