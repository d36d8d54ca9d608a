//! A simulated Redis that restarts and forgets its statistics, behind a simulated Prometheus that scrapes it: whatever happens, the true
//! increase lies within the reported ±, and the phases' deltas add up to the run's.

use crate::measure::Clock;
use std::time::UNIX_EPOCH;

use proptest::prelude::*;

use super::*;

/// What happens to the server.
#[derive(Debug, Clone, Copy)]
enum Event {
    /// It starts again, after so many scrape intervals.
    Restart(f64),
    /// CONFIG RESETSTAT: its counters begin at 0 again.
    Reset,
}

#[derive(Debug, Clone)]
struct World {
    /// Seconds between scrapes, and when there is one.
    interval: f64,
    offset: f64,
    /// Events a second: hits, commands of one kind, commands of another that comes up in mid-run.
    rates: [f64; 3],
    /// When that one comes up.
    born: f64,
    /// Lengths of the phases.
    phases: Vec<f64>,
    /// What happens, each so many intervals after the one before.
    events: Vec<(f64, Event)>,
    /// One of so many scrapes fails.
    fails: u32,
    /// How long a scrape takes, and at which part of that it sees the server.
    took: f64,
    sees: f64,
    /// Whether it is others who make the requests, so that they go on after the last phase.
    others: bool,
}

impl World {
    fn length(&self) -> f64 {
        self.phases.iter().sum()
    }

    /// When it is down, and when it begins to count again. Resets are far enough apart for each of them to be seen.
    fn resets(&self) -> Vec<(f64, f64, Event)> {
        let mut at = 0.0;
        let reset = |(gap, event): &(f64, Event)| {
            at += gap * self.interval;
            let begun = at;
            if let Event::Restart(down) = event {
                at += down * self.interval;
            }
            (begun, at, *event)
        };
        self.events.iter().map(reset).collect()
    }

    /// How long the server was there for requests between two times.
    fn busy(&self, from: f64, to: f64) -> f64 {
        let to = if self.others { to } else { to.min(self.length()) };
        let down = |(begun, up, _): (f64, f64, Event)| (up.min(to) - begun.max(from)).max(0.0);
        (to - from).max(0.0) - self.resets().into_iter().map(down).sum::<f64>()
    }

    fn down(&self, at: f64) -> bool {
        self.resets().iter().any(|(begun, up, _)| (*begun..*up).contains(&at))
    }

    fn came_up(&self, series: usize) -> f64 {
        if series == 2 { self.born } else { -3600.0 }
    }

    /// The true increase of a series.
    fn truth(&self, series: usize, from: f64, to: f64) -> f64 {
        self.rates[series] * self.busy(from.max(self.came_up(series)), to)
    }

    /// What a scrape says of a series.
    fn value(&self, series: usize, at: f64) -> Option<f64> {
        let begun = self.resets().into_iter().map(|(_, up, _)| up).filter(|up| *up <= at).fold(self.came_up(series), f64::max);
        (at >= self.came_up(series)).then(|| self.rates[series] * self.busy(begun, at))
    }

    fn started(&self, at: f64) -> f64 {
        let started = |(_, up, event): (f64, f64, Event)| matches!(event, Event::Restart(_)).then_some(up);
        self.resets().into_iter().filter_map(started).filter(|up| *up <= at).fold(-3600.0, f64::max)
    }

    /// The samples of `(from, to]`, in seconds since the run began.
    fn scrapes(&self, from: f64, to: f64) -> impl Iterator<Item = f64> {
        let first = ((from - self.offset) / self.interval).floor() as i64 + 1;
        let last = ((to - self.offset) / self.interval).floor() as i64;
        let there = move |n: &i64| n.unsigned_abs() % 7 % u64::from(self.fails) != 1;
        (first..=last).filter(there).map(|n| n as f64 * self.interval + self.offset).filter(|at| !self.down(self.seen_at(*at)))
    }

