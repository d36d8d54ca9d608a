//! Lists that users fill as they go (`remember`), for the whole run.
//!
//! Owns what is remembered. A writer (a worker, or the thread of a set-up) appends to a part of its own, so that writers
//! don't meet; [`Lists::publish`] joins the parts at a phase's edge, and until the next one every reader sees the same list.
//! What was published never moves: a snapshot is a sequence of the pieces so far, and costs no copy of what they hold.
//!
//! Memory is bounded by [`Bound`], over all writers together. A list that is full takes nothing more and says so.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use arc_swap::ArcSwap;
use minijinja::value::{Enumerator, Object, ObjectRepr, ValueKind};

use super::Value;
use super::names::Symbol;
use super::secrets::secrets_of;
use crate::base::secrets::{Naming, Searched};

/// A list, by its place among the profile's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ListId(pub u32);

impl ListId {
    /// The position among the profile's lists.
    pub const fn index(self) -> usize {
        self.0 as usize
    }

    /// The id of a position among the profile's lists.
    pub const fn at(index: usize) -> Self {
        Self(index as u32)
    }
}

/// How much one list holds at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bound {
    /// Values.
    pub values: usize,
    /// Bytes of their text, mappings and lists counted with all that is in them.
    pub bytes: u64,
}

/// What a list holds, where nothing else is said.
pub const BOUND: Bound = Bound { values: 1_000_000, bytes: 256 << 20 };

/// The lists of one run.
#[derive(Debug, Default)]
pub struct Lists {
    lists: Vec<List>,
}

#[derive(Debug)]
struct List {
    name: String,
    symbol: Symbol,
    bound: Bound,
    parts: Vec<Appended>,
    values: AtomicUsize,
    bytes: AtomicU64,
    overflowed: AtomicBool,
    published: ArcSwap<Pieces>,
}

/// What one writer appended since the last publication; on a cache line of its own.
#[derive(Debug, Default)]
#[repr(align(64))]
struct Appended(Mutex<Vec<Value>>);

