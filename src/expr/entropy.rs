//! Randomness that never comes twice, neither within a run nor in the next: for keys, ids and filler text.
//!
//! Each thread has a generator of 128 bits of state, two SplitMix64 streams side by side, seeded by the operating system at
//! first use. It is unpredictable enough to be unique, but it is not for secrets.

use std::cell::RefCell;

use uuid::Uuid;

use crate::base::random::Stream;

thread_local! {
    static STREAMS: RefCell<[Stream; 2]> = RefCell::new(seeded());
}

fn seeded() -> [Stream; 2] {
    let half = || {
        let (a, b) = Uuid::new_v4().as_u64_pair();
        let (c, d) = Uuid::new_v4().as_u64_pair();
        // The bits that are fixed in one half of a version 4 id are random in the other.
        Stream::keyed(&[a ^ d.rotate_left(32), b ^ c.rotate_left(32)])
    };
    [half(), half()]
}

/// 128 bits that have not come before, for content and names that must not repeat.
pub fn unique() -> [u64; 2] {
    STREAMS.with_borrow_mut(|[high, low]| [high.next_u64(), low.next_u64()])
}

/// A version 4 UUID.
pub(super) fn uuid() -> Uuid {
    let [high, low] = unique();
    uuid::Builder::from_random_bytes(((u128::from(high) << 64) | u128::from(low)).to_ne_bytes()).into_uuid()
}

/// `length` characters out of a table of 64 or fewer.
fn characters(length: usize, table: &[u8]) -> String {
    let mut text = String::with_capacity(length);
    while text.len() < length {
        for bits in unique() {
            let picked = (0..10).filter_map(|i| table.get(((bits >> (6 * i)) & 63) as usize));
            text.extend(picked.take(length - text.len()).map(|byte| char::from(*byte)));
        }
    }
    text
}

/// `length` letters and digits.
pub(super) fn string(length: usize) -> String {
    characters(length, b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789")
}

/// `length` characters of lower-case words; neither the first nor the last is a space.
pub(super) fn text(length: usize) -> String {
    let mut text = characters(length, b"etaoinshrdlucmfwypvbgkqjxz etaoinshrdlu etaoinshr etaoin eta ");
    if text.starts_with(' ') {
        text.replace_range(..1, "a");
    }
    if text.ends_with(' ') {
        text.replace_range(length - 1.., "e");
    }
    text
}
