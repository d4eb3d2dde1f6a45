use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;

use exchange::{Counter, TargetCounters, TargetOnCore};

use crate::selection::lingering::{Lingering, Turnover};

/// What one core and all others have open to a target, as far as the core knows.
#[derive(Debug)]
pub struct TargetLoad {
    counters: Arc<TargetCounters>,
    core: usize,
    connections: Cell<u32>,
    /// The other cores' connections to it, as last read.
    elsewhere: Cell<u32>,
    /// What the other cores had counted by then: [`exchange::TargetOnCore::unanswered`] and
    /// [`exchange::TargetOnCore::answered`].
    ended_elsewhere: Cell<[u64; 2]>,
    /// The last pick of it by any core, as last read.
    pick: Cell<u64>,
    lingering: Lingering,
    turnover: Rc<Turnover>,
}

impl TargetLoad {
    pub(super) fn new(
        counters: &Arc<TargetCounters>,
        core: usize,
        turnover: &Rc<Turnover>,
    ) -> Self {
        let load = Self {
            counters: Arc::clone(counters),
            core,
            connections: Cell::new(0),
            elsewhere: Cell::new(0),
            ended_elsewhere: Cell::default(),
            pick: Cell::new(counters.last_pick()),
            lingering: Lingering::default(),
            turnover: Rc::clone(turnover),
        };
        // What ended before is over.
        load.forget_ended_elsewhere();
        load
    }

    /// What has ended on other cores by now says nothing of how the target serves.
    pub(super) fn forget_ended_elsewhere(&self) {
        self.ended_elsewhere.set(self.count_ended_elsewhere());
    }

    /// What this core counts.
    pub(super) fn own(&self) -> &TargetOnCore {
        self.counters.on(self.core)
    }

    /// What all cores count about it.
    pub(crate) fn counters(&self) -> &Arc<TargetCounters> {
        &self.counters
    }

    /// This core's connections to the target, those being connected among them.
    pub fn connections(&self) -> u32 {
        self.connections.get()
    }

    /// Connections to the target and those that linger, with those of other cores as of when they
    /// were last read.
    pub fn total(&self) -> u32 {
        self.open().saturating_add(self.lingering.load(&self.turnover))
    }

    fn open(&self) -> u32 {
        self.connections.get().saturating_add(self.elsewhere.get())
    }

    /// Reads what the other cores count: a cache miss for each of them.
    pub(crate) fn read_other_cores(&self) {
        let open = u32::try_from(self.elsewhere(|core| &core.active)).unwrap_or(u32::MAX);
        let before = self.elsewhere.replace(open);
        self.turnover.read(before, open, self.open());
        self.pick.set(self.pick.get().max(self.counters.last_pick()));
        let ended = self.count_ended_elsewhere();
        let before = self.ended_elsewhere.replace(ended);
        if ended != before {
            self.turnover.answered(ended[1].saturating_sub(before[1]));
            self.lingering.add(ended[0].saturating_sub(before[0]), &self.turnover);
        }
    }

    /// The number of its last pick: where targets take turns, the one with the least is next.
    pub(crate) fn last_pick(&self) -> u64 {
        self.pick.get()
    }

    /// It is picked, as the one with this number.
    pub(crate) fn take_pick(&self, pick: u64) {
        self.pick.set(pick);
        self.own().pick.set(pick);
    }

    /// The other cores' connections to it, as last read.
    pub(crate) fn open_elsewhere(&self) -> u32 {
        self.elsewhere.get()
    }

    fn count_ended_elsewhere(&self) -> [u64; 2] {
        [self.elsewhere(|core| &core.unanswered), self.elsewhere(|core| &core.answered)]
    }

    fn elsewhere(&self, counter: fn(&TargetOnCore) -> &Counter) -> u64 {
        self.counters.sum(counter).saturating_sub(counter(self.own()).get())
    }

    /// A connect begins: it counts as a connection until [`Self::closed`].
    pub fn opened(&self) {
        self.connections.set(self.connections.get() + 1);
        self.own().active.increment();
        self.turnover.opened(self.open());
    }

    /// The end of what was opened.
    pub fn closed(&self) {
        self.connections.set(self.connections.get() - 1);
        self.own().active.decrement();
        self.turnover.closed();
    }

    /// What was closed just now was a client's connection. `is_answered`: the target had sent a byte,
    /// or was not the first to end it.
    pub fn ended(&self, is_answered: bool) {
        let counters = self.own();
        if is_answered {
            counters.answered.increment();
            self.turnover.answered(1);
        } else {
            counters.unanswered.increment();
            self.lingering.add(1, &self.turnover);
        }
    }
}
