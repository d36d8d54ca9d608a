//! When the daemon runs the profile.

use std::time::Duration;

use super::resolver::Resolver;
use super::types::{Cron, Schedule};
use crate::base::written::{Form, Node};
use crate::profile::written::{ScheduleDetail, ScheduleWord};

/// The shortest time from run to run.
const SHORTEST: Duration = Duration::from_secs(1);

/// Resolves `schedule`; without it there is one run.
pub(super) fn schedule(resolver: &mut Resolver<'_>) -> Schedule {
    match &resolver.profile.written.schedule {
        None => Schedule::Once,
        Some(Form::Short(word)) => match word.value {
            ScheduleWord::Once => Schedule::Once,
            ScheduleWord::Continuous => Schedule::Continuous,
        },
        Some(Form::Long(detail)) => by_time(resolver, detail.at, &detail.value).unwrap_or(Schedule::Once),
    }
}

fn by_time(resolver: &mut Resolver<'_>, at: Node, detail: &ScheduleDetail) -> Option<Schedule> {
    if let (Some(zone), None) = (&detail.timezone, &detail.cron) {
        resolver.error(zone.at, "`timezone` goes with `cron`");
    }
    match (&detail.every, &detail.cron) {
        (Some(every), None) => {
            if every.value < SHORTEST {
                resolver.error(every.at, "runs are at least 1s apart; for run after run write schedule: continuous");
            }
            Some(Schedule::Every(every.value))
        }
        (None, Some(cron)) => {
            let pattern = match cron.source.parse::<croner::Cron>() {
                Ok(pattern) => pattern,
                Err(error) => {
                    resolver.error(
                        cron.at,
                        format!("`{}` is not a cron expression ({error}); write minute, hour, day, month and weekday, like \"0 2 * * *\"", cron.source),
                    );
                    return None;
                }
            };
            let zone = match &detail.timezone {
                None => chrono_tz::UTC,
                Some(zone) => match zone.source.parse() {
                    Ok(zone) => zone,
                    Err(_) => {
                        let known: Vec<&str> = chrono_tz::TZ_VARIANTS.iter().map(|zone| zone.name()).collect();
                        let near = crate::base::names::nearest(&zone.source, known.iter().copied());
                        let hint =
                            near.map_or_else(|| "write one like Europe/Zurich".into(), |near| format!("did you mean `{near}`?"));
                        resolver.error(zone.at, format!("`{}` is not a time zone; {hint}", zone.source));
                        return None;
                    }
                },
            };
            let cron_schedule = Cron { pattern, zone };
            if cron_schedule.next(chrono::Utc::now()).is_none() {
                resolver.error(cron.at, format!("`{}` never comes", cron.source));
                return None;
            }
            Some(Schedule::Cron(cron_schedule))
        }
        (Some(every), Some(_)) => {
            resolver.error(every.at, "a schedule has either `every` or `cron`");
            None
        }
        (None, None) => {
            resolver.error(at, "a schedule is once, continuous, {every: 1h} or {cron: \"0 2 * * *\", timezone: Europe/Zurich}");
            None
        }
    }
}
