//! Picks the rows that an iteration, or a user for its life, gets. One for each worker; it takes no lock.

use std::cell::Cell;
use std::sync::Arc;

use crate::base::random::Stream;
use crate::expr::{Layer, ListId, Lists, Rows, Scope, Symbol, Value};
use crate::load::Share;
use crate::plan::{Data, DataSource, Pick};

use super::allocator::RowAllocator;

/// See the module.
pub(super) struct Picker {
    share: Share,
    seed: u64,
    allocator: Arc<RowAllocator>,
    lists: Arc<Lists>,
    sources: Vec<Source>,
}

struct Source {
    symbol: Symbol,
    rows: From,
    pick: Pick,
    /// Rows that were picked here so far.
    turn: Cell<u64>,
    /// The most users that pick from it.
    users: u64,
}

enum From {
    Table(Rows),
    Remembered(ListId),
}

/// For whom rows are picked.
#[derive(Debug, Clone, Copy)]
pub(super) struct Who {
    /// The scenario's index.
    pub scenario: u64,
    /// The user's number over the whole run.
    pub user: u64,
    /// Its iteration; [`Who::LIFE`] where it is for the user's life.
    pub iteration: u64,
}

impl Who {
    /// What isn't for one iteration.
    pub const LIFE: u64 = u64::MAX;
}

/// The rows of `unique` that an iteration has before it begins, in the order of the data that it needs. None where it needs
/// none of those.
pub(super) type Claim = Option<Box<[u64]>>;

impl Picker {
    pub fn new(data: &[Data], seed: u64, allocator: Arc<RowAllocator>, lists: Arc<Lists>, share: Share) -> Self {
        let source = |data: &Data| Source {
            symbol: data.symbol,
            rows: match &data.source {
                DataSource::Table(table) => From::Table(Rows::new(table)),
                DataSource::Remembered(list) => From::Remembered(*list),
            },
            pick: data.pick,
            turn: Cell::new(0),
            users: data.users,
        };
        Self { share, seed, allocator, lists, sources: data.iter().map(source).collect() }
    }

    /// Whether any of the data can run out.
    pub fn can_run_out(&self, needs: &[usize]) -> bool {
        needs.iter().any(|data| self.sources[*data].pick == Pick::Unique)
    }

    /// Whether any of the data is known to have run out.
    pub fn is_out(&self, needs: &[usize]) -> bool {
        // A list that users fill as they go may have grown since.
        let for_good = |data: &usize| matches!(self.sources[*data].rows, From::Table(_)) && self.allocator.is_out(*data);
        needs.iter().any(for_good)
    }

    /// Takes a row of each of the data that can run out; nothing if one of them has.
    ///
    /// # Errors
    /// One of them has run out.
    pub fn claim(&self, needs: &[usize], phase_run: u64) -> Result<Claim, RanOut> {
        let unique = needs.iter().filter(|data| self.sources[**data].pick == Pick::Unique);
        let rows: Box<[u64]> = unique.map(|data| self.take(*data, phase_run).ok_or(RanOut)).collect::<Result<_, _>>()?;
        Ok(Some(rows).filter(|rows| !rows.is_empty()))
    }

    fn take(&self, data: usize, phase_run: u64) -> Option<u64> {
        let source = &self.sources[data];
        let share = self.share_of(source);
        self.allocator.take(data, self.len(source), &share, phase_run)
    }

    /// What a user picks becomes its variables.
    pub fn put(&self, needs: &[usize], claim: Claim, who: Who, layer: Layer, scope: &mut Scope) {
        let mut claimed = claim.iter().flat_map(|rows| rows.iter().copied());
        for data in needs {
            let source = &self.sources[*data];
            let value = match self.pick(*data, source, who, || claimed.next()) {
                Some(row) => self.value(source, row),
                None => Value::UNDEFINED,
            };
            scope.set(layer, source.symbol, value);
        }
    }

    /// The variables that rows of these data are, and their values.
    pub fn symbols(&self, needs: &[usize], scope: &Scope) -> Vec<(Symbol, Value)> {
        needs.iter().map(|data| self.sources[*data].symbol).map(|symbol| (symbol, scope.get(symbol))).collect()
    }

    /// The number of a row; none of a list that is empty.
    fn pick(&self, data: usize, source: &Source, who: Who, claimed: impl FnOnce() -> Option<u64>) -> Option<u64> {
        let rows = self.len(source);
        if rows == 0 {
            return None;
        }
        match source.pick {
            Pick::Unique => claimed(),
            Pick::PerUser => Some(who.user % rows),
            Pick::Random => {
                // A stream of its own, so that data don't change an iteration's other choices.
                let key = [self.seed, who.scenario, who.user, who.iteration, data as u64];
                Some(Stream::keyed(&key).below(rows))
            }
            Pick::Sequential => {
                let turn = source.turn.replace(source.turn.get() + 1);
                let share = self.share_of(source);
                // Workers without users pick nothing.
                let k = share.total().min(source.users).max(share.index() + 1);
                Some((share.index() + turn * k) % rows)
            }
        }
    }

