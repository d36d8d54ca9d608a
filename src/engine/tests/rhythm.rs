//! Users of a closed load keep their rhythm where the target fails: it is asked no more often than one that works.

use tokio::net::TcpListener;
use tokio::task::JoinSet;

use super::*;

/// Steps that ask something, and what lies between them; one iteration that works takes 400 ms at least.
fn flow(failing: usize, how: &str) -> String {
    let get = |n: usize| if n == failing { how.to_owned() } else { format!("{{http: {{get: /s/{n}, name: s{n}}}}}") };
    format!(
        "[{}, {{think: 100ms}}, {{group: {{name: g, flow: [{}, {{think: 50ms}}]}}}}, \
         {{repeat: {{times: 3, flow: [{}, {{think: 50ms}}]}}}}, {{choose: [{{weight: 1, flow: [{}, {{think: 100ms}}]}}]}}]",
        get(0),
        get(1),
        get(2),
        get(3)
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_error_at_any_step_makes_users_faster() {
    // Bound, so that nobody else gets the port, and nobody listens.
    let away = tokio::net::TcpSocket::new_v4().unwrap();
    away.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let refused = format!("{{http: {{get: 'http://{}/', name: bad}}}}", away.local_addr().unwrap());
    let kinds = [
        "{http: {get: /refuse, name: bad}}".to_owned(),
        "{http: {get: /hold, name: bad, timeout: 30ms}}".to_owned(),
        "{set: {x: response.json.nope + 1}}".to_owned(),
        refused,
    ];
    let mut runs = JoinSet::new();
    for how in kinds {
        for failing in 0..4 {
            let how = how.clone();
            runs.spawn(async move {
                let server = Server::start();
                let rest = format!(
                    "scenarios: {{s: {{flow: {}}}}}\nphases: [{{name: a, duration: 1s, load: {{s: {{users: 3}}}}}}]",
                    flow(failing, &how)
                );
                let done = carry_out(plan(&server, &rest), workers(2)).await;
                let s = done.drained[0].s();
                // Each begins one at once, and one more each 400 ms.
                assert!((3..=9).contains(&iterations(s)), "{} iterations with {how} at {failing}", iterations(s));
                assert_eq!(ended(s, Outcome::Ok), 0, "{how} at {failing}");
                assert!(server.seen().len() <= 3 * 3 * 6, "{} requests with {how} at {failing}", server.seen().len());
                assert_eq!(s.absent, 0, "a user that waits isn't missing");
            });
        }
    }
    while let Some(run) = runs.join_next().await {
        run.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_error_that_is_caught_makes_users_faster() {
    let flow = "flow: [{http: {get: /refuse, name: bad}}, {think: 200ms}]";
    let catches = [
        format!("group: {{name: g, {flow}}}"),
        format!("repeat: {{times: 1, {flow}}}"),
        format!("repeat: {{while: 'true', every: 200ms, {}}}", flow.replace(", {think: 200ms}", "")),
        format!("for_each: {{in: '[1]', as: x, {flow}}}"),
        format!("maybe: {{chance: 1, {flow}}}"),
        format!("choose: [{{weight: 1, {flow}}}]"),
        format!("group: {{name: g, flow: [{{group: {{name: h, {flow}}}}}]}}"),
    ];
    for caught in catches {
        for flow in [
            format!("{{{caught}, on_error: continue}}"),
            format!("{{repeat: {{for: 1h, flow: [{{{caught}, on_error: continue}}]}}}}"),
        ] {
            let server = Server::start();
            let rest = format!(
                "scenarios: {{s: {{flow: [{flow}]}}}}\nphases: [{{name: a, duration: 1s, drain: 0s, load: {{s: {{users: 2}}}}}}]"
            );
            carry_out(plan(&server, &rest), workers(1)).await;
            let requests = server.seen().len();
            // Each begins one at once, and one more each 200 ms.
            assert!((2..=2 * 6).contains(&requests), "{requests} requests of {flow}");
        }
    }
}

/// Counts who connects, and hangs up.
async fn hangs_up() -> (String, Arc<std::sync::atomic::AtomicU64>, tokio::task::JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, count) = (listener.local_addr().unwrap().to_string(), Arc::<std::sync::atomic::AtomicU64>::default());
    let counter = count.clone();
    let task = tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            counter.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            drop(stream);
        }
    });
    (address, count, task)
}

