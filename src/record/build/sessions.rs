//! Sessions and messages, by name.

use super::super::histograms::{MessageHistogram, PhaseHistograms, SessionHistograms};
use super::super::run::{Message, Sessions};
use super::PhaseInput;
use super::measured::{by_outcome, latency, outcomes, scenario_name, step_name};
use crate::measure::outcomes::timed;
use crate::measure::{Direction, MessageId, MessageTotals, SessionTotals, StepId};

/// The steps that open sessions, of scenarios that have load in the phase or of which something was measured.
pub(super) fn sessions(input: &PhaseInput<'_>) -> Vec<Sessions> {
    let each = input.layout.steps.iter().enumerate().filter(|(_, step)| step.session.is_some());
    each.map(|(index, step)| (StepId::at(index), step, input.totals.session(StepId::at(index))))
        .filter(|(_, step, totals)| input.layout.is_active(input.phase, step.scenario) || **totals != SessionTotals::default())
        .map(|(id, step, totals)| Sessions {
            scenario: scenario_name(input, step.scenario),
            step: step_name(input, id),
            protocol: step.protocol.label().to_owned(),
            outcomes: outcomes(&totals.durations),
            duration: latency(&timed(&totals.durations)),
            messages_sent: totals.messages[Direction::Sent as usize],
            messages_received: totals.messages[Direction::Received as usize],
            messages_unparsed: totals.unparsed,
            sent_bytes: totals.bytes[Direction::Sent as usize],
            received_bytes: totals.bytes[Direction::Received as usize],
        })
        .collect()
}

/// The kinds of messages that are followed.
pub(super) fn messages(input: &PhaseInput<'_>) -> Vec<Message> {
    let each = input.layout.messages.iter().enumerate();
    each.map(|(index, message)| (message, input.totals.message(MessageId::at(index))))
        .filter(|(message, totals)| {
            let scenario = input.layout.scenario_of(message);
            input.layout.is_active(input.phase, scenario) || **totals != MessageTotals::default()
        })
        .map(|(message, totals)| {
            let heard = totals.heard();
            let unconnected = heard.missed_unconnected();
            let missed = heard.missed().unwrap_or(totals.missed);
            let owed = totals.received + missed;
            let (listening, silent) = message.every.then(|| heard.listening_seconds()).unzip();
            Message {
                scenario: scenario_name(input, input.layout.scenario_of(message)),
                step: step_name(input, message.step),
                message: message.name.clone(),
                received: totals.received,
                missed,
                missed_unconnected: unconnected,
                missed_ratio: (owed > 0 && unconnected.is_some()).then(|| missed as f64 / owed as f64),
                repeated: totals.repeated,
                reordered: totals.reordered,
                clock_skew: totals.skewed,
                listening_seconds: listening,
                silent_seconds: silent,
                latency: latency(&totals.latency),
            }
        })
        .collect()
}

/// Every distribution of sessions and messages that isn't empty.
pub(super) fn histograms(input: &PhaseInput<'_>, out: &mut PhaseHistograms) {
    for (index, step) in input.layout.steps.iter().enumerate() {
        let duration = by_outcome(&input.totals.session(StepId::at(index)).durations);
        if !duration.is_empty() {
            let (scenario, step) = (scenario_name(input, step.scenario), step.name.clone());
            out.sessions.push(SessionHistograms { scenario, step, duration });
        }
    }
    for (index, message) in input.layout.messages.iter().enumerate() {
        let latency = &input.totals.message(MessageId::at(index)).latency;
        if !latency.is_empty() {
            out.messages.push(MessageHistogram {
                scenario: scenario_name(input, input.layout.scenario_of(message)),
                step: step_name(input, message.step),
                message: message.name.clone(),
                latency: latency.clone(),
            });
        }
    }
}
