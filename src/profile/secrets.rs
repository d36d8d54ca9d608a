//! Finds what is secret in a file of a profile: values under names of secrets, where a name is that of a value. The names of
//! scenarios, metrics and checks are none of values, whatever words they are made of.

use std::collections::HashSet;
use std::ops::Range;

use super::masks;
use super::tree::{NodeKind, Tree};
use crate::base::secrets::{Naming, basic_password, secrets_of_cookies, secrets_of_header, secrets_of_url};
use crate::base::written::Node;

/// Keys under which the profile's author gives names to values.
const VALUES: [&str; 8] = ["vars", "json", "form", "query", "headers", "args", "list", "remember"];
/// Those of them whose values stand in a mapping. Written as a text or a list, `name: value` or `name=value`, they are a mistake.
const MAPPINGS: [&str; 4] = ["vars", "form", "query", "headers"];
/// Keys under which they name something else, or what is under the names are expressions and paths.
const NAMES: [&str; 12] =
    ["scenarios", "metrics", "data", "ratios", "split", "load", "match", "check", "count", "record", "extract", "cookies"];

/// What the keys of a mapping are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Keys {
    /// The language's own.
    Own,
    /// Names of other things than values.
    Names,
    /// Names of `data`, whose rows are values of these names.
    Rows,
    /// Names of expressions (`set`).
    Expressions,
    /// Names of values.
    Values,
    /// The same, but written with their values in one text.
    Pairs,
    /// The language's own, of the parts of an upload: each says its name beside its value.
    Parts,
}

/// What was found.
#[derive(Default)]
pub(super) struct FoundSecrets {
    /// Values that must not be shown.
    pub secrets: Vec<String>,
    /// Where they, and what may hold them, stand in the file.
    pub ranges: Vec<Range<usize>>,
    /// Names that the profile gives to anything.
    pub names: Vec<String>,
}

/// Marks the scalars from `top` down that are secret, or hold a secret.
pub(super) fn mark(tree: &mut Tree, file: usize, top: Node) -> FoundSecrets {
    let mut found = FoundSecrets::default();
    for node in tree.below(top) {
        let Some(scalar) = tree.scalar(node) else { continue };
        let range = tree.entry(node).range.clone();
        // A default that stands for a secret is one.
        if scalar.secret {
            found.ranges.push(range.clone());
        }
        let source = tree.files[file].text.get(range.clone()).unwrap_or_default();
        for (place, secret) in secrets_of_url(&scalar.text) {
            let written = &scalar.text[place.clone()];
            // Where the text stands as it is its place is known; escaped or folded, all that reads so is hidden.
            let starts: Vec<usize> = match source.find(scalar.text.as_str()) {
                Some(whole) => vec![whole + place.start],
                None => source.match_indices(written).map(|(at, _)| at).collect(),
            };
            found.ranges.extend(starts.into_iter().map(|at| range.start + at..range.start + at + written.len()));
            found.secrets.push(secret);
        }
    }
    let mut seen = HashSet::new();
    let mut rest = vec![(top, Keys::Own, Naming::Open)];
    while let Some((node, keys, naming)) = rest.pop() {
        // Nodes are shared where an alias or a merge key stands.
        if !seen.insert((node, keys, naming)) {
            continue;
        }
        match &tree.entry(node).kind {
            NodeKind::Scalar(_) => scalar(tree, node, keys, naming, &mut found),
            NodeKind::List(items) => rest.extend(items.iter().map(|item| (*item, keys, naming))),
            NodeKind::Map { entries, dropped, .. } => rest.extend(entries.iter().chain(dropped).map(|(key, value)| {
                if keys == Keys::Parts
                    && tree.key(*key) == "value"
                    && let Some(name) = tree.get(node, "name")
                {
                    return (*value, Keys::Own, masks::naming(tree.as_written(name)));
                }
                found.names.push(tree.key(*key).to_owned());
                if tree.key(*key) == "name" {
                    found.names.push(tree.as_written(*value).to_owned());
                }
                let (keys, naming) = below(tree, tree.key(*key), *value, keys, naming);
                (*value, keys, naming)
            })),
        }
    }
    found
}

