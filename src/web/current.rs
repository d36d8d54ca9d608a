//! The web config file as it is in force. It is read for each connection and each request, so that renewed certificates, users and all
//! else need no restart. One that is wrong, or takes away what protects, is refused: what it said before stays in force.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustls::ServerConfig;

use super::config::{WebConfig, WebConfigError};
use super::tls::{Pems, TlsServerConfig};
use super::written::{Wrong, wrong};

/// What is new is taken once the file has said the same for so long: it may be being written.
const STILL: Duration = Duration::from_millis(20);
/// Whoever writes on and on is waited for so many times; until another look nothing changes then.
const LOOKS: usize = 10;

/// The web config file, and what of it is in force.
pub(super) struct Current {
    path: PathBuf,
    state: Mutex<State>,
}

struct State {
    good: Good,
    /// What was wrong when it was read last. Each fault of a text is logged once.
    refused: Option<Seen>,
}

/// What is in force.
#[derive(Clone)]
pub(super) struct Good {
    text: Arc<str>,
    pems: Option<Arc<Pems>>,
    pub config: Arc<WebConfig>,
    /// TLS, ready for a connection; none for plain HTTP.
    pub tls: Option<Arc<ServerConfig>>,
}

/// The file at one look.
struct Seen {
    /// Its text, if it can be read.
    text: Option<String>,
    /// What comes of it.
    found: Result<Good, WebConfigError>,
}

impl PartialEq for Seen {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text && self.found.as_ref().err() == other.found.as_ref().err()
    }
}

impl Good {
    fn of(path: &Path, text: &str) -> Result<Self, WebConfigError> {
        let config = Arc::new(WebConfig::of(path, text)?);
        let Some(pems) = config.pems(path)? else { return Ok(Self { text: text.into(), pems: None, config, tls: None }) };
        let tls = config.load(path, &pems)?;
        Ok(Self { text: text.into(), pems: Some(Arc::new(pems)), config, tls })
    }

    /// The same with what its PEM files hold now.
    fn with_files(&self, path: &Path) -> Result<Self, WebConfigError> {
        match self.config.pems(path)? {
            Some(pems) if Some(&pems) != self.pems.as_deref() => {
                let tls = self.config.load(path, &pems)?;
                Ok(Self { pems: Some(Arc::new(pems)), tls, ..self.clone() })
            }
            _ => Ok(self.clone()),
        }
    }

    fn warn(&self) {
        for warning in self.config.tls.iter().flat_map(TlsServerConfig::warnings) {
            tracing::warn!("the web config file: {warning}");
        }
    }
}

impl Current {
    /// Reads it for the first time.
    ///
    /// # Errors
    /// It can't be used: there is nothing yet that could be in force instead.
    pub fn open(path: &Path) -> Result<Self, WebConfigError> {
        let good = Good::of(path, &WebConfig::text(path)?)?;
        good.warn();
        Ok(Self { path: path.into(), state: Mutex::new(State { good, refused: None }) })
    }

    /// What is in force by now. Blocks: it reads files, and waits a moment for whoever writes.
    pub fn read(&self) -> Good {
        // Held meanwhile: what was read first doesn't come last.
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(seen) = self.still(&state) else { return state.good.clone() };
        match seen.found {
            Ok(good) => {
                let changed = good.text != state.good.text;
                if changed || state.refused.is_some() {
                    tracing::info!("what the web config file says now is in force");
                }
                if changed {
                    good.warn();
                }
                *state = State { good, refused: None };
            }
            Err(ref error) => {
                if state.refused.as_ref() != Some(&seen) {
                    tracing::error!(%error, "the web config file can't be used; what it said before stays in force");
                }
                state.refused = Some(seen);
            }
        }
        state.good.clone()
    }

    /// The file once it stands still, if that is soon.
    fn still(&self, state: &State) -> Option<Seen> {
        let mut seen = self.look(&state.good);
        for _ in 0..LOOKS {
            let known = seen.found.as_ref().is_ok_and(|good| good.text == state.good.text);
            if known || state.refused.as_ref() == Some(&seen) {
                return Some(seen);
            }
            std::thread::sleep(STILL);
            let later = self.look(&state.good);
            if later == seen {
                return Some(later);
            }
            seen = later;
        }
        None
    }

    fn look(&self, good: &Good) -> Seen {
        let read = WebConfig::text(&self.path);
        let found = match &read {
            Ok(text) if **text == *good.text => good.with_files(&self.path),
            Ok(text) => Good::of(&self.path, text).and_then(|new| match gone(&good.config, &new.config) {
                None => Ok(new),
                Some(wrong) => Err(WebConfigError::of(&self.path, wrong)),
            }),
            Err(error) => Err(error.clone()),
        };
        Seen { text: read.ok(), found }
    }
}

