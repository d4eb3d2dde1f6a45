use std::rc::Rc;
use std::time::Instant;

use super::{Balance, Balancer};
use crate::selection::candidates::Candidates;
use crate::selection::local_target::LocalTarget;

/// What a load is divided by at least, at a ramp's very start.
const PART_MIN: f64 = 0.001;

impl Balancer {
    /// A choice while the share of some targets still grows.
    ///
    /// A ramping target that is drawn is kept with the probability of its part, else one that
    /// does not ramp takes its place. Where load decides, a ramping target counts as fuller than
    /// it is: alone for being empty it would get far more than its part.
    pub(super) fn pick_ramping<'a>(
        &mut self,
        candidates: &'a Candidates,
        turn: usize,
        now: Instant,
    ) -> &'a Rc<LocalTarget> {
        let all = candidates.all();
        match self.balance {
            Balance::Random | Balance::Maglev => {
                let drawn = self.any(all);
                self.keep_or_replace(drawn, candidates, now)
            }
            Balance::RoundRobin => {
                let drawn = self.next_in_turn(all, turn);
                self.keep_or_replace(drawn, candidates, now)
            }
            Balance::P2c => {
                let (first, second) = self.any_two(all);
                let first = self.keep_or_replace(first, candidates, now);
                let second = self.keep_or_replace(second, candidates, now);
                // Without adding one: while nobody has connections, being drawn decides.
                let load = |target: &LocalTarget| weigh(target.load().total(), target, now);
                if load(second) < load(first) { second } else { first }
            }
            Balance::LeastConnections => self.least_loaded(all, |target| {
                weigh(target.load().total().saturating_add(1), target, now)
            }),
        }
    }

    /// If all ramp, none is held back: they share what there is.
    pub(super) fn keep_or_replace<'a>(
        &mut self,
        drawn: &'a Rc<LocalTarget>,
        candidates: &'a Candidates,
        now: Instant,
    ) -> &'a Rc<LocalTarget> {
        let steady = candidates.steady();
        let is_kept = drawn.status().ramp().is_none_or(|ramp| self.rng.f64() < ramp.part(now))
            || steady.is_empty();
        if is_kept { drawn } else { self.any(steady) }
    }
}

/// The load that a target with its full share would have in its place.
fn weigh(load: u32, target: &LocalTarget, now: Instant) -> f64 {
    f64::from(load) / target.status().part(now).max(PART_MIN)
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::time::Duration;

    use exchange::{Ramp, Routing};

    use super::*;
    use crate::selection::targets::Targets;
    use crate::selection::targets::tests::snapshot;

    const RAMP: Duration = Duration::from_secs(100);
    const ALL: [Balance; 4] =
        [Balance::P2c, Balance::RoundRobin, Balance::Random, Balance::LeastConnections];

    /// Ten targets, the first ones of which began to ramp at `since`.
    fn targets(ramping: usize, since: Instant) -> Targets {
        let all = snapshot(10, 1);
        let entries = all.entries().iter().cloned().enumerate().map(|(index, entry)| {
            entry.with_ramp((index < ramping).then(|| Ramp::new(since, RAMP)))
        });
        let mut targets = Targets::new(0, 1);
        targets.update(&Routing::to(entries.collect()).into());
        targets
    }

    /// How many of `clients` got each target at `now`, while the last `live` of them stay.
    fn picks(balance: Balance, targets: &Targets, now: Instant, live: usize) -> Vec<usize> {
        let mut balancer = Balancer::new(balance, fastrand::Rng::with_seed(5));
        let mut counts = vec![0; 10];
        let mut open = VecDeque::new();
        for client in 0..20_000 + live {
            let target = balancer.pick(targets, &[], now).unwrap();
            target.load().opened();
            if client >= live {
                counts[usize::from(target.address().port()) - 1] += 1;
            }
            open.push_back(target);
            if open.len() > live {
                open.pop_front().unwrap().load().closed();
            }
        }
        counts
    }

    #[test]
    fn the_share_grows_in_proportion() {
        for balance in ALL {
            for percent in [5, 25, 50, 75, 100] {
                // Next to nobody, or many, at a time.
                for live in [1, 1000] {
                    if balance == Balance::LeastConnections && live == 1 {
                        continue; // it goes by load alone
                    }
                    let since = Instant::now();
                    let now = since + RAMP * percent / 100;
                    let counts = picks(balance, &targets(1, since), now, live);
                    let expected = 20 * percent as usize;
                    let slack = 40 + expected / 6;
                    let case = format!("{balance:?}, {percent} %, {live} live: {counts:?}");
                    assert!(counts[0].abs_diff(expected) <= slack, "{case}");
                    let rest = (20_000 - counts[0]) / 9;
                    let even = counts[1..].iter().all(|count| count.abs_diff(rest) < rest / 8);
                    assert!(even, "{case}");
                }
            }
        }
    }

    #[test]
    fn an_empty_newcomer_is_not_flooded() {
        for balance in ALL {
            let since = Instant::now();
            let targets = targets(1, since);
            for target in &targets.eligible()[1..] {
                (0..1000).for_each(|_| target.load().opened());
            }
            let now = since + RAMP / 10;
            let mut balancer = Balancer::new(balance, fastrand::Rng::with_seed(5));
            for _ in 0..1000 {
                balancer.pick(&targets, &[], now).unwrap().load().opened();
            }
            let count = targets.eligible()[0].load().connections();
            // Twice its part at most where load decides; the least loaded gets as much of the load
            // as of the share.
            let most = if balance == Balance::LeastConnections { 120 } else { 35 };
            assert!(count <= most, "{balance:?}: {count}");
        }
    }

    #[test]
    fn at_its_very_beginning_it_gets_next_to_nothing() {
        for balance in ALL {
            let since = Instant::now();
            assert!(picks(balance, &targets(1, since), since, 100)[0] < 20, "{balance:?}");
        }
    }

    #[test]
    fn if_all_ramp_all_share() {
        for balance in ALL {
            let since = Instant::now();
            let counts = picks(balance, &targets(10, since), since + RAMP / 20, 100);
            assert!(
                counts.iter().all(|count| count.abs_diff(2000) < 200),
                "{balance:?}: {counts:?}"
            );
        }
    }

    #[test]
    fn once_ramps_are_over_nothing_differs() {
        for balance in ALL {
            let since = Instant::now();
            let over = picks(balance, &targets(3, since), since + RAMP, 100);
            assert_eq!(over, picks(balance, &targets(0, since), since, 100), "{balance:?}");
        }
    }

    #[test]
    fn a_retry_heeds_ramps_too() {
        for balance in ALL {
            let since = Instant::now();
            let targets = targets(1, since);
            let tried = [Rc::clone(&targets.eligible()[9])];
            let mut balancer = Balancer::new(balance, fastrand::Rng::with_seed(5));
            let newcomer = &targets.eligible()[0];
            let retries =
                std::iter::repeat_with(|| balancer.pick(&targets, &tried, since).unwrap());
            let count = retries.take(1000).filter(|picked| Rc::ptr_eq(picked, newcomer)).count();
            assert!(count < 5, "{balance:?}: {count}");
        }
    }
}
