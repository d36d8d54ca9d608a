//! The command line as it is written.

use std::ffi::OsString;
use std::path::PathBuf;

use crate::target::Freeze;
use clap::builder::OsStringValueParser;
use clap::{Args, Parser, Subcommand, ValueEnum};

/// Generates load from a traffic profile, measures what users would see, exposes it to Prometheus, and judges it.
#[derive(Debug, Parser)]
#[command(name = "load-exporter", version, about, disable_help_subcommand = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
    /// How the log is written.
    #[command(flatten)]
    pub log: LogArgs,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run as a daemon: continuous or scheduled runs, until it is asked to stop
    Serve(ServeArgs),
    /// Run the profiles in the foreground, one after the other: progress, summary, exit code
    Run(RunArgs),
    /// Report every problem of the profiles, draw their load, count their series
    Check(CheckArgs),
    /// Print alert and recording rules made from a profile's SLOs
    Rules(RulesArgs),
    /// Print the JSON Schema of profiles, for editors
    Schema,
    /// Run the built-in echo target
    Target(TargetArgs),
}

/// How the log is written.
#[derive(Debug, Args)]
pub struct LogArgs {
    /// Least severity that is logged [default: info, of `run` warn, whose news are its progress]
    #[arg(long = "log.level", global = true, value_enum, value_name = "LEVEL")]
    pub level: Option<LogLevel>,
    /// Format of the log
    #[arg(long = "log.format", global = true, value_enum, default_value = "logfmt", value_name = "FORMAT")]
    pub format: LogFormat,
}

/// Severities.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogLevel {
    /// Everything
    Debug,
    /// News
    Info,
    /// What may be wrong
    Warn,
    /// What is wrong
    Error,
}

/// Formats of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// key=value
    Logfmt,
    /// One JSON object a line
    Json,
}

/// Where profiles come from.
#[derive(Debug, Args)]
pub struct ProfileArgs {
    /// Traffic profiles (YAML)
    #[arg(required = true, value_name = "PROFILE")]
    pub profiles: Vec<PathBuf>,
    /// An environment value for `${KEY}` in the profile, before those of the environment
    #[arg(long = "set", value_name = "KEY=VALUE", value_parser = key_value)]
    pub set: Vec<(String, String)>,
}

/// What `run` and `serve` share.
#[derive(Debug, Args)]
pub struct CommonArgs {
    /// The profiles.
    #[command(flatten)]
    pub profile: ProfileArgs,
    /// The web surface.
    #[command(flatten)]
    pub web: WebArgs,
    /// Where runs are kept; an empty path stores nothing
    #[arg(long = "storage.path", value_name = "DIR", default_value = "./runs", value_parser = OsStringValueParser::new())]
    pub storage: OsString,
    /// How many runs are kept; the oldest go first
    #[arg(long = "storage.retention.runs", value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..))]
    pub retention: u64,
    /// Give a run up before anything is sent if a source can't be read or a target can't be reached: exit code 4
    #[arg(long)]
    pub strict: bool,
    /// This generator's part of a run that N generators share, from 0/N to N-1/N
    #[arg(long = "shard", value_name = "I/N", value_parser = shard, default_value = "0/1")]
    pub shard: (u64, u64),
}

/// The web surface.
#[derive(Debug, Args)]
pub struct WebArgs {
    /// Address of /metrics, health and status; repeatable [default: :10797]
    #[arg(long = "web.listen-address", value_name = "ADDRESS", value_parser = listen_address)]
    pub listen: Vec<String>,
    /// File with TLS and basic authentication, as Prometheus' exporters have it
    #[arg(long = "web.config.file", value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Allow POST /-/reload and /-/quit
    #[arg(long = "web.enable-lifecycle")]
    pub lifecycle: bool,
    /// URL under which people's browsers reach it, where that isn't an address or localhost
    #[arg(long = "web.external-url", value_name = "URL", value_parser = external_url)]
    pub external: Option<String>,
}

/// `serve`.
#[derive(Debug, Args)]
pub struct ServeArgs {
    /// What `run` takes as well.
    #[command(flatten)]
    pub common: CommonArgs,
}

/// `run`.
#[derive(Debug, Args)]
pub struct RunArgs {
    /// What `serve` takes as well.
    #[command(flatten)]
    pub common: CommonArgs,
    /// No progress, only the summary
    #[arg(long)]
    pub quiet: bool,
}

