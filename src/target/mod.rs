//! The built-in echo target.