/// What is known of the value under a key.
fn below(tree: &Tree, key: &str, value: Node, keys: Keys, naming: Naming) -> (Keys, Naming) {
    let is_map = matches!(tree.entry(value).kind, NodeKind::Map { .. });
    let has = |own: &[&str]| own.iter().any(|own| tree.get(value, own).is_some());
    match keys {
        Keys::Pairs => (Keys::Values, masks::naming(key)),
        Keys::Values if naming == Naming::Open => (Keys::Values, masks::naming(key)),
        Keys::Values => (Keys::Values, naming.within(key)),
        Keys::Expressions => (Keys::Expressions, masks::naming(key)),
        Keys::Names => (Keys::Own, Naming::Open),
        Keys::Rows => match tree.get(value, "list") {
            Some(_) => (Keys::Own, masks::naming(key)),
            None => (Keys::Own, Naming::Open),
        },
        Keys::Own | Keys::Parts => match key {
            "multipart" => (Keys::Parts, Naming::Open),
            // Of HTTP, whose keys are the language's own; that of Socket.IO has names of the author's.
            "auth" if has(&["basic", "bearer"]) => (Keys::Own, Naming::Open),
            "auth" => (Keys::Values, Naming::Secret),
            "basic_auth" if has(&["username", "password", "password_file"]) => (Keys::Own, Naming::Open),
            "basic" if !is_map => (Keys::Values, Naming::Secret),
            "list" => (Keys::Values, naming),
            "data" => (Keys::Rows, Naming::Open),
            "set" => (Keys::Expressions, Naming::Open),
            key if MAPPINGS.contains(&key) && !is_map => (Keys::Pairs, Naming::Open),
            key if VALUES.contains(&key) => (Keys::Values, Naming::Open),
            key if NAMES.contains(&key) => (Keys::Names, Naming::Open),
            key if tree.scalar(value).is_some() => (Keys::Own, masks::naming(key)),
            // What is the profile's own to use, by aliases.
            key if key.starts_with("x-") => (Keys::Own, Naming::Open),
            // It is to be a scalar; whatever stands there instead, the secret is somewhere in it.
            key if masks::naming(key) != Naming::Open => (Keys::Values, Naming::Secret),
            _ => (Keys::Own, Naming::Open),
        },
    }
}

fn scalar(tree: &mut Tree, node: Node, keys: Keys, naming: Naming, found: &mut FoundSecrets) {
    let range = tree.entry(node).range.clone();
    let NodeKind::Scalar(scalar) = &mut tree.entry_mut(node).kind else { return };
    let whole = scalar.text.trim().to_owned();
    let written = scalar.original.as_ref().map_or(whole.as_str(), |original| original.text.as_str());
    if keys == Keys::Pairs {
        let pairs = whole.split(['\n', '&']).filter_map(|pair| pair.split_once([':', '=']));
        let secrets: Vec<&str> =
            pairs.filter(|(name, value)| masks::naming(name.trim()).hides(value)).map(|(_, value)| value.trim()).collect();
        if !secrets.is_empty() {
            scalar.secret = true;
            found.ranges.push(range);
            found.secrets.extend(secrets.into_iter().flat_map(secrets_of_header));
        }
        return;
    }
    // An expression or a switch under such a name is no secret itself.
    let varies = written.starts_with("{{") && written.ends_with("}}");
    if !naming.hides(&whole) || varies || matches!(whole.as_str(), "true" | "false") {
        return;
    }
    let whole = match keys {
        Keys::Expressions => match literal(&whole) {
            Some(literal) => literal.to_owned(),
            None => return,
        },
        _ => whole,
    };
    scalar.secret = true;
    found.ranges.push(range);
    found.secrets.extend(secrets_of_cookies(&whole).map(str::to_owned));
    if !whole.contains("{{") {
        let bare = whole.split_once(' ').filter(|(scheme, _)| scheme.len() <= 7).map(|(_, token)| token.to_owned());
        found.secrets.extend(bare);
        found.secrets.extend(basic_password(&whole));
        found.secrets.push(whole);
    }
}

