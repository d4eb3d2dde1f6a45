use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

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
    /// Descriptors have run out.
    Paused { until: Instant },
    /// The accept in flight was cancelled, to end here.
    Stopping,
    /// The listener is closed.
    Over,
}

impl Accepting {
    /// A pause ends early when descriptors were freed.
    pub(super) fn note_descriptors_freed(&mut self, now: Instant) {
        if let Self::Paused { until } = self {
            *until = now;
        }
    }
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
        if more || exhausted {
            return;
        }
        match self.accepting {
            Accepting::On => self.accept(),
            Accepting::Stopping => self.close_listener(),
            Accepting::NotYet { .. } | Accepting::Paused { .. } | Accepting::Over => {}
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
            Accepting::On => {
                self.accepting = Accepting::Stopping;
                self.ring.cancel_accept();
            }
            Accepting::NotYet { .. } | Accepting::Paused { .. } => self.close_listener(),
            Accepting::Stopping | Accepting::Over => {}
        }
    }

    fn accept(&mut self) {
        if let Some(listener) = &self.listener {
            self.accepting = Accepting::On;
            self.ring.accept(listener.as_fd());
        }
    }

    fn pause_accepting(&mut self, error: &io::Error) {
        if self.accepting == Accepting::Stopping {
            return self.close_listener();
        }
        let last = self.last_exhaustion_log;
        if last.is_none_or(|last| self.now.saturating_duration_since(last) >= LOG_INTERVAL) {
            self.last_exhaustion_log = Some(self.now);
            log::warn!(
                "accepting pauses until connections end: {error}; a higher limit of open files \
                 (ulimit -n, LimitNOFILE=) allows more connections"
            );
        }
        self.count().accept_paused.increment();
        self.accepting = Accepting::Paused { until: self.now + PAUSE };
    }

    fn close_listener(&mut self) {
        let Some(listener) = self.listener.take() else { return };
        while let Some(client) = listener.accept_queued() {
            self.open(client);
        }
        self.accepting = Accepting::Over;
    }
}
