mod load;
mod status;

use std::cell::{Cell, RefCell};
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;

use exchange::{Entry, Report, ServiceCounters, ServiceIndex, Target, TargetKey};
use socket2::SockAddr;

use crate::preconnect::Pool;
use crate::selection::lingering::Turnover;
use crate::selection::ports::Ports;
pub use load::TargetLoad;
pub(crate) use status::RoutingStatus;

/// A target as one core knows it.
#[derive(Debug)]
pub struct LocalTarget {
    service: ServiceIndex,
    target: Arc<Target>,
    key: TargetKey,
    socket_address: Rc<SockAddr>,
    status: RoutingStatus,
    load: TargetLoad,
    last_connect: Cell<LastConnect>,
    pool: RefCell<Pool>,
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
    pub(crate) fn new(
        service: ServiceIndex,
        entry: &Entry,
        core: usize,
        turnover: &Rc<Turnover>,
    ) -> Rc<Self> {
        Rc::new(Self {
            service,
            target: Arc::clone(entry.target()),
            key: TargetKey::of(entry.target()),
            socket_address: Rc::new(entry.target().address.into()),
            status: RoutingStatus::default(),
            load: TargetLoad::new(entry.counters(), core, turnover),
            last_connect: Cell::default(),
            pool: RefCell::new(Pool::new(0)),
            ports: Ports::default(),
        })
    }

    /// Whether the entry is about this target.
    pub(crate) fn is(&self, entry: &Entry) -> bool {
        Arc::ptr_eq(self.load.counters(), entry.counters())
    }

    /// Takes over what a newer snapshot says of it.
    pub(crate) fn update(&self, entry: &Entry, own_zone: Option<&Arc<str>>) {
        let was_eligible = self.status.update(entry, own_zone);
        if !was_eligible {
            // What ended while it was out of use says nothing of how it serves now.
            self.load.forget_ended_elsewhere();
        }
    }

    /// Notes that the snapshot does not have it any more.
    pub(crate) fn withdraw(&self) {
        self.status.withdraw();
    }

    /// What the latest snapshot says of it.
    pub(crate) fn status(&self) -> &RoutingStatus {
        &self.status
    }

    /// What is open to it.
    pub fn load(&self) -> &TargetLoad {
        &self.load
    }

    /// The connections to it that wait for clients.
    pub(crate) fn pool(&self) -> &RefCell<Pool> {
        &self.pool
    }

    /// Which service's it is. The same server is another target for another service.
    pub(crate) fn service(&self) -> ServiceIndex {
        self.service
    }

    /// Who it is.
    pub fn target(&self) -> &Target {
        &self.target
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

    /// How this core's last connect of it went.
    pub fn last_connect(&self) -> LastConnect {
        self.last_connect.get()
    }

    /// A client got a connection to it: counts that, for the core's service in `count`, too.
    pub(crate) fn count_client(&self, count: &ServiceCounters) {
        let count = &count.connections;
        count.successful.increment();
        self.load.own().connections.increment();
        match self.status.is_in_own_zone() {
            Some(true) => count.same_zone.increment(),
            Some(false) => count.other_zone.increment(),
            None => (),
        }
    }

    /// A connect has reached it.
    pub fn reached(&self) {
        self.last_connect.set(LastConnect::Reached);
        self.load.own().connected.increment();
    }

    /// A connect has failed, or taken too long; what the control plane has to hear of it.
    #[must_use]
    pub fn failed(&self, error: io::ErrorKind) -> Report {
        self.last_connect.set(LastConnect::Failed);
        self.load.own().failed_connects.increment();
        let successes = self.load.counters().connected();
        let (service, target) = (self.service, Arc::clone(&self.target));
        Report { service, target, count: 1, successes, error }
    }
}
