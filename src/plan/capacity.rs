//! What a profile needs of this machine at once: descriptors and local ports. Reported before a run, since in its midst it looks
//! like a fault of the target's.
//!
//! Needs are counted per user. Certain are those of closed users by steps that each of them comes to: where these go beyond
//! what there is, a run is refused, and a check warns. All else is a possible need, of which both warn.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::time::Duration;

use super::resolver::Resolver;
use super::types::{Phase, Plan};
use super::warnings::moments;
use crate::base::written::Node;
use crate::flow::{Flow, Step, StepKind};
use crate::load::Load;
use crate::measure::ScenarioId;
use crate::measure::process::most_fds;
use crate::net::{Endpoint, RouteOptions};
use crate::protocol::http::Connections;

/// Descriptors that the program needs beside its users' connections.
const OWN_DESCRIPTORS: u64 = 64;
/// Without which it surely does not run.
const LEAST_DESCRIPTORS: u64 = 16;

/// Connections that are held at the same time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Held {
    certain: u64,
    possible: u64,
}

/// Where connections lead, and from how many addresses they come.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Destination {
    host: String,
    port: u16,
    sources: u64,
}

impl Destination {
    fn of(endpoint: &Endpoint) -> Self {
        let (host, port) = endpoint.peer();
        // Those of the other family can't be used, and which that is, is known of an address only.
        let host = host.trim_matches(['[', ']']).to_owned();
        let family = host.parse::<IpAddr>().map(|ip| ip.is_ipv4()).ok();
        let from = &endpoint.route.options().from;
        let fitting = from.iter().filter(|ip| family.is_none_or(|family| family == ip.is_ipv4())).count() as u64;
        Self { host, port, sources: fitting.max(1) }
    }

    /// Whether it is one address, as far as is known before a name is resolved.
    fn is_one_address(&self) -> bool {
        self.host.parse::<IpAddr>().is_ok()
    }
}

/// What one user of a scenario holds, by destination where that is known, and what all of them share.
#[derive(Debug, Default)]
struct Needs {
    per_user: BTreeMap<Option<Destination>, Held>,
    shared: u64,
}

fn needs(flow: &Flow) -> Needs {
    let mut needs = Needs::default();
    // Only a step of the flow itself without a condition is certain to be reached by every user.
    flow.each(&mut |step| needs.add(step, false));
    flow.steps.iter().filter(|step| step.condition.is_none()).for_each(|step| needs.add(step, true));
    needs
}

impl Needs {
    fn add(&mut self, step: &Step, always: bool) {
        let (endpoint, certain) = match &step.kind {
            StepKind::Http(http) => {
                let kept = match http.request.connections() {
                    Connections::Shared(all) => {
                        self.shared = self.shared.max(all as u64);
                        return;
                    }
                    Connections::PerUser => true,
                    Connections::Fresh => false,
                };
                (http.request.endpoint().map(Destination::of), always && kept)
            }
            StepKind::Session(session) => (session.connector.endpoint().as_ref().map(Destination::of), always),
            _ => return,
        };
        // However many steps go there, it is one connection: a session is over before the next begins.
        let held = self.per_user.entry(endpoint).or_default();
        held.certain = held.certain.max(u64::from(certain));
        held.possible = held.possible.max(1);
    }
}

/// Looks at descriptors, ports and source addresses.
pub(super) fn look(resolver: &mut Resolver<'_>, plan: &Plan) {
    let needs: Vec<Needs> = plan.scenarios.iter().map(|scenario| needs(&scenario.flow)).collect();
    let phases: Vec<(&Phase, BTreeSet<Duration>)> = plan.phases.iter().map(|phase| (phase, moments(phase))).collect();
    sources(resolver);
    descriptors(resolver, plan, &phases, &needs);
    ports(resolver, &phases, &needs);
}

/// What a user of a scenario holds, and what all of its users share.
type Holding = (ScenarioId, Held, u64);

/// The phase in which these scenarios hold the most on this machine at one moment, and how much that is.
fn highest<'p>(phases: &[(&'p Phase, BTreeSet<Duration>)], shards: u64, holding: &[Holding]) -> Option<(&'p Phase, Held)> {
    let peaks = phases.iter().map(|(phase, moments)| (*phase, peak(phase, moments, shards, holding)));
    peaks.max_by_key(|(_, held)| (held.certain, held.possible))
}

