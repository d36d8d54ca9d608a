//! A histogram that one thread records into and any thread reads.
//!
//! Buckets are those of [`super::index`], in pages of one octave (64 counters, 512 bytes) that are allocated when first touched
//! and published by pointer, so that memory follows the spread of the values and never their number. What is too small for the
//! range counts as zero, what is too large as the largest.
//!
//! Beside the buckets, a *split* counts exactly how many of the values in the bucket that holds a bound lie at or below that
//! bound. A threshold of an SLO thus has an exact count, and one that is consistent with the buckets around it.

use std::ops::RangeInclusive;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use super::atoms::{Count, Float};
use super::index::{PER_OCTAVE, Place, SCHEMA, index, upper};
use super::sparse::Sparse;

/// Durations below 2^-20 s (0.95 µs) count as zero.
const LEAST_SECONDS: i32 = -20;
/// Durations above 2^22 s (48 days) count as that: a soak test's session of some days is still measured truly.
const MOST_SECONDS: i32 = 22;
/// Classic buckets of durations end at the powers of two from 2^-12 s (0.24 ms) to 2^7 s (128 s).
pub(super) const CLASSIC: RangeInclusive<i32> = -12..=7;
/// The profile's own values are distinguished between 2^-64 and 2^64, of either sign.
const LEAST_VALUE: i32 = -64;
/// See [`LEAST_VALUE`].
const MOST_VALUE: i32 = 64;

/// What histograms of one kind are made of. Recorders of the same series share it.
#[derive(Debug, Clone, PartialEq)]
pub struct Buckets {
    least: i32,
    most: i32,
    nanoseconds: bool,
    bounds: Vec<f64>,
    splits: Vec<(f64, Place)>,
}

impl Buckets {
    /// For durations: classic bounds at the powers of two of [`CLASSIC`], and at each threshold (in seconds).
    pub fn seconds(thresholds: &[f64]) -> Self {
        let powers = CLASSIC.map(|e| f64::exp2(f64::from(e)));
        let thresholds = thresholds.iter().copied();
        Self::new(LEAST_SECONDS, MOST_SECONDS, true, powers.chain(thresholds).collect())
    }

    /// For any value, with these classic bounds.
    pub fn values(bounds: &[f64]) -> Self {
        Self::new(LEAST_VALUE, MOST_VALUE, false, bounds.to_vec())
    }

    /// For any value, with the classic bounds that suit a unit.
    pub fn of_unit(unit: &str) -> Self {
        let powers = |from: i32, to: i32, step: usize| -> Vec<f64> {
            (from..=to).step_by(step).map(|e| f64::exp2(f64::from(e))).collect()
        };
        match unit {
            "seconds" => Self::values(&powers(*CLASSIC.start(), *CLASSIC.end(), 1)),
            "bytes" => Self::values(&powers(6, 30, 2)),
            "bytes_per_second" => Self::values(&powers(12, 34, 2)),
            "ratio" => Self::values(&[0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.8, 0.9, 0.95, 0.99, 1.0]),
            _ => Self::values(&powers(-10, 20, 2)),
        }
    }

    fn new(least: i32, most: i32, nanoseconds: bool, mut bounds: Vec<f64>) -> Self {
        bounds.retain(|bound| bound.is_finite() && (!nanoseconds || *bound > 0.0));
        bounds.sort_by(f64::total_cmp);
        bounds.dedup();
        let mut buckets = Self { least, most, nanoseconds, bounds, splits: Vec::new() };
        buckets.splits = buckets
            .bounds
            .iter()
            .map(|bound| (*bound, buckets.place(*bound)))
            .filter(|(bound, place)| place.0 <= 0 || upper(place.1) != *bound)
            .collect();
        buckets
    }

    /// The classic bounds, ascending, without the infinite one.
    pub fn bounds(&self) -> &[f64] {
        &self.bounds
    }

    /// What is at most this far from 0 counts as 0.
    pub fn zero_threshold(&self) -> f64 {
        f64::exp2(f64::from(self.least))
    }

    /// The lowest index at all.
    fn base(&self) -> i32 {
        (self.least << SCHEMA) + 1
    }

    fn octaves(&self) -> usize {
        (self.most - self.least) as usize
    }

