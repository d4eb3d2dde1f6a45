use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use exchange::{Outcome, Report, Snapshot, TargetState, Trial};

use super::*;
use crate::targets::tests::snapshot;

/// One core, and what became of its clients.
struct Core {
    targets: Targets,
    chooser: Chooser,
    /// Who comes next, where clients keep their targets.
    client: Option<u32>,
    now: Instant,
    dials: u32,
    reports: Vec<Report>,
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
        Self { targets, chooser, client: None, now, dials: 0, reports: Vec::new() }
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
            let (target, is_trial) =
                match self.chooser.choose(&mut self.targets, key, &tried, self.now) {
                    Choice::Dial(target) => (target, false),
                    Choice::Trial(target) => (target, true),
                    Choice::NoTarget => return End::NoTarget,
                    Choice::BudgetSpent => return End::BudgetSpent,
                };
            self.dials += 1;
            let port = target.address().port();
            self.reports.extend(target.dialled(is_trial, Some(answers(port))));
            if answers(port) {
                return End::Reached(port);
            }
            tried.add(target, is_trial);
        }
    }

    fn outcomes(&mut self) -> Vec<Outcome> {
        self.reports.drain(..).map(|report| report.outcome).collect()
    }
}

fn offer(snapshot: &mut Snapshot, index: usize) {
    let entry = &mut snapshot.entries[index];
    entry.trial = Some(Arc::new(Trial::default()));
    entry.eligible = false;
    entry.state = TargetState::Ejected;
}

#[test]
fn the_first_client_of_any_core_makes_the_trial_and_no_other_does() {
    let mut snapshot = snapshot(3, 2);
    offer(&mut snapshot, 1);
    let mut cores = [0, 1].map(|core| Core::new(&snapshot, core, 2, 3));
    assert_eq!(cores[1].serve(|_| true), End::Reached(2));
    assert_eq!(cores[1].outcomes(), [Outcome::Tried { reached: Some(true) }]);
    for core in &mut cores {
        // The same trial in a newer snapshot is the same trial.
        for _ in 0..2 {
            core.targets.update(&snapshot);
            for _ in 0..50 {
                assert_ne!(core.serve(|_| true), End::Reached(2));
            }
        }
        assert_eq!(core.outcomes(), []);
    }
    offer(&mut snapshot, 1);
    cores[0].targets.update(&snapshot);
    assert_eq!(cores[0].serve(|_| true), End::Reached(2), "another trial");
}

#[test]
fn a_failed_trial_costs_the_client_no_attempt_and_is_reported_once() {
    let mut snapshot = snapshot(2, 1);
    offer(&mut snapshot, 0);
    let mut core = Core::alone(&snapshot, 1);
    assert_eq!(core.serve(|port| port == 2), End::Reached(2));
    assert_eq!(core.outcomes(), [Outcome::Tried { reached: Some(false) }]);
    assert_eq!(core.dials, 2);
}

#[test]
fn several_trials_go_to_a_client_each() {
    let mut snapshot = snapshot(4, 2);
    for index in 0..3 {
        offer(&mut snapshot, index);
    }
    // Another core was faster with one of them.
    assert!(snapshot.entries[1].trial.as_ref().unwrap().claim());
    let mut core = Core::alone(&snapshot, 3);
    let ports = [(); 3].map(|()| core.serve(|_| true));
    assert_eq!(ports, [End::Reached(3), End::Reached(1), End::Reached(4)]);
}

#[test]
fn a_target_that_leaves_is_not_tried() {
    let mut snapshot = snapshot(2, 1);
    offer(&mut snapshot, 0);
    snapshot.entries[0].state = TargetState::Draining;
    let mut core = Core::alone(&snapshot, 3);
    assert_eq!(core.serve(|_| true), End::Reached(2));
    assert!(snapshot.entries[0].trial.as_ref().unwrap().claim(), "left to whoever comes later");
    offer(&mut snapshot, 0);
    core.targets.update(&snapshot);
    snapshot.entries.remove(0);
    core.targets.update(&snapshot);
    assert_eq!(core.serve(|_| true), End::Reached(2), "gone with its target");
}

#[test]
fn a_trial_that_was_cut_short_is_reported_and_an_ordinary_dial_is_not() {
    let snapshot = snapshot(1, 1);
    let core = Core::alone(&snapshot, 3);
    let target = &core.targets.eligible()[0];
    let report = target.dialled(true, None).unwrap();
    assert_eq!(report.outcome, Outcome::Tried { reached: None });
    assert!(target.dialled(false, None).is_none());
    assert_eq!(target.last_dial(), LastDial::Unknown);
    assert!(target.dialled(false, Some(true)).is_none());
    let report = target.dialled(false, Some(false)).unwrap();
    assert_eq!(report.outcome, Outcome::Failed { count: 1, successes: 1 });
    assert!(Arc::ptr_eq(&report.target, &snapshot.entries[0].target));
}

#[test]
fn a_retry_goes_to_what_was_reached_before_to_what_is_unknown_before_to_what_failed() {
    let core = Core::alone(&snapshot(4, 1), 4);
    let mut tried = Tried::default();
    let eligible = core.targets.eligible().to_vec();
    for (index, reached) in [(0, false), (1, false), (2, true)] {
        let _ = eligible[index].dialled(false, Some(reached));
    }
    tried.add(Rc::clone(&eligible[0]), false);
    let (mut chooser, mut targets) = (core.chooser, core.targets);
    for index in [2, 3, 1] {
        match chooser.choose(&mut targets, None, &tried, core.now) {
            Choice::Dial(target) => {
                assert!(Rc::ptr_eq(&target, &eligible[index]), "{}", target.address());
                tried.add(target, false);
            }
            other => panic!("{other:?}"),
        }
    }
    assert!(matches!(chooser.choose(&mut targets, None, &tried, core.now), Choice::NoTarget));
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
    core.dials = 0;
    let [reached, _, spent] = run(&mut core, 1000, 60, |_| false);
    // A fifth, the reserve, and what each target's first failure costs.
    assert!(core.dials <= 60_000 + 12_000 + 2000 + 700, "{}", core.dials);
    assert!(core.dials >= 72_000, "the budget is there to be used: {}", core.dials);
    assert!(reached == 0 && spent > 40_000, "{spent}");
    assert_eq!(run(&mut core, 1000, 1, |_| true), [1000, 0, 0], "and back at once");
}

#[test]
fn no_more_targets_are_tried_than_allowed() {
    for attempts in 1..=5 {
        let mut core = Core::alone(&snapshot(10, 1), attempts);
        assert_eq!(core.serve(|_| false), End::NoTarget);
        assert_eq!(core.dials as usize, attempts);
    }
}
