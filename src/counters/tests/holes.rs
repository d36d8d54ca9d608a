//! A level that is not seen for long: what it was meanwhile isn't known.

use super::*;
use crate::counters::report::SourceReading;
use crate::counters::text::{Exposition, Format};
use crate::counters::tracker::{Tracker, between};
use crate::counters::want::Wants;

#[test]
fn a_level_that_was_not_seen_for_long_has_a_hole_wherever_it_is() {
    let preset = presets::find("redis").unwrap();
    let counters = vec![Wanted::Preset { preset, matchers: Vec::new() }];
    let wants = Wants::new(&Observe { counters, ..Observe::default() });
    let said = "redis_connected_clients 7\nredis_memory_used_bytes 1\nredis_memory_max_bytes 4\n";
    let said = Exposition::parse(said, Format::Text).unwrap();
    let mut tracker = Tracker::default();
    let edge = |tracker: &mut Tracker, at: f64| {
        let mut reading = SourceReading::default();
        tracker.feed_edge(&wants, (at, false), at, &said, &mut reading);
        reading
    };
    let mut last = edge(&mut tracker, 0.0);
    let mut phase = |scrapes: &[f64], [from, to]: [f64; 2]| {
        scrapes.iter().for_each(|at| tracker.feed(&wants, from + at, &said));
        let before = std::mem::replace(&mut last, edge(&mut tracker, to));
        let of = between([&before, &last], from);
        let series = of.found.iter().find(|found| found.metric == "redis_connected_clients").unwrap().levels.unwrap().hole;
        let ratio = of.levels.iter().find(|level| level.value == "redis.memory_used_ratio").unwrap().levels.hole;
        (series, ratio)
    };
    assert_eq!(phase(&[5.0, 10.0, 15.0, 30.0], [0.0, 40.0]), (0.0, 0.0), "two scrapes failed");
    assert_eq!(phase(&[5.0], [40.0, 100.0]), (55.0, 55.0));
    assert_eq!(phase(&[5.0, 45.0, 50.0], [100.0, 160.0]), (40.0, 40.0));
    assert_eq!(phase(&[40.0, 45.0, 50.0], [160.0, 220.0]), (40.0, 40.0));
}
