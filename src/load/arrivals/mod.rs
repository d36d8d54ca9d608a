//! When arrivals are due: a family of spacings, one file each.
//!
//! Every member numbers the arrivals of the whole phase from 0 in the order of their due times, the same on every worker, so
//! that workers can each take theirs (`n mod modulus = index`) without a word between them. A new member is its file, a
//! variant of [`Spacing`] and a line in [`Arrivals::stream`]; the contract test at the end holds for every one.

mod even;
mod poisson;

use super::Shape;
use even::Even;
use poisson::Poisson;
use std::time::Duration;

/// How arrivals lie under their rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spacing {
    /// Arrival n is due where the area under the rate reaches n + 1.
    Even,
    /// A Poisson process of that rate: independent of each other, as users are that don't know of each other.
    Poisson {
        /// The key of its random stream.
        seed: u64,
    },
}

/// The arrivals of a phase.
#[derive(Debug, Clone, PartialEq)]
pub struct Arrivals {
    /// Arrivals per second over phase time.
    pub rate: Shape,
    /// `at_once`: when, and how many together; in any order. They count as they stand, at the phase's end too.
    pub bursts: Vec<(Duration, u64)>,
    /// How arrivals lie under the rate.
    pub spacing: Spacing,
}

impl Arrivals {
    /// How many arrivals there are in the whole phase, over all workers: for even spacing the floor of the area under the rate,
    /// plus the bursts. A Poisson process has to be drawn to be counted, which takes some 20 ns an arrival.
    pub fn total(&self) -> u64 {
        self.due_by(self.end())
    }

    /// How many are to be expected, with their fraction: the area under the rate, plus the bursts. Never takes long.
    pub fn expected(&self) -> f64 {
        self.rate.total_area() + self.bursts.iter().map(|burst| burst.1 as f64).sum::<f64>()
    }

    /// More arrivals for so long, at the rate that these end with.
    pub fn held(&self, duration: Duration) -> Self {
        let spacing = match self.spacing {
            Spacing::Even => Spacing::Even,
            // Drawn anew, for those that were drawn are over.
            Spacing::Poisson { seed } => Spacing::Poisson { seed: !seed },
        };
        Self { rate: Shape::flat(duration, self.rate.last()), bursts: Vec::new(), spacing }
    }

    /// When the last arrival can be due: the end of the rate, or the last burst.
    pub fn end(&self) -> Duration {
        self.bursts.iter().filter(|burst| burst.1 > 0).map(|burst| burst.0).fold(self.rate.duration(), Duration::max)
    }

    /// How many are due at `t` or before, over all workers. For Poisson see [`Arrivals::total`].
    pub fn due_by(&self, t: Duration) -> u64 {
        match self.spacing {
            Spacing::Even => Even::due_by(&self.rate, &self.bursts, t),
            Spacing::Poisson { seed } => Poisson::due_by(&self.rate, &self.bursts, seed, t),
        }
    }

    /// The arrivals with `n mod modulus = index`, ascending: their numbers and due times. None if `index` isn't below
    /// `modulus`.
    pub fn stream(&self, index: u64, modulus: u64) -> ArrivalStream {
        // In the order of their times, the empty ones left out.
        let mut bursts: Vec<_> = self.bursts.iter().copied().filter(|burst| burst.1 > 0).collect();
        bursts.sort_by_key(|burst| burst.0);
        let inner = if index >= modulus {
            Inner::None
        } else {
            match self.spacing {
                Spacing::Even => Inner::Even(Even::new(&self.rate, &bursts, index, modulus)),
                Spacing::Poisson { seed } => Inner::Poisson(Poisson::new(&self.rate, bursts, seed, index, modulus)),
            }
        };
        ArrivalStream { inner }
    }
}

/// One worker's arrivals: see [`Arrivals::stream`].
#[derive(Debug, Clone)]
pub struct ArrivalStream {
    inner: Inner,
}

#[derive(Debug, Clone)]
enum Inner {
    None,
    Even(Even),
    Poisson(Poisson),
}

impl Iterator for ArrivalStream {
    type Item = (u64, Duration);

    fn next(&mut self) -> Option<Self::Item> {
        match &mut self.inner {
            Inner::None => None,
            Inner::Even(even) => even.next(),
            Inner::Poisson(poisson) => poisson.next(),
        }
    }
}

#[cfg(test)]
pub(crate) mod testing;

#[cfg(test)]
mod contract;
