use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::TargetCounters;

/// Connections to a target that may end so that others get their share: the control plane grants
/// them, whichever core has one that nothing happens on takes it. Exact over all cores.
#[derive(Debug, Default)]
pub struct Surplus {
    granted: AtomicU64,
    leaving: AtomicU64,
}

impl Surplus {
    /// Lets so many connections end, beside those that may already.
    pub fn grant(&self, count: u64) {
        self.granted.fetch_add(count, Ordering::Relaxed);
    }

    /// Takes back what was granted and not taken; how many that is. Connections that were taken
    /// before are counted by [`Surplus::leaving`], or not by [`TargetCounters::active`] any more.
    pub fn take_back(&self) -> u64 {
        self.granted.swap(0, Ordering::AcqRel)
    }

    /// Connections that were taken and may still be open. To be read before
    /// [`TargetCounters::active`], which then counts each of them that this does not.
    pub fn leaving(&self) -> u64 {
        self.leaving.load(Ordering::Acquire)
    }
}

/// A connection that is about to end, until it is dropped: that is when the connection is closed
/// and not counted any more, or stays after all.
#[derive(Debug)]
pub struct Leave(Arc<TargetCounters>);

impl Leave {
    /// Leave to end one connection to the target of these counters, if there is any left.
    pub fn take(counters: &Arc<TargetCounters>) -> Option<Self> {
        let Surplus { granted, leaving } = counters.surplus();
        if granted.load(Ordering::Relaxed) == 0 {
            return None; // as good as always
        }
        // Before it is taken: at no time is it in neither of the two.
        leaving.fetch_add(1, Ordering::Relaxed);
        let leave = Self(Arc::clone(counters));
        let taken = granted
            .fetch_update(Ordering::Release, Ordering::Relaxed, |granted| granted.checked_sub(1));
        taken.is_ok().then_some(leave)
    }
}

impl Drop for Leave {
    fn drop(&mut self) {
        self.0.surplus().leaving.fetch_sub(1, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn as_many_are_taken_as_were_granted_whoever_takes_them() {
        let counters = Arc::new(TargetCounters::new(4));
        counters.surplus().grant(1000);
        let take = || {
            let leaves = std::iter::from_fn(|| Leave::take(&counters));
            leaves.collect::<Vec<_>>()
        };
        let taken: Vec<_> = thread::scope(|scope| {
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(take)).collect();
            threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
        });
        assert_eq!(taken.len(), 1000);
        assert_eq!(counters.surplus().leaving(), 1000);
        drop(taken);
        assert_eq!((counters.surplus().leaving(), counters.surplus().take_back()), (0, 0));
    }

    #[test]
    fn what_is_taken_back_cannot_be_taken() {
        let counters = Arc::new(TargetCounters::new(1));
        assert!(Leave::take(&counters).is_none());
        counters.surplus().grant(3);
        let leave = Leave::take(&counters);
        assert!(leave.is_some());
        assert_eq!(counters.surplus().take_back(), 2);
        assert!(Leave::take(&counters).is_none());
        assert_eq!(counters.surplus().leaving(), 1);
    }
}
