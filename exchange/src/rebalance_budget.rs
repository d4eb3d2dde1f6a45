use std::sync::atomic::{AtomicU64, Ordering};

/// Connections to a target that may be closed so that others get their share: the control plane
/// grants them, whichever core has one that nothing happens on takes it. Exact over all cores.
#[derive(Debug, Default)]
pub struct RebalanceBudget {
    granted: AtomicU64,
    closing: AtomicU64,
}

impl RebalanceBudget {
    /// Lets so many connections be closed, beside those that may already.
    pub fn grant(&self, count: u64) {
        self.granted.fetch_add(count, Ordering::Relaxed);
    }

    /// Takes back what was granted and not taken; how many that is. Connections that were taken
    /// before are counted by [`RebalanceBudget::closing`], or not by
    /// [`crate::TargetCounters::active`] any more.
    pub fn take_back(&self) -> u64 {
        self.granted.swap(0, Ordering::AcqRel)
    }

    /// Connections that were taken and may still be open. To be read before
    /// [`crate::TargetCounters::active`], which then counts each of them that this does not.
    pub fn closing(&self) -> u64 {
        self.closing.load(Ordering::Acquire)
    }

    /// Whether nothing is left, as is as good as always so.
    pub(crate) fn is_spent(&self) -> bool {
        self.granted.load(Ordering::Relaxed) == 0
    }

    /// Notes that a connection may be about to close; whoever calls this calls
    /// [`RebalanceBudget::closed`] once.
    pub(crate) fn begin_close(&self) {
        self.closing.fetch_add(1, Ordering::Relaxed);
    }

    /// Takes one of those that were granted; false if there is none left.
    pub(crate) fn take(&self) -> bool {
        let taken = self
            .granted
            .fetch_update(Ordering::Release, Ordering::Relaxed, |granted| granted.checked_sub(1));
        taken.is_ok()
    }

    /// The connection is closed, or stays after all.
    pub(crate) fn closed(&self) {
        self.closing.fetch_sub(1, Ordering::Release);
    }
}
