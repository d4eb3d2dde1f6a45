use std::io::ErrorKind;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use exchange::Snapshot;

use super::*;
use crate::selection::targets::tests::snapshot;

const REFUSED: ErrorKind = ErrorKind::ConnectionRefused;

/// One core, and what became of its clients.
struct Core {
    targets: Targets,
    chooser: Chooser,
    /// Who comes next, where clients keep their targets.
    client: Option<u32>,
    now: Instant,
    connects: u32,
}

/// How a client's way to a target ended.
#[derive(Debug, PartialEq)]
enum End {
    Reached(u16),
    NoTarget,
    BudgetSpent,
}

impl Core {
    fn new(snapshot: &Snapshot, core: usize, cores: usize, connect_attempts: usize) -> Self {
        let now = Instant::now();
        let mut targets = Targets::new(core, cores);
        targets.update(snapshot);
        let rng = fastrand::Rng::with_seed(core as u64);
        let chooser = Chooser::new(Balance::P2c, connect_attempts, cores, rng, now);
        Self { targets, chooser, client: None, now, connects: 0 }
    }

    fn alone(snapshot: &Snapshot, connect_attempts: usize) -> Self {
        Self::new(snapshot, 0, 1, connect_attempts)
    }

    /// A client comes, stays for no time, and finds these ports answering.
    fn serve(&mut self, answers: impl Fn(u16) -> bool) -> End {
        let mut tried = Tried::default();
        self.client = self.client.map(|client| client + 1);
        let key = self.client.map(|client| ClientKey::of(Ipv4Addr::from_bits(client).into()));
        loop {
            let target = match self.chooser.choose(&self.targets, key, &tried, self.now) {
                Choice::Connect(target) => target,
                Choice::NoTarget => return End::NoTarget,
                Choice::BudgetSpent => return End::BudgetSpent,
            };
            self.connects += 1;
            let port = target.address().port();
            if answers(port) {
                target.reached();
                return End::Reached(port);
            }
            let _ = target.failed(REFUSED);
            tried.add(target);
        }
    }
}

#[test]
fn a_revoked_connect_is_none_of_those_a_client_has() {
    let snapshot = snapshot(4, 1);
    let mut core = Core::alone(&snapshot, 1);
    let mut tried = Tried::default();
    for _ in 0..3 {
        let Choice::Connect(target) = core.chooser.choose(&core.targets, None, &tried, core.now)
        else {
            panic!("it has an attempt left");
        };
        tried.add_revoked(target);
    }
    let Choice::Connect(target) = core.chooser.choose(&core.targets, None, &tried, core.now) else {
        panic!("it has an attempt left");
    };
    tried.add(target);
    let choice = core.chooser.choose(&core.targets, None, &tried, core.now);
    assert!(matches!(choice, Choice::NoTarget));
}

#[test]
fn each_failed_connect_is_reported_with_its_error_and_no_other() {
    let snapshot = snapshot(1, 1);
    let core = Core::alone(&snapshot, 3);
    let target = &core.targets.eligible()[0];
    assert_eq!(target.last_connect(), LastConnect::Unknown);
    target.reached();
    assert_eq!(target.last_connect(), LastConnect::Reached);
    let report = target.failed(ErrorKind::TimedOut);
    assert_eq!(target.last_connect(), LastConnect::Failed);
    assert_eq!((report.count, report.successes, report.error), (1, 1, ErrorKind::TimedOut));
    assert!(Arc::ptr_eq(&report.target, snapshot.entries()[0].target()));
}

#[test]
fn a_retry_goes_to_what_was_reached_before_to_what_is_unknown_before_to_what_failed() {
    let core = Core::alone(&snapshot(4, 1), 4);
    let mut tried = Tried::default();
    let eligible = core.targets.eligible().to_vec();
    for index in [0, 1] {
        let _ = eligible[index].failed(REFUSED);
    }
    eligible[2].reached();
    tried.add(Rc::clone(&eligible[0]));
    let (mut chooser, targets) = (core.chooser, core.targets);
    for index in [2, 3, 1] {
        match chooser.choose(&targets, None, &tried, core.now) {
            Choice::Connect(target) => {
                assert!(Rc::ptr_eq(&target, &eligible[index]), "{}", target.address());
                tried.add(target);
            }
            other => panic!("{other:?}"),
        }
    }
    assert!(matches!(chooser.choose(&targets, None, &tried, core.now), Choice::NoTarget));
}

/// Clients a second, evenly, for so many seconds; how many ended which way.
fn run(core: &mut Core, rate: u32, seconds: u32, answers: impl Fn(u16) -> bool) -> [u32; 3] {
    let mut ends = [0; 3];
    for _ in 0..rate * seconds {
        core.now += Duration::from_secs(1) / rate;
        let end = core.serve(&answers);
        ends[match end {
            End::Reached(_) => 0,
            End::NoTarget => 1,
            End::BudgetSpent => 2,
        }] += 1;
    }
    ends
}

#[test]
fn no_client_is_dropped_when_one_of_two_targets_dies() {
    let mut core = Core::alone(&snapshot(2, 1), 3);
    assert_eq!(run(&mut core, 9000, 2, |_| true), [18_000, 0, 0]);
    assert_eq!(run(&mut core, 9000, 20, |port| port == 2), [180_000, 0, 0]);
    // The budget was not even needed: as if there were no connections to draw on.
    let mut quiet = Core::alone(&snapshot(2, 1), 3);
    for _ in 0..1000 {
        assert_ne!(quiet.serve(|port| port == 2), End::BudgetSpent);
    }
}

#[test]
fn clients_that_keep_their_targets_are_not_dropped_when_half_of_those_die() {
    let mut core = Core::alone(&snapshot(10, 1), 3);
    core.client = Some(0);
    assert_eq!(run(&mut core, 1000, 2, |_| true), [2000, 0, 0]);
    let [_, untried, spent] = run(&mut core, 1000, 20, |port| port > 5);
    assert_eq!(spent, 0, "there are targets to which a retry is free");
    assert!(untried < 5, "each target's death is found out once: {untried}");
}

#[test]
fn at_start_what_is_unknown_costs_nothing() {
    // More dead targets than the reserve would pay for.
    let mut core = Core::alone(&snapshot(1000, 1), 16);
    let ends = run(&mut core, 1000, 3, |port| port > 500);
    assert_eq!(ends[2], 0);
    assert!(ends[1] <= 1, "16 dead ones in a row: {ends:?}");
}

#[test]
fn a_fleet_that_dies_is_hardly_hit_harder() {
    let mut core = Core::alone(&snapshot(10, 1), 3);
    run(&mut core, 1000, 20, |_| true);
    core.connects = 0;
    let [reached, _, spent] = run(&mut core, 1000, 60, |_| false);
    // A fifth, the reserve, and what each target's first failure costs.
    assert!(core.connects <= 60_000 + 12_000 + 2000 + 700, "{}", core.connects);
    assert!(core.connects >= 72_000, "the budget is there to be used: {}", core.connects);
    assert!(reached == 0 && spent > 40_000, "{spent}");
    assert_eq!(run(&mut core, 1000, 1, |_| true), [1000, 0, 0], "and back at once");
}

#[test]
fn no_more_targets_are_tried_than_allowed() {
    for attempts in 1..=5 {
        let mut core = Core::alone(&snapshot(10, 1), attempts);
        assert_eq!(core.serve(|_| false), End::NoTarget);
        assert_eq!(core.connects as usize, attempts);
    }
}
