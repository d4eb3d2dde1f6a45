//! Several cores that balance each by itself, with what they know of each other.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::rc::Rc;
use std::time::{Duration, Instant};

use exchange::{Routing, Snapshot};

use super::{Balance, Balancer};
use crate::selection::local_target::LocalTarget;
use crate::selection::targets::Targets;
use crate::selection::targets::tests::snapshot;
use testkit::seeds::seeds;

const TICK: Duration = Duration::from_millis(1);
/// In percent. 125 is promised; up to 114 is seen if cores know nothing of each other.
const SPREAD_MAX: u64 = 110;

fn cores(
    balance: Balance,
    count: usize,
    seed: u64,
    snapshot: &Snapshot,
) -> Vec<(Targets, Balancer)> {
    let core = |core| {
        let mut targets = Targets::new(core, count);
        targets.update(snapshot);
        (targets, Balancer::new(balance, fastrand::Rng::with_seed(seed * 100 + core as u64)))
    };
    (0..count).map(core).collect()
}

/// The busiest target's connections, of all cores, in percent of the mean.
fn spread(snapshot: &Snapshot) -> u64 {
    let counts = snapshot.entries().iter().map(|entry| entry.counters().active());
    counts.clone().max().unwrap() * 100 * counts.clone().count() as u64 / counts.sum::<u64>()
}

/// The largest spread that is seen once a second after the start, with `rate` connections a second
/// that live for two seconds on average; half of them come to the first core, half of the rest to
/// the second, and so on.
fn largest_spread(balance: Balance, count: usize, rate: u32, seed: u64) -> u64 {
    let snapshot = snapshot(10, count);
    let mut cores = cores(balance, count, seed, &snapshot);
    let mut rng = fastrand::Rng::with_seed(seed);
    let start = Instant::now();
    // When each ends, and which it is.
    let mut live = BinaryHeap::new();
    let mut all: Vec<Rc<LocalTarget>> = Vec::new();
    let (mut due, mut largest) = (0, 0);
    for ms in 0..12_000_u32 {
        let now = start + ms * TICK;
        while let Some(&Reverse((end, index))) = live.peek()
            && end <= ms
        {
            live.pop();
            let ended: &Rc<LocalTarget> = &all[index];
            ended.load().closed();
            ended.load().ended(true);
        }
        due += rng.u32(..=2 * rate);
        while due >= 1000 {
            due -= 1000;
            let core = (0..count - 1).find(|_| rng.bool()).unwrap_or(count - 1);
            let (targets, balancer) = &mut cores[core];
            let target = balancer.pick(targets, &[], now).unwrap();
            target.load().opened();
            live.push(Reverse((ms + rng.u32(1..4000), all.len())));
            all.push(target);
        }
        for (targets, _) in &mut cores {
            targets.read_other_cores(now);
        }
        if ms >= 6000 && ms % 1000 == 0 {
            largest = largest.max(spread(&snapshot));
        }
    }
    largest
}

#[test]
fn all_cores_together_spread_connections_evenly() {
    for balance in [Balance::P2c, Balance::LeastConnections] {
        for count in [2, 3, 5, 8] {
            for rate in [200, 4000] {
                for seed in 0..seeds(2) {
                    let largest = largest_spread(balance, count, rate, seed);
                    assert!(
                        largest <= SPREAD_MAX,
                        "{balance:?}, {count} cores, {rate}/s, seed {seed}: {largest}"
                    );
                }
            }
        }
    }
}

#[test]
fn a_core_without_connections_of_its_own_heeds_those_of_the_others() {
    for balance in [Balance::P2c, Balance::LeastConnections] {
        let snapshot = snapshot(10, 2);
        let others = snapshot.entries()[..9].to_vec();
        let mut cores = cores(balance, 2, 1, &Routing::to(others).into());
        let mut now = Instant::now();
        let (targets, balancer) = &mut cores[0];
        for _ in 0..900 {
            balancer.pick(targets, &[], now).unwrap().load().opened();
        }
        let (targets, balancer) = &mut cores[1];
        targets.update(&snapshot);
        for _ in 0..900 {
            now += TICK;
            targets.read_other_cores(now);
            balancer.pick(targets, &[], now).unwrap().load().opened();
        }
        // Of its own connections it would get a tenth: 90.
        let newcomer = snapshot.entries()[9].counters().active();
        assert!((160..=185).contains(&newcomer), "{balance:?}: {newcomer}");
    }
}

#[test]
fn only_so_many_counts_are_read_at_a_time_and_all_in_the_end() {
    let snapshot = snapshot(100, 5);
    let mut targets = Targets::new(0, 5);
    targets.update(&snapshot);
    for entry in snapshot.entries() {
        entry.counters().on(3).active.add(7);
    }
    let seen =
        |targets: &Targets| targets.eligible().iter().filter(|it| it.load().total() == 7).count();
    let mut now = Instant::now();
    for expected in [16, 32, 48, 64, 80, 96, 100] {
        targets.read_other_cores(now);
        targets.read_other_cores(now + TICK / 2);
        assert_eq!(seen(&targets), expected);
        now += TICK;
    }
}
