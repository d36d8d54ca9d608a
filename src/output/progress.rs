//! Progress of a run while it goes on: a few lines that redraw themselves on a terminal, a line every few seconds elsewhere.
//!
//! It goes to standard error, so that standard output holds the summary alone. A window that is too narrow gets more
//! lines, not fewer figures.

use std::io::{self, Write};
use std::time::{Duration, SystemTime};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::style::{Style, clean};
use crate::base::Away;
use crate::base::figures::{NONE, count, rate, seconds};
use crate::measure::process::unix_time;
use crate::record::Progress;

/// How often a terminal redraws, a second: more than a person reads, less than costs anything.
const REDRAWS: u8 = 5;
/// How often a log gets a line.
const LINE_EVERY: Duration = Duration::from_secs(5);
/// How many characters the bar takes.
const BAR: usize = 20;

/// Progress as lines of text.
struct Shown<'a>(&'a Progress);

impl Shown<'_> {
    /// The figures, each of which stays on one line.
    fn fields(&self, style: Style) -> Vec<(String, usize)> {
        let mut fields = Vec::new();
        let mut field = |text: String, painted: Option<String>| {
            let width = text.chars().count();
            fields.push((painted.unwrap_or(text), width));
        };
        // Whole seconds: more can't be read while it changes.
        let time = |seconds_of: f64| match seconds_of as u64 {
            short @ 0..60 => format!("{short}s"),
            long => seconds(Some(long as f64)),
        };
        let name = clean(&self.0.phase);
        let painted = style.bold(&name);
        field(name, Some(painted));
        field(format!("{} of {}", time(self.0.phase_elapsed), time(self.0.phase_duration)), None);
        if self.0.rate_wanted > 0.0 {
            field(format!("rate {} of {}", rate(self.0.rate.map(rounded)), rate(Some(rounded(self.0.rate_wanted)))), None);
        } else {
            field(format!("rate {}", rate(self.0.rate.map(rounded))), None);
        }
        if self.0.users_wanted > 0 {
            field(format!("users {} of {}", count(self.0.users), count(self.0.users_wanted)), None);
        } else {
            field(format!("users {}", count(self.0.users)), None);
        }
        field(format!("requests {}", count(self.0.requests)), None);
        let errors = format!("errors {}", count(self.0.errors));
        let painted = (self.0.errors > 0).then(|| style.bad(&errors));
        field(errors, painted);
        field(format!("p95 {}", self.0.p95.map_or_else(|| NONE.to_owned(), |p95| seconds(Some(p95)))), None);
        field(
            match self.0.duration {
                Some(duration) => format!("run {} of {}", time(self.0.elapsed), time(duration)),
                None => format!("run {}", time(self.0.elapsed)),
            },
            None,
        );
        let now = unix_time(SystemTime::now());
        // That a scenario's target is away says no more than that its place is.
        let is_said = |away: &Away| self.0.away.iter().any(|place| place.action.is_none() && place.cause == away.cause);
        for away in self.0.away.iter().filter(|away| away.action.is_none() || !is_said(away)) {
            let since = time((now - away.since).max(0.0));
            let away = clean(&format!("{} is away since {since}: {}", away.what, away.cause));
            let painted = style.bad(&away);
            field(away, Some(painted));
        }
        if let Some(note) = &self.0.note {
            let note = clean(note);
            let painted = style.unsure(&note);
            field(note, Some(painted));
        }
        fields
    }

    /// One line for a log.
    fn line(&self) -> String {
        let fields: Vec<String> = self.fields(Style::plain()).into_iter().map(|(text, _)| text).collect();
        fields.join("  ")
    }

    /// Lines for a window of `width` characters: broken between figures, never within one that fits.
    fn lines(&self, width: usize, style: Style) -> String {
        let mut out = String::new();
        let mut used = 0;
        let share = self.0.phase_elapsed / self.0.phase_duration;
        if share.is_finite() && width > BAR {
            let full = ((share * BAR as f64) as usize).min(BAR);
            out.push_str(&style.good(&"━".repeat(full)));
            out.push_str(&style.dim(&"─".repeat(BAR - full)));
            used = BAR;
        }
        for (text, length) in self.fields(style) {
            if used > 0 && used + 2 + length > width {
                out.push('\n');
                used = 0;
            }
            if used > 0 {
                out.push_str("  ");
                used += 2;
            }
            out.push_str(&text);
            used += length;
        }
        out
    }
}

