//! When the daemon runs a profile, as written.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::base::written::{At, Form, Of, Parsed, Scalar};

/// How a schedule is written.
pub type Schedule = Form<At<ScheduleWord>, At<ScheduleDetail>>;

/// A schedule in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ScheduleWord {
    /// One run.
    #[default]
    Once,
    /// Run after run.
    Continuous,
}

/// A schedule by time.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ScheduleDetail {
    /// From the start of one run to the next.
    pub every: Option<Of<Duration>>,
    /// Five fields: minute, hour, day of the month, month, day of the week.
    pub cron: Option<Scalar>,
    /// The time zone of `cron`. Default UTC.
    pub timezone: Option<Scalar>,
}

/// What becomes of a run that was cut short.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnRestart {
    /// It starts again.
    #[default]
    Restart,
    /// It is left, until the schedule's next.
    Skip,
}

impl Parsed for OnRestart {
    const NAME: &'static str = "OnRestart";
    const DESCRIPTION: &'static str = "What becomes of a run that was cut short: `restart` or `skip`.";
    const EXAMPLES: &'static [&'static str] = &["restart", "skip"];

    fn parse(text: &str) -> Result<Self, String> {
        match text {
            "restart" => Ok(Self::Restart),
            "skip" => Ok(Self::Skip),
            "resume" => Err("`on_restart: resume` is not supported yet; write restart or skip".into()),
            _ => Err(format!("`{text}` is not known here; write restart or skip")),
        }
    }
}
