//! What a person reads at a glance: the verdict and its reasons first, then each phase, then the generator itself.
//!
//! The terminal shows it with colours, `summary.txt` is the same without them.

mod hooks;
mod load;
mod sessions;
mod target;
mod transfers;

use chrono::{DateTime, Utc};

use super::style::{Style, clean};
use super::table::{Align, Cell, Table, Tone};
use crate::base::Verdict;
use crate::base::figures::{self, bytes, count, ratio, seconds};
use crate::record::{Generator, Phase, Run, SloResult};

/// How many targets and sources are shown that were away.
const AWAY_SHOWN: usize = 10;

/// The summary of `run`.
pub fn text(run: &Run, style: Style) -> String {
    let mut out = String::new();
    head(&mut out, run, style);
    hooks::hooks(&mut out, run, true, style);
    let repeated = run.phases.iter().any(|phase| phase.repeat > 0);
    for phase in &run.phases {
        one_phase(&mut out, phase, &run.reasons, repeated, style);
    }
    if !run.slos.is_empty() {
        out.push_str(&format!("\n{}\n\n", style.bold("over the whole run")));
        slos(&mut out, &run.slos, &run.reasons, style);
    }
    hooks::hooks(&mut out, run, false, style);
    target::notes(&mut out, &run.phases, style);
    generator(&mut out, &run.generator, style);
    out
}

/// The word of a verdict in its colour.
fn verdict(verdict: Verdict, style: Style) -> String {
    tone(verdict).paint(&verdict.label().to_uppercase(), style)
}

fn tone(verdict: Verdict) -> Tone {
    match verdict {
        Verdict::None => Tone::Plain,
        Verdict::Pass => Tone::Good,
        Verdict::Fail => Tone::Bad,
        Verdict::Inconclusive => Tone::Unsure,
    }
}

/// The mark of a requirement; a target never fails.
fn mark_of(slo: &SloResult) -> Cell {
    match slo.met {
        Some(false) if slo.target => Cell::toned("✗", Tone::Unsure),
        None if slo.verdict == Verdict::None => Cell::toned(figures::NONE, Tone::Plain),
        met => Cell::mark(met),
    }
}

fn head(out: &mut String, run: &Run, style: Style) {
    let started = DateTime::<Utc>::from_timestamp(run.started as i64, 0)
        .map_or_else(|| figures::NONE.to_owned(), |time| time.format("%Y-%m-%d %H:%M:%S UTC").to_string());
    out.push_str(&format!(
        "{}  {}  {}, {}  {}\n",
        if run.verdict == Verdict::None { failed(run, style) } else { verdict(run.verdict, style) },
        style.bold(&clean(&run.profile)),
        started,
        seconds(Some(run.duration())),
        style.dim(&clean(&run.run)),
    ));
    if let Some(stopped) = &run.stopped {
        out.push_str(&format!("  {}\n", clean(stopped).trim_end()));
    }
    if run.verdict == Verdict::None {
        out.push_str(&format!("  {}\n", style.dim("no verdict: nothing was required of it")));
    }
    for reason in run.reasons.iter().filter(|reason| run.stopped.as_ref() != Some(*reason)) {
        out.push_str(&format!("  {}\n", tone(run.verdict).paint(clean(reason).trim_end(), style)));
    }
    for away in run.away.iter().take(AWAY_SHOWN) {
        let until =
            away.until.map_or_else(|| "to the end".to_owned(), |until| format!("for {}", seconds(Some(until - away.since))));
        out.push_str(&format!("  {} was away {until}: {}\n", clean(&away.what), clean(&away.cause).trim_end()));
    }
    if let Some(more @ 1..) = run.away.len().checked_sub(AWAY_SHOWN) {
        out.push_str(&format!("  {} more of that are in run.json\n", count(more as u64)));
    }
    for gap in &run.gaps {
        out.push_str(&format!("  nothing is known of {}, while the program was not running\n", seconds(Some(gap.to - gap.from))));
    }
}

/// What leads where nothing was required: the share of requests that failed.
fn failed(run: &Run, style: Style) -> String {
    let steps = || run.phases.iter().flat_map(|phase| &phase.steps);
    let requests: u64 = steps().map(|step| step.requests).sum();
    let failed: u64 = steps().flat_map(|step| step.errors.values()).sum();
    if requests == 0 {
        return Tone::Unsure.paint("no requests", style);
    }
    let tone = if failed > 0 { Tone::Bad } else { Tone::Plain };
    tone.paint(
        &format!("{} of {} requests failed ({})", count(failed), count(requests), ratio(failed as f64 / requests as f64)),
        style,
    )
}

