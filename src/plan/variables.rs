//! Which variables of the environment a profile reads, and which variables given by `--set` none reads.

use std::collections::BTreeSet;

use crate::base::names::nearest;
use crate::expr::EnvRead;

/// How many names a message lists where none is near.
const LISTED: usize = 12;

/// The variables of the environment that a profile reads, whether they are set or not.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Variables {
    /// Those that it names: `${KEY}`, `env.KEY`.
    pub names: BTreeSet<String>,
    /// Whether it may read any: `env[name]` with a name that only a virtual user knows.
    pub any: bool,
}

impl Variables {
    /// What `${…}` names, and what expressions read.
    pub(super) fn new(named: &BTreeSet<String>, read: &EnvRead) -> Self {
        Self { names: named | &read.names, any: read.any }
    }
}

/// What is wrong with `--set`: keys that none of the profiles reads, a line for each. Nothing if each is read.
pub fn unread<'a>(sets: &[(String, String)], profiles: impl IntoIterator<Item = &'a Variables>) -> Option<String> {
    let mut names = BTreeSet::new();
    for variables in profiles {
        if variables.any {
            return None;
        }
        names.extend(variables.names.iter().map(String::as_str));
    }
    let keys: BTreeSet<&str> = sets.iter().map(|(key, _)| key.as_str()).filter(|key| !names.contains(key)).collect();
    let lines: Vec<String> = keys.iter().map(|key| line(key, &names)).collect();
    (!lines.is_empty()).then(|| lines.join("\n"))
}

fn line(key: &str, names: &BTreeSet<&str>) -> String {
    // People write the same name with and without `_`, in capitals and without.
    let plain = |name: &str| name.replace('_', "").to_ascii_lowercase();
    let near = names.iter().copied().find(|name| plain(name) == plain(key)).or_else(|| nearest(key, names.iter().copied()));
    let hint = match near {
        Some(near) => format!("did you mean `{near}`?"),
        None if names.is_empty() => format!("no variable is read; write ${{{key}}} where the value belongs"),
        None => {
            let more = if names.len() > LISTED { ", …" } else { "" };
            let known: Vec<&str> = names.iter().copied().take(LISTED).collect();
            format!("these are read: {}{more}", known.join(", "))
        }
    };
    format!("--set {key}: no profile reads `${{{key}}}` or `env.{key}`; {hint}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::read_in_part;
    use crate::profile::Env;

    fn profile(names: &[&str], any: bool) -> Variables {
        Variables { names: names.iter().map(|name| (*name).to_owned()).collect(), any }
    }

    fn sets(keys: &[&str]) -> Vec<(String, String)> {
        keys.iter().map(|key| ((*key).to_owned(), "x".to_owned())).collect()
    }

    #[test]
    fn a_profile_that_is_wrong_is_known_to_read_what_it_names() {
        let path = std::env::temp_dir().join(format!("load-exporter-variables-{}.yml", std::process::id()));
        let of = |rest: &str, key: &str| {
            let text = format!("name: t\nscenarios: {{a: {{flow: [{{http: {{get: '${{BASE}}/'}}}}, {rest}]}}}}\nphases: []\n");
            std::fs::write(&path, text).unwrap();
            let sets = [sets(&["BASE"]), sets(&[key])].concat();
            unread(&sets, [&read_in_part(&path, &Env::default(), &sets)]).is_some()
        };
        assert!(of("{thinks: 1s}", "BAES") && of("{think: 1s}", "OTHER"));
        assert!(!of("{thinks: 1s}", "BASE"));
        assert!(!of("{thinks: 1s, if: env.OTHER == 1}", "OTHER"), "it may be read where the profile could not be");
        std::fs::write(&path, "[").unwrap();
        assert!(read_in_part(&path, &Env::default(), &[]).any, "what can't be parsed may read anything");
        std::fs::remove_file(&path).unwrap();
    }

    #[test]
    fn a_key_that_no_profile_reads_is_named_with_the_nearest() {
        let (a, b) = (profile(&["BASE_URL", "USERS"], false), profile(&["TOKEN"], false));
        let of = |keys: &[&str]| unread(&sets(keys), [&a, &b]);
        assert_eq!(of(&["USERS", "TOKEN"]), None);
        assert_eq!(of(&[]), None);
        assert_eq!(
            of(&["BASEURL"]).unwrap(),
            "--set BASEURL: no profile reads `${BASEURL}` or `env.BASEURL`; did you mean `BASE_URL`?"
        );
        assert!(of(&["users"]).unwrap().ends_with("did you mean `USERS`?"));
        assert!(of(&["TOKNE"]).unwrap().ends_with("did you mean `TOKEN`?"));
        assert!(of(&["COLOUR"]).unwrap().ends_with("these are read: BASE_URL, TOKEN, USERS"));
        assert_eq!(of(&["XX1", "USERS", "YY2"]).unwrap().lines().count(), 2);
        assert!(unread(&sets(&["X"]), [&profile(&[], false)]).unwrap().ends_with("write ${X} where the value belongs"));
        assert_eq!(unread(&sets(&["X"]), [&a, &profile(&[], true)]), None, "who knows which");
    }
}
