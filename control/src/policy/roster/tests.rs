use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::OnceLock;
use std::time::Duration;

use crate::status::{BreakerState, TargetState, TargetStatus};

use super::*;
use crate::policy::breaker;
use crate::policy::settings::PolicySettings;
use testkit::seeds::seeds;

mod breakers;
mod checks;
mod drains;
mod ramps;
mod rebalancing;
mod warmup;

fn target(n: u8) -> Target {
    Target::at(SocketAddr::from(([10, 0, 0, n], 80)))
}

fn identity(n: u8) -> Identity {
    Identity::of(&target(n))
}

fn roster(fail_open_threshold: u8) -> Roster {
    let breaker = breaker::BreakerSettings { threshold: 3, timeout: Duration::from_mins(1) };
    Roster::new(Rules {
        rise: 2,
        fall: 2,
        has_checks: true,
        check_port: None,
        warmup_max: Duration::from_secs(2),
        cores: 2,
        affinity: false,
        policy: PolicySettings {
            fail_open_threshold,
            breaker,
            drain_timeout: Duration::from_mins(5),
            reset_unhealthy: false,
            slow_start: Duration::ZERO,
            rebalance_rate: 0,
        },
    })
}

/// An instant that is the same throughout, and later ones.
fn at(seconds: u64) -> Instant {
    static START: OnceLock<Instant> = OnceLock::new();
    *START.get_or_init(Instant::now) + Duration::from_secs(seconds)
}

/// What a check that fails gives as its reason.
const BAD: Result<(), &str> = Err("status 503");

/// So many connects of it have failed since the last success.
fn connects_failed(roster: &mut Roster, n: u8, count: u32, seconds: u64) {
    let successes = roster.members[&identity(n)].counters.connected();
    let error = std::io::ErrorKind::ConnectionRefused;
    let (service, target) = (exchange::ServiceIndex::FIRST, Arc::new(target(n)));
    let report = exchange::Report { service, target, count, successes, error };
    roster.reported(&report, at(seconds));
}

/// Each entry as its address's last number, its state's first letter and `*` where eligible.
fn shown(roster: &mut Roster) -> String {
    shown_at(roster, 0)
}

fn shown_at(roster: &mut Roster, seconds: u64) -> String {
    let snapshot = roster.status(at(seconds));
    let entries = snapshot.targets().iter().map(|entry| {
        let ip = entry.target().address.ip().to_string();
        let number = ip.rsplit('.').next().unwrap().to_owned();
        let eligible = if entry.is_eligible() { "*" } else { "" };
        format!("{number}{}{eligible}", &entry.state().as_str()[..1])
    });
    entries.collect::<Vec<_>>().join(" ")
}

#[test]
fn only_targets_that_passed_are_eligible() {
    let mut roster = roster(0);
    assert_eq!(roster.status(at(0)).generation(), exchange::Generation::default());
    roster.discovered(vec![target(2), target(1)], at(0));
    assert_eq!(shown(&mut roster), "1c 2c");
    roster.checked(&identity(2), Ok(()), at(0));
    roster.checked(&identity(1), BAD, at(0));
    assert_eq!(shown(&mut roster), "1c 2h*");
    roster.checked(&identity(1), BAD, at(0));
    assert_eq!(shown(&mut roster), "1u 2h*");
}

#[test]
fn a_new_affinity_table_is_news() {
    let mut roster = roster(0);
    roster.discovered(vec![target(1)], at(0));
    let before = roster.status(at(0));
    assert!(before.snapshot().affinity().is_none());
    let affinity = Arc::new(Affinity::of(vec![Arc::new(target(1))]));
    roster.mapped(Arc::clone(&affinity));
    let after = roster.status(at(0));
    assert!(after.generation() > before.generation());
    assert!(Arc::ptr_eq(after.snapshot().affinity().unwrap(), &affinity));
    assert!(Arc::ptr_eq(&after, &roster.status(at(0))));
}

