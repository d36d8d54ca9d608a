//! What was done once for the whole run: set-up, verify, teardown.

use super::super::style::{Style, clean};
use super::super::table::{Align, Cell, Table, Tone};
use super::load;
use crate::base::figures::seconds;
use crate::record::{Hook, Run};

/// The hooks of a run that stand before its phases (`setup`), or those behind.
pub(super) fn hooks(out: &mut String, run: &Run, before: bool, style: Style) {
    for hook in run.hooks.iter().filter(|hook| (hook.name == "setup") == before) {
        one(out, hook, &run.reasons, style);
    }
}

fn one(out: &mut String, hook: &Hook, shown: &[String], style: Style) {
    let came = match (hook.ok, &hook.unsure) {
        (true, _) => Tone::Good.paint("OK", style),
        (false, Some(_)) => Tone::Unsure.paint("INCONCLUSIVE", style),
        (false, None) => Tone::Bad.paint("FAILED", style),
    };
    out.push_str(&format!("\n{}  {}  {came}\n", style.bold(&clean(&hook.name)), seconds(Some(hook.duration()))));
    // What stands at the top already isn't said again.
    let news = hook.error.iter().filter(|error| !shown.iter().any(|shown| shown.contains(error.as_str())));
    for error in news {
        out.push_str(&format!("  {}\n", Tone::Bad.paint(clean(error).trim_end(), style)));
    }
    let said = |what: &str| shown.iter().chain(&hook.error).any(|shown| shown.contains(what));
    let mut checks =
        Table::new(vec![("", Align::Left), ("check", Align::Left), ("", Align::Left), ("held", Align::Right), ("", Align::Left)]);
    for check in &hook.checks {
        let mark = match (check.failed, check.passed) {
            (0, 0) => Cell::mark(None),
            (failed, _) => Cell::mark(Some(failed == 0)),
        };
        checks.row(vec![
            mark,
            clean(&check.name).into(),
            check.step.as_deref().map(clean).unwrap_or_default().into(),
            held(check.passed, check.failed),
            // Of several that failed, those that nothing above says it of.
            check.detail.as_ref().filter(|detail| !said(detail)).map(|detail| clean(detail)).unwrap_or_default().into(),
        ]);
    }
    let mut steps = String::new();
    load::steps(&mut steps, &hook.steps, style);
    if !checks.is_empty() {
        out.push('\n');
        checks.render(out, 2, style);
    }
    if !steps.is_empty() {
        out.push('\n');
        out.push_str(&steps);
    }
}

fn held(passed: u64, failed: u64) -> Cell {
    use crate::base::figures::count;
    match (passed, failed) {
        (0, 0) => "not made".into(),
        (passed, 0) => count(passed).into(),
        (passed, failed) => Cell::toned(format!("{} of {}", count(passed), count(passed + failed)), Tone::Bad),
    }
}
