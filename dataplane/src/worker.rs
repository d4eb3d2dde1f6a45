//! One core's event loop: waits on the ring, takes clients from the listener and from other cores,
//! and gives what completes to the sessions.

mod acceptors;
mod connection;
mod core;
mod core_balancer;
mod idle_scan;
mod lifecycle;
mod parts;
mod sessions;

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use exchange::ServiceIndex;

use self::core::Core;
use self::core::stall::Stall;
use crate::flow::{AbortReason, Side};
use crate::limits::pipes_max;
use crate::sys::Completion;
pub(crate) use acceptors::pause_log::PauseLog;
use acceptors::{AcceptLimits, Acceptors};
use connection::NewClient;
pub(crate) use core_balancer::CoreBalancer;
use idle_scan::IdleScan;
pub use idle_scan::activity::IdleTimeouts;
pub(crate) use lifecycle::Lifecycle;
pub(crate) use parts::Parts;
use sessions::{Admitter, Connector, Preconnector, ProxyHeaders, Routers, SessionIo, Sessions};

/// The longest wait: what nobody wakes the core for is looked at this often.
const WAIT_MAX: Duration = Duration::from_millis(100);

/// How often the number of buffers on offer is looked at, and whether accepting has calmed down.
const SHRINK_INTERVAL: Duration = Duration::from_secs(1);

pub(crate) struct Worker {
    sessions: Sessions,
    acceptors: Acceptors,
    balancer: CoreBalancer,
    idle_scan: IdleScan,
    lifecycle: Arc<Lifecycle>,
    shutdown_timeout: Duration,
    /// Connections that were reset because the time for a graceful end was over.
    aborted: u64,
    stall: Stall,
    buffers_shrunk: Instant,
    batch: Batch,
}

/// What a turn brings. Reused from turn to turn.
#[derive(Default)]
struct Batch {
    completions: Vec<Completion>,
    headers: Vec<Completion>,
    accepted: Vec<(ServiceIndex, io::Result<OwnedFd>, bool)>,
}

impl Worker {
    /// A worker for the calling thread, on which it has to stay.
    ///
    /// # Errors
    /// When the ring can't be made.
    pub(crate) fn new(parts: Parts) -> io::Result<Self> {
        let Parts { mut settings, listeners, balancer, lifecycle, pause_log, .. } = parts;
        let cores = parts.counters.len();
        let pipes_max = pipes_max(settings.connections_max, cores);
        settings.connections_max -= pipes_max * cores;
        let mut core = Core::new(parts.core, parts.counters)?;
        let routers = Routers::new(&settings, &core, parts.subscribers);
        core.ring.read_wake(routers.waker());
        let (admission, rejection_log) = (parts.admission, parts.rejection_log);
        let limits = AcceptLimits {
            backlog: settings.listen_backlog,
            listeners: cores * listeners.len(),
            connections_max: settings.connections_max,
        };
        Ok(Self {
            acceptors: Acceptors::new(listeners, limits, pause_log),
            balancer,
            idle_scan: IdleScan::new(&settings, core.now),
            lifecycle,
            shutdown_timeout: settings.shutdown_timeout,
            aborted: 0,
            stall: Stall::default(),
            buffers_shrunk: core.now,
            batch: Batch::default(),
            sessions: Sessions {
                admitter: Admitter::new(admission, rejection_log, &settings),
                connector: Connector::new(&settings, parts.reporter),
                preconnector: Preconnector::new(&settings, core.now),
                proxy_headers: ProxyHeaders::new(&settings),
                routers,
                io: SessionIo::new(pipes_max),
                core,
                ops: Vec::new(),
                shortage: None,
                has_room: false,
            },
        })
    }

