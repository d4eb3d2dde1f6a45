use std::cell::Cell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;

use exchange::{Snapshot, TargetCounters};
use socket2::SockAddr;

/// A target as one core knows it.
#[derive(Debug)]
pub(crate) struct LocalTarget {
    address: SocketAddr,
    socket_address: Rc<SockAddr>,
    counters: Arc<TargetCounters>,
    core: usize,
    connections: Cell<u32>,
}

impl LocalTarget {
    fn new(address: SocketAddr, counters: &Arc<TargetCounters>, core: usize) -> Rc<Self> {
        Rc::new(Self {
            address,
            socket_address: Rc::new(address.into()),
            counters: Arc::clone(counters),
            core,
            connections: Cell::new(0),
        })
    }

    #[cfg(test)]
    pub(crate) fn for_test(port: u16) -> Rc<Self> {
        Self::new(([127, 0, 0, 1], port).into(), &Arc::new(TargetCounters::new(1)), 0)
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn socket_address(&self) -> &Rc<SockAddr> {
        &self.socket_address
    }

    /// This core's connections to the target, those being dialled among them.
    pub(crate) fn connections(&self) -> u32 {
        self.connections.get()
    }

    pub(crate) fn opened(&self) {
        self.connections.set(self.connections.get() + 1);
        self.counters.active_on(self.core).increment();
    }

    pub(crate) fn closed(&self) {
        self.connections.set(self.connections.get() - 1);
        self.counters.active_on(self.core).decrement();
    }
}

/// One core's view of the latest snapshot.
#[derive(Debug)]
pub(crate) struct Targets {
    core: usize,
    known: Vec<Rc<LocalTarget>>,
    eligible: Vec<Rc<LocalTarget>>,
    settled: bool,
}

impl Targets {
    /// None yet, for the core with this number.
    pub(crate) fn new(core: usize) -> Self {
        Self { core, known: Vec::new(), eligible: Vec::new(), settled: false }
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
                None => LocalTarget::new(entry.target.address, &entry.counters, self.core),
            };
            if entry.eligible {
                self.eligible.push(Rc::clone(&local));
            }
            self.known.push(local);
        }
        self.settled = snapshot.settled;
    }

    /// Those that may get new connections.
    pub(crate) fn eligible(&self) -> &[Rc<LocalTarget>] {
        &self.eligible
    }

    /// Whether waiting brings no eligible target that is not there yet.
    pub(crate) fn is_ready(&self) -> bool {
        self.settled || !self.eligible.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use exchange::{Entry, Target, TargetState};

    use super::*;

    fn entry(port: u16, eligible: bool) -> Entry {
        Entry {
            target: Arc::new(Target::at(([127, 0, 0, 1], port).into())),
            state: TargetState::Healthy,
            eligible,
            counters: Arc::new(TargetCounters::new(1)),
        }
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
    fn the_same_address_with_other_counters_is_another_target() {
        let mut targets = Targets::new(0);
        targets.update(&Snapshot { entries: vec![entry(1, true)], ..Snapshot::default() });
        targets.eligible()[0].opened();
        targets.update(&Snapshot { entries: vec![entry(1, true)], ..Snapshot::default() });
        assert_eq!(targets.eligible()[0].connections(), 0);
    }
}
