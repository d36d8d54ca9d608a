//! The profile, checked and resolved.
