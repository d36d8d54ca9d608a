//! What `/metrics` answers: everything that is known of the loaded profiles, in the format that the reader prefers.
//!
//! Families are gathered one at a time as messages of the `prometheus` crate, encoded, and dropped, in the order of
//! [`crate::measure::catalogue`], the same family of several profiles under one header. Counts of histograms are derived from the
//! very buckets that are shown. Text and OpenMetrics carry classic buckets; protobuf carries classic and native ones.

mod exemplar;
mod family;
mod gather;
mod negotiate;
mod openmetrics;
mod own;
mod series;
mod shown;
mod sums;
mod varint;

use std::io::Write;
use std::sync::Arc;

use flate2::Compression;
use flate2::write::GzEncoder;
use prometheus::proto::MetricFamily;
use prometheus::{Encoder, ProtobufEncoder, TextEncoder};

pub use family::NATIVE_BUCKETS;
pub use negotiate::{Format, accepts_gzip};
pub use own::conflict;
pub use shown::Shown;
pub use sums::sums;

use crate::measure::catalogue;
use crate::measure::process::Process;
use gather::View;

/// What to begin an answer with: a small profile's fits without growing.
const FIRST_CAPACITY: usize = 64 * 1024;

/// An answer of `/metrics`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exposition {
    /// The header `Content-Type`.
    pub content_type: &'static str,
    /// Whether the body is compressed (`Content-Encoding: gzip`).
    pub gzip: bool,
    /// The body.
    pub body: Vec<u8>,
}

/// Why `/metrics` could not be answered.
#[derive(Debug, thiserror::Error)]
#[error("the metric family {family} could not be encoded: {source}")]
pub struct ExpositionError {
    family: String,
    source: prometheus::Error,
}

/// Answers `/metrics` for the profiles that are loaded.
///
/// # Errors
/// If a family can't be encoded, which no profile can bring about.
pub fn answer(profiles: &[Arc<Shown>], format: Format, gzip: bool) -> Result<Exposition, ExpositionError> {
    let (content_type, body) = (format.content_type(), Vec::with_capacity(FIRST_CAPACITY));
    if gzip {
        let mut encoder = GzEncoder::new(body, Compression::fast());
        render(profiles, format, &mut encoder)?;
        let body = encoder.finish().map_err(|error| failed("", error.into()))?;
        return Ok(Exposition { content_type, gzip: true, body });
    }
    let mut body = body;
    render(profiles, format, &mut body)?;
    Ok(Exposition { content_type, gzip: false, body })
}

/// Writes everything in one format.
///
/// # Errors
/// If `out` fails.
pub fn render(profiles: &[Arc<Shown>], format: Format, out: &mut impl Write) -> Result<(), ExpositionError> {
    let views: Vec<View> = profiles.iter().map(|profile| View::new(profile)).collect();
    let process = Process::read();
    for metric in catalogue::ALL {
        let mut found = Vec::new();
        series::of_process(metric, &process, &mut found);
        for view in &views {
            series::of_profile(metric, view, &mut found);
        }
        write(format, &family::family(metric.name, metric.help, metric.kind, found), out)?;
    }
    for family in own::families(&views) {
        write(format, &family, out)?;
    }
    if format == Format::OpenMetrics {
        out.write_all(openmetrics::END).map_err(|error| failed("", error.into()))?;
    }
    Ok(())
}

/// Writes a family, or nothing if it has no series.
fn write(format: Format, family: &MetricFamily, out: &mut impl Write) -> Result<(), ExpositionError> {
    if family.get_metric().is_empty() {
        return Ok(());
    }
    let one = std::slice::from_ref(family);
    let result = match format {
        Format::Text => TextEncoder::new().encode(one, out),
        Format::Protobuf => ProtobufEncoder::new().encode(one, out),
        Format::OpenMetrics => openmetrics::write(family, out).map_err(prometheus::Error::from),
    };
    result.map_err(|error| failed(family.name(), error))
}

fn failed(family: &str, source: prometheus::Error) -> ExpositionError {
    ExpositionError { family: family.to_owned(), source }
}

#[cfg(test)]
mod tests;
