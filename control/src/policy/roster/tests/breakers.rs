//! Targets whose circuit breaker is not closed.

use super::*;
use crate::policy::breaker::ConnectAttempt;
use BreakerState;

const FAILED: ConnectAttempt = ConnectAttempt::Failed(std::io::ErrorKind::ConnectionRefused);

/// Its entry in the snapshot of that second.
fn entry(roster: &mut Roster, n: u8, seconds: u64) -> TargetStatus {
    let snapshot = roster.status(at(seconds));
    let found = snapshot.targets().iter().find(|it| Identity::of(it.target()) == identity(n));
    found.unwrap().clone()
}

/// So many targets, all healthy; the breakers' threshold is 3, their timeout 60 s. Checks go to
/// another port.
fn healthy(count: u8) -> Roster {
    checked_healthy(count, Some(81))
}

fn checked_healthy(count: u8, check_port: Option<u16>) -> Roster {
    let mut roster = roster(0);
    roster.rules.check_port = check_port;
    roster.discovered((1..=count).map(target).collect(), at(0));
    (1..=count).for_each(|n| {
        roster.checked(&identity(n), Ok(()), at(0));
    });
    roster.status(at(0));
    roster
}

fn check_twice(roster: &mut Roster, n: u8, result: Result<(), &str>, seconds: u64) {
    (0..2).for_each(|_| {
        roster.checked(&identity(n), result, at(seconds));
    });
}

/// Whom attempts begin to connect to in that second.
fn begin(roster: &mut Roster, seconds: u64) -> Vec<u8> {
    let begun = roster.begin_attempts(at(seconds));
    let number = |identity: &Identity| match identity.address.ip() {
        std::net::IpAddr::V4(ip) => ip.octets()[3],
        std::net::IpAddr::V6(_) => unreachable!("targets have IPv4 addresses"),
    };
    begun.iter().map(number).collect()
}

fn attempted(roster: &mut Roster, n: u8, began: u64, result: ConnectAttempt, seconds: u64) {
    roster.attempted(&identity(n), at(began), result, at(seconds));
}

#[test]
fn an_ejected_target_gets_nothing_until_an_attempt_reaches_it() {
    let mut roster = healthy(2);
    connects_failed(&mut roster, 1, 2, 0);
    assert_eq!(shown(&mut roster), "1h* 2h*");
    connects_failed(&mut roster, 1, 1, 0);
    assert_eq!(shown(&mut roster), "1e 2h*");
    let reason = entry(&mut roster, 1, 0).reason().unwrap().to_owned();
    assert!(reason.starts_with("3 connects in a row failed: connection refused"), "{reason}");
    check_twice(&mut roster, 1, Ok(()), 1);
    assert_eq!(shown(&mut roster), "1e 2h*", "another port says nothing");

    assert_eq!(roster.next_due(at(0)), Some(at(1)));
    assert!(begin(&mut roster, 0).is_empty());
    assert_eq!(begin(&mut roster, 1), [1]);
    assert_eq!(entry(&mut roster, 1, 1).breaker(), BreakerState::HalfOpen);
    assert_eq!(shown(&mut roster), "1e 2h*");
    assert_eq!(roster.next_due(at(1)), None);
    attempted(&mut roster, 1, 1, FAILED, 2);
    assert_eq!(roster.next_due(at(2)), Some(at(4)));
    assert_eq!(begin(&mut roster, 4), [1]);
    attempted(&mut roster, 1, 4, ConnectAttempt::Reached, 5);
    assert_eq!(shown_at(&mut roster, 5), "1h* 2h*");
    assert_eq!(roster.breaker_transitions(), Transitions { open: 2, half_open: 2, closed: 1 });
}

#[test]
fn a_check_of_the_clients_port_that_began_later_brings_a_target_back() {
    for port in [None, Some(80)] {
        let mut roster = checked_healthy(2, port);
        connects_failed(&mut roster, 1, 3, 5);
        roster.checked(&identity(1), Ok(()), at(5));
        assert_eq!(shown_at(&mut roster, 7), "1e 2h*", "it had connected before");
        assert!(begin(&mut roster, 8).is_empty(), "the check finds out");
        roster.checked(&identity(1), Ok(()), at(6));
        assert_eq!(shown_at(&mut roster, 8), "1h* 2h*");
    }
    // Once its checks fail it takes as many to pass as ever.
    let mut roster = checked_healthy(2, None);
    connects_failed(&mut roster, 1, 3, 0);
    check_twice(&mut roster, 1, BAD, 1);
    roster.checked(&identity(1), Ok(()), at(2));
    assert_eq!(shown(&mut roster), "1u 2h*");
    roster.checked(&identity(1), Ok(()), at(3));
    assert_eq!(shown(&mut roster), "1h* 2h*");
}

