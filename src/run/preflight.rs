//! A look at the sources and the targets before anything is sent: what can't be read or reached is said at once.
//!
//! Each source is asked once, and one connection is made to each place that set-up, the first phase, verify and teardown surely go to, and
//! closed again.
//! Nothing of it is measured. The built-in target is left out: it is there.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{join, join_all};
use tokio::sync::mpsc::UnboundedReceiver;

use crate::counters::Observer;
use crate::engine::Ending;
use crate::flow::{Flow, StepKind};
use crate::net::{Dialing, Endpoint, dial, dial_to_proxy};
use crate::plan::{Hook, Plan, Scenario};

use super::driver::RunDriver;
use super::update::{SAID, Stop, Update};

/// How long all of it takes at most.
const WITHIN: Duration = Duration::from_secs(5);
/// How many places are tried; who has more sees from these whether the way is open.
const PLACES: usize = 64;

impl RunDriver {
    /// Looks at what the run needs. What is missing is shown; `strict`: it ends the run.
    ///
    /// # Errors
    /// How the run ends, before anything is sent.
    pub(super) async fn preflight(
        &mut self,
        strict: bool,
        stop: &mut UnboundedReceiver<Stop>,
        update: &mut (dyn FnMut(Update<'_>) + Send),
    ) -> Result<(), Ending> {
        let (plan, observer) = (self.plan.clone(), self.observer.clone());
        let missing = tokio::select! {
            missing = look(&plan, observer.as_ref(), WITHIN) => missing,
            order = stop.recv() => {
                self.asked(order.unwrap_or(Stop::Gracefully));
                return Err(Ending::Stopped);
            }
        };
        let missing: Vec<String> = missing.iter().map(|text| plan.secrets.redact_own(text).into_owned()).collect();
        for text in &missing {
            tracing::warn!(target: SAID, profile = %plan.name, "before the run: {text}");
            update(Update::Say(format!("Before the run: {text}.")));
        }
        if missing.is_empty() {
            return Ok(());
        }
        let all = missing.join("; ");
        if strict {
            return Err(Ending::Failed(format!("{all} (--strict: nothing was sent)")));
        }
        self.note = Some(format!("before the run: {all}"));
        self.show(update);
        Ok(())
    }
}

/// What can't be read or reached, each as a clause with its cause.
async fn look(plan: &Plan, observer: Option<&Arc<Observer>>, within: Duration) -> Vec<String> {
    let sources = async {
        let Some(observer) = observer else { return Vec::new() };
        let failed = observer.try_once(within).await.into_iter();
        failed.map(|(name, error)| format!("the source `{name}` {error}")).chain(observer.mistakes()).collect()
    };
    let places = places(plan);
    let targets = join_all(places.iter().map(|place| reach(place, within)));
    let (sources, targets) = join(sources, targets).await;
    sources.into_iter().chain(targets.into_iter().flatten()).collect()
}

/// A place that requests or sessions go to, and whether a proxy is spoken to in the place of it.
struct Place {
    endpoint: Endpoint,
    to_proxy: bool,
}

/// Where the flows of set-up, the first phase's scenarios, verify and teardown go, as far as it is the same for all users: each place once.
fn places(plan: &Plan) -> Vec<Place> {
    let first = plan.phases.first().map_or(&[][..], |phase| &phase.loads);
    let scenarios = first.iter().filter_map(|(id, _)| plan.scenarios.get(id.index())).flat_map(Scenario::flows);
    let hooks = &plan.hooks;
    let mut places = Vec::new();
    for flow in flow_of(&hooks.setup).chain(scenarios).chain(flow_of(&hooks.verify)).chain(flow_of(&hooks.teardown)) {
        flow.each(&mut |step| {
            if places.len() == PLACES {
                return;
            }
            let place = match &step.kind {
                // A request without TLS is written to the proxy itself.
                StepKind::Http(http) => {
                    http.request.endpoint().map(|to| Place { endpoint: to.clone(), to_proxy: to.tls.is_none() })
                }
                StepKind::Session(session) => session.connector.endpoint().map(|endpoint| Place { endpoint, to_proxy: false }),
                _ => None,
            };
            if let Some(place) = place
                && !plan.leads_inside(&place.endpoint)
                && !places.iter().any(|other| same(other, &place))
            {
                places.push(place);
            }
        });
    }
    places
}

fn flow_of(hook: &Option<Hook>) -> impl Iterator<Item = &Flow> {
    hook.iter().map(|hook| &hook.flow)
}

/// Whether one connection answers for both.
fn same(a: &Place, b: &Place) -> bool {
    let of = |place: &Place| (place.endpoint.tls.as_ref().map(Arc::as_ptr), Arc::as_ptr(&place.endpoint.route), place.to_proxy);
    (&a.endpoint.host, a.endpoint.port) == (&b.endpoint.host, b.endpoint.port) && of(a) == of(b)
}

/// Makes a connection and closes it.
async fn reach(place: &Place, within: Duration) -> Option<String> {
    let to = &place.endpoint;
    let mut dialing = Dialing::default();
    let dialed = async {
        match place.to_proxy {
            true => dial_to_proxy(to, &mut dialing).await,
            false => dial(to, &mut dialing).await,
        }
    };
    let dialed = tokio::time::timeout(within, dialed).await;
    match dialed {
        Ok(Ok(_)) => None,
        Ok(Err(error)) => Some(format!("the target {to} can't be reached: {error}")),
        Err(_) => Some(format!(
            "the target {to} can't be reached: nothing came within {} s while {}",
            within.as_secs(),
            dialing.stage.doing()
        )),
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::path::Path;

    use super::*;
    use crate::plan::{Options, load_text};
    use crate::profile::Env;

    fn plan(text: &str) -> Plan {
        match load_text(Path::new("t.yml"), text.to_owned(), &Env::from_iter([("HOST", "env.test")]), &[], Options::default()) {
            Ok((plan, _)) => plan,
            Err(problems) => panic!("{problems}"),
        }
    }

    fn shown(plan: &Plan) -> Vec<String> {
        places(plan).iter().map(|place| place.endpoint.to_string()).collect()
    }

    #[test]
    fn each_place_that_the_run_begins_with_or_ends_with_is_tried_once() {
        let plan = plan(
            "name: t
defaults: {http: {base_url: builtin}}
vars: {host: vars.test, sites: {live: \"ws://deep.test:82\"}, token: set.test}
setup: {flow: {http: {get: \"http://setup.test/\"}}}
verify: {flow: {eventually: {within: 1s, every: 1s, flow: {http: {get: \"http://verify.test/\"}}}}}
teardown: {flow: {group: {name: g, flow: {http: {get: \"http://teardown.test/\"}}}}}
scenarios:
  a:
    start: {http: {post: \"http://login.test/in\"}}
    flow:
      - http: {get: \"http://shop.test:81/a\"}
      - http: {get: \"http://shop.test:81/b\"}
      - repeat: {times: 2, flow: [{http: {get: \"https://shop.test/deep\"}}]}
      - http: {get: \"http://{{ env.HOST }}/unknown\"}
      - http: {get: /}
      - websocket: {connect: \"{{ sites.live }}/ws\", name: w, session: [{http: {get: \"http://{{ host }}:83/{{ user }}\"}}, {http: {get: \"https://{{ host }}:84/\"}}]}
      - set: {token: user}
      - http: {get: \"http://{{ token }}/\"}
    stop: {http: {get: \"http://out.test/\"}}
  s: {flow: [{websocket: {connect: \"ws://live.test/ws\", name: live, session: [{think: 1s}]}}]}
  later: {flow: [{http: {get: \"http://later.test/\"}}]}
phases:
  - {name: one, duration: 1s, load: {a: {users: 1}, s: {users: 1}}}
  - {name: two, duration: 1s, load: {later: {users: 1}}}
",
        );
        assert_eq!(
            shown(&plan),
            [
                "setup.test:80",
                "login.test:80",
                "shop.test:81",
                "shop.test:443",
                "deep.test:82",
                "vars.test:84",
                "out.test:80",
                "live.test:80",
                "verify.test:80",
                "teardown.test:80"
            ]
        );
    }

    #[tokio::test]
    async fn what_cannot_be_reached_is_said_with_its_cause_and_in_time() {
        let open = TcpListener::bind("127.0.0.1:0").unwrap();
        let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let text = format!(
            "name: t
scenarios:
  a: {{flow: [{{http: {{get: \"http://{}/\"}}}}, {{http: {{get: \"http://{closed}/\"}}}}, {{http: {{get: \"https://{0}/\"}}}}]}}
phases: [{{name: one, duration: 1s, load: {{a: {{users: 1}}}}}}]
",
            open.local_addr().unwrap()
        );
        // Nobody answers the TLS handshake.
        let missing = look(&plan(&text), None, Duration::from_millis(300)).await;
        assert_eq!(missing.len(), 2, "{missing:?}");
        assert!(missing[0].contains(&format!("{closed} can't be reached")) && missing[0].contains("refused"), "{missing:?}");
        assert!(missing[1].contains("in the TLS handshake (tls)"), "{missing:?}");
    }
}
