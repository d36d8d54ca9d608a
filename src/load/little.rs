//! How many users an open load needs.

use std::time::Duration;

/// The users to prepare for an open load: Little's law, `L = λ·W`. At `rate` arrivals per second, each busy for at most `longest`
/// (the time limit of what it does), this many are busy at once at worst. Rounded up, at least 1.
pub fn prepared_users(rate: f64, longest: Duration) -> u64 {
    let busy = rate * longest.as_secs_f64();
    // What is a whole number but for rounding isn't rounded up to the next.
    let floor = super::whole(busy);
    let up = u64::from(busy - floor as f64 > 1e-9 * busy.max(1.0));
    floor.saturating_add(up).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rate_times_timeout() {
        assert_eq!(prepared_users(200.0, Duration::from_secs(5)), 1000);
        assert_eq!(prepared_users(0.1, Duration::from_secs(30)), 3);
        assert_eq!(prepared_users(0.3, Duration::from_secs(5)), 2);
        assert_eq!(prepared_users(0.0, Duration::from_secs(5)), 1);
    }
}
