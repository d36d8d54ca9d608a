//! `load-exporter`: generates load from a traffic profile, measures as a client what users would see, exposes it to
//! Prometheus, and judges it beside the target's own counters.
//!
//! Modules stand in the order in which they may import each other; `ARCHITECTURE.md` has the map.

pub mod base;

pub mod expr;
pub mod load;
pub mod measure;
pub mod net;
pub mod stats;

pub mod counters;
pub mod protocol;

pub mod flow;
pub mod target;
pub mod verdict;

pub mod profile;

pub mod plan;

pub mod engine;

pub mod record;

pub mod exposition;
pub mod output;

pub mod run;

pub mod web;

pub mod daemon;

pub mod cli;
