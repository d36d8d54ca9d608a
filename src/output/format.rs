//! The formats of a stored run.

use super::{Style, summary};
use crate::record::Run;

/// A format of a stored run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// For a person: what the terminal shows at the end of a run.
    Text,
    /// For a program: the content of `run.json`.
    Json,
}

impl Format {
    /// Every format.
    pub const ALL: &'static [Format] = &[Self::Text, Self::Json];

    /// Its name on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Json => "json",
        }
    }

    /// The run in this format, ending in a newline, without colours.
    pub fn render(self, run: &Run) -> String {
        match self {
            Self::Text => summary::text(run, Style::plain()),
            Self::Json => super::json::text(run),
        }
    }
}

/// What every format promises.
#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Verdict;
    use crate::record::{Phase, sample};

    fn empty() -> Run {
        Run { phases: vec![], reasons: vec![], slos: vec![], verdict: Verdict::Inconclusive, ..sample::run() }
    }

    fn hostile() -> Run {
        let mut run = sample::run();
        let text = "\x1b[2J<script>\"'&\u{202e}\nü";
        run.reasons = vec![text.into()];
        let phase: &mut Phase = &mut run.phases[1];
        phase.steps[0].step = text.into();
        phase.steps[0].samples[0].body = text.repeat(10_000);
        phase.steps[0].response.p95 = Some(f64::NAN);
        phase.counters[0].before = Some(f64::INFINITY);
        phase.counters[0].labels.insert("path".into(), text.into());
        phase.slos[0].value = Some(f64::NEG_INFINITY);
        run
    }

    #[test]
    fn names_are_distinguished() {
        for format in Format::ALL {
            assert_eq!(Format::ALL.iter().filter(|other| other.name() == format.name()).count(), 1);
        }
    }

    #[test]
    fn every_format_names_the_verdict_each_phase_and_each_requirement() {
        let run = sample::run();
        for format in Format::ALL {
            let text = format.render(&run);
            let wanted = [run.profile.as_str(), run.run.as_str(), "fail", "warm-up", "steady", "p95 < 80ms", "p99 < 350ms"];
            for wanted in wanted {
                assert!(text.to_lowercase().contains(&wanted.to_lowercase()), "{}: {wanted}\n{text}", format.name());
            }
            assert_eq!(text, format.render(&run), "{}: the same twice", format.name());
        }
    }

    #[test]
    fn every_format_survives_an_empty_run_and_a_hostile_one() {
        for format in Format::ALL {
            for run in [empty(), hostile()] {
                let text = format.render(&run);
                assert!(text.ends_with('\n'), "{}", format.name());
                assert!(!text.contains('\x1b') && !text.contains('\r'), "{}: {text}", format.name());
                assert!(!text.lines().any(|line| line.ends_with(' ')), "{}: {text}", format.name());
            }
        }
    }
}
