//! Random failures, successes, checks, attempts and time against a breaker, judged by an account of
//! its own.

use super::*;
use testkit::seeds::seeds;

const SEEDS: u64 = 300;
const STEPS: u32 = 2000;
/// How many reports, checks and ended attempts may be on their way.
const LATE_MAX: usize = 8;
const THRESHOLD: u32 = 4;

struct BreakerWorld {
    random: fastrand::Rng,
    breaker: Breaker,
    is_checked: bool,
    now: Instant,
    connected: u64,
    /// Reports of failed connects under way: their count, and the successes before.
    failures: Vec<(u32, u64)>,
    /// Those that came while the breaker was closed, since it last was closed; without those that a
    /// success has followed.
    heard: Vec<(u32, u64)>,
    /// When the checks under way began.
    checks: Vec<Instant>,
    /// When the attempts began whose ends are not told yet, those of earlier openings among them.
    attempts: Vec<Instant>,
    open: Option<Account>,
    tally: Tally,
}

/// What is known of an open breaker from outside.
#[derive(Clone, Copy)]
struct Account {
    since: Instant,
    wait: Duration,
    due: Instant,
    /// The attempt under way.
    began: Option<Instant>,
}

/// How often each thing happened.
#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    opened: u32,
    failed_attempts: u32,
    closed_by_checks: u32,
    closed_by_connects: u32,
    closed_by_attempts: u32,
}

impl BreakerWorld {
    fn new(seed: u64) -> Self {
        let is_checked = seed.is_multiple_of(2);
        let settings = BreakerSettings { threshold: THRESHOLD, timeout: TIMEOUT };
        Self {
            random: fastrand::Rng::with_seed(seed),
            breaker: Breaker::new(settings, is_checked),
            is_checked,
            now: Instant::now(),
            connected: 0,
            failures: Vec::new(),
            heard: Vec::new(),
            checks: Vec::new(),
            attempts: Vec::new(),
            open: None,
            tally: Tally::default(),
        }
    }

    fn step(&mut self) {
        match self.random.u32(0..16) {
            0 if self.random.u32(0..4) == 0 => self.succeed(),
            0..=3 => remember(&mut self.failures, (self.random.u32(1..=2), self.connected)),
            4..=7 => self.hear_of_failure(),
            8 => remember(&mut self.checks, self.now),
            9 if self.random.bool() => self.hear_of_check(),
            10..=12 => self.begin_attempt(),
            13 => self.hear_of_attempt(),
            _ => self.now += TIMEOUT.mul_f64(self.random.f64().powi(6)),
        }
        assert_eq!(self.breaker.is_closed(), self.open.is_none());
        assert_eq!(self.breaker.is_closed(), self.breaker.reason().is_none());
    }

    fn succeed(&mut self) {
        self.connected += 1;
        let transition = self.breaker.connected(self.connected);
        assert_eq!(transition, self.open.map(|_| Transition::Closed));
        self.tally.closed_by_connects += u32::from(transition.is_some());
        self.note_closed(transition);
    }

    fn hear_of_failure(&mut self) {
        let Some((count, successes)) = self.take(|world| &mut world.failures) else { return };
        let transition = self.breaker.failed(&report(count, successes), self.connected, self.now);
        if self.open.is_some() {
            return assert_eq!(transition, None, "it is open already");
        }
        self.heard.push((count, successes));
        self.heard.retain(|(_, of)| *of == self.connected);
        let row: u32 = self.heard.iter().map(|(count, _)| count).sum();
        let is_last = successes == self.connected;
        let expected = (is_last && row >= THRESHOLD).then_some(Transition::Open);
        assert_eq!(transition, expected, "{row} in a row");
        if transition.is_some() {
            let wait = if self.is_checked { TIMEOUT } else { Duration::from_secs(1) };
            let due = self.now + wait;
            self.open = Some(Account { since: self.now, wait, due, began: None });
            self.tally.opened += 1;
        }
    }

    fn hear_of_check(&mut self) {
        let Some(began) = self.take(|world| &mut world.checks) else { return };
        let transition = self.breaker.passed(began);
        let is_news = self.is_checked && self.open.is_some_and(|open| open.since < began);
        assert_eq!(transition, is_news.then_some(Transition::Closed));
        self.tally.closed_by_checks += u32::from(is_news);
        self.note_closed(transition);
    }

    fn begin_attempt(&mut self) {
        let is_due = |open: Account| open.began.is_none() && open.due <= self.now;
        let expected = self.open.filter(|open| is_due(*open)).map(|_| Transition::HalfOpen);
        assert_eq!(self.breaker.attempt(self.now), expected);
        if expected.is_some() {
            self.attempts.push(self.now);
            self.open.as_mut().unwrap().began = Some(self.now);
        }
    }

    fn hear_of_attempt(&mut self) {
        let Some(began) = self.take(|world| &mut world.attempts) else { return };
        let results =
            [ConnectAttempt::Reached, FAILED, FAILED, ConnectAttempt::NotMade("no room".into())];
        let result = results[self.random.usize(..4)].clone();
        let transition = self.breaker.attempted(began, result.clone(), self.now);
        let Some(open) = self.open.as_mut().filter(|open| open.began == Some(began)) else {
            return assert_eq!(transition, None, "nobody waits for it");
        };
        if result == ConnectAttempt::Reached {
            assert_eq!(transition, Some(Transition::Closed));
            self.tally.closed_by_attempts += 1;
            return self.note_closed(transition);
        }
        assert_eq!(transition, Some(Transition::Open));
        if result == FAILED {
            open.wait = (open.wait * 2).min(TIMEOUT);
            self.tally.failed_attempts += 1;
        }
        (open.due, open.began) = (self.now + open.wait, None);
    }

    fn note_closed(&mut self, transition: Option<Transition>) {
        if transition.is_some() {
            self.open = None;
            self.heard.clear();
        }
    }

    /// Any of those that are under way.
    fn take<T>(&mut self, all: impl Fn(&mut Self) -> &mut Vec<T>) -> Option<T> {
        let count = all(self).len();
        (count > 0).then(|| {
            let index = self.random.usize(..count);
            all(self).swap_remove(index)
        })
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
fn it_opens_and_closes_and_is_tried_as_its_rules_say_whatever_happens() {
    let (seeds, mut all) = (seeds(SEEDS), [0; 5]);
    for seed in 1..=seeds {
        let run = std::panic::catch_unwind(|| {
            let mut world = BreakerWorld::new(seed);
            (0..STEPS).for_each(|_| world.step());
            world.tally
        });
        let tally = run.unwrap_or_else(|_| panic!("seed {seed}"));
        let Tally { opened, failed_attempts, closed_by_checks, .. } = tally;
        let Tally { closed_by_connects, closed_by_attempts, .. } = tally;
        let counts =
            [opened, failed_attempts, closed_by_checks, closed_by_connects, closed_by_attempts];
        all.iter_mut().zip(counts).for_each(|(sum, count)| *sum += count);
    }
    // Or it has shown nothing.
    assert!(all.iter().all(|&count| u64::from(count) > 1000 * seeds / SEEDS), "{all:?}");
}
