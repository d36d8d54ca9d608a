//! Values of several sources: nothing that one says hides what another says or can't say.

use super::*;
use crate::counters::amount::Amount;
use crate::counters::increase::{At, Cut, Fold, Track};
use crate::counters::observe::{Observe, Ratio, Wanted};
use crate::counters::presets;

fn wants() -> Wants {
    let preset = presets::find("redis").unwrap();
    let hits = "redis_keyspace_hits_total";
    let ratio =
        Ratio { name: "own".into(), of: hits.into(), to: vec!["redis_keyspace_misses_total".into()], matchers: Vec::new() };
    let counters = vec![Wanted::Preset { preset, matchers: Vec::new() }];
    Wants::new(&Observe { counters, ratios: vec![ratio], ..Observe::default() })
}

fn cut() -> Cut {
    let mut fold = Fold::new(Kind::Counter, &[]);
    fold.feed_edge(At::sample(1.0), 1.0, 1.0, false).unwrap()
}

fn track(delta: f64) -> Track {
    let delta = Ok(Amount::exact(delta));
    Track { before: Some(1.0), after: Some(2.0), delta, resets: 0, born: None, around: [0.0, 0.0, 1.0, 1.0] }
}

/// A source that has hits and misses of these instances.
fn part(name: &str, direct: Option<&str>, systems: &[(&str, f64, f64)]) -> Part {
    let wants = wants();
    let (mut found, mut points) = (Vec::new(), Vec::new());
    for (instance, hits, misses) in systems {
        for (metric, delta) in [("redis_keyspace_hits_total", hits), ("redis_keyspace_misses_total", misses)] {
            let labels: Labels =
                if direct.is_some() { Vec::new() } else { vec![("instance".to_owned(), (*instance).to_owned())] };
            let (item, _) = wants.find(metric, &labels).next().unwrap();
            let (metric, track) = (metric.to_owned(), track(*delta));
            points.push(Point {
                metric: metric.clone(),
                labels: labels.clone(),
                items: vec![item],
                kind: Kind::Counter,
                cut: cut(),
                levels: None,
            });
            found.push(Found { item, metric, labels, kind: Kind::Counter, track, levels: None, samples: 2 });
        }
    }
    let reading = SourceReading { name: name.into(), points, ..SourceReading::default() };
    let between = Ok(Between { found, ..Between::default() });
    Part { name: name.into(), direct: direct.map(str::to_owned), between, readings: [reading.clone(), reading] }
}

/// The same, but it could not be read at the edges of which this is true.
fn failing(part: Part, at: [bool; 2]) -> Part {
    let error = SourceError::Unreachable("nobody is there".into());
    let mut readings = part.readings;
    for (reading, _) in readings.iter_mut().zip(at).filter(|(_, fails)| *fails) {
        *reading = SourceReading { error: Some(error.clone()), ..SourceReading::default() };
    }
    Part { between: Err(error), readings, ..part }
}

fn ratio(name: &str, parts: Vec<Part>) -> Result<Vec<(String, f64)>, String> {
    let observed = assemble(&wants(), parts, 10.0, 0, 1);
    let series = observed.values.series(name).map_err(str::to_owned)?;
    let labels = |series: &ValueSeries| series.labels.iter().map(|(_, value)| value.as_str()).collect::<Vec<_>>().join(" ");
    Ok(series.iter().map(|series| (labels(series), series.value)).collect())
}

#[test]
fn every_system_that_any_source_knows_has_a_value() {
    let stored = part("prometheus", None, &[("good:1", 90.0, 10.0), ("bad:1", 10.0, 90.0)]);
    let read = part("redis-good", Some("127.0.0.1:9121"), &[("", 90.0, 10.0)]);
    let expected = [("bad:1", 0.1), ("good:1", 0.9), ("redis-good", 0.9)].map(|(name, value)| (name.to_owned(), value));
    assert_eq!(ratio("redis.hit_ratio", vec![stored, read]), Ok(expected.to_vec()));
    let parts = vec![part("a", Some("a:1"), &[("", 90.0, 10.0)]), part("b", Some("b:1"), &[("", 10.0, 90.0)])];
    let expected = [("a", 0.9), ("b", 0.1)].map(|(name, value)| (name.to_owned(), value));
    assert_eq!(ratio("redis.hit_ratio", parts), Ok(expected.to_vec()));
}

#[test]
fn what_is_read_directly_is_not_judged_once_more_by_a_prometheus_that_scrapes_it() {
    let stored = || part("prometheus", None, &[("127.0.0.1:9121", 80.0, 20.0)]);
    let read = || part("redis", Some("127.0.0.1:9121"), &[("", 90.0, 10.0)]);
    for name in ["redis.hit_ratio", "own"] {
        let values = ratio(name, vec![stored(), read()]).unwrap();
        assert_eq!((values.len(), values[0].0.as_str()), (1, ""), "{name}");
    }
    // It is, where the exporter can't be read: but other systems of it may be hidden.
    assert!(ratio("redis.hit_ratio", vec![stored(), failing(read(), [true, true])]).is_err());
}

#[test]
fn a_source_that_cannot_be_read_leaves_no_sure_value() {
    let good = || part("redis-b", Some("b:1"), &[("", 90.0, 10.0)]);
    for at in [[true, true], [true, false], [false, true], [false, false]] {
        for first in [true, false] {
            let away = failing(part("redis-a", Some("a:1"), &[("", 1.0, 1.0)]), at);
            let parts = if first { vec![away, good()] } else { vec![good(), away] };
            let error = ratio("redis.hit_ratio", parts).unwrap_err();
            assert!(error.starts_with("redis-a can't be read: nobody"), "{error}");
        }
    }
    // One that is known to have nothing of it doesn't matter.
    let other = failing(part("node", Some("n:1"), &[]), [false, true]);
    assert_eq!(ratio("redis.hit_ratio", vec![other, good()]).unwrap().len(), 1);
}

#[test]
fn a_source_with_too_many_series_of_a_part_leaves_no_sure_value() {
    let mut many = part("prometheus", None, &[]);
    many.between.as_mut().unwrap().left_out.push(("redis_keyspace_hits_total".into(), 5_000));
    let error = ratio("redis.hit_ratio", vec![many, part("redis-b", Some("b:1"), &[("", 90.0, 10.0)])]).unwrap_err();
    assert!(error.contains("prometheus has 5000 series"), "{error}");
}

#[test]
fn where_nothing_did_anything_there_is_no_ratio() {
    let parts = vec![part("prometheus", None, &[("a:1", 0.0, 0.0), ("b:1", 0.0, 0.0)])];
    assert!(ratio("redis.hit_ratio", parts).unwrap_err().contains("nothing was counted"));
}

#[test]
fn a_row_says_what_a_restart_means_for_it() {
    let mut part = part("prometheus", None, &[("a:1", 9.0, 1.0)]);
    part.between.as_mut().unwrap().found[0].track =
        Track { resets: 2, delta: Ok(Amount::new(9.0, 9.0, [0.0, 0.0, 0.0, 4.0])), ..track(9.0) };
    let observed = assemble(&wants(), vec![part], 10.0, 0, 1);
    let row = observed.rows.iter().find(|row| row.resets > 0).unwrap();
    assert_eq!((row.delta, row.uncertainty), (Some(9.0), Some(4.0)));
    assert_eq!(row.note.as_deref(), Some("started again 2 times; ± covers what was lost"));
}
