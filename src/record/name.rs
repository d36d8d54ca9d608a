//! The names of runs: when a run began, and the profile.

use std::time::SystemTime;

use chrono::{DateTime, NaiveDateTime, Utc};

/// The identifier of a run of `profile` that starts at `started`, where no other of the same second has it.
pub fn run_name(profile: &str, started: SystemTime) -> String {
    format!("{}-{profile}", stamp(started))
}

/// A time as names of runs have it.
pub(super) fn stamp(at: SystemTime) -> String {
    DateTime::<Utc>::from(at).format("%Y%m%dT%H%M%SZ").to_string()
}

/// Whether `name` is a run's: `20261120T144403Z-votes`. Nothing else under a storage path is ever touched.
pub(super) fn is_run_name(name: &str) -> bool {
    let Some((start, profile)) = name.split_once('-') else { return false };
    let bytes = start.as_bytes();
    bytes.len() == 16
        && bytes.iter().enumerate().all(|(i, byte)| match i {
            8 => *byte == b'T',
            15 => *byte == b'Z',
            _ => byte.is_ascii_digit(),
        })
        && crate::base::names::is_of_profile_letters(profile)
}

/// When a run began, by its name.
pub(super) fn started(run: &str) -> Option<SystemTime> {
    let (start, _) = run.split_once('-')?;
    let parsed = NaiveDateTime::parse_from_str(start, "%Y%m%dT%H%M%SZ").ok()?;
    Some(parsed.and_local_timezone(Utc).single()?.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_s_name() {
        assert!(is_run_name("20261120T144403Z-votes") && is_run_name("20261120T144403Z-live-votes-2"));
        for other in ["20261120T144403Z", "20261120T144403Z-", "votes", "20261120X144403Z-votes", "20261120T144403Z-Votes"] {
            assert!(!is_run_name(other), "{other}");
        }
    }
}
