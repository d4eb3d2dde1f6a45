//! Targets whose circuit breaker is not closed.

use super::*;
use exchange::Trial;

fn failed(roster: &mut Roster, n: u8, count: u32, seconds: u64) {
    let successes = roster.members[&identity(n)].counters.dialled();
    report(roster, n, Outcome::Failed { count, successes }, seconds);
}

fn report(roster: &mut Roster, n: u8, outcome: Outcome, seconds: u64) {
    roster.reported(&Report { target: Arc::new(target(n)), outcome }, at(seconds));
}

/// Its entry in the snapshot of that second.
fn entry(roster: &mut Roster, n: u8, seconds: u64) -> Entry {
    let snapshot = roster.snapshot(at(seconds));
    let found = snapshot.entries.iter().find(|it| Identity::of(&it.target) == identity(n));
    found.unwrap().clone()
}

fn trial(roster: &mut Roster, n: u8, seconds: u64) -> Option<Arc<Trial>> {
    entry(roster, n, seconds).trial
}

/// So many targets, all healthy; the breakers' threshold is 3, their timeout 60 s.
fn healthy(count: u8) -> Roster {
    let mut roster = roster(0);
    roster.discovered((1..=count).map(target).collect(), at(0));
    (1..=count).for_each(|n| roster.checked(&identity(n), Ok(()), at(0)));
    roster
}

fn check_twice(roster: &mut Roster, n: u8, result: Result<(), &str>, seconds: u64) {
    (0..2).for_each(|_| roster.checked(&identity(n), result, at(seconds)));
}

#[test]
fn an_ejected_target_gets_nothing_until_its_trial_reaches_it() {
    let mut roster = healthy(2);
    failed(&mut roster, 1, 2, 0);
    assert_eq!(shown(&mut roster), "1h* 2h*");
    failed(&mut roster, 1, 1, 0);
    assert_eq!(shown(&mut roster), "1e 2h*");
    let ejected = entry(&mut roster, 1, 59);
    assert_eq!(ejected.reason.as_deref(), Some("3 dials in a row failed"));
    assert!(ejected.trial.is_none());
    check_twice(&mut roster, 1, Ok(()), 59);
    assert_eq!(shown(&mut roster), "1e 2h*", "checks do not close it");

    assert_eq!(roster.next_due(at(59)), Some(at(60)));
    let offered = entry(&mut roster, 1, 60);
    assert_eq!(offered.reason.as_deref(), Some("a trial connection is due"));
    assert!(offered.state == TargetState::Ejected && !offered.eligible);
    assert_eq!(roster.next_due(at(60)), None);
    let same = trial(&mut roster, 1, 500).unwrap();
    assert!(Arc::ptr_eq(&same, offered.trial.as_ref().unwrap()));
    assert!(same.claim());
    report(&mut roster, 1, Outcome::Tried { reached: Some(true) }, 501);
    assert_eq!(shown(&mut roster), "1h* 2h*");
    assert_eq!(roster.breaker_turns(), Turns { open: 1, half_open: 1, closed: 1 });
}

#[test]
fn ejected_targets_do_not_count_as_healthy_and_are_used_when_none_is() {
    let mut roster = healthy(2);
    failed(&mut roster, 1, 3, 0);
    check_twice(&mut roster, 2, BAD, 0);
    assert_eq!(shown(&mut roster), "1e* 2u*");
    assert!(roster.snapshot(at(0)).fail_open);
    assert_eq!(entry(&mut roster, 2, 0).reason.as_deref(), Some("status 503"));

    let mut roster = healthy(2);
    (1..=2).for_each(|n| failed(&mut roster, n, 3, 0));
    assert_eq!(shown(&mut roster), "1e* 2e*");
    // Nothing is put off by what fails meanwhile.
    (1..=2).for_each(|n| failed(&mut roster, n, 9, 30));
    assert!(trial(&mut roster, 1, 60).unwrap().claim());
    report(&mut roster, 1, Outcome::Tried { reached: Some(true) }, 60);
    assert_eq!(shown(&mut roster), "1h* 2e");
    roster.discovered(vec![target(2)], at(61));
    assert_eq!(shown(&mut roster), "1d 2e*");
}

#[test]
fn while_checks_fail_no_trial_is_due_and_once_they_pass_it_is() {
    let mut roster = healthy(2);
    failed(&mut roster, 1, 3, 0);
    check_twice(&mut roster, 1, BAD, 1);
    assert_eq!(shown(&mut roster), "1e 2h*");
    assert_eq!(roster.next_due(at(1)), None);
    assert!(trial(&mut roster, 1, 100).is_none());
    roster.checked(&identity(1), Ok(()), at(100));
    assert!(trial(&mut roster, 1, 100).is_none(), "rise is 2");
    roster.checked(&identity(1), Ok(()), at(101));
    assert!(trial(&mut roster, 1, 101).is_some());

    let mut roster = healthy(2);
    failed(&mut roster, 1, 3, 0);
    check_twice(&mut roster, 1, BAD, 1);
    check_twice(&mut roster, 1, Ok(()), 2);
    assert!(trial(&mut roster, 1, 2).is_some(), "whatever is left of the timeout");
    check_twice(&mut roster, 1, BAD, 3);
    assert!(trial(&mut roster, 1, 3).is_none(), "taken back");
}

