//! What a scenario does in one phase, as the engine takes it.

use super::{Arrivals, Shape, whole};
use std::time::Duration;

/// A scenario's load in a phase.
#[derive(Debug, Clone, PartialEq)]
pub enum Load {
    /// A number of users that go round: who answers slowly gets less.
    Closed {
        /// How many users there are, over phase time.
        level: Shape,
        /// An end before the phase's time is over.
        iterations: Option<Iterations>,
        /// The least time from one iteration's due time to the next.
        pacing: Option<Duration>,
    },
    /// Work that arrives whether or not the target keeps up.
    Open {
        /// When it arrives.
        arrivals: Arrivals,
        /// Users that are prepared before the phase starts.
        users: u64,
        /// Users there may be at most.
        max_users: u64,
        /// So many of them take turns, the first ones. Those beyond them are taken where none of these is free, the one that was busy
        /// last first.
        in_turn: u64,
        /// What becomes of an arrival that finds no free user.
        on_busy: OnBusy,
    },
}

/// How many iterations a closed load does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Iterations {
    /// So many by each user.
    Each(u64),
    /// So many by all users together.
    Total(u64),
}

/// What becomes of an arrival that finds no free user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnBusy {
    /// It is dropped, and counted so.
    Drop,
    /// It waits so long at most; the waiting is part of its response time.
    Wait(Duration),
}

impl Load {
    /// The shape behind it: users of a closed load, arrivals per second of an open one.
    pub const fn shape(&self) -> &Shape {
        match self {
            Self::Closed { level, .. } => level,
            Self::Open { arrivals, .. } => &arrivals.rate,
        }
    }

    /// The most users that can be alive at once.
    pub fn max_users(&self) -> u64 {
        match self {
            Self::Closed { level, .. } => whole(level.max()),
            Self::Open { max_users, .. } => *max_users,
        }
    }

    /// The users wanted at `t`: the level of a closed load, the prepared users of an open one while its time runs.
    pub fn users_wanted(&self, t: Duration) -> u64 {
        match self {
            Self::Closed { level, .. } => whole(level.level(t)),
            Self::Open { arrivals, users, .. } => {
                if t < arrivals.end() {
                    *users
                } else {
                    0
                }
            }
        }
    }

    /// The arrivals per second wanted at `t`; a closed load wants none in particular.
    pub fn rate_wanted(&self, t: Duration) -> Option<f64> {
        match self {
            Self::Closed { .. } => None,
            Self::Open { arrivals, .. } => Some(arrivals.rate.level(t)),
        }
    }
}
