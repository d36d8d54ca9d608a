//! That knowing less never turns an answer into its opposite.

use proptest::prelude::*;

use super::*;

/// One thing that happens in a phase.
#[derive(Debug, Clone, Copy)]
enum Happens {
    Good(u64),
    Failed,
    TimedOut(u64),
    CutOff(u64),
    Local,
    Delayed(u64, u64),
}

fn happening() -> impl Strategy<Value = Happens> {
    prop_oneof![
        4 => (1u64..3000).prop_map(Happens::Good),
        1 => Just(Happens::Failed),
        1 => (1u64..3000).prop_map(Happens::TimedOut),
        1 => (1u64..3000).prop_map(Happens::CutOff),
        1 => Just(Happens::Local),
        1 => (1u64..3000, 1u64..2000).prop_map(|(ms, delay)| Happens::Delayed(ms, delay.min(ms))),
    ]
}

const REQUIREMENTS: [&str; 16] = [
    "p50 < 500ms",
    "p95 < 500ms",
    "p95 > 500ms",
    "p90 <= 2s",
    "mean < 500ms",
    "max < 2s",
    "min > 100ms",
    "within(500ms) > 50%",
    "errors < 20%",
    "errors == 0%",
    "success > 50%",
    "timeouts < 10%",
    "errors(reset) < 10%",
    "status(200) > 50%",
    "rate > 1/s",
    "count(errors) < 3",
];

/// The time limit of each request: nothing lasts longer.
const LIMIT_MS: u64 = 3000;

fn play(happenings: &[Happens]) -> Recorder {
    let recorder = Recorder::new(LIMIT_MS as f64 / 1e3);
    for happens in happenings {
        match *happens {
            Happens::Good(ms) => recorder.request(ms, Outcome::Ok, None),
            Happens::Failed => recorder.request(5, Outcome::Error, Some(Reason::Reset)),
            Happens::TimedOut(ms) => recorder.request(ms, Outcome::Timeout, Some(Reason::Timeout)),
            Happens::CutOff(ms) => recorder.request(ms, Outcome::Interrupted, None),
            Happens::Local => recorder.request(1, Outcome::Error, Some(Reason::Local)),
            Happens::Delayed(ms, delay) => recorder.delayed(ms, delay, Outcome::Ok, None),
        }
        recorder.set.due(USERS, 1);
        recorder.set.started(USERS, 1);
        recorder.set.iteration(USERS, 10 * MS, Outcome::Ok);
    }
    recorder
}

/// The same, with less known of it.
fn less(happens: Happens, by: u64) -> Happens {
    match happens {
        Happens::Good(ms) => Happens::CutOff(by.min(ms)),
        Happens::CutOff(ms) => Happens::CutOff(by.min(ms)),
        Happens::Delayed(ms, delay) => Happens::Delayed(ms, (delay + by).min(ms)),
        Happens::Failed => Happens::Local,
        Happens::TimedOut(ms) => Happens::CutOff(by.min(ms)),
        Happens::Local => Happens::Local,
    }
}

/// What is known of both, where each has a value: neither says the opposite of the other.
fn unturned(clear: &Recorder, unclear: &Recorder, text: &str) -> Result<Option<(Known, Known)>, TestCaseError> {
    let requirement = Requirement::parse(text).unwrap();
    let of = |recorder: &Recorder| recorder.figures(&recorder.subject, &[]).known(&requirement, PACE);
    let (Some(clear), Some(unclear)) = (of(clear), of(unclear)) else { return Ok(None) };
    let turned = matches!((clear.met, unclear.met), (Some(a), Some(b)) if a != b);
    prop_assert!(!turned, "{text}: {clear:?}, then {unclear:?}");
    Ok(Some((clear, unclear)))
}

