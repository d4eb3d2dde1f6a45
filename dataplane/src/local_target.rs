use std::cell::{Cell, RefCell};
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use exchange::{Entry, Ramp, Report, Target, TargetCounters, TargetKey, TargetState};
use socket2::SockAddr;

use crate::pool::Pool;
use crate::ports::Ports;
use crate::session::Cause;

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
    is_in_own_zone: Cell<Option<bool>>,
    reset: Cell<Option<Cause>>,
    last_dial: Cell<LastDial>,
    pool: RefCell<Pool>,
    may_be_dialled_ahead: Cell<bool>,
    ramp: Cell<Option<Ramp>>,
    ports: Ports,
}

/// How the dial of a target that this core ended last went. The first one is the best to retry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum LastDial {
    /// The target was reached.
    Reached,
    /// This core has dialled it never, or never to the end.
    #[default]
    Unknown,
    /// The target was not reached.
    Failed,
}

impl LocalTarget {
    pub(crate) fn new(entry: &Entry, core: usize) -> Rc<Self> {
        Rc::new(Self {
            target: Arc::clone(&entry.target),
            key: TargetKey::of(&entry.target),
            socket_address: Rc::new(entry.target.address.into()),
            counters: Arc::clone(&entry.counters),
            core,
            connections: Cell::new(0),
            elsewhere: Cell::new(0),
            is_in_own_zone: Cell::new(None),
            reset: Cell::new(None),
            last_dial: Cell::default(),
            pool: RefCell::new(Pool::new(0)),
            may_be_dialled_ahead: Cell::new(false),
            ramp: Cell::new(None),
            ports: Ports::default(),
        })
    }

    /// Whether the entry is about this target.
    pub(crate) fn is(&self, entry: &Entry) -> bool {
        Arc::ptr_eq(&self.counters, &entry.counters)
    }

    /// Takes over what a newer snapshot says of it.
    pub(crate) fn update(&self, entry: &Entry, own_zone: Option<&Arc<str>>) {
        let zones = own_zone.zip(entry.target.zone.as_ref());
        self.is_in_own_zone.set(zones.map(|(own, its)| own == its));
        self.ramp.set(entry.ramp);
        self.reset.set(cause_of_reset(entry));
        // Under fail-open one that is ejected is used, but not more than has to be.
        let is_sound = entry.eligible && entry.state != TargetState::Ejected && !entry.reset;
        self.may_be_dialled_ahead.set(is_sound);
    }

    /// Notes that the snapshot does not have it any more.
    pub(crate) fn withdraw(&self) {
        self.may_be_dialled_ahead.set(false);
    }

    /// Whether connections to it may wait for clients.
    pub(crate) fn may_be_dialled_ahead(&self) -> bool {
        self.may_be_dialled_ahead.get()
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

    /// Whether and from where it can be dialled.
    pub(crate) fn ports(&self) -> &Ports {
        &self.ports
    }

    pub(crate) fn socket_address(&self) -> &Rc<SockAddr> {
        &self.socket_address
    }

    /// This core's connections to the target, those being dialled among them.
    pub fn connections(&self) -> u32 {
        self.connections.get()
    }

    /// Connections to the target, those of other cores as of when they were last read.
    pub fn load(&self) -> u32 {
        self.connections.get().saturating_add(self.elsewhere.get())
    }

    /// Reads what the other cores count: a cache miss for each of them.
    pub(crate) fn read_other_cores(&self) {
        let own = self.counters.on(self.core).active.get();
        let elsewhere = self.counters.active().saturating_sub(own);
        self.elsewhere.set(u32::try_from(elsewhere).unwrap_or(u32::MAX));
    }

    /// Whether it is in the balancer's zone; `None` unless both zones are known.
    pub(crate) fn is_in_own_zone(&self) -> Option<bool> {
        self.is_in_own_zone.get()
    }

    /// Why connections to it are to be reset, if they are: also those that are made now.
    pub(crate) fn reset(&self) -> Option<Cause> {
        self.reset.get()
    }

    /// How this core's last dial of it went.
    pub fn last_dial(&self) -> LastDial {
        self.last_dial.get()
    }

    pub(crate) fn ramp(&self) -> Option<Ramp> {
        self.ramp.get()
    }

    /// The part of its full share that it gets at `now`: from 0.0 to 1.0.
    pub(crate) fn part(&self, now: Instant) -> f64 {
        self.ramp.get().map_or(1.0, |ramp| ramp.part(now))
    }

    /// A dial begins: it counts as a connection until [`Self::closed`].
    pub fn opened(&self) {
        self.connections.set(self.connections.get() + 1);
        self.counters.on(self.core).active.increment();
    }

    /// The end of what was opened.
    pub fn closed(&self) {
        self.connections.set(self.connections.get() - 1);
        self.counters.on(self.core).active.decrement();
    }

    /// A client got a connection to it.
    pub(crate) fn got_client(&self) {
        self.counters.on(self.core).connections.increment();
    }

    /// A dial has reached it.
    pub fn reached(&self) {
        self.last_dial.set(LastDial::Reached);
        self.counters.on(self.core).dialled.increment();
    }

    /// A dial has failed, or taken too long; what the control plane has to hear of it.
    #[must_use]
    pub fn failed(&self, error: io::ErrorKind) -> Report {
        self.last_dial.set(LastDial::Failed);
        self.counters.on(self.core).failed_dials.increment();
        let successes = self.counters.dialled();
        Report { target: Arc::clone(&self.target), count: 1, successes, error }
    }
}

fn cause_of_reset(entry: &Entry) -> Option<Cause> {
    entry.reset.then_some(match entry.state {
        TargetState::Draining => Cause::TargetWithdrawn,
        _ => Cause::TargetUnhealthy,
    })
}
