//! Which credentials a thread has reported: each once while it is known, so that those of every request cost little.

use std::cell::{Cell, RefCell};
use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use http::{HeaderMap, HeaderName};

use crate::base::secrets::{Secrets, carries_secret, secrets_of_answered_header, secrets_of_header};
use crate::protocol::Sent;

/// The most credentials that are remembered as reported.
const MOST_REPORTED: usize = 4096;
/// The most names of headers of which it is known whether they carry a secret.
const NAMES: usize = 64;

/// See the module.
#[derive(Default)]
pub(super) struct Overheard {
    generation: Cell<u64>,
    reported: RefCell<HashSet<u64>>,
    names: RefCell<Vec<(HeaderName, bool)>>,
}

impl Overheard {
    /// Credentials were sent, and an answer with these headers came.
    pub fn credentials(&self, secrets: &Secrets, sent: &Sent, answer: &HeaderMap) {
        for value in &sent.headers {
            self.report(secrets, value.as_bytes(), secrets_of_header);
        }
        for value in &sent.values {
            self.report(secrets, value.as_bytes(), |value| vec![value.to_owned()]);
        }
        for (name, value) in answer {
            if self.is_secret(name) {
                self.report(secrets, value.as_bytes(), |value| secrets_of_answered_header(name.as_str(), value));
            }
        }
    }

    fn report(&self, secrets: &Secrets, value: &[u8], parts: impl Fn(&str) -> Vec<String>) {
        let mut hasher = DefaultHasher::new();
        value.hash(&mut hasher);
        let mut reported = self.reported.borrow_mut();
        if self.generation.replace(secrets.generation()) != secrets.generation() || reported.len() >= MOST_REPORTED {
            reported.clear();
        }
        if reported.insert(hasher.finish())
            && let Ok(value) = std::str::from_utf8(value)
        {
            secrets.learn(parts(value));
        }
    }

    /// Whether a header of this name carries a secret.
    fn is_secret(&self, name: &HeaderName) -> bool {
        let mut names = self.names.borrow_mut();
        if let Some((_, is_secret)) = names.iter().find(|(known, _)| known == name) {
            return *is_secret;
        }
        let is_secret = carries_secret(name.as_str());
        if names.len() < NAMES {
            names.push((name.clone(), is_secret));
        }
        is_secret
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    #[test]
    fn what_is_in_use_is_reported_again_whenever_some_is_forgotten() {
        let (overheard, secrets) = (Overheard::default(), Secrets::default());
        let mut answer = HeaderMap::new();
        for (name, value) in
            [("x-session-token", "from-an-answer"), ("set-cookie", "sid=0123456789; Path=/of-pages"), ("etag", "an-open-tag")]
        {
            answer.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        let headers = |value: String| Sent { headers: vec![HeaderValue::try_from(value).unwrap()], ..Sent::default() };
        let own = Sent { values: vec!["in-a-query".to_owned()], ..headers("Bearer always-sent".to_owned()) };
        for i in 0..20_000 {
            overheard.credentials(&secrets, &headers(format!("Bearer once-{i}")), &HeaderMap::new());
            overheard.credentials(&secrets, &own, &answer);
        }
        assert!(secrets.generation() > 2);
        let shown = secrets.redact("always-sent in-a-query from-an-answer 0123456789 /of-pages an-open-tag once-1 once-19999");
        assert_eq!(shown, "*** *** *** *** /of-pages an-open-tag once-1 ***");
    }
}
