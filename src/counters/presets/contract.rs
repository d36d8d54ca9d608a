//! What every preset promises.

use std::collections::HashSet;

use super::*;
use crate::base::names::{is_label_name, is_metric_name, is_name};

fn terms(formula: &Formula) -> (Vec<&Term>, bool) {
    match formula {
        Formula::Increase(of) => (vec![of], false),
        Formula::Level(of) => (vec![of], true),
        Formula::IncreaseRatio(of, to) | Formula::IncreaseRest(of, to) => (std::iter::once(of).chain(*to).collect(), false),
        Formula::LevelRatio(of, to) | Formula::LevelRest(of, to) => (std::iter::once(of).chain(*to).collect(), true),
    }
}

#[test]
fn every_preset_keeps_the_contract() {
    let mut names = HashSet::new();
    for preset in ALL {
        let name = preset.name;
        assert!(is_name(name) && names.insert(name), "{name}: its name is a name, and its own");
        assert!(std::ptr::eq(find(name).unwrap(), *preset), "{name} is found");
        assert!(!preset.metrics.is_empty() && !preset.values.is_empty(), "{name} has metrics and values");
        assert!(preset.own_effect.contains("exporter") && preset.own_effect.contains("scrape"), "{name} says what reading costs");
        assert!(preset.parts.iter().all(|part| is_label_name(part)), "{name}: parts are labels");
        assert!(preset.starts.iter().all(|s| s.jitter > 0.0 && is_metric_name(s.metric)), "{name}");
        assert!(preset.late.0 >= preset.late.1, "{name}: an idle system reports later than a busy one");
        assert!(preset.late_prefix.starts_with(preset.prefix), "{name}");

        let mut metrics = HashSet::new();
        for metric in preset.metrics {
            assert!(!metric.names.is_empty(), "{name}: a metric has a name");
            for other in metric.names {
                assert!(is_metric_name(other) && other.starts_with(preset.prefix), "{name}: {other}");
                assert!(metrics.insert(*other), "{name}: {other} is there once");
                assert!(std::ptr::eq(super::metric(other).unwrap(), metric), "{other} is found by each of its names");
            }
        }
        assert!(
            metrics.iter().all(|metric| of_metric(metric).unwrap().name == name),
            "{name}: no other preset takes its metrics"
        );

        for further in preset.further {
            assert!(
                further.starts_with(preset.prefix) && is_metric_name(further) && metrics.insert(*further),
                "{name}: {further}"
            );
            assert!(is_counter(further) && super::metric(further).is_none(), "{name}: {further}");
        }
        assert!(!preset.dialects.is_empty(), "{name}: whose names it knows");
        let markers: HashSet<&str> = preset.dialects.iter().map(|dialect| dialect.marker).collect();
        assert_eq!(markers.len(), preset.dialects.len(), "{name}");
        assert!(markers.iter().all(|marker| metrics.contains(marker)), "{name}: {markers:?}");
        // What a value is made of is always missed.
        let mut values = HashSet::new();
        for value in preset.values {
            assert!(is_name(value.name) && values.insert(value.name), "{name}.{}", value.name);
            let (terms, level) = terms(&value.formula);
            for term in terms {
                let metric = preset.metrics.iter().find(|metric| metric.names[0] == term.metric);
                let metric = metric.unwrap_or_else(|| panic!("{name}.{}: {} is not reported", value.name, term.metric));
                assert!(!metric.optional, "{name}.{}: {} is optional", value.name, term.metric);
                let gauge = metric.kind == MetricKind::Gauge;
                assert_eq!(gauge, level, "{name}.{}: {} is of the other kind", value.name, term.metric);
                assert!(term.only.iter().all(|(label, _)| preset.parts.contains(label)), "{name}.{}", value.name);
            }
        }
        assert_eq!(preset.value_names().len(), values.len());
    }
}

#[test]
fn the_values_that_profiles_may_name_are_there() {
    let promised = [
        "redis.hit_ratio",
        "redis.memory_used_ratio",
        "redis.connected_clients",
        "redis.blocked_clients",
        "redis.commands",
        "redis.evicted_keys",
        "redis.rejected_connections",
        "postgres.connections_used_ratio",
        "postgres.cache_hit_ratio",
        "postgres.commits",
        "postgres.rollbacks",
        "postgres.blocks_read",
        "postgres.deadlocks",
        "postgres.temp_bytes",
        "pgbouncer.waiting_clients",
        "pgbouncer.queries",
        "pgbouncer.transactions",
        "pgbouncer.client_wait_seconds",
        "node.cpu_used_ratio",
        "node.memory_used_ratio",
    ];
    let names: HashSet<String> = ALL.iter().flat_map(|preset| preset.value_names()).collect();
    for name in promised {
        assert!(names.contains(name), "{name}");
    }
    assert_eq!(metric("redis_used_memory_bytes").unwrap().names[0], "redis_memory_used_bytes");
}
