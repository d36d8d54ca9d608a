//! Where sessions connect to: the keys of a step over those of its scenario and of the profile, made into a connector.

use std::time::Duration;

use super::resolver::Resolver;
use super::{http, network};
use crate::base::Protocol;
use crate::base::written::{Anything, At, Entries, Form, Node, Text};
use crate::expr::{JsonTemplate, Names, Template};
use crate::flow::{Closing, Expected};
use crate::profile::written::session::{
    Common, Delimiting, Framing, Handshake, PlainFrame, SocketIoDefaults, SocketIoStep, TcpDefaults, TcpStep, Transport,
    WebSocketDefaults, WebSocketStep,
};
use crate::protocol::session::Connector;
use crate::protocol::tcp::{Frame, Width};
use crate::protocol::{Site, TIMEOUT, socketio, tcp, websocket};

/// `connect`, `base_url` or `address`: the program's own echo target.
const BUILTIN: &str = "builtin";
/// Where the built-in target is put where it doesn't run, for a check.
const NOWHERE: &str = "127.0.0.1:1";
/// The longest message that a profile may ask to be taken: one for each user has to fit into memory.
const LONGEST_MESSAGE: u64 = 256 * 1024 * 1024;

/// A connector, and what the step is called that has no name.
pub(super) struct Connecting {
    pub connector: Connector,
    pub default_name: String,
    /// For each message that is sent or awaited.
    pub timeout: Duration,
}

/// Makes a WebSocket's connector.
pub(super) fn websocket(
    resolver: &mut Resolver<'_>,
    step: &At<WebSocketStep>,
    above: &[&WebSocketDefaults],
    names: &Names,
) -> Option<Connecting> {
    let (at, step) = (step.at, &step.value);
    let errors = resolver.diagnostics.len();
    let layers: Vec<_> = std::iter::once(step.handshake()).chain(above.iter().map(|defaults| defaults.handshake())).collect();
    let over = over_http(resolver, at, &layers, "/ws", names)?;
    let offered = std::iter::once(&step.subprotocols).chain(above.iter().map(|defaults| &defaults.subprotocols)).flatten().next();
    let mut connector = websocket::Connector::new(Template::literal(""));
    connector.subprotocols = offered.iter().flat_map(|list| &list.0).map(|name| name.source.clone()).collect();
    (connector.site, connector.timeout, connector.max_message) = (over.site, over.timeout, over.max_message);
    let frame = std::iter::once(step.frame).chain(above.iter().map(|defaults| defaults.frame)).flatten().next();
    connector.framing = match frame.map(|frame| frame.value).unwrap_or_default() {
        Framing::Message => websocket::Framing::Message,
        Framing::Line => websocket::Framing::Line,
    };
    let checked = connector.check().map_err(|error| error.to_string());
    usable(resolver, errors, over.at, checked)?;
    let (timeout, default_name) = (over.timeout, format!("WS {}", over.path));
    Some(Connecting { connector: Connector::WebSocket(Box::new(connector)), default_name, timeout })
}

/// Makes a connector of Socket.IO.
pub(super) fn socketio(
    resolver: &mut Resolver<'_>,
    step: &At<SocketIoStep>,
    above: &[&SocketIoDefaults],
    names: &Names,
) -> Option<Connecting> {
    let (at, step) = (step.at, &step.value);
    let errors = resolver.diagnostics.len();
    let layers: Vec<_> = std::iter::once(step.handshake()).chain(above.iter().map(|defaults| defaults.handshake())).collect();
    let over = over_http(resolver, at, &layers, "/", names)?;
    let mut connector = socketio::Connector::new(Template::literal(""));
    (connector.site, connector.timeout, connector.max_message) = (over.site, over.timeout, over.max_message);
    let path = std::iter::once(&step.path).chain(above.iter().map(|defaults| &defaults.path)).flatten().next();
    let namespace = std::iter::once(&step.namespace).chain(above.iter().map(|defaults| &defaults.namespace)).flatten().next();
    if let Some(template) = path.and_then(|path| resolver.template(path, names)) {
        connector.path = template;
    }
    if let Some(template) = namespace.and_then(|namespace| resolver.template(namespace, names)) {
        connector.namespace = template;
    }
    let auth = std::iter::once(step.auth).chain(above.iter().map(|defaults| defaults.auth)).flatten().next();
    connector.auth = auth.and_then(|auth| json(resolver, auth, names));
    let transport = std::iter::once(step.transport).chain(above.iter().map(|defaults| defaults.transport)).flatten().next();
    connector.transport = match transport.map(|transport| transport.value).unwrap_or_default() {
        Transport::Websocket => socketio::Transport::WebSocket,
        Transport::Polling => socketio::Transport::Polling,
    };
    let checked = connector.check().map_err(|error| error.to_string());
    usable(resolver, errors, over.at, checked)?;
    let namespace = namespace.map_or("/", |namespace| resolver.profile.tree.as_written(namespace.at));
    let (timeout, default_name) = (over.timeout, format!("IO {namespace}"));
    Some(Connecting { connector: Connector::SocketIo(Box::new(connector)), default_name, timeout })
}

