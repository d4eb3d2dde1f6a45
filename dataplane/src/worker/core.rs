//! What all components of a worker work on.

pub(super) mod slots;
pub(super) mod stall;
pub(super) mod timers;

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use exchange::{CoreCounters, ServiceCounters, ServiceIndex};
use socket2::SockRef;

use super::connection::Connection;
use super::idle_scan::activity::LastActivity;
use crate::flow::Key;
use crate::sys::Ring;
use slots::Slots;

/// One core's ring and connections. Components are lent it for each call.
pub(super) struct Core {
    pub(super) ring: Ring,
    pub(super) connections: Slots<Connection>,
    /// Read once a turn.
    pub(super) now: Instant,
    /// Where [`Core::clock_ms`] began.
    epoch: Instant,
    /// Of all cores.
    pub(super) counters: Arc<[CoreCounters]>,
    number: usize,
}

impl Core {
    /// Core `number` of those that have `counters`, on the calling thread.
    ///
    /// # Errors
    /// When the ring can't be made.
    pub(super) fn new(number: usize, counters: Arc<[CoreCounters]>) -> io::Result<Self> {
        let (ring, now) = (Ring::new()?, Instant::now());
        Ok(Self { ring, connections: Slots::new(), now, epoch: now, counters, number })
    }

    /// The time at `at` on the clock of the core's work, from which stalls are left out:
    /// milliseconds, wrapping after 49 days.
    #[expect(clippy::cast_possible_truncation, reason = "wraps")]
    pub(super) fn clock_ms(&self, at: Instant) -> u32 {
        at.saturating_duration_since(self.epoch).as_millis() as u32
    }

    /// Has the time of a stall not count: nobody could have seen whether anything moved.
    pub(super) fn leave_out(&mut self, missed: Duration) {
        self.epoch += missed;
    }

    /// What is known of a connection that begins now.
    pub(super) fn new_activity(&self) -> LastActivity {
        LastActivity::new(self.clock_ms(self.now))
    }

    pub(super) fn number(&self) -> usize {
        self.number
    }

    /// What this core counts about itself.
    pub(super) fn own(&self) -> &CoreCounters {
        &self.counters[self.number]
    }

    /// What this core counts about a service.
    pub(super) fn count(&self, service: ServiceIndex) -> &ServiceCounters {
        self.own().of(service)
    }

    pub(super) fn connection(&mut self, key: Key) -> Option<&mut Connection> {
        self.connections.get_mut(key)
    }

    /// Connections of all cores, those that wait for clients among them.
    pub(super) fn open_and_preconnected(&self) -> usize {
        let mut open = 0;
        for core in &*self.counters {
            for count in core.services() {
                open += count.connections.active.get() + count.preconnect.waiting.get();
            }
        }
        usize::try_from(open).unwrap_or(usize::MAX)
    }

    /// Closes by RST what has no operation in flight.
    pub(super) fn reset(&mut self, socket: OwnedFd) {
        if let Err(error) = SockRef::from(&socket).set_linger(Some(Duration::ZERO)) {
            log::debug!("SO_LINGER: {error}");
        }
        self.ring.close(socket);
    }
}

/// Whether an operation ended without having found out anything about its connection.
pub(super) fn is_cancellation(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::ECANCELED | libc::EINTR))
}
