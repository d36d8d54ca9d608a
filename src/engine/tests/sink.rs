//! What a pause of the worker means for each thing that a user reports, at moments that are given.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64};

use super::*;
use crate::base::Protocol;
use crate::engine::context::Context;
use crate::engine::phase_run::PhaseRun;
use crate::engine::pool::Mode;
use crate::engine::sink::UserSink;
use crate::engine::slot::Slot;
use crate::engine::timer::Timer;
use crate::flow::Sink;
use crate::load::OnBusy;
use crate::measure::{ConnectTimes, Delayed, GroupId, MessageId, Sample, Sparse, StepId};

const PLAN: &str = "scenarios: {s: {flow: [\n\
    {group: {name: g, flow: {http: {get: /, name: get}}}},\n\
    {websocket: {connect: 'ws://127.0.0.1:9/', name: ws, on: [{name: m, latency_from: message.json.at}], session: [{hold: 1s}]}}]}}\n\
    phases: [{name: a, duration: 60s, load: {s: {rate: 1/s}}}]";

/// Shortest and longest, in milliseconds, of the one that was delayed.
fn one(delayed: &Delayed) -> (u64, u64) {
    assert_eq!(delayed.count(), 1);
    let of = |by: &[Sparse]| (by.iter().map(Sparse::sum).sum::<f64>() * 1e3).round() as u64;
    (of(&delayed.least), of(&delayed.measured))
}

/// Has a user report from a worker that stands still from 1 s of its phase on; `went_on` is whether it was found at 4 s that it had.
fn reported(went_on: bool, report: impl FnOnce(&UserSink, &dyn Fn(u64) -> Instant)) -> Totals {
    let server = Server::start();
    let plan = Arc::new(plan(&server, PLAN));
    let store = Store::new(plan.layout.clone());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    tokio::task::LocalSet::new().block_on(&runtime, async {
        let carried = Carried::new(&plan, workers(1));
        let (shared, _inboxes) = RunShared::new(plan, store.clone(), workers(1), &carried);
        let share = Share { shard: 0, shards: 1, worker: 0, workers: 1 };
        let ctx = Context::new(0, share, shared, Timer::new().unwrap());
        let pool = ctx.make_pools().remove(0);
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let set = store.open(PhaseId(0));
        let phase_run = Arc::new(PhaseRun {
            number: 1,
            phase: 0,
            begins: OnceLock::from(start),
            latest: start,
            preparations: Vec::new(),
            to_prepare: 0,
            prepared: AtomicU64::new(0),
            end: OnceLock::new(),
            sets: vec![set.clone()],
            budgets: vec![None],
            gathers: OnceLock::new(),
            counts_iterations: false,
            in_transit: AtomicU64::new(0),
            reported: AtomicBool::new(false),
        });
        let live = ctx.open(phase_run);
        pool.begin(&live, Mode::Open { most: 0, in_turn: 0, on_busy: OnBusy::Drop }, 0, Duration::ZERO);
        let sink = UserSink::new(pool.clone(), Slot::new(0, 0, start));
        live.attach();
        sink.adopt(live, None);
        (0..=1000).step_by(50).for_each(|ms| ctx.beat(at(ms)));
        if went_on {
            (4000..=6000).step_by(50).for_each(|ms| ctx.beat(at(ms)));
        }
        report(&sink, &at);
        drop(sink);
        set.totals()
    })
}

fn ms(ms: u64) -> u64 {
    ms * 1_000_000
}

fn sample(response: u64, service: u64, outcome: Outcome) -> Sample {
    Sample { response: ms(response), service: ms(service), outcome, reason: None, status: 0, sent: 0, received: 0 }
}

#[test]
fn whoever_comes_first_after_a_pause_sees_it() {
    let totals = reported(false, |sink, at| sink.sample(StepId(0), at(400), &sample(3600, 3000, Outcome::Timeout)));
    // It ended at 4 s: since 1 s the worker had stood still, and that was when the first byte was sent.
    assert_eq!(one(&totals.steps[0].delayed_response), (600, 3600));
    assert_eq!(one(&totals.steps[0].delayed_service), (0, 3000));
    assert_eq!(totals.steps[0].delayed_response.measured[Outcome::Timeout.index()].count(), 1);
}

#[test]
fn a_lag_counts_once_where_a_pause_is_its_cause() {
    let totals = reported(true, |sink, at| {
        // Due at 900 ms, it began at 4.2 s, of which the worker stood still for 3 s.
        sink.lagged(at(900), at(4200), Duration::from_millis(3300));
        sink.sample(StepId(0), at(900), &sample(3400, 100, Outcome::Ok));
        // And this one was due when it had begun.
        sink.sample(StepId(0), at(4200), &sample(50, 50, Outcome::Ok));
    });
    assert_eq!(one(&totals.steps[0].delayed_response), (100, 3400));
    assert_eq!(totals.steps[0].delayed_service.count(), 0);
    assert_eq!(totals.steps[0].requests(), 2);
}

#[test]
fn groups_sessions_connects_and_messages_have_their_part_of_it() {
    let totals = reported(true, |sink, at| {
        // Of a group that was held by the run for 1 s the end is not where its time says.
        sink.group(GroupId(0), at(800), at(5000), ms(3200), Outcome::Ok);
        sink.listener_came(StepId(1), at(500));
        sink.session(StepId(1), at(4500), Duration::from_millis(4000), Outcome::Ok);
        // Reported later than it was open.
        let times = ConnectTimes { total: ms(200), tcp: ms(200), ..ConnectTimes::default() };
        sink.connected(Protocol::Http, at(4600), at(1100), &times);
        sink.latency(MessageId(0), at(4000), ms(2500), false);
        sink.latency(MessageId(0), at(4700), ms(600), false);
    });
    assert_eq!(one(&totals.delayed_groups[0]), (200, 3200));
    assert_eq!(one(&totals.sessions[1].delayed), (1000, 4000));
    assert_eq!(one(&totals.scenarios[0].connects[Protocol::Http.index()].delayed), (100, 200));
    assert_eq!(one(&totals.messages[0].delayed), (0, 2500));
}

#[test]
fn nothing_is_delayed_where_all_goes_on() {
    let totals = reported(false, |sink, at| {
        sink.lagged(at(600), at(600), Duration::from_micros(10));
        sink.sample(StepId(0), at(600), &sample(500, 400, Outcome::Ok));
        sink.group(GroupId(0), at(100), at(1100), ms(1000), Outcome::Ok);
        sink.listener_came(StepId(1), at(200));
        sink.session(StepId(1), at(1100), Duration::from_millis(900), Outcome::Ok);
        sink.latency(MessageId(0), at(1120), ms(100), false);
    });
    let steps = totals.steps.iter().map(|step| step.delayed_response.count() + step.delayed_service.count()).sum::<u64>();
    assert_eq!(
        steps + totals.delayed_groups[0].count() + totals.sessions[1].delayed.count() + totals.messages[0].delayed.count(),
        0
    );
}
