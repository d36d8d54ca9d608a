//! HTTP steps: the keys of a step over those of its scenario and of the profile, made into a request.

use std::time::Duration;

use bytes::Bytes;
use http::header::AUTHORIZATION;
use http::{HeaderName, Method};

use super::multipart;
use super::network;
use super::resolver::Resolver;
use crate::base::written::{At, Entries, Form, Many, Node, Text};
use crate::expr::{JsonTemplate, Names, Template, bodiless};
use crate::protocol::TIMEOUT;
use crate::protocol::http::written::{Auth, Basic, HttpDefaults, HttpStep, Settings, Version};
use crate::protocol::http::{Body, BuildError, Connections, Request, Spec, split_scheme};

/// The host that the built-in target is put under where it doesn't run, for a check.
const NOWHERE: &str = "http://127.0.0.1:0";
/// The body of `base_url: builtin`.
const BUILTIN: &str = "builtin";

/// What is wrong with an `auth` that has neither of its keys, or both.
const ONE_OF_AUTH: &str = "`auth` is one of basic: {user: …, password: …} and bearer: token";

/// What stands above a step: the scenario's defaults, then the profile's.
pub(super) type Above<'a> = [Option<&'a HttpDefaults>; 2];

/// The method, and where it goes; an error if there is none or more than one.
pub(super) fn target<'s>(resolver: &mut Resolver<'_>, at: Node, step: &'s HttpStep) -> Option<(Method, &'s Text)> {
    let named = [
        (Method::GET, &step.get),
        (Method::POST, &step.post),
        (Method::PUT, &step.put),
        (Method::PATCH, &step.patch),
        (Method::DELETE, &step.delete),
        (Method::HEAD, &step.head),
        (Method::OPTIONS, &step.options),
    ];
    let mut found: Vec<(Method, &Text)> =
        named.into_iter().filter_map(|(method, text)| text.as_ref().map(|text| (method, text))).collect();
    match (&step.method, &step.url) {
        (Some(method), Some(url)) => match Method::from_bytes(method.source.as_bytes()) {
            Ok(method) => found.push((method, url)),
            Err(_) => resolver.error(method.at, format!("`{}` is not a method of HTTP", method.source)),
        },
        (Some(method), None) => resolver.lacking(method.at, "`method` goes with `url`"),
        (None, Some(url)) => resolver.lacking(url.at, "`url` goes with `method`; or write get: /path"),
        (None, None) => {}
    }
    match found.len() {
        1 => found.pop(),
        0 => {
            if step.method.is_none() && step.url.is_none() {
                resolver.lacking(at, "this request has no method; write one like get: /path");
            }
            None
        }
        _ => {
            resolver.error(found[1].1.at, "this request has two methods; make two steps of it");
            None
        }
    }
}

/// The name of a step that has none: method and path as written.
pub(super) fn default_name(resolver: &Resolver<'_>, method: &Method, url: &Text) -> String {
    format!("{method} {}", path_as_written(resolver, url))
}

/// The path of a URL as written, without its query.
pub(super) fn path_as_written<'p>(resolver: &Resolver<'p>, url: &Text) -> &'p str {
    let written = resolver.profile.tree.as_written(url.at);
    let path = match split_scheme(written) {
        None => written,
        Some((_, rest)) => first_of(rest, &['/', '?', '#']).map_or("", |at| &rest[at..]),
    };
    match first_of(path, &['?', '#']).map_or(path, |end| &path[..end]) {
        "" => "/",
        path => path,
    }
}

/// Where the first of these characters stands; those within an expression are none of a URL's own.
fn first_of(text: &str, ends: &[char]) -> Option<usize> {
    let mut depth = 0usize;
    for (at, c) in text.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth = depth.saturating_sub(1),
            c if depth == 0 && ends.contains(&c) => return Some(at),
            _ => {}
        }
    }
    None
}

