//! Silences, as one handler with `every` hears them: how long it listened, and how much of that lay in silences.
//!
//! A silence is what lies between two messages, or between a message and the beginning or the end of the listening, if that is longer than
//! [`TIMES`] times `every`. All of it is silent then. While the connection is gone it is silent as well, however short that is.
//! What lies between two messages is reported once it is known what it was, in stretches that follow each other without a gap.

use std::time::{Duration, Instant};

/// A silence is longer than so many times `every`.
const TIMES: u32 = 3;

/// A stretch of listening.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stretch {
    /// From when.
    pub from: Instant,
    /// Until when.
    pub to: Instant,
    /// Whether it lay in a silence.
    pub silent: bool,
}

/// One handler's listening.
#[derive(Debug)]
pub(super) struct Silence {
    limit: Duration,
    /// When a message last came, or the listening began.
    heard: Instant,
    /// Up to when all was reported.
    reported: Instant,
    /// Since when the connection is gone.
    away: Option<Instant>,
}

impl Silence {
    /// Of messages that should come `every` so often; listened to from `since` on.
    pub(super) fn new(every: Duration, since: Instant) -> Self {
        Self { limit: every.saturating_mul(TIMES), heard: since, reported: since, away: None }
    }

    /// How long a silence is unknown to be one.
    pub(super) fn limit(&self) -> Duration {
        self.limit
    }

    /// A message came.
    pub(super) fn came(&mut self, at: Instant, report: &mut dyn FnMut(Stretch)) {
        self.report(at, at, report);
        self.heard = self.heard.max(at);
    }

    /// The connection is gone.
    pub(super) fn lost(&mut self, at: Instant) {
        self.away.get_or_insert(at);
    }

    /// The connection is back.
    pub(super) fn back(&mut self, at: Instant, report: &mut dyn FnMut(Stretch)) {
        self.report(at, at, report);
        self.away = None;
    }

    /// Reports what is silent up to `until` by what is known `now`. What may still turn out to be no silence isn't reported; false if there
    /// is any.
    pub(super) fn settle(&mut self, until: Instant, now: Instant, report: &mut dyn FnMut(Stretch)) -> bool {
        if self.is_long(now) {
            self.report(until, now, report);
        }
        self.reported >= until
    }

    /// The listening ended.
    pub(super) fn end(&mut self, at: Instant, report: &mut dyn FnMut(Stretch)) {
        self.report(at, at, report);
    }

