//! When the daemon runs the profile.

use std::time::Duration;

use super::resolver::Resolver;
use super::types::{Cron, Schedule};
use crate::base::names::nearest;
use crate::base::written::{Form, Node, Scalar};
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
            let pattern = pattern(resolver, cron);
            let zone = detail.timezone.as_ref().map_or(Some(chrono_tz::UTC), |zone| time_zone(resolver, zone));
            let cron_schedule = Cron { pattern: pattern?, zone: zone? };
            if cron_schedule.next(chrono::Utc::now()).is_none() {
                resolver.error(cron.at, format!("`{}` never comes", cron.source));
                return None;
            }
            Some(Schedule::Cron(Box::new(cron_schedule)))
        }
        (Some(every), Some(_)) => {
            resolver.error(every.at, "a schedule has either `every` or `cron`");
            None
        }
        (None, None) => {
            resolver.lacking(at, "a schedule is once, continuous, {every: 1h} or {cron: \"0 2 * * *\", timezone: Europe/Zurich}");
            None
        }
    }
}

fn pattern(resolver: &mut Resolver<'_>, cron: &Scalar) -> Option<croner::Cron> {
    match cron.source.parse() {
        Ok(pattern) => Some(pattern),
        Err(error) => {
            let text = &cron.source;
            let form = "write minute, hour, day, month and weekday, like \"0 2 * * *\"";
            resolver.error(cron.at, format!("`{text}` is not a cron expression ({error}); {form}"));
            None
        }
    }
}

fn time_zone(resolver: &mut Resolver<'_>, zone: &Scalar) -> Option<chrono_tz::Tz> {
    if let Ok(zone) = zone.source.parse() {
        return Some(zone);
    }
    let near = nearest(&zone.source, chrono_tz::TZ_VARIANTS.iter().map(|zone| zone.name()));
    let hint = near.map_or_else(|| "write one like Europe/Zurich".to_owned(), |near| format!("did you mean `{near}`?"));
    resolver.error(zone.at, format!("`{}` is not a time zone; {hint}", zone.source));
    None
}
