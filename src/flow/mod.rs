//! Resolved steps and their interpreter.
