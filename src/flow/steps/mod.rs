//! The kinds of steps, a file each; the interpreter calls them.

pub(super) mod http;
pub(super) mod own;
pub(super) mod remember;
pub(super) mod session;
pub(super) mod set;
pub(super) mod think;
