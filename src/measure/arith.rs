//! Adding to counts and taking from them.

use super::sparse::Sparse;

pub(super) fn each<T>(mine: &mut [T], theirs: &[T], mut f: impl FnMut(&mut T, &T)) {
    for (mine, theirs) in mine.iter_mut().zip(theirs) {
        f(mine, theirs);
    }
}

pub(super) fn more(mine: &mut u64, theirs: &u64) {
    *mine += theirs;
}

pub(super) fn less(mine: &mut u64, theirs: &u64) {
    *mine = mine.saturating_sub(*theirs);
}

pub(super) fn take(mine: &mut Sparse, theirs: &Sparse) {
    *mine = mine.minus(theirs);
}
