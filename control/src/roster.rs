use std::collections::BTreeMap;
use std::collections::btree_map::Entry as Slot;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use exchange::{
    Affinity, Entry, Generation, Locality, Outcome, Report, Snapshot, Target, TargetCounters,
    TargetId, TargetState,
};

use crate::breaker::{self, Breaker, Standing, Turns};
use crate::health::Health;
use crate::locality::localities;

/// Ticks in a row that a withdrawn target has to be without connections before it is forgotten: a
/// core may be about to connect by an older snapshot.
const IDLE_TICKS: u32 = 2;

/// What makes a target the same target.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Identity {
    /// Where it serves.
    pub address: SocketAddr,
    /// What it is called.
    pub id: TargetId,
}

impl Identity {
    /// That of `target`.
    pub fn of(target: &Target) -> Self {
        Self { address: target.address, id: target.id.clone() }
    }
}

/// What the roster is told once.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// As in [`crate::health::Settings`].
    pub rise: u32,
    /// As in [`crate::health::Settings`].
    pub fall: u32,
    /// As in [`crate::Settings`], in percent.
    pub fail_open_threshold: u8,
    /// When a target's circuit breaker opens, and for how long.
    pub breaker: breaker::Settings,
    /// Data-plane cores.
    pub cores: usize,
}

/// All known targets and what follows from them. Pure: it does no I/O and reads no clock. The times
/// it is told are monotonic and never go back.
#[derive(Debug)]
pub struct Roster {
    rules: Rules,
    /// Ordered, so that every instance lists the same targets alike.
    members: BTreeMap<Identity, Member>,
    /// Where this balancer is, once known and where it matters.
    own_zone: Option<Arc<str>>,
    /// Where clients keep their targets, the latest table.
    affinity: Option<Arc<Affinity>>,
    /// How often circuit breakers have turned.
    turns: Turns,
    latest: Arc<Snapshot>,
}

#[derive(Debug)]
struct Member {
    target: Arc<Target>,
    health: Health,
    /// Why the latest check failed, if one has.
    failure: Option<Arc<str>>,
    breaker: Breaker,
    /// None while discovered; else the number of ticks in a row without connections.
    draining: Option<u32>,
    counters: Arc<TargetCounters>,
}

impl Roster {
    /// One that knows of no target yet.
    pub fn new(rules: Rules) -> Self {
        Self {
            rules,
            members: BTreeMap::new(),
            own_zone: None,
            affinity: None,
            turns: Turns::default(),
            latest: Arc::default(),
        }
    }

    /// The targets are these now. Known ones keep their history, even when they were draining;
    /// those that are gone drain.
    #[allow(unused_variables, reason = "what drains will have a deadline")]
    pub fn discovered(&mut self, targets: Vec<Target>, now: Instant) {
        for member in self.members.values_mut() {
            member.draining.get_or_insert(0);
        }
        for target in targets {
            match self.members.entry(Identity::of(&target)) {
                Slot::Occupied(slot) => {
                    let member = slot.into_mut();
                    member.draining = None;
                    if *member.target != target {
                        // Its zone became known or was corrected.
                        member.target = Arc::new(target);
                    }
                }
                Slot::Vacant(slot) => {
                    slot.insert(Member {
                        target: Arc::new(target),
                        health: Health::default(),
                        failure: None,
                        breaker: Breaker::new(self.rules.breaker),
                        draining: None,
                        counters: Arc::new(TargetCounters::new(self.rules.cores)),
                    });
                }
            }
        }
    }

    /// This balancer is in `zone`, and prefers targets that are too.
    pub fn located(&mut self, zone: Arc<str>) {
        self.own_zone = Some(zone);
    }

    /// Clients' targets are these from now on.
    pub fn mapped(&mut self, affinity: Arc<Affinity>) {
        self.affinity = Some(affinity);
    }

    /// A check of `target` has passed, or failed for the reason given. Late results of targets that
    /// have left are ignored.
    pub fn checked(&mut self, target: &Identity, result: Result<(), &str>, now: Instant) {
        let Some(member) = self.members.get_mut(target) else { return };
        if member.draining.is_some() {
            return;
        }
        member.health.record(result.is_ok(), self.rules.rise, self.rules.fall);
        if let Err(reason) = result
            && member.failure.as_deref() != Some(reason)
        {
            member.failure = Some(reason.into());
        }
        self.turns.count(member.breaker.advance(member.standing(), now));
    }

    /// A core has reported. Late reports of targets that are forgotten are ignored.
    pub fn reported(&mut self, report: &Report, now: Instant) {
        let Some(member) = self.members.get_mut(&Identity::of(&report.target)) else { return };
        let turn = match report.outcome {
            Outcome::Failed { count, successes } => {
                member.breaker.failed(count, successes, member.counters.dialled(), now)
            }
            Outcome::Tried { reached } => member.breaker.tried(reached, now),
        };
        self.turns.count(turn);
    }

