//! What can be known of a measure: its value, the least and the most that it can be, and what that depends on.
//!
//! A requirement is worked out with everything unknown counted as good, and with everything unknown counted as bad. That is the same
//! as asking whether it holds for all values from the least to the most (it is met), for none of them (it is not met), or for
//! some of them (nobody can say). Unknown are answers that never came, times that the generator itself made longer, and work that
//! the load asked for and that was never done.

mod doubt;

use super::figures::Figures;
use super::requirement::{Comparison, Measure, Requirement, Tally, Unit};
use crate::base::Reason;
use crate::measure::{Heard, Sparse};

/// A value, and the least and the most that it can be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Known {
    /// As it was measured.
    pub value: f64,
    /// The least that it can be.
    pub least: f64,
    /// The most that it can be; infinite where nothing bounds it.
    pub most: f64,
    /// Whether the requirement is met; none where that depends on what is unknown.
    pub met: Option<bool>,
}

impl Known {
    /// A value that is known exactly.
    pub fn exactly(requirement: &Requirement, value: f64) -> Self {
        Self::between(requirement, value, value, value)
    }

    /// A value that is known to lie between two others.
    pub fn between(requirement: &Requirement, value: f64, least: f64, most: f64) -> Self {
        let (least, most) = (least.min(value), most.max(value));
        let met = requirement.comparison.holds_between(least, most, requirement.objective);
        Self { value, least, most, met }
    }
}

/// In a mean, what nothing bounds took so many times the objective.
const LONGEST: f64 = 10.0;

/// What of the load a phase, or the run, can't say by its totals alone.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Pace {
    /// How long the load lasted, in seconds.
    pub seconds: f64,
    /// The generator was the bottleneck of a closed load: more would have been done by a faster one.
    pub limited: bool,
}

/// A share: how much surely counts, how much more may, and of how much.
struct Share {
    known: u64,
    unknown: f64,
    of: f64,
    /// As measured: how much counts, of how much. What broke on this machine's own limits is left out.
    seen: (u64, u64),
}

impl Share {
    /// Itself, if there is anything of the sort.
    fn any(self) -> Option<Self> {
        (self.seen.1 > 0).then_some(self)
    }
}

impl Figures {
    /// What is known of a requirement; none without data.
    pub fn known(&self, requirement: &Requirement, pace: Pace) -> Option<Known> {
        let between = |value, least, most| Some(Known::between(requirement, value, least, most));
        match requirement.measure {
            Measure::Quantile(q) => self.quantile(requirement, q),
            Measure::Mean => {
                let value = self.times().mean()?;
                let (least, most) = self.mean(requirement)?;
                between(value, least, most)
            }
            Measure::Max => {
                let least = self.least().filter_map(|times| times.max()).reduce(f64::max);
                let open = self.unanswered() + self.shortened > 0 || self.never() > 0.0;
                let value = self.times().max()?;
                let least = least.filter(|_| self.blamed == 0).unwrap_or(0.0);
                between(value, least, if open { f64::INFINITY } else { value })
            }
            Measure::Min => {
                let value = self.times().min()?;
                let least = self.least().filter_map(|times| times.min()).reduce(f64::min);
                let least = least.filter(|_| self.never() == 0.0 && self.blamed == 0).unwrap_or(0.0);
                between(value, least, self.good.most.min().unwrap_or(f64::INFINITY))
            }
            Measure::Value => self.counter.and_then(|sum| {
                let more = self.unmade().counter + sum * self.unmade().held;
                let most = if pace.limited && !requirement.met(sum) { f64::INFINITY } else { sum + more };
                // What the generator broke itself may have been counted as well.
                between(sum, (sum - self.blamed as f64).max(0.0), most)
            }),
            Measure::Within(bound) => self.within(requirement, bound),
            Measure::Ratio(tally) => {
                let share = self.share(tally, pace).any()?;
                let most = if share.of.is_finite() { (share.known as f64 + share.unknown) / share.of } else { 1.0 };
                between(share.seen.0 as f64 / share.seen.1 as f64, share.known as f64 / share.of, most.min(1.0))
            }
            Measure::Count(tally) => {
                let counted = self.share(tally, Pace::default()).seen;
                let pace = Pace { limited: pace.limited && !requirement.met(counted.0 as f64), ..pace };
                let share = self.share(tally, pace);
                let known =
                    Known::between(requirement, share.seen.0 as f64, share.known as f64, share.known as f64 + share.unknown);
                (counted.1 > 0 || (tally == Tally::Requests && known.met != Some(true))).then_some(known)
            }
            Measure::Rate => {
                let unmade = self.unmade();
                let local = self.reasons[Reason::Local.index()].min(self.all) as f64;
                // What was due after the phase's end was done in more time than that.
                let (done, least, more) = match self.counter {
                    Some(sum) if self.all == 0 => {
                        let sum = sum - self.late.1;
                        (sum, (sum - self.blamed as f64).max(0.0), unmade.counter)
                    }
                    // In a part of a phase what was begun counts, not what ended.
                    _ => {
                        let under_way = if self.counts_open { self.open as f64 } else { unmade.under_way };
                        let begun = ((self.all - self.late.0.min(self.all)) as f64 + under_way).max(0.0);
                        (begun, (begun - local).max(0.0), unmade.items)
                    }
                };
                if pace.seconds <= 0.0 {
                    return None;
                }
                let missed = pace.limited && !requirement.met(done / pace.seconds);
                let most = if missed { f64::INFINITY } else { done * (1.0 + unmade.held) + more };
                let known = Known::between(requirement, done / pace.seconds, least / pace.seconds, most / pace.seconds);
                // Nothing at all is too little; and no data where little was wanted.
                (done > 0.0 || known.met != Some(true)).then_some(known)
            }
            Measure::Silent => {
                let (share, least) = self.silent()?;
                between(share, least, share)
            }
            Measure::Drift => None,
        }
    }

