//! The exposition as its readers see it.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::process::{Command, Stdio};

use protobuf::{CodedInputStream, Message, UnknownValueRef};

use super::family::metric_type;
use super::*;
use crate::base::trace::TraceId;
use crate::base::{DropReason, Outcome, Protocol, Reason, Verdict};
use crate::counters::{CounterRow, SourceReport};
use crate::measure::catalogue::FamilyKind;
use crate::measure::exemplars::Exemplar;
use crate::measure::{
    CheckId, CheckLayout, ConnectTimes, GroupId, GroupLayout, Layout, MessageId, MessageLayout, Numbered, OwnId, OwnKind,
    OwnMetric, Passed, PhaseId, RequirementLayout, Sample, ScenarioId, ScenarioLayout, Set, StepId, StepLayout, Store, Transfer,
};
use crate::verdict::{Requirement, SloResult};

const SCENARIO: ScenarioId = ScenarioId(0);
const STEP: StepId = StepId(0);

fn own(name: &str, kind: OwnKind) -> OwnMetric {
    OwnMetric { name: name.into(), help: format!("The profile's {name}"), kind, scenarios: vec![SCENARIO] }
}

fn layout(profile: &str) -> Layout {
    let histogram = |unit: &str, bounds| OwnKind::Histogram { unit: unit.into(), bounds };
    let matchers = vec![("scenario".into(), "voters".into())];
    Layout {
        judged: vec![PhaseId(0)],
        trace: true,
        profile: profile.into(),
        phases: vec!["warm-up".into(), "steady".into()],
        scenarios: vec![ScenarioLayout { iteration_thresholds: vec![1.5], ..ScenarioLayout::new("voters") }],
        steps: vec![
            StepLayout {
                thresholds: vec![0.15],
                group: Some("votes".into()),
                uploads: true,
                downloads: true,
                ..StepLayout::new(SCENARIO, "vote", Protocol::Http)
            },
            StepLayout {
                session: Some(vec![90.0]),
                group: Some("votes".into()),
                ..StepLayout::new(SCENARIO, "GET /a\\b \"c\"\nd", Protocol::Websocket)
            },
        ],
        messages: vec![MessageLayout { thresholds: vec![0.2], every: true, ..MessageLayout::new(StepId(1), "update") }],
        groups: vec![GroupLayout { scenario: SCENARIO, name: "votes".into(), thresholds: vec![] }],
        checks: vec![CheckLayout { scenario: SCENARIO, step: Some(STEP), name: "counted".into(), ..CheckLayout::default() }],
        own: vec![
            own("votes_submitted_total", OwnKind::Counter),
            own("votes_seen", OwnKind::Counter),
            own("queue_depth", OwnKind::Gauge),
            own("relevance_ratio", histogram("ratio", Some(vec![0.5, 0.8, 1.0]))),
            own("drift", histogram("", Some(vec![-1.0, 0.0, 1.0]))),
            own("clients", OwnKind::GaugeFrom { metric: "load_connections".into(), matchers }),
        ],
        active: vec![(PhaseId(0), SCENARIO), (PhaseId(1), SCENARIO)],
        requirements: vec![requirement("p95 < 150ms", true, vec![SCENARIO]), requirement("hits > 1%", false, vec![])],
        target_rows: 1,
        series_limit: 0,
    }
}

fn requirement(requirement: &str, required: bool, scenarios: Vec<ScenarioId>) -> RequirementLayout {
    RequirementLayout { slo: "api".into(), phase: "steady".into(), requirement: requirement.into(), required, scenarios }
}

