//! Configuration, all of it from the environment, all of it optional.
//!
//! | variable | default | |
//! |---|---|---|
//! | `LISTEN` | `127.0.0.1:8080` | address; port 0 takes a free one |
//! | `DATABASE_URL` | `postgres://postgres@127.0.0.1:5432/postgres` | |
//! | `REDIS_URL` | `redis://127.0.0.1:6379` | |
//! | `POOL_SIZE` | `20` | connections to PostgreSQL |
//! | `POOL_WAIT` | `5s` | how long a request waits for one |
//! | `SEED_ROWS` | `1000` | rows of the catalogue |
//! | `CACHE_TTL` | `30s` | how long catalogue and streamers stay in Redis |
//! | `VOTES_PER_SECOND` | `100000` | accepted from one client; above it 429 |
//! | `WEBHOOK_SECRET` | | what `x-webhook-secret` must hold, if set |
//! | `STRIPE_WEBHOOK_SECRET` | `whsec_for-trials` | what `/webhooks/stripe` is signed with |
//! | `DELAY` | `0s` | added to every answer |
//! | `FREEZE` | | `1s/5s`: no answer during the first 1 s of every 5 s |
//! | `FILES_DIR` | one of its own in the temporary directory | where uploads are kept |
//! | `UPLOAD_LIMIT` | `100000000` | bytes of a request; above it 413, before it is read |
//! | `UPLOAD_DELAY` | `0s` | what an upload takes after its last byte |
//! | `ERROR_RATE` | `0` | share of requests answered 500, `0.01` or `1%` |
//! | `LOSE_ANSWERS` | `0` | share of votes that are counted and answered 500 all the same |
//! | `DROP_WRITES` | `0` | share of new votes that are answered 201 and not kept |
//! | `COUNT_REPLAYS` | `false` | a vote that is sent again is counted again |
//! | `STALE` | `0s` | votes are seen so much later than they were cast |

use std::path::PathBuf;
use std::time::Duration;

/// The configuration of one process.
#[derive(Debug, Clone)]
pub struct Config {
    /// Address to listen on.
    pub listen: String,
    /// PostgreSQL.
    pub database_url: String,
    /// Redis.
    pub redis_url: String,
    /// Connections to PostgreSQL.
    pub pool_size: usize,
    /// How long a request waits for a connection to PostgreSQL.
    pub pool_wait: Duration,
    /// Rows of the catalogue.
    pub seed_rows: i64,
    /// How long cached answers live.
    pub cache_ttl: Duration,
    /// Votes a second that one client may send.
    pub votes_per_second: u64,
    /// What a webhook has to know.
    pub webhook_secret: Option<String>,
    /// What webhooks of the payment service are signed with.
    pub stripe_webhook_secret: String,
    /// Added to every answer.
    pub delay: Duration,
    /// Times without an answer.
    pub freeze: Option<Freeze>,
    /// Where uploads are kept; a directory of the own if absent, gone with it.
    pub files_dir: Option<PathBuf>,
    /// The most bytes of an upload's request.
    pub upload_limit: u64,
    /// What an upload takes after its last byte.
    pub upload_delay: Duration,
    /// Share of requests answered 500, from 0 to 1.
    pub error_rate: f64,
    /// Share of votes that are counted and answered 500 all the same, from 0 to 1.
    pub lose_answers: f64,
    /// Share of votes that are answered as if they had been kept, from 0 to 1.
    pub drop_writes: f64,
    /// A vote that is sent again is counted again.
    pub count_replays: bool,
    /// How much later than cast a vote is seen.
    pub stale: Duration,
}

/// Nothing is answered for `lasts` at the start of each `every`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Freeze {
    /// How long nothing is answered.
    pub lasts: Duration,
    /// From the start of one freeze to that of the next.
    pub every: Duration,
}

/// A variable that can't be read.
#[derive(Debug, thiserror::Error, PartialEq)]
#[error("{name}={value}: expected {expected}")]
pub struct ConfigError {
    name: &'static str,
    value: String,
    expected: &'static str,
}

