//! What every member of the family keeps, for every shape and every number of workers and shards.

use super::testing::{any_bursts, any_shape};
use super::{Arrivals, Spacing};
use crate::load::share::tests::every_share;
use crate::load::{Piece, Shape, whole};
use proptest::prelude::*;
use std::time::Duration;

const S: Duration = Duration::from_secs(1);
const ZERO: Duration = Duration::ZERO;

/// Every member; a new one is added here and nowhere else in this file.
fn members() -> Vec<Spacing> {
    vec![Spacing::Even, Spacing::Poisson { seed: 1 }, Spacing::Poisson { seed: 99 }]
}

fn keeps_the_contract(arrivals: &Arrivals, shards: u64, workers: u64, max_users: u64) -> Result<(), TestCaseError> {
    let all: Vec<(u64, Duration)> = arrivals.stream(0, 1).collect();
    // Numbered without a gap, due in order, all within the phase, as many as it says.
    prop_assert!(all.iter().enumerate().all(|(i, arrival)| arrival.0 == i as u64));
    prop_assert!(all.windows(2).all(|pair| pair[0].1 <= pair[1].1));
    prop_assert!(all.last().is_none_or(|last| last.1 <= arrivals.end()));
    prop_assert_eq!(all.len() as u64, arrivals.total());
    let burst: u64 = arrivals.bursts.iter().map(|burst| burst.1).sum();
    if arrivals.spacing == Spacing::Even {
        prop_assert_eq!(all.len() as u64, whole(arrivals.rate.total_area()) + burst);
    }
    // Not a rate that starts at 0: the first is due after a whole unit of area.
    prop_assert!(burst > 0 || all.first().is_none_or(|first| first.1 > Duration::ZERO || arrivals.rate.max() > 1e8));
    // However it is divided: each arrival in one place, with the same due time.
    let mut union = vec![];
    for share in every_share(shards, workers) {
        let own: Vec<_> = arrivals.stream(share.index(), share.arrivals_modulus(max_users)).collect();
        prop_assert!(own.windows(2).all(|pair| pair[0].0 < pair[1].0 && pair[0].1 <= pair[1].1));
        union.extend(own);
    }
    union.sort_unstable();
    prop_assert_eq!(&union, &all);
    // Due by t is what the stream says, at arrivals, beside them and at the end.
    for t in all.iter().step_by(1 + all.len() / 5).map(|arrival| arrival.1).chain([Duration::ZERO, arrivals.end()]) {
        for t in [t, t.saturating_sub(Duration::from_nanos(1)), t + Duration::from_nanos(1)] {
            prop_assert_eq!(arrivals.due_by(t), all.iter().filter(|arrival| arrival.1 <= t).count() as u64);
        }
    }
    Ok(())
}

proptest! {
    #[test]
    fn every_member_for_every_shape(rate in any_shape(), bursts in any_bursts(), shards in 1u64..4, workers in 1u64..6, max_users in 0u64..20) {
        for spacing in members() {
            keeps_the_contract(&Arrivals { rate: rate.clone(), bursts: bursts.clone(), spacing }, shards, workers, max_users)?;
        }
    }
}

fn even(pieces: &[(Duration, f64, f64)]) -> Arrivals {
    let pieces = pieces.iter().map(|&(duration, from, to)| Piece { duration, from, to }).collect();
    Arrivals { rate: Shape::new(pieces), bursts: vec![], spacing: Spacing::Even }
}

fn dues(arrivals: &Arrivals) -> Vec<Duration> {
    arrivals.stream(0, 1).map(|arrival| arrival.1).collect()
}

#[test]
fn the_cases_that_others_get_wrong() {
    // (what, arrivals, how many, when the last is due)
    let cases = [
        ("ramp to 0", even(&[(S * 60, 1000.0, 0.0)]), 30_000, Some(S * 60)),
        ("ramp from 0", even(&[(S * 60, 0.0, 1000.0)]), 30_000, Some(S * 60)),
        ("one second", even(&[(S, 50.0, 50.0)]), 50, Some(S)),
        ("one arrival in 120 s", even(&[(S * 120, 0.5 / 60.0, 0.5 / 60.0)]), 1, Some(S * 120)),
        ("below one, never reached", even(&[(S, 0.5, 0.5)]), 0, None),
        ("0 arrivals", even(&[(S * 60, 0.0, 0.0)]), 0, None),
        ("no stage", even(&[]), 0, None),
        ("stages of no length", even(&[(ZERO, 5.0, 9.0), (S * 2, 1.0, 1.0), (ZERO, 3.0, 3.0)]), 2, Some(S * 2)),
        ("a fraction carried over", even(&[(S, 0.5, 0.5), (S * 3, 0.0, 0.0), (S, 0.5, 0.5)]), 1, Some(S * 5)),
        ("a whole one isn't moved by what follows", even(&[(S, 1.0, 1.0), (S * 3, 0.0, 0.0)]), 1, Some(S)),
        ("tenths", even(&[(S, 0.1, 0.1); 30]), 3, Some(S * 30)),
    ];
    for (what, arrivals, count, last) in cases {
        let dues = dues(&arrivals);
        assert_eq!((dues.len(), dues.last().copied()), (count, last), "{what}");
        keeps_the_contract(&arrivals, 3, 4, 5).unwrap();
        let poisson = Arrivals { spacing: Spacing::Poisson { seed: 3 }, ..arrivals };
        keeps_the_contract(&poisson, 3, 4, 5).unwrap();
    }
}

#[test]
fn even_spacing_stays_even_on_each_worker() {
    let arrivals = even(&[(S * 60, 0.5, 0.5)]);
    for index in 0..3 {
        let own: Vec<Duration> = arrivals.stream(index, 3).map(|arrival| arrival.1).collect();
        assert!(own.windows(2).all(|pair| pair[1] - pair[0] == S * 6), "{own:?}");
    }
}

#[test]
fn a_burst_is_due_at_once_and_numbers_first() {
    for spacing in members() {
        let arrivals = Arrivals { rate: Shape::flat(S * 2, 1.0), bursts: vec![(S, 3), (ZERO, 2)], spacing };
        let all: Vec<_> = arrivals.stream(0, 1).collect();
        assert_eq!(all[..2], [(0, ZERO), (1, ZERO)]);
        assert_eq!(all.iter().filter(|arrival| arrival.1 == S).count(), if spacing == Spacing::Even { 4 } else { 3 });
    }
    let only = Arrivals { rate: Shape::default(), bursts: vec![(S * 7, 4)], spacing: Spacing::Even };
    assert_eq!(only.stream(1, 3).collect::<Vec<_>>(), [(1, S * 7)]);
    assert_eq!((only.total(), only.expected(), only.end()), (4, 4.0, S * 7));
}

#[test]
fn a_stream_for_no_worker_is_empty() {
    assert_eq!(even(&[(S, 50.0, 50.0)]).stream(3, 3).count(), 0);
}
