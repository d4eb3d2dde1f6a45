use std::collections::BTreeMap;
use std::collections::btree_map::Entry as Slot;
use std::net::SocketAddr;
use std::sync::Arc;

use exchange::{
    Affinity, Entry, Generation, Locality, Snapshot, Target, TargetCounters, TargetId, TargetState,
};

use crate::health::Health;
use crate::locality::localities;

/// Ticks in a row that a withdrawn target has to be without connections before it is forgotten: a
/// core may be about to connect by an older snapshot.
const IDLE_TICKS: u32 = 2;

/// What makes a target the same target.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Identity {
    pub(crate) address: SocketAddr,
    pub(crate) id: TargetId,
}

impl Identity {
    pub(crate) fn of(target: &Target) -> Self {
        Self { address: target.address, id: target.id.clone() }
    }
}

/// What the roster is told once.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rules {
    /// As in [`crate::health::Settings`].
    pub(crate) rise: u32,
    /// As in [`crate::health::Settings`].
    pub(crate) fall: u32,
    /// As in [`crate::Settings`], in percent.
    pub(crate) fail_open_threshold: u8,
    /// Data-plane cores.
    pub(crate) cores: usize,
}

/// All known targets and what follows from them. Pure: it does no I/O and reads no clock.
#[derive(Debug)]
pub(crate) struct Roster {
    rules: Rules,
    /// Ordered, so that every instance lists the same targets alike.
    members: BTreeMap<Identity, Member>,
    /// Where this balancer is, once known and where it matters.
    own_zone: Option<Arc<str>>,
    /// Where clients keep their targets, the latest table.
    affinity: Option<Arc<Affinity>>,
    latest: Arc<Snapshot>,
}

#[derive(Debug)]
struct Member {
    target: Arc<Target>,
    health: Health,
    /// None while discovered; else the number of ticks in a row without connections.
    draining: Option<u32>,
    counters: Arc<TargetCounters>,
}

impl Roster {
    pub(crate) fn new(rules: Rules) -> Self {
        Self {
            rules,
            members: BTreeMap::new(),
            own_zone: None,
            affinity: None,
            latest: Arc::default(),
        }
    }

    /// The targets are these now. Known ones keep their history, even when they were draining;
    /// those that are gone drain.
    pub(crate) fn discovered(&mut self, targets: Vec<Target>) {
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
                        draining: None,
                        counters: Arc::new(TargetCounters::new(self.rules.cores)),
                    });
                }
            }
        }
    }

    /// This balancer is in `zone`, and prefers targets that are too.
    pub(crate) fn located(&mut self, zone: Arc<str>) {
        self.own_zone = Some(zone);
    }

    /// Clients' targets are these from now on.
    pub(crate) fn mapped(&mut self, affinity: Arc<Affinity>) {
        self.affinity = Some(affinity);
    }

    /// A check of `target` has passed or not. Late results of targets that have left are ignored.
    pub(crate) fn checked(&mut self, target: &Identity, passed: bool) {
        if let Some(member) = self.members.get_mut(target)
            && member.draining.is_none()
        {
            member.health.record(passed, self.rules.rise, self.rules.fall);
        }
    }

    /// Some time has passed: forgets withdrawn targets that have no connections left.
    pub(crate) fn tick(&mut self) {
        self.members.retain(|_, member| {
            let Some(idle_ticks) = &mut member.draining else { return true };
            *idle_ticks = if member.counters.active() == 0 { *idle_ticks + 1 } else { 0 };
            *idle_ticks < IDLE_TICKS
        });
    }

    /// The newest snapshot; of a new generation if anything in it has changed since the last call.
    pub(crate) fn snapshot(&mut self) -> Arc<Snapshot> {
        let next = self.assess();
        if !is_same(&next, &self.latest) {
            self.latest = Arc::new(next);
        }
        Arc::clone(&self.latest)
    }

    fn assess(&self) -> Snapshot {
        let present = || self.members.values().filter(|member| member.draining.is_none());
        let count = present().count();
        let healthy = present().filter(|member| member.health.is_healthy()).count();
        let known = present().filter(|member| member.health.has_first_result()).count();

        let settled = count > 0 && known == count;
        let too_few = healthy * 100 <= usize::from(self.rules.fail_open_threshold) * count;
        // It begins only once all are known. A newcomer does not end it: that would leave clients
        // without any target until the newcomer's first check is over.
        let fail_open = too_few && (settled || self.latest.fail_open && known > 0);

        let entries = self.members.values().map(|member| {
            let draining = member.draining.is_some();
            let health = &member.health;
            Entry {
                state: if draining { TargetState::Draining } else { health.state() },
                eligible: !draining
                    && (health.is_healthy() || fail_open && health.has_first_result()),
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

/// Whether two snapshots say the same, their generations aside. Localities follow from the rest.
fn is_same(a: &Snapshot, b: &Snapshot) -> bool {
    let is_same_entry = |(a, b): (&Entry, &Entry)| {
        a.state == b.state
            && a.eligible == b.eligible
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
