use std::rc::Rc;
use std::time::Instant;

use super::{Balance, Balancer};
use crate::candidates::Candidates;
use crate::local_target::LocalTarget;

/// What a load is divided by at least, at a ramp's very start.
const PART_MIN: f64 = 0.001;

impl Balancer {
    /// A choice while the share of some targets still grows.
    ///
    /// A ramping target that is drawn is kept with the probability of its part, else one that
    /// does not ramp takes its place. Where load decides, a ramping target counts as fuller than
    /// it is: alone for being empty it would get far more than its part.
    pub(super) fn pick_ramping<'a>(
        &mut self,
        candidates: &'a Candidates,
        turn: usize,
        now: Instant,
    ) -> &'a Rc<LocalTarget> {
        let all = candidates.all();
        match self.balance {
            Balance::Random | Balance::Maglev => {
                let drawn = self.any(all);
                self.keep_or_replace(drawn, candidates, now)
            }
            Balance::RoundRobin => {
                let drawn = self.next_in_turn(all, turn);
                self.keep_or_replace(drawn, candidates, now)
            }
            Balance::P2c => {
                let (first, second) = self.any_two(all);
                let first = self.keep_or_replace(first, candidates, now);
                let second = self.keep_or_replace(second, candidates, now);
                // Without adding one: while nobody has connections, being drawn decides.
                let load = |target: &LocalTarget| weigh(target.load(), target, now);
                if load(second) < load(first) { second } else { first }
            }
            Balance::LeastConnections => {
                self.least_by_key(all, |target| weigh(target.load().saturating_add(1), target, now))
            }
        }
    }

    /// If all ramp, none is held back: they share what there is.
    pub(super) fn keep_or_replace<'a>(
        &mut self,
        drawn: &'a Rc<LocalTarget>,
        candidates: &'a Candidates,
        now: Instant,
    ) -> &'a Rc<LocalTarget> {
        let steady = candidates.steady();
        let is_kept =
            drawn.ramp().is_none_or(|ramp| self.rng.f64() < ramp.part(now)) || steady.is_empty();
        if is_kept { drawn } else { self.any(steady) }
    }
}

/// The load that a target with its full share would have in its place.
fn weigh(load: u32, target: &LocalTarget, now: Instant) -> f64 {
    f64::from(load) / target.part(now).max(PART_MIN)
}
