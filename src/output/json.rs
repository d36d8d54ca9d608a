//! A run for programs: what `run.json` holds.

use crate::record::Run;

/// The content of `run.json`.
pub(super) fn text(run: &Run) -> String {
    // Records are plain numbers, texts and lists, which always serialize; were that to change, the reason is shown.
    let mut text = serde_json::to_string_pretty(run).unwrap_or_else(|error| format!("{{\"error\": \"{error}\"}}"));
    text.push('\n');
    text
}