    /// To be called every so often: forgets withdrawn targets that have no connections left.
    #[allow(unused_variables, reason = "nothing of it depends on the time yet")]
    pub fn tick(&mut self, now: Instant) {
        self.members.retain(|_, member| {
            let Some(idle_ticks) = &mut member.draining else { return true };
            *idle_ticks = if member.counters.active() == 0 { *idle_ticks + 1 } else { 0 };
            *idle_ticks < IDLE_TICKS
        });
    }

    /// The snapshot of `now`; of a new generation if anything in it has changed since the last call.
    pub fn snapshot(&mut self, now: Instant) -> Arc<Snapshot> {
        for member in self.members.values_mut() {
            self.turns.count(member.breaker.advance(member.standing(), now));
        }
        let next = self.assess();
        if !is_same(&next, &self.latest) {
            self.latest = Arc::new(next);
        }
        Arc::clone(&self.latest)
    }

    /// When a later call of [`Roster::snapshot`] than one at `now` will say something else although
    /// nothing has happened.
    pub fn next_due(&self, now: Instant) -> Option<Instant> {
        let is_healthy = |member: &&Member| member.standing() == Standing::Healthy;
        let healthy = self.members.values().filter(is_healthy);
        healthy.filter_map(|member| member.breaker.due()).filter(|due| *due > now).min()
    }

    /// How often circuit breakers have turned since the start.
    pub fn breaker_turns(&self) -> Turns {
        self.turns
    }

    fn assess(&self) -> Snapshot {
        let present = || self.members.values().filter(|member| member.draining.is_none());
        let count = present().count();
        let healthy = present().filter(|member| member.is_fit()).count();
        let known = present().filter(|member| member.health.has_first_result()).count();

        let settled = count > 0 && known == count;
        let too_few = healthy * 100 <= usize::from(self.rules.fail_open_threshold) * count;
        // It begins only once all are known. A newcomer does not end it: that would leave clients
        // without any target until the newcomer's first check is over.
        let fail_open = too_few && (settled || self.latest.fail_open && known > 0);

        let entries = self.members.values().map(|member| {
            let draining = member.draining.is_some();
            let is_known = member.health.has_first_result();
            let state = member.state();
            Entry {
                state,
                eligible: !draining && (member.is_fit() || fail_open && is_known),
                reason: member.reason(state),
                trial: member.breaker.trial().filter(|_| !draining).map(Arc::clone),
                ..Entry::new(Arc::clone(&member.target), Arc::clone(&member.counters))
            }
        });
        let entries: Vec<_> = entries.collect();
        Snapshot {
            generation: Generation(self.latest.generation.0 + 1),
            fail_open,
            settled,
            own_zone: self.own_zone.clone(),
            affinity: self.affinity.clone(),
            // Under fail-open nobody knows what a zone can carry.
            localities: if fail_open { Vec::new() } else { self.localities(&entries) },
            entries,
        }
    }

    fn localities(&self, entries: &[Entry]) -> Vec<Locality> {
        let Some(own_zone) = &self.own_zone else { return Vec::new() };
        let eligible = entries.iter().enumerate().filter(|(_, entry)| entry.eligible);
        localities(own_zone, eligible.map(|(index, entry)| (index, entry.target.zone.as_deref())))
    }
}

impl Member {
    /// Whether it is good enough to be used while there are others.
    fn is_fit(&self) -> bool {
        self.health.is_healthy() && self.breaker.is_closed()
    }

    fn standing(&self) -> Standing {
        if self.draining.is_some() {
            Standing::Withdrawn
        } else if self.health.is_healthy() {
            Standing::Healthy
        } else {
            Standing::Unhealthy
        }
    }

    /// Where several states hold, the one that says most about where clients go.
    fn state(&self) -> TargetState {
        if self.draining.is_some() {
            TargetState::Draining
        } else if self.breaker.is_closed() {
            self.health.state()
        } else {
            TargetState::Ejected
        }
    }

    fn reason(&self, state: TargetState) -> Option<Arc<str>> {
        match state {
            TargetState::Ejected => self.breaker.reason().map(Arc::clone),
            TargetState::Unhealthy => self.failure.clone(),
            TargetState::Checking | TargetState::Healthy | TargetState::Draining => None,
        }
    }
}

/// Whether two snapshots say the same, their generations aside. Localities follow from the rest.
fn is_same(a: &Snapshot, b: &Snapshot) -> bool {
    let is_same_entry = |(a, b): (&Entry, &Entry)| {
        a.state == b.state
            && a.eligible == b.eligible
            && a.reason == b.reason
            && a.trial.as_ref().map(Arc::as_ptr) == b.trial.as_ref().map(Arc::as_ptr)
            && Arc::ptr_eq(&a.target, &b.target)
            && Arc::ptr_eq(&a.counters, &b.counters)
    };
    a.fail_open == b.fail_open
        && a.settled == b.settled
        && a.own_zone == b.own_zone
        && a.affinity.as_ref().map(Arc::as_ptr) == b.affinity.as_ref().map(Arc::as_ptr)
        && a.entries.len() == b.entries.len()
        && a.entries.iter().zip(&b.entries).all(is_same_entry)
}

#[cfg(test)]
mod tests;
