//! Every profile of `config/` but `votes.yml` (which has a test of its own), made small, for real. Which stack they run
//! against is here, what must come of them with each suite.

mod running;
mod shapes;
mod suite_a;
mod suite_b;
mod suite_c;
mod suite_d;
mod suite_e;

use crate::support::record::{self, list, phase};
use crate::support::stack::Stack;

use running::run;

#[test]
fn quickstart_needs_nothing_else() {
    let ended = run("quickstart.yml", &[("STEADY", "3s"), ("SURGE", "2s"), ("TIMEOUT", "30s")]);
    let surge = phase(&ended.record, "surge");
    let orders = list(surge, "scenarios").iter().find(|scenario| scenario["scenario"] == "orders").unwrap();
    // The area under 20/s -> 100/s over 2 s.
    assert_eq!(record::whole(orders, "due"), 120);
}

#[test]
fn concurrent_users_and_uploads_run_against_the_backend() {
    let stack = Stack::up(&[]);
    let (base, backend) = (stack.variable("BASE_URL").unwrap(), stack.port("BASE_URL"));
    suite_a::http(&base, backend);
    suite_b::uploads(&base, backend);
}

#[test]
fn queues_events_and_votes_run_against_the_backend() {
    let stack = Stack::up(&[]);
    let (base, prometheus) = (stack.variable("BASE_URL").unwrap(), stack.variable("PROMETHEUS_URL").unwrap());
    let backend = stack.port("BASE_URL");
    suite_d::queue_and_sessions(&base, &prometheus, backend);
    suite_e::rest(&base, &prometheus, backend);
}

#[test]
fn sockets_run_against_the_builtin_target() {
    suite_e::fanout();
    suite_a::sockets();
    suite_b::connections();
}

#[test]
fn chat_runs_against_the_backend() {
    let stack = Stack::up(&["--only", "redis,postgres,backend"]);
    let (base, backend) = (stack.variable("BASE_URL").unwrap(), stack.port("BASE_URL"));
    suite_b::messages(&base, backend);
    suite_b::api(&base, backend);
    suite_b::search(&base, backend);
    shapes::shapes(&base, backend);
}

#[test]
fn booking_runs_against_the_backend() {
    let stack = Stack::up(&[]);
    let (base, prometheus) = (stack.variable("BASE_URL").unwrap(), stack.variable("PROMETHEUS_URL").unwrap());
    suite_c::booking(&base, &prometheus, stack.port("BASE_URL"));
}
