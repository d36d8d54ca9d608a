//! A level over time, linear in pieces, and the area under it.

use crate::base::units::nanos;
use std::time::Duration;

/// The highest level a shape takes, far above what a generator can do: it keeps squares and areas finite.
pub const MAX_LEVEL: f64 = 1e12;

/// A stage: the level goes from `from` to `to` in a straight line.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Piece {
    /// How long it takes. One of 0s has no area: it is a jump, and the level there is that of the next one's start.
    pub duration: Duration,
    /// The level at its start, in users or arrivals per second.
    pub from: f64,
    /// The level that is reached at its end.
    pub to: f64,
}

impl Piece {
    /// A piece that stays at one level.
    pub const fn flat(duration: Duration, level: f64) -> Self {
        Self { duration, from: level, to: level }
    }
}

/// A piece in its place.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Placed {
    /// Where it starts, in ns of phase time.
    start: u64,
    /// Its length in ns, above 0.
    length: u64,
    from: f64,
    to: f64,
    /// The area up to its start.
    before: f64,
    /// The area under it.
    area: f64,
}

/// A level over phase time, linear in pieces: users of a closed load, arrivals per second of an open one.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Shape {
    pieces: Vec<Placed>,
}

/// How far an area or a level may lie off a whole number and still be that number: what rounding adds up to over some
/// thousand pieces, and far below what anybody could mean.
fn tolerance(number: f64) -> f64 {
    1e-9 + 1e-12 * number.abs()
}

/// The largest whole number not above `x`, where a rounding error doesn't count: 2.9999999999 is 3. Negative and NaN give 0.
pub fn whole(x: f64) -> u64 {
    let nearest = x.round();
    if (x - nearest).abs() <= tolerance(nearest) { nearest as u64 } else { x.floor() as u64 }
}

/// A level that can be calculated with: 0 for what is negative or not a number, at most [`MAX_LEVEL`].
fn sane(level: f64) -> f64 {
    if level > 0.0 { level.min(MAX_LEVEL) } else { 0.0 }
}

fn seconds(ns: u64) -> f64 {
    ns as f64 / 1e9
}

impl Placed {
    fn end(&self) -> u64 {
        self.start.saturating_add(self.length)
    }

    /// The level `ns` after the piece's start.
    fn level(&self, ns: u64) -> f64 {
        self.from + (self.to - self.from) * (ns as f64 / self.length as f64)
    }

    /// The area up to `ns` after the piece's start: `x·(from + level(x))/2`, a trapezium.
    fn area(&self, ns: u64) -> f64 {
        if ns >= self.length { self.area } else { seconds(ns) * (self.from + self.level(ns)) / 2.0 }
    }

    /// Where the area under this piece reaches `area`, in ns after its start, 0 to `length`.
    ///
    /// With the slope `m = (to - from)/d` the area after x seconds is `from·x + m·x²/2`. Solved for x in the form that
    /// doesn't cancel: `x = 2·A/(from + √(from² + 2·m·A))`. Of a falling line the root's argument would be a small difference of
    /// large numbers, and negative by rounding near its end; so a falling line is walked backwards from its end, where it
    /// rises, with the area that is left. Both arguments are sums of what is not negative.
    fn when(&self, area: f64) -> u64 {
        let d = seconds(self.length);
        let solve = |low: f64, high: f64, area: f64| {
            let denominator = low + (low * low + 2.0 * ((high - low) / d) * area).sqrt();
            if area <= 0.0 || denominator <= 0.0 { 0 } else { ((2.0 * area / denominator * 1e9).round() as u64).min(self.length) }
        };
        let area = area.clamp(0.0, self.area);
        if self.to >= self.from {
            solve(self.from, self.to, area)
        } else {
            self.length - solve(self.to, self.from, self.area - area)
        }
    }
}

impl Shape {
    /// The pieces one after the other. Pieces of 0s are left out, for the level jumps there anyway; a level that is negative or not a number is 0, one above
    /// [`MAX_LEVEL`] is that.
    pub fn new(pieces: Vec<Piece>) -> Self {
        let mut placed: Vec<Placed> = Vec::with_capacity(pieces.len());
        let (mut start, mut before) = (0u64, 0.0);
        for piece in pieces {
            let length = nanos(piece.duration).min(u64::MAX - start);
            if length == 0 {
                continue;
            }
            let (from, to) = (sane(piece.from), sane(piece.to));
            let area = seconds(length) * (from + to) / 2.0;
            placed.push(Placed { start, length, from, to, before, area });
            start += length;
            before += area;
        }
        Self { pieces: placed }
    }

    /// One level for the whole time.
    pub fn flat(duration: Duration, level: f64) -> Self {
        Self::new(vec![Piece::flat(duration, level)])
    }

    /// This shape and then another, as phases follow each other in a drawing.
    pub fn then(&self, next: &Self) -> Self {
        Self::new(self.pieces().chain(next.pieces()).collect())
    }

    /// The pieces that are not of 0s, in order.
    pub fn pieces(&self) -> impl Iterator<Item = Piece> {
        self.pieces.iter().map(|p| Piece { duration: Duration::from_nanos(p.length), from: p.from, to: p.to })
    }

    /// The length of all pieces.
    pub fn duration(&self) -> Duration {
        Duration::from_nanos(self.pieces.last().map_or(0, Placed::end))
    }

    /// The piece that holds sway at `ns`: where two meet, the later one.
    fn at(&self, ns: u64) -> Option<&Placed> {
        let index = self.pieces.partition_point(|p| p.end() <= ns);
        self.pieces.get(index)
    }

    /// The level at `t`, continuous from the right: where it jumps, the new level. After the end it is 0.
    pub fn level(&self, t: Duration) -> f64 {
        let ns = nanos(t);
        self.at(ns).map_or(0.0, |p| p.level(ns - p.start))
    }