    fn place(&self, value: f64) -> Place {
        match self.bucket(value.abs()) {
            None => (0, 0),
            Some(i) if value < 0.0 => (-1, -i),
            Some(i) => (1, i),
        }
    }

    /// The bucket of a magnitude, or none for what counts as zero.
    #[inline]
    fn bucket(&self, magnitude: f64) -> Option<i32> {
        if magnitude > f64::MAX {
            return Some(self.most << SCHEMA);
        }
        if magnitude < f64::MIN_POSITIVE {
            return None;
        }
        let i = index(magnitude);
        (i >= self.base()).then(|| i.min(self.most << SCHEMA))
    }
}

/// 64 counters: one octave.
type Page = [AtomicU64; PER_OCTAVE];

/// One sign's pages, from the lowest octave.
#[derive(Debug)]
struct Pages(Box<[OnceLock<Box<Page>>]>);

impl Pages {
    fn new(octaves: usize) -> Self {
        Self((0..octaves).map(|_| OnceLock::new()).collect())
    }

    #[inline]
    fn add(&self, position: usize) {
        let page = self.0[position / PER_OCTAVE].get_or_init(|| Box::new([const { AtomicU64::new(0) }; PER_OCTAVE]));
        let count = &page[position % PER_OCTAVE];
        count.store(count.load(Ordering::Relaxed).wrapping_add(1), Ordering::Release);
    }

    /// The buckets that aren't empty, by index.
    fn read(&self, base: i32) -> Vec<(i32, u64)> {
        let mut buckets = Vec::new();
        for (octave, page) in self.0.iter().enumerate() {
            for (slot, count) in page.get().into_iter().flat_map(|page| page.iter().enumerate()) {
                let n = count.load(Ordering::Acquire);
                if n > 0 {
                    buckets.push((base + (octave * PER_OCTAVE + slot) as i32, n));
                }
            }
        }
        buckets
    }
}

/// A histogram with a single writer. It must always be handed the [`Buckets`] that it was made with.
#[derive(Debug)]
pub struct Histogram {
    zero: Count,
    positive: Pages,
    negative: OnceLock<Pages>,
    nanoseconds: Count,
    sum: Float,
    splits: Box<[Count]>,
}

/// What an infinite value counts as: the upper end of the range of values.
const LARGEST: f64 = 18_446_744_073_709_551_616.0; // 2^64

impl Histogram {
    /// An empty histogram.
    pub fn new(buckets: &Buckets) -> Self {
        Self {
            zero: Count::default(),
            positive: Pages::new(buckets.octaves()),
            negative: OnceLock::new(),
            nanoseconds: Count::default(),
            sum: Float::default(),
            splits: buckets.splits.iter().map(|_| Count::default()).collect(),
        }
    }

    /// Records a duration.
    #[inline]
    pub fn record_nanos(&self, buckets: &Buckets, nanoseconds: u64) {
        // A division, not a multiplication by 1e-9: it rounds once, so that 150,000,000 ns is the very float that 0.15 is.
        let seconds = nanoseconds as f64 / 1e9;
        self.nanoseconds.add(nanoseconds);
        let place = match buckets.bucket(seconds) {
            None => {
                self.zero.add(1);
                (0, 0)
            }
            Some(i) => {
                self.positive.add((i - buckets.base()) as usize);
                (1, i)
            }
        };
        self.split(buckets, place, seconds);
    }

    /// Records any value. NaN is not a value and is left out; infinities count as the largest.
    pub fn record(&self, buckets: &Buckets, value: f64) {
        if value.is_nan() {
            return;
        }
        // An infinite sum would swallow all others, and no record could hold it.
        let value = if value.is_infinite() { LARGEST.copysign(value) } else { value };
        self.sum.add(value);
        let place = buckets.place(value);
        match place {
            (0, _) => self.zero.add(1),
            (1, i) => self.positive.add((i - buckets.base()) as usize),
            (_, i) => {
                let pages = self.negative.get_or_init(|| Pages::new(buckets.octaves()));
                pages.add((-i - buckets.base()) as usize);
            }
        }
        self.split(buckets, place, value);
    }

    #[inline]
    fn split(&self, buckets: &Buckets, place: Place, value: f64) {
        for ((bound, at), count) in buckets.splits.iter().zip(&self.splits) {
            if *at == place && value <= *bound {
                count.add(1);
            }
        }
    }

