use std::cell::Cell;
use std::sync::Arc;
use std::time::Instant;

use exchange::{Entry, Ramp, ResetReason};

use crate::flow::AbortReason;

/// What the latest snapshot says of a target.
#[derive(Debug, Default)]
pub(crate) struct RoutingStatus {
    is_in_own_zone: Cell<Option<bool>>,
    reset: Cell<Option<AbortReason>>,
    may_be_preconnected: Cell<bool>,
    is_eligible: Cell<bool>,
    ramp: Cell<Option<Ramp>>,
}

impl RoutingStatus {
    /// Takes over what a newer snapshot says: whether the target was eligible before.
    pub(super) fn update(&self, entry: &Entry, own_zone: Option<&Arc<str>>) -> bool {
        let zones = own_zone.zip(entry.target().zone.as_ref());
        self.is_in_own_zone.set(zones.map(|(own, its)| own == its));
        self.ramp.set(entry.ramp());
        self.reset.set(cause_of_reset(entry));
        self.may_be_preconnected.set(entry.may_be_preconnected());
        self.is_eligible.replace(entry.is_eligible())
    }

    /// The snapshot does not have it any more.
    pub(super) fn withdraw(&self) {
        self.may_be_preconnected.set(false);
    }

    /// Whether connections to it may wait for clients.
    pub(crate) fn may_be_preconnected(&self) -> bool {
        self.may_be_preconnected.get()
    }

    /// Whether it is in the balancer's zone; `None` unless both zones are known.
    pub(crate) fn is_in_own_zone(&self) -> Option<bool> {
        self.is_in_own_zone.get()
    }

    /// Why connections to it are to be reset, if they are: also those that are made now.
    pub(crate) fn reset(&self) -> Option<AbortReason> {
        self.reset.get()
    }

    pub(crate) fn ramp(&self) -> Option<Ramp> {
        self.ramp.get()
    }

    /// The part of its full share that it gets at `now`: from 0.0 to 1.0.
    pub(crate) fn part(&self, now: Instant) -> f64 {
        self.ramp.get().map_or(1.0, |ramp| ramp.part(now))
    }
}

fn cause_of_reset(entry: &Entry) -> Option<AbortReason> {
    entry.reset().map(|reason| match reason {
        ResetReason::DrainTimeout => AbortReason::TargetWithdrawn,
        ResetReason::Unhealthy => AbortReason::TargetUnhealthy,
    })
}