fn fill(set: &Set) {
    for i in 0..1000u64 {
        let outcome = Outcome::ALL[(i % 10).saturating_sub(6) as usize];
        let reason = (outcome != Outcome::Ok).then_some(Reason::ALL[(i % 12) as usize]);
        let sample = Sample {
            response: 1_000 << (i % 24),
            service: 900 << (i % 24),
            outcome,
            reason,
            status: 200,
            sent: 10,
            received: 20,
        };
        set.due(SCENARIO, 1);
        set.started(SCENARIO, 1);
        set.sample(STEP, &sample);
        set.iteration(SCENARIO, sample.response, outcome);
        set.start_lag(SCENARIO, i);
        set.check(CheckId(0), i % 7 > 0);
        set.count(OwnId(0), SCENARIO, 1.0);
        set.observe(OwnId(3), SCENARIO, (i % 11) as f64 / 10.0);
        set.observe(OwnId(4), SCENARIO, i as f64 / 100.0 - 5.0);
    }
    set.due(SCENARIO, 5);
    set.dropped(SCENARIO, DropReason::Busy, 2);
    set.cancelled(SCENARIO, 1);
    set.group(GroupId(0), 30_000_000, Outcome::Ok);
    let times = ConnectTimes { total: 3_000_000, dns: Some(500_000), tcp: 1_000_000, tls: Some(1_500_000), handshake: None };
    set.connected(SCENARIO, Protocol::Http, &times);
    set.unconnected(SCENARIO, Protocol::Http, Some(Reason::Refused), 0);
    set.disconnected(SCENARIO, Protocol::Websocket, Reason::Closed);
    set.observe(OwnId(2), SCENARIO, 12.0);
    set.session(StepId(1), 60_000_000_000, Outcome::Ok);
    set.transfer(STEP, &Transfer { upload: Some(2e6), download: Some(3e7), processing: Some(5_000_000) });
    set.passed(StepId(1), &Passed { sent: 2, received: 100, unparsed: 4, sent_bytes: 20, received_bytes: 9000 });
    set.latency(MessageId(0), 150_000_000, false);
    set.latency(MessageId(0), 0, true);
    set.numbered(MessageId(0), &Numbered { received: 99, missed: 1, repeated: 2, reordered: 3 });
    set.listened(MessageId(0), 60_000_000_000, false);
    set.listened(MessageId(0), 1_500_000_000, true);
}

/// A requirement that was met.
pub(super) fn slo_result() -> SloResult {
    let requirement = Requirement::parse("p95 < 150ms").unwrap();
    SloResult { value: Some(0.1), met: Some(true), ..SloResult::unknown("api", "steady".into(), &requirement) }
}

/// A counter of the target that rose by 7.
pub(super) fn counter_row() -> CounterRow {
    CounterRow {
        source: "redis".into(),
        metric: "redis_commands_total".into(),
        labels: [("cmd".to_owned(), "get".to_owned())].into(),
        kind: crate::counters::MetricKind::Counter,
        before: Some(5.0),
        after: Some(12.0),
        delta: Some(7.0),
        per_request: Some(0.007),
        ..CounterRow::default()
    }
}

/// A store with something in everything.
fn filled(profile: &str) -> Arc<Shown> {
    let store = Shown::new(Store::new(Arc::new(layout(profile))));
    store.gauges.begin_run(1000.5);
    store.gauges.begin_phase(PhaseId(0), 1001.0);
    store.gauges.end_phase(PhaseId(0), 1002.0);
    let exemplar = Exemplar { trace: TraceId::of(42), value: 0.1, at: 1234.5 };
    store.exemplars.offer(PhaseId(0), StepId(0), Outcome::Ok, exemplar);
    store.gauges.set_run_next(Some(1060.0));
    store.gauges.set_run_completed(940.0);
    store.gauges.set_run_period(Some(std::time::Duration::from_secs(60)));
    store.gauges.set_reload(true, 999.0);
    store.set_sources(&[SourceReport { name: "redis".into(), error: None, warnings: vec![], interval: None }]);
    store.gauges.set_verdict(Verdict::Inconclusive);
    store.set_slos(&[slo_result()]);
    store.set_targets(PhaseId(1), &[counter_row()]);
    let set = store.open(PhaseId(1));
    fill(&set);
    store.retire(set);
    store
}

fn body(stores: &[Arc<Shown>], format: Format) -> Vec<u8> {
    let mut out = Vec::new();
    render(stores, format, &mut out).unwrap();
    out
}

fn text(stores: &[Arc<Shown>]) -> String {
    String::from_utf8(body(stores, Format::Text)).unwrap()
}

/// Series and values of a text: name with its labels as written.
fn values(text: &str) -> BTreeMap<&str, f64> {
    let samples = text.lines().filter(|line| !line.starts_with('#'));
    let mut values = BTreeMap::new();
    for line in samples {
        let (series, value) = line.rsplit_once(' ').unwrap();
        assert!(values.insert(series, value.parse().unwrap()).is_none(), "{series} stands twice");
    }
    values
}

fn families(stores: &[Arc<Shown>]) -> Vec<MetricFamily> {
    let bytes = body(stores, Format::Protobuf);
    let mut input = CodedInputStream::from_bytes(&bytes);
    let mut families = Vec::new();
    while !input.eof().unwrap() {
        families.push(input.read_message::<MetricFamily>().unwrap());
    }
    families
}

