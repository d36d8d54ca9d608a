//! A run with a bit of everything, for the tests of this module and of `output`.

use std::collections::BTreeMap;

use super::*;
use crate::base::Verdict;
use crate::counters::MetricKind;
use crate::measure::Sparse;

fn counts(of: &[(&str, u64)]) -> BTreeMap<String, u64> {
    of.iter().map(|(key, count)| ((*key).to_owned(), *count)).collect()
}

fn latency(count: u64, p50: f64) -> Latency {
    Latency {
        count,
        mean: Some(p50 * 1.25),
        p50: Some(p50),
        p90: Some(p50 * 2.0),
        p95: Some(p50 * 3.0),
        p99: Some(p50 * 8.0),
        p999: Some(p50 * 16.0),
        max: Some(p50 * 32.0),
    }
}

fn slo(name: &str, requirement: &str, value: Option<f64>, objective: f64, unit: Unit, met: Option<bool>) -> SloResult {
    SloResult {
        name: name.into(),
        phase: "spike".into(),
        requirement: requirement.into(),
        value,
        least: None,
        most: None,
        objective,
        unit,
        met,
        verdict: met.map_or(Verdict::Inconclusive, |met| if met { Verdict::Pass } else { Verdict::Fail }),
        reason: None,
        target: false,
    }
}

fn votes(phase: u64) -> Step {
    Step {
        scenario: "voters".into(),
        step: "vote".into(),
        protocol: "http".into(),
        requests: 11_990 * phase,
        rate: Some(19.98),
        outcomes: counts(&[("ok", 11_975 * phase), ("error", 12), ("timeout", 3)]),
        errors: counts(&[("status", 12), ("timeout", 3)]),
        codes: counts(&[("201", 11_900 * phase), ("429", 75), ("503", 12)]),
        response: latency(11_978 * phase, 0.0305),
        service: latency(11_978 * phase, 0.0301),
        sent_bytes: 4_200_000,
        received_bytes: 1_900_000,
        samples: [1_795_185_900.25, 1_795_185_901.5]
            .map(|at| ErrorSample {
                at,
                reason: "status".into(),
                status: Some(503),
                detail: "status 503 is not among 200, 201, 429".into(),
                body: "{\"error\":\"the pool is exhausted\"}".into(),
            })
            .into(),
        ..Step::default()
    }
}

