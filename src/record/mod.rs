//! What a run leaves on disk, and reading it back.
//!
//! Under the storage path every run has a directory `<start>-<profile>/` with `run.json` (the results, [`Run`]),
//! `histograms.json` (the distributions behind them, [`Histograms`]) and `summary.txt`. A file is written to a new name,
//! synced and renamed, so it is whole or not there. The directory is locked while its run goes on: retention, even of
//! another process, leaves it alone, and a crash releases it. No stored text holds a secret: everything passes through
//! the caller's `redact` before it is written.

pub mod build;
mod error;
mod histograms;
mod last;
mod list;
mod name;
mod progress;
mod redact;
mod run;
#[cfg(test)]
pub(crate) mod sample;
mod storage;
mod write;

pub use error::RecordError;
pub use histograms::{
    GroupHistograms, Histograms, MessageHistogram, MetricHistogram, PhaseHistograms, ScenarioHistograms, SessionHistograms,
    StepHistograms, TransferHistograms,
};
pub use last::{Last, mark_cut};
pub use list::Entry;
pub use name::run_name;
pub use progress::Progress;
pub use run::{
    Check, Connections, CounterRow, ErrorSample, Gap, Generator, Group, Hook, HookCheck, Latency, Message, Metric, Phase, Run,
    Scenario, Sessions, SloResult, Source, Speed, Step, Transfer, Unit, VERSION, Value,
};
pub use storage::{RunDirectory, Storage, read, read_histograms};
