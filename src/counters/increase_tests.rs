//! Increases of known histories.

use proptest::prelude::*;

use super::*;
use crate::counters::cut::Gap;

fn flowing(time: f64) -> At {
    At::flowing(time, 0.0)
}

fn still(time: f64) -> At {
    At { still_until: Some(time + 3.0), ..flowing(time) }
}

fn fold(kind: MetricKind, from: At, to: At, samples: &[(f64, f64)]) -> Fold {
    let mut fold = Fold::new(kind, &[from, to]);
    for (time, value) in samples {
        fold.feed(*time, *value, false);
    }
    fold
}

fn track(kind: MetricKind, from: At, to: At, samples: &[(f64, f64)]) -> Track {
    fold(kind, from, to, samples).track(None)
}

/// Value, least and most.
fn bounds(track: &Track) -> Result<(f64, f64, f64), Gap> {
    track.known()
}

fn value(track: &Track) -> Result<f64, Gap> {
    track.delta.map(|delta| delta.value)
}

#[test]
fn an_edge_on_a_sample_is_exact_and_between_two_it_is_interpolated() {
    let samples = [(0.0, 100.0), (10.0, 200.0), (20.0, 400.0), (30.0, 400.0)];
    let exact = track(MetricKind::Counter, flowing(0.0), flowing(20.0), &samples);
    assert_eq!((bounds(&exact), exact.resets), (Ok((300.0, 300.0, 300.0)), 0));
    let between = track(MetricKind::Counter, flowing(5.0), flowing(12.0), &samples);
    assert_eq!((between.before, between.after), (Some(150.0), Some(240.0)));
    // All, or nothing, of what the samples around the edges say.
    assert_eq!(bounds(&between), Ok((90.0, 0.0, 300.0)));
    // Both edges within one interval.
    assert_eq!(bounds(&track(MetricKind::Counter, flowing(12.0), flowing(13.0), &samples)), Ok((20.0, 0.0, 200.0)));
    // Where the clocks don't show on which side of the edge a sample is, it is on neither.
    let unsure = At { off: 0.5, ..flowing(20.2) };
    assert_eq!(bounds(&track(MetricKind::Counter, flowing(0.0), unsure, &samples)), Ok((300.0, 100.0, 300.0)));
}

#[test]
fn a_burst_between_the_samples_around_an_edge_may_lie_on_either_side() {
    let samples = [(0.0, 0.0), (5.0, 0.0), (10.0, 100.0), (15.0, 100.0), (20.0, 100.0)];
    for edge in [5.5, 7.0, 9.9] {
        let (_, least, most) = bounds(&track(MetricKind::Counter, flowing(edge), flowing(18.0), &samples)).unwrap();
        assert_eq!((least, most), (0.0, 100.0), "{edge}");
    }
}

#[test]
fn a_scrape_that_was_not_over_at_the_edge_is_none_before_it() {
    let fold = |kind, from, to, took, samples: &[(f64, f64)]| {
        let mut fold = Fold::new(kind, &[from, to]);
        samples.iter().for_each(|(time, value)| assert!(fold.feed_scrape((*time, took), *value, false)));
        fold.track(None)
    };
    // All of it came at 4.4 s, and the scrape of 4 s said so when it was over.
    let burst = [(0.0, 0.0), (2.0, 0.0), (4.0, 150.0), (6.0, 150.0), (8.0, 150.0)];
    let of = |from, to, took| bounds(&fold(MetricKind::Counter, from, to, took, &burst));
    assert_eq!(of(flowing(4.3), flowing(7.0), 0.8), Ok((0.0, 0.0, 150.0)));
    assert_eq!(of(flowing(2.5), flowing(4.3), 0.8), Ok((112.5, 0.0, 150.0)));
    assert_eq!(of(flowing(4.3), flowing(7.0), 0.2), Ok((0.0, 0.0, 0.0)), "it was over before that");
    // The first sample of all says nothing of what was before its scrape.
    let first = fold(MetricKind::Counter, flowing(4.3), flowing(7.0), 0.8, &burst[2..]);
    assert_eq!(bounds(&first), Ok((0.0, 0.0, 150.0)));
    // A pause in which a whole scrape lies is exact, and one that ends within it says nothing.
    let pause = |from, until| At { still_until: Some(until), ..flowing(from) };
    assert_eq!(of(pause(1.9, 2.9), pause(5.9, 6.9), 0.8), Ok((150.0, 150.0, 150.0)));
    assert_eq!(of(pause(1.9, 2.9), pause(5.9, 6.7), 0.8), Err(Gap::NoEnd));
    // A gauge may have had any value from the sample before that to the one behind.
    let peak = [(0.0, 5.0), (2.0, 1.0), (4.0, 90.0), (6.0, 3.0)];
    let level = |took| fold(MetricKind::Gauge, flowing(0.0), flowing(4.9), took, &peak).level().unwrap();
    assert_eq!((level(0.8).least(), level(1.0).least(), level(1.0).most()), (3.0, 1.0, 90.0));
}

