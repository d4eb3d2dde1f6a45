//! A real fleet that grows, shrinks and reuses addresses, behind an API that fails and leaves things
//! out: no more than twice in a row, as errors go. What it says is true, as far as it goes. What is
//! accepted must never cost the fleet a target, nor keep one that is said to be gone.

use std::collections::BTreeSet;

use super::*;
use testkit::seeds::seeds;

const SEQUENCES: u64 = 20_000;
const STEPS: u32 = 40;
const ADDRESSES: usize = 12;

/// Answers that may leave out whom they should mention before one mentions everybody; one more would
/// have to be accepted.
const LIES_MAX: u32 = CONFIRMATIONS - 1;

#[test]
fn bad_answers_cost_no_target_and_good_ones_take_effect() {
    for seed in 1..=seeds(SEQUENCES) {
        let mut world = ApiWorld::new(seed);
        for step in 0..STEPS {
            world.step(&format!("seed {seed}, step {step}"));
        }
        world.calm_down(&format!("seed {seed}, at the end"));
    }
}

struct ApiWorld {
    random: fastrand::Rng,
    limit: u8,
    known: ConfirmedTargets,
    /// The targets that there really are.
    fleet: BTreeSet<Target>,
    /// What left the fleet → how often an answer that could tell has not mentioned it.
    left: BTreeMap<Target, u32>,
    instances: u32,
    lies: u32,
    /// Whether the fleet was known exactly, and nothing has happened since but one change.
    settled: bool,
}

impl ApiWorld {
    fn new(seed: u64) -> Self {
        let mut random = fastrand::Rng::with_seed(seed);
        let limit = [0, 10, 34, 50, 75, 100][random.usize(0..6)];
        let mut world = Self {
            known: ConfirmedTargets::new(limit),
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
            1 | 2 => self.answer_uncertainly(place),
            3 | 4 if self.lies < LIES_MAX => self.lie(place),
            _ => self.answer_truly(place),
        }
    }

    /// The truth, but that some instances are known by their ids alone: real ones, and some that have
    /// left, which nobody has noticed yet.
    fn answer_uncertainly(&mut self, place: &str) {
        let mut answer = self.truth();
        let random = &mut self.random;
        let (vague, clear) = answer.targets.into_iter().partition(|_| random.u8(0..3) == 0);
        answer.targets = clear;
        let vague: Vec<Target> = vague;
        answer.uncertain = vague.into_iter().map(|target| target.id).collect();
        let left: Vec<_> = self.left.keys().map(|target| target.id.clone()).collect();
        for id in left {
            if self.random.u8(0..3) == 0 && !answer.gone.contains(&id) {
                answer.uncertain.insert(id);
            }
        }
        self.observe(&answer, place);
        self.settled = false;
    }

    /// Well-formed, but mentions nobody, or too few of those who are known and not said to be
    /// gone; some of whom it does not mention are really gone, perhaps.
    fn lie(&mut self, place: &str) {
        let mentions_some = self.random.bool();
        let mut answer = self.truth();
        let random = &mut self.random;
        answer.targets.retain(|_| mentions_some && random.u8(0..3) == 0);
        let expected = self.expected(&answer);
        let lacking = expected.iter().filter(|it| !answer.targets.contains(it)).count();
        let is_shrunken = lacking * 100 > usize::from(self.limit) * expected.len();
        if lacking == 0 || !(answer.targets.is_empty() || is_shrunken) {
            return;
        }
        self.lies += 1;
        self.observe(&answer, place);
        self.settled = false;
    }

    fn answer_truly(&mut self, place: &str) {
        self.lies = 0;
        let answer = self.truth();
        let expected = self.expected(&answer);
        let unmentioned = expected.iter().filter(|target| !self.fleet.contains(target)).count();
        let within_limit = unmentioned * 100 <= usize::from(self.limit) * expected.len();
        self.observe(&answer, place);
        let exact = self.known.targets() == self.in_order();
        if self.settled && (unmentioned == 0 || within_limit && !self.fleet.is_empty()) {
            assert!(exact, "{place}: a change within the limit has to be accepted at once");
        }
        self.assert_let_in(self.fleet.iter(), place);
        self.settled = exact;
    }

    /// Every target that there is, and of some that have left that they are gone.
    fn truth(&mut self) -> Answer {
        let random = &mut self.random;
        let gone = self.left.keys().filter(|_| random.bool());
        let gone = gone.map(|target| target.id.clone()).collect();
        Answer { targets: self.fleet.iter().cloned().collect(), gone, uncertain: HashSet::new() }
    }

    /// Who is known and not said to be gone.
    fn expected(&self, answer: &Answer) -> Vec<Target> {
        let mut expected = self.known.targets();
        expected.retain(|target| !answer.gone.contains(&target.id));
        expected
    }

    fn observe(&mut self, answer: &Answer, place: &str) {
        let before = self.known.targets();
        for (target, count) in &mut self.left {
            *count += u32::from(!answer.uncertain.contains(&target.id));
        }
        let verdict = self.known.observe(answer.clone());
        let expected = self.known.targets();
        for target in before.iter().filter(|target| self.fleet.contains(target)) {
            assert!(expected.contains(target), "{place}: {target:?} was lost");
        }
        for target in &expected {
            assert!(!answer.gone.contains(&target.id), "{place}: {target:?} is said to be gone");
        }
        for (target, count) in &self.left {
            let is_known = expected.contains(target);
            assert!(!is_known || *count < CONFIRMATIONS, "{place}: {target:?} left long ago");
        }
        for target in before.iter().filter(|target| answer.uncertain.contains(&target.id)) {
            assert!(expected.contains(target), "{place}: {target:?} is not said to be gone");
        }
        self.assert_let_in(answer.targets.iter(), place);
        let is_mentioned =
            |it: &Target| answer.targets.contains(it) || answer.uncertain.contains(&it.id);
        let is_accepted = matches!(verdict, Verdict::Accepted | Verdict::Partial);
        assert_eq!(is_accepted, expected.iter().all(is_mentioned), "{place}: {verdict:?}");
        self.left.retain(|_, count| *count < 2 * CONFIRMATIONS);
    }

    /// Whoever an answer has is in use, unless another has the address.
    #[track_caller]
    fn assert_let_in<'a>(&self, mut targets: impl Iterator<Item = &'a Target>, place: &str) {
        let held: HashSet<_> = self.known.targets().iter().map(|it| it.address).collect();
        assert!(targets.all(|it| held.contains(&it.address)), "{place}: one is not let in");
    }

    /// After as many true answers as a doubt needs, the fleet is known.
    fn calm_down(&mut self, place: &str) {
        for _ in 0..CONFIRMATIONS {
            self.answer_truly(place);
        }
        assert_eq!(self.known.targets(), self.in_order(), "{place}");
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

    fn in_order(&self) -> Vec<Target> {
        let mut fleet: Vec<_> = self.fleet.iter().cloned().collect();
        fleet.sort_by_key(Identity::of);
        fleet
    }
}
