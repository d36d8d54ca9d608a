//! Which branch comes next: shares that are kept exactly, in an order that is seeded.
//!
//! Drawing at random keeps shares only roughly: of 1,000 draws at 10 % some 80 to 120 fall on it. So a user draws from decks of
//! cards, as from an urn without putting back. Weights that are whole numbers with a small sum make one deck: 70, 20 and 10 are
//! seven, two and one of ten cards. Others make decks of 100 cards, in each of which a branch has as many cards as its share comes
//! to, rounded up or down; what is rounded evens out over the decks that follow (systematic sampling: the cards of a deck lie at
//! even distances on a line that the branches divide among them, and from deck to deck they move on by the golden section of a
//! distance, so that in the end each place of the line was drawn once).
//!
//! Each deck is shuffled (Fisher and Yates) by a stream of its own. Users next to each other share their decks and begin at
//! cards next to each other: what they draw at once is a whole deck too, and not only what one of them draws in a row.

use crate::base::random::Stream;
use crate::load::apportion;

/// The most cards that a deck has.
const CARDS: u64 = 100;
/// What weights that aren't whole numbers are brought to, at most.
const PARTS: u64 = 1_000_000;

/// What distinguishes one choice's decks from all others': the seed, the scenario, the step.
pub(super) type Key = [u64; 3];

/// The decks of one choice among branches.
#[derive(Debug, Clone)]
pub struct Deck {
    /// How many cards a deck has.
    cards: u64,
    /// After how many decks every place on the line was drawn once.
    decks: u64,
    /// Where each branch's part of the line ends; the line has `cards · decks` places.
    ends: Box<[u64]>,
    /// From deck to deck the cards move on by so many places; it has no divisor in common with `decks`.
    stride: u64,
}

impl Deck {
    /// Decks for branches of these weights, or nothing if none is above 0.
    pub fn new(weights: &[f64]) -> Option<Self> {
        let parts = whole(weights);
        let sum: u64 = parts.iter().sum();
        if sum == 0 {
            return None;
        }
        let (cards, decks, each) = if sum <= CARDS { (sum, 1, 1) } else { (CARDS, sum, CARDS) };
        let ends = parts.iter().scan(0, |end, part| {
            *end += part * each;
            Some(*end)
        });
        let golden = ((decks as f64 * 0.618_033_988_749_894_9) as u64).max(1);
        // 1 is reached at last, and has no divisor in common with anything.
        let stride = (1..=golden).rev().find(|stride| divisor(*stride, decks) == 1).unwrap_or(1);
        Some(Self { cards, decks, ends: ends.collect(), stride })
    }

    /// The branch that user `user` takes at its `n`-th draw, both from 0.
    pub(super) fn draw(&self, key: Key, user: u64, n: u64) -> usize {
        let (block, deck) = (user / self.cards, n / self.cards);
        let mut stream = Stream::keyed(&[key[0], key[1], key[2], block, deck]);
        let card = self.shuffled((n % self.cards + user % self.cards) % self.cards, &mut stream);
        let offset = match self.decks {
            1 => 0,
            decks => {
                let first = Stream::keyed(&[key[0], key[1], key[2], block]).below(decks);
                ((u128::from(deck % decks) * u128::from(self.stride) + u128::from(first)) % u128::from(decks)) as u64
            }
        };
        let place = card * self.decks + offset;
        self.ends.partition_point(|end| *end <= place)
    }

    /// The card at a place of a shuffled deck.
    fn shuffled(&self, place: u64, stream: &mut Stream) -> u64 {
        let mut deck: [u8; CARDS as usize] = std::array::from_fn(|card| card as u8);
        // Only as far as that place: what is behind it isn't looked at.
        let place = place as usize;
        for at in 0..=place {
            let other = at + stream.below(self.cards - at as u64) as usize;
            deck.swap(at, other);
        }
        u64::from(deck[place])
    }
}

/// The same shares in the smallest whole numbers; those of weights with more than six decimals are to a millionth.
fn whole(weights: &[f64]) -> Vec<u64> {
    let scaled = [1.0, 10.0, 100.0, 1e3, 1e4, 1e5, 1e6].into_iter().find_map(|scale| {
        let scaled: Vec<f64> = weights.iter().map(|weight| weight * scale).collect();
        let exact = scaled.iter().all(|weight| (weight - weight.round()).abs() < 1e-9 * weight.max(1.0));
        (exact && scaled.iter().sum::<f64>() < 1e9).then(|| scaled.iter().map(|weight| weight.round() as u64).collect::<Vec<_>>())
    });
    let parts = match scaled {
        Some(parts) => parts,
        None if weights.iter().any(|weight| *weight > 0.0) => apportion(PARTS, weights),
        None => return vec![0; weights.len()],
    };
    let common = parts.iter().copied().fold(0, divisor).max(1);
    parts.into_iter().map(|part| part / common).collect()
}

