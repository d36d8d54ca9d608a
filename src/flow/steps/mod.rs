//! The kinds of steps, a file each; the interpreter calls them.

pub(super) mod choose;
pub(super) mod eventually;
pub(super) mod group;
pub(super) mod http;
pub(super) mod own;
mod parallel;
pub(super) mod remember;
pub(super) mod repeat;
pub(super) mod session;
pub(super) mod set;
pub(super) mod think;
mod turns;
