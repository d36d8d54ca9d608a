//! Arrivals at the edges of phases: each belongs to its phase with what it asks for, settled or not.

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use tokio::task::JoinSet;

use super::*;
use crate::measure::OwnId;

/// Phases with an arrival due exactly at each end: the rate times the length is a whole number.
fn phases() -> impl Strategy<Value = Vec<(u64, u64)>> {
    // Tenths of a second, arrivals in each of them.
    prop::collection::vec((1u64..4, 1u64..12), 2..5)
}

async fn belongs(phases: Vec<(u64, u64)>, settle: bool, path: &str, count: usize) {
    let server = Server::start();
    let written: Vec<String> = phases
        .iter()
        .enumerate()
        .map(|(index, (tenths, rate))| {
            format!("{{name: p{index}, duration: {}ms, load: {{s: {{rate: {}/s, max_users: 40}}}}}}", tenths * 100, rate * 10)
        })
        .collect();
    let rest = format!(
        "metrics: {{a_total: {{type: counter, help: A.}}, b_total: {{type: counter, help: B.}}}}\n\
         scenarios: {{s: {{flow: [{{set: {{x: 1}}}}, {{group: {{name: g, flow: [{{http: {{get: \"{path}\", name: get}}}}]}}}}, \
         {{count: {{a_total: 1}}}}, {{think: 20ms}}, {{http: {{get: \"{path}\", name: next}}}}, {{set: {{x: 2}}}}, {{count: {{b_total: 1}}}}]}}}}\n\
         observe: {{settle: {settle}, exporters: [{{name: x, url: 'http://127.0.0.1:9/metrics'}}]}}\nphases: [{}]",
        written.join(", ")
    );
    let done = carry_out(plan(&server, &rest), workers(count)).await;
    let about = format!("{phases:?} settled: {settle}, {count} workers");
    assert_eq!(done.drained.len(), phases.len());
    for (drained, (tenths, rate)) in done.drained.iter().zip(&phases) {
        let s = drained.s();
        assert_eq!(s.due, tenths * rate, "{about}");
        // One that finds nobody, on a machine that is busy with other things, is dropped or cancelled.
        assert_eq!(drained.totals.steps[0].requests(), s.started, "requests of {about}");
        assert_eq!(iterations(s), s.started, "iterations of {about}");
        let groups: u64 = drained.totals.groups[0].iter().map(crate::measure::Sparse::count).sum();
        assert_eq!(groups, s.started, "groups of {about}");
        let next = drained.totals.steps[1].requests();
        let counted = [0, 1].map(|own| drained.totals.own(OwnId(own), ScenarioId(0)).counter as u64);
        assert_eq!(counted, [s.started, next], "what is counted goes with its request: {about}");
        if settle {
            assert_eq!(next, s.started, "nothing of it is left for the phase behind: {about}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_and_iterations_of_a_phase_are_those_of_its_arrivals() {
    let mut runner = TestRunner::default();
    let mut runs = JoinSet::new();
    for case in 0..24 {
        let phases = phases().new_tree(&mut runner).unwrap().current();
        let path = ["/", "/wait/30"][case % 2];
        runs.spawn(belongs(phases, case % 4 < 2, path, 1 + case % 3));
        if runs.len() >= 6 {
            runs.join_next().await.unwrap().unwrap();
        }
    }
    while let Some(run) = runs.join_next().await {
        run.unwrap();
    }
}
