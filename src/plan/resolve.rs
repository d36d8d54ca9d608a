//! Puts the resolved parts of a profile together.

use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::options::Options;
use super::resolver::Resolver;
use super::types::{DEAD_AFTER, Limits, OnDeadTarget, OnRestart, Plan, Repeat, SERIES_LIMIT, Scenario};
use super::variables::Variables;
use super::{capacity, data, hooks, loads, metrics, observe, schedule, slos, steps, walk, warnings};
use crate::base::files::plain;
use crate::base::names::{LONGEST_PROFILE_NAME, is_profile_name};
use crate::expr::{Names, Symbol, Value, from_json, is_reserved};
use crate::measure::{Layout, ScenarioId, ScenarioLayout};
use crate::net::HostPort;
use crate::profile::{self, Diagnostic, Env, Problems, Profile, Severity, written};

/// Resolves a profile that was read without errors. The warnings are beside the plan.
///
/// # Errors
/// All that is wrong with it, each with its place.
pub fn resolve(profile: &Profile, options: Options) -> Result<(Plan, Vec<Diagnostic>), Problems> {
    match all(profile, options) {
        (Some(plan), diagnostics) if !diagnostics.iter().any(|d| d.severity == Severity::Error) => {
            let mut diagnostics = Problems::new(diagnostics).diagnostics;
            // A file may be included twice.
            let place = |d: &Diagnostic| d.place.as_ref().map(|place| (place.file.path.clone(), place.range.start));
            diagnostics.dedup_by(|a, b| a.message == b.message && place(a) == place(b));
            Ok((plan, diagnostics))
        }
        // What is probably not meant is looked at once the rest is right.
        (_, mut diagnostics) => {
            diagnostics.retain(|diagnostic| diagnostic.severity == Severity::Error);
            Err(Problems::new(diagnostics))
        }
    }
}

/// Reads and resolves a profile: a plan and its warnings, or all that is wrong with either.
///
/// # Errors
/// All that is wrong with the profile, each with its place.
pub fn load(path: &Path, env: &Env, sets: &[(String, String)], options: Options) -> Result<(Plan, Vec<Diagnostic>), Problems> {
    from_loaded(profile::read(path, env, sets), options)
}

/// The same with the file's content given.
///
/// # Errors
/// All that is wrong with the profile, each with its place.
pub fn load_text(
    path: &Path,
    text: String,
    env: &Env,
    sets: &[(String, String)],
    options: Options,
) -> Result<(Plan, Vec<Diagnostic>), Problems> {
    from_loaded(profile::read_text(path, Some(text), env, sets), options)
}

fn from_loaded(loaded: profile::Loaded, options: Options) -> Result<(Plan, Vec<Diagnostic>), Problems> {
    let failed = loaded.failed();
    let mut diagnostics = loaded.diagnostics;
    let Some(profile) = loaded.profile else { return Err(Problems::new(diagnostics)) };
    if !failed {
        return resolve(&profile, options).map(|(plan, warnings)| {
            diagnostics.extend(warnings);
            (plan, diagnostics)
        });
    }
    // The rest may have mistakes of its own. But mistakes that only follow from the first ones are noise, and so are warnings.
    let (_, more) = all(&profile, options);
    diagnostics.extend(more.into_iter().filter(|d| d.severity == Severity::Error && !d.consequent));
    Err(Problems::new(diagnostics))
}

