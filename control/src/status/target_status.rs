use std::sync::Arc;

use exchange::{Entry, Target, TargetCounters};

use super::breaker_state::BreakerState;
use super::checks::Checks;
use super::target_state::TargetState;

/// What is the matter with a target.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Condition {
    /// Its state.
    pub(crate) state: TargetState,
    /// Why it is in this state, for people; none where the state says it all.
    pub(crate) reason: Option<Arc<str>>,
    /// What its health checks say; none once discovery has withdrawn it and nobody checks it.
    pub(crate) checks: Option<Checks>,
    /// Where its circuit breaker stands.
    pub(crate) breaker: BreakerState,
}

/// One target as operators see it, and what cores know of it at the same time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TargetStatus {
    entry: Entry,
    condition: Condition,
}

impl TargetStatus {
    pub(crate) fn new(entry: Entry, condition: Condition) -> Self {
        Self { entry, condition }
    }

    /// The target itself.
    pub fn target(&self) -> &Arc<Target> {
        self.entry.target()
    }

    /// What cores know of it.
    pub fn entry(&self) -> &Entry {
        &self.entry
    }

    /// What the cores count about it.
    pub fn counters(&self) -> &Arc<TargetCounters> {
        self.entry.counters()
    }

    /// Whether new connections of clients may go to it.
    pub fn is_eligible(&self) -> bool {
        self.entry.is_eligible()
    }

    /// Whether its live connections are to be reset now.
    pub fn is_reset(&self) -> bool {
        self.entry.reset().is_some()
    }

    /// Its state.
    pub fn state(&self) -> TargetState {
        self.condition.state
    }

    /// Whether it gets no new connections, having been withdrawn.
    pub fn is_draining(&self) -> bool {
        self.condition.state == TargetState::Draining
    }

    /// Why it is in this state, for people; none where the state says it all.
    pub fn reason(&self) -> Option<&str> {
        self.condition.reason.as_deref()
    }

    /// What its health checks say; none once discovery has withdrawn it and nobody checks it.
    pub fn checks(&self) -> Option<&Checks> {
        self.condition.checks.as_ref()
    }

    /// Where its circuit breaker stands.
    pub fn breaker(&self) -> BreakerState {
        self.condition.breaker
    }
}
