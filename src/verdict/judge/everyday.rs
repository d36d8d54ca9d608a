//! Six everyday runs with the verdicts that a site reliability engineer would give, on made-up totals.

use std::sync::Arc;

use super::super::slo::tests::{slo, traffic};
use super::super::{Outside, Watches};
use super::*;
use crate::base::{Outcome, Protocol, Reason};
use crate::counters::{Answered, Query, ValueSeries};
use crate::measure::{
    ConnectTimes, MessageId, MessageLayout, Numbered, Presence, Sample, ScenarioId, ScenarioLayout, Set, StepId, StepLayout,
    Store,
};

const MS: u64 = 1_000_000;
const USERS: ScenarioId = ScenarioId(0);
const LOGIN: StepId = StepId(0);
const PAGE: StepId = StepId(1);
const FEED: StepId = StepId(2);

/// A run of one phase: users that log in, ask for pages, and listen to a feed.
struct Day {
    store: Arc<Store>,
    set: Arc<Set>,
    seconds: u64,
    outside: Outside,
}

impl Day {
    fn new(seconds: u64) -> Self {
        let step = |name: &str, protocol| StepLayout {
            thresholds: vec![0.1, 0.15, 0.35, 0.5, 2.0],
            ..StepLayout::new(USERS, name, protocol)
        };
        let feed = StepLayout { session: Some(vec![]), ..step("feed", Protocol::Websocket) };
        let store = Store::new(Arc::new(Layout {
            phases: vec!["steady".into()],
            scenarios: vec![ScenarioLayout::new("users")],
            steps: vec![step("login", Protocol::Http), step("page", Protocol::Http), feed],
            messages: vec![MessageLayout { thresholds: vec![1.0], ..MessageLayout::new(FEED, "update") }],
            ..Layout::default()
        }));
        let set = store.open(PhaseId(0));
        Self { store, set, seconds, outside: Outside::default() }
    }

    fn requests(&self, n: u64, step: StepId, ms: u64, outcome: Outcome, reason: Option<Reason>) {
        for _ in 0..n {
            let sample = Sample { response: ms * MS, service: ms * MS, outcome, reason, status: 0, sent: 0, received: 0 };
            self.set.sample(step, &sample);
            if step == PAGE {
                self.set.iteration(USERS, ms * MS, outcome);
            }
        }
    }

    /// Arrivals that were all started.
    fn arrived(&self, n: u64) {
        self.set.due(USERS, n);
        self.set.started(USERS, n);
    }

    /// What each requirement of an SLO over the step comes to.
    fn comes_to(&self, slos: &[Slo]) -> (Verdict, Vec<(String, Verdict)>) {
        let mut watches = Watches::of_phase(slos, self.store.layout(), PhaseId(0), Duration::from_secs(self.seconds));
        let totals = self.store.totals(PhaseId(0));
        watches.finish(Duration::from_secs(self.seconds), &totals, true);
        self.judged(slos, watches)
    }

    fn judged(&self, slos: &[Slo], watches: Watches) -> (Verdict, Vec<(String, Verdict)>) {
        let inputs = Inputs {
            layout: self.store.layout(),
            phase: Some((PhaseId(0), "steady")),
            judged: true,
            loaded: true,
            totals: &self.store.totals(PhaseId(0)),
            duration: Duration::from_secs(self.seconds),
            over: true,
            saturated: false,
            outside: &self.outside,
        };
        let judgement = judge(slos, &inputs, watches);
        let rows = judgement.slos.into_iter().map(|slo| (slo.requirement, slo.verdict)).collect();
        (judgement.verdict, rows)
    }
}

fn of(step: StepId, of: Of, require: &[&str]) -> Slo {
    let messages = if step == FEED { vec![MessageId(0)] } else { vec![] };
    let protocols = vec![if step == FEED { Protocol::Websocket } else { Protocol::Http }];
    let subject = Traffic { steps: vec![step], checks: vec![], messages, protocols, timeout: 5.0, ..traffic(of) };
    Slo { subject: Subject::Traffic(subject), ..slo(Of::Response, require) }
}

