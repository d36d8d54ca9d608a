//! Systems that two sources read: an exporter that is read directly, and a Prometheus server that scrapes it, too.
//!
//! The server names a target by its address (`instance`). One address may have several targets (`/scrape?target=…`), so the address alone says
//! little. Where the server tells its targets, theirs is the same URL. Where it doesn't, the counters have to stand at the same values, and not
//! so near 0 that any others would do.

use std::collections::BTreeSet;

use url::Url;

use super::observe::Kind;
use super::rows::Part;
use super::values::Found;
use super::want::{label, target};

/// What a Prometheus server scrapes.
#[derive(Debug, Clone)]
pub(super) struct Target {
    pub(super) job: String,
    pub(super) instance: String,
    pub(super) url: Url,
}

/// What of a Prometheus server is read directly as well: jobs, instances, and the items read of them.
#[derive(Debug, Default)]
pub(super) struct Twice(BTreeSet<(String, String, usize)>);

impl Twice {
    /// Compares sources over a phase of `span` seconds.
    pub(super) fn new(parts: &[Part], span: f64) -> Self {
        let mut twice = BTreeSet::new();
        for direct in parts {
            let Some(url) = &direct.direct else { continue };
            for stored in parts.iter().filter(|part| part.direct.is_none()) {
                for (job, instance) in jobs(stored, url) {
                    let same = match &stored.targets {
                        Some(targets) => targets.iter().any(|target| {
                            (target.job.as_str(), target.instance.as_str()) == (job, instance) && is_same_place(&target.url, url)
                        }),
                        None => has_same_values(direct.found(), stored, (job, instance), span),
                    };
                    if same {
                        let items = direct.found().iter().map(|found| (job.to_owned(), instance.to_owned(), found.item));
                        twice.extend(items);
                    }
                }
            }
        }
        Self(twice)
    }

    /// Whether a series of this source is one that is read directly as well.
    pub(super) fn repeats(&self, part: &Part, found: &Found) -> bool {
        let (job, instance) = target(&found.labels);
        part.direct.is_none() && self.0.contains(&(job.to_owned(), instance.to_owned(), found.item))
    }
}

/// Host and port, as a Prometheus that scrapes it calls its `instance`.
pub(super) fn instance_of(url: &Url) -> String {
    format!("{}:{}", url.host_str().unwrap_or_default(), url.port_or_known_default().unwrap_or_default())
}

/// The targets at the address of an exporter that a server has series of.
pub(super) fn jobs<'a>(stored: &'a Part, url: &Url) -> BTreeSet<(&'a str, &'a str)> {
    let instance = instance_of(url);
    stored.found().iter().map(|found| target(&found.labels)).filter(|(_, of)| *of == instance).collect()
}

fn is_same_place(a: &Url, b: &Url) -> bool {
    let query = |url: &Url| url.query_pairs().into_owned().collect::<BTreeSet<_>>();
    let path = |url: &Url| url.path().trim_end_matches('/').to_owned();
    a.origin() == b.origin() && path(a) == path(b) && query(a) == query(b)
}

/// Whether the counters that a server has of this target are those that were read directly: some are, and none is another.
fn has_same_values(direct: &[Found], stored: &Part, of: (&str, &str), span: f64) -> bool {
    let interval = stored.between.as_ref().ok().and_then(|between| between.interval).unwrap_or_default();
    let mut compared = false;
    for read in direct.iter().filter(|found| found.kind == Kind::Counter) {
        let of_target = |found: &&Found| found.metric == read.metric && target(&found.labels) == of;
        let same = |found: &&Found| read.labels.iter().all(|(name, value)| label(&found.labels, name) == value);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_an_address_with_a_path_and_a_query() {
        let same = |a: &str, b: &str| is_same_place(&a.parse().unwrap(), &b.parse().unwrap());
        assert!(same("http://a:80/metrics?b=1&a=2", "http://a/metrics/?a=2&b=1"));
        assert!(same("http://a/scrape?target=redis%3A%2F%2Fx", "http://a/scrape?target=redis://x"));
        assert!(!same("http://a/scrape?target=x", "http://a/scrape?target=y") && !same("http://a/metrics", "https://a/metrics"));
    }
}
