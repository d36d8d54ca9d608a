//! What all workers of a run know of its data: which rows of `unique` are left.
//!
//! A shard's part is fixed: of N shards, shard s has the rows s, s + N, …. Within it each worker claims blocks of positions
//! from one counter, large while there are many and single ones at the end, and takes its rows out of its block. When the
//! counter is at its end a worker takes from the blocks of others, from behind, so that a row is never left over while somebody
//! asks for one, and never given twice.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::load::Share;
use crate::plan::{Data, Pick};

/// See the module; one for each run.
pub(super) struct RowAllocator {
    /// By data; those that aren't `unique` have none.
    unique: Vec<Option<Unique>>,
    /// By data: the phase run in which somebody asked in vain first, or [`NEVER`].
    out: Vec<AtomicU64>,
}

const NEVER: u64 = u64::MAX;

impl RowAllocator {
    pub fn new(data: &[Data], workers: usize) -> Self {
        let unique = |data: &Data| (data.pick == Pick::Unique).then(|| Unique::new(workers));
        Self { unique: data.iter().map(unique).collect(), out: data.iter().map(|_| AtomicU64::new(NEVER)).collect() }
    }

    /// Takes a row that nobody else has or had: its number among all of the `rows`. Without one, that is kept: `phase_run` is
    /// the phase's turn in which it was so.
    pub fn take(&self, data: usize, rows: u64, share: &Share, phase_run: u64) -> Option<u64> {
        let unique = self.unique.get(data)?.as_ref()?;
        let position = unique.take(share.worker as usize, share.shard_part(rows));
        if position.is_none() {
            self.out[data].fetch_min(phase_run, Ordering::Relaxed);
        }
        position.map(|position| share.shard + position * share.shards)
    }

    /// Whether it is known that no row is left.
    pub fn is_out(&self, data: usize) -> bool {
        self.ran_out_by(data, NEVER - 1)
    }

    /// Whether somebody asked in vain in this turn of a phase or in an earlier one.
    pub fn ran_out_by(&self, data: usize, phase_run: u64) -> bool {
        self.out.get(data).is_some_and(|out| out.load(Ordering::Relaxed) <= phase_run)
    }
}

/// The positions of one shard's part, from 0.
struct Unique {
    /// The first one that nobody has claimed.
    next: AtomicU64,
    /// Workers between claiming a block and having it among their own.
    claiming: AtomicU64,
    /// What each worker has claimed and not taken.
    blocks: Box<[Block]>,
}

/// `from << 32 | to`, on a cache line of its own. Only its worker puts a new block in; anyone may take from it.
#[derive(Default)]
#[repr(align(64))]
struct Block(AtomicU64);

fn block(from: u64, to: u64) -> u64 {
    from << 32 | to
}

impl Block {
    /// Takes its first position, or its last one.
    fn take(&self, first: bool) -> Option<u64> {
        let taken = self.0.fetch_update(Ordering::AcqRel, Ordering::Acquire, |held| {
            let (from, to) = (held >> 32, held & u64::from(u32::MAX));
            (from < to).then(|| if first { block(from + 1, to) } else { block(from, to - 1) })
        });
        taken.ok().map(|held| if first { held >> 32 } else { (held & u64::from(u32::MAX)) - 1 })
    }
}

impl Unique {
    fn new(workers: usize) -> Self {
        Self {
            next: AtomicU64::new(0),
            claiming: AtomicU64::new(0),
            blocks: (0..workers.max(1)).map(|_| Block::default()).collect(),
        }
    }

