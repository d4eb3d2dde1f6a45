pub(crate) mod pause_log;

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use super::Worker;
use crate::limits::SINGLE_ACCEPTS_MAX;
use crate::sys::listen_drops;
use crate::sys::listener::{Listener, is_about_one_connection, is_exhaustion};

/// How long accepting pauses at most before it is tried again: other cores, too, end connections.
const PAUSE: Duration = Duration::from_millis(50);
/// How long the kernel may take to complete a handshake that it has begun to.
const LAST_HANDSHAKES: Duration = Duration::from_millis(20);

/// Whether and how the core takes new connections.
///
/// A multishot accept may take everything that is queued before anybody can say stop. So it is used
/// only while there is room for all that all cores could take in that way; with less room accepts
/// are single ones. So they are on a socket that all cores accept from: the kernel wakes whoever has
/// waited longest, and a multishot accept would stay first in line for ever.
#[derive(Debug)]
pub(super) struct Accepting {
    state: State,
    in_flight: usize,
    multishot: bool,
    /// The accepts in flight were cancelled.
    cancelled: bool,
    /// The kernel's count of what it has dropped, as last read.
    drops: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
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

impl Accepting {
    /// Nothing is accepted from `listener` yet.
    pub(super) fn waiting(listener: &Listener) -> Self {
        // A socket from outside may have served others before.
        let drops = listen_drops(listener.as_fd()).unwrap_or(0);
        Self { state: State::Waiting, in_flight: 0, multishot: false, cancelled: false, drops }
    }

    /// Whether it serves clients, and there is room for more.
    pub(super) fn is_open(&self) -> bool {
        self.state == State::Open
    }

    pub(super) fn is_over(&self) -> bool {
        self.state == State::Over
    }

    /// When there is something to do without anything having happened.
    pub(super) fn due(&self) -> Option<Instant> {
        match self.state {
            State::Paused { until } | State::Closing { until } => Some(until),
            State::Waiting | State::Open | State::Stopping | State::Over => None,
        }
    }

    /// A pause ends early when a connection has ended.
    pub(super) fn note_room(&mut self, now: Instant) {
        if let State::Paused { until } = &mut self.state {
            *until = now;
        }
    }
}

impl Worker {
    pub(super) fn handle_accepted(&mut self, result: io::Result<OwnedFd>, more: bool) {
        if !more {
            self.accepting.in_flight -= 1;
        }
        match result {
            Ok(client) => self.place(client),
            Err(error) if is_about_one_connection(&error) || super::is_cancellation(&error) => {}
            Err(error) => {
                // Anything else that stays as it is would come back at once, too.
                debug_assert!(is_exhaustion(&error), "accept: {error}");
                self.pause_accepting(&error.to_string());
            }
        }
        if self.accepting.in_flight == 0 {
            self.accepting.cancelled = false;
        }
        if !more {
            self.steer_accepting();
        }
    }

    /// Accepts while clients are let in, goes on after a pause, and adapts to how many more
    /// connections there is room for.
    pub(super) fn steer_accepting(&mut self) {
        match self.accepting.state {
            State::Waiting if self.may_accept() => self.change_accepting(State::Open),
            State::Open | State::Paused { .. } if !self.may_accept() => {
                self.change_accepting(State::Waiting);
                self.cancel_accepts();
            }
            State::Paused { until } if until <= self.now => self.change_accepting(State::Open),
            State::Stopping if self.accepting.in_flight == 0 => self.begin_to_close(),
            State::Closing { until } if until <= self.now => self.close_listener(),
            _ => {}
        }
        if self.accepting.state == State::Open && !self.accepting.cancelled {
            self.accept_more();
        }
    }

    /// Whether there is something to accept from, and clients need not wait.
    fn may_accept(&self) -> bool {
        self.orders.is_listening() && self.targets.admits()
    }

    /// Takes no connections any more, except those that are queued already.
    pub(super) fn stop_accepting(&mut self) {
        let state = self.accepting.state;
        if !matches!(state, State::Stopping | State::Closing { .. } | State::Over) {
            self.change_accepting(State::Stopping);
            self.handover.stop_giving();
            self.cancel_accepts();
            self.steer_accepting();
        }
    }

