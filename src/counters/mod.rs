//! The target's own series: sources, parsing, deltas, presets.
