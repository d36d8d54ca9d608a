//! Schedules, reload, several profiles.
