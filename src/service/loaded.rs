//! A profile that is ready to run.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::measure::Store;
use crate::plan::{self, Plan};
use crate::profile::{Env, Problems};
use crate::target::{self, Target};

/// See the module.
pub struct Loaded {
    /// Where it was read.
    pub path: PathBuf,
    /// What to do.
    pub plan: Arc<Plan>,
    /// What is measured, for as long as the profile is loaded.
    pub store: Arc<Store>,
    /// What may be wrong with it, rendered.
    pub warnings: Vec<String>,
    /// Tells whether another load of the same files says the same.
    pub fingerprint: u64,
    /// The built-in target, while something may load it.
    pub target: Option<Arc<Target>>,
}

/// Why a profile can't be run.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// It is wrong.
    #[error("{0}")]
    Problems(Problems),
    /// The built-in target can't be had.
    #[error("the built-in target could not be started: {0}")]
    Target(io::Error),
}

impl Loaded {
    /// Reads and resolves a profile; starts the built-in target if it is loaded. `kept` is what an earlier load of the
    /// same profile left: its target goes on, and so does its store if its labels are the same.
    ///
    /// # Errors
    /// The profile is wrong, or the target can't be started.
    pub fn load(path: &Path, env: &Env, sets: &[(String, String)], kept: Option<&Loaded>) -> Result<Self, LoadError> {
        let read = |builtin| plan::load(path, env, sets, plan::Options { builtin }).map_err(LoadError::Problems);
        let mut target = kept.and_then(|kept| kept.target.clone());
        let (mut plan, mut warnings) = read(target.as_ref().map(|target| target.address()))?;
        if plan.uses_builtin && target.is_none() {
            let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
            let started = Target::start(address, target::Options::default()).map_err(LoadError::Target)?;
            (plan, warnings) = read(Some(started.address()))?;
            target = Some(Arc::new(started));
        }
        let target = target.filter(|_| plan.uses_builtin);
        let same = kept.filter(|kept| kept.plan.layout == plan.layout);
        let store = same.map_or_else(|| Store::new(plan.layout.clone()), |kept| kept.store.clone());
        let warnings = warnings.iter().map(|warning| warning.line()).collect();
        Ok(Self { path: path.to_owned(), fingerprint: fingerprint(path), plan: Arc::new(plan), store, warnings, target })
    }
}

fn fingerprint(path: &Path) -> u64 {
    use std::hash::{DefaultHasher, Hash, Hasher};
    let mut hasher = DefaultHasher::new();
    std::fs::read(path).unwrap_or_default().hash(&mut hasher);
    hasher.finish()
}
