//! The books of a run: `run.json` and `/metrics` as they are once it has ended, and what has to hold of both.

use serde_json::Value;

use super::program::{Bench, accounts_hold, count, metric, named};

/// A run that has ended.
pub struct Books {
    /// `run.json`.
    pub record: Value,
    /// `/metrics`.
    pub page: String,
    /// What was logged.
    pub log: String,
}

impl Books {
    /// Has the daemon carry a profile out once, in the bench's directory, with these variables.
    pub fn of(bench: &Bench, profile: &str, variables: &[(&str, &dyn ToString)]) -> Self {
        bench.file("profile.yml", profile);
        let set: Vec<String> = variables.iter().map(|(name, value)| format!("--set={name}={}", value.to_string())).collect();
        let args: Vec<&str> = ["--log.level=debug", "profile.yml"].into_iter().chain(set.iter().map(String::as_str)).collect();
        let mut daemon = bench.serve(&args);
        daemon.logged("msg=\"run ended\"", 1);
        let page = daemon.page("/metrics");
        let log = daemon.stop().err;
        let books = Self { record: bench.record(), page, log };
        books.hold();
        books
    }

    /// Whether `run.json` agrees with itself and with `/metrics`: arrivals, iterations, requests, connections, messages.
    fn hold(&self) {
        accounts_hold(&self.record);
        for phase in self.phases() {
            let phase_name = text(phase, "name");
            for step in list(phase, "steps") {
                let labels = [("phase", phase_name), ("scenario", text(step, "scenario")), ("step", text(step, "step"))];
                self.shows("load_requests_total", &labels, count(&step["requests"]));
                self.show("load_request_errors_total", &labels, &step["errors"]);
            }
            for scenario in list(phase, "scenarios") {
                let name = text(scenario, "scenario");
                let labels = [("phase", phase_name), ("scenario", name)];
                for (series, key) in [
                    ("load_arrivals_due_total", "due"),
                    ("load_arrivals_started_total", "started"),
                    ("load_arrivals_cancelled_total", "cancelled"),
                    ("load_iterations_total", "iterations"),
                    ("load_iterations_failed_total", "iterations_failed"),
                    ("load_iterations_interrupted_total", "iterations_interrupted"),
                ] {
                    self.may_show(series, &labels, count(&scenario[key]));
                }
                for (reason, dropped) in Self::reasons(&scenario["dropped_reasons"]) {
                    self.may_show("load_arrivals_dropped_total", &[&labels[..], &[("reason", reason)]].concat(), dropped);
                }
                for connections in list(scenario, "connections") {
                    let labels = [("phase", phase_name), ("scenario", name), ("protocol", text(connections, "protocol"))];
                    let failed = total(&connections["failures"]);
                    self.shows(
                        "load_connects_total",
                        &labels,
                        count(&connections["connects"]) + failed + count(&connections["cut_off"]),
                    );
                    self.shows("load_connect_duration_seconds_count", &labels, count(&connections["connects"]));
                    self.show("load_connect_failures_total", &labels, &connections["failures"]);
                    self.show("load_disconnects_total", &labels, &connections["disconnects"]);
                }
            }
            for sessions in list(phase, "sessions") {
                let labels = [("phase", phase_name), ("scenario", text(sessions, "scenario")), ("step", text(sessions, "step"))];
                for (direction, key) in [("sent", "messages_sent"), ("received", "messages_received")] {
                    let labels = [&labels[..], &[("direction", direction)]].concat();
                    self.shows("load_messages_total", &labels, count(&sessions[key]));
                }
                self.shows("load_messages_unparsed_total", &labels, count(&sessions["messages_unparsed"]));
                self.shows("load_session_duration_seconds_count", &labels, total(&sessions["outcomes"]));
            }
            for message in list(phase, "messages") {
                let labels = [("phase", phase_name), ("step", text(message, "step")), ("message", text(message, "message"))];
                // What those missed that could not connect is known in the end only.
                let missed = count(&message["missed"]) - message["missed_unconnected"].as_u64().unwrap_or(0);
                self.may_show("load_messages_missed_total", &labels, missed);
                // Of messages without numbers there is no such series.
                if metric(&self.page, "load_messages_numbered_total", &labels).is_some() {
                    self.shows("load_messages_numbered_total", &labels, count(&message["received"]));
                }
                for key in ["repeated", "reordered"] {
                    self.may_show(&format!("load_messages_{key}_total"), &labels, count(&message[key]));
                }
                self.may_show("load_message_latency_seconds_count", &labels, count(&message["latency"]["count"]));
            }
        }
        assert_eq!(metric(&self.page, "load_connections", &[]), Some(0.0), "nobody stays");
    }