    fn accept_more(&mut self) {
        let Some(listener) = &self.listener else { return };
        let open = self.open_and_pooled() + self.handover.in_transit();
        let room = self.settings.connections_max.saturating_sub(open);
        let queued_max = self.settings.listen_backlog as usize * self.counters.len();
        let accepting = &mut self.accepting;
        if room > queued_max && !listener.is_inherited() {
            if accepting.in_flight == 0 {
                accepting.multishot = true;
                accepting.in_flight = 1;
                self.ring.accept(listener.as_fd(), true);
            }
        } else if accepting.in_flight > 0 && accepting.multishot {
            self.cancel_accepts();
        } else {
            accepting.multishot = false;
            for _ in accepting.in_flight..room.min(SINGLE_ACCEPTS_MAX) {
                accepting.in_flight += 1;
                self.ring.accept(listener.as_fd(), false);
            }
            if accepting.in_flight == 0 {
                let max = self.settings.connections_max;
                self.pause_accepting(&format!("there are {open} connections, the limit is {max}"));
            }
        }
    }

    fn cancel_accepts(&mut self) {
        if self.accepting.in_flight > 0 && !self.accepting.cancelled {
            self.accepting.cancelled = true;
            self.ring.cancel_accepts();
        }
    }

    pub(super) fn pause_accepting(&mut self, cause: &str) {
        self.pooling.note_shortage(self.now);
        if self.accepting.state != State::Open {
            return;
        }
        if self.pause_log.pauses(self.now) {
            log::warn!(
                "accepting pauses until connections end: {cause}; a higher limit of open files \
                 (ulimit -n, LimitNOFILE=) allows more"
            );
        }
        self.change_accepting(State::Paused { until: self.now + PAUSE });
        self.cancel_accepts();
    }

    /// Says so once no core has paused for a while.
    pub(super) fn note_calm(&self) {
        let is_calm = self.counters.iter().all(|core| core.accept_paused.get() == 0);
        if is_calm && self.pause_log.goes_on(self.now) {
            log::info!("accepting again");
        }
    }

    /// Reads what the kernel has dropped at the listener: for want of room in its queue, and for other
    /// reasons.
    pub(super) fn count_drops(&mut self) {
        let Some(listener) = &self.listener else { return };
        if listener.is_inherited() && self.core != 0 {
            // It is one socket for all cores: what it drops is counted once.
            return;
        }
        if matches!(self.accepting.state, State::Closing { .. }) {
            return; // what is held back is counted as dropped, too
        }
        // Without an answer the count stays as it is.
        let Ok(drops) = listen_drops(listener.as_fd()) else { return };
        let more = drops.wrapping_sub(std::mem::replace(&mut self.accepting.drops, drops));
        self.count().listen_drops.add(more.into());
    }

    fn change_accepting(&mut self, state: State) {
        let is_paused = |state: State| matches!(state, State::Paused { .. });
        match (is_paused(self.accepting.state), is_paused(state)) {
            (false, true) => self.count().accept_paused.increment(),
            (true, false) => self.count().accept_paused.decrement(),
            _ => {}
        }
        self.accepting.state = state;
        self.handover.set_open(state == State::Open);
    }

    fn begin_to_close(&mut self) {
        self.count_drops();
        if !self.listener.as_ref().is_some_and(Listener::hold_handshakes) {
            return self.close_listener();
        }
        self.take_queued();
        self.change_accepting(State::Closing { until: self.now + LAST_HANDSHAKES });
    }

    fn close_listener(&mut self) {
        self.take_queued();
        self.listener = None;
        self.change_accepting(State::Over);
    }

    fn take_queued(&mut self) {
        if !self.may_accept() {
            // Who waits is left to others that listen on the port: nobody here could serve them.
            return;
        }
        // Bounded: under a flood the queue would never be seen empty.
        for _ in 0..self.settings.listen_backlog {
            let Some(client) = self.listener.as_ref().and_then(Listener::accept_queued) else {
                break;
            };
            self.admit(client);
        }
    }
}
