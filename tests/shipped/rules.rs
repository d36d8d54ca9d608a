//! `rules`: what is made from a profile's SLOs is accepted by promtool, fires on data that breaches a requirement, and on no
//! other.
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

const PROFILE: &str = r#"
name: shop
defaults: {http: {base_url: "http://127.0.0.1:9"}}
scenarios:
  buyers:
    flow:
      - http: {get: /cart, name: cart, check: {filled: response.status == 200}}
phases:
  - {name: warm-up, duration: 1m, load: {buyers: {rate: 10/s}}, judge: false}
  - {name: steady, duration: 10m, load: {buyers: {rate: 10/s}}}
slos:
  - {name: time, require: [p95 < 300ms, within(1s) > 99%]}
  - {name: answers, require: [errors < 5%, timeouts < 1%, status(429) < 1%, checks > 99%]}
  - {name: arrivals, scenario: buyers, require: dropped < 1%}
  - {name: connections, require: disconnects < 1%}
  - {name: pool, promql: sum(pg_stat_database_numbackends), require: max < 70}
  - {name: mean, require: mean < 1s}
"#;

/// What is shown every quarter of a minute, where nothing is wrong: a series and by how much it grows.
const HEALTHY: &[(&str, f64)] = &[
    ("load_requests_total{STEP,protocol=\"http\"}", 600.0),
    ("load_request_errors_total{STEP,protocol=\"http\",reason=\"timeout\"}", 0.0),
    ("load_request_errors_total{STEP,protocol=\"http\",reason=\"status\"}", 6.0),
    ("load_response_duration_seconds_count{STEP,protocol=\"http\",outcome=\"ok\"}", 594.0),
    ("load_response_duration_seconds_bucket{STEP,protocol=\"http\",outcome=\"ok\",le=\"0.3\"}", 590.0),
    ("load_response_duration_seconds_bucket{STEP,protocol=\"http\",outcome=\"ok\",le=\"1.0\"}", 594.0),
    ("load_http_responses_total{STEP,code=\"200\"}", 600.0),
    ("load_http_responses_total{STEP,code=\"429\"}", 0.0),
    ("load_checks_total{STEP,check=\"filled\"}", 600.0),
    ("load_check_failures_total{STEP,check=\"filled\"}", 0.0),
    ("load_arrivals_due_total{SCENARIO}", 600.0),
    ("load_arrivals_dropped_total{SCENARIO,reason=\"busy\"}", 0.0),
    ("load_connects_total{SCENARIO,protocol=\"http\"}", 600.0),
    ("load_connect_failures_total{SCENARIO,protocol=\"http\",reason=\"refused\"}", 0.0),
    ("load_disconnects_total{SCENARIO,protocol=\"http\",reason=\"reset\"}", 0.0),
];

/// A story: what grows otherwise than in [`HEALTHY`], and the requirements whose budgets that burns.
struct Story {
    name: &'static str,
    otherwise: &'static [(&'static str, f64)],
    burns: &'static [(&'static str, &'static str)],
}

const STORIES: &[Story] = &[
    Story { name: "healthy", otherwise: &[], burns: &[] },
    Story { name: "slow", otherwise: &[("le=\"0.3\"", 300.0)], burns: &[("time", "p95 < 300ms")] },
    Story {
        name: "very slow",
        otherwise: &[("le=\"0.3\"", 300.0), ("le=\"1.0\"", 300.0)],
        burns: &[("time", "p95 < 300ms"), ("time", "within(1s) > 99%")],
    },
    Story { name: "errors", otherwise: &[("reason=\"status\"", 120.0)], burns: &[("answers", "errors < 5%")] },
    Story { name: "timeouts", otherwise: &[("reason=\"timeout\"", 24.0)], burns: &[("answers", "timeouts < 1%")] },
    Story { name: "limited", otherwise: &[("code=\"429\"", 60.0)], burns: &[("answers", "status(429) < 1%")] },
    Story { name: "wrong", otherwise: &[("load_check_failures", 60.0)], burns: &[("answers", "checks > 99%")] },
    Story { name: "busy", otherwise: &[("load_arrivals_dropped", 60.0)], burns: &[("arrivals", "dropped < 1%")] },
    Story { name: "churn", otherwise: &[("load_disconnects", 60.0)], burns: &[("connections", "disconnects < 1%")] },
];