/// Resolves as far as it goes.
fn all(profile: &Profile, options: Options) -> (Option<Plan>, Vec<Diagnostic>) {
    let mut resolver = Resolver::new(profile, options);
    let written = &profile.written;
    let name = written.name.source.trim().to_owned();
    if name.len() > LONGEST_PROFILE_NAME {
        let message = format!(
            "a profile's name has at most {LONGEST_PROFILE_NAME} letters, since runs are stored under it; this one has {}",
            name.len()
        );
        resolver.error(written.name.at, message);
    } else if !is_profile_name(&name) {
        resolver.error(written.name.at, format!("`{name}` can't name a profile; it has small letters, digits and `-`"));
    }
    let mut layout = Layout {
        profile: name.clone(),
        phases: written.phases.iter().map(|phase| phase.name.value.0.clone()).collect(),
        own: metrics::own(&mut resolver),
        trace: written.trace.is_some_and(|trace| trace.value),
        series_limit: written.limits.as_ref().and_then(|limits| limits.series).map_or(SERIES_LIMIT, |series| series.value),
        ..Layout::default()
    };
    let (vars, mut names) = vars(&mut resolver);
    hooks::lists(&mut resolver, &mut names);
    data::data(&mut resolver, &mut names);
    hooks::left_by_setup(&resolver, &mut names);
    let mut flows = Vec::new();
    for (index, (scenario, _)) in written.scenarios.iter().enumerate() {
        debug_assert_eq!(index, layout.scenarios.len());
        layout.scenarios.push(ScenarioLayout::new(&scenario.value));
    }
    for (index, (_, scenario)) in written.scenarios.iter().enumerate() {
        flows.push(steps::flow(&mut resolver, &mut layout, ScenarioId::at(index), scenario, &names));
    }
    let scenario_names: Vec<String> = layout.scenarios.iter().map(|scenario| scenario.name.clone()).collect();
    let paces: Vec<_> = flows.iter().map(|resolved| resolved.pace.clone()).collect();
    let phases = loads::phases(&mut resolver, &scenario_names, &paces);
    if phases.is_empty() {
        let at = resolver.profile.written.name.at;
        resolver.push(
            profile.error(at, "this profile has no phase; write phases: [{name: steady, duration: 1m, load: {…}}]").consequent(),
        );
    }
    layout.judged = phases.iter().filter(|phase| phase.judge).map(|phase| phase.id).collect();
    layout.active = phases.iter().flat_map(|phase| phase.loads.iter().map(|(scenario, _)| (phase.id, *scenario))).collect();
    let observe = observe::observe(&mut resolver);
    layout.target_rows = observe.rows_at_most() * phases.len() as u64;
    let slos::Slos { slos, values } = slos::slos(&mut resolver, &mut layout, &phases, &observe);
    let scenarios: Vec<Scenario> = flows
        .into_iter()
        .enumerate()
        .map(|(index, steps::Resolved { start, start_within, flow, stop, rows, amounts, aside, .. })| {
            let id = ScenarioId::at(index);
            let max_users = phases.iter().filter_map(|phase| phase.load(id)).map(|load| load.max_users()).max().unwrap_or(0);
            Scenario { id, name: scenario_names[index].clone(), start, start_within, flow, stop, rows, amounts, aside, max_users }
        })
        .collect();
    let hooks = hooks::hooks(&mut resolver, &mut layout, &names);
    let data = data::with_users(std::mem::take(&mut resolver.data), &scenarios);
    for host in written.limits.iter().flat_map(|limits| limits.hosts.iter()).flat_map(|hosts| &hosts.0) {
        if let Err(message) = HostPort::parse(&host.source) {
            resolver.error(host.at, message);
        }
    }
    let named: Vec<String> = layout.names().map(str::to_owned).collect();
    let plan = Plan {
        name,
        seed: written.seed.map_or(0, |seed| seed.value),
        layout: Arc::new(layout),
        scenarios,
        data,
        phases,
        hooks,
        lists: std::mem::take(&mut resolver.lists),
        repeat: match written.repeat.map(|repeat| repeat.value) {
            None => Repeat::Times(1),
            Some(written::Repeat::Times(times)) => Repeat::Times(times),
            Some(written::Repeat::Forever) => Repeat::Forever,
        },
        slos,
        values,
        observe,
        schedule: schedule::schedule(&mut resolver),
        on_restart: match written.on_restart.map(|on_restart| on_restart.value).unwrap_or_default() {
            written::OnRestart::Restart => OnRestart::Restart,
            written::OnRestart::Skip => OnRestart::Skip,
        },
        on_dead_target: on_dead_target(profile),
        limits: limits(profile),
        vars,
        env: Value::from_pairs(profile.env.iter().map(|(name, value)| (name.to_owned(), Value::from(value)))),
        variables: Variables::new(&profile.variables, resolver.compiler.env_read()),
        secrets: profile
            .secrets
            .with(
                resolver
                    .routes
                    .keys()
                    .filter_map(|route| route.proxy.as_ref())
                    .flat_map(|proxy| proxy.secrets().map(str::to_owned))
                    .chain(resolver.credentials.iter().cloned()),
            )
            .beside(named),
        uses_builtin: resolver.uses_builtin,
        builtin: resolver.options.builtin.filter(|_| resolver.uses_builtin),
        fingerprint: fingerprint(&resolver),
    };
    warnings::look(&mut resolver, &plan, &paces);
    capacity::look(&mut resolver, &plan);
    (Some(plan), resolver.diagnostics)
}

