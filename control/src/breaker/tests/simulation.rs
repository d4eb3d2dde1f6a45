//! Random failures, successes, health and time against a breaker, with cores that hear of trials
//! and are heard late.

use super::*;

const SEEDS: u64 = 300;
const STEPS: u32 = 2000;
/// How many old trials and reports may still be about.
const LATE_MAX: usize = 8;
const THRESHOLD: u32 = 4;

struct World {
    random: fastrand::Rng,
    breaker: Breaker,
    now: Instant,
    standing: Standing,
    dialled: u64,
    /// Reports of failed dials under way: their count, and the successes before.
    failures: Vec<(u32, u64)>,
    /// Those that came while the breaker was closed, since it last was closed; without those that a
    /// success has followed.
    heard: Vec<(u32, u64)>,
    /// Every trial ever offered: a core may come late for any of them.
    offered: Vec<Arc<Trial>>,
    /// Trials that cores are making.
    tries: u32,
    /// Reports of trials under way.
    results: Vec<Option<bool>>,
    opened: u32,
    closed: u32,
}

impl World {
    fn new(seed: u64) -> Self {
        Self {
            random: fastrand::Rng::with_seed(seed),
            breaker: Breaker::new(Settings { threshold: THRESHOLD, timeout: TIMEOUT }),
            now: Instant::now(),
            standing: Standing::Healthy,
            dialled: 0,
            failures: Vec::new(),
            heard: Vec::new(),
            offered: Vec::new(),
            tries: 0,
            results: Vec::new(),
            opened: 0,
            closed: 0,
        }
    }

    fn step(&mut self) {
        match self.random.u32(0..12) {
            0 if self.random.u32(0..3) == 0 => self.dialled += 1,
            0..=2 => remember(&mut self.failures, (self.random.u32(1..=2), self.dialled)),
            3..=5 => self.hear_of_failure(),
            6 => self.claim(),
            7 => self.end_trial(),
            8 => self.hear_of_trial(),
            9 => self.turn_health(),
            _ => self.pass_time(),
        }
        if let Some(trial) = self.breaker.trial()
            && self.offered.last().is_none_or(|last| !Arc::ptr_eq(last, trial))
        {
            assert_eq!(self.standing, Standing::Healthy, "a trial that nobody wants");
            remember(&mut self.offered, Arc::clone(trial));
        }
        let unclaimed = self.offered.iter().filter(|trial| !trial.is_claimed()).count();
        let unfinished = unclaimed + self.tries as usize + self.results.len();
        assert!(unfinished <= 1, "{unfinished} trials at once");
        assert_eq!(self.breaker.is_closed(), self.breaker.reason().is_none());
    }

    fn hear_of_failure(&mut self) {
        if self.failures.is_empty() {
            return;
        }
        let (count, successes) =
            self.failures.swap_remove(self.random.usize(..self.failures.len()));
        let was_closed = self.breaker.is_closed();
        let turn = self.breaker.failed(count, successes, self.dialled, self.now);
        if !was_closed {
            assert_eq!(turn, None, "it is not closed");
            return;
        }
        self.heard.push((count, successes));
        self.heard.retain(|(_, of)| *of == self.dialled);
        let row: u32 = self.heard.iter().map(|(count, _)| count).sum();
        let is_last = successes == self.dialled;
        let expected = (is_last && row >= THRESHOLD).then_some(Turn::Open);
        assert_eq!(turn, expected, "{row} in a row");
        self.opened += u32::from(turn.is_some());
    }

    fn claim(&mut self) {
        if !self.offered.is_empty() {
            let newest = self.offered.len() - 1;
            let index = if self.random.bool() { newest } else { self.random.usize(..=newest) };
            let trial = &self.offered[index];
            self.tries += u32::from(trial.claim());
        }
    }

    fn end_trial(&mut self) {
        if self.tries > 0 {
            self.tries -= 1;
            let reached = [None, Some(false), Some(true)][self.random.usize(..3)];
            self.dialled += u64::from(reached == Some(true));
            self.results.push(reached);
        }
    }

    fn hear_of_trial(&mut self) {
        let Some(reached) = self.results.pop() else { return };
        let expected = match reached {
            Some(true) => Some(Turn::Closed),
            Some(false) => Some(Turn::Open),
            None => None,
        };
        assert_eq!(self.breaker.tried(reached, self.now), expected);
        if reached == Some(true) {
            assert!(self.breaker.is_closed());
            self.closed += 1;
            self.heard.clear();
        }
        // As before each snapshot: a trial in place of one cut short is not for a sick target.
        self.advance();
    }

    fn turn_health(&mut self) {
        self.standing = match self.random.u32(0..6) {
            0 | 1 => Standing::Unhealthy,
            2 => Standing::Withdrawn { is_healthy: self.random.bool() },
            _ => Standing::Healthy,
        };
        self.advance();
    }

    fn pass_time(&mut self) {
        self.now += TIMEOUT * self.random.u32(0..60) / 100;
        self.advance();
    }

    fn advance(&mut self) {
        let was_closed = self.breaker.is_closed();
        let due = self.breaker.due();
        let turn = self.breaker.advance(self.standing, self.now);
        assert_eq!(self.breaker.is_closed(), was_closed, "neither time nor health does that");
        let is_due = self.standing == Standing::Healthy && due.is_some_and(|due| due <= self.now);
        assert!(!is_due || turn == Some(Turn::HalfOpen), "it was due");
    }

    /// From here on all goes well: the breaker has to close.
    fn recover(&mut self) {
        self.failures.clear();
        self.standing = Standing::Healthy;
        for _ in 0..3 {
            self.now += TIMEOUT;
            self.advance();
            let is_claimed = self.breaker.trial().is_some_and(|trial| trial.claim());
            if is_claimed || self.tries > 0 || !self.results.is_empty() {
                self.breaker.tried(Some(true), self.now);
                (self.tries, self.results) = (0, Vec::new());
            }
        }
        assert!(self.breaker.is_closed(), "{:?}", self.breaker);
    }
}

/// Adds `new` in place of the oldest of too many.
fn remember<T>(all: &mut Vec<T>, new: T) {
    if all.len() == LATE_MAX {
        all.remove(0);
    }
    all.push(new);
}

#[test]
fn one_trial_at_a_time_whatever_happens() {
    let (mut opened, mut closed) = (0, 0);
    for seed in 1..=SEEDS {
        let run = std::panic::catch_unwind(|| {
            let mut world = World::new(seed);
            (0..STEPS).for_each(|_| world.step());
            world.recover();
            (world.opened, world.closed)
        });
        let (o, c) = run.unwrap_or_else(|_| panic!("seed {seed}"));
        (opened, closed) = (opened + o, closed + c);
    }
    // Or it has shown nothing.
    assert!(opened > 1000 && closed > 1000, "{opened} {closed}");
}
