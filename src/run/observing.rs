//! The target's counters around phases: which edge's reading is a phase's before, and which its after.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared, join_all};

use crate::counters::observe::PROMETHEUS;
use crate::counters::{Answered, Folded, Observed, Observer, Query, Reading, SourceError, Traffic, Values};
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
pub(super) struct Span {
    pub before: Pending,
    pub after: Pending,
    /// When its load was there.
    pub stretch: (SystemTime, SystemTime),
    /// Requests of the phase.
    pub requests: u64,
}

/// What the judged phases of a run came to together.
#[derive(Default)]
pub(super) struct WholeRun {
    /// When their load was there, without the pauses and the other phases between them.
    stretches: Vec<(SystemTime, SystemTime)>,
    values: Folded,
    /// Phases that were judged before an earlier one was.
    waiting: BTreeMap<u64, (f64, Values)>,
    /// Why the Prometheus server could not be read the last time.
    away: Option<SourceError>,
}

impl WholeRun {
    /// Reaches to the end of a later phase.
    pub fn extend(&mut self, (from, to): (SystemTime, SystemTime)) {
        match self.stretches.last_mut() {
            Some((_, end)) if from <= *end + Duration::from_millis(100) => *end = to,
            _ => self.stretches.push((from, to)),
        }
    }

    /// Takes in what was observed in a phase of so many seconds; those before the first one that isn't judged yet are added up in their order.
    pub fn add(&mut self, phase_run: u64, seconds: f64, observed: &Observed, first_open: Option<u64>) {
        self.away = away(observed);
        self.waiting.insert(phase_run, (seconds, observed.values.clone()));
        let later = first_open.map_or_else(BTreeMap::new, |open| self.waiting.split_off(&open));
        for (seconds, values) in std::mem::replace(&mut self.waiting, later).values() {
            self.values.add(values, *seconds);
        }
    }

    /// What the report and the SLOs over the run need.
    pub async fn observe(mut self, observer: &Observer, slos: &[Slo]) -> Outside {
        self.waiting.values().for_each(|(seconds, values)| self.values.add(values, *seconds));
        let slos: Vec<&Slo> = slos.iter().filter(|slo| slo.over == Over::Run).collect();
        let (promql, _) = ask(observer, &self.stretches, &slos, self.away.as_ref()).await;
        Outside { values: self.values.values(), promql, ..Outside::default() }
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
        *value = plan.secrets.redact(value).into_owned();
    }
    let (promql, warnings) = ask(observer, &[span.stretch], &slos.iter().collect::<Vec<_>>(), away(&observed).as_ref()).await;
    observed.warn(&warnings);
    let outside = Outside { values: observed.values.clone(), promql, ..Outside::default() };
    (observed, outside)
}

/// Why the Prometheus server can't be read, where that may pass: one that was waited for already isn't waited for once more.
fn away(observed: &Observed) -> Option<SourceError> {
    let error = observed.sources.iter().find(|source| source.name == PROMETHEUS)?.error.clone();
    error.filter(SourceError::may_pass)
}

type Answers = BTreeMap<String, Result<Answered, String>>;

/// Asks the queries of these SLOs over stretches of time; and what the server said beside the answers.
async fn ask(
    observer: &Observer,
    stretches: &[(SystemTime, SystemTime)],
    slos: &[&Slo],
    away: Option<&SourceError>,
) -> (Answers, Vec<String>) {
    let mut queries: Vec<&Query> = Vec::new();
    // One that is left out isn't asked: what is optional is then not observed.
    for slo in slos.iter().filter(|_| observer.has_prometheus() && !stretches.is_empty()) {
        if let Subject::Promql(query) = &slo.subject
            && !queries.contains(&query)
        {
            queries.push(query);
        }
    }
    let answers = join_all(queries.iter().map(|query| async {
        match away {
            Some(error) => Err(error.clone()),
            None => observer.query(query, stretches).await,
        }
    }));
    let answers = answers.await;
    let warnings = answers.iter().flatten().flat_map(|answer| answer.warnings.clone()).collect();
    let with_source = |(query, answer): (&Query, Result<Answered, SourceError>)| {
        (query.text.clone(), answer.map_err(|error| format!("{PROMETHEUS} {error}")))
    };
    (queries.into_iter().zip(answers).map(with_source).collect(), warnings)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::counters::{Systems, ValueSeries};

    #[test]
    fn pauses_and_other_phases_are_no_part_of_a_run() {
        let at = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        let mut run = WholeRun::default();
        [(0, 10), (10, 20), (25, 30)].iter().for_each(|(from, to)| run.extend((at(*from), at(*to))));
        assert_eq!(run.stretches, [(at(0), at(20)), (at(25), at(30))]);
    }

    #[test]
    fn phases_are_added_up_in_their_order_whichever_is_judged_first() {
        let level = |value: f64| {
            let series = ValueSeries { min: value - 1.0, max: value + 1.0, ..ValueSeries::exact(Vec::new(), value) };
            let values = [("clients".to_owned(), Systems::of(vec![series]))].into_iter().collect();
            Observed { values, ..Observed::default() }
        };
        let mut run = WholeRun::default();
        run.add(2, 10.0, &level(5.0), Some(1));
        assert_eq!(run.waiting.len(), 1);
        run.add(1, 10.0, &level(9.0), Some(3));
        assert!(run.waiting.is_empty());
    }
}
