//! What of the target is read before and after each phase.

use super::resolver::Resolver;
use crate::base::names::{is_label_name, is_metric_name};
use crate::base::written::{At, Entries, Node, Of, Scalar, Tls};
use crate::counters::observe::PROMETHEUS;
use crate::counters::{Access, Matcher, MetricKind, Observe, Ratio, Source, SourceKind, Wanted, presets};
use crate::net::client::{Auth, Held};
use crate::profile::written;

/// Resolves `observe`; without it there is nothing to read.
pub(super) fn observe(resolver: &mut Resolver<'_>) -> Observe {
    let Some(written) = &resolver.profile.written.observe else { return Observe::default() };
    let mut sources = Vec::new();
    if let Some(prometheus) = &written.prometheus
        && let Some(url) = &prometheus.url
        && let Some(access) = access(
            resolver,
            url,
            With {
                token: prometheus.bearer_token.as_ref(),
                token_file: prometheus.bearer_token_file.as_ref(),
                basic: prometheus.basic_auth.as_ref(),
                headers: prometheus.headers.as_ref(),
                timeout: prometheus.timeout.as_ref(),
                tls: prometheus.tls.as_ref(),
            },
        )
    {
        sources.push(Source { name: PROMETHEUS.into(), kind: SourceKind::Prometheus, access });
    }
    for exporter in written.exporters.iter().flatten() {
        let name = &exporter.name.value.0;
        if name == PROMETHEUS || sources.iter().any(|source| source.name == *name) {
            resolver.error(exporter.name.at, format!("there is another source named `{name}`; each wants a name of its own"));
            continue;
        }
        let Some(url) = &exporter.url else { continue };
        let with = With {
            token: exporter.bearer_token.as_ref(),
            token_file: exporter.bearer_token_file.as_ref(),
            basic: exporter.basic_auth.as_ref(),
            headers: exporter.headers.as_ref(),
            timeout: exporter.timeout.as_ref(),
            tls: exporter.tls.as_ref(),
        };
        let Some(access) = access(resolver, url, with) else { continue };
        let same = |source: &&Source| source.kind == SourceKind::Exporter && source.access.reads_the_same(&access);
        if let Some(same) = sources.iter().find(same) {
            let said =
                format!("`{}` has this URL, too, and what is read there would count twice; leave one of them out", same.name);
            resolver.error(url.at, said);
            continue;
        }
        sources.push(Source { name: name.clone(), kind: SourceKind::Exporter, access });
    }
    let counters = written.counters.iter().flatten().filter_map(|counter| wanted(resolver, counter.at, &counter.value)).collect();
    let ratios =
        written.ratios.iter().flat_map(|ratios| ratios.iter()).filter_map(|(name, ratio)| one_ratio(resolver, name, ratio));
    let ratios = ratios.collect();
    let written_sources = usize::from(written.prometheus.is_some()) + written.exporters.iter().flatten().count();
    let incomplete = sources.len() < written_sources;
    Observe { sources, counters, ratios, incomplete, settle: written.settle.is_some_and(|settle| settle.value) }
}

/// How a source wants to be asked.
struct With<'w> {
    token: Option<&'w Scalar>,
    token_file: Option<&'w Scalar>,
    basic: Option<&'w At<written::BasicAuth>>,
    headers: Option<&'w Entries<Scalar>>,
    timeout: Option<&'w Of<std::time::Duration>>,
    tls: Option<&'w Tls>,
}

/// None: it is left out, or wrong.
fn access(resolver: &mut Resolver<'_>, url: &Scalar, with: With<'_>) -> Option<Access> {
    if url.source.trim().is_empty() {
        return None;
    }
    let auth = auth(resolver, &with);
    let With { headers, timeout, tls, .. } = with;
    let mut access = match Access::new(&url.source) {
        Ok(access) => access,
        Err(error) => {
            resolver.error(url.at, error.to_string());
            return None;
        }
    };
    if let Some(auth) = auth {
        access = access.auth(auth);
    }
    for (name, value) in headers.iter().flat_map(|headers| headers.iter()) {
        match (http::HeaderName::try_from(name.value.as_str()), http::HeaderValue::try_from(&value.source)) {
            (Ok(name), Ok(value)) => access = access.header(name, value),
            _ => resolver.error(name.at, format!("`{}` can't be sent as a header", name.value)),
        }
    }
    if let Some(timeout) = timeout {
        access = access.timeout(timeout.value);
    }
    if let Some(tls) = tls {
        access = access.with_tls(super::network::tls_options(resolver, tls));
    }
    Some(access)
}

