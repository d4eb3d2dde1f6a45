use std::sync::Arc;

use crate::counters::TargetCounters;

/// A connection that is about to be closed in favour of another target, until this is dropped: that is
/// when the connection is closed and not counted any more, or stays after all.
#[derive(Debug)]
pub struct RebalanceClose(Arc<TargetCounters>);

impl RebalanceClose {
    /// Closes one connection to the target of these counters, if its budget has one left.
    pub fn take(counters: &Arc<TargetCounters>) -> Option<Self> {
        let budget = counters.rebalance_budget();
        if budget.is_spent() {
            return None; // as good as always
        }
        // Before it is taken: at no time is it in neither of the two.
        budget.begin_close();
        let close = Self(Arc::clone(counters));
        budget.take().then_some(close)
    }
}

impl Drop for RebalanceClose {
    fn drop(&mut self) {
        self.0.rebalance_budget().closed();
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn as_many_are_taken_as_were_granted_whoever_takes_them() {
        let counters = Arc::new(TargetCounters::new(4));
        counters.rebalance_budget().grant(1000);
        let take = || {
            let closes = std::iter::from_fn(|| RebalanceClose::take(&counters));
            closes.collect::<Vec<_>>()
        };
        let taken: Vec<_> = thread::scope(|scope| {
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(take)).collect();
            threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
        });
        assert_eq!(taken.len(), 1000);
        assert_eq!(counters.rebalance_budget().closing(), 1000);
        drop(taken);
        assert_eq!(
            (counters.rebalance_budget().closing(), counters.rebalance_budget().take_back()),
            (0, 0)
        );
    }

    #[test]
    fn what_is_taken_back_cannot_be_taken() {
        let counters = Arc::new(TargetCounters::new(1));
        assert!(RebalanceClose::take(&counters).is_none());
        counters.rebalance_budget().grant(3);
        let close = RebalanceClose::take(&counters);
        assert!(close.is_some());
        assert_eq!(counters.rebalance_budget().take_back(), 2);
        assert!(RebalanceClose::take(&counters).is_none());
        assert_eq!(counters.rebalance_budget().closing(), 1);
    }
}