fn series(phase: &str, otherwise: &[(&str, f64)]) -> String {
    let scenario = format!("job=\"load-exporter\",instance=\"a\",profile=\"shop\",phase=\"{phase}\",scenario=\"buyers\"");
    let step = format!("{scenario},step=\"cart\"");
    let mut out = String::new();
    for (series, growth) in HEALTHY {
        let growth = otherwise.iter().find(|(part, _)| series.contains(part)).map_or(*growth, |(_, growth)| *growth);
        let series = series.replace("STEP", &step).replace("SCENARIO", &scenario);
        writeln!(out, "      - {{series: '{series}', values: '0+{growth}x80'}}").unwrap();
    }
    out
}

/// One of promtool's unit tests: with these series, these `(slo, requirement)` fire of an alert.
fn unit_test(name: &str, input: &str, expectations: &[(&str, Vec<(&str, &str)>)]) -> String {
    let mut out = format!("  - name: {name}\n    interval: 15s\n    input_series:\n{input}    promql_expr_test:\n");
    for (alert, firing) in expectations {
        let expr = format!("count by (slo, requirement) (ALERTS{{alertname=\"{alert}\",alertstate=\"firing\"}})");
        writeln!(out, "      - expr: '{expr}'\n        eval_time: 15m\n        exp_samples:").unwrap();
        for (slo, requirement) in firing {
            writeln!(out, "          - {{labels: '{{slo=\"{slo}\",requirement=\"{requirement}\"}}', value: 1}}").unwrap();
        }
    }
    out
}

fn written(dir: &Path, text: &str, format: &str) -> PathBuf {
    let profile = dir.join("shop.yml");
    std::fs::write(&profile, text).unwrap();
    let out =
        Command::new(env!("CARGO_BIN_EXE_load-exporter")).arg("rules").arg(&profile).args(["--format", format]).output().unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let path = dir.join(format!("{format}.yml"));
    std::fs::write(&path, out.stdout).unwrap();
    path
}

