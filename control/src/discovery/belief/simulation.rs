//! A real fleet that grows, shrinks and reuses addresses, behind an API that fails and lies: no
//! more than twice in a row, as errors go. What is believed must never cost the fleet a target.

use std::collections::BTreeSet;

use exchange::TargetId;

use super::*;

const SEQUENCES: u64 = 20_000;
const STEPS: u32 = 40;
const ADDRESSES: usize = 12;

/// Well-formed answers in a row that may lie; one more would have to be believed.
const LIES_MAX: u32 = CONFIRMATIONS - 1;

#[test]
fn bad_answers_cost_no_target_and_good_ones_take_effect() {
    for seed in 1..=SEQUENCES {
        let mut world = World::new(seed);
        for step in 0..STEPS {
            world.step(&format!("seed {seed}, step {step}"));
        }
        world.calm_down(&format!("seed {seed}, at the end"));
    }
}

struct World {
    random: fastrand::Rng,
    limit: u8,
    belief: Belief,
    /// The targets that there really are.
    fleet: BTreeSet<Target>,
    /// What left the fleet → well-formed answers since.
    left: BTreeMap<Target, u32>,
    instances: u32,
    lies: u32,
    /// Whether the fleet was believed in exactly, and nothing has happened since but one change.
    settled: bool,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut random = fastrand::Rng::with_seed(seed);
        let limit = [0, 10, 34, 50, 75, 100][random.usize(0..6)];
        let mut world = Self {
            belief: Belief::new(limit),
            limit,
            random,
            fleet: BTreeSet::new(),
            left: BTreeMap::new(),
            instances: 0,
            lies: 0,
            settled: false,
        };
        for _ in 0..world.random.usize(0..=8) {
            world.launch();
        }
        world
    }

    fn step(&mut self, place: &str) {
        if self.random.u8(0..4) == 0 {
            self.change_fleet();
        }
        match self.random.u8(0..10) {
            0 => (), // An error: nothing is observed.
            1 | 2 => self.answer_partially(place),
            3 | 4 if self.lies < LIES_MAX => self.lie(place),
            _ => self.answer_truly(place),
        }
    }

    /// Some real targets, and that some are missing.
    fn answer_partially(&mut self, place: &str) {
        let some = self.some_of_fleet();
        let before = self.belief.targets();
        assert_eq!(self.belief.observe(Answer::Partial(some)), Verdict::Partial, "{place}");
        for target in before {
            self.assert_believed(&target, place);
        }
        self.settled = false;
    }

    /// Well-formed, but empty or lacking more than the limit of what is believed; some of what it
    /// lacks is really gone, perhaps.
    fn lie(&mut self, place: &str) {
        let believed = self.belief.targets();
        let answer = if self.random.bool() { self.some_of_fleet() } else { Vec::new() };
        let lacking = believed.iter().filter(|target| !answer.contains(target)).count();
        let is_shrunken = lacking * 100 > usize::from(self.limit) * believed.len();
        if lacking == 0 || !(answer.is_empty() || is_shrunken) {
            return;
        }
        self.lies += 1;
        self.observe_whole(answer, place);
        self.settled = false;
    }

    fn answer_truly(&mut self, place: &str) {
        self.lies = 0;
        let believed = self.belief.targets();
        let gone = believed.iter().filter(|target| !self.fleet.contains(target)).count();
        let within_limit = gone * 100 <= usize::from(self.limit) * believed.len();
        self.observe_whole(self.fleet.iter().cloned().collect(), place);
        let exact = self.belief.targets() == self.in_order();
        if self.settled && within_limit && !self.fleet.is_empty() {
            assert!(exact, "{place}: a change within the limit has to be believed at once");
        }
        let held = |address| self.belief.targets().iter().any(|t| t.address == address);
        for target in &self.fleet {
            assert!(held(target.address), "{place}: {target:?} is not let in");
        }
        self.settled = exact;
    }

    fn observe_whole(&mut self, answer: Vec<Target>, place: &str) {
        let before = self.belief.targets();
        for count in self.left.values_mut() {
            *count += 1;
        }
        let verdict = self.belief.observe(Answer::Whole(answer.clone()));
        for target in before.iter().filter(|target| self.fleet.contains(target)) {
            self.assert_believed(target, place);
        }
        for (target, count) in &self.left {
            let believed = self.belief.targets().contains(target);
            assert!(!believed || *count < CONFIRMATIONS, "{place}: {target:?} has left long ago");
        }
        let mut answered: Vec<_> = answer;
        answered.sort_by_key(Identity::of);
        let exact = self.belief.targets() == answered;
        assert_eq!(verdict == Verdict::Believed, exact, "{place}: {verdict:?}");
        self.left.retain(|_, count| *count < 2 * CONFIRMATIONS);
    }

    /// After as many true answers as a doubt needs, the fleet is known.
    fn calm_down(&mut self, place: &str) {
        for _ in 0..CONFIRMATIONS {
            self.answer_truly(place);
        }
        assert_eq!(self.belief.targets(), self.in_order(), "{place}");
    }

    fn change_fleet(&mut self) {
        match self.random.u8(0..4) {
            0 => self.launch(),
            1 => {
                for _ in 0..self.random.usize(1..=4) {
                    self.launch();
                }
            }
            2 => self.terminate(1),
            _ => {
                let count = self.random.usize(0..=self.fleet.len());
                self.terminate(count);
            }
        }
    }

    /// A new instance on an address that is free, perhaps since a moment ago.
    fn launch(&mut self) {
        let number = self.random.usize(0..ADDRESSES);
        let address = format!("10.0.0.{number}:80").parse().unwrap();
        if self.fleet.iter().all(|target| target.address != address) {
            self.instances += 1;
            let id = TargetId::new(&format!("i-{}", self.instances));
            self.fleet.insert(Target { id, ..Target::at(address) });
        }
    }

    fn terminate(&mut self, count: usize) {
        for _ in 0..count.min(self.fleet.len()) {
            let index = self.random.usize(0..self.fleet.len());
            let target = self.fleet.iter().nth(index).unwrap().clone();
            self.fleet.remove(&target);
            self.left.insert(target, 0);
        }
    }

    fn some_of_fleet(&mut self) -> Vec<Target> {
        let random = &mut self.random;
        self.fleet.iter().filter(|_| random.u8(0..3) == 0).cloned().collect()
    }

    fn in_order(&self) -> Vec<Target> {
        let mut fleet: Vec<_> = self.fleet.iter().cloned().collect();
        fleet.sort_by_key(Identity::of);
        fleet
    }

    #[track_caller]
    fn assert_believed(&self, target: &Target, place: &str) {
        assert!(self.belief.targets().contains(target), "{place}: {target:?} was lost");
    }
}
