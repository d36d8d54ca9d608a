//! Targets that are away, and load that is held back for that.

use super::*;
use crate::base::{Protocol, Reason};
use crate::measure::process::unix_time;

/// An address where nobody listens yet.
fn nobody() -> String {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}

/// A plan whose scenario `s` goes to `address`. `s` is what it has beside its flow's steps.
fn to(address: &str, action: &str, s: &str, phases: &str) -> Plan {
    let text = format!(
        "name: test
defaults: {{http: {{base_url: \"http://{address}\", timeout: 5s}}}}
on_dead_target: {{after: 300ms, do: {action}}}
scenarios: {{s: {{{s}}}}}
phases: {phases}
"
    );
    match plan::load_text(Path::new("test.yml"), text, &Env::default(), &[], plan::Options::default()) {
        Ok((plan, _)) => plan,
        Err(problems) => panic!("{problems}"),
    }
}

const ONE: &str = "flow: {http: {get: /, name: get}}";

fn dead(scenario: &ScenarioTotals) -> u64 {
    scenario.dropped[DropReason::DeadTarget.index()]
}

fn refused(scenario: &ScenarioTotals, protocol: Protocol) -> u64 {
    scenario.connects[protocol.index()].failures[Reason::Refused.index()]
}

/// Waits until the scenario's target is away.
async fn until_away(going: &Going) {
    until("it is away", || going.run.view.away().iter().any(|away| away.action.is_some() && away.until.is_none())).await;
}

/// How often somebody knocks in the time.
async fn knocks(going: &Going, protocol: Protocol, time: Duration) -> u64 {
    let now = || refused(&going.store.totals(PhaseId(0)).scenarios[0], protocol);
    let before = now();
    tokio::time::sleep(time).await;
    now() - before
}

/// Waits until it is back.
async fn until_back(going: &Going) -> f64 {
    let mut at = 0.0;
    until("it is back", || {
        at = going.run.view.away().iter().find_map(|away| away.until).unwrap_or(0.0);
        at > 0.0
    })
    .await;
    at
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn arrivals_are_dropped_but_for_one_a_second_until_the_target_is_back() {
    for count in [1, 2] {
        let address = nobody();
        let phases = "[{name: a, duration: 7s, load: {s: {rate: 100/s, max_users: 20}}}]";
        let mut going = Going::start(to(&address, "back_off", ONE, phases), workers(count));
        going.until_started(0).await;
        until_away(&going).await;
        let probes = knocks(&going, Protocol::Http, Duration::from_millis(2500)).await;
        // A request that was under way at the report may be one more.
        assert!((1..=4).contains(&probes), "{probes} in 2.5 s");
        let opened = unix_time(std::time::SystemTime::now());
        let server = Server::start_at(&address);
        let back = until_back(&going).await;
        assert!(back - opened < 30.0, "{}", back - opened);
        let done = going.finish().await;
        done.check();
        let s = done.drained[0].s();
        assert!(dead(s) > 150 && busy(s) == 0, "{s:?}");
        assert_eq!(s.due, s.started + dead(s) + s.cancelled);
        assert!(ended(s, Outcome::Ok) > 0 && server.seen().len() as u64 == ended(s, Outcome::Ok), "{s:?}");
        assert_eq!(s.held_back, 0, "nobody waits for an arrival");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn closed_users_wait_and_one_of_all_workers_probes_each_second() {
    for count in [1, 2] {
        let address = nobody();
        let phases = "[{name: a, duration: 4s, load: {s: {users: 20}}}, {name: b, duration: 3s, load: {s: {users: 10}}}]";
        let mut going = Going::start(to(&address, "back_off", ONE, phases), workers(count));
        going.until_started(0).await;
        until_away(&going).await;
        let probes = knocks(&going, Protocol::Http, Duration::from_millis(2500)).await;
        // Requests that were under way at the report come beside them.
        assert!((1..=3 + 20).contains(&probes), "{probes} in 2.5 s");
        going.until_started(1).await;
        let server = Server::start_at(&address);
        let done = going.finish().await;
        done.check();
        let [a, b] = [done.drained[0].s(), done.drained[1].s()];
        let held = |s: &ScenarioTotals| s.held_back as f64 / 1e9;
        assert!(held(a) > 20.0 * 2.0 && held(a) < 20.0 * 4.0, "{}", held(a));
        assert!(held(b) > 0.0 && held(b) < 10.0 * 3.0, "{}", held(b));
        assert_eq!((ended(a, Outcome::Ok), a.absent), (0, 0));
        let answered = done.drained[0].totals.steps[0].count(Outcome::Ok);
        assert_eq!(answered, 0, "what is asked once the target is back was not due while it was away");
        assert!(ended(b, Outcome::Ok) > 10, "all go on at once: {b:?}");
        assert_eq!(server.seen().len() as u64, ended(b, Outcome::Ok) + ended(b, Outcome::Interrupted));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_knocks_within_an_iteration_or_a_start_is_held_back_too() {
    for (protocol, s) in [
        (Protocol::Http, "flow: {repeat: {for: 1h, flow: [{http: {get: /, name: get}, on_error: continue}]}}"),
        (Protocol::Http, "start: [{http: {get: /, name: begin}}], flow: {think: 1s}"),
        (Protocol::Websocket, "flow: {websocket: {connect: \"ws://ADDRESS/ws\", name: ws, session: [{hold: }]}}"),
        (Protocol::Tcp, "flow: {tcp: {connect: \"ADDRESS\", name: tcp, session: [{hold: }]}, on_error: continue}"),
        (
            Protocol::Socketio,
            "flow: {repeat: {for: 1h, flow: [{socketio: {connect: \"http://ADDRESS\", name: io, session: [{hold: }]}, on_error: continue}]}}",
        ),
    ] {
        let address = nobody();
        let phases = "[{name: a, duration: 5s, drain: 1s, load: {s: {users: 10}}}]";
        let mut going = Going::start(to(&address, "back_off", &s.replace("ADDRESS", &address), phases), workers(2));
        going.until_started(0).await;
        until_away(&going).await;
        tokio::time::sleep(Duration::from_millis(100)).await;
        let before = refused(&going.store.totals(PhaseId(0)).scenarios[0], protocol);
        let done = going.finish().await;
        done.check();
        let probes = refused(done.drained[0].s(), protocol) - before;
        assert!((1..=7).contains(&probes), "{s}: {probes}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_that_lost_its_target_does_not_go_on_knocking() {
    let server = Server::start();
    let address = server.url.trim_start_matches("http://").to_owned();
    let s = format!(
        "flow: {{tcp: {{connect: \"{}\", name: tcp, reconnect: {{after: 20ms, times: 1000000}}, session: [{{hold: }}]}}}}",
        address
    );
    let phases = "[{name: a, duration: 6s, drain: 1s, load: {s: {users: 10}}}]";
    let mut going = Going::start(to(&address, "back_off", &s, phases), workers(2));
    going.until_started(0).await;
    let (store, tcp) = (going.store.clone(), Protocol::Tcp);
    until("all are there", || store.gauges.connections(ScenarioId(0), tcp) == 10).await;
    drop(server);
    until_away(&going).await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    let probes = knocks(&going, tcp, Duration::from_secs(2)).await;
    assert!((1..=4).contains(&probes), "{probes} in 2 s");
    going.finish().await.check();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_target_ends_the_run_if_that_is_wanted() {
    let phases = "[{name: a, duration: 60s, load: {s: {rate: 50/s, max_users: 5}}}]";
    let began = Instant::now();
    let done = carry_out(to(&nobody(), "abort", ONE, phases), workers(2)).await;
    let Ending::Aborted(reason) = &done.ending else { panic!("{:?}", done.ending) };
    assert!(reason.starts_with("the target of `s` has not answered for ") && reason.contains("refused"), "{reason}");
    assert!(began.elapsed() < Duration::from_secs(50));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_load_goes_on_where_nothing_is_said() {
    let done =
        carry_out(to(&nobody(), "continue", ONE, "[{name: a, duration: 1s, load: {s: {rate: 50/s, max_users: 5}}}]"), workers(2))
            .await;
    let s = done.drained[0].s();
    assert_eq!((s.due, dead(s)), (50, 0));
    assert_eq!(refused(s, Protocol::Http), s.started);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_target_whose_connections_hang_is_away_before_a_time_limit_is_over() {
    // Nobody answers the TLS handshake.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = silent.local_addr().unwrap().to_string();
    for (s, what) in [
        ("flow: {http: {get: \"https://ADDRESS/\", name: get, timeout: 10m}}", "https://ADDRESS"),
        (
            "flow: {tcp: {connect: \"ADDRESS\", name: tcp, tls: {insecure: true}, timeout: 10m, session: [{hold: }]}}",
            "tls://ADDRESS",
        ),
    ] {
        let phases = "[{name: a, duration: 10m, drain: 0s, load: {s: {users: 2}}}]";
        let going = Going::start(to(&address, "continue", &s.replace("ADDRESS", &address), phases), workers(1));
        let what = what.replace("ADDRESS", &address);
        let mut found = Vec::new();
        until("it is shown", || {
            found = going.run.view.away();
            !found.is_empty()
        })
        .await;
        assert_eq!((found[0].what.as_str(), found[0].until), (what.as_str(), None));
        assert!(found[0].cause.starts_with("a connection to it has been opening for "), "{}", found[0].cause);
        going.send(Control::Interrupt).await;
        going.finish().await.check();
    }
}
