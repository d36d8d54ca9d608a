//! What panels show of made-up series: several exporters with one profile, targets beside requirements, a range that begins in the middle.

use std::fmt::Write as _;
use std::process::Command;

use crate::support::dashboards::columns;

/// What a panel shows: its dashboard, its title, its column or legend; labels and values.
type Shows = (&'static str, &'static str, &'static str, &'static [(&'static str, f64)]);

/// A test of promtool's: series a minute apart, and what panels show then.
struct Story {
    name: &'static str,
    /// When it is looked at, and how much is shown.
    at: &'static str,
    shown: &'static str,
    series: &'static [(&'static str, &'static str)],
    shows: &'static [Shows],
}

const STORIES: &[Story] = &[
    Story {
        name: "one of two exporters misses its requirements",
        at: "10m",
        shown: "5m",
        series: &[
            ("load_slo_objective{ONE,slo='all',phase='p',requirement='errors < 1%'}", "0.01x20"),
            ("load_slo_objective{TWO,slo='all',phase='p',requirement='errors < 1%'}", "0.01x20"),
            ("load_slo_met{ONE,slo='all',phase='p',requirement='errors < 1%'}", "1x20"),
            ("load_slo_met{TWO,slo='all',phase='p',requirement='errors < 1%'}", "0x20"),
            ("load_slo_value{ONE,slo='all',phase='p',requirement='errors < 1%'}", "0.001x20"),
            ("load_slo_value{TWO,slo='all',phase='p',requirement='errors < 1%'}", "0.5x20"),
            ("load_slo_objective{ONE,slo='all',phase='p',requirement='rate > 100/s'}", "100x20"),
            ("load_slo_objective{TWO,slo='all',phase='p',requirement='rate > 100/s'}", "100x20"),
            ("load_slo_met{ONE,slo='all',phase='p',requirement='rate > 100/s'}", "0x20"),
            ("load_slo_met{TWO,slo='all',phase='p',requirement='rate > 100/s'}", "1x20"),
            ("load_slo_value{ONE,slo='all',phase='p',requirement='rate > 100/s'}", "40x20"),
            ("load_slo_value{TWO,slo='all',phase='p',requirement='rate > 100/s'}", "120x20"),
            ("load_slo_objective{ONE,slo='all',phase='p',requirement='drift < 5%/h'}", "0.05x20"),
            ("load_slo_objective{TWO,slo='all',phase='p',requirement='drift < 5%/h'}", "0.05x20"),
            ("load_slo_met{ONE,slo='all',phase='p',requirement='drift < 5%/h'}", "1x20"),
            ("load_slo_value{ONE,slo='all',phase='p',requirement='drift < 5%/h'}", "0.01x20"),
        ],
        shows: &[
            (
                "overview",
                "Requirements",
                "result",
                &[
                    ("profile='p',slo='all',phase='p',requirement='errors < 1%'", 2.0),
                    ("profile='p',slo='all',phase='p',requirement='rate > 100/s'", 2.0),
                    ("profile='p',slo='all',phase='p',requirement='drift < 5%/h'", 1.0),
                ],
            ),
            // What is not known has no value.
            ("overview", "Requirements", "share", &[("profile='p',slo='all',phase='p',requirement='errors < 1%'", 0.5)]),
            ("overview", "Requirements", "value", &[("profile='p',slo='all',phase='p',requirement='rate > 100/s'", 40.0)]),
            ("overview", "Requirements", "time", &[]),
        ],
    },
    Story {
        name: "requirements are met, and targets are missed",
        at: "10m",
        shown: "5m",
        series: &[
            ("load_slo_objective{ONE,slo='all',phase='p',requirement='errors < 1%'}", "0.01x20"),
            ("load_slo_met{ONE,slo='all',phase='p',requirement='errors < 1%'}", "1x20"),
            ("load_slo_value{ONE,slo='all',phase='p',requirement='errors < 1%'}", "0.005x20"),
            ("load_slo_required{ONE,slo='all',phase='p',requirement='errors < 1%',scenario='a'}", "1x20"),
            ("load_slo_required{ONE,slo='all',phase='p',requirement='errors < 1%',scenario='b'}", "1x20"),
            ("load_slo_objective{ONE,slo='all',phase='p',requirement='errors < 0.01%'}", "0.0001x20"),
            ("load_slo_met{ONE,slo='all',phase='p',requirement='errors < 0.01%'}", "0x20"),
            ("load_slo_value{ONE,slo='all',phase='p',requirement='errors < 0.01%'}", "0.005x20"),
            ("load_slo_required{ONE,slo='all',phase='p',requirement='errors < 0.01%',scenario='a'}", "0x20"),
            ("load_slo_required{ONE,slo='all',phase='p',requirement='errors < 0.01%',scenario='b'}", "0x20"),
            ("load_slo_objective{ONE,slo='all',phase='p',requirement='p50 < 1s'}", "1x20"),
            ("load_slo_required{ONE,slo='all',phase='p',requirement='p50 < 1s',scenario='a'}", "0x20"),
            ("load:request_errors:ratio_rate5m{job='l',profile='p'}", "0.005x20"),
            ("load_phase_judged{ONE,phase='p'}", "1x20"),
        ],
        shows: &[
            (
                "slo",
                "Requirements",
                "result",
                &[
                    ("profile='p',slo='all',phase='p',requirement='errors < 1%'", 0.0),
                    ("profile='p',slo='all',phase='p',requirement='errors < 0.01%'", -1.0),
                    ("profile='p',slo='all',phase='p',requirement='p50 < 1s'", -2.0),
                ],
            ),
            (
                "slo",
                "Requirements met",
                "{{slo}} {{phase}} {{requirement}}",
                &[("profile='p',slo='all',phase='p',requirement='errors < 1%'", 1.0)],
            ),
            (
                "soak",
                "Requirements",
                "{{slo}} {{phase}} {{requirement}}",
                &[("profile='p',slo='all',phase='p',requirement='errors < 1%'", 1.0)],
            ),
            ("slo", "Burn rate", "{{profile}} 5m", &[("profile='p'", 0.5)]),
            (
                "slo",
                "Used of what each requirement allows",
                "{{slo}} {{phase}} {{requirement}}",
                &[("profile='p',slo='all',phase='p',requirement='errors < 1%'", 0.5)],
            ),
        ],
    },
    Story {
        name: "one of two exporters failed, and the other waits, has required nothing, or is running",
        at: "10m",
        shown: "5m",
        series: &[
            ("load_verdict{job='l',instance='1',profile='waits',verdict='fail'}", "1x20"),
            ("load_verdict{job='l',instance='1',profile='waits',verdict='pass'}", "0x20"),
            ("load_verdict{job='l',instance='1',profile='waits',verdict='none'}", "0x20"),
            ("load_verdict{job='l',instance='1',profile='waits',verdict='inconclusive'}", "0x20"),
            ("load_run_start_timestamp_seconds{job='l',instance='1',profile='waits'}", "0x20"),
            ("load_verdict{job='l',instance='2',profile='waits',verdict='fail'}", "0x20"),
            ("load_verdict{job='l',instance='2',profile='waits',verdict='pass'}", "0x20"),
            ("load_verdict{job='l',instance='2',profile='waits',verdict='none'}", "0x20"),
            ("load_verdict{job='l',instance='2',profile='waits',verdict='inconclusive'}", "0x20"),
            ("load_verdict{job='l',instance='1',profile='none',verdict='fail'}", "1x20"),
            ("load_verdict{job='l',instance='1',profile='none',verdict='pass'}", "0x20"),
            ("load_verdict{job='l',instance='1',profile='none',verdict='none'}", "0x20"),
            ("load_verdict{job='l',instance='1',profile='none',verdict='inconclusive'}", "0x20"),
            ("load_verdict{job='l',instance='2',profile='none',verdict='fail'}", "0x20"),
            ("load_verdict{job='l',instance='2',profile='none',verdict='pass'}", "0x20"),
            ("load_verdict{job='l',instance='2',profile='none',verdict='none'}", "1x20"),
            ("load_verdict{job='l',instance='2',profile='none',verdict='inconclusive'}", "0x20"),
            ("load_verdict{job='l',instance='1',profile='runs',verdict='fail'}", "0x20"),
            ("load_verdict{job='l',instance='1',profile='runs',verdict='pass'}", "1x20"),
            ("load_verdict{job='l',instance='1',profile='runs',verdict='none'}", "0x20"),
            ("load_verdict{job='l',instance='1',profile='runs',verdict='inconclusive'}", "0x20"),
            ("load_verdict{job='l',instance='2',profile='runs',verdict='fail'}", "0x20"),
            ("load_verdict{job='l',instance='2',profile='runs',verdict='pass'}", "0x20"),
            ("load_verdict{job='l',instance='2',profile='runs',verdict='none'}", "0x20"),
            ("load_verdict{job='l',instance='2',profile='runs',verdict='inconclusive'}", "0x20"),
            ("load_run_start_timestamp_seconds{job='l',instance='2',profile='runs'}", "0x20"),
            ("load_verdict{job='l',instance='2',profile='first',verdict='fail'}", "0x20"),
            ("load_verdict{job='l',instance='2',profile='first',verdict='pass'}", "0x20"),
            ("load_verdict{job='l',instance='2',profile='first',verdict='none'}", "0x20"),
            ("load_verdict{job='l',instance='2',profile='first',verdict='inconclusive'}", "0x20"),
        ],
        shows: &[
            (
                "overview",
                "State",
                "{{profile}}",
                &[("profile='waits'", 5.0), ("profile='none'", 5.0), ("profile='runs'", 3.0), ("profile='first'", 0.0)],
            ),
            (
                "soak",
                "Runs",
                "{{profile}}",
                &[("profile='waits'", 5.0), ("profile='none'", 5.0), ("profile='runs'", 3.0), ("profile='first'", 0.0)],
            ),
        ],
    },
    // A million was counted before, 50 a minute are since.
    Story {
        name: "the scrape at the first moment that is shown failed",
        at: "20m",
        shown: "10m",
        series: &[
            ("process_start_time_seconds{job='l',instance='1'}", "0x9 stale 0x20"),
            ("load_requests_total{ONE,scenario='s',phase='p',step='x',protocol='http'}", "1000000+50x9 stale 1000550+50x20"),
        ],
        shows: &[("overview", "Requests", "", &[("", 450.0)])],
    },
    Story {
        name: "Prometheus has only just begun to look",
        at: "20m",
        shown: "1h",
        series: &[
            ("process_start_time_seconds{job='l',instance='1'}", "_x9 -90000x20"),
            ("load_requests_total{ONE,scenario='s',phase='p',step='x',protocol='http'}", "_x9 1000000+50x20"),
        ],
        shows: &[("overview", "Requests", "", &[("", 550.0)])],
    },
    Story {
        name: "the process began in the time shown, and had counted something when it was first looked at",
        at: "20m",
        shown: "15m",
        series: &[
            ("process_start_time_seconds{job='l',instance='1'}", "_x9 590x20"),
            ("load_requests_total{ONE,scenario='s',phase='p',step='x',protocol='http'}", "_x9 30+50x20"),
        ],
        shows: &[("overview", "Requests", "", &[("", 580.0)])],
    },
    Story {
        name: "two exporters, and two profiles that have a step of one name",
        at: "20m",
        shown: "10m",
        series: &[
            ("load_requests_total{ONE,scenario='s',phase='p',step='look',protocol='http'}", "0+10x20"),
            ("load_requests_total{TWO,scenario='s',phase='p',step='look',protocol='http'}", "0+20x20"),
            (
                "load_requests_total{job='l',instance='1',profile='q',scenario='s',phase='p',step='look',protocol='http'}",
                "0+70x20",
            ),
            ("load_target_delta{ONE,phase='p',source='redis',metric='m',target_cmd='get'}", "7x20"),
            ("load_target_delta{TWO,phase='p',source='redis',metric='m',target_cmd='get'}", "9x20"),
        ],
        shows: &[
            (
                "requests",
                "Steps",
                "requests",
                &[("profile='p',scenario='s',step='look'", 300.0), ("profile='q',scenario='s',step='look'", 700.0)],
            ),
            (
                "server",
                "What each phase added",
                "delta",
                &[
                    ("ONE,phase='p',source='redis',metric='m',target_cmd='get'", 7.0),
                    ("TWO,phase='p',source='redis',metric='m',target_cmd='get'", 9.0),
                ],
            ),
            (
                "soak",
                "Added by the last phases",
                "added",
                &[
                    ("ONE,phase='p',source='redis',metric='m',target_cmd='get'", 7.0),
                    ("TWO,phase='p',source='redis',metric='m',target_cmd='get'", 9.0),
                ],
            ),
        ],
    },
];

fn written(labels: &str) -> String {
    let of = |instance| format!("job='l',instance='{instance}',profile='p'");
    labels.replace("ONE", &of(1)).replace("TWO", &of(2)).replace('\'', "\"")
}

#[test]
fn panels_show_what_there_is_to_see() {
    let mut tests = String::from("evaluation_interval: 1m\ntests:\n");
    for Story { name, at, shown, series, shows } in STORIES {
        writeln!(tests, "  - name: \"{name}\"\n    interval: 1m\n    input_series:").unwrap();
        for (series, values) in *series {
            writeln!(tests, "      - {{series: '{}', values: '{values}'}}", written(series)).unwrap();
        }
        writeln!(tests, "    promql_expr_test:").unwrap();
        for (dashboard, panel, column, samples) in *shows {
            let query = columns(dashboard, panel, shown).into_iter().find(|(name, _)| name == column);
            let (_, query) = query.unwrap_or_else(|| panic!("{panel} has no {column}"));
            let query = serde_json::to_string(&query).unwrap();
            writeln!(tests, "      - expr: {query}\n        eval_time: {at}\n        exp_samples:").unwrap();
            for (labels, value) in *samples {
                writeln!(tests, "          - {{labels: '{{{}}}', value: {value}}}", written(labels)).unwrap();
            }
        }
    }
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("tests.yml");
    std::fs::write(&path, tests).unwrap();
    let out =
        Command::new("promtool").args(["test", "rules"]).arg(&path).output().expect("promtool comes with Debian's prometheus");
    let said = format!("{}{}", String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
    assert!(out.status.success(), "{said}");
}
