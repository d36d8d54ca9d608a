//! Storing a run once it is over.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::mpsc::UnboundedReceiver;

use crate::output::{Style, summary};
use crate::plan::Plan;
use crate::record::{Histograms, RecordError, Run, RunDirectory};

use super::now::RunNow;
use super::update::{SAID, Stop, Update};

/// If a run can't be stored: for how long it is tried again, and how often.
const STORED_WITHIN: Duration = Duration::from_secs(60);
const STORED_EVERY: Duration = Duration::from_secs(5);

/// What is stored of a run.
pub(super) struct Record {
    pub run: Run,
    pub histograms: Histograms,
    /// Where; nowhere if absent.
    pub directory: Option<RunDirectory>,
    pub plan: Arc<Plan>,
}

impl Record {
    fn store(&self) -> Result<Option<PathBuf>, RecordError> {
        let Some(directory) = &self.directory else { return Ok(None) };
        let text = summary::text(&self.run, Style::plain());
        directory.finish(&self.run, &self.histograms, &text, &|text| self.plan.secrets.redact_own(text)).map(Some)
    }
}

/// What waits for a disk. All coordinators of a daemon share the thread of its runtime, and publish edges only just ahead.
pub(super) async fn off_thread<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        // It can only have panicked, since nobody aborts it.
        Err(panic) => std::panic::resume_unwind(panic.into_panic()),
    }
}

/// Stores a run. What fails, for a disk may be full for a while, is tried again for [`STORED_WITHIN`], or until somebody stops it; not at
/// all if somebody has. Meanwhile it is shown as `last`, with a note.
pub(super) async fn store_it(
    record: &Arc<Record>,
    last: &RunNow,
    stopped: bool,
    stop: &mut UnboundedReceiver<Stop>,
    update: &mut (dyn FnMut(Update<'_>) + Send),
) -> Result<Option<PathBuf>, RecordError> {
    let begun = Instant::now();
    loop {
        let one = record.clone();
        let stored = off_thread(move || one.store()).await;
        let Err(error) = stored else { return stored };
        if stopped || begun.elapsed() >= STORED_WITHIN {
            return Err(error);
        }
        let every = humantime::format_duration(STORED_EVERY);
        let words = format!("The run could not be stored, which is tried again in {every}: {error}");
        tracing::warn!(target: SAID, profile = %record.run.profile, "{words}");
        update(Update::Say(words.clone()));
        let mut shown = last.clone();
        shown.progress.note = Some(words);
        update(Update::Status(Arc::new(shown)));
        tokio::select! {
            Some(_) = stop.recv() => return Err(error),
            () = tokio::time::sleep(STORED_EVERY) => {}
        }
    }
}