/// What protects by the old file and is gone from the new one. Somebody may have emptied it, or written half of it.
fn gone(old: &WebConfig, new: &WebConfig) -> Option<Wrong> {
    let key = match (&old.tls, &new.tls) {
        (Some(_), None) => Some("tls_server_config"),
        (Some(old), Some(new)) => old.left_out_by(new),
        (None, _) => None,
    };
    let users = !old.basic_auth_users.is_empty() && new.basic_auth_users.is_empty();
    let key = key.or(users.then_some("basic_auth_users"))?;
    Some(wrong(key, "is gone; what protects isn't turned off while the program runs. Write it again, or start the program anew"))
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Folder(tempfile::TempDir);

    impl Folder {
        fn write(&self, name: &str, text: &str) {
            std::fs::write(self.0.path().join(name), text).unwrap();
        }

        fn open(&self, text: &str) -> Current {
            self.write("web.yml", text);
            Current::open(&self.0.path().join("web.yml")).unwrap()
        }
    }

    fn folder() -> (Folder, String) {
        let folder = Folder(tempfile::tempdir().unwrap());
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        folder.write("cert.pem", &made.cert.pem());
        folder.write("key.pem", &made.signing_key.serialize_pem());
        (folder, bcrypt::hash("let me in", 4).unwrap())
    }

    const TLS: &str = "tls_server_config:\n  cert_file: cert.pem\n  key_file: key.pem\n";

    fn fault(current: &Current) -> String {
        current.read();
        let state = current.state.lock().unwrap();
        state.refused.as_ref().and_then(|seen| seen.found.as_ref().err()).map(ToString::to_string).unwrap_or_default()
    }

    #[test]
    fn what_protects_does_not_vanish() {
        let (folder, hash) = folder();
        let users = format!("basic_auth_users: {{a: {hash}}}\n");
        let verified = format!("{TLS}  client_ca_file: cert.pem\n  client_auth_type: RequireAndVerifyClientCert\n");
        let both = format!("{TLS}{users}");
        let any = format!("{TLS}  client_auth_type: RequireAnyClientCert\n");
        let named = format!("{verified}  client_allowed_sans: [a]\n");
        let newest = format!("{TLS}  min_version: TLS13\n");
        for (before, after, key) in [
            (TLS, "", "tls_server_config"),
            (TLS, " \n\n", "tls_server_config"),
            (TLS, "# nothing\n", "tls_server_config"),
            (TLS, "tls_server_config: {}\n", "cert_file"),
            (TLS, "tls_server_config:\n", "tls_server_config"),
            (TLS, &users, "tls_server_config"),
            (&users, "", "basic_auth_users"),
            (&users, "basic_auth_users: {}\n", "basic_auth_users"),
            (&users, "basic_auth_users:\n", "basic_auth_users"),
            (&both, TLS, "basic_auth_users"),
            (&both, &users, "tls_server_config"),
            (&verified, TLS, "client_auth_type"),
            (&any, TLS, "client_auth_type"),
            (&named, &verified, "client_allowed_sans"),
            (&named, &any, "client_allowed_sans"),
            (&newest, TLS, "min_version"),
        ] {
            let current = folder.open(before);
            folder.write("web.yml", after);
            let error = fault(&current);
            assert!(error.contains(&format!("web.yml: `{key}`: ")), "{before:?} {after:?}: {error}");
            let good = current.read();
            assert_eq!(&*good.text, before);
            // Something else may come instead.
            folder.write("web.yml", &both);
            let error = fault(&current);
            assert_eq!(
                error.is_empty(),
                ![&verified, &any, &named, &newest].contains(&&before.to_owned()),
                "{before:?}: {error}"
            );
        }
        for (before, after) in [
            (&named, format!("{verified}  client_allowed_sans: [b]\n")),
            (&named, format!("{verified}  client_allowed_sans: []\n")),
            (&named, format!("{TLS}  client_auth_type: NoClientCert\n")),
            (&any, format!("{TLS}  client_auth_type: RequestClientCert\n")),
            (&newest, format!("{TLS}  min_version: TLS12\n")),
        ] {
            let current = folder.open(before);
            folder.write("web.yml", &after);
            assert_eq!(fault(&current), "", "{before:?} {after:?}");
        }
        // What never protected may go.
        let current = folder.open("http_server_config: {http2: false}\n");
        folder.write("web.yml", "");
        assert_eq!(fault(&current), "");
        assert!(current.read().config.http.http2);
    }

    #[test]
    fn the_last_good_one_stays_in_force_until_there_is_a_better_one() {
        let (folder, _) = folder();
        let current = folder.open(TLS);
        let first = current.read().tls.unwrap();
        assert!(Arc::ptr_eq(&first, &current.read().tls.unwrap()), "what hasn't changed isn't made anew");
        let path = folder.0.path().join("web.yml");
        std::fs::remove_file(&path).unwrap();
        assert!(fault(&current).contains("No such file"));
        folder.write("web.yml", "tls_server_config: {cert_file: cert.pem");
        assert!(fault(&current).contains("not YAML"));
        std::fs::write(&path, vec![b'#'; 1024 * 1024 + 1]).unwrap();
        assert!(fault(&current).contains("longer than 1 MiB"));
        folder.write("web.yml", TLS);
        let other = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        folder.write("cert.pem", &other.cert.pem());
        assert!(fault(&current).contains("holds the key of another certificate"));
        assert!(Arc::ptr_eq(&first, &current.read().tls.unwrap()));
        folder.write("key.pem", &other.signing_key.serialize_pem());
        assert_eq!(fault(&current), "");
        assert!(!Arc::ptr_eq(&first, &current.read().tls.unwrap()));
    }

    #[test]
    fn whoever_writes_it_piece_by_piece_is_waited_for() {
        let (folder, hash) = folder();
        let users = |names: &[&str]| {
            format!("basic_auth_users: {{{}}}\n", names.iter().map(|name| format!("{name}: {hash}, ")).collect::<String>())
        };
        let (old, new) = (users(&["a"]), users(&["a", "b"]));
        let current = folder.open(&old);
        std::thread::scope(|scope| {
            let reader = scope.spawn(|| (0..200).map(|_| current.read().config.basic_auth_users.len()).collect::<Vec<_>>());
            for turn in 0..20 {
                let text = if turn % 2 == 0 { &new } else { &old };
                folder.write("web.yml", "");
                folder.write("web.yml", &text[..text.len() / 2]);
                folder.write("web.yml", text);
                std::thread::sleep(Duration::from_millis(10));
            }
            assert!(reader.join().unwrap().iter().all(|users| *users > 0));
        });
        assert_eq!(current.read().config.basic_auth_users.len(), 1);
    }
}
