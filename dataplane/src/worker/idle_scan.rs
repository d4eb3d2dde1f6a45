//! The walk over all connections in search of those that nothing moves on any more.

pub(crate) mod activity;
mod rebalance;
mod schedule;

use std::ops::Range;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use socket2::SockRef;

use super::core::Core;
use super::sessions::bound;
use crate::flow::Key;
use crate::session::Event;
use crate::settings::Settings;
use crate::sys::keepalive::Keepalive;
use crate::sys::{acknowledged_bytes, send_queue_bytes};
use activity::{Acknowledged, IdleTimeouts};
use schedule::ScanSchedule;

/// Each connection is visited so often while it may be idle. It ends at the first visit after its
/// timeout, and its last byte may have come just after a visit: two passes late at most.
const VISITS_PER_TIMEOUT: u32 = 16;
/// A pass takes no longer, whatever the timeouts.
const PASS_MAX: Duration = Duration::from_secs(30);
/// A pass takes no longer while connections are looked for that are to be bounded or to make room.
const HASTY_PASS: Duration = Duration::from_secs(1);
/// A pass takes no shorter: what a core does beside moving bytes is bounded.
const PASS_MIN: Duration = Duration::from_millis(5);

/// The walk over all connections of a core in search of those that nothing moves on any more.
#[derive(Debug)]
pub(super) struct IdleScan {
    timeouts: IdleTimeouts,
    keepalive: Keepalive,
    schedule: ScanSchedule,
    /// How long a pass takes while nothing is urgent.
    pass: Duration,
}

impl IdleScan {
    pub(super) fn new(settings: &Settings, now: Instant) -> Self {
        let timeouts = settings.idle_timeouts;
        let shortest = [timeouts.open, timeouts.half_closed].into_iter().flatten().min();
        let visits = shortest.map(|shortest| shortest / VISITS_PER_TIMEOUT);
        // The first visit sets what keepalive needs.
        let pass = visits.into_iter().chain(settings.keepalive).min().unwrap_or(PASS_MAX);
        Self {
            timeouts,
            keepalive: Keepalive::new(settings.keepalive),
            schedule: ScanSchedule::new(pass.clamp(PASS_MIN, PASS_MAX), now),
            pass: pass.clamp(PASS_MIN, PASS_MAX),
        }
    }

    fn hurry(&mut self, is_urgent: bool) {
        let most = if is_urgent { HASTY_PASS } else { PASS_MAX };
        self.schedule.set_pass(self.pass.min(most));
    }

    /// When there is something to do without anything having happened.
    pub(super) fn due(&self) -> Instant {
        self.schedule.next()
    }

    fn timeout(&self, is_half_closed: bool) -> Option<Duration> {
        if is_half_closed { self.timeouts.half_closed } else { self.timeouts.open }
    }

    /// The slots whose visit is due, of so many.
    pub(super) fn due_slots(
        &mut self,
        now: Instant,
        slots: usize,
        is_urgent: bool,
    ) -> [Range<usize>; 2] {
        self.hurry(is_urgent);
        self.schedule.due(now, slots)
    }

    /// Looks at a connection: what follows for its session. `is_under_pressure`: what it may make
    /// the kernel hold is to be bounded; `rebalanced_since`: when targets joined that it may have to
    /// make room for.
    pub(super) fn visit(
        &self,
        core: &mut Core,
        key: Key,
        is_under_pressure: bool,
        rebalanced_since: Option<Instant>,
    ) -> Option<Event> {
        let now_ms = core.clock_ms(core.now);
        let since_ms = rebalanced_since.map(|since| core.clock_ms(since));
        let connection = core.connections.get_mut(key)?;
        let service = connection.service();
        let session = &connection.session;
        if session.close_reason().is_some() || session.awaits_client() {
            return None;
        }
        if !session.is_connected() {
            // Bounded by the time that a connect may take, and before it by the targets' first checks.
            connection.scan.activity.renew(now_ms);
            return None;
        }
        if !std::mem::replace(&mut connection.scan.has_keepalive, true) {
            // Not before: most connections are over by the first visit, and pay nothing.
            for socket in connection.sockets.iter() {
                self.keepalive.apply(&SockRef::from(socket));
            }
        }
        if is_under_pressure && !std::mem::replace(&mut connection.scan.is_bounded, true) {
            connection.sockets.iter().for_each(bound);
        }
        let relay = connection.session.relay();
        let timeout = self.timeout(relay.is_half_closed());
        let quiet = connection.scan.activity.visit(now_ms, relay.progress(), |side| {
            // One that is gone acknowledges nothing any more, and the other may still take what it said.
            let socket = connection.sockets.get(side).filter(|_| !relay.half(side).is_broken());
            socket.map_or(Acknowledged::All, acknowledged)
        });
        if timeout.is_some_and(|timeout| quiet.is_over(timeout)) {
            core.count(service).connections.idle_timeouts.increment();
            return Some(Event::IdleTimeout { stuck: quiet.stuck() });
        }
        rebalance::visit(connection, quiet.all, since_ms, now_ms)
    }
}

/// What the peer of this socket has acknowledged.
fn acknowledged(socket: &OwnedFd) -> Acknowledged {
    match send_queue_bytes(socket) {
        0 => Acknowledged::All,
        queued => Acknowledged::of(queued, acknowledged_bytes(socket)),
    }
}
