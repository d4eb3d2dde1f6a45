pub(crate) mod activity;
pub(crate) mod schedule;

use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use socket2::SockRef;

use super::Worker;
use super::pressure::bound;
use crate::Settings;
use crate::flow::Key;
use crate::flow::Side;
use crate::session::Event;
use crate::sys::keepalive::Liveness;
use crate::sys::{acknowledged_bytes, send_queue_bytes};
use crate::worker::idle_scan::activity::{Acknowledged, IdleTimeouts};
use crate::worker::idle_scan::schedule::Pace;

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
pub(super) struct Sweep {
    timeouts: IdleTimeouts,
    liveness: Liveness,
    pace: Pace,
    /// How long a pass takes while nothing is urgent.
    pass: Duration,
    /// Where the clock of [`crate::worker::idle_scan::activity::Idle`] began.
    epoch: Instant,
}

impl Sweep {
    pub(super) fn new(settings: &Settings, now: Instant) -> Self {
        let timeouts = settings.idle_timeouts;
        let shortest = [timeouts.open, timeouts.half_closed].into_iter().flatten().min();
        let visits = shortest.map(|shortest| shortest / VISITS_PER_TIMEOUT);
        // The first visit sets what keepalive needs.
        let pass = visits.into_iter().chain(settings.keepalive).min().unwrap_or(PASS_MAX);
        Self {
            timeouts,
            liveness: Liveness::new(settings.keepalive),
            pace: Pace::new(pass.clamp(PASS_MIN, PASS_MAX), now),
            pass: pass.clamp(PASS_MIN, PASS_MAX),
            epoch: now,
        }
    }

    fn hurry(&mut self, is_urgent: bool) {
        let most = if is_urgent { HASTY_PASS } else { PASS_MAX };
        self.pace.set_pass(self.pass.min(most));
    }

    /// When there is something to do without anything having happened.
    pub(super) fn next(&self) -> Instant {
        self.pace.next()
    }

    /// The time on the clock of [`crate::worker::idle_scan::activity::Idle`]: milliseconds, wrapping after 49 days.
    #[expect(clippy::cast_possible_truncation, reason = "wraps")]
    pub(super) fn clock_ms(&self, now: Instant) -> u32 {
        now.saturating_duration_since(self.epoch).as_millis() as u32
    }

    /// Has the time of a stall not count: nobody could have seen whether anything moved.
    pub(super) fn leave_out(&mut self, missed: Duration) {
        self.epoch += missed;
    }

    fn timeout(&self, is_half_closed: bool) -> Option<Duration> {
        if is_half_closed { self.timeouts.half_closed } else { self.timeouts.open }
    }
}

impl Worker {
    /// Visits the connections whose turn it is.
    pub(super) fn sweep(&mut self) {
        let is_urgent = self.is_under_pressure() || self.targets.rebalanced_since().is_some();
        self.sweep.hurry(is_urgent);
        let turns = self.sweep.pace.due(self.now, self.connections.slots());
        for slot in turns.into_iter().flatten() {
            if let Some(key) = self.connections.key_at(slot) {
                self.visit(key);
            }
        }
    }

    fn visit(&mut self, key: Key) {
        for side in Side::BOTH {
            self.note_held_up(key, side);
        }
        let now_ms = self.sweep.clock_ms(self.now);
        let is_under_pressure = self.is_under_pressure();
        let Some(connection) = self.connections.get_mut(key) else { return };
        let session = &connection.session;
        if session.ending().is_some() || session.awaits_client() {
            return;
        }
        if !session.is_connected() {
            // Bounded by the time that a connect may take, and before it by the targets' first checks.
            return connection.idle.renew(now_ms);
        }
        if !std::mem::replace(&mut connection.is_watched_over, true) {
            // Not before: most connections are over by the first visit, and pay nothing.
            for socket in Side::BOTH.iter().filter_map(|side| connection.socket(*side)) {
                self.sweep.liveness.apply(&SockRef::from(socket));
            }
        }
        if is_under_pressure && !std::mem::replace(&mut connection.is_bounded, true) {
            for socket in Side::BOTH.iter().filter_map(|side| connection.socket(*side)) {
                bound(&SockRef::from(socket));
            }
        }
        let session = &connection.session;
        let timeout = self.sweep.timeout(session.is_half_closed());
        let mut idle = connection.idle;
        let quiet = idle.visit(now_ms, session.progress(), |side| {
            // One that is gone acknowledges nothing any more, and the other may still take what it said.
            let socket = connection.socket(side).filter(|_| !session.is_broken(side));
            socket.map_or(Acknowledged::All, acknowledged)
        });
        connection.idle = idle;
        if timeout.is_some_and(|timeout| quiet.is_over(timeout)) {
            self.count().connections.idle_timeouts.increment();
            return self.feed(key, Event::IdleTimeout { stuck: quiet.stuck() });
        }
        self.make_room(key, quiet.all);
    }
}

/// What the peer of this socket has acknowledged.
fn acknowledged(socket: &OwnedFd) -> Acknowledged {
    match send_queue_bytes(socket) {
        0 => Acknowledged::All,
        queued => Acknowledged::of(queued, acknowledged_bytes(socket)),
    }
}
