//! What is asked of a Prometheus server: selectors for what is wanted, and which of a metric's names to take.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::api::Series;
use super::labels::{Labels, target};
use super::observe::Matcher;
use super::want::{CREATED, Item, Labelled, Wants, created};

/// Most targets whose start times are looked for.
pub(super) const TARGETS: usize = 200;
/// Labels of series that have their start time in common with others.
const OF_PARTS: [&str; 2] = ["le", "quantile"];

/// Items that are asked for with one selector.
pub(super) struct Group {
    pub(super) names: Vec<String>,
    pub(super) matchers: Vec<(String, String)>,
    /// Of a preset: a matcher applies to the metrics that have its label.
    pub(super) lenient: bool,
}

impl Group {
    /// Whether an item is asked for with it.
    pub(super) fn holds(&self, item: &Item) -> bool {
        let matchers = item.matchers.iter().map(|of| (&of.label, &of.value));
        self.lenient == item.lenient && matchers.eq(self.matchers.iter().map(|(label, value)| (label, value)))
    }

    /// What all of its series are among.
    pub(super) fn widest(&self) -> String {
        if !self.lenient {
            return selector(&self.names, &self.matchers);
        }
        let any = |(label, value): &(String, String)| format!(",{label}=~\"{}|\"", quoted(&escaped(value)));
        format!("{{__name__=~\"{}\"{}}}", self.names.join("|"), self.matchers.iter().map(any).collect::<String>())
    }

    /// The series of these of its names that have this label.
    pub(super) fn having(names: &[String], label: &str) -> String {
        format!("{{__name__=~\"{}\",{label}=~\".+\"}}", names.join("|"))
    }

    /// These of its names, by the labels that each has.
    pub(super) fn narrowed(&self, names: &[String], labelled: &Labelled) -> Vec<Self> {
        let mut by_matchers: BTreeMap<Vec<(String, String)>, Vec<String>> = BTreeMap::new();
        for name in names {
            let applies = |(label, _): &&(String, String)| !self.lenient || labelled.has(name, label);
            by_matchers.entry(self.matchers.iter().filter(applies).cloned().collect()).or_default().push(name.clone());
        }
        by_matchers.into_iter().map(|(matchers, names)| Self { names, matchers, lenient: false }).collect()
    }
}

/// One group for each set of matchers.
pub(super) fn groups(wants: &Wants) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    for item in &wants.items {
        let at = groups.iter().position(|group| group.holds(item)).unwrap_or_else(|| {
            let matchers = item.matchers.iter().map(|m| (m.label.clone(), m.value.clone())).collect();
            groups.push(Group { names: Vec::new(), matchers, lenient: item.lenient });
            groups.len() - 1
        });
        let new = item.names.iter().filter(|name| !groups[at].names.contains(name)).cloned().collect::<Vec<_>>();
        groups[at].names.extend(new);
    }
    groups
}

/// `{__name__=~"a|b",job="api"}`; names of metrics need no quoting in a regular expression.
pub(super) fn selector(names: &[String], matchers: &[(String, String)]) -> String {
    selector_of_targets(names, matchers, std::iter::empty())
}

/// The same, of these targets only, if there are any.
pub(super) fn selector_of_targets<'a>(
    names: &[String],
    matchers: &[(String, String)],
    targets: impl IntoIterator<Item = (&'a str, &'a str)>,
) -> String {
    let matchers: String = matchers.iter().map(|(label, value)| format!(",{label}=\"{}\"", quoted(value))).collect();
    let (jobs, instances): (BTreeSet<_>, BTreeSet<_>) = targets.into_iter().unzip();
    let any = |values: BTreeSet<&str>| quoted(&values.into_iter().map(escaped).collect::<Vec<_>>().join("|"));
    let targets =
        if jobs.is_empty() { String::new() } else { format!(",job=~\"{}\",instance=~\"{}\"", any(jobs), any(instances)) };
    format!("{{__name__=~\"{}\"{matchers}{targets}}}", names.join("|"))
}

/// The selector of one series; the name is among its labels.
pub(super) fn selector_of(labels: &Labels) -> String {
    let matchers: Vec<String> = labels.iter().map(|(label, value)| format!("{label}=\"{}\"", quoted(value))).collect();
    format!("{{{}}}", matchers.join(","))
}

/// The name that each target has for each item: the first of the item's. A target that goes by several of them counts once.
#[derive(Debug, Default)]
pub(super) struct Best(HashMap<(usize, String, String), usize>);

impl Best {
    fn key(item: usize, labels: &Labels) -> (usize, String, String) {
        let (job, instance) = target(labels);
        (item, job.to_owned(), instance.to_owned())
    }

    pub(super) fn add(&mut self, item: usize, rank: usize, labels: &Labels) {
        let best = self.0.entry(Self::key(item, labels)).or_insert(rank);
        *best = rank.min(*best);
    }

