//! Basic authentication by the web config file's bcrypt hashes.
//!
//! A hash takes a tenth of a second of a processor on purpose. So one is worked out at a time, few may wait for that, answers are
//! remembered, and a user who doesn't exist takes as long as one who does.

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
use tokio::sync::Semaphore;

use super::change::Authenticated;
use super::config::{WebConfig, WebConfigError};

/// Answers that are remembered.
const REMEMBERED: usize = 256;
/// How many requests may wait for a hash to be worked out.
const WAITING: usize = 64;

/// Credentials and the hash that they were compared with, in a form that tells neither.
type Proof = [u8; 32];

#[derive(Clone)]
struct Guard {
    path: Arc<Path>,
    answers: Arc<Mutex<Vec<(Proof, bool)>>>,
    places: Arc<Semaphore>,
    turn: Arc<Semaphore>,
}

/// What is made of a request.
#[derive(Debug, PartialEq, Eq)]
enum Admission {
    /// Everyone may come in.
    Open,
    /// It is one of the users.
    Known,
    Unknown,
    /// Too many wait already.
    Busy,
}

/// Lets only users of the web config file through, if it names any.
pub(super) fn guard(router: Router, config: Option<PathBuf>) -> Router {
    match config {
        None => router,
        Some(path) => router.layer(from_fn_with_state(Guard::new(&path), check)),
    }
}

async fn check(State(guard): State<Guard>, mut request: Request, next: Next) -> Response {
    let given = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()).map(str::to_owned);
    match guard.admits(given.as_deref()).await {
        Ok(admission @ (Admission::Open | Admission::Known)) => {
            if admission == Admission::Known {
                request.extensions_mut().insert(Authenticated);
            }
            next.run(request).await
        }
        Ok(Admission::Unknown) => {
            (StatusCode::UNAUTHORIZED, [(header::WWW_AUTHENTICATE, "Basic realm=\"load-exporter\"")], "unauthorized\n")
                .into_response()
        }
        Ok(Admission::Busy) => (
            StatusCode::SERVICE_UNAVAILABLE,
            [(header::RETRY_AFTER, "5")],
            "too many requests wait for their password to be verified\n",
        )
            .into_response(),
        Err(error) => {
            tracing::error!(%error, "the web config file can't be used");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

impl Guard {
    fn new(path: &Path) -> Self {
        let (places, turn) = (Arc::new(Semaphore::new(WAITING)), Arc::new(Semaphore::new(1)));
        Self { path: path.into(), answers: Arc::default(), places, turn }
    }

    async fn admits(&self, given: Option<&str>) -> Result<Admission, WebConfigError> {
        let path = self.path.clone();
        let Ok(config) = tokio::task::spawn_blocking(move || WebConfig::read(&path)).await else { return Ok(Admission::Busy) };
        let config = config?;
        if config.basic_auth_users.is_empty() {
            return Ok(if config.requires_certificates() { Admission::Known } else { Admission::Open });
        }
        let Some((name, password)) = given.and_then(credentials) else { return Ok(Admission::Unknown) };
        // The hash is part of what is remembered: a changed password is asked for anew.
        let hash = config.basic_auth_users.get(&name).map(String::as_str).unwrap_or_default();
        let proof: Proof = Sha256::digest(format!("{name}\0{password}\0{hash}")).into();
        let admission = |known: bool| if known { Admission::Known } else { Admission::Unknown };
        if let Some(known) = self.remembered(&proof) {
            return Ok(admission(known));
        }
        let Ok(_place) = self.places.try_acquire() else { return Ok(Admission::Busy) };
        // It is never closed; if it were, the hash would be worked out all the same.
        let _turn = self.turn.acquire().await;
        if let Some(known) = self.remembered(&proof) {
            return Ok(admission(known));
        }
        let verified = tokio::task::spawn_blocking(move || config.admits(&name, &password)).await;
        let known = verified.unwrap_or(false);
        let mut answers = self.answers();
        if answers.len() >= REMEMBERED {
            // Those who may come in come again; guesses don't.
            let at = answers.iter().position(|(_, known)| !known).unwrap_or(0);
            answers.remove(at);
        }
        answers.push((proof, known));
        Ok(admission(known))
    }

    fn remembered(&self, proof: &Proof) -> Option<bool> {
        self.answers().iter().find(|(known, _)| known == proof).map(|(_, answer)| *answer)
    }

    fn answers(&self) -> std::sync::MutexGuard<'_, Vec<(Proof, bool)>> {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner)
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

    fn basic(name: &str, password: &str) -> String {
        format!("Basic {}", STANDARD.encode(format!("{name}:{password}")))
    }

    fn guarded(password: &str, cost: u32) -> (tempfile::TempDir, Guard) {
        let folder = tempfile::tempdir().unwrap();
        let guard = Guard::new(&folder.path().join("web.yml"));
        write(&guard, password, cost);
        (folder, guard)
    }

    fn write(guard: &Guard, password: &str, cost: u32) {
        let hash = bcrypt::hash(password, cost).unwrap();
        std::fs::write(&guard.path, format!("basic_auth_users: {{prometheus: {hash}}}\n")).unwrap();
    }

    #[tokio::test]
    async fn a_changed_password_is_asked_for_anew() {
        let (_folder, guard) = guarded("one", 4);
        let one = basic("prometheus", "one");
        for _ in 0..2 {
            assert_eq!(guard.admits(Some(&one)).await.unwrap(), Admission::Known);
        }
        assert_eq!(guard.answers().len(), 1);
        assert_eq!(guard.admits(None).await.unwrap(), Admission::Unknown);
        write(&guard, "two", 4);
        assert_eq!(guard.admits(Some(&one)).await.unwrap(), Admission::Unknown);
    }

    #[tokio::test]
    async fn a_flood_of_guesses_waits_its_turn_or_is_sent_away_and_pushes_nobody_out() {
        let (_folder, guard) = guarded("right", 8);
        let right = basic("prometheus", "right");
        assert_eq!(guard.admits(Some(&right)).await.unwrap(), Admission::Known);
        let guess = |number: usize| {
            let guard = guard.clone();
            async move {
                guard
                    .admits(Some(&basic(if number.is_multiple_of(2) { "prometheus" } else { "nobody" }, &number.to_string())))
                    .await
            }
        };
        let answers = futures_util::future::join_all((0..WAITING + 30).map(guess)).await;
        let count = |wanted: Admission| answers.iter().filter(|answer| *answer.as_ref().unwrap() == wanted).count();
        assert_eq!((count(Admission::Unknown), count(Admission::Busy)), (WAITING, 30));
        for number in 0..REMEMBERED {
            guard.answers().push(([number as u8; 32], false));
        }
        guess(1000).await.unwrap();
        assert!(guard.answers().iter().any(|(_, known)| *known), "who may come in is remembered");
    }
}
