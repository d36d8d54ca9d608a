//! Freezing: a part of each period in which every request is held until the part is over, as a target does that collects
//! garbage or fails over. What it does to latencies is known exactly, so measurements can be held against it.

use std::str::FromStr;
use std::time::{Duration, Instant};

use crate::base::units::parse_duration;

/// Frozen for the last `lasts` of each `every`, counted from the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Freeze {
    lasts: Duration,
    every: Duration,
}

/// A text or a pair of times that is no freeze.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a freeze; write how long it lasts and the longer period in which it does so once, like `1s of every 5s`")]
pub struct FreezeError(String);

impl Freeze {
    /// Frozen for `lasts` of each `every`.
    ///
    /// # Errors
    /// A freeze that is as long as its period, or longer, or of no length.
    pub fn new(lasts: Duration, every: Duration) -> Result<Self, FreezeError> {
        if lasts.is_zero() || lasts >= every {
            return Err(FreezeError(format!("{lasts:?} of every {every:?}")));
        }
        Ok(Self { lasts, every })
    }

    /// How long after the start a request must be held that came `since` the start; none if it need not.
    fn until(&self, since: Duration) -> Option<Duration> {
        let period = self.every.as_nanos();
        let within = since.as_nanos() % period;
        (within >= period - self.lasts.as_nanos()).then(|| {
            let left = period - within;
            since + Duration::from_nanos(u64::try_from(left).unwrap_or(u64::MAX))
        })
    }
}

impl FromStr for Freeze {
    type Err = FreezeError;

    /// `1s of every 5s`, or `1s/5s`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || FreezeError(text.to_owned());
        let (lasts, every) = text.split_once(" of every ").or_else(|| text.split_once('/')).ok_or_else(wrong)?;
        let lasts = parse_duration(lasts).map_err(|_| wrong())?;
        let every = parse_duration(every).map_err(|_| wrong())?;
        Self::new(lasts, every).map_err(|_| wrong())
    }
}

/// A freeze that has begun to count.
#[derive(Debug, Clone, Copy)]
pub(super) struct Clock {
    freeze: Freeze,
    start: Instant,
}

impl Clock {
    pub fn start(freeze: Freeze) -> Self {
        Self { freeze, start: Instant::now() }
    }

    /// Returns at once, or at the end of the freeze.
    pub async fn hold(&self) {
        if let Some(until) = self.freeze.until(self.start.elapsed()) {
            tokio::time::sleep_until((self.start + until).into()).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_each_period_is_frozen() {
        let freeze: Freeze = "1s of every 5s".parse().unwrap();
        let until = |ms| freeze.until(Duration::from_millis(ms)).map(|until| until.as_millis());
        assert_eq!(until(0), None);
        assert_eq!(until(3_999), None);
        assert_eq!(until(4_000), Some(5_000));
        assert_eq!(until(4_999), Some(5_000));
        assert_eq!(until(5_000), None);
        assert_eq!(until(14_250), Some(15_000));
        assert_eq!("200ms/1s".parse(), Freeze::new(Duration::from_millis(200), Duration::from_secs(1)));
        for wrong in ["", "1s", "5s of every 5s", "0s of every 1s", "1 of every 5"] {
            assert!(wrong.parse::<Freeze>().unwrap_err().to_string().contains("`1s of every 5s`"), "{wrong}");
        }
    }
}