    pub(super) fn is(&self, item: usize, rank: usize, labels: &Labels) -> bool {
        self.0.get(&Self::key(item, labels)) == Some(&rank)
    }
}

/// Keeps a bounded number of different warnings.
pub(super) fn keep(warnings: &mut Vec<String>, more: Vec<String>) {
    for warning in more {
        if warnings.len() < 20 && !warnings.contains(&warning) {
            warnings.push(warning);
        }
    }
}

/// Selectors for the start times of the targets that these series are of, for each metric that shows one; and what was left
/// out. Without the targets a common name (`process_start_time_seconds`) would bring those of all that the server scrapes, and
/// without `match` a series' own start time those of its siblings.
pub(super) fn start_selectors(wants: &Wants, series: &[Series]) -> (Vec<String>, Vec<String>) {
    let mut targets: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
    for series in series {
        for (item, _) in wants.find(&series.metric, &series.labels) {
            let (item, own) = (&wants.items[item], created(&series.metric));
            for (start, _) in item.starts.iter().filter(|(start, _)| *start == own || !start.ends_with(CREATED)) {
                let narrows = |matcher: &&Matcher| *start == own && !item.lenient && !OF_PARTS.contains(&&*matcher.label);
                let matchers: Vec<_> = item.matchers.iter().filter(narrows).map(|m| (m.label.clone(), m.value.clone())).collect();
                targets.entry((start.clone(), matchers)).or_default().insert(target(&series.labels));
            }
        }
    }
    let mut left_out = Vec::new();
    let mut together: BTreeMap<_, Vec<String>> = BTreeMap::new();
    for ((start, matchers), targets) in targets {
        if targets.len() <= TARGETS {
            together.entry((matchers, targets)).or_default().push(start);
        } else if !start.ends_with(CREATED) {
            // That each series has a start time of its own is a guess: few have one.
            left_out.push(format!("restarts are seen only where values fall: more than {TARGETS} targets have a {start}"));
        }
    }
    let selectors = together.into_iter().map(|((matchers, targets), starts)| selector_of_targets(&starts, &matchers, targets));
    (selectors.collect(), left_out)
}

/// A text as a regular expression that matches it alone.
fn escaped(text: &str) -> String {
    text.chars().flat_map(|c| if c.is_ascii_punctuation() { vec!['\\', c] } else { vec![c] }).collect()
}

/// A text within PromQL's double quotes.
fn quoted(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::counters::observe::{Observe, Wanted};

    #[test]
    fn selectors_quote_what_profiles_give() {
        let matchers = [("path".to_owned(), "a\"b\\c\n".to_owned())];
        assert_eq!(selector(&["x".into(), "y".into()], &matchers), "{__name__=~\"x|y\",path=\"a\\\"b\\\\c\\n\"}");
    }

    #[test]
    fn start_times_are_asked_of_the_targets_at_hand_only() {
        let metric = |metric: &str, matchers| Wanted::Metric { metric: metric.into(), matchers, kind: None };
        let wants = Wants::new(&Observe { counters: vec![metric("hits_total", Vec::new())], ..Observe::default() });
        let series = |instance: &str| {
            let labels = vec![("instance".to_owned(), instance.to_owned()), ("job".to_owned(), "api".to_owned())];
            Series { metric: "hits_total".into(), labels, samples: Vec::new(), histogram: false }
        };
        let (selectors, left_out) = start_selectors(&wants, &[series("10.0.0.1:80"), series("b")]);
        let expected = r#"{__name__=~"hits_created|process_start_time_seconds",job=~"api",instance=~"10\\.0\\.0\\.1\\:80|b"}"#;
        assert_eq!((selectors, left_out), (vec![expected.to_owned()], Vec::new()));
        let many: Vec<Series> = (0..=TARGETS).map(|n| series(&n.to_string())).collect();
        let (selectors, left_out) = start_selectors(&wants, &many);
        assert!(selectors.is_empty());
        // Not one of each `_created`, which most haven't.
        let [said] = &*left_out else { panic!("{left_out:?}") };
        assert!(said.contains("only where values fall") && said.ends_with("process_start_time_seconds"), "{said}");
        // A bucket has the start time of its histogram, and not those of the siblings that nobody asked for.
        let matchers = vec![Matcher::new("le", "0.1"), Matcher::new("path", "/x")];
        let wants = Wants::new(&Observe { counters: vec![metric("took_bucket", matchers)], ..Observe::default() });
        let labels = [("instance", "b"), ("le", "0.1"), ("path", "/x")].map(|(name, value)| (name.to_owned(), value.to_owned()));
        let bucket = Series { metric: "took_bucket".into(), labels: labels.to_vec(), samples: Vec::new(), histogram: false };
        let (selectors, _) = start_selectors(&wants, &[bucket]);
        let own = r#"{__name__=~"took_created",path="/x",job=~"",instance=~"b"}"#;
        assert_eq!(selectors, [r#"{__name__=~"process_start_time_seconds",job=~"",instance=~"b"}"#, own]);
    }
}
