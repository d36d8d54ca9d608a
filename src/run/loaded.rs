//! A profile that is ready to run.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use crate::exposition::{self, Shown};
use crate::measure::Store;
use crate::measure::process::unix_time;
use crate::plan::{self, Plan};
use crate::profile::{Diagnostic, Env, Problems, first_of};
use crate::target::{self, Target};

use super::phase_book;

/// See the module.
pub struct Loaded {
    /// Where it was read.
    pub path: PathBuf,
    /// What to do.
    pub plan: Arc<Plan>,
    /// What is measured and shown, for as long as the profile is loaded.
    pub store: Arc<Shown>,
    /// What may be wrong with it, rendered.
    pub warnings: Vec<String>,
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
    /// Two profiles are called the same, so that their series could not be distinguished.
    #[error("{first} and {second} both have the name `{name}`; give each profile a `name` of its own", first = first.display(), second = second.display())]
    SameName {
        /// The name.
        name: String,
        /// One file.
        first: PathBuf,
        /// The other.
        second: PathBuf,
    },
    /// `--set` gives keys that no profile reads.
    #[error("{0}")]
    Unread(String),
    /// Two profiles can't be shown on the same `/metrics`.
    #[error("these profiles can't be loaded together: {0}")]
    Conflict(String),
}

impl Loaded {
    /// Reads several profiles that are to share one `/metrics`; all that is wrong with any of them is reported at once. `kept`:
    /// those of them that were loaded before, at a reload. `shards`: how many generators share their runs.
    ///
    /// # Errors
    /// As [`Loaded::load`]; two of one name, or a metric that is of one kind here and of another there. A key of `sets` that no
    /// profile reads; at a reload that is a warning.
    pub fn load_all(
        paths: &[PathBuf],
        env: &Env,
        sets: &[(String, String)],
        kept: &[Arc<Loaded>],
        shards: u64,
    ) -> Result<Vec<Self>, LoadError> {
        let mut all: Vec<Self> = Vec::new();
        let (mut problems, mut in_part) = (Vec::new(), Vec::new());
        for path in paths {
            let before = kept.iter().find(|kept| kept.path == *path).map(AsRef::as_ref);
            match Self::load(path, env, sets, before, shards) {
                Ok(loaded) => all.push(loaded),
                Err(LoadError::Problems(more)) => {
                    problems.extend(more.diagnostics);
                    in_part.push(plan::read_in_part(path, env, sets));
                }
                Err(error) => return Err(error),
            }
        }
        let unread = plan::unread(sets, all.iter().map(|loaded| &loaded.plan.variables).chain(&in_part));
        if !problems.is_empty() {
            let unread = unread.filter(|_| kept.is_empty());
            problems.extend(unread.iter().flat_map(|unread| unread.lines()).map(|line| Diagnostic::error(None, line)));
            return Err(LoadError::Problems(Problems::new(problems)));
        }
        together(all.iter().map(|loaded| (loaded.path.as_path(), loaded.plan.as_ref())))?;
        match (unread, all.first_mut()) {
            (Some(unread), _) if kept.is_empty() => return Err(LoadError::Unread(unread)),
            // Nobody who reloads can change the command line.
            (Some(unread), Some(first)) => first.warnings.extend(unread.lines().map(str::to_owned)),
            _ => {}
        }
        Ok(all)
    }

    /// Reads and resolves a profile; starts the built-in target if it is loaded. `kept` is what an earlier load of the
    /// same profile left: its target goes on, and so does its store if its labels are the same.
    ///
    /// # Errors
    /// The profile is wrong, or the target can't be started.
    pub fn load(
        path: &Path,
        env: &Env,
        sets: &[(String, String)],
        kept: Option<&Loaded>,
        shards: u64,
    ) -> Result<Self, LoadError> {
        let read =
            |builtin| plan::load(path, env, sets, plan::Options { builtin, shards, enforce: true }).map_err(LoadError::Problems);
        let mut target = kept.and_then(|kept| kept.target.clone());
        let (mut plan, mut warnings) = read(target.as_ref().and_then(|target| builtin(target)))?;
        if plan.uses_builtin && target.is_none() {
            let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
            let options = target::Options { tcp: Some(address), ..target::Options::default() };
            let started = Target::start(address, options).map_err(LoadError::Target)?;
            (plan, warnings) = read(builtin(&started))?;
            target = Some(Arc::new(started));
        }
        let target = target.filter(|_| plan.uses_builtin);
        let same = kept.filter(|kept| kept.plan.layout == plan.layout);
        let store = same.map_or_else(|| store(&plan), |kept| kept.store.clone());
        let warnings = first_of(warnings.iter(), Diagnostic::line);
        Ok(Self { path: path.to_owned(), plan: Arc::new(plan), store, warnings, target })
    }
}

/// Whether profiles can share one `/metrics`.
///
/// # Errors
/// Two of one name, or metrics of their own that can't be distinguished.
pub fn together<'a>(all: impl Iterator<Item = (&'a Path, &'a Plan)>) -> Result<(), LoadError> {
    let all: Vec<_> = all.collect();
    for (index, (second, plan)) in all.iter().enumerate() {
        if let Some((first, _)) = all[..index].iter().find(|(_, first)| first.name == plan.name) {
            let (name, first, second) = (plan.name.clone(), first.to_path_buf(), second.to_path_buf());
            return Err(LoadError::SameName { name, first, second });
        }
    }
    match exposition::conflict(all.iter().map(|(_, plan)| &plan.layout)) {
        Some(conflict) => Err(LoadError::Conflict(conflict)),
        None => Ok(()),
    }
}

/// What is measured, with all that is known before a run.
fn store(plan: &Plan) -> Arc<Shown> {
    let store = Shown::new(Store::new(plan.layout.clone()));
    store.gauges.set_reload(true, unix_time(SystemTime::now()));
    store.set_slos(&phase_book::objectives(plan));
    store
}

/// Where the built-in target listens; it does so for TCP too.
fn builtin(target: &Target) -> Option<plan::Builtin> {
    Some(plan::Builtin { http: target.address(), tcp: target.tcp_address()? })
}