    /// What has been recorded so far.
    pub fn snapshot(&self, buckets: &Buckets) -> Sparse {
        // Splits are written after their bucket and read before it, so that none exceeds its bucket.
        let splits = buckets.splits.iter().zip(&self.splits).map(|((bound, place), n)| (*bound, *place, n.get())).collect();
        let zero = self.zero.get();
        let positive = self.positive.read(buckets.base());
        let negative = self.negative.get().map(|pages| pages.read(buckets.base())).unwrap_or_default();
        let (nanoseconds, sum) = (self.nanoseconds.get(), self.sum.get());
        Sparse::new(buckets.zero_threshold(), zero, positive, negative, splits, nanoseconds, sum)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn recorded(buckets: &Buckets, nanoseconds: &[u64]) -> Sparse {
        let histogram = Histogram::new(buckets);
        nanoseconds.iter().for_each(|ns| histogram.record_nanos(buckets, *ns));
        histogram.snapshot(buckets)
    }

    fn observed(buckets: &Buckets, values: &[f64]) -> Sparse {
        let histogram = Histogram::new(buckets);
        values.iter().for_each(|value| histogram.record(buckets, *value));
        histogram.snapshot(buckets)
    }

    /// Durations as they come: spread over magnitudes, and often exactly at a threshold or one beside it.
    fn durations() -> impl Strategy<Value = Vec<u64>> {
        let near = prop::sample::select(vec![150_000_000u64, 500_000_000, 1_953_125, 1_000_000_000, 1_500_000_000])
            .prop_flat_map(|at| at - 1..=at + 1);
        prop::collection::vec(prop_oneof![0u64..2000, 0u64..1 << 36, (0u32..50).prop_map(|e| 1 << e), near], 1..200)
    }

    const THRESHOLDS: [f64; 4] = [0.15, 0.5, 1.5, 0.3];

    proptest! {
        #[test]
        fn counts_within_bounds_are_exact(durations in durations()) {
            let buckets = Buckets::seconds(&THRESHOLDS);
            let sparse = recorded(&buckets, &durations);
            prop_assert_eq!(sparse.count(), durations.len() as u64);
            let sum: u64 = durations.iter().sum();
            prop_assert!((sparse.sum() - sum as f64 / 1e9).abs() <= 1e-9 * sum as f64 / 1e9);
            for (bound, cumulative) in buckets.bounds().iter().zip(sparse.cumulative(buckets.bounds())) {
                let within = durations.iter().filter(|ns| **ns as f64 / 1e9 <= *bound).count() as u64;
                prop_assert_eq!(sparse.within_exactly(*bound), Some(within), "within {}", bound);
                prop_assert_eq!((sparse.within(*bound), cumulative), (within as f64, within));
            }
        }

        #[test]
        fn a_quantile_is_within_a_bucket_of_the_sample_at_its_rank(mut durations in durations(), q in 0.0f64..=1.0) {
            let sparse = recorded(&Buckets::seconds(&[]), &durations);
            durations.sort_unstable();
            let rank = ((q * durations.len() as f64).ceil() as usize).max(1);
            let exact = durations[rank - 1] as f64 / 1e9;
            let answer = sparse.quantile(q).unwrap();
            let zero = sparse.zero_threshold();
            prop_assert!(answer <= exact * 1.0109 + zero && answer >= exact / 1.0109 - zero, "{answer} for {exact}");
        }

        #[test]
        fn merging_equals_recording_in_one(a in durations(), b in durations()) {
            let buckets = Buckets::seconds(&THRESHOLDS);
            let (first, second) = (recorded(&buckets, &a), recorded(&buckets, &b));
            let both = recorded(&buckets, &[a, b].concat());
            let mut sum = first.clone();
            sum.add(&second);
            prop_assert_eq!(&sum, &both);
            prop_assert_eq!(both.minus(&first), second);
        }

        #[test]
        fn values_of_either_sign(values in prop::collection::vec(prop_oneof![-100.0f64..100.0, Just(0.0), Just(1.0), Just(-1.0), Just(2.5)], 1..100)) {
            let bounds = [-50.0, -1.0, -0.3, 0.0, 0.7, 1.0, 2.5];
            let sparse = observed(&Buckets::values(&bounds), &values);
            for (bound, cumulative) in bounds.into_iter().zip(sparse.cumulative(&bounds)) {
                let within = values.iter().filter(|value| **value <= bound).count() as u64;
                prop_assert_eq!((sparse.within_exactly(bound), cumulative), (Some(within), within), "within {}", bound);
            }
            let mut sorted = values.clone();
            sorted.sort_by(f64::total_cmp);
            let median = sorted[sorted.len().div_ceil(2) - 1];
            let answer = sparse.quantile(0.5).unwrap();
            prop_assert!((answer - median).abs() <= median.abs() * 0.0110 + 1e-12, "{answer} for {median}");
            prop_assert!(sparse.min().unwrap() <= sorted[0] && sparse.max().unwrap() >= sorted[sorted.len() - 1]);
        }

        #[test]
        fn coarser_schemas_keep_every_count(durations in durations(), schema in 0i32..=6) {
            let sparse = recorded(&Buckets::seconds(&[]), &durations);
            let (positive, negative) = sparse.at_schema(schema);
            prop_assert_eq!(positive.iter().map(|(_, n)| n).sum::<u64>() + sparse.zero_count(), sparse.count());
            prop_assert!(negative.is_empty() && positive.windows(2).all(|pair| pair[0].0 < pair[1].0));
            let growth = f64::exp2(f64::exp2(f64::from(-schema)));
            for (i, n) in positive {
                let bounds = (growth.powi(i - 1) * 1.000_001, growth.powi(i) / 1.000_001);
                let inside = durations.iter().map(|ns| *ns as f64 / 1e9).filter(|v| *v > bounds.0 && *v < bounds.1).count() as u64;
                prop_assert!(inside <= n, "bucket {} has {} of {}", i, n, inside);
            }
        }
    }

    #[test]
    fn ends_of_the_range() {
        let seconds = Buckets::seconds(&[]);
        let sparse = recorded(&seconds, &[0, 953, 954, u64::MAX]);
        assert_eq!(sparse.zero_count(), 2, "2^-20 s are 953.67 ns");
        assert_eq!(sparse.max(), Some(f64::exp2(22.0)));
        let sparse =
            observed(&Buckets::values(&[]), &[f64::INFINITY, f64::NEG_INFINITY, f64::NAN, 1e-300, f64::MIN_POSITIVE / 2.0]);
        assert_eq!((sparse.count(), sparse.zero_count()), (4, 2));
        assert_eq!((sparse.min(), sparse.max()), (Some(-f64::exp2(64.0)), Some(f64::exp2(64.0))));
        assert!(sparse.sum().is_finite());
    }

    #[test]
    fn nothing_recorded() {
        let sparse = recorded(&Buckets::seconds(&THRESHOLDS), &[]);
        assert_eq!((sparse.count(), sparse.mean(), sparse.max(), sparse.quantile(0.5)), (0, None, None, None));
        assert_eq!((sparse.within_exactly(0.15), sparse.share_within(0.15)), (Some(0), None));
    }

    #[test]
    fn classic_bounds() {
        let buckets = Buckets::seconds(&[0.15, 0.5, f64::INFINITY, -1.0, 0.15]);
        assert_eq!(buckets.bounds().len(), 21, "20 powers of two and 0.15: {:?}", buckets.bounds());
        assert_eq!((buckets.bounds()[0], buckets.bounds()[19], buckets.bounds()[20]), (0.000_244_140_625, 64.0, 128.0));
        assert_eq!(buckets.splits.len(), 1, "powers of two need no counter of their own");
    }

    #[test]
    fn thresholds_that_only_one_side_knows_are_no_longer_exact() {
        let mut a = recorded(&Buckets::seconds(&[0.15, 0.3]), &[150_000_000, 300_000_000]);
        a.add(&recorded(&Buckets::seconds(&[0.3]), &[300_000_000, 150_000_001]));
        assert_eq!(a.within_exactly(0.3), Some(4));
        assert_eq!(a.within_exactly(0.15), None);
        assert!(a.within(0.15) > 0.0 && a.within(0.15) < 2.0);
    }

    #[test]
    fn snapshots_survive_json() {
        let sparse = recorded(&Buckets::seconds(&THRESHOLDS), &[1, 150_000_000, 150_000_001, 7_000_000_000]);
        let text = serde_json::to_string(&sparse).unwrap();
        assert_eq!(serde_json::from_str::<Sparse>(&text).unwrap(), sparse, "{text}");
    }
}
