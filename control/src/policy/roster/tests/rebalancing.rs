use super::*;

fn check(roster: &mut Roster, n: u8, result: Result<(), &str>, now: u64) {
    roster.checked(&identity(n), result, at(now));
    roster.checked(&identity(n), result, at(now));
    roster.status(at(now));
}

/// Two targets with 100 connections each.
fn loaded() -> Roster {
    let mut roster = roster(0);
    roster.rules.policy.rebalance_rate = 100;
    roster.rebalance = Rebalance::new(100);
    roster.discovered(vec![target(1), target(2)], at(0));
    check(&mut roster, 1, Ok(()), 0);
    check(&mut roster, 2, Ok(()), 1);
    for entry in roster.status(at(1)).targets() {
        entry.counters().on(0).active.add(100);
    }
    roster
}

fn grant(roster: &mut Roster, now: u64) -> Vec<u64> {
    roster.rebalance(at(now), &mut || 0.5);
    let snapshot = roster.status(at(now));
    let granted = |entry: &TargetStatus| {
        let budget = entry.counters().rebalance_budget();
        let granted = budget.take_back();
        budget.grant(granted);
        granted
    };
    snapshot.targets().iter().map(granted).collect()
}

fn since(roster: &mut Roster, now: u64) -> Option<Instant> {
    roster.status(at(now)).snapshot().rebalanced_since()
}

#[test]
fn a_target_that_joins_has_others_make_room_and_the_first_set_has_not() {
    let mut roster = loaded();
    assert_eq!((since(&mut roster, 2), roster.rebalance_due()), (None, None));
    roster.discovered(vec![target(1), target(2), target(3)], at(3));
    assert_eq!(since(&mut roster, 3), None, "it has to pass its check");
    check(&mut roster, 3, Ok(()), 4);
    assert_eq!(since(&mut roster, 4), Some(at(4)));
    assert!(roster.rebalance_due().is_some());
    assert_eq!(grant(&mut roster, 5), [10, 10, 0]);
    // One that is not used loses no connections; the others may have to take its connections.
    check(&mut roster, 2, BAD, 6);
    assert_eq!(grant(&mut roster, 6), [0, 0, 0]);
    // One that recovers joins too.
    check(&mut roster, 2, Ok(()), 7);
    assert_eq!(since(&mut roster, 7), Some(at(7)));
    assert_eq!(grant(&mut roster, 8), [10, 10, 0]);
}

#[test]
fn fail_open_ends_no_connection() {
    let mut roster = loaded();
    roster.discovered(vec![target(1), target(2), target(3)], at(3));
    check(&mut roster, 3, Ok(()), 4);
    assert_eq!(grant(&mut roster, 5), [10, 10, 0]);
    for n in 1..=3 {
        check(&mut roster, n, BAD, 6);
    }
    assert!(roster.status(at(6)).fail_open());
    assert_eq!(grant(&mut roster, 7), [0, 0, 0]);
}

#[test]
fn an_ejected_target_has_no_share_and_a_ramping_one_its_part() {
    let mut roster = loaded();
    roster.rules.policy.slow_start = Duration::from_secs(100);
    connects_failed(&mut roster, 1, 3, 2);
    roster.discovered(vec![target(1), target(2), target(3)], at(3));
    check(&mut roster, 3, Ok(()), 100);
    let snapshot = roster.status(at(100));
    assert!(!snapshot.targets()[0].is_eligible());
    assert_eq!(grant(&mut roster, 101), [0, 0, 0], "a hundredth of the share is no excess");
    assert!(since(&mut roster, 101).is_some());
    assert_eq!(grant(&mut roster, 120), [0, 5, 0]);
    assert_eq!(grant(&mut roster, 150), [0, 20, 0]);
}