/// The one credential that is given; empty ones count as absent.
fn auth(resolver: &mut Resolver<'_>, with: &With<'_>) -> Option<Auth> {
    let there = |scalar: Option<&Scalar>| scalar.is_some_and(|scalar| !scalar.source.is_empty());
    let token = with.token.filter(|token| there(Some(token))).map(|token| Auth::Bearer(Held::here(&token.source)));
    let token_file = with.token_file.filter(|file| there(Some(file)));
    let token_file = token_file.map(|file| Auth::Bearer(held(resolver, "bearer_token_file", file)));
    let basic = with.basic.and_then(|basic| basic_auth(resolver, basic));
    let mut given = [("bearer_token", token), ("bearer_token_file", token_file), ("basic_auth", basic)]
        .into_iter()
        .filter_map(|(key, auth)| Some((key, auth?)));
    let (first, auth) = given.next()?;
    if let Some((second, _)) = given.next() {
        let at = with.basic.map(|basic| basic.at).or(with.token_file.map(|file| file.at)).unwrap_or_default();
        resolver.error(at, format!("`{first}` and `{second}` are given; a source takes one of them"));
    }
    Some(auth)
}

fn basic_auth(resolver: &mut Resolver<'_>, written: &At<written::BasicAuth>) -> Option<Auth> {
    let basic = &written.value;
    let password = match (&basic.password, &basic.password_file) {
        (Some(_), Some(file)) => {
            resolver.error(file.at, "`password` and `password_file` are given; `basic_auth` takes one of them");
            return None;
        }
        (Some(password), None) => Held::here(&password.source),
        (None, Some(file)) => held(resolver, "password_file", file),
        (None, None) => {
            resolver.lacking(written.at, "`basic_auth` wants `password` or `password_file`");
            return None;
        }
    };
    Some(Auth::Basic { username: basic.username.source.clone(), password })
}

/// The secret in a file, which must be there.
fn held(resolver: &mut Resolver<'_>, key: &'static str, file: &Scalar) -> Held {
    let held = Held::File { key, path: resolver.profile.file(file.at, &file.source) };
    if let Err(error) = held.read() {
        resolver.error(file.at, error.to_string());
    }
    held
}

fn metric(resolver: &mut Resolver<'_>, name: &Scalar) -> Option<String> {
    if is_metric_name(&name.source) {
        return Some(name.source.clone());
    }
    resolver.error(name.at, format!("`{}` is not the name of a metric; labels go under `match`", name.source));
    None
}

pub(super) fn matchers(resolver: &mut Resolver<'_>, entries: Option<&Entries<Scalar>>) -> Vec<Matcher> {
    let mut matchers = Vec::new();
    for (label, value) in entries.iter().flat_map(|entries| entries.iter()) {
        if is_label_name(&label.value) {
            matchers.push(Matcher::new(&label.value, &value.source));
        } else {
            resolver.error(label.at, format!("`{}` is not the name of a label", label.value));
        }
    }
    matchers
}

fn wanted(resolver: &mut Resolver<'_>, at: Node, counter: &written::Counter) -> Option<Wanted> {
    let matchers = matchers(resolver, counter.matching.as_ref());
    match (&counter.preset, &counter.metric) {
        (Some(name), None) => {
            let Some(preset) = presets::find(&name.source) else {
                let known: Vec<&str> = presets::names().collect();
                resolver.unknown(name.at, "preset", &name.source, known);
                return None;
            };
            Some(Wanted::Preset { preset, matchers })
        }
        (None, Some(name)) => {
            let kind = counter.kind.map(|kind| match kind.value {
                written::ObservedKind::Counter => MetricKind::Counter,
                written::ObservedKind::Gauge => MetricKind::Gauge,
            });
            Some(Wanted::Metric { metric: metric(resolver, name)?, matchers, kind })
        }
        (Some(name), Some(_)) => {
            resolver.error(name.at, "a counter is either a preset or a metric");
            None
        }
        (None, None) => {
            resolver.lacking(at, "a counter wants a preset or a metric: {preset: redis} or {metric: http_requests_total}");
            None
        }
    }
}

fn one_ratio(resolver: &mut Resolver<'_>, name: &At<String>, ratio: &written::RatioOf) -> Option<Ratio> {
    let of = metric(resolver, &ratio.of)?;
    let to: Vec<String> = ratio.to.0.iter().filter_map(|name| metric(resolver, name)).collect();
    let matchers = matchers(resolver, ratio.matching.as_ref());
    Some(Ratio { name: name.value.clone(), of, to, matchers })
}