/// The variables that a profile reads which is wrong, as far as that is known.
pub fn read_in_part(path: &Path, env: &Env, sets: &[(String, String)]) -> Variables {
    let Some(profile) = profile::read(path, env, sets).profile else { return Variables { any: true, ..Variables::default() } };
    let mut variables = all(&profile, Options::default()).0.map_or_else(Variables::default, |plan| plan.variables);
    // What could not be read may read them, too.
    variables.any |= profile.damage.lost("include") || profile.tree.mentions("env");
    variables
}

/// Of everything that was read.
fn fingerprint(resolver: &Resolver<'_>) -> u64 {
    let mut files: Vec<&PathBuf> =
        resolver.tls.keys().flat_map(|tls| [&tls.ca_file, &tls.cert_file, &tls.key_file]).flatten().collect();
    files.sort();
    let mut hasher = DefaultHasher::new();
    resolver.profile.fingerprint().hash(&mut hasher);
    resolver.data_digest.hash(&mut hasher);
    for file in files {
        // One that can't be read has been reported.
        (file, content(file).unwrap_or_default()).hash(&mut hasher);
    }
    hasher.finish()
}

fn content(file: &Path) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    plain(file)?.read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The profile's constants, and the names that are known everywhere.
fn vars(resolver: &mut Resolver<'_>) -> (Vec<(Symbol, Value)>, Names) {
    let mut names = Names::new();
    let mut vars = Vec::new();
    let mut set = BTreeSet::new();
    for flow in walk::flows(&resolver.profile.written) {
        walk::each(flow, &mut |step| set.extend(walk::sets(step).into_iter().map(|name| name.value)));
    }
    for (name, value) in resolver.profile.written.vars.iter().flat_map(|vars| vars.iter()) {
        if is_reserved(&name.value) {
            resolver.error(name.at, format!("`{}` is a name of the program's own; choose another", name.value));
            continue;
        }
        let tree = &resolver.profile.tree;
        if let Some((node, _)) = tree.templates(value.0).into_iter().find(|(node, _)| tree.as_written(*node).contains("{{")) {
            resolver
                .error(node, "a variable of the profile is a constant; what varies is made by a step: set: {name: expression}");
        }
        names.variable(&name.value);
        let symbol = resolver.compiler.symbol(&name.value);
        let value = from_json(&resolver.profile.tree.json(value.0, false));
        if !set.contains(&name.value) {
            resolver.constants.push((symbol, value.clone()));
        }
        vars.push((symbol, value));
    }
    (vars, names)
}

fn on_dead_target(profile: &Profile) -> OnDeadTarget {
    let Some(written) = &profile.written.on_dead_target else { return OnDeadTarget::default() };
    OnDeadTarget {
        after: written.after.map_or(DEAD_AFTER, |after| after.value),
        action: written.action.map(|action| action.value).unwrap_or_default(),
    }
}

fn limits(profile: &Profile) -> Limits {
    let Some(limits) = &profile.written.limits else { return Limits::default() };
    Limits {
        rate: limits.rate.map(|rate| rate.value.0),
        users: limits.users.map(|users| users.value),
        hosts: limits.hosts.iter().flat_map(|hosts| &hosts.0).map(|host| host.source.clone()).collect(),
    }
}
