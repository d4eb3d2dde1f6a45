use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use control::policy::Identity;
use exchange::{Entry, Outcome, Report, Snapshot, TargetId, TargetState, Trial};

use crate::host::Host;
use crate::rules::{CHECK_PERIOD, CHECK_TIMEOUT, CONNECT_TIMEOUT, FALL, PICKUP_MAX, Setting};

/// Judges what control says, and what goes on across cores.
#[derive(Debug, Default)]
pub(crate) struct FleetJudge {
    /// Withdrawn targets, and since when.
    withdrawn: BTreeMap<Identity, Instant>,
    /// Targets that operators want to drain, and since when.
    drained: BTreeMap<TargetId, Instant>,
    /// Trials that were made. Kept, so that no other can have the same address in memory.
    made: Vec<Arc<Trial>>,
    /// Targets that a trial is being made of.
    under_trial: BTreeSet<Identity>,
    /// Targets that a trial has reached since the last snapshot.
    reached: BTreeSet<Identity>,
    /// When each target was first listed, without having been away since.
    listed: BTreeMap<Identity, Instant>,
    pub(crate) tally: Tally,
}

/// What happened at all: a judge who has seen nothing has said nothing.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tally {
    pub(crate) connections: u64,
    pub(crate) dropped: u64,
    pub(crate) budget_spent: u64,
    pub(crate) retries: u64,
    pub(crate) trials: u64,
    pub(crate) ejections: u64,
    pub(crate) fail_opens: u64,
    pub(crate) withdrawals: u64,
    pub(crate) orders: u64,
}