fn one_phase(out: &mut String, phase: &Phase, shown: &[String], repeated: bool, style: Style) {
    let repeat = if repeated { format!(" (repeat {})", phase.repeat + 1) } else { String::new() };
    let judged = match (phase.judged, phase.verdict) {
        (false, _) => style.dim("not judged"),
        (true, Verdict::None) => style.dim("nothing required"),
        (true, of) => verdict(of, style),
    };
    let name = style.bold(&format!("{}{repeat}", clean(&phase.name)));
    out.push_str(&format!("\n{name}  {}  {judged}\n", seconds(Some(phase.duration()))));
    // What stands at the top already isn't said again.
    let news = phase.reasons.iter().filter(|reason| !shown.contains(&format!("{}: {reason}", phase.name)));
    for reason in news {
        let tone = if phase.judged { tone(phase.verdict) } else { Tone::Plain };
        out.push_str(&format!("  {}\n", tone.paint(clean(reason).trim_end(), style)));
    }
    let blocks: [&dyn Fn(&mut String); 11] = [
        &|out| slos(out, &phase.slos, &phase.reasons, style),
        &|out| load::scenarios(out, phase, style),
        &|out| load::steps(out, &phase.steps, style),
        &|out| load::groups(out, phase, style),
        &|out| sessions::sessions(out, phase, style),
        &|out| sessions::messages(out, phase, style),
        &|out| transfers::transfers(out, phase, style),
        &|out| load::checks(out, phase, style),
        &|out| load::metrics(out, phase, style),
        &|out| target::made(out, phase, style),
        &|out| target::counters(out, phase, style),
    ];
    for block in blocks {
        let mut text = String::new();
        block(&mut text);
        if !text.is_empty() {
            out.push('\n');
            out.push_str(&text);
        }
    }
}

/// The requirements, targets behind them. What was `shown` above already isn't said again.
fn slos(out: &mut String, slos: &[SloResult], shown: &[String], style: Style) {
    let mut table = Table::new(vec![
        ("", Align::Left),
        ("SLO", Align::Left),
        ("requirement", Align::Left),
        ("value", Align::Right),
        ("objective", Align::Right),
        ("", Align::Left),
    ]);
    let (targets, requirements): (Vec<&SloResult>, Vec<&SloResult>) = slos.iter().partition(|slo| slo.target);
    for slo in requirements.into_iter().chain(targets) {
        let reason = slo.reason.as_ref().filter(|reason| !shown.iter().any(|shown| shown.contains(reason.as_str())));
        let note = match (slo.target, reason) {
            (false, None) => String::new(),
            (false, Some(reason)) => clean(reason),
            (true, None) => "a target".to_owned(),
            (true, Some(reason)) => format!("a target; {}", clean(reason)),
        };
        table.row(vec![
            mark_of(slo),
            clean(&slo.name).into(),
            clean(&slo.requirement).into(),
            slo.unit.show_if_any(slo.value).into(),
            slo.unit.show(slo.objective).into(),
            note.trim_end().into(),
        ]);
    }
    if !table.is_empty() {
        table.render(out, 2, style);
    }
}

fn generator(out: &mut String, generator: &Generator, style: Style) {
    let mut parts = vec![format!("{} workers on {} processors", count(generator.workers), count(generator.processors))];
    if let Some(cpu) = generator.cpu_ratio {
        parts.push(format!("CPU {}", ratio(cpu)));
    }
    if let Some(memory) = generator.memory_bytes {
        parts.push(format!("memory {}", bytes(memory as f64)));
    }
    parts.push(if generator.saturated {
        Tone::Unsure.paint("saturated: it was the bottleneck in some phase", style)
    } else {
        "not saturated".to_owned()
    });
    out.push_str(&format!("\n{}  {}\n", style.bold("generator"), parts.join(", ")));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::sample;

    #[test]
    fn a_failed_run() {
        insta::assert_snapshot!("failed", text(&sample::run(), Style::plain()));
    }

    #[test]
    fn an_inconclusive_run_says_why() {
        let mut run = sample::run();
        run.verdict = Verdict::Inconclusive;
        run.reasons = vec!["the generator was the bottleneck: 40% of the arrivals started late".into()];
        run.stopped = Some("The run was stopped before its end.".into());
        run.gaps = vec![crate::record::Gap { from: 10.0, to: 75.0 }];
        run.generator.saturated = true;
        run.reasons.push("The run was stopped before its end.".into());
        run.phases.truncate(1);
        run.phases[0].judged = true;
        run.phases[0].verdict = Verdict::Inconclusive;
        run.phases[0].reasons = vec!["The generator was short of CPU.".into()];
        let mut slo = run.slos.remove(0);
        (slo.met, slo.verdict) = (None, Verdict::Inconclusive);
        slo.reason = Some("The generator was short of CPU.".into());
        run.phases[0].slos = vec![slo];
        insta::assert_snapshot!("inconclusive", text(&run, Style::plain()));
    }

    #[test]
    fn colours_change_nothing_but_colours() {
        let coloured = text(&sample::run(), Style::coloured());
        let stripped = regex::Regex::new("\x1b\\[[0-9;]*m").unwrap().replace_all(&coloured, "").into_owned();
        assert_eq!(stripped, text(&sample::run(), Style::plain()));
        assert!(coloured.starts_with("\x1b[31mFAIL\x1b[0m"));
    }
}
