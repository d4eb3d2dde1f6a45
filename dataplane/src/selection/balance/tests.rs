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
        while let Some(target) = balancer.pick(&targets, &tried, Instant::now()) {
            assert!(!tried.iter().any(|old| Rc::ptr_eq(old, &target)), "{balance:?}");
            tried.push(target);
        }
        assert_eq!(tried.len(), 5, "{balance:?}");
    }
}

#[test]
fn a_retry_takes_nobodys_turn() {
    for balance in [Balance::RoundRobin, Balance::LeastConnections] {
        let targets = targets(2);
        let mut balancer = balancer(balance);
        for _ in 0..10 {
            let tried = balancer.pick(&targets, &[], Instant::now()).unwrap();
            let retried = balancer.pick(&targets, &[Rc::clone(&tried)], Instant::now()).unwrap();
            assert!(!Rc::ptr_eq(&tried, &retried));
            let next = balancer.pick(&targets, &[], Instant::now()).unwrap();
            assert!(!Rc::ptr_eq(&tried, &next), "each retry brings the same one back");
        }
    }
}

#[test]
fn there_is_nothing_to_pick_from_nothing() {
    for balance in ALL {
        assert!(balancer(balance).pick(&targets(0), &[], Instant::now()).is_none());
    }
}

/// Opens `connections` that stay open; the counts per target.
fn spread(balance: Balance, connections: usize) -> Vec<u32> {
    let targets = targets(10);
    let mut balancer = balancer(balance);
    for _ in 0..connections {
        balancer.pick(&targets, &[], Instant::now()).unwrap().load().opened();
    }
    targets.eligible().iter().map(|target| target.load().connections()).collect()
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
            loaded.load().opened();
        }
        let mut balancer = balancer(balance);
        for _ in 0..400 {
            balancer.pick(&targets, &[], Instant::now()).unwrap().load().opened();
        }
        assert_eq!(other.load().connections() == 400, heeds_load, "{balance:?}");
    }
}

/// Which of so many targets gets each of ten clients who come one after the other, to any core.
fn one_after_the_other(cores: usize, targets: u16, seed: u64) -> [u16; 10] {
    let snapshot = crate::selection::targets::tests::snapshot(targets, cores);
    let core = |core| {
        let mut targets = Targets::new(core, cores);
        targets.update(&snapshot);
        (targets, balancer(Balance::LeastConnections))
    };
    let mut cores: Vec<_> = (0..cores).map(core).collect();
    let mut rng = fastrand::Rng::with_seed(seed);
    // At one instant: as few counts as these are read each time.
    let now = Instant::now();
    [(); 10].map(|()| {
        let core = rng.usize(..cores.len());
        let (targets, balancer) = &mut cores[core];
        targets.read_other_cores(now);
        let target = balancer.pick(targets, &[], now).unwrap();
        target.load().opened();
        target.load().closed();
        target.load().ended(true);
        target.address().port()
    })
}

#[test]
fn those_with_the_fewest_connections_take_turns_over_all_cores() {
    for (cores, targets) in [(1, 2), (1, 5), (2, 2), (2, 5), (3, 2), (4, 2)] {
        for seed in 0..20 {
            let served = one_after_the_other(cores, targets, seed);
            for turns in served.windows(usize::from(targets) + 1) {
                let is_same = turns.first() == turns.last();
                assert!(is_same, "{cores} cores, {targets} targets: {served:?}");
            }
        }
    }
}

#[test]
fn whoever_has_more_connections_misses_its_turn() {
    let targets = targets(3);
    let mut balancer = balancer(Balance::LeastConnections);
    let mut next = || balancer.pick(&targets, &[], Instant::now()).unwrap().address().port();
    let first = [(); 3].map(|()| next());
    targets.eligible()[usize::from(first[0]) - 1].load().opened();
    assert_eq!([(); 4].map(|()| next()), [first[1], first[2], first[1], first[2]]);
    targets.eligible()[usize::from(first[0]) - 1].load().closed();
    assert_eq!(next(), first[0]);
}

/// Targets 0 to 3, 4 and 5 to 9 in zones that get a quarter, nothing and three quarters.
fn zoned() -> Targets {
    let locality = |share, entries: std::ops::Range<usize>| {
        Locality::new(Locality::WHOLE / 4 * share, entries.collect())
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
            balancer.pick(&targets, &[], Instant::now()).unwrap().load().opened();
        }
        let counts: Vec<_> =
            targets.eligible().iter().map(|target| target.load().connections()).collect();
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
        while let Some(target) = balancer.pick(&targets, &tried, Instant::now()) {
            tried.push(target);
        }
        assert_eq!(tried.len(), 10, "{balance:?}");
    }
}

#[test]
fn shares_that_fall_short_of_the_whole_leave_all_eligible_targets() {
    let share = Locality::WHOLE / 100;
    let short = vec![Locality::new(share, vec![0]), Locality::new(share, vec![1])];
    let targets = Targets::for_test(3, short);
    let mut balancer = balancer(Balance::Random);
    for _ in 0..300 {
        balancer.pick(&targets, &[], Instant::now()).unwrap().load().opened();
    }
    assert!(targets.eligible()[2].load().connections() > 60);
}