    /// The area under the level from 0 to `t`: of a rate, the arrivals due by then, with their fraction.
    pub fn area(&self, t: Duration) -> f64 {
        let ns = nanos(t);
        self.at(ns).map_or_else(|| self.total_area(), |p| p.before + p.area(ns - p.start))
    }

    /// The area under the whole shape.
    pub fn total_area(&self) -> f64 {
        self.pieces.last().map_or(0.0, |p| p.before + p.area)
    }

    /// The level that it ends with.
    pub fn last(&self) -> f64 {
        self.pieces.last().map_or(0.0, |p| p.to)
    }

    /// The highest level, an end that is only approached included.
    pub fn max(&self) -> f64 {
        self.pieces.iter().fold(0.0, |max, p| max.max(p.from).max(p.to))
    }

    /// The earliest time at which the area reaches `area` (above 0), to the nanosecond; `None` if it never does. Whole numbers
    /// are reached in spite of rounding errors, as in [`whole`].
    pub fn when(&self, area: f64) -> Option<Duration> {
        let reach = area - tolerance(area);
        let index = self.pieces.partition_point(|p| p.before + p.area < reach);
        let piece = self.pieces.get(index)?;
        let left = piece.before + piece.area - area;
        let ns = if left <= tolerance(area) { piece.length } else { piece.when(area - piece.before) };
        Some(Duration::from_nanos(piece.start + ns))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::arrivals::testing::any_shape;
    use proptest::prelude::*;

    const S: Duration = Duration::from_secs(1);

    fn ramp(seconds: u32, from: f64, to: f64) -> Piece {
        Piece { duration: S * seconds, from, to }
    }

    #[test]
    fn the_level_jumps_to_the_right_and_is_0_after_the_end() {
        let shape = Shape::new(vec![ramp(10, 0.0, 100.0), ramp(0, 7.0, 7.0), ramp(5, 20.0, 20.0)]);
        assert_eq!(shape.level(Duration::ZERO), 0.0);
        assert_eq!(shape.level(S * 5), 50.0);
        assert_eq!(shape.level(S * 10), 20.0);
        assert_eq!(shape.level(S * 15), 0.0);
        assert_eq!(shape.duration(), S * 15);
        assert_eq!(shape.max(), 100.0);
        assert_eq!(shape.pieces().count(), 2);
        assert_eq!((shape.area(S * 5), shape.area(S * 10), shape.area(S * 99)), (125.0, 500.0, 600.0));
    }

    #[test]
    fn a_piece_of_no_length_is_a_jump_and_no_area() {
        let jump = |to| Shape::new(vec![Piece::flat(S, 10.0), ramp(0, 10.0, 100.0), ramp(1, to, 20.0), ramp(0, 20.0, 500.0)]);
        let (up, down) = (jump(100.0), jump(0.0));
        let before = S - Duration::from_nanos(1);
        assert_eq!((up.level(before), up.level(S), up.level(S + S / 2), up.max()), (10.0, 100.0, 60.0, 100.0));
        assert_eq!((down.level(before), down.level(S), down.level(S + S / 2)), (10.0, 0.0, 10.0));
        assert_eq!((up.area(S), up.total_area(), down.total_area()), (10.0, 70.0, 20.0));
    }

    #[test]
    fn a_line_that_falls_to_0_is_solved_to_its_very_end() {
        let shape = Shape::new(vec![ramp(60, 1000.0, 0.0)]);
        assert_eq!(shape.when(30_000.0), Some(S * 60));
        assert_eq!(shape.when(30_000.1), None);
        // The last but one is √(2·1·60/1000) seconds before the end.
        let left = S * 60 - shape.when(29_999.0).unwrap();
        assert!((left.as_secs_f64() - 0.12f64.sqrt()).abs() < 2e-9, "{left:?}");
    }

    #[test]
    fn rounding_errors_lose_no_arrival() {
        let tenths = Shape::new(vec![Piece::flat(S, 0.1); 10_000]);
        assert_ne!(tenths.total_area(), 1000.0, "the case is only of use while the sum is off");
        assert_eq!(whole(tenths.total_area()), 1000);
        assert_eq!(tenths.when(1000.0), Some(S * 10_000));
        assert_eq!((whole(2.999_999_999_9), whole(2.999_9), whole(-1.0), whole(f64::NAN)), (3, 2, 0, 0));
    }

    #[test]
    fn nonsense_levels_are_made_sane() {
        let shape = Shape::new(vec![ramp(1, -5.0, f64::NAN), ramp(1, f64::INFINITY, 1.0)]);
        assert_eq!(shape.level(S / 2), 0.0);
        assert_eq!(shape.level(S), MAX_LEVEL);
        assert!(shape.total_area().is_finite());
    }

    proptest! {
        #[test]
        fn when_is_the_inverse_of_area(shape in any_shape(), part in 0.001..1.0f64) {
            let wanted = shape.total_area() * part;
            if wanted > 0.0 {
                let t = shape.when(wanted).unwrap();
                prop_assert!(t <= shape.duration());
                // One nanosecond at the highest level is what rounding the time may cost.
                let error = (shape.area(t) - wanted).abs();
                prop_assert!(error <= 1e-9 * shape.max() + 1e-8 + 1e-9 * wanted, "{error} at {t:?}");
            }
        }

        #[test]
        fn the_area_never_falls(shape in any_shape(), a in 0.0..1.2f64, b in 0.0..1.2f64) {
            let at = |part: f64| shape.area(shape.duration().mul_f64(part));
            prop_assert!(at(a.min(b)) <= at(a.max(b)) + 1e-9);
        }
    }
}
