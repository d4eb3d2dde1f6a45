use std::sync::Arc;
use std::time::Instant;

use exchange::{Checks, Entry, Ramp, Target, TargetCounters, TargetState};

use super::Rules;
use crate::breaker::{Breaker, Standing};
use crate::drain::Drain;
use crate::health::Health;

/// What the roster knows of one target.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) target: Arc<Target>,
    pub(super) health: Health,
    /// Why the latest check failed, if one has.
    pub(super) failure: Option<Arc<str>>,
    pub(super) breaker: Breaker,
    pub(super) drain: Drain,
    /// As of the latest snapshot.
    pub(super) was_eligible: bool,
    pub(super) ramp: Option<Ramp>,
    pub(super) counters: Arc<TargetCounters>,
}

impl Member {
    /// A target that was never seen before.
    pub(super) fn new(target: Target, rules: &Rules) -> Self {
        Self {
            target: Arc::new(target),
            health: Health::default(),
            failure: None,
            breaker: Breaker::new(rules.breaker),
            drain: Drain::default(),
            was_eligible: false,
            ramp: None,
            counters: Arc::new(TargetCounters::new(rules.cores)),
        }
    }

    /// What a snapshot says of it, but for its ramp.
    pub(super) fn assess(&self, fail_open: bool, rules: &Rules, now: Instant) -> Entry {
        let draining = self.drain.is_draining();
        let is_known = self.health.has_first_result();
        let state = self.state();
        let eligible = !draining && (self.is_fit() || fail_open && is_known);
        let is_overdue = self.drain.due(rules.drain_timeout).is_some_and(|due| due <= now);
        // Also of a target that an operator drains: that goes on being checked. Under fail-open
        // checks prove nothing.
        let is_unwanted = rules.reset_unhealthy
            && self.health.is_unhealthy()
            && !self.drain.is_withdrawn()
            && !fail_open;
        let trial = self.breaker.trial().filter(|_| !draining).map(Arc::clone);
        Entry {
            state,
            eligible,
            reason: self.reason(state),
            checks: (!self.drain.is_withdrawn()).then(|| self.checks()),
            breaker: self.breaker.state(),
            // A trial connection is to be made, not to be reset.
            reset: is_overdue || is_unwanted && trial.is_none(),
            trial,
            ..Entry::new(Arc::clone(&self.target), Arc::clone(&self.counters))
        }
    }

    /// Whether it is good enough to be used while there are others.
    pub(super) fn is_fit(&self) -> bool {
        self.health.is_healthy() && self.breaker.is_closed()
    }

    pub(super) fn standing(&self) -> Standing {
        if self.drain.is_draining() {
            Standing::Withdrawn { is_healthy: self.health.is_healthy() }
        } else if self.health.is_healthy() {
            Standing::Healthy
        } else {
            Standing::Unhealthy
        }
    }

    /// Where several states hold, the one that says most about where clients go.
    fn state(&self) -> TargetState {
        if self.drain.is_draining() {
            TargetState::Draining
        } else if self.breaker.is_closed() {
            self.health.state()
        } else {
            TargetState::Ejected
        }
    }

    /// At once why a first check has failed, though it takes more of them to be unhealthy.
    fn checks(&self) -> Checks {
        match &self.failure {
            _ if self.health.is_healthy() => Checks::Passing,
            Some(failure) => Checks::Failing(Arc::clone(failure)),
            None => Checks::Pending,
        }
    }

    fn reason(&self, state: TargetState) -> Option<Arc<str>> {
        match state {
            TargetState::Ejected => self.breaker.reason().map(Arc::clone),
            TargetState::Unhealthy => self.failure.clone(),
            TargetState::Draining => self.drain.reason().map(Into::into),
            TargetState::Checking | TargetState::Healthy => None,
        }
    }
}
