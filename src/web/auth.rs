//! Basic authentication by the web config file's bcrypt hashes.
//!
//! A hash takes a tenth of a second of a processor on purpose. So one is worked out at a time, few may wait for that, answers are
//! remembered, and a user who doesn't exist takes as long as one who does.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};
use tokio::sync::{Semaphore, oneshot};

use crate::net::auth::Secret;

use super::change::{Authenticated, Certified};
use super::config::{RateLimit, WebConfig};
use super::current::Current;

/// Answers that are remembered.
const REMEMBERED: usize = 256;
/// How many requests may wait for a hash to be worked out.
const WAITING: usize = 64;

/// Credentials and the hash that they were compared with, in a form that shows neither.
type Proof = [u8; 32];

#[derive(Clone)]
struct Guard {
    current: Arc<Current>,
    answers: Arc<Mutex<Vec<(Proof, bool)>>>,
    places: Arc<Semaphore>,
    turn: Arc<Semaphore>,
    /// When the next request may come by this `rate_limit`.
    next: Arc<Mutex<Option<(RateLimit, Instant)>>>,
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
pub(super) fn guard(router: Router, config: Option<Arc<Current>>) -> Router {
    match config {
        None => router,
        Some(current) => router.layer(from_fn_with_state(Guard::new(current), check)),
    }
}

async fn check(State(guard): State<Guard>, request: Request, next: Next) -> Response {
    let given = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let current = guard.current.clone();
    let Ok(good) = tokio::task::spawn_blocking(move || current.read()).await else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    let config = good.config;
    let further = config.http.headers.clone();
    let mut response = if guard.is_too_soon(config.rate_limit, Instant::now()) {
        (StatusCode::TOO_MANY_REQUESTS, "more requests came than `rate_limit` allows\n").into_response()
    } else {
        guard.answer(config, given.as_deref(), request, next).await
    };
    for (name, value) in further {
        response.headers_mut().insert(name, value);
    }
    response
}

impl Guard {
    fn new(current: Arc<Current>) -> Self {
        let (places, turn) = (Arc::new(Semaphore::new(WAITING)), Arc::new(Semaphore::new(1)));
        Self { current, answers: Arc::default(), places, turn, next: Arc::default() }
    }

    /// Whether a request comes sooner than it may. Of `burst` that come after a while none does. What came by another limit doesn't count.
    fn is_too_soon(&self, limit: Option<RateLimit>, now: Instant) -> bool {
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(limit) = limit else {
            *next = None;
            return false;
        };
        let ahead = limit.interval * limit.burst.saturating_sub(1);
        let earliest = now.checked_sub(ahead).unwrap_or(now);
        let due = next.filter(|(by, _)| *by == limit).map_or(earliest, |(_, next)| next.max(earliest));
        let soon = due > now;
        if !soon {
            *next = Some((limit, due + limit.interval));
        }
        soon
    }

    async fn answer(&self, config: Arc<WebConfig>, given: Option<&str>, mut request: Request, next: Next) -> Response {
        let certified = request.extensions().get::<Certified>().copied();
        match self.admits(config, given, certified).await {
            admission @ (Admission::Open | Admission::Known) => {
                if admission == Admission::Known {
                    request.extensions_mut().insert(Authenticated);
                }
                next.run(request).await
            }
            Admission::Unknown => {
                (StatusCode::UNAUTHORIZED, [(header::WWW_AUTHENTICATE, "Basic realm=\"load-exporter\"")], "unauthorized\n")
                    .into_response()
            }
            Admission::Busy => {
                let words = "too many requests wait for their password to be verified\n";
                (StatusCode::SERVICE_UNAVAILABLE, [(header::RETRY_AFTER, "5")], words).into_response()
            }
        }
    }

    async fn admits(&self, config: Arc<WebConfig>, given: Option<&str>, certified: Option<Certified>) -> Admission {
        if config.basic_auth_users.is_empty() {
            let kind = config.client_auth();
            return match certified {
                _ if !kind.requires() => Admission::Open,
                Some(Certified::Verified) if kind.verifies() => Admission::Known,
                // Anybody can make a certificate that nobody verifies.
                Some(_) if !kind.verifies() => Admission::Open,
                // The connection is older than that this is required.
                _ => Admission::Unknown,
            };
        }
        let Some((name, password)) = given.and_then(credentials) else { return Admission::Unknown };
        // The hash is part of what is remembered: a changed password is asked for anew.
        let hash = config.basic_auth_users.get(&name).map(Secret::reveal).unwrap_or_default();
        let proof: Proof = Sha256::digest(format!("{name}\0{password}\0{hash}")).into();
        let admission = |known: bool| if known { Admission::Known } else { Admission::Unknown };
        if let Some(known) = self.remembered(&proof) {
            return admission(known);
        }
        let Ok(place) = self.places.clone().try_acquire_owned() else { return Admission::Busy };
        // It is never closed.
        let Ok(turn) = self.turn.clone().acquire_owned().await else { return Admission::Busy };
        if let Some(known) = self.remembered(&proof) {
            return admission(known);
        }
        let guard = self.clone();
        let (answer, answered) = oneshot::channel();
        let verify = move || {
            let known = config.admits(&name, &password);
            guard.remember(proof, known);
            // Held until here: whoever asked may have gone, and the next one still has to wait.
            drop((place, turn));
            let _ = answer.send(known); // whoever asked may have gone
        };
        // Not one of the runtime's threads, which the end of the program waits for.
        if std::thread::Builder::new().name("password".to_owned()).spawn(verify).is_err() {
            return Admission::Busy;
        }
        admission(answered.await.unwrap_or(false))
    }

