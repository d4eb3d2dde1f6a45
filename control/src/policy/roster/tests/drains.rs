use super::*;

fn resets(roster: &mut Roster, now: Instant) -> Vec<bool> {
    roster.status(now).targets().iter().map(TargetStatus::is_reset).collect()
}

fn reasons(roster: &mut Roster) -> Vec<Option<String>> {
    let snapshot = roster.status(at(0));
    snapshot.targets().iter().map(|it| it.reason().map(str::to_owned)).collect()
}

fn absent(roster: &mut Roster) -> Vec<TargetId> {
    roster.status(at(0)).drained_absent().to_vec()
}

/// Targets 1 to `count`, all of them healthy.
fn healthy(roster: &mut Roster, count: u8) {
    roster.discovered((1..=count).map(target).collect(), at(0));
    for n in 1..=count {
        roster.checked(&identity(n), Ok(()), at(0));
    }
}

fn id(n: u8) -> TargetId {
    target(n).id
}

#[test]
fn what_a_withdrawn_target_has_left_is_reset_when_its_time_is_over() {
    let mut roster = roster(0);
    roster.discovered(vec![target(1), target(2)], at(0));
    for n in [1, 2] {
        roster.checked(&identity(n), Ok(()), at(0));
    }
    roster.status(at(0)).targets()[0].counters().on(1).active.increment();
    assert_eq!(roster.next_due(at(0)), None);
    roster.discovered(vec![target(2)], at(10));
    assert_eq!(roster.status(at(10)).targets()[0].reason(), Some("left discovery"));
    // Further refreshes without it do not put it off.
    roster.discovered(vec![target(2)], at(200));
    assert_eq!(roster.next_due(at(200)), Some(at(310)));
    assert_eq!(resets(&mut roster, at(309)), [false, false]);
    let before = roster.status(at(309));
    assert_eq!(resets(&mut roster, at(310)), [true, false]);
    assert_eq!(roster.status(at(310)).generation().number(), before.generation().number() + 1);
    assert_eq!(roster.next_due(at(310)), None);

    // It comes back: the same target, to be used again.
    roster.discovered(vec![target(1), target(2)], at(320));
    let back = roster.status(at(320));
    assert!(!back.targets()[0].is_reset() && back.targets()[0].is_eligible());
    assert_eq!(back.targets()[0].reason(), None);
    assert!(Arc::ptr_eq(back.targets()[0].counters(), before.targets()[0].counters()));
    // And the next time it has all of the time again.
    roster.discovered(vec![target(2)], at(400));
    assert_eq!(resets(&mut roster, at(699)), [false, false]);
    assert_eq!(resets(&mut roster, at(700)), [true, false]);
}

#[test]
fn what_an_operator_drains_is_checked_but_not_used_until_it_is_undrained() {
    let mut roster = roster(0);
    healthy(&mut roster, 2);
    assert_eq!(shown(&mut roster), "1h* 2h*");
    assert!(roster.drain(&id(1), at(0)));
    assert_eq!(shown(&mut roster), "1d 2h*");
    assert_eq!(reasons(&mut roster)[0].as_deref(), Some("drained by operator"));
    assert_eq!(roster.to_be_checked().count(), 2);
    // It is never forgotten while it is discovered.
    for _ in 0..5 {
        roster.tick(at(0));
    }
    // Nor used when the others fail: its checks alone would end fail-open.
    for _ in 0..2 {
        roster.checked(&identity(2), BAD, at(0));
        roster.checked(&identity(1), Ok(()), at(0));
    }
    assert_eq!(shown(&mut roster), "1d 2u*");
    assert!(roster.status(at(0)).fail_open());
    // What it was checked to be meanwhile holds.
    assert!(roster.undrain(&id(1)));
    assert_eq!(shown(&mut roster), "1h* 2u");
    assert!(roster.undrain(&id(1)), "the second time too");
}

