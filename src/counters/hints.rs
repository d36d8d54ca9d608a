//! What a source has, in words, where a preset's names aren't there or are older ones.

use std::collections::BTreeSet;

use super::part::SourceFindings;
use super::presets;
use super::want::Item;

/// Most names to list.
const LISTED: usize = 12;

/// Which exporter's names were found, for each preset and source.
pub(super) fn dialects(parts: &[SourceFindings]) -> Vec<String> {
    let mut notes = Vec::new();
    for part in parts {
        let found: BTreeSet<&str> = part.found().iter().map(|found| found.metric.as_str()).collect();
        for preset in presets::ALL {
            let dialects =
                preset.dialects.iter().filter(|dialect| found.contains(dialect.marker)).map(|dialect| dialect.exporter);
            let dialects: Vec<&str> = dialects.collect();
            if !dialects.is_empty() {
                notes.push(format!("{}: the names of {} are those of {}", part.name, preset.name, dialects.join(" and of ")));
            }
        }
    }
    notes
}

/// What the sources have instead of a metric of a preset.
pub(super) fn instead(item: &Item, parts: &[SourceFindings]) -> Option<String> {
    let preset = presets::of_metric(&item.names[0]).filter(|_| presets::metric(&item.names[0]).is_some())?;
    parts.iter().find_map(|part| {
        if part.names().iter().any(|name| item.names.contains(name)) {
            return Some(format!("{} has it with other labels, or without a number", part.name));
        }
        let near = near(&item.names, part.names().iter().map(String::as_str));
        let (prefix, names) = near?;
        let more = if names.len() > LISTED { format!(" and {} more", names.len() - LISTED) } else { String::new() };
        let names: Vec<&str> = names.into_iter().take(LISTED).collect();
        Some(format!(
            "the exporter is newer or older than the preset {} knows; {} has these of the prefix {prefix}: {}{more}",
            preset.name,
            part.name,
            names.join(", ")
        ))
    })
}

/// The names that no preset knows and that begin like one of these for longest; and how they begin.
fn near<'a>(wanted: &[String], names: impl Iterator<Item = &'a str>) -> Option<(String, Vec<&'a str>)> {
    let shared = |name: &str| {
        let length = |wanted: &String| wanted.split('_').zip(name.split('_')).take_while(|(a, b)| a == b).count();
        wanted.iter().map(length).max().unwrap_or_default()
    };
    let unknown: BTreeSet<&str> = names.filter(|name| presets::metric(name).is_none()).collect();
    let longest = unknown.iter().map(|name| shared(name)).max().filter(|longest| *longest > 0)?;
    let names: Vec<&str> = unknown.into_iter().filter(|name| shared(name) == longest).collect();
    let prefix: Vec<&str> = names[0].split('_').take(longest).collect();
    Some((format!("{}_", prefix.join("_")), names))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_begins_alike_for_longest_is_near() {
        let wanted = ["pgbouncer_stats_queries_pooled_total".to_owned()];
        let names = ["pgbouncer_up", "pgbouncer_stats_new_a_total", "pgbouncer_stats_new_b_total", "pgbouncer_pools_x"];
        let (prefix, near_by) = near(&wanted, names.into_iter()).unwrap();
        assert_eq!(
            (prefix.as_str(), near_by),
            ("pgbouncer_stats_", vec!["pgbouncer_stats_new_a_total", "pgbouncer_stats_new_b_total"])
        );
        assert_eq!(near(&wanted, ["redis_up"].into_iter()), None);
        // What the preset knows isn't news.
        assert_eq!(near(&wanted, ["pgbouncer_stats_queries_pooled_total"].into_iter()), None);
    }
}