#[test]
fn a_reset_counts_from_0_and_a_moved_start_too() {
    let samples = [(0.0, 100.0), (10.0, 150.0), (20.0, 30.0), (30.0, 40.0)];
    let fell = track(MetricKind::Counter, flowing(0.0), flowing(30.0), &samples);
    // 5 a second before it, and no more at any time: 50 may have been lost.
    assert_eq!((bounds(&fell), fell.resets), (Ok((90.0, 90.0, 140.0)), 1));
    assert_eq!(value(&track(MetricKind::Gauge, flowing(0.0), flowing(30.0), &samples)), Ok(-60.0));

    let mut fold = Fold::new(MetricKind::Counter, &[flowing(0.0), flowing(20.0)]);
    for (time, value, restarted) in [(0.0, 100.0, false), (8.0, 100.0, false), (10.0, 120.0, true), (20.0, 130.0, false)] {
        fold.feed(time, value, restarted);
    }
    // Either it started again and counted 120, or the exporter did and it counted 20.
    let track = fold.track(None);
    let (value, least, most) = bounds(&track).unwrap();
    assert_eq!((value, least, track.resets), (130.0, 30.0, 1));
    // It stood still before that, so that it may have counted any number.
    assert_eq!(most, f64::INFINITY);
}

#[test]
fn a_reset_loses_what_the_longer_rate_says_where_the_last_samples_are_close_together() {
    // 10 a second, though nothing came in the last tenth of a second before it.
    let samples = [(0.0, 0.0), (9.9, 100.0), (10.0, 100.0), (15.0, 1.0), (20.0, 1.0)];
    assert_eq!(
        bounds(&track(MetricKind::Counter, flowing(0.0), flowing(20.0), &samples)),
        Ok((101.0, 101.0, 101.0 + 5.0 * 100.0 / 9.9))
    );
    // Without a rate before it nothing bounds it.
    let samples = [(0.0, 100.0), (5.0, 20.0), (10.0, 20.0)];
    assert_eq!(bounds(&track(MetricKind::Counter, flowing(0.0), flowing(10.0), &samples)), Ok((20.0, 20.0, f64::INFINITY)));
}

#[test]
fn where_the_load_stands_still_the_first_sample_past_the_edge_counts() {
    let samples = [(0.0, 5.0), (1.5, 10.0), (2.5, 10.0), (10.0, 90.0), (11.0, 95.0)];
    let got = track(MetricKind::Counter, still(1.0), still(10.5), &samples);
    assert_eq!((got.before, got.after, bounds(&got)), (Some(10.0), Some(95.0), Ok((85.0, 85.0, 85.0))));
    // A sample that comes too late may hold what happened since.
    assert_eq!(value(&track(MetricKind::Counter, still(1.0), still(3.0), &samples)), Err(Gap::NoEnd));
    assert_eq!(value(&track(MetricKind::Counter, still(-9.0), still(10.5), &samples)), Err(Gap::NoStart));
}

#[test]
fn what_is_missing_is_not_0() {
    let counter = |samples: &[(f64, f64)]| track(MetricKind::Counter, flowing(0.0), flowing(9.0), samples);
    assert_eq!(value(&counter(&[])), Err(Gap::NoStart));
    assert_eq!(value(&counter(&[(5.0, 7.0), (10.0, 8.0)])), Err(Gap::NoStart));
    let gone = counter(&[(0.0, 7.0), (8.0, 8.0)]);
    assert_eq!((gone.before, gone.after, value(&gone)), (Some(7.0), None, Err(Gap::NoEnd)));
    assert_eq!(value(&counter(&[(0.0, f64::NAN), (9.0, f64::NAN)])), Err(Gap::NoStart));
}