#[test]
fn the_generation_counts_changes_only() {
    let mut roster = roster(0);
    roster.discovered(vec![target(1)], at(0));
    roster.checked(&identity(1), Ok(()), at(0));
    let before = roster.status(at(0));
    roster.checked(&identity(1), Ok(()), at(0));
    roster.discovered(vec![target(1)], at(0));
    roster.tick(at(0));
    assert!(Arc::ptr_eq(&before, &roster.status(at(0))));
    roster.discovered(vec![target(1).in_zone("a")], at(0));
    let after = roster.status(at(0));
    assert_eq!(after.generation().number(), before.generation().number() + 1);
    assert_eq!(after.targets()[0].target().zone.as_deref(), Some("a"));
    assert!(Arc::ptr_eq(before.targets()[0].counters(), after.targets()[0].counters()));
}

#[test]
fn fail_open_begins_once_all_are_known_and_none_is_healthy() {
    let mut roster = roster(0);
    roster.discovered(vec![target(1), target(2)], at(0));
    roster.checked(&identity(1), BAD, at(0));
    assert_eq!(shown(&mut roster), "1c 2c");
    assert!(!roster.status(at(0)).fail_open());
    roster.checked(&identity(2), BAD, at(0));
    assert_eq!(shown(&mut roster), "1c* 2c*");
    assert!(roster.status(at(0)).fail_open());
    roster.checked(&identity(2), Ok(()), at(0));
    assert_eq!(shown(&mut roster), "1c 2h*");
    assert!(!roster.status(at(0)).fail_open());
}

#[test]
fn a_newcomer_does_not_end_fail_open_and_gets_nothing_unchecked() {
    let mut roster = roster(0);
    roster.discovered(vec![target(1)], at(0));
    roster.checked(&identity(1), BAD, at(0));
    assert_eq!(shown(&mut roster), "1c*");
    roster.discovered(vec![target(1), target(2)], at(0));
    assert_eq!(shown(&mut roster), "1c* 2c");
    // Nobody known is left.
    roster.discovered(vec![target(2)], at(0));
    assert_eq!(shown(&mut roster), "1d 2c");
    assert!(!roster.status(at(0)).fail_open());
}

#[test]
fn the_threshold_is_a_share_of_those_not_draining() {
    let mut roster = roster(50);
    roster.discovered((1..=4).map(target).collect(), at(0));
    for n in 1..=4 {
        roster.checked(&identity(n), if n <= 3 { Ok(()) } else { BAD }, at(0));
    }
    assert_eq!(shown(&mut roster), "1h* 2h* 3h* 4c");
    // Two of three.
    roster.discovered((2..=4).map(target).collect(), at(0));
    assert!(!roster.status(at(0)).fail_open());
    // One of two.
    roster.discovered((3..=4).map(target).collect(), at(0));
    assert_eq!(shown(&mut roster), "1d 2d 3h* 4c*");
}

#[test]
fn a_withdrawn_target_drains_until_its_last_connection_is_gone() {
    let mut roster = roster(0);
    roster.discovered(vec![target(1), target(2)], at(0));
    roster.checked(&identity(1), Ok(()), at(0));
    roster.checked(&identity(2), BAD, at(0));
    let counters = Arc::clone(roster.status(at(0)).targets()[0].counters());
    counters.on(1).active.increment();
    roster.discovered(vec![target(2)], at(0));
    for _ in 0..5 {
        roster.tick(at(0));
        assert_eq!(shown(&mut roster), "1d 2c*");
    }
    counters.on(1).active.decrement();
    roster.tick(at(0));
    assert_eq!(shown(&mut roster), "1d 2c*");
    roster.tick(at(0));
    assert_eq!(shown(&mut roster), "2c*");
}

