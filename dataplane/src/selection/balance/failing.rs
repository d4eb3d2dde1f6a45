//! Targets that end every connection at once, among others that serve their clients.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::rc::Rc;
use std::time::{Duration, Instant};

use exchange::{Routing, Snapshot};

use super::{Balance, Balancer};
use crate::selection::local_target::LocalTarget;
use crate::selection::targets::Targets;
use crate::selection::targets::tests::snapshot;
use testkit::seeds::seeds;

const CASES: u64 = 150;
/// What a failing target may get, as a multiple of an equal share. Promised; more than 10 is seen
/// where nothing lingers.
const SHARE_MAX: f64 = 1.3;
/// In percent of the mean.
const SPREAD_MAX: u64 = 125;
const BALANCES: [Balance; 2] = [Balance::P2c, Balance::LeastConnections];

#[derive(Clone, Copy, Debug)]
struct Case {
    balance: Balance,
    cores: usize,
    targets: u16,
    /// How many of them fail, the first ones.
    failing: u16,
    /// After so long they end a connection.
    failing_after: Duration,
    /// Part of the connections that the others serve without a byte.
    unanswered: f64,
    /// How long a connection lasts on average, where it is served.
    mean: Duration,
    /// Whether all last equally long.
    is_fixed: bool,
    clients: Clients,
    seed: u64,
}

/// How clients come.
#[derive(Clone, Copy, Debug)]
enum Clients {
    /// So many a second, whatever becomes of them.
    Coming(f64),
    /// So many, each anew as soon as its connection is over.
    Persistent(u32),
}

impl Case {
    fn random(seed: u64) -> Self {
        let mut rng = fastrand::Rng::with_seed(seed);
        let mean = Duration::from_millis([100, 1000, 30_000][rng.usize(..3)]);
        let (targets, failing) = [(2, 1), (4, 1), (4, 2), (10, 1), (10, 9)][rng.usize(..5)];
        // From hardly ever one to a hundred at a time on each target.
        let live = f64::from(targets) * [0.1, 1.0, 5.0, 20.0, 100.0][rng.usize(..5)];
        Self {
            balance: BALANCES[rng.usize(..2)],
            cores: rng.usize(1..=4),
            targets,
            failing,
            failing_after: Duration::from_micros([300, 10_000][rng.usize(..2)]),
            unanswered: 0.0,
            mean,
            is_fixed: rng.bool(),
            clients: if rng.bool() {
                Clients::Coming(live / mean.as_secs_f64())
            } else {
                Clients::Persistent(rng.u32(1..100) * u32::from(targets))
            },
            seed,
        }
    }

    /// Many clients who come whatever happens, on one core.
    fn steady(balance: Balance, targets: u16, failing: u16) -> Self {
        Self {
            balance,
            cores: 1,
            targets,
            failing,
            failing_after: Duration::from_micros(300),
            unanswered: 0.0,
            mean: Duration::from_secs(1),
            is_fixed: false,
            clients: Clients::Coming(50.0 * f64::from(targets)),
            seed: 1,
        }
    }
}

enum Event {
    Arrive,
    End(Rc<LocalTarget>, IsAnswered),
}

type IsAnswered = bool;

struct Fleet {
    case: Case,
    snapshot: Snapshot,
    cores: Vec<(Targets, Balancer)>,
    rng: fastrand::Rng,
    now: Instant,
    agenda: BinaryHeap<Reverse<(Instant, usize)>>,
    events: Vec<Option<Event>>,
    /// How many clients each target got.
    picked: Vec<u32>,
}

impl Fleet {
    fn new(case: Case) -> Self {
        let snapshot = snapshot(case.targets, case.cores);
        let core = |core| {
            let mut targets = Targets::new(core, case.cores);
            targets.update(&snapshot);
            let rng = fastrand::Rng::with_seed(case.seed * 100 + core as u64);
            (targets, Balancer::new(case.balance, rng))
        };
        let mut fleet = Self {
            case,
            cores: (0..case.cores).map(core).collect(),
            snapshot,
            rng: fastrand::Rng::with_seed(case.seed),
            now: Instant::now(),
            agenda: BinaryHeap::new(),
            events: Vec::new(),
            picked: vec![0; case.targets.into()],
        };
        let first = if let Clients::Persistent(count) = case.clients { count } else { 1 };
        for _ in 0..first {
            let after = case.mean.mul_f64(fleet.rng.f64());
            fleet.note(after, Event::Arrive);
        }
        fleet
    }

    fn note(&mut self, after: Duration, event: Event) {
        self.agenda.push(Reverse((self.now + after, self.events.len())));
        self.events.push(Some(event));
    }

    fn exponential(&mut self, mean: Duration) -> Duration {
        mean.mul_f64(-(1.0 - self.rng.f64()).ln())
    }