impl Config {
    /// Reads the configuration; `variable` answers for the environment. Empty counts as absent.
    pub fn from_env(variable: impl Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        let get = |name| variable(name).filter(|value| !value.is_empty());
        let text = |name, default: &str| get(name).unwrap_or_else(|| default.to_owned());
        Ok(Self {
            listen: text("LISTEN", "127.0.0.1:8080"),
            database_url: text("DATABASE_URL", "postgres://postgres@127.0.0.1:5432/postgres"),
            redis_url: text("REDIS_URL", "redis://127.0.0.1:6379"),
            pool_size: parsed("POOL_SIZE", get("POOL_SIZE"), "a number above 0", |v| v.parse().ok().filter(|n| *n > 0))?
                .unwrap_or(20),
            pool_wait: parsed("POOL_WAIT", get("POOL_WAIT"), DURATION, duration)?.unwrap_or(Duration::from_secs(5)),
            seed_rows: parsed("SEED_ROWS", get("SEED_ROWS"), "a number above 0", |v| v.parse().ok().filter(|n| *n > 0))?
                .unwrap_or(1000),
            cache_ttl: parsed("CACHE_TTL", get("CACHE_TTL"), "a duration of 1ms or more", |v| {
                duration(v).filter(|d| d.as_millis() > 0)
            })?
            .unwrap_or(Duration::from_secs(30)),
            votes_per_second: parsed("VOTES_PER_SECOND", get("VOTES_PER_SECOND"), "a whole number", |v| v.parse().ok())?
                .unwrap_or(100_000),
            webhook_secret: get("WEBHOOK_SECRET"),
            stripe_webhook_secret: text("STRIPE_WEBHOOK_SECRET", "whsec_for-trials"),
            delay: parsed("DELAY", get("DELAY"), DURATION, duration)?.unwrap_or(Duration::ZERO),
            freeze: parsed("FREEZE", get("FREEZE"), "two durations, the shorter first, such as 1s/5s", freeze)?,
            error_rate: parsed("ERROR_RATE", get("ERROR_RATE"), SHARE, share)?.unwrap_or(0.0),
            lose_answers: parsed("LOSE_ANSWERS", get("LOSE_ANSWERS"), SHARE, share)?.unwrap_or(0.0),
            drop_writes: parsed("DROP_WRITES", get("DROP_WRITES"), SHARE, share)?.unwrap_or(0.0),
            count_replays: parsed("COUNT_REPLAYS", get("COUNT_REPLAYS"), "true or false", |v| v.parse().ok())?.unwrap_or(false),
            stale: parsed("STALE", get("STALE"), DURATION, duration)?.unwrap_or(Duration::ZERO),
            files_dir: get("FILES_DIR").map(PathBuf::from),
            upload_limit: parsed("UPLOAD_LIMIT", get("UPLOAD_LIMIT"), "a number of bytes", |v| v.parse().ok())?
                .unwrap_or(100_000_000),
            upload_delay: parsed("UPLOAD_DELAY", get("UPLOAD_DELAY"), DURATION, duration)?.unwrap_or(Duration::ZERO),
        })
    }
}

const SHARE: &str = "a share such as 0.01 or 1%";
const DURATION: &str = "a duration such as 20ms, 0.5s or 1m";

fn parsed<T>(
    name: &'static str,
    value: Option<String>,
    expected: &'static str,
    parse: impl Fn(&str) -> Option<T>,
) -> Result<Option<T>, ConfigError> {
    let Some(value) = value else { return Ok(None) };
    match parse(&value) {
        Some(parsed) => Ok(Some(parsed)),
        None => Err(ConfigError { name, value, expected }),
    }
}

fn duration(text: &str) -> Option<Duration> {
    let units = [("ms", 1e-3), ("s", 1.0), ("m", 60.0)];
    let (number, unit) = units.iter().find_map(|(unit, seconds)| Some((text.strip_suffix(unit)?, seconds)))?;
    Duration::try_from_secs_f64(number.parse::<f64>().ok()? * unit).ok()
}

fn freeze(text: &str) -> Option<Freeze> {
    let (lasts, every) = text.split_once('/')?;
    let freeze = Freeze { lasts: duration(lasts)?, every: duration(every)? };
    (freeze.lasts < freeze.every).then_some(freeze)
}

fn share(text: &str) -> Option<f64> {
    let share = match text.strip_suffix('%') {
        Some(percent) => percent.parse::<f64>().ok()? / 100.0,
        None => text.parse().ok()?,
    };
    (0.0..=1.0).contains(&share).then_some(share)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(name: &str, value: &str) -> Result<Config, ConfigError> {
        Config::from_env(|asked| (asked == name).then(|| value.to_owned()))
    }

    #[test]
    fn everything_has_a_default_and_empty_is_absent() {
        let config = with("POOL_SIZE", "").unwrap();
        assert_eq!((config.pool_size, config.freeze, config.error_rate), (20, None, 0.0));
    }

    #[test]
    fn values_are_read() {
        assert_eq!(with("DELAY", "20ms").unwrap().delay, Duration::from_millis(20));
        assert_eq!(with("ERROR_RATE", "0.5%").unwrap().error_rate, 0.005);
        assert_eq!(with("DROP_WRITES", "0.001").unwrap().drop_writes, 0.001);
        assert!(with("COUNT_REPLAYS", "true").unwrap().count_replays);
        assert_eq!(with("STALE", "3s").unwrap().stale, Duration::from_secs(3));
        let freeze = with("FREEZE", "1s/5s").unwrap().freeze;
        assert_eq!(freeze, Some(Freeze { lasts: Duration::from_secs(1), every: Duration::from_secs(5) }));
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        for (name, value) in [
            ("COUNT_REPLAYS", "yes"),
            ("DROP_WRITES", "1001"),
            ("DELAY", "20"),
            ("FREEZE", "5s/1s"),
            ("FREEZE", "1s"),
            ("ERROR_RATE", "2"),
            ("POOL_SIZE", "0"),
            ("CACHE_TTL", "0s"),
        ] {
            let message = with(name, value).unwrap_err().to_string();
            assert!(message.starts_with(&format!("{name}={value}: expected ")), "{message}");
        }
    }
}
