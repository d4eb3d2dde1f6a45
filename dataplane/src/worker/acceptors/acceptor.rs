//! A listener of a core, and whether and how it is accepted from.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use exchange::ServiceIndex;

use super::pause_log::PauseLog;
use crate::limits::SINGLE_ACCEPTS_MAX;
use crate::sys::listen_drops;
use crate::sys::listener::{Listener, is_about_one_connection, is_exhaustion};
use crate::worker::connection::NewClient;
use crate::worker::core::{Core, is_cancellation};

/// How long accepting pauses at most before it is tried again: other cores, too, end connections.
const PAUSE: Duration = Duration::from_millis(50);
/// How long the kernel may take to complete a handshake that it has begun to.
const LAST_HANDSHAKES: Duration = Duration::from_millis(20);

/// Takes a core's new connections of a service.
///
/// A multishot accept may take everything that is queued before anybody can say stop. So it is used
/// only while there is room for all that all cores could take in that way; with less room accepts
/// are single ones. So they are on a socket that all cores accept from: the kernel wakes whoever has
/// waited longest, and a multishot accept would stay first in line for ever.
#[derive(Debug)]
pub(in crate::worker) struct Acceptor {
    service: ServiceIndex,
    listener: Option<Listener>,
    limits: AcceptLimits,
    /// For lines about accepting having paused.
    pause_log: Arc<PauseLog>,
    state: AcceptState,
    in_flight: usize,
    multishot: bool,
    /// The accepts in flight were cancelled.
    cancelled: bool,
    /// The kernel's count of what it has dropped, as last read.
    drops: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum AcceptState {
    /// Clients wait in the listen queue: until the control plane lets them in, and until it is one.
    Waiting,
    /// Accepts are in flight.
    Open,
    /// There is no room.
    Paused { until: Instant },
    /// Ends as soon as no accept is in flight.
    Stopping,
    /// No handshake is completed any more; the listener is closed once the kernel is done with those
    /// that were just being.
    Closing { until: Instant },
    /// The listener is closed.
    Over,
}

/// How much is accepted.
#[derive(Clone, Copy, Debug)]
pub(in crate::worker) struct AcceptLimits {
    /// Most connections that a listener queues.
    pub(in crate::worker) backlog: u32,
    /// Listeners of all cores and services.
    pub(in crate::worker) listeners: usize,
    /// Most connections, all cores together.
    pub(in crate::worker) connections_max: usize,
}

/// What accepting came to.
#[derive(Debug, Default)]
pub(in crate::worker) struct Steered {
    /// What is queued is to be taken, since no more is going to be.
    pub(in crate::worker) takes_queued: bool,
    /// The listener is to be closed then.
    pub(in crate::worker) closes: bool,
    /// There is no room for more connections.
    pub(in crate::worker) is_short: bool,
}

impl Acceptor {
    /// Nothing is accepted from `listener` yet.
    pub(in crate::worker) fn new(
        service: ServiceIndex,
        listener: Listener,
        limits: AcceptLimits,
        pause_log: Arc<PauseLog>,
    ) -> Self {
        // A socket from outside may have served others before.
        let drops = listen_drops(listener.as_fd()).unwrap_or(0);
        Self {
            service,
            listener: Some(listener),
            limits,
            pause_log,
            state: AcceptState::Waiting,
            in_flight: 0,
            multishot: false,
            cancelled: false,
            drops,
        }
    }

    /// Whether it serves clients, and there is room for more.
    pub(in crate::worker) fn is_open(&self) -> bool {
        self.state == AcceptState::Open
    }

    pub(in crate::worker) fn is_over(&self) -> bool {
        self.state == AcceptState::Over
    }

    /// When there is something to do without anything having happened.
    pub(in crate::worker) fn due(&self) -> Option<Instant> {
        match self.state {
            AcceptState::Paused { until } | AcceptState::Closing { until } => Some(until),
            _ => None,
        }
    }

    /// A pause ends early when a connection has ended.
    pub(in crate::worker) fn note_room(&mut self, now: Instant) {
        if let AcceptState::Paused { until } = &mut self.state {
            *until = now;
        }
    }

    /// Takes what an accept brought.
    ///
    /// # Errors
    /// Why there is no room for more.
    pub(in crate::worker) fn note_accepted(
        &mut self,
        result: io::Result<OwnedFd>,
        more: bool,
    ) -> io::Result<Option<NewClient>> {
        if !more {
            self.in_flight -= 1;
        }
        if self.in_flight == 0 {
            self.cancelled = false;
        }
        match result {
            Ok(socket) => Ok(Some(NewClient { service: self.service, socket })),
            Err(error) if is_about_one_connection(&error) || is_cancellation(&error) => Ok(None),
            Err(error) => {
                // Anything else that stays as it is would come back at once, too.
                debug_assert!(is_exhaustion(&error), "accept: {error}");
                Err(error)
            }
        }
    }

