//! Basic authentication by the web config file's bcrypt hashes.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

use super::config::WebConfig;

/// Credentials that were verified before: bcrypt takes a tenth of a second on purpose, and a scraper comes every few.
const REMEMBERED: usize = 64;

#[derive(Clone)]
struct Guard {
    path: Arc<Path>,
    verified: Arc<Mutex<Vec<[u8; 32]>>>,
}

/// Lets only users of the web config file through, if it names any.
pub(super) fn guard(router: Router, config: Option<PathBuf>) -> Router {
    match config {
        None => router,
        Some(path) => router.layer(from_fn_with_state(Guard { path: path.into(), verified: Arc::default() }, check)),
    }
}

async fn check(State(guard): State<Guard>, request: Request, next: Next) -> Response {
    let given = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let admitted = tokio::task::spawn_blocking(move || guard.admits(given.as_deref())).await;
    match admitted {
        Ok(Ok(true)) => next.run(request).await,
        Ok(Ok(false)) => {
            (StatusCode::UNAUTHORIZED, [(header::WWW_AUTHENTICATE, "Basic realm=\"load-exporter\"")], "unauthorized\n")
                .into_response()
        }
        Ok(Err(error)) => {
            tracing::error!(%error, "the web config file can't be used");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

impl Guard {
    fn admits(&self, given: Option<&str>) -> Result<bool, super::WebConfigError> {
        let config = WebConfig::read(&self.path)?;
        if config.basic_auth_users.is_empty() {
            return Ok(true);
        }
        let Some((name, password)) = given.and_then(credentials) else { return Ok(false) };
        // The hash is part of what is remembered: a changed password is asked for anew.
        let hash = config.basic_auth_users.get(&name).map(String::as_str).unwrap_or_default();
        let proof: [u8; 32] = Sha256::digest(format!("{name}\0{password}\0{hash}")).into();
        if self.verified.lock().unwrap_or_else(PoisonError::into_inner).contains(&proof) {
            return Ok(true);
        }
        let admitted = config.admits(&name, &password);
        if admitted {
            let mut verified = self.verified.lock().unwrap_or_else(PoisonError::into_inner);
            if verified.len() >= REMEMBERED {
                verified.remove(0);
            }
            verified.push(proof);
        }
        Ok(admitted)
    }
}

fn credentials(header: &str) -> Option<(String, String)> {
    let (scheme, encoded) = header.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = String::from_utf8(STANDARD.decode(encoded.trim()).ok()?).ok()?;
    let (name, password) = decoded.split_once(':')?;
    Some((name.to_owned(), password.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_taken_from_the_header() {
        let header = format!("basic {}", STANDARD.encode("prometheus:a:b"));
        assert_eq!(credentials(&header), Some(("prometheus".to_owned(), "a:b".to_owned())));
        assert_eq!(credentials("Bearer x"), None);
        assert_eq!(credentials("Basic ???"), None);
    }

    #[test]
    fn a_changed_password_is_asked_for_anew() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("web.yml");
        let write = |password| {
            let hash = bcrypt::hash(password, 4).unwrap();
            std::fs::write(&path, format!("basic_auth_users: {{prometheus: {hash}}}\n")).unwrap();
        };
        let header = format!("Basic {}", STANDARD.encode("prometheus:one"));
        write("one");
        let guard = Guard { path: path.as_path().into(), verified: Arc::default() };
        assert!(guard.admits(Some(&header)).unwrap() && guard.admits(Some(&header)).unwrap());
        assert!(!guard.admits(None).unwrap());
        write("two");
        assert!(!guard.admits(Some(&header)).unwrap());
    }
}
