use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use control::policy::Identity;
use control::status::{Status, TargetState, TargetStatus};
use exchange::TargetId;

use super::admission::Admission;
use super::breakers::Breakers;

use crate::host::Host;
use crate::rules::{CHECK_PERIOD, CHECK_TIMEOUT, CONNECT_TIMEOUT, FALL, PICKUP_MAX, Setting};

/// What holds of what control says, and of what goes on across cores.
#[derive(Debug, Default)]
pub(crate) struct Invariants {
    /// Withdrawn targets, and since when.
    withdrawn: BTreeMap<Identity, Instant>,
    /// Targets that operators want to drain, and since when.
    drained: BTreeMap<TargetId, Instant>,
    /// When each target was first listed, without having been away since.
    listed: BTreeMap<Identity, Instant>,
    pub(crate) breakers: Breakers,
    pub(crate) admission: Admission,
    pub(crate) tally: Tally,
}

/// What happened at all: invariants of what never happened hold for nothing.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tally {
    pub(crate) connections: u64,
    pub(crate) dropped: u64,
    pub(crate) budget_spent: u64,
    pub(crate) retries: u64,
    pub(crate) attempts: u64,
    pub(crate) fail_opens_by_breakers: u64,
    pub(crate) ejections: u64,
    pub(crate) fail_opens: u64,
    pub(crate) withdrawals: u64,
    /// Clients that waited until clients were let in.
    pub(crate) waits: u64,
    /// How often they were let in after a wait.
    pub(crate) warm_starts: u64,
    /// Of these, how often without knowing all targets.
    pub(crate) late_starts: u64,
    pub(crate) orders: u64,
}

impl Invariants {
    /// What happened so far.
    pub(crate) fn tally(&self) -> Tally {
        let Breakers { ejections, attempts, fail_opens: fail_opens_by_breakers, .. } =
            self.breakers;
        let Admission { warm_starts, late_starts, .. } = self.admission;
        Tally {
            attempts,
            fail_opens_by_breakers,
            ejections,
            warm_starts,
            late_starts,
            ..self.tally
        }
    }

    /// Control was told that these are the targets.
    pub(crate) fn listed(&mut self, targets: &BTreeSet<Identity>, known: &Status, now: Instant) {
        for entry in known.targets() {
            let identity = Identity::of(entry.target());
            if !targets.contains(&identity) {
                self.withdrawn.entry(identity).or_insert_with(|| {
                    self.tally.withdrawals += 1;
                    now
                });
            }
        }
        self.admission.discovered();
        self.withdrawn.retain(|identity, _| !targets.contains(identity));
        self.listed.retain(|identity, _| targets.contains(identity));
        for identity in targets {
            self.listed.entry(identity.clone()).or_insert(now);
        }
    }

    /// An operator wants the target to drain, or not to.
    pub(crate) fn ordered(&mut self, id: &TargetId, wants_drain: bool, now: Instant) {
        if wants_drain {
            self.tally.orders += u64::from(!self.drained.contains_key(id));
            self.drained.entry(id.clone()).or_insert(now);
        } else {
            self.drained.remove(id);
            for (identity, listed) in &mut self.listed {
                if identity.id == *id {
                    *listed = now;
                }
            }
        }
    }

    /// Since when the target should get no connections.
    fn draining_since(&self, target: &Identity) -> Option<Instant> {
        let [withdrawn, drained] = [self.withdrawn.get(target), self.drained.get(&target.id)];
        withdrawn.into_iter().chain(drained).min().copied()
    }

    /// A connect of this target begins.
    pub(crate) fn connected(&mut self, entry: &TargetStatus, now: Instant) {
        let identity = Identity::of(entry.target());
        if let Some(since) = self.draining_since(&identity) {
            let late = now - since;
            assert!(late <= PICKUP_MAX, "a connect of {identity:?} {late:?} after its withdrawal");
        }
    }

    /// Control begins to connect to the target.
    pub(crate) fn attempt_begins(&mut self, target: &Identity, setting: &Setting, now: Instant) {
        let is_withdrawn = self.draining_since(target).is_some();
        assert!(!is_withdrawn, "an attempt to connect to {target:?}, which is to get no client");
        self.breakers.attempt_begins(target, setting, now);
    }