/// Makes the request. Where users sign in (`signs_in`), the defaults' headers may want what isn't there before they have.
pub(super) fn request(
    resolver: &mut Resolver<'_>,
    at: Node,
    (method, url): (Method, &Text),
    step: &HttpStep,
    above: Above<'_>,
    names: &Names,
    signs_in: bool,
) -> Option<Request> {
    let errors = resolver.diagnostics.len();
    let layers: Vec<Settings<'_>> =
        std::iter::once(step.settings()).chain(above.into_iter().flatten().map(HttpDefaults::settings)).collect();
    let path = resolver.url(url, names);
    let mut spec = Spec::new(method, path.unwrap_or_else(|| Template::literal("")));
    let builtin = base(resolver, &mut spec, url, above, names);
    hosts(resolver, &mut spec, url, builtin.unwrap_or(false));
    spec.query = pairs(resolver, step.query.as_ref(), names);
    let headers_of: Vec<&Entries<Text>> = layers.iter().filter_map(|layer| layer.headers).collect();
    spec.headers = headers(resolver, &headers_of, names);
    let by_auth = auth(resolver, &mut spec, &layers, names);
    if signs_in {
        let own = |name: &HeaderName| {
            step.settings()
                .headers
                .iter()
                .flat_map(|own| own.iter())
                .any(|(key, _)| key.value.eq_ignore_ascii_case(name.as_str()))
                || (by_auth && *name == AUTHORIZATION)
        };
        let sent = spec.headers.iter().map(|(name, _)| name).chain(spec.basic.is_some().then_some(&AUTHORIZATION));
        spec.may_lack = sent.filter(|name| !own(name)).cloned().collect();
    }
    spec.body = body(resolver, url.at, step, names);
    settings(resolver, &mut spec, &layers);
    spec.reads_body = resolver.bodies.contains(&at);
    let extracts = step.extract.iter().flat_map(|entries| entries.iter()).any(|(_, form)| match form {
        Form::Short(_) => true,
        Form::Long(extraction) => extraction.header.is_none(),
    });
    let tree = &resolver.profile.tree;
    let mut looked_at = ["expect", "check"].into_iter().filter_map(|key| tree.get(at, key));
    spec.step_reads = extracts || looked_at.any(|node| tree.names_beyond(node, &[], "response", &bodiless()));
    spec.reads_body |= extracts;
    // A mistake of the base is reported once, and not again for every step that stands behind it.
    if builtin.is_none() || resolver.diagnostics[errors..].iter().any(|d| d.severity == crate::profile::Severity::Error) {
        return None;
    }
    match Request::new(spec) {
        Ok(request) => {
            resolver.credentials.extend(request.constant_credentials().secrets());
            Some(request)
        }
        Err(error) => {
            let at = match &error {
                BuildError::Url { .. } | BuildError::TwoUsers => url.at,
                BuildError::Header(name) | BuildError::Framing(name) => layers
                    .iter()
                    .flat_map(|layer| layer.headers.iter().flat_map(|headers| headers.iter()))
                    .find(|(key, _)| key.value.eq_ignore_ascii_case(name.as_str()))
                    .map_or(url.at, |(key, _)| key.at),
            };
            resolver.error(at, error.to_string());
            None
        }
    }
}

/// Puts in what paths are put behind. Says whether that is the built-in target; nothing if it can't be used.
fn base(resolver: &mut Resolver<'_>, spec: &mut Spec, url: &Text, above: Above<'_>, names: &Names) -> Option<bool> {
    let Some(base) = above.into_iter().flatten().find_map(|defaults| defaults.base_url.as_ref()) else {
        if url.source.starts_with('/') {
            resolver.lacking(
                url.at,
                "this is a path, and there is no `base_url` to put before it; set defaults: {http: {base_url: …}} or write the whole URL",
            );
            return None;
        }
        return Some(false);
    };
    if base.source.trim() == BUILTIN {
        resolver.uses_builtin = true;
        let address = resolver.options.builtin.map_or_else(|| NOWHERE.to_owned(), |target| format!("http://{}", target.http));
        spec.base_url = Some(Template::literal(&address));
        return Some(true);
    }
    let template = resolver.url(base, names)?;
    if let Template::Static(text) = &template {
        let wrong = match url::Url::parse(text) {
            Ok(parsed) if !matches!(parsed.scheme(), "http" | "https") => {
                Some(format!("`base_url` must begin with http:// or https://, and this begins with {}:", parsed.scheme()))
            }
            Ok(parsed) if parsed.query().is_some() || parsed.fragment().is_some() => {
                Some("`base_url` has a query or a fragment, and paths are put behind it; write the query at the steps: `query: {key: …}`".to_owned())
            }
            Ok(parsed) if parsed.host_str().is_none_or(str::is_empty) => {
                Some("`base_url` has no host; write one like http://127.0.0.1:8080".to_owned())
            }
            Ok(_) => None,
            Err(error) => Some(format!("`base_url` is not a URL ({error}); write one like http://127.0.0.1:8080")),
        };
        if let Some(message) = wrong {
            resolver.error(base.at, message);
            return None;
        }
    }
    spec.base_url = Some(template);
    check_host(resolver, base).then_some(false)
}