    fn is_long(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.heard) > self.limit
    }

    fn report(&mut self, until: Instant, now: Instant, report: &mut dyn FnMut(Stretch)) {
        if until <= self.reported {
            return;
        }
        let gone = self.away.unwrap_or(until).clamp(self.reported, until);
        for stretch in [
            Stretch { from: self.reported, to: gone, silent: self.is_long(now) },
            Stretch { from: gone, to: until, silent: true },
        ] {
            if stretch.from < stretch.to {
                report(stretch);
            }
        }
        self.reported = until;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What is done to a listening.
    #[derive(Debug, Clone, Copy)]
    enum Event {
        Came,
        Lost,
        Back,
    }

    fn ms(start: Instant, ms: u64) -> Instant {
        start + Duration::from_millis(ms)
    }

    /// Milliseconds listened and silent, each within the edges.
    fn sums(start: Instant, stretches: &[Stretch], edges: &[u64]) -> Vec<(u64, u64)> {
        let bounds: Vec<u64> = [0].into_iter().chain(edges.iter().copied()).chain([u64::from(u32::MAX)]).collect();
        let within = |from: u64, to: u64, silent: bool| {
            stretches
                .iter()
                .filter(|stretch| stretch.silent || !silent)
                .map(|stretch| {
                    let (a, b) = (stretch.from.max(ms(start, from)), stretch.to.min(ms(start, to)));
                    b.saturating_duration_since(a).as_millis() as u64
                })
                .sum()
        };
        bounds.windows(2).map(|pair| (within(pair[0], pair[1], false), within(pair[0], pair[1], true))).collect()
    }

    /// Listens for `length`, with edges that are settled so much later.
    fn listen(every: u64, events: &[(u64, Event)], edges: &[u64], later: u64, length: u64) -> Vec<(u64, u64)> {
        let start = Instant::now();
        let mut silence = Silence::new(Duration::from_millis(every), start);
        let mut stretches = Vec::new();
        let mut take = |stretch| stretches.push(stretch);
        let mut settles = edges.iter().map(|edge| (*edge, edge + later)).filter(|(_, at)| *at <= length).peekable();
        for (at, event) in events.iter().filter(|(at, _)| *at <= length) {
            while let Some((edge, now)) = settles.next_if(|(_, now)| now <= at) {
                silence.settle(ms(start, edge), ms(start, now), &mut take);
            }
            match event {
                Event::Came => silence.came(ms(start, *at), &mut take),
                Event::Lost => silence.lost(ms(start, *at)),
                Event::Back => silence.back(ms(start, *at), &mut take),
            }
        }
        for (edge, now) in settles {
            silence.settle(ms(start, edge), ms(start, now), &mut take);
        }
        silence.end(ms(start, length), &mut take);
        for pair in stretches.windows(2) {
            assert_eq!(pair[0].to, pair[1].from, "no moment is reported twice, and none is left out");
        }
        sums(start, &stretches, edges)
    }

    #[test]
    fn a_gap_of_more_than_three_times_every_is_silent_as_a_whole() {
        let came = |at| (at, Event::Came);
        assert_eq!(listen(100, &[came(100), came(200), came(500)], &[], 0, 600), [(600, 0)], "just three times is none");
        assert_eq!(listen(100, &[came(100), came(501)], &[], 0, 600), [(600, 401)]);
        assert_eq!(listen(100, &[], &[], 0, 300), [(300, 0)]);
        assert_eq!(listen(100, &[], &[], 0, 1000), [(1000, 1000)], "a publisher that never sends is all silent");
        assert_eq!(listen(100, &[came(10)], &[], 0, 1000), [(1000, 990)], "and so is one that died, from its last message on");
    }

    #[test]
    fn a_silence_counts_on_the_side_of_an_edge_that_it_lies_on() {
        let came = |at| (at, Event::Came);
        assert_eq!(listen(100, &[came(100), came(400)], &[500], 300, 2000), [(500, 100), (1500, 1500)]);
        // Long by the end of it, though not by the edge.
        assert_eq!(listen(100, &[came(100), came(200), came(700), came(800)], &[300], 300, 900), [(300, 100), (600, 400)]);
        // Not long at all.
        assert_eq!(listen(100, &[came(100), came(200), came(450)], &[300], 300, 600), [(300, 0), (300, 0)]);
    }

    #[test]
    fn while_the_connection_is_gone_it_is_silent() {
        let events = [(100, Event::Came), (150, Event::Lost), (250, Event::Back), (300, Event::Came)];
        assert_eq!(listen(100, &events, &[], 0, 350), [(350, 100)]);
        assert_eq!(listen(100, &[(50, Event::Came), (100, Event::Lost)], &[200], 300, 1000), [(200, 150), (800, 800)]);
    }

    fn event() -> impl Strategy<Value = Event> {
        prop_oneof![6 => Just(Event::Came), 1 => Just(Event::Lost), 1 => Just(Event::Back)]
    }

    proptest! {
        /// Wherever the edges lie and whenever they are settled, the sums are the same.
        #[test]
        fn edges_change_no_sums(
            every in 1u64..200,
            pauses in prop::collection::vec((0u64..700, event()), 0..30),
            mut edges in prop::collection::vec(1u64..8000, 0..6),
            later in 0u64..700,
            length in 1u64..8000,
        ) {
            edges.sort_unstable();
            edges.dedup();
            let mut at = 0;
            let events: Vec<_> = pauses.iter().map(|(pause, event)| { at += pause; (at, *event) }).collect();
            let whole = listen(every, &events, &[], 0, length);
            let parts = listen(every, &events, &edges, later, length);
            let sum = parts.iter().fold((0, 0), |sum, part| (sum.0 + part.0, sum.1 + part.1));
            prop_assert_eq!(whole[0].0, length);
            prop_assert_eq!(sum, whole[0]);
            for (listened, silent) in parts {
                prop_assert!(silent <= listened);
            }
        }
    }
}
