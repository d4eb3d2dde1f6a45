use std::cell::{Cell, RefCell};
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use exchange::{
    CoreCounters, Counter, Entry, Ramp, Report, ResetReason, Target, TargetCounters, TargetKey,
    TargetOnCore,
};
use socket2::SockAddr;

use crate::flow::AbortReason;
use crate::preconnect::Pool;
use crate::selection::lingering::{Lingering, Turnover};
use crate::selection::ports::Ports;

/// A target as one core knows it.
#[derive(Debug)]
pub struct LocalTarget {
    target: Arc<Target>,
    key: TargetKey,
    socket_address: Rc<SockAddr>,
    counters: Arc<TargetCounters>,
    core: usize,
    connections: Cell<u32>,
    /// The other cores' connections to it, as last read.
    elsewhere: Cell<u32>,
    /// What the other cores had counted by then: [`exchange::TargetOnCore::unanswered`] and
    /// [`exchange::TargetOnCore::answered`].
    ended_elsewhere: Cell<[u64; 2]>,
    /// The last turn that any core gave it, as last read.
    turn: Cell<u64>,
    lingering: Lingering,
    turnover: Rc<Turnover>,
    is_in_own_zone: Cell<Option<bool>>,
    reset: Cell<Option<AbortReason>>,
    last_connect: Cell<LastConnect>,
    pool: RefCell<Pool>,
    may_be_preconnected: Cell<bool>,
    is_eligible: Cell<bool>,
    ramp: Cell<Option<Ramp>>,
    ports: Ports,
}

/// How the connect of a target that this core ended last went. The first one is the best to retry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum LastConnect {
    /// The target was reached.
    Reached,
    /// This core has connected it never, or never to the end.
    #[default]
    Unknown,
    /// The target was not reached.
    Failed,
}

impl LocalTarget {
    pub(crate) fn new(entry: &Entry, core: usize, turnover: &Rc<Turnover>) -> Rc<Self> {
        let target = Self {
            target: Arc::clone(entry.target()),
            key: TargetKey::of(entry.target()),
            socket_address: Rc::new(entry.target().address.into()),
            counters: Arc::clone(entry.counters()),
            core,
            connections: Cell::new(0),
            elsewhere: Cell::new(0),
            ended_elsewhere: Cell::default(),
            turn: Cell::new(entry.counters().last_turn()),
            lingering: Lingering::default(),
            turnover: Rc::clone(turnover),
            is_in_own_zone: Cell::new(None),
            reset: Cell::new(None),
            last_connect: Cell::default(),
            pool: RefCell::new(Pool::new(0)),
            may_be_preconnected: Cell::new(false),
            is_eligible: Cell::new(false),
            ramp: Cell::new(None),
            ports: Ports::default(),
        };
        // What ended before is over.
        target.ended_elsewhere.set(target.count_ended_elsewhere());
        Rc::new(target)
    }

    /// Whether the entry is about this target.
    pub(crate) fn is(&self, entry: &Entry) -> bool {
        Arc::ptr_eq(&self.counters, entry.counters())
    }

    /// Takes over what a newer snapshot says of it.
    pub(crate) fn update(&self, entry: &Entry, own_zone: Option<&Arc<str>>) {
        let zones = own_zone.zip(entry.target().zone.as_ref());
        self.is_in_own_zone.set(zones.map(|(own, its)| own == its));
        self.ramp.set(entry.ramp());
        self.reset.set(cause_of_reset(entry));
        self.may_be_preconnected.set(entry.may_be_preconnected());
        if !self.is_eligible.replace(entry.is_eligible()) {
            // What ended while it was out of use says nothing of how it serves now.
            self.ended_elsewhere.set(self.count_ended_elsewhere());
        }
    }

    /// Notes that the snapshot does not have it any more.
    pub(crate) fn withdraw(&self) {
        self.may_be_preconnected.set(false);
    }

    /// Whether connections to it may wait for clients.
    pub(crate) fn may_be_preconnected(&self) -> bool {
        self.may_be_preconnected.get()
    }

    /// The connections to it that wait for clients.
    pub(crate) fn pool(&self) -> &RefCell<Pool> {
        &self.pool
    }

    /// Who it is.
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// What all cores count about it.
    pub(crate) fn counters(&self) -> &Arc<TargetCounters> {
        &self.counters
    }

    /// What clients' preferences for it follow from.
    pub(crate) fn key(&self) -> TargetKey {
        self.key
    }

    /// Where it serves.
    pub fn address(&self) -> SocketAddr {
        self.target.address
    }