#[test]
fn a_counter_that_came_up_between_the_edges_counts_from_0() {
    let born = |kind, from, to, samples: &[(f64, f64)]| fold(kind, from, to, samples).track(Some(12.0));
    let samples = [(5.0, 7.0), (10.0, 17.0), (12.0, 17.0)];
    for (from, to) in [(flowing(1.0), flowing(10.0)), (still(1.0), still(9.0))] {
        let got = born(MetricKind::Counter, from, to, &samples);
        // It may have been hidden: what it said first isn't sure, what came after is.
        assert_eq!((got.before, got.after, bounds(&got)), (Some(0.0), Some(17.0), Ok((17.0, 10.0, 17.0))));
        assert_eq!(got.born, Some(7.0));
    }
    // Its only sample is the one that a still edge waited for.
    assert_eq!(bounds(&born(MetricKind::Counter, still(-9.0), still(4.0), &samples[..1])), Ok((7.0, 0.0, 7.0)));
    // Its first sample is the one past the second edge: it may have come up on either side.
    assert_eq!(bounds(&born(MetricKind::Counter, flowing(1.0), flowing(4.0), &samples)), Ok((0.0, 0.0, 7.0)));
    let later = fold(MetricKind::Counter, flowing(1.0), flowing(4.0), &samples).track(Some(4.5));
    assert_eq!((value(&later), later.after), (Err(Gap::NoStart), None));
    // A gauge had any value; and what was there before, or went away again, is as it always was.
    assert_eq!(value(&born(MetricKind::Gauge, flowing(1.0), flowing(10.0), &samples)), Err(Gap::NoStart));
    assert_eq!(value(&born(MetricKind::Counter, flowing(5.0), flowing(10.0), &samples)), Ok(10.0));
    assert_eq!(value(&born(MetricKind::Counter, flowing(1.0), flowing(20.0), &samples)), Err(Gap::NoStart));
}

#[test]
fn where_the_load_has_ended_a_counter_that_stands_still_is_exact_and_others_go_on() {
    let ended = At { ended: true, ..flowing(12.0) };
    let stands = [(0.0, 100.0), (10.0, 200.0), (15.0, 260.0), (20.0, 260.0), (25.0, 300.0)];
    assert_eq!(bounds(&track(MetricKind::Counter, flowing(0.0), ended, &stands)), Ok((160.0, 160.0, 160.0)));
    // What others do later is no part of it, and what of it was done between the samples around the edge isn't known.
    let moves = [(0.0, 100.0), (10.0, 200.0), (15.0, 260.0), (20.0, 320.0), (25.0, 320.0)];
    assert_eq!(bounds(&track(MetricKind::Counter, flowing(0.0), ended, &moves)), Ok((124.0, 100.0, 160.0)));
    assert_eq!(bounds(&track(MetricKind::Counter, flowing(0.0), ended, &moves[..3])), Ok((124.0, 100.0, 160.0)));
}

#[test]
fn what_is_reported_late_may_lie_before_an_edge_at_which_the_load_ended() {
    let ended = At { ended: true, late: 11.0, ..flowing(12.0) };
    let samples: Vec<(f64, f64)> = (0..8).map(|n| (f64::from(n) * 5.0, f64::from(n) * 50.0)).collect();
    assert_eq!(bounds(&track(MetricKind::Counter, flowing(0.0), ended, &samples)), Ok((120.0, 100.0, 250.0)));
    // It stands still from when all must have been reported.
    let samples = [(0.0, 0.0), (10.0, 100.0), (15.0, 110.0), (20.0, 120.0), (25.0, 130.0), (30.0, 130.0), (35.0, 150.0)];
    assert_eq!(bounds(&track(MetricKind::Counter, flowing(0.0), ended, &samples)), Ok((130.0, 130.0, 130.0)));
}