    /// How many samples stand behind a measure: of few a quantile or a share says little.
    pub fn samples(&self, measure: Measure) -> u64 {
        match measure {
            Measure::Ratio(tally) => self.share(tally, Pace::default()).seen.1,
            Measure::Quantile(_) | Measure::Mean | Measure::Max | Measure::Min | Measure::Drift => {
                self.good.count() + self.unanswered()
            }
            // A number, a rate and a time say as much where they are small.
            Measure::Value | Measure::Count(_) | Measure::Rate | Measure::Silent => u64::MAX,
            Measure::Within(_) => self.all,
        }
    }

    /// The least that each of the times can have been, by how they ended.
    fn least(&self) -> impl Iterator<Item = Sparse> {
        [&self.good, &self.timed_out, &self.cut_off].into_iter().map(|times| times.least())
    }

    /// The least that each of the times can have been.
    fn all_least(&self) -> Sparse {
        let mut all = Sparse::default();
        self.least().for_each(|times| all.add(&times));
        all
    }

    /// What ended without an answer.
    fn unanswered(&self) -> u64 {
        self.timed_out.count() + self.cut_off.count()
    }

    /// What those listeners missed that could not connect; none where nobody was there who could tell what came.
    fn missed_unconnected(&self) -> Option<u64> {
        self.heard.iter().map(Heard::missed_unconnected).sum()
    }

    /// Of the seconds that listeners listened the share that lay in silences, and the least that it can be.
    fn silent(&self) -> Option<(f64, f64)> {
        let times = self.heard.iter().map(Heard::listening_seconds);
        let (listening, silent) = times.fold((0.0, 0.0), |sum, of| (sum.0 + of.0, sum.1 + of.1));
        // A pause of the generator is a silence to it, and makes those around it longer.
        let least = (silent - 2.0 * self.held).max(0.0);
        (listening > 0.0).then(|| (silent / listening, if self.deaf > 0 { 0.0 } else { least / listening }))
    }

    /// What has no time at all: it broke on this machine's own limits, was given up before it could be timed, or was never done.
    fn never(&self) -> f64 {
        (self.reasons[Reason::Local.index()] + self.untimed()) as f64 + self.unmade().items
    }

    /// Timeouts, and what was cut off, whose time nobody recorded: it outlasted its phase's drain.
    fn untimed(&self) -> u64 {
        self.timeouts.saturating_sub(self.timed_out.count()) + self.interrupted.saturating_sub(self.cut_off.count())
    }

    /// How many ended well that left out nothing for this machine's own limits.
    fn surely_whole(&self) -> f64 {
        self.good.count().saturating_sub(self.shortened) as f64
    }