#[test]
fn a_connect_that_succeeds_under_fail_open_brings_a_target_back() {
    let mut roster = healthy(2);
    (1..=2).for_each(|n| connects_failed(&mut roster, n, 3, 0));
    assert_eq!(shown(&mut roster), "1e* 2e*");
    // What fails meanwhile changes nothing.
    (1..=2).for_each(|n| connects_failed(&mut roster, n, 9, 1));
    entry(&mut roster, 1, 1).counters().on(1).connected.increment();
    assert_eq!(shown_at(&mut roster, 1), "1h* 2e");
    roster.discovered(vec![target(2)], at(2));
    assert_eq!(shown_at(&mut roster, 2), "1d 2e*");
}

#[test]
fn fail_open_that_only_breakers_cause_uses_the_targets_whose_checks_pass() {
    let mut roster = healthy(3);
    (1..=3).for_each(|n| connects_failed(&mut roster, n, 3, 0));
    assert_eq!(shown(&mut roster), "1e* 2e* 3e*");
    assert!(roster.status(at(0)).fail_open());
    check_twice(&mut roster, 1, BAD, 0);
    assert_eq!(shown(&mut roster), "1e 2e* 3e*");
    check_twice(&mut roster, 2, BAD, 0);
    assert_eq!(shown(&mut roster), "1e 2e 3e*");
    check_twice(&mut roster, 3, BAD, 0);
    assert_eq!(shown(&mut roster), "1e* 2e* 3e*", "checks prove nothing either");

    let mut roster = healthy(2);
    connects_failed(&mut roster, 1, 3, 0);
    check_twice(&mut roster, 2, BAD, 0);
    assert_eq!(shown(&mut roster), "1e* 2u");

    // A threshold is for both.
    let mut roster = healthy(4);
    roster.rules.policy.fail_open_threshold = 25;
    (1..=3).for_each(|n| connects_failed(&mut roster, n, 3, 0));
    assert_eq!(shown(&mut roster), "1e* 2e* 3e* 4h*");
    check_twice(&mut roster, 1, BAD, 0);
    assert_eq!(shown(&mut roster), "1e 2e* 3e* 4h*");
    (2..=3).for_each(|n| check_twice(&mut roster, n, BAD, 0));
    assert_eq!(shown(&mut roster), "1e* 2e* 3e* 4h*");
}

#[test]
fn fail_open_by_breakers_resets_what_checks_condemn() {
    let mut roster = healthy(2);
    roster.rules.policy.reset_unhealthy = true;
    (1..=2).for_each(|n| connects_failed(&mut roster, n, 3, 0));
    check_twice(&mut roster, 1, BAD, 0);
    assert!(entry(&mut roster, 1, 0).is_reset() && !entry(&mut roster, 2, 0).is_reset());
    check_twice(&mut roster, 2, BAD, 0);
    assert!(!entry(&mut roster, 1, 0).is_reset() && !entry(&mut roster, 2, 0).is_reset());
}

#[test]
fn a_newcomer_that_is_being_checked_does_not_put_fail_open_off_that_breakers_cause() {
    let mut roster = healthy(2);
    roster.discovered((1..=3).map(target).collect(), at(0));
    (1..=2).for_each(|n| connects_failed(&mut roster, n, 3, 0));
    assert_eq!(shown(&mut roster), "1e* 2e* 3c");
}

#[test]
fn while_checks_fail_no_attempt_is_made_and_once_they_pass_one_is_that_was_due() {
    let mut roster = healthy(2);
    connects_failed(&mut roster, 1, 3, 0);
    check_twice(&mut roster, 1, BAD, 0);
    assert_eq!(shown(&mut roster), "1e 2h*");
    assert_eq!(roster.next_due(at(0)), None);
    assert!(begin(&mut roster, 100).is_empty());
    roster.checked(&identity(1), Ok(()), at(100));
    assert!(begin(&mut roster, 100).is_empty(), "rise is 2");
    roster.checked(&identity(1), Ok(()), at(101));
    assert_eq!(begin(&mut roster, 101), [1]);
    // One that is under way is waited for.
    check_twice(&mut roster, 1, BAD, 101);
    assert_eq!(entry(&mut roster, 1, 101).breaker(), BreakerState::HalfOpen);
    attempted(&mut roster, 1, 101, ConnectAttempt::Reached, 102);
    assert_eq!(shown(&mut roster), "1u 2h*");
}

#[test]
fn a_target_that_leaves_is_not_tried_and_comes_back_ejected() {
    let mut roster = healthy(2);
    connects_failed(&mut roster, 1, 3, 0);
    roster.discovered(vec![target(2)], at(0));
    assert!(begin(&mut roster, 61).is_empty());
    roster.discovered(vec![target(1), target(2)], at(62));
    assert_eq!(shown_at(&mut roster, 62), "1e 2h*");
    assert_eq!(begin(&mut roster, 62), [1]);
    // What is under way when it leaves is waited for.
    roster.discovered(vec![target(2)], at(63));
    roster.discovered(vec![target(1), target(2)], at(64));
    assert!(begin(&mut roster, 64).is_empty());
    attempted(&mut roster, 1, 62, FAILED, 65);
    assert_eq!(begin(&mut roster, 67), [1]);
}

