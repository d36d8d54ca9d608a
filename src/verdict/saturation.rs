//! Whether the generator itself was the bottleneck, so that what it measured says more of it than of the target.
//!
//! Three signs, each enough: arrivals started late, arrivals were dropped although users must have been free, the processors
//! were busy. A slow target alone makes none of them: late starts are weighed against the response times, and for drops
//! the target must have been fast enough for the users there were.

use crate::base::units::show_seconds;
use std::time::Duration;

/// What was started late: the quantile looked at, and the lag in seconds that is borne. A pacer's wake-up is late by 0.6 ms (p99) at
/// its usual and 2 ms with a plain timer: five times that at the 95th, since a machine shared with its target has
/// bad moments; a hundred milliseconds at the 99th, since one stall of half a second in a minute does that.
pub const LAGS: [(f64, f64); 2] = [(0.95, 0.010), (0.99, 0.100)];

/// The share of the response time at the same quantile that may be lag: below a tenth it hardly decides a verdict.
pub const LAG_SHARE: f64 = 0.1;

/// The fewest starts whose quantiles mean something: one of a hundred is the 99th.
pub const LEAST_STARTS: u64 = 100;

/// The share of arrivals that may be dropped for want of a user before it counts: less is a stumble, not a bottleneck.
pub const DROPPED_SHARE: f64 = 0.01;

/// The share of the processors, or of its processor by one worker, above which work queues up: with nine tenths busy, as a rule of
/// queues has it, what is due waits nine times as long as it takes.
pub const BUSY_SHARE: f64 = 0.9;

/// How the generator did in one phase.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Effort {
    /// Each open or paced scenario's starts.
    pub scenarios: Vec<Starts>,
    /// Processor time that the process used, by wall time and usable processors; `None` if it can't be read.
    pub cpu: Option<f64>,
    /// Processor time of the busiest worker's thread by wall time; `None` if it can't be read.
    pub busiest_worker: Option<f64>,
}

/// How one scenario's arrivals were started. Times are in seconds.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Starts {
    /// Its name.
    pub scenario: String,
    /// How many lags there are.
    pub started: u64,
    /// Lags at the quantiles of [`LAGS`]: the generator's own, so waiting for a free user (`on_busy: wait`) must not be in them.
    pub lags: Option<[f64; 2]>,
    /// Response times at the same quantiles.
    pub responses: Option<[f64; 2]>,
    /// Arrivals due.
    pub due: u64,
    /// Arrivals dropped as `busy`.
    pub dropped_busy: u64,
    /// The 99th percentile of how long an iteration kept its user.
    pub iteration: Option<f64>,
    /// The highest rate wanted, per second.
    pub peak_rate: f64,
    /// The arrivals of all bursts (`at_once`).
    pub bursts: u64,
    /// Users there may be at most.
    pub max_users: u64,
}

/// Why the generator was the bottleneck, if it was: a complete sentence.
pub fn saturation(effort: &Effort) -> Option<String> {
    let signs: Vec<String> = effort.scenarios.iter().flat_map(|s| [late(s), dropped(s)]).flatten().chain(busy(effort)).collect();
    (!signs.is_empty()).then(|| format!("The generator was the bottleneck: {}.", signs.join("; ")))
}

fn late(starts: &Starts) -> Option<String> {
    let lags = starts.lags.filter(|_| starts.started >= LEAST_STARTS)?;
    LAGS.iter().enumerate().find_map(|(i, (quantile, borne))| {
        let lag = lags[i];
        let response = starts.responses.map_or(0.0, |responses| responses[i]);
        (lag > *borne && lag > LAG_SHARE * response).then(|| {
            let (percent, lag, borne) = (quantile * 100.0, show_seconds(lag), show_seconds(*borne));
            format!("what was due in {} was started late, p{percent:.0} by {lag} where {borne} is borne", starts.scenario)
        })
    })
}

/// Drops that the target can't have caused.
///
/// By Little's law at most `λ·W` users are busy at once, with λ the highest rate and W how long an iteration keeps its user (the 99th
/// percentile); bursts add theirs. Three standard deviations, `3·√(λ·W)`, are left for arrivals that aren't even. If there were
/// more users than that, some were free, and it was the generator that didn't get to them.
fn dropped(starts: &Starts) -> Option<String> {
    let share = starts.dropped_busy as f64 / (starts.due as f64).max(1.0);
    let busy = starts.peak_rate * starts.iteration?;
    let needed = busy + 3.0 * busy.sqrt() + starts.bursts as f64 + 1.0;
    (share > DROPPED_SHARE && needed <= starts.max_users as f64).then(|| {
        format!(
            "{:.1}% of the arrivals of {} found no free user, though {} were there and {:.0} would have done",
            share * 100.0,
            starts.scenario,
            starts.max_users,
            needed.ceil()
        )
    })
}