    /// A quantile as measured, the least and the most that it can be.
    pub(super) fn quantile_between(&self, q: f64) -> Option<(f64, f64, f64)> {
        let times = self.times();
        let measured = times.quantile(q)?;
        let never = self.never();
        let all = times.count() as f64 + never;
        // What has no time at all is at the lower end where it is good, and at the upper end where it is bad.
        // So may be a value of the profile's own that the generator made larger.
        let low = never + self.blamed as f64;
        let least = if low >= q * all { 0.0 } else { self.all_least().quantile((q * all - low) / times.count() as f64)? };
        let most = match q * all / self.surely_whole() {
            share if share <= 1.0 => self.good.most.quantile(share)?,
            _ => f64::INFINITY,
        };
        Some((measured, least, most))
    }

    /// A quantile.
    ///
    /// The buckets know a value to half a per cent, but how many lie within a threshold is counted exactly: at most q of all do if
    /// and only if the quantile is above it. Where the counts are known they decide, and the values follow them.
    fn quantile(&self, requirement: &Requirement, q: f64) -> Option<Known> {
        let (measured, least_value, most_value) = self.quantile_between(q)?;
        let (times, least, never) = (self.times(), self.all_least(), self.never());
        let (all, objective) = (times.count() as f64 + never, requirement.objective);
        let mut known = Known::between(requirement, measured, least_value, most_value);
        // Times don't fall on a threshold to the nanosecond; other values do, and then only these two comparisons are exact.
        let exact = requirement.unit == Unit::Seconds || matches!(requirement.comparison, Comparison::AtMost | Comparison::Above);
        if !exact || requirement.comparison == Comparison::Equal {
            return Some(known);
        }
        let counts =
            times.within_exactly(objective).zip(self.good.most.within_exactly(objective)).zip(least.within_exactly(objective));
        let Some(((within, surely), perhaps)) = counts else { return Some(known) };
        let follow = |reached: bool, value: f64| if reached { value.min(objective) } else { value.max(objective) };
        let surely = (surely as f64 - self.shortened as f64).max(0.0);
        let reached = [perhaps as f64 + never + self.blamed as f64 >= q * all, surely >= q * all];
        known.value = follow(within as f64 >= q * times.count() as f64, known.value);
        known.least = follow(reached[0], known.least).min(known.value);
        known.most = follow(reached[1], known.most).max(known.value);
        let below = matches!(requirement.comparison, Comparison::Below | Comparison::AtMost);
        known.met = (reached[0] == reached[1]).then_some(reached[0] == below);
        Some(known)
    }

    /// The least and the most that the mean can be: an unknown time is what had elapsed, or its time limit; where that is below the
    /// objective, ten times the objective.
    fn mean(&self, requirement: &Requirement) -> Option<(f64, f64)> {
        let all = self.times().count() as f64 + self.never();
        let least = if self.blamed > 0 { 0.0 } else { self.least().map(|times| times.sum()).sum::<f64>() };
        if all.is_infinite() {
            return Some((0.0, f64::INFINITY));
        }
        // Where no time limit goes beyond the objective, many that are just as long would still be below it.
        let objective = requirement.objective;
        let longest = if self.timeout > objective { self.timeout } else { LONGEST * objective };
        let elapsed = self.timed_out.most.sum() + self.cut_off.most.sum();
        let most = self.good.most.sum()
            + elapsed.max(self.unanswered() as f64 * longest)
            + (self.never() + self.shortened as f64) * longest;
        (all > 0.0).then_some((least / all, most / all))
    }

    /// The mean, the greatest or the least, as if delays of the generator were all that isn't known.
    fn delays_alone(&self, requirement: &Requirement) -> Known {
        let (most, least) = (self.times(), self.all_least());
        let of = |times: &Sparse| match requirement.measure {
            Measure::Max => times.max(),
            Measure::Min => times.min(),
            _ => times.mean(),
        };
        let (most, least) = (of(&most).unwrap_or(0.0), of(&least).unwrap_or(0.0));
        Known::between(requirement, most, least, most)
    }

