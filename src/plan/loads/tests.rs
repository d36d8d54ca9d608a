//! Levels over stages and phases: where each begins and ends.

use std::path::Path;
use std::time::Duration;

use proptest::prelude::*;

use crate::load::Load;
use crate::measure::ScenarioId;
use crate::plan::{Options, Plan, load_text};
use crate::profile::Env;

fn plan(phases: &str) -> Plan {
    match read(phases) {
        Ok(plan) => plan,
        Err(problems) => panic!("{problems}"),
    }
}

fn read(phases: &str) -> Result<Plan, String> {
    let text = format!(
        "name: test\ndefaults: {{http: {{base_url: \"http://127.0.0.1:8080\"}}}}\nscenarios: {{a: {{flow: {{http: {{get: /}}}}}}}}\nphases: {phases}\n"
    );
    let loaded = load_text(Path::new("test.yml"), text, &Env::default(), &[], Options::default());
    loaded.map(|(plan, _)| plan).map_err(|problems| problems.to_string())
}

fn load_of(plan: &Plan, phase: usize) -> &Load {
    plan.phases[phase].load(ScenarioId::at(0)).expect("a load")
}

#[derive(Debug, Clone, Copy)]
enum Level {
    Constant(u32),
    To(u32),
    FromTo(u32, u32),
}

impl Level {
    fn write(self, unit: &str) -> String {
        match self {
            Self::Constant(level) => format!("{level}{unit}"),
            Self::To(to) => format!("-> {to}{unit}"),
            Self::FromTo(from, to) => format!("{from}{unit} -> {to}{unit}"),
        }
    }

    fn ends(self, before: u32) -> (u32, u32) {
        match self {
            Self::Constant(level) => (level, level),
            Self::To(to) => (before, to),
            Self::FromTo(from, to) => (from, to),
        }
    }
}

fn level() -> impl Strategy<Value = Level> {
    prop_oneof![
        (0u32..200).prop_map(Level::Constant),
        (0u32..200).prop_map(Level::To),
        (0u32..200, 0u32..200).prop_map(|(from, to)| Level::FromTo(from, to)),
    ]
}

proptest! {
    #[test]
    fn each_stage_begins_where_the_one_before_ended_those_of_no_length_too(
        phases in prop::collection::vec(prop::collection::vec((0u64..3, level()), 1..6), 1..4),
        users in any::<bool>(),
    ) {
        let (key, unit) = if users { ("users", "") } else { ("rate", "/s") };
        let stage = |(seconds, level): &(u64, Level)| {
            format!("{{duration: {seconds}s, load: {{a: {{{key}: {}}}}}}}", level.write(unit))
        };
        let written: Vec<String> = phases.iter().enumerate().map(|(index, stages)| {
            // In each phase there is a second to look at, with the level that the others have left.
            let stages: Vec<String> = stages.iter().chain([&(1, Level::To(0))]).map(stage).collect();
            format!("{{name: p{index}, stages: [{}]}}", stages.join(", "))
        }).collect();
        let plan = plan(&format!("[{}]", written.join(", ")));
        let mut before = 0;
        for (index, stages) in phases.iter().enumerate() {
            let shape = load_of(&plan, index).shape();
            let mut at = Duration::ZERO;
            for (seconds, level) in stages.iter().chain([&(1, Level::To(0))]) {
                let (from, to) = level.ends(before);
                if *seconds > 0 {
                    let half = Duration::from_secs(*seconds) / 2;
                    prop_assert_eq!(shape.level(at), f64::from(from), "{}", &written[index]);
                    prop_assert_eq!(shape.level(at + half), f64::from(from + to) / 2.0, "{}", &written[index]);
                }
                at += Duration::from_secs(*seconds);
                before = to;
            }
        }
    }
}

#[test]
fn what_comes_at_once_in_a_stage_of_no_length_comes_then() {
    let stages = "{duration: 1s, load: {a: {rate: 10/s}}}, {duration: 0s, load: {a: {at_once: 5}}}, {duration: 1s, load: {a: {rate: 10/s}}}";
    let plan = plan(&format!(
        "[{{name: p, stages: [{stages}]}}, {{name: q, stages: [{{duration: 1s, load: {{a: {{rate: 1/s}}}}}}, {{duration: 0s, load: {{a: {{at_once: 3}}}}}}]}}]"
    ));
    let arrivals = |phase| match load_of(&plan, phase) {
        Load::Open { arrivals, .. } => arrivals,
        other => panic!("{other:?}"),
    };
    let second = Duration::from_secs(1);
    assert_eq!(
        (arrivals(0).total(), arrivals(0).due_by(second - Duration::from_nanos(1)), arrivals(0).due_by(second)),
        (25, 9, 15)
    );
    assert_eq!((arrivals(1).total(), arrivals(1).end()), (4, second));
}

#[test]
fn written_users_take_turns_unless_the_order_says_otherwise() {
    for (load, turns) in [
        ("rate: 10/s, users: 4, max_users: 9", 4),
        ("rate: 10/s, max_users: 9", 0),
        ("rate: 10/s", 0),
        ("rate: 10/s, users: 4, max_users: 9, users_order: in_turn", 9),
        ("rate: 10/s, users: 4, max_users: 9, users_order: latest", 0),
    ] {
        match load_of(&plan(&format!("[{{name: p, duration: 1s, load: {{a: {{{load}}}}}}}]")), 0) {
            Load::Open { in_turn, .. } => assert_eq!(*in_turn, turns, "{load}"),
            other => panic!("{other:?}"),
        }
    }
    let closed = read("[{name: p, duration: 1s, load: {a: {users: 4, users_order: latest}}}]").unwrap_err();
    assert!(closed.contains("`users_order` goes with a rate"), "{closed}");
    let stages = "{duration: 1s, load: {a: {rate: 1/s, users_order: latest}}}, {duration: 1s, load: {a: {rate: 1/s, users_order: in_turn}}}";
    let two = read(&format!("[{{name: p, stages: [{stages}]}}]")).unwrap_err();
    assert!(two.contains("one order of users"), "{two}");
}