/// The most that these scenarios hold on this machine at one of these moments of a phase.
fn peak(phase: &Phase, moments: &BTreeSet<Duration>, shards: u64, holding: &[Holding]) -> Held {
    let at = |t: Duration| {
        let loads = holding.iter().filter_map(|(id, user, shared)| Some((phase.load(*id)?, *user, *shared)));
        loads.fold(Held::default(), |sum, (load, user, shared)| {
            let (certain, possible) = match load {
                // A ramp is looked at a nanosecond before its end.
                Load::Closed { level, iterations, .. } => {
                    let users = level.level(t).round() as u64;
                    (if iterations.is_none() { users } else { 0 }, users)
                }
                Load::Open { max_users, .. } => (0, *max_users),
            };
            Held {
                certain: sum.certain.saturating_add(certain.saturating_mul(user.certain)),
                possible: sum
                    .possible
                    .saturating_add(possible.saturating_mul(user.possible))
                    .saturating_add(shared.min(possible)),
            }
        })
    };
    let most = moments.iter().copied().map(at).fold(Held::default(), |most, held| Held {
        certain: most.certain.max(held.certain),
        possible: most.possible.max(held.possible),
    });
    // Generators that share a run share its users.
    Held { certain: most.certain / shards.max(1), possible: most.possible.div_ceil(shards.max(1)) }
}

/// An error where a run would surely fail, otherwise a warning.
fn report(resolver: &mut Resolver<'_>, at: Node, certain: bool, message: String) {
    if certain && resolver.options.enforce {
        resolver.error(at, message);
    } else {
        resolver.warn(at, message);
    }
}

fn phase_at(resolver: &Resolver<'_>, phase: &Phase) -> Node {
    resolver.profile.written.phases.get(phase.id.index()).map_or_else(Default::default, |phase| phase.name.at)
}

fn descriptors(resolver: &mut Resolver<'_>, plan: &Plan, phases: &[(&Phase, BTreeSet<Duration>)], needs: &[Needs]) {
    let Some(limit) = most_fds() else { return };
    let inside = |to: &Option<Destination>| resolver.leads_inside(to.as_ref().map(|to| (to.host.as_str(), to.port)));
    let of = |(scenario, needs): (usize, &Needs)| {
        let user = needs.per_user.iter().fold(Held::default(), |sum, (to, held)| {
            // The built-in target holds the other end.
            let ends = if inside(to) { 2 } else { 1 };
            Held {
                certain: sum.certain.saturating_add(ends * held.certain),
                possible: sum.possible.saturating_add(ends * held.possible),
            }
        });
        (ScenarioId::at(scenario), user, needs.shared)
    };
    let holding: Vec<Holding> = needs.iter().enumerate().map(of).collect();
    let Some((phase, held)) = highest(phases, resolver.options.shards, &holding) else { return };
    let certain = held.certain.saturating_add(LEAST_DESCRIPTORS) > limit && held.certain > 0;
    if !certain && held.possible.saturating_add(OWN_DESCRIPTORS) <= limit {
        return;
    }
    let (verb, count) = if certain { ("holds", held.certain) } else { ("can hold", held.possible) };
    let wanted = count.saturating_add(OWN_DESCRIPTORS);
    let both = if plan.uses_builtin { ", those of the built-in target among them" } else { "" };
    let message = format!(
        "the phase `{}` {verb} {count} connections at once{both}, and this process may open {limit} files; raise the limit to {wanted} \
         (ulimit -n {wanted}, LimitNOFILE={wanted} of systemd, --ulimit nofile={wanted} of docker), or load from several machines",
        phase.name
    );
    report(resolver, phase_at(resolver, phase), certain, message);
}

fn ports(resolver: &mut Resolver<'_>, phases: &[(&Phase, BTreeSet<Duration>)], needs: &[Needs]) {
    let Some(ports) = local_ports() else { return };
    let mut destinations: BTreeMap<&Destination, Vec<Holding>> = BTreeMap::new();
    for (scenario, needs) in needs.iter().enumerate() {
        for (to, held) in &needs.per_user {
            let Some(to) = to else { continue };
            destinations.entry(to).or_default().push((ScenarioId::at(scenario), *held, 0));
        }
    }
    for (to, holding) in destinations {
        let Some((phase, held)) = highest(phases, resolver.options.shards, &holding) else { continue };
        let room = ports * to.sources;
        let certain = held.certain > room && to.is_one_address();
        if held.possible.max(held.certain) <= room {
            continue;
        }
        let (verb, count) = if certain { ("holds", held.certain) } else { ("can hold", held.possible) };
        let addresses = count.div_ceil(ports);
        let message = format!(
            "the phase `{}` {verb} {count} connections to {}:{} at once, and {} {room} local ports ({ports} each, net.ipv4.ip_local_port_range); connect `from: […]` {addresses} addresses of this machine (with a target on it 127.0.0.2, 127.0.0.3 and so on will do), or widen the range with sysctl",
            phase.name,
            to.host,
            to.port,
            if to.sources == 1 { "one source address has".to_owned() } else { format!("{} source addresses have", to.sources) },
        );
        report(resolver, phase_at(resolver, phase), certain, message);
    }
}

