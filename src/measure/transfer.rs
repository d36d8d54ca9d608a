//! How fast bodies went over, and what targets took to answer once they had all of one.
//!
//! A speed is a body's bytes by its request's service time, waiting for the answer included: only the answer proves that the
//! target has got it all, and what stands in a socket's buffer has gone nowhere yet. Bodies below [`LEAST_BODY`] are left out,
//! since they show round trips rather than speed.

use serde::{Deserialize, Serialize};

use super::arith::take;
use super::hist::Buckets;
use super::outcomes::Lazy;
use super::sparse::Sparse;

/// The least body whose speed is measured, in bytes.
pub const LEAST_BODY: u64 = 64 * 1024;

/// What a request moved.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Transfer {
    /// Bytes a second of its own body.
    pub upload: Option<f64>,
    /// Bytes a second of the answer's body.
    pub download: Option<f64>,
    /// From the last byte sent to the first of the answer, in nanoseconds.
    pub processing: Option<u64>,
}

/// One step's bodies, as they are recorded.
#[derive(Debug, Default)]
pub(super) struct TransferCell {
    upload: Lazy,
    download: Lazy,
    processing: Lazy,
}

impl TransferCell {
    pub(super) fn record(&self, speed: &Buckets, plain: &Buckets, transfer: &Transfer) {
        if let Some(rate) = transfer.upload {
            self.upload.get(speed).record(speed, rate);
        }
        if let Some(rate) = transfer.download {
            self.download.get(speed).record(speed, rate);
        }
        if let Some(nanoseconds) = transfer.processing {
            self.processing.get(plain).record_nanos(plain, nanoseconds);
        }
    }

    pub(super) fn totals(&self, speed: &Buckets, plain: &Buckets) -> TransferTotals {
        TransferTotals {
            upload: self.upload.totals(speed),
            download: self.download.totals(speed),
            processing: self.processing.totals(plain),
        }
    }
}

/// The bodies of one step.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct TransferTotals {
    /// Bytes a second of requests' bodies.
    pub upload: Sparse,
    /// Bytes a second of answers' bodies.
    pub download: Sparse,
    /// From the last byte sent to the first of the answer, in seconds.
    pub processing: Sparse,
}

impl TransferTotals {
    /// Adds another's to these.
    pub fn add(&mut self, other: &TransferTotals) {
        self.upload.add(&other.upload);
        self.download.add(&other.download);
        self.processing.add(&other.processing);
    }

    pub(super) fn take(&mut self, earlier: &TransferTotals) {
        take(&mut self.upload, &earlier.upload);
        take(&mut self.download, &earlier.download);
        take(&mut self.processing, &earlier.processing);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::layout::{Layout, PhaseId, ScenarioId, ScenarioLayout, StepId, StepLayout};
    use super::super::store::Store;
    use super::*;
    use crate::base::Protocol;

    #[test]
    fn transfers_are_kept_and_subtracted() {
        let store = Store::new(Arc::new(Layout {
            phases: vec!["steady".into()],
            scenarios: vec![ScenarioLayout::new("uploaders")],
            steps: vec![StepLayout { uploads: true, ..StepLayout::new(ScenarioId(0), "upload", Protocol::Http) }],
            ..Layout::default()
        }));
        let set = store.open(PhaseId(0));
        let record = |rate| {
            set.transfer(StepId(0), &Transfer { upload: Some(rate), download: None, processing: Some(250_000_000) });
        };
        record(1e6);
        let first = store.totals(PhaseId(0));
        record(1e6);
        store.retire(set);
        let rest = store.totals(PhaseId(0)).minus(&first);
        assert_eq!(rest, first);
        let totals = rest.transfer(StepId(0));
        assert_eq!((totals.upload.count(), totals.download.count(), totals.processing.count()), (1, 0, 1));
        assert!((totals.upload.mean().unwrap() - 1e6).abs() < 1.0 && (totals.processing.mean().unwrap() - 0.25).abs() < 1e-9);
    }
}