    /// The share that was answered well within a time, of all there was.
    fn within(&self, requirement: &Requirement, bound: f64) -> Option<Known> {
        let unconnected = if self.of_messages { self.missed_unconnected() } else { Some(0) };
        let all = self.all + unconnected.unwrap_or(0) + self.unsent();
        let value = (all > 0).then(|| self.good.most.within(bound) / all as f64)?;
        let of = all as f64 + self.unmade().items;
        let surely = (self.good.most.within(bound) - self.shortened as f64).max(0.0);
        // What took longer, or had already lasted longer when it was given up.
        let longer: f64 = self.least().map(|times| times.count() as f64 - times.within(bound)).sum();
        let own = self.reasons[Reason::Local.index()];
        let failed = self.errors.saturating_sub(self.timeouts.max(self.delayed_timeouts) + own);
        // Messages that never came, or of which nobody knows when they were published.
        let untimed = all.saturating_sub(self.errors + self.interrupted).saturating_sub(self.good.count());
        // Who could not connect for this machine's own limits may have missed nothing.
        let untimed = untimed - if self.deaf > 0 { unconnected.unwrap_or(0).min(untimed) } else { 0 };
        let longer = (longer - self.blamed as f64).max(0.0);
        let most = if of.is_finite() { 1.0 - (longer + (failed + untimed) as f64) / of } else { 1.0 };
        // Of those that could not connect nobody may know how many they missed.
        let least = if unconnected.is_none() { 0.0 } else { surely / of };
        Some(Known::between(requirement, value, least, most.max(0.0)))
    }

    /// How much counts, and of how much.
    fn share(&self, tally: Tally, pace: Pace) -> Share {
        let local = self.reasons[Reason::Local.index()];
        // A step that sends nothing is only noticed where it fails.
        let tried = self.all + self.step_errors + self.undone;
        // What was not sent to a target that is away counts as failed.
        let unsent = self.unsent();
        // What has no answer may have been anything.
        let unknown = (self.interrupted + self.undone + local + self.delayed_timeouts) as f64 + self.unmade().items;
        let of_all = |all: u64, known: u64, seen: u64| Share {
            known,
            unknown,
            of: all as f64 + self.unmade().items,
            seen: (seen, all.saturating_sub(local)),
        };
        let answers = |known: u64, seen: u64| of_all(tried, known, seen);
        let plain = |n: u64, of: u64| Share { known: n, unknown: 0.0, of: of as f64, seen: (n, of) };
        match tally {
            Tally::Requests => {
                let more = self.unmade().items + self.all as f64 * self.unmade().held;
                let known = self.all.saturating_sub(local);
                Share {
                    known,
                    unknown: local as f64 + if pace.limited { f64::INFINITY } else { more },
                    ..plain(self.all, self.all)
                }
            }
            Tally::Errors => {
                let errors = (self.errors + self.step_errors).saturating_sub(local) + unsent;
                of_all(tried + unsent, errors.saturating_sub(self.delayed_timeouts), errors)
            }
            Tally::Success => {
                let good = self.all.saturating_sub(self.errors + self.interrupted);
                of_all(tried + unsent, good, good)
            }
            Tally::Timeouts => of_all(self.all, self.timeouts.saturating_sub(self.delayed_timeouts), self.timeouts),
            Tally::Because(Reason::Local) => plain(local, tried),
            Tally::Because(reason) => {
                let count = self.reasons[reason.index()];
                let doubtful = if reason == Reason::Timeout { self.delayed_timeouts.min(count) } else { 0 };
                answers(count - doubtful, count)
            }
            Tally::Status(from, to) => {
                let count = self.codes.range(from..=to).map(|code| code.1).sum();
                of_all(self.all, count, count)
            }
            Tally::Checks => {
                let unknown = self.unclear_checks as f64 + self.unmade().checks;
                let seen = (self.checks.0.saturating_sub(self.checks.1), self.checks.0);
                Share { known: seen.0, unknown, of: seen.1 as f64 + unknown, seen }
            }
            // Nobody knows whether a user would have come free for one that still waited at the end.
            Tally::Dropped => Share { unknown: self.arrivals[2] as f64, ..plain(self.arrivals[1], self.arrivals[0]) },
            Tally::Disconnects => {
                let [opened, ended, local] = self.connections;
                Share { unknown: local as f64, ..plain(ended.saturating_sub(local), opened + self.carried) }
            }
            Tally::Missed => {
                let unconnected = self.missed_unconnected();
                let missed = self.heard.iter().map(|heard| heard.missed).sum::<u64>() + unconnected.unwrap_or(0);
                let owed = missed + self.heard.iter().map(|heard| heard.received).sum::<u64>();
                // Who could not connect for this machine's own limits may have missed nothing.
                let known = if self.deaf > 0 { missed - unconnected.unwrap_or(0) } else { missed };
                let unknown = if unconnected.is_none() { f64::INFINITY } else { (missed - known) as f64 };
                Share { known, unknown, ..plain(missed, owed) }
            }
        }
    }
}

#[cfg(test)]
mod tests;
