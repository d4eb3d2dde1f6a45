//! Which of the eligible targets gets a new connection.

use std::rc::Rc;

use crate::targets::LocalTarget;

/// How the target of a new connection is chosen among the eligible ones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Balance {
    /// The less loaded of two chosen at random (Mitzenmacher, "The Power of Two Choices in
    /// Randomized Load Balancing", 2001).
    #[default]
    P2c,
    /// Each in turn.
    RoundRobin,
    /// Any, at random.
    Random,
    /// The one with the fewest connections.
    LeastConnections,
}

/// One core's choice. Load is what this core has open; ties are broken at random or in turn, so
/// that cores don't all prefer the same target.
#[derive(Debug)]
pub(crate) struct Balancer {
    balance: Balance,
    rng: fastrand::Rng,
    turn: usize,
}

impl Balancer {
    pub(crate) fn new(balance: Balance, mut rng: fastrand::Rng) -> Self {
        let turn = rng.usize(..1 << 16);
        Self { balance, rng, turn }
    }

    /// One of `eligible` that is not among the `tried` ones.
    pub(crate) fn pick(
        &mut self,
        eligible: &[Rc<LocalTarget>],
        tried: &[Rc<LocalTarget>],
    ) -> Option<Rc<LocalTarget>> {
        if eligible.is_empty() {
            return None;
        }
        if !tried.is_empty() {
            return self.pick_another(eligible, tried);
        }
        let chosen = match self.balance {
            Balance::P2c => self.less_loaded_of_two(eligible),
            Balance::Random => &eligible[self.rng.usize(..eligible.len())],
            Balance::RoundRobin => self.next_in_turn(eligible),
            Balance::LeastConnections => self.least_loaded(eligible),
        };
        Some(Rc::clone(chosen))
    }

    /// For a retry: rare, so it may look at all of them.
    fn pick_another(
        &mut self,
        eligible: &[Rc<LocalTarget>],
        tried: &[Rc<LocalTarget>],
    ) -> Option<Rc<LocalTarget>> {
        let is_fresh = |target: &Rc<LocalTarget>| !tried.iter().any(|old| Rc::ptr_eq(old, target));
        let fresh: Vec<_> = eligible.iter().filter(|target| is_fresh(target)).cloned().collect();
        if self.balance == Balance::RoundRobin && !fresh.is_empty() {
            // A turn taken here would be missing elsewhere: of two targets, the one that is down
            // would be the next client's again, and so each client's.
            return Some(Rc::clone(&fresh[self.rng.usize(..fresh.len())]));
        }
        self.pick(&fresh, &[])
    }

    fn less_loaded_of_two<'a>(&mut self, eligible: &'a [Rc<LocalTarget>]) -> &'a Rc<LocalTarget> {
        let first = self.rng.usize(..eligible.len());
        if eligible.len() == 1 {
            return &eligible[0];
        }
        // Distinct: the second is drawn from the others.
        let second = (first + self.rng.usize(1..eligible.len())) % eligible.len();
        let (first, second) = (&eligible[first], &eligible[second]);
        if second.connections() < first.connections() { second } else { first }
    }

    fn next_in_turn<'a>(&mut self, eligible: &'a [Rc<LocalTarget>]) -> &'a Rc<LocalTarget> {
        self.turn = self.turn.wrapping_add(1);
        &eligible[self.turn % eligible.len()]
    }

    fn least_loaded<'a>(&mut self, eligible: &'a [Rc<LocalTarget>]) -> &'a Rc<LocalTarget> {
        // Among equals the first one wins: start each time elsewhere.
        let (after, before) = eligible.split_at(self.rng.usize(..eligible.len()));
        let least = before.iter().chain(after).min_by_key(|target| target.connections());
        least.expect("not empty")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn targets(count: u16) -> Vec<Rc<LocalTarget>> {
        (1..=count).map(LocalTarget::for_test).collect()
    }

    fn balancer(balance: Balance) -> Balancer {
        Balancer::new(balance, fastrand::Rng::with_seed(7))
    }

    const ALL: [Balance; 4] =
        [Balance::P2c, Balance::RoundRobin, Balance::Random, Balance::LeastConnections];

    #[test]
    fn every_target_is_tried_once_before_none_is_left() {
        for balance in ALL {
            let eligible = targets(5);
            let mut balancer = balancer(balance);
            let mut tried = Vec::new();
            while let Some(target) = balancer.pick(&eligible, &tried) {
                assert!(!tried.iter().any(|old| Rc::ptr_eq(old, &target)), "{balance:?}");
                tried.push(target);
            }
            assert_eq!(tried.len(), 5, "{balance:?}");
        }
    }

    #[test]
    fn a_retry_takes_nobodys_turn() {
        let eligible = targets(2);
        let mut balancer = balancer(Balance::RoundRobin);
        for _ in 0..10 {
            let tried = balancer.pick(&eligible, &[]).unwrap();
            let retried = balancer.pick(&eligible, &[Rc::clone(&tried)]).unwrap();
            assert!(!Rc::ptr_eq(&tried, &retried));
            let next = balancer.pick(&eligible, &[]).unwrap();
            assert!(!Rc::ptr_eq(&tried, &next), "each retry brings the same one back");
        }
    }

    #[test]
    fn there_is_nothing_to_pick_from_nothing() {
        for balance in ALL {
            assert!(balancer(balance).pick(&[], &[]).is_none());
        }
    }

    /// Opens `connections` that stay open; the counts per target.
    fn spread(balance: Balance, connections: usize) -> Vec<u32> {
        let eligible = targets(10);
        let mut balancer = balancer(balance);
        for _ in 0..connections {
            balancer.pick(&eligible, &[]).unwrap().opened();
        }
        eligible.iter().map(|target| target.connections()).collect()
    }

    #[test]
    fn connections_are_spread_evenly() {
        for (balance, slack) in [
            (Balance::P2c, 5),
            (Balance::RoundRobin, 0),
            (Balance::Random, 150),
            (Balance::LeastConnections, 0),
        ] {
            let counts = spread(balance, 10_000);
            let even = counts.iter().all(|&count| count.abs_diff(1000) <= slack);
            assert!(even, "{balance:?}: {counts:?}");
        }
    }

    #[test]
    fn load_decides_where_it_should() {
        for (balance, heeds_load) in [
            (Balance::P2c, true),
            (Balance::LeastConnections, true),
            (Balance::RoundRobin, false),
            (Balance::Random, false),
        ] {
            let eligible = targets(2);
            for _ in 0..500 {
                eligible[0].opened();
            }
            let mut balancer = balancer(balance);
            for _ in 0..400 {
                balancer.pick(&eligible, &[]).unwrap().opened();
            }
            assert_eq!(eligible[1].connections() == 400, heeds_load, "{balance:?}");
        }
    }
}