fn steady() -> Phase {
    Phase {
        name: "steady".into(),
        repeat: 0,
        started: 1_795_185_843.0,
        ended: 1_795_186_443.0,
        verdict: Verdict::Fail,
        judged: true,
        reasons: vec!["api: p95 < 80ms was 91.5ms".into()],
        saturated: false,
        scenarios: vec![Scenario {
            scenario: "voters".into(),
            due: 12_000,
            started: 11_990,
            dropped: 7,
            dropped_reasons: counts(&[("busy", 7)]),
            cancelled: 3,
            rate_wanted: Some(20.0),
            rate_reached: Some(19.98),
            users_wanted: None,
            iterations: 11_990,
            iterations_failed: 15,
            iterations_interrupted: 0,
            step_errors: BTreeMap::new(),
            iteration: latency(11_990, 0.31),
            start_lag: latency(11_990, 0.000_05),
            connections: vec![Connections {
                protocol: "http".into(),
                carried: 0,
                connects: 52,
                failures: counts(&[("refused", 2)]),
                cut_off: 1,
                disconnects: counts(&[("reset", 1)]),
                connect: latency(52, 0.000_8),
            }],
        }],
        steps: vec![
            votes(1),
            Step {
                scenario: "voters".into(),
                step: "read-back".into(),
                protocol: "http".into(),
                requests: 1_190,
                rate: Some(1.98),
                outcomes: counts(&[("ok", 1_190)]),
                codes: counts(&[("200", 1_190)]),
                response: latency(1_190, 0.0042),
                service: latency(1_190, 0.0042),
                ..Step::default()
            },
        ],
        checks: vec![
            Check { scenario: "voters".into(), step: Some("vote".into()), check: "quick".into(), total: 11_978, failures: 0 },
            Check {
                scenario: "voters".into(),
                step: Some("read-back".into()),
                check: "stored".into(),
                total: 1_190,
                failures: 2,
            },
        ],
        metrics: vec![
            Metric { name: "votes_submitted_total".into(), scenario: "voters".into(), value: Some(11_900.0), distribution: None },
            Metric {
                name: "queue_join_latency_seconds".into(),
                scenario: "voters".into(),
                value: None,
                distribution: Some(latency(300, 0.7)),
            },
        ],
        counters: vec![
            CounterRow {
                source: "prometheus".into(),
                metric: "redis_commands_processed_total".into(),
                labels: [("instance".to_owned(), "127.0.0.1:9121".to_owned())].into(),
                before: Some(1_000.0),
                after: Some(37_040.0),
                delta: Some(36_040.0),
                per_request: Some(2.734),
                uncertainty: Some(40.0),
                kind: MetricKind::Counter,
                note: Some("120 of it are the exporter's own scrapes".into()),
                ..CounterRow::default()
            },
            CounterRow {
                source: "redis".into(),
                metric: "redis_evicted_keys_total".into(),
                kind: MetricKind::Counter,
                before: Some(3.0),
                after: Some(3.0),
                delta: Some(0.0),
                uncertainty: Some(0.0),
                ..CounterRow::default()
            },
            CounterRow {
                source: "redis".into(),
                metric: "redis_connected_clients".into(),
                kind: MetricKind::Gauge,
                before: Some(4.0),
                after: Some(5.0),
                delta: Some(1.0),
                min: Some(4.0),
                max: Some(54.0),
                avg: Some(50.5),
                ..CounterRow::default()
            },
            CounterRow {
                source: "prometheus".into(),
                metric: "pg_stat_database_blks_read".into(),
                missing: Some("the source has no such series".into()),
                ..CounterRow::default()
            },
        ],
        values: vec![
            Value { name: "redis.hit_ratio".into(), value: Some(0.912), unit: Unit::Ratio, ..Value::default() },
            Value {
                name: "redis.connected_clients".into(),
                value: Some(5.0),
                min: Some(4.0),
                max: Some(54.0),
                avg: Some(50.5),
                ..Value::default()
            },
            Value {
                name: "postgres.cache_hit_ratio".into(),
                value: None,
                unit: Unit::Ratio,
                missing: Some("pg_stat_database_blks_read is missing".into()),
                ..Value::default()
            },
        ],
        groups: vec![],
        sessions: vec![Sessions {
            scenario: "watchers".into(),
            step: "updates".into(),
            protocol: "websocket".into(),
            outcomes: counts(&[("ok", 990), ("error", 10)]),
            duration: latency(1_000, 60.0),
            messages_sent: 6_000,
            messages_received: 1_199_400,
            messages_unparsed: 12,
            sent_bytes: 90_000,
            received_bytes: 107_946_000,
        }],
        messages: vec![Message {
            scenario: "watchers".into(),
            step: "updates".into(),
            message: "EVENT_UPDATED".into(),
            received: 1_199_400,
            missed: 600,
            missed_unconnected: Some(0),
            missed_ratio: Some(0.0005),
            listening_seconds: None,
            silent_seconds: None,
            repeated: 2,
            reordered: 1,
            clock_skew: 0,
            latency: latency(1_199_400, 0.012),
        }],
        transfers: vec![Transfer {
            scenario: "voters".into(),
            step: "portrait".into(),
            upload: Speed { count: 120, mean: Some(12.5e6), p5: Some(1.1e6), p50: Some(9.9e6), p95: Some(61.2e6) },
            download: Speed { count: 12, mean: Some(101e6), p5: Some(80e6), p50: Some(99e6), p95: Some(125e6) },
            processing: latency(120, 0.083),
        }],
        sources: vec![
            Source { name: "prometheus".into(), interval: Some(5.0), ..Source::default() },
            Source { name: "redis".into(), error: Some("connection refused".into()), ..Source::default() },
        ],
        notes: vec!["redis_exporter's own scrapes are commands, too: about 24 each".into()],
        slos: vec![
            slo("api", "p95 < 80ms", Some(0.0915), 0.08, Unit::Seconds, Some(false)),
            slo("api", "errors < 1%", Some(0.001_25), 0.01, Unit::Ratio, Some(true)),
            SloResult {
                reason: Some("postgres.cache_hit_ratio: pg_stat_database_blks_read is missing".into()),
                ..slo("cache", "value > 80%", None, 0.8, Unit::Ratio, None)
            },
            SloResult {
                target: true,
                verdict: Verdict::None,
                ..slo("api", "p95 < 50ms", Some(0.0915), 0.05, Unit::Seconds, Some(false))
            },
        ],
    }
}