/// The greatest common divisor (Euclid); of 0 and n it is n.
fn divisor(a: u64, b: u64) -> u64 {
    let (mut a, mut b) = (a, b);
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const KEY: Key = [42, 3, 1];

    fn counts(deck: &Deck, branches: usize, draws: impl Iterator<Item = (u64, u64)>) -> Vec<u64> {
        let mut counts = vec![0; branches];
        draws.for_each(|(user, n)| counts[deck.draw(KEY, user, n)] += 1);
        counts
    }

    #[test]
    fn small_whole_numbers_make_one_deck() {
        for (weights, cards) in
            [(&[70.0, 20.0, 10.0][..], 10), (&[1.0], 1), (&[0.5, 0.25, 0.25], 4), (&[33.0, 67.0], 100), (&[5.0, 0.0, 5.0], 2)]
        {
            let deck = Deck::new(weights).unwrap();
            assert_eq!((deck.cards, deck.decks), (cards, 1), "{weights:?}");
        }
        assert!(Deck::new(&[]).is_none());
        assert!(Deck::new(&[0.0, 0.0]).is_none());
        assert_eq!((Deck::new(&[1.0, 999.0]).unwrap().cards, Deck::new(&[1.0, 999.0]).unwrap().decks), (100, 1000));
        // Thirds have no end of decimals.
        assert_eq!(whole(&[1.0 / 3.0, 2.0 / 3.0]), [333_333, 666_667]);
    }

    #[test]
    fn the_order_is_shuffled_seeded_and_of_each_deck_anew() {
        let deck = Deck::new(&[50.0, 50.0]).unwrap();
        let row = |key, user| (0..64).map(|n| deck.draw(key, user, n)).collect::<Vec<_>>();
        assert_eq!(row(KEY, 5), row(KEY, 5));
        assert_ne!(row(KEY, 5), row([43, 3, 1], 5));
        assert_ne!(row(KEY, 5), row([42, 3, 2], 5));
        assert_ne!(row(KEY, 5), row(KEY, 7));
        // Neither of both orders of a deck of two cards comes always.
        let firsts: usize = (0..1000).map(|n| deck.draw(KEY, 4, 2 * n)).sum();
        assert!((400..600).contains(&firsts), "{firsts}");
    }

    #[test]
    fn two_choices_of_one_flow_are_independent() {
        let deck = Deck::new(&[50.0, 50.0]).unwrap();
        let mut both = [0; 4];
        (0..4000).for_each(|n| both[deck.draw([1, 0, 0], 9, n) * 2 + deck.draw([1, 0, 1], 9, n)] += 1);
        assert!(both.iter().all(|n| (900..1100).contains(n)), "{both:?}");
    }

    fn weights() -> impl Strategy<Value = Vec<f64>> {
        prop_oneof![
            prop::collection::vec((0u32..50).prop_map(f64::from), 1..6),
            prop::collection::vec((0u32..5_000).prop_map(|weight| f64::from(weight) / 10.0), 1..6),
            prop::collection::vec(0.0..1e4f64, 1..6),
        ]
    }

    proptest! {
        #[test]
        fn any_number_of_draws_keeps_the_shares(weights in weights(), user in 0u64..1000, n in 1u64..3000) {
            let Some(deck) = Deck::new(&weights) else { return Ok(()) };
            let sum: f64 = weights.iter().sum();
            let counts = counts(&deck, weights.len(), (0..n).map(|n| (user, n)));
            let full = n / deck.cards;
            for (count, weight) in counts.iter().zip(&weights) {
                let share = weight / sum;
                // Of whole decks all is exact but what is rounded; in the last one any of its cards may have come first.
                let rounding = if deck.decks == 1 { 0.0 } else { 3.0 + 2.0 * (full as f64 + 1.0).log2() };
                let last = ((n % deck.cards) as f64).min(deck.cards as f64 * share + 1.0);
                let off = (*count as f64 - n as f64 * share).abs();
                prop_assert!(off <= rounding + last + n as f64 * 1e-5, "{counts:?} of {n}, {deck:?}");
                if *weight == 0.0 {
                    prop_assert_eq!(*count, 0);
                }
            }
        }

        #[test]
        fn whole_decks_are_exact(weights in prop::collection::vec(0u32..40, 1..6), user in 0u64..1000, decks in 1u64..20) {
            let weights: Vec<f64> = weights.into_iter().map(f64::from).collect();
            let Some(deck) = Deck::new(&weights) else { return Ok(()) };
            let n = deck.cards * deck.decks * if deck.decks == 1 { decks } else { 1 };
            let sum: f64 = weights.iter().sum();
            let exact: Vec<u64> = weights.iter().map(|weight| (weight / sum * n as f64).round() as u64).collect();
            prop_assert_eq!(counts(&deck, weights.len(), (0..n).map(|n| (user, n))), exact);
        }

        #[test]
        fn a_block_of_users_draws_a_whole_deck_at_once(weights in weights(), block in 0u64..50, n in 0u64..500) {
            let Some(deck) = Deck::new(&weights) else { return Ok(()) };
            let sum: f64 = weights.iter().sum();
            let users = block * deck.cards..(block + 1) * deck.cards;
            let counts = counts(&deck, weights.len(), users.map(|user| (user, n)));
            for (count, weight) in counts.iter().zip(&weights) {
                prop_assert!((*count as f64 - weight / sum * deck.cards as f64).abs() < 1.0 + 1e-3, "{counts:?}");
            }
        }
    }
}
