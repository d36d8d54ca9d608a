//! Systems that two sources read: an exporter that is read directly, and a Prometheus server that scrapes it, too.
//!
//! The server names a target by its address (`instance`). One address may have several targets (`/scrape?target=…`), so
//! the address alone says little: the counters have to stand at the same values.

use std::collections::BTreeSet;

use super::observe::Kind;
use super::rows::Part;
use super::values::Found;
use super::want::label;

/// What of a Prometheus server is read directly as well: instances, and the items read of them.
#[derive(Debug, Default)]
pub(super) struct Twice(BTreeSet<(String, usize)>);

impl Twice {
    /// Compares sources over a phase of `span` seconds.
    pub(super) fn new(parts: &[Part], span: f64) -> Self {
        let mut twice = BTreeSet::new();
        for direct in parts {
            let Some(instance) = &direct.direct else { continue };
            let stored = || parts.iter().filter(|part| part.direct.is_none());
            if stored().any(|part| is_same(direct.found(), part, instance, span)) {
                twice.extend(direct.found().iter().map(|found| (instance.clone(), found.item)));
            }
        }
        Self(twice)
    }

    /// Whether a series of this source is one that is read directly as well.
    pub(super) fn repeats(&self, part: &Part, found: &Found) -> bool {
        part.direct.is_none() && self.0.contains(&(label(&found.labels, "instance").to_owned(), found.item))
    }
}

/// Whether the counters that a server has of this instance are those that were read directly: some are, and none is another.
fn is_same(direct: &[Found], stored: &Part, instance: &str, span: f64) -> bool {
    let interval = stored.between.as_ref().ok().and_then(|between| between.interval).unwrap_or_default();
    let mut compared = false;
    for read in direct.iter().filter(|found| found.kind == Kind::Counter) {
        let of_instance = |found: &&Found| found.metric == read.metric && label(&found.labels, "instance") == instance;
        let same = |found: &&Found| read.labels.iter().all(|(name, value)| label(&found.labels, name) == value);
        for found in stored.found().iter().filter(of_instance).filter(same) {
            let (Some(a), Some(b)) = (read.track.after, found.track.after) else { continue };
            let (Ok(read), Ok(found)) = (read.track.delta, found.track.delta) else { continue };
            let open = read.most() - read.least() + found.most() - found.least();
            // They aren't read at the same moment, and each reading counts a little itself.
            let meanwhile = 2.0 * interval * read.most().max(found.most()) / span.max(1e-3) + 16.0;
            if (a - b).abs() > open + meanwhile {
                return false;
            }
            compared = true;
        }
    }
    compared
}
