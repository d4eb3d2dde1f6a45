use std::os::fd::BorrowedFd;
use std::time::Instant;

use exchange::{ServiceIndex, Subscriber};

use super::router::{NextHop, Router};
use crate::flow::Key;
use crate::settings::Settings;
use crate::worker::core::Core;

/// Where clients go, for each service.
pub(in crate::worker) struct Routers(Vec<Router>);

impl Routers {
    /// With a subscriber for each service.
    pub(in crate::worker) fn new(
        settings: &Settings,
        core: &Core,
        subscribers: Vec<Subscriber>,
    ) -> Self {
        let services = ServiceIndex::first(subscribers.len()).zip(subscribers);
        let router = |(service, subscriber)| Router::new(service, settings, core, subscriber);
        Self(services.map(router).collect())
    }

    /// The one of this service.
    pub(in crate::worker) fn of(&mut self, service: ServiceIndex) -> &mut Router {
        &mut self.0[service.place()]
    }

    /// What wakes the core for a snapshot of any service.
    pub(in crate::worker) fn waker(&self) -> BorrowedFd<'_> {
        self.0[0].waker()
    }

    /// Whether connections of any service are to make room for targets that have joined.
    pub(in crate::worker) fn is_rebalanced(&self) -> bool {
        self.0.iter().any(|router| router.rebalanced_since().is_some())
    }

    /// Reads what the other cores have open, where that matters and if it was not done just now.
    pub(in crate::worker) fn read_other_cores(&mut self, now: Instant) {
        self.0.iter_mut().for_each(|router| router.read_other_cores(now));
    }

    /// Takes over what is new of the targets of a service: of which, if anything is.
    pub(in crate::worker) fn take_snapshot(&mut self) -> Option<ServiceIndex> {
        for (place, router) in self.0.iter_mut().enumerate() {
            if router.take_snapshot() {
                return Some(ServiceIndex::new(place));
            }
        }
        None
    }

    /// Where the connect goes that the session of this connection asks for.
    pub(in crate::worker) fn next_hop(&mut self, core: &mut Core, key: Key) -> NextHop {
        match core.connection(key).map(|it| it.service()) {
            Some(service) => self.of(service).next_hop(core, key),
            None => NextHop::None,
        }
    }

    /// One that waits for targets has left: whether it did wait.
    pub(in crate::worker) fn forget_waiting(&mut self, core: &mut Core, key: Key) -> bool {
        let service = core.connection(key).map(|it| it.service());
        service.is_some_and(|service| self.of(service).forget_waiting(key))
    }
}