#[test]
fn its_connections_are_reset_in_time_and_a_second_order_does_not_put_that_off() {
    let mut roster = roster(0);
    healthy(&mut roster, 2);
    assert!(roster.drain(&id(2), at(10)));
    assert!(roster.drain(&id(2), at(20)));
    assert_eq!(roster.next_due(at(20)), Some(at(310)));
    assert_eq!(resets(&mut roster, at(309)), [false, false]);
    assert_eq!(resets(&mut roster, at(310)), [false, true]);
    assert!(roster.undrain(&id(2)));
    assert_eq!(resets(&mut roster, at(310)), [false, false]);
}

#[test]
fn an_operators_drain_outlives_refreshes_and_the_targets_absence() {
    let mut roster = roster(0);
    healthy(&mut roster, 2);
    roster.drain(&id(1), at(0));
    roster.discovered(vec![target(1), target(2)], at(1));
    assert_eq!(shown(&mut roster), "1d 2h*");
    roster.discovered(vec![target(2)], at(2));
    assert_eq!(reasons(&mut roster)[0].as_deref(), Some("left discovery"));
    assert_eq!(absent(&mut roster), [id(1)], "though it is still listed");
    assert!(roster.undrain(&id(1)));
    assert!(absent(&mut roster).is_empty());
    roster.drain(&id(1), at(3));
    roster.tick(at(0));
    roster.tick(at(0));
    assert_eq!(shown(&mut roster), "2h*");
    assert_eq!(absent(&mut roster), [id(1)]);
    roster.discovered(vec![target(1), target(2)], at(4));
    roster.checked(&identity(1), Ok(()), at(4));
    assert_eq!(shown(&mut roster), "1d 2h*");
    assert_eq!(reasons(&mut roster)[0].as_deref(), Some("drained by operator"));
    assert!(absent(&mut roster).is_empty());

    roster.discovered(vec![target(2)], at(5));
    roster.tick(at(0));
    roster.tick(at(0));
    assert!(roster.undrain(&id(1)));
    assert!(!roster.undrain(&id(1)), "there is no such order any more");
    assert!(!roster.drain(&id(1), at(6)), "unknown");
    assert!(!roster.undrain(&id(9)));
    roster.discovered(vec![target(1), target(2)], at(7));
    roster.checked(&identity(1), Ok(()), at(7));
    assert_eq!(shown(&mut roster), "1h* 2h*");
}

#[test]
fn unhealthy_targets_are_reset_only_where_wanted_and_not_under_fail_open() {
    for reset_unhealthy in [false, true] {
        let mut roster = roster(0);
        roster.rules.policy.reset_unhealthy = reset_unhealthy;
        healthy(&mut roster, 2);
        let mut fail = |n| {
            for _ in 0..2 {
                roster.checked(&identity(n), BAD, at(0));
            }
            resets(&mut roster, at(0))
        };
        assert_eq!(fail(1), [reset_unhealthy, false]);
        assert_eq!(fail(2), [false, false], "both are used");
        for _ in 0..2 {
            roster.checked(&identity(1), Ok(()), at(0));
        }
        assert_eq!(resets(&mut roster, at(0)), [false, reset_unhealthy]);
    }
}

#[test]
fn a_drained_target_that_turns_unhealthy_is_reset_where_that_is_wanted() {
    for reset_unhealthy in [false, true] {
        let mut roster = roster(0);
        roster.rules.policy.reset_unhealthy = reset_unhealthy;
        healthy(&mut roster, 2);
        assert!(roster.drain(&id(1), at(0)));
        assert_eq!(resets(&mut roster, at(1)), [false, false]);
        check_twice(&mut roster, 1, BAD);
        assert_eq!(resets(&mut roster, at(1)), [reset_unhealthy, false]);
        check_twice(&mut roster, 2, BAD);
        assert_eq!(resets(&mut roster, at(1)), [false, false], "fail-open: checks prove nothing");
        check_twice(&mut roster, 2, Ok(()));
        // Nobody checks it any more.
        roster.discovered(vec![target(2)], at(2));
        assert_eq!(resets(&mut roster, at(2)), [false, false]);
    }
}