#[test]
fn a_forgotten_target_starts_anew_and_late_news_of_it_changes_nothing() {
    let mut roster = healthy(2);
    connects_failed(&mut roster, 1, 3, 0);
    assert_eq!(begin(&mut roster, 1), [1]);
    roster.discovered(vec![target(2)], at(1));
    (0..2).for_each(|_| roster.tick(at(1)));
    for result in [ConnectAttempt::Reached, FAILED] {
        attempted(&mut roster, 1, 1, result, 2);
        assert_eq!(shown_at(&mut roster, 2), "2h*");
    }
    roster.discovered(vec![target(1), target(2)], at(3));
    roster.checked(&identity(1), Ok(()), at(3));
    assert_eq!(shown_at(&mut roster, 3), "1h* 2h*");
    // The attempt of its earlier life is no answer to the one that is under way now.
    connects_failed(&mut roster, 1, 3, 3);
    assert_eq!(begin(&mut roster, 4), [1]);
    attempted(&mut roster, 1, 1, ConnectAttempt::Reached, 4);
    assert_eq!(shown_at(&mut roster, 4), "1e 2h*");
}

#[test]
fn only_so_many_attempts_are_made_at_a_time_and_none_waits_for_ever() {
    let mut roster = healthy(40);
    (1..=40).for_each(|n| connects_failed(&mut roster, n, 3, 0));
    let first = begin(&mut roster, 1);
    assert_eq!(first.len(), 16);
    assert!(begin(&mut roster, 2).is_empty());
    for n in &first {
        attempted(&mut roster, *n, 1, FAILED, 3);
    }
    // By now the first ones are due again, and have to let the others go before.
    let second = begin(&mut roster, 60);
    assert!(second.len() == 16 && second.iter().all(|n| !first.contains(n)), "{second:?}");
    for n in &second {
        attempted(&mut roster, *n, 60, FAILED, 60);
    }
    let third = begin(&mut roster, 90);
    assert_eq!(third.iter().filter(|n| !first.contains(n) && !second.contains(n)).count(), 8);
}

#[test]
fn what_fails_before_a_success_is_not_in_a_row_with_what_fails_after() {
    let mut roster = healthy(2);
    let counters = Arc::clone(entry(&mut roster, 1, 0).counters());
    connects_failed(&mut roster, 1, 2, 0);
    counters.on(1).connected.increment();
    connects_failed(&mut roster, 1, 2, 0);
    assert_eq!(shown(&mut roster), "1h* 2h*");
    connects_failed(&mut roster, 1, 1, 0);
    assert_eq!(shown(&mut roster), "1e 2h*");
}

/// Any sequence of failures, attempts, checks and withdrawals of few targets.
#[test]
fn invariants_hold_with_breakers_whatever_happens() {
    for seed in 1..=seeds(200) {
        let mut random = Random(seed);
        let mut roster = checked_healthy(3, [None, Some(81)][random.below(2)]);
        let mut under_way: Vec<(u8, u64)> = Vec::new();
        let mut seconds = 0;
        for step in 0..300 {
            let place = format!("seed {seed}, step {step}");
            let n = u8::try_from(1 + random.below(3)).unwrap();
            match random.below(8) {
                0 => roster.discovered(
                    (1..=3).filter(|_| random.below(5) > 0).map(target).collect(),
                    at(seconds),
                ),
                1 => check_twice(
                    &mut roster,
                    n,
                    if random.below(3) == 0 { BAD } else { Ok(()) },
                    seconds,
                ),
                2..=4 if roster.members.contains_key(&identity(n)) => {
                    connects_failed(&mut roster, n, 2, seconds);
                }
                5 if !under_way.is_empty() => {
                    let (n, began) = under_way.swap_remove(random.below(under_way.len()));
                    let result = [ConnectAttempt::Reached, FAILED][random.below(2)].clone();
                    attempted(&mut roster, n, began, result, seconds);
                }
                6 => {
                    for n in begin(&mut roster, seconds) {
                        assert!(under_way.iter().all(|(of, _)| *of != n), "{place}: attempts {n}");
                        under_way.push((n, seconds));
                    }
                }
                _ => seconds += random.below(40) as u64,
            }
            let snapshot = roster.status(at(seconds));
            let is_any = snapshot.targets().iter().any(|it| it.state() != TargetState::Draining);
            let is_used = snapshot.eligible().count() > 0;
            assert_eq!(is_used, is_any && snapshot.admits(), "{place}: none is left");
            for entry in snapshot.targets() {
                let is_ejected = entry.state() == TargetState::Ejected;
                assert!(
                    !is_ejected || snapshot.fail_open() || !entry.is_eligible(),
                    "{place}: {entry:?}"
                );
                assert!(!is_ejected || entry.reason().is_some(), "{place}: {entry:?}");
                if entry.breaker() != BreakerState::HalfOpen {
                    // What has closed it left the attempt without a meaning.
                    under_way.retain(|(n, _)| identity(*n) != Identity::of(entry.target()));
                }
            }
        }
    }
}
