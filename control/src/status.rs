//! What people are told of the targets: how each is, and why.

mod breaker_state;
mod checks;
mod statuses;
mod target_state;
mod target_status;

use std::sync::Arc;

use exchange::{Generation, Snapshot, TargetId};

pub use breaker_state::BreakerState;
pub use checks::Checks;
pub use statuses::{ServiceStatus, Statuses};
pub use target_state::TargetState;
pub use target_status::{Condition, TargetStatus};

/// What operators are told: the snapshot that the cores have, and beside it how each target is and why.
/// Never changed once made; published whenever anything in it changes, a reason's text as well.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Status {
    generation: Generation,
    snapshot: Arc<Snapshot>,
    fail_open: bool,
    targets: Vec<TargetStatus>,
    drained_absent: Vec<TargetId>,
}

impl Status {
    /// Of the targets of `snapshot`: the condition of each, in the same order.
    pub fn new(
        snapshot: Arc<Snapshot>,
        fail_open: bool,
        conditions: Vec<Condition>,
        drained_absent: Vec<TargetId>,
    ) -> Self {
        let targets = snapshot.entries().iter().cloned().zip(conditions);
        let targets = targets.map(|(entry, condition)| TargetStatus::new(entry, condition));
        let generation = snapshot.generation();
        Self { generation, targets: targets.collect(), snapshot, fail_open, drained_absent }
    }

    /// The same as the status of that number.
    #[must_use]
    pub(crate) fn with_generation(self, generation: Generation) -> Self {
        Self { generation, ..self }
    }

    /// Of these targets, with clients let in.
    #[cfg(test)]
    pub(crate) fn for_test(targets: Vec<(exchange::Entry, Condition)>) -> Self {
        let (entries, conditions) = targets.into_iter().unzip();
        let routing = exchange::Routing::to(entries).with_admits(true);
        Self::new(Arc::new(routing.into()), false, conditions, Vec::new())
    }

    /// What the cores know at the same time.
    pub fn snapshot(&self) -> &Arc<Snapshot> {
        &self.snapshot
    }

    /// Counts changes; a larger one is newer. That of the snapshot is the one of the status which it
    /// was published with.
    pub fn generation(&self) -> Generation {
        self.generation
    }

    /// Whether clients are let in, as in [`exchange::Routing::admits`].
    pub fn admits(&self) -> bool {
        self.snapshot.admits()
    }

    /// Whether targets are used although their checks fail, because too few pass.
    pub fn fail_open(&self) -> bool {
        self.fail_open
    }

    /// All known targets, in a stable order.
    pub fn targets(&self) -> &[TargetStatus] {
        &self.targets
    }

    /// Those that new connections may go to.
    pub fn eligible(&self) -> impl Iterator<Item = &TargetStatus> {
        self.targets.iter().filter(|target| target.is_eligible())
    }

    /// Those that do not drain.
    pub fn present(&self) -> impl Iterator<Item = &TargetStatus> {
        self.targets.iter().filter(|target| !target.is_draining())
    }

    /// How many targets are healthy, of how many that do not drain.
    pub fn healthy_of(&self) -> (usize, usize) {
        let is_healthy = |target: &&TargetStatus| target.state() == TargetState::Healthy;
        (self.present().filter(is_healthy).count(), self.present().count())
    }

    /// Whom operators want to drain and discovery does not know now: they will drain when they are
    /// back. In order; bounded, as drain orders are.
    pub fn drained_absent(&self) -> &[TargetId] {
        &self.drained_absent
    }
}
