//! What checks say of a target, whatever state it is in.

use super::*;
use crate::status::{BreakerState, Checks};

fn entry(roster: &mut Roster) -> TargetStatus {
    roster.status(at(0)).targets()[0].clone()
}

fn failing(why: &str) -> Checks {
    Checks::Failing(why.into())
}

#[test]
fn why_a_first_check_has_failed_is_said_at_once() {
    let mut roster = roster(0);
    roster.discovered(vec![target(1)], at(0));
    assert_eq!(entry(&mut roster).checks().cloned(), Some(Checks::Pending));
    roster.not_checked(&identity(1));
    assert_eq!(entry(&mut roster).checks().cloned(), Some(Checks::Pending));
    roster.checked(&identity(1), Err("status 404"), at(0));
    let first = entry(&mut roster);
    assert_eq!((first.state(), &first.reason()), (TargetState::Checking, &None));
    assert_eq!(first.checks().cloned(), Some(failing("status 404")));
    roster.checked(&identity(1), Err("timed out"), at(0));
    assert_eq!(entry(&mut roster).checks().cloned(), Some(failing("timed out")), "the latest one");
    roster.checked(&identity(1), Ok(()), at(0));
    assert_eq!(entry(&mut roster).checks().cloned(), Some(Checks::Passing));
    // One that fails in between takes nobody out, and is no news.
    let before = roster.status(at(0)).generation();
    roster.checked(&identity(1), BAD, at(0));
    assert_eq!(entry(&mut roster).checks().cloned(), Some(Checks::Passing));
    assert_eq!(roster.status(at(0)).generation(), before);
}

#[test]
fn they_are_seen_while_the_target_is_ejected_or_drained() {
    let mut roster = roster(0);
    roster.discovered(vec![target(1)], at(0));
    roster.checked(&identity(1), Ok(()), at(0));
    connects_failed(&mut roster, 1, 3, 0);
    let seen = |roster: &mut Roster| {
        let entry = entry(roster);
        (entry.state(), entry.checks().cloned(), entry.breaker())
    };
    let (ejected, draining) = (TargetState::Ejected, TargetState::Draining);
    let open = BreakerState::Open;
    assert_eq!(seen(&mut roster), (ejected, Some(Checks::Passing), open));
    for _ in 0..2 {
        roster.checked(&identity(1), BAD, at(0));
    }
    assert_eq!(seen(&mut roster), (ejected, Some(failing("status 503")), open));
    roster.drain(&target(1).id, at(0));
    assert_eq!(seen(&mut roster), (draining, Some(failing("status 503")), open));
    roster.checked(&identity(1), Err("timed out"), at(0));
    assert_eq!(seen(&mut roster), (draining, Some(failing("timed out")), open));
    for _ in 0..2 {
        roster.checked(&identity(1), Ok(()), at(0));
    }
    assert_eq!(seen(&mut roster), (draining, Some(Checks::Passing), open));
    roster.undrain(&target(1).id);
    assert_eq!(seen(&mut roster), (ejected, Some(Checks::Passing), open));
}

#[test]
fn a_breaker_that_opens_while_the_target_drains_is_news() {
    let mut roster = roster(0);
    roster.discovered(vec![target(1)], at(0));
    roster.checked(&identity(1), Ok(()), at(0));
    roster.drain(&target(1).id, at(0));
    assert_eq!(entry(&mut roster).breaker(), BreakerState::Closed);
    // By connects that were begun before.
    connects_failed(&mut roster, 1, 3, 0);
    assert_eq!(entry(&mut roster).breaker(), BreakerState::Open);
}

#[test]
fn nobody_checks_what_has_left() {
    let mut roster = roster(0);
    roster.discovered(vec![target(1)], at(0));
    roster.checked(&identity(1), Ok(()), at(0));
    roster.discovered(Vec::new(), at(0));
    assert_eq!(entry(&mut roster).checks().cloned(), None);
    roster.discovered(vec![target(1)], at(0));
    assert_eq!(
        entry(&mut roster).checks().cloned(),
        Some(Checks::Passing),
        "what they said before holds"
    );
}

#[test]
fn a_check_that_is_no_news_changes_no_status() {
    let mut without_news = 0;
    for seed in 0..seeds(2000) {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut roster = roster(50);
        roster.discovered((1..=4).map(target).collect(), at(0));
        for second in 1..60 {
            let n = random.u8(1..=5);
            if random.u8(..8) == 0 && (1..=4).contains(&n) {
                connects_failed(&mut roster, n, random.u32(1..4), second);
            }
            let before = roster.status(at(second));
            let is_news = match random.u8(..8) {
                0 => roster.not_checked(&identity(n)),
                1 | 2 => roster.checked(&identity(n), BAD, at(second)),
                3 => roster.checked(&identity(n), Err("timed out"), at(second)),
                _ => roster.checked(&identity(n), Ok(()), at(second)),
            };
            if !is_news {
                without_news += 1;
                assert_eq!(roster.status(at(second)), before, "seed {seed}, second {second}");
            }
        }
    }
    assert!(without_news > 0);
}