#[test]
fn a_target_that_comes_back_while_draining_keeps_its_history() {
    let mut roster = roster(0);
    roster.discovered(vec![target(1)], at(0));
    roster.checked(&identity(1), Ok(()), at(0));
    let before = roster.status(at(0));
    roster.discovered(vec![], at(0));
    roster.checked(&identity(1), BAD, at(0));
    roster.checked(&identity(1), BAD, at(0));
    roster.tick(at(0));
    assert_eq!(shown(&mut roster), "1d");
    assert!(!roster.status(at(0)).fail_open());
    roster.discovered(vec![target(1)], at(0));
    assert_eq!(shown(&mut roster), "1h*");
    assert!(Arc::ptr_eq(
        before.targets()[0].counters(),
        roster.status(at(0)).targets()[0].counters()
    ));
    // The ticks it was idle before do not count the next time.
    roster.discovered(vec![], at(0));
    roster.tick(at(0));
    assert_eq!(shown(&mut roster), "1d");
}

#[test]
fn the_same_address_with_another_id_starts_anew() {
    let mut roster = roster(0);
    let named = |id: &str| Target { id: TargetId::new(id), ..target(1) };
    roster.discovered(vec![named("i-1")], at(0));
    roster.checked(&Identity::of(&named("i-1")), Ok(()), at(0));
    roster.discovered(vec![named("i-2")], at(0));
    assert_eq!(shown(&mut roster), "1d 1c");
}

/// Any sequence of events, and what holds after each.
#[test]
fn invariants_hold_whatever_happens() {
    for seed in 1..=seeds(300) {
        let mut random = Random(seed);
        let threshold = [0, 30, 50, 100][random.below(4)];
        let mut roster = roster(threshold);
        roster.discovered(vec![], at(0));
        let mut checked_ever: HashMap<Identity, bool> = HashMap::new();
        let mut before = roster.status(at(0));
        for step in 0..300 {
            let place = format!("seed {seed}, step {step}");
            step_once(&mut roster, &mut random, &mut checked_ever);
            let after = roster.status(at(0));
            check_invariants(&before, &after, &checked_ever, &place);
            for entry in after.targets() {
                checked_ever.entry(Identity::of(entry.target())).or_insert(false);
            }
            checked_ever.retain(|identity, _| roster.members.contains_key(identity));
            before = after;
        }
    }
}

fn step_once(roster: &mut Roster, random: &mut Random, checked_ever: &mut HashMap<Identity, bool>) {
    match random.below(10) {
        0 => {
            let mut set = Vec::new();
            for n in 1..=8 {
                let mut target = target(n);
                if random.below(8) == 0 {
                    target.id = TargetId::new("i-other");
                }
                if random.below(2) == 0 {
                    set.push(target);
                }
            }
            roster.discovered(set, at(0));
        }
        1 => roster.tick(at(0)),
        3 => {
            let id = target(u8::try_from(1 + random.below(8)).unwrap()).id;
            if random.below(2) == 0 {
                roster.drain(&id, at(0));
            } else {
                roster.undrain(&id);
            }
        }
        2 => {
            let members: Vec<_> = roster.members.values().collect();
            if !members.is_empty() {
                let active = &members[random.below(members.len())].counters.on(0).active;
                if active.get() == 0 { active.increment() } else { active.decrement() }
            }
        }
        _ => {
            let target = identity(u8::try_from(1 + random.below(8)).unwrap());
            let present = roster.members.get(&target).is_some_and(|m| !m.drain.is_withdrawn());
            let result = if random.below(2) == 0 { Ok(()) } else { BAD };
            roster.checked(&target, result, at(0));
            if present {
                checked_ever.insert(target, true);
            }
        }
    }
}

