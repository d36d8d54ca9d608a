//! What a run comes to in the end.

use std::path::PathBuf;

use crate::base::{Protocol, Reason, Verdict};
use crate::engine::Ending;
use crate::measure::{StepTotals, Totals};
use crate::plan::{self, DataSource, Plan};
use crate::record::{RecordError, Run};
use crate::verdict::Exit;

/// A run that is over.
pub struct Outcome {
    /// Its record.
    pub run: Run,
    /// What the process answers.
    pub exit: Exit,
    /// Where it was stored, if it was to be, or why it could not be.
    pub stored: Result<Option<PathBuf>, RecordError>,
}

impl Outcome {
    /// Where it is stored; empty if it isn't.
    pub fn directory(&self) -> String {
        self.stored.as_ref().ok().and_then(Option::as_ref).map(|path| path.display().to_string()).unwrap_or_default()
    }
}

/// What the process answers to a run with this verdict and this end.
pub(super) fn exit(verdict: Verdict, ending: &Ending, totals: &Totals) -> Exit {
    match ending {
        Ending::Failed(_) => Exit::NotCarriedOut,
        _ if never_reached(totals, ending, |_| None).is_some() => Exit::NotCarriedOut,
        Ending::Stopped if verdict != Verdict::Fail => Exit::Interrupted,
        Ending::Aborted(_) if verdict == Verdict::None => Exit::NotCarriedOut,
        _ => Exit::from(verdict),
    }
}

/// What ended the run before its time, as a reader should know it.
pub(super) fn stopped(ending: &Ending) -> Option<String> {
    match ending {
        Ending::Completed => None,
        Ending::Stopped => Some("The run was stopped before its end.".to_owned()),
        Ending::Aborted(reason) => Some(format!("The run was ended: {reason}")),
        Ending::Failed(reason) => Some(format!("The run could not be carried out: {reason}.")),
    }
}

/// Says so if not one connection to the target came up. That none did before somebody ended the run says nothing. `example` gives what
/// happened to a request for some reason, in words.
pub(super) fn never_reached(totals: &Totals, ending: &Ending, example: impl Fn(Reason) -> Option<String>) -> Option<String> {
    let mut failures = [0; Reason::COUNT];
    for connects in totals.scenarios.iter().flat_map(|scenario| &scenario.connects[..Protocol::COUNT]) {
        if connects.duration.count() > 0 {
            return None;
        }
        for (sum, count) in failures.iter_mut().zip(&connects.failures) {
            *sum += count;
        }
    }
    // It answered, though not as a session needs it.
    if [Reason::Status, Reason::Protocol, Reason::Expect].iter().any(|reason| failures[reason.index()] > 0) {
        return None;
    }
    let all: u64 = failures.iter().sum();
    let local = failures[Reason::Local.index()];
    if local > 0 && local == all {
        return Some(format!(
            "This machine could not make a single connection: {all} of {all} failed for want of its own descriptors, local ports, memory or \
             threads, or by its own rules ({}). Nothing is known of the target.",
            by_reason(&failures)
        ));
    }
    let cut_off: u64 = totals.steps.iter().map(|step| step.count(crate::base::Outcome::Interrupted)).sum();
    if all == 0 && cut_off > 0 && *ending == Ending::Completed {
        return Some(format!("No connection to the target came up before {cut_off} requests were cut off."));
    }
    if all == 0 {
        return None;
    }
    let away = [Reason::Dns, Reason::Refused, Reason::Local].iter().map(|reason| failures[reason.index()]).sum::<u64>();
    if away == all {
        return Some(format!("The target was never reached: {all} of {all} connections failed ({}).", by_reason(&failures)));
    }
    // It may have been there: what it did is said by what happened most often.
    let most = Reason::ALL.iter().copied().max_by_key(|reason| failures[reason.index()])?;
    let what = example(most).map(|detail| format!("; one of them: {detail}")).unwrap_or_default();
    Some(format!("No connection to the target came up: {all} of {all} failed ({}){what}.", by_reason(&failures)))
}

/// Requests that broke on this machine's own limits, or that timed out while a worker stood still.
pub(super) fn own_doing(totals: &Totals) -> u64 {
    totals.steps.iter().map(own_doing_of).sum()
}

