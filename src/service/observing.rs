//! The target's counters around phases: which edge's reading is a phase's before, and which its after.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared, join_all};

use crate::counters::observe::PROMETHEUS;
use crate::counters::{Observed, Observer, Query, Reading, SourceError, Traffic};
use crate::plan::Plan;
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
    /// When its load was there; of several phases without the pauses and the other phases between them.
    pub stretches: Vec<(SystemTime, SystemTime)>,
    /// Requests of the phase.
    pub requests: u64,
}

impl Span {
    /// Reaches to the end of a later phase.
    pub fn extend(&mut self, later: &Self) {
        self.after = later.after.clone();
        for (from, to) in &later.stretches {
            match self.stretches.last_mut() {
                Some((_, end)) if *from <= *end + Duration::from_millis(100) => *end = *to,
                _ => self.stretches.push((*from, *to)),
            }
        }
        self.requests += later.requests;
    }
}

/// Whether an SLO over the run needs what others measured.
pub(super) fn looks_outside(slos: &[Slo]) -> bool {
    slos.iter().any(|slo| slo.over == Over::Run && matches!(slo.subject, Subject::Server(_) | Subject::Promql(_)))
}

/// Waits for both readings, and makes of them what the report and the SLOs need. What is secret goes from the labels of what was read.
pub(super) async fn observe(observer: &Observer, span: Span, plan: &Plan) -> (Observed, Outside) {
    let slos = &plan.slos;
    let (before, after) = (span.before.await, span.after.await);
    let mut observed = observer.between(&before, &after, span.requests).await;
    for value in observed.rows.iter_mut().flat_map(|row| row.labels.values_mut()) {
        *value = plan.secrets.redact_own(value).into_owned();
    }
    let mut queries: Vec<&Query> = Vec::new();
    // One that is left out isn't asked: what is optional is then not observed.
    for slo in slos.iter().filter(|_| observer.has_prometheus()) {
        if let Subject::Promql(query) = &slo.subject
            && !queries.contains(&query)
        {
            queries.push(query);
        }
    }
    // A server that was waited for already isn't waited for once more.
    let away = observed.sources.iter().find(|source| source.name == PROMETHEUS).and_then(|source| source.error.clone());
    let away = away.filter(SourceError::may_pass);
    let answers = join_all(queries.iter().map(|query| async {
        match &away {
            Some(error) => Err(error.clone()),
            None => observer.query(query, &span.stretches).await,
        }
    }));
    let answers = answers.await;
    let mut outside = Outside { values: observed.values.clone(), ..Outside::default() };
    for (query, answer) in queries.into_iter().zip(answers) {
        if let Ok(answer) = &answer {
            observed.warn(&answer.warnings);
        }
        outside.promql.insert(query.text.clone(), answer.map_err(|error| format!("{PROMETHEUS} {error}")));
    }
    (observed, outside)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_and_other_phases_are_no_part_of_a_run() {
        let reading = || async { Arc::new(Reading::none(SystemTime::UNIX_EPOCH)) }.boxed().shared();
        let at = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        let span = |from, to| Span { before: reading(), after: reading(), stretches: vec![(at(from), at(to))], requests: 1 };
        let mut run = span(0, 10);
        run.extend(&span(10, 20));
        run.extend(&span(25, 30));
        assert_eq!((run.stretches, run.requests), (vec![(at(0), at(20)), (at(25), at(30))], 3));
    }
}