/// The hosts that may be loaded.
fn hosts(resolver: &mut Resolver<'_>, spec: &mut Spec, url: &Text, builtin: bool) {
    let Some(hosts) = resolver.allowed_hosts(builtin) else { return };
    spec.hosts = Some(hosts.into());
    check_host(resolver, url);
}

/// Reports a host that is not allowed, as far as it is known before a user runs; `false` if it isn't.
pub(super) fn check_host(resolver: &mut Resolver<'_>, text: &Text) -> bool {
    let Some(hosts) = resolver.allowed_hosts(false) else { return true };
    let Some((scheme, rest)) = split_scheme(&text.source) else { return true };
    let authority = &rest[..rest.find(['/', '?', '#']).unwrap_or(rest.len())];
    if authority.contains("{{") {
        return true;
    }
    let secure = ["https", "wss"].iter().any(|secure| scheme.eq_ignore_ascii_case(secure));
    let scheme = if secure { "https" } else { "http" };
    let Ok(parsed) = url::Url::parse(&format!("{scheme}://{authority}")) else { return true };
    let (host, port) = (parsed.host_str().unwrap_or_default(), parsed.port_or_known_default().unwrap_or_default());
    let allowed = hosts.iter().any(|allowed| allowed.covers(host, port));
    if !allowed {
        let shown = parsed.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
        resolver.error(text.at, format!("`{shown}` must not be loaded; add it to `limits: {{hosts: …}}` if it may be"));
    }
    allowed
}

pub(super) fn pairs(
    resolver: &mut Resolver<'_>,
    entries: Option<&Entries<Many<Text>>>,
    names: &Names,
) -> Vec<(String, Template)> {
    let mut pairs = Vec::new();
    for (name, values) in entries.iter().flat_map(|entries| entries.iter()) {
        for value in &values.0 {
            if let Some(template) = resolver.template(value, names) {
                pairs.push((name.value.clone(), template));
            }
        }
    }
    pairs
}

/// Reports names in one mapping that differ in their case only: they are one header.
fn repeated_names(resolver: &mut Resolver<'_>, headers: &Entries<Text>) {
    for (at, (key, _)) in headers.iter().enumerate() {
        if let Some((first, _)) = headers.iter().take(at).find(|(first, _)| first.value.eq_ignore_ascii_case(&key.value)) {
            let message = format!(
                "`{}` and `{}` are the same header, for its name may be in any case; write one of them",
                first.value, key.value
            );
            resolver.error(key.at, message);
        }
    }
}

/// Whether there is nothing in a header's value, or in `authorization` a scheme without a token.
fn is_empty(name: &str, value: &Text) -> bool {
    match value.source.trim() {
        "" => true,
        "Bearer" | "Basic" => name.eq_ignore_ascii_case("authorization"),
        _ => false,
    }
}

/// Whether the environment left a value empty.
fn is_absent(resolver: &Resolver<'_>, name: &str, value: &Text) -> bool {
    is_empty(name, value) && resolver.profile.is_of_environment(value.at)
}

/// Whether `auth` says nothing at all: it has no key, or its `basic` has none.
fn is_bare(resolver: &Resolver<'_>, auth: Node) -> bool {
    let (profile, tree) = (&resolver.profile, &resolver.profile.tree);
    match tree.get(auth, "basic") {
        Some(basic) => ["user", "password"].iter().all(|key| tree.get(basic, key).is_none()) && !profile.is_of_environment(basic),
        None => tree.get(auth, "bearer").is_none(),
    }
}

/// What a layer writes as `auth`, if the environment left anything of it.
fn written_auth<'s>(resolver: &Resolver<'_>, layer: &Settings<'s>) -> Option<&'s At<Auth>> {
    layer.auth.filter(|auth| {
        let basic = auth.value.basic.iter().flat_map(|basic| [&basic.user, &basic.password]).flatten();
        let mut parts = auth.value.bearer.iter().chain(basic);
        // A part that is empty where it is wanted isn't there at all.
        parts.any(|part| !is_absent(resolver, "", part))
    })
}

