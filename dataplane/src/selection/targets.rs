use std::rc::Rc;
use std::time::{Duration, Instant};

use exchange::{ClientKey, Locality, ServiceIndex, Snapshot};

use crate::selection::affinity::LocalAffinity;
use crate::selection::candidates::Candidates;
use crate::selection::lingering::Turnover;
use crate::selection::local_target::{LastConnect, LocalTarget};

/// How often other cores' counts are read at most, and how many of them at a time.
const READ_INTERVAL: Duration = Duration::from_millis(1);
const COUNTS_READ_MAX: usize = 64;
/// So few are read each time.
const COUNTS_READ_MIN: usize = 8;

/// Targets of one zone, and what part of the new connections they get.
#[derive(Debug)]
pub(crate) struct LocalLocality {
    /// In units of 1 / [`exchange::Locality::WHOLE`].
    pub(crate) share: u32,
    /// Not empty.
    pub(crate) targets: Candidates,
}

/// One core's view of the latest snapshot.
#[derive(Debug)]
pub struct Targets {
    service: ServiceIndex,
    core: usize,
    cores: usize,
    pooled_max: usize,
    known: Vec<Rc<LocalTarget>>,
    eligible: Candidates,
    turnover: Rc<Turnover>,
    localities: Vec<LocalLocality>,
    /// Where clients keep their targets.
    affinity: Option<LocalAffinity>,
    admits: bool,
    rebalanced_since: Option<Instant>,
    next_read: NextRead,
}

/// Whose counts on other cores are read next, and when.
#[derive(Debug, Default)]
struct NextRead {
    place: usize,
    due: Option<Instant>,
}

impl Targets {
    /// None yet, of the first service, for core `core` of so many.
    pub fn new(core: usize, cores: usize) -> Self {
        Self {
            service: ServiceIndex::default(),
            core,
            cores,
            pooled_max: 0,
            known: Vec::new(),
            eligible: Candidates::default(),
            turnover: Rc::default(),
            localities: Vec::new(),
            affinity: None,
            admits: false,
            rebalanced_since: None,
            next_read: NextRead::default(),
        }
    }

    /// Those of this service.
    pub(crate) fn for_service(self, service: ServiceIndex) -> Self {
        Self { service, ..self }
    }

    /// Of each target, at most `pool_size` connections may wait for clients, all cores together.
    pub(crate) fn with_pools(mut self, pool_size: usize) -> Self {
        // The first cores get what is left of an uneven division.
        let is_left = self.core < pool_size % self.cores;
        self.pooled_max = pool_size / self.cores + usize::from(is_left);
        self
    }

    /// So many eligible ones, and these localities of them.
    #[cfg(test)]
    pub(crate) fn for_test(count: u16, localities: Vec<Locality>) -> Self {
        let mut targets = Self::new(0, 1);
        let routing = tests::snapshot(count, 1).routing().clone().with_localities(localities);
        targets.update(&routing.into());
        targets
    }

    /// Takes over a newer snapshot. Targets that stay keep their counts.
    pub fn update(&mut self, snapshot: &Snapshot) {
        let mut old = std::mem::take(&mut self.known);
        // Entries come in a stable order: a target is usually found where it was.
        old.reverse();
        let mut eligible = Vec::new();
        for entry in snapshot.entries() {
            let known = old.iter().rposition(|local| local.is(entry));
            let local = known.map(|index| old.remove(index));
            let new = || LocalTarget::new(self.service, entry, self.core, &self.turnover);
            let local = local.unwrap_or_else(new);
            local.pool().borrow_mut().limit(self.pooled_max);
            local.update(entry, snapshot.own_zone());
            if entry.is_eligible() {
                eligible.push(Rc::clone(&local));
            }
            self.known.push(local);
        }
        for gone in old {
            gone.withdraw();
        }
        // Of others than these the counts are not read.
        let elsewhere =
            eligible.iter().map(|target| u64::from(target.load().open_elsewhere())).sum();
        self.turnover.set_elsewhere(elsewhere);
        self.eligible = eligible.into_iter().collect();
        self.localities = snapshot.localities().iter().filter_map(|it| self.local(it)).collect();
        self.affinity = snapshot.affinity().map(|it| LocalAffinity::new(it, self.eligible.all()));
        self.admits = snapshot.admits();
        self.rebalanced_since = snapshot.rebalanced_since();
    }

