//! What can be known of a measure: its value, the least and the most that it can be, and what that depends on.
//!
//! A requirement is worked out with everything unknown counted as good, and with everything unknown counted as bad. That is the same
//! as asking whether it holds for all values from the least to the most (it is met), for none of them (it is not met), or for
//! some of them (nobody can say). Unknown are answers that never came, times that the generator itself made longer, and work that
//! the load asked for and that was never done.

mod doubt;

pub(super) use self::doubt::LIMITED;

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

/// What of the load a phase, or the run, can't say by its totals alone.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Pace {
    /// How long the load lasted, in seconds.
    pub seconds: f64,
    /// The generator was the bottleneck of a closed load: more would have been done by a faster one.
    pub limited: bool,
    /// Of a part of a phase, for how many of these seconds the generator stood still. Of a whole phase that shows in its totals.
    pub stood: Option<f64>,
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
                let most = self.good.most.min().filter(|_| self.shortened == 0).unwrap_or(f64::INFINITY);
                between(value, least, most)
            }
            // Where nothing was begun that could have counted, that nothing was counted says nothing.
            Measure::Value => self.counter.filter(|sum| *sum > 0.0 || !self.is_idle()).and_then(|sum| {
                let more = self.unmade().counter + self.more_if_it_had_not_stood(sum, requirement, pace);
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
                let least = (share.known as f64 - self.made_up_for(requirement, pace)).max(0.0);
                let more = self.more_if_it_had_not_stood(share.seen.0 as f64, requirement, pace);
                let known = Known::between(requirement, share.seen.0 as f64, least, share.known as f64 + share.unknown + more);
                // That nothing at all was done is too little.
                let nothing = matches!(tally, Tally::Requests | Tally::Success) && known.met != Some(true);
                (counted.1 > 0 || nothing).then_some(known)
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
                        let under_way = match (self.partial, self.counts_open) {
                            (_, true) => self.open as f64,
                            (true, false) => unmade.under_way,
                            (false, false) => 0.0,
                        };
                        let begun = ((self.all - self.late.0.min(self.all)) as f64 + under_way).max(0.0);
                        (begun, (begun - local - self.made_up_for(requirement, pace)).max(0.0), self.undone_items())
                    }
                };
                if pace.seconds <= 0.0 {
                    return None;
                }
                let missed = pace.limited && !requirement.met(done / pace.seconds);
                let more = more + self.more_if_it_had_not_stood(done, requirement, pace) + self.unheard();
                let most = if missed { f64::INFINITY } else { done + more };
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

    /// How much more than `done` it would have been if the generator had not stood still; a requirement that asks for less doesn't
    /// depend on it.
    fn more_if_it_had_not_stood(&self, done: f64, requirement: &Requirement, pace: Pace) -> f64 {
        if matches!(requirement.comparison, Comparison::Below | Comparison::AtMost) {
            return 0.0;
        }
        let share = match pace.stood {
            None => self.unmade().held,
            // So little says nothing about the rest, and what was due meanwhile may not have been begun yet.
            Some(stood) if 2.0 * stood >= pace.seconds => f64::INFINITY,
            Some(stood) => stood / (pace.seconds - stood),
        };
        if share.is_finite() { done * share } else { f64::INFINITY }
    }

    /// How much of what was done in a part of a phase may have been due before it, and waited until the generator went on; a requirement
    /// that asks for more doesn't depend on it.
    fn made_up_for(&self, requirement: &Requirement, pace: Pace) -> f64 {
        let asks_for_more = matches!(requirement.comparison, Comparison::Above | Comparison::AtLeast);
        if asks_for_more || pace.stood.is_none() { 0.0 } else { self.stalled as f64 }
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

    /// What those listeners missed that could not connect; none where nobody was there who could know what came.
    fn missed_unconnected(&self) -> Option<u64> {
        self.heard.iter().map(Heard::missed_unconnected).sum()
    }

    /// Of the seconds that listeners listened the share that lay in silences, and the least that it can be.
    fn silent(&self) -> Option<(f64, f64)> {
        let times = self.heard.iter().map(Heard::listening_seconds);
        let (listening, silent) = times.fold((0.0, 0.0), |sum, of| (sum.0 + of.0, sum.1 + of.1));
        // A pause of the generator is a silence to it, and makes those around it longer.
        let least = (silent - 2.0 * self.stood_silent()).max(0.0);
        (listening > 0.0).then(|| (silent / listening, if self.deaf > 0 { 0.0 } else { least / listening }))
    }

    /// Seconds of silences in which the worker itself stood still, of all listeners together.
    fn stood_silent(&self) -> f64 {
        self.heard.iter().map(|heard| heard.stood as f64 / 1e9).sum()
    }

    /// What has no time at all: it broke on this machine's own limits, was given up before it could be timed, or was never done.
    fn never(&self) -> f64 {
        (self.reasons[Reason::Local.index()] + self.untimed()) as f64 + self.undone_items()
    }

    /// What was never done, for want of users, or because the target was away.
    fn undone_items(&self) -> f64 {
        let unmade = self.unmade();
        unmade.items + unmade.withheld
    }

    /// What has no time though it isn't known to have failed.
    fn untimed(&self) -> u64 {
        self.unsent_timeouts() + self.outlasted()
    }

    /// Timeouts without a time of the sort: of service time those that were never sent.
    fn unsent_timeouts(&self) -> u64 {
        self.timeouts.saturating_sub(self.timed_out.count())
    }

    /// What was interrupted and has no time, since it went on beyond its phase's drain.
    fn outlasted(&self) -> u64 {
        self.interrupted.saturating_sub(self.cut_off.count())
    }

    /// Messages that listeners may have heard, or sessions that there may have been, had connections not broken on this machine's own
    /// limits; infinite where nobody can say.
    fn unheard(&self) -> f64 {
        match self.deaf {
            deaf if self.of_sessions => deaf as f64,
            1.. if self.of_messages => self.missed_unconnected().map_or(f64::INFINITY, |n| n as f64),
            _ => 0.0,
        }
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
        // What may yet end in time is so where it is good; where it is bad that shows later.
        let (low, of) = (never + (self.blamed + self.young) as f64, q * (all + self.young as f64));
        let least = if low >= of { 0.0 } else { self.all_least().quantile((of - low) / times.count() as f64)? };
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
        let below = matches!(requirement.comparison, Comparison::Below | Comparison::AtMost);
        // What is under way mends a breach by ending in time, or by lasting longer, whichever is asked for.
        let (in_time, longer) = if below { (self.young as f64, 0.0) } else { (0.0, self.young as f64) };
        let perhaps = perhaps as f64 + never + self.blamed as f64 + in_time;
        let reached = [perhaps >= q * (all + in_time), surely >= q * (all + longer)];
        known.value = follow(within as f64 >= q * times.count() as f64, known.value);
        known.least = follow(reached[0], known.least).min(known.value);
        known.most = follow(reached[1], known.most).max(known.value);
        known.met = (reached[0] == reached[1]).then_some(reached[0] == below);
        Some(known)
    }

    /// The least and the most that the mean can be. An unknown time counts as what had elapsed in the good case, and as its time limit, or
    /// the objective if that is longer, in the bad case. Without a time limit nothing bounds it.
    fn mean(&self, requirement: &Requirement) -> Option<(f64, f64)> {
        let all = self.times().count() as f64 + self.never();
        let least = if self.blamed > 0 { 0.0 } else { self.least().map(|times| times.sum()).sum::<f64>() };
        let least = if all.is_infinite() { 0.0 } else { least / (all + self.young as f64) };
        let unknown = self.unanswered() as f64 + self.never() + self.shortened as f64;
        if unknown == 0.0 {
            return (all > 0.0).then(|| (least, self.good.most.sum() / all));
        }
        // Where nothing was answered, nothing shows what an answer takes.
        if all.is_infinite() || self.timeout == 0.0 || self.surely_whole() == 0.0 {
            return Some((least, f64::INFINITY));
        }
        let longest = self.timeout.max(requirement.objective);
        let most = self.good.most.sum()
            + self.timed_out.most.sum_at_least(longest)
            + self.cut_off.most.sum_at_least(longest)
            + (self.never() + self.shortened as f64) * longest;
        Some((least, most / all))
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
        let worse = longer + (failed + untimed) as f64;
        let most = if of.is_finite() { 1.0 - worse / (of + self.young as f64) } else { 1.0 };
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
        // How it would have failed that was not sent to a target that is away nobody knows.
        let withheld = self.unmade().withheld;
        let anyhow = |share: Share| Share { unknown: share.unknown + withheld, of: share.of + withheld, ..share };
        let answers = |known: u64, seen: u64| anyhow(of_all(tried, known, seen));
        // An `eventually` is no request. `sure` of what was interrupted is known.
        let of_requests = |known: u64, seen: u64, sure: u64| {
            let share = of_all(self.all, known, seen);
            anyhow(Share { unknown: unknown - (self.undone + sure.min(self.interrupted)) as f64, ..share })
        };
        // Interrupted after a status had come that is an error.
        let wrong = self.cut.wrong.min(self.interrupted);
        let plain = |n: u64, of: u64| Share { known: n, unknown: 0.0, of: of as f64, seen: (n, of) };
        match tally {
            Tally::Requests => {
                let more = self.undone_items() + self.unheard();
                let known = self.all.saturating_sub(local);
                Share {
                    known,
                    unknown: local as f64 + if pace.limited { f64::INFINITY } else { more },
                    ..plain(self.all, self.all)
                }
            }
            Tally::Errors => {
                let errors = (self.errors + self.step_errors + wrong).saturating_sub(local) + unsent;
                let share = of_all(tried + unsent, errors.saturating_sub(self.delayed_timeouts), errors);
                Share { unknown: unknown - wrong as f64, ..share }
            }
            Tally::Success => {
                let good = self.all.saturating_sub(self.errors + self.interrupted);
                Share { unknown: unknown - wrong as f64, ..of_all(tried + unsent, good, good) }
            }
            Tally::Timeouts => of_requests(self.timeouts.saturating_sub(self.delayed_timeouts), self.timeouts, 0),
            Tally::Because(Reason::Local) => plain(local, tried),
            Tally::Because(reason) => {
                let count = self.reasons[reason.index()];
                let doubtful = if reason == Reason::Timeout { self.delayed_timeouts.min(count) } else { 0 };
                answers(count - doubtful, count)
            }
            Tally::Status(from, to) => {
                let count = self.codes.range(from..=to).map(|code| code.1).sum();
                of_requests(count, count, self.cut.answered)
            }
            Tally::Checks => {
                let unknown = self.unclear_checks as f64 + self.unmade().checks;
                let seen = (self.checks.0.saturating_sub(self.checks.1), self.checks.0);
                Share { known: seen.0, unknown, of: seen.1 as f64 + unknown, seen }
            }
            // Nobody knows whether a user would have come free for one that still waited at the end.
            Tally::Dropped => {
                let [due, dropped, cancelled, displaced] = self.arrivals;
                // A pause of the generator may have left nobody free for these.
                let displaced = displaced.min(dropped);
                Share { known: dropped - displaced, unknown: (cancelled + displaced) as f64, ..plain(dropped, due) }
            }
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