/// A rate to the digits that a person can read while it changes.
fn rounded(rate: f64) -> f64 {
    if rate >= 100.0 { rate.round() } else { (rate * 10.0).round() / 10.0 }
}

/// Shows progress: on a terminal or as lines.
#[derive(Debug)]
pub struct Reporter {
    sink: Sink,
}

enum Sink {
    Terminal { bar: ProgressBar, style: Style },
    Lines { out: Box<dyn Write + Send>, every: Duration, phase: Option<String>, last: f64 },
}

impl std::fmt::Debug for Sink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Terminal { .. } => "Terminal",
            Self::Lines { .. } => "Lines",
        })
    }
}

impl Reporter {
    /// To standard error: redrawn on a terminal that can (`TERM=dumb` can't), else a line every five seconds.
    pub fn stderr() -> Self {
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr_with_hz(REDRAWS));
        if bar.is_hidden() {
            return Self::lines(Box::new(io::stderr()), LINE_EVERY);
        }
        if let Ok(template) = ProgressStyle::with_template("{msg}") {
            bar.set_style(template);
        }
        Self { sink: Sink::Terminal { bar, style: Style::of(&io::stderr()) } }
    }

    /// Lines to `out`: one at each phase's start and then one `every` so often of the run's own time.
    pub fn lines(out: Box<dyn Write + Send>, every: Duration) -> Self {
        Self { sink: Sink::Lines { out, every, phase: None, last: 0.0 } }
    }

    /// Shows where the run stands. Call it as often as you like; a failure to write is no reason to end a run.
    pub fn update(&mut self, progress: &Progress) {
        match &mut self.sink {
            Sink::Terminal { bar, style } => {
                let width = usize::from(console::Term::stderr().size().1);
                bar.set_message(Shown(progress).lines(width, *style));
            }
            Sink::Lines { out, every, phase, last } => {
                let same = phase.as_ref().is_some_and(|phase| *phase == progress.phase);
                if !same || progress.elapsed >= *last + every.as_secs_f64() {
                    *phase = Some(progress.phase.clone());
                    *last = progress.elapsed;
                    let _ = writeln!(out, "{}", Shown(progress).line());
                }
            }
        }
    }

    /// Shows a line that stays, above the progress.
    pub fn say(&mut self, text: &str) {
        match &mut self.sink {
            Sink::Terminal { bar, .. } => bar.println(text),
            Sink::Lines { out, .. } => {
                let _ = writeln!(out, "{text}");
            }
        }
    }

    /// A writer for the log, whose lines stand above the progress and don't tear it.
    pub fn log_writer(&self) -> LogWriter {
        LogWriter {
            bar: match &self.sink {
                Sink::Terminal { bar, .. } => Some(bar.clone()),
                Sink::Lines { .. } => None,
            },
        }
    }

    /// Takes the progress off the terminal. What was said stays.
    pub fn finish(self) {
        match self.sink {
            Sink::Terminal { bar, .. } => bar.finish_and_clear(),
            Sink::Lines { mut out, .. } => {
                let _ = out.flush();
            }
        }
    }
}

/// Standard error, with the progress out of the way while something is written.
#[derive(Debug, Clone, Default)]
pub struct LogWriter {
    bar: Option<ProgressBar>,
}