/// The text that an expression is, if it is nothing but a text.
fn literal(expression: &str) -> Option<&str> {
    let quote = expression.chars().next().filter(|c| matches!(c, '"' | '\''))?;
    let inner = expression.strip_prefix(quote)?.strip_suffix(quote)?;
    (!inner.contains(quote)).then_some(inner)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use crate::profile::substitute::Env;

    /// Which of the words a profile with this in it hides, of all that are in it.
    fn hidden<'w>(text: &str, words: &[&'w str]) -> Vec<&'w str> {
        let text = format!("name: t\n{text}");
        let profile = crate::profile::read_text(Path::new("t.yml"), Some(text), &Env::default(), &[]);
        let secrets = profile.profile.map(|profile| profile.secrets).unwrap();
        words.iter().filter(|word| secrets.redact(word) != **word).copied().collect()
    }

    #[test]
    fn values_under_names_of_secrets_and_what_is_in_them() {
        let text = "
vars:
  token: vartoken
  tokens: [firsttoken, secondtoken]
  max_tokens: 4096
  credentials: {user: annsname, pin: [9876543], password: 1234567}
  shop: {api_key: nestedkey, name: shopname}
data:
  passwords: {list: [rowpassword]}
  accounts: {list: [{name: rowname, password: columnpassword}]}
scenarios:
  auth:
    flow:
      - http: {post: /login, json: {user: {password: bodypassword, name: bodyname}}, headers: {x-token: headertoken}, query: {apiKey: querykey}}
      - http: {get: /, auth: {basic: {user: basicname, password: basicpassword}}}
      - http: {get: /, auth: {bearer: bearertoken}}
      - socketio: {connect: http://a, auth: {name: authname}, session: [{emit: {event: in, args: [{secret: argsecret}]}}]}
      - set: {token: \"'setliteral'\", secret: othervariable, password: \"'cut' ~ 'intwo'\"}
      - remember: {tokens: listtoken, seen: {secret: listsecret, id: listid}}
phases: []
";
        let secret = [
            "vartoken",
            "firsttoken",
            "secondtoken",
            "annsname",
            "1234567",
            "nestedkey",
            "rowpassword",
            "columnpassword",
            "bodypassword",
            "headertoken",
            "querykey",
            "basicpassword",
            "bearertoken",
            "authname",
            "argsecret",
            "setliteral",
            "listtoken",
            "listsecret",
        ];
        let open = [
            "4096",
            "9876543",
            "shopname",
            "rowname",
            "/login",
            "bodyname",
            "basicname",
            "othervariable",
            "cut",
            "intwo",
            "listid",
            "flow",
        ];
        assert_eq!(hidden(text, &[&secret[..], &open].concat()), secret);
    }

    #[test]
    fn cookies_of_a_header_are_values_of_their_own() {
        let text = "
defaults: {http: {headers: {cookie: \"a=COOKval-FF66; lang=en; b={{ token }}; c=second-VALUE-1\", x-session-cookie: \"sid=LITERAL-1; Path=/\"}}}
scenarios: {}
phases: []
";
        let secret = ["COOKval-FF66", "second-VALUE-1", "LITERAL-1"];
        assert_eq!(hidden(text, &[&secret[..], &["lang", "en", "sid", "Path", "token"]].concat()), secret);
    }

    #[test]
    fn what_has_another_shape_than_it_should_is_hidden_as_a_whole() {
        for text in [
            "observe: {prometheus: {url: http://a, bearer_token: [HIDDEN-1]}}",
            "observe: {prometheus: {url: http://a, bearer_token: {file: {name: HIDDEN-1}}}}",
            "observe: {prometheus: {url: http://a, basic_auth: {username: ann-open, password: [[HIDDEN-1]]}}}",
            "observe: {prometheus: {url: http://a, basic_auth: [ann, HIDDEN-1]}}",
            "observe: {prometheus: {url: \"ann:HIDDEN-1@prom:9090\"}}",
            "defaults: {http: {auth: {bearer: [HIDDEN-1]}}}",
            "defaults: {http: {auth: {basic: \"u:HIDDEN-1\"}}}",
            "defaults: {http: {auth: {basic: [ann-other, HIDDEN-1]}}}",
            "defaults: {http: {headers: [\"authorization: Bearer HIDDEN-1\"]}}",
            "defaults: {http: {headers: \"accept: ann-open\\nauthorization: Bearer HIDDEN-1\"}}",
            "defaults: {http: {headers: [{authorization: HIDDEN-1}]}}",
            "defaults: {http: {query: \"a=ann-open&access_token=HIDDEN-1\"}}",
            "defaults: {http: {form: [\"password=HIDDEN-1\"]}}",
            "defaults: {http: {base_url: \"u:HIDDEN-1@127.0.0.1:1\"}}",
            "http_proxy: \"ann:HIDDEN-1@127.0.0.1:3128\"",
        ] {
            let text = format!("name: t\nscenarios: 5\n{text}\n");
            let loaded = crate::profile::read_text(Path::new("t.yml"), Some(text.clone()), &Env::default(), &[]);
            let rendered: String = loaded.diagnostics.iter().map(|diagnostic| diagnostic.render(false)).collect();
            assert!(!rendered.contains("HIDDEN-1") && !loaded.diagnostics.is_empty(), "{text}: {rendered}");
            let shown = loaded.diagnostics.iter().find_map(|diagnostic| diagnostic.place.as_ref()).unwrap().file.shown();
            assert!(!shown.contains("HIDDEN-1"), "{shown}");
        }
    }

    #[test]
    fn names_of_metrics_scenarios_and_checks_hide_nothing() {
        let text = "
metrics:
  auth_failures: {type: counter, help: Refusals}
  tokens_credited_total: {type: counter}
scenarios:
  token:
    flow:
      - http: {get: /things, name: things, check: {token_valid: response.json.valid}, extract: {token: $.token, secret: {json: $.inner}}}
      - count: {tokens_credited_total: amounts, auth_failures: 100}
      - record: {key_age: response.duration}
phases:
  - {name: one, duration: 100s, split: {token: 100}, load: {users: 100}}
observe: {ratios: {tokens: {of: cache_hits_total, to: cache_misses_total, match: {token: labelled}}}}
";
        let open = [
            "counter",
            "Refusals",
            "amounts",
            "100",
            "response.json.valid",
            "$.token",
            "$.inner",
            "response.duration",
            "cache_hits_total",
            "labelled",
            "things",
        ];
        assert_eq!(hidden(text, &open), Vec::<&str>::new());
    }
}
