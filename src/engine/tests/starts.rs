//! `start` and `stop`: once for each user, before all else and after all else.

use std::collections::BTreeMap;

use super::*;

/// A scenario that starts with `start`, iterates and stops; each request says who did it.
fn with_start(server: &Server, start: &str, rest: &str) -> Plan {
    plan(
        server,
        &format!(
            "scenarios:\n  s:\n    start: [{{set: {{who: \"'u' ~ user\"}}}}, {start}]\n    flow: {{http: {{get: '/do/{{{{ who }}}}', name: do}}}}\n    \
             stop: {{http: {{get: '/stop/{{{{ who }}}}', name: stop}}}}\n{rest}"
        ),
    )
}

const START: &str = "{http: {get: '/start/{{ who }}', name: start}}";

/// What each user did, in its order: the first part of each path.
fn lives(server: &Server) -> BTreeMap<String, Vec<String>> {
    let mut lives: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for seen in server.seen() {
        let (what, who) = seen.path[1..].rsplit_once('/').unwrap();
        lives.entry(who.to_owned()).or_default().push(what.to_owned());
    }
    lives
}

fn samples(done: &Done, step: &str) -> u64 {
    let index = done.plan.layout.steps.iter().position(|layout| layout.name == step).unwrap();
    done.drained.iter().map(|drained| drained.totals.steps[index].requests()).sum()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_all_come_at_once_find_users_that_are_prepared_or_wait_for_them_unless_they_are_to_be_dropped() {
    for (on_busy, started) in [("", 20), (", on_busy: drop", 20), (", users: 0", 20), (", users: 0, on_busy: drop", 0)] {
        let server = Server::start();
        let phases = format!("phases: [{{name: burst, duration: 2s, load: {{s: {{at_once: 20{on_busy}}}}}}}]");
        let done = carry_out(with_start(&server, "{http: {get: '/wait/100', name: start}}", &phases), workers(2)).await;
        assert_eq!(done.sum(|s| s.started), started, "{on_busy}");
        assert_eq!(done.sum(|s| s.dropped.iter().sum()), 20 - started, "{on_busy}");
        assert_eq!(samples(&done, "do"), started);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_user_starts_once_and_stops_once_over_all_phases() {
    for (count, phases) in [
        (
            1,
            "[{name: a, duration: 200ms, load: {s: {users: 3, pacing: 10ms}}}, {name: b, duration: 200ms, load: {s: {users: 3, pacing: 10ms}}}]",
        ),
        (
            2,
            "[{name: a, duration: 300ms, load: {s: {users: 4 -> 1, pacing: 10ms}}}, {name: b, duration: 300ms, load: {s: {rate: 50/s, users: 3, max_users: 3}}}]",
        ),
        (
            3,
            "[{name: a, duration: 300ms, load: {s: {rate: 60/s, users: 5, max_users: 8, on_busy: {wait: 30s}}}}, {name: b, duration: 100ms, load: {}}]",
        ),
        (2, "[{name: a, duration: 50s, load: {s: {users: 3, iterations: 4}}}]"),
    ] {
        let server = Server::start();
        let done = carry_out(with_start(&server, START, &format!("phases: {phases}")), workers(count)).await;
        let lives = lives(&server);
        let all: usize = lives.values().map(Vec::len).sum();
        for (who, life) in &lives {
            // Who was ramped down and is wanted again is another user of that number.
            let turns: Vec<_> = life.split(|what| what == "stop").collect();
            assert!(turns.last().unwrap().is_empty(), "{who} of {phases}: {life:?}");
            for turn in &turns[..turns.len() - 1] {
                assert!(turn[0] == "start" && turn[1..].iter().all(|what| what == "do"), "{who} of {phases}: {life:?}");
            }
        }
        let iterations: u64 = done.drained.iter().map(|drained| iterations(drained.s())).sum();
        assert_eq!((iterations, samples(&done, "start")), (samples(&done, "do"), samples(&done, "stop")), "{phases}");
        assert_eq!(all as u64, iterations + 2 * samples(&done, "start"));
        assert!(samples(&done, "start") >= 3 && iterations > 0, "{phases}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_header_of_the_defaults_that_start_is_about_to_know_is_left_out_until_it_does() {
    let server = Server::start();
    let text = "scenarios:\n  s:\n    defaults: {http: {cookies: false, headers: {cookie: 'token={{ token }}'}}}\n    \
                start: [{http: {get: /start, extract: {token: {regex: ok}}}}, {http: {get: /again}}]\n    flow: {http: {get: /do}}\n\
                phases: [{name: a, duration: 50s, load: {s: {users: 1, iterations: 2}}}]";
    let done = carry_out(plan(&server, text), workers(1)).await;
    let seen = server.seen();
    let seen: Vec<_> = seen.iter().map(|seen| (&*seen.path, seen.cookie.as_deref())).collect();
    let known = Some("token=ok");
    assert_eq!(seen, [("/start", None), ("/again", known), ("/do", known), ("/do", known)]);
    assert_eq!(iterations(done.drained[0].s()), 2);

    // A step's own has to be there, as everywhere.
    let server = Server::start();
    let text = text.replace("{get: /start,", "{get: /start, headers: {cookie: '{{ token }}'},").replace("50s", "100ms");
    carry_out(plan(&server, &text), workers(1)).await;
    assert!(server.seen().is_empty(), "{:?}", server.seen());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn users_that_live_on_do_not_start_again() {
    let server = Server::start();
    let phases = "[{name: a, duration: 200ms, load: {s: {users: 3, pacing: 10ms}}}, {name: b, duration: 200ms, load: {s: {rate: 50/s, users: 3, max_users: 3, \
                  on_busy: {wait: 30s}}}}, {name: c, duration: 200ms, load: {s: {users: 3, pacing: 10ms}}}]";
    let done = carry_out(with_start(&server, START, &format!("phases: {phases}")), workers(2)).await;
    assert_eq!((samples(&done, "start"), samples(&done, "stop")), (3, 3));
    assert_eq!(done.drained[0].totals.steps[0].requests(), 3, "in the phase where it happened");
    assert_eq!(done.drained[2].totals.steps[2].requests(), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_start_is_tried_again_until_it_succeeds_and_arrivals_find_nobody_before() {
    let server = Server::start();
    let refused = "{http: {get: '/refuse/{{ who }}', name: start}}";
    let phases = "phases: [{name: a, duration: 4s, load: {s: {rate: 20/s, users: 2, max_users: 3}}}]";
    let mut plan = with_start(&server, refused, phases);
    plan.scenarios[0].start_within = Duration::from_millis(100);
    let going = Going::start(plan, workers(2));
    let store = going.store.clone();
    until("arrivals are dropped", || busy(&store.totals(PhaseId(0)).scenarios[0]) >= 5).await;
    assert_eq!(server.count("/do"), 0);
    assert!((2..=3).contains(&server.count("/refuse")), "a second passes before the next attempt");
    server.release();
    until("they have started", || server.count("/do") > 0).await;
    let done = going.finish().await;
    done.check();
    let s = done.drained[0].s();
    assert_eq!((s.due, s.started + busy(s) + s.cancelled), (80, 80));
    let lives = lives(&server);
    assert!(lives.values().all(|life| life.iter().filter(|what| *what == "stop").count() == 1), "{lives:?}");
    assert!(lives.values().all(|life| life[0] == "refuse"), "{lives:?}");
    assert_eq!(samples(&done, "stop"), 3, "arrivals had a third one prepared");
}

/// A start that would go on for long after its first request.
const LONG: &[&str] = &[
    "{think: 10m}, {http: {get: /never, name: n}}",
    "{repeat: {while: 'true', flow: [{http: {get: /wait/20, name: w}}]}}, {http: {get: /never, name: n}}",
    "{repeat: {times: 3, every: 10m, flow: [{set: {x: 1}}]}}, {http: {get: /never, name: n}}",
    "{eventually: {within: 10m, every: 1s, flow: [{http: {get: /refuse, name: r}}]}}",
    "{group: {name: g, flow: [{think: 10m}, {http: {get: /never, name: n}}]}}",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_waits_for_the_start_of_a_user_that_is_to_go() {
    for rest in LONG {
        let phases = "phases: [{name: a, duration: 10m, drain: 60s, load: {s: {users: 3}}}]";
        let server = Server::start();
        let start = format!("{{http: {{get: '/start/{{{{ who }}}}', name: start}}}}, {rest}");
        let going = Going::start(with_start(&server, &start, phases), workers(2));
        until("they are at their start", || server.count("/start") == 3).await;
        let since = Instant::now();
        going.send(Control::Stop).await;
        let done = going.finish().await;
        // A request under way is answered at once or within 20 ms.
        assert!(since.elapsed() < Duration::from_secs(20), "{:?} for {rest}", since.elapsed());
        done.check();
        assert_eq!((server.count("/never"), server.count("/do"), iterations(done.drained[0].s())), (0, 0, 0), "{rest}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn arrivals_wait_for_users_that_start() {
    for count in [1, 2, 3] {
        let server = Server::start();
        let held = "{http: {get: '/hold/{{ who }}', name: start}}";
        // None is prepared: the first arrivals have them come.
        let phases = "phases: [{name: a, duration: 1s, load: {s: {at_once: 6, users: 0, max_users: 3, on_busy: {wait: 60s}}}}]";
        let going = Going::start(with_start(&server, held, phases), workers(count));
        until("they start", || server.count("/hold") == 3).await;
        server.release();
        let done = going.finish().await;
        done.check();
        let s = done.drained[0].s();
        assert_eq!((s.due, s.started + s.cancelled, busy(s)), (6, 6, 0), "{count} workers");
        assert!(s.started > 0);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_first_iteration_is_due_when_the_start_has_ended() {
    let server = Server::start();
    let held = "{http: {get: '/hold/{{ who }}', name: start}}";
    let phases = "phases: [{name: a, duration: 50s, load: {s: {users: 2, iterations: 1}}}]";
    let going = Going::start(with_start(&server, held, phases), workers(2));
    until("they start", || server.count("/hold") == 2).await;
    tokio::time::sleep(Duration::from_millis(1500)).await;
    server.release();
    let done = going.finish().await;
    done.check();
    let (s, step) = (done.drained[0].s(), &done.drained[0].totals.steps[1]);
    assert_eq!((iterations(s), step.requests()), (2, 2));
    assert!(step.response[Outcome::Ok.index()].quantile(1.0).unwrap() < 1.4, "{:?}", step.response);
    assert!(s.start_lag.quantile(1.0).unwrap() < 1.4, "{:?}", s.start_lag);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_never_started_ends_at_once_and_stops_nothing() {
    let server = Server::start();
    let refused = "{http: {get: '/refuse/{{ who }}', name: start}}";
    for load in ["users: 4", "rate: 50/s, users: 2, max_users: 4", "users: 4 -> 0"] {
        let phases = format!("phases: [{{name: a, duration: 500ms, drain: 50s, load: {{s: {{{load}}}}}}}]");
        let begun = Instant::now();
        let done = carry_out(with_start(&server, refused, &phases), workers(2)).await;
        assert!(begun.elapsed() < Duration::from_secs(40), "{load}: nobody waits for the next attempt");
        assert_eq!((iterations(done.drained[0].s()), samples(&done, "stop")), (0, 0), "{load}");
        assert!(samples(&done, "start") >= 2);
    }
    let held = "{http: {get: '/hold/{{ who }}', name: start}}";
    let phases = "phases: [{name: a, duration: 5m, drain: 200ms, load: {s: {users: 3}}}]";
    let going = Going::start(with_start(&server, held, phases), workers(2));
    until("they start", || server.count("/hold") == 3).await;
    going.send(Control::Stop).await;
    let done = going.finish().await;
    done.check();
    let start = &done.drained[0].totals.steps[0];
    assert_eq!(start.response[Outcome::Interrupted.index()].count(), 3, "what is cut off is reported");
    assert_eq!(samples(&done, "stop"), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_has_what_is_left_of_the_drain_and_is_not_tried_again() {
    let server = Server::start();
    let scenario = |path: &str| {
        format!(
            "scenarios: {{s: {{flow: [{{http: {{get: /do, name: do}}}}, {{think: 10s}}], stop: {{http: {{get: {path}, name: stop}}}}}}}}\n\
             phases: [{{name: a, duration: 300ms, drain: 500ms, load: {{s: {{users: 2}}}}}}]"
        )
    };
    // Their iterations are cut off while they think: there is no stop after that.
    let done = carry_out(plan(&server, &scenario("/stop")), workers(1)).await;
    assert_eq!((samples(&done, "do"), samples(&done, "stop")), (2, 0));
    let quick = |path: &str| scenario(path).replace(", {think: 10s}", ", {think: 5ms}");
    let done = carry_out(plan(&server, &quick("/hold")), workers(1)).await;
    let stop = done.plan.layout.steps.iter().position(|step| step.name == "stop").unwrap();
    assert_eq!(done.drained[0].totals.steps[stop].response[Outcome::Interrupted.index()].count(), 2);
    let done = carry_out(plan(&server, &quick("/refuse")), workers(1)).await;
    assert_eq!(samples(&done, "stop"), 2, "a stop that fails has failed");
    assert_eq!(ended(done.drained[0].s(), Outcome::Error), 0, "it is no iteration");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_start_may_end_its_user_or_the_run() {
    let server = Server::start();
    let refused = |on_error: &str| format!("{{http: {{get: '/refuse/{{{{ who }}}}', name: start}}, on_error: {on_error}}}");
    let phases = "phases: [{name: a, duration: 800ms, load: {s: {users: 3}}}]";
    let done = carry_out(with_start(&server, &refused("end_user"), phases), workers(2)).await;
    assert_eq!((samples(&done, "start"), samples(&done, "do"), samples(&done, "stop")), (3, 0, 0));
    let done = carry_out(with_start(&server, &refused("continue"), phases), workers(2)).await;
    assert_eq!((samples(&done, "start"), samples(&done, "stop")), (3, 3), "its failure doesn't matter");
    assert!(samples(&done, "do") > 0);
    let done = carry_out(with_start(&server, &refused("abort_run"), phases), workers(2)).await;
    assert!(matches!(&done.ending, Ending::Aborted(why) if why.contains("start")), "{:?}", done.ending);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_row_of_the_start_is_its_users_for_life() {
    let server = Server::start();
    let plan = plan(
        &server,
        "data: {row: {list: [10, 11, 12], pick: unique}, turn: {list: [0, 1, 2, 3, 4, 5]}}\n\
         scenarios: {s: {start: {http: {get: '/start/{{ row }}', name: start}}, flow: [{http: {get: '/do/{{ row }}/{{ turn }}', name: do}}], \
         stop: {http: {get: '/stop/{{ row }}', name: stop}}}}\n\
         phases: [{name: a, duration: 600ms, load: {s: {users: 5, pacing: 20ms}}}, {name: b, duration: 300ms, load: {s: {rate: 30/s, max_users: 6}}}]",
    );
    let going = Going::start(plan, workers(2));
    let view = going.run.view.clone();
    let done = going.finish().await;
    done.check();
    let mut of: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for seen in server.seen() {
        let parts: Vec<&str> = seen.path[1..].split('/').collect();
        of.entry(parts[1].to_owned()).or_default().push(parts[0].to_owned());
    }
    assert_eq!(of.keys().map(String::as_str).collect::<Vec<_>>(), ["10", "11", "12"], "two users had none, and ended");
    for life in of.values() {
        assert!(life[0] == "start" && life.last().unwrap() == "stop" && life.len() > 3, "{life:?}");
    }
    assert_eq!(view.ran_out(0), [0]);
    // Arrivals while all three are busy are dropped, since no more users can start.
    assert_eq!(done.drained[1].s().due, 9);
}