impl Write for LogWriter {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        match &self.bar {
            Some(bar) => bar.suspend(|| io::stderr().write(text)),
            None => io::stderr().write(text),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    fn progress() -> Progress {
        Progress {
            phase: "steady".into(),
            phase_elapsed: 150.4,
            phase_duration: 600.0,
            elapsed: 180.0,
            duration: Some(690.0),
            rate_wanted: 20.0,
            rate: Some(19.96),
            users: 13,
            users_wanted: 50,
            requests: 12_345,
            errors: 3,
            p95: Some(0.031),
            away: Vec::new(),
            note: Some("waiting for a sample of redis".into()),
        }
    }

    #[derive(Clone, Default)]
    struct Shared(Arc<Mutex<Vec<u8>>>);

    impl Write for Shared {
        fn write(&mut self, text: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(text)
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_wide_window_has_a_line_and_a_narrow_one_has_more() {
        insta::assert_snapshot!(Shown(&progress()).lines(200, Style::plain()), @"━━━━━───────────────  steady  2m 30s of 10m 0s  rate 20/s of 20/s  users 13 of 50  requests 12,345  errors 3  p95 31.0ms  run 3m 0s of 11m 30s  waiting for a sample of redis");
        insta::assert_snapshot!(Shown(&progress()).lines(40, Style::plain()), @r"
        ━━━━━───────────────  steady
        2m 30s of 10m 0s  rate 20/s of 20/s
        users 13 of 50  requests 12,345
        errors 3  p95 31.0ms
        run 3m 0s of 11m 30s
        waiting for a sample of redis
        ");
    }

    #[test]
    fn no_window_is_too_narrow_for_a_figure() {
        let fields = Shown(&progress()).fields(Style::plain());
        for width in 0..200 {
            let text = Shown(&progress()).lines(width, Style::plain());
            for (field, length) in &fields {
                assert!(text.contains(field.as_str()), "{width}: {field}");
                assert!(width < *length || text.lines().all(|line| line.chars().count() <= width.max(29)), "{width}");
            }
        }
    }

    #[test]
    fn a_log_gets_a_line_at_a_phase_s_start_and_then_every_so_often() {
        let shared = Shared::default();
        let mut reporter = Reporter::lines(Box::new(shared.clone()), Duration::from_secs(5));
        for (phase, second) in [("a", 0), ("a", 1), ("a", 4), ("a", 5), ("a", 9), ("b", 9), ("b", 13), ("b", 14)] {
            let elapsed = f64::from(second);
            reporter.update(&Progress { phase: phase.into(), elapsed, duration: None, ..progress() });
        }
        reporter.say("the target is back");
        reporter.finish();
        let text = String::from_utf8(shared.0.lock().unwrap().clone()).unwrap();
        let runs: Vec<&str> = text.lines().filter_map(|line| line.split("  ").find(|field| field.starts_with("run "))).collect();
        assert_eq!(runs, ["run 0s", "run 5s", "run 9s", "run 14s"]);
        assert!(text.ends_with("the target is back\n") && !text.contains('\x1b'), "{text}");
    }

    #[test]
    fn what_is_away_is_said_with_its_cause() {
        let since = unix_time(SystemTime::now()) - 12.2;
        let away = |what: &str| Away { what: what.into(), since, cause: "connection refused".into(), ..Away::default() };
        let of_scenario = Away { action: Some("back_off".into()), ..away("the target of `a`") };
        let all = vec![away("http://127.0.0.1:8080"), of_scenario, away("the source `redis`")];
        let progress = Progress { away: all, ..progress() };
        let line = Shown(&progress).line();
        assert!(
            line.contains("  http://127.0.0.1:8080 is away since 12s: connection refused  the source `redis` is away"),
            "{line}"
        );
    }

    #[test]
    fn a_phase_without_a_length_has_no_bar() {
        let nothing = Progress { phase: "check".into(), ..Progress::default() };
        assert_eq!(Shown(&nothing).line(), "check  0s of 0s  rate –  users 0  requests 0  errors 0  p95 –  run 0s");
        assert!(!Shown(&nothing).lines(80, Style::plain()).contains('─'));
    }
}