    /// Whether there are connections to targets of which none is to be kept.
    pub(crate) fn has_connections_to_reset(&self) -> bool {
        self.known
            .iter()
            .any(|target| target.status().reset().is_some() && target.load().connections() > 0)
    }

    fn local(&self, locality: &Locality) -> Option<LocalLocality> {
        let targets = locality.entries().iter().filter_map(|&index| self.known.get(index));
        let targets: Candidates = targets.cloned().collect();
        let is_empty = targets.all().is_empty();
        (!is_empty).then_some(LocalLocality { share: locality.share(), targets })
    }

    /// Those that may get new connections.
    pub fn eligible(&self) -> &[Rc<LocalTarget>] {
        self.eligible.all()
    }

    pub(crate) fn candidates(&self) -> &Candidates {
        &self.eligible
    }

    /// Where new connections go first; empty where no zone is preferred.
    pub(crate) fn localities(&self) -> &[LocalLocality] {
        &self.localities
    }

    /// The client's own target, as long as that may be used and was not tried; else the one that the
    /// client prefers of all others. All cores and instances with the same targets agree, but for
    /// this: for another try those come last whose last connect failed on this core, or clients would
    /// be dropped while there are others.
    pub(crate) fn of_client(
        &self,
        client: ClientKey,
        tried: &[Rc<LocalTarget>],
    ) -> Option<Rc<LocalTarget>> {
        let is_fresh = |target: &&Rc<LocalTarget>| !tried.iter().any(|old| Rc::ptr_eq(old, target));
        let own = self.affinity.as_ref().and_then(|affinity| affinity.choose(client));
        let others = || self.eligible().iter().filter(is_fresh);
        let worth = |target: &&Rc<LocalTarget>| {
            let is_good = tried.is_empty() || target.last_connect() != LastConnect::Failed;
            (is_good, client.preference(target.key()))
        };
        own.filter(is_fresh).or_else(|| others().max_by_key(worth)).cloned()
    }

    /// Since when connections have to be open to make room for targets that have joined, if any are
    /// to do that.
    pub(crate) fn rebalanced_since(&self) -> Option<Instant> {
        self.rebalanced_since
    }

    /// Whether clients are let in, to whomever there is, or wait.
    pub fn admits(&self) -> bool {
        self.admits
    }

