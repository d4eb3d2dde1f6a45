use std::sync::Arc;
use std::time::Instant;

use exchange::{Eligibility, Entry, Ramp, ResetReason, Target, TargetCounters};

use super::rules::Rules;
use crate::policy::breaker::Breaker;
use crate::policy::drain::Drain;
use crate::policy::health::Health;
use crate::status::{Checks, Condition, TargetState};

/// Which targets may get clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Used {
    /// Those that pass their checks and can be connected to.
    Fit,
    /// Those that pass their checks: fail-open because of circuit breakers alone.
    Passing,
    /// All that were ever checked: fail-open.
    All,
}

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
        let is_checked_there = rules.check_port.is_none_or(|port| port == target.address.port());
        let is_checked = rules.has_checks && is_checked_there;
        Self {
            target: Arc::new(target),
            health: Health::default(),
            failure: None,
            breaker: Breaker::new(rules.policy.breaker, is_checked),
            drain: Drain::default(),
            was_eligible: false,
            ramp: None,
            counters: Arc::new(TargetCounters::new(rules.cores)),
        }
    }

    /// What becomes of it, but for its ramp.
    pub(super) fn assess(&self, used: Used, rules: &Rules, now: Instant) -> (Entry, Condition) {
        let state = self.state();
        let is_eligible = !self.drain.is_draining()
            && match used {
                Used::Fit => self.is_fit(),
                Used::Passing => self.health.is_healthy(),
                Used::All => self.health.has_first_result(),
            };
        let is_overdue = self.drain.due(rules.policy.drain_timeout).is_some_and(|due| due <= now);
        // Also of a target that an operator drains: that goes on being checked. While all are used
        // checks prove nothing.
        let is_unwanted = rules.policy.reset_unhealthy
            && self.health.is_unhealthy()
            && !self.drain.is_withdrawn()
            && used != Used::All;
        let eligibility = match state {
            _ if !is_eligible => Eligibility::None,
            TargetState::Ejected => Eligibility::Ejected,
            _ => Eligibility::Full,
        };
        let reset_reason = match state {
            TargetState::Draining => ResetReason::DrainTimeout,
            _ => ResetReason::Unhealthy,
        };
        let entry = Entry::new(Arc::clone(&self.target), Arc::clone(&self.counters))
            .with_eligibility(eligibility)
            .with_reset((is_overdue || is_unwanted).then_some(reset_reason));
        let condition = Condition {
            state,
            reason: self.reason(state),
            checks: (!self.drain.is_withdrawn()).then(|| self.checks()),
            breaker: self.breaker.state(),
        };
        (entry, condition)
    }

    /// Whether it is good enough to be used while there are others.
    pub(super) fn is_fit(&self) -> bool {
        self.health.is_healthy() && self.breaker.is_closed()
    }

    /// Whether it would get clients, if only it could be connected to.
    pub(super) fn is_wanted(&self) -> bool {
        !self.drain.is_draining() && self.health.is_healthy()
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
