//! The one place where every metric of the program stands: its name, type, labels and help.
//!
//! The exposition, the documentation, rules and dashboards hold to it, and tests hold them to it. A family appears on `/metrics`
//! once it has a series. Beside the labels given here every `load_…` metric but the build's info carries `profile`; `group` is
//! there where a step stands in one.

/// What a metric is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FamilyKind {
    /// Only grows, but for a restart of the process.
    Counter,
    /// Goes up and down.
    Gauge,
    /// A distribution, in classic and native buckets.
    Histogram,
}

/// One metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Metric {
    /// Its name.
    pub name: &'static str,
    /// What it is.
    pub kind: FamilyKind,
    /// Its labels beside `profile`, in the order of their appearance.
    pub labels: &'static [&'static str],
    /// What it shows, in one sentence.
    pub help: &'static str,
}

/// The unit in a metric's name, or nothing.
pub fn unit(name: &str) -> &'static str {
    let stem = name.strip_suffix("_total").unwrap_or(name);
    ["seconds", "bytes", "bytes_per_second", "ratio"]
        .into_iter()
        .find(|unit| stem.strip_suffix(unit).is_some_and(|rest| rest.ends_with('_')))
        .unwrap_or("")
}

macro_rules! metrics {
    ($($(#[$doc:meta])* $id:ident = $kind:ident $name:literal [$($label:literal),*] $help:literal;)+) => {
        $(
            #[doc = $help]
            pub const $id: Metric = Metric { name: $name, kind: FamilyKind::$kind, labels: &[$($label),*], help: $help };
        )+

        /// Every metric, in the order of its appearance.
        pub const ALL: &[Metric] = &[$($id),+];
    };
}

metrics! {
    RESPONSE_DURATION = Histogram "load_response_duration_seconds" ["scenario", "phase", "step", "group", "protocol", "outcome"]
        "Time from when a request was due to its end, waiting included; every request, by how it ended.";
    SERVICE_DURATION = Histogram "load_service_duration_seconds" ["scenario", "phase", "step", "group", "protocol", "outcome"]
        "Time from sending a request to its end; requests of which something was sent.";
    ITERATION_DURATION = Histogram "load_iteration_duration_seconds" ["scenario", "phase", "outcome"]
        "Time that an iteration of a scenario's flow took.";
    SESSION_DURATION = Histogram "load_session_duration_seconds" ["scenario", "phase", "step", "group", "outcome"]
        "Time that a session on one connection lasted.";
    GROUP_DURATION = Histogram "load_group_duration_seconds" ["scenario", "phase", "group", "outcome"]
        "Time that a group of steps took as a whole.";
    START_LAG = Histogram "load_start_lag_seconds" ["scenario", "phase"]
        "How late arrivals started: the generator's own doing, not the target's.";
    MESSAGE_LATENCY = Histogram "load_message_latency_seconds" ["scenario", "phase", "step", "message"]
        "Time from a message's being published to its receipt.";
    REQUESTS = Counter "load_requests_total" ["scenario", "phase", "step", "group", "protocol"]
        "Requests that ended, however they ended.";
    REQUEST_ERRORS = Counter "load_request_errors_total" ["scenario", "phase", "step", "group", "protocol", "reason"]
        "Requests that did not end as expected, by reason.";
    STEP_ERRORS = Counter "load_step_errors_total" ["scenario", "phase", "reason"]
        "Steps without a request (set, count, record, remember, repeat, for_each, eventually) that could not be done, by reason.";
    HTTP_RESPONSES = Counter "load_http_responses_total" ["scenario", "phase", "step", "group", "code"]
        "HTTP answers by status code; unknown codes and those beyond the first 20 of a step are other.";
    CHECKS = Counter "load_checks_total" ["scenario", "phase", "step", "check"]
        "Checks that were evaluated.";
    CHECK_FAILURES = Counter "load_check_failures_total" ["scenario", "phase", "step", "check"]
        "Checks that did not hold.";
    ARRIVALS_DUE = Counter "load_arrivals_due_total" ["scenario", "phase"]
        "Arrivals that became due: started, dropped, cancelled or still waiting.";
    ARRIVALS_STARTED = Counter "load_arrivals_started_total" ["scenario", "phase"]
        "Arrivals that started.";
    ARRIVALS_DROPPED = Counter "load_arrivals_dropped_total" ["scenario", "phase", "reason"]
        "Arrivals that were due and never started, by reason.";
    ARRIVALS_CANCELLED = Counter "load_arrivals_cancelled_total" ["scenario", "phase"]
        "Arrivals that had not started when their phase ended.";
    ARRIVALS_WAITING = Gauge "load_arrivals_waiting" ["scenario", "phase"]
        "Arrivals that are due and wait for a free user.";
    ITERATIONS = Counter "load_iterations_total" ["scenario", "phase"]
        "Iterations that ended, however they ended.";
    ITERATIONS_FAILED = Counter "load_iterations_failed_total" ["scenario", "phase"]
        "Iterations that an error or a time limit ended.";
    ITERATIONS_INTERRUPTED = Counter "load_iterations_interrupted_total" ["scenario", "phase"]
        "Iterations that were cut off at the end of their phase's drain.";
    USERS = Gauge "load_users" ["scenario"]
        "Virtual users that are alive.";
    USERS_WANTED = Gauge "load_users_wanted" ["scenario"]
        "Virtual users that the profile asks for just now.";
    RATE_WANTED = Gauge "load_rate_wanted" ["scenario"]
        "Arrivals a second that the profile asks for just now.";
    SENT_BYTES = Counter "load_sent_bytes_total" ["scenario", "phase", "step", "group", "protocol"]
        "Bytes sent, below TLS and compression.";
    RECEIVED_BYTES = Counter "load_received_bytes_total" ["scenario", "phase", "step", "group", "protocol"]
        "Bytes received, below TLS and compression.";
    UPLOAD_SPEED = Histogram "load_upload_bytes_per_second" ["scenario", "phase", "step", "group"]
        "Bytes a second of requests' bodies of 64 KiB and more, by service time; uploads that ended as expected.";
    DOWNLOAD_SPEED = Histogram "load_download_bytes_per_second" ["scenario", "phase", "step", "group"]
        "Bytes a second of answers' bodies of 64 KiB and more, by service time; downloads that ended as expected.";
    PROCESSING_DURATION = Histogram "load_processing_duration_seconds" ["scenario", "phase", "step", "group"]
        "Time from the last byte of an upload to the first byte of its answer; uploads that ended as expected.";
    CONNECTIONS = Gauge "load_connections" ["scenario", "protocol"]
        "Connections that are open.";
    CONNECTS = Counter "load_connects_total" ["scenario", "phase", "protocol"]
        "Attempts to open a connection, those that failed or were cut off among them.";
    CONNECT_FAILURES = Counter "load_connect_failures_total" ["scenario", "phase", "protocol", "reason"]
        "Attempts to open a connection that failed, by reason.";
    CONNECT_DURATION = Histogram "load_connect_duration_seconds" ["scenario", "phase", "protocol"]
        "Time until a connection was usable.";
    CONNECT_LAYER_DURATION = Histogram "load_connect_layer_duration_seconds" ["scenario", "phase", "protocol", "layer"]
        "A layer's share of the time until a connection was usable.";
    DISCONNECTS = Counter "load_disconnects_total" ["scenario", "phase", "protocol", "reason"]
        "Connections that ended unasked, by reason.";
    MESSAGES = Counter "load_messages_total" ["scenario", "phase", "step", "protocol", "direction"]
        "Messages sent and received within sessions.";
    MESSAGES_UNPARSED = Counter "load_messages_unparsed_total" ["scenario", "phase", "step", "protocol"]
        "Messages received that are no JSON, though an expression or extraction asked for it.";
    MESSAGES_MISSED = Counter "load_messages_missed_total" ["scenario", "phase", "step", "message"]
        "Numbered messages that never came to listeners that were connected.";
    MESSAGES_NUMBERED = Counter "load_messages_numbered_total" ["scenario", "phase", "step", "message"]
        "Numbered messages that came, each once.";
    MESSAGES_REPEATED = Counter "load_messages_repeated_total" ["scenario", "phase", "step", "message"]
        "Numbered messages that came more than once.";
    MESSAGES_REORDERED = Counter "load_messages_reordered_total" ["scenario", "phase", "step", "message"]
        "Numbered messages that came after a later one.";
    MESSAGE_LISTENING = Counter "load_message_listening_seconds_total" ["scenario", "phase", "step", "message"]
        "Time that listeners whose handler has `every` listened.";
    MESSAGE_SILENT = Counter "load_message_silent_seconds_total" ["scenario", "phase", "step", "message"]
        "Time of that in silences longer than three times `every`.";
    MESSAGE_CLOCK_SKEW = Counter "load_message_clock_skew_total" ["scenario", "phase", "step", "message"]
        "Messages that came before they were published, which two clocks that differ explain.";
    PHASE_ACTIVE = Gauge "load_phase_active" ["phase"]
        "Whether the phase is going on.";
    PHASE_START = Gauge "load_phase_start_timestamp_seconds" ["phase"]
        "When the phase began in the present or last run.";
    PHASE_END = Gauge "load_phase_end_timestamp_seconds" ["phase"]
        "When the phase's time was over in the present or last run.";
    PHASE_JUDGED = Gauge "load_phase_judged" ["phase"]
        "Whether SLOs judge the phase; a warm-up or a planned stress is 0, and raises no alert.";
    RUN_START = Gauge "load_run_start_timestamp_seconds" []
        "When the present or last run began.";
    RUN_NEXT = Gauge "load_run_next_timestamp_seconds" []
        "When the next run is due by the schedule; absent where none is planned.";
    RUN_COMPLETED = Gauge "load_run_completed_timestamp_seconds" []
        "When the last run ended that nothing cut short, from stored runs also before the daemon began.";
    RUN_PERIOD = Gauge "load_run_period_seconds" []
        "The longest time between the ends of two runs by the schedule and the phases' length; absent where no end is planned.";
    TARGET_BEFORE = Gauge "load_target_before" ["phase", "source", "metric"]
        "The value of one of the target's own series at the phase's start.";
    TARGET_AFTER = Gauge "load_target_after" ["phase", "source", "metric"]
        "The value of one of the target's own series at the phase's end.";
    TARGET_DELTA = Gauge "load_target_delta" ["phase", "source", "metric"]
        "What the phase added to one of the target's own series.";
    TARGET_PER_REQUEST = Gauge "load_target_per_request" ["phase", "source", "metric"]
        "What the phase added to one of the target's own series, for each request of the phase.";
    TARGET_SCRAPE_SUCCESS = Gauge "load_target_scrape_success" ["source"]
        "Whether the source of the target's series could be read last time.";
    SLO_VALUE = Gauge "load_slo_value" ["slo", "phase", "requirement"]
        "What was measured for a requirement of an SLO, in the present run, or in the last one until it is judged anew.";
    SLO_LEAST = Gauge "load_slo_least" ["slo", "phase", "requirement"]
        "The least that the value of a requirement can be, whatever comes of what isn't known. It stands as long as the value.";
    SLO_MOST = Gauge "load_slo_most" ["slo", "phase", "requirement"]
        "The most that the value of a requirement can be, whatever comes of what isn't known. It stands as long as the value.";
    SLO_OBJECTIVE = Gauge "load_slo_objective" ["slo", "phase", "requirement"]
        "What a requirement of an SLO asks for.";
    SLO_MET = Gauge "load_slo_met" ["slo", "phase", "requirement"]
        "Whether a requirement of an SLO was met, in the present run, or in the last one until it is judged anew; absent where that depends on what isn't known.";
    SLO_REQUIRED = Gauge "load_slo_required" ["slo", "phase", "requirement", "scenario"]
        "1 for what an SLO requires, 0 for its `target`, which fails no run; a series for each scenario that it judges, with an empty one where it judges none.";
    VERDICT = Gauge "load_verdict" ["verdict"]
        "What the last run came to: 1 for its verdict (`none` where nothing was required), 0 for the others, 0 for all while it runs.";
    RUN_LAST_VERDICT = Gauge "load_run_last_verdict" ["verdict"]
        "What the last run that ended came to, also while the next one goes on: 1 for its verdict, 0 for the others, 0 for all before the first has ended.";
    GENERATOR_SATURATED = Gauge "load_generator_saturated" []
        "Whether the generator is its own bottleneck, which makes its figures doubtful.";
    BUILD_INFO = Gauge "load_exporter_build_info" ["version", "os", "arch"]
        "Always 1; the labels name the build.";
    RELOAD_SUCCESSFUL = Gauge "load_exporter_profile_last_reload_successful" []
        "Whether the profile could be loaded last time.";
    RELOAD_TIME = Gauge "load_exporter_profile_last_reload_success_timestamp_seconds" []
        "When the profile was last loaded.";
    PROFILE_FAULTS = Counter "load_exporter_profile_faults_total" []
        "Faults of the program itself that ended the profile's runs; each time they are begun again.";
    PROCESS_CPU = Counter "process_cpu_seconds_total" []
        "Total user and system CPU time spent in seconds.";
    PROCESS_RESIDENT = Gauge "process_resident_memory_bytes" []
        "Resident memory size in bytes.";
    PROCESS_VIRTUAL = Gauge "process_virtual_memory_bytes" []
        "Virtual memory size in bytes.";
    PROCESS_OPEN_FDS = Gauge "process_open_fds" []
        "Number of open file descriptors.";
    PROCESS_MAX_FDS = Gauge "process_max_fds" []
        "Maximum number of open file descriptors.";
    PROCESS_THREADS = Gauge "process_threads" []
        "Number of threads.";
    PROCESS_START = Gauge "process_start_time_seconds" []
        "Start time of the process since unix epoch in seconds.";
}

/// The metric with this name.
pub fn find(name: &str) -> Option<&'static Metric> {
    ALL.iter().find(|metric| metric.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::names::{is_label_name, is_metric_name};

    #[test]
    fn names_follow_the_conventions() {
        for metric in ALL {
            assert!(is_metric_name(metric.name) && metric.labels.iter().all(|label| is_label_name(label)), "{}", metric.name);
            assert_eq!(metric.name.ends_with("_total"), metric.kind == FamilyKind::Counter, "{}", metric.name);
            assert!(metric.help.ends_with('.'), "{}", metric.name);
            if metric.kind == FamilyKind::Histogram {
                assert!(["seconds", "bytes_per_second"].contains(&unit(metric.name)), "{}", metric.name);
            }
            for reserved in ["profile", "le", "type", "service", "env", "stage", "region", "zone", "cluster", "job", "instance"] {
                assert!(!metric.labels.contains(&reserved), "{} has a label {reserved}", metric.name);
            }
        }
    }

    #[test]
    fn each_name_stands_once() {
        let mut names: Vec<_> = ALL.iter().map(|metric| metric.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), ALL.len());
        assert_eq!(find("load_users"), Some(&USERS));
        assert_eq!(find("load_user"), None);
    }

    #[test]
    fn units_come_from_names() {
        assert_eq!(unit("load_sent_bytes_total"), "bytes");
        assert_eq!(unit("load_upload_bytes_per_second"), "bytes_per_second");
        assert_eq!(unit("load_run_start_timestamp_seconds"), "seconds");
        assert_eq!((unit("load_users"), unit("seconds")), ("", ""));
    }
}
