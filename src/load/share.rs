//! How shards and workers divide a run without talking to each other.

/// The place of one worker among all workers of all shards.
///
/// With N shards of W workers each, worker w of shard s is global worker `g = s + N·w` of `G = N·W`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Share {
    /// s, from 0.
    pub shard: u64,
    /// N, at least 1.
    pub shards: u64,
    /// w, from 0.
    pub worker: u64,
    /// W, at least 1, the same on every shard.
    pub workers: u64,
}

impl Share {
    /// The only worker there is.
    pub const ALONE: Self = Self { shard: 0, shards: 1, worker: 0, workers: 1 };

    /// g, from 0.
    pub const fn index(&self) -> u64 {
        self.shard + self.shards * self.worker
    }

    /// G, how many workers there are in all.
    pub const fn total(&self) -> u64 {
        self.shards * self.workers
    }

    /// How many of the users `0..n` live here: those with `u mod G = g`.
    pub const fn users(&self, n: u64) -> u64 {
        match n.checked_sub(self.index() + 1) {
            Some(above) => above / self.total() + 1,
            None => 0,
        }
    }

    /// The global number of the i-th user that lives here: `g + i·G`.
    pub const fn user(&self, i: u64) -> u64 {
        self.index() + i * self.total()
    }

    /// k, the modulus by which arrivals are dealt out: `min(G, max_users)`, so that an arrival is never dealt to a worker without
    /// users. Without any user it is 1: the first worker drops them all.
    pub const fn arrivals_modulus(&self, max_users: u64) -> u64 {
        let k = if max_users < self.total() { max_users } else { self.total() };
        if k == 0 { 1 } else { k }
    }

    /// This worker's part of `total` equal things (shared connections): by the largest remainder, the first workers take
    /// one more. The parts of a shard's workers add up to [`Share::shard_part`].
    pub const fn part(&self, total: u64) -> u64 {
        total / self.total() + (self.index() < total % self.total()) as u64
    }

    /// This shard's part of `total` equal things that its workers claim as they go (`total_iterations`, `unique` rows).
    pub const fn shard_part(&self, total: u64) -> u64 {
        total / self.shards + (self.shard < total % self.shards) as u64
    }
}

/// Divides `total` by weights, by the largest remainder: each gets the whole part of `total·w/Σw`, and what is left goes singly to
/// the largest fractions, the earlier first. Weights that are negative or not finite count as 0; if all are 0, all are equal.
pub fn apportion(total: u64, weights: &[f64]) -> Vec<u64> {
    let mut weights: Vec<f64> = weights.iter().map(|w| if w.is_finite() && *w > 0.0 { *w } else { 0.0 }).collect();
    // Divided by the largest first, so that the sum of large weights stays finite.
    let largest = weights.iter().copied().fold(0.0, f64::max);
    if largest == 0.0 {
        weights.fill(1.0);
    } else {
        weights.iter_mut().for_each(|w| *w /= largest);
    }
    let sum: f64 = weights.iter().sum();
    let mut parts = Vec::with_capacity(weights.len());
    let mut fractions: Vec<(usize, f64)> = Vec::with_capacity(weights.len());
    let mut left = total;
    for (i, weight) in weights.iter().enumerate() {
        let quota = total as f64 * (weight / sum);
        // A rounding error must not give out more than there is, nor cost a part that is whole one of its own.
        let part = super::whole(quota).min(left);
        left -= part;
        parts.push(part);
        fractions.push((i, (quota - part as f64).max(0.0)));
    }
    fractions.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    // More than one round only where the total is beyond 2^53 and the quotas are that coarse.
    while left > 0 && !parts.is_empty() {
        let round = fractions.iter().take(usize::try_from(left).unwrap_or(usize::MAX));
        let mut given = 0;
        for (i, _) in round {
            parts[*i] += 1;
            given += 1;
        }
        left -= given;
    }
    parts
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Every worker of N shards of W workers.
    pub(crate) fn every_share(shards: u64, workers: u64) -> Vec<Share> {
        (0..shards).flat_map(|shard| (0..workers).map(move |worker| Share { shard, shards, worker, workers })).collect()
    }

    #[test]
    fn the_largest_remainder_not_rounding() {
        assert_eq!(apportion(100, &[50.0, 30.0, 20.0]), [50, 30, 20]);
        assert_eq!(apportion(10, &[1.0, 1.0, 1.0]), [4, 3, 3]);
        assert_eq!(apportion(7, &[0.55, 0.25, 0.2]), [4, 2, 1]);
        assert_eq!(apportion(3, &[0.0, 1.0]), [0, 3]);
        assert_eq!(apportion(5, &[0.0, f64::NAN]), [3, 2]);
        assert_eq!(apportion(5, &[]), Vec::<u64>::new());
        assert_eq!(apportion(u64::MAX, &[f64::MAX, f64::MAX]).iter().map(|p| u128::from(*p)).sum::<u128>(), u128::from(u64::MAX));
    }

    proptest! {
        #[test]
        fn parts_add_up_and_lie_within_one_of_their_quota(total in 0u64..1_000_000, weights in prop::collection::vec(0.0..100.0f64, 1..12)) {
            let parts = apportion(total, &weights);
            prop_assert_eq!(parts.iter().sum::<u64>(), total);
            let sum: f64 = weights.iter().sum();
            if sum > 0.0 {
                for (part, weight) in parts.iter().zip(&weights) {
                    prop_assert!((*part as f64 - total as f64 * weight / sum).abs() < 1.0 + 1e-6);
                }
            }
        }

        #[test]
        fn every_user_lives_in_one_place(shards in 1u64..5, workers in 1u64..6, n in 0u64..200) {
            let mut seen = vec![];
            for share in every_share(shards, workers) {
                seen.extend((0..share.users(n)).map(|i| share.user(i)));
            }
            seen.sort_unstable();
            prop_assert_eq!(seen, (0..n).collect::<Vec<_>>());
        }

        #[test]
        fn static_parts_add_up_by_worker_and_by_shard(shards in 1u64..5, workers in 1u64..6, total in 0u64..200) {
            for shard in 0..shards {
                let own: Vec<Share> = every_share(shards, workers).into_iter().filter(|s| s.shard == shard).collect();
                prop_assert_eq!(own.iter().map(|s| s.part(total)).sum::<u64>(), own[0].shard_part(total));
            }
            prop_assert_eq!(every_share(shards, 1).iter().map(|s| s.shard_part(total)).sum::<u64>(), total);
        }

        #[test]
        fn arrivals_are_dealt_to_workers_that_have_users(shards in 1u64..5, workers in 1u64..6, max_users in 1u64..40) {
            for share in every_share(shards, workers) {
                let k = share.arrivals_modulus(max_users);
                prop_assert_eq!(share.index() < k, share.users(max_users) > 0);
            }
        }
    }
}