fn page(require: &[&str]) -> Slo {
    of(PAGE, Of::Response, require)
}

fn rows(of: &[(&str, Verdict)]) -> Vec<(String, Verdict)> {
    of.iter().map(|(requirement, verdict)| ((*requirement).to_owned(), *verdict)).collect()
}

#[test]
fn thirty_timeouts_and_three_interrupted_of_sixty_thousand() {
    let day = Day::new(600);
    day.requests(59_967, PAGE, 80, Outcome::Ok, None);
    day.requests(30, PAGE, 5_000, Outcome::Timeout, Some(Reason::Timeout));
    day.requests(3, PAGE, 1_200, Outcome::Interrupted, None);
    day.arrived(60_000);
    let require = ["p95 < 150ms", "p99 < 350ms", "errors < 0.1%", "success > 99.9%", "rate > 95/s", "dropped < 0.1%"];
    assert_eq!(day.comes_to(&[page(&require)]), (Verdict::Pass, rows(&require.map(|one| (one, Verdict::Pass)))));
    let breached = ["errors < 0.04%", "max < 2s"];
    assert_eq!(day.comes_to(&[page(&breached)]), (Verdict::Fail, rows(&breached.map(|one| (one, Verdict::Fail)))));
}

#[test]
fn two_thousand_users_with_a_login_of_a_second() {
    let day = Day::new(120);
    day.requests(2_000, LOGIN, 1_000, Outcome::Ok, None);
    // Each has its first page a second after it came, and one each second from then on.
    day.requests(2_000 * 119, PAGE, 40, Outcome::Ok, None);
    let require = ["p95 < 150ms", "errors == 0%", "success == 100%"];
    assert_eq!(day.comes_to(&[page(&require)]), (Verdict::Pass, rows(&require.map(|one| (one, Verdict::Pass)))));
    assert_eq!(day.comes_to(&[of(LOGIN, Of::Response, &["p95 < 2s"])]).0, Verdict::Pass);
}

#[test]
fn a_fan_out_with_three_reconnects() {
    let day = Day::new(100);
    for _ in 0..400 {
        day.set.connected(USERS, Protocol::Websocket, &ConnectTimes { total: 5 * MS, tcp: MS, ..ConnectTimes::default() });
        let heard = 1_000;
        day.set.numbered(MessageId(0), &Numbered { received: heard, ..Numbered::default() });
        (0..heard).for_each(|_| day.set.latency(MessageId(0), 30 * MS, false));
    }
    day.set.listeners(FEED, &Presence { present: 400 * 100_000 * MS, there: 400, ..Presence::default() });
    for _ in 0..3 {
        // Half a second away: five messages.
        day.set.disconnected(USERS, Protocol::Websocket, Reason::Reset);
        day.set.connected(USERS, Protocol::Websocket, &ConnectTimes { total: 5 * MS, tcp: MS, ..ConnectTimes::default() });
        day.set.numbered(MessageId(0), &Numbered { missed: 5, ..Numbered::default() });
    }
    let require = ["within(1s) >= 99%", "missed < 0.1%", "p95 < 100ms", "disconnects < 1%"];
    assert_eq!(
        day.comes_to(&[of(FEED, Of::MessageLatency, &require)]),
        (Verdict::Pass, rows(&require.map(|one| (one, Verdict::Pass))))
    );
    assert_eq!(day.comes_to(&[of(FEED, Of::MessageLatency, &["missed == 0%"])]).0, Verdict::Fail);
}

