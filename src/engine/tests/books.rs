//! The books of runs of random profiles against a target that fails in every way: whatever happens, everything is counted once.

use proptest::prelude::*;
use tokio::net::TcpListener;

use super::*;
use crate::measure::OwnId;

/// One step of a flow, and what comes of it.
#[derive(Debug, Clone, Copy)]
enum Does {
    Answers,
    Slow,
    Fails,
    TimesOut,
    Hangs,
    Refused,
    Breaks,
    Thinks,
}

impl Does {
    fn written(self, n: usize, away: &str, on_error: &str) -> String {
        let http = |rest: &str| format!("{{http: {{name: s{n}, {rest}}}, on_error: {on_error}}}");
        match self {
            Self::Answers => http("get: /answer"),
            Self::Slow => http("get: /wait/15"),
            Self::Fails => http("get: /refuse"),
            Self::TimesOut => http("get: /hold, timeout: 20ms"),
            Self::Hangs => http("get: /hold"),
            Self::Refused => http(&format!("get: 'http://{away}/'")),
            Self::Breaks => format!("{{set: {{x: response.json.nope + 1}}, on_error: {on_error}}}"),
            Self::Thinks => "{think: 10ms}".to_owned(),
        }
    }
}

fn step() -> impl Strategy<Value = (Does, &'static str)> {
    let does = prop_oneof![
        4 => Just(Does::Answers),
        2 => Just(Does::Slow),
        1 => Just(Does::Fails),
        1 => Just(Does::TimesOut),
        1 => Just(Does::Hangs),
        1 => Just(Does::Refused),
        1 => Just(Does::Breaks),
        2 => Just(Does::Thinks),
    ];
    (does, prop_oneof![3 => Just("end_iteration"), 2 => Just("continue"), 1 => Just("end_user")])
}

/// A load, of which nothing is left out that a load may have.
fn load() -> impl Strategy<Value = String> {
    let closed =
        (0u32..5, 0u32..5, prop_oneof![Just(""), Just(", pacing: 20ms"), Just(", iterations: 3"), Just(", total_iterations: 7")])
            .prop_map(
                |(from, to, rest)| if from == to { format!("users: {to}{rest}") } else { format!("users: {from} -> {to}{rest}") },
            );
    let rate = (
        0u32..150,
        0u32..150,
        1u32..8,
        any::<bool>(),
        prop_oneof![Just(""), Just(", on_busy: {wait: 30ms}"), Just(", users: 1")],
    )
        .prop_map(|(from, to, most, poisson, rest)| {
            let poisson = if poisson { ", arrivals: poisson" } else { "" };
            format!("rate: {from}/s -> {to}/s, max_users: {most}{poisson}{rest}")
        });
    let burst = (1u32..15, 1u32..8).prop_map(|(count, most)| format!("at_once: {count}, max_users: {most}"));
    prop_oneof![closed, rate, burst]
}

#[derive(Debug, Clone)]
struct Case {
    flow: Vec<(Does, &'static str)>,
    start: Option<Does>,
    stop: bool,
    phases: Vec<(u64, u64, Option<String>, bool)>,
    settle: bool,
    repeat: u64,
    workers: usize,
    /// When it is asked to end, if it is.
    end: Option<(When, Control)>,
}

/// When a run is asked to end.
#[derive(Debug, Clone, Copy)]
enum When {
    /// So many milliseconds after its beginning.
    At(u64),
    /// So many after the end of the first phase's drain, where with `settle` the load is about to be paused.
    Drained(u64),
}

fn case() -> impl Strategy<Value = Case> {
    let start =
        prop_oneof![2 => Just(None), 1 => Just(Some(Does::Answers)), 1 => Just(Some(Does::Slow)), 1 => Just(Some(Does::Fails))];
    let phase = (30u64..200, prop_oneof![Just(0u64), Just(20), Just(80)], proptest::option::weighted(0.8, load()), any::<bool>());
    let when = prop_oneof![(10u64..500).prop_map(When::At), (0u64..8).prop_map(When::Drained)];
    let end = proptest::option::weighted(0.4, (when, prop_oneof![Just(Control::Stop), Just(Control::Interrupt)]));
    let flow = proptest::collection::vec(step(), 1..5);
    let phases = proptest::collection::vec(phase, 1..4);
    (flow, start, any::<bool>(), phases, any::<bool>(), 1u64..3, 1usize..4, end).prop_map(
        |(flow, start, stop, phases, settle, repeat, workers, end)| Case {
            flow,
            start,
            stop,
            phases,
            settle,
            repeat,
            workers,
            end,
        },
    )
}

impl Case {
    fn written(&self, away: &str) -> String {
        let steps: Vec<String> =
            self.flow.iter().enumerate().map(|(n, (does, on_error))| does.written(n, away, on_error)).collect();
        let start = self.start.map(|does| format!("start: {}, start_within: 100ms, ", does.written(98, away, "end_iteration")));
        let stop = if self.stop { ", stop: {http: {name: s99, get: /stop}}" } else { "" };
        let phases = self.phases.iter().enumerate().map(|(n, (ms, drain, load, beside))| {
            let s = load.as_ref().map(|load| format!("s: {{{load}}}, ")).unwrap_or_default();
            let beside = if *beside { "beside: {users: 2}" } else { "" };
            format!("{{name: p{n}, duration: {ms}ms, drain: {drain}ms, load: {{{s}{beside}}}}}")
        });
        format!(
            "metrics: {{begun_total: {{type: counter, help: Iterations}}}}\n\
             scenarios:\n  s: {{{}flow: [{{count: {{begun_total: 1}}}}, {}]{stop}}}\n  \
             beside: {{flow: [{{http: {{get: /beside, name: beside}}}}, {{think: 7ms}}]}}\n\
             phases: [{}]\nrepeat: {}\nobserve: {{settle: {}}}",
            start.unwrap_or_default(),
            steps.join(", "),
            phases.collect::<Vec<_>>().join(", "),
            self.repeat,
            self.settle
        )
    }