    pub fn phases(&self) -> &[Value] {
        list(&self.record, "phases")
    }

    /// How long the run took, in seconds.
    pub fn lasted(&self) -> f64 {
        self.record["ended"].as_f64().unwrap() - self.record["started"].as_f64().unwrap()
    }

    /// A scenario in the first phase.
    pub fn scenario(&self, name: &str) -> &Value {
        named(&self.phases()[0]["scenarios"], "scenario", name)
    }

    /// The connections of a scenario that speaks one protocol.
    pub fn connections(&self, scenario: &str) -> &Value {
        &self.scenario(scenario)["connections"][0]
    }

    /// A step in the first phase.
    pub fn step(&self, name: &str) -> &Value {
        named(&self.phases()[0]["steps"], "step", name)
    }

    /// The sessions of a step in the first phase.
    pub fn sessions(&self, step: &str) -> &Value {
        named(&self.phases()[0]["sessions"], "step", step)
    }

    /// What the first phase says of the messages of this name.
    pub fn message(&self, name: &str) -> &Value {
        named(&self.phases()[0]["messages"], "message", name)
    }

    /// Errors, failures or disconnects by reason.
    pub fn reasons(of: &Value) -> Vec<(&str, u64)> {
        of.as_object().unwrap().iter().map(|(reason, n)| (reason.as_str(), count(n))).collect()
    }

    /// The examples of a step's errors, in words.
    pub fn samples(&self, step: &str) -> Vec<&str> {
        list(self.step(step), "samples").iter().map(|sample| text(sample, "detail")).collect()
    }

    /// Checks none of which failed: how often each was made.
    pub fn checked(&self) -> Vec<(&str, u64)> {
        let checks = self.phases().iter().flat_map(|phase| list(phase, "checks"));
        checks
            .map(|check| {
                assert_eq!(count(&check["failures"]), 0, "{check}\n{}", self.log);
                (text(check, "check"), count(&check["total"]))
            })
            .collect()
    }

    fn shows(&self, name: &str, labels: &[(&str, &str)], stored: u64) {
        let shown = metric(&self.page, name, labels);
        assert_eq!(shown, Some(stored as f64), "{name} {labels:?} is not what is stored");
    }

    /// The same of a series that need not be there.
    fn may_show(&self, name: &str, labels: &[(&str, &str)], stored: u64) {
        let shown = metric(&self.page, name, labels).unwrap_or(0.0);
        assert_eq!(shown, stored as f64, "{name} {labels:?} is not what is stored");
    }

    /// That a counter by reason has those that are stored, and no others.
    fn show(&self, name: &str, labels: &[(&str, &str)], stored: &Value) {
        for (reason, n) in Self::reasons(stored) {
            self.shows(name, &[labels, &[("reason", reason)]].concat(), n);
        }
        self.shows(name, labels, total(stored));
    }
}

fn list<'a>(of: &'a Value, key: &str) -> &'a [Value] {
    of[key].as_array().unwrap_or_else(|| panic!("{key} is no list: {of}"))
}

fn text<'a>(of: &'a Value, key: &str) -> &'a str {
    of[key].as_str().unwrap_or_else(|| panic!("{key} is no text: {of}"))
}

/// The sum of what is counted by a label.
fn total(of: &Value) -> u64 {
    of.as_object().unwrap().values().map(count).sum()
}
