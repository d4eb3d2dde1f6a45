//! Which of the eligible targets gets a new connection.

use std::rc::Rc;

use exchange::Locality;

use crate::targets::{LocalLocality, LocalTarget, Targets};

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
    /// Whose turn it is: among all eligible targets first, then in each locality.
    turns: Vec<usize>,
}

impl Balancer {
    pub(crate) fn new(balance: Balance, mut rng: fastrand::Rng) -> Self {
        let turns = vec![rng.usize(..1 << 16)];
        Self { balance, rng, turns }
    }

    /// An eligible target that is not among the `tried` ones. A first choice heeds the shares of
    /// localities; another one is better than waiting for those that may all be down.
    pub(crate) fn pick(
        &mut self,
        targets: &Targets,
        tried: &[Rc<LocalTarget>],
    ) -> Option<Rc<LocalTarget>> {
        if !tried.is_empty() {
            return self.pick_another(targets.eligible(), tried);
        }
        match self.draw(targets.localities()) {
            None => self.pick_among(targets.eligible(), 0),
            Some((index, locality)) => self.pick_among(&locality.targets, index + 1),
        }
    }

    /// A locality, each as likely as its share is large.
    fn draw<'a>(&mut self, localities: &'a [LocalLocality]) -> Option<(usize, &'a LocalLocality)> {
        if localities.len() <= 1 {
            return localities.first().map(|only| (0, only));
        }
        let mut left = self.rng.u32(..Locality::WHOLE);
        localities.iter().enumerate().find(|(_, locality)| {
            let is_drawn = left < locality.share;
            left = left.saturating_sub(locality.share);
            is_drawn
        })
    }

    /// One of `targets`; `turn` tells them from others whose turns are counted.
    fn pick_among(&mut self, targets: &[Rc<LocalTarget>], turn: usize) -> Option<Rc<LocalTarget>> {
        if targets.is_empty() {
            return None;
        }
        let chosen = match self.balance {
            Balance::P2c => self.less_loaded_of_two(targets),
            Balance::Random => &targets[self.rng.usize(..targets.len())],
            Balance::RoundRobin => self.next_in_turn(targets, turn),
            Balance::LeastConnections => self.least_loaded(targets),
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
        self.pick_among(&fresh, 0)
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

    fn next_in_turn<'a>(
        &mut self,
        eligible: &'a [Rc<LocalTarget>],
        turn: usize,
    ) -> &'a Rc<LocalTarget> {
        while self.turns.len() <= turn {
            self.turns.push(self.rng.usize(..1 << 16));
        }
        self.turns[turn] = self.turns[turn].wrapping_add(1);
        &eligible[self.turns[turn] % eligible.len()]
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

    fn targets(count: u16) -> Targets {
        Targets::for_test(count, vec![])
    }

    fn balancer(balance: Balance) -> Balancer {
        Balancer::new(balance, fastrand::Rng::with_seed(7))
    }

    const ALL: [Balance; 4] =
        [Balance::P2c, Balance::RoundRobin, Balance::Random, Balance::LeastConnections];

    #[test]
    fn every_target_is_tried_once_before_none_is_left() {
        for balance in ALL {
            let targets = targets(5);
            let mut balancer = balancer(balance);
            let mut tried = Vec::new();
            while let Some(target) = balancer.pick(&targets, &tried) {
                assert!(!tried.iter().any(|old| Rc::ptr_eq(old, &target)), "{balance:?}");
                tried.push(target);
            }
            assert_eq!(tried.len(), 5, "{balance:?}");
        }
    }

    #[test]
    fn a_retry_takes_nobodys_turn() {
        let targets = targets(2);
        let mut balancer = balancer(Balance::RoundRobin);
        for _ in 0..10 {
            let tried = balancer.pick(&targets, &[]).unwrap();
            let retried = balancer.pick(&targets, &[Rc::clone(&tried)]).unwrap();
            assert!(!Rc::ptr_eq(&tried, &retried));
            let next = balancer.pick(&targets, &[]).unwrap();
            assert!(!Rc::ptr_eq(&tried, &next), "each retry brings the same one back");
        }
    }

    #[test]
    fn there_is_nothing_to_pick_from_nothing() {
        for balance in ALL {
            assert!(balancer(balance).pick(&targets(0), &[]).is_none());
        }
    }

    /// Opens `connections` that stay open; the counts per target.
    fn spread(balance: Balance, connections: usize) -> Vec<u32> {
        let targets = targets(10);
        let mut balancer = balancer(balance);
        for _ in 0..connections {
            balancer.pick(&targets, &[]).unwrap().opened();
        }
        targets.eligible().iter().map(|target| target.connections()).collect()
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
            let targets = targets(2);
            let [loaded, other] = targets.eligible() else { panic!("two") };
            for _ in 0..500 {
                loaded.opened();
            }
            let mut balancer = balancer(balance);
            for _ in 0..400 {
                balancer.pick(&targets, &[]).unwrap().opened();
            }
            assert_eq!(other.connections() == 400, heeds_load, "{balance:?}");
        }
    }

    /// Targets 0 to 3, 4 and 5 to 9 in zones that get a quarter, nothing and three quarters.
    fn zoned() -> Targets {
        let locality = |share, entries: std::ops::Range<usize>| Locality {
            share: Locality::WHOLE / 4 * share,
            entries: entries.collect(),
        };
        Targets::for_test(10, vec![locality(1, 0..4), locality(3, 5..10)])
    }

    #[test]
    fn each_locality_gets_its_share_and_balances_within_it() {
        // Slack in standard deviations' stead: 8000 draws have one of 39.
        for (balance, slack) in [
            (Balance::P2c, 10),
            (Balance::RoundRobin, 1),
            (Balance::Random, 160),
            (Balance::LeastConnections, 1),
        ] {
            let targets = zoned();
            let mut balancer = balancer(balance);
            for _ in 0..8000 {
                balancer.pick(&targets, &[]).unwrap().opened();
            }
            let counts: Vec<_> =
                targets.eligible().iter().map(|target| target.connections()).collect();
            let near: u32 = counts[..4].iter().sum();
            let far: u32 = counts[5..].iter().sum();
            assert_eq!((counts[4], near + far), (0, 8000), "{balance:?}");
            assert!(near.abs_diff(2000) <= 160, "{balance:?}: {counts:?}");
            for (counts, mean) in [(&counts[..4], near / 4), (&counts[5..], far / 5)] {
                let even = counts.iter().all(|&count| count.abs_diff(mean) <= slack);
                assert!(even, "{balance:?}: {counts:?}");
            }
        }
    }

    #[test]
    fn a_retry_may_leave_every_locality() {
        for balance in ALL {
            let targets = zoned();
            let mut balancer = balancer(balance);
            let mut tried = Vec::new();
            while let Some(target) = balancer.pick(&targets, &tried) {
                tried.push(target);
            }
            assert_eq!(tried.len(), 10, "{balance:?}");
        }
    }

    #[test]
    fn shares_that_fall_short_of_the_whole_leave_all_eligible_targets() {
        let share = Locality::WHOLE / 100;
        let short =
            vec![Locality { share, entries: vec![0] }, Locality { share, entries: vec![1] }];
        let targets = Targets::for_test(3, short);
        let mut balancer = balancer(Balance::Random);
        for _ in 0..300 {
            balancer.pick(&targets, &[]).unwrap().opened();
        }
        assert!(targets.eligible()[2].connections() > 60);
    }
}
