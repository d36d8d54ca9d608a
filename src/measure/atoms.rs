//! Numbers that one thread writes and any thread reads, without a read-modify-write instruction.
//!
//! Stores release and loads acquire: on x86 both are plain moves, and elsewhere they keep the order that the snapshots rely on
//! (what is written first is seen whenever what was written after it is).

use std::sync::atomic::{AtomicU64, Ordering};

/// A count with a single writer.
#[derive(Debug, Default)]
pub(super) struct Count(AtomicU64);

impl Count {
    pub(super) const fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    /// Adds `n`. Only the one writer may call it.
    #[inline]
    pub(super) fn add(&self, n: u64) {
        self.0.store(self.0.load(Ordering::Relaxed).wrapping_add(n), Ordering::Release);
    }

    /// Takes back `n` of what was added. Only the one writer may call it.
    pub(super) fn take_back(&self, n: u64) {
        self.add(n.wrapping_neg());
    }

    /// The value now.
    #[inline]
    pub(super) fn get(&self) -> u64 {
        self.0.load(Ordering::Acquire)
    }
}

/// A sum of floats with a single writer.
#[derive(Debug, Default)]
pub(super) struct Float(AtomicU64);

impl Float {
    /// Adds `x`. Only the one writer may call it.
    #[inline]
    pub(super) fn add(&self, x: f64) {
        self.0.store((self.get() + x).to_bits(), Ordering::Release);
    }

    /// The value now.
    #[inline]
    pub(super) fn get(&self) -> f64 {
        f64::from_bits(self.0.load(Ordering::Acquire))
    }
}

/// A gauge that any thread may set, and that may never have been set.
#[derive(Debug)]
pub(super) struct Cell(AtomicU64);

/// A NaN that no calculation yields.
const UNSET: u64 = u64::MAX;

impl Default for Cell {
    fn default() -> Self {
        Self(AtomicU64::new(UNSET))
    }
}

impl Cell {
    /// Sets the value.
    pub(super) fn set(&self, x: f64) {
        self.0.store(x.to_bits(), Ordering::Release);
    }

    /// Forgets the value.
    pub(super) fn clear(&self) {
        self.0.store(UNSET, Ordering::Release);
    }

    /// The value, if one was set.
    pub(super) fn get(&self) -> Option<f64> {
        let bits = self.0.load(Ordering::Acquire);
        (bits != UNSET).then(|| f64::from_bits(bits))
    }
}
