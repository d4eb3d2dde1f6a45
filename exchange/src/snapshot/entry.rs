use std::sync::Arc;

use super::ramp::Ramp;
use crate::counters::TargetCounters;
use crate::target::Target;

/// Whether new connections may go to a target. Follows from the states of all targets: under
/// fail-open an unhealthy one is eligible.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Eligibility {
    /// They may not.
    #[default]
    None,
    /// Clients may, under fail-open. But its circuit breaker is open, so it is connected to no more
    /// than has to be.
    Ejected,
    /// They may.
    Full,
}

/// Why a target's live connections are reset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResetReason {
    /// It drains, and they have gone on for as long as they may.
    DrainTimeout,
    /// It fails its health checks.
    Unhealthy,
}

/// One target in a snapshot: what a core needs to know of it to lead clients there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    target: Arc<Target>,
    eligibility: Eligibility,
    reset: Option<ResetReason>,
    ramp: Option<Ramp>,
    counters: Arc<TargetCounters>,
}

impl Entry {
    /// A target that gets no connections, and keeps those that it has.
    pub fn new(target: Arc<Target>, counters: Arc<TargetCounters>) -> Self {
        Self { target, eligibility: Eligibility::None, reset: None, ramp: None, counters }
    }

    /// The same target, with new connections or without.
    #[must_use]
    pub fn with_eligibility(self, eligibility: Eligibility) -> Self {
        Self { eligibility, ..self }
    }

    /// The same target, its live connections to be reset now for this reason, or not.
    #[must_use]
    pub fn with_reset(self, reset: Option<ResetReason>) -> Self {
        Self { reset, ..self }
    }

    /// The same target, whose share of new connections grows, or is all of it.
    #[must_use]
    pub fn with_ramp(self, ramp: Option<Ramp>) -> Self {
        Self { ramp, ..self }
    }

    /// The target itself.
    pub fn target(&self) -> &Arc<Target> {
        &self.target
    }

    /// Whether new connections of clients may go to it.
    pub fn is_eligible(&self) -> bool {
        self.eligibility != Eligibility::None
    }

    /// Whether connections to it may be made before there are clients for them.
    pub fn may_be_preconnected(&self) -> bool {
        self.eligibility == Eligibility::Full && self.reset.is_none()
    }

    /// Why its live connections are to be reset now, if they are.
    pub fn reset(&self) -> Option<ResetReason> {
        self.reset
    }

    /// While its share of new connections grows after it has joined. Stays when that is over, until
    /// something else changes.
    pub fn ramp(&self) -> Option<Ramp> {
        self.ramp
    }

    /// What the cores count about it; the same for as long as the target is known.
    pub fn counters(&self) -> &Arc<TargetCounters> {
        &self.counters
    }
}
