//! What is known of an upload: how far it came, and the SHA-256 of its parts.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::base::Reason;
use crate::net::Limit;

/// Shared between the body, which the connection owns, and the request that waits for the answer.
#[derive(Debug)]
pub(in crate::protocol::http) struct Tally {
    length: u64,
    stopped: AtomicBool,
    complete: AtomicBool,
    texts: Mutex<Texts>,
}

#[derive(Debug)]
struct Texts {
    digests: Vec<Option<String>>,
    failure: Option<(Reason, String)>,
}

/// An upload as it was when its request ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Uploaded {
    /// The body's length in bytes.
    pub length: u64,
    /// Whether all of it was handed to the connection.
    pub complete: bool,
    /// The SHA-256 in hex of each part that one was asked for, in order; absent for what was not sent to its end.
    pub digests: Vec<Option<String>>,
}

impl Tally {
    pub fn new(length: u64, digests: usize) -> Self {
        let texts = Texts { digests: vec![None; digests], failure: None };
        Self { length, stopped: AtomicBool::new(false), complete: AtomicBool::new(length == 0), texts: Mutex::new(texts) }
    }

    fn texts(&self) -> MutexGuard<'_, Texts> {
        // A panic while the lock is held leaves the texts whole.
        self.texts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hands nothing more over: the answer has come before the end.
    pub fn stop(&self) {
        self.stopped.store(true, Relaxed);
    }

    pub fn is_stopped(&self) -> bool {
        self.stopped.load(Relaxed)
    }

    /// Whether all of it has been handed to the connection.
    pub fn is_complete(&self) -> bool {
        self.complete.load(Relaxed)
    }

    pub(super) fn complete(&self) {
        self.complete.store(true, Relaxed);
    }

    pub(super) fn digested(&self, digest: usize, hex: String) {
        if let Some(place) = self.texts().digests.get_mut(digest) {
            *place = Some(hex);
        }
    }

    pub(super) fn fail(&self, error: &io::Error) {
        let limit = Limit::of_file(error);
        let reason = if limit.is_some() { Reason::Local } else { Reason::Data };
        self.texts().failure = Some((reason, error.to_string()));
    }

    /// Why it can't go on, if it can't.
    pub fn failure(&self) -> Option<(Reason, String)> {
        self.texts().failure.clone()
    }

    /// How it is now.
    pub fn uploaded(&self) -> Uploaded {
        Uploaded { length: self.length, complete: self.is_complete(), digests: self.texts().digests.clone() }
    }
}
