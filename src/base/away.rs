//! What can't be reached while a run goes on: what it is, since when, and why.

use std::fmt;
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};

/// A target or a source that is away, or was. Times are Unix times in seconds.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Away {
    /// What it is, as a sentence names it: `http://127.0.0.1:8080`, ``the source `redis` ``, ``the target of `shoppers` ``.
    pub what: String,
    /// Since when nothing of it answered.
    pub since: f64,
    /// Until when; `null` while it lasts.
    pub until: Option<f64>,
    /// Why, in words.
    pub cause: String,
    /// What the run does about it (`back_off`, `abort`); `null` where the load goes on as it is.
    #[serde(rename = "do")]
    pub action: Option<String>,
}

impl fmt::Display for Away {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is away: {}", self.what, self.cause)
    }
}

/// What is away at present, and what has come back since it was asked last.
#[derive(Debug, Default)]
pub struct AwayList(Mutex<Vec<Away>>);

impl AwayList {
    /// Something is away from here on. It is in the list once, until it [`AwayList::ends`]; what is done about it may be added later.
    pub fn begins(&self, away: Away) {
        let mut list = self.lock();
        match list.iter_mut().find(|other| other.what == away.what && other.until.is_none()) {
            Some(known) => known.action = known.action.take().or(away.action),
            None => list.push(away),
        }
    }

    /// It is back, or nobody asks for it any more.
    pub fn ends(&self, what: &str, at: f64) {
        for away in self.lock().iter_mut().filter(|away| away.what == what) {
            away.until.get_or_insert(at.max(away.since));
        }
    }

    /// What is away, and what was until lately: that is forgotten with this.
    pub fn take(&self) -> Vec<Away> {
        let mut list = self.lock();
        let all = list.clone();
        list.retain(|away| away.until.is_none());
        all
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Away>> {
        // A panic while it was held can't have left it half changed in a way that matters.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_listed_once_and_reported_once_more_when_it_is_back() {
        let list = AwayList::default();
        let away = |since| Away { what: "x".into(), since, cause: "refused".into(), ..Away::default() };
        list.begins(away(5.0));
        list.begins(away(6.0));
        assert_eq!(list.take(), [away(5.0)]);
        list.ends("y", 7.0);
        list.ends("x", 8.0);
        list.ends("x", 9.0);
        list.begins(away(10.0));
        assert_eq!(list.take(), [Away { until: Some(8.0), ..away(5.0) }, away(10.0)]);
        assert_eq!(list.take(), [away(10.0)]);
        assert_eq!(away(5.0).to_string(), "x is away: refused");
    }
}
