//! Shapes for property tests: what profiles can say, the awkward cases often.

use crate::load::{Piece, Shape};
use proptest::prelude::*;
use std::time::Duration;

fn level() -> impl Strategy<Value = f64> {
    prop_oneof![
        3 => Just(0.0),
        2 => 0.0..1.0f64,
        2 => (1u32..60).prop_map(f64::from),
        2 => 0.0..120.0f64,
        1 => (1u32..600).prop_map(|per_minute| f64::from(per_minute) / 60.0),
    ]
}

fn duration() -> impl Strategy<Value = Duration> {
    prop_oneof![
        1 => Just(Duration::ZERO),
        3 => Just(Duration::from_secs(1)),
        1 => Just(Duration::from_nanos(1)),
        2 => (1u64..20).prop_map(Duration::from_secs),
        2 => (1u64..10_000_000_000).prop_map(Duration::from_nanos),
    ]
}

/// Up to five stages: constant, up, down to 0, fractions, below one a second, of one second, of no length.
pub(crate) fn any_shape() -> impl Strategy<Value = Shape> {
    let piece = (duration(), level(), level(), any::<bool>()).prop_map(|(duration, from, to, flat)| Piece {
        duration,
        from,
        to: if flat { from } else { to },
    });
    prop::collection::vec(piece, 0..6).prop_map(Shape::new)
}

/// A few `at_once`, at times within the first 20 s.
pub(crate) fn any_bursts() -> impl Strategy<Value = Vec<(Duration, u64)>> {
    let at = prop_oneof![
        Just(Duration::ZERO),
        (0u64..20).prop_map(Duration::from_secs),
        (0u64..20_000_000_000).prop_map(Duration::from_nanos)
    ];
    prop::collection::vec((at, 0u64..40), 0..4)
}