#[test]
fn a_rounding_error_is_no_reset() {
    // Idle seconds of a CPU that is busy throughout, and of one that isn't.
    let busy = [(0.0, 12_345.67), (5.0, 12_345.67), (10.0, 12_345.66), (15.0, 12_345.67), (20.0, 12_345.66)];
    let got = track(MetricKind::Counter, flowing(0.0), flowing(20.0), &busy);
    assert_eq!((bounds(&got), got.resets), (Ok((0.0, 0.0, 0.0)), 0));
    let idle = [(0.0, 500.0), (5.0, 505.0), (10.0, 504.99), (15.0, 510.0)];
    let got = track(MetricKind::Counter, flowing(0.0), flowing(15.0), &idle);
    assert_eq!((value(&got), got.resets), (Ok(10.0), 0));
    // A start time that moved says otherwise.
    let mut fold = Fold::new(MetricKind::Counter, &[flowing(0.0), flowing(15.0)]);
    for (time, value) in idle {
        fold.feed(time, value, time == 10.0);
    }
    assert_eq!(fold.track(None).resets, 1);
    // So does a rate at which it may well have come as far again since the sample before.
    let fast = [(0.0, 0.0), (5.0, 5_000.0), (10.0, 4_998.0), (15.0, 9_998.0)];
    assert_eq!(track(MetricKind::Counter, flowing(0.0), flowing(15.0), &fast).resets, 1);
    // A whole event less is a reset of a small counter, whatever its rate.
    assert_eq!(track(MetricKind::Counter, flowing(0.0), flowing(10.0), &[(0.0, 900.0), (5.0, 900.0), (10.0, 899.0)]).resets, 1);
}

#[test]
fn a_counter_that_counts_modulo_2_to_53_went_on() {
    let near = WRAP - 1_000.0;
    let got =
        track(MetricKind::Counter, flowing(0.0), flowing(15.0), &[(0.0, near - 6e3), (5.0, near), (10.0, 5e3), (15.0, 11e3)]);
    assert_eq!((value(&got), got.resets), (Ok(18e3), 0));
    // It may have started again all the same: then 5,000 and what was lost were counted.
    assert_eq!(bounds(&got).unwrap().1, 17e3);
    assert!(bounds(&got).unwrap().2 >= 23e3);
    // Where the sum of both sides isn't exact to the unit, the increase is.
    let samples: Vec<(f64, f64)> = [-101.0, -52.0, 0.0, 47.0, 96.0, 145.0]
        .iter()
        .zip(0..)
        .filter(|(v, _)| **v != 0.0)
        .map(|(v, n)| (f64::from(n) * 5.0, if *v < 0.0 { WRAP + v } else { *v }))
        .collect();
    for (to, truth) in [(5.0, 49.0), (15.0, 148.0), (20.0, 197.0), (25.0, 246.0)] {
        assert_eq!(value(&track(MetricKind::Counter, flowing(0.0), flowing(to), &samples)), Ok(truth));
    }
    let past = track(MetricKind::Counter, flowing(15.0), flowing(25.0), &samples);
    assert_eq!(bounds(&past), Ok((98.0, 98.0, 98.0)));
    // One that has a day to go at its rate started again.
    let far = WRAP - 1e9;
    let got = track(MetricKind::Counter, flowing(0.0), flowing(10.0), &[(0.0, far - 6e3), (5.0, far), (10.0, 5e3)]);
    assert_eq!((value(&got), got.resets), (Ok(11e3), 1));
}

#[test]
fn a_wrap_behind_a_pause_is_exact_and_bounded_whatever_the_rate_before() {
    let near = WRAP - 100.0;
    let paused = [(0.0, near), (5.0, near), (10.0, near), (15.0, 50.0), (20.0, 50.0)];
    // It stood still before that; it was seen once; it had counted slowly long before; all but 1 came before the wrap.
    let slowly = [(-5.0, near - 1.0), (0.0, near), (5.0, near), (10.0, near), (15.0, 50.0), (20.0, 50.0)];
    let last = [(10.0, near), (15.0, 1.0), (20.0, 1.0)];
    for (samples, truth) in [(&paused[..], 150.0), (&paused[2..], 150.0), (&slowly, 150.0), (&last, 101.0)] {
        let got = track(MetricKind::Counter, still(9.0), still(19.0), samples);
        let (value, least, most) = bounds(&got).unwrap();
        assert_eq!((value, got.resets), (truth, 0), "{samples:?}");
        // It may have started again all the same.
        assert!(least == samples[samples.len() - 1].1 && most >= truth && most.is_finite(), "{least} {most}");
    }
    let got = track(MetricKind::Counter, still(9.0), still(19.0), &[(10.0, WRAP - 1e6), (15.0, 50.0), (20.0, 50.0)]);
    assert_eq!((bounds(&got), got.resets), (Ok((50.0, 50.0, f64::INFINITY)), 1), "it had far to go");
}

