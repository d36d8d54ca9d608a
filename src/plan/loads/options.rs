//! What goes with a level: iterations and pacing of users; spacing, pools and waiting of arrivals.

use std::time::Duration;

use super::{Builder, DEFAULT_MAX_USERS, MOST_AT_ONCE, Pace, StageLoad};
use crate::base::written::{Form, Node};
use crate::load::{Arrivals, Iterations, Load, OnBusy, Shape, Spacing, prepared_users};
use crate::profile::written;
use crate::profile::written::{AmountLevel, Level};

/// What goes with users.
#[derive(Default)]
pub(super) struct ClosedOptions {
    pub iterations: Option<Iterations>,
    pub pacing: Option<Duration>,
}

/// What goes with arrivals.
#[derive(Default)]
pub(super) struct OpenOptions {
    users: Option<u64>,
    max_users: Option<u64>,
    poisson: bool,
    order: Option<written::UsersOrder>,
    /// As written, if it is.
    on_busy: Option<OnBusy>,
    at: Node,
}

impl Builder<'_, '_> {
    pub(super) fn closed_options(&mut self, part: &StageLoad<'_>, options: &mut ClosedOptions) {
        if let Some(each) = part.load.iterations {
            // There are more or fewer of those users already.
            options.iterations = Some(Iterations::Each(each.value));
        }
        if let Some(total) = part.load.total_iterations {
            options.iterations = Some(Iterations::Total(self.count(total.value, part)));
        }
        if let Some(pacing) = part.load.pacing {
            if options.pacing.is_some_and(|other| other != pacing.value) {
                self.resolver.error(pacing.at, "the stages of a phase have one pacing");
            }
            options.pacing = Some(pacing.value);
        }
    }

    pub(super) fn open_options(&mut self, part: &StageLoad<'_>, options: &mut OpenOptions) {
        let load = part.load;
        if let Some(users) = load.users {
            match users.value.level() {
                Level::Constant(number) => {
                    let number = self.count(number as u64, part);
                    options.users = options.users.max(Some(number));
                    options.at = users.at;
                }
                Level::Ramp(..) => {
                    self.resolver.error(users.at, "with a rate `users` says how many are prepared; that can't be a ramp");
                }
            }
        }
        if let Some(max) = load.max_users {
            if max.value == 0 {
                self.resolver.error(max.at, "`max_users: 0` would drop every arrival; allow at least one");
            }
            if max.value > MOST_AT_ONCE {
                self.resolver.error(max.at, format!("no machine has so many users; `max_users` is {MOST_AT_ONCE} at most"));
            }
            options.max_users = options.max_users.max(Some(self.count(max.value.min(MOST_AT_ONCE), part).max(1)));
            options.at = max.at;
        }
        if let Some(arrivals) = load.arrivals {
            options.poisson |= arrivals.value == written::Arrivals::Poisson;
        }
        if let Some(order) = load.users_order {
            if options.order.is_some_and(|other| other != order.value) {
                self.resolver.error(order.at, "the stages of a phase have one order of users");
            }
            options.order = Some(order.value);
        }
        match &load.on_busy {
            Some(Form::Long(wait)) => options.on_busy = Some(OnBusy::Wait(wait.wait.value)),
            Some(Form::Short(_)) => options.on_busy = Some(OnBusy::Drop),
            None => {}
        }
    }

    pub(super) fn open(
        &mut self,
        rate: Shape,
        bursts: Vec<(Duration, u64)>,
        options: &OpenOptions,
        pace: Option<&Pace>,
        (scenario, length): (usize, Duration),
    ) -> Load {
        let peak = rate.max();
        let at_once = bursts.iter().map(|burst| burst.1).max().unwrap_or(0);
        let longest = pace.map_or(Duration::from_secs(30), |pace| pace.longest);
        let cap = self.users_limit.unwrap_or(DEFAULT_MAX_USERS).max(1);
        let wanted = prepared_users(peak, longest).max(at_once).max(options.users.unwrap_or(0));
        let max_users = options.max_users.unwrap_or_else(|| wanted.min(cap.max(options.users.unwrap_or(0))));
        // Prepared are those that the pauses and an answer within a second keep busy; more are made as they are needed.
        let busy = pace.map_or(Duration::ZERO, |pace| pace.pauses) + Duration::from_secs(1);
        let users = options.users.unwrap_or_else(|| prepared_users(peak, busy).max(at_once).min(max_users));
        if users > max_users {
            self.resolver.error(options.at, format!("{users} users are prepared, and `max_users` allows {max_users}"));
        }
        // Users that are written are different people; others are there because the load needs them.
        let in_turn = match options.order {
            Some(written::UsersOrder::InTurn) => max_users,
            Some(written::UsersOrder::Latest) => 0,
            None => options.users.unwrap_or(0),
        };
        let spacing = if options.poisson {
            // A stream of its own for each scenario and phase.
            Spacing::Poisson { seed: self.seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ (scenario as u64 + 1) }
        } else {
            Spacing::Even
        };
        // Those who all come at once find nobody who has done its `start` yet: each waits for one.
        let waits = peak == 0.0 && self.starts(scenario);
        let on_busy = options.on_busy.unwrap_or(if waits { OnBusy::Wait(length) } else { OnBusy::Drop });
        Load::Open { arrivals: Arrivals { rate, bursts, spacing }, users, max_users, in_turn, on_busy }
    }

    /// Whether the users of a scenario have a `start`.
    fn starts(&self, scenario: usize) -> bool {
        let written = self.resolver.profile.written.scenarios.iter().nth(scenario);
        written.is_some_and(|(_, scenario)| scenario.start.is_some())
    }
}