#[test]
fn every_metric_of_the_catalogue_appears_with_its_labels() {
    let families = families(&[filled("votes")]);
    for metric in catalogue::ALL {
        let family = families.iter().find(|family| family.name() == metric.name);
        let family = family.unwrap_or_else(|| panic!("{} is not there", metric.name));
        assert_eq!(family.get_field_type(), metric_type(metric.kind), "{}", metric.name);
        let profile = (metric.name.starts_with("load_") && metric.name != "load_exporter_build_info").then_some("profile");
        let allowed: BTreeSet<&str> = metric.labels.iter().copied().chain(profile).collect();
        let mut seen = BTreeSet::new();
        for series in family.get_metric() {
            let names: BTreeSet<&str> = series.get_label().iter().map(|label| label.name()).collect();
            let names: BTreeSet<&str> = names.into_iter().filter(|name| !name.starts_with("target_")).collect();
            // What stands in no group, and an SLO that judges no traffic, lack the label.
            let may_lack = |name: &str| name == "group" || (name == "scenario" && metric.name == "load_slo_required");
            let missing: Vec<_> = allowed.difference(&names).filter(|name| !may_lack(name)).collect();
            assert!(names.is_subset(&allowed) && missing.is_empty(), "{} has {names:?} for {allowed:?}", metric.name);
            seen.extend(names);
        }
        assert_eq!(seen, allowed, "{}", metric.name);
    }
}

#[test]
fn promtool_finds_nothing() {
    let exposed = text(&[filled("votes"), filled("chat")]);
    let mut promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool is needed: Debian's package prometheus has it");
    promtool.stdin.take().unwrap().write_all(exposed.as_bytes()).unwrap();
    let output = promtool.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    // Names of a profile's own metrics are its author's: this one breaks a rule, which shows that there was a look.
    let (own, ours): (Vec<&str>, Vec<&str>) = said.lines().partition(|line| line.contains("votes_seen"));
    assert!(ours.is_empty() && own.len() == 1, "{own:?} {ours:?}");
}