/// The same of one step.
pub(super) fn own_doing_of(step: &StepTotals) -> u64 {
    let timeout = crate::base::Outcome::Timeout.index();
    step.reasons[Reason::Local.index()] + step.delayed_service.measured[timeout].count()
}

/// `refused: 3, timeout: 1`.
pub(super) fn by_reason(counts: &[u64; Reason::COUNT]) -> String {
    let some = Reason::ALL.iter().filter(|reason| counts[reason.index()] > 0);
    some.map(|reason| format!("{reason}: {}", counts[reason.index()])).collect::<Vec<_>>().join(", ")
}

/// Why a run that came to its end proves less than it was to prove: no data never passes.
pub(super) fn doubts(plan: &Plan, totals: &Totals) -> Vec<String> {
    let nowhere = plan.slos.iter().filter(|slo| slo.is_judged_nowhere());
    let mut doubts: Vec<String> = nowhere.map(|slo| format!("{}: no judged phase loads what it is about.", slo.name)).collect();
    let started = plan
        .phases
        .iter()
        .flat_map(|phase| &phase.loads)
        .any(|(id, _)| plan.scenarios.get(id.index()).is_some_and(|scenario| scenario.start.is_some()));
    if started && totals.scenarios.iter().all(|scenario| scenario.iterations.iter().all(|ended| ended.is_empty())) {
        doubts.push("No iteration began: no user got past its `start`.".to_owned());
    }
    doubts
}

/// What is to be said of the data of a phase's scenarios, of which no row was left though one was wanted.
pub(super) fn ran_out(plan: &Plan, phase: &plan::Phase, data: &[usize]) -> Vec<String> {
    let needs = |data: usize| {
        phase.loads.iter().filter_map(|(id, _)| plan.scenarios.get(id.index())).any(|scenario| {
            let rows = &scenario.rows;
            [&rows.start, &rows.flow, &rows.stop].into_iter().any(|rows| rows.contains(&data))
        })
    };
    let sentence = |data: &plan::Data| match &data.source {
        DataSource::Table(table) => format!("The data `{}` ran out: each of its {} rows was used once.", data.name, table.rows()),
        DataSource::Remembered(_) => format!("The data `{}` ran out: each value remembered so far was used once.", data.name),
    };
    data.iter().filter(|data| needs(**data)).filter_map(|data| plan.data.get(*data)).map(sentence).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::ScenarioTotals;

    fn failed(with: &[(Reason, u64)]) -> Totals {
        let mut scenario = ScenarioTotals::default();
        for (reason, count) in with {
            scenario.connects[Protocol::Http.index()].failures[reason.index()] = *count;
        }
        Totals { scenarios: vec![scenario], ..Totals::default() }
    }

    #[test]
    fn a_target_that_this_machine_could_not_connect_to_is_not_blamed() {
        let never_reached = |totals: &Totals| never_reached(totals, &Ending::Completed, |_| None);
        assert_eq!(never_reached(&failed(&[])), None);
        let theirs = never_reached(&failed(&[(Reason::Refused, 3), (Reason::Local, 1)])).unwrap();
        assert_eq!(theirs, "The target was never reached: 4 of 4 connections failed (refused: 3, local: 1).");
        let refused = |reason| never_reached(&failed(&[(reason, 3), (Reason::Refused, 1)]));
        assert_eq!([Reason::Status, Reason::Protocol].map(refused), [None, None], "a handshake that is refused is an answer");
        let ours = never_reached(&failed(&[(Reason::Local, 2)])).unwrap();
        assert!(
            ours.starts_with("This machine could not make a single connection: 2 of 2 failed") && ours.contains("(local: 2)"),
            "{ours}"
        );
        assert!(!ours.contains("never reached"));
    }

    #[test]
    fn of_a_target_that_was_there_it_is_said_what_it_did() {
        let hung = failed(&[(Reason::Timeout, 3), (Reason::Refused, 1)]);
        let example =
            |reason| (reason == Reason::Timeout).then(|| "timed out after 2.00s while in the TLS handshake (tls)".to_owned());
        assert_eq!(
            never_reached(&hung, &Ending::Completed, example).unwrap(),
            "No connection to the target came up: 4 of 4 failed (refused: 1, timeout: 3); one of them: timed out after 2.00s while in the TLS handshake (tls)."
        );
    }
}