#[test]
fn counters_over_prometheus_at_15_s_in_phases_of_a_minute() {
    let mut day = Day::new(60);
    day.requests(6_000, PAGE, 40, Outcome::Ok, None);
    let series = |value, least, most| {
        let series = vec![ValueSeries { least, most, ..ValueSeries::exact(vec![], value) }];
        Ok(Answered { series, ..Answered::default() })
    };
    // A quarter of a minute at either end isn't known; what doesn't turn on it is.
    for (query, answer) in [
        ("hit_ratio", series(0.95, 0.93, 0.97)),
        ("rejected", series(0.0, 0.0, 0.0)),
        ("evicted", series(90.0, 60.0, 120.0)),
        ("deadlocks", series(40.0, 30.0, 50.0)),
    ] {
        day.outside.promql.insert(query.into(), answer);
    }
    let on = |query: &str, require: &str| Slo {
        subject: Subject::Promql(Query::parse(query).unwrap()),
        ..slo(Of::Response, &[require])
    };
    let slos = [on("hit_ratio", "value > 80%"), on("rejected", "value < 10"), page(&["p95 < 150ms"])];
    assert_eq!(day.comes_to(&slos).0, Verdict::Pass);
    assert_eq!(day.comes_to(&[on("evicted", "value < 100")]).0, Verdict::Inconclusive);
    assert_eq!(day.comes_to(&[on("deadlocks", "value < 10"), on("evicted", "value < 100")]).0, Verdict::Fail);
}

#[test]
fn a_day_with_the_target_away_for_half_a_minute() {
    const HOUR: u64 = 3600;
    let day = Day::new(24 * HOUR);
    let windowed = Slo { window: Some(Duration::from_secs(300)), ..page(&["errors < 1%"]) };
    let slos = [page(&["errors < 0.1%", "p95 < 150ms", "rate > 9/s"]), windowed];
    let mut watches = Watches::of_phase(&slos, day.store.layout(), PhaseId(0), Duration::from_secs(24 * HOUR));
    for step in 0..24 * HOUR / 30 {
        // Ten a second; at noon half a minute of them is refused.
        match step * 30 {
            at if at == 12 * HOUR => day.requests(300, PAGE, 1, Outcome::Error, Some(Reason::Refused)),
            _ => day.requests(300, PAGE, 60, Outcome::Ok, None),
        }
        day.arrived(300);
        let now = Duration::from_secs((step + 1) * 30);
        assert_eq!(watches.tick(now, &day.store.totals(PhaseId(0)), &|| false), None);
    }
    let (verdict, rows_of) = day.judged(&slos, watches);
    let found: Vec<Verdict> = rows_of.iter().map(|row| row.1).collect();
    assert_eq!(verdict, Verdict::Fail, "{rows_of:?}");
    // The day as a whole is well within its budget; the five minutes around noon are not.
    assert_eq!(found, [Verdict::Pass, Verdict::Pass, Verdict::Pass, Verdict::Fail], "{rows_of:?}");
}

#[test]
fn half_a_minute_of_continuous_integration_with_two_pauses() {
    let day = Day::new(30);
    day.requests(2_960, PAGE, 40, Outcome::Ok, None);
    day.arrived(3_000);
    // Two pauses of 200 ms, each of which held up twenty requests.
    for held in 0..40 {
        let delay = 10 * (held % 20 + 1);
        day.requests(1, PAGE, 40 + delay, Outcome::Ok, None);
        let response = (40 + delay) * MS;
        let sample = Sample { response, service: response, outcome: Outcome::Ok, reason: None, status: 0, sent: 0, received: 0 };
        day.set.delayed_sample(PAGE, &sample, delay * MS, delay * MS);
    }
    let require = ["p95 < 150ms", "errors == 0%", "rate > 95/s", "p99 < 350ms", "mean < 100ms", "max < 500ms"];
    assert_eq!(day.comes_to(&[page(&require)]), (Verdict::Pass, rows(&require.map(|one| (one, Verdict::Pass)))));
    // 20 of 3,000 may have been longer than 150 ms, or not at all.
    let unsure = ["p99.9 < 150ms", "max < 150ms"];
    assert_eq!(day.comes_to(&[page(&unsure)]), (Verdict::Inconclusive, rows(&unsure.map(|one| (one, Verdict::Inconclusive)))));
}