    /// Reads how many connections other cores have to some of the targets, in turn. Cheap enough
    /// to be called again and again: if there are more than [`COUNTS_READ_MIN`] counts, at most
    /// [`COUNTS_READ_MAX`] are read in a [`READ_INTERVAL`].
    pub fn read_other_cores(&mut self, now: Instant) {
        let eligible = self.eligible.all();
        if self.cores <= 1 || eligible.is_empty() {
            return;
        }
        let are_few = eligible.len() * (self.cores - 1) <= COUNTS_READ_MIN;
        if !are_few && self.next_read.due.is_some_and(|due| now < due) {
            return;
        }
        self.next_read.due = Some(now + READ_INTERVAL);
        let turns = (COUNTS_READ_MAX / (self.cores - 1)).max(1).min(eligible.len());
        for _ in 0..turns {
            self.next_read.place = (self.next_read.place + 1) % eligible.len();
            eligible[self.next_read.place].load().read_other_cores();
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::sync::Arc;

    use exchange::{Eligibility, Entry, ResetReason, Routing, Target, TargetCounters};

    use super::*;
    use crate::flow::AbortReason;

    /// So many eligible targets, at the ports from 1 up, for `cores` cores.
    pub(crate) fn snapshot(targets: u16, cores: usize) -> Snapshot {
        routing_to((1..=targets).map(|port| eligible(port, cores)).collect())
    }

    fn routing_to(entries: Vec<Entry>) -> Snapshot {
        Routing::to(entries).into()
    }

    fn eligible(port: u16, cores: usize) -> Entry {
        let target = Arc::new(Target::at(([127, 0, 0, 1], port).into()));
        let entry = Entry::new(target, Arc::new(TargetCounters::new(cores)));
        entry.with_eligibility(Eligibility::Full)
    }

    fn entry(port: u16, is_eligible: bool) -> Entry {
        let entry = eligible(port, 1);
        if is_eligible { entry } else { entry.with_eligibility(Eligibility::None) }
    }

    fn ports_of(targets: &[Rc<LocalTarget>]) -> Vec<u16> {
        targets.iter().map(|target| target.address().port()).collect()
    }

    fn ports(targets: &Targets) -> Vec<u16> {
        ports_of(targets.eligible())
    }

    #[test]
    fn counts_survive_an_update_and_only_eligible_targets_are_offered() {
        let mut entries = vec![entry(1, true), entry(2, false), entry(3, true)];
        let mut targets = Targets::new(0, 1);
        assert!(!targets.admits(), "nobody has said so yet");
        targets.update(&routing_to(entries.clone()));
        assert_eq!(ports(&targets), [1, 3]);
        targets.eligible()[1].load().opened();
        entries.remove(0);
        entries[0] = entries[0].clone().with_eligibility(Eligibility::Full);
        targets.update(&routing_to(entries.clone()));
        assert_eq!(ports(&targets), [2, 3]);
        assert_eq!(targets.eligible()[1].load().connections(), 1);
        assert_eq!(entries[1].counters().active(), 1);
    }

    #[test]
    fn a_target_is_reset_for_as_long_as_the_snapshot_says_so() {
        let mut entries = vec![entry(1, true), entry(2, true)];
        let mut targets = Targets::new(0, 1);
        let mut update = |entries: &[Entry]| {
            targets.update(&routing_to(entries.to_vec()));
            let [first, second] = [0, 1].map(|index| targets.known[index].status().reset());
            assert_eq!(second, None);
            (first, targets.has_connections_to_reset(), Rc::clone(&targets.known[0]))
        };
        let (reset, _, first) = update(&entries);
        assert_eq!(reset, None);
        first.load().opened();
        let first_entry = entries[0].clone();
        let reset_for = |reason| first_entry.clone().with_reset(Some(reason));
        entries[0] = reset_for(ResetReason::Unhealthy);
        assert!(matches!(update(&entries), (Some(AbortReason::TargetUnhealthy), true, _)));
        entries[0] = reset_for(ResetReason::DrainTimeout);
        assert!(matches!(update(&entries), (Some(AbortReason::TargetWithdrawn), true, _)));
        first.load().closed();
        assert!(matches!(update(&entries), (Some(AbortReason::TargetWithdrawn), false, _)));
        entries[0] = first_entry;
        assert!(matches!(update(&entries), (None, false, _)));
    }

    #[test]
    fn localities_and_zones_follow_the_snapshot() {
        let in_zone = |port, zone: &str| {
            let entry = entry(port, true);
            let target = Arc::new(entry.target().as_ref().clone().in_zone(zone));
            Entry::new(target, Arc::clone(entry.counters())).with_eligibility(Eligibility::Full)
        };
        let mut entries = vec![in_zone(1, "a"), in_zone(2, "b"), entry(3, true)];
        let mut targets = Targets::new(0, 1);
        let locality = |share, entries: &[usize]| Locality::new(share, entries.to_vec());
        let localities = vec![locality(5, &[1]), locality(6, &[7, 2, 0]), locality(7, &[9])];
        let routing = Routing::to(entries.clone())
            .with_own_zone(Some("a".into()))
            .with_localities(localities);
        targets.update(&routing.into());
        let zones: Vec<_> =
            targets.eligible().iter().map(|it| it.status().is_in_own_zone()).collect();
        assert_eq!(zones, [Some(true), Some(false), None]);
        let shown: Vec<_> =
            targets.localities().iter().map(|it| (it.share, ports_of(it.targets.all()))).collect();
        let expected: [(u32, Vec<u16>); 2] = [(5, vec![2]), (6, vec![3, 1])];
        assert_eq!(shown, expected, "what is not there is left out");

        entries[0] = entries[0].clone().with_eligibility(Eligibility::None);
        targets.update(&routing_to(entries));
        assert!(targets.localities().is_empty());
        assert!(targets.eligible().iter().all(|it| it.status().is_in_own_zone().is_none()));
    }

    #[test]
    fn the_same_address_with_other_counters_is_another_target() {
        let mut targets = Targets::new(0, 1);
        targets.update(&routing_to(vec![entry(1, true)]));
        targets.eligible()[0].load().opened();
        targets.update(&routing_to(vec![entry(1, true)]));
        assert_eq!(targets.eligible()[0].load().connections(), 0);
    }
}
