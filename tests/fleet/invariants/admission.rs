use std::collections::BTreeMap;
use std::time::Instant;

use control::policy::Identity;
use control::status::{Checks, Status, TargetState, TargetStatus};

use super::fleet::is_same;
use crate::rules::{CHECK_TIMEOUT, Setting, WARMUP_MAX};

/// What holds of when clients are let in, and to whom.
#[derive(Debug, Default)]
pub(crate) struct Admission {
    is_discovered: bool,
    /// Targets that pass their checks and do not drain, and since when.
    usable: BTreeMap<Identity, Instant>,
    /// Targets without a first check that do not drain, and since when.
    unchecked: BTreeMap<Identity, Instant>,
    /// How often clients were let in to targets after they had waited.
    pub(crate) warm_starts: u64,
    /// Of these, how often before all targets had had their first check.
    pub(crate) late_starts: u64,
}

impl Admission {
    /// Discovery has answered.
    pub(crate) fn discovered(&mut self) {
        self.is_discovered = true;
    }

    /// Control publishes `after` in place of `before`.
    pub(crate) fn published(
        &mut self,
        before: &Status,
        after: &Status,
        setting: &Setting,
        now: Instant,
    ) {
        follow(&mut self.usable, after, is_usable, now);
        follow(&mut self.unchecked, after, is_unchecked, now);
        let eligible = after.eligible().count();
        if after.admits() {
            let is_any = after.targets().iter().any(is_present);
            assert_eq!(eligible > 0, is_any, "let in, and nobody is there for them: {after:?}");
            for entry in after.targets().iter().filter(|it| it.state() == TargetState::Healthy) {
                assert!(entry.is_eligible(), "healthy, and not used: {entry:?}");
            }
        } else {
            assert_eq!(eligible, 0, "clients wait, and some would be served: {after:?}");
        }
        match (before.admits(), after.admits()) {
            (false, true) if eligible > 0 => {
                self.warm_starts += 1;
                self.late_starts += u64::from(!self.unchecked.is_empty());
                let is_over = self.unchecked.is_empty() || self.has_waited(now, true);
                assert!(is_over, "let in too early: {after:?}");
            }
            (true, false) => {
                let is_left = |new: &TargetStatus| {
                    is_usable(new) && before.eligible().any(|old| is_same(old, new))
                };
                assert!(!after.targets().iter().any(is_left), "a target was left: {after:?}");
            }
            _ => {}
        }
        self.assert_waiting(after, now);
        assert_ramps(before, after, setting);
    }

    /// Nobody waits for nothing, nor for longer than it is said.
    pub(crate) fn assert_waiting(&self, latest: &Status, now: Instant) {
        if latest.admits() || !self.is_discovered {
            return;
        }
        assert!(!self.unchecked.is_empty(), "what do clients wait for? {latest:?}");
        assert!(!self.has_waited(now, false), "they have waited for too long: {latest:?}");
        for (target, since) in &self.unchecked {
            assert!(now - *since <= CHECK_TIMEOUT, "{target:?} is not checked");
        }
    }

    /// Whether a target could have been used for as long as the others are waited for, or, unless
    /// `or_as_long`, for longer.
    fn has_waited(&self, now: Instant, or_as_long: bool) -> bool {
        let is_over = |since: &Instant| {
            let waited = now - *since;
            waited > WARMUP_MAX || or_as_long && waited == WARMUP_MAX
        };
        self.usable.values().any(is_over)
    }
}

/// Notes since when targets are such.
fn follow(
    targets: &mut BTreeMap<Identity, Instant>,
    snapshot: &Status,
    is_such: impl Fn(&TargetStatus) -> bool,
    now: Instant,
) {
    let such: Vec<_> = snapshot.targets().iter().filter(|entry| is_such(entry)).collect();
    let such: Vec<_> = such.iter().map(|entry| Identity::of(entry.target())).collect();
    targets.retain(|target, _| such.contains(target));
    for target in such {
        targets.entry(target).or_insert(now);
    }
}

fn is_present(entry: &TargetStatus) -> bool {
    entry.state() != TargetState::Draining
}

fn is_usable(entry: &TargetStatus) -> bool {
    is_present(entry) && entry.checks() == Some(&Checks::Passing)
}

fn is_unchecked(entry: &TargetStatus) -> bool {
    is_present(entry) && entry.checks() == Some(&Checks::Pending)
}

/// Who becomes eligible beside others has joined, and nobody else has.
fn assert_ramps(before: &Status, after: &Status, setting: &Setting) {
    if setting.slow_start.is_zero() {
        return;
    }
    let joins = before.eligible().next().is_some() && !after.fail_open();
    let was_eligible = |new: &TargetStatus| before.eligible().any(|old| is_same(old, new));
    for entry in after.eligible().filter(|entry| !was_eligible(entry)) {
        assert_eq!(entry.entry().ramp().is_some(), joins, "{entry:?}");
    }
}
