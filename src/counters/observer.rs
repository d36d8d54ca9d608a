//! Reads the sources at each edge and reports what happened between two.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::error::SourceError;
use super::observe::Observe;
use super::report::{Observed, Reading, ValueSeries};

/// Whether the load goes on at an edge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Traffic {
    /// The load goes on: values are interpolated to the edge, and what that leaves unsure is told.
    Flowing,
    /// Nothing is sent until the reading is there (`settle: true`), or ever again (the last edge): the first sample past the
    /// edge is exact. Waits longer where a system tells its statistics late (PostgreSQL: up to 11 s).
    Still,
}

/// Reads the sources of one plan. Cheap to share.
#[derive(Debug)]
pub struct Observer {
    observe: Observe,
}

/// A reading on its way, in the background. Dropping it gives it up.
#[derive(Debug)]
pub struct Edge {
    task: tokio::task::JoinHandle<Reading>,
}

impl Observer {
    /// An observer of these sources. Nothing is read yet.
    pub fn new(observe: Observe) -> Arc<Self> {
        Arc::new(Self { observe })
    }

    /// Starts reading at an edge, in the background, on the tokio runtime of the caller. Exporters are scraped at once;
    /// Prometheus is asked until every series has a sample at or after `at`, for two scrape intervals at most.
    pub fn edge(self: &Arc<Self>, _at: SystemTime, _traffic: Traffic) -> Edge {
        todo!()
    }

    /// Waits until every source has a sample past `at`, and reads it: for `settle: true`, and after the last phase.
    pub async fn settled(self: &Arc<Self>, at: SystemTime) -> Reading {
        self.edge(at, Traffic::Still).reading().await
    }

    /// What happened between two edges. `requests`: how many requests of the phase were answered or failed, for
    /// `per_request`.
    pub async fn between(&self, _before: &Reading, _after: &Reading, _requests: u64) -> Observed {
        todo!("{:?}", self.observe.settle)
    }

    /// Runs a PromQL query over a phase on the profile's Prometheus server: every series returned, with its last, least,
    /// greatest and mean value. No series is an empty list.
    ///
    /// # Errors
    /// There is no Prometheus server among the sources, or it could not be asked.
    pub async fn query(
        &self,
        _promql: &str,
        _from: SystemTime,
        _to: SystemTime,
        _step: Duration,
    ) -> Result<Vec<ValueSeries>, SourceError> {
        todo!()
    }
}

impl Edge {
    /// The reading, once it is there.
    pub async fn reading(self) -> Reading {
        let _ = self.task;
        todo!()
    }
}