impl Appended {
    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Value>> {
        // A vector that was pushed to is whole, whatever happened to whoever pushed.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A list as of a publication.
#[derive(Debug, Default)]
struct Pieces {
    pieces: Vec<Arc<Piece>>,
    /// How many values there are up to the end of each piece.
    ends: Vec<usize>,
}

/// What was appended between two publications.
#[derive(Debug)]
struct Piece {
    values: Vec<Value>,
    /// What is secret in them, once somebody has asked.
    secrets: OnceLock<Box<[String]>>,
}

impl Lists {
    /// Empty lists of these names, to be filled by so many writers.
    pub fn new(names: impl IntoIterator<Item = (String, Symbol)>, writers: usize) -> Arc<Self> {
        Self::bounded(names, writers, BOUND)
    }

    /// The same with a bound of one's own.
    pub fn bounded(names: impl IntoIterator<Item = (String, Symbol)>, writers: usize, bound: Bound) -> Arc<Self> {
        let list = |(name, symbol)| List {
            name,
            symbol,
            bound,
            parts: (0..writers.max(1)).map(|_| Appended::default()).collect(),
            values: AtomicUsize::new(0),
            bytes: AtomicU64::new(0),
            overflowed: AtomicBool::new(false),
            published: ArcSwap::from_pointee(Pieces::default()),
        };
        Arc::new(Self { lists: names.into_iter().map(list).collect() })
    }

    /// Appends a value, to be seen from the next publication on. False if the list is full (or there is no such list), and
    /// the value is lost.
    pub fn append(&self, writer: usize, list: ListId, value: Value) -> bool {
        let Some(list) = self.lists.get(list.index()) else { return false };
        let size = size_of_value(&value);
        // Counted first, and taken back where it is too much: two that append at once never exceed the bound together.
        let values = list.values.fetch_add(1, Ordering::Relaxed) + 1;
        let bytes = list.bytes.fetch_add(size, Ordering::Relaxed) + size;
        if values > list.bound.values || bytes > list.bound.bytes {
            list.values.fetch_sub(1, Ordering::Relaxed);
            list.bytes.fetch_sub(size, Ordering::Relaxed);
            list.overflowed.store(true, Ordering::Relaxed);
            return false;
        }
        list.parts[writer % list.parts.len()].lock().push(value);
        true
    }

    /// Lets readers see all that was appended by now. What was published before keeps its place; what is new follows it, writer
    /// by writer.
    pub fn publish(&self) {
        for list in &self.lists {
            let new: Vec<Vec<Value>> =
                list.parts.iter().map(|part| std::mem::take(&mut *part.lock())).filter(|part| !part.is_empty()).collect();
            if new.is_empty() {
                continue;
            }
            // One publishes at a time: at the edges of one run.
            list.published.store(Arc::new(list.published.load().with(new)));
        }
    }

    /// The list as of the last publication.
    pub fn snapshot(&self, list: ListId) -> Value {
        self.lists.get(list.index()).map_or(Value::UNDEFINED, List::snapshot)
    }

    /// The list of a name, as of the last publication, if there is one.
    pub(super) fn get(&self, symbol: Symbol) -> Option<Value> {
        self.lists.iter().find(|list| list.symbol == symbol).map(List::snapshot)
    }

    /// Adds what may be secret in a text, of what the lists hold as of the last publication: values under names of secrets.
    ///
    /// Linear the first time; it is asked only to report a failure.
    pub(super) fn secrets(&self, searched: &Searched, found: &mut Vec<String>) {
        for list in &self.lists {
            let naming = list.symbol.naming();
            let pieces = list.published.load();
            let secrets = pieces.pieces.iter().flat_map(|piece| piece.secrets(naming));
            found.extend(secrets.filter(|secret| searched.may_hold(secret)).cloned());
        }
    }

    /// The names of the lists that took less than they were given.
    pub fn overflowed(&self) -> Vec<&str> {
        let full = self.lists.iter().filter(|list| list.overflowed.load(Ordering::Relaxed));
        full.map(|list| list.name.as_str()).collect()
    }

    /// How many values a list holds, published or not.
    pub fn len(&self, list: ListId) -> usize {
        self.lists.get(list.index()).map_or(0, |list| list.values.load(Ordering::Relaxed))
    }

    /// Whether there is no list at all.
    pub fn is_empty(&self) -> bool {
        self.lists.is_empty()
    }
}

impl List {
    fn snapshot(&self) -> Value {
        Value::from_dyn_object(self.published.load_full())
    }
}

impl Piece {
    fn secrets(&self, naming: Naming) -> &[String] {
        self.secrets.get_or_init(|| {
            let mut secrets = Vec::new();
            self.values.iter().for_each(|value| secrets_of(value, naming, &mut |secret| secrets.push(secret.to_owned())));
            secrets.into()
        })
    }
}

impl Pieces {
    fn with(&self, new: Vec<Vec<Value>>) -> Self {
        let mut next = Self { pieces: self.pieces.clone(), ends: self.ends.clone() };
        for piece in new {
            next.ends.push(next.len() + piece.len());
            next.pieces.push(Arc::new(Piece { values: piece, secrets: OnceLock::new() }));
        }
        next
    }

    fn len(&self) -> usize {
        self.ends.last().copied().unwrap_or(0)
    }

    fn at(&self, place: usize) -> Option<&Value> {
        let piece = self.ends.partition_point(|end| *end <= place);
        let before = piece.checked_sub(1).map_or(0, |before| self.ends[before]);
        self.pieces.get(piece)?.values.get(place - before)
    }
}

impl Object for Pieces {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Seq
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.at(key.as_usize()?).cloned()
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Seq(self.len())
    }
}

/// How deep a value is looked into for its size; JSON is not deeper than that either.
const DEPTH: usize = super::secrets::DEPTH;

/// The bytes of a value's text, roughly: what is in it, and a few for each value that isn't text.
fn size_of_value(value: &Value) -> u64 {
    fn inner(value: &Value, depth: usize) -> u64 {
        /// What a value takes besides its text.
        const SELF: u64 = 8;
        let of_items = |value: &Value| match value.try_iter() {
            Ok(items) if depth < DEPTH => items.map(|item| inner(&item, depth + 1)).sum(),
            _ => 0,
        };
        SELF + match value.kind() {
            ValueKind::String => value.as_str().map_or(0, |text| text.len() as u64),
            ValueKind::Bytes => value.as_bytes().map_or(0, |bytes| bytes.len() as u64),
            ValueKind::Seq | ValueKind::Iterable => of_items(value),
            ValueKind::Map => {
                let entries = value.try_iter().map_or(0, |keys| {
                    keys.map(|key| value.get_item(&key).map_or(0, |entry| inner(&entry, depth + 1))).sum::<u64>()
                });
                entries + of_items(value)
            }
            _ => 0,
        }
    }
    inner(value, 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const IDS: ListId = ListId(0);

    fn lists(writers: usize, bound: Bound) -> Arc<Lists> {
        Lists::bounded([("ids".to_owned(), Symbol(100)), ("names".to_owned(), Symbol(101))], writers, bound)
    }

    fn numbers(list: &Value) -> Vec<i64> {
        list.try_iter().unwrap().map(|value| i64::try_from(value).unwrap()).collect()
    }

    #[test]
    fn what_is_appended_is_seen_from_the_next_edge_on() {
        let lists = lists(2, BOUND);
        assert!(lists.append(0, IDS, Value::from(1)) && lists.append(1, IDS, Value::from(2)));
        assert_eq!((numbers(&lists.snapshot(IDS)), lists.len(IDS)), (vec![], 2));
        lists.publish();
        let first = lists.snapshot(IDS);
        assert_eq!(numbers(&first), [1, 2]);
        assert!(lists.append(1, IDS, Value::from(3)) && lists.append(0, IDS, Value::from(4)));
        lists.publish();
        lists.publish();
        assert_eq!(numbers(&lists.snapshot(IDS)), [1, 2, 4, 3]);
        assert_eq!(numbers(&first), [1, 2], "a snapshot stays what it was");
        assert_eq!(numbers(&lists.get(Symbol(101)).unwrap()), Vec::<i64>::new());
        assert!(lists.get(Symbol(102)).is_none());
        assert!(!lists.append(0, ListId(2), Value::from(1)) && lists.snapshot(ListId(2)).is_undefined());
    }

    #[test]
    fn it_is_a_list_like_any_other() {
        let lists = lists(3, BOUND);
        for turn in 0..3 {
            for writer in 0..3 {
                (0..=writer).for_each(|i| assert!(lists.append(writer, IDS, Value::from(turn * 100 + writer * 10 + i))));
            }
            lists.publish();
        }
        let list = lists.snapshot(IDS);
        assert_eq!((list.kind(), list.len()), (ValueKind::Seq, Some(18)));
        let all = numbers(&list);
        let at = |place: usize| list.get_item_by_index(place).ok().and_then(|value| i64::try_from(value).ok());
        assert_eq!((0..18).filter_map(at).collect::<Vec<_>>(), all);
        assert!(list.get_item_by_index(18).unwrap().is_undefined());
        assert_eq!(list, Value::from(all));
    }

    #[test]
    fn a_full_list_takes_no_more_and_says_so() {
        let by_count = lists(2, Bound { values: 3, bytes: 1 << 20 });
        let taken = (0..5).filter(|i| by_count.append(*i, IDS, Value::from(*i))).count();
        by_count.publish();
        assert_eq!((taken, by_count.snapshot(IDS).len(), by_count.overflowed()), (3, Some(3), vec!["ids"]));
        let by_size = lists(1, Bound { values: 100, bytes: 110 });
        let taken = (0..5).filter(|_| by_size.append(0, IDS, Value::from("a text of 40 bytes, which is a long one."))).count();
        assert_eq!((taken, by_size.overflowed()), (2, vec!["ids"]));
        assert!(by_size.append(0, ListId(1), Value::from("x")), "each list has a bound of its own");
        assert!(by_size.append(0, IDS, Value::from(1)), "what is refused takes no room");
    }

    #[test]
    fn the_size_counts_what_is_within() {
        let text = Value::from("0123456789");
        let list = Value::from(vec![text.clone(), text.clone()]);
        let map = Value::from_pairs([("key", list.clone())]);
        assert_eq!((size_of_value(&text), size_of_value(&list)), (18, 44));
        assert_eq!(size_of_value(&map), 8 + 44 + 11);
    }

    #[test]
    fn writers_at_once_lose_nothing_and_never_exceed_the_bound() {
        let lists = lists(4, Bound { values: 3_000, bytes: 1 << 20 });
        let taken: usize = std::thread::scope(|scope| {
            let writers: Vec<_> = (0..4)
                .map(|writer| {
                    let lists = lists.clone();
                    scope.spawn(move || (0..1_000).filter(|i| lists.append(writer, IDS, Value::from(*i))).count())
                })
                .collect();
            (0..50).for_each(|_| lists.publish());
            writers.into_iter().map(|writer| writer.join().unwrap()).sum()
        });
        lists.publish();
        assert_eq!((taken, lists.snapshot(IDS).len()), (lists.len(IDS), Some(taken)));
        assert!(taken <= 3_000 && lists.overflowed() == ["ids"]);
    }
}