    /// Whether and from where it can be connected to.
    pub(crate) fn ports(&self) -> &Ports {
        &self.ports
    }

    pub(crate) fn socket_address(&self) -> &Rc<SockAddr> {
        &self.socket_address
    }

    /// This core's connections to the target, those being connected among them.
    pub fn connections(&self) -> u32 {
        self.connections.get()
    }

    /// Connections to the target and those that linger, with those of other cores as of when they
    /// were last read.
    pub fn load(&self) -> u32 {
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
        self.turn.set(self.turn.get().max(self.counters.last_turn()));
        let ended = self.count_ended_elsewhere();
        let before = self.ended_elsewhere.replace(ended);
        if ended != before {
            self.turnover.answered(ended[1].saturating_sub(before[1]));
            self.lingering.add(ended[0].saturating_sub(before[0]), &self.turnover);
        }
    }

    /// The number of its last turn: where targets take turns, the one with the least is next.
    pub(crate) fn turn(&self) -> u64 {
        self.turn.get()
    }

    /// Gives it this turn.
    pub(crate) fn take_turn(&self, turn: u64) {
        self.turn.set(turn);
        self.counters.on(self.core).turn.set(turn);
    }

    /// The other cores' connections to it, as last read.
    pub(crate) fn open_elsewhere(&self) -> u32 {
        self.elsewhere.get()
    }

    fn count_ended_elsewhere(&self) -> [u64; 2] {
        [self.elsewhere(|core| &core.unanswered), self.elsewhere(|core| &core.answered)]
    }

    fn elsewhere(&self, counter: fn(&TargetOnCore) -> &Counter) -> u64 {
        self.counters.sum(counter).saturating_sub(counter(self.counters.on(self.core)).get())
    }

    /// Whether it is in the balancer's zone; `None` unless both zones are known.
    pub(crate) fn is_in_own_zone(&self) -> Option<bool> {
        self.is_in_own_zone.get()
    }

    /// Why connections to it are to be reset, if they are: also those that are made now.
    pub(crate) fn reset(&self) -> Option<AbortReason> {
        self.reset.get()
    }

    /// How this core's last connect of it went.
    pub fn last_connect(&self) -> LastConnect {
        self.last_connect.get()
    }

    pub(crate) fn ramp(&self) -> Option<Ramp> {
        self.ramp.get()
    }

    /// The part of its full share that it gets at `now`: from 0.0 to 1.0.
    pub(crate) fn part(&self, now: Instant) -> f64 {
        self.ramp.get().map_or(1.0, |ramp| ramp.part(now))
    }

    /// A connect begins: it counts as a connection until [`Self::closed`].
    pub fn opened(&self) {
        self.connections.set(self.connections.get() + 1);
        self.counters.on(self.core).active.increment();
        self.turnover.opened(self.open());
    }

    /// The end of what was opened.
    pub fn closed(&self) {
        self.connections.set(self.connections.get() - 1);
        self.counters.on(self.core).active.decrement();
        self.turnover.closed();
    }

    /// What was closed just now was a client's connection. `is_answered`: the target had sent a byte,
    /// or was not the first to end it.
    pub fn ended(&self, is_answered: bool) {
        let counters = self.counters.on(self.core);
        if is_answered {
            counters.answered.increment();
            self.turnover.answered(1);
        } else {
            counters.unanswered.increment();
            self.lingering.add(1, &self.turnover);
        }
    }

    /// A client got a connection to it: counts that, for the core in `count`, too.
    pub(crate) fn count_client(&self, count: &CoreCounters) {
        let count = &count.connections;
        count.successful.increment();
        self.counters.on(self.core).connections.increment();
        match self.is_in_own_zone() {
            Some(true) => count.same_zone.increment(),
            Some(false) => count.other_zone.increment(),
            None => (),
        }
    }

    /// A connect has reached it.
    pub fn reached(&self) {
        self.last_connect.set(LastConnect::Reached);
        self.counters.on(self.core).connected.increment();
    }

    /// A connect has failed, or taken too long; what the control plane has to hear of it.
    #[must_use]
    pub fn failed(&self, error: io::ErrorKind) -> Report {
        self.last_connect.set(LastConnect::Failed);
        self.counters.on(self.core).failed_connects.increment();
        let successes = self.counters.connected();
        Report { target: Arc::clone(&self.target), count: 1, successes, error }
    }
}

fn cause_of_reset(entry: &Entry) -> Option<AbortReason> {
    entry.reset().map(|reason| match reason {
        ResetReason::DrainTimeout => AbortReason::TargetWithdrawn,
        ResetReason::Unhealthy => AbortReason::TargetUnhealthy,
    })
}