#[test]
fn what_a_counter_that_no_sample_saw_moving_counted_before_its_reset_is_not_known() {
    let samples = [(0.0, 5.0), (5.0, 5.0), (10.0, 0.0), (15.0, 0.0)];
    let got = track(MetricKind::Counter, flowing(0.0), flowing(15.0), &samples);
    assert_eq!((bounds(&got), got.resets), (Ok((0.0, 0.0, f64::INFINITY)), 1));
    // One that stands at 0 shows it by its start time alone.
    let mut fold = Fold::new(MetricKind::Counter, &[flowing(0.0), flowing(15.0)]);
    for time in [0.0, 5.0, 10.0, 15.0] {
        fold.feed(time, 0.0, time == 10.0);
    }
    assert_eq!(bounds(&fold.track(None)), Ok((0.0, 0.0, f64::INFINITY)));
    // In a phase behind the reset nothing is open.
    assert_eq!(bounds(&track(MetricKind::Counter, flowing(10.0), flowing(15.0), &samples)), Ok((0.0, 0.0, 0.0)));
}

#[test]
fn beyond_2_to_53_a_float_is_not_exact_to_the_unit() {
    let samples = [(0.0, WRAP), (5.0, 2.0 * WRAP + 8.0), (10.0, 4.0 * WRAP + 16.0)];
    let exact = track(MetricKind::Counter, flowing(0.0), flowing(0.0), &samples[..1]);
    assert_eq!(bounds(&exact), Ok((0.0, 0.0, 0.0)));
    // Floats are 4 apart at 2 * 2^53 and 8 apart at 4 * 2^53.
    let got = track(MetricKind::Counter, flowing(5.0), flowing(10.0), &samples);
    let truth = 2.0 * WRAP + 8.0;
    let (value, least, most) = bounds(&got).unwrap();
    assert!(value == truth && (4.0..=8.0).contains(&(truth - least)) && (4.0..=8.0).contains(&(most - truth)), "{least} {most}");
}

#[test]
fn a_counter_by_its_name_alone_is_a_gauge_once_it_falls() {
    let edges = [flowing(0.0), flowing(15.0)];
    let fold = |guessed, restarted: f64| {
        let mut fold = Fold::of(MetricKind::Counter, guessed, &edges);
        for (time, value) in [(0.0, 10_000.0), (5.0, 10_004.0), (10.0, 9_999.0), (15.0, 10_001.0)] {
            fold.feed(time, value, time == restarted);
        }
        fold
    };
    let guessed = fold(true, f64::NAN);
    assert_eq!((guessed.kind(), guessed.fell(), value(&guessed.track(None))), (MetricKind::Gauge, true, Ok(1.0)));
    let declared = fold(false, 10.0);
    assert_eq!((declared.kind(), declared.track(None).resets), (MetricKind::Counter, 1));
    // A start time that moved explains the fall.
    let restarted = fold(true, 10.0);
    assert_eq!((restarted.kind(), value(&restarted.track(None))), (MetricKind::Counter, Ok(10_005.0)));
    let mut edge = Fold::of(MetricKind::Counter, true, &[]);
    edge.feed(0.0, 7.0, false);
    assert_eq!(edge.feed_edge(flowing(5.0), 10.0, 3.0, false).map(|cut| cut.value), Some(5.0));
}

/// Events at any times, samples at any times: each sample shows exactly how many events there were before it.
fn world() -> impl Strategy<Value = (Vec<f64>, Vec<f64>)> {
    let times = |n| proptest::collection::vec((0u32..100_000).prop_map(|ms| f64::from(ms) / 1e3), n);
    (times(0..200), times(2..60)).prop_map(|(mut events, mut samples)| {
        events.sort_by(f64::total_cmp);
        samples.extend([0.0, 100.0]);
        samples.sort_by(f64::total_cmp);
        samples.dedup();
        (events, samples)
    })
}

fn count(events: &[f64], at: f64) -> f64 {
    events.iter().filter(|e| **e < at).count() as f64
}