impl FleetJudge {
    /// Control was told that these are the targets.
    pub(crate) fn listed(&mut self, targets: &BTreeSet<Identity>, known: &Snapshot, now: Instant) {
        for entry in &known.entries {
            let identity = Identity::of(&entry.target);
            if !targets.contains(&identity) {
                self.withdrawn.entry(identity).or_insert_with(|| {
                    self.tally.withdrawals += 1;
                    now
                });
            }
        }
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

    /// A dial of this target begins.
    pub(crate) fn dialled(&mut self, entry: &Entry, is_trial: bool, now: Instant) {
        let identity = Identity::of(&entry.target);
        if let Some(since) = self.draining_since(&identity) {
            let late = now - since;
            assert!(late <= PICKUP_MAX, "a dial of {identity:?} {late:?} after its withdrawal");
        }
        if is_trial {
            self.tally.trials += 1;
            let trial = entry.trial.as_ref().expect("a trial is on offer");
            let is_new = !self.made.iter().any(|made| Arc::ptr_eq(made, trial));
            assert!(is_new, "a trial of {identity:?} is made twice");
            self.made.push(Arc::clone(trial));
            assert!(self.under_trial.insert(identity), "two trials of a target at a time");
        }
    }

    /// A report arrives at control.
    pub(crate) fn reported(&mut self, report: &Report) {
        if let Outcome::Tried { reached } = report.outcome {
            let identity = Identity::of(&report.target);
            self.under_trial.remove(&identity);
            if reached == Some(true) {
                self.reached.insert(identity);
            }
        }
    }

    /// Control publishes `after` in place of `before`.
    pub(crate) fn published(&mut self, before: &Snapshot, after: &Snapshot, hosts: &[Host]) {
        let present = || after.entries.iter().filter(|it| it.state != TargetState::Draining);
        assert!(
            !after.settled || present().count() == 0 || after.eligible().count() > 0,
            "there are targets and nobody is eligible: {after:?}"
        );
        self.tally.fail_opens += u64::from(after.fail_open && !before.fail_open);
        for entry in &after.entries {
            let identity = Identity::of(&entry.target);
            let is_withdrawn = self.draining_since(&identity).is_some();
            assert_eq!(is_withdrawn, entry.state == TargetState::Draining, "{entry:?}");
            assert!(!(is_withdrawn && entry.eligible), "withdrawn and eligible: {entry:?}");
            let old = before.entries.iter().find(|old| is_same(old, entry));
            if let Some(old) = old {
                self.judge_turn(old, entry, &identity);
                judge_thirds(old, entry, hosts);
            }
        }
        self.reached.clear();
    }

    /// Only a trial closes a breaker.
    fn judge_turn(&mut self, old: &Entry, new: &Entry, identity: &Identity) {
        use TargetState::{Checking, Ejected, Healthy, Unhealthy};
        match (old.state, new.state) {
            (Ejected, Checking | Healthy | Unhealthy) => {
                assert!(self.reached.contains(identity), "closed without a trial: {new:?}");
            }
            (Checking | Healthy | Unhealthy, Ejected) => self.tally.ejections += 1,
            _ => {}
        }
    }

    /// No connection outlives its target's drain.
    fn judge_drains(&self, latest: &Snapshot, setting: &Setting, now: Instant) {
        let longest = setting.drain_timeout + PICKUP_MAX + CONNECT_TIMEOUT;
        for entry in &latest.entries {
            let since = self.draining_since(&Identity::of(&entry.target));
            if let Some(drained) = since.map(|since| now - since)
                && drained > longest
            {
                let live = entry.counters.active();
                assert_eq!(live, 0, "connections left after {drained:?}: {entry:?}");
            }
        }
    }

    /// Targets that have been well for long enough are used, and those that fail all their checks
    /// are not.
    pub(crate) fn judge_outcome(
        &self,
        latest: &Snapshot,
        hosts: &[Host],
        setting: &Setting,
        now: Instant,
    ) {
        self.judge_drains(latest, setting, now);
        // A dial of before may fail late and open the breaker; its trial may be cut short a few
        // times, and then clients have to come.
        let recovery = setting.breaker.timeout + 2 * CONNECT_TIMEOUT + Duration::from_secs(40);
        let detection = FALL * (CHECK_PERIOD * 11 / 10) + 2 * CHECK_TIMEOUT;
        for host in hosts {
            let identity = Identity::of(&host.target());
            let Some(&listed) = self.listed.get(&identity) else { continue };
            let has = |time: Option<Duration>, enough: Duration| {
                time.is_some_and(|time| time > enough && now - listed > enough)
            };
            let entry = latest.entries.iter().find(|it| Identity::of(&it.target) == identity);
            let entry = entry.expect("what is listed is in the snapshot");
            if has(host.well_for(now), recovery) && !self.drained.contains_key(&identity.id) {
                assert!(entry.eligible, "well for {recovery:?} and not used: {entry:?}");
            }
            if has(host.failing_for(now), detection) && !latest.fail_open {
                assert!(!entry.eligible, "bad for {detection:?} and used: {entry:?}");
            }
        }
    }
}

/// Whether both are about the same stay of the same target.
fn is_same(old: &Entry, new: &Entry) -> bool {
    Arc::ptr_eq(&old.counters, &new.counters)
}

/// With every third check failing a target that is in use stays so.
fn judge_thirds(old: &Entry, new: &Entry, hosts: &[Host]) {
    let has_bad_thirds = hosts.iter().any(|host| {
        host.has_bad_thirds() && Identity::of(&host.target()) == Identity::of(&new.target)
    });
    if has_bad_thirds && old.state == TargetState::Healthy {
        let stays = matches!(new.state, TargetState::Healthy | TargetState::Draining);
        assert!(stays, "every third check fails, and that is enough: {new:?}");
    }
}

impl Tally {
    pub(crate) fn add(&mut self, other: Self) {
        self.connections += other.connections;
        self.dropped += other.dropped;
        self.budget_spent += other.budget_spent;
        self.retries += other.retries;
        self.trials += other.trials;
        self.ejections += other.ejections;
        self.fail_opens += other.fail_opens;
        self.withdrawals += other.withdrawals;
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
            self.trials,
            self.withdrawals,
        ];
        assert!(rarest.iter().all(|&count| count >= 200), "{self:?}");
    }
}
