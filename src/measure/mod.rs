//! What is measured and what is known of it: recorders, snapshots, gauges, and the catalogue of metric names.
//!
//! A worker records into a [`Set`], one for each phase that it works in, as its only writer; readers take [`Totals`] from the
//! [`Store`], which adds the sets that are live to those that have retired. Every label is an index into the [`Layout`], made
//! when a profile is loaded, so nothing that traffic says can become a label. No I/O but the process' own figures.

mod arith;
mod atoms;
pub mod catalogue;
mod clock;
mod connects;
mod cut;
mod delayed;
pub mod exemplars;
pub mod gauges;
mod heard;
pub mod hist;
pub mod index;
pub mod layout;
pub mod messages;
mod open;
pub mod outcomes;
mod own;
pub mod process;
pub mod sample;
pub mod series;
pub mod set;
pub mod shapes;
mod since;
pub mod sparse;
pub mod store;
pub mod totals;
pub mod transfer;

pub use clock::Clock;
pub use cut::Cut;
pub use delayed::Delayed;
pub use gauges::{Gauges, WorkerGauges};
pub use heard::{Heard, Presence};
pub use hist::{Buckets, Histogram};
pub use layout::{
    CheckId, CheckLayout, GroupId, GroupLayout, Layout, MessageId, MessageLayout, OwnId, OwnKind, OwnMetric, PhaseId,
    RequirementLayout, ScenarioId, ScenarioLayout, StepId, StepLayout,
};
pub use messages::{Direction, MessageTotals, Numbered, Passed, SessionTotals};
pub use open::Open;
pub use own::OwnTotals;
pub use sample::{ConnectTimes, Layer, Sample};
pub use set::Set;
pub use sparse::Sparse;
pub use store::Store;
pub use totals::{CheckTotals, ConnectTotals, ScenarioTotals, StepTotals, Totals};
pub use transfer::{LEAST_BODY, Transfer, TransferTotals};
