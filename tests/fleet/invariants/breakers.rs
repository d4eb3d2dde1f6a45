use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use control::policy::Identity;
use control::status::{BreakerState, Checks, Status, TargetState, TargetStatus};

use super::fleet::is_same;
use crate::rules::Setting;

/// What holds of why breakers close, how often targets are tried that were ejected, and whom fail-open uses.
#[derive(Debug, Default)]
pub(crate) struct Breakers {
    open: BTreeMap<Identity, Opening>,
    pub(crate) ejections: u64,
    pub(crate) attempts: u64,
    /// How often fail-open used those alone that pass their checks.
    pub(crate) fail_opens: u64,
}

/// What is known of an open breaker from outside.
#[derive(Debug)]
struct Opening {
    since: Instant,
    /// When the attempt under way began.
    began: Option<Instant>,
    /// How many attempts have failed, and when the last one did.
    failed: u32,
    failed_at: Option<Instant>,
    /// Something has connected to the target since.
    is_reached: bool,
}

impl Breakers {
    /// A client's connect of the target has succeeded.
    pub(crate) fn reached(&mut self, target: &Identity) {
        if let Some(opening) = self.open.get_mut(target) {
            opening.is_reached = true;
        }
    }

    /// A check of a target, which connected where clients do, has passed.
    pub(crate) fn passed(&mut self, target: &Identity, began: Instant) {
        if let Some(opening) = self.open.get_mut(target) {
            opening.is_reached |= began > opening.since;
        }
    }

    /// What has been connected to is not ejected any more.
    pub(crate) fn assert_outcome(&self) {
        let reached = self.open.iter().find(|(_, opening)| opening.is_reached);
        assert!(reached.is_none(), "open, though connected to: {reached:?}");
    }

    /// Control begins to connect to the target.
    pub(crate) fn attempt_begins(&mut self, target: &Identity, setting: &Setting, now: Instant) {
        self.attempts += 1;
        let opening = self.open.get_mut(target).expect("it is not ejected");
        assert!(opening.began.is_none(), "two attempts at a time: {opening:?}");
        let longest = setting.breaker.timeout;
        let doubled = Duration::from_secs(1).saturating_mul(2_u32.saturating_pow(opening.failed));
        let least = if setting.is_checked_apart() { doubled.min(longest) } else { longest };
        let waited = now - opening.failed_at.unwrap_or(opening.since);
        assert!(waited >= least, "tried again after {waited:?}: {target:?} {opening:?}");
        opening.began = Some(now);
    }

    /// The attempt that began then is over.
    pub(crate) fn attempt_ended(
        &mut self,
        target: &Identity,
        began: Instant,
        is_good: bool,
        now: Instant,
    ) {
        let opening = self.open.get_mut(target).filter(|it| it.began == Some(began));
        let Some(opening) = opening else { return };
        opening.began = None;
        opening.is_reached |= is_good;
        if !is_good {
            opening.failed += 1;
            opening.failed_at = Some(now);
        }
    }

    /// Control publishes `after` in place of `before`.
    pub(crate) fn published(
        &mut self,
        before: &Status,
        after: &Status,
        setting: &Setting,
        now: Instant,
    ) {
        for entry in after.targets() {
            let old = before.targets().iter().find(|old| is_same(old, entry));
            self.assert_turn(old, entry, now);
        }
        let is_known = |target: &Identity| {
            after.targets().iter().any(|entry| Identity::of(entry.target()) == *target)
        };
        self.open.retain(|target, _| is_known(target));
        self.assert_fail_open(before, after, setting);
    }

    /// A breaker closes when something has connected to its target, and for no other reason.
    fn assert_turn(&mut self, old: Option<&TargetStatus>, new: &TargetStatus, now: Instant) {
        let identity = Identity::of(new.target());
        if old.is_none() {
            self.open.remove(&identity); // that was another life of it
        }
        let was_closed = old.is_none_or(|old| old.breaker() == BreakerState::Closed);
        let is_closed = new.breaker() == BreakerState::Closed;
        if was_closed && !is_closed {
            self.ejections += 1;
            self.open.insert(identity, Opening::new(now));
        } else if is_closed && let Some(opening) = self.open.remove(&identity) {
            assert!(opening.is_reached, "closed for nothing: {new:?} {opening:?}");
        }
    }

    /// While enough targets pass their checks no other gets clients, and while enough of those can
    /// be connected to, too, no other gets any.
    fn assert_fail_open(&mut self, before: &Status, after: &Status, setting: &Setting) {
        let present: Vec<_> =
            after.targets().iter().filter(|entry| entry.state() != TargetState::Draining).collect();
        let are_enough = |good: &dyn Fn(&TargetStatus) -> bool| {
            let count = present.iter().filter(|entry| good(entry)).count();
            count * 100 > usize::from(setting.fail_open_threshold) * present.len()
        };
        let passes = |entry: &TargetStatus| entry.checks() == Some(&Checks::Passing);
        let is_fit =
            |entry: &TargetStatus| passes(entry) && entry.breaker() == BreakerState::Closed;
        let uses_only = |good: &dyn Fn(&TargetStatus) -> bool| after.eligible().all(good);
        assert!(!are_enough(&is_fit) || uses_only(&is_fit), "{after:?}");
        assert!(!are_enough(&passes) || uses_only(&passes), "{after:?}");
        let is_by_breakers = after.fail_open() && are_enough(&passes);
        self.fail_opens += u64::from(is_by_breakers && !before.fail_open());
    }
}

impl Opening {
    fn new(since: Instant) -> Self {
        Self { since, began: None, failed: 0, failed_at: None, is_reached: false }
    }
}
