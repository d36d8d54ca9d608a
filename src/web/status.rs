//! The status page: what runs, how it stands, where to look further.

use std::fmt::Write;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, SystemTime};

use chrono::{DateTime, Local};

use crate::run::RunNow;

/// A profile's line on the status page.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ProfileStatus {
    /// The profile's name.
    pub profile: String,
    /// What it does: running, waiting, done, failed.
    pub state: String,
    /// The present phase, if it runs.
    pub phase: String,
    /// The last verdict.
    pub verdict: String,
    /// When the next run begins, if one is planned; Unix time in seconds.
    pub next: Option<f64>,
    /// Where the last run was stored.
    pub stored: String,
    /// What fault of the program ended its runs, until the next one has begun; empty mostly.
    pub fault: String,
    /// How the present run stands, or how the last one ended; nothing before the first.
    pub run: Option<Arc<RunNow>>,
}

/// What GET `/api/v1/status` answers.
#[derive(Debug, serde::Serialize)]
pub(super) struct Status<'a> {
    version: &'static str,
    ready: bool,
    profiles: Vec<OneStatus<'a>>,
}

/// One profile: what it does, and how its present run stands, or its last one ended.
#[derive(Debug, serde::Serialize)]
struct OneStatus<'a> {
    profile: &'a str,
    state: &'a str,
    next: Option<f64>,
    stored: Option<&'a str>,
    last_verdict: Option<&'a str>,
    fault: Option<&'a str>,
    #[serde(flatten)]
    run: &'a RunNow,
}

/// What there is of a profile that never ran: nothing was counted.
static NEVER: LazyLock<RunNow> = LazyLock::new(RunNow::default);

/// The profiles as GET `/api/v1/status` has them.
pub(super) fn status(profiles: &[ProfileStatus], ready: bool) -> Status<'_> {
    fn there(text: &str) -> Option<&str> {
        Some(text).filter(|text| !text.is_empty())
    }
    fn one(of: &ProfileStatus) -> OneStatus<'_> {
        OneStatus {
            profile: &of.profile,
            state: there(&of.state).unwrap_or("waiting"),
            next: of.next,
            stored: there(&of.stored),
            last_verdict: there(&of.verdict),
            fault: there(&of.fault),
            run: of.run.as_deref().unwrap_or(&NEVER),
        }
    }
    Status { version: env!("CARGO_PKG_VERSION"), ready, profiles: profiles.iter().map(one).collect() }
}

/// The page as HTML; needs nothing from elsewhere.
pub(super) fn page(profiles: &[ProfileStatus]) -> String {
    let mut rows = String::new();
    for profile in profiles {
        // Writing to a String doesn't fail.
        let _ = write!(
            rows,
            "<tr><td>{}</td><td>{}</td><td>{}</td><td class=\"{}\">{}</td><td>{}</td><td>{}</td></tr>",
            escape(&profile.profile),
            escape(&profile.state),
            escape(&profile.phase),
            escape(&profile.verdict),
            escape(&profile.verdict),
            profile.next.map(local).unwrap_or_default(),
            escape(&profile.stored),
        );
    }
    format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><meta http-equiv=\"refresh\" content=\"5\"><title>load-exporter</title>\
         <style>body{{font:15px/1.5 system-ui,sans-serif;margin:2rem;color-scheme:light dark}}table{{border-collapse:collapse}}\
         td,th{{padding:.3rem .9rem;text-align:left;border-bottom:1px solid #8884}}.pass{{color:#2a2}}.fail{{color:#d33}}\
         .inconclusive{{color:#c80}}</style><h1>load-exporter {}</h1>\
         <table><tr><th>profile<th>state<th>phase<th>last verdict<th>next run<th>last run stored</tr>{rows}</table>\
         <p><a href=\"/metrics\">/metrics</a> · <a href=\"/-/healthy\">/-/healthy</a> · <a href=\"/-/ready\">/-/ready</a></p></html>",
        env!("CARGO_PKG_VERSION"),
    )
}

/// A Unix time as clocks here show it.
fn local(at: f64) -> String {
    let at = SystemTime::UNIX_EPOCH + Duration::try_from_secs_f64(at).unwrap_or_default();
    DateTime::<Local>::from(at).format("%Y-%m-%d %H:%M:%S %z").to_string()
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_profile_that_never_ran_nothing_is_claimed() {
        let never = ProfileStatus { profile: "votes".into(), ..ProfileStatus::default() };
        let never = &serde_json::to_value(status(&[never], true)).unwrap()["profiles"][0];
        for key in ["run", "started", "verdict", "last_verdict", "next", "stored", "rate", "p95"] {
            assert!(never[key].is_null(), "{key}: {never}");
        }
        assert_eq!((&never["state"], &never["requests"], &never["slos"]), (&"waiting".into(), &0.into(), &serde_json::json!([])));
    }

    #[test]
    fn what_is_shown_is_escaped() {
        let status = ProfileStatus { profile: "votes".into(), phase: "<b>".into(), ..ProfileStatus::default() };
        let page = page(&[status]);
        assert!(page.contains("votes") && page.contains("&lt;b&gt;") && !page.contains("<b>"));
    }
}
