//! How connections are made: TLS, source addresses, DNS, proxies. Equal ones are made once, so that connections are shared and
//! source addresses take turns over all of them.

use std::sync::Arc;

use super::resolver::Resolver;
use crate::base::written::{self, Node, Scalar, Way};
use crate::net::{HostPort, Proxy, Route, RouteOptions, Tls, TlsOptions};

/// The way that these layers make, the nearest first.
pub(super) fn route(resolver: &mut Resolver<'_>, layers: &[Way<'_>]) -> Arc<Route> {
    let from = layers.iter().find_map(|layer| layer.from);
    let refresh = layers.iter().find_map(|layer| layer.dns?.refresh.as_ref());
    // An empty proxy counts as absent, and takes that of the layers below away.
    let proxy = layers.iter().find_map(|layer| layer.http_proxy).filter(|proxy| !proxy.source.trim().is_empty());
    let mut options = RouteOptions { refresh: refresh.map(|refresh| refresh.value), ..RouteOptions::default() };
    for address in from.iter().flat_map(|from| &from.0) {
        if options.from.contains(&address.value) {
            resolver.error(address.at, format!("`{}` is listed twice; addresses take turns, so once is enough", address.value));
        } else {
            options.from.push(address.value);
            resolver.sources.push((address.value, address.at));
        }
    }
    if let Some(written) = proxy {
        match Proxy::parse(&written.source) {
            Ok(proxy) => options.proxy = Some(proxy),
            Err(error) => resolver.error(written.at, format!("`http_proxy` {error}")),
        }
    }
    options.connect_to = connect_to(resolver, layers, options.proxy.is_some());
    if options == RouteOptions::default() {
        return Route::direct();
    }
    Arc::clone(resolver.routes.entry(options).or_insert_with_key(|options| Route::new(options.clone())))
}

/// Where connections go instead, by all layers: one adds to those behind it and replaces theirs. An empty address counts as absent.
fn connect_to(resolver: &mut Resolver<'_>, layers: &[Way<'_>], proxied: bool) -> Vec<(HostPort, HostPort)> {
    let mut found: Vec<(HostPort, Option<HostPort>)> = Vec::new();
    for layer in layers {
        let before = found.len();
        for (key, address) in layer.connect_to.iter().flat_map(|entries| entries.iter()) {
            let asked = match HostPort::parse(&key.value) {
                Ok(asked) => asked,
                Err(message) => {
                    resolver.error(key.at, message);
                    continue;
                }
            };
            match found.iter().position(|(other, _)| *other == asked) {
                Some(at) if at >= before => resolver.error(key.at, format!("`{asked}` is listed twice; write it once")),
                Some(_) => {}
                None => {
                    let to = self::address(resolver, address, proxied);
                    if to.is_some() && !resolver.moved.iter().any(|(_, other)| *other == key.at) {
                        resolver.moved.push((asked.clone(), key.at));
                    }
                    found.push((asked, to));
                }
            }
        }
    }
    found.into_iter().filter_map(|(asked, to)| Some((asked, to?))).collect()
}

/// An address of `connect_to`; none where it is empty or wrong.
fn address(resolver: &mut Resolver<'_>, written: &Scalar, proxied: bool) -> Option<HostPort> {
    let text = written.source.trim();
    if text.is_empty() {
        return None;
    }
    if proxied {
        resolver.error(
            written.at,
            "a proxy finds the target by itself (`http_proxy`), so `connect_to` would do nothing; leave out one of them",
        );
        return None;
    }
    match HostPort::parse(text) {
        Ok(to) => {
            let allowed = resolver.allowed_hosts(false).is_none_or(|hosts| hosts.iter().any(|allowed| allowed.meets(&to)));
            if !allowed {
                resolver.error(written.at, format!("`{to}` must not be loaded; add it to `limits: {{hosts: …}}` if it may be"));
            }
            allowed.then_some(to)
        }
        Err(message) => {
            resolver.error(written.at, message);
            None
        }
    }
}

/// What is written of TLS as plain data; its files must be there.
pub(super) fn tls_options(resolver: &mut Resolver<'_>, written: &written::Tls) -> TlsOptions {
    tls(resolver, written).options().clone()
}

/// What is written of TLS; its files are read.
pub(super) fn tls(resolver: &mut Resolver<'_>, written: &written::Tls) -> Arc<Tls> {
    let files = [&written.ca_file, &written.cert_file, &written.key_file];
    let [ca_file, cert_file, key_file] = files.map(|file| file.as_ref().map(|file| resolver.profile.file(file.at, &file.source)));
    let options = TlsOptions {
        ca_file,
        cert_file,
        key_file,
        server_name: written.server_name.as_ref().map(|name| name.source.clone()),
        insecure: written.insecure.is_some_and(|insecure| insecure.value),
    };
    if let Some(tls) = resolver.tls.get(&options) {
        return Arc::clone(tls);
    }
    let tls = Tls::new(options.clone());
    // Read now: a missing file should be reported before a run, not by its first request.
    if files.iter().any(|file| file.is_some())
        && let Err(error) = tls.config()
    {
        let at = files.into_iter().flatten().next().map_or(Node(0), |file| file.at);
        resolver.error(at, error.to_string());
    }
    resolver.tls.insert(options, Arc::clone(&tls));
    tls
}