/// `check`.
#[derive(Debug, Args)]
pub struct CheckArgs {
    /// The profiles.
    #[command(flatten)]
    pub profile: ProfileArgs,
}

/// `rules`.
#[derive(Debug, Args)]
pub struct RulesArgs {
    /// A traffic profile (YAML)
    #[arg(value_name = "PROFILE")]
    pub profile: PathBuf,
    /// Whose rules they are to be
    #[arg(long, id = "rules_format", value_enum, default_value = "prometheus", value_name = "FORMAT")]
    pub format: Rules,
    /// Where the runbooks stand that alerts lead to
    #[arg(long, value_name = "URL", default_value = "docs/runbooks.md")]
    pub runbooks_url: String,
    /// Where Grafana is, whose dashboards alerts lead to
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:3000")]
    pub grafana_url: String,
    /// An environment value for `${KEY}` in the profile, before those of the environment
    #[arg(long = "set", value_name = "KEY=VALUE", value_parser = key_value)]
    pub set: Vec<(String, String)>,
}

/// Who is to watch the SLOs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Rules {
    /// A rule file of Prometheus: recording rules and alerts
    Prometheus,
    /// The recording rules of that file alone, for a Prometheus whose alerts Grafana evaluates
    Recording,
    /// A provisioning file of Grafana's alerting
    Grafana,
}

/// `target`.
#[derive(Debug, Args)]
pub struct TargetArgs {
    /// Address to listen on for HTTP and WebSocket
    #[arg(long = "web.listen-address", value_name = "ADDRESS", value_parser = listen_address, default_value = "127.0.0.1:8080")]
    pub listen: String,
    /// Address to listen on for plain TCP, like 127.0.0.1:9000
    #[arg(long = "tcp.listen-address", value_name = "ADDRESS", value_parser = listen_address)]
    pub tcp: Option<String>,
    /// Hold all requests for a part of every period, like "1s of every 5s"
    #[arg(long, value_name = "TIME")]
    pub freeze: Option<Freeze>,
}

fn key_value(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("write KEY=VALUE, like --set BASE_URL=http://127.0.0.1:8080".to_owned()),
    }
}

/// A URL with a scheme and a host.
fn external_url(text: &str) -> Result<String, String> {
    let right = url::Url::parse(text).is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    if right { Ok(text.to_owned()) } else { Err("write a URL with its scheme, like https://load.example".to_owned()) }
}

/// `host:port`, or `:port` for all addresses.
fn listen_address(text: &str) -> Result<String, String> {
    match text.rsplit_once(':') {
        Some((_, port)) if port.parse::<u16>().is_ok() => Ok(text.to_owned()),
        _ => Err("write HOST:PORT, or :PORT for all addresses, like 127.0.0.1:10797".to_owned()),
    }
}

fn shard(text: &str) -> Result<(u64, u64), String> {
    let parts = text.split_once('/').and_then(|(i, n)| Some((i.parse::<u64>().ok()?, n.parse::<u64>().ok()?)));
    match parts {
        Some((i, n)) if i < n => Ok((i, n)),
        _ => Err("write I/N with I from 0 to N-1, like --shard 0/3".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn shards_and_settings() {
        assert_eq!(shard("2/5"), Ok((2, 5)));
        assert!(shard("5/5").is_err() && shard("x").is_err());
        assert_eq!(key_value("A=b=c"), Ok(("A".into(), "b=c".into())));
        assert!(key_value("=b").is_err());
        assert!(Cli::try_parse_from(["load-exporter", "target", "--freeze", "5s of every 1s"]).is_err());
        let cli =
            Cli::try_parse_from(["load-exporter", "run", "a.yml", "b.yml", "--set", "X=1", "--log.level", "debug"]).unwrap();
        let Command::Run(run) = cli.command else { panic!("run") };
        assert_eq!(run.common.profile.profiles.len(), 2);
        assert_eq!(cli.log.level, Some(LogLevel::Debug));
        // Two options are called `format`: the log's and that of the rules.
        let cli =
            Cli::try_parse_from(["load-exporter", "rules", "a.yml", "--format", "grafana", "--log.format", "json"]).unwrap();
        let Command::Rules(rules) = cli.command else { panic!("rules") };
        assert_eq!((rules.format, cli.log.format), (Rules::Grafana, LogFormat::Json));
    }
}
