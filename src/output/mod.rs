//! What a person reads of a run: progress while it goes on, and a stored run in several formats. And the rules by which
//! Prometheus or Grafana watch it.
//!
//! A format is one file with one function over [`Run`](crate::record::Run), and its line in [`Format`]; one test holds
//! every format to the same promises. Formats read what `run.json` holds and nothing else, so that a stored run looks as
//! it did when it ended.

mod format;
mod json;
pub mod progress;
pub mod rules;
mod style;
pub mod summary;
mod table;

pub use format::Format;
pub use progress::{LogWriter, Reporter};
pub use style::Style;
