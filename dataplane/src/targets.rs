use std::cell::Cell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;

use exchange::{Entry, Locality, Outcome, Report, Snapshot, Target, TargetCounters, TargetState};
use socket2::SockAddr;

use crate::session::Cause;

/// A target as one core knows it.
#[derive(Debug)]
pub(crate) struct LocalTarget {
    target: Arc<Target>,
    socket_address: Rc<SockAddr>,
    counters: Arc<TargetCounters>,
    core: usize,
    connections: Cell<u32>,
    is_in_own_zone: Cell<Option<bool>>,
    reset: Cell<Option<Cause>>,
}

impl LocalTarget {
    fn new(target: &Arc<Target>, counters: &Arc<TargetCounters>, core: usize) -> Rc<Self> {
        Rc::new(Self {
            target: Arc::clone(target),
            socket_address: Rc::new(target.address.into()),
            counters: Arc::clone(counters),
            core,
            connections: Cell::new(0),
            is_in_own_zone: Cell::new(None),
            reset: Cell::new(None),
        })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.target.address
    }

    pub(crate) fn socket_address(&self) -> &Rc<SockAddr> {
        &self.socket_address
    }

    /// This core's connections to the target, those being dialled among them.
    pub(crate) fn connections(&self) -> u32 {
        self.connections.get()
    }

    /// Whether it is in the balancer's zone; `None` unless both zones are known.
    pub(crate) fn is_in_own_zone(&self) -> Option<bool> {
        self.is_in_own_zone.get()
    }

    /// Why connections to it are to be reset, if they are: also those that are made now.
    pub(crate) fn reset(&self) -> Option<Cause> {
        self.reset.get()
    }

    /// Counts a dial that succeeded.
    pub(crate) fn dialled(&self) {
        self.counters.on(self.core).dialled.increment();
    }

    /// The report of a dial that failed.
    pub(crate) fn failed(&self) -> Report {
        let outcome = Outcome::Failed { count: 1, successes: self.counters.dialled() };
        Report { target: Arc::clone(&self.target), outcome }
    }

    pub(crate) fn opened(&self) {
        self.connections.set(self.connections.get() + 1);
        self.counters.on(self.core).active.increment();
    }

    pub(crate) fn closed(&self) {
        self.connections.set(self.connections.get() - 1);
        self.counters.on(self.core).active.decrement();
    }
}

/// Targets of one zone, and what part of the new connections they get.
#[derive(Debug)]
pub(crate) struct LocalLocality {
    /// In units of 1 / [`exchange::Locality::WHOLE`].
    pub(crate) share: u32,
    /// Not empty.
    pub(crate) targets: Vec<Rc<LocalTarget>>,
}

/// One core's view of the latest snapshot.
#[derive(Debug)]
pub(crate) struct Targets {
    core: usize,
    known: Vec<Rc<LocalTarget>>,
    eligible: Vec<Rc<LocalTarget>>,
    localities: Vec<LocalLocality>,
    settled: bool,
}

impl Targets {
    /// None yet, for the core with this number.
    pub(crate) fn new(core: usize) -> Self {
        Self {
            core,
            known: Vec::new(),
            eligible: Vec::new(),
            localities: Vec::new(),
            settled: false,
        }
    }

    /// So many eligible ones, and these localities of them.
    #[cfg(test)]
    pub(crate) fn for_test(count: u16, localities: Vec<Locality>) -> Self {
        let mut targets = Self::new(0);
        let entries = (1..=count).map(|port| tests::entry(port, true)).collect();
        targets.update(&Snapshot { entries, localities, ..Snapshot::default() });
        targets
    }

    /// Takes over a newer snapshot. Targets that stay keep their counts.
    pub(crate) fn update(&mut self, snapshot: &Snapshot) {
        let mut old = std::mem::take(&mut self.known);
        // Entries come in a stable order: a target is usually found where it was.
        old.reverse();
        self.eligible.clear();
        for entry in &snapshot.entries {
            let is_same = |local: &Rc<LocalTarget>| Arc::ptr_eq(&local.counters, &entry.counters);
            let local = match old.iter().rposition(is_same) {
                Some(index) => old.remove(index),
                None => LocalTarget::new(&entry.target, &entry.counters, self.core),
            };
            let zones = snapshot.own_zone.as_ref().zip(entry.target.zone.as_ref());
            local.is_in_own_zone.set(zones.map(|(own, its)| own == its));
            local.reset.set(cause_of_reset(entry));
            if entry.eligible {
                self.eligible.push(Rc::clone(&local));
            }
            self.known.push(local);
        }
        self.localities = snapshot.localities.iter().filter_map(|it| self.local(it)).collect();
        self.settled = snapshot.settled;
    }

    /// Whether there are connections to targets of which none is to be kept.
    pub(crate) fn has_connections_to_reset(&self) -> bool {
        self.known.iter().any(|target| target.reset().is_some() && target.connections() > 0)
    }

    fn local(&self, locality: &Locality) -> Option<LocalLocality> {
        let targets = locality.entries.iter().filter_map(|&index| self.known.get(index));
        let targets: Vec<_> = targets.cloned().collect();
        (!targets.is_empty()).then_some(LocalLocality { share: locality.share, targets })
    }