fn check_invariants(
    before: &Arc<Status>,
    after: &Arc<Status>,
    checked_ever: &HashMap<Identity, bool>,
    place: &str,
) {
    let was_checked = |entry: &TargetStatus| {
        checked_ever.get(&Identity::of(entry.target())).copied().unwrap_or(false)
    };
    let present = || after.targets().iter().filter(|e| e.state() != TargetState::Draining);
    let all_known = present().all(was_checked);

    assert!(Arc::ptr_eq(before, after) || after.generation() > before.generation(), "{place}");
    let is_other = before.snapshot().routing() != after.snapshot().routing();
    let number = |status: &Status| status.snapshot().generation();
    assert_eq!(is_other, number(after) > number(before), "{place}");
    assert_eq!(is_other, !Arc::ptr_eq(before.snapshot(), after.snapshot()), "{place}");
    assert!(all_known || !after.fail_open() || before.fail_open(), "{place}: began too early");
    let is_any = present().count() > 0;
    assert_eq!(
        after.admits() && is_any,
        after.eligible().count() > 0,
        "{place}: nobody is eligible"
    );
    assert!(after.admits() || !all_known, "{place}: nothing is waited for");
    for entry in after.eligible() {
        assert_ne!(entry.state(), TargetState::Draining, "{place}");
        assert!(was_checked(entry), "{place}: unchecked and eligible");
        assert!(entry.state() == TargetState::Healthy || after.fail_open(), "{place}");
    }
    for entry in present().filter(|entry| entry.state() == TargetState::Healthy) {
        assert_eq!(entry.is_eligible(), after.admits(), "{place}: healthy and not eligible");
    }
    let identities: Vec<_> = after.targets().iter().map(|e| Identity::of(e.target())).collect();
    assert!(identities.is_sorted_by(|a, b| a < b), "{place}: unordered or twice");
    for old in before.targets().iter().filter(|old| old.counters().active() > 0) {
        assert!(identities.contains(&Identity::of(old.target())), "{place}: forgotten in use");
    }
}

struct Random(u64);

impl Random {
    /// xorshift64*; the seed must not be 0.
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let high = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33;
        usize::try_from(high).unwrap() % limit
    }
}

/// Each locality's share, in percent, and its entries.
fn localities(roster: &mut Roster) -> Vec<(u32, Vec<usize>)> {
    let status = roster.status(at(0));
    let percent =
        |share: u32| (share * 100 + exchange::Locality::WHOLE / 2) / exchange::Locality::WHOLE;
    status
        .snapshot()
        .localities()
        .iter()
        .map(|it| (percent(it.share()), it.entries().to_vec()))
        .collect()
}

#[test]
fn localities_follow_the_own_zone_and_who_is_eligible() {
    let mut roster = roster(0);
    let zones = ["a", "b", "b", "b"];
    roster.discovered((1..).zip(zones).map(|(n, zone)| target(n).in_zone(zone)).collect(), at(0));
    for n in 1..=4 {
        roster.checked(&identity(n), Ok(()), at(0));
    }
    let before = roster.status(at(0));
    assert!(before.snapshot().own_zone().is_none() && before.snapshot().localities().is_empty());
    roster.located("a".into());
    assert_eq!(localities(&mut roster), [(50, vec![0]), (50, vec![1, 2, 3])]);
    let after = roster.status(at(0));
    assert_eq!(after.snapshot().own_zone().map(|zone| &**zone), Some("a"));
    assert_eq!(after.generation().number(), before.generation().number() + 1);

    let fail = |roster: &mut Roster, n| {
        (0..2).for_each(|_| {
            roster.checked(&identity(n), BAD, at(0));
        });
    };
    fail(&mut roster, 3);
    assert_eq!(localities(&mut roster), [(67, vec![0]), (33, vec![1, 3])]);
    fail(&mut roster, 2);
    assert_eq!(localities(&mut roster), [(100, vec![0])]);
    fail(&mut roster, 1);
    assert!(localities(&mut roster).is_empty(), "none of the own zone");
    fail(&mut roster, 4);
    assert_eq!(shown(&mut roster), "1u* 2u* 3u* 4u*");
    assert!(localities(&mut roster).is_empty(), "fail-open");
}