fn promtool(args: &[&str]) {
    let out = Command::new("promtool").args(args).output().expect("promtool comes with Debian's prometheus");
    let said = format!("{}{}", String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
    assert!(out.status.success() && !said.contains("duplicate"), "{said}");
}

#[test]
fn each_alert_fires_on_data_that_breaches_and_on_no_other() {
    let dir = tempfile::tempdir().unwrap();
    let rules = written(dir.path(), PROFILE, "prometheus");
    promtool(&["check", "rules", rules.to_str().unwrap()]);

    let mut tests = String::from("rule_files: [prometheus.yml]\nevaluation_interval: 30s\ntests:\n");
    for story in STORIES {
        let burns = story.burns.to_vec();
        let expectations = [("LoadSloBudgetBurns", burns.clone()), ("LoadSloBudgetErodes", burns), ("LoadSloBreached", vec![])];
        tests += &unit_test(story.name, &series("steady", story.otherwise), &expectations);
        // The same in a phase that isn't judged is silent.
        let silent = [("LoadSloBudgetBurns", vec![]), ("LoadSloBudgetErodes", vec![])];
        tests += &unit_test(&format!("{} while warming up", story.name), &series("warm-up", story.otherwise), &silent);
    }
    let few = series("steady", &[("reason=\"status\"", 1.0), ("load_requests_total", 1.0)]);
    tests += &unit_test("too few to judge", &few, &[("LoadSloBudgetBurns", vec![])]);

    let backends = |phase: &str, n| {
        format!(
            "      - {{series: 'pg_stat_database_numbackends{{datname=\"a\"}}', values: '{n}x80'}}\n      \
             - {{series: 'load_phase_active{{profile=\"shop\",phase=\"{phase}\"}}', values: '1x80'}}\n"
        )
    };
    let breached = [("LoadSloBreached", vec![("pool", "max < 70")])];
    tests += &unit_test("pool full", &backends("steady", 80), &breached);
    tests += &unit_test("pool full while warming up", &backends("warm-up", 80), &[("LoadSloBreached", vec![])]);
    tests += &unit_test("pool at ease", &backends("steady", 60), &[("LoadSloBreached", vec![])]);

    let met_by = |exporter: &str, values: &str| {
        let of = "job=\"l\",profile=\"shop\",phase=\"steady\",slo=\"mean\",requirement=\"mean < 1s\"";
        format!("      - {{series: 'load_slo_met{{instance=\"{exporter}\",{of}}}', values: '{values}'}}\n")
    };
    let met = |values| met_by("a", values);
    let missed = [("LoadSloMissed", vec![("mean", "mean < 1s")])];
    tests += &unit_test("missed", &met("0x80"), &missed);
    tests += &unit_test("missed, and a scrape fails", &met("0x58 stale"), &missed);
    tests += &unit_test("missed, and the profile is gone", &met("0x10 stale"), &[("LoadSloMissed", vec![])]);
    // An alert for each exporter that missed it.
    let one_of_three = met_by("a", "1x80") + &met_by("b", "0x80") + &met_by("c", "1x80");
    tests += &unit_test("missed by one exporter of three", &one_of_three, &missed);
    tests += &unit_test("met", &met("0x10 1x70"), &[("LoadSloMissed", vec![])]);

    let path = dir.path().join("tests.yml");
    std::fs::write(&path, tests).unwrap();
    promtool(&["test", "rules", path.to_str().unwrap()]);
}

#[test]
fn long_windows_are_built_from_what_is_recorded_over_short_ones() {
    let dir = tempfile::tempdir().unwrap();
    let reached = "  - {name: reached, of: connect, require: within(1s) > 99%}\n";
    let rules = written(dir.path(), &format!("{PROFILE}{reached}schedule: continuous\n"), "prometheus");
    let text = std::fs::read_to_string(&rules).unwrap();
    let windows = regex::Regex::new(r"\brate\([^\[]*\[(\w+)\]").unwrap();
    let raw: std::collections::BTreeSet<&str> =
        windows.captures_iter(&text).map(|found| found.get(1).unwrap().as_str()).collect();
    assert_eq!(raw.into_iter().collect::<Vec<_>>(), ["1h", "30m", "5m"], "{text}");
    assert!(text.contains("rate3d"), "{text}");

    // A fifth fails, of a twentieth that may: for days that is too much, and no reason to wake anybody. A restart changes nothing.
    let mut tests = String::from("rule_files: [prometheus.yml]\nevaluation_interval: 30s\ntests:\n");
    let errors = [("reason=\"status\"", 120.0)];
    let erodes = [("LoadSloBudgetErodes", vec![("answers", "errors < 5%")]), ("LoadSloBudgetBurns", vec![])];
    let input = series("steady", &errors);
    tests += &unit_test("errors", &input, &erodes);
    tests += &unit_test("errors, and a restart", &restarted(&input), &erodes);
    tests += &unit_test("healthy", &series("steady", &[]), &[("LoadSloBudgetErodes", vec![])]);
    tests += &unit_test("healthy, and a restart", &restarted(&series("steady", &[])), &[("LoadSloBudgetErodes", vec![])]);
    // An hour of 100/s of which 1 % is slow, then one in which 99 in 100 fail and what is answered is slow.
    let of = "job=\"l\",instance=\"a\",profile=\"shop\",scenario=\"buyers\",phase=\"steady\",step=\"cart\",protocol=\"http\"";
    let slow = format!(
        "      - {{series: 'load_response_duration_seconds_count{{{of},outcome=\"ok\"}}', values: '0+1500x239 358500+15x240'}}\n      \
         - {{series: 'load_response_duration_seconds_bucket{{{of},outcome=\"ok\",le=\"0.3\"}}', values: '0+1485x239 354915+0x240'}}\n      \
         - {{series: 'load_response_duration_seconds_count{{{of},outcome=\"error\"}}', values: '0x239 0+1485x240'}}\n"
    );
    tests += &two_hours("slow, and errors", &slow, ("time", "p95 < 300ms"), 0.0198);
    // An hour of connects that come up at once, then one in which none does.
    let of = "job=\"l\",instance=\"a\",profile=\"shop\",scenario=\"buyers\",phase=\"steady\",protocol=\"http\"";
    let away = format!(
        "      - {{series: 'load_connects_total{{{of}}}', values: '0+1500x480'}}\n      \
         - {{series: 'load_connect_duration_seconds_count{{{of}}}', values: '0+1500x239 358500+0x240'}}\n      \
         - {{series: 'load_connect_duration_seconds_bucket{{{of},le=\"1.0\"}}', values: '0+1500x239 358500+0x240'}}\n"
    );
    tests += &two_hours("the target goes away", &away, ("reached", "within(1s) > 99%"), 0.5);
    let path = dir.path().join("tests.yml");
    std::fs::write(&path, tests).unwrap();
    promtool(&["test", "rules", path.to_str().unwrap()]);
}

/// One of promtool's unit tests: after two hours of these series such a part of them is bad.
fn two_hours(name: &str, input: &str, (slo, requirement): (&str, &str), bad: f64) -> String {
    let recorded = format!("load_slo:bad:ratio_rate2h{{slo=\"{slo}\",requirement=\"{requirement}\"}}");
    format!(
        "  - name: {name}\n    interval: 15s\n    input_series:\n{input}    promql_expr_test:\n      \
         - expr: 'sum(abs({recorded} / {bad} - 1) < bool 0.03)'\n        \
         eval_time: 2h\n        exp_samples:\n          - {{labels: '{{}}', value: 1}}\n"
    )
}

/// All counters begin at 0 again in the middle.
fn restarted(input: &str) -> String {
    let values = regex::Regex::new(r"'(0\+\S+?)x80'").unwrap();
    values.replace_all(input, "'${1}x30 ${1}x49'").into_owned()
}

#[test]
fn grafana_gets_a_file_that_it_can_provision() {
    let dir = tempfile::tempdir().unwrap();
    let text = std::fs::read_to_string(written(dir.path(), PROFILE, "grafana")).unwrap();
    let file: serde_json::Value = serde_yaml::from_str(&text).unwrap();
    assert_eq!(file["apiVersion"], 1);
    let rules = file["groups"][0]["rules"].as_array().unwrap();
    let mut uids: Vec<&str> = rules.iter().map(|rule| rule["uid"].as_str().unwrap()).collect();
    let mut titles: Vec<&str> = rules.iter().map(|rule| rule["title"].as_str().unwrap()).collect();
    // Eight budgets with two alerts each, a query, and what the run found of all ten.
    assert_eq!(rules.len(), 8 * 2 + 1 + 10);
    for names in [&mut uids, &mut titles] {
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), rules.len(), "each has a name of its own");
    }
    for rule in rules {
        assert!(rule["uid"].as_str().unwrap().len() <= 40);
        assert_eq!(rule["condition"], "C");
        let names: Vec<&str> = rule["data"].as_array().unwrap().iter().map(|part| part["refId"].as_str().unwrap()).collect();
        assert_eq!(names, ["A", "B", "C"]);
        // Grafana reads `$$` as `$`; its alerts compare what Prometheus records.
        let all = rule.to_string();
        assert!(!all.contains("rate(") && !all.replace("$$", "").contains('$'), "{all}");
    }
}

#[test]
fn a_profile_that_is_wrong_has_no_rules() {
    let dir = tempfile::tempdir().unwrap();
    let profile = dir.path().join("wrong.yml");
    std::fs::write(&profile, PROFILE.replace("p95 < 300ms", "p95 < soon")).unwrap();
    let out = Command::new(env!("CARGO_BIN_EXE_load-exporter")).arg("rules").arg(&profile).output().unwrap();
    assert_eq!(out.status.code(), Some(2));
    assert!(out.stdout.is_empty() && String::from_utf8_lossy(&out.stderr).contains("p95 < soon"));
}