/// The headers of all layers, the nearest to the step first; names in any case.
pub(super) fn headers(resolver: &mut Resolver<'_>, layers: &[&Entries<Text>], names: &Names) -> Vec<(HeaderName, Template)> {
    let mut found: Vec<(HeaderName, Option<Template>)> = Vec::new();
    for layer in layers {
        repeated_names(resolver, layer);
    }
    for (key, value) in layers.iter().flat_map(|headers| headers.iter()) {
        let Ok(name) = HeaderName::try_from(key.value.as_str()) else {
            resolver.error(key.at, format!("`{}` can't be the name of a header", key.value));
            continue;
        };
        if found.iter().any(|(other, _)| *other == name) {
            continue;
        }
        // Such a one is left out, and that of the defaults with it.
        let empty = is_absent(resolver, name.as_str(), value) || name == AUTHORIZATION && is_empty(name.as_str(), value);
        let template = if empty { None } else { resolver.template(value, names) };
        found.push((name, template));
    }
    found.into_iter().filter_map(|(name, template)| template.map(|template| (name, template))).collect()
}

/// Who asks, by the nearest layer that says it: as `auth`, or as a header. Whether that is the first layer's `auth`.
fn auth(resolver: &mut Resolver<'_>, spec: &mut Spec, layers: &[Settings<'_>], names: &Names) -> bool {
    let mut found = None;
    for (place, layer) in layers.iter().enumerate() {
        let mut headers = layer.headers.iter().flat_map(|headers| headers.iter());
        let header = headers.find(|(key, _)| key.value.eq_ignore_ascii_case("authorization"));
        if let (Some(_), Some((key, _))) = (layer.auth, header) {
            resolver.error(key.at, "`auth` and the header `authorization` are one thing; write one of them");
        }
        if let Some(auth) = layer.auth.filter(|auth| is_bare(resolver, auth.at)) {
            resolver.error(auth.at, ONE_OF_AUTH);
        }
        let auth = written_auth(resolver, layer).map(|auth| Some((place, auth)));
        found = found.or(auth).or(header.map(|_| None));
    }
    let Some(Some((place, auth))) = found else { return false };
    spec.headers.retain(|(name, _)| *name != AUTHORIZATION);
    match (&auth.value.basic, &auth.value.bearer) {
        (Some(Basic { user, password }), None) => {
            let mut part = |text: &Option<Text>| match text {
                Some(text) => resolver.template(text, names),
                None => Some(Template::literal("")),
            };
            let pair = part(user).zip(part(password));
            if let (Some(user), Some((Template::Static(name), _))) = (user, &pair)
                && name.contains(':')
            {
                resolver.error(user.at, "a user's name can't have a colon: what stands behind it would be the password");
            }
            // What the environment left empty counts as absent.
            let empty = |text: &Template| text.as_static() == Some("");
            spec.basic = pair.filter(|(name, secret)| !(empty(name) && empty(secret)));
        }
        (None, Some(token)) => {
            // By itself first, so that the place of a mistake is known.
            let value = match resolver.template(token, names) {
                Some(Template::Static(text)) if text.trim().is_empty() => None,
                Some(Template::Static(text)) => Some(Template::literal(&format!("Bearer {}", text.trim()))),
                Some(Template::Dynamic(_)) => {
                    resolver.template(&Text { source: format!("Bearer {}", token.source), at: token.at }, names)
                }
                None => None,
            };
            spec.headers.extend(value.map(|value| (AUTHORIZATION, value)));
        }
        _ => resolver.error(auth.at, ONE_OF_AUTH),
    }
    place == 0
}