    /// A position below `total`, which may grow and is below 2^32.
    fn take(&self, worker: usize, total: u64) -> Option<u64> {
        let own = &self.blocks[worker % self.blocks.len()];
        loop {
            if let Some(position) = own.take(true) {
                return Some(position);
            }
            self.claiming.fetch_add(1, Ordering::SeqCst);
            let workers = self.blocks.len() as u64;
            let claimed = self.next.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |next| {
                let size = size(total.saturating_sub(next), workers);
                (size > 0).then_some(next + size)
            });
            if let Ok(first) = claimed {
                let end = first + size(total.saturating_sub(first), workers);
                // Nobody takes from an empty block, so that nothing is lost by this.
                own.0.store(block(first + 1, end), Ordering::SeqCst);
                self.claiming.fetch_sub(1, Ordering::SeqCst);
                return Some(first);
            }
            self.claiming.fetch_sub(1, Ordering::SeqCst);
            if let Some(position) = self.blocks.iter().find_map(|other| other.take(false)) {
                return Some(position);
            }
            if self.claiming.load(Ordering::SeqCst) == 0 && self.blocks.iter().all(Block::is_empty) {
                return None;
            }
            std::thread::yield_now();
        }
    }
}

impl Block {
    fn is_empty(&self) -> bool {
        let held = self.0.load(Ordering::SeqCst);
        held >> 32 >= held & u64::from(u32::MAX)
    }
}

/// How many are claimed at once where so many are left.
fn size(left: u64, workers: u64) -> u64 {
    (left / (8 * workers)).clamp(1, 64).min(left)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn allocator(workers: usize) -> RowAllocator {
        RowAllocator { unique: vec![Some(Unique::new(workers))], out: vec![AtomicU64::new(NEVER)] }
    }

    proptest! {
        #[test]
        fn every_row_is_given_once_whoever_asks(
            rows in 1u64..500, shards in 1u64..4, workers in 1u64..5, asks in prop::collection::vec(any::<u16>(), 0..700),
        ) {
            let mut seen = BTreeSet::new();
            for shard in 0..shards {
                let allocator = allocator(workers as usize);
                let share = |worker| Share { shard, shards, worker, workers };
                let part = share(0).shard_part(rows) as usize;
                let mut given = 0;
                // Workers ask in any order; then one asks alone, and the others' claims pass to it.
                for worker in asks.iter().map(|ask| u64::from(*ask) % workers).chain(std::iter::repeat_n(workers - 1, 500)) {
                    let row = allocator.take(0, rows, &share(worker), 7);
                    prop_assert_eq!(row.is_some(), given < part, "{} of {}", given, part);
                    given += usize::from(row.is_some());
                    prop_assert!(row.is_none_or(|row| row < rows && row % shards == shard && seen.insert(row)));
                }
                prop_assert!(allocator.is_out(0) && allocator.ran_out_by(0, 7) && !allocator.ran_out_by(0, 6));
            }
            prop_assert_eq!(seen.len() as u64, rows);
        }
    }

    #[test]
    fn threads_take_every_row_once() {
        for rows in [10, 1_000, 50_000] {
            let allocator = allocator(4);
            let taken: Vec<Vec<u64>> = std::thread::scope(|scope| {
                let threads: Vec<_> = (0..4)
                    .map(|worker| {
                        let (allocator, share) = (&allocator, Share { shard: 0, shards: 1, worker, workers: 4 });
                        scope.spawn(move || std::iter::from_fn(|| allocator.take(0, rows, &share, 0)).collect())
                    })
                    .collect();
                threads.into_iter().map(|thread| thread.join().unwrap()).collect()
            });
            let all: Vec<u64> = taken.into_iter().flatten().collect();
            assert_eq!((all.len() as u64, all.iter().collect::<BTreeSet<_>>().len() as u64), (rows, rows));
        }
    }

    #[test]
    fn a_list_that_grows_has_rows_again() {
        let allocator = allocator(2);
        let share = Share::ALONE;
        assert_eq!((allocator.take(0, 0, &share, 3), allocator.is_out(0)), (None, true));
        let two: Vec<_> = (0..3).map(|_| allocator.take(0, 2, &share, 3)).collect();
        assert_eq!(two, [Some(0), Some(1), None]);
        assert_eq!(allocator.take(0, 3, &share, 4), Some(2));
    }
}
