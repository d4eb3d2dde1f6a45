use crate::{ConnectDurations, Rejections, Surplus};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// A number that one thread writes and anyone reads: a core, or the control plane's.
///
/// With a single writer, an add is a plain load and store: no instruction with a lock prefix on
/// the data path. Each field documents whether it is a gauge or a total.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds one. Only the owning thread may call this.
    pub fn increment(&self) {
        self.add(1);
    }

    /// Adds `n`. Only the owning thread may call this.
    pub fn add(&self, n: u64) {
        self.0.store(self.0.load(Relaxed).wrapping_add(n), Relaxed);
    }

    /// Takes one off a gauge. Only the owning thread may call this.
    pub fn decrement(&self) {
        self.0.store(self.0.load(Relaxed).wrapping_sub(1), Relaxed);
    }

    /// Makes it `n`. Only the owning core may call this.
    pub fn set(&self, n: u64) {
        self.0.store(n, Relaxed);
    }

    /// The value as last written; may lag behind by an instant.
    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// What one core counts about itself and its own connections. On cache lines of its own.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct CoreCounters {
    /// Total: iterations of the core's loop, at least ten a second as long as it lives.
    pub iterations: Counter,
    /// Gauge: 1 once the core has ended, as it does in a graceful end.
    pub ended: Counter,
    /// Gauge: 1 while accepting is paused for want of descriptors.
    pub accept_paused: Counter,
    /// Total: what the kernel dropped at the core's listener, for whatever reason.
    pub listen_drops: Counter,
    /// Client connections.
    pub connections: ConnectionCounters,
    /// Attempts to connect to targets.
    pub connects: ConnectCounters,
    /// Preconnected connections.
    pub preconnect: PreconnectCounters,
}

/// What one core counts about client connections.
#[derive(Debug, Default)]
pub struct ConnectionCounters {
    /// Gauge: those that are open.
    pub active: Counter,
    /// Total: those that got a target.
    pub successful: Counter,
    /// Total: those that ended without having got a target.
    pub failed: Counter,
    /// Total: those that got a target of the balancer's own zone.
    pub same_zone: Counter,
    /// Total: those that got a target known to be in another zone than the balancer.
    pub other_zone: Counter,
    /// Total: those ended because nothing had moved on them for too long.
    pub idle_timeouts: Counter,
    /// Total: those ended in favour of targets that had joined.
    pub rebalanced: Counter,
    /// Total: those that this core accepted and handed to another.
    pub moved: Counter,
    /// Totals: those that were reset instead of being forwarded.
    pub rejected: Rejections,
}

/// What one core counts about its attempts to connect to targets.
#[derive(Debug, Default)]
pub struct ConnectCounters {
    /// Total: those that failed or took too long.
    pub failed: Counter,
    /// Total: client connections given up because the retry budget was spent.
    pub retry_budget_exhausted: Counter,
    /// Total: those that found no free local port.
    pub without_port: Counter,
    /// Totals: how long they took.
    pub durations: ConnectDurations,
}

/// What one core counts about preconnected connections.
#[derive(Debug, Default)]
pub struct PreconnectCounters {
    /// Total: client connections that got one.
    pub hits: Counter,
    /// Total: client connections whose target had to be connected while others are preconnected.
    pub misses: Counter,
    /// Total: those that were closed because no client came for them.
    pub expired: Counter,
    /// Total: those that their target ended before a client came.
    pub broken: Counter,
    /// Gauge: those that wait for a client, those being connected among them.
    pub waiting: Counter,
}

/// What is counted about one target; lives as long as anybody refers to the target.
#[derive(Debug)]
pub struct TargetCounters {
    by_core: Box<[TargetOnCore]>,
    surplus: Surplus,
    failed_checks: Counter,
}

/// What one core counts about one target. On a cache line of its own.
#[derive(Debug, Default)]
#[repr(align(64))]
pub struct TargetOnCore {
    /// Gauge: connections open to the target, those being connected among them.
    pub active: Counter,
    /// Total: connects of the target that succeeded, for clients and ahead of them.
    pub connected: Counter,
    /// Total: connects of the target that failed or took too long.
    pub failed_connects: Counter,
    /// Total: client connections that got one to the target.
    pub connections: Counter,
    /// Total: client connections that the target was first to end, before it had sent a byte.
    pub unanswered: Counter,
    /// Total: client connections to the target that are over, without those.
    pub answered: Counter,
    /// Gauge: where targets take turns, the number of the last one that this core gave it.
    pub turn: Counter,
}

impl TargetCounters {
    /// Counters for `cores` data-plane cores, all zero.
    pub fn new(cores: usize) -> Self {
        let by_core = (0..cores).map(|_| TargetOnCore::default()).collect();
        Self { by_core, surplus: Surplus::default(), failed_checks: Counter::default() }
    }

    /// Total: health checks of the target that failed. The control plane counts them.
    pub fn failed_checks(&self) -> &Counter {
        &self.failed_checks
    }

    /// Connections to the target that may end in favour of others.
    pub fn surplus(&self) -> &Surplus {
        &self.surplus
    }

    /// What `core` (counted from 0) counts.
    ///
    /// # Panics
    /// When `core` is not below the number given to [`TargetCounters::new`].
    pub fn on(&self, core: usize) -> &TargetOnCore {
        &self.by_core[core]
    }

    /// Connections open to the target, all cores together.
    pub fn active(&self) -> u64 {
        self.sum(|core| &core.active)
    }

    /// Connects of the target that succeeded, all cores together.
    pub fn connected(&self) -> u64 {
        self.sum(|core| &core.connected)
    }

    /// The last turn that any core gave the target.
    pub fn last_turn(&self) -> u64 {
        self.by_core.iter().map(|core| core.turn.get()).max().unwrap_or(0)
    }

    /// The sum of one counter over all cores.
    pub fn sum(&self, counter: impl Fn(&TargetOnCore) -> &Counter) -> u64 {
        self.by_core.iter().fold(0, |sum, core| sum.wrapping_add(counter(core).get()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_targets_count_is_the_sum_over_cores() {
        let counters = TargetCounters::new(3);
        counters.on(0).active.add(2);
        counters.on(2).active.increment();
        counters.on(0).active.decrement();
        assert_eq!(counters.active(), 2);
        assert_eq!(counters.on(1).active.get(), 0);
    }

    #[test]
    fn cores_do_not_share_cache_lines() {
        assert!(align_of::<CoreCounters>() >= 64);
        assert_eq!(size_of::<TargetOnCore>(), 64, "each is read at the cost of one line");
    }
}