    /// Control publishes `after` in place of `before`.
    pub(crate) fn published(
        &mut self,
        before: &Status,
        after: &Status,
        hosts: &[Host],
        setting: &Setting,
        now: Instant,
    ) {
        self.breakers.published(before, after, setting, now);
        self.admission.published(before, after, setting, now);
        self.tally.fail_opens += u64::from(after.fail_open() && !before.fail_open());
        for entry in after.targets() {
            let identity = Identity::of(entry.target());
            let is_withdrawn = self.draining_since(&identity).is_some();
            assert_eq!(is_withdrawn, entry.state() == TargetState::Draining, "{entry:?}");
            assert!(!(is_withdrawn && entry.is_eligible()), "withdrawn and eligible: {entry:?}");
            let old = before.targets().iter().find(|old| is_same(old, entry));
            if let Some(old) = old {
                assert_thirds(old, entry, hosts);
            }
        }
    }

    /// No connection outlives its target's drain.
    fn assert_drains(&self, latest: &Status, setting: &Setting, now: Instant) {
        let longest = setting.drain_timeout + PICKUP_MAX + CONNECT_TIMEOUT;
        for entry in latest.targets() {
            let since = self.draining_since(&Identity::of(entry.target()));
            if let Some(drained) = since.map(|since| now - since)
                && drained > longest
            {
                let live = entry.counters().active();
                assert_eq!(live, 0, "connections left after {drained:?}: {entry:?}");
            }
        }
    }

    /// Targets that have been well for long enough are used, and those that fail all their checks
    /// are not.
    pub(crate) fn assert_outcome(
        &self,
        latest: &Status,
        hosts: &[Host],
        setting: &Setting,
        now: Instant,
    ) {
        self.assert_drains(latest, setting, now);
        self.breakers.assert_outcome();
        // A connect of before may fail late and open the breaker. Where checks go to another port, the
        // control plane may have to come round.
        let wait =
            if setting.is_checked_apart() { setting.breaker.timeout } else { Duration::ZERO };
        let recovery = wait + Duration::from_secs(10);
        let detection = FALL * (CHECK_PERIOD * 11 / 10) + 2 * CHECK_TIMEOUT;
        for host in hosts {
            let identity = Identity::of(&host.target());
            let Some(&listed) = self.listed.get(&identity) else { continue };
            let has = |time: Option<Duration>, enough: Duration| {
                time.is_some_and(|time| time > enough && now - listed > enough)
            };
            let entry = latest.targets().iter().find(|it| Identity::of(it.target()) == identity);
            let entry = entry.expect("what is listed is in the snapshot");
            if has(host.well_for(now), recovery) && !self.drained.contains_key(&identity.id) {
                assert!(entry.is_eligible(), "well for {recovery:?} and not used: {entry:?}");
            }
            if has(host.failing_for(now), detection) && !latest.fail_open() {
                assert!(!entry.is_eligible(), "bad for {detection:?} and used: {entry:?}");
            }
        }
    }
}

/// Whether both are about the same stay of the same target.
pub(super) fn is_same(old: &TargetStatus, new: &TargetStatus) -> bool {
    Arc::ptr_eq(old.counters(), new.counters())
}

/// With every third check failing a target that is in use stays so.
fn assert_thirds(old: &TargetStatus, new: &TargetStatus, hosts: &[Host]) {
    let has_bad_thirds = hosts.iter().any(|host| {
        host.has_bad_thirds() && Identity::of(&host.target()) == Identity::of(new.target())
    });
    if has_bad_thirds && old.state() == TargetState::Healthy {
        let stays = matches!(new.state(), TargetState::Healthy | TargetState::Draining);
        assert!(stays, "every third check fails, and that is enough: {new:?}");
    }
}

impl Tally {
    pub(crate) fn add(&mut self, other: Self) {
        self.connections += other.connections;
        self.dropped += other.dropped;
        self.budget_spent += other.budget_spent;
        self.retries += other.retries;
        self.attempts += other.attempts;
        self.fail_opens_by_breakers += other.fail_opens_by_breakers;
        self.ejections += other.ejections;
        self.fail_opens += other.fail_opens;
        self.withdrawals += other.withdrawals;
        self.waits += other.waits;
        self.warm_starts += other.warm_starts;
        self.late_starts += other.late_starts;
        self.orders += other.orders;
    }

    pub(crate) fn assert_that_everything_happened(&self) {
        let rarest = [
            self.budget_spent,
            self.dropped,
            self.ejections,
            self.fail_opens,
            self.orders,
            self.retries,
            self.attempts,
            self.fail_opens_by_breakers,
            self.withdrawals,
            self.waits,
            self.warm_starts,
            self.late_starts,
        ];
        assert!(rarest.iter().all(|&count| count >= 200), "{self:?}");
    }
}