    async fn carry_out(&self) {
        let away = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = away.local_addr().unwrap().to_string();
        drop(away);
        let server = Server::start();
        let text = self.written(&address);
        let mut going = Going::start(plan(&server, &text), workers(self.workers));
        let control = going.run.control.clone();
        let (sender, ended) = tokio::sync::oneshot::channel::<Instant>();
        let drain = self.phases[0].1;
        let end = async {
            if let Some((when, how)) = &self.end {
                match *when {
                    When::At(ms) => tokio::time::sleep(Duration::from_millis(ms)).await,
                    When::Drained(ms) => {
                        // One that fails has no end of a phase to wait for.
                        let Ok(edge) = ended.await else { return std::future::pending().await };
                        tokio::time::sleep_until((edge + Duration::from_millis(drain + ms)).into()).await;
                    }
                }
                // It may have ended by itself.
                let _ = control.send(how.clone()).await;
            }
            std::future::pending::<()>().await;
        };
        let events = async {
            // A run that was asked to end before has none.
            let mut sender = Some(sender);
            while going.next().await.is_none() {
                if let Some((_, at)) = going.ended.first()
                    && let Some(sender) = sender.take()
                {
                    let left = at.duration_since(std::time::SystemTime::now()).unwrap_or_default();
                    let _ = sender.send(Instant::now() + left);
                }
            }
        };
        tokio::select! { () = end => {}, () = events => {} }
        let Going { mut drained, started, store, plan, .. } = going;
        drained.sort_by_key(|drained| drained.phase_run);
        let done = Done { ending: Ending::Completed, drained, started, store, plan };
        // What outlasts its phase counts where it ends.
        done.check_arrivals(false);
        done.check_sums();
        done.add_up(&server, &text);
    }
}

impl Done {
    /// Requests and iterations are all in the records, each in one.
    fn add_up(&self, server: &Server, text: &str) {
        let requests: u64 = self.drained.iter().flat_map(|drained| &drained.totals.steps).map(|step| step.requests()).sum();
        let sent = server.seen().len() as u64;
        assert!(sent <= requests, "{sent} requests came, and {requests} are reported: {text}");
        let answered = |drained: &Drained| drained.totals.steps.iter().map(|step| step.count(Outcome::Ok)).sum::<u64>();
        let answered: u64 = self.drained.iter().map(answered).sum();
        assert!(answered <= sent, "{answered} answers to {sent} requests: {text}");
        let begun: f64 = self.drained.iter().map(|drained| drained.totals.own(OwnId(0), ScenarioId(0)).counter).sum();
        let all = self.sum(iterations);
        let cut = self.sum(|s| ended(s, Outcome::Interrupted));
        assert!(begun as u64 <= all && all <= begun as u64 + cut, "{begun} begun, {all} ended, {cut} of them cut off: {text}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, max_shrink_iters: 8, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn everything_is_counted_once_whatever_happens(case in case()) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        runtime.block_on(case.carry_out());
    }
}
