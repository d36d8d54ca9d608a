//! What a name says of the value under it: whether it is a secret, by the words that the name is made of.
//!
//! Words and not letters: a `tokenizer` is no token. And a name that counts or measures secrets (`tokens_credited_total`,
//! `password_length`) holds none.

/// Words that name a secret.
const WORDS: [&str; 26] = [
    "token",
    "secret",
    "password",
    "passwd",
    "passphrase",
    "passcode",
    "credential",
    "apikey",
    "cookie",
    "private",
    "key",
    "pass",
    "pwd",
    "auth",
    "authorization",
    "bearer",
    "jwt",
    "csrf",
    "xsrf",
    "otp",
    "cred",
    "signature",
    "sig",
    "jsessionid",
    "phpsessid",
    "dbpass",
];
/// Those that do so at the end of a word too, where names are run together: `authtoken`, `dbpassword`.
const ENDS: [&str; 12] = [
    "token",
    "secret",
    "password",
    "passwd",
    "passphrase",
    "credential",
    "cookie",
    "apikey",
    "accesskey",
    "privatekey",
    "secretkey",
    "sessionid",
];
/// Last words of names of what is counted or measured, or of what something is.
const MEASURES: [&str; 25] = [
    "total",
    "count",
    "counts",
    "counter",
    "sum",
    "bucket",
    "seconds",
    "milliseconds",
    "ms",
    "minutes",
    "hours",
    "days",
    "bytes",
    "size",
    "length",
    "ratio",
    "percent",
    "rate",
    "limit",
    "max",
    "min",
    "ttl",
    "age",
    "expiry",
    "type",
];

/// What stands before `key` where that opens nothing.
const OPEN_KEYS: [&str; 7] = ["idempotency", "cache", "surrogate", "partition", "foreign", "sort", "websocket"];

/// The shell's own variable: where it stands, and so a part of every path that a message names.
const WORKING_DIRECTORY: &str = "PWD";

/// What a name says of the value under it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Naming {
    /// Nothing secret.
    Open,
    /// A secret, be it a text or a number.
    Secret,
    /// Several secrets (`tokens`). A number under such a name says how many.
    Secrets,
}

impl Naming {
    /// What `name` says.
    pub fn of(name: &str) -> Self {
        if name == WORKING_DIRECTORY {
            return Self::Open;
        }
        let words: Vec<String> = words(name).collect();
        if words.last().is_some_and(|last| MEASURES.contains(&last.as_str())) {
            return Self::Open;
        }
        if let [.., before, last] = &words[..]
            && matches!(last.as_str(), "key" | "keys")
            && OPEN_KEYS.contains(&before.as_str())
        {
            return Self::Open;
        }
        // Whoever knows it has the session.
        if let [.., before, last] = &words[..]
            && (before.as_str(), last.as_str()) == ("session", "id")
        {
            return Self::Secret;
        }
        let named = |word: &str| WORDS.contains(&word) || ENDS.iter().any(|end| word.ends_with(end));
        // The last word that says something is what the others are about: `authTokens` are tokens.
        let said = words.iter().rev().find_map(|word| match word.strip_suffix('s') {
            _ if named(word) => Some(Self::Secret),
            Some(one) if named(one) => Some(Self::Secrets),
            _ => None,
        });
        said.unwrap_or(Self::Open)
    }

    /// What is said of a part of the value: something under a name of its own in a mapping. All texts in what is secret are.
    #[must_use]
    pub fn within(self, name: &str) -> Self {
        match (Self::of(name), self) {
            (Self::Open, Self::Secret | Self::Secrets) => Self::Secrets,
            (own, _) => own,
        }
    }

    /// Whether a scalar under the name is a secret, by how it is written.
    pub fn hides(self, text: &str) -> bool {
        match self {
            Self::Open => false,
            Self::Secret => true,
            Self::Secrets => text.trim().parse::<f64>().is_err(),
        }
    }
}

/// The words of a name in lower case, without the digits behind them: parts between `_`, `-` and the like, and those that
/// begin with a capital.
fn words(name: &str) -> impl Iterator<Item = String> + '_ {
    let parts = name.split(|c: char| !c.is_alphanumeric()).flat_map(humps);
    parts.map(|part| part.trim_end_matches(|c: char| c.is_ascii_digit()).to_lowercase()).filter(|word| !word.is_empty())
}

/// The parts of `accessToken` and `APIKey`.
fn humps(part: &str) -> Vec<&str> {
    let mut humps = Vec::new();
    let mut start = 0;
    let letters: Vec<(usize, char)> = part.char_indices().collect();
    for (place, (at, letter)) in letters.iter().enumerate().skip(1) {
        let before = letters[place - 1].1;
        let next_is_small = letters.get(place + 1).is_some_and(|(_, next)| next.is_lowercase());
        if letter.is_uppercase() && (!before.is_uppercase() || next_is_small) {
            humps.push(&part[start..*at]);
            start = *at;
        }
    }
    humps.push(&part[start..]);
    humps
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_secrets() {
        let one = [
            "AUTH_TOKEN",
            "STRIPE_WEBHOOK_SECRET",
            "DB_PASSWORD",
            "api-key",
            "AWS_ACCESS_KEY_ID",
            "APIKEY",
            "token",
            "password2",
            "accessToken",
            "refresh_token",
            "APIKey",
            "clientSecret",
            "authtoken",
            "DBPASSWORD",
            "privateKey",
            "primaryKey",
            "AZURE_PRIMARY_KEY",
            "session.cookie",
            "x-authorization",
            "session_id",
            "JSESSIONID",
            "csrf",
            "X-Amz-Signature",
            "otp",
            "DBPASS",
            "user_jwt",
        ];
        for name in one {
            assert_eq!(Naming::of(name), Naming::Secret, "{name}");
        }
        for name in ["API_KEYS", "tokens", "max_tokens", "userPasswords", "credentials", "authTokens"] {
            assert_eq!(Naming::of(name), Naming::Secrets, "{name}");
        }
    }

    #[test]
    fn names_of_other_things() {
        let open = [
            "BASE_URL",
            "PWD",
            "OLDPWD",
            "MONKEY",
            "AUTHOR",
            "KEYBOARD",
            "QUEUE_REGION",
            "tokenizer",
            "tokenized",
            "secretary",
            "passenger",
            "passwordless",
            "compass",
            "bypass",
            "keyed",
            "authors",
            "",
            // What counts and measures.
            "tokens_credited_total",
            "token_refreshes_total",
            "password_resets_count",
            "token_length",
            "tokenCount",
            "token_type",
            "cookie_max",
            "key_seconds",
            "secrets_ratio",
            // Keys that open nothing.
            "Idempotency-Key",
            "x-cache-key",
            "foreignKeys",
        ];
        for name in open {
            assert_eq!(Naming::of(name), Naming::Open, "{name}");
        }
    }

    #[test]
    fn a_number_under_a_plural_says_how_many() {
        assert!(Naming::of("token").hides("4096") && Naming::of("token").hides("abc"));
        assert!(!Naming::of("max_tokens").hides("4096") && !Naming::of("tokens").hides(" 1.5e3 "));
        assert!(Naming::of("API_KEYS").hides("k1,k2") && !Naming::of("BASE_URL").hides("k1"));
        assert_eq!(Naming::of("credentials").within("user"), Naming::Secrets);
        assert_eq!(Naming::of("credentials").within("password"), Naming::Secret);
        assert_eq!(Naming::of("account").within("name"), Naming::Open);
    }
}
