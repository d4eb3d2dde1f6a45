use super::*;

fn slow_roster() -> Roster {
    let mut roster = roster(0);
    roster.rules.policy.slow_start = Duration::from_secs(10);
    roster
}

/// When each target's ramp began, in seconds.
fn ramps(roster: &mut Roster, now: u64) -> Vec<Option<u64>> {
    let snapshot = roster.status(at(now));
    let since = |ramp: Ramp| ramp.since().duration_since(at(0)).as_secs();
    snapshot.targets().iter().map(|entry| entry.entry().ramp().map(since)).collect()
}

fn check(roster: &mut Roster, n: u8, result: Result<(), &str>, times: u8, now: u64) {
    for _ in 0..times {
        roster.checked(&identity(n), result, at(now));
    }
    roster.status(at(now));
}

#[test]
fn the_first_set_has_no_ramp_and_those_who_join_it_have() {
    let mut roster = slow_roster();
    roster.discovered(vec![target(1), target(2), target(3)], at(0));
    // One after the other, as their checks end.
    check(&mut roster, 1, Ok(()), 1, 1);
    check(&mut roster, 2, Ok(()), 1, 2);
    check(&mut roster, 3, BAD, 1, 3);
    assert_eq!(ramps(&mut roster, 3), [None, None, None]);
    // The third was known to be late by then.
    check(&mut roster, 3, Ok(()), 1, 4);
    assert_eq!(ramps(&mut roster, 4), [None, None, Some(4)]);
    let ramping = roster.status(at(4));
    assert_eq!(ramping.targets()[2].entry().ramp().unwrap().end(), at(14));

    roster.discovered((1..=4).map(target).collect(), at(5));
    check(&mut roster, 4, Ok(()), 1, 6);
    assert_eq!(ramps(&mut roster, 6), [None, None, Some(4), Some(6)]);
    // That a ramp is over is not worth a snapshot; the next one leaves it out.
    let before = roster.status(at(6));
    assert!(Arc::ptr_eq(&before, &roster.status(at(30))));
    check(&mut roster, 1, BAD, 2, 31);
    assert_eq!(ramps(&mut roster, 31), [None; 4]);
    // Recovered.
    check(&mut roster, 1, Ok(()), 2, 32);
    assert_eq!(ramps(&mut roster, 32), [Some(32), None, None, None]);
    // Undrained.
    roster.drain(&target(2).id, at(33));
    assert_eq!(ramps(&mut roster, 33), [Some(32), None, None, None]);
    roster.undrain(&target(2).id);
    assert_eq!(ramps(&mut roster, 34), [Some(32), Some(34), None, None]);
}

#[test]
fn fail_open_gives_no_ramps_nor_does_its_end() {
    let mut roster = slow_roster();
    roster.discovered(vec![target(1), target(2)], at(0));
    for n in [1, 2] {
        check(&mut roster, n, Ok(()), 1, 0);
    }
    for n in [1, 2] {
        check(&mut roster, n, BAD, 2, 1);
    }
    assert!(roster.status(at(1)).fail_open());
    assert_eq!(ramps(&mut roster, 1), [None, None]);
    // In use before, in use after.
    check(&mut roster, 1, Ok(()), 2, 2);
    assert_eq!(ramps(&mut roster, 2), [None, None]);
    check(&mut roster, 2, Ok(()), 2, 3);
    assert_eq!(ramps(&mut roster, 3), [None, Some(3)]);
}

#[test]
fn a_set_that_replaces_all_at_once_has_no_ramp() {
    let mut roster = slow_roster();
    roster.discovered(vec![target(1)], at(0));
    check(&mut roster, 1, Ok(()), 1, 0);
    roster.discovered(vec![target(2), target(3)], at(1));
    roster.status(at(1));
    check(&mut roster, 2, Ok(()), 1, 2);
    check(&mut roster, 3, Ok(()), 1, 3);
    assert_eq!(ramps(&mut roster, 3), [None, None, None]);
}
