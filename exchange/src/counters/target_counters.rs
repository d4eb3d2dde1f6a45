use super::counter::Counter;
use crate::rebalance_budget::RebalanceBudget;

/// What is counted about one target; lives as long as anybody refers to the target.
#[derive(Debug)]
pub struct TargetCounters {
    by_core: Box<[TargetOnCore]>,
    rebalance_budget: RebalanceBudget,
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
    /// Gauge: where targets are picked in turn, the number of the last pick by this core.
    pub pick: Counter,
}

impl TargetCounters {
    /// Counters for `cores` data-plane cores, all zero.
    pub fn new(cores: usize) -> Self {
        let by_core = (0..cores).map(|_| TargetOnCore::default()).collect();
        Self {
            by_core,
            rebalance_budget: RebalanceBudget::default(),
            failed_checks: Counter::default(),
        }
    }

    /// Total: health checks of the target that failed. The control plane counts them.
    pub fn failed_checks(&self) -> &Counter {
        &self.failed_checks
    }

    /// How many connections to the target may be closed in favour of others.
    pub fn rebalance_budget(&self) -> &RebalanceBudget {
        &self.rebalance_budget
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

    /// The number of the last pick of the target by any core.
    pub fn last_pick(&self) -> u64 {
        self.by_core.iter().map(|core| core.pick.get()).max().unwrap_or(0)
    }

    /// The sum of one counter over all cores.
    pub fn sum(&self, counter: impl Fn(&TargetOnCore) -> &Counter) -> u64 {
        self.by_core.iter().fold(0, |sum, core| sum.wrapping_add(counter(core).get()))
    }
}

/// Counters are the same only as themselves, whatever they have counted.
impl PartialEq for TargetCounters {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self, other)
    }
}

impl Eq for TargetCounters {}

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
        assert_eq!(size_of::<TargetOnCore>(), 64, "each is read at the cost of one line");
    }

    #[test]
    fn two_targets_that_have_counted_the_same_are_two() {
        let [one, other] = [1, 1].map(TargetCounters::new);
        assert!(one == one && one != other);
    }
}
