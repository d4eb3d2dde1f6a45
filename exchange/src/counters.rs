use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// A number that one core writes and anyone reads.
///
/// With a single writer, an add is a plain load and store: no instruction with a lock prefix on
/// the data path. Each field documents whether it is a gauge or a total.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds one. Only the owning core may call this.
    pub fn increment(&self) {
        self.add(1);
    }

    /// Adds `n`. Only the owning core may call this.
    pub fn add(&self, n: u64) {
        self.0.store(self.0.load(Relaxed).wrapping_add(n), Relaxed);
    }

    /// Takes one off a gauge. Only the owning core may call this.
    pub fn decrement(&self) {
        self.0.store(self.0.load(Relaxed).wrapping_sub(1), Relaxed);
    }

    /// The value as last written; may lag behind by an instant.
    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// What one core counts about its own connections. On cache lines of its own.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct CoreCounters {
    /// Gauge: open client connections.
    pub active_connections: Counter,
    /// Total: client connections that got a target.
    pub successful_connections: Counter,
    /// Total: client connections that ended without having got a target.
    pub failed_connections: Counter,
    /// Total: dials of a target that failed or took too long.
    pub failed_dials: Counter,
    /// Total: client connections that got a target of the balancer's own zone.
    pub same_zone_connections: Counter,
    /// Total: client connections that got a target known to be in another zone than the balancer.
    pub other_zone_connections: Counter,
    /// Gauge: 1 while accepting is paused for want of descriptors.
    pub accept_paused: Counter,
}

/// What every core counts about one target; lives as long as anybody refers to the target.
#[derive(Debug)]
pub struct TargetCounters {
    active_by_core: Box<[PaddedCounter]>,
}

#[derive(Debug, Default)]
#[repr(align(64))]
struct PaddedCounter(Counter);

impl TargetCounters {
    /// Counters for `cores` data-plane cores, all zero.
    pub fn new(cores: usize) -> Self {
        Self { active_by_core: (0..cores).map(|_| PaddedCounter::default()).collect() }
    }

    /// The gauge of connections that `core` (counted from 0) has open to the target.
    ///
    /// # Panics
    /// When `core` is not below the number given to [`TargetCounters::new`].
    pub fn active_on(&self, core: usize) -> &Counter {
        &self.active_by_core[core].0
    }

    /// Connections open to the target, all cores together.
    pub fn active(&self) -> u64 {
        self.active_by_core.iter().fold(0, |sum, core| sum.wrapping_add(core.0.get()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_targets_count_is_the_sum_over_cores() {
        let counters = TargetCounters::new(3);
        counters.active_on(0).add(2);
        counters.active_on(2).increment();
        counters.active_on(0).decrement();
        assert_eq!(counters.active(), 2);
        assert_eq!(counters.active_on(1).get(), 0);
    }

    #[test]
    fn cores_do_not_share_cache_lines() {
        assert!(align_of::<CoreCounters>() >= 64);
        assert!(size_of::<PaddedCounter>() >= 64);
    }
}
