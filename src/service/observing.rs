//! The target's counters around phases: which edge's reading is a phase's before, and which its after.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared};

use crate::counters::{Observed, Observer, Reading, Traffic};
use crate::measure::process::unix_time;
use crate::verdict::{Outside, Over, Slo, Subject};

/// A reading on its way; the after of one phase and the before of the next are the same.
pub(super) type Pending = Shared<BoxFuture<'static, Arc<Reading>>>;

/// Starts reading at an edge, in the background.
pub(super) fn read_at(observer: &Arc<Observer>, at: SystemTime, traffic: Traffic) -> Pending {
    let edge = observer.edge(at, traffic);
    async move { Arc::new(edge.reading().await) }.boxed().shared()
}

/// A phase between its two readings.
#[derive(Clone)]
pub(super) struct Span {
    pub before: Pending,
    pub after: Pending,
    pub from: SystemTime,
    pub to: SystemTime,
    /// Requests of the phase.
    pub requests: u64,
}

impl Span {
    /// Reaches to the end of a later phase.
    pub fn extend(&mut self, later: &Self) {
        self.after = later.after.clone();
        self.to = later.to;
        self.requests += later.requests;
    }
}

/// Whether an SLO over the run needs what others measured.
pub(super) fn looks_outside(slos: &[Slo]) -> bool {
    slos.iter().any(|slo| slo.over == Over::Run && matches!(slo.subject, Subject::Server(_) | Subject::Promql(_)))
}

/// Waits for both readings, and makes of them what the report and the SLOs need.
pub(super) async fn observe(observer: &Observer, span: Span, slos: &[Slo]) -> (Observed, Outside) {
    let (before, after) = (span.before.await, span.after.await);
    let observed = observer.between(&before, &after, span.requests).await;
    let mut outside = Outside { values: observed.values.clone(), ..Outside::default() };
    for slo in slos {
        let Subject::Promql(query) = &slo.subject else { continue };
        if !outside.promql.contains_key(query) {
            let answer = observer.query(query, span.from, span.to, step(span.from, span.to)).await;
            outside.promql.insert(query.clone(), answer.map_err(|error| error.to_string()));
        }
    }
    (observed, outside)
}

/// A range query's step: a hundred points over the phase, from a second to a minute apart.
fn step(from: SystemTime, to: SystemTime) -> Duration {
    let seconds = (unix_time(to) - unix_time(from)) / 100.0;
    Duration::from_secs(seconds.clamp(1.0, 60.0).round() as u64)
}
