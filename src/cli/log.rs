//! The log: logfmt or JSON lines on standard error.

use std::fmt::{self, Write as _};
use std::sync::{Mutex, PoisonError};

use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use super::args::{LogArgs, LogFormat, LogLevel};
use crate::output::LogWriter;
use crate::run::SAID;

/// What writes the lines, where they stand above a progress.
static ABOVE: Mutex<Option<LogWriter>> = Mutex::new(None);

/// From now on, lines stand above the progress that this belongs to.
pub fn above(writer: LogWriter) {
    *ABOVE.lock().unwrap_or_else(PoisonError::into_inner) = Some(writer);
}

fn writer() -> LogWriter {
    ABOVE.lock().unwrap_or_else(PoisonError::into_inner).clone().unwrap_or_default()
}

/// Starts the log; a second call changes nothing. What is `said` to a person on standard error anyway isn't logged there once more.
pub fn init(args: &LogArgs, said: bool) {
    let level = match args.level.unwrap_or(LogLevel::Info) {
        LogLevel::Debug => Level::DEBUG,
        LogLevel::Info => Level::INFO,
        LogLevel::Warn => Level::WARN,
        LogLevel::Error => Level::ERROR,
    };
    // Of libraries only what may be wrong: their inner life isn't this program's news.
    let beside = if said { format!(",{SAID}=off") } else { String::new() };
    let filter = tracing_subscriber::EnvFilter::new(format!("warn,load_exporter={level}{beside}"));
    // A line that can't be written is lost: to say so on the same standard error would be a panic.
    let log = tracing_subscriber::fmt().with_writer(writer).with_env_filter(filter).log_internal_errors(false);
    // An error says that a log was started before, in a test that runs commands in its own process.
    let _ = match args.format {
        LogFormat::Logfmt => log.event_format(Logfmt).try_init(),
        LogFormat::Json => log.json().flatten_event(true).with_current_span(false).with_span_list(false).try_init(),
    };
}

/// `ts=… level=… msg=… key=value …`, as Prometheus itself logs.
struct Logfmt;

impl<S, N> FormatEvent<S, N> for Logfmt
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, _: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        write!(writer, "ts=")?;
        SystemTime.format_time(&mut writer)?;
        write!(writer, " level={}", event.metadata().level().as_str().to_ascii_lowercase())?;
        let mut fields = Fields::default();
        event.record(&mut fields);
        write!(writer, " msg={}{}", quoted(&fields.message), fields.rest)?;
        writeln!(writer)
    }
}

#[derive(Default)]
struct Fields {
    message: String,
    rest: String,
}

impl Fields {
    fn add(&mut self, field: &Field, value: &str) {
        if field.name() == "message" {
            value.clone_into(&mut self.message);
        } else {
            // Writing to a String doesn't fail.
            let _ = write!(self.rest, " {}={}", field.name(), quoted(value));
        }
    }
}

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.add(field, value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.add(field, &format!("{value:?}"));
    }
}

/// A value as logfmt wants it: quoted where it holds anything but plain characters.
fn quoted(value: &str) -> String {
    let plain = !value.is_empty() && value.chars().all(|c| c.is_ascii_graphic() && c != '"' && c != '=' && c != '\\');
    if plain { value.to_owned() } else { format!("{value:?}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_quoted_where_they_must_be() {
        assert_eq!(quoted("plain:1/2"), "plain:1/2");
        assert_eq!(quoted("two words"), "\"two words\"");
        assert_eq!(quoted("a\nb"), "\"a\\nb\"");
        assert_eq!(quoted(""), "\"\"");
    }
}
