//! A service worth loading: it keeps its state in Redis and PostgreSQL and says what it did on `/metrics`.
//!
//! It stands for the services that people test: a catalogue read through a cache, sessions, votes that must be counted
//! once whatever the client repeats, invoices that are paid once. So a profile's checks, its verdict and the target's
//! counters have something true to agree with.
//!
//! | module | what it owns |
//! |---|---|
//! | `config` | the environment |
//! | `app` | the pools, shared by all handlers |
//! | `schema` | tables and seed rows |
//! | `cache` | reading through Redis |
//! | `metrics` | what `/metrics` shows |
//! | `files` | the directory of uploads |
//! | `faults` | slowness, freezes and errors on demand |
//! | `error` | what a client gets when something fails |
//! | `routes` | the handlers, a file each subject |

mod app;
mod cache;
mod config;
mod error;
mod faults;
mod files;
mod metrics;
mod routes;
mod schema;

pub use app::{App, StartError};
pub use config::{Config, ConfigError, Freeze};
pub use routes::router;