/// Whether the source addresses are this machine's.
fn sources(resolver: &mut Resolver<'_>) {
    let routes: Vec<RouteOptions> = resolver.routes.keys().cloned().collect();
    for from in routes.iter().flat_map(|route| &route.from) {
        let Err(error) = TcpListener::bind(SocketAddr::new(*from, 0)) else { continue };
        let at = resolver.sources.iter().find(|(address, _)| address == from).map_or_else(Default::default, |(_, at)| *at);
        let message = format!(
            "`{from}` is not an address that this machine can connect from ({error}); add it with `ip address add`, or take it out"
        );
        report(resolver, at, true, message);
    }
}

/// How many ports a source address has for each destination; nothing where the system doesn't say.
fn local_ports() -> Option<u64> {
    let range = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").ok()?;
    let mut ends = range.split_whitespace().map(|end| end.parse::<u64>().ok());
    let (first, last) = (ends.next()??, ends.next()??);
    (last + 1).checked_sub(first).filter(|ports| *ports > 0)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::plan::{Options, load_text};
    use crate::profile::Env;

    /// What is reported for a profile with this flow and load, refused or not.
    fn problems(http: &str, flow: &str, load: &str) -> (bool, Vec<String>) {
        problems_of(true, http, flow, load)
    }

    fn problems_of(enforce: bool, http: &str, flow: &str, load: &str) -> (bool, Vec<String>) {
        let text = format!(
            "name: test\ndefaults: {{http: {{base_url: \"http://127.0.0.1:8080\"{http}}}}}\nscenarios: {{s: {{flow: {flow}}}}}\n\
             phases: [{{name: p, duration: 10s, load: {{s: {load}}}}}]\n"
        );
        let options = Options { enforce, ..Options::default() };
        match load_text(Path::new("test.yml"), text, &Env::default(), &[], options) {
            Ok((_, warnings)) => (false, warnings.iter().map(|warning| warning.message.clone()).collect()),
            Err(problems) => (true, problems.diagnostics.iter().map(|problem| problem.message.clone()).collect()),
        }
    }

    fn of(messages: &[String], part: &str) -> usize {
        messages.iter().filter(|message| message.contains(part)).count()
    }

    #[test]
    fn what_surely_cannot_work_is_refused_and_what_may_not_is_warned_of() {
        let (many, ports) = (2_000_000, "local ports");
        let get = "[{http: {get: /}}]";
        let users = format!("{{users: {many}}}");
        let (refused, messages) = problems("", get, &users);
        assert!(refused && of(&messages, ports) == 1, "{messages:?}");
        assert!(messages.iter().any(|message| message.contains("holds 2000000 connections to 127.0.0.1:8080 at once")));
        // Nobody knows who comes to it, or whether so many are needed.
        for (flow, load) in [
            ("[{http: {get: /}, if: user > 3}]", users.clone()),
            (get, format!("{{rate: 1/s, max_users: {many}}}")),
            (get, format!("{{users: {many}, iterations: 1}}")),
            ("[{http: {get: /, reuse: false}}]", users.clone()),
        ] {
            let (refused, messages) = problems("", flow, &load);
            assert!(
                !refused && of(&messages, "can hold 2000000 connections to 127.0.0.1:8080") == 1,
                "{flow} {load} {messages:?}"
            );
        }
        // A name may have many addresses; and a check refuses nothing.
        let (refused, messages) = problems_of(false, "", "[{http: {get: \"http://localhost:81/\"}}]", &users);
        assert!(!refused && of(&messages, "can hold 2000000 connections to localhost:81") == 1, "{messages:?}");
        let (refused, messages) = problems_of(false, "", get, &users);
        assert!(!refused && of(&messages, ports) == 1, "{messages:?}");
        let (refused, messages) = problems(", connections: {shared: 8}", get, &users);
        assert!(!refused && of(&messages, "connections") == 0, "{messages:?}");
    }

    #[test]
    fn more_source_addresses_have_more_ports() {
        let ports = local_ports().unwrap();
        let users = ports + 1;
        let flow = "[{http: {get: /}}, {http: {get: /again}}]";
        let warnings = |from: &str| {
            let (_, messages) = problems(from, flow, &format!("{{users: {users}}}"));
            of(&messages, "local ports")
        };
        assert_eq!((warnings(""), warnings(", from: 127.0.0.2"), warnings(", from: [127.0.0.2, 127.0.0.3]")), (1, 1, 0));
        assert_eq!(warnings(", from: [127.0.0.2, \"::1\"]"), 1, "IPv6 does not lead to IPv4");
        // Through a proxy all go to one address.
        assert_eq!(warnings(", http_proxy: \"http://127.0.0.1:3128\""), 1);
    }

    #[test]
    fn addresses_of_other_machines_are_reported() {
        let (refused, messages) = problems(", from: 192.0.2.1", "[{http: {get: /}}]", "{users: 1}");
        assert!(
            refused && messages[0].starts_with("`192.0.2.1` is not an address that this machine can connect from"),
            "{messages:?}"
        );
    }
}