/// Makes a connector of TCP.
pub(super) fn tcp(resolver: &mut Resolver<'_>, step: &At<TcpStep>, above: &[&TcpDefaults], names: &Names) -> Option<Connecting> {
    let (at, step) = (step.at, &step.value);
    let errors = resolver.diagnostics.len();
    let general = above.iter().find_map(|defaults| defaults.address.as_ref());
    let Some(address) = step.connect.as_ref().or(general) else {
        resolver.lacking(
            at,
            "this says not where to connect to; write connect: 127.0.0.1:9000, or set defaults: {tcp: {address: …}}",
        );
        return None;
    };
    let builtin = address.source.trim() == BUILTIN;
    let template = if builtin {
        resolver.uses_builtin = true;
        Template::literal(&resolver.options.builtin.map_or_else(|| NOWHERE.to_owned(), |target| target.tcp.to_string()))
    } else {
        resolver.url(address, names)?
    };
    let common: Vec<_> = std::iter::once(step.common()).chain(above.iter().map(|defaults| defaults.common())).collect();
    let mut connector = tcp::Connector::new(template);
    connector.timeout = timeout(resolver, &common);
    connector.max_message = max_message(resolver, &common);
    connector.tls = common.iter().find_map(|layer| layer.tls).map(|tls| network::tls(resolver, tls));
    connector.route = network::route(resolver, &common.iter().map(|layer| layer.way).collect::<Vec<_>>());
    connector.hosts = resolver.allowed_hosts(builtin).map(Into::into);
    let frame = std::iter::once(&step.frame).chain(above.iter().map(|defaults| &defaults.frame)).flatten().next();
    if let Some(frame) = frame {
        connector.frame = self::frame(resolver, frame)?;
    }
    let checked = connector.check().map_err(|problem| format!("`{}` {problem}", address.source.trim()));
    usable(resolver, errors, address.at, checked)?;
    let written = step.connect.as_ref().map_or("", |connect| resolver.profile.tree.as_written(connect.at));
    let timeout = connector.timeout;
    let default_name = format!("TCP {written}").trim_end().to_owned();
    Some(Connecting { connector: Connector::Tcp(Box::new(connector)), default_name, timeout })
}

/// What the connectors that shake hands over HTTP have in common.
struct OverHttp {
    site: Site,
    /// As written.
    path: String,
    timeout: Duration,
    max_message: usize,
    /// What says where to connect to.
    at: Node,
}

/// Where to and with what, by the step's layer and those above it, in this order.
fn over_http(
    resolver: &mut Resolver<'_>,
    at: Node,
    layers: &[Handshake<'_>],
    builtin_path: &str,
    names: &Names,
) -> Option<OverHttp> {
    let (step, above) = layers.split_first()?;
    let base = above.iter().find_map(|layer| layer.to);
    let (mut site, path) = site(resolver, at, step.to, base, builtin_path, names)?;
    site.query = http::pairs(resolver, layers.iter().find_map(|layer| layer.query), names);
    let headers: Vec<&Entries<Text>> = layers.iter().filter_map(|layer| layer.headers).collect();
    site.headers = http::headers(resolver, &headers, names);
    site.cookies = layers.iter().find_map(|layer| layer.cookies).is_none_or(|cookies| cookies.value);
    let common: Vec<_> = layers.iter().map(|layer| layer.common).collect();
    if let Some(tls) = common.iter().find_map(|layer| layer.tls) {
        site.tls = network::tls(resolver, tls);
    }
    site.route = network::route(resolver, &common.iter().map(|layer| layer.way).collect::<Vec<_>>());
    let timeout = timeout(resolver, &common);
    let max_message = max_message(resolver, &common);
    Some(OverHttp { site, path, timeout, max_message, at: step.to.or(base).map_or(at, |text| text.at) })
}

/// Where to, without what goes with it; and the path as written.
fn site(
    resolver: &mut Resolver<'_>,
    at: Node,
    connect: Option<&Text>,
    base: Option<&Text>,
    builtin_path: &str,
    names: &Names,
) -> Option<(Site, String)> {
    let is_builtin = |text: &Text| text.source.trim() == BUILTIN;
    let target = |resolver: &mut Resolver<'_>| {
        resolver.uses_builtin = true;
        resolver.options.builtin.map_or_else(|| format!("http://{NOWHERE}"), |target| format!("http://{}", target.http))
    };
    let mut builtin = false;
    let (site, path) = match (connect, base) {
        (None, None) => {
            resolver.lacking(
                at,
                "this says not where to connect to; write connect: ws://127.0.0.1:8081/ws, or a path behind the `base_url` of the defaults",
            );
            return None;
        }
        (Some(connect), _) if is_builtin(connect) => {
            builtin = true;
            let url = target(resolver) + builtin_path;
            (Site::new(Template::literal(&url)), builtin_path.to_owned())
        }
        (connect, base) => {
            let mut site = match connect {
                Some(connect) => Site::new(resolver.url(connect, names)?),
                None => Site::new(Template::literal("/")),
            };
            if let Some(base) = base {
                builtin = is_builtin(base);
                let template = if builtin { Template::literal(&target(resolver)) } else { resolver.url(base, names)? };
                site.base_url = Some(template);
                http::check_host(resolver, base);
            }
            if let Some(connect) = connect {
                http::check_host(resolver, connect);
            }
            (site, connect.map_or_else(|| "/".to_owned(), |connect| http::path_as_written(resolver, connect).to_owned()))
        }
    };
    Some((Site { hosts: resolver.allowed_hosts(builtin).map(Into::into), ..site }, path))
}