/// A failed run with a warm-up that isn't judged and a phase that breached.
fn hooks() -> Vec<Hook> {
    let step = |scenario: &str, step: &str, requests, failed| Step {
        scenario: scenario.into(),
        step: step.into(),
        protocol: "http".into(),
        requests,
        rate: Some(2_040.8),
        outcomes: counts(&[("ok", requests - failed), ("error", failed)]),
        errors: counts(&[("refused", failed)]),
        codes: counts(&[("200", requests - failed)]),
        response: latency(requests, 0.0021),
        service: latency(requests, 0.002),
        ..Step::default()
    };
    let unheld = "response.json.last > first was 3 > 4";
    let check = |name: &str, passed, failed| {
        let detail = (failed > 0).then(|| unheld.to_owned());
        HookCheck { name: name.into(), step: Some("ledger".into()), passed, failed, detail }
    };
    let hook = |name: &str, started, ended| Hook { name: name.into(), started, ended, ok: true, ..Hook::default() };
    vec![
        Hook { steps: vec![step("setup", "create", 10_000, 0)], ..hook("setup", 1_795_185_808.0, 1_795_185_812.9) },
        Hook {
            checks: vec![check("every_vote_once", 1, 0), check("in_order", 2, 1)],
            steps: vec![step("verify", "ledger", 3, 0)],
            ok: false,
            error: Some(format!("the check `in_order` of the step `ledger` failed 1 of 3 times: {unheld}.")),
            ..hook("verify", 1_795_186_444.0, 1_795_186_444.25)
        },
        Hook {
            steps: vec![step("teardown", "delete", 10_000, 1)],
            ok: false,
            error: Some("step `delete` failed (refused): Connection refused.".into()),
            ..hook("teardown", 1_795_186_445.0, 1_795_186_449.5)
        },
    ]
}

pub(crate) fn run() -> Run {
    let warm_up = Phase {
        name: "warm-up".into(),
        started: 1_795_185_813.0,
        ended: 1_795_185_843.0,
        verdict: Verdict::Pass,
        judged: false,
        reasons: vec![],
        scenarios: vec![Scenario {
            scenario: "voters".into(),
            due: 700,
            started: 700,
            users_wanted: Some(50),
            rate_reached: Some(23.3),
            iterations: 690,
            iterations_interrupted: 10,
            step_errors: counts(&[("template", 3)]),
            ..Scenario::default()
        }],
        steps: vec![],
        sessions: vec![],
        messages: vec![],
        transfers: vec![],
        checks: vec![],
        metrics: vec![],
        counters: vec![],
        values: vec![],
        sources: vec![],
        notes: vec![],
        slos: vec![],
        ..steady()
    };
    Run {
        version: VERSION,
        profile: "votes".into(),
        run: "20261120T144333Z-votes".into(),
        started: 1_795_185_813.0,
        ended: 1_795_186_443.5,
        verdict: Verdict::Fail,
        reasons: vec!["steady: api: p95 < 80ms was 91.5ms".into()],
        gaps: vec![],
        away: vec![],
        stopped: None,
        seed: 42,
        generator: Generator {
            version: "0.1.0".into(),
            workers: 2,
            processors: 2,
            cpu_seconds: Some(31.5),
            cpu_ratio: Some(0.025),
            memory_bytes: Some(18_874_368),
            saturated: false,
        },
        phases: vec![steady(), warm_up].into_iter().rev().collect(),
        hooks: hooks(),
        slos: vec![slo("overall", "p99 < 350ms", Some(0.244), 0.35, Unit::Seconds, Some(true))],
    }
}

/// Histograms that go with it.
pub(crate) fn histograms() -> Histograms {
    let histogram: Sparse = serde_json::from_value(serde_json::json!({
        "zero_threshold": 0.000_000_953_674_316_406_25, "zero": 1, "positive": [[-320, 2], [-300, 3]],
        "splits": [[0.031, [1, -320], 1]], "time": {"secs": 0, "nanos": 123_456_789},
    }))
    .unwrap();
    assert_eq!(histogram.count(), 6);
    Histograms {
        version: VERSION,
        profile: "votes".into(),
        run: "20261120T144333Z-votes".into(),
        schema: crate::measure::index::SCHEMA,
        phases: vec![PhaseHistograms {
            name: "steady".into(),
            duration: 600.0,
            steps: vec![StepHistograms {
                scenario: "voters".into(),
                step: "vote".into(),
                protocol: "http".into(),
                response: [("ok".to_owned(), histogram.clone())].into(),
                service: [("ok".to_owned(), histogram)].into(),
            }],
            ..PhaseHistograms::default()
        }],
    }
}
