//! `${VAR}`: values of the environment, put into scalars once, when the profile is loaded.
//!
//! Only `${` and `$$` are special. What comes in can change neither the structure nor become a template: its braces are
//! escaped where the scalar is one.

use std::collections::BTreeMap;

use super::tree::Substituted;
use crate::base::names;
use crate::base::secrets::Naming;

/// How many `${…}` may stand in one another.
const MAX_NESTED: usize = 32;

/// The environment that a profile sees.
#[derive(Clone, Default)]
pub struct Env {
    values: BTreeMap<String, String>,
}

impl std::fmt::Debug for Env {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.values.keys()).finish()
    }
}

impl Env {
    /// The environment of this process; what isn't Unicode is left out.
    pub fn process() -> Self {
        let text = |value: std::ffi::OsString| value.into_string().ok();
        Self { values: std::env::vars_os().filter_map(|(key, value)| Some((text(key)?, text(value)?))).collect() }
    }

    /// The same, with values of the command line over it.
    #[must_use]
    pub fn with(mut self, sets: &[(String, String)]) -> Self {
        self.values.extend(sets.iter().cloned());
        self
    }

    /// The value of a variable.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(String::as_str)
    }

    /// All variables by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.values.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// The values of variables that are named like secrets.
    pub fn secrets(&self) -> impl Iterator<Item = String> + '_ {
        self.values.iter().filter(|(name, value)| Naming::of(name).hides(value)).map(|(_, value)| value.clone())
    }
}

impl<K: Into<String>, V: Into<String>> FromIterator<(K, V)> for Env {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(iter: I) -> Self {
        Self { values: iter.into_iter().map(|(key, value)| (key.into(), value.into())).collect() }
    }
}

/// A scalar after substitution.
pub(super) struct Outcome {
    pub text: String,
    pub original: Substituted,
    /// Defaults of variables that are named like secrets.
    pub secrets: Vec<String>,
    /// Whether a secret is in it.
    pub secret: bool,
}

/// Why a scalar could not be substituted: the bytes of its text, and the message.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Mistake {
    pub range: std::ops::Range<usize>,
    pub message: String,
}

/// Substitutes in one scalar; nothing if there is nothing to do.
pub(super) fn substitute(text: &str, env: &Env) -> Result<Option<Outcome>, Mistake> {
    if !text.contains("${") && !text.contains("$$") {
        return Ok(None);
    }
    let mut out = Outcome {
        text: String::new(),
        original: Substituted { text: text.to_owned(), ..Substituted::default() },
        secrets: Vec::new(),
        secret: false,
    };
    if deepest(text) > MAX_NESTED {
        let message = format!("`${{…}}` stand in one another {MAX_NESTED} times at most");
        return Err(Mistake { range: 0..text.len(), message });
    }
    expand(text, 0, env, true, &mut out)?;
    Ok(Some(out))
}

/// How many `${…}` stand in one another, or a little more.
fn deepest(text: &str) -> usize {
    let (mut depth, mut deepest, mut last) = (0_usize, 0, 0);
    for byte in text.bytes() {
        match byte {
            b'{' if last == b'$' => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        last = byte;
    }
    deepest
}

/// The variables that a scalar names in `${…}`, those of defaults that aren't needed included.
pub(super) fn variables(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        while let Some(at) = rest.find('$') {
            let after = &rest[at + 1..];
            if let Some(inner) = after.strip_prefix('{') {
                rest = inner;
                let end = inner.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(inner.len());
                return Some(&inner[..end]);
            }
            rest = after.strip_prefix('$').unwrap_or(after);
        }
        None
    })
}

/// Expands `text`, which starts at `base` of the scalar. `written`: its own characters are the profile's, not a default.
fn expand(text: &str, base: usize, env: &Env, written: bool, out: &mut Outcome) -> Result<(), Mistake> {
    let mut rest = 0;
    while let Some(at) = text[rest..].find('$').map(|at| at + rest) {
        keep(&text[rest..at], base + rest, written, out);
        let after = &text[at + 1..];
        if after.starts_with('$') {
            keep("$", base + at, written, out);
            rest = at + 2;
        } else if after.starts_with('{') {
            let end = closing(&text[at + 2..])
                .ok_or_else(|| Mistake { range: base + at..base + text.len(), message: "this `${` has no `}`".into() })?;
            variable(&text[at + 2..at + 2 + end], base + at + 2, env, out)?;
            rest = at + 3 + end;
        } else {
            keep("$", base + at, written, out);
            rest = at + 1;
        }
    }
    keep(&text[rest..], base + rest, written, out);
    Ok(())
}

/// The brace that closes what has been opened, nested substitutions skipped.
fn closing(text: &str) -> Option<usize> {
    let mut depth = 0;
    let bytes = text.as_bytes();
    for (at, byte) in bytes.iter().enumerate() {
        match byte {
            b'{' if at > 0 && bytes[at - 1] == b'$' => depth += 1,
            b'}' if depth == 0 => return Some(at),
            b'}' => depth -= 1,
            _ => {}
        }
    }
    None
}

