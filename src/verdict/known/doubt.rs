//! What an inconclusive answer depends on, in words.

use super::Pace;
use crate::base::Reason;
use crate::base::figures::count as show_count;
use crate::base::units::show_seconds;
use crate::measure::Sparse;
use crate::verdict::figures::{Figures, Times};
use crate::verdict::requirement::{Comparison, Measure, Requirement, Tally};

const NOBODY_CONNECTED: &str = "nobody could connect to a step, so that what was missed there isn't known";

impl Figures {
    /// What the answer to a requirement depends on, in plain words with its size; empty if it depends on nothing.
    pub fn doubt(&self, requirement: &Requirement, pace: Pace) -> String {
        let mut doubts = Vec::new();
        let local = self.reasons[Reason::Local.index()];
        let all = show_count(self.all);
        let cut_off = if self.answers { ["had no answer"; 2] } else { ["was cut off", "were cut off"] };
        let when = if self.partial { "by then" } else { "when the drain ended" };
        let no_answer = cut_off.map(|cut_off| format!("of {all} {cut_off} {when}"));
        let own_limits = ["broke on this machine's own limits"; 2];
        let blamed = ["request was", "requests were"].map(|what| format!("{what} broken or delayed by the generator itself"));
        let connections = ["connection", "connections"].map(|what| format!("{what} broke on this machine's own limits"));
        let unheard = if self.of_messages || self.of_sessions { self.deaf } else { 0 };
        let mut unmade = true;
        match requirement.measure {
            Measure::Quantile(_) | Measure::Within(_) | Measure::Mean | Measure::Max | Measure::Min | Measure::Drift => {
                // Only what had not lasted that long yet may have been in time.
                let bound = match requirement.measure {
                    Measure::Within(bound) => bound,
                    Measure::Quantile(_) => requirement.objective,
                    _ => f64::INFINITY,
                };
                let within = |times: &Sparse| if bound.is_finite() { times.within(bound).round() as u64 } else { times.count() };
                let delays = self.delays_alone(requirement).met.is_none();
                let shifted = |times: &Times| match bound.is_finite() {
                    true => within(&times.least()).saturating_sub(within(&times.most)),
                    false if delays => times.delayed(),
                    false => 0,
                };
                say(&mut doubts, within(&self.cut_off.least()) + self.outlasted(), &no_answer);
                say(
                    &mut doubts,
                    within(&self.timed_out.least()) + self.unsent_timeouts(),
                    &[format!("of {all} was given up at its time limit"), format!("of {all} were given up at their time limit")],
                );
                say(
                    &mut doubts,
                    shifted(&self.good),
                    &["was delayed by the generator itself", "were delayed by the generator itself"],
                );
                say(&mut doubts, local, &own_limits);
                say(
                    &mut doubts,
                    self.shortened,
                    &["was", "were"].map(|be| format!("{be} made shorter by this machine's own limits")),
                );
                say(&mut doubts, self.blamed, &blamed);
                say(&mut doubts, self.young, &["was still under way", "were still under way"]);
                if self.all == 0 || (self.of_messages && matches!(requirement.measure, Measure::Within(_))) {
                    say(&mut doubts, unheard, &connections);
                }
                if self.of_messages && self.missed_unconnected().is_none() {
                    doubts.push(NOBODY_CONNECTED.to_owned());
                }
            }
            Measure::Ratio(tally) | Measure::Count(tally) => match tally {
                Tally::Requests => {
                    say(&mut doubts, local, &own_limits);
                    say(&mut doubts, unheard, &connections);
                    say_limited(&mut doubts, pace);
                }
                Tally::Checks => say(
                    &mut doubts,
                    self.unclear_checks,
                    &["check", "checks"]
                        .map(|what| format!("{what} had no answer to look at, or an `eventually` that was not over")),
                ),
                Tally::Dropped => {
                    say(&mut doubts, self.arrivals[2], &["arrival was cancelled", "arrivals were cancelled"]);
                    say(
                        &mut doubts,
                        self.arrivals[3],
                        &["arrival was", "arrivals were"].map(|be| format!("{be} dropped behind a pause of the generator")),
                    );
                    unmade = false;
                }
                Tally::Disconnects => {
                    say(&mut doubts, self.connections[2], &connections);
                    unmade = false;
                }
                Tally::Missed => {
                    say(&mut doubts, self.deaf, &connections);
                    if self.missed_unconnected().is_none() {
                        doubts.push(NOBODY_CONNECTED.to_owned());
                    }
                    unmade = false;
                }
                Tally::Because(Reason::Local) => unmade = false,
                Tally::Errors | Tally::Success | Tally::Timeouts | Tally::Because(_) | Tally::Status(..) => {
                    // Of some the status had come.
                    let sure = match tally {
                        Tally::Errors | Tally::Success => self.cut.wrong,
                        Tally::Status(..) => self.cut.answered,
                        _ => 0,
                    };
                    say(&mut doubts, self.interrupted.saturating_sub(sure), &no_answer);
                    let undone = if matches!(tally, Tally::Timeouts | Tally::Status(..)) { 0 } else { self.undone };
                    say(
                        &mut doubts,
                        undone,
                        &["`eventually` was", "`eventually` were"].map(|be| format!("{be} cut off when the drain ended")),
                    );
                    say(
                        &mut doubts,
                        self.delayed_timeouts,
                        &[
                            "reached its time limit while the generator delayed it",
                            "reached their time limit while the generator delayed them",
                        ],
                    );
                    say(&mut doubts, local, &own_limits);
                }
            },
            Measure::Rate => {
                say(&mut doubts, local, &own_limits);
                say(&mut doubts, unheard, &connections);
                say_limited(&mut doubts, pace);
            }
            Measure::Value => {
                say(&mut doubts, self.blamed, &blamed);
                say_limited(&mut doubts, pace);
            }
            Measure::Silent => {
                say(&mut doubts, self.deaf, &connections);
                let stood = self.stood_silent();
                if stood > 0.0 {
                    doubts.push(format!("pauses of the generator lasted {} for its listeners together", show_seconds(stood)));
                }
                unmade = false;
            }
        }
        if matches!(requirement.measure, Measure::Count(_) | Measure::Rate | Measure::Value) {
            self.say_stood(&mut doubts, requirement, pace);
        }
        if unmade {
            say(
                &mut doubts,
                self.unmade().arrivals,
                &["arrival was dropped or cancelled, or sent nothing", "arrivals were dropped or cancelled, or sent nothing"],
            );
            let failed = matches!(
                requirement.measure,
                Measure::Within(_)
                    | Measure::Ratio(Tally::Errors | Tally::Success)
                    | Measure::Count(Tally::Errors | Tally::Success)
            );
            let (kept, failed) = (self.unmade(), failed && !self.all_came_up());
            // Of a counter of the profile's own nothing is there that could be counted.
            let withheld = if failed { 0 } else { (kept.withheld.ceil() as u64).max(kept.dead) };
            say(&mut doubts, withheld, &["was", "were"].map(|be| format!("{be} held back while the target was away")));
            if withheld == 0 && kept.held_back > 0.0 && !failed {
                let time = show_seconds(kept.held_back);
                doubts.push(format!("users were held back for {time} together while the target was away"));
            }
            let lacking = match self.answers {
                true => "broke on this machine's own limits before this step",
                false => "could not record a value",
            };
            say(&mut doubts, self.unmade().unfinished, &["iteration", "iterations"].map(|what| format!("{what} {lacking}")));
            say(
                &mut doubts,
                self.unmade().hanging,
                &["request", "requests"].map(|what| format!("{what} had no answer when the drain ended")),
            );
            if self.unmade().absent > 0.0 {
                doubts.push(format!("users were missing for {} together", show_seconds(self.unmade().absent)));
            }
        }
        doubts.join("; ")
    }

