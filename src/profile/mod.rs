//! The traffic profile as YAML, and its diagnostics.