    /// Waits for completions and handles them. True if it is time for [`Worker::maintain`].
    pub(crate) fn turn(&mut self) -> bool {
        let wait = if self.stall.is_over() { self.wait_time() } else { Duration::ZERO };
        let core = &mut self.sessions.core;
        if let Err(error) = core.ring.wait(wait) {
            // Not to be had: without its ring a core can do nothing, and others don't know of it.
            panic!("io_uring_enter: {error}");
        }
        let before = std::mem::replace(&mut core.now, Instant::now());
        core.own().iterations.increment();
        core.ring.completions(&mut self.batch.completions);
        let is_idle = self.batch.completions.is_empty();
        if let Some(missed) = self.stall.note_turn(before, core.now, wait, is_idle) {
            core.leave_out(missed);
        }
        let is_woken = !is_idle && self.handle_completions();
        if is_woken && self.stall.is_over() {
            self.sessions.take_snapshots();
        }
        if !(self.batch.accepted.is_empty() && self.batch.headers.is_empty()) {
            // A core that has slept knows nothing of what the others have done meanwhile.
            self.sessions.routers.read_other_cores(self.sessions.core.now);
            self.batch.headers.drain(..).for_each(|completion| self.sessions.handle(completion));
            self.handle_accepted();
            self.sessions.fill_pools();
        }
        self.heed_room();
        let can_accept = self.acceptors.due().is_some_and(|due| due <= self.sessions.core.now);
        is_idle || is_woken || can_accept || self.sessions.io.is_starved()
    }

    /// What has to be done now and then rather than at once: news from the control plane, timers,
    /// what waits for buffers or descriptors.
    pub(crate) fn maintain(&mut self) {
        self.sessions.core.now = Instant::now();
        if !self.stall.is_over() {
            // What has come in the meantime comes first: it is what the timers wait for.
            return;
        }
        self.stall.note_timers();
        self.sessions.take_snapshots();
        self.heed_shortage();
        self.sessions.routers.read_other_cores(self.sessions.core.now);
        self.steer_all_accepting();
        while let Some(client) = self.balancer.receive() {
            self.sessions.admit(client);
            self.balancer.note_received();
        }
        self.sessions.fill_pools();
        self.sessions.maintain();
        self.scan();
        self.sessions.maintain_memory();
        let core = &mut self.sessions.core;
        if core.now.saturating_duration_since(self.buffers_shrunk) >= SHRINK_INTERVAL {
            self.buffers_shrunk = core.now;
            core.ring.buffers().shrink();
            self.acceptors.note_calm(core);
            self.acceptors.count_drops(core);
            self.sessions.admitter.sum_up_rejections(core);
        }
        self.heed_room();
        self.heed_shutdown();
    }

    /// Whether the core has stopped accepting, no session is left and none can come.
    pub(crate) fn is_done(&self) -> bool {
        let is_empty = self.sessions.core.connections.is_empty();
        self.acceptors.are_over() && is_empty && self.balancer.is_over()
    }

    /// Connections that were reset because the time for a graceful end was over.
    pub(crate) fn aborted(&self) -> u64 {
        self.aborted
    }

    /// Has the ring do what it was last asked for: above all, close descriptors.
    pub(crate) fn submit_rest(&mut self) {
        let core = &mut self.sessions.core;
        core.own().ended.increment();
        if let Err(error) = core.ring.wait(Duration::ZERO) {
            log::warn!("core {}: closing connections: {error}", core.number());
        }
    }

    fn wait_time(&self) -> Duration {
        let core = &self.sessions.core;
        let scan = (!core.connections.is_empty()).then(|| self.idle_scan.due());
        let timers = [self.sessions.due(), self.acceptors.due(), scan];
        let next = timers.into_iter().flatten().min();
        next.map_or(WAIT_MAX, |due| due.saturating_duration_since(core.now).min(WAIT_MAX))
    }

    /// Handles what is about sessions that there are, and leaves the rest for later: what is known
    /// about targets by then is known to new ones. Whether the core was woken.
    fn handle_completions(&mut self) -> bool {
        let Self { sessions, batch, .. } = self;
        let mut is_woken = false;
        for completion in batch.completions.drain(..) {
            match completion {
                Completion::Woken => {
                    sessions.core.ring.read_wake(sessions.routers.waker());
                    is_woken = true;
                }
                Completion::Accepted { service, result, more } => {
                    batch.accepted.push((service, result, more));
                }
                it if sessions.proxy_headers.is_of_header(&mut sessions.core, &it) => {
                    batch.headers.push(it);
                }
                completion => sessions.handle(completion),
            }
        }
        is_woken
    }

    /// Takes what a turn's accepts brought.
    fn handle_accepted(&mut self) {
        if self.batch.accepted.is_empty() {
            return;
        }
        let mut accepted = std::mem::take(&mut self.batch.accepted);
        self.balancer.look(&self.sessions.core.counters);
        for (service, result, more) in accepted.drain(..) {
            match self.acceptors.of(service).note_accepted(result, more) {
                Ok(Some(client)) => self.share_out(client),
                Ok(None) => {}
                Err(error) => self.pause_accepting(&error),
            }
            // Before anything more is accepted, or moved to other cores.
            self.heed_shortage();
            if !more {
                self.steer_accepting(service);
                self.balancer.set_open(self.acceptors.are_open());
            }
        }
        self.balancer.wake_receivers();
        self.batch.accepted = accepted;
    }