    /// Reports pauses of the generator: where more would have been done without, or where less would have been left for later.
    fn say_stood(&self, doubts: &mut Vec<String>, requirement: &Requirement, pace: Pace) {
        if matches!(requirement.comparison, Comparison::Below | Comparison::AtMost) {
            if pace.stood.is_some() && requirement.measure != Measure::Value {
                let waited = ["was due earlier and waited for the generator", "were due earlier and waited for the generator"];
                say(doubts, self.stalled, &waited);
            }
            return;
        }
        match pace.stood {
            Some(stood) if stood > 0.0 => doubts.push(format!("the generator stood still for {} of it", show_seconds(stood))),
            None if self.unmade().held > 0.0 => doubts.push(self.doubt_of_pauses()),
            _ => {}
        }
    }

    /// How long pauses of the generator held closed users up, in words.
    pub(in crate::verdict) fn doubt_of_pauses(&self) -> String {
        format!("pauses of the generator held users up for {} together", show_seconds(self.held))
    }
}

/// What the answer depends on where the generator was the bottleneck.
pub(in crate::verdict) const LIMITED: &str = "the generator itself was the bottleneck";

fn say_limited(doubts: &mut Vec<String>, pace: Pace) {
    if pace.limited {
        doubts.push(LIMITED.to_owned());
    }
}

fn say(doubts: &mut Vec<String>, count: u64, [one, more]: &[impl std::fmt::Display; 2]) {
    match count {
        0 => {}
        1 => doubts.push(format!("1 {one}")),
        _ => doubts.push(format!("{} {more}", show_count(count))),
    }
}