    /// Accepts while clients are let in, goes on after a pause, and adapts to how many more
    /// connections there is room for. `in_transit` tells how many are on their way between cores.
    pub(in crate::worker) fn steer(
        &mut self,
        core: &mut Core,
        may_accept: bool,
        in_transit: impl Fn() -> usize,
    ) -> Steered {
        let mut steered = Steered::default();
        match self.state {
            AcceptState::Waiting if may_accept => self.change(core, AcceptState::Open),
            AcceptState::Open | AcceptState::Paused { .. } if !may_accept => {
                self.change(core, AcceptState::Waiting);
                self.cancel(core);
            }
            AcceptState::Paused { until } if until <= core.now => {
                self.change(core, AcceptState::Open);
            }
            AcceptState::Stopping if self.in_flight == 0 => {
                steered.takes_queued = true;
                steered.closes = self.begin_to_close(core);
            }
            AcceptState::Closing { until } if until <= core.now => {
                (steered.takes_queued, steered.closes) = (true, true);
            }
            _ => {}
        }
        if self.state == AcceptState::Open && !self.cancelled {
            steered.is_short = !self.accept_more(core, in_transit);
        }
        steered
    }

    /// Takes no connections any more, except those that are queued already: whether that is news.
    pub(in crate::worker) fn stop(&mut self, core: &mut Core) -> bool {
        let is_news = matches!(
            self.state,
            AcceptState::Waiting | AcceptState::Open | AcceptState::Paused { .. }
        );
        if is_news {
            self.change(core, AcceptState::Stopping);
            self.cancel(core);
        }
        is_news
    }

    /// Whether there was room.
    fn accept_more(&mut self, core: &mut Core, in_transit: impl Fn() -> usize) -> bool {
        let Some(listener) = &self.listener else { return true };
        let open = core.open_and_preconnected() + in_transit();
        let AcceptLimits { backlog, listeners, connections_max } = self.limits;
        let room = connections_max.saturating_sub(open);
        let queued_max = backlog as usize * listeners;
        if room > queued_max && !listener.is_inherited() {
            if self.in_flight == 0 {
                self.multishot = true;
                self.in_flight = 1;
                core.ring.accept(self.service, listener.as_fd(), true);
            }
        } else if self.in_flight > 0 && self.multishot {
            self.cancel(core);
        } else {
            self.multishot = false;
            for _ in self.in_flight..room.min(SINGLE_ACCEPTS_MAX) {
                self.in_flight += 1;
                core.ring.accept(self.service, listener.as_fd(), false);
            }
            if self.in_flight == 0 {
                let cause = format!("there are {open} connections, the limit is {connections_max}");
                self.pause(core, &cause);
                return false;
            }
        }
        true
    }

    fn cancel(&mut self, core: &mut Core) {
        if self.in_flight > 0 && !self.cancelled {
            self.cancelled = true;
            core.ring.cancel_accepts(self.service);
        }
    }

    /// Accepts nothing for a moment, since something has run out.
    pub(in crate::worker) fn pause(&mut self, core: &mut Core, cause: &str) {
        if self.state != AcceptState::Open {
            return;
        }
        if self.pause_log.pauses(core.now) {
            log::warn!(
                "accepting pauses until connections end: {cause}; a higher limit of open files \
                 (ulimit -n, LimitNOFILE=) allows more"
            );
        }
        self.change(core, AcceptState::Paused { until: core.now + PAUSE });
        self.cancel(core);
    }

    /// Reads what the kernel has dropped at the listener: for want of room in its queue, and for other
    /// reasons.
    pub(in crate::worker) fn count_drops(&mut self, core: &Core) {
        let Some(listener) = &self.listener else { return };
        if listener.is_inherited() && core.number() != 0 {
            // It is one socket for all cores: what it drops is counted once.
            return;
        }
        if matches!(self.state, AcceptState::Closing { .. }) {
            return; // what is held back is counted as dropped, too
        }
        // Without an answer the count stays as it is.
        let Ok(drops) = listen_drops(listener.as_fd()) else { return };
        let more = drops.wrapping_sub(std::mem::replace(&mut self.drops, drops));
        core.count(self.service).listen_drops.add(more.into());
    }

    fn change(&mut self, core: &Core, state: AcceptState) {
        let is_paused = |state: AcceptState| matches!(state, AcceptState::Paused { .. });
        match (is_paused(self.state), is_paused(state)) {
            (false, true) => core.count(self.service).accept_paused.increment(),
            (true, false) => core.count(self.service).accept_paused.decrement(),
            _ => {}
        }
        self.state = state;
    }

    /// Whether the listener is to be closed at once.
    fn begin_to_close(&mut self, core: &Core) -> bool {
        self.count_drops(core);
        let is_held = self.listener.as_ref().is_some_and(Listener::hold_handshakes);
        if is_held {
            self.change(core, AcceptState::Closing { until: core.now + LAST_HANDSHAKES });
        }
        !is_held
    }

    /// One that is queued at the end.
    pub(in crate::worker) fn next_queued(&self) -> Option<NewClient> {
        let socket = self.listener.as_ref().and_then(Listener::accept_queued)?;
        Some(NewClient { service: self.service, socket })
    }

    /// As many are taken from the queue at most: under a flood it would never be seen empty.
    pub(in crate::worker) fn queued_max(&self) -> u32 {
        self.limits.backlog
    }

    /// Closes the listener.
    pub(in crate::worker) fn close(&mut self, core: &Core) {
        self.listener = None;
        self.change(core, AcceptState::Over);
    }
}