/// Flows, and how often each of two users connects in 1.2 s at the most where the peer hangs up at once. `<` and `>` stand around the steps
/// of a session.
const SESSIONS: &[(&str, u64)] = &[
    ("{<[{hold: 500ms}]>}", 3),
    ("{<[{listen: {for: 500ms}}]>}", 3),
    ("{<[{think: 500ms}]>}", 3),
    ("{<[{send: x}, {receive: {}}, {hold: 500ms}]>}", 3),
    ("{<[{repeat: {every: 500ms, flow: [{send: x}, {receive: {}}]}}]>}", 3),
    ("{<[{repeat: {every: 500ms, flow: [{count: {n_total: 1}}]}}]>}", 3),
    ("{<[{group: {name: g, flow: [{send: x}, {receive: {}}, {hold: 500ms}]}, on_error: continue}]>}", 3),
    ("{repeat: {for: 1h, flow: [{<[{hold: 500ms}]>, on_error: continue}]}}", 3),
    // Without a time of its own it is as if nobody had been reached.
    ("{<[{hold: }]>}", 13),
    ("{<[listen]>}", 13),
    ("{<[{send: x}, {receive: {}}]>}", 13),
    ("{repeat: {for: 1h, flow: [{<[{hold: }]>, on_error: continue}]}}", 13),
    ("{http: {get: 'http://ADDRESS/', name: get}}", 13),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_that_breaks_off_is_not_opened_more_often() {
    let server = Server::start();
    for (flow, most) in SESSIONS {
        let (address, connects, peer) = hangs_up().await;
        let opens = format!("tcp: {{connect: '{address}', name: t, session: ");
        let flow = flow.replace('<', &opens).replace('>', "}").replace("ADDRESS", &address);
        let rest = format!(
            "metrics: {{n_total: {{type: counter, help: N.}}}}\nscenarios: {{s: {{flow: [{flow}]}}}}\n\
             phases: [{{name: a, duration: 1200ms, drain: 0s, load: {{s: {{users: 2}}}}}}]"
        );
        let done = carry_out(plan(&server, &rest), workers(1)).await;
        let connects = connects.load(std::sync::atomic::Ordering::SeqCst);
        assert!((2..=2 * most).contains(&connects), "{connects} connects of {flow}");
        assert_eq!(ended(done.drained[0].s(), Outcome::Ok), 0);
        peer.abort();
    }
}

/// Sessions whose end is meant to be, and how often each of two users connects in 1.2 s at the most where the peer hangs up at once.
const MEANT: &[(&str, u64)] = &[
    ("{<[{hold: }], close: {expect: end}>}", 13),
    ("{<[listen], close: {expect: end}>}", 13),
    ("{repeat: {for: 1h, flow: [{<[{hold: }], close: {expect: end}>}]}}", 13),
    ("{<[{hold: 500ms}], close: {expect: end}>}", 3),
    // A connection that is brought back as soon as it may be.
    ("{<[{hold: }], close: {expect: end}, reconnect: {after: 0s, times: 3}>}", 13),
    ("{<[{hold: }], reconnect: {after: 0s, times: 3}>, on_error: continue}", 13),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_that_hangs_up_at_once_is_not_flooded_though_it_was_meant_to() {
    let server = Server::start();
    for (flow, most) in MEANT {
        let (address, connects, peer) = hangs_up().await;
        let flow = flow.replace('<', &format!("tcp: {{connect: '{address}', name: t, session: ")).replace('>', "}");
        let rest = format!(
            "scenarios: {{s: {{flow: [{flow}]}}}}\nphases: [{{name: a, duration: 1200ms, drain: 0s, load: {{s: {{users: 2}}}}}}]"
        );
        let done = carry_out(plan(&server, &rest), workers(1)).await;
        let connects = connects.load(std::sync::atomic::Ordering::SeqCst);
        assert!((2..=2 * most).contains(&connects), "{connects} connects of {flow}");
        if flow.contains("end}}") && !flow.contains("repeat") {
            assert_eq!(ended(done.drained[0].s(), Outcome::Error), 0, "{flow}");
        }
        peer.abort();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_wait_ends_where_the_load_does_and_is_no_time_of_the_iteration() {
    let server = Server::start();
    let failing = "scenarios: {s: {flow: [{http: {get: /refuse, name: get}}, {think: 10m}]}}\n";
    let phases = "phases: [{name: a, stages: [{duration: 700ms, load: {s: {users: 4}}}, {duration: 200ms, load: {s: {users: 1}}}]}, \
                  {name: b, duration: 200ms, load: {s: {users: 2}}}]";
    let begun = Instant::now();
    let done = carry_out(plan(&server, &format!("{failing}{phases}")), workers(2)).await;
    assert!(begun.elapsed() < Duration::from_secs(20), "nobody waits for them");
    let (a, b) = (done.drained[0].s(), done.drained[1].s());
    assert_eq!((iterations(a), ended(a, Outcome::Error)), (4, 4));
    assert_eq!((iterations(b), ended(b, Outcome::Error)), (1, 1), "one goes on waiting, one is new");
    assert!(a.iterations[Outcome::Error.index()].within(5.0) == 4.0, "{:?}", a.iterations);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_serves_arrivals_is_free_at_once_and_who_goes_on_does_so() {
    let server = Server::start();
    let open = "scenarios: {s: {flow: [{http: {get: /refuse, name: get}}, {think: 10m}]}}\n\
                phases: [{name: closed, duration: 100ms, load: {s: {users: 1}}}, {name: open, duration: 500ms, load: {s: {rate: 40/s, max_users: 20}}}]";
    let done = carry_out(plan(&server, open), workers(1)).await;
    let s = done.drained[1].s();
    assert_eq!((s.due, s.started, ended(s, Outcome::Error)), (20, 20, 20));
    let goes_on = "scenarios: {s: {flow: [{http: {get: /refuse, name: get}, on_error: continue}, {think: 5ms}]}}\n\
                   phases: [{name: a, duration: 30s, load: {s: {users: 2, iterations: 20}}}]";
    let done = carry_out(plan(&server, goes_on), workers(1)).await;
    assert!(done.drained[0].elapsed < Duration::from_secs(20));
    assert_eq!(ended(done.drained[0].s(), Outcome::Ok), 40);
}

/// Every load for 600 ms, with the most iterations of 120 ms that it can ask for.
const LOADS: &[(&str, u64)] = &[
    ("users: 3", 3 * (5 + 1)),
    ("users: 0 -> 4", 10 + 4),
    ("users: 4 -> 0", 10 + 4),
    ("users: 3, pacing: 200ms", 3 * (3 + 1)),
    ("users: 3, iterations: 2", 3 * 2),
    ("users: 2, total_iterations: 5", 5),
    ("rate: 30/s, max_users: 100", 18),
    ("rate: 0/s -> 60/s, max_users: 100", 18),
    ("rate: 30/s, users: 3, max_users: 100, on_busy: {wait: 1s}", 18),
    ("rate: 30/s, arrivals: poisson, max_users: 100", u64::MAX),
    ("at_once: 9", 9),
    ("at_once: 9, rate: 30/s, max_users: 100", 27),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_load_asks_more_of_a_target_that_fails_than_of_one_that_works() {
    let away = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let refused = format!("get: 'http://{}/'", away.local_addr().unwrap());
    drop(away);
    let outcomes = ["get: /answer", "get: /refuse", "get: /hold, timeout: 30ms", "get: /hold", &refused];
    let mut runs = JoinSet::new();
    for (load, most) in LOADS {
        for (failing, outcome) in [0, 1].into_iter().flat_map(|step| outcomes.map(|outcome| (step, outcome.to_owned()))) {
            runs.spawn(async move {
                let server = Server::start();
                let get = |n: usize| if n == failing { outcome.clone() } else { "get: /answer".to_owned() };
                let rest = format!(
                    "scenarios: {{s: {{flow: [{{http: {{name: a, {}}}}}, {{think: 60ms}}, {{http: {{name: b, {}}}}}, {{think: 60ms}}]}}}}\n\
                     phases: [{{name: p, duration: 600ms, drain: 300ms, load: {{s: {{{load}}}}}}}]",
                    get(0),
                    get(1)
                );
                let done = carry_out(plan(&server, &rest), workers(2)).await;
                let (drained, s) = (&done.drained[0], done.drained[0].s());
                let about = format!("{load} with {outcome} at {failing}");
                let Some(Load::Open { arrivals, .. }) = done.plan.phases[0].load(ScenarioId(0)) else {
                    assert!(iterations(s) <= *most, "{} iterations of {about}", iterations(s));
                    assert!(drained.totals.steps.iter().all(|step| step.requests() <= *most), "{about}");
                    return;
                };
                // Arrivals come whatever the target does.
                let due = arrivals.total();
                assert!(due <= *most && (s.due, s.started, iterations(s)) == (due, due, due), "{about}: {s:?}");
                assert!(drained.totals.steps.iter().all(|step| step.requests() <= due), "{about}");
            });
            if runs.len() >= 8 {
                runs.join_next().await.unwrap().unwrap();
            }
        }
    }
    while let Some(run) = runs.join_next().await {
        run.unwrap();
    }
}
