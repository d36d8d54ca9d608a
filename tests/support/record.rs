//! What `run.json` says, and what has to hold of every run.

use serde_json::Value;

use super::program::{accounts_hold, metric, named};
use super::shipped::Shown;

/// The elements of a list.
pub fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value[key].as_array().unwrap_or_else(|| panic!("{key} is no list"))
}

/// A whole number.
pub fn whole(value: &Value, key: &str) -> u64 {
    value[key].as_u64().unwrap_or_else(|| panic!("{key} is no number: {value}"))
}

/// The phase of this name.
pub fn phase<'a>(run: &'a Value, name: &str) -> &'a Value {
    named(&run["phases"], "name", name)
}

/// The step of this name in a phase.
pub fn step<'a>(phase: &'a Value, name: &str) -> &'a Value {
    named(&phase["steps"], "step", name)
}

/// Requests of a phase.
pub fn requests(phase: &Value) -> u64 {
    list(phase, "steps").iter().map(|step| whole(step, "requests")).sum()
}

/// A counter of the profile's own over the whole run.
pub fn own(run: &Value, name: &str) -> f64 {
    let metrics = list(run, "phases").iter().flat_map(|phase| list(phase, "metrics"));
    metrics.filter(|metric| metric["name"] == name).map(|metric| metric["value"].as_f64().unwrap()).sum()
}

/// The rows of the target's series in a phase, from one source, that have these labels.
pub fn rows<'a>(phase: &'a Value, source: &str, metric: &str, labels: &[(&str, &str)]) -> Vec<&'a Value> {
    let has = |row: &Value| labels.iter().all(|(name, value)| row["labels"][*name] == *value);
    let rows: Vec<&Value> =
        list(phase, "counters").iter().filter(|row| row["source"] == source && row["metric"] == metric && has(row)).collect();
    assert!(!rows.is_empty(), "{}: no {metric} from {source}", phase["name"]);
    rows
}

/// The increase of one series, or of the sum of several, over one phase, and how far it may be off.
pub fn delta(phase: &Value, source: &str, metric: &str, labels: &[(&str, &str)]) -> (f64, f64) {
    let number = |row: &Value, key: &str| row[key].as_f64().unwrap_or_else(|| panic!("{key} of {row}"));
    let rows = rows(phase, source, metric, labels);
    (rows.iter().map(|row| number(row, "delta")).sum(), rows.iter().map(|row| number(row, "uncertainty")).sum())
}

/// The same over all phases.
pub fn delta_of_run(run: &Value, source: &str, metric: &str, labels: &[(&str, &str)]) -> (f64, f64) {
    let deltas = list(run, "phases").iter().map(|phase| delta(phase, source, metric, labels));
    deltas.fold((0.0, 0.0), |(sum, unsure), (delta, by)| (sum + delta, unsure + by))
}

/// What is true of every run that came to its end, whatever the machine could do: its figures belong together, and the
/// verdict, the exit code and the texts say what the figures say.
pub fn holds_together(ended: &Shown) {
    let run = &ended.record;
    accounts_hold(run);
    let mut rows: Vec<&Value> = list(run, "slos").iter().collect();
    for phase in list(run, "phases") {
        for scenario in list(phase, "scenarios") {
            let iterations = (whole(scenario, "iterations"), whole(&scenario["iteration"], "count"));
            assert_eq!(iterations.0, iterations.1, "{}: {scenario}", phase["name"]);
        }
        if phase["judged"] == false {
            continue;
        }
        rows.extend(list(phase, "slos"));
    }
    let verify = list(run, "stages").iter().find(|stage| stage["name"] == "verify").map(|stage| stage["ok"] == true);
    rows.retain(|slo| slo["target"] == false);
    let any = |met: Value| rows.iter().any(|slo| slo["met"] == met);
    let expected = match (rows.is_empty(), verify) {
        _ if any(false.into()) || verify == Some(false) => "fail",
        _ if any(Value::Null) => "inconclusive",
        (true, None) => "none",
        _ => "pass",
    };
    assert_eq!(run["verdict"], expected, "{}", ended.summary);
    let code = match expected {
        "pass" | "none" => 0,
        "fail" => 1,
        _ => 3,
    };
    assert_eq!(ended.code, Some(code), "{}", ended.summary);
    assert!(expected == "none" || ended.summary.starts_with(&expected.to_uppercase()), "{}", ended.summary);
    assert!(ended.out.starts_with(&ended.summary), "what is shown is what is stored: {}", ended.out);

    // What /metrics said last is what is stored; of a run that didn't wait for a source, the last look may have been too early.
    let waited = list(run, "phases").iter().any(|phase| !list(phase, "sources").is_empty());
    let shown = |metric_name: &str, labels: &[(&str, &str)], stored: u64| {
        let shown = metric(&ended.last, metric_name, labels).unwrap_or_else(|| panic!("no {metric_name} {labels:?}"));
        let right = if waited { shown == stored as f64 } else { shown <= stored as f64 };
        assert!(right, "{metric_name} {labels:?}: {shown} is shown, {stored} stored");
    };
    for phase in list(run, "phases") {
        let name = phase["name"].as_str().unwrap();
        shown("load_requests_total", &[("phase", name)], requests(phase));
        for scenario in list(phase, "scenarios") {
            let labels = [("phase", name), ("scenario", scenario["scenario"].as_str().unwrap())];
            for key in ["due", "started", "dropped", "cancelled"] {
                shown(&format!("load_arrivals_{key}_total"), &labels, whole(scenario, key));
            }
        }
    }
}

/// That every requirement which doesn't hang on the machine's speed was met: on errors, checks and the target's counters.
pub fn is_right(run: &Value) {
    for phase in list(run, "phases").iter().filter(|phase| phase["judged"] == true) {
        for step in list(phase, "steps") {
            assert!(step["errors"].as_object().unwrap().is_empty(), "{}: {step}", phase["name"]);
        }
        for check in list(phase, "checks").iter().filter(|check| check["check"] != "quick" && check["check"] != "fresh") {
            assert_eq!(whole(check, "failures"), 0, "{}: {check}", phase["name"]);
        }
        for slo in list(phase, "slos") {
            let text = slo["requirement"].as_str().unwrap();
            let (value, objective) = (slo["value"].as_f64(), slo["objective"].as_f64().unwrap());
            let value = value.unwrap_or_else(|| panic!("{}: {slo}", phase["name"]));
            if ["p", "mean", "within", "dropped"].iter().any(|figure| text.starts_with(figure)) {
                continue;
            }
            let met = match text.split(' ').nth(1).unwrap() {
                "<" => value < objective,
                "<=" => value <= objective,
                ">" => value > objective,
                ">=" => value >= objective,
                _ => value == objective,
            };
            assert!(met, "{}: {slo}", phase["name"]);
        }
    }
}
