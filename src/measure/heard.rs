//! What listeners heard of one kind of message, and what those missed that could not connect.
//!
//! A listener that could not connect missed as many messages as the others of its step received on average. That average is known only
//! while others listen, and it changes as long as the phase goes on. So the recorders keep plain counts that only grow, and
//! this is the one place that works the misses out of them: for verdicts, reports and summaries alike.

use serde::{Deserialize, Serialize};

/// The listeners of a step that opens sessions: those that were there, and those that were not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Presence {
    /// Nanoseconds of sessions that were open.
    pub present: u64,
    /// Nanoseconds in which users of a closed load had no session, since they could not connect.
    pub away: u64,
    /// Sessions that were open at any time.
    pub there: u64,
    /// Those of them that ended, or went on in the next phase.
    pub ended: u64,
    /// Sessions of arrivals that were never opened, since they could not connect.
    pub refused: u64,
}

impl Presence {
    /// Adds another's to these.
    pub fn add(&mut self, other: &Self) {
        self.present += other.present;
        self.away += other.away;
        self.there += other.there;
        self.ended += other.ended;
        self.refused += other.refused;
    }

    /// What has come since `earlier`. Sessions that were open then were there since, too.
    #[must_use]
    pub fn minus(&self, earlier: &Self) -> Self {
        Self {
            present: self.present.saturating_sub(earlier.present),
            away: self.away.saturating_sub(earlier.away),
            there: self.there.saturating_sub(earlier.ended),
            ended: self.ended.saturating_sub(earlier.ended),
            refused: self.refused.saturating_sub(earlier.refused),
        }
    }

    /// How many listeners lacked for each one that was there; `None` where some lacked and none was there.
    fn lacking(&self) -> Option<f64> {
        let part = |lacking: u64, there: u64| match (lacking, there) {
            (0, _) => Some(0.0),
            (_, 0) => None,
            _ => Some(lacking as f64 / there as f64),
        };
        Some(part(self.away, self.present)? + part(self.refused, self.there)?)
    }
}

/// What the listeners of one kind of message heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Heard {
    /// Messages that came, each once.
    pub received: u64,
    /// Numbered messages that never came to listeners that were connected.
    pub missed: u64,
    /// Of those received, what any other listener of the step would have received as well.
    pub alike: u64,
    /// Nanoseconds in which somebody listened, where a handler has `every`.
    pub listening: u64,
    /// Nanoseconds of those that lay in a silence.
    pub silent: u64,
    /// Nanoseconds of those in which the worker itself stood still.
    pub stood: u64,
    /// The listeners of the step.
    pub listeners: Presence,
}

impl Heard {
    /// What has come since `earlier`.
    #[must_use]
    pub fn minus(&self, earlier: &Self) -> Self {
        Self {
            received: self.received.saturating_sub(earlier.received),
            missed: self.missed.saturating_sub(earlier.missed),
            alike: self.alike.saturating_sub(earlier.alike),
            listening: self.listening.saturating_sub(earlier.listening),
            silent: self.silent.saturating_sub(earlier.silent),
            stood: self.stood.saturating_sub(earlier.stood),
            listeners: self.listeners.minus(&earlier.listeners),
        }
    }

    /// How many messages those missed that could not connect; `None` where nobody was there who could have received any.
    pub fn missed_unconnected(&self) -> Option<u64> {
        Some((self.listeners.lacking()? * self.alike as f64).round() as u64)
    }

    /// How many were missed, by those that could not connect as well; `None` where that isn't known.
    pub fn missed(&self) -> Option<u64> {
        Some(self.missed + self.missed_unconnected()?)
    }

    /// Seconds of listening, and those of them that lay in a silence. The time of those that could not connect is both.
    pub fn listening_seconds(&self) -> (f64, f64) {
        let lacking = match self.listeners.lacking() {
            Some(lacking) => lacking * self.listening as f64,
            // Nobody was there; of users of a closed load it is known for how long.
            None => self.listeners.away as f64,
        };
        ((self.listening as f64 + lacking) / 1e9, (self.silent as f64 + lacking) / 1e9)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    #[test]
    fn who_could_not_connect_missed_what_the_others_received_on_average() {
        let listeners = Presence { present: 40 * SECOND, away: 10 * SECOND, there: 4, ended: 4, refused: 2 };
        let heard =
            Heard { received: 80, alike: 80, missed: 3, listening: 40 * SECOND, silent: SECOND, listeners, ..Heard::default() };
        // A quarter of the time that others listened, and half as many sessions as there were.
        assert_eq!((heard.missed_unconnected(), heard.missed()), (Some(60), Some(63)));
        assert_eq!(heard.listening_seconds(), (70.0, 31.0));
        let senders = Heard { alike: 0, ..heard };
        assert_eq!(senders.missed(), Some(3), "what each sender numbers by itself is left out");
    }

    #[test]
    fn where_all_are_there_nothing_is_added_and_where_none_is_nothing_is_known() {
        let listeners = Presence { present: SECOND, there: 1, ..Presence::default() };
        let all = Heard { received: 5, alike: 5, listeners, ..Heard::default() };
        assert_eq!(all.missed(), Some(0));
        assert_eq!(Heard::default().missed(), Some(0));
        for listeners in [Presence { away: SECOND, ..Presence::default() }, Presence { refused: 1, ..Presence::default() }] {
            assert_eq!(Heard { listeners, ..Heard::default() }.missed(), None);
        }
        let away = Presence { away: 3 * SECOND, ..Presence::default() };
        assert_eq!(Heard { listeners: away, ..Heard::default() }.listening_seconds(), (3.0, 3.0), "all of it in silence");
    }

    #[test]
    fn they_add_up_and_subtract() {
        let one = Presence { present: 1, away: 2, there: 3, ended: 3, refused: 4 };
        let mut two = one;
        two.add(&one);
        assert_eq!((two, two.minus(&one)), (Presence { present: 2, away: 4, there: 6, ended: 6, refused: 8 }, one));
        let early = Presence { there: 5, ended: 1, ..Presence::default() };
        let late = Presence { there: 7, ended: 4, ..Presence::default() };
        assert_eq!(late.minus(&early), Presence { there: 6, ended: 3, ..Presence::default() }, "four that stayed, and two more");
        let heard = Heard { received: 1, missed: 2, alike: 3, listening: 4, silent: 5, stood: 6, listeners: one };
        assert_eq!((heard.minus(&Heard::default()), heard.minus(&heard)), (heard, Heard::default()));
    }
}