    /// A list that users fill is this shard's alone.
    fn share_of(&self, source: &Source) -> Share {
        match source.rows {
            From::Table(_) => self.share,
            From::Remembered(_) => Share { shard: 0, shards: 1, ..self.share },
        }
    }

    fn len(&self, source: &Source) -> u64 {
        match &source.rows {
            From::Table(rows) => rows.len(),
            From::Remembered(list) => self.lists.snapshot(*list).len().unwrap_or_default() as u64,
        }
    }

    fn value(&self, source: &Source, row: u64) -> Value {
        match &source.rows {
            From::Table(rows) => rows.get(row),
            From::Remembered(list) => self.lists.snapshot(*list).get_item_by_index(row as usize).unwrap_or_default(),
        }
    }
}

/// No row is left of data that gives each one once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct RanOut;

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::expr::{Compiler, ScenarioValues, Table};

    fn data(pick: Pick, rows: u64, users: u64) -> Data {
        let list: Vec<u64> = (0..rows).collect();
        let table = Table::json(format!("{list:?}").into_bytes()).unwrap();
        let symbol = Compiler::new().symbol("row");
        Data { name: "row".into(), symbol, source: DataSource::Table(Arc::new(table)), pick, users }
    }

    /// The row that each iteration gets, for so many on each worker.
    fn picked(data: &Data, shards: u64, workers: u64, each: u64) -> Vec<Vec<u64>> {
        let mut all = Vec::new();
        for shard in 0..shards {
            let allocator = Arc::new(RowAllocator::new(std::slice::from_ref(data), workers as usize));
            for worker in 0..workers {
                let share = Share { shard, shards, worker, workers };
                let picker = Picker::new(std::slice::from_ref(data), 42, allocator.clone(), Arc::default(), share);
                let user = share.index();
                let mut scope = Scope::new(Arc::new(ScenarioValues::default()), user);
                let row = |iteration| {
                    let claim = picker.claim(&[0], 0).ok()?;
                    picker.put(&[0], claim, Who { scenario: 3, user, iteration }, Layer::Iteration, &mut scope);
                    u64::try_from(scope.get(data.symbol)).ok()
                };
                all.push((0..each).map_while(row).collect());
            }
        }
        all
    }

    proptest! {
        #[test]
        fn sequential_rows_come_equally_often_and_the_first_ones_first(
            rows in 1u64..40, shards in 1u64..3, workers in 1u64..4, times in 1u64..4,
        ) {
            let workers_in_all = shards * workers;
            let picked = picked(&data(Pick::Sequential, rows, 1000), shards, workers, rows * times);
            let mut count = BTreeMap::new();
            picked.iter().flatten().for_each(|row| *count.entry(*row).or_insert(0) += 1);
            prop_assert!(count.len() as u64 == rows && count.values().all(|n| *n == times * workers_in_all), "{count:?}");
            let firsts: Vec<u64> = picked.iter().map(|rows| rows[0]).collect();
            let expected: Vec<u64> =
                (0..shards).flat_map(|s| (0..workers).map(move |w| (s + shards * w) % rows)).collect();
            prop_assert_eq!(firsts, expected);
        }
    }

    #[test]
    fn a_lone_user_of_many_workers_has_all_rows_in_their_order() {
        assert_eq!(picked(&data(Pick::Sequential, 3, 1), 1, 4, 7)[0], [0, 1, 2, 0, 1, 2, 0]);
    }

    #[test]
    fn per_user_is_the_users_number_modulo_the_rows() {
        let rows = picked(&data(Pick::PerUser, 3, 1000), 2, 2, 2);
        // Users 0 and 2 on the first shard, 1 and 3 on the second.
        assert_eq!(rows, [[0, 0], [2, 2], [1, 1], [0, 0]]);
    }

    #[test]
    fn random_rows_are_fixed_by_seed_scenario_user_and_iteration() {
        let data = data(Pick::Random, 1000, 10);
        let rows = picked(&data, 1, 2, 50);
        assert_eq!(rows, picked(&data, 1, 2, 50));
        assert_ne!(rows[0], rows[1]);
        assert!(rows.iter().flatten().collect::<std::collections::BTreeSet<_>>().len() > 80);
    }

    #[test]
    fn unique_rows_are_given_once_over_shards_and_workers_and_then_none() {
        let mut rows: Vec<u64> = picked(&data(Pick::Unique, 500, 10), 3, 4, 60).into_iter().flatten().collect();
        rows.sort_unstable();
        assert_eq!(rows, (0..500).collect::<Vec<_>>());
    }
}