    /// Those that may get new connections.
    pub(crate) fn eligible(&self) -> &[Rc<LocalTarget>] {
        &self.eligible
    }

    /// Where new connections go first; empty where no zone is preferred.
    pub(crate) fn localities(&self) -> &[LocalLocality] {
        &self.localities
    }

    /// Whether waiting brings no eligible target that is not there yet.
    pub(crate) fn is_ready(&self) -> bool {
        self.settled || !self.eligible.is_empty()
    }
}

fn cause_of_reset(entry: &Entry) -> Option<Cause> {
    entry.reset.then_some(match entry.state {
        TargetState::Draining => Cause::TargetWithdrawn,
        _ => Cause::TargetUnhealthy,
    })
}

#[cfg(test)]
mod tests {
    use exchange::Target;

    use super::*;

    pub(super) fn entry(port: u16, eligible: bool) -> Entry {
        let target = Arc::new(Target::at(([127, 0, 0, 1], port).into()));
        let entry = Entry::new(target, Arc::new(TargetCounters::new(1)));
        Entry { state: TargetState::Healthy, eligible, ..entry }
    }

    fn ports(targets: &Targets) -> Vec<u16> {
        targets.eligible().iter().map(|target| target.address().port()).collect()
    }

    #[test]
    fn counts_survive_an_update_and_only_eligible_targets_are_offered() {
        let mut entries = vec![entry(1, true), entry(2, false), entry(3, true)];
        let mut targets = Targets::new(0);
        assert!(!targets.is_ready());
        targets.update(&Snapshot { entries: entries.clone(), ..Snapshot::default() });
        assert!(targets.is_ready());
        assert_eq!(ports(&targets), [1, 3]);
        targets.eligible()[1].opened();
        entries.remove(0);
        entries[0].eligible = true;
        targets.update(&Snapshot { entries: entries.clone(), ..Snapshot::default() });
        assert_eq!(ports(&targets), [2, 3]);
        assert_eq!(targets.eligible()[1].connections(), 1);
        assert_eq!(entries[1].counters.active(), 1);
    }

    #[test]
    fn a_target_is_reset_for_as_long_as_the_snapshot_says_so() {
        let mut entries = vec![entry(1, true), entry(2, true)];
        let mut targets = Targets::new(0);
        let mut update = |entries: &[Entry]| {
            targets.update(&Snapshot { entries: entries.to_vec(), ..Snapshot::default() });
            let [first, second] = [0, 1].map(|index| targets.known[index].reset());
            assert_eq!(second, None);
            (first, targets.has_connections_to_reset(), Rc::clone(&targets.known[0]))
        };
        let (reset, _, first) = update(&entries);
        assert_eq!(reset, None);
        first.opened();
        entries[0].reset = true;
        entries[0].state = TargetState::Unhealthy;
        assert!(matches!(update(&entries), (Some(Cause::TargetUnhealthy), true, _)));
        entries[0].state = TargetState::Draining;
        assert!(matches!(update(&entries), (Some(Cause::TargetWithdrawn), true, _)));
        first.closed();
        assert!(matches!(update(&entries), (Some(Cause::TargetWithdrawn), false, _)));
        entries[0].reset = false;
        assert!(matches!(update(&entries), (None, false, _)));
    }

    #[test]
    fn localities_and_zones_follow_the_snapshot() {
        let in_zone = |port, zone: &str| {
            let mut entry = entry(port, true);
            entry.target = Arc::new(entry.target.as_ref().clone().in_zone(zone));
            entry
        };
        let mut entries = vec![in_zone(1, "a"), in_zone(2, "b"), entry(3, true)];
        let mut targets = Targets::new(0);
        let locality = |share, entries: &[usize]| Locality { share, entries: entries.to_vec() };
        targets.update(&Snapshot {
            entries: entries.clone(),
            own_zone: Some("a".into()),
            localities: vec![locality(5, &[1]), locality(6, &[7, 2, 0]), locality(7, &[9])],
            ..Snapshot::default()
        });
        let zones: Vec<_> = targets.eligible().iter().map(|it| it.is_in_own_zone()).collect();
        assert_eq!(zones, [Some(true), Some(false), None]);
        let shown: Vec<_> = targets
            .localities()
            .iter()
            .map(|it| (it.share, it.targets.iter().map(|t| t.address().port()).collect()))
            .collect();
        let expected: [(u32, Vec<u16>); 2] = [(5, vec![2]), (6, vec![3, 1])];
        assert_eq!(shown, expected, "what is not there is left out");

        entries[0].eligible = false;
        targets.update(&Snapshot { entries, ..Snapshot::default() });
        assert!(targets.localities().is_empty());
        assert!(targets.eligible().iter().all(|it| it.is_in_own_zone().is_none()));
    }

    #[test]
    fn the_same_address_with_other_counters_is_another_target() {
        let mut targets = Targets::new(0);
        targets.update(&Snapshot { entries: vec![entry(1, true)], ..Snapshot::default() });
        targets.eligible()[0].opened();
        targets.update(&Snapshot { entries: vec![entry(1, true)], ..Snapshot::default() });
        assert_eq!(targets.eligible()[0].connections(), 0);
    }
}