fn variable(inner: &str, base: usize, env: &Env, out: &mut Outcome) -> Result<(), Mistake> {
    let name_end = inner.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(inner.len());
    let (name, form) = inner.split_at(name_end);
    let whole = base - 2..base + inner.len() + 1;
    if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) {
        return Err(Mistake {
            range: whole,
            message: format!("`${{{inner}}}` names no variable; write ${{NAME}}, or $$ for a dollar"),
        });
    }
    let value = env.get(name);
    let filled = value.filter(|value| !value.is_empty());
    // A default may be a secret as well; of several it is one by its text.
    let naming = Naming::of(name);
    out.secret |= filled.map_or(naming != Naming::Open, |value| naming.hides(value));
    let default_at = base + name_end + 2;
    match form.get(..2) {
        _ if form.is_empty() => match value {
            Some(value) => insert(value, out),
            None => {
                let message = names::unset(name, env.iter().map(|(name, _)| name));
                return Err(Mistake { range: whole, message });
            }
        },
        Some(":-") => match filled {
            Some(value) => insert(value, out),
            None => {
                let before = out.text.len();
                expand(&form[2..], default_at, env, false, out)?;
                if naming.hides(&out.text[before..]) {
                    out.secrets.push(out.text[before..].to_owned());
                }
            }
        },
        Some(":+") => {
            if filled.is_some() {
                expand(&form[2..], default_at, env, false, out)?;
            }
        }
        Some(":?") => match filled {
            Some(value) => insert(value, out),
            None => {
                let message = form[2..].trim();
                let message = if message.is_empty() { "it is needed" } else { message };
                return Err(Mistake { range: whole, message: format!("the variable {name} is not set: {message}") });
            }
        },
        _ => {
            return Err(Mistake {
                range: whole,
                message: format!(
                    "`${{{inner}}}` is not a substitution; write ${{{name}}}, ${{{name}:-default}}, ${{{name}:+text}} or ${{{name}:?message}}"
                ),
            });
        }
    }
    Ok(())
}

fn keep(part: &str, at: usize, written: bool, out: &mut Outcome) {
    if part.is_empty() {
        return;
    }
    if !written {
        return insert(part, out);
    }
    out.original.kept.push((out.original.template.len(), at, part.len()));
    out.original.template.push_str(part);
    out.text.push_str(part);
}

/// Puts a value in. In a template its braces become expressions that give a brace, so that it can open nothing.
fn insert(value: &str, out: &mut Outcome) {
    out.text.push_str(value);
    for c in value.chars() {
        match c {
            '{' => out.original.template.push_str("{{ '{' }}"),
            c => out.original.template.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env() -> Env {
        Env::from_iter([("HOST", "example.com"), ("EMPTY", ""), ("EVIL", "{{ 1 + 1 }}"), ("API_KEY", "k-123")])
    }

    fn text(written: &str) -> String {
        substitute(written, &env()).unwrap().map_or_else(|| written.to_owned(), |out| out.text)
    }

    #[test]
    fn every_form() {
        assert_eq!(text("http://${HOST}/x"), "http://example.com/x");
        assert_eq!(text("${NONE:-a b}"), "a b");
        assert_eq!(text("${EMPTY:-a}|${EMPTY}|${HOST:-a}"), "a||example.com");
        assert_eq!(text("${HOST:+set}${NONE:+unset}"), "set");
        assert_eq!(text("${NONE:-${HOST}:${PORT:-80}}"), "example.com:80");
        assert_eq!(text("$.id costs $$5, $$${HOST}, (\\w+)$"), "$.id costs $5, $example.com, (\\w+)$");
        assert_eq!(text("nothing"), "nothing");
    }

    #[test]
    fn names_of_variables_are_found_in_every_form() {
        let of = |text| variables(text).collect::<Vec<_>>();
        assert_eq!(of("http://${HOST}:${PORT:-80}/$$x/$${NO}/$.id"), ["HOST", "PORT"]);
        assert_eq!(of("${A:-${B:+${C}}} ${D:?say} $$${E}"), ["A", "B", "C", "D", "E"]);
        assert!(of("nothing, 5$, {{ env.X }}").is_empty());
    }

    #[test]
    fn mistakes_say_where_and_what_would_be_right() {
        let mistake = |written: &str| match substitute(written, &env()) {
            Err(mistake) => (written[mistake.range].to_owned(), mistake.message),
            Ok(_) => panic!("{written} was taken"),
        };
        assert_eq!(mistake("x ${NONE} y").0, "${NONE}");
        assert!(mistake("${NONE}").1.contains("${NONE:-default}"));
        assert_eq!(mistake("${EMPTY:?say where it is}").1, "the variable EMPTY is not set: say where it is");
        assert!(mistake("a${HOST").1.contains("no `}`"));
        assert!(mistake("${HOST-x}").1.contains("${HOST:-default}"));
        assert!(mistake("${}").1.contains("names no variable"));
        assert!(mistake("${9A}").1.contains("names no variable"));
    }

    #[test]
    fn a_value_never_opens_an_expression() {
        let out = substitute("{{ user }} ${EVIL}", &env()).unwrap().unwrap();
        assert_eq!(out.text, "{{ user }} {{ 1 + 1 }}");
        assert_eq!(out.original.template, "{{ user }} {{ '{' }}{{ '{' }} 1 + 1 }}");
        let default = substitute("{${NONE:-{ 1 }}}", &env()).unwrap().unwrap();
        assert!(!default.original.template.contains("{{ 1"));
    }

    #[test]
    fn a_variable_named_like_a_secret_makes_the_scalar_one() {
        assert!(substitute("Bearer ${API_KEY}", &env()).unwrap().unwrap().secret);
        let default = substitute("${MY_TOKEN:-dev-token}", &env()).unwrap().unwrap();
        assert_eq!((default.secret, default.secrets), (true, vec!["dev-token".to_owned()]));
        assert!(!substitute("${HOST}", &env()).unwrap().unwrap().secret);
        assert_eq!(env().secrets().collect::<Vec<_>>(), ["k-123"]);
        assert!(!format!("{:?}", env()).contains("k-123"));
    }
}