#[test]
fn a_target_that_leaves_is_not_tried_and_comes_back_ejected() {
    let mut roster = healthy(2);
    failed(&mut roster, 1, 3, 0);
    let first = trial(&mut roster, 1, 60).unwrap();
    roster.discovered(vec![target(2)], at(61));
    let draining = entry(&mut roster, 1, 61);
    assert!(draining.state == TargetState::Draining && draining.trial.is_none());
    assert!(!first.claim(), "a core that has not heard of it yet");
    roster.discovered(vec![target(1), target(2)], at(62));
    let second = trial(&mut roster, 1, 62).unwrap();
    assert_eq!(shown_at(&mut roster, 62), "1e 2h*");

    // Claimed before it left: that trial is the only one until it is over.
    assert!(second.claim());
    roster.discovered(vec![target(2)], at(63));
    assert!(trial(&mut roster, 1, 63).is_none());
    roster.discovered(vec![target(1), target(2)], at(64));
    assert!(Arc::ptr_eq(&second, &trial(&mut roster, 1, 64).unwrap()));
    report(&mut roster, 1, Outcome::Tried { reached: Some(false) }, 65);
    assert!(trial(&mut roster, 1, 124).is_none());
    assert!(trial(&mut roster, 1, 125).is_some());
}

#[test]
fn a_forgotten_target_starts_anew_and_late_reports_of_it_change_nothing() {
    let mut roster = healthy(2);
    failed(&mut roster, 1, 3, 0);
    assert!(trial(&mut roster, 1, 60).unwrap().claim());
    roster.discovered(vec![target(2)], at(61));
    (0..2).for_each(|_| roster.tick(at(61)));
    for reached in [None, Some(true), Some(false)] {
        report(&mut roster, 1, Outcome::Tried { reached }, 62);
        report(&mut roster, 1, Outcome::Failed { count: 9, successes: 0 }, 62);
        assert_eq!(shown_at(&mut roster, 62), "2h*");
    }
    roster.discovered(vec![target(1), target(2)], at(63));
    roster.checked(&identity(1), Ok(()), at(63));
    assert_eq!(shown_at(&mut roster, 63), "1h* 2h*");
    // The trial of its earlier life is no answer to the one on offer now.
    failed(&mut roster, 1, 3, 63);
    let offered = trial(&mut roster, 1, 123).unwrap();
    report(&mut roster, 1, Outcome::Tried { reached: Some(true) }, 123);
    assert_eq!(shown_at(&mut roster, 123), "1e 2h*");
    assert!(offered.claim());
}

#[test]
fn what_fails_before_a_success_is_not_in_a_row_with_what_fails_after() {
    let mut roster = healthy(2);
    let counters = Arc::clone(&entry(&mut roster, 1, 0).counters);
    failed(&mut roster, 1, 2, 0);
    counters.on(1).dialled.increment();
    report(&mut roster, 1, Outcome::Failed { count: 9, successes: 0 }, 0);
    assert_eq!(shown(&mut roster), "1h* 2h*", "from before the success");
    failed(&mut roster, 1, 2, 0);
    assert_eq!(shown(&mut roster), "1h* 2h*");
    failed(&mut roster, 1, 1, 0);
    assert_eq!(shown(&mut roster), "1e 2h*");
}

/// Any sequence of failures, trials, checks and withdrawals of few targets.
#[test]
fn invariants_hold_with_breakers_whatever_happens() {
    for seed in 1..=200 {
        let mut random = Random(seed);
        let mut roster = healthy(3);
        let mut offered: Vec<(u8, Arc<Trial>)> = Vec::new();
        let mut tried: Vec<u8> = Vec::new();
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
                2 | 3 => {
                    report(&mut roster, n, Outcome::Failed { count: 2, successes: 0 }, seconds);
                }
                4 | 5 => tried.extend(offered.iter().filter(|(_, it)| it.claim()).map(|(n, _)| n)),
                6 if !tried.is_empty() => {
                    let n = tried.swap_remove(random.below(tried.len()));
                    let reached = [None, Some(true), Some(false)][random.below(3)];
                    report(&mut roster, n, Outcome::Tried { reached }, seconds);
                }
                _ => seconds += random.below(40) as u64,
            }
            let snapshot = roster.snapshot(at(seconds));
            assert!(!snapshot.settled || snapshot.eligible().count() > 0, "{place}: none is left");
            for entry in &snapshot.entries {
                let n = (1..=3).find(|n| identity(*n) == Identity::of(&entry.target)).unwrap();
                let is_ejected = entry.state == TargetState::Ejected;
                assert!(
                    !is_ejected || entry.eligible == snapshot.fail_open,
                    "{place}: ejected {n}"
                );
                assert!(is_ejected || entry.trial.is_none(), "{place}: trial of {n}");
                assert!(!is_ejected || entry.reason.is_some(), "{place}: why {n}");
                let is_known = |trial| offered.iter().any(|(_, it)| Arc::ptr_eq(it, trial));
                if let Some(trial) = entry.trial.as_ref().filter(|trial| !is_known(trial)) {
                    offered.push((n, Arc::clone(trial)));
                }
                let unclaimed = offered.iter().filter(|(of, it)| *of == n && !it.is_claimed());
                let under_way = tried.iter().filter(|of| **of == n);
                assert!(unclaimed.count() + under_way.count() <= 1, "{place}: trials of {n}");
            }
        }
    }
}
