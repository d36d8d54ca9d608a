//! Which bucket a value falls into: the standard exponential buckets of Prometheus' native histograms at schema 6.
//!
//! Bucket i covers (2^((i-1)/64), 2^(i/64)]: a growth of 1.1 %, so the middle of a bucket is off by 0.54 % at most. Only powers
//! of two are bounds at every schema.
//!
//! A float is 2^e·m with 1 ≤ m < 2. Its predecessor (bits - 1) turns "greater than a bound" into "at least that bound", which
//! makes upper bounds inclusive, powers of two among them. The mantissa's top seven bits choose one of 128 slices, narrower than
//! the narrowest bucket, so that a slice holds at most one bound: one comparison decides.

/// The schema that everything is recorded at.
pub const SCHEMA: i32 = 6;

/// Buckets in one octave.
pub const PER_OCTAVE: usize = 1 << SCHEMA;

/// Where a value lies, in the order of values: its sign, then its bucket (counted downwards for negative values).
pub(super) type Place = (i32, i32);

const MANTISSA_BITS: u32 = 52;
const MANTISSA_MASK: u64 = (1 << MANTISSA_BITS) - 1;
const SLICE_BITS: u32 = SCHEMA as u32 + 1;
const SLICES: usize = 1 << SLICE_BITS;

/// The mantissas (52 bits, without the leading one) of 2^(k/64) for k from 0 to 63.
const BOUNDS: [u64; PER_OCTAVE] = bounds();

/// How many bounds lie at or below each slice's start, and the bound within the slice, or what no mantissa reaches.
const SLICE_TABLE: [(u64, i32); SLICES] = slices();

/// Computed in fixed point (62 fractional bits) when compiling: six square roots of 2, and products of them.
const fn bounds() -> [u64; PER_OCTAVE] {
    const POINT: u32 = 62;
    // roots[i] = 2^(1/2^(i+1)); the root of x·2^62 in units of 2^62 is the integer root of x·2^124.
    let mut roots = [0u128; SCHEMA as usize];
    let mut power: u128 = 2 << POINT;
    let mut i = 0;
    while i < SCHEMA as usize {
        power = (power << POINT).isqrt();
        roots[i] = power;
        i += 1;
    }
    let mut table = [0u64; PER_OCTAVE];
    let mut k = 0;
    while k < PER_OCTAVE {
        let mut value: u128 = 1 << POINT;
        let mut bit = 0;
        while bit < SCHEMA as usize {
            if k & (PER_OCTAVE >> (bit + 1)) != 0 {
                value = (value * roots[bit]) >> POINT;
            }
            bit += 1;
        }
        let rounded = (value + (1 << (POINT - MANTISSA_BITS - 1))) >> (POINT - MANTISSA_BITS);
        table[k] = rounded as u64 & MANTISSA_MASK;
        k += 1;
    }
    table
}

const fn slices() -> [(u64, i32); SLICES] {
    let mut table = [(u64::MAX, 0i32); SLICES];
    let mut j = 0;
    while j < SLICES {
        let start = (j as u64) << (MANTISSA_BITS - SLICE_BITS);
        let end = ((j + 1) as u64) << (MANTISSA_BITS - SLICE_BITS);
        let mut k = 0;
        while k < PER_OCTAVE {
            if BOUNDS[k] <= start {
                table[j].1 += 1;
            } else if BOUNDS[k] < end {
                table[j].0 = BOUNDS[k];
            }
            k += 1;
        }
        j += 1;
    }
    table
}

/// The index of the bucket that holds `value`, which must be a positive normal number.
#[inline]
pub fn index(value: f64) -> i32 {
    debug_assert!(value.is_normal() && value > 0.0);
    let bits = value.to_bits() - 1;
    let exponent = (bits >> MANTISSA_BITS) as i32 - 1023;
    let mantissa = bits & MANTISSA_MASK;
    let (bound, below) = SLICE_TABLE[(mantissa >> (MANTISSA_BITS - SLICE_BITS)) as usize];
    (exponent << SCHEMA) + below + i32::from(mantissa >= bound)
}

/// The upper bound, inclusive, of bucket `index`; infinite where a float ends.
pub fn upper(index: i32) -> f64 {
    let exponent = index >> SCHEMA;
    let mantissa = BOUNDS[(index & (PER_OCTAVE as i32 - 1)) as usize];
    match exponent + 1023 {
        e @ 1..=2046 => f64::from_bits((e as u64) << MANTISSA_BITS | mantissa),
        e if e <= 0 => 0.0,
        _ => f64::INFINITY,
    }
}

/// The lower bound, exclusive, of bucket `index`.
pub fn lower(index: i32) -> f64 {
    upper(index - 1)
}

/// The index at a coarser schema of what has `index` at schema 6.
pub fn coarser(index: i32, schema: i32) -> i32 {
    ((index - 1) >> (SCHEMA - schema)) + 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn bounds_are_roots_of_two() {
        for (k, mantissa) in BOUNDS.iter().enumerate() {
            let exact = (k as f64 / 64.0).exp2().to_bits() & MANTISSA_MASK;
            assert!(mantissa.abs_diff(exact) <= 1, "2^({k}/64): {mantissa:x} against {exact:x}");
        }
        assert!(BOUNDS.windows(2).all(|pair| pair[0] < pair[1]));
    }

    #[test]
    fn a_bound_belongs_to_the_bucket_below_it_and_its_successor_to_the_next() {
        for i in -20 * 64..=22 * 64 {
            let bound = upper(i);
            assert_eq!(index(bound), i, "bound {bound:e}");
            assert_eq!(index(bound.next_up()), i + 1, "just above {bound:e}");
            assert_eq!(index(bound.next_down()), i, "just below {bound:e}");
        }
        assert_eq!((index(1.0), index(2.0), index(0.5)), (0, 64, -64));
        assert_eq!(upper(6 * 64), 64.0);
    }

    #[test]
    fn the_ends_of_floats() {
        assert_eq!(upper(index(f64::MAX)), f64::INFINITY);
        assert_eq!(upper(-1023 * 64), 0.0);
        assert_eq!(index(f64::MIN_POSITIVE), -1022 * 64);
    }

    proptest! {
        #[test]
        fn a_value_lies_within_its_bucket(value in prop_oneof![1e-9f64..1e9, prop::num::f64::NORMAL.prop_map(f64::abs)]) {
            let i = index(value);
            prop_assert!(lower(i) < value && value <= upper(i), "{value:e} is not in bucket {i}");
        }

        #[test]
        fn nanoseconds_land_as_by_definition(ns in 954u64..1 << 50) {
            let value = ns as f64 / 1e9;
            let by_definition = (value.log2() * 64.0).ceil() as i32;
            prop_assert!((index(value) - by_definition).abs() <= i32::from((value.log2() * 64.0).fract().abs() < 1e-9 || (value.log2() * 64.0).fract().abs() > 1.0 - 1e-9));
        }

        #[test]
        fn coarser_buckets_hold_their_finer_ones(i in -5000i32..5000, schema in 0i32..=6) {
            let c = coarser(i, schema);
            let growth = 1 << (SCHEMA - schema);
            prop_assert!((c - 1) * growth < i && i <= c * growth);
        }
    }
}
