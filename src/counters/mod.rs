//! The target's own series, before and after each phase: sources, parsing, deltas, presets.
//!
//! A source is a Prometheus server asked by its HTTP API, or an exporter read directly. At each edge between phases an
//! [`Observer`] takes a [`Reading`]; between two readings it reports an increase per series ([`CounterRow`]), the values
//! that SLOs judge ([`Values`]), and what could not be read. An increase is the sum over raw samples with resets taken into
//! account, interpolated at an edge that falls between two samples; it comes with bounds that the truth is within. Nothing that is
//! missing is ever taken for 0.

mod amount;
mod api;
mod cut;
mod durations;
pub mod error;
mod exporter;
mod folded;
mod hidden;
mod hints;
pub mod http;
mod increase;
mod intervals;
mod kind;
mod labels;
mod meter;
pub mod observe;
pub mod observer;
mod part;
mod points;
pub mod presets;
mod prometheus;
pub mod query;
pub mod report;
mod rows;
mod seen;
mod select;
mod span;
mod starts;
mod sums;
pub mod systems;
pub mod text;
mod track;
mod tracker;
mod twice;
mod values;
mod want;

pub use error::SourceError;
pub use folded::Folded;
pub use http::{Access, AccessError};
pub use kind::MetricKind;
pub use observe::{Matcher, Observe, Ratio, Source, SourceKind, Wanted};
pub use observer::{Edge, Observer};
pub use points::Answered;
pub use presets::Preset;
pub use query::Query;
pub use report::{CounterRow, Observed, Reading, SourceReport, Traffic};
pub use systems::{Absence, Systems, Unknown, Values};
pub use values::ValueSeries;

#[cfg(test)]
mod tests;
