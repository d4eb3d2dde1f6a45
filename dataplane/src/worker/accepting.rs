use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::process::{Resource, getrlimit};

use super::Worker;
use crate::listener::{is_about_one_connection, is_exhaustion};

/// How long accepting pauses at most when descriptors have run out: other cores, too, free some.
const PAUSE: Duration = Duration::from_millis(50);
/// Log lines about exhaustion come no faster than this.
const LOG_INTERVAL: Duration = Duration::from_secs(1);

/// Whether the core takes new connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Accepting {
    /// At the start clients wait in the listen queue for the first target, but not for ever.
    NotYet { until: Instant },
    /// A multishot accept is in flight.
    On,
    /// It was cancelled: all that waits in the listen queue might be too many.
    Narrowing,
    /// An accept of one connection is in flight.
    OneByOne,
    /// There are as many connections as there may be.
    Full,
    /// Descriptors have run out all the same.
    Paused { until: Instant },
    /// The accept in flight was cancelled, to end here.
    Stopping,
    /// The listener is closed.
    Over,
}

/// A multishot accept takes all that the listen queue holds before anybody can stop it: it needs
/// room for so many connections. The queue's default length.
const MULTISHOT_ROOM: usize = 4096;

/// Descriptors that connections leave to the rest of the process: rings, listeners, admin clients
/// and, of a higher limit, an eighth for health checks of many targets.
const RESERVE_BASE: u64 = 32;
const RESERVE_PER_CORE: u64 = 10;
const RESERVE_SHARE: u64 = 8;
const RESERVE_SHARE_MAX: u64 = 2048;

/// How many connections each of `cores` cores may have, by `RLIMIT_NOFILE`: an accepted client is
/// worth nothing if no descriptor is left to dial its target with.
pub(super) fn connections_max(cores: usize) -> usize {
    let limit = getrlimit(Resource::Nofile).current;
    limit.map_or(usize::MAX, |files| connections_within(files, cores))
}

fn connections_within(files: u64, cores: usize) -> usize {
    let cores = u64::try_from(cores).unwrap_or(u64::MAX).max(1);
    let reserve = RESERVE_PER_CORE
        .saturating_mul(cores)
        .saturating_add(RESERVE_BASE + (files / RESERVE_SHARE).min(RESERVE_SHARE_MAX));
    let connections = files.saturating_sub(reserve) / 2 / cores;
    usize::try_from(connections).unwrap_or(usize::MAX).max(1)
}

impl Worker {
    pub(super) fn handle_accepted(&mut self, result: io::Result<OwnedFd>, more: bool) {
        let exhausted = match result {
            Ok(client) => {
                self.open(client);
                false
            }
            Err(error) if is_exhaustion(&error) => {
                self.pause_accepting(&error);
                true
            }
            Err(error) => {
                let expected = is_about_one_connection(&error) || super::is_cancellation(&error);
                debug_assert!(expected, "accept: {error}");
                false
            }
        };
        if more {
            self.narrow_accepting();
        } else if !exhausted {
            match self.accepting {
                Accepting::On | Accepting::Narrowing | Accepting::OneByOne => self.accept(),
                Accepting::Stopping => self.close_listener(),
                Accepting::NotYet { .. }
                | Accepting::Full
                | Accepting::Paused { .. }
                | Accepting::Over => {}
            }
        }
    }

    /// A connection has ended: there is room for another.
    pub(super) fn note_descriptors_freed(&mut self) {
        match &mut self.accepting {
            Accepting::Full => {
                self.count().accept_paused.decrement();
                self.accept();
            }
            // It ends early.
            Accepting::Paused { until } => *until = self.now,
            _ => {}
        }
    }

    /// Begins to accept as soon as there is a target, or goes on after a pause.
    pub(super) fn advance_accepting(&mut self) {
        match self.accepting {
            Accepting::NotYet { until } if self.targets.is_ready() || until <= self.now => {
                self.accept();
            }
            Accepting::Paused { until } if until <= self.now => {
                self.count().accept_paused.decrement();
                self.accept();
            }
            _ => {}
        }
    }

    /// Takes no connections any more, except those that are queued already.
    pub(super) fn stop_accepting(&mut self) {
        match self.accepting {
            Accepting::On | Accepting::Narrowing | Accepting::OneByOne => {
                self.accepting = Accepting::Stopping;
                self.ring.cancel_accept();
            }
            Accepting::NotYet { .. } | Accepting::Full | Accepting::Paused { .. } => {
                self.close_listener();
            }
            Accepting::Stopping | Accepting::Over => {}
        }
    }

    fn accept(&mut self) {
        let Some(listener) = &self.listener else { return };
        let room = self.room();
        if room > 0 {
            let multishot = room >= MULTISHOT_ROOM;
            self.accepting = if multishot { Accepting::On } else { Accepting::OneByOne };
            self.ring.accept(listener.as_fd(), multishot);
        } else {
            self.accepting = Accepting::Full;
            self.count().accept_paused.increment();
            let most = self.connections_max;
            self.log_exhaustion(&format!("there are {most} connections on core {}", self.core));
        }
    }

    fn narrow_accepting(&mut self) {
        if self.accepting == Accepting::On && self.room() < MULTISHOT_ROOM {
            self.accepting = Accepting::Narrowing;
            self.ring.cancel_accept();
        }
    }

    fn room(&self) -> usize {
        self.connections_max.saturating_sub(self.connections.len())
    }

    fn pause_accepting(&mut self, error: &io::Error) {
        if self.accepting == Accepting::Stopping {
            return self.close_listener();
        }
        self.log_exhaustion(&error.to_string());
        self.count().accept_paused.increment();
        self.accepting = Accepting::Paused { until: self.now + PAUSE };
    }

    /// Says that descriptors have run out, but not too often.
    pub(super) fn log_exhaustion(&mut self, what: &str) {
        let last = self.last_exhaustion_log;
        if last.is_none_or(|last| self.now.saturating_duration_since(last) >= LOG_INTERVAL) {
            self.last_exhaustion_log = Some(self.now);
            log::warn!(
                "{what}: clients wait until connections end; a higher limit of open files \
                 (ulimit -n, LimitNOFILE=) allows more"
            );
        }
    }

    fn close_listener(&mut self) {
        let Some(listener) = self.listener.take() else { return };
        while let Some(client) = listener.accept_queued() {
            self.open(client);
        }
        self.accepting = Accepting::Over;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_leave_descriptors_to_the_rest() {
        assert_eq!(connections_within(100, 1), (100 - 32 - 10 - 12) / 2);
        assert_eq!(connections_within(1024, 2), (1024 - 32 - 20 - 128) / 4);
        assert_eq!(connections_within(1 << 20, 4), ((1 << 20) - 32 - 40 - 2048) / 8);
        assert_eq!(connections_within(0, 64), 1);
    }
}