fn within(track: &Track, truth: f64) -> Result<(), TestCaseError> {
    let Ok(delta) = track.delta else { return Ok(()) };
    let slip = 1e-6;
    let most = delta.most() + track.hidden.most();
    prop_assert!(delta.least() - slip <= truth && truth <= most + slip, "{track:?} for {truth}");
    Ok(())
}

proptest! {
    #[test]
    fn the_truth_is_within_the_bounds((events, samples) in world(), a in 0.0..100.0f64, b in 0.0..100.0f64, off in 0.0..5.0f64) {
        let (a, b) = (a.min(b), a.max(b));
        let samples: Vec<(f64, f64)> = samples.iter().map(|t| (*t, count(&events, *t))).collect();
        let got = track(MetricKind::Counter, flowing(a), flowing(b), &samples);
        prop_assert!(got.delta.is_ok());
        within(&got, count(&events, b) - count(&events, a))?;
        // The edges were truly elsewhere, but no farther than it is said.
        let (c, d) = (f64::midpoint(a, (a + off).min(99.0)), (b - off).max(1.0));
        let got = track(MetricKind::Counter, At { off, ..flowing(a) }, At { off, ..flowing(b) }, &samples);
        if off < 1.0 && c <= d {
            within(&got, count(&events, d) - count(&events, c))?;
        }
    }

    #[test]
    fn whenever_a_counter_came_up_the_truth_is_within_the_bounds(
        (events, samples) in world(), a in 0.0..100.0f64, b in 0.0..100.0f64, shown in 0.0..100.0f64,
    ) {
        // Born, or hidden until then.
        let (a, b) = (a.min(b), a.max(b));
        let until = samples.iter().copied().find(|t| *t >= b).unwrap();
        let mut fold = Fold::new(MetricKind::Counter, &[flowing(a), flowing(b)]);
        for t in samples.iter().filter(|t| **t >= shown) {
            fold.feed(*t, count(&events, *t), false);
        }
        within(&fold.track(Some(until)), count(&events, b) - count(&events, a))?;
    }

    #[test]
    fn what_a_reset_lost_is_within_the_bounds(
        (events, mut samples) in world(), a in 0.0..100.0f64, b in 0.0..100.0f64, reset in 2.0..100.0f64, rate in 0.0..50.0f64,
    ) {
        // It counts steadily up to the reset, and anyhow after it.
        let (a, b) = (a.min(b), a.max(b));
        samples.extend([0.5, 1.0]);
        samples.sort_by(f64::total_cmp);
        let truth = |t: f64| rate * t.min(reset) + if t > reset { count(&events, t) - count(&events, reset) } else { 0.0 };
        let mut fold = Fold::new(MetricKind::Counter, &[flowing(a), flowing(b)]);
        let mut before = true;
        for t in samples {
            let restarted = before && t > reset;
            before = t <= reset;
            fold.feed(t, truth(t) - if before { 0.0 } else { rate * reset }, restarted);
        }
        within(&fold.track(None), truth(b) - truth(a))?;
    }

    #[test]
    fn phases_add_up_and_resets_lose_nothing_that_was_sampled(
        (events, samples) in world(), a in 0.0..100.0f64, b in 0.0..100.0f64, reset in 0.0..100.0f64,
    ) {
        let (a, b) = (a.min(b), a.max(b));
        // The counter starts again right after the last sample before `reset`.
        let base = samples.iter().copied().filter(|t| *t <= reset).map(|t| count(&events, t)).fold(0.0, f64::max);
        let samples: Vec<(f64, f64)> = samples.iter()
            .map(|t| (*t, count(&events, *t) - if *t > reset { base } else { 0.0 })).collect();
        let delta = |from, to| value(&track(MetricKind::Counter, flowing(from), flowing(to), &samples)).unwrap();
        prop_assert!((delta(0.0, a) + delta(a, b) + delta(b, 100.0) - delta(0.0, 100.0)).abs() < 1e-9);
        // Seen by its falling, the sum is the truth; where it didn't fall, no sample could show it.
        let falls = samples.windows(2).any(|w| w[1].1 < w[0].1);
        if falls || base == 0.0 {
            prop_assert!((delta(0.0, 100.0) - count(&events, 100.0)).abs() < 1e-9);
        }
    }
}