    /// Serves a client here or on another core.
    fn share_out(&mut self, client: NewClient) {
        let service = client.service;
        if !self.acceptors.of(service).is_open() {
            return self.sessions.admit(client);
        }
        let own = self.sessions.core.own().active();
        match self.balancer.offer(client, own) {
            Some(client) => self.sessions.admit(client),
            None => self.sessions.core.count(service).connections.moved.increment(),
        }
    }

    fn steer_all_accepting(&mut self) {
        for service in self.acceptors.services() {
            self.steer_accepting(service);
        }
        self.balancer.set_open(self.acceptors.are_open());
    }

    fn steer_accepting(&mut self, service: ServiceIndex) {
        // There is something to accept from, and clients need not wait.
        let may_accept =
            self.lifecycle.is_listening() && self.sessions.routers.of(service).admits();
        let in_transit = || self.balancer.in_transit();
        let acceptor = self.acceptors.of(service);
        let steered = acceptor.steer(&mut self.sessions.core, may_accept, in_transit);
        if steered.takes_queued {
            // Where clients are to wait, the queue is left to others that listen on the port.
            let most = if may_accept { acceptor.queued_max() } else { 0 };
            for _ in 0..most {
                // One by one: each needs a descriptor for its target, too.
                let Some(client) = acceptor.next_queued() else { break };
                self.sessions.admit(client);
            }
        }
        if steered.closes {
            acceptor.close(&self.sessions.core);
        }
        if steered.is_short {
            self.sessions.preconnector.note_shortage(self.sessions.core.now);
        }
    }

    fn pause_accepting(&mut self, cause: &io::Error) {
        self.sessions.preconnector.note_shortage(self.sessions.core.now);
        self.acceptors.pause(&mut self.sessions.core, &cause.to_string());
        self.balancer.set_open(self.acceptors.are_open());
    }

    /// Accepts sooner if there is room, or later if there is none.
    fn heed_room(&mut self) {
        self.heed_shortage();
        if std::mem::take(&mut self.sessions.has_room) {
            self.acceptors.note_room(self.sessions.core.now);
        }
    }

    fn heed_shortage(&mut self) {
        if let Some(error) = self.sessions.shortage.take() {
            self.pause_accepting(&error);
        }
    }

    /// Visits the connections that are due to be.
    fn scan(&mut self) {
        let sessions = &mut self.sessions;
        let is_under_pressure = sessions.io.pressure().is_high();
        let is_urgent = is_under_pressure || sessions.routers.is_rebalanced();
        let (now, slots) = (sessions.core.now, sessions.core.connections.slots());
        let visits = self.idle_scan.due_slots(now, slots, is_urgent);
        for slot in visits.into_iter().flatten() {
            let Some(key) = sessions.core.connections.key_at(slot) else { continue };
            let Some(connection) = sessions.core.connection(key) else { continue };
            let service = connection.service();
            for side in Side::BOTH {
                sessions.io.pressure().note(connection, side);
            }
            let since = sessions.routers.of(service).rebalanced_since();
            let is_under_pressure = sessions.io.pressure().is_high();
            let event = self.idle_scan.visit(&mut sessions.core, key, is_under_pressure, since);
            if let Some(event) = event {
                sessions.feed(key, event);
            }
        }
    }

    fn heed_shutdown(&mut self) {
        let Some(stopped_at) = self.lifecycle.accepting_stopped_at() else { return };
        if self.acceptors.stop(&mut self.sessions.core) {
            self.balancer.stop_moving();
            self.steer_all_accepting();
        }
        let unwanted = self.sessions.preconnector.close();
        self.sessions.give_up(unwanted);
        let now = self.sessions.core.now;
        if now.saturating_duration_since(stopped_at) >= self.shutdown_timeout {
            // More than once: until the listener is closed connections still come.
            for key in self.sessions.core.connections.keys() {
                let is_aborted = self.sessions.abort(key, AbortReason::Shutdown);
                self.aborted += u64::from(is_aborted);
            }
        }
    }
}
