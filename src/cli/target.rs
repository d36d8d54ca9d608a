//! `target`: the built-in echo target by itself.

use crate::target::{self, Target};
use crate::verdict::Exit;

use super::args::{LogArgs, TargetArgs};
use super::failure::Failure;
use super::runtime::runtime;
use super::{log, signals};

pub(super) fn target(args: &TargetArgs, log: &LogArgs) -> Result<Exit, Failure> {
    log::init(log, false);
    let mut signals = signals::receive(signals::Hangup::Stops).map_err(Failure::system)?;
    let http = address(&args.listen, "--web.listen-address")?;
    let tcp = args.tcp.as_deref().map(|text| address(text, "--tcp.listen-address")).transpose()?;
    let options = target::Options { freeze: args.freeze, tcp, ..Default::default() };
    let target = Target::start(http, options).map_err(|error| {
        let (of_tcp, flags) = match &args.tcp {
            Some(tcp) => (format!(" and `{tcp}`"), "`--web.listen-address` and `--tcp.listen-address`"),
            None => (String::new(), "`--web.listen-address`"),
        };
        Failure::system(format!("cannot listen on `{}`{of_tcp}: {error}; choose others with {flags}", args.listen))
    })?;
    match target.tcp_address() {
        Some(tcp) => tracing::info!(address = %target.address(), %tcp, "echoing"),
        None => tracing::info!(address = %target.address(), "echoing"),
    }
    runtime()?.block_on(async {
        signals.recv().await;
        target.stop().await;
    });
    Ok(Exit::Pass)
}

/// `:8080` is every address of this machine.
fn address(text: &str, flag: &str) -> Result<std::net::SocketAddr, Failure> {
    use std::net::ToSocketAddrs;
    let full = if text.starts_with(':') { format!("0.0.0.0{text}") } else { text.to_owned() };
    let wrong = || Failure::usage(format!("`{text}` is no address; write one like 127.0.0.1:8080 for `{flag}`"));
    full.to_socket_addrs().ok().and_then(|mut all| all.next()).ok_or_else(wrong)
}
