use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::{Affinity, Target, TargetCounters, TargetId};

/// Counts published snapshots; a larger one is newer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Generation(pub u64);

/// How the control plane sees a target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TargetState {
    /// Discovered, and no health check has passed or been failed often enough yet.
    Checking,
    /// Passes its health checks.
    Healthy,
    /// Fails its health checks.
    Unhealthy,
    /// Taken out by its circuit breaker.
    Ejected,
    /// Withdrawn: no new connections, live ones go on.
    Draining,
}

impl TargetState {
    /// Every state there is.
    pub const ALL: [Self; 5] =
        [Self::Checking, Self::Healthy, Self::Unhealthy, Self::Ejected, Self::Draining];

    /// The name operators see.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Checking => "checking",
            Self::Healthy => "healthy",
            Self::Unhealthy => "unhealthy",
            Self::Ejected => "ejected",
            Self::Draining => "draining",
        }
    }
}

impl fmt::Display for TargetState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What a target's health checks say of it, whatever else is the matter with it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Checks {
    /// Nothing yet.
    #[default]
    Pending,
    /// They pass.
    Passing,
    /// They fail, the latest one that did for this reason: one short line without control
    /// characters.
    Failing(Arc<str>),
}

/// Where a target's circuit breaker stands, whatever else is the matter with the target.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BreakerState {
    /// The target can be connected to, as far as is known.
    #[default]
    Closed,
    /// The control plane is trying to connect to it.
    HalfOpen,
    /// The target cannot be connected to.
    Open,
}

/// One target in a snapshot.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The target itself.
    pub target: Arc<Target>,
    /// Its state when the snapshot was made.
    pub state: TargetState,
    /// Whether new connections may go to it. Follows from the states of all targets: under
    /// fail-open an unhealthy target is eligible.
    pub eligible: bool,
    /// Why it is in this state, for people; none where the state says it all.
    pub reason: Option<Arc<str>>,
    /// What its health checks say; none once discovery has withdrawn it and nobody checks it.
    pub checks: Option<Checks>,
    /// Where its circuit breaker stands.
    pub breaker: BreakerState,
    /// Whether its live connections are to be reset now.
    pub reset: bool,
    /// While its share of new connections grows after it was admitted.
    pub ramp: Option<Ramp>,
    /// What the cores count about it; the same for as long as the target is known.
    pub counters: Arc<TargetCounters>,
}

impl Entry {
    /// A target that nothing is known of yet.
    pub fn new(target: Arc<Target>, counters: Arc<TargetCounters>) -> Self {
        Self {
            target,
            state: TargetState::Checking,
            eligible: false,
            reason: None,
            checks: Some(Checks::Pending),
            breaker: BreakerState::Closed,
            reset: false,
            ramp: None,
            counters,
        }
    }
}

/// A share that grows in proportion to time, from next to nothing to all of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ramp {
    /// When it began.
    pub since: Instant,
    /// How long it takes; not zero.
    pub duration: Duration,
}

impl Ramp {
    /// The part of its full share that a target gets at `now`: from 0.0 to 1.0.
    pub fn part(&self, now: Instant) -> f64 {
        let passed = now.saturating_duration_since(self.since);
        (passed.as_secs_f64() / self.duration.as_secs_f64()).min(1.0)
    }
}

/// Some of the eligible targets, all of one zone, and what part of the new connections they get.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Locality {
    /// Their part of the new connections, in units of 1 / [`Locality::WHOLE`]; not 0.
    pub share: u32,
    /// Which of the snapshot's entries they are; not empty, all of them eligible.
    pub entries: Vec<usize>,
}

impl Locality {
    /// What the shares of all localities of a snapshot add up to.
    pub const WHOLE: u32 = 1 << 16;
}

/// Everything the data plane knows about targets, as of one instant. Never changed once made.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// Which snapshot this is.
    pub generation: Generation,
    /// Whether targets are used although their checks fail, because too few pass.
    pub fail_open: bool,
    /// Whether clients are let in; where no target is eligible then, they are turned away. If not,
    /// they wait: who is to serve them is about to be known, and no target is eligible until then.
    pub admits: bool,
    /// All known targets, in a stable order.
    pub entries: Vec<Entry>,
    /// The zone of this balancer, where known and to be heeded.
    pub own_zone: Option<Arc<str>>,
    /// Where new connections go first; empty: no zone is preferred, all eligible targets are alike.
    pub localities: Vec<Locality>,
    /// The target of each client, where clients keep theirs. May lag behind the entries by an instant,
    /// though not when clients are let in: what it maps to need not be eligible any more.
    pub affinity: Option<Arc<Affinity>>,
    /// Whom operators want to drain and discovery does not know now: they will drain when they are
    /// back. In order; bounded, as orders that stand are.
    pub drained_absent: Vec<TargetId>,
    /// While connections of long standing make room for targets that have joined: when those did.
    /// Connections opened before may end as each target's [`crate::Surplus`] allows.
    pub rebalanced_since: Option<Instant>,
}

impl Snapshot {
    /// The entries that new connections may go to.
    pub fn eligible(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter().filter(|entry| entry.eligible)
    }

    /// How many targets are healthy, of how many that do not drain.
    pub fn healthy_of(&self) -> (usize, usize) {
        let count = |state| self.entries.iter().filter(|entry| entry.state == state).count();
        (count(TargetState::Healthy), self.entries.len() - count(TargetState::Draining))
    }
}