#[test]
fn values_can_be_read_back() {
    let exposed = text(&[filled("votes")]);
    let values = values(&exposed);
    let at = |series: &str| *values.get(series).unwrap_or_else(|| panic!("{series} is not in\n{exposed}"));
    let step = r#"profile="votes",scenario="voters",phase="steady",step="vote",group="votes",protocol="http""#;
    assert_eq!(at(&format!("load_requests_total{{{step}}}")), 1000.0);
    let by_outcome: f64 = Outcome::ALL
        .iter()
        .map(|outcome| at(&format!("load_response_duration_seconds_count{{{step},outcome=\"{outcome}\"}}")))
        .sum();
    assert_eq!(by_outcome, 1000.0);
    let within = |le: &str| at(&format!("load_response_duration_seconds_bucket{{{step},outcome=\"ok\",le=\"{le}\"}}"));
    let ok = |limit: u64| (0..1000).filter(|i| i % 10 <= 6 && 1_000u64 << (i % 24) <= limit).count() as f64;
    assert_eq!((within("0.15"), within("0.125"), within("+Inf")), (ok(150_000_000), ok(125_000_000), ok(u64::MAX)));
    let scenario = r#"profile="votes",scenario="voters",phase="steady""#;
    assert_eq!(at(&format!("load_arrivals_due_total{{{scenario}}}")), 1005.0);
    assert_eq!(at(&format!("load_arrivals_waiting{{{scenario}}}")), 2.0);
    assert_eq!(at(&format!("load_connects_total{{{scenario},protocol=\"http\"}}")), 2.0);
    assert_eq!(at(&format!("load_connect_failures_total{{{scenario},protocol=\"http\",reason=\"refused\"}}")), 1.0);
    assert_eq!(at(&format!("votes_submitted_total{{{scenario}}}")), 1000.0);
    assert_eq!(at(&format!("drift_bucket{{{scenario},le=\"0\"}}")), 501.0);
    assert_eq!(at(r#"queue_depth{profile="votes",scenario="voters"}"#), 12.0);
    assert_eq!(at(r#"load_verdict{profile="votes",verdict="inconclusive"}"#), 1.0);
    let last =
        ["pass", "inconclusive"].map(|verdict| at(&format!("load_run_last_verdict{{profile=\"votes\",verdict=\"{verdict}\"}}")));
    assert_eq!(last, [0.0, 1.0]);
    let session = r#"profile="votes",scenario="voters",phase="steady",step="GET /a\\b \"c\"\nd""#;
    assert_eq!(at(&format!("load_messages_total{{{session},protocol=\"websocket\",direction=\"received\"}}")), 100.0);
    assert_eq!(at(&format!("load_messages_unparsed_total{{{session},protocol=\"websocket\"}}")), 4.0);
    let ok = format!("load_session_duration_seconds_bucket{{{session},group=\"votes\",outcome=\"ok\",le=\"90\"}}");
    assert_eq!(at(&ok), 1.0);
    assert_eq!(at(&format!("load_received_bytes_total{{{session},group=\"votes\",protocol=\"websocket\"}}")), 9000.0);
    let body = r#"profile="votes",scenario="voters",phase="steady",step="vote",group="votes""#;
    assert_eq!(at(&format!("load_upload_bytes_per_second_sum{{{body}}}")), 2e6);
    assert_eq!(at(&format!("load_download_bytes_per_second_count{{{body}}}")), 1.0);
    assert_eq!(at(&format!("load_processing_duration_seconds_sum{{{body}}}")), 0.005);
    let message = format!("{session},message=\"update\"");
    assert_eq!(at(&format!("load_message_latency_seconds_bucket{{{message},le=\"0.2\"}}")), 2.0);
    let counts = ["messages_numbered", "messages_missed", "messages_repeated", "messages_reordered", "message_clock_skew"];
    assert_eq!(counts.map(|name| at(&format!("load_{name}_total{{{message}}}"))), [99.0, 1.0, 2.0, 3.0, 1.0]);
    let target = r#"phase="steady",source="redis",metric="redis_commands_total",target_cmd="get""#;
    assert_eq!(at(&format!("load_target_delta{{profile=\"votes\",{target}}}")), 7.0);
    let required = |requirement: &str| {
        at(&format!(r#"load_slo_required{{profile="votes",slo="api",phase="steady",requirement={requirement}}}"#))
    };
    assert_eq!((required(r#""p95 < 150ms",scenario="voters""#), required(r#""hits > 1%""#)), (1.0, 0.0));
    // Labels are escaped.
    assert_eq!(
        at(&format!(r#"load_requests_total{{{scenario},step="GET /a\\b \"c\"\nd",group="votes",protocol="websocket"}}"#)),
        0.0
    );
}

#[test]
fn known_label_sets_stand_at_zero_before_the_first_run() {
    let store = Store::new(Arc::new(layout("votes")));
    let exposed = text(&[Shown::new(store)]);
    let values = values(&exposed);
    let step = r#"profile="votes",scenario="voters",phase="warm-up",step="vote",group="votes",protocol="http""#;
    for series in [
        format!("load_response_duration_seconds_bucket{{{step},outcome=\"timeout\",le=\"0.15\"}}"),
        format!("load_request_errors_total{{{step},reason=\"tls\"}}"),
        r#"load_arrivals_dropped_total{profile="votes",scenario="voters",phase="steady",reason="dead_target"}"#.to_owned(),
        r#"votes_submitted_total{profile="votes",scenario="voters",phase="steady"}"#.to_owned(),
        r#"clients{profile="votes"}"#.to_owned(),
        r#"load_verdict{profile="votes",verdict="pass"}"#.to_owned(),
    ] {
        assert_eq!(values.get(series.as_str()), Some(&0.0), "{series}");
    }
    assert!(!exposed.contains("queue_depth"), "a gauge that nobody has set has no value");
}

#[test]
fn there_are_no_more_series_than_the_layout_says() {
    let store = filled("votes");
    let set = store.open(PhaseId(0));
    fill(&set);
    let sample = Sample { response: 1, service: 1, outcome: Outcome::Ok, reason: None, status: 0, sent: 0, received: 0 };
    (0..700).for_each(|status| set.sample(STEP, &Sample { status, ..sample }));
    let exposed = text(std::slice::from_ref(&store));
    let count = exposed.lines().filter(|line| !line.starts_with('#') && line.contains("profile=")).count() as u64;
    let bound = store.layout().series();
    assert!(count <= bound && bound <= count + 100, "{count} series, at most {bound} were said");
    let codes = exposed.lines().filter(|line| line.contains("phase=\"warm-up\"") && line.contains("code=")).count();
    assert_eq!(codes, 21, "20 codes and the others");
}

#[test]
fn connections_feed_a_gauge_made_from_them() {
    let store = filled("votes");
    let worker = store.gauges.worker();
    worker.add_connections(SCENARIO, Protocol::Http, 3);
    worker.add_connections(SCENARIO, Protocol::Websocket, 4);
    assert!(text(&[store]).contains("clients{profile=\"votes\"} 7\n"));
}

#[test]
fn families_of_several_profiles_stand_together() {
    let exposed = text(&[filled("votes"), filled("chat")]);
    let headers: Vec<&str> = exposed.lines().filter(|line| line.starts_with("# TYPE ")).collect();
    assert_eq!(headers.iter().collect::<BTreeSet<_>>().len(), headers.len());
    for profile in ["votes", "chat"] {
        assert!(exposed.contains(&format!("votes_submitted_total{{profile=\"{profile}\",")), "{profile}");
    }
    let mut of_other_kind = layout("chat");
    of_other_kind.own[0].kind = OwnKind::Gauge;
    let layouts = [Arc::new(layout("votes")), Arc::new(of_other_kind)];
    assert!(conflict(&layouts).unwrap().contains("`votes_submitted_total` has another type in the profile `chat`"));
    assert!(conflict([&layouts[0], &layouts[0]]).unwrap().contains("two profiles are named `votes`"));
    assert_eq!(conflict(&[layouts[0].clone(), Arc::new(layout("chat"))]), None);
    // A histogram has series of four names, and OpenMetrics calls a counter by its family.
    let named = |kind: OwnKind, name: &str| {
        let mut layout = layout("chat");
        (layout.own[0].kind, layout.own[0].name) = (kind, name.into());
        Arc::new(layout)
    };
    let histogram = || OwnKind::Histogram { unit: String::new(), bounds: None };
    for (one, other) in [
        (named(histogram(), "wait"), named(OwnKind::Gauge, "wait_count")),
        (named(OwnKind::Counter, "hits_total"), named(OwnKind::Gauge, "hits")),
    ] {
        let mut other = Layout::clone(&other);
        other.profile = "other".into();
        assert!(conflict(&[one, Arc::new(other)]).unwrap().contains("would have series of one name"));
    }
}

/// A native histogram as its reader puts it together: schema, zero count, positive and negative buckets.
type Native = (i32, u64, Vec<(i32, i64)>, Vec<(i32, i64)>);

fn native_of(histogram: &prometheus::proto::Histogram) -> Native {
    let fields: Vec<_> = histogram.special_fields.unknown_fields().iter().collect();
    let zigzag = |n: u64| (n >> 1) as i64 ^ -((n & 1) as i64);
    let varint = |number: u32| {
        fields.iter().find_map(|field| match field {
            (n, UnknownValueRef::Varint(value)) if *n == number => Some(*value),
            _ => None,
        })
    };
    let packed = |number: u32| {
        let mut found = Vec::new();
        for field in &fields {
            if let (n, UnknownValueRef::LengthDelimited(bytes)) = field
                && *n == number
            {
                found.push(*bytes);
            }
        }
        found
    };
    let buckets = |number: u32| {
        let mut indexes = Vec::new();
        let mut next = 0i64;
        for span in packed(number) {
            let mut input = CodedInputStream::from_bytes(span);
            assert_eq!(input.read_raw_varint64().unwrap(), 8);
            next += zigzag(input.read_raw_varint64().unwrap());
            assert_eq!(input.read_raw_varint64().unwrap(), 16);
            for _ in 0..input.read_raw_varint64().unwrap() {
                indexes.push(next as i32);
                next += 1;
            }
            assert!(input.eof().unwrap());
        }
        let mut counts = Vec::new();
        let mut n = 0;
        for deltas in packed(number + 1) {
            let mut input = CodedInputStream::from_bytes(deltas);
            while !input.eof().unwrap() {
                n += zigzag(input.read_raw_varint64().unwrap());
                counts.push(n);
            }
        }
        assert_eq!(indexes.len(), counts.len());
        indexes.into_iter().zip(counts).filter(|(_, n)| *n > 0).collect::<Vec<_>>()
    };
    (zigzag(varint(5).unwrap()) as i32, varint(7).unwrap(), buckets(12), buckets(9))
}

#[test]
fn native_histograms_hold_what_was_recorded() {
    let store = filled("votes");
    let families = families(std::slice::from_ref(&store));
    let mut schemas = BTreeSet::new();
    for family in families.iter().filter(|family| family.get_field_type() == metric_type(FamilyKind::Histogram)) {
        for series in family.get_metric() {
            let histogram = series.get_histogram();
            let (schema, zero, positive, negative) = native_of(histogram);
            let sum: i64 = positive.iter().chain(&negative).map(|(_, n)| n).sum();
            assert_eq!(sum as u64 + zero, histogram.get_sample_count(), "{}", family.name());
            assert!(histogram.get_bucket().is_sorted_by_key(|bucket| bucket.cumulative_count()), "{}", family.name());
            assert!(histogram.get_bucket().iter().all(|bucket| bucket.cumulative_count() <= histogram.get_sample_count()));
            schemas.insert(schema);
        }
    }
    let drift = families.iter().find(|family| family.name() == "drift").unwrap();
    let filled = drift.get_metric().iter().find(|series| series.get_histogram().get_sample_count() > 0).unwrap();
    let (schema, zero, positive, negative) = native_of(filled.get_histogram());
    let totals = store.totals(PhaseId(1));
    let sparse = &totals.own(OwnId(4), SCENARIO).histogram;
    let shown = |buckets: Vec<(i32, i64)>| buckets.into_iter().map(|(i, n)| (i, n as u64)).collect::<Vec<_>>();
    assert_eq!((shown(positive), shown(negative)), sparse.at_schema(schema));
    assert_eq!(zero, 1);
    assert!(schema < 6 && schemas.contains(&6), "a wide histogram is shown more coarsely: {schema} of {schemas:?}");
}

#[test]
fn protobuf_means_the_same_as_text_to_who_ignores_native_buckets() {
    let stores = [filled("votes")];
    let families: Vec<MetricFamily> = families(&stores).into_iter().filter(|f| !f.name().starts_with("process_")).collect();
    for family in &families {
        let bytes = family.write_to_bytes().unwrap();
        assert_eq!(MetricFamily::parse_from_bytes(&bytes).unwrap(), *family);
    }
    let again = TextEncoder::new().encode_to_string(&families).unwrap();
    let exposed = text(&stores);
    let mut missing = again.lines().collect::<BTreeSet<_>>();
    exposed.lines().for_each(|line| {
        missing.remove(line);
    });
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn openmetrics() {
    let exposed = String::from_utf8(body(&[filled("votes")], Format::OpenMetrics)).unwrap();
    for line in [
        "# TYPE load_requests counter",
        "# TYPE load_sent_bytes counter",
        "# UNIT load_sent_bytes bytes",
        "# TYPE load_response_duration_seconds histogram",
        "# UNIT load_response_duration_seconds seconds",
        "# TYPE load_exporter_build info",
        "# TYPE votes_seen unknown",
        r#"votes_submitted_total{profile="votes",scenario="voters",phase="steady"} 1000.0"#,
        r#"relevance_ratio_bucket{profile="votes",scenario="voters",phase="steady",le="1.0"} 1000"#,
        r#"load_run_start_timestamp_seconds{profile="votes"} 1000.5"#,
    ] {
        assert!(exposed.lines().any(|found| found == line), "{line} is not in\n{exposed}");
    }
    let traced = exposed.lines().find(|line| line.contains("load_response_duration_seconds_bucket") && line.contains(" # "));
    let traced = traced.expect("an exemplar");
    assert!(
        traced.contains(r#"le="0.125""#) && traced.ends_with(" # {trace_id=\"0000000000000000000000000000002a\"} 0.1 1234.500"),
        "{traced}"
    );
    assert!(exposed.ends_with("\n# EOF\n") && !exposed.contains("\n\n") && !exposed.contains("drift_sum"));
}

#[test]
fn an_answer_is_what_was_asked_for() {
    let stores = [filled("votes")];
    let plain = answer(&stores, Format::negotiate(None), false).unwrap();
    assert_eq!((plain.content_type, plain.gzip), ("text/plain; version=0.0.4; charset=utf-8", false));
    let openmetrics = Format::negotiate(Some("application/openmetrics-text"));
    let packed = answer(&stores, openmetrics, accepts_gzip("gzip, deflate")).unwrap();
    assert_eq!((packed.content_type, packed.gzip), ("application/openmetrics-text; version=1.0.0; charset=utf-8", true));
    let mut unpacked = String::new();
    flate2::read::GzDecoder::new(&packed.body[..]).read_to_string(&mut unpacked).unwrap();
    assert!(unpacked.ends_with("# EOF\n") && packed.body.len() * 5 < unpacked.len());
    assert!(String::from_utf8(answer(&[], Format::Text, false).unwrap().body).unwrap().contains("load_exporter_build_info"));
}
