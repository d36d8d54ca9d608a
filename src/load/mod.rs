//! When work is due: levels of users and arrivals as pure functions of time. No clock, no tokio.