    /// When the scrape that began at this time saw the server.
    fn seen_at(&self, began: f64) -> f64 {
        began + self.sees * self.took
    }

    /// Whether there are samples near an edge; one that was scraped too seldom has none.
    fn seen(&self, edge: f64) -> bool {
        self.scrapes(edge - 3.0 * self.interval, edge).count() > 0 && self.scrapes(edge, edge + 2.0 * self.interval).count() > 0
    }

    /// Prometheus' answer, where the run began at `base`.
    fn answer(&self, request: &str, base: f64) -> String {
        let form = request.split_once("\r\n\r\n").map_or("", |(_, body)| body);
        let form: HashMap<_, _> = url::form_urlencoded::parse(form.as_bytes()).into_owned().collect();
        let (query, now) = (form["query"].as_str(), unix(SystemTime::now()));
        let data = if query == "time()" {
            format!(r#"{{"resultType":"scalar","result":[{now},"{now}"]}}"#)
        } else if query.starts_with("count") {
            r#"{"resultType":"vector","result":[]}"#.into()
        } else {
            let to = form["time"].parse::<f64>().unwrap() - base;
            let length = query.rsplit_once('[').unwrap().1.trim_end_matches("ms]").parse::<f64>().unwrap() / 1e3;
            let one = |name: &str, labels: &str, value: &dyn Fn(f64) -> Option<f64>| {
                let said = |at: f64| Some(format!("[{},\"{}\"]", base + at, value(self.seen_at(at))?));
                let said = self.scrapes(to - length, to).filter_map(said);
                let said = said.collect::<Vec<_>>().join(",");
                format!(r#"{{"metric":{{"__name__":"{name}","instance":"a"{labels}}},"values":[{said}]}}"#)
            };
            let series = if query.contains("scrape_duration_seconds") {
                vec![one("scrape_duration_seconds", "", &|_| Some(self.took))]
            } else if query.contains("redis_start_time_seconds") {
                vec![one("redis_start_time_seconds", "", &|at| Some(base + self.started(at)))]
            } else {
                vec![
                    one("redis_keyspace_hits_total", "", &|at| self.value(0, at)),
                    one("redis_commands_total", r#","cmd":"get""#, &|at| self.value(1, at)),
                    one("redis_commands_total", r#","cmd":"set""#, &|at| self.value(2, at)),
                ]
            };
            let series: Vec<_> = series.into_iter().filter(|series| !series.contains("\"values\":[]")).collect();
            format!(r#"{{"resultType":"matrix","result":[{}]}}"#, series.join(","))
        };
        json(&format!(r#"{{"status":"success","data":{data}}}"#))
    }
}

fn world() -> impl Strategy<Value = World> {
    let event = prop_oneof![(0.0..3.0f64).prop_map(Event::Restart), Just(Event::Reset)];
    let phases = proptest::collection::vec(2.0..60.0f64, 2..5);
    let events = proptest::collection::vec((6.0..20.0f64, event), 0..4);
    let slow = (prop_oneof![Just(0.0), 0.0..0.9f64], 0.0..1.0f64);
    let scrapes = (prop_oneof![Just(1.0), Just(5.0), Just(15.0)], 0.0..1.0f64, slow, 3u32..8, any::<bool>());
    let rates = [0.0..500.0f64, 0.0..500.0f64, 0.0..500.0f64];
    (scrapes, rates, 0.0..100.0f64, phases, events).prop_map(
        |((interval, offset, (took, sees), fails, others), rates, born, phases, events)| {
            let (offset, took) = (offset * interval, took * interval);
            let mut world = World { interval, offset, rates, born, phases, events, fails, took, sees, others };
            // Before a reset it was seen often enough to have a rate.
            let soon = |(begun, ..): &(f64, f64, Event)| *begun > world.born && *begun < world.born + 4.0 * interval;
            if let Some((_, up, _)) = world.resets().into_iter().find(soon) {
                world.born = up;
            }
            world
        },
    )
}

/// Of each series the deltas of the phases and of the run, with their uncertainties.
async fn observed(world: World) -> Vec<[Vec<Option<(f64, f64)>>; 3]> {
    let base = unix(SystemTime::now()).floor() - world.length() - 4.0 * world.interval - 2.0;
    let served = world.clone();
    let url = server(move |request| served.answer(request, base)).await;
    let metric = |metric: &str| Wanted::Metric { metric: metric.into(), matchers: Vec::new(), kind: None };
    let access = Access::new(&url).unwrap();
    let observer = Observer::new(
        Observe {
            sources: vec![Source { name: "it".into(), kind: SourceKind::Prometheus, access }],
            counters: vec![metric("redis_keyspace_hits_total"), metric("redis_commands_total")],
            ..Observe::default()
        },
        Clock::default(),
    );
    let mut edges = vec![0.0];
    world.phases.iter().for_each(|length| edges.push(edges.last().unwrap() + length));
    let mut readings = Vec::new();
    for (at, edge) in edges.iter().enumerate() {
        let last = if world.others { Traffic::Ended } else { Traffic::Still };
        let traffic = if at + 1 == edges.len() { last } else { Traffic::Flowing };
        let at = UNIX_EPOCH + Duration::from_secs_f64(base + edge);
        readings.push(observer.edge(at, traffic).reading().await);
    }
    let mut spans: Vec<(usize, usize)> = (1..readings.len()).map(|to| (to - 1, to)).collect();
    spans.push((0, readings.len() - 1));
    let mut found = Vec::new();
    for (from, to) in spans {
        let observed = observer.between(&readings[from], &readings[to], 1).await;
        assert!(observed.sources[0].error.is_none(), "{:?}", observed.sources);
        let rows = ["redis_keyspace_hits_total", "get", "set"].map(|named| {
            let is = |row: &&CounterRow| row.metric == named || row.labels.get("cmd").is_some_and(|cmd| cmd == named);
            let rows = observed.rows.iter().filter(|row| !row.source.is_empty()).filter(is);
            rows.map(|row| Some((row.delta?, row.uncertainty.unwrap_or(f64::INFINITY)))).collect::<Vec<_>>()
        });
        found.push(rows);
    }
    found
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]
    #[test]
    fn the_truth_is_within_the_uncertainty_and_phases_add_up(world in world()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let found = runtime.block_on(observed(world.clone()));
        let (run, phases) = found.split_last().unwrap();
        for series in 0..3 {
            let (mut sum, mut from) = (0.0, 0.0);
            for (phase, length) in phases.iter().zip(&world.phases) {
                let truth = world.truth(series, from, from + length);
                match phase[series].as_slice() {
                    [Some((delta, off))] => {
                        // Clocks are compared to the half of a request's time, and that is in the uncertainty.
                        prop_assert!((delta - truth).abs() <= off + 1e-3, "phase at {from}: {delta} ± {off} for {truth}");
                        sum += delta;
                    }
                    [None] if !world.seen(from) || !world.seen(from + length) => sum = f64::NAN,
                    // It hasn't come up, or not been seen.
                    [] if series == 2 && world.born + 2.0 * world.interval > from => {}
                    // It came up behind the phase, while that was read.
                    [None] if series == 2 && world.born > from + length => {}
                    other => prop_assert!(false, "series {series} at {from}: {other:?}"),
                }
                from += length;
            }
            let truth = world.truth(series, 0.0, from);
            if let [Some((delta, off))] = run[series].as_slice() {
                prop_assert!((delta - truth).abs() <= off + 1e-3, "the run: {delta} ± {off} for {truth}");
                // The clocks' difference is measured for each edge once.
                prop_assert!(
                    sum.is_nan() || (delta - sum).abs() <= 1e-6 * delta.abs().max(1.0),
                    "{sum} in phases, {delta} in the run"
                );
            }
        }
    }
}
