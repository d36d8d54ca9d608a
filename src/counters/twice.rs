//! Systems that two sources read: an exporter that is read directly, and a Prometheus server that scrapes it, too.
//!
//! The server names a target by its address (`instance`). One address may have several targets (`/scrape?target=…`), so the address alone says
//! little. Where the server names its targets, theirs is the same URL. Where it doesn't, the counters have to stand at the same values, and not
//! so near 0 that any others would do.

use std::collections::{BTreeMap, BTreeSet};

use url::Url;

use super::api::Target;
use super::http::{address, is_here, is_same_place};
use super::kind::MetricKind;
use super::labels::{Labels, label, target};
use super::part::SourceFindings;
use super::values::SeriesFindings;

/// The targets whose addresses mean to us what they mean to the server: the `localhost` of another machine isn't ours.
pub(super) fn of_one_address(server: &Url, mut targets: Vec<Target>) -> Vec<Target> {
    targets.retain(|target| is_here(server) || !is_here(&target.url));
    targets
}

/// The series of a Prometheus server that are also read directly, and the items read of them.
#[derive(Debug, Default)]
pub(super) struct Twice(BTreeSet<(String, Labels, usize)>);

impl Twice {
    /// Compares sources over a phase of `span` seconds.
    pub(super) fn new(parts: &[SourceFindings], span: f64) -> Self {
        let mut twice = BTreeSet::new();
        for direct in parts {
            let Some(url) = &direct.direct else { continue };
            let items: BTreeSet<usize> = direct.items().collect();
            for stored in parts.iter().filter(|part| part.direct.is_none()) {
                let mut by_values: BTreeMap<(&str, &str), bool> = BTreeMap::new();
                for found in stored.found().iter().filter(|found| items.contains(&found.item)) {
                    let of @ (job, instance) = target(&found.labels);
                    let mut scraped = stored.targets.iter().flatten().filter(|target| target.has(&found.labels)).peekable();
                    let named = |target: &Target| (target.job.as_str(), target.instance.as_str()) == (job, instance);
                    // A server that doesn't scrape it itself says nothing of where it is.
                    let same = if scraped.peek().is_some() {
                        scraped.all(|target| is_same_place(&target.url, url))
                    } else {
                        let unnamed = !stored.targets.iter().flatten().any(named);
                        let same = || unnamed && is_at(instance, url) && has_same_values(direct.found(), stored, of, span);
                        *by_values.entry(of).or_insert_with(same)
                    };
                    if same {
                        twice.insert((found.metric.clone(), found.labels.clone(), found.item));
                    }
                }
            }
        }
        Self(twice)
    }

    /// Whether a series of this source is one that is read directly as well.
    pub(super) fn repeats(&self, part: &SourceFindings, found: &SeriesFindings) -> bool {
        part.direct.is_none() && self.0.contains(&(found.metric.clone(), found.labels.clone(), found.item))
    }
}

/// Whether an exporter has the host and the port by which a Prometheus that scrapes it calls its `instance`.
fn is_at(instance: &str, url: &Url) -> bool {
    let there = instance.rsplit_once(':').map(|(host, port)| address(host, port));
    there == Some(address(url.host_str().unwrap_or_default(), url.port_or_known_default().unwrap_or_default()))
}

/// Whether the counters that a server has of this target are those that were read directly: some are, and none is another.
fn has_same_values(direct: &[SeriesFindings], stored: &SourceFindings, of: (&str, &str), span: f64) -> bool {
    let interval = stored.between.as_ref().ok().and_then(|between| between.interval).unwrap_or_default();
    let mut compared = false;
    for read in direct.iter().filter(|found| found.kind == MetricKind::Counter) {
        let of_target = |found: &&SeriesFindings| found.metric == read.metric && target(&found.labels) == of;
        let same = |found: &&SeriesFindings| read.labels.iter().all(|(name, value)| label(&found.labels, name) == value);
        for found in stored.found().iter().filter(of_target).filter(same) {
            let (Some(a), Some(b)) = (read.track.after, found.track.after) else { continue };
            let (Ok(read), Ok(found)) = (read.track.delta, found.track.delta) else { continue };
            let open = read.most() - read.least() + found.most() - found.least();
            // They aren't read at the same moment, and each reading counts a little itself.
            let meanwhile = 2.0 * interval * read.most().max(found.most()) / span.max(1e-3) + 16.0;
            if (a - b).abs() > open + meanwhile {
                return false;
            }
            compared |= a.min(b) > 2.0 * (open + meanwhile);
        }
    }
    compared
}
