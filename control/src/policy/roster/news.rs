use std::sync::Arc;

use exchange::{Entry, Snapshot};

/// Whether `a`, the newer snapshot, says the same as `b`, their generations aside. Localities follow
/// from the rest.
pub(super) fn is_same(a: &Snapshot, b: &Snapshot) -> bool {
    let is_same_entry = |(a, b): (&Entry, &Entry)| {
        // That a ramp is over is no news: it says so itself.
        let is_same_ramp = a.ramp.is_none() || a.ramp == b.ramp;
        a.state == b.state
            && a.eligible == b.eligible
            && a.reason == b.reason
            && a.checks == b.checks
            && a.breaker == b.breaker
            && a.reset == b.reset
            && is_same_ramp
            && Arc::ptr_eq(&a.target, &b.target)
            && Arc::ptr_eq(&a.counters, &b.counters)
    };
    a.fail_open == b.fail_open
        && a.admits == b.admits
        && a.own_zone == b.own_zone
        && a.rebalanced_since == b.rebalanced_since
        && a.drained_absent == b.drained_absent
        && a.affinity.as_ref().map(Arc::as_ptr) == b.affinity.as_ref().map(Arc::as_ptr)
        && a.entries.len() == b.entries.len()
        && a.entries.iter().zip(&b.entries).all(is_same_entry)
}