fn body(resolver: &mut Resolver<'_>, at: Node, step: &HttpStep, names: &Names) -> Body {
    let bodies = [
        step.body.as_ref().map(|text| (text.at, "body")),
        step.json.map(|json| (json.0, "json")),
        step.form.as_ref().map(|form| (form.iter().next().map_or(Node(0), |(key, _)| key.at), "form")),
        step.multipart.as_ref().map(|parts| (parts.0.first().map_or(Node(0), |part| part.at), "multipart")),
    ];
    let given: Vec<(Node, &str)> = bodies.into_iter().flatten().collect();
    if let [(_, first), (at, second), ..] = given[..] {
        resolver.error(at, format!("a request has one body; this one has `{first}` and `{second}`"));
        return Body::Empty;
    }
    if let Some(text) = &step.body {
        return match resolver.template(text, names) {
            Some(Template::Static(text)) => Body::Static(Bytes::copy_from_slice(text.as_bytes())),
            Some(template) => Body::Text(template),
            None => Body::Empty,
        };
    }
    if let Some(json) = step.json {
        return self::json(resolver, json.0, names).map_or(Body::Empty, Body::Json);
    }
    if let Some(parts) = &step.multipart {
        return Body::Multipart(multipart::resolve(resolver, at, &parts.0, names));
    }
    if step.form.is_some() {
        return Body::Form(pairs(resolver, step.form.as_ref(), names));
    }
    Body::Empty
}

/// Any value, in whose texts there may be templates.
pub(super) fn json(resolver: &mut Resolver<'_>, at: Node, names: &Names) -> Option<JsonTemplate> {
    // Each text by itself first, since only so the place of a mistake is known.
    let mut wrong = false;
    for (node, text) in resolver.profile.tree.templates(at) {
        if let Err(error) = resolver.compiler.template(&text, names) {
            resolver.compile_error(node, &error);
            wrong = true;
        }
    }
    if wrong {
        return None;
    }
    match resolver.compiler.json(&resolver.profile.tree.json(at, true), names) {
        Ok(json) => Some(json),
        Err(error) => {
            resolver.error(at, error.message);
            None
        }
    }
}

fn settings(resolver: &mut Resolver<'_>, spec: &mut Spec, layers: &[Settings<'_>]) {
    let first = |get: &dyn for<'a> Fn(&Settings<'a>) -> Option<bool>| layers.iter().find_map(get);
    if let Some(timeout) = layers.iter().find_map(|layer| layer.timeout) {
        if timeout.value.is_zero() {
            resolver.error(timeout.at, "with a timeout of 0s no request could be answered; write a longer one");
        }
        spec.timeout = timeout.value.max(Duration::from_nanos(1));
    }
    if let Some(redirects) = layers.iter().find_map(|layer| layer.redirects) {
        spec.redirects = redirects.value;
    }
    spec.cookies = first(&|layer| layer.cookies.map(|value| value.value)).unwrap_or(spec.cookies);
    spec.compression = first(&|layer| layer.compression.map(|value| value.value)).unwrap_or(spec.compression);
    spec.discard_body = first(&|layer| layer.discard_body.map(|value| value.value)).unwrap_or(spec.discard_body);
    if let Some(most) = layers.iter().find_map(|layer| layer.max_body) {
        spec.max_body = usize::try_from(most.value.0).unwrap_or(usize::MAX);
    }
    spec.sha256 = resolver.names_sha256;
    // The nearest layer that says anything about connections decides.
    for layer in layers {
        match (layer.connections, layer.reuse) {
            (Some(shared), Some(reuse)) if !reuse.value => {
                resolver.error(shared.shared.at, "shared connections are used again and again; `reuse: false` says the opposite");
            }
            (Some(shared), _) => {
                if shared.shared.value == 0 {
                    resolver.error(shared.shared.at, "nothing can go over 0 connections; write at least 1");
                }
                spec.connections = Connections::Shared(usize::try_from(shared.shared.value).unwrap_or(usize::MAX).max(1));
            }
            (None, Some(reuse)) => spec.connections = if reuse.value { Connections::PerUser } else { Connections::Fresh },
            (None, None) => continue,
        }
        break;
    }
    if let Some(tls) = layers.iter().find_map(|layer| layer.tls) {
        spec.way.tls = network::tls(resolver, tls);
    }
    spec.way.route = network::route(resolver, &layers.iter().map(|layer| layer.way).collect::<Vec<_>>());
    spec.way.version = layers.iter().find_map(|layer| layer.version).map_or(Version::Auto, |version| version.value);
}

/// What a scenario's requests have in common, for whoever has to know the longest.
pub(super) fn timeout(step: &HttpStep, above: Above<'_>) -> Duration {
    let layers = std::iter::once(step.settings()).chain(above.into_iter().flatten().map(HttpDefaults::settings));
    layers.into_iter().find_map(|layer| layer.timeout).map_or(TIMEOUT, |timeout| timeout.value)
}
