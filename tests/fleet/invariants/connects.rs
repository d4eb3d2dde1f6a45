use std::collections::{HashMap, VecDeque};
use std::rc::Rc;
use std::time::{Duration, Instant};

use control::status::{Status, TargetState};
use dataplane::policy::{Choice, LocalTarget, Tried};

use crate::core::find;

/// What was paid in or taken out is surely counted for so long, and surely not for a second more.
const WINDOW_MIN: Duration = Duration::from_secs(9);
const WINDOW_MAX: Duration = Duration::from_secs(10);

/// What holds of one core's choices.
#[derive(Debug)]
pub(crate) struct Connects {
    connect_attempts: usize,
    /// Retries that are free of charge in a window.
    reserve: f64,
    arrivals: VecDeque<Instant>,
    retries: VecDeque<Instant>,
    /// Whether the last connect of a target that ended reached it.
    last: HashMap<*const LocalTarget, (Rc<LocalTarget>, bool)>,
}

impl Connects {
    pub(crate) fn new(cores: usize, connect_attempts: usize) -> Self {
        let cores = f64::from(u32::try_from(cores).unwrap());
        Self {
            connect_attempts,
            reserve: (100.0 / cores).max(1.0),
            arrivals: VecDeque::new(),
            retries: VecDeque::new(),
            last: HashMap::new(),
        }
    }

    pub(crate) fn arrived(&mut self, now: Instant) {
        for times in [&mut self.arrivals, &mut self.retries] {
            while times.front().is_some_and(|&at| now - at > WINDOW_MAX) {
                times.pop_front();
            }
        }
        self.arrivals.push_back(now);
    }

    pub(crate) fn ended(&mut self, target: &Rc<LocalTarget>, reached: Option<bool>) {
        if let Some(reached) = reached {
            self.last.insert(Rc::as_ptr(target), (Rc::clone(target), reached));
        }
    }

    pub(crate) fn assert_choice(
        &mut self,
        choice: &Choice,
        tried: &Tried,
        snapshot: &Status,
        now: Instant,
    ) {
        match choice {
            Choice::Connect(target) => self.assert_connect(target, tried, snapshot, now),
            Choice::NoTarget => {
                let is_tried_enough = tried.attempts() >= self.connect_attempts;
                let left = left(tried, snapshot);
                assert!(is_tried_enough || left == 0, "dropped with {left} left after {tried:?}");
            }
            Choice::BudgetSpent => {
                let is_spent = self.balance(now, WINDOW_MIN, WINDOW_MAX) < 1.0;
                assert!(is_spent, "dropped although a retry could be paid for, after {tried:?}");
                assert!(tried.attempts() > 0, "a first connect is free");
            }
        }
    }

    fn assert_connect(
        &mut self,
        target: &Rc<LocalTarget>,
        tried: &Tried,
        snapshot: &Status,
        now: Instant,
    ) {
        let entry = find(snapshot, target).expect("what is connected is in the snapshot");
        assert_ne!(entry.state(), TargetState::Draining, "a connect of a withdrawn target");
        assert!(entry.is_eligible(), "a connect of a target that is not eligible: {entry:?}");
        let is_new = !tried.targets().iter().any(|old| Rc::ptr_eq(old, target));
        assert!(is_new, "a second connect of one target for one client");
        assert!(tried.attempts() < self.connect_attempts, "one connect too many");
        let has_failed = self.last.get(&Rc::as_ptr(target)).is_some_and(|(_, reached)| !reached);
        if tried.attempts() > 0 && has_failed {
            let can_pay = self.balance(now, WINDOW_MAX, WINDOW_MIN) >= 1.0;
            assert!(can_pay, "more retries than the budget allows");
            self.retries.push_back(now);
        }
    }

    /// What is left for retries, given for how long connections and retries count.
    fn balance(&self, now: Instant, paid_in: Duration, taken_out: Duration) -> f64 {
        let count = |times: &VecDeque<Instant>, window| {
            let recent = times.iter().filter(|&&at| now - at <= window).count();
            f64::from(u32::try_from(recent).unwrap())
        };
        self.reserve + count(&self.arrivals, paid_in) / 5.0 - count(&self.retries, taken_out)
    }
}

/// How many eligible targets were not tried.
fn left(tried: &Tried, snapshot: &Status) -> usize {
    let is_tried = |target: &exchange::Target| {
        tried
            .targets()
            .iter()
            .any(|old| old.target().address == target.address && old.target().id == target.id)
    };
    snapshot.eligible().filter(|entry| !is_tried(entry.target())).count()
}