fn check_twice(roster: &mut Roster, n: u8, result: Result<(), &str>) {
    (0..2).for_each(|_| {
        roster.checked(&identity(n), result, at(1));
    });
}

#[test]
fn what_checks_say_of_a_drained_target_is_news_for_its_breaker() {
    let mut roster = roster(0);
    healthy(&mut roster, 2);
    connects_failed(&mut roster, 1, 3, 0);
    assert_eq!(shown(&mut roster), "1e 2h*");
    // An operator repairs it: its checks fail, and pass again.
    assert!(roster.drain(&id(1), at(1)));
    for result in [BAD, BAD, Ok(()), Ok(())] {
        roster.checked(&identity(1), result, at(2));
    }
    assert_eq!(roster.status(at(3)).targets()[0].breaker(), BreakerState::Closed);
    assert!(roster.undrain(&id(1)));
    assert_eq!(shown(&mut roster), "1h* 2h*");
}

/// The target called `i-{name}` at the address of target `n`.
fn named(n: u8, name: &str) -> Target {
    Target { id: TargetId::new(name), ..target(n) }
}

fn address(n: u8) -> TargetId {
    TargetId::new(&target(n).address.to_string())
}

#[test]
fn a_target_with_an_id_is_drained_by_its_address_too() {
    let mut roster = roster(0);
    let name = TargetId::new("i-1");
    roster.discovered(vec![named(1, "i-1"), target(2)], at(0));
    assert!(!roster.drain(&address(3), at(0)), "nobody is there");
    for (drain, undrain) in
        [(address(1), address(1)), (address(1), name.clone()), (name.clone(), address(1))]
    {
        assert!(roster.drain(&drain, at(0)));
        assert_eq!(reasons(&mut roster), [Some("drained by operator".to_owned()), None]);
        assert!(roster.undrain(&undrain));
        assert_eq!(reasons(&mut roster), [None, None], "{drain} {undrain}");
        assert!(absent(&mut roster).is_empty());
    }
    // The order outlives its absence, and is not for another one that takes its address.
    roster.drain(&address(1), at(0));
    roster.discovered(vec![named(1, "i-9"), target(2)], at(1));
    for _ in 0..2 {
        roster.tick(at(1));
    }
    assert_eq!(reasons(&mut roster), [None, None]);
    assert_eq!(absent(&mut roster), vec![name.clone()]);
    assert!(roster.drain(&name, at(1)), "it stands already");
    roster.discovered(vec![named(1, "i-1"), target(2)], at(2));
    assert_eq!(roster.status(at(2)).targets()[0].reason(), Some("drained by operator"));
    roster.discovered(vec![target(2)], at(3));
    for _ in 0..2 {
        roster.tick(at(3));
    }
    assert!(roster.undrain(&address(1)), "by its address while it is away");
    assert!(absent(&mut roster).is_empty());
}

#[test]
fn of_targets_with_one_id_an_address_means_only_one() {
    let mut roster = roster(0);
    let drained = |roster: &mut Roster| -> Vec<bool> {
        reasons(roster).iter().map(Option::is_some).collect()
    };
    roster.discovered((1..=3).map(|n| named(n, "web")).collect(), at(0));
    roster.drain(&address(2), at(0));
    assert_eq!(drained(&mut roster), [false, true, false]);
    roster.drain(&TargetId::new("web"), at(0));
    assert_eq!(drained(&mut roster), [true, true, true]);
    roster.undrain(&address(2));
    assert_eq!(drained(&mut roster), [true, false, true]);
    roster.undrain(&TargetId::new("web"));
    assert_eq!(drained(&mut roster), [false, false, false]);
    assert!(absent(&mut roster).is_empty());
}