proptest! {
    /// An earlier interruption, a longer delay, an error whose cause isn't known: an answer may become unknown, and never the opposite.
    #[test]
    fn knowing_less_never_turns_an_answer_round(
        happenings in prop::collection::vec(happening(), 1..40),
        forgotten in prop::collection::vec((0usize..40, 0u64..3000), 0..10),
    ) {
        let mut unclear = happenings.clone();
        for (at, by) in forgotten {
            let at = at % unclear.len();
            unclear[at] = less(unclear[at], by);
        }
        let (clear, unclear) = (play(&happenings), play(&unclear));
        for text in REQUIREMENTS {
            let Some((clear, unclear)) = unturned(&clear, &unclear, text)? else { continue };
            prop_assert!(clear.met.is_some() || unclear.met.is_none(), "{text}: {clear:?}, then sure {unclear:?}");
        }
    }

    /// Whatever the unknown turns out to be, an answer that was given stands.
    #[test]
    fn an_answer_stands_whatever_the_unknown_turns_out_to_be(
        happenings in prop::collection::vec(happening(), 1..40),
        turns in prop::collection::vec((any::<bool>(), 0u64..5000), 40),
    ) {
        let known: Vec<Happens> = happenings
            .iter()
            .zip(turns)
            .map(|(happens, (good, more))| match *happens {
                // It would have been answered some time after it was cut off or given up, or failed; and not after its time limit.
                Happens::CutOff(ms) if good => Happens::Good((ms + more).min(LIMIT_MS)),
                Happens::CutOff(_) => Happens::Failed,
                Happens::Local if good => Happens::Good(more.clamp(1, LIMIT_MS)),
                Happens::Local => Happens::Failed,
                Happens::Delayed(ms, delay) => Happens::Good(ms - more.min(delay)),
                same => same,
            })
            .collect();
        let (before, after) = (play(&happenings), play(&known));
        // What times out stays as long as it was, so quantiles and means are asked where none does; errors without times move them.
        let timed = !known.iter().any(|happens| matches!(happens, Happens::TimedOut(_) | Happens::Failed));
        for text in REQUIREMENTS.iter().filter(|text| timed || !text.contains("ms") && !text.contains("2s")) {
            let requirement = Requirement::parse(text).unwrap();
            let of = |recorder: &Recorder| recorder.figures(&recorder.subject, &[]).known(&requirement, PACE);
            let (Some(before), Some(after)) = (of(&before), of(&after)) else { continue };
            if let Some(met) = before.met {
                prop_assert_eq!(after.met, Some(met), "{}: {:?}, then {:?}", text, before, after);
            }
        }
    }

    /// Arrivals that were dropped too, users that were gone longer: likewise.
    #[test]
    fn more_that_was_never_made_never_turns_an_answer_round(
        happenings in prop::collection::vec(happening(), 1..40),
        dropped in 0u64..100,
        absent_ms in 0u64..10_000,
    ) {
        let (clear, unclear) = (play(&happenings), play(&happenings));
        unclear.set.due(USERS, dropped);
        unclear.set.dropped(USERS, DropReason::Busy, dropped);
        clear.set.wanted(USERS, 10_001 * MS);
        unclear.set.wanted(USERS, 10_001 * MS);
        unclear.set.absent(USERS, absent_ms * MS, 0);
        for text in REQUIREMENTS {
            unturned(&clear, &unclear, text)?;
        }
    }

    /// A value that is less sure: likewise.
    #[test]
    fn wider_bounds_never_turn_an_answer_round(
        value in -100.0..100.0f64, least in 0.0..50.0f64, most in 0.0..50.0f64, wider in 0.0..50.0f64, objective in -100i32..100,
        sign in prop::sample::select(vec!["<", "<=", ">", ">=", "=="]),
    ) {
        let requirement = Requirement::parse(&format!("value {sign} {objective}")).unwrap();
        let known = |by: f64| Known::between(&requirement, value, value - least - by, value + most + by).met;
        let turned = matches!((known(0.0), known(wider)), (Some(a), Some(b)) if a != b);
        prop_assert!(!turned && (known(0.0).is_some() || known(wider).is_none()));
    }

    /// A window whose generator stood still longer, and of which it is known of what is under way for less long that it is: likewise. What
    /// isn't known yet to be longer than the objective counts at a later end.
    #[test]
    fn a_window_of_which_less_is_known_turns_no_answer_round(
        happenings in prop::collection::vec(happening(), 0..40),
        open in prop::collection::vec((0u64..4000, 0u64..4000), 1..20),
        stood_ms in 0u64..9000,
        longer_ms in 0u64..3000,
    ) {
        let window = |ages: &dyn Fn(&(u64, u64)) -> u64| {
            let recorder = play(&happenings);
            open.iter().for_each(|open| recorder.set.request_open(StepId(0), (10_000 - ages(open)) * MS, true));
            recorder.set.beats(10_000 * MS);
            recorder
        };
        let known = |recorder: &Recorder, text: &str, stood: u64| {
            let requirement = Requirement::parse(text).unwrap();
            let pace = Pace { stood: Some(stood as f64 / 1e3), ..PACE };
            recorder.so_far().so_far(&requirement).known(&requirement, pace)
        };
        let (clear, unclear) = (window(&|open| open.0), window(&|open| open.0.saturating_sub(open.1)));
        for text in REQUIREMENTS {
            let Some(now) = known(&clear, text, stood_ms) else { continue };
            if let Some(stood) = known(&clear, text, stood_ms + longer_ms) {
                prop_assert!(stood.met == now.met || stood.met.is_none() && now.met.is_some(), "{text}: {now:?}, then {stood:?}");
            }
            if let Some(less) = known(&unclear, text, stood_ms) {
                prop_assert!(now.met != Some(true) || less.met == Some(true) || text.contains('>'), "{text}: {now:?}, then {less:?}");
            }
        }
        // A breach stands, whatever becomes of what may yet end in time.
        let ended = window(&|open| open.0);
        for text in ["p50 < 500ms", "p95 < 500ms", "within(500ms) > 50%", "mean < 500ms"] {
            let Some(breach) = known(&clear, text, 0).filter(|known| known.met == Some(false)) else { continue };
            let young = open.iter().filter(|open| open.0 < 400).count() as u64;
            let later = Recorder { set: ended.set.clone(), store: ended.store.clone(), subject: ended.subject.clone() };
            open.iter().filter(|open| open.0 < 400).for_each(|open| later.set.request_open(StepId(0), (10_000 - open.0) * MS, false));
            later.good(young, 450);
            let after = known(&later, text, 0).unwrap();
            prop_assert_eq!(after.met, Some(false), "{}: {:?}, then {:?}", text, breach, after);
            break;
        }
    }

    /// A request of which there is no sample, since its arrival was dropped: likewise.
    #[test]
    fn a_missing_sample_never_turns_an_answer_round(happenings in prop::collection::vec(happening(), 2..40), missing in 1usize..20) {
        let missing = missing.min(happenings.len() - 1);
        let (clear, unclear) = (play(&happenings), play(&happenings[missing..]));
        unclear.set.due(USERS, missing as u64);
        unclear.set.dropped(USERS, DropReason::Busy, missing as u64);
        for text in REQUIREMENTS {
            let requirement = Requirement::parse(text).unwrap();
            let of = |recorder: &Recorder| recorder.figures(&recorder.subject, &[]).known(&requirement, PACE);
            let (Some(clear), Some(unclear)) = (of(&clear), of(&unclear)) else { continue };
            let turned = matches!((clear.met, unclear.met), (Some(a), Some(b)) if a != b);
            // An error that nobody saw is in no time, and so it was before: only with it all times are known.
            let errors = happenings[..missing].iter().any(|happens| matches!(happens, Happens::Failed));
            prop_assert!(!turned || errors, "{text}: {clear:?}, then {unclear:?}");
        }
    }
}
