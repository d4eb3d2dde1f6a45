//! All listeners of a core: one for each service.

mod acceptor;
pub(crate) mod pause_log;

use std::sync::Arc;
use std::time::Instant;

use exchange::{CoreCounters, ServiceIndex};

use super::core::Core;
use crate::sys::listener::Listener;
pub(super) use acceptor::AcceptLimits;
use acceptor::Acceptor;
use pause_log::PauseLog;

/// Takes a core's new connections, those of each service on its own.
#[derive(Debug)]
pub(super) struct Acceptors {
    by_service: Vec<Acceptor>,
    /// For lines about accepting having paused.
    pause_log: Arc<PauseLog>,
}

impl Acceptors {
    /// Nothing is accepted from the `listeners`, by service, yet.
    pub(super) fn new(
        listeners: Vec<Listener>,
        limits: AcceptLimits,
        pause_log: Arc<PauseLog>,
    ) -> Self {
        let services = ServiceIndex::first(listeners.len()).zip(listeners);
        let acceptor =
            |(service, listener)| Acceptor::new(service, listener, limits, Arc::clone(&pause_log));
        Self { by_service: services.map(acceptor).collect(), pause_log }
    }

    /// The one of this service.
    pub(super) fn of(&mut self, service: ServiceIndex) -> &mut Acceptor {
        &mut self.by_service[service.place()]
    }

    /// All services.
    pub(super) fn services(&self) -> impl Iterator<Item = ServiceIndex> + use<> {
        ServiceIndex::first(self.by_service.len())
    }

    /// Whether clients of any service are served, and there is room for more.
    pub(super) fn are_open(&self) -> bool {
        self.by_service.iter().any(Acceptor::is_open)
    }

    /// Whether all listeners are closed.
    pub(super) fn are_over(&self) -> bool {
        self.by_service.iter().all(Acceptor::is_over)
    }

    /// When there is something to do without anything having happened.
    pub(super) fn due(&self) -> Option<Instant> {
        self.by_service.iter().filter_map(Acceptor::due).min()
    }

    /// Pauses end early when a connection has ended.
    pub(super) fn note_room(&mut self, now: Instant) {
        self.by_service.iter_mut().for_each(|acceptor| acceptor.note_room(now));
    }

    /// Accepts nothing for a moment, since something has run out.
    pub(super) fn pause(&mut self, core: &mut Core, cause: &str) {
        self.by_service.iter_mut().for_each(|acceptor| acceptor.pause(core, cause));
    }

    /// Takes no connections any more, except those that are queued already: whether that is news.
    pub(super) fn stop(&mut self, core: &mut Core) -> bool {
        let mut is_news = false;
        for acceptor in &mut self.by_service {
            is_news |= acceptor.stop(core);
        }
        is_news
    }

    /// Says that accepting goes on once no core has paused for a while.
    pub(super) fn note_calm(&self, core: &Core) {
        let mut services = core.counters.iter().flat_map(CoreCounters::services);
        let is_calm = services.all(|service| service.accept_paused.get() == 0);
        if is_calm && self.pause_log.goes_on(core.now) {
            log::info!("accepting again");
        }
    }

    /// Reads what the kernel has dropped at the listeners.
    pub(super) fn count_drops(&mut self, core: &Core) {
        self.by_service.iter_mut().for_each(|acceptor| acceptor.count_drops(core));
    }
}