fn busy(effort: &Effort) -> Option<String> {
    let over = |share: Option<f64>| share.filter(|share| *share > BUSY_SHARE).map(|share| share * 100.0);
    if let Some(percent) = over(effort.cpu) {
        return Some(format!("it used {percent:.0}% of the processors"));
    }
    over(effort.busiest_worker).map(|percent| format!("a worker used {percent:.0}% of its processor"))
}

/// The shortest time over which processor time is looked at: the kernel counts it in ticks of up to 10 ms, so that over less than
/// this it may come to any share, more than all among them.
pub const LEAST_WALL: Duration = Duration::from_millis(500);

/// The share of `processors` that `cpu` is, over `wall`; `None` for less than [`LEAST_WALL`], or no processor.
pub fn busy_share(cpu: Duration, wall: Duration, processors: f64) -> Option<f64> {
    let available = wall.as_secs_f64() * processors;
    (wall >= LEAST_WALL && available > 0.0).then(|| cpu.as_secs_f64() / available)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn starts() -> Starts {
        Starts {
            scenario: "voters".into(),
            started: 10_000,
            lags: Some([0.0005, 0.001]),
            responses: Some([0.050, 0.100]),
            due: 10_000,
            dropped_busy: 0,
            iteration: Some(0.1),
            peak_rate: 200.0,
            bursts: 0,
            max_users: 400,
        }
    }

    fn reason(starts: Starts) -> Option<String> {
        saturation(&Effort { scenarios: vec![starts], ..Effort::default() })
    }

    #[test]
    fn a_healthy_generator_has_no_reason() {
        assert_eq!(reason(starts()), None);
        assert_eq!(saturation(&Effort::default()), None);
        assert_eq!(saturation(&Effort { cpu: Some(0.89), busiest_worker: Some(0.89), ..Effort::default() }), None);
    }

    #[test]
    fn late_starts_count_where_they_weigh() {
        let late = Starts { lags: Some([0.030, 0.080]), ..starts() };
        assert_eq!(
            reason(late.clone()).unwrap(),
            "The generator was the bottleneck: what was due in voters was started late, p95 by 30.0ms where 10.0ms is borne."
        );
        assert_eq!(reason(Starts { responses: Some([2.0, 3.0]), ..late.clone() }), None, "beside 2s they don't weigh");
        assert_eq!(reason(Starts { started: 99, ..late.clone() }), None, "too few to say");
        assert_eq!(reason(Starts { lags: None, ..late }), None);
        let stalls = Starts { lags: Some([0.001, 0.400]), ..starts() };
        assert!(reason(stalls).unwrap().contains("p99 by 400ms"));
    }

    #[test]
    fn drops_are_the_generators_where_users_must_have_been_free() {
        let drops = Starts { dropped_busy: 200, ..starts() };
        assert!(reason(drops.clone()).unwrap().contains("2.0% of the arrivals of voters found no free user"));
        assert_eq!(reason(Starts { dropped_busy: 50, ..drops.clone() }), None, "a stumble");
        assert_eq!(reason(Starts { iteration: Some(3.0), ..drops.clone() }), None, "the target was slow");
        assert_eq!(reason(Starts { bursts: 500, ..drops.clone() }), None, "more at once than there are users");
        assert_eq!(reason(Starts { iteration: None, ..drops }), None, "nothing ended, so the target was away");
    }

    #[test]
    fn busy_processors() {
        let all = Effort { cpu: Some(0.97), busiest_worker: Some(0.99), ..Effort::default() };
        assert_eq!(saturation(&all).unwrap(), "The generator was the bottleneck: it used 97% of the processors.");
        let one = Effort { cpu: Some(0.3), busiest_worker: Some(0.99), ..Effort::default() };
        assert!(saturation(&one).unwrap().contains("a worker used 99%"));
        assert_eq!(busy_share(Duration::from_secs(3), Duration::from_secs(2), 2.0), Some(0.75));
        assert_eq!(busy_share(Duration::from_secs(3), Duration::ZERO, 2.0), None);
    }
}
