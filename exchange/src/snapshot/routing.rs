use std::sync::Arc;
use std::time::Instant;

use super::entry::Entry;
use super::locality::Locality;
use crate::affinity::Affinity;

/// What cores need to route connections, and nothing else: no state, no reason. Two that are equal lead
/// every client to the same target.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Routing {
    admits: bool,
    entries: Vec<Entry>,
    own_zone: Option<Arc<str>>,
    localities: Vec<Locality>,
    affinity: Option<Arc<Affinity>>,
    rebalanced_since: Option<Instant>,
}

impl Routing {
    /// To these targets, in a stable order. Clients are not let in.
    pub fn to(entries: Vec<Entry>) -> Self {
        Self { entries, ..Self::default() }
    }

    /// With these entries instead.
    #[must_use]
    pub fn with_entries(self, entries: Vec<Entry>) -> Self {
        Self { entries, ..self }
    }

    /// With clients let in, or not.
    #[must_use]
    pub fn with_admits(self, admits: bool) -> Self {
        Self { admits, ..self }
    }

    /// With this zone for the balancer's own.
    #[must_use]
    pub fn with_own_zone(self, own_zone: Option<Arc<str>>) -> Self {
        Self { own_zone, ..self }
    }

    /// With these localities of the targets.
    #[must_use]
    pub fn with_localities(self, localities: Vec<Locality>) -> Self {
        Self { localities, ..self }
    }

    /// With this table.
    #[must_use]
    pub fn with_affinity(self, affinity: Option<Arc<Affinity>>) -> Self {
        Self { affinity, ..self }
    }

    /// With connections closed in favour of targets that joined then, or none.
    #[must_use]
    pub fn with_rebalanced_since(self, rebalanced_since: Option<Instant>) -> Self {
        Self { rebalanced_since, ..self }
    }

    /// Whether clients are let in; where no target is eligible then, they are turned away. If not,
    /// they wait: who is to serve them is about to be known, and no target is eligible until then.
    pub fn admits(&self) -> bool {
        self.admits
    }

    /// All known targets, in a stable order.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The entries that new connections may go to.
    pub fn eligible(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter().filter(|entry| entry.is_eligible())
    }

    /// The zone of this balancer, where known and to be heeded.
    pub fn own_zone(&self) -> Option<&Arc<str>> {
        self.own_zone.as_ref()
    }

    /// Where new connections go first; empty: no zone is preferred, all eligible targets are alike.
    pub fn localities(&self) -> &[Locality] {
        &self.localities
    }

    /// The target of each client, where clients keep theirs. May lag behind the entries by an instant,
    /// though not when clients are let in: what it maps to need not be eligible any more.
    pub fn affinity(&self) -> Option<&Arc<Affinity>> {
        self.affinity.as_ref()
    }

    /// While connections are closed in favour of targets that have joined: when those did.
    /// Connections opened before may be closed as each target's [`crate::RebalanceBudget`] allows.
    pub fn rebalanced_since(&self) -> Option<Instant> {
        self.rebalanced_since
    }
}