    /// Lets so much time pass, and no less than until so many clients have come.
    fn run(&mut self, time: Duration, clients: u32) {
        let (end, clients) = (self.now + time, self.all_picked() + clients);
        while self.now < end || self.all_picked() < clients {
            let Reverse((at, event)) = self.agenda.pop().unwrap();
            self.now = at;
            match self.events[event].take().unwrap() {
                Event::Arrive => {
                    if let Clients::Coming(rate) = self.case.clients {
                        let gap = self.exponential(Duration::from_secs_f64(1.0 / rate));
                        self.note(gap, Event::Arrive);
                    }
                    self.connect();
                }
                Event::End(target, is_answered) => {
                    target.load().closed();
                    target.load().ended(is_answered);
                    if let Clients::Persistent(_) = self.case.clients {
                        self.connect();
                    }
                }
            }
        }
    }

    fn connect(&mut self) {
        let core = self.rng.usize(..self.cores.len());
        let (targets, balancer) = &mut self.cores[core];
        targets.read_other_cores(self.now);
        let target = balancer.pick(targets, &[], self.now).unwrap();
        target.load().opened();
        let number = target.address().port();
        self.picked[usize::from(number) - 1] += 1;
        let fails = number <= self.case.failing;
        let duration = match (fails, self.case.is_fixed) {
            (true, _) => self.case.failing_after,
            (false, true) => self.case.mean,
            (false, false) => self.exponential(self.case.mean),
        };
        let is_answered = !fails && self.rng.f64() >= self.case.unanswered;
        self.note(duration, Event::End(target, is_answered));
    }

    fn all_picked(&self) -> u32 {
        self.picked.iter().sum()
    }

    /// What the targets up to this one got at most of the clients since the last call, as a multiple
    /// of an equal share.
    fn share(&mut self, last: u16) -> f64 {
        let all = f64::from(self.all_picked()) / f64::from(self.case.targets);
        let most = f64::from(*self.picked[..last.into()].iter().max().unwrap());
        self.picked.fill(0);
        most / all
    }
}

#[test]
fn a_target_that_ends_every_connection_at_once_gets_no_more_than_its_share() {
    let mut largest: f64 = 0.0;
    for seed in 0..seeds(CASES) {
        let case = Case::random(seed);
        let mut fleet = Fleet::new(case);
        // From the very first client on.
        fleet.run(case.mean, 1000);
        let early = fleet.share(case.failing);
        fleet.run(case.mean * 5, 3000);
        let late = fleet.share(case.failing);
        let share = early.max(late);
        assert!(share <= SHARE_MAX, "{early:.2}, then {late:.2}: {case:?}");
        largest = largest.max(share);
    }
    println!("at most {largest:.2} of an equal share");
}

#[test]
fn a_target_that_serves_again_is_back_at_its_share() {
    for balance in BALANCES {
        let case = Case::steady(balance, 4, 1);
        let mut fleet = Fleet::new(case);
        fleet.run(case.mean * 20, 0);
        fleet.share(1);
        fleet.case.failing = 0;
        for mean in 0..5 {
            fleet.run(case.mean * 2, 0);
            let share = fleet.share(1);
            assert!((0.8..1.25).contains(&share), "{balance:?}, {mean}: {share:.2}");
        }
    }
}

#[test]
fn one_that_joins_targets_that_never_say_a_byte_is_not_flooded() {
    for balance in BALANCES {
        // They serve: their clients only send.
        let case = Case { failing_after: Duration::from_secs(1), ..Case::steady(balance, 10, 10) };
        let mut fleet = Fleet::new(case);
        let others = fleet.snapshot.entries()[..9].to_vec();
        fleet.cores[0].0.update(&Routing::to(others).into());
        fleet.run(case.mean * 60, 0);
        fleet.share(9);
        fleet.cores[0].0.update(&fleet.snapshot);
        let mut most = 0;
        for _ in 0..100 {
            fleet.run(case.mean / 10, 0);
            most = most.max(fleet.snapshot.entries()[9].counters().active());
        }
        println!("{balance:?}: the newcomer had {most} connections, the others 50 each");
        assert!(most <= 200, "{balance:?}: {most}");
        fleet.share(10);
        fleet.run(case.mean * 10, 0);
        let share = fleet.share(10);
        assert!(share < 1.2, "{balance:?}: {share:.2}");
    }
}

/// The busiest target's connections once a second, at most, in percent of the mean.
fn largest_spread(case: Case) -> u64 {
    let mut fleet = Fleet::new(case);
    fleet.run(case.mean * 10, 0);
    let spread = |_| {
        fleet.run(case.mean, 0);
        let counts = fleet.snapshot.entries().iter().map(|entry| entry.counters().active());
        counts.clone().max().unwrap() * 100 * u64::from(case.targets) / counts.sum::<u64>()
    };
    (0..60).map(spread).max().unwrap()
}

#[test]
fn connections_that_any_target_leaves_without_a_byte_do_not_spoil_the_spread() {
    for balance in BALANCES {
        for cores in [1, 4] {
            let sound = Case { cores, ..Case::steady(balance, 10, 0) };
            let spreads =
                [0.0, 0.02, 0.2].map(|unanswered| largest_spread(Case { unanswered, ..sound }));
            println!("{balance:?}, {cores} cores: {spreads:?} %");
            assert!(spreads.iter().all(|&spread| spread <= SPREAD_MAX), "{balance:?}: {spreads:?}");
        }
    }
}