fn timeout(resolver: &mut Resolver<'_>, layers: &[Common<'_>]) -> Duration {
    let Some(timeout) = layers.iter().find_map(|layer| layer.timeout) else { return TIMEOUT };
    if timeout.value.is_zero() {
        resolver.error(timeout.at, "with a timeout of 0s nothing could be connected to; write a longer one");
    }
    timeout.value.max(Duration::from_millis(1))
}

fn max_message(resolver: &mut Resolver<'_>, layers: &[Common<'_>]) -> usize {
    let Some(size) = layers.iter().find_map(|layer| layer.max_message) else {
        return crate::protocol::session::MAX_MESSAGE;
    };
    if !(1..=LONGEST_MESSAGE).contains(&size.value.0) {
        resolver.error(size.at, "a message may have from 1 byte to 256MiB");
    }
    usize::try_from(size.value.0).unwrap_or(usize::MAX)
}

fn frame(resolver: &mut Resolver<'_>, frame: &Form<crate::base::written::Of<PlainFrame>, At<Delimiting>>) -> Option<Frame> {
    let framing = match frame {
        Form::Short(plain) => {
            return Some(match plain.value {
                PlainFrame::Line => Frame::Line,
                PlainFrame::Raw => Frame::Raw,
            });
        }
        Form::Long(framing) => framing,
    };
    match (&framing.value.until, &framing.value.length) {
        (Some(until), None) if !until.source.is_empty() => {
            Some(Frame::Until(bytes::Bytes::copy_from_slice(until.source.as_bytes())))
        }
        (Some(until), None) => {
            resolver.error(until.at, "every message ends with nothing; write the text that ends one, like \"\\0\"");
            None
        }
        (None, Some(length)) => {
            let found = Width::NAMES.iter().find(|(name, _)| *name == length.source);
            if found.is_none() {
                let known: Vec<&str> = Width::NAMES.iter().map(|(name, _)| *name).collect();
                resolver.unknown(length.at, "length", &length.source, known);
            }
            found.map(|(_, width)| Frame::Length(*width))
        }
        _ => {
            resolver.error(framing.at, "a frame is one thing: {until: \"\\0\"} or {length: u32be}");
            None
        }
    }
}

/// How a connection ends that isn't lost.
pub(super) fn closing(resolver: &mut Resolver<'_>, protocol: Protocol, layers: &[Common<'_>]) -> Closing {
    let mut closing = Closing::default();
    if let Some(within) = layers.iter().find_map(|layer| layer.close_within) {
        closing.within = within.value;
    }
    let Some(close) = layers.iter().find_map(|layer| layer.close) else { return closing };
    closing.expected = match protocol {
        Protocol::Websocket => {
            let codes = close.expect.0.iter().filter_map(|code| match code.source.trim().parse() {
                Ok(number @ 1000..5000) => Some(number),
                _ => {
                    let message =
                        format!("`{}` is no close code of WebSocket; write numbers from 1000 to 4999: [1000, 1001]", code.source);
                    resolver.error(code.at, message);
                    None
                }
            });
            Expected::Codes(codes.collect())
        }
        protocol => {
            let word = if protocol == Protocol::Tcp { "end" } else { "disconnect" };
            for other in close.expect.0.iter().filter(|other| other.source.trim() != word) {
                resolver.error(
                    other.at,
                    format!("`{}` is no end of a connection over {protocol}; write close: {{expect: {word}}}", other.source),
                );
            }
            if close.expect.0.is_empty() { Expected::None } else { Expected::Proper }
        }
    };
    closing
}

/// JSON with templates in it.
pub(super) fn json(resolver: &mut Resolver<'_>, value: Anything, names: &Names) -> Option<JsonTemplate> {
    http::json(resolver, value.0, names)
}

/// Reports what the driver says of what is static. Nothing if that, or anything since `errors` diagnostics, is wrong.
fn usable(resolver: &mut Resolver<'_>, errors: usize, at: Node, checked: Result<(), String>) -> Option<()> {
    if resolver.diagnostics[errors..].iter().any(|d| d.severity == crate::profile::Severity::Error) {
        return None;
    }
    checked.map_err(|problem| resolver.error(at, problem)).ok()
}