    fn remember(&self, proof: Proof, known: bool) {
        let mut answers = self.answers();
        if answers.len() >= REMEMBERED {
            // Those who may come in come again; guesses don't.
            let at = answers.iter().position(|(_, known)| !known).unwrap_or(0);
            answers.remove(at);
        }
        answers.push((proof, known));
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
    use std::path::Path;
    use std::time::Duration;

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
        write(&folder, password, cost);
        let guard = Guard::new(Arc::new(Current::open(&folder.path().join("web.yml")).unwrap()));
        (folder, guard)
    }

    fn write(folder: &tempfile::TempDir, password: &str, cost: u32) {
        let hash = bcrypt::hash(password, cost).unwrap();
        std::fs::write(folder.path().join("web.yml"), format!("basic_auth_users: {{prometheus: {hash}}}\n")).unwrap();
    }

    async fn admits(guard: &Guard, given: Option<&str>) -> Admission {
        guard.admits(guard.current.read().config, given, None).await
    }

    #[tokio::test]
    async fn whose_certificate_nobody_verified_is_nobody_known() {
        let (_folder, guard) = guarded("right", 4);
        let (shown, verified) = (Some(Certified::Shown), Some(Certified::Verified));
        use Admission::{Known, Open, Unknown};
        for (kind, wanted) in [
            ("NoClientCert", [Open, Open, Open]),
            ("RequestClientCert", [Open, Open, Open]),
            ("VerifyClientCertIfGiven, client_ca_file: c", [Open, Open, Open]),
            ("RequireAnyClientCert", [Unknown, Open, Open]),
            ("RequireAndVerifyClientCert, client_ca_file: c", [Unknown, Unknown, Known]),
        ] {
            let text = format!("tls_server_config: {{cert_file: a, key_file: b, client_auth_type: {kind}}}\n");
            let config = Arc::new(WebConfig::of(Path::new("web.yml"), &text).unwrap());
            for (certified, wanted) in [None, shown, verified].into_iter().zip(wanted) {
                let admission = guard.admits(config.clone(), None, certified).await;
                assert_eq!(admission, wanted, "{kind} {certified:?}");
            }
        }
    }

    #[test]
    fn requests_come_by_their_interval_and_a_burst_after_a_while() {
        let (_folder, guard) = guarded("right", 4);
        let start = Instant::now();
        let limit = RateLimit { interval: Duration::from_millis(100), burst: 3 };
        let passes = |ms| !guard.is_too_soon(Some(limit), start + Duration::from_millis(ms));
        let passed: Vec<u64> = [0, 1, 2, 3, 50, 100, 101, 1000, 1001, 1002, 1003].into_iter().filter(|ms| passes(*ms)).collect();
        assert_eq!(passed, [0, 1, 2, 100, 1000, 1001, 1002]);
        // A limit that was a mistake holds nobody up once it is another one, or none.
        let by = |limit| !guard.is_too_soon(limit, start + Duration::from_secs(2));
        let mistaken = Some(RateLimit { interval: Duration::from_secs(6000), burst: 1 });
        for other in [Some(limit), None, Some(RateLimit { interval: Duration::ZERO, burst: 1 })] {
            assert_eq!([mistaken, mistaken, other, mistaken].map(by), [true, false, true, true], "{other:?}");
            by(None);
        }
    }

    #[tokio::test]
    async fn a_changed_password_is_asked_for_anew() {
        let (folder, guard) = guarded("one", 4);
        let one = basic("prometheus", "one");
        for _ in 0..2 {
            assert_eq!(admits(&guard, Some(&one)).await, Admission::Known);
        }
        assert_eq!(guard.answers().len(), 1);
        assert_eq!(admits(&guard, None).await, Admission::Unknown);
        write(&folder, "two", 4);
        assert_eq!(admits(&guard, Some(&one)).await, Admission::Unknown);
    }

    #[tokio::test]
    async fn whoever_asks_and_goes_keeps_the_next_one_waiting_until_the_hash_is_done() {
        let (_folder, guard) = guarded("right", 10);
        let right = basic("prometheus", "right");
        let asked = tokio::time::timeout(Duration::from_millis(1), admits(&guard, Some(&right))).await;
        assert!(asked.is_err(), "a hash of this cost takes longer");
        while guard.turn.available_permits() == 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        assert_eq!((guard.answers().len(), guard.places.available_permits()), (1, WAITING), "the answer is kept all the same");
    }

    #[tokio::test]
    async fn a_flood_of_guesses_waits_its_turn_or_is_sent_away_and_pushes_nobody_out() {
        let (_folder, guard) = guarded("right", 8);
        let right = basic("prometheus", "right");
        assert_eq!(admits(&guard, Some(&right)).await, Admission::Known);
        let guess = |number: usize| {
            let (guard, name) = (guard.clone(), if number.is_multiple_of(2) { "prometheus" } else { "nobody" });
            async move { admits(&guard, Some(&basic(name, &number.to_string()))).await }
        };
        let answers = futures_util::future::join_all((0..WAITING + 30).map(guess)).await;
        let count = |wanted: Admission| answers.iter().filter(|answer| **answer == wanted).count();
        assert_eq!((count(Admission::Unknown), count(Admission::Busy)), (WAITING, 30));
        for number in 0..REMEMBERED {
            guard.answers().push(([number as u8; 32], false));
        }
        guess(1000).await;
        assert!(guard.answers().iter().any(|(_, known)| *known), "who may come in is remembered");
    }
}
