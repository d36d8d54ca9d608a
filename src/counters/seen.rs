//! What a source ever had. A system that was there and isn't any more is unknown, and a label that no metric ever had is a mistake.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::labels::Labels;
use super::want::{Labelled, Wants};

/// Most systems to remember.
const SYSTEMS: usize = 10_000;
/// Most labels to list.
const LISTED: usize = 20;

/// What one source ever had.
#[derive(Debug, Clone, Default)]
pub(super) struct Seen {
    items: BTreeSet<usize>,
    /// By value and system: of which terms of the value it had a series, a bit each.
    systems: BTreeMap<(usize, Labels), u64>,
    looked: Vec<Looked>,
}

/// Whether any metric of a preset has a label that the preset is narrowed by, in a source that has metrics of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Looked {
    /// The preset, by its place among those observed.
    pub(super) entry: usize,
    pub(super) label: String,
    pub(super) there: bool,
    /// The labels that its metrics have, where none has this one.
    pub(super) has: BTreeSet<String>,
}

impl Seen {
    /// Takes in a series that was there.
    pub(super) fn add(&mut self, wants: &Wants, item: usize, labels: &Labels) {
        self.items.insert(item);
        for (at, asked) in wants.asked.iter().enumerate() {
            for (place, sum) in asked.terms().filter(|(_, sum)| sum.item == item && sum.takes(labels)) {
                let key = (at, asked.system(labels, sum));
                if self.systems.len() < SYSTEMS || self.systems.contains_key(&key) {
                    *self.systems.entry(key).or_default() |= 1 << place.min(63);
                }
            }
        }
    }

    /// Takes in what came of looking for labels.
    pub(super) fn look(&mut self, looked: &[Looked]) {
        for new in looked {
            match self.looked.iter_mut().find(|old| (old.entry, &old.label) == (new.entry, &new.label)) {
                Some(old) => {
                    old.there |= new.there;
                    old.has.extend(new.has.iter().cloned());
                }
                None => self.looked.push(new.clone()),
            }
        }
    }

    /// Whether it had series of an item.
    pub(super) fn has(&self, item: usize) -> bool {
        self.items.contains(&item)
    }

    /// The systems that a value was ever made of.
    pub(super) fn systems<'a>(&'a self, wants: &Wants, value: usize) -> impl Iterator<Item = &'a Labels> {
        let terms = wants.asked[value].terms().count().min(64) as u32;
        let of_value = self.systems.range((value, Labels::new())..).take_while(move |((at, _), _)| *at == value);
        of_value.filter(move |(_, had)| had.count_ones() == terms).map(|((_, labels), _)| labels)
    }

    /// Whether it had anything of a system of a value.
    pub(super) fn has_of(&self, value: usize, system: &Labels) -> bool {
        self.systems.contains_key(&(value, system.clone()))
    }
}

/// Looks in one source for the labels that presets are narrowed by. `labels_of`: the labels that its metrics of these names have.
pub(super) fn look(wants: &Wants, labelled: &Labelled, labels_of: impl Fn(&[&str]) -> BTreeSet<String>) -> Vec<Looked> {
    let mut looked = Vec::new();
    for (entry, preset) in wants.entries.iter().enumerate().filter(|(_, preset)| !preset.labels.is_empty()) {
        let names = preset.items.iter().flat_map(|item| &wants.items[*item].names).map(String::as_str);
        let names: Vec<&str> = names.filter(|name| labelled.is_there(name)).collect();
        if names.is_empty() {
            continue;
        }
        for label in &preset.labels {
            let there = names.iter().any(|name| labelled.has(name, label));
            let has = if there { BTreeSet::new() } else { labels_of(&names) };
            looked.push(Looked { entry, label: label.clone(), there, has });
        }
    }
    looked
}

/// The presets that are narrowed by a label which no metric of theirs has in any source, each with what is to be said of it.
pub(super) fn mistakes<'a>(wants: &Wants, sources: impl Iterator<Item = &'a Seen>) -> BTreeMap<usize, String> {
    let mut all = Seen::default();
    sources.for_each(|seen| all.look(&seen.looked));
    let said = |looked: &Looked| {
        let mut has: Vec<&str> = looked.has.iter().map(String::as_str).take(LISTED).collect();
        if looked.has.len() > LISTED {
            has.push("…");
        }
        let has = if has.is_empty() { "they have none".to_owned() } else { format!("they have {}", has.join(", ")) };
        let (preset, label) = (wants.entries[looked.entry].name, &looked.label);
        let unless = if wants.incomplete { " in the sources that are read" } else { "" };
        let said =
            format!("`match` of the preset {preset} names the label `{label}`, which none of its metrics has{unless}; {has}");
        (looked.entry, said)
    };
    all.looked.iter().filter(|looked| !looked.there).map(said).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::counters::observe::{Matcher, Observe, Wanted};
    use crate::counters::presets;

    fn wants() -> Wants {
        let preset = presets::find("redis").unwrap();
        let counters = vec![Wanted::Preset { preset, matchers: vec![Matcher::new("instanc", "a")] }];
        Wants::new(&Observe { counters, ..Observe::default() })
    }

    #[test]
    fn a_system_is_one_that_had_a_series_of_every_part() {
        let wants = wants();
        let labels = vec![("instance".to_owned(), "a".to_owned())];
        let item = |metric: &str| wants.items.iter().position(|item| item.names[0] == metric).unwrap();
        let ratio = wants.asked.iter().position(|asked| asked.name == "redis.hit_ratio").unwrap();
        let mut seen = Seen::default();
        seen.add(&wants, item("redis_keyspace_hits_total"), &labels);
        assert_eq!((seen.systems(&wants, ratio).count(), seen.has_of(ratio, &labels)), (0, true));
        seen.add(&wants, item("redis_keyspace_misses_total"), &labels);
        assert_eq!(seen.systems(&wants, ratio).collect::<Vec<_>>(), [&labels]);
        assert!(seen.has(item("redis_keyspace_hits_total")) && !seen.has(item("redis_connected_clients")));
    }

    #[test]
    fn a_label_is_a_mistake_where_the_preset_is_there_and_no_source_has_it() {
        let wants = wants();
        let other = |_: &[&str]| BTreeSet::from(["instance".to_owned(), "job".to_owned()]);
        let mut labelled = Labelled::default();
        assert!(look(&wants, &labelled, other).is_empty());
        labelled.found("redis_connected_clients");
        let mut seen = Seen::default();
        seen.look(&look(&wants, &labelled, other));
        let said = mistakes(&wants, [&seen].into_iter());
        assert!(said[&0].contains("preset redis names the label `instanc`") && said[&0].ends_with("instance, job"), "{said:?}");
        labelled.insert("redis_connected_clients", "instanc");
        let mut has = Seen::default();
        has.look(&look(&wants, &labelled, other));
        assert!(mistakes(&wants, [&seen, &has].into_iter()).is_empty());
    }
}
