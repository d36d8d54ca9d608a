//! A level of users as starts and ends of one worker's users.

use super::{Piece, Shape, Share, whole};
use crate::base::units::nanos;
use std::time::Duration;

/// When the number of users alive on one worker changes, and to what: ascending in time, from t = 0 to before the shape's end.
///
/// User u (from 0, over the whole run) is alive while `u < floor(level(t))`: in a ramp user u starts when the line reaches u + 1, and
/// ends when it falls below, so the latest goes first. The first item is at t = 0, whatever its number. There is none
/// at the shape's end: what goes on there is the next phase's to say.
pub fn user_edges(shape: &Shape, share: &Share) -> UserEdges {
    UserEdges {
        pieces: shape.pieces().collect(),
        share: *share,
        index: 0,
        start: 0,
        entered: false,
        alive: 0,
        yielded: None,
        held: None,
    }
}

/// See [`user_edges`].
#[derive(Debug, Clone)]
pub struct UserEdges {
    pieces: Vec<Piece>,
    share: Share,
    /// The piece that is walked, and where it starts in ns.
    index: usize,
    start: u64,
    /// Whether the level at the piece's start has been looked at.
    entered: bool,
    /// How many of this worker's users are alive at this point of the walk.
    alive: u64,
    /// The number last yielded.
    yielded: Option<u64>,
    /// An edge that was found but may yet be replaced by another at the same time.
    held: Option<(u64, u64)>,
}

impl UserEdges {
    /// The next change of the walk, several at one time yielded singly.
    fn step(&mut self) -> Option<(u64, u64)> {
        loop {
            let piece = *self.pieces.get(self.index)?;
            let length = nanos(piece.duration);
            if !self.entered {
                self.entered = true;
                self.alive = self.share.users(whole(piece.from));
                return Some((self.start, self.alive));
            }
            // Where the line crosses `level`, in ns after the piece's start, not rounded.
            let crosses = |level: f64| (level - piece.from) / (piece.to - piece.from) * length as f64;
            let next = if piece.to > piece.from {
                let needs = self.share.user(self.alive) + 1;
                (needs <= whole(piece.to)).then(|| (crosses(needs as f64).ceil().max(0.0) as u64, self.alive + 1))
            } else {
                self.alive.checked_sub(1).and_then(|fewer| {
                    let needs = self.share.user(fewer) + 1;
                    // The first nanosecond at which the line is below.
                    (whole(piece.to) < needs).then(|| (crosses(needs as f64).floor().max(0.0) as u64 + 1, fewer))
                })
            };
            match next {
                Some((offset, alive)) if offset < length => {
                    self.alive = alive;
                    return Some((self.start + offset, alive));
                }
                _ => {
                    self.start += length;
                    self.index += 1;
                    self.entered = false;
                }
            }
        }
    }
}

impl Iterator for UserEdges {
    type Item = (Duration, u64);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let edge = match (self.held, self.step()) {
                (None, None) => return None,
                (Some(held), Some(next)) if held.0 == next.0 => {
                    self.held = Some(next);
                    continue;
                }
                (None, Some(next)) => {
                    self.held = Some(next);
                    continue;
                }
                (Some(held), next) => {
                    self.held = next;
                    held
                }
            };
            if self.yielded != Some(edge.1) {
                self.yielded = Some(edge.1);
                return Some((Duration::from_nanos(edge.0), edge.1));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::arrivals::testing::any_shape;
    use crate::load::share::tests::every_share;
    use proptest::prelude::*;

    const S: Duration = Duration::from_secs(1);
    const ZERO: Duration = Duration::ZERO;
    const NS: Duration = Duration::from_nanos(1);

    fn alone(pieces: &[(u32, f64, f64)]) -> Vec<(Duration, u64)> {
        let pieces = pieces.iter().map(|&(s, from, to)| Piece { duration: S * s, from, to }).collect();
        user_edges(&Shape::new(pieces), &Share::ALONE).collect()
    }

    /// The number that the edges give at `t`.
    fn alive(edges: &[(Duration, u64)], t: Duration) -> u64 {
        edges[..edges.partition_point(|e| e.0 <= t)].last().map_or(0, |e| e.1)
    }

    #[test]
    fn a_constant_level_starts_at_once() {
        assert_eq!(alone(&[(10, 50.0, 50.0)]), [(Duration::ZERO, 50)]);
        assert_eq!(alone(&[(10, 0.0, 0.0)]), [(Duration::ZERO, 0)]);
        assert_eq!(alone(&[]), []);
    }

    #[test]
    fn in_a_ramp_users_start_when_the_line_reaches_them() {
        assert_eq!(alone(&[(3, 0.0, 3.0), (2, 3.0, 3.0)]), [(ZERO, 0), (S, 1), (S * 2, 2), (S * 3, 3)]);
        // The third is reached at the very end only, when the time is over.
        assert_eq!(alone(&[(3, 0.0, 3.0)]), [(ZERO, 0), (S, 1), (S * 2, 2)]);
    }

    #[test]
    fn ramping_down_the_latest_goes_first_and_as_soon_as_the_line_is_below() {
        assert_eq!(alone(&[(2, 2.0, 0.0), (1, 0.0, 0.0)]), [(ZERO, 2), (NS, 1), (S + NS, 0)]);
    }

    #[test]
    fn jumps_and_stages_of_no_length() {
        assert_eq!(alone(&[(1, 5.0, 5.0), (0, 99.0, 99.0), (1, 2.0, 2.0)]), [(ZERO, 5), (S, 2)]);
    }

    proptest! {
        #[test]
        fn whatever_the_division_the_sum_is_the_same(shape in any_shape(), shards in 1u64..4, workers in 1u64..5, parts in prop::collection::vec(0.0..1.0f64, 8)) {
            let whole_run: Vec<_> = user_edges(&shape, &Share::ALONE).collect();
            let divided: Vec<Vec<_>> = every_share(shards, workers).iter().map(|s| user_edges(&shape, s).collect()).collect();
            let times = parts.iter().map(|p| shape.duration().mul_f64(*p)).chain(whole_run.iter().map(|e| e.0));
            for t in times {
                prop_assert_eq!(divided.iter().map(|edges| alive(edges, t)).sum::<u64>(), alive(&whole_run, t));
            }
            for edges in divided {
                prop_assert!(edges.windows(2).all(|pair| pair[0].0 < pair[1].0 && pair[0].1 != pair[1].1));
                prop_assert!(edges.iter().all(|e| e.0 < shape.duration()));
            }
        }

        #[test]
        fn alive_is_the_floor_of_the_level(shape in any_shape(), part in 0.0..1.0f64) {
            let edges: Vec<_> = user_edges(&shape, &Share::ALONE).collect();
            let t = shape.duration().mul_f64(part);
            let level = shape.level(t);
            // Right beside a whole number a nanosecond decides, and rounding decides the nanosecond.
            prop_assume!((level - level.round()).abs() > 1e-6);
            prop_assert_eq!(alive(&edges, t), level.floor() as u64);
        }
    }
}
